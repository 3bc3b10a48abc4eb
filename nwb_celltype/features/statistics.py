"""Statistics of a spike train: rate, irregularity and shape of its inter-spike intervals.

Definitions follow van Dijck et al. 2013 (doi:10.1371/journal.pone.0057669) and, for the local measures, Shinomoto et
al. 2009 (doi:10.1371/journal.pcbi.1000433), Holt et al. 1996 and Dorval 2011 (doi:10.3390/e13020485).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

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
    values = dict.fromkeys(TRAIN_STATISTICS, np.nan)
    n_spikes = sum(len(p) for p in pieces)
    values["n_spikes"] = n_spikes
    values["spikes_per_observed_second"] = n_spikes / observed_s if observed_s > 0 else np.nan
    per_piece = [np.diff(p) for p in pieces]
    every = np.concatenate(per_piece) if per_piece else np.empty(0)
    every = every[every > 0]
    if len(every) >= _MIN_INTERVALS:
        longest = np.quantile(every, 0.98)
        kept = [i[(i >= _REFRACTORY_S - _TIE_S) & (i <= longest + _TIE_S)] for i in per_piece]
        if sum(len(i) for i in kept) >= _MIN_INTERVALS:
            values |= _interval_statistics(np.concatenate(kept))
            values |= _neighbour_statistics(
                np.concatenate([i[:-1] for i in kept]), np.concatenate([i[1:] for i in kept])
            )
    return np.array([values[name] for name in TRAIN_STATISTICS])


def _interval_statistics(isi: NDArray[np.float64]) -> dict[str, float]:
    mean, sd = isi.mean(), isi.std()
    low, high = isi.min(), isi.max()
    # All intervals alike (a metronome) has no histogram to speak of: its mode is the interval, its entropy 0.
    if high - low < 1e-9:
        mode, entropy = float(low), 0.0
    else:
        edges = np.linspace(low, high, 200)
        # Intervals and edges may share the sampling grid: lower the edges so that every tie falls into the upper bin.
        lowered = edges - _TIE_S
        lowered[-1] = high + _TIE_S
        mode = float(edges[np.argmax(np.histogram(isi, bins=lowered)[0])])
        entropy = _log_entropy(isi, low, high)
    log = np.log10(isi)
    return {
        "mfr": 1 / mean,
        "mifr": np.mean(1 / isi),
        "med_isi": np.median(isi),
        "mode_isi": mode,
        "prct5ISI": np.percentile(isi, 5),
        "entropy": entropy,
        "CV": sd / mean,
        "LcV": log.std() / log.mean() if log.mean() else np.nan,  # undefined where intervals are 1 s on average
        "SKW": np.mean((isi - mean) ** 3) / sd**3 if sd > 1e-9 else 0.0,
        "std_isi": sd,
        "burst_idx": round(float(np.quantile(1 / isi, 0.95)), 2),
    }


def _log_entropy(isi: NDArray[np.float64], low: float, high: float) -> float:
    counts, _ = np.histogram(isi, bins=np.geomspace(low, high * (1 + 1e-12), 200))
    p = gaussian_filter1d(counts / counts.sum(), 2)
    p = p[p > 0]
    return float(-np.sum(p * np.log2(p)))


def _neighbour_statistics(first: NDArray[np.float64], second: NDArray[np.float64]) -> dict[str, float]:
    if len(first) == 0:
        return {}
    total = first + second
    cv2 = 2 * np.abs(second - first) / total
    local = 1 - 4 * first * second / total**2
    r = _REFRACTORINESS_MS
    return {
        "CV2_mean": cv2.mean(),
        "CV2_median": np.median(cv2),
        "IR": np.mean(np.abs(np.log(second / first))),
        "Lv": 3 * local.mean(),
        # As the published feature tables were made: the constant in ms over a sum in s, a thousand times too large.
        "LvR": 3 * np.mean(local * (1 + 4 * r / total)),
        "LvR_shinomoto": 3 * np.mean(local * (1 + 4 * r * 1e-3 / total)),
        "SI": -np.mean(0.5 * np.log10(4 * first * second / total**2)),
    }
