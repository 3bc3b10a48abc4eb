"""Train a model on labelled units, measure it on units kept aside, calibrate it, and write it down with its card."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.bundles import check_output, save_bundle
from nwb_celltype.calibration import (
    OOD_QUANTILE,
    STRANGER_QUANTILE,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    reliability_points,
)
from nwb_celltype.classifier import OOD_THRESHOLD, Model, load_model, temper
from nwb_celltype.classifier.inputs import has_modality
from nwb_celltype.errors import UsageError
from nwb_celltype.features.dataset import Progress
from nwb_celltype.label_choice import LabelsAre
from nwb_celltype.labels import LabelledUnits
from nwb_celltype.licences import inherited_licence
from nwb_celltype.training.checkpoints import Checkpoints, key_of
from nwb_celltype.training.fitting import Settings, fit
from nwb_celltype.training.folds import Split, honest_folds, left_out
from nwb_celltype.training.groups import GroupBy, grouped
from nwb_celltype.training.heldout import HeldOut, hold_out
from nwb_celltype.training.labelled_rows import hashes_seen
from nwb_celltype.training.limits import (
    NEW_LAB_MARGIN,
    TEMPERATURE_FLOOR,
    distance_limits,
    stranger_limits,
    temperatures_of,
    threshold_of,
)
from nwb_celltype.training.pool import Pool, make_pool, read_sources
from nwb_celltype.training.sources import describe_source
from nwb_celltype.verification import record_examples

__all__ = ["NEW_LAB_MARGIN", "TEMPERATURE_FLOOR", "Card", "train"]

_log = logging.getLogger(__name__)
_N_FOLDS = 5
_MIN_LAB = 30
_MEMBERS_OF_A_FOLD = 5
_TREES_PER_MEMBER = 30
_STRANGERS_PER_MEMBER = 50
_PATIENCE = 0.25
_LEAST_PATIENCE = 20


@dataclass(frozen=True)
class Card:
    """What a person says about a model; the rest of its card is measured.

    Attributes
    ----------
    description, intended_use : str
    licence : str
        SPDX identifier.
    licence_text : str
    limits : sequence of str
    applies_to : mapping
        ``species``, ``tissue``, ``min_sampling_rate_hz``, ``min_duration_s``, as `nwb_celltype.quality.Scope`.
    references : sequence of str
    data : mapping of str to mapping
        By name of the file: ``licence``, ``citation``, ``url``.
    """

    description: str = "Trained with nwb-celltype."
    intended_use: str = "Annotation of units recorded and sorted like the training data."
    licence: str = "unspecified"
    licence_text: str = "No licence was stated when this model was trained; ask its author before you share it.\n"
    limits: Sequence[str] = ()
    applies_to: Mapping[str, Any] = field(default_factory=dict)
    references: Sequence[str] = ()
    data: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def train(
    data: str | Path | LabelledUnits | Sequence[str | Path | LabelledUnits],
    *,
    out: str | Path,
    name: str,
    version: str = "1",
    seed: int = 0,
    members: int = 10,
    epochs: int = 300,
    classes: Sequence[str] | None = None,
    group_by: GroupBy | None = None,
    labels: str | Path | None = None,
    run: str | None = None,
    labels_are: LabelsAre | None = "ground_truth",
    card: Card | None = None,
    device: str | None = None,
    early_stopping: bool = True,
    resume: bool = True,
    progress: Progress | None = None,
) -> Model:
    """Train a model on labelled units and write it to a folder.

    Units kept aside (whole recordings or subjects where they are known, else blocks of neighbouring rows) give the
    figures of the card and the temperatures; whole laboratories kept aside show how far a unit of a new laboratory
    may lie from the training units.

    What is finished is kept in a folder beside `out`, ``.NAME.training``, until the model is written: a training that
    was stopped, however, goes on from there, and ends with the weights that it would have had. With other data or
    settings it begins anew.

    Parameters
    ----------
    data : path, address or LabelledUnits, or a sequence of them
        ``.npz``, annotated ``.nwb`` files or detached labels, on this machine or by their addresses; see
        `nwb_celltype.labels.read_labelled`. Of a folder or a whole dandiset every file that carries labels.
    out : str or Path
        Folder of the model.
    name, version : str
    seed : int
        The same data, seed and machine give the same weights.
    members : int
        Networks in the ensemble.
    epochs : int
    classes : sequence of str, optional
        By default every label that at least five usable units have. Case and separators do not count: ``axo-axonic``
        is ``Axo_Axonic``.
    group_by : {'recording', 'subject'}, optional
        What is kept together when the model is measured; by default what the data name, a subject of an NWB file.
    labels, run : optional
        Where the labels of NWB files are, as for `nwb_celltype.labels.read_labelled`.
    card : Card, optional
        What the data do not say: licence, intended use, limits.
    device : str, optional
        Where torch trains, ``cpu`` or ``cuda``; by default on a GPU if there is one. Another device rounds otherwise.
    early_stopping : bool
        Stop after fewer epochs where a fifth of the units, kept aside for this alone and inside of what is taught, is
        told worse by then; all units are taught as long as was best for them. It takes 50 units.
    resume : bool
        Go on with what a stopped training of the same data and settings has finished.
    progress : callable, optional
        Called with a task, the steps done and the number of steps.

    Returns
    -------
    Model

    Raises
    ------
    NothingToDoError
        If no unit is labelled.
    InputError
        If a file cannot be read, or a class has too few units.
    UsageError
        If `members` or `epochs` is not positive, or the folder holds something else.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> model = nct.train(["session_labelled.nwb"], out="my_model", name="my-model")  # doctest: +SKIP
    """
    if members < 1 or epochs < 1:
        message = f"A model needs at least one member and one epoch, not {members} and {epochs}."
        raise UsageError(message)
    check_output(out)
    said = card or Card()
    patience = max(_LEAST_PATIENCE, round(_PATIENCE * epochs)) if early_stopping else 0
    settings = _sized(Settings(epochs=epochs, patience=patience), members)
    read = read_sources(data, labels=labels, run=run, labels_are=labels_are)
    sources = [grouped(one, group_by, k) for k, (_, one) in enumerate(read)]
    _tell_problems(sources)
    pool = make_pool(sources, classes=classes, n_variants=settings.n_variants, seed=seed)
    settings = replace(settings, modalities=_present(pool, settings.modalities))
    aside = _sized(settings, min(members, _MEMBERS_OF_A_FOLD))
    folds, kept_together = _folds(pool)
    in_folds = f"{len(folds)} folds over all sources, {kept_together}"
    kept = Checkpoints.beside(out, _key(pool, settings, seed, device), resume=resume)
    validated = hold_out(pool, folds, aside, seed=seed + 1000, progress=progress, device=device, kept=kept)
    elsewhere = _leave_labs_out(pool, aside, seed + 2000, progress, device, kept)
    model = fit(pool, settings, seed=seed, progress=progress, task="training the ensemble", device=device, kept=kept)
    temperatures = temperatures_of(pool, validated, elsewhere)
    threshold = round(threshold_of(pool, validated, elsewhere, temperatures), 4)
    full = {
        **model.card,
        "name": name,
        "version": version,
        "description": said.description,
        "licence": inherited_licence(said.licence, (one.licence for one in sources)),
        "created": datetime.now(UTC).date().isoformat(),
        "intended_use": said.intended_use,
        "limits": list(said.limits),
        "applies_to": dict(said.applies_to),
        "references": list(said.references),
        "training": {
            "seed": seed,
            "epochs": epochs,
            **model.card["training"],
            "n_units": len(pool),
            "settings": _settings_json(settings),
        },
        "training_data": [_describe(k, read[k][0], one, pool, said) for k, one in enumerate(sources)],
        "metrics": _metrics(pool, validated, elsewhere, temperatures, in_folds, threshold),
        "calibration": {
            "temperature": temperatures,
            "method": "members averaged, then one temperature for each combination of modalities",
            "fitted_on": "units kept aside in cross-validation" + ("" if elsewhere is None else ", and, with the same "
                         "weight, units of whole laboratories left out"),
            "floor": TEMPERATURE_FLOOR,
        },
        "ood": {
            "threshold": OOD_THRESHOLD,
            "distance_limits": distance_limits(pool, validated, elsewhere),
            "stranger_limits": stranger_limits(validated, elsewhere),
            "meaning": f"0.5: as strange as {STRANGER_QUANTILE:.0%} of the real units kept aside in folds"
            + ("" if elsewhere is None else " and, with the same weight, in laboratories left out")
            + f" are at most, or as far from the training units as {OOD_QUANTILE:.0%} of the real units of a "
            + (f"fold kept aside, times {NEW_LAB_MARGIN}," if elsewhere is None else "laboratory left out")
            + " are; above: flagged",
        },
        "default_threshold": threshold,
    }  # fmt: skip
    places, full["training_map"] = model.map_training(pool.recorded, pool.labels, pool.labs)
    save_bundle(
        out,
        tensors=model.tensors,
        card=full,
        licence_text=said.licence_text,
        training_rows=hashes_seen(sources, pool.classes),
        training_map=places,
    )
    record_examples(out)
    kept.close()
    return load_model(Path(out))


def _key(pool: Pool, settings: Settings, seed: int, device: str | None) -> str:
    """Digest of all that the weights of a training depend on."""
    import torch

    arrays = {f"block {name}": block for name, block in pool.blocks.items()}
    arrays |= {name: value for name, value in vars(pool).items() if isinstance(value, np.ndarray)}
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    chosen = {key: value for key, value in vars(settings).items() if key != "recorded_share"}
    return key_of(arrays, {**chosen, "recorded": dict(settings.recorded_share), "seed": seed, "device": place,
                           "classes": pool.classes})  # fmt: skip


def _sized(settings: Settings, members: int) -> Settings:
    """The same settings for so many networks, with trees and strangers in proportion."""
    return replace(
        settings, members=members, trees=_TREES_PER_MEMBER * members, strangers=_STRANGERS_PER_MEMBER * members
    )


def _present(pool: Pool, modalities: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Modalities that any unit has; a model knows no others."""
    return {name: blocks for name, blocks in modalities.items() if has_modality(pool.recorded, blocks).any()}


