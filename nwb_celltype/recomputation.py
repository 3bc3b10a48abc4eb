"""Does a stored run still hold: is it about these units, and do spikes and weights give the same answers again?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.annotation import Annotation, annotate_units
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.layers import IGNORE, LayerSource
from nwb_celltype.nested_text import parse_json
from nwb_celltype.priors import PRIOR_WORDS, PriorSource
from nwb_celltype.provenance import read_source
from nwb_celltype.runs import Run, choose_among, read_runs
from nwb_celltype.session_context import with_context
from nwb_celltype.units import Units, read_units

if TYPE_CHECKING:
    from nwb_celltype.classifier import Model
    from nwb_celltype.features.dataset import Progress

TOLERANCE = 2e-3
"""Largest difference of a probability, or of a distance from the training units, that another processor may make."""

_COLUMN = "units column "


@dataclass(frozen=True)
class Recomputation:
    """What was checked of a stored run.

    Attributes
    ----------
    file : str
        Where the run is.
    run, source_type, who : str
        Its name, what kind of labels it holds, and whose.
    is_recomputed : bool
        Whether its answers were computed again; those of people and experiments cannot be.
    checks : tuple of (name, result, sentence)
        `result` is ``ok``, ``wrong``, or ``not checked`` where there is nothing to check by.

    Examples
    --------
    >>> Recomputation("a.nwb", "r", "expert", "me", False, (("units", "ok", "2 units"),)).holds
    True
    """

    file: str
    run: str
    source_type: str
    who: str
    is_recomputed: bool
    checks: tuple[tuple[str, str, str], ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return all(result != "wrong" for _, result, _ in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return what `verify --json` prints of a run."""
        return {
            "file": self.file,
            "run": self.run,
            "source_type": self.source_type,
            "who": self.who,
            "holds": self.holds,
            "is_recomputed": self.is_recomputed,
            "checks": [{"check": name, "result": result, "note": note} for name, result, note in self.checks],
        }


def verify(
    file: str | Path,
    *,
    run: str | None = None,
    source: str | Path | None = None,
    model: str | Path | Model | None = None,
    layers: LayerSource | None = None,
    progress: Progress | None = None,
) -> Recomputation:
    """Compute a stored run again from spikes and weights, and say whether it still holds.

    Parameters
    ----------
    file : str or Path
        An annotated NWB file, or its address.
    run : str, optional
        Name of the run; by default the newest that a model made and none took the place of, or where there is none the
        published one.
    source : str or Path, optional
        The recording, where `file` holds the labels alone.
    model : str, Path or Model, optional
        The model, where it is not at hand under the name that the run states.
    layers : path or mapping of unit id to layer, optional
        The table of layers, where the run used one that is not a column of the units table.
    progress : callable, optional
        Told after each unit a task, the units done and the number of units.

    Returns
    -------
    Recomputation
        Probabilities must agree within `TOLERANCE`; labels and reasons must be the same, save of units that lie within
        it of the line between two answers. Units and weights are compared by their SHA-256, so one changed spike is
        noticed whatever it does to the answers.

    Raises
    ------
    UsageError
        If there is no such run or model, or the recording is needed and not given.
    InputError
        If a file cannot be read, a model is damaged or was made for another version of the features.
    NetworkError
        If a remote file cannot be reached.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> nct.verify("session_celltype.nwb").holds  # doctest: +SKIP
    True
    """
    stored = _chosen(file, run)
    checks: list[tuple[str, str, str]] = []
    is_recomputed = False
    with _open_units(file, stored, source) as every:
        missing = sorted(set(stored.unit_ids.tolist()) - set(every.unit_ids.tolist()))
        if missing:
            named = ", ".join(map(str, missing[:5])) + (" and others" if len(missing) > 5 else "")
            checks.append(("units", "wrong", f"the units table has no unit {named}, which the run names"))
        else:
            units = every.select(stored.unit_ids.tolist())
            checks.append(("units", *_check_input(stored, units)))
            if stored.method.source_type == "classifier":
                again = _Again(stored, units, model, layers, progress)
                checks += again.checks
                is_recomputed = again.is_recomputed
            else:
                kind = stored.method.source_type or "unknown"
                checks.append(("answers", "not checked", f"labels of the kind {kind!r} are not computed from a model"))
    method = stored.method
    return Recomputation(str(file), stored.name, method.source_type, method.who, is_recomputed, tuple(checks))


