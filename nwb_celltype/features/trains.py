"""Turn 1 ms interval and pair counts into log-time histograms and statistics that short and long recordings share."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from nwb_celltype.features.counts import MAX_LAG_MS

ISI_EDGES_MS: NDArray[np.int64] = np.unique(np.round(np.logspace(0, 2, 18)).astype(np.int64))
"""Edges of the log-time histogram of inter-spike intervals, ms; each is also an edge of the 1 ms bins."""
LAG_EDGES_MS: NDArray[np.int64] = np.unique(np.round(np.logspace(0, 2, 25)).astype(np.int64))
"""Edges of the log-lag autocorrelogram, ms; bin k holds the 1 ms lags from edge k up to edge k + 1, left out."""

ACG_STATISTICS: tuple[str, ...] = (
    "log_rate",
    "log_lag_above_0.2",
    "log_lag_above_0.5",
    "log_lag_above_0.9",
    "log_peak_lag",
    "log_peak",
    "log_mean_1_3_ms",
    "log_mean_1_6_ms",
    "log_mean_4_10_ms",
    "log_mean_11_25_ms",
    "log_mean_26_50_ms",
    "log_isi_q05",
    "log_isi_q25",
    "log_isi_q50",
    "log_isi_q75",
    "log_isi_q95",
    "isi_cv",
    "isi_entropy",
    "log_isi_mode",
    "log_isi_mean",
    "log_median_isi_times_rate",
    "log_half_lag_times_rate",
    "log_mode_height_times_mean",
    "log_oscillation",
)
"""Names of the statistics of counts below 100 ms; logarithms are natural, times in ms, rates in Hz."""


def isi_histogram(isi_counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Probability of each log-time bin among the intervals below 100 ms.

    Parameters
    ----------
    isi_counts : (n_units, 100) array, counts in 1 ms bins

    Returns
    -------
    (n_units, n_bins) array
        Each row sums to the share of intervals of 1 ms and more; NaN where there are no intervals at all.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.zeros((1, 100), int); counts[0, 10] = 5
    >>> histogram = isi_histogram(counts)
    >>> k = int(histogram.argmax())
    >>> float(histogram.max()), ISI_EDGES_MS[k : k + 2].tolist()
    (1.0, [9, 11])
    """
    counts = np.asarray(isi_counts, dtype=np.float64)
    total = counts.sum(axis=1, keepdims=True)
    binned = np.stack([counts[:, a:b].sum(axis=1) for a, b in _bins(ISI_EDGES_MS)], axis=1)
    share: NDArray[np.float64] = np.divide(binned, total, out=np.full_like(binned, np.nan), where=total > 0)
    return share


