"""How common each class is held to be: probabilities of a model that was taught otherwise are weighed anew."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.nested_text import parse_json, parse_yaml

Float = NDArray[np.float64]
PriorSource = str | Path | Mapping[str, float]

PRIOR_WORDS = ("uniform", "training", "auto")
"""Priors that have a name; anything else is a file, or weights."""
PULL = 20.0
"""Units of each class that ``auto`` pretends to have seen besides those of the recording."""
FLOOR = 0.05
"""Least share that ``auto`` gives a class, as a part of an equal share."""

_ROUNDS = 500
_CLOSE = 1e-7
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Prior:
    """Shares of the classes that probabilities are made to expect.

    Attributes
    ----------
    name : str
        ``uniform``, ``training``, ``auto``, or the name of the file; ``given`` for weights given in Python.
    shares : (k,) array
        Of the classes of the model, in their order; their sum is 1.
    details : mapping
        Anything else that a reader of the run should know.
    """

    name: str
    shares: Float
    details: Mapping[str, Any] = field(default_factory=dict)

    def parameters(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return what goes into the parameters of a run."""
        shares = {label: round(float(share), 6) for label, share in zip(classes, self.shares, strict=True)}
        return {"name": self.name, "shares": shares, **self.details}


def effective_prior(card: Mapping[str, Any], classes: Sequence[str]) -> Float:
    """(k,) shares of the classes that a model's probabilities expect.

    Training balances classes, so they are equal, unless the card says otherwise under ``prior`` (class: share).
    """
    stated = card.get("prior")
    if not isinstance(stated, Mapping):
        return np.full(len(classes), 1 / len(classes))
    return _normalised({str(k): float(v) for k, v in stated.items()}, classes, f"the card of {card.get('name', '')}")


def choose_prior(
    prior: PriorSource,
    card: Mapping[str, Any],
    classes: Sequence[str],
    probability: Float,
    used: NDArray[np.bool_] | None = None,
) -> Prior | None:
    """Find the shares that are asked for.

    Parameters
    ----------
    prior : {'uniform', 'training', 'auto'}, path, or mapping of class to weight
        A path is that of a JSON, YAML, CSV or TSV file; see `read_prior`.
    card : mapping
        The card of the model.
    classes : sequence of k str
        Of the model.
    probability : (n, k) array
        Calibrated; what ``auto`` looks at.
    used : (n,) bool array, optional
        Rows that ``auto`` may look at; NaN rows are never.

    Returns
    -------
    Prior or None
        None where it is what the probabilities expect already.

    Raises
    ------
    UsageError
        If there is neither such a word nor such a file, or a weight is of no class of the model or no weight; or if the
        card does not say what the model was trained on.
    InputError
        If the file cannot be read.
    """
    own = effective_prior(card, classes)
    if isinstance(prior, Mapping):
        chosen = Prior("given", _normalised(prior, classes, "the prior"))
    elif str(prior) == "uniform":
        chosen = Prior("uniform", np.full(len(classes), 1 / len(classes)))
    elif str(prior) == "training":
        chosen = Prior("training", _training_shares(card, classes))
    elif str(prior) == "auto":
        chosen = fit_prior(probability if used is None else probability[used], own)
    else:
        chosen = Prior(Path(prior).name, _normalised(read_prior(prior), classes, str(prior)))
    return None if chosen.name == "uniform" and np.allclose(chosen.shares, own) else chosen


def reweigh(probability: Float, prior: Prior, own: Float) -> Float:
    """Turn probabilities that expect one prior into those that expect another.

    Parameters
    ----------
    probability : (n, k) array
        NaN rows stay NaN.
    prior : Prior
    own : (k,) array
        Shares that the probabilities expect.

    Returns
    -------
    (n, k) array
        Rows sum to 1; NaN where the prior rules out all that was possible.

    Examples
    --------
    >>> import numpy as np
    >>> rare = Prior("given", np.array([0.9, 0.1]))
    >>> reweigh(np.array([[0.5, 0.5]]), rare, np.array([0.5, 0.5])).round(2).tolist()
    [[0.9, 0.1]]
    """
    weighed = probability * (prior.shares / np.maximum(own, _TINY))
    total = weighed.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(weighed, total, out=np.full_like(weighed, np.nan), where=total > 0))


