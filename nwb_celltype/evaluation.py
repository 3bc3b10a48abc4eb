"""Measure a model on labelled units: honestly, without the units it was trained on, and with what it abstains on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.calibration import (
    brier_score,
    decide,
    expected_calibration_error,
    negative_log_likelihood,
    risk_coverage,
)
from nwb_celltype.classifier import Model, load_model
from nwb_celltype.errors import NothingToDoError, UsageError
from nwb_celltype.features.dataset import Progress
from nwb_celltype.labels import LabelledUnits
from nwb_celltype.training import Settings
from nwb_celltype.training.folds import contiguous_folds, stratified_folds
from nwb_celltype.training.heldout import hold_out
from nwb_celltype.training.pool import make_pool, read_sources

_N_BOOTSTRAPS = 1000


@dataclass(frozen=True)
class Scores:
    """How well labels were predicted.

    Attributes
    ----------
    n : int
    accuracy : float
    balanced_accuracy : float
        Mean recall over the classes that occur.
    macro_f1 : float
        Mean F1 over the classes that occur or were answered.
    """

    n: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class ClassScores:
    """Figures of one class; `coverage` is the share of its units that the model answers."""

    n: int
    recall: float
    precision: float
    f1: float
    coverage: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a model does on labelled units that it was not trained on.

    Attributes
    ----------
    model, version, weights_sha256 : str
    scores : Scores
        Of the most probable class of every unit, abstention ignored; a unit that cannot be described counts as wrong.
    interval : (float, float)
        95 % bootstrap interval of the balanced accuracy; units are resampled within classes.
    coverage, accuracy_kept : float
        Share of units that the model answers, and accuracy among them (NaN if there are none).
    ece, nll, brier : float
        Of the calibrated probabilities.
    threshold : float
    per_class : mapping of str to ClassScores
    classes : tuple of str
    confusion : (k, k) integer array
        True classes in rows, answers in columns; units that cannot be described are missing.
    risk_coverage : mapping of str to float
        Accuracy among the most confident 50, 70, 80, 90 and 100 % of the units that can be described.
    left_out : mapping of str to int
        Rows not measured on: ``unlabeled``, ``unknown_class``, ``training_rows``.
    """

    model: str
    version: str
    weights_sha256: str
    scores: Scores
    interval: tuple[float, float]
    coverage: float
    accuracy_kept: float
    ece: float
    nll: float
    brier: float
    threshold: float
    per_class: Mapping[str, ClassScores]
    classes: tuple[str, ...]
    confusion: NDArray[np.integer]
    risk_coverage: Mapping[str, float]
    left_out: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values; what is not defined is `None`."""
        return {
            "model": self.model,
            "version": self.version,
            "weights_sha256": self.weights_sha256,
            "balanced_accuracy": self.scores.balanced_accuracy,
            "balanced_accuracy_interval": list(self.interval),
            "macro_f1": self.scores.macro_f1,
            "accuracy": self.scores.accuracy,
            "coverage": self.coverage,
            "accuracy_kept": _defined(self.accuracy_kept),
            "ece": _defined(self.ece),
            "nll": _defined(self.nll),
            "brier": _defined(self.brier),
            "threshold": self.threshold,
            "n": self.scores.n,
            "n_left_out": sum(self.left_out.values()),
            "left_out": dict(self.left_out),
            "per_class": {name: {k: _defined(v) for k, v in vars(one).items()} for name, one in self.per_class.items()},
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
            "accuracy_at_coverage": dict(self.risk_coverage),
        }


def evaluate(
    model: str | Path | Model,
    data: str | Path | LabelledUnits | Sequence[str | Path | LabelledUnits],
    *,
    threshold: float | None = None,
    labels: str | Path | None = None,
    run: str | None = None,
) -> Evaluation:
    """Measure a model on labelled units; rows that it was trained on are found by their hashes and left out.

    Parameters
    ----------
    model : str, Path or Model
        Name of a shipped model, path of a model folder, or a loaded model.
    data : path, address or LabelledUnits, or a sequence of them
        ``.npz``, annotated ``.nwb`` files or detached labels, on this machine or by their addresses; see
        `nwb_celltype.labels.read_labelled`. Of a folder or a whole dandiset every file that carries labels.
    threshold : float, optional
        Least calibrated top probability of an answer; the model's own by default.
    labels, run : optional
        Where the labels of an NWB file are, as for `read_labelled`.

    Returns
    -------
    Evaluation

    Raises
    ------
    NothingToDoError
        If no row remains; the message says how many were left out, and why.
    InputError
        If a file cannot be read.
    RefusedError
        If the only labels of an NWB file are a classifier's predictions.
    UsageError
        If there is no such model or the threshold is no probability.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> nct.evaluate("cerebellum", "labelled_session.nwb").scores.balanced_accuracy  # doctest: +SKIP
    0.87
    """
    loaded = model if isinstance(model, Model) else load_model(model)
    limit = loaded.default_threshold if threshold is None else float(threshold)
    if not 0 <= limit <= 1:
        message = f"The threshold is a probability between 0 and 1, not {threshold}."
        raise UsageError(message)
    sources = [one for _, one in read_sources(data, labels=labels, run=run)]
    left_out = {"unlabeled": 0, "unknown_class": 0, "training_rows": 0}
    kept = []
    for one in sources:
        known = np.isin(one.cell_type, loaded.classes)
        trained = known & training_overlap(loaded, one)
        left_out["unlabeled"] += int((~one.is_labelled).sum())
        left_out["unknown_class"] += int((one.is_labelled & ~known).sum())
        left_out["training_rows"] += int(trained.sum())
        kept.append(one.take(known & ~trained))
    kept = [one for one in kept if len(one)]
    if not kept:
        message = (
            f"Of {sum(map(len, sources))} units none is left to measure {loaded.card['name']} on: "
            f"{left_out['unlabeled']} have no label, {left_out['unknown_class']} a label that is none of "
            f"{', '.join(loaded.classes)}, and it was trained on {left_out['training_rows']}. Give it other units."
        )
        raise NothingToDoError(message)
    predictions = [loaded.predict(one.features) for one in kept]
    probability = np.concatenate([p.probability for p in predictions])
    ood_score = np.concatenate([p.ood_score for p in predictions])
    truth = np.concatenate([one.cell_type for one in kept])
    answered = decide(probability, ood_score, threshold=limit, ood_threshold=loaded.ood_threshold) >= 0
    return _measure(loaded, probability, truth, answered, limit, left_out)


def training_overlap(model: Model, labelled: LabelledUnits) -> NDArray[np.bool_]:
    """(n,) mask of the rows whose waveform or spike train the model was trained on."""
    return labelled.found_in(model.training_rows or {})


def score(truth: Sequence[str] | NDArray[np.str_], answers: Sequence[str] | NDArray[np.str_]) -> Scores:
    """Compare answers with the truth.

    Examples
    --------
    >>> score(["MLI", "MLI", "GoC"], ["MLI", "GoC", "GoC"]).balanced_accuracy
    0.75
    """
    true, said = np.asarray(truth, dtype=str), np.asarray(answers, dtype=str)
    if len(true) == 0 or len(true) != len(said):
        message = f"{len(said)} answers for {len(true)} labels: one a labelled unit is needed, and at least one."
        raise UsageError(message)
    each = {name: _class_scores(true == name, said == name, None) for name in np.union1d(true, said[said != ""])}
    return Scores(
        n=len(true),
        accuracy=float((true == said).mean()),
        balanced_accuracy=float(np.mean([one.recall for one in each.values() if one.n])),
        macro_f1=float(np.mean([one.f1 for one in each.values()])),
    )


def cross_validate(
    labelled: LabelledUnits,
    *,
    classes: Sequence[str],
    folds: str = "contiguous",
    n_folds: int = 5,
    settings: Settings | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Scores:
    """Measure how well the networks learn one set of units, by cross-validation.

    Parameters
    ----------
    labelled : LabelledUnits
    classes : sequence of str
        Other rows are left out.
    folds : {'contiguous', 'stratified'}
        Contiguous blocks of rows, or random folds with equal shares of each class (always drawn with seed 0).
    n_folds : int
    settings : Settings, optional
    seed : int
        Of the networks and the variants of the units.
    progress : callable, optional

    Returns
    -------
    Scores
        Over all units, no abstention.
    """
    settings = settings or Settings()
    pool = make_pool([labelled], classes=classes, n_variants=settings.n_variants, seed=seed)
    splits: Iterable[tuple[NDArray[np.intp], NDArray[np.intp]]]
    if folds == "contiguous":
        splits = contiguous_folds(len(pool), n_folds)
    elif folds == "stratified":
        splits = stratified_folds(pool.names, n_folds)
    else:
        message = f"Folds are 'contiguous' or 'stratified', not {folds!r}."
        raise UsageError(message)
    held = hold_out(pool, splits, settings, seed=100 * seed, progress=progress)
    return score(pool.names, _most_probable(pool.classes, held.best()))


def transfer(
    learnt: LabelledUnits,
    asked: LabelledUnits,
    *,
    classes: Sequence[str],
    settings: Settings | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Scores:
    """Measure what one set of units teaches about another; parameters as for `cross_validate`."""
    settings = settings or Settings()
    pool = make_pool([learnt, asked], classes=classes, n_variants=settings.n_variants, seed=seed)
    train_rows, test_rows = np.flatnonzero(pool.sources == 0), np.flatnonzero(pool.sources == 1)
    held = hold_out(pool, [(train_rows, test_rows)], settings, seed=100 * seed, progress=progress, task="transfer")
    return score(pool.names[test_rows], _most_probable(pool.classes, held.best()[test_rows]))


def _most_probable(classes: Sequence[str], probability: NDArray[np.float64]) -> NDArray[np.str_]:
    """(n,) most probable class of each row; empty, and so never right, where nothing could be said."""
    nothing = np.isnan(probability).any(axis=1)
    return np.where(nothing, "", np.array(classes)[np.nan_to_num(probability, nan=-1.0).argmax(axis=1)])


def _measure(
    model: Model,
    probability: NDArray[np.float64],
    truth: NDArray[np.str_],
    answered: NDArray[np.bool_],
    threshold: float,
    left_out: Mapping[str, int],
) -> Evaluation:
    said = _most_probable(model.classes, probability)
    described, right = said != "", said == truth
    codes = (truth[:, None] == np.array(model.classes)).argmax(axis=1)
    confusion = np.zeros((len(model.classes),) * 2, dtype=np.int64)
    np.add.at(confusion, (codes[described], probability[described].argmax(axis=1)), 1)
    p, y = probability[described], codes[described]
    curve = risk_coverage(p, y) if len(y) else None
    shares = (0.5, 0.7, 0.8, 0.9, 1.0)
    return Evaluation(
        model=str(model.card["name"]),
        version=str(model.card["version"]),
        weights_sha256=model.weights_sha256,
        scores=score(truth, said),
        interval=_bootstrap(codes, right),
        coverage=float(answered.mean()),
        accuracy_kept=float(right[answered].mean()) if answered.any() else float("nan"),
        ece=expected_calibration_error(p, y) if len(y) else float("nan"),
        nll=negative_log_likelihood(p, y) if len(y) else float("nan"),
        brier=brier_score(p, y) if len(y) else float("nan"),
        threshold=threshold,
        per_class={name: _class_scores(truth == name, said == name, answered) for name in model.classes},
        classes=model.classes,
        confusion=confusion,
        risk_coverage={}
        if curve is None
        else {f"{s:.0%}": float(curve.accuracy[max(round(s * len(y)), 1) - 1]) for s in shares},
        left_out=dict(left_out),
    )


def _class_scores(true: NDArray[np.bool_], said: NDArray[np.bool_], answered: NDArray[np.bool_] | None) -> ClassScores:
    hits, n, n_said = int((true & said).sum()), int(true.sum()), int(said.sum())
    return ClassScores(
        n=n,
        recall=hits / n if n else float("nan"),
        precision=hits / n_said if n_said else float("nan"),
        f1=2 * hits / (n + n_said) if n + n_said else float("nan"),
        coverage=float(answered[true].mean()) if answered is not None and n else float("nan"),
    )


def _bootstrap(codes: NDArray[np.integer], right: NDArray[np.bool_]) -> tuple[float, float]:
    """95 % interval of the balanced accuracy; hits of a class are binomial when its units are resampled."""
    rng = np.random.default_rng(0)
    recalls = []
    for k in np.unique(codes):
        hits = right[codes == k]
        recalls.append(rng.binomial(len(hits), hits.mean(), size=_N_BOOTSTRAPS) / len(hits))
    low, high = np.percentile(np.mean(recalls, axis=0), [2.5, 97.5])
    return float(low), float(high)


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
