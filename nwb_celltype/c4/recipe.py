"""Train an ensemble by the C4 recipe and write it down with its card."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.bundles import check_output, read_bundle, save_bundle
from nwb_celltype.c4.model import KIND, RATIO, C4Model
from nwb_celltype.c4.sources import C4Units, read_recordings
from nwb_celltype.c4.workplace import Workplace
from nwb_celltype.classifier import Model
from nwb_celltype.errors import InputError, NothingToDoError, UsageError
from nwb_celltype.features import FEATURE_SPEC_VERSION
from nwb_celltype.features.dataset import Progress
from nwb_celltype.label_choice import LabelsAre
from nwb_celltype.licences import inherited_licence
from nwb_celltype.training.checkpoints import workplace_of

if TYPE_CHECKING:
    from nwb_celltype.c4.pretraining import Pretrained

CLASSES: dict[str, tuple[str, ...]] = {
    "base": ("GoC", "MLI", "MFB", "PkC_ss", "PkC_cs"),
    "layer": ("GoC", "MLI", "MFB", "PkC_ss", "PkC_cs"),
    "mli_clustering": ("GoC", "MLI_A", "MLI_B", "MFB", "PkC_ss", "PkC_cs"),
}
"""Classes of each variant, in the order of the columns of probabilities."""

REFERENCES = ("Beau et al., Cell 2025, doi:10.1016/j.cell.2025.01.041",)

EPOCHS = 20
N_RUNS = 10
SEED = 42

_MIN_A_CLASS = 2
_MIN_UNLABELLED = 100
_DEFAULT_THRESHOLD = 0.5
_log = logging.getLogger(__name__)
Matrix = NDArray[np.float32]
Folds = int | Literal["unit", "recording"]


@dataclass(frozen=True)
class C4Settings:
    """How an ensemble is trained.

    Attributes
    ----------
    variant : {'base', 'layer', 'mli_clustering'}
    seed, n_runs, epochs, pretraining_epochs, n_variants : int
        `pretraining_epochs` 0 leaves the encoders untrained; `n_variants` maps of each unit are shown to them.
    folds : int, 'unit' or 'recording'
    """

    variant: str = "base"
    seed: int = SEED
    n_runs: int = N_RUNS
    folds: Folds = "unit"
    epochs: int = EPOCHS
    pretraining_epochs: int = 60
    n_variants: int = 4


def train_c4(
    data: str | Path | Iterable[str | Path],
    *,
    out: str | Path,
    name: str = "",
    version: str = "1",
    variant: str = "base",
    seed: int = SEED,
    n_runs: int = N_RUNS,
    folds: Folds = "unit",
    epochs: int = EPOCHS,
    pretraining_epochs: int = 60,
    n_variants: int = 4,
    labels: str | Path | None = None,
    run: str | None = None,
    labels_are: LabelsAre | None = "ground_truth",
    licence: str = "unspecified",
    resume: bool = True,
    progress: Progress | None = None,
) -> Model:
    """Train an ensemble by the C4 recipe: encoders without labels, then one network for each fold of each run.

    A training that was stopped goes on where it was, if data, settings and `out` are the same.

    Parameters
    ----------
    data : path or address, or several
        ``.h5`` files of the C4 database, annotated ``.nwb`` files, or folders of these.
    out : str or Path
        Folder of the model.
    name, version : str
        The name is the folder's by default.
    variant : {'base', 'layer', 'mli_clustering'}
        Without the layer of the cortex, with it, or with two kinds of molecular layer interneurons.
    seed : int
        The same data, seed and machine give the same weights.
    n_runs : int
        Times that all folds are trained.
    folds : int, 'unit' or 'recording'
        A network is trained on all units but those of one fold: a number of stratified folds, each unit, or each
        recording. The recipe leaves out single units.
    epochs : int
    pretraining_epochs : int
        0: the encoders are not pretrained.
    n_variants : int
        Maps of each unit that the encoder of autocorrelograms is pretrained on, the one as recorded among them.
    labels, run : optional
        Where the labels of NWB files are, as for `nwb_celltype.labels.read_labelled`.
    labels_are : {'ground_truth', 'expert'}, optional
        Learn from ground truth alone, or from an expert's labels where there is none, in files of both kinds; what a
        classifier predicted is never learnt from.
    licence : str
        SPDX identifier, for the card.
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
        If no unit is labelled and complete.
    InputError
        If a file cannot be read, or fewer than two classes have two units.
    RefusedError
        If a file holds no labels of the kind asked for, but others.
    UsageError
        If a setting makes no sense, or the folder holds something else.

    Examples
    --------
    >>> train_c4("C4_database_hausser.h5", out="c4-mouse", variant="layer")  # doctest: +SKIP
    """
    settings = C4Settings(variant, seed, n_runs, folds, epochs, pretraining_epochs, n_variants)
    _check(settings)
    check_output(out)
    units, sources = read_recordings(
        data,
        subtypes=variant == "mli_clustering",
        labels=labels,
        run=run,
        labels_are=labels_are,
        progress=progress,
    )
    licence = inherited_licence(licence, (source["licence"] for source in sources))
    pool = _pool(units, settings)
    ensemble = _train_networks(pool, settings, Path(out), progress, resume=resume)
    counts = {c: int((pool.labels == k).sum()) for k, c in enumerate(pool.classes)}
    card = c4_card(
        name=name or Path(out).absolute().name,
        version=version,
        variant=variant,
        classes=pool.classes,
        n_networks=len(ensemble.tensors["last_layer.precision"]),
        has_layer=pool.has_layer,
        licence=licence,
        description=f"Trained by the C4 recipe, variant {variant}, with nwb-celltype.",
        training_data=[{**source, "licence": source["licence"] or licence} for source in sources],
        training={**vars(settings), "n_units": len(pool.labels), "n_a_class": counts, **ensemble.facts},
        metrics={"left out": _figures(ensemble.left_out, pool.labels, settings)},
    )
    rows = {part: sorted(set(hashes.tolist()) - {""}) for part, hashes in pool.part_sha256.items()}
    text = f"Licence as stated by whoever trained this model: {licence}. See model.json.\n"
    save_bundle(out, tensors=ensemble.tensors, card=card, licence_text=text, training_rows=rows)
    shutil.rmtree(ensemble.workplace)
    return load_c4(out)


def load_c4(path: str | Path) -> C4Model:
    """Load a model folder of this kind."""
    model = C4Model.from_bundle(read_bundle(Path(path)))
    if not isinstance(model, C4Model):  # pragma: no cover - from_bundle makes its own class
        message = f"{path} is no model of the C4 recipe."
        raise InputError(message)
    return model


def c4_card(
    *,
    name: str,
    version: str,
    variant: str,
    classes: Sequence[str],
    n_networks: int,
    has_layer: bool,
    licence: str,
    description: str,
    training_data: Sequence[Mapping[str, Any]],
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> dict[str, Any]:
    """Card of a model of this kind."""
    return {
        "name": name,
        "version": version,
        "description": description,
        "licence": licence,
        "created": datetime.now(UTC).date().isoformat(),
        "classes": list(classes),
        "feature_spec_version": FEATURE_SPEC_VERSION,
        "modalities": {"waveform": ["c4_waveform"], "train": ["c4_acg"]},
        "architecture": {"kind": KIND, "variant": variant, "networks": n_networks, "has_layer": has_layer},
        "training_data": [dict(one) for one in training_data],
        "training": dict(training),
        "metrics": dict(metrics),
        "calibration": {
            "method": "Laplace approximation of the last layer of each network, then the mean over the networks",
            "prior_precision": "by marginal likelihood, for each network",
        },
        "ood": {"threshold": 1.0, "meaning": "the recipe knows no strangers; no unit is flagged"},
        "default_threshold": _DEFAULT_THRESHOLD,
        "confidence_ratio": RATIO,
        "intended_use": "Units of the cerebellar cortex, sorted from recordings with a causal first-order high-pass "
        "filter at 300 Hz.",
        "limits": [
            "Both a mean waveform at 30 kHz or more and a spike train with 180 s of good quality are needed.",
            "Units of other types or regions get one of the classes all the same, often with little confidence.",
        ],
        "applies_to": {"tissue": "cerebellum", "min_sampling_rate_hz": 30_000.0, "min_duration_s": 180.0},
        "references": list(REFERENCES),
    }


@dataclass(frozen=True, eq=False)
class _Pool:
    """What the networks learn from, and what the encoders learn from."""

    x: Matrix
    labels: NDArray[np.intp]
    groups: NDArray[np.str_]
    classes: tuple[str, ...]
    has_layer: bool
    part_sha256: dict[str, NDArray[np.str_]]
    unlabelled: C4Units
    shown: str


@dataclass(frozen=True, eq=False)
class _Ensemble:
    """Trained networks, in a file; mean probability of each unit by the networks that did not see it."""

    tensors: Mapping[str, NDArray[Any]]
    left_out: NDArray[np.float64]
    workplace: Path
    facts: dict[str, Any] = field(default_factory=dict)


def _check(settings: C4Settings) -> None:
    if settings.variant not in CLASSES:
        message = f"There is no variant {settings.variant!r} of the C4 recipe; there are {', '.join(CLASSES)}."
        raise UsageError(message)
    folds = settings.folds
    if not (folds in ("unit", "recording") or (isinstance(folds, int) and folds >= 2)):
        message = f"Folds are a number from 2 on, 'unit' or 'recording', not {folds!r}."
        raise UsageError(message)
    if min(settings.n_runs, settings.epochs, settings.n_variants) < 1 or settings.pretraining_epochs < 0:
        message = "Runs, epochs and variants are 1 or more, epochs of pretraining 0 or more."
        raise UsageError(message)


def _pool(units: C4Units, settings: C4Settings) -> _Pool:
    """Labelled units of the variant's classes; the encoders see the unlabelled ones, or all where these are few."""
    usable = units.is_complete
    for k in np.flatnonzero(~usable & (units.cell_type != "")):
        _log.warning("%s is left out: %s %s", units.names[k], units.acg_reason[k], units.waveform_reason[k])
    known = CLASSES[settings.variant]
    counts = {c: int((usable & (units.cell_type == c)).sum()) for c in known}
    classes = tuple(c for c in known if counts[c] >= _MIN_A_CLASS)
    if not any(counts.values()):
        message = (
            f"None of {len(units)} units has a label of the C4 recipe ({', '.join(known)}), a waveform at 30 kHz or "
            "more and a spike train of good quality; there is nothing to train on."
        )
        raise NothingToDoError(message)
    if len(classes) < 2:
        found = ", ".join(f"{c} ({n})" for c, n in counts.items())
        message = f"A model cannot be trained: fewer than 2 classes have {_MIN_A_CLASS} units or more. Found: {found}."
        raise InputError(message)
    labelled = units.take(usable & np.isin(units.cell_type, classes))
    rest = units.take(usable & ~np.isin(units.cell_type, classes))
    is_enough = len(rest) >= _MIN_UNLABELLED
    has_layer = settings.variant == "layer"
    return _Pool(
        x=labelled.inputs(has_layer=has_layer),
        labels=np.array([classes.index(label) for label in labelled.cell_type], dtype=np.intp),
        groups=labelled.groups,
        classes=classes,
        has_layer=has_layer,
        part_sha256=labelled.part_sha256,
        unlabelled=rest if is_enough else units.take(usable),
        shown=f"{len(rest)} other units" if is_enough else f"all {int(usable.sum())} units, their labels unseen",
    )


