"""What the model behind a run adds to what the file holds: spread, neighbours, explanations, and whether it agrees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.annotation import Annotation, annotate_units
from nwb_celltype.classifier import Model, Prediction, load_model
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.layers import IGNORE, LAYERS, find_layers
from nwb_celltype.nested_text import parse_json
from nwb_celltype.runs import Run
from nwb_celltype.units import Units

if TYPE_CHECKING:
    import xarray as xr

    from nwb_celltype.classifier.neighbourhood import Location
    from nwb_celltype.features.dataset import Progress

PROBABILITY_TOLERANCE = 0.005
"""Probabilities that differ by less are the same: other machines round otherwise."""

_FROM_COLUMN = "units column "


@dataclass(eq=False)
class ModelShelf:
    """Models by name or path, each loaded once.

    Examples
    --------
    >>> model, note = ModelShelf().find("cerebellum")
    >>> model.card["name"], note
    ('cerebellum', '')
    """

    _found: dict[str, tuple[Model | None, str]] = field(default_factory=dict)

    def find(self, name: str) -> tuple[Model | None, str]:
        """Return the model, or None and a sentence why there is none."""
        if name not in self._found:
            try:
                self._found[name] = (load_model(name), "")
            except (UsageError, InputError) as error:
                self._found[name] = (None, str(error))
        return self._found[name]


@dataclass(frozen=True, eq=False)
class SecondLook:
    """What a model says about the units of a run; rows are those of the units.

    Attributes
    ----------
    annotation : Annotation or None
        The answers that it gives now, with the settings of the run.
    spread : (n,) array or None
    location : Location or None
        Place of each unit on the map of the training units.
    explanation : xarray.Dataset or None
        From `nwb_celltype.explain`.
    notes : tuple of str
    """

    annotation: Annotation | None = None
    spread: NDArray[np.float64] | None = None
    location: Location | None = None
    explanation: xr.Dataset | None = None
    notes: tuple[str, ...] = ()


def model_of(run: Run, asked: str | Path | None, shelf: ModelShelf) -> tuple[Model | None, str]:
    """Find the very model that made a run, or the one that was asked for.

    Parameters
    ----------
    run : Run
    asked : str or Path, optional
        Name or folder of a model. A run by a classifier is only explained by the model with its weights.
    shelf : ModelShelf

    Returns
    -------
    model : Model or None
    note : str
        Why there is none; empty where there is one.
    """
    lost = "so the ensemble's spread, the map, the neighbours and the explanations cannot be shown"
    is_classifier = run.method.source_type == "classifier"
    fields = run.method.fields
    stated = str(fields.get("model_name") or "")
    if not is_classifier and asked is None:
        kind = run.method.source_type.replace("_", " ") or "unknown"
        return None, f"This run holds labels of the kind {kind!r}, not those of a model, {lost}; --model adds them."
    name = str(asked) if asked is not None else stated
    if not name:
        return None, f"The run does not say which model made it, {lost}."
    model, why = shelf.find(name)
    if model is None:
        hint = "" if asked is not None else " Give its folder with --model."
        return None, f"The model {name!r} is not at hand, {lost}. {why}{hint}"
    weights = str(fields.get("weights_sha256") or "")
    if is_classifier and weights != model.weights_sha256:
        version = f"{stated} {fields.get('model_version', '')}".strip()
        return None, (
            f"The run was made by {version} with the weights {weights[:12] or 'unknown'}, and the model at hand, "
            f"{model.card['name']} {model.card['version']}, has the weights {model.weights_sha256[:12]}, {lost}. "
            "Annotate again, or give the folder of that model with --model."
        )
    return model, ""


def features_for(units: Units, model: Model | None, progress: Progress | None) -> xr.Dataset:
    """Compute the features of the units, with those that the model needs besides."""
    from nwb_celltype.features import compute

    own = getattr(model, "compute_features", None)
    if own is None:
        return compute(units, progress=progress)
    placed = find_layers(units)
    names = [""] * len(units) if placed is None else placed.names.tolist()
    found: xr.Dataset = own(units, layers=[n if n in LAYERS else "unknown" for n in names], progress=progress)
    return found


def look_again(
    run: Run,
    units: Units,
    features: xr.Dataset,
    model: Model,
    *,
    explain: bool = True,
    progress: Progress | None = None,
) -> SecondLook:
    """Ask a model again about the units of a run, and say where it answers otherwise than the run.

    Parameters
    ----------
    run : Run
    units : Units
        Those of the run that the table has, in the order of the run.
    features : xarray.Dataset
        Of these units.
    model : Model
    explain : bool
        Compute explanations, too.
    progress : callable, optional

    Returns
    -------
    SecondLook
    """
    notes: list[str] = []
    rows = _rows(run, units)
    is_classifier = run.method.source_type == "classifier"
    if not is_classifier:
        about = f"{model.card['name']} {model.card['version']}"
        notes.append(f"Map, neighbours and explanations are those of the model {about}, which did not make this run.")
    layers, can_repeat = _layers_of(run, units) if is_classifier else (None, False)
    prior = parameters_of(run).get("prior")
    shares = prior.get("shares") if isinstance(prior, Mapping) else None
    memory = _Memory(model)
    try:
        annotation = annotate_units(
            units,
            cast("Model", memory),
            threshold=run.confidence_threshold if is_classifier else None,
            prior=shares if isinstance(shares, Mapping) and shares else "uniform",
            layers=layers,
            features=features,
        )
    except (UsageError, InputError) as error:
        return SecondLook(notes=(f"The model could not be asked again about these units: {error}",))
    if is_classifier and can_repeat:
        notes += _disagreement(run, rows, annotation, model)
    elif is_classifier:
        source = dict(parameters_of(run).get("layers") or {}).get("source", "a table")
        notes.append(
            f"The run used layers from {source}, which the file does not hold; whether the model gives the same "
            "probabilities again was not checked."
        )
    prediction = memory.prediction
    location, note = _location(model, features, memory.modalities)
    notes += [note] if note else []
    explanation, note = None, "Explanations were left out on request."
    if explain:
        explanation, note = _explanation(run, rows, features, model, annotation, memory.modalities, progress)
    notes += [note] if note else []
    spread = prediction.spread if is_classifier and prediction is not None else None
    return SecondLook(annotation, spread, location, explanation, tuple(notes))


def parameters_of(run: Run) -> Mapping[str, Any]:
    """Return the settings that a run states; empty where it states none that can be read."""
    stored = run.method.fields.get("parameters") or {}
    if isinstance(stored, str):
        try:
            stored = parse_json(stored)
        except ValueError:
            return {}
    return stored if isinstance(stored, Mapping) else {}


class _Memory:
    """A model that remembers what it was last asked and what it said."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.prediction: Prediction | None = None
        self.modalities: tuple[str, ...] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def predict(self, features: xr.Dataset, *, modalities: Any = None) -> Prediction:
        self.modalities = None if modalities is None else tuple(modalities)
        self.prediction = self._model.predict(features, modalities=modalities)
        return self.prediction