class _Again:
    """The checks of a classifier's run, in order; answers are computed only with the weights that the run states."""

    def __init__(
        self,
        stored: Run,
        units: Units,
        model: str | Path | Model | None,
        layers: LayerSource | None,
        progress: Progress | None,
    ) -> None:
        from nwb_celltype.classifier import load_model

        self.is_recomputed = False
        self.checks: list[tuple[str, str, str]] = []
        fields = stored.method.fields
        chosen = model if model is not None else _model_name(fields, stored.name)
        loaded = load_model(chosen) if isinstance(chosen, str | Path) else chosen
        stated, found = str(fields.get("weights_sha256", "")), loaded.weights_sha256
        named = f"{loaded.card['name']} {loaded.card['version']}"
        if stated != found:
            said = (
                f"the run states weights {stated[:12] or 'of no hash'}, {named} has {found[:12]}; give the same model"
            )
            self.checks += [("weights", "wrong", said), ("answers", "not checked", "the weights are others")]
            return
        self.checks.append(("weights", "ok", f"{named}, sha256 {found[:12]}..."))
        spec = str(fields.get("feature_spec_version", ""))
        if spec != str(loaded.card["feature_spec_version"]):
            now = loaded.card["feature_spec_version"]
            self.checks.append(("features", "wrong", f"the run states {spec or 'no'} version, the model has {now}"))
        parameters = _parameters(fields, stored.name)
        place = _layers_of(parameters, layers, stored.name)
        annotation = annotate_units(
            units,
            loaded,
            threshold=stored.confidence_threshold,
            prior=_prior_of(parameters),
            layers=place,
            progress=progress,
        )
        annotation = with_context(annotation, units)
        self.is_recomputed = True
        if "layers" in parameters:
            now = dict(annotation.method.fields["parameters"]).get("layers", {})
            same = dict(now).get("sha256") == dict(parameters["layers"]).get("sha256")
            self.checks.append(("layers", *(("ok", "as then") if same else ("wrong", "the units lie in other layers"))))
        self.checks.append(("probabilities", *_compare_numbers(stored, annotation)))
        self.checks.append(("answers", *_compare_answers(stored, annotation, loaded.ood_threshold)))


def _chosen(file: str | Path, name: str | None) -> Run:
    runs = read_runs(file)
    computed = [run for run in runs if run.method.source_type == "classifier"]
    return choose_among(computed if name is None and computed else runs, file, name)


def _open_units(file: str | Path, stored: Run, source: str | Path | None) -> Units:
    if source is not None:
        return read_units(source, units_table=_units_path_of_source(file, stored))
    if stored.units_path:
        return read_units(file, units_table=stored.units_path)
    message = f"{file} holds labels without their units; give the recording that they are about with --source."
    raise UsageError(message)


def _units_path_of_source(file: str | Path, stored: Run) -> str | None:
    if stored.units_path:
        return stored.units_path
    from nwb_celltype.archive.addresses import is_remote

    asset = None if is_remote(file) else read_source(file)
    return (asset.units_path or None) if asset is not None else None


def _check_input(stored: Run, units: Units) -> tuple[str, str]:
    if not stored.input_sha256:
        return "not checked", "the run states no hash of the units"
    found = units.sha256()
    if found != stored.input_sha256:
        return "wrong", (
            f"spikes, waveforms or ids are not those that were annotated: sha256 {found[:12]} instead of "
            f"{stored.input_sha256[:12]}"
        )
    return "ok", f"{len(units)} units, sha256 {found[:12]}..."


def _model_name(fields: Mapping[str, Any], run: str) -> str:
    name = str(fields.get("model_name", ""))
    if not name:
        message = f"Run {run!r} does not say which model made it; give the model with --model."
        raise UsageError(message)
    return name


def _parameters(fields: Mapping[str, Any], run: str) -> dict[str, Any]:
    stated = fields.get("parameters") or {}
    try:
        read = parse_json(stated) if isinstance(stated, str) else stated
    except ValueError as error:
        message = f"The parameters of run {run!r} are no JSON ({error}); the file is damaged."
        raise InputError(message) from error
    if not isinstance(read, Mapping):
        message = f"The parameters of run {run!r} are no mapping; it was not written by this toolkit as it stands."
        raise InputError(message)
    return dict(read)