def _train_networks(
    pool: _Pool, settings: C4Settings, out: Path, progress: Progress | None, *, resume: bool
) -> _Ensemble:
    from nwb_celltype.c4.ensemble import shapes, stack
    from nwb_celltype.c4.fitting import fit_network, folds_of, run_seeds

    plan = [
        (seed, train, left_out)
        for seed in run_seeds(settings.seed, settings.n_runs)
        for train, left_out in folds_of(pool.labels, pool.groups, settings.folds, seed)
    ]
    n, k = len(pool.labels), len(pool.classes)
    wanted = shapes(len(plan), k, has_layer=pool.has_layer)
    workplace = workplace_of(out)
    tensors_wanted = {**wanted, "left_out": (len(plan), n, k)}
    work = Workplace.opened(workplace, tensors_wanted, _digest(pool, settings), resume=resume)
    encoders = work.encoders(lambda: _encoders(pool.unlabelled, settings, progress))
    for i, (seed, train, left_out) in enumerate(plan):
        if i not in work.done:
            fitted = fit_network(
                pool.x, pool.labels, train, left_out, n_classes=k, has_layer=pool.has_layer,
                encoders=encoders, epochs=settings.epochs, seed=seed + i,
            )  # fmt: skip
            for key, value in stack([fitted.network], [fitted.curvature], [fitted.precision]).items():
                work.tensors[key][i] = value[0]
            work.tensors["left_out"][i] = np.nan
            work.tensors["left_out"][i, left_out] = fitted.probability
            work.finish(i)
        if progress is not None:
            progress("networks", i + 1, len(plan))
    total, n_seen = np.zeros((n, k)), np.zeros((n, 1))
    for row in work.tensors["left_out"]:
        told = ~np.isnan(row).any(axis=1)
        total[told] += row[told]
        n_seen[told] += 1
    tensors = {name: value for name, value in work.tensors.items() if name != "left_out"}
    losses = {name: round(loss, 6) for name, loss in encoders.losses.items()}
    facts = {"pretrained_on": pool.shown, "pretraining_mse": losses}
    return _Ensemble(tensors, total / np.maximum(n_seen, 1), workplace, facts)