def _tell_problems(sources: Sequence[LabelledUnits]) -> None:
    """Log what keeps labelled units, or a part of them, from being learnt from."""
    for one in sources:
        problems = one.take(one.is_labelled).problems()
        if problems:
            _log.warning("Remarks on labelled units: %d, the first: %s", len(problems), problems[0])


def _folds(pool: Pool) -> tuple[list[Split], str]:
    """Folds for cross-validation, and what they keep together, in words.

    Recordings or subjects are kept together unless some class would then be missing from what a fold is taught.
    """
    # Source and class of each row, so that blocks of rows hold some of each.
    strata = np.array([f"{source}|{label}" for source, label in zip(pool.sources, pool.names, strict=True)], dtype=str)
    n_folds = min(_N_FOLDS, len(pool))
    is_named = pool.groups != ""
    if len(np.unique(pool.groups[is_named])) >= 2:
        folds = list(honest_folds(strata, pool.groups, n_folds))
        if all(len(np.unique(pool.labels[rest])) == len(pool.classes) for rest, _ in folds):
            where = "" if is_named.all() else " where they are known"
            return folds, f"recordings or subjects kept together{where}"
    nowhere = np.full(len(pool), "")
    return list(honest_folds(strata, nowhere, n_folds)), "contiguous blocks of rows a class"


