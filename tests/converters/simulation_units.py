"""Units of a simulated cerebellar recording: their trains and what the probe sees of each spike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

RATE_HZ = 30_000
N_BEFORE, N_SHAPE = 60, 150  # samples of a spike's shape: 2 ms before it, 3 ms after it
REFRACTORY_S = 0.002
PAUSE_S = 0.015  # of simple spikes after a complex spike
LATENCY_S, JITTER_S, RELIABILITY = 0.0032, 0.0004, 0.85  # of the answer of tagged units to a pulse


@dataclass(frozen=True)
class Kind:
    """How units of one kind fire and look: rate, regularity, trough width, and the bump after the trough."""

    rate_hz: float
    regularity: float
    trough_ms: float
    bump: float
    bump_ms: float
    amplitude_uv: float


KINDS = {
    "PkC_ss": Kind(60.0, 4.0, 0.10, 0.35, 0.45, 220.0),
    "PkC_cs": Kind(2.0, 2.0, 0.14, 0.55, 0.80, 320.0),
    "MLI": Kind(22.0, 1.5, 0.09, 0.40, 0.40, 160.0),
    "GoC": Kind(9.0, 6.0, 0.17, 0.25, 0.90, 240.0),
    "MFB": Kind(25.0, 0.7, 0.06, 0.65, 0.20, 140.0),
}


@dataclass(frozen=True, eq=False)
class SimulatedUnits:
    """Truth about the units.

    Attributes
    ----------
    kinds : tuple of n str
    samples : tuple of n (k,) int64 arrays
        Spike times in samples of the probe's file, ascending.
    shapes_uv : (n, N_SHAPE, n_channels) float32 array
        What each spike adds to the traces; its trough is at sample `N_BEFORE`.
    peak_channels : (n,) int64 array
    is_tagged : (n,) bool array
        Whether the unit answers the laser.
    pairs : tuple of (int, int)
        Rows of the simple and the complex spikes of one Purkinje cell.
    """

    kinds: tuple[str, ...]
    samples: tuple[Integer, ...]
    shapes_uv: NDArray[np.float32]
    peak_channels: Integer
    is_tagged: NDArray[np.bool_]
    pairs: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.kinds)


def make_units(n_units: int, seconds: float, positions_um: Float, pulses_s: Float, seed: int) -> SimulatedUnits:
    """Units along a probe: Purkinje pairs, interneurons (every third tagged), Golgi cells and mossy fibre boutons.

    Parameters
    ----------
    n_units : int
    seconds : float
        Length of the recording.
    positions_um : (n_channels, 2) float64 array
    pulses_s : (k,) float64 array
        Onsets of laser pulses, seconds since the start of the file.
    seed : int
    """
    rng = np.random.default_rng(seed)
    kinds, pairs = _kinds(n_units)
    depth = np.linspace(positions_um[:, 1].min() + 40, positions_um[:, 1].max() - 40, n_units)
    across = rng.uniform(positions_um[:, 0].min(), positions_um[:, 0].max(), n_units)
    for simple, complex_ in pairs:  # one cell: its complex spikes are largest a little nearer to the dendrite
        across[complex_], depth[complex_] = across[simple], depth[simple] + 25.0
    tagged = np.zeros(n_units, dtype=bool)
    tagged[[row for row, kind in enumerate(kinds) if kind == "MLI"][::3]] = True
    trains = [train(KINDS[kind], seconds, rng) for kind in kinds]
    for simple, complex_ in pairs:
        trains[simple] = pause(trains[simple], trains[complex_])
    for row in np.flatnonzero(tagged):
        trains[row] = answer(trains[row], pulses_s, rng)
    shapes = np.stack(
        [shape(KINDS[kind], positions_um, across[k], depth[k], rng) for k, kind in enumerate(kinds)]
    ).astype(np.float32)
    last = round(seconds * RATE_HZ) - N_SHAPE
    samples = tuple(_on_the_grid(times, last) for times in trains)
    return SimulatedUnits(kinds, samples, shapes, np.argmin(shapes[:, N_BEFORE], axis=1), tagged, pairs)


def _kinds(n_units: int) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    n_pairs = max(1, n_units // 12)
    kinds = ["PkC_ss", "PkC_cs"] * n_pairs
    others = ("MLI", "MFB", "MLI", "GoC", "MLI", "PkC_ss")
    kinds += [others[k % len(others)] for k in range(n_units - len(kinds))]
    return tuple(kinds), tuple((2 * k, 2 * k + 1) for k in range(n_pairs))


def train(kind: Kind, seconds: float, rng: np.random.Generator) -> Float:
    """Gamma-distributed intervals above the refractory period, seconds."""
    mean = 1 / kind.rate_hz - REFRACTORY_S
    n = int(seconds * kind.rate_hz * 1.5) + 50
    intervals = REFRACTORY_S + rng.gamma(kind.regularity, mean / kind.regularity, n)
    times = np.cumsum(intervals)
    return np.asarray(times[times < seconds])


def pause(simple: Float, complex_: Float) -> Float:
    """Simple spikes that are left when none falls within the pause that follows each complex spike."""
    before = np.searchsorted(complex_, simple) - 1
    since = np.where(before >= 0, simple - complex_[np.maximum(before, 0)], np.inf)
    return np.asarray(simple[since > PAUSE_S])


def answer(times: Float, pulses: Float, rng: np.random.Generator) -> Float:
    """Add a spike after most pulses and take away those that would collide with it."""
    answered = pulses[rng.random(len(pulses)) < RELIABILITY]
    evoked = np.sort(answered + LATENCY_S + rng.normal(0, JITTER_S, len(answered)))
    if not len(evoked):
        return times
    near = np.clip(np.searchsorted(evoked, times), 1, max(1, len(evoked) - 1))
    gap = np.minimum(np.abs(times - evoked[near - 1]), np.abs(times - evoked[np.minimum(near, len(evoked) - 1)]))
    return np.sort(np.concatenate([times[gap > REFRACTORY_S], evoked]))


def shape(kind: Kind, positions_um: Float, across: float, depth: float, rng: np.random.Generator) -> Float:
    """(N_SHAPE, n_channels) microvolts: smaller, wider and later with distance, nothing beyond 150 micrometres."""
    t_ms = (np.arange(N_SHAPE) - N_BEFORE) / RATE_HZ * 1e3
    distance = np.hypot(positions_um[:, 0] - across, positions_um[:, 1] - depth)
    distance -= distance.min()
    weight = np.where(distance < 150, np.exp(-distance / 32.0), 0.0) * kind.amplitude_uv * rng.uniform(0.8, 1.3)
    delay = distance / 400.0  # ms: 0.4 m/s
    width = kind.trough_ms * (1 + distance / 300.0)
    trough = np.exp(-(((t_ms[:, None] - delay) / width) ** 2) / 2)
    after = np.exp(-(((t_ms[:, None] - delay - kind.bump_ms) / (0.4 * kind.bump_ms + 0.1)) ** 2) / 2)
    before = np.exp(-(((t_ms[:, None] - delay + 0.3) / 0.1) ** 2) / 2)
    fade = np.minimum(1, np.minimum(np.arange(N_SHAPE), N_SHAPE - 1 - np.arange(N_SHAPE)) / 15.0)
    made = (0.08 * before - trough + kind.bump * after) * weight * fade[:, None]
    made[np.abs(made) < 0.05] = 0.0
    return made


def _on_the_grid(times: Float, last: int) -> Integer:
    samples = np.unique(np.rint(times * RATE_HZ).astype(np.int64))
    return samples[(samples >= N_BEFORE) & (samples < last)]