def _encoders(seen: C4Units, settings: C4Settings, progress: Progress | None) -> Pretrained:
    from nwb_celltype.c4.pretraining import pretrain, untrained

    if not settings.pretraining_epochs:
        return untrained(settings.seed)
    return pretrain(
        seen.acg, seen.waveform, seen.trains, n_variants=settings.n_variants,
        epochs=settings.pretraining_epochs, seed=settings.seed, progress=progress,
    )  # fmt: skip


def _digest(pool: _Pool, settings: C4Settings) -> str:
    digest = hashlib.sha256(json.dumps({**vars(settings), "classes": pool.classes}, sort_keys=True).encode())
    for array in (pool.x, pool.labels, pool.unlabelled.acg, pool.unlabelled.waveform):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update("|".join(pool.groups.tolist()).encode())
    return digest.hexdigest()


def _figures(p: NDArray[np.float64], y: NDArray[np.intp], settings: C4Settings) -> dict[str, Any]:
    """What the networks say of the units that they did not see."""
    from nwb_celltype.calibration import brier_score, expected_calibration_error, negative_log_likelihood

    right = p.argmax(axis=1) == y
    ranked = np.sort(p, axis=1)
    kept = ranked[:, -1] >= RATIO * ranked[:, -2]
    what = {"unit": "each unit left out once", "recording": "each recording left out once"}
    return {
        "protocol": f"{what.get(str(settings.folds), f'{settings.folds} stratified folds')}, {settings.n_runs} runs; "
        "mean over the networks that did not see the unit; no abstention",
        "n": len(y),
        "accuracy": round(float(right.mean()), 4),
        "balanced_accuracy": round(float(np.mean([right[y == k].mean() for k in np.unique(y)])), 4),
        "ece": round(expected_calibration_error(p, y), 4),
        "nll": round(negative_log_likelihood(p, y), 4),
        "brier": round(brier_score(p, y), 4),
        "coverage_at_ratio": round(float(kept.mean()), 4),
        "accuracy_at_ratio": round(float(right[kept].mean()), 4) if kept.any() else 0.0,
    }
