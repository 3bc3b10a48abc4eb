"""All that is measured of one spike train, from one pass over its spikes."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from nwb_celltype.features.counts import N_ISI_BINS, N_LAGS, sweep_train
from nwb_celltype.features.statistics import TRAIN_STATISTICS, interval_statistics
from nwb_celltype.features.unit_statistics import ACG_RATIOS, ratios_of_counts

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

NO_SPIKES = "no spike times"


class TrainMeasures(NamedTuple):
    """What one spike train looks like.

    Attributes
    ----------
    reason : str
        Why it cannot be described; empty when it can, otherwise all counts are 0 and all statistics NaN.
    isi_counts : (100,) int64 array
        Inter-spike intervals in 1 ms bins.
    acg_counts : (201,) int64 array
        Pairs in 1 ms bins of lag.
    statistics : (20,) array
        `nwb_celltype.features.statistics.TRAIN_STATISTICS`.
    ratios : (2,) array
        `nwb_celltype.features.unit_statistics.ACG_RATIOS`.
    """

    reason: str
    isi_counts: Integer
    acg_counts: Integer
    statistics: Float
    ratios: Float


def measure_train(spike_times: Float, obs_intervals: Float | None = None) -> TrainMeasures:
    """Measure one spike train.

    Parameters
    ----------
    spike_times : (n_spikes,) array, seconds
    obs_intervals : (n_intervals, 2) array or None, seconds
        When the unit was observed; no gap is bridged. `None`: from its first spike to its last.

    Returns
    -------
    TrainMeasures

    Examples
    --------
    >>> import numpy as np
    >>> found = measure_train(np.arange(0, 10, 0.02))
    >>> found.reason, int(found.isi_counts[20]), round(float(found.statistics[0]))
    ('', 499, 50)
    >>> measure_train(np.array([2.0, 1.0])).reason
    'spike times are not sorted (first at spike 1)'
    """
    reason = why_no_train(spike_times, obs_intervals)
    if reason:
        nothing = np.zeros(N_ISI_BINS, dtype=np.int64), np.zeros(N_LAGS, dtype=np.int64)
        return TrainMeasures(reason, *nothing, np.full(len(TRAIN_STATISTICS), np.nan), np.full(len(ACG_RATIOS), np.nan))
    counts, fine_counts, intervals, n_recorded = sweep_train(spike_times, obs_intervals)
    statistics = interval_statistics(intervals, n_recorded, counts.observed_s)
    ratios = ratios_of_counts(fine_counts, n_recorded, float(statistics[0]))
    return TrainMeasures("", counts.isi_counts, counts.acg_counts, statistics, ratios)


def why_no_train(spike_times: Float, obs_intervals: Float | None) -> str:
    """Say why a spike train cannot be described; an empty text when it can.

    Examples
    --------
    >>> import numpy as np
    >>> why_no_train(np.array([0.5, np.nan]), None)
    'spike times contain NaN or infinite values'
    """
    if len(spike_times) == 0:
        return NO_SPIKES
    is_finite, unsorted = _look_over(np.ascontiguousarray(spike_times, dtype=np.float64))
    if not is_finite:
        return "spike times contain NaN or infinite values"
    if unsorted:
        return f"spike times are not sorted (first at spike {unsorted})"
    if spike_times[0] < 0:
        return f"spike times are negative (first {spike_times[0]:g} s): they must count from the start of the session"
    if len(spike_times) > 20 and spike_times[-1] > 1e5 and not np.mod(spike_times[:200], 1).any():
        return "spike times are whole numbers: samples instead of seconds?"
    if obs_intervals is not None and len(obs_intervals):
        if not np.isfinite(obs_intervals).all():
            return "observation intervals contain NaN or infinite values"
        if (obs_intervals[:, 1] < obs_intervals[:, 0]).any():
            return "an observation interval ends before it starts"
    return ""


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _look_over(times: Float) -> tuple[bool, int]:
    """Are all times finite, and which is the first that is earlier than the one before (0: none)?"""
    n_wrong = 0 if np.isfinite(times[0]) else 1
    for i in range(1, len(times)):  # finite times in ascending order have finite, positive steps; this is quick
        n_wrong += not (times[i - 1] <= times[i] and times[i] < np.inf)
    if n_wrong == 0:
        return True, 0
    unsorted = 0
    for i in range(len(times)):
        if not np.isfinite(times[i]):
            return False, 0
        if i and unsorted == 0 and times[i] < times[i - 1]:
            unsorted = i
    return True, unsorted
