"""The mean waveform of a unit, on its peak channel or across channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nwb_celltype.colours import INK, colour_of
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.plotting.canvas import axes_for
from nwb_celltype.plotting.channels import channel_waveforms, on_probe, scale_unit_of
from nwb_celltype.plotting.panels import draw_channels, draw_trace
from nwb_celltype.units import Units

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    waveform, positions = units.waveform_mean[row], units.unit_positions(row)
    shown = channel_waveforms(
        waveform,
        float(units.waveform_rates_hz[row]),
        None if positions is None else on_probe(positions),
        scale_unit=scale_unit_of(units, row),
        n_channels=n_channels,
    )
    if shown is None:
        has_samples = waveform is not None and bool(np.isfinite(waveform).any())
        why = "a mean waveform of unknown sampling rate" if has_samples else "no mean waveform"
        message = f"Unit {unit_id} of {units.session.path or 'these units'} has {why}; there is nothing to plot."
        raise InputError(message)
    unit = "µV" if shown.scale_unit == "uV" else shown.scale_unit
    colour = colour_of(cell_type) if cell_type else INK
    ax = axes_for(ax)
    if n_channels == 1:
        draw_trace(ax, shown.time_ms, shown.values[shown.peak], colour, unit)
    else:
        draw_channels(ax, shown.time_ms, shown.values, shown.positions, shown.peak, colour, unit)
    return ax
