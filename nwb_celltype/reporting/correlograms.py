"""Interval and correlogram panels of a spike train."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.features import autocorrelograms
from nwb_celltype.features.autocorrelograms import N_LOG_LAGS, N_ROWS, acg_3d, log_lags_ms
from nwb_celltype.reporting.records import RateCorrelograms

Float = NDArray[np.float64]

ISI_EDGES_MS: Float = np.arange(101, dtype=np.float64)
ACG_LAGS_MS: Float = np.arange(-100, 101, dtype=np.float64)


def positive_log_lags_ms() -> Float:
    """(100,) lags of the rows of a `RateCorrelograms`, ms."""
    return log_lags_ms()[N_LOG_LAGS + 1 :]


def acg_hz(pairs: NDArray[np.integer], n_spikes: float) -> Float | None:
    """(201,) spikes per second at each lag, of pairs of spikes in 1 ms bins; None without spikes.

    Examples
    --------
    >>> import numpy as np
    >>> pairs = np.zeros(201, dtype=int)
    >>> pairs[120] = 50
    >>> float(acg_hz(pairs, 100)[120])
    500.0
    """
    if not np.isfinite(n_spikes) or n_spikes < 1:
        return None
    return np.asarray(pairs / n_spikes * 1e3)


def rate_correlograms(spike_times: Float, obs_intervals: Float | None = None) -> RateCorrelograms | None:
    """3D-ACG of a unit at positive logarithmic lags, with the firing rate of each row.

    Parameters
    ----------
    spike_times : (n_spikes,) array, seconds, ascending
    obs_intervals : (n_intervals, 2) array, seconds, optional

    Returns
    -------
    RateCorrelograms or None
        None where no spike is a trigger, as in recordings shorter than two seconds.

    Raises
    ------
    InputError
        If spike times are NaN, negative or not ascending.

    Examples
    --------
    >>> import numpy as np
    >>> rate_correlograms(np.arange(0, 60, 0.02)).rates_hz[0].round()
    np.float64(50.0)
    """
    values = acg_3d(spike_times, obs_intervals, log_lags=True)[:, N_LOG_LAGS + 1 :]
    if not values.any():
        return None
    return RateCorrelograms(_row_rates(spike_times, obs_intervals), values)


def _row_rates(spike_times: Float, obs_intervals: Float | None) -> Float:
    """(10,) mean rate of the spikes of each row, by the definition of the 3D-ACG itself."""
    pieces = autocorrelograms._pieces(np.ascontiguousarray(spike_times, dtype=np.float64), obs_intervals)
    rates = [autocorrelograms._rates(bins, _boundaries(bins), *ends) for bins, *ends in pieces]
    every = np.concatenate(rates)
    edges = np.quantile(every, np.arange(1, N_ROWS + 1) / (N_ROWS + 1))
    row = np.minimum(np.searchsorted(edges, every, side="left"), N_ROWS - 1)
    n = np.bincount(row, minlength=N_ROWS)
    total = np.bincount(row, weights=every, minlength=N_ROWS)
    return np.asarray(np.divide(total, n, out=np.full(N_ROWS, np.nan), where=n > 0))


def _boundaries(bins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Distinct middles between neighbouring spikes; they are in order already, and sorting them again takes long."""
    middles = bins[:-1] + np.diff(bins) // 2
    return np.asarray(middles[np.append(True, np.diff(middles) > 0)]) if len(middles) else middles