def _prior_of(parameters: Mapping[str, Any]) -> PriorSource:
    """Words are worked out anew; weights that somebody gave are taken as the run states them."""
    stated = parameters.get("prior") or {}
    name = str(dict(stated).get("name", "uniform"))
    if name in PRIOR_WORDS:
        return name
    return {str(label): float(share) for label, share in dict(dict(stated).get("shares", {})).items()}


def _layers_of(parameters: Mapping[str, Any], given: LayerSource | None, run: str) -> LayerSource:
    stated = parameters.get("layers")
    if not stated:
        return IGNORE
    if given is not None:
        return given
    source = str(dict(stated).get("source", ""))
    if source.startswith(_COLUMN):
        return source.removeprefix(_COLUMN)
    message = f"Run {run!r} used the layers of {source!r}, which the file does not hold; give that table with --layers."
    raise UsageError(message)


def _compare_numbers(stored: Run, again: Annotation) -> tuple[str, str]:
    if stored.classes != again.taxonomy.labels:
        return (
            "wrong",
            f"the run has the classes {', '.join(stored.classes)}, the model {', '.join(again.taxonomy.labels)}",
        )
    farthest, where = 0.0, ""
    for name in ("probability", "confidence", "ood_score"):
        old, new = getattr(stored, name), getattr(again, name)
        if (old is None) != (new is None):
            return "wrong", f"the run {'lacks' if old is None else 'has'} a column {name}, unlike what is computed now"
        if old is None:
            continue
        old, new = np.asarray(old, np.float64), np.asarray(new, np.float64)
        gone = _any_of_row(np.isnan(old) != np.isnan(new))
        if gone.any():
            return "wrong", f"unit {stored.unit_ids[int(gone.argmax())]} has a {name} in one of the two only"
        distance = np.nan_to_num(np.abs(old - new), nan=0.0).reshape(len(old), -1).max(axis=1, initial=0.0)
        if len(distance) and distance.max() > farthest:
            row = int(distance.argmax())
            farthest, where = float(distance[row]), f", {name} of unit {stored.unit_ids[row]}"
    said = f"largest difference {farthest:.1g} (allowed: {TOLERANCE:g}){where}"
    return ("ok" if farthest <= TOLERANCE else "wrong"), said


def _any_of_row(values: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(values.reshape(len(values), -1).any(axis=1))


def _compare_answers(stored: Run, again: Annotation, ood_threshold: float) -> tuple[str, str]:
    differs = (stored.cell_type != again.cell_type) | (stored.reason != again.reason)
    if stored.classes == again.taxonomy.labels:
        near = _on_the_line(again, ood_threshold)
    else:
        near = np.zeros(len(differs), dtype=bool)
    wrong = np.flatnonzero(differs & ~near)
    if len(wrong):
        row = int(wrong[0])
        was, now = (str(each.reason[row] or each.cell_type[row]) for each in (stored, again))
        return (
            "wrong",
            f"{len(wrong)} of {len(stored)} units; unit {stored.unit_ids[row]} was {was!r} and is {now!r} now",
        )
    cells = [None if each.cell_id is None else each.cell_id.tolist() for each in (stored, again)]
    if cells[0] != cells[1]:
        return "wrong", "units are joined to other cells than the run says"
    moved = int((differs & near).sum())
    on_the_line = f", {moved} of them on the line between two answers" if moved else ""
    return "ok", f"{len(stored)} units as stored{on_the_line}"


def _on_the_line(again: Annotation, ood_threshold: float) -> NDArray[np.bool_]:
    """Units whose answer a difference within the tolerance can change."""
    near = np.zeros(len(again), dtype=bool)
    if again.confidence is not None and again.confidence_threshold is not None:
        near |= np.abs(np.nan_to_num(again.confidence, nan=-1.0) - again.confidence_threshold) <= TOLERANCE
    if again.ood_score is not None:
        near |= np.abs(np.nan_to_num(again.ood_score, nan=-np.inf) - ood_threshold) <= TOLERANCE
    if again.probability is not None and again.probability.shape[1] > 1:
        first_two = np.sort(np.nan_to_num(again.probability, nan=0.0), axis=1)[:, -2:]
        near |= (first_two[:, 1] - first_two[:, 0]) <= 2 * TOLERANCE
    return near