def _rows(run: Run, units: Units) -> NDArray[np.intp]:
    """Row in the run of each unit."""
    at = {unit_id: row for row, unit_id in enumerate(run.unit_ids.tolist())}
    return np.array([at[unit_id] for unit_id in units.unit_ids.tolist()], dtype=np.intp)


def _layers_of(run: Run, units: Units) -> tuple[str | None, bool]:
    """Where the layers of a run came from, as `annotate_units` takes it, and whether that is at hand."""
    stated = parameters_of(run).get("layers")
    if not isinstance(stated, Mapping) or not stated:
        return IGNORE, True
    column = str(stated.get("source", "")).removeprefix(_FROM_COLUMN)
    if column in units.column_names and str(stated.get("source", "")).startswith(_FROM_COLUMN):
        return column, True
    return IGNORE, False


def _disagreement(run: Run, rows: NDArray[np.intp], now: Annotation, model: Model) -> list[str]:
    """Say how far the model's answers of today are from those of the run."""
    if run.probability is None or now.probability is None or run.classes != tuple(model.classes):
        return ["The run does not hold the probabilities of its model's classes; they could not be compared."]
    stored, fresh = run.probability[rows], now.probability
    was_known, is_known = (np.asarray(np.isfinite(one).all(axis=1)) for one in (stored, fresh))
    far = np.abs(np.where((was_known & is_known)[:, None], stored - fresh, 0.0)).max(axis=1, initial=0.0)
    differ = (far > PROBABILITY_TOLERANCE) | (was_known != is_known)
    if not differ.any():
        return []
    worst = int(np.argmax(np.where(was_known != is_known, 2.0, far)))
    size = f"by up to {far.max():.2f}" if far.max() > PROBABILITY_TOLERANCE else "in whether there is an answer"
    return [
        f"CAUTION: asked again, {model.card['name']} {model.card['version']} gives {differ.sum():,} of {len(rows):,} "
        f"units other probabilities than the run holds ({size}, most in unit {int(now.unit_ids[worst])}). Labels and "
        "probabilities shown are those of the run; features, spread and explanations are of today. The data or the "
        "software changed since: annotate again."
    ]


def _location(model: Model, features: xr.Dataset, modalities: tuple[str, ...] | None) -> tuple[Location | None, str]:
    from nwb_celltype.classifier.neighbourhood import locate

    found = locate(model, features, modalities=modalities)
    if found is not None:
        return found, ""
    about = f"{model.card['name']} {model.card['version']}"
    return None, f"The model {about} comes without a map of its training units; map and neighbours are not shown."


def _explanation(
    run: Run,
    rows: NDArray[np.intp],
    features: xr.Dataset,
    model: Model,
    now: Annotation,
    modalities: tuple[str, ...] | None,
    progress: Progress | None,
) -> tuple[xr.Dataset | None, str]:
    from nwb_celltype.explanation import explain

    top = np.zeros(len(rows), dtype=np.intp)
    if now.probability is not None and len(rows):
        top = np.nan_to_num(now.probability, nan=-1.0).argmax(axis=1)
    known = set(model.classes)
    said = [str(label) for label in run.cell_type[rows]]
    wanted = [label if label in known else model.classes[k] for label, k in zip(said, top.tolist(), strict=True)]
    if not wanted:
        return None, ""
    try:
        return explain(features, model, cell_type=wanted, modalities=modalities, progress=progress), ""
    except UsageError as error:
        return None, f"The decisions are not explained: {error}"
