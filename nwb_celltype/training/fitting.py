"""Fit the networks of an ensemble to the variants of labelled units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from nwb_celltype.training.pool import Pool
from nwb_celltype.training.strangers import grow_stranger_forests


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
    forest_share: float = 1 / 3
    strangers: int = 500


def fit(
    pool: Pool,
    settings: Settings,
    *,
    seed: int,
    progress: Progress | None = None,
    task: str = "training",
    device: str | None = None,
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

    Returns
    -------
    Ensemble
        Not yet calibrated, nor with limits to how far a unit may lie from the training units.
    """
    import torch

    from nwb_celltype.classifier import network

    modalities = {name: tuple(names) for name, names in settings.modalities.items()}
    recorded = pool.recorded
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
        if settings.trees:
            learnt |= _forest(recorded, name, names, has, pool, settings, seed)
    subsets = modality_subsets(modalities)
    if settings.strangers:
        learnt |= grow_stranger_forests(pool, modalities, subsets, settings.strangers, seed)
    generator = torch.Generator().manual_seed(seed)
    columns = {name: x.shape[-1] for name, x in inputs.items()}
    truth = torch.from_numpy(pool.labels.astype(np.int64))
    with _own_torch():
        parameters = network.initial(
            columns, len(pool.classes), members=settings.members, width=settings.width, generator=generator
        )
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        parameters = {name: value.to(place) for name, value in parameters.items()}
        inputs = {name: value.to(place) for name, value in inputs.items()}
        masks = {name: value.to(place) for name, value in masks.items()}
        _descend(parameters, inputs, masks, truth.to(place), settings, generator, progress, task)
    learnt |= {name: value.detach().cpu().numpy() for name, value in parameters.items()}
    return Ensemble(_draft_card(pool.classes, modalities, columns, settings), learnt)


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


def _descend(
    parameters: dict[str, Any],
    inputs: Mapping[str, Any],
    masks: Mapping[str, Any],
    labels: Any,
    settings: Settings,
    generator: Any,
    progress: Progress | None,
    task: str,
) -> None:
    import torch

    from nwb_celltype.classifier import network

    n_variants, n = next(iter(inputs.values())).shape[:2]
    members, names, rows = settings.members, list(inputs), torch.arange(n, device=labels.device)
    weights = _balance(labels)
    encoders = [p for key, p in parameters.items() if key.endswith((".encoder", ".phase"))]
    heads = [p for key, p in parameters.items() if not key.endswith((".encoder", ".phase"))]
    for parameter in parameters.values():
        parameter.requires_grad_()
    rates = [settings.learning_rate, settings.learning_rate * settings.encoder_rate]
    optimiser = torch.optim.Adam(
        [{"params": heads, "lr": rates[0]}, {"params": encoders, "lr": rates[1]}], betas=(0.9, 0.99)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=settings.epochs + 1, pct_start=0.2)
    truth = labels.repeat(members)

    def loss_of(logits: Any, mask: Any) -> Any:
        each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), truth, reduction="none")
        return (each.view(members, n) * weights * mask).sum() / n

    for epoch in range(settings.epochs):
        shown = {}
        for name in names:
            variant = torch.randint(n_variants, (n,), generator=generator)
            as_recorded = torch.rand(n, generator=generator) < settings.recorded_share[name]
            shown[name] = inputs[name][torch.where(as_recorded, 0, variant).to(rows.device), rows]
        seen = {}
        for name in names:
            kept = torch.rand((members, n), generator=generator) >= settings.modality_dropout
            seen[name] = kept.to(rows.device) & masks[name]
        none_left = ~torch.stack(list(seen.values())).any(dim=0)
        seen = {name: torch.where(none_left, masks[name], mask) for name, mask in seen.items()}
        joint, alone = network.logits(parameters, shown, seen)
        loss = loss_of(joint, 1.0)
        for name in names:
            loss = loss + settings.own_heads * loss_of(alone[name], masks[name].to(torch.float32))
        loss = loss + settings.decay * network.penalty(parameters, names, own_heads=settings.own_heads)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(task, epoch + 1, settings.epochs)


def _balance(labels: Any) -> Any:
    """Weights that let each class count the same, 1 on average."""
    counts = labels.bincount().clamp(min=1)
    weights = 1.0 / counts[labels]
    return weights / weights.mean()


def _draft_card(
    classes: Sequence[str], modalities: Mapping[str, Sequence[str]], columns: Mapping[str, int], settings: Settings
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
        "calibration": {"temperature": {}},
        "ood": {
            "threshold": OOD_THRESHOLD,
            "distance_limits": dict.fromkeys(modalities, 1.0),
            "stranger_limits": {"+".join(subset): 0.5 for subset in modality_subsets(modalities)},
        },
        "default_threshold": DEFAULT_THRESHOLD,
    }
