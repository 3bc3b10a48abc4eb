"""Statistics of a spike train: rate, irregularity and shape of its inter-spike intervals.

Definitions follow van Dijck et al. 2013 (doi:10.1371/journal.pone.0057669) and, for the local measures, Shinomoto et
al. 2009 (doi:10.1371/journal.pcbi.1000433), Holt et al. 1996 and Dorval 2011 (doi:10.3390/e13020485).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from nwb_celltype.features.interval_sums import (
    middle_value,
    sums_of_deviations,
    sums_of_intervals,
    sums_of_neighbours,
)

Float = NDArray[np.float64]

TRAIN_STATISTICS: dict[str, str] = {
    "mfr": "Hz",
    "mifr": "Hz",
    "med_isi": "s",
    "mode_isi": "s",
    "prct5ISI": "s",
    "entropy": "bit",
    "CV2_mean": "1",
    "CV2_median": "1",
    "CV": "1",
    "IR": "1",
    "Lv": "1",
    "LvR": "1",
    "LvR_shinomoto": "1",
    "LcV": "1",
    "SI": "1",
    "SKW": "1",
    "std_isi": "s",
    "burst_idx": "Hz",
    "n_spikes": "1",
    "spikes_per_observed_second": "Hz",
}
"""Name and unit of measure of each statistic. `mfr` is the inverse of the mean interval; `spikes_per_observed_second`
counts silent stretches too."""

_REFRACTORY_S = 1e-3
# Intervals lie on the sampling grid, so many are exactly 1 ms: the last bit of a double must not decide.
_TIE_S = 1e-9
_REFRACTORINESS_MS = 0.8
_MIN_INTERVALS = 10
_LN_10 = float(np.log(10))


def train_statistics(pieces: Sequence[NDArray[np.float64]], observed_s: float) -> NDArray[np.float64]:
    """Measure `TRAIN_STATISTICS` of one spike train; NaN where there are too few intervals.

    Intervals below 1 ms and above the 98 % quantile are left out, as in the statistics' sources. An interval and its
    successor are compared only inside one observed stretch.

    Parameters
    ----------
    pieces : sequence of arrays, seconds
        Ascending spike times of each observed stretch.
    observed_s : float
        Observed time in seconds.

    Returns
    -------
    (20,) array
        In the order of `TRAIN_STATISTICS`.

    Examples
    --------
    >>> import numpy as np
    >>> statistics = train_statistics([np.arange(0, 10, 0.02)], 10.0)
    >>> round(float(statistics[list(TRAIN_STATISTICS).index("mfr")]), 3)
    50.0
    """
    per_piece = [np.diff(p) for p in pieces]
    return interval_statistics([i[i > 0] for i in per_piece], sum(len(p) for p in pieces), observed_s)


def interval_statistics(intervals: Sequence[Float], n_spikes: int, observed_s: float) -> Float:
    """Measure `TRAIN_STATISTICS` of the intervals of one spike train.

    Parameters
    ----------
    intervals : sequence of arrays, seconds
        Inter-spike intervals of each observed stretch, in their order, all above 0.
    n_spikes : int
    observed_s : float

    Returns
    -------
    (20,) array

    Examples
    --------
    >>> import numpy as np
    >>> round(float(interval_statistics([np.full(500, 0.02)], 501, 10.0)[0]), 3)
    50.0
    """
    values = dict.fromkeys(TRAIN_STATISTICS, np.nan)
    values["n_spikes"] = n_spikes
    values["spikes_per_observed_second"] = n_spikes / observed_s if observed_s > 0 else np.nan
    ranked = np.sort(_joined(intervals))
    if len(ranked) >= _MIN_INTERVALS:
        low, high = _REFRACTORY_S - _TIE_S, _quantile(ranked, 0.98) + _TIE_S
        ranked = ranked[np.searchsorted(ranked, low, side="left") : np.searchsorted(ranked, high, side="right")]
        if len(ranked) >= _MIN_INTERVALS:
            kept, ends = np.empty(len(ranked) + 1), [0]
            for each in intervals:
                ends.append(_keep_between(each, low, high, kept, ends[-1]))
            values |= _kept_statistics(ranked, kept[: len(ranked)], ends)
    return np.array([values[name] for name in TRAIN_STATISTICS])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _keep_between(intervals: Float, low: float, high: float, kept: Float, n: int) -> int:
    """Write the intervals from low to high behind the first n of `kept`, which has room for one more than are kept."""
    for interval in intervals:
        kept[n] = interval
        n += (low <= interval) & (interval <= high)
    return n


def _kept_statistics(ranked: Float, kept: Float, ends: Sequence[int]) -> dict[str, float]:
    """Statistics of intervals, given in ascending order and in their own, in which stretches end at `ends`."""
    n = len(ranked)
    logs = np.log(kept)
    total, total_inverse, total_log = sums_of_intervals(kept, logs).tolist()
    mean, mean_log = total / n, total_log / n
    squares, cubes, log_squares = sums_of_deviations(kept, mean, logs, mean_log).tolist()
    sd = float(np.sqrt(squares / n))
    low, high = ranked[0], ranked[-1]
    # All intervals alike (a metronome) has no histogram to speak of: its mode is the interval, its entropy 0.
    if high - low < 1e-9:
        mode, entropy = float(low), 0.0
    else:
        edges = np.linspace(low, high, 200)
        # Intervals and edges may share the sampling grid: lower the edges so that every tie falls into the upper bin.
        lowered = edges - _TIE_S
        lowered[-1] = high + _TIE_S
        mode = float(edges[np.argmax(_histogram(ranked, lowered))])
        entropy = _log_entropy(ranked, low, high)
    values = {
        "mfr": 1 / mean,
        "mifr": total_inverse / n,
        "med_isi": _middle(ranked[(n - 1) // 2 : n // 2 + 1]),
        "mode_isi": mode,
        "prct5ISI": _quantile(ranked, 0.05),
        "entropy": entropy,
        "CV": sd / mean,
        # undefined where intervals are 1 s on average
        "LcV": float(np.sqrt(log_squares / n)) / mean_log if mean_log else np.nan,
        "SKW": cubes / n / sd**3 if sd > 1e-9 else 0.0,
        "std_isi": sd,
        "burst_idx": round(_quantile(1 / ranked[: n // 10 + 2][::-1], 0.95, n), 2),
    }
    return values | _neighbour_statistics(kept, logs, ends)


def _quantile(ranked: Float, q: float, n: int | None = None) -> float:
    """Quantile of n values of which the last are given in ascending order (by default all)."""
    n = len(ranked) if n is None else n
    position = (n - 1) * q
    below = int(position)
    part = position - below
    low, high = (float(ranked[min(k, n - 1) - n]) for k in (below, below + 1))
    return high - (high - low) * (1 - part) if part >= 0.5 else low + (high - low) * part


def _middle(values: Float) -> float:
    return float(values[0]) if len(values) == 1 else float(values[0] + values[1]) / 2


def _histogram(ranked: Float, edges: Float) -> NDArray[np.int64]:
    """Values from each edge up to the next, left out; the last bin has both its edges."""
    below = np.searchsorted(ranked, edges, side="left")
    below[-1] = np.searchsorted(ranked, edges[-1], side="right")
    return np.diff(below)


def _log_entropy(ranked: Float, low: float, high: float) -> float:
    counts = _histogram(ranked, np.geomspace(low, high * (1 + 1e-12), 200))
    p = gaussian_filter1d(counts / counts.sum(), 2)
    p = p[p > 0]
    return float(-np.sum(p * np.log2(p)))


def _joined(parts: Sequence[Float]) -> Float:
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0), *parts])


def _neighbour_statistics(kept: Float, logs: Float, ends: Sequence[int]) -> dict[str, float]:
    stretches = [(a, b) for a, b in pairwise(ends) if b - a > 1]
    if not stretches:
        return {}
    first, second, first_log, second_log = (
        _joined([of[a + shift : b - 1 + shift] for a, b in stretches]) for of in (kept, logs) for shift in (0, 1)
    )
    n = len(first)
    cv2 = np.empty(n)
    r = _REFRACTORINESS_MS
    sums = sums_of_neighbours(first, second, first_log, second_log, 4 * r, 4 * r * 1e-3, cv2)
    total_cv2, local, local_ms, local_s, ratio, closeness = sums.tolist()
    return {
        "CV2_mean": total_cv2 / n,
        "CV2_median": middle_value(cv2),
        "IR": ratio / n,
        "Lv": 3 * (local / n),
        # As the published feature tables were made: the constant in ms over a sum in s, a thousand times too large.
        "LvR": 3 * (local_ms / n),
        "LvR_shinomoto": 3 * (local_s / n),
        "SI": -0.5 * (closeness / _LN_10) / n,
    }
