"""Spike trains as cells fire them: regular, paused by complex spikes, evoked by light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Generator = np.random.Generator


def firing(rng: Generator, rate_hz: float, seconds: float, regularity: float = 4.0) -> Float:
    """Gamma intervals behind a refractory period of 2 ms; the larger `regularity`, the more like a clock."""
    mean = 1 / rate_hz - 0.002
    intervals = 0.002 + rng.gamma(regularity, mean / regularity, int(seconds * rate_hz * 1.5) + 100)
    times = np.cumsum(intervals)
    return times[times < seconds]


def modulated(rng: Generator, rate_hz: float, seconds: float) -> Float:
    """A rate that swings between nothing and twice `rate_hz`, up to eight times a second."""
    times = firing(rng, 2 * rate_hz, seconds)
    phase = 2 * np.pi * rng.uniform(0.2, 8) * times + rng.uniform(0, 2 * np.pi)
    return times[rng.random(len(times)) < 0.5 + 0.5 * np.sin(phase)]


def complex_spikes(rng: Generator, rate_hz: float, seconds: float) -> Float:
    """At least 80 ms apart."""
    times = np.cumsum(0.08 + rng.exponential(1 / rate_hz - 0.08, int(seconds * rate_hz * 2) + 50))
    return times[times < seconds]


def purkinje_cell(
    rng: Generator, seconds: float, rate_hz: float = 60.0, cs_rate_hz: float = 1.1
) -> tuple[Float, Float]:
    """Complex and simple spikes of one cell; the latter are silent for 10 to 35 ms after each of the former."""
    complex_ = complex_spikes(rng, cs_rate_hz, seconds)
    simple = firing(rng, rate_hz, seconds)
    last = np.searchsorted(complex_, simple, side="right") - 1
    pause = rng.uniform(0.010, 0.035, len(complex_))
    since = np.where(last >= 0, simple - complex_[np.maximum(last, 0)], np.inf)
    return complex_, simple[since >= pause[np.maximum(last, 0)]]


def evoked(
    rng: Generator, spontaneous: Float, onsets_s: Float, *, latency_ms: float, jitter_ms: float, reliability: float
) -> Float:
    """The same train with a spike after a share of the pulses."""
    hit = onsets_s[rng.random(len(onsets_s)) < reliability]
    added = hit + 1e-3 * rng.normal(latency_ms, jitter_ms, len(hit))
    return np.sort(np.concatenate([spontaneous, added]))


def pulse_onsets(rng: Generator, n: int, every_s: float = 0.8) -> Float:
    """Single pulses, not quite regular."""
    return 5 + np.arange(n) * every_s + rng.uniform(0, 0.1, n)
