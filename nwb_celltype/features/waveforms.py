"""Describe one mean waveform in time and shape: never its amplitude, always its polarity."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

WAVEFORM_TIME_MS: NDArray[np.float64] = np.round(np.arange(-32, 49) * 0.025, 6)
"""Times, relative to the main peak, at which a waveform is described: -0.8 to 1.2 ms."""

_FINE_MS = np.round(np.arange(-900, 1401, 5) * 1e-3, 6)
"""The grid on which widths and slopes are measured."""

WAVEFORM_STATISTICS: tuple[str, ...] = (
    "polarity",
    "half_width_ms",
    "half_width_before_ms",
    "half_width_after_ms",
    "peak_after_ms",
    "peak_after",
    "peak_before",
    "peak_before_ms",
    "log_peak_asymmetry",
    "max_slope",
    "min_slope",
    "value_at_0.5_ms",
    "value_at_1.0_ms",
    "value_at_1.2_ms",
    "fraction_below_quarter",
    "mean_absolute",
    "sign_changes",
    "min_after",
    "min_before",
)
"""Names of the shape statistics; voltages are relative to the main peak, which is turned to -1."""

# A waveform must show at least this much around its main peak to be described at all.
_NEEDED_BEFORE_MS = 0.2
_NEEDED_AFTER_MS = 0.4


class WaveformShape(NamedTuple):
    """One waveform, aligned to its main peak.

    Attributes
    ----------
    waveform : (81,) array
        Voltage at `WAVEFORM_TIME_MS`, divided by the largest absolute value, sign as recorded.
    statistics : (19,) array
        `WAVEFORM_STATISTICS`, measured on the waveform turned so that its main peak is negative.
    polarity : int
        1 for a main peak that is positive as recorded, -1 for a negative one.
    """

    waveform: NDArray[np.float64]
    statistics: NDArray[np.float64]
    polarity: int


def describe_waveform(waveform: NDArray[np.floating], sampling_rate_hz: float) -> WaveformShape | str:
    """Align one mean waveform in continuous time and measure its shape.

    A cubic spline stands for the waveform between its samples, so that the same spike sampled at 25, 30 or 40 kHz
    gives the same description. The main peak is the largest absolute deviation from the baseline (the median of
    what precedes the peak by more than 0.6 ms).

    Parameters
    ----------
    waveform : (n_samples,) array, any unit
    sampling_rate_hz : float, hertz

    Returns
    -------
    WaveformShape or str
        A sentence that says why, when the waveform cannot be described.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(-30, 45) / 30
    >>> shape = describe_waveform(-np.exp(-(t / 0.1) ** 2) + 0.3 * np.exp(-((t - 0.4) / 0.2) ** 2), 30_000)
    >>> shape.polarity, round(float(shape.statistics[1]), 2)
    (-1, 0.17)
    """
    samples = np.asarray(waveform, dtype=np.float64)
    if samples.ndim != 1 or len(samples) < 8:
        return f"the waveform has {samples.size} samples, at least 8 are needed"
    if not np.isfinite(samples).all():
        return "the waveform contains NaN or infinite values"
    if not np.isfinite(sampling_rate_hz) or sampling_rate_hz < 5_000:
        return f"a waveform sampled at {sampling_rate_hz:g} Hz is too coarse, 5000 Hz are needed"
    step_ms = 1e3 / sampling_rate_hz
    centred = samples - _baseline(samples, step_ms)
    scale = np.abs(centred).max()
    if scale <= 1e-9 * float(np.abs(samples).max()):
        return "the waveform is flat"
    centred /= scale
    spline = CubicSpline(np.arange(len(centred)) * step_ms, centred)
    peak_ms, peak = _refine_peak(spline, int(np.argmax(np.abs(centred))), len(centred), step_ms)
    start, stop = -peak_ms, (len(centred) - 1) * step_ms - peak_ms
    if start > -_NEEDED_BEFORE_MS or stop < _NEEDED_AFTER_MS:
        return (
            f"the waveform shows only {-start:.2f} ms before and {stop:.2f} ms after its main peak; "
            f"{_NEEDED_BEFORE_MS} and {_NEEDED_AFTER_MS} ms are needed"
        )
    polarity = 1 if peak > 0 else -1

    def at(time_ms: NDArray[np.float64]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = spline(np.clip(time_ms, start, stop) + peak_ms)
        return values / abs(peak)

    return WaveformShape(at(WAVEFORM_TIME_MS), _statistics(-polarity * at(_FINE_MS), polarity), polarity)


def _baseline(samples: NDArray[np.float64], step_ms: float) -> float:
    """Median of what comes more than 0.6 ms before the largest deviation, or of the first three samples."""
    main = int(np.argmax(np.abs(samples - np.median(samples))))
    if main * step_ms < _NEEDED_BEFORE_MS:  # cut: what comes first is the peak itself, and no baseline
        return float(np.median(samples))
    n_before = max(3, main - round(0.6 / step_ms))
    return float(np.median(samples[:n_before]))


def _refine_peak(spline: CubicSpline, sample: int, n_samples: int, step_ms: float) -> tuple[float, float]:
    """Return time (ms) and value of the spline's extremum next to the largest sample."""
    low, high = max(sample - 1, 0), min(sample + 1, n_samples - 1)
    time_ms = np.linspace(low * step_ms, high * step_ms, 401)
    values = spline(time_ms)
    best = int(np.argmax(np.abs(values)))
    return float(time_ms[best]), float(values[best])


def _statistics(wave: NDArray[np.float64], polarity: int) -> NDArray[np.float64]:
    t = _FINE_MS
    step = float(t[1] - t[0])
    zero = int(np.argmin(np.abs(t)))
    before, after = wave[:zero], wave[zero:]
    above_before = np.flatnonzero(before > -0.5)
    above_after = np.flatnonzero(after > -0.5)
    left = -t[above_before[-1]] if len(above_before) else -t[0]
    right = t[zero + above_after[0]] if len(above_after) else t[-1]
    peak_after, peak_before = int(np.argmax(after)), int(np.argmax(before))
    slope = np.gradient(wave, step)
    strong = np.sign(wave[np.abs(wave) > 0.05])
    return np.array(
        [
            polarity,
            left + right,
            left,
            right,
            t[zero + peak_after],
            after[peak_after],
            before[peak_before],
            t[peak_before],
            np.log((max(after[peak_after], 0) + 0.02) / (max(before[peak_before], 0) + 0.02)),
            slope.max(),
            slope.min(),
            wave[np.searchsorted(t, 0.5)],
            wave[np.searchsorted(t, 1.0)],
            wave[np.searchsorted(t, 1.2)],
            np.mean(wave < -0.25),
            np.mean(np.abs(wave)),
            np.count_nonzero(np.diff(strong)),
            wave[t > 0.2].min(),
            wave[t < -0.15].min(),
        ]
    )
