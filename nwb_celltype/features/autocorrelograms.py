"""Autocorrelograms of a spike train at each of its firing rates: the 3D-ACG, in one definition for every machine.

A spike is a trigger at the rate at which the unit fired around it. Triggers are put into rows by rate, slowest first
(`trigger_rows`), and each row holds the probability of a spike in each millisecond around its triggers
(`trigger_counts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.features.threads import over_units
from nwb_celltype.features.trigger_counts import count_around
from nwb_celltype.features.trigger_rows import Stretch, rates_and_rows
from nwb_celltype.intervals import merged_intervals

N_ROWS = 10
WINDOW_MS = 2000
N_LOG_LAGS = 100
"""Lags of each side of the log-resampled map."""

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

_TIE_MS = 1e-6  # spikes sit on sampling grids that meet the edges of 1 ms bins: a nanosecond decides no bin
_LONGEST_S = 1e12  # later times do not fit into whole milliseconds
_SMOOTHING_BINS = 1.0


class RateAutocorrelograms(NamedTuple):
    """A 3D-ACG with what its rows stand for.

    Attributes
    ----------
    acg : (n_rows, n_lags) array
        As `acg_3d` returns it.
    rates_hz : (n_rows,) array
        Mean of the rates around the spikes of each row; NaN for a row without spikes.
    n_triggers : (n_rows,) int64 array
        Spikes of which each row is the mean; 0 where it is empty.
    """

    acg: Float
    rates_hz: Float
    n_triggers: Integer


def acg_3d(
    spike_times: Float,
    obs_intervals: Float | None = None,
    *,
    window_ms: int = WINDOW_MS,
    n_rows: int = N_ROWS,
    log_lags: bool = False,
) -> Float:
    """Autocorrelograms of a unit at `n_rows` firing rates.

    The rate at a spike is the mean over 250 ms of the inverse inter-spike interval, where each interval stands for the
    time between the middles of its neighbours. Rows are cut at the quantiles 1/11, 2/11, ... 10/11 of the rates (for
    ten rows), so that the last holds twice as many triggers as the others. Spikes within half a window of the start,
    and of the end, are no triggers.

    Parameters
    ----------
    spike_times : (n_spikes,) array, seconds, ascending
        Several spikes in one millisecond count once as a target, and each as a trigger.
    obs_intervals : (n_intervals, 2) array, seconds, optional
        When the unit was observed: no rate, window or lag reaches over a gap, and spikes outside do not count. By
        default from time 0 to the last spike.
    window_ms : int
        Even; lags go from minus to plus half of it.
    n_rows : int
    log_lags : bool
        Return the map on logarithmic lags, as `log_acg_3d`.

    Returns
    -------
    (n_rows, window_ms + 1) array, or (n_rows, 201) array with `log_lags`
        Probability of a spike in the millisecond at each lag, given a spike; slowest row first, 0 at lag 0. Rows
        without triggers are 0.

    Raises
    ------
    InputError
        If spike times are NaN, negative or not ascending.
    UsageError
        If `window_ms` is not even and positive, or there is no row.

    Examples
    --------
    >>> import numpy as np
    >>> from nwb_celltype.features import acg_3d
    >>> acg = acg_3d(np.arange(0, 60, 0.02))
    >>> acg.shape, acg[0, 1000 + np.array([19, 20, 40])].tolist()
    ((10, 2001), [0.0, 1.0, 1.0])
    """
    return acg_3d_with_rates(spike_times, obs_intervals, window_ms=window_ms, n_rows=n_rows, log_lags=log_lags).acg


def acg_3d_with_rates(
    spike_times: Float,
    obs_intervals: Float | None = None,
    *,
    window_ms: int = WINDOW_MS,
    n_rows: int = N_ROWS,
    log_lags: bool = False,
) -> RateAutocorrelograms:
    """Autocorrelograms of a unit at `n_rows` firing rates, and these rates.

    Parameters and errors are those of `acg_3d`.

    Returns
    -------
    RateAutocorrelograms

    Examples
    --------
    >>> import numpy as np
    >>> from nwb_celltype.features import acg_3d_with_rates
    >>> found = acg_3d_with_rates(np.arange(0, 60, 0.02))
    >>> found.rates_hz[0].round(), found.n_triggers.tolist()
    (np.float64(50.0), [2899, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    """
    if window_ms < 2 or window_ms % 2 or n_rows < 1:
        message = f"The window must be an even number of ms and there must be rows, not {window_ms} ms and {n_rows}."
        raise UsageError(message)
    half = window_ms // 2
    counts, n_triggers = np.zeros((n_rows, window_ms + 1), dtype=np.int64), np.zeros(n_rows, dtype=np.int64)
    totals, n_spikes = np.zeros(n_rows), np.zeros(n_rows, dtype=np.int64)
    stretches = _stretches(_checked(spike_times), obs_intervals)
    for (bins, start, stop), rates, rows in zip(stretches, *rates_and_rows(stretches, n_rows), strict=True):
        count_around(bins, rows, start, stop, half, counts, n_triggers)
        _add_rates(rates, rows, totals, n_spikes)
    counts[:, half] = 0
    acg = counts / np.maximum(n_triggers, 1)[:, None]
    rates_hz = np.divide(totals, n_spikes, out=np.full(n_rows, np.nan), where=n_spikes > 0)
    return RateAutocorrelograms(log_acg_3d(acg) if log_lags else acg, rates_hz, n_triggers)


def acgs_3d(
    spike_times: Iterable[Float],
    obs_intervals: Iterable[Float | None] | None = None,
    *,
    window_ms: int = WINDOW_MS,
    n_rows: int = N_ROWS,
    log_lags: bool = False,
    n_threads: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Float:
    """3D-ACGs of many units, computed side by side; trains are read one after the other, as they are needed.

    Parameters
    ----------
    spike_times : iterable of (n_spikes,) arrays, seconds, ascending
        Such as `Units.spike_times`.
    obs_intervals : iterable of (n_intervals, 2) arrays or None, optional
        One entry a unit, such as `Units.obs_intervals`.
    window_ms, n_rows, log_lags
        As for `acg_3d`.
    n_threads : int, optional
        By default as many as there are processors for this process; ``OMP_NUM_THREADS`` lowers it.
    progress : callable, optional
        Called after each unit with a task, the units done and the number of units.

    Returns
    -------
    (n_units, n_rows, window_ms + 1) array, or (n_units, n_rows, 201) array with `log_lags`

    Raises
    ------
    InputError
        If spike times are NaN, negative or not ascending; the message says of which row.
    UsageError
        If `window_ms` is not even and positive, or there is no row.

    Examples
    --------
    >>> import numpy as np
    >>> from nwb_celltype.features import acgs_3d
    >>> acgs_3d([np.arange(0, 60, 0.02), np.arange(0, 60, 0.1)], log_lags=True).shape
    (2, 10, 201)
    """

    def one(row: int, times: Float, intervals: Float | None) -> Float:
        try:
            return acg_3d(times, intervals, window_ms=window_ms, n_rows=n_rows, log_lags=log_lags)
        except InputError as error:
            message = f"Row {row}: {error}"
            raise InputError(message) from error

    found = list(over_units(one, spike_times, obs_intervals, n_threads=n_threads, task="3D-ACG", progress=progress))
    n_lags = 2 * N_LOG_LAGS + 1 if log_lags else window_ms + 1
    return np.stack(found) if found else np.empty((0, n_rows, n_lags))


def log_acg_3d(acg: Float) -> Float:
    """Resample autocorrelograms to logarithmic lags and smooth them a little.

    Parameters
    ----------
    acg : (..., n_lags) array
        1 ms lags, as many negative as positive ones; the positive ones are used.

    Returns
    -------
    (..., 201) array
        At `log_lags_ms`: 100 lags from 1 ms to half the window, 0 at lag 0, and the same mirrored before.

    Examples
    --------
    >>> import numpy as np
    >>> log_acg_3d(np.ones((10, 2001))).shape
    (10, 201)
    """
    from scipy.ndimage import gaussian_filter1d

    half = acg.shape[-1] // 2
    lags = np.arange(1, half + 1)
    at = np.logspace(0, np.log10(half), N_LOG_LAGS)
    flat = acg.reshape(-1, acg.shape[-1])[:, half + 1 :]
    right = np.stack([np.interp(at, lags, row) for row in flat]) if len(flat) else np.zeros((0, N_LOG_LAGS))
    right = gaussian_filter1d(right, _SMOOTHING_BINS, axis=1, mode="reflect", truncate=4.0)
    both = np.concatenate([right[:, ::-1], np.zeros((len(right), 1)), right], axis=1)
    return np.asarray(both.reshape(*acg.shape[:-1], 2 * N_LOG_LAGS + 1))


def log_lags_ms(window_ms: int = WINDOW_MS) -> Float:
    """(201,) lags of `log_acg_3d`, ms.

    Examples
    --------
    >>> log_lags_ms()[[0, 100, 101, 200]].tolist()
    [-1000.0, 0.0, 1.0, 1000.0]
    """
    right = np.logspace(0, np.log10(window_ms // 2), N_LOG_LAGS)
    return np.concatenate([-right[::-1], [0.0], right])


def _checked(spike_times: Float) -> Float:
    times = np.ascontiguousarray(spike_times, dtype=np.float64)
    if times.ndim != 1 or not _ascend(times):
        message = (
            "Spike times must be one row of finite seconds from 0 on, in ascending order; "
            f"these are {times.size} values of shape {times.shape}. Correct the units table."
        )
        raise InputError(message)
    return times


def _stretches(times: Float, obs_intervals: Float | None) -> list[Stretch]:
    """Milliseconds of the spikes of each observed stretch, and where it starts and stops, in ms from time 0."""
    if obs_intervals is None or len(obs_intervals) == 0:
        bins = _milliseconds(times)
        return [Stretch(bins, 0, int(bins[-1]) + 1)] if len(bins) else []
    stretches = []
    for start, stop in merged_intervals(np.asarray(obs_intervals, dtype=np.float64)).tolist():
        inside = times[np.searchsorted(times, start, "left") : np.searchsorted(times, stop, "right")]
        if len(inside):
            bins = _milliseconds(inside)
            end = bins[-1] if np.isinf(stop) else max(bins[-1], _milliseconds(np.array([stop]))[0] - 1)
            first = min(bins[0], np.ceil(max(start, 0.0) * 1e3 - _TIE_MS))
            stretches.append(Stretch(bins, int(first), int(end) + 1))
    return stretches


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _ascend(times: Float) -> bool:
    """Are these times from 0 to the longest, each at least as late as the one before?"""
    n = len(times)
    if n == 0:
        return True
    n_wrong = 0
    for i in range(n - 1):
        n_wrong += not times[i] <= times[i + 1]  # NaN is wrong too
    return n_wrong == 0 and times[0] >= 0 and times[n - 1] <= _LONGEST_S


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _milliseconds(times: Float) -> Integer:
    bins = np.empty(len(times), dtype=np.int64)
    for i in range(len(times)):
        bins[i] = int(np.floor(times[i] * 1e3 + _TIE_MS))
    return bins


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _add_rates(rates: Float, rows: NDArray[np.int32], totals: Float, n_spikes: Integer) -> None:
    for i in range(len(rates)):
        totals[rows[i]] += rates[i]
        n_spikes[rows[i]] += 1
