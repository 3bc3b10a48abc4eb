"""Interval and correlogram panels of a spike train."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.features import acg_3d_with_rates
from nwb_celltype.features.autocorrelograms import N_LOG_LAGS, log_lags_ms
from nwb_celltype.reporting.records import RateCorrelograms

Float = NDArray[np.float64]

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
    acg, rates_hz, _ = acg_3d_with_rates(spike_times, obs_intervals, log_lags=True)
    values = acg[:, N_LOG_LAGS + 1 :]
    return RateCorrelograms(rates_hz, values) if values.any() else None
