"""The mean waveform of a unit, on its peak channel or across channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.colours import INK, colour_of
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.plotting.canvas import axes_for
from nwb_celltype.plotting.panels import draw_channels, draw_trace
from nwb_celltype.plotting.places import on_probe
from nwb_celltype.units import Units

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEFORE_MS, AFTER_MS = 2.0, 4.0
"""Time around the largest deflection that is shown."""


def plot_waveform(
    units: Units, unit_id: int, *, n_channels: int = 1, cell_type: str = "", ax: Axes | None = None
) -> Axes:
    """Plot the mean waveform of a unit.

    Parameters
    ----------
    units : Units
    unit_id : int
    n_channels : int
        1: the channel of the largest amplitude. More: that one and the nearest to it, each where it lies on the probe;
        where positions are unknown, those of the largest amplitude below one another.
    cell_type : str
        Class that gives the colour; dark grey by default.
    ax : matplotlib.axes.Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Time 0 is the largest deflection on the peak channel.

    Raises
    ------
    UsageError
        If there is no such unit, fewer than one channel is asked for, or matplotlib is missing.
    InputError
        If the unit has no mean waveform, or its sampling rate is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> import nwb_celltype as nct
    >>> from nwb_celltype.plotting import plot_waveform
    >>> shape = -60 * np.exp(-(((np.arange(60) - 20) / 4.0) ** 2))
    >>> units = nct.Units.from_arrays([[0.1]], waveform_mean=[shape], waveform_rate_hz=30_000)
    >>> plot_waveform(units, 0, cell_type="MLI").get_ylabel()
    'mean waveform (µV)'
    """
    if n_channels < 1:
        message = f"A waveform has one channel or more, not {n_channels}."
        raise UsageError(message)
    row = units.row_of(unit_id)
    waveform, peak, rate = units.waveform_mean[row], units.peak_channel(row), units.waveform_rates_hz[row]
    if waveform is None or peak is None or not np.isfinite(rate):
        why = "no mean waveform" if waveform is None or peak is None else "a mean waveform of unknown sampling rate"
        message = f"Unit {unit_id} of {units.session.path or 'these units'} has {why}; there is nothing to plot."
        raise InputError(message)
    trace = waveform[:, peak]
    centre = int(np.nanargmax(np.abs(trace - np.nanmedian(trace))))
    first = max(0, centre - round(BEFORE_MS * 1e-3 * rate))
    last = min(len(trace), centre + round(AFTER_MS * 1e-3 * rate) + 1)
    time_ms = (np.arange(first, last) - centre) / rate * 1e3
    unit = "a.u." if units.is_whitened[row] else "µV"
    colour = colour_of(cell_type) if cell_type else INK
    ax = axes_for(ax)
    if n_channels == 1:
        draw_trace(ax, time_ms, trace[first:last], colour, unit)
        return ax
    positions = units.unit_positions(row)
    if positions is not None:
        positions = on_probe(positions) if len(positions) == waveform.shape[1] else None
    rows = _nearest(waveform, peak, positions)[:n_channels]
    shown = None if positions is None else positions[rows]
    draw_channels(ax, time_ms, waveform[first:last, rows].T, shown, 0, colour, unit)
    return ax


def _nearest(waveform: NDArray[np.float64], peak: int, positions: NDArray[np.float64] | None) -> NDArray[np.intp]:
    """Channels with anything on them, the peak first, then by distance, or by amplitude where that is unknown."""
    seen: NDArray[np.bool_] = np.asarray(np.isfinite(waveform).any(axis=0))
    if positions is not None and np.isfinite(positions[peak]).all():
        far = np.linalg.norm(positions - positions[peak], axis=1)
        rank = np.where(np.isfinite(far), far, np.inf)
        seen &= np.isfinite(far)
    else:
        rank = np.where(seen, -np.ptp(np.where(np.isfinite(waveform), waveform, 0.0), axis=0), np.inf)
    rank[peak] = -np.inf
    order = np.argsort(rank, kind="stable")
    return order[seen[order]]