def fit_prior(probability: Float, own: Float, *, pull: float = PULL, floor: float = FLOOR) -> Prior:
    """Estimate how common the classes are among some units, pulled towards equal shares.

    By expectation and maximisation. Without the pull this starves rare classes: a class that the model mistakes for
    another gets less and less until none of its units is left (Saerens et al. 2002, doi:10.1162/089976602753284446,
    assume that the model's probabilities are right for these units, which those for another laboratory are not).

    Parameters
    ----------
    probability : (n, k) array
        NaN rows are left out.
    own : (k,) array
        Shares that the probabilities expect.
    pull : float
        Units of each class that count besides.
    floor : float
        Least share of a class, as a part of 1/k.

    Returns
    -------
    Prior

    Examples
    --------
    >>> import numpy as np
    >>> sure = np.repeat([[0.99, 0.01], [0.01, 0.99]], [90, 10], axis=0)
    >>> fit_prior(sure, np.array([0.5, 0.5])).shares.round(2).tolist()
    [0.79, 0.21]
    """
    known = probability[np.isfinite(probability).all(axis=1)]
    n, k = len(known), len(own)
    shares = np.full(k, 1 / k)
    likelihood = known / np.maximum(own, _TINY)
    for _ in range(_ROUNDS):
        each = likelihood * shares
        each /= np.maximum(each.sum(axis=1, keepdims=True), _TINY)
        wanted = (each.sum(axis=0) + pull) / (n + k * pull)
        wanted = np.maximum(wanted, floor / k)
        wanted /= wanted.sum()
        if np.abs(wanted - shares).max() < _CLOSE:
            shares = wanted
            break
        shares = wanted
    return Prior("auto", shares, {"n_units": n, "pull": pull, "floor": floor})


def read_prior(path: str | Path) -> dict[str, float]:
    """Read weights of classes from a file.

    Parameters
    ----------
    path : str or Path
        JSON or YAML with ``class: weight``, or CSV or TSV with the columns ``cell_type`` and ``weight``.

    Returns
    -------
    dict of str to float
        Any sum.

    Raises
    ------
    UsageError
        If there is no such file.
    InputError
        If it cannot be read as such.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        message = (
            f"{str(path)!r} is no prior: give one of {', '.join(PRIOR_WORDS)}, or the path of a JSON, YAML, CSV or TSV "
            "file with a weight for each class."
        )
        raise UsageError(message)
    try:
        text = file.read_text(encoding="utf-8-sig")
        stated = _rows(text, file) if file.suffix.lower() in {".csv", ".tsv"} else _mapping(text, file)
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read: {error}."
        raise InputError(message) from error
    weights = {}
    for label, value in stated:
        try:
            number = float(value)
        except (TypeError, ValueError):
            message = f"{file}: the weight of {label!r} is {value!r}, which is no number."
            raise InputError(message) from None
        if label in weights:
            message = f"{file} gives {label!r} twice; one weight a class."
            raise InputError(message)
        weights[label] = number
    return weights


def _mapping(text: str, file: Path) -> list[tuple[str, Any]]:
    import yaml

    try:
        content = parse_json(text) if file.suffix.lower() == ".json" else parse_yaml(text)
    except (ValueError, yaml.YAMLError) as error:
        message = f"{file} is no {'JSON' if file.suffix.lower() == '.json' else 'YAML'}: {str(error).splitlines()[0]}."
        raise InputError(message) from error
    if not isinstance(content, dict):
        message = f"{file} holds no weights of classes; write one line a class, such as MLI: 0.2."
        raise InputError(message)
    return [(str(key), value) for key, value in content.items()]


def _rows(text: str, file: Path) -> list[tuple[str, Any]]:
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ","
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter)
    names = {str(name).strip().lower(): name for name in reader.fieldnames or ()}
    label = next((names[each] for each in ("cell_type", "class", "label") if each in names), None)
    weight = next((names[each] for each in ("weight", "share", "prior", "probability") if each in names), None)
    if label is None or weight is None:
        message = f"{file} needs the columns cell_type and weight; it has {', '.join(names) or 'none'}."
        raise InputError(message)
    return [(str(row[label] or "").strip(), row[weight]) for row in reader]


def _normalised(weights: Mapping[str, float], classes: Sequence[str], where: str) -> Float:
    unknown = [label for label in weights if label not in classes]
    if unknown:
        near = difflib.get_close_matches(str(unknown[0]), classes, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        message = f"{where} names {unknown[0]!r}, which is no class of the model ({', '.join(classes)}).{hint}"
        raise UsageError(message)
    missing = [label for label in classes if label not in weights]
    if missing:
        message = f"{where} has no weight for {', '.join(missing)}; give 0 to rule a class out."
        raise UsageError(message)
    shares = np.array([weights[label] for label in classes], dtype=np.float64)
    if not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() <= 0:
        message = f"{where}: weights are numbers from 0, one of them above 0, not {dict(weights)}."
        raise UsageError(message)
    return np.asarray(shares / shares.sum())


def _training_shares(card: Mapping[str, Any], classes: Sequence[str]) -> Float:
    counts = dict.fromkeys(classes, 0.0)
    for one in card.get("training_data", ()):
        for label, n in dict(one.get("n_used", {})).items():
            if label in counts:
                counts[label] += float(n)
    if not all(counts.values()):
        message = (
            f"The card of {card.get('name', 'the model')} does not say how many units of each class it was trained on; "
            "give the weights in a file."
        )
        raise UsageError(message)
    shares = np.array(list(counts.values()))
    return np.asarray(shares / shares.sum())
