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

# Spike times sit on the sampling grid, so an interval often falls exactly on an edge, where the last bit of a
# double decides. A nanosecond's allowance puts every such tie into the upper bin, wherever the recording's zero is.
_TIE_MS = 1e-6


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
def _count(times: NDArray[np.float64], isi: NDArray[np.int64], acg: NDArray[np.int64]) -> None:
    n = len(times)
    for i in range(n):
        for j in range(i + 1, n):
            gap_ms = (times[j] - times[i]) * 1e3
            lag = int(np.floor(gap_ms + 0.5 + _TIE_MS))
            if lag > MAX_LAG_MS:
                break
            acg[MAX_LAG_MS + lag] += 1
        if i + 1 < n:
            bin_ = int(np.floor((times[i + 1] - times[i]) * 1e3 + _TIE_MS))
            if bin_ < N_ISI_BINS:
                isi[bin_] += 1


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
    isi = np.zeros(N_ISI_BINS, dtype=np.int64)
    acg = np.zeros(2 * MAX_LAG_MS + 1, dtype=np.int64)
    spike_times = np.ascontiguousarray(spike_times, dtype=np.float64)
    pieces, observed_s = split_by_intervals(spike_times, obs_intervals)
    n_spikes = n_kept = 0
    for piece in pieces:
        n_spikes += len(piece)
        if len(piece) > 1:
            piece = piece[np.concatenate([[True], np.diff(piece) > 0])]
        n_kept += len(piece)
        _count(piece, isi, acg)
    acg[MAX_LAG_MS] = 0
    acg[:MAX_LAG_MS] = acg[:MAX_LAG_MS:-1]
    return TrainCounts(isi, acg, n_kept, n_spikes - n_kept, len(spike_times) - n_spikes, observed_s)
