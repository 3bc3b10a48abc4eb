"""Count inter-spike intervals and spike pairs within the stretches that were really observed."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

N_ISI_BINS = 100
"""1 ms bins of inter-spike intervals; bin k holds k <= interval < k + 1 ms."""
MAX_LAG_MS = 100
"""Autocorrelogram lags run from -100 to 100 ms; bin k holds pairs k - 0.5 <= lag < k + 0.5 ms apart."""
N_LAGS = 2 * MAX_LAG_MS + 1

# Spike times sit on the sampling grid, so an interval often falls exactly on an edge, where the last bit of a
# double decides. A nanosecond's allowance puts every such tie into the upper bin, wherever the recording's zero is.
_TIE_MS = 1e-6

FINE_BIN_S = 2e-4
FINE_TIE_S = 1e-9
FINE_REACH_S = 0.1
N_FINE_BINS = 512
"""Pairs are also counted in fine bins: `FINE_BIN_S` wide, complete up to `FINE_REACH_S`."""

Float = NDArray[np.float64]
Integer = NDArray[np.int64]


class TrainCounts(NamedTuple):
    """What one spike train looks like on a 1 ms scale.

    Attributes
    ----------
    isi_counts : (100,) int64 array
        Inter-spike intervals in 1 ms bins from 0 to 100 ms.
    acg_counts : (201,) int64 array
        Spike pairs in 1 ms bins centred on lags of -100 to 100 ms; the zero lag is 0.
    n_spikes : int
        Spikes inside the observed intervals, exact duplicates counted once.
    n_duplicates : int
        Spikes left out because they have the very time of the one before.
    n_outside : int
        Spikes left out because no observed interval contains them.
    observed_s : float
        Observed time in seconds.
    """

    isi_counts: NDArray[np.int64]
    acg_counts: NDArray[np.int64]
    n_spikes: int
    n_duplicates: int
    n_outside: int
    observed_s: float


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def sweep(times: Float, isi: Integer, acg: Integer, fine: Integer, intervals: Float) -> None:
    """Go once over the spikes of one stretch and count all that is counted of intervals and pairs.

    Parameters
    ----------
    times : (n,) array, seconds, ascending, no two alike
    isi : (100,) int64 array
        Intervals in 1 ms bins. Added to, as all that follow.
    acg : (101,) int64 array
        Pairs in 1 ms bins of lag, from 0 ms.
    fine : (512,) int64 array
        Pairs in 0.2 ms bins of lag, complete up to 100 ms.
    intervals : (n - 1,) array, seconds
        Filled with the time from each spike to the next.
    """
    n = len(times)
    for i in range(n - 1):
        here = times[i]
        gap = times[i + 1] - here
        intervals[i] = gap
        bin_ = gap * 1e3 + _TIE_MS
        if bin_ < N_ISI_BINS:
            isi[int(bin_)] += 1
        for j in range(i + 1, n):
            lag_s = times[j] - here
            lag = lag_s * 1e3 + 0.5 + _TIE_MS
            if lag >= MAX_LAG_MS + 1:
                break
            acg[int(lag)] += 1
            fine[int((lag_s + FINE_TIE_S) / FINE_BIN_S)] += 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def count_repeated_pairs(times: Float, n_times: Integer, fine: Integer) -> None:
    """Count pairs in the fine bins where spikes were recorded several times; those of one instant are no pair.

    Parameters
    ----------
    times : (n,) array, seconds, ascending, no two alike
    n_times : (n,) int64 array
        How often each was recorded.
    fine : (512,) int64 array
        Added to.
    """
    for i in range(len(times)):
        for j in range(i + 1, len(times)):
            lag_s = times[j] - times[i]
            if lag_s >= FINE_REACH_S:
                break
            fine[int((lag_s + FINE_TIE_S) / FINE_BIN_S)] += n_times[i] * n_times[j]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def distinct(times: Float) -> tuple[Float, Integer]:
    """Distinct times of an ascending train, and how often each was recorded."""
    kept, n_times = np.empty(len(times)), np.zeros(len(times), dtype=np.int64)
    n = 0
    for time in times:
        if n == 0 or time > kept[n - 1]:
            kept[n] = time
            n += 1
        n_times[n - 1] += 1
    return kept[:n], n_times[:n]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def has_duplicates(times: Float) -> bool:
    """Are there two spikes at the very same time?"""
    found = 0
    for i in range(len(times) - 1):
        found |= times[i] == times[i + 1]
    return found > 0


class Sweep(NamedTuple):
    """What one pass over a spike train leaves behind.

    Attributes
    ----------
    counts : TrainCounts
    fine_counts : (512,) int64 array
        Pairs in 0.2 ms bins of lag, each as often as its spikes were recorded; complete up to 100 ms.
    intervals : list of arrays, seconds
        Inter-spike intervals of each observed stretch, all above 0.
    n_recorded : int
        Spikes inside the observed intervals, duplicates among them.
    """

    counts: TrainCounts
    fine_counts: Integer
    intervals: list[Float]
    n_recorded: int


def split_by_intervals(
    spike_times: NDArray[np.float64], obs_intervals: NDArray[np.float64] | None
) -> tuple[list[NDArray[np.float64]], float]:
    """Cut a sorted spike train into the stretches that were observed.

    Parameters
    ----------
    spike_times : (n_spikes,) array, seconds, ascending
    obs_intervals : (n_intervals, 2) array or None, seconds
        Start and stop of each observed interval; overlapping ones are merged. `None`: the unit was observed from its
        first spike to its last.

    Returns
    -------
    pieces : list of arrays, seconds
        The spikes of each interval; an interval without spikes gives an empty one.
    observed_s : float
        Total observed time in seconds.

    Examples
    --------
    >>> import numpy as np
    >>> pieces, observed = split_by_intervals(np.array([0.5, 1.5, 9.0]), np.array([[0.0, 2.0], [8.0, 10.0]]))
    >>> [len(p) for p in pieces], observed
    ([2, 1], 4.0)
    """
    if obs_intervals is None or len(obs_intervals) == 0:
        span = float(spike_times[-1] - spike_times[0]) if len(spike_times) else 0.0
        return [spike_times], span
    intervals = np.asarray(obs_intervals, dtype=np.float64)
    intervals = intervals[np.argsort(intervals[:, 0], kind="stable")]
    merged: list[list[float]] = []
    for start, stop in intervals:
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], float(stop))
        else:
            merged.append([float(start), float(stop)])
    bounds = np.asarray(merged)
    first = np.searchsorted(spike_times, bounds[:, 0], side="left")
    last = np.searchsorted(spike_times, bounds[:, 1], side="right")
    return [spike_times[a:b] for a, b in zip(first, last, strict=True)], float(np.sum(bounds[:, 1] - bounds[:, 0]))


def count_train(spike_times: NDArray[np.float64], obs_intervals: NDArray[np.float64] | None = None) -> TrainCounts:
    """Count intervals and pairs of one sorted spike train; no gap between observed intervals is bridged.

    Parameters
    ----------
    spike_times : (n_spikes,) array, seconds, ascending
    obs_intervals : (n_intervals, 2) array or None, seconds

    Returns
    -------
    TrainCounts

    Examples
    --------
    >>> import numpy as np
    >>> counts = count_train(np.arange(0, 10, 0.02))
    >>> int(counts.isi_counts[20]), int(counts.acg_counts[120])
    (499, 499)
    """
    return sweep_train(spike_times, obs_intervals).counts


def sweep_train(spike_times: Float, obs_intervals: Float | None = None) -> Sweep:
    """Go once over a sorted spike train; no gap between observed intervals is bridged.

    Parameters
    ----------
    spike_times : (n_spikes,) array, seconds, ascending
    obs_intervals : (n_intervals, 2) array or None, seconds

    Returns
    -------
    Sweep

    Examples
    --------
    >>> import numpy as np
    >>> found = sweep_train(np.arange(0, 10, 0.02))
    >>> len(found.intervals[0]), int(found.fine_counts[100])
    (499, 499)
    """
    isi = np.zeros(N_ISI_BINS, dtype=np.int64)
    right = np.zeros(MAX_LAG_MS + 1, dtype=np.int64)
    fine = np.zeros(N_FINE_BINS, dtype=np.int64)
    spike_times = np.ascontiguousarray(spike_times, dtype=np.float64)
    pieces, observed_s = split_by_intervals(spike_times, obs_intervals)
    n_recorded = n_kept = 0
    intervals = []
    for piece in pieces:
        n_recorded += len(piece)
        repeated = has_duplicates(piece)
        if repeated:
            piece, n_times = distinct(piece)
            count_repeated_pairs(piece, n_times, fine)
        n_kept += len(piece)
        intervals.append(np.empty(max(len(piece) - 1, 0)))
        sweep(piece, isi, right, np.zeros_like(fine) if repeated else fine, intervals[-1])
    right[0] = 0
    acg = np.concatenate([right[:0:-1], right])
    counts = TrainCounts(isi, acg, n_kept, n_recorded - n_kept, len(spike_times) - n_recorded, observed_s)
    return Sweep(counts, fine, intervals, n_recorded)
