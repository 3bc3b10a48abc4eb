"""Made-up labelled units of three kinds that differ in waveform and spike train, as real classes do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.features.counts import count_train

CLASSES = ("fast", "regular", "slow")
RATE_HZ = 30_000.0
SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "c4"

_SHAPES = {"fast": (0.08, 0.5, 0.25), "regular": (0.15, 0.2, 0.5), "slow": (0.25, 0.05, 0.7)}
_TRAINS = {"fast": (0.002, 1.0, 0.010), "regular": (0.003, 8.0, 0.020), "slow": (0.008, 1.5, 0.070)}


def make_waveform(kind: str, rng: np.random.Generator) -> NDArray[Any]:
    width, rebound, when = _SHAPES[kind]
    t = np.arange(-30, 45) / 30
    wave = -np.exp(-((t / (width * rng.uniform(0.9, 1.1))) ** 2))
    wave += rebound * np.exp(-(((t - when) / 0.2) ** 2)) + rng.normal(size=len(t)) * 0.01
    return np.asarray(wave * rng.uniform(20, 300))


def make_spikes(kind: str, rng: np.random.Generator, n: int = 800) -> NDArray[np.float64]:
    dead, shape, mean = _TRAINS[kind]
    return np.cumsum(dead + rng.gamma(shape, mean * rng.uniform(0.85, 1.15) / shape, n))


def make_arrays(n_a_class: int, seed: int, *, with_trains: bool = True) -> dict[str, Any]:
    """Arrays of an ``.npz`` of labelled units, the classes interleaved."""
    rng = np.random.default_rng(seed)
    kinds = list(CLASSES) * n_a_class
    arrays: dict[str, Any] = {
        "waveform": np.array([make_waveform(kind, rng) for kind in kinds], dtype=np.float32),
        "waveform_rate_hz": np.float64(RATE_HZ),
        "cell_type": np.array(kinds),
    }
    if with_trains:
        counts = [count_train(make_spikes(kind, rng)) for kind in kinds]
        arrays["isi_counts"] = np.array([c.isi_counts for c in counts], dtype=np.int32)
        arrays["acg_counts"] = np.array([c.acg_counts for c in counts], dtype=np.int32)
    return arrays


def save(path: Path, arrays: dict[str, Any]) -> Path:
    np.savez(path, **arrays)
    return path
