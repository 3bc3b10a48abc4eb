"""What an ensemble says about units that it did not see, in every combination of modalities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.classifier.inputs import has_modality, modality_subsets
from nwb_celltype.features.dataset import Progress
from nwb_celltype.training.checkpoints import Checkpoints
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
    strangeness : dict of str to (n,) array
        Probability that the forests give to a stranger, by modalities joined with ``+``; NaN likewise.
    """

    probability: dict[str, NDArray[np.float64]]
    distance: dict[str, NDArray[np.float64]]
    strangeness: dict[str, NDArray[np.float64]] = field(default_factory=dict)

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
    device: str | None = None,
    kept: Checkpoints | None = None,
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
    device, kept : optional
        As for `nwb_celltype.training.fitting.fit`.

    Returns
    -------
    HeldOut
    """
    n, k = len(pool), len(pool.classes)
    subsets = modality_subsets(settings.modalities)
    probability = {"+".join(subset): np.full((n, k), np.nan) for subset in subsets}
    distance = {name: np.full(n, np.nan) for name in settings.modalities}
    strangeness = {key: np.full(n, np.nan) for key in probability}
    splits = list(splits)
    for i, (train, test) in enumerate(splits):
        taught = pool.take(train)
        what = f"{task} {i + 1}/{len(splits)}"
        part = f"{task} {i + 1}".replace(" ", "-")
        model = fit(taught, settings, seed=seed + i, progress=progress, task=what, device=device, kept=kept, part=part)
        blocks = {name: block[test] for name, block in pool.recorded.items()}
        has = {
            name: has_modality(blocks, names) & has_modality(taught.recorded, names).any()
            for name, names in model.modalities.items()
        }
        for subset in subsets:
            rows = np.logical_and.reduce([has[name] for name in subset])
            key = "+".join(subset)
            probability[key][test[rows]] = model.uncalibrated(blocks, subset)[rows]
            strangeness[key][test[rows]] = model.strangeness(blocks, subset)[rows]
        far = model.distances(blocks, np.stack([has[name] for name in distance], axis=1))
        for column, name in enumerate(distance):
            distance[name][test] = far[:, column]
    return HeldOut(probability, distance, strangeness)
