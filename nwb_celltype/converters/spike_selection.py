"""Choose the spikes of a unit from which its mean waveform is taken: spread over the whole recording."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integer = NDArray[np.int64]

N_BLOCKS = 10
"""Equal stretches of time over which spikes are spread, and between which a unit's place is compared."""


class ChosenSpikes(NamedTuple):
    """Some spikes of one unit.

    Attributes
    ----------
    samples : (m,) int64 array
        Ascending, each once.
    blocks : (m,) int64 array
        Stretch of the recording, 0 to `N_BLOCKS` - 1, that each lies in.
    n_usable : int
        Spikes whose window lies within the recording, of which these were chosen.
    """

    samples: Integer
    blocks: Integer
    n_usable: int


def spread_spikes(
    samples: Integer, n_samples: int, *, n_before: int, n_after: int, max_spikes: int, seed: tuple[int, ...]
) -> ChosenSpikes:
    """Choose at random, but the same number from each tenth of the recording as far as there are spikes.

    What a tenth cannot give, the others give in equal parts. So a unit that fires mostly late is still seen early, and
    a slow drift weighs the same whenever the unit was active. Spikes whose window leaves the recording are not used,
    and a time that is listed twice is one spike.

    Parameters
    ----------
    samples : (n,) int64 array
        Spike samples of one unit.
    n_samples : int
        Of the recording.
    n_before, n_after : int
        The window of a spike is ``sample - n_before`` to ``sample + n_after`` (exclusive).
    max_spikes : int
    seed : tuple of int
        The same seed and spikes give the same choice.

    Returns
    -------
    ChosenSpikes

    Examples
    --------
    >>> import numpy as np
    >>> early, late = np.arange(100, 110), np.arange(600, 1_000)
    >>> chosen = spread_spikes(
    ...     np.concatenate([early, late]), 1_000, n_before=10, n_after=20, max_spikes=50, seed=(0,)
    ... )
    >>> chosen.n_usable, np.bincount(chosen.blocks).tolist()
    (391, [0, 10, 0, 0, 0, 0, 10, 10, 10, 10])
    """
    usable = np.unique(samples)
    usable = usable[(usable >= n_before) & (usable + n_after <= n_samples)]
    blocks = usable * N_BLOCKS // max(n_samples, 1)
    if len(usable) <= max_spikes:
        return ChosenSpikes(usable, blocks, len(usable))
    bounds = np.searchsorted(blocks, np.arange(N_BLOCKS + 1))
    generator = np.random.default_rng(seed)
    picked = [
        first + generator.choice(stop - first, share, replace=False, shuffle=False)
        for first, stop, share in zip(bounds[:-1], bounds[1:], _shares(np.diff(bounds), max_spikes), strict=True)
    ]
    rows = np.sort(np.concatenate(picked))
    return ChosenSpikes(usable[rows], blocks[rows], len(usable))


def _shares(available: Integer, total: int) -> Integer:
    """Deal `total` out evenly to blocks that hold only so many; fewer than `total` must not be available in all."""
    shares = np.zeros_like(available)
    while total > 0:
        open_blocks = np.flatnonzero(shares < available)
        each, rest = divmod(total, len(open_blocks))
        deal = np.full(len(open_blocks), each)
        deal[np.linspace(0, len(open_blocks) - 1, rest).round().astype(np.int64)] += 1
        deal = np.minimum(deal, (available - shares)[open_blocks])
        shares[open_blocks] += deal
        total -= int(deal.sum())
    return shares
