"""Interval histograms and autocorrelograms of a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.colours import INK, colour_of
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.features.autocorrelograms import N_LOG_LAGS, acg_3d, log_lags_ms
from nwb_celltype.features.counts import TrainCounts, count_train, split_by_intervals
from nwb_celltype.features.dataset import why_no_train
from nwb_celltype.plotting.canvas import axes_for
from nwb_celltype.plotting.panels import draw_correlogram, draw_intervals, draw_rate_map
from nwb_celltype.units import Units

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

Float = NDArray[np.float64]

ISI_EDGES_MS: Float = np.logspace(0, 4, 81)
"""Edges of logarithmic bins from 1 ms to 10 s, in which fast and slow cells alike can be seen."""
LAGS_MS: Float = np.arange(-100.0, 101.0)


def plot_isi(
    units: Units | xr.Dataset, unit_id: int, *, log: bool = False, cell_type: str = "", ax: Axes | None = None
) -> Axes:
    """Plot the inter-spike intervals of a unit; none bridges a gap between observed intervals.

    Parameters
    ----------
    units : Units or xarray.Dataset
        A recording, or its features from `nwb_celltype.features.compute`.
    unit_id : int
    log : bool
        Intervals from 1 ms to 10 s in logarithmic bins, which shows slow cells too; by default 1 ms bins up to 100 ms.
        Needs the recording.
    cell_type : str
        Class that gives the colour; dark grey by default.
    ax : matplotlib.axes.Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    UsageError
        If there is no such unit, or matplotlib is missing.
    InputError
        If its spike train cannot be used, or `log` is asked of features.

    Examples
    --------
    >>> import numpy as np
    >>> import nwb_celltype as nct
    >>> from nwb_celltype.plotting import plot_isi
    >>> units = nct.Units.from_arrays([np.cumsum(np.random.default_rng(0).gamma(4, 0.005, 500))], unit_ids=[7])
    >>> plot_isi(units, 7, cell_type="PkC_ss").get_xlabel()
    'interval (ms)'
    """
    colour = _colour(cell_type)
    if not log:
        counts = np.asarray(_counts(units, unit_id)[0], dtype=np.float64)
        ax = axes_for(ax)
        draw_intervals(ax, np.arange(101.0), counts, colour)
        return ax
    if not isinstance(units, Units):
        message = "Features hold intervals up to 100 ms only; for a logarithmic axis give the recording (`read_units`)."
        raise InputError(message)
    times, observed = _train(units, unit_id)
    ax = axes_for(ax)
    draw_intervals(ax, ISI_EDGES_MS, interval_counts(times, observed), colour)
    return ax


def interval_counts(spike_times: Float, obs_intervals: Float | None = None) -> Float:
    """(80,) inter-spike intervals in the bins between `ISI_EDGES_MS`; none bridges a gap between observed intervals.

    Parameters
    ----------
    spike_times : (n_spikes,) array, seconds, ascending
    obs_intervals : (n_intervals, 2) array, seconds, optional

    Examples
    --------
    >>> import numpy as np
    >>> int(interval_counts(np.arange(0, 60, 2.0)).sum())
    29
    """
    pieces, _ = split_by_intervals(spike_times, obs_intervals)
    intervals = np.concatenate([np.empty(0), *(np.diff(piece) for piece in pieces)]) * 1e3
    return np.histogram(intervals, ISI_EDGES_MS)[0].astype(np.float64)


def plot_acg(units: Units | xr.Dataset, unit_id: int, *, cell_type: str = "", ax: Axes | None = None) -> Axes:
    """Plot the autocorrelogram of a unit: 1 ms bins, lags of -100 to 100 ms.

    Parameters
    ----------
    units : Units or xarray.Dataset
        A recording (then in spikes per second), or its features (then in pairs of spikes).
    unit_id : int
    cell_type : str
        Class that gives the colour.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    UsageError
        If there is no such unit, or matplotlib is missing.
    InputError
        If its spike train cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> import nwb_celltype as nct
    >>> from nwb_celltype.plotting import plot_acg
    >>> units = nct.Units.from_arrays([np.arange(0, 60, 0.02)])
    >>> plot_acg(units, 0).get_ylabel()
    'spikes/s'
    """
    _, pairs, n_spikes = _counts(units, unit_id)
    ax = axes_for(ax)
    if n_spikes:
        draw_correlogram(ax, LAGS_MS, pairs / n_spikes * 1e3, _colour(cell_type), "spikes/s")
    else:
        draw_correlogram(ax, LAGS_MS, np.asarray(pairs, dtype=np.float64), _colour(cell_type), "pairs of spikes")
    return ax


def plot_acg_3d(units: Units, unit_id: int, *, colorbar: bool = True, ax: Axes | None = None) -> Axes:
    """Plot the autocorrelograms of a unit at its ten firing rates, over logarithmic lags of 1 ms to 1 s.

    Each row holds the spikes around which the unit fired at one tenth of its rates, the slowest at the bottom
    (`nwb_celltype.features.acg_3d`).

    Parameters
    ----------
    units : Units
    unit_id : int
    colorbar : bool
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    UsageError
        If there is no such unit, or matplotlib is missing.
    InputError
        If its spike train cannot be used, or is too short: no spike has a second before and after it.

    Examples
    --------
    >>> import numpy as np
    >>> import nwb_celltype as nct
    >>> from nwb_celltype.plotting import plot_acg_3d
    >>> units = nct.Units.from_arrays([np.arange(0, 60, 0.02)])
    >>> plot_acg_3d(units, 0).get_xscale()
    'log'
    """
    values = rate_map(units, unit_id)
    ax = axes_for(ax)
    mesh = draw_rate_map(ax, log_lags_ms()[N_LOG_LAGS + 1 :], values)
    if colorbar:
        ax.figure.colorbar(mesh, ax=ax, label="spikes/s")
    return ax


def rate_map(units: Units, unit_id: int) -> Float:
    """(10, 100) probability of a spike in a millisecond, at ten rates and positive logarithmic lags.

    Raises
    ------
    InputError
        If the train cannot be used, or no spike has a second before and after it.
    """
    times, observed = _train(units, unit_id)
    values = acg_3d(times, observed, log_lags=True)[:, N_LOG_LAGS + 1 :]
    if not values.any():
        message = (
            f"Unit {unit_id} of {units.session.path or 'these units'} has no 3D-ACG: no spike has an observed second "
            "before and after it."
        )
        raise InputError(message)
    return values


def _colour(cell_type: str) -> str:
    return colour_of(cell_type) if cell_type else INK


def _train(units: Units, unit_id: int) -> tuple[Float, Float | None]:
    """Spike times of a unit that can be counted, and when it was observed."""
    row = units.row_of(unit_id)
    times = units.spike_times[row]
    observed = None if units.obs_intervals is None else units.obs_intervals[row]
    why = why_no_train(times, observed)
    if why:
        message = f"Unit {unit_id} of {units.session.path or 'these units'} cannot be plotted: {why}."
        raise InputError(message)
    return times, observed


def _counts(units: Units | xr.Dataset, unit_id: int) -> tuple[Any, Any, int]:
    """Interval counts, pair counts, and the number of spikes, 0 where features do not say it."""
    if isinstance(units, Units):
        counts: TrainCounts = count_train(*_train(units, unit_id))
        return counts.isi_counts, counts.acg_counts, counts.n_spikes
    unit = unit_of(units, unit_id)
    if not unit["acg_counts"].values.any():
        why = str(unit["train_reason"].item()) or "it has no pairs of spikes within 100 ms"
        message = f"Unit {unit_id} cannot be plotted: {why}."
        raise InputError(message)
    return unit["isi_counts"].values, unit["acg_counts"].values, 0


def unit_of(features: xr.Dataset, unit_id: int) -> xr.Dataset:
    """Return one unit of a dataset by its id.

    Raises
    ------
    UsageError
        If there is no such unit.
    """
    rows = np.flatnonzero(features["unit"].values == unit_id)
    if not len(rows):
        message = f"There is no unit {unit_id} in these features; look at `features.unit`."
        raise UsageError(message)
    return features.isel(unit=int(rows[0]))
