"""How well a unit was sorted: labels of noise, spikes of other cells, spikes that were missed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

REFRACTORY_MS = 0.8
"""No cerebellar cell but a bursting mossy fibre fires twice within this time (Hill et al. 2011; Beau et al. 2025)."""
MANY_CONTAMINANTS = 0.2
"""Estimated share of spikes of other cells above which a unit is flagged."""
MANY_MISSED = 0.1
"""Estimated share of missed spikes above which a unit is flagged."""

_BAD_UNIT = re.compile(r"(noise|noisy|art[ei]facts?|garbage|junk|bad)( unit| cluster)?|mua|multi([ _-]?units?\b.*)?")
_GOOD_UNIT = re.compile(r"(good|sua|single([ _-]?units?)?)( unit| cluster)?")
_ENOUGH_PAIRS = 20
_FEWEST_VIOLATIONS = 5
_BURST = 1.5
_MOST_BINS = 500
_FEWEST_AMPLITUDES = 500


def quality_of(labels: Mapping[str, Sequence[str] | NDArray[np.str_]], row: int) -> tuple[str, str] | None:
    """Return (column, text) of a label that calls the unit noise or multi-unit activity; `None` where none does.

    What a person called good stays good, whatever the sorter's own label says.
    """
    good_by_hand = any(
        _GOOD_UNIT.fullmatch(str(values[row]).strip().lower()) and not _is_automatic(column)
        for column, values in labels.items()
    )
    for column, values in labels.items():
        if good_by_hand and _is_automatic(column):
            continue
        if _BAD_UNIT.fullmatch(str(values[row]).strip().lower()):
            return column, str(values[row])
    return None


def by_chance(acg_counts: NDArray[np.integer]) -> Float:
    """(n,) pairs of spikes that chance puts into each millisecond: the mean from 61 to 100 ms.

    Slow changes of the rate do not matter, because the lags are near.
    """
    return np.asarray(np.asarray(acg_counts, dtype=np.float64)[:, 161:].mean(axis=1))


def fires_in_bursts(acg_counts: NDArray[np.integer]) -> NDArray[np.bool_]:
    """(n,) mask of the units that fire some interval up to 10 ms more often than by chance."""
    lags, chance = np.asarray(acg_counts, dtype=np.float64)[:, 101:111], by_chance(acg_counts)
    return np.asarray(np.divide(lags.max(axis=1), chance, out=np.zeros(len(lags)), where=chance > 0) >= _BURST)


def count_violations(spike_times: Float, window_ms: float = REFRACTORY_MS) -> int:
    """Intervals shorter than the refractory period; a spike that is stored twice is no interval.

    Examples
    --------
    >>> import numpy as np
    >>> count_violations(np.array([0.0, 0.0005, 0.1, 0.1, 0.2]))
    1
    """
    intervals = np.diff(np.asarray(spike_times, dtype=np.float64))
    return int(np.count_nonzero((intervals > 0) & (intervals < window_ms * 1e-3)))


def contamination(
    violations: NDArray[np.integer],
    acg_counts: NDArray[np.integer],
    *,
    window_ms: float = REFRACTORY_MS,
    spare_bursts: bool = True,
) -> Float:
    """Estimate the share of each unit's spikes that other cells fired, from its refractory violations.

    With many contaminating cells, C = 1 - sqrt(1 - violations / violations by chance) (Llobet et al. 2022,
    doi:10.1101/2022.02.08.479192); chance is taken from the autocorrelogram, so that slow changes of the rate, and
    time that was not observed, do not count.

    Parameters
    ----------
    violations : (n,) array
        Intervals shorter than `window_ms`.
    acg_counts : (n, 201) array
        Pairs in 1 ms bins of lag.
    window_ms : float
    spare_bursts : bool
        Say nothing about units that fire in bursts: their short intervals are their own. Mossy fibre boutons have up
        to 40 % of their intervals below 1 ms.

    Returns
    -------
    (n,) array, 0 to 1
        NaN where there are too few spikes to tell.

    Examples
    --------
    >>> import numpy as np
    >>> acg = np.full((2, 201), 100)
    >>> contamination(np.array([60, 0]), acg).round(2).tolist()
    [0.5, 0.0]
    """
    chance = by_chance(acg_counts)
    ratio = np.divide(violations, chance * window_ms, out=np.zeros(len(chance)), where=chance > 0)
    ratio = np.where(np.asarray(violations) >= _FEWEST_VIOLATIONS, np.clip(ratio, 0, 1), 0.0)
    unknown = chance < _ENOUGH_PAIRS
    if spare_bursts:
        unknown |= fires_in_bursts(acg_counts)
    return np.where(unknown, np.nan, 1 - np.sqrt(1 - ratio))


def missed_share(amplitudes: Float) -> float:
    """Estimate the share of spikes below the threshold of detection, from the amplitudes of the others.

    A histogram that does not fall to nothing at its low end was cut off there; what its high end shows beyond the same
    height is what the low end lacks, if amplitudes lie alike on both sides of their most frequent value.

    Parameters
    ----------
    amplitudes : (n_spikes,) array, any unit

    Returns
    -------
    float
        0 to 0.5; NaN for fewer than 500 amplitudes, or amplitudes that are all the same.

    Examples
    --------
    >>> import numpy as np
    >>> all_of_them = np.random.default_rng(0).normal(100, 10, 20_000)
    >>> round(missed_share(all_of_them), 2), round(missed_share(all_of_them[all_of_them > 90]), 1)
    (0.0, 0.2)
    """
    from scipy.ndimage import gaussian_filter1d

    sizes = np.abs(np.asarray(amplitudes, dtype=np.float64))
    sizes = sizes[np.isfinite(sizes)]
    if len(sizes) < _FEWEST_AMPLITUDES or np.ptp(sizes) == 0:
        return np.nan
    n_bins = int(np.clip(np.sqrt(len(sizes)), 20, _MOST_BINS))
    counts, _ = np.histogram(sizes, n_bins)
    smooth = gaussian_filter1d(counts.astype(np.float64), n_bins / 50, mode="nearest")
    peak = int(np.argmax(smooth))
    beyond = np.flatnonzero(smooth[peak:] <= smooth[0])
    if not len(beyond):  # the high end never gets as low as the low end is
        return 0.0
    missing = float(counts[peak + int(beyond[0]) :].sum())
    return min(missing / (len(sizes) + missing), 0.5)


def _is_automatic(column: str) -> bool:
    """Whether a column is the sorter's own label, given before anybody looked."""
    return re.sub(r"[^a-z]", "", column.lower()) in {"kslabel", "kilosortlabel"}
