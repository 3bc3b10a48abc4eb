"""SALT, the stimulus-associated spike latency test of Kvitsiani et al. 2013."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from nwb_celltype.evidence.pulse_sets import PulseSet
from nwb_celltype.evidence.pulses import OptotagWindows

Float = NDArray[np.float64]


@dataclass(frozen=True)
class SaltResult:
    """Outcome of SALT.

    Attributes
    ----------
    p : float
        As in the paper: fraction of pairs of baseline windows that are at least as far from each other as the window
        after light is, in the median, from the baseline windows. It is 0 when no pair is. Without a response it
        crowds around 0.5 and is seldom small (conservative): it is not uniform.
    rank_p : float
        Share of all windows, baseline and test alike, whose median distance from the others is at least that of the
        window after light. Uniform without a response, and never below 1 / (windows + 1).
    distance : float
        Median distance of the window after light from the baseline, less that within the baseline; square root of
        twice the Jensen-Shannon divergence, natural logarithm.
    n_pairs : int
        Pairs of baseline windows.
    """

    p: float
    rank_p: float
    distance: float
    n_pairs: int


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def first_latencies(spike_times: Float, starts: Float, masked_from: Float, masked_to: Float, length: float) -> Float:
    """First spike of each window, seconds after its start; NaN without one.

    Spikes between `masked_from` and `masked_to` after the start of a window are passed over, window by window.
    """
    latencies = np.full(len(starts), np.nan)
    for i in range(len(starts)):
        k = np.searchsorted(spike_times, starts[i])
        while k < len(spike_times) and spike_times[k] < starts[i] + length:
            after = spike_times[k] - starts[i]
            k += 1
            if not masked_from[i] <= after < masked_to[i]:
                latencies[i] = after
                break
    return latencies


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _distances(histograms: Float) -> Float:
    """Square root of twice the Jensen-Shannon divergence of every pair of rows that sum to 1."""
    n, n_bins = histograms.shape
    distances = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1, n):
            total = 0.0
            for b in range(n_bins):
                p, q = histograms[i, b], histograms[j, b]
                mean = 0.5 * (p + q)
                if p > 0:
                    total += p * np.log(p / mean)
                if q > 0:
                    total += q * np.log(q / mean)
            distances[i, j] = distances[j, i] = np.sqrt(max(total, 0.0))
    return distances


def window_latencies(
    spike_times: Float, pulses: PulseSet, windows: OptotagWindows, *, masks_end: bool = False
) -> tuple[Float, Float]:
    """Latency of the first spike in every dark window and in the window after light.

    The window after light begins behind the dead time. With `masks_end`, spikes in the dead time after the end of a
    pulse are passed over, and what that hides is hidden in the dark windows too, so that the two can be compared.

    Returns
    -------
    dark : (sum of n_dark_windows,) array, seconds from the start of the window; NaN without a spike
    test : (n_pulses,) array, likewise
    """
    spikes = np.ascontiguousarray(spike_times, dtype=np.float64)
    masked_from = pulses.durations_s - windows.dead_time_s if masks_end else np.full(len(pulses), np.inf)
    masked_to = masked_from + windows.dead_time_s
    n_dark = pulses.n_dark_windows
    dark = first_latencies(
        spikes, pulses.dark_windows_s, np.repeat(masked_from, n_dark), np.repeat(masked_to, n_dark), windows.test_s
    )
    test = first_latencies(spikes, pulses.onsets_s + windows.dead_time_s, masked_from, masked_to, windows.test_s)
    return dark, test


def latency_test(baseline: Float, test: Float, *, test_s: float = 0.010, bin_s: float = 0.001) -> SaltResult:
    """Compare first-spike latencies after light with those in windows before it.

    Parameters
    ----------
    baseline : (n_pulses, n_windows) array, seconds
        Latency of the first spike in each baseline window; NaN without a spike.
    test : (n_pulses,) array, seconds
        Latency in the window after light.
    test_s, bin_s : float, seconds
        Length of a window and bin of the histograms; windows without a spike have a bin of their own.

    Returns
    -------
    SaltResult

    References
    ----------
    Kvitsiani et al. 2013, doi:10.1038/nature12176; the distance is that of Endres and Schindelin 2003,
    doi:10.1109/TIT.2003.813506.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> before = np.where(rng.random((100, 30)) < 0.2, rng.uniform(0, 0.01, (100, 30)), np.nan)
    >>> after = np.where(rng.random(100) < 0.8, rng.normal(0.003, 0.0004, 100), np.nan)
    >>> latency_test(before, after).p
    0.0
    """
    n_pulses, n_windows = baseline.shape
    if n_pulses == 0 or n_windows < 3:
        return SaltResult(np.nan, np.nan, np.nan, 0)
    n_bins = max(round(test_s / bin_s), 1)
    every = np.column_stack([baseline, test])
    none = np.isnan(every)
    bins = np.where(none, n_bins, np.clip(np.floor(np.where(none, 0, every) / bin_s + 1e-9), 0, n_bins - 1))
    flat = bins.astype(np.int64) + (n_bins + 1) * np.arange(n_windows + 1)
    histograms = np.bincount(flat.ravel(), minlength=(n_windows + 1) * (n_bins + 1)).reshape(n_windows + 1, n_bins + 1)
    distances = _distances(histograms / n_pulses)
    within = distances[:-1, :-1][np.triu_indices(n_windows, k=1)]
    median = float(np.median(distances[:-1, -1]))
    tie = 1e-12
    off_diagonal = distances[~np.eye(n_windows + 1, dtype=bool)].reshape(n_windows + 1, n_windows)
    medians = np.median(off_diagonal, axis=1)
    return SaltResult(
        p=float(np.mean(within >= median - tie)),
        rank_p=float(np.mean(medians >= medians[-1] - tie)),
        distance=median - float(np.median(within)),
        n_pairs=len(within),
    )
