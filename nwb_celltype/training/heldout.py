"""What an ensemble says about units that it did not see, in every combination of modalities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.calibration import fit_novelty
from nwb_celltype.classifier import Model
from nwb_celltype.classifier.inputs import has_modality, standardise
from nwb_celltype.classifier.novelty import distances
from nwb_celltype.training.fitting import Progress, Settings, fit_ensemble
from nwb_celltype.training.pool import Pool

Row = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Answers about units that were kept aside, over all folds.

    Attributes
    ----------
    probability : dict of str to (n, k) array
        Uncalibrated, by modalities joined with ``+``; NaN for units without one of them, or never kept aside.
    distance : dict of str to (n,) array
        By modality.
    """

    probability: dict[str, NDArray[np.float64]]
    distance: dict[str, NDArray[np.float64]]

    def best(self) -> NDArray[np.float64]:
        """(n, k) probabilities from all the modalities that each unit has."""
        best = np.full(next(iter(self.probability.values())).shape, np.nan)
        for probability in self.probability.values():
            known = ~np.isnan(probability).any(axis=1)
            best[known] = probability[known]
        return best


def hold_out(
    pool: Pool,
    splits: Iterable[tuple[Row, Row]],
    settings: Settings,
    *,
    seed: int,
    progress: Progress | None = None,
    task: str = "cross-validation",
) -> HeldOut:
    """Train on one side of each split, and ask about the other.

    Parameters
    ----------
    pool : Pool
    splits : iterable of (train rows, test rows)
    settings : Settings
    seed : int
    progress : callable, optional
    task : str

    Returns
    -------
    HeldOut
    """
    n, k = len(pool), len(pool.classes)
    subsets = modality_subsets(settings.modalities)
    probability = {"+".join(subset): np.full((n, k), np.nan) for subset in subsets}
    distance = {name: np.full(n, np.nan) for name in settings.modalities}
    splits = list(splits)
    for i, (train, test) in enumerate(splits):
        model = fit(pool.take(train), settings, seed=seed + i, progress=progress, task=f"{task} {i + 1}/{len(splits)}")
        blocks = {name: block[test] for name, block in pool.recorded.items()}
        has = {name: has_modality(blocks, names) for name, names in model.modalities.items()}
        for subset in subsets:
            rows = np.logical_and.reduce([has[name] for name in subset])
            probability["+".join(subset)][test[rows]] = model.uncalibrated(blocks, subset)[rows]
        for name, z in model.standardised(blocks).items():
            if has[name].any():
                means, whitening = model.tensors[f"{name}.ood_means"], model.tensors[f"{name}.ood_whitening"]
                distance[name][test[has[name]]] = distances(z[has[name]], means, whitening)
    return HeldOut(probability, distance)


def fit(
    pool: Pool, settings: Settings, *, seed: int, progress: Progress | None = None, task: str = "training"
) -> Model:
    """Train an ensemble on a pool, and learn where the pool's units lie; not yet calibrated."""
    model = fit_ensemble(pool.blocks, pool.labels, pool.classes, settings, seed=seed, progress=progress, task=task)
    tensors = dict(model.tensors)
    for name, names in model.modalities.items():
        z = standardise(pool.blocks, names, tensors[f"{name}.mean"], tensors[f"{name}.scale"])
        has = has_modality(pool.recorded, names)
        flat = z[:, has].reshape(-1, z.shape[-1]) if has.any() else np.zeros((1, z.shape[-1]), dtype=np.float32)
        labels = np.tile(pool.labels[has], len(z)) if has.any() else np.zeros(1, dtype=np.intp)
        tensors[f"{name}.ood_means"], tensors[f"{name}.ood_whitening"] = fit_novelty(flat, labels, len(pool.classes))
    return replace(model, tensors=tensors)


def modality_subsets(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return every combination of modalities, from one to all."""
    ordered = tuple(names)
    return [subset for size in range(1, len(ordered) + 1) for subset in combinations(ordered, size)]
