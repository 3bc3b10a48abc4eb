"""The mean waveform of a unit on its peak channel and the channels around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.units import Units
from nwb_celltype.units.waveforms import peak_channel_of

N_CHANNELS = 9
"""Channels that are shown: the peak channel and eight around it."""
BEFORE_MS = 2.0
AFTER_MS = 4.0
"""Time around the largest deflection that is shown."""
MOST_SAMPLES = 192
"""Waveforms sampled faster than 32 kHz are thinned."""

Float = NDArray[np.float64]

_SHAPE_ALONE = "only its shape counts"


@dataclass(frozen=True, eq=False)
class ChannelWaveforms:
    """Mean waveform of a unit on its peak channel and the channels nearest to it.

    Attributes
    ----------
    start_ms, step_ms : float
        Time of the first sample from the largest deflection on the peak channel, and of one sample.
    values : (k, n) array
        A row a channel; NaN where it was not recorded.
    x_um, y_um : (k,) array or None
        Positions of the channels; None where the file does not say.
    peak : int
        Row of the peak channel.
    scale_unit : {'uV', 'a.u.'}
    """

    start_ms: float
    step_ms: float
    values: Float
    x_um: Float | None
    y_um: Float | None
    peak: int
    scale_unit: str

    @property
    def time_ms(self) -> Float:
        """(n,) times of the samples in ms."""
        return np.asarray(self.start_ms + self.step_ms * np.arange(self.values.shape[1]))

    @property
    def positions(self) -> Float | None:
        """(k, 2) positions of the channels, None where the file does not say."""
        return None if self.x_um is None or self.y_um is None else np.column_stack([self.x_um, self.y_um])


def channel_waveforms(
    waveform: Float | None,
    rate_hz: float,
    positions: Float | None,
    *,
    scale_unit: str = "uV",
    n_channels: int = N_CHANNELS,
) -> ChannelWaveforms | None:
    """Cut the peak channel and its nearest neighbours out of a mean waveform.

    Parameters
    ----------
    waveform : (n_samples, n_channels) array or None
        Channels that were not recorded may be NaN.
    rate_hz : float, hertz
    positions : (n_channels, 2) array or None, micrometres
        Where they are unknown, or not one for each channel, the channels of the largest amplitude are taken.
    scale_unit : {'uV', 'a.u.'}
    n_channels : int
        No more channels than these.

    Returns
    -------
    ChannelWaveforms or None
        None without a waveform, its rate, or anything finite in it.

    Examples
    --------
    >>> import numpy as np
    >>> waveform = np.zeros((60, 3))
    >>> waveform[30] = [-20.0, -80.0, -10.0]
    >>> shown = channel_waveforms(waveform, 30_000.0, np.array([[0.0, 0.0], [0.0, 20.0], [0.0, 60.0]]))
    >>> shown.y_um.tolist(), shown.peak, round(shown.start_ms, 3)
    ([20.0, 0.0, 60.0], 0, -1.0)
    """
    peak = peak_channel_of(waveform)
    if waveform is None or peak is None or not np.isfinite(rate_hz) or rate_hz <= 0:
        return None
    finite = np.where(np.isfinite(waveform), waveform, np.nan)
    is_matched = positions is not None and len(positions) == waveform.shape[1]
    rows = _nearest(finite, peak, positions if is_matched else None)[:n_channels]
    at = int(np.nanargmax(np.abs(finite[:, peak] - np.nanmedian(finite[:, peak]))))
    first = max(0, at - round(BEFORE_MS * 1e-3 * rate_hz))
    last = min(len(finite), at + round(AFTER_MS * 1e-3 * rate_hz) + 1)
    every = max(1, -(-(last - first) // MOST_SAMPLES))
    first += (at - first) % every  # the peak itself is kept
    values = finite[first:last:every, rows].T
    shown = None if positions is None or not is_matched else np.asarray(positions, dtype=np.float64)[rows]
    step_ms = 1e3 / rate_hz
    return ChannelWaveforms(
        start_ms=(first - at) * step_ms,
        step_ms=every * step_ms,
        values=np.ascontiguousarray(values),
        x_um=None if shown is None else shown[:, 0],
        y_um=None if shown is None else shown[:, 1],
        peak=0,
        scale_unit=scale_unit,
    )


def scale_unit_of(units: Units, row: int) -> str:
    """Say in what the mean waveform of a unit row is measured: ``uV``, or ``a.u.`` where only its shape is known."""
    is_shape = units.is_whitened[row] or _SHAPE_ALONE in (units.waveform_unit_note or "")
    return "a.u." if is_shape else "uV"


def on_probe(positions: Float) -> Float:
    """(n, 2) positions on a probe: across it, and along it.

    Of three coordinates those two are kept along which the electrodes differ, in their order.

    Examples
    --------
    >>> import numpy as np
    >>> on_probe(np.array([[0.0, 5.0, 20.0], [0.0, 6.0, 40.0]])).tolist()
    [[5.0, 20.0], [6.0, 40.0]]
    """
    if positions.shape[1] == 2:
        return positions
    known = np.isfinite(positions)
    highest = np.where(known, positions, -np.inf).max(axis=0, initial=-np.inf)
    lowest = np.where(known, positions, np.inf).min(axis=0, initial=np.inf)
    differs = [axis for axis in range(positions.shape[1]) if highest[axis] > lowest[axis]]
    if len(differs) > 2 or (differs and max(differs) < 2):
        return positions[:, :2]
    # one line of electrodes: the axis along it is the depth
    kept = [differs[0] - 1, differs[0]] if len(differs) == 1 else differs or [0, 1]
    return positions[:, kept]


def _nearest(waveform: Float, peak: int, positions: Float | None) -> NDArray[np.intp]:
    """Channels that are shown, the peak first."""
    seen = np.asarray(np.isfinite(waveform).any(axis=0))
    if positions is None:
        highest = np.where(seen, np.nanmax(np.where(seen, waveform, 0.0), axis=0), 0.0)
        lowest = np.where(seen, np.nanmin(np.where(seen, waveform, 0.0), axis=0), 0.0)
        order = np.lexsort((np.arange(len(seen)), -(highest - lowest), ~seen))
    else:
        distance = np.linalg.norm(positions - positions[peak], axis=1)
        distance = np.where(np.isfinite(distance), distance, np.inf)
        order = np.lexsort((np.arange(len(seen)), distance, ~seen))
    kept = [int(k) for k in order if seen[k] and k != peak]
    return np.array([peak, *kept], dtype=np.intp)
