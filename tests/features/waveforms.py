"""Mean waveforms for the tests: made up, and real ones resampled within their band."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
C4 = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "c4"
REAL = {"hull_mouse_units": 30_000, "lisberger_macaque_units": 40_000, "hausser_mouse_waveforms": 30_000}
"""Files of real waveforms, with their sampling rate in Hz."""


def spike(time_ms: Float, width: float = 1.0) -> Float:
    """A made-up spike: a bump, a trough of -1 near 0 ms and a slow peak after it, all of a band below 6 kHz."""

    def bump(at: float, sd: float) -> Float:
        return np.asarray(np.exp(-(((time_ms - at * width) / (sd * width)) ** 2) / 2))

    return np.asarray(0.12 * bump(-0.3, 0.09) - bump(0.0, 0.085) + 0.35 * bump(0.45, 0.2))


def sampled(sampling_rate_hz: float, *, phase: float = 0.0, before_ms: float = 1.2, after_ms: float = 1.8) -> Float:
    """`spike` on a sampling grid whose samples lie `phase` samples off its trough."""
    step_ms = 1e3 / sampling_rate_hz
    samples = np.arange(-round(before_ms / step_ms), round(after_ms / step_ms))
    return spike((samples + phase) * step_ms)


def real_waveforms(name: str, n: int) -> Float:
    """(n, n_samples) real mean waveforms, evenly over the file, without flat or missing ones."""
    with np.load(C4 / f"{name}.npz", allow_pickle=False) as file:
        waveforms = np.asarray(file["waveform"], dtype=np.float64)
    waveforms = waveforms[np.isfinite(waveforms).all(axis=1) & (np.ptp(waveforms, axis=1) > 0)]
    return np.asarray(waveforms[:: max(1, len(waveforms) // n)][:n])


def band_limited(waveform: Float, sampling_rate_hz: float, cut_hz: float) -> Callable[[float], Float]:
    """A waveform as a sum of sines below `cut_hz`; the function that comes back samples it at any rate.

    Its ends are tapered to the baseline and it is padded to 20 ms, so that it has no jump.
    """
    n, n_taper = len(waveform), max(4, len(waveform) // 12)
    taper = np.ones(n)
    taper[:n_taper] = np.sin(np.linspace(0, np.pi / 2, n_taper)) ** 2
    taper[-n_taper:] = taper[:n_taper][::-1]
    padded = np.zeros(int(sampling_rate_hz * 0.02))
    padded[:n] = (waveform - np.median(waveform[:5])) * taper
    frequency = np.fft.rfftfreq(len(padded), 1 / sampling_rate_hz)
    gain = np.sin(np.clip((cut_hz + 1000 - frequency) / 2000, 0, 1) * np.pi / 2) ** 2
    spectrum = np.fft.rfft(padded) * gain * np.where(frequency > 0, 2, 1) / len(padded)
    seconds = n / sampling_rate_hz

    def sample(rate_hz: float) -> Float:
        t = np.arange(round(seconds * rate_hz)) / rate_hz
        return np.asarray((np.exp(2j * np.pi * np.outer(t, frequency)) @ spectrum).real)

    return sample
