"""What an ensemble says about units that it did not see, in every combination of modalities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.classifier.inputs import has_modality
from nwb_celltype.features.dataset import Progress
from nwb_celltype.training.fitting import Settings, fit
from nwb_celltype.training.pool import Pool

Row = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Answers about units that were kept aside, over all folds.

    Attributes
    ----------
    probability : dict of str to (n, k) array
        Uncalibrated, by modalities joined with ``+``; NaN for units without one of them, or never kept aside, or
        asked by a modality that no unit on the other side has.
    distance : dict of str to (n,) array
        From the units on the other side, by modality; NaN likewise.
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
        taught = pool.take(train)
        model = fit(taught, settings, seed=seed + i, progress=progress, task=f"{task} {i + 1}/{len(splits)}")
        blocks = {name: block[test] for name, block in pool.recorded.items()}
        has = {
            name: has_modality(blocks, names) & has_modality(taught.recorded, names).any()
            for name, names in model.modalities.items()
        }
        for subset in subsets:
            rows = np.logical_and.reduce([has[name] for name in subset])
            probability["+".join(subset)][test[rows]] = model.uncalibrated(blocks, subset)[rows]
        far = model.distances(blocks, np.stack([has[name] for name in distance], axis=1))
        for column, name in enumerate(distance):
            distance[name][test] = far[:, column]
    return HeldOut(probability, distance)


def modality_subsets(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return every combination of modalities, from one to all."""
    ordered = tuple(names)
    return [subset for size in range(1, len(ordered) + 1) for subset in combinations(ordered, size)]