def _leave_labs_out(
    pool: Pool, settings: Settings, seed: int, progress: Progress | None, device: str | None, kept: Checkpoints
) -> HeldOut | None:
    """Ask about every laboratory what the others teach; `None` if there is only one, or the others lack classes."""
    splits = [
        (train_rows, test_rows)
        for name, (train_rows, test_rows) in left_out(pool.labs)
        if name and len(train_rows) >= _MIN_LAB and len(np.unique(pool.labels[train_rows])) == len(pool.classes)
    ]
    if len(splits) < 2:
        return None
    return hold_out(
        pool, splits, settings, seed=seed, progress=progress, task="laboratory left out", device=device, kept=kept
    )


def _metrics(
    pool: Pool,
    validated: HeldOut,
    elsewhere: HeldOut | None,
    temperatures: Mapping[str, float],
    folds: str,
    threshold: float,
) -> dict[str, Any]:
    metrics = {
        "cross-validation": {
            "protocol": f"{folds}; no abstention; temperatures fitted on them",
            **_figures(pool, validated, temperatures, threshold),
        }
    }
    if elsewhere is not None:
        metrics["laboratory left out"] = {
            "protocol": "each laboratory asked what the others teach; no abstention",
            **_figures(pool, elsewhere, temperatures, threshold),
        }
    return metrics


def _figures(pool: Pool, held: HeldOut, temperatures: Mapping[str, float], threshold: float) -> dict[str, Any]:
    figures = {}
    tempered = {subset: temper(p, temperatures[subset]) for subset, p in held.probability.items()}
    for subset, p in {"all units": HeldOut(tempered, {}).best(), **tempered}.items():
        known = ~np.isnan(p).any(axis=1)
        if known.any():
            figures[subset] = _score(p[known], pool.labels[known], pool.classes, threshold)
            if subset == "all units":
                figures[subset]["reliability"] = reliability_points(p[known], pool.labels[known])
    return figures


def _score(p: NDArray[np.float64], y: NDArray[np.intp], classes: Sequence[str], threshold: float) -> dict[str, Any]:
    right = p.argmax(axis=1) == y
    kept = p.max(axis=1) >= threshold
    present = np.unique(y)
    return {
        "n": len(y),
        "accuracy": round(float(right.mean()), 4),
        "balanced_accuracy": round(float(np.mean([right[y == k].mean() for k in present])), 4),
        "ece": round(expected_calibration_error(p, y), 4),
        "nll": round(negative_log_likelihood(p, y), 4),
        "brier": round(brier_score(p, y), 4),
        "coverage": round(float(kept.mean()), 4),
        "accuracy_kept": round(float(right[kept].mean()), 4) if kept.any() else 0.0,
        "recall_by_class": {classes[k]: round(float(right[y == k].mean()), 4) for k in present},
        "coverage_by_class": {classes[k]: round(float(kept[y == k].mean()), 4) for k in present},
    }


def _describe(position: int, file: str | Path, one: LabelledUnits, pool: Pool, said: Card) -> dict[str, Any]:
    about = dict(said.data.get(Path(one.source).name, {}))
    return describe_source(file, one, pool.names[pool.sources == position], pool.classes, about)


def _settings_json(settings: Settings) -> dict[str, Any]:
    return {key: value for key, value in vars(settings).items() if key != "modalities"}