def acg_log_ratio(acg_counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Log ratio of the autocorrelogram to its own plateau (61-100 ms), on log lags.

    A pseudo-count that grows as the counts shrink pulls bins without evidence towards 0, so a short recording gives a
    flatter curve, not a noisier one.

    Parameters
    ----------
    acg_counts : (n_units, 201) array, pairs in 1 ms bins of lag

    Returns
    -------
    (n_units, n_bins) array, natural logarithm

    Examples
    --------
    >>> import numpy as np
    >>> flat = acg_log_ratio(np.full((1, 201), 50))
    >>> bool(np.abs(flat).max() < 1e-4)
    True
    """
    lag = np.asarray(acg_counts, dtype=np.float64)[:, MAX_LAG_MS:]
    plateau = lag[:, 61:].mean(axis=1, keepdims=True) + 1e-3
    binned = np.stack([lag[:, a:b].sum(axis=1) for a, b in _bins(LAG_EDGES_MS)], axis=1)
    expected = plateau * np.diff(LAG_EDGES_MS)
    pseudo = np.clip(3 / expected, 0.02, 3)
    return np.asarray(np.log((binned / expected + pseudo) / (1 + pseudo)))


def rate_below_100_ms(isi_counts: NDArray[np.integer], acg_counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Firing rate (Hz) that explains the pair counts when only intervals below 100 ms are known.

    With f the plateau's pairs per second and interval, a Poisson train has f = r / (1 - exp(-0.1 r)), which is solved
    for r. Rates of a few hertz and less are overestimated: a feature, never to be reported as the rate of a unit.

    Parameters
    ----------
    isi_counts : (n_units, 100) array
    acg_counts : (n_units, 201) array

    Returns
    -------
    (n_units,) array, hertz, between 0.2 and 500
    """
    plateau = np.asarray(acg_counts, dtype=np.float64)[:, MAX_LAG_MS + 61 :].mean(axis=1)
    f = 1e3 * (plateau + 0.02) / (np.asarray(isi_counts, dtype=np.float64).sum(axis=1) + 1)
    grid = np.logspace(np.log10(0.2), np.log10(500), 4000)
    rate: NDArray[np.float64] = np.interp(f, grid / -np.expm1(-0.1 * grid), grid)
    return rate


def acg_statistics(isi_counts: NDArray[np.integer], acg_counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Measure the shape of interval and pair counts (`ACG_STATISTICS`); units without counts give NaN rows.

    Parameters
    ----------
    isi_counts : (n_units, 100) array
    acg_counts : (n_units, 201) array

    Returns
    -------
    (n_units, 24) array
    """
    isi_counts, acg_counts = np.asarray(isi_counts, dtype=np.float64), np.asarray(acg_counts, dtype=np.float64)
    rates = rate_below_100_ms(isi_counts, acg_counts)
    rows = np.full((len(isi_counts), len(ACG_STATISTICS)), np.nan)
    for k, (isi, acg) in enumerate(zip(isi_counts, acg_counts, strict=True)):
        if isi.sum() > 0 and acg.sum() > 0:
            rows[k] = _one_train(isi, acg[MAX_LAG_MS + 1 :], float(rates[k]))
    return rows


def _one_train(isi: NDArray[np.float64], lag: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    lags_ms = np.arange(1, MAX_LAG_MS + 1)
    plateau = lag[60:].mean()
    smooth = gaussian_filter1d(lag, 1 if plateau > 20 else 4, mode="nearest")
    ratio = (smooth + 0.05) / (plateau + 0.05)
    first = [lags_ms[np.argmax(ratio > level)] if (ratio > level).any() else MAX_LAG_MS for level in (0.2, 0.5, 0.9)]
    peak = int(np.argmax(ratio))
    windows = [ratio[a - 1 : b].mean() for a, b in ((1, 3), (1, 6), (4, 10), (11, 25), (26, 50))]
    p = isi / isi.sum()
    centres = np.arange(len(isi)) + 0.5
    quantiles = np.interp((0.05, 0.25, 0.5, 0.75, 0.95), np.cumsum(p), np.arange(1, len(p) + 1))
    mean = float(p @ centres)
    sd = float(np.sqrt(max(p @ (centres - mean) ** 2, 0)))
    nonzero = p[p > 0]
    density = gaussian_filter1d(p, 1 if isi.sum() > 500 else 3, mode="nearest")
    mode = int(np.argmax(density))
    power = np.abs(np.fft.rfft(ratio - ratio.mean())) ** 2 / len(ratio)
    return np.concatenate(
        [
            [np.log(rate)],
            np.log(first),
            [np.log(lags_ms[peak]), np.log(ratio[peak] + 0.1)],
            np.log(np.array(windows) + 0.05),
            np.log(quantiles),
            [
                sd / mean,
                -np.sum(nonzero * np.log(nonzero)),
                np.log(centres[mode]),
                np.log(mean),
                np.log(quantiles[2] * rate * 1e-3 + 0.05),
                np.log(first[1] * rate * 1e-3 + 0.005),
                np.log(density[mode] * mean + 0.01),
                np.log(power[2:20].mean() + 1e-4),
            ],
        ]
    )


def _bins(edges: NDArray[np.int64]) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in pairwise(edges)]
