"""Fit the networks of an ensemble to the variants of labelled units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.calibration import DEFAULT_THRESHOLD, fit_novelty
from nwb_celltype.classifier import OOD_THRESHOLD
from nwb_celltype.classifier.ensemble import Ensemble
from nwb_celltype.classifier.forest import grow
from nwb_celltype.classifier.inputs import (
    MODALITIES,
    Matrix,
    column_weights,
    has_modality,
    joined,
    modality_subsets,
    scaling,
    standardise,
)
from nwb_celltype.features import FEATURE_SPEC_VERSION
from nwb_celltype.features.dataset import Progress
from nwb_celltype.training.checkpoints import Checkpoints
from nwb_celltype.training.descent import TRIAL_MEMBERS, Descent, epochs_worth, rows_aside
from nwb_celltype.training.pool import Pool
from nwb_celltype.training.strangers import grow_stranger_forests

_SEED_OF_TRIALS = 50_021


@dataclass(frozen=True)
class Settings:
    """How an ensemble is built and trained.

    Attributes
    ----------
    members : int
        Networks in the ensemble.
    width : int
        Cosines in the encoder of each modality.
    epochs : int
        Steps over all units.
    learning_rate : float
        Peak rate for the heads; encoders learn `encoder_rate` times as fast.
    encoder_rate : float
    decay : float
        Weight of the squared weights of the heads in the loss.
    own_heads : float
        Weight of the loss of each modality's own head.
    modality_dropout : float
        Probability that the joint head is not shown a modality of a unit in a step.
    n_variants : int
        Variants of each unit, the one as recorded among them.
    recorded_share : mapping of str to float
        Probability that a step shows a modality of a unit as recorded, whatever the variants.
    clip : float
        Standardised columns are cut at this many standard deviations.
    modalities : mapping of str to sequence of str
        Blocks of columns of each modality.
    trees : int
        Trees in the forest of each modality; 0 for networks alone.
    min_leaf : int
        Units in a leaf at least.
    forest_share : float
        Weight of the forests' mean beside the networks'.
    strangers : int
        Made-up strangers of each kind that the model learns to tell from its units; with 0 distance alone tells.
    patience : int
        Early stopping: a few networks are taught four fifths of the units first, until the others were told best so
        many steps ago; all units are then taught as long as was best. 0 takes all `epochs`.
    """

    members: int = 10
    width: int = 256
    epochs: int = 300
    learning_rate: float = 0.02
    encoder_rate: float = 0.05
    decay: float = 0.05
    own_heads: float = 0.5
    modality_dropout: float = 0.25
    n_variants: int = 16
    recorded_share: Mapping[str, float] = field(default_factory=lambda: {"waveform": 0.5, "train": 0.25})
    clip: float = 2.5
    modalities: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict(MODALITIES))
    trees: int = 300
    min_leaf: int = 2
    forest_share: float = 0.45
    strangers: int = 500
    patience: int = 0


def fit(
    pool: Pool,
    settings: Settings,
    *,
    seed: int,
    progress: Progress | None = None,
    task: str = "training",
    device: str | None = None,
    kept: Checkpoints | None = None,
    part: str = "model",
) -> Ensemble:
    """Train an ensemble, and learn where the units lie; the same input, seed and machine give the same weights.

    Parameters
    ----------
    pool : Pool
    settings : Settings
    seed : int
    progress : callable, optional
    task : str
        Said to `progress`.
    device : str, optional
        Where torch trains the networks, ``cpu`` or ``cuda``; by default on a GPU if there is one. Random numbers are
        drawn on the CPU in any case.
    kept : Checkpoints, optional
        What is finished is kept there, and taken from there.
    part : str
        Its name there.

    Returns
    -------
    Ensemble
        Not yet calibrated, nor with limits to how far a unit may lie from the training units.
    """
    import torch

    from nwb_celltype.classifier import network

    kept = kept or Checkpoints(None)
    modalities = {name: tuple(names) for name, names in settings.modalities.items()}
    recorded = pool.recorded
    columns = {name: sum(recorded[block].shape[-1] for block in names) for name, names in modalities.items()}
    found = kept.get(part)
    if found is not None:
        if progress is not None:
            progress(task, settings.epochs, settings.epochs)
        return Ensemble(_draft_card(pool.classes, modalities, columns, settings, found[1]["epochs"]), found[0])
    learnt: dict[str, NDArray[Any]] = {}
    inputs, masks = {}, {}
    for name, names in modalities.items():
        mean, scale = scaling(recorded, names)
        z, has = standardise(pool.blocks, names, mean, scale), has_modality(recorded, names)
        means, whitening = _place(z, has, pool)
        learnt |= {f"{name}.mean": mean, f"{name}.scale": scale}
        learnt |= {f"{name}.ood_means": means, f"{name}.ood_whitening": whitening}
        clipped = np.clip(z, -settings.clip, settings.clip)
        inputs[name] = torch.from_numpy((clipped * column_weights(recorded, names)).astype(np.float32))
        masks[name] = torch.from_numpy(has)
    learnt |= _grown(pool, settings, seed, kept, f"{part}.forests")
    truth = torch.from_numpy(pool.labels.astype(np.int64))
    with _own_torch():
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")

        def descent_of(rows: NDArray[np.intp], settings: Settings, seed: int) -> Descent:
            generator = torch.Generator().manual_seed(seed)
            parameters = network.initial(
                columns, len(pool.classes), members=settings.members, width=settings.width, generator=generator
            )
            return Descent(
                {name: value.to(place) for name, value in parameters.items()},
                {name: value[:, rows].to(place) for name, value in inputs.items()},
                {name: value[rows].to(place) for name, value in masks.items()},
                truth[rows].to(place),
                settings,
                generator,
            )

        epochs = settings.epochs
        split = rows_aside(pool, seed) if settings.patience else None
        if split is not None:
            few = replace(settings, members=min(settings.members, TRIAL_MEMBERS))
            aside = (
                {name: value[:1, split[1]].to(place) for name, value in inputs.items()},
                {name: value[split[1]].to(place) for name, value in masks.items()},
                truth[split[1]].to(place),
            )
            trial = descent_of(split[0], few, seed + _SEED_OF_TRIALS)
            epochs = epochs_worth(trial, aside, kept=kept, name=f"{part}.trial", progress=progress, task=task)
        descent = descent_of(np.arange(len(pool)), settings, seed)
        under_way = kept.get(f"{part}.networks")
        if under_way is not None:
            descent.resume(*under_way)
        descent.run(epochs, kept=kept, name=f"{part}.networks", progress=progress, task=task)
    learnt |= {name: value.detach().cpu().numpy() for name, value in descent.parameters.items()}
    kept.put(part, learnt, {"epochs": epochs})
    for name in ("forests", "trial", "networks"):
        kept.drop(f"{part}.{name}")
    return Ensemble(_draft_card(pool.classes, modalities, columns, settings, epochs), learnt)


def _grown(pool: Pool, settings: Settings, seed: int, kept: Checkpoints, name: str) -> dict[str, NDArray[Any]]:
    """Arrays of all forests."""
    found = kept.get(name)
    if found is not None:
        return found[0]
    modalities = {key: tuple(names) for key, names in settings.modalities.items()}
    grown: dict[str, NDArray[Any]] = {}
    if settings.trees:
        for key, names in modalities.items():
            has = has_modality(pool.recorded, names)
            grown |= _forest(pool.recorded, key, names, has, pool, settings, seed)
    if settings.strangers:
        grown |= grow_stranger_forests(pool, modalities, modality_subsets(modalities), settings.strangers, seed)
    kept.put(name, grown)
    return grown


def _forest(
    recorded: Mapping[str, Matrix],
    name: str,
    names: Sequence[str],
    has: NDArray[np.bool_],
    pool: Pool,
    settings: Settings,
    seed: int,
) -> dict[str, NDArray[Any]]:
    """Arrays of the forest of one modality, grown on the units as recorded that have it."""
    columns, labels = joined(recorded, names), pool.labels
    if has.any():
        columns, labels = columns[has], labels[has]
    forest = grow(columns, labels, len(pool.classes), trees=settings.trees, min_leaf=settings.min_leaf, seed=seed)
    return forest.tensors(f"{name}.forest")


def _place(z: Matrix, has: NDArray[np.bool_], pool: Pool) -> tuple[Matrix, Matrix]:
    """Where the units that have a modality lie, from (n_variants, n, n_columns) columns; around 0 if none has it."""
    flat = z[:, has].reshape(-1, z.shape[-1]) if has.any() else np.zeros((1, z.shape[-1]), dtype=np.float32)
    labels = np.tile(pool.labels[has], len(z)) if has.any() else np.zeros(1, dtype=np.intp)
    return fit_novelty(flat, labels, len(pool.classes))


@contextmanager
def _own_torch() -> Iterator[None]:
    """Train alike whatever the caller has set: one thread, for the networks are small; float32; gradients on.

    The number of cores then does not change the weights. The caller's settings come back at the end.
    """
    import torch

    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    try:
        with torch.enable_grad():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)


def _draft_card(
    classes: Sequence[str],
    modalities: Mapping[str, Sequence[str]],
    columns: Mapping[str, int],
    settings: Settings,
    epochs: int,
) -> dict[str, Any]:
    return {
        "classes": list(classes),
        "feature_spec_version": FEATURE_SPEC_VERSION,
        "modalities": {name: list(names) for name, names in modalities.items()},
        "architecture": {
            "kind": "cosine encoders and forests",
            "members": settings.members,
            "width": settings.width,
            "clip": settings.clip,
            "columns": dict(columns),
            "trees": settings.trees,
            "forest_share": settings.forest_share,
            "strangers": settings.strangers,
        },
        "training": {"epochs_taught": epochs},
        "calibration": {"temperature": {}},
        "ood": {
            "threshold": OOD_THRESHOLD,
            "distance_limits": dict.fromkeys(modalities, 1.0),
            "stranger_limits": {"+".join(subset): 0.5 for subset in modality_subsets(modalities)},
        },
        "default_threshold": DEFAULT_THRESHOLD,
    }
