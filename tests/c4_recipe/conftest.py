"""Reference vectors where they lie beside the checkout, and made-up recordings of three cerebellar types."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nwb_celltype as nct

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "reference" / "vectors"
TYPES = ("PkC_ss", "PkC_cs", "MLI")

_WIDTH_MS = {"PkC_ss": 0.12, "PkC_cs": 0.35, "MLI": 0.2}
_GAPS = {"PkC_ss": (0.003, 4.0, 0.027), "PkC_cs": (0.1, 2.0, 0.4), "MLI": (0.004, 1.0, 0.06)}


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Any]:
    def read(name: str) -> Any:
        path = VECTORS / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"the reference vectors ({name}.npz) are not on this machine")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}

    return read


def spikes(kind: str, rng: np.random.Generator, seconds: float = 215.0) -> np.ndarray:
    dead, shape, mean = _GAPS[kind]
    n = int(2 * seconds / (dead + mean)) + 20
    times = np.cumsum(dead + rng.gamma(shape, mean / shape, n))
    return np.round(times[times < seconds] * 30_000) / 30_000


def waveform(kind: str, rng: np.random.Generator) -> np.ndarray:
    t = (np.arange(120) - 50) / 30
    wave = -np.exp(-((t / _WIDTH_MS[kind]) ** 2)) + 0.3 * np.exp(-(((t - 0.5) / 0.3) ** 2))
    return (wave + rng.normal(size=120) * 0.01) * rng.uniform(50, 150)


def recording(n_a_type: int, seed: int, seconds: float = 215.0) -> nct.Units:
    rng = np.random.default_rng(seed)
    kinds = [kind for kind in TYPES for _ in range(n_a_type)]
    return nct.Units.from_arrays(
        [spikes(kind, rng, seconds) for kind in kinds],
        waveform_mean=[waveform(kind, rng)[:, None] for kind in kinds],
        waveform_rate_hz=30_000.0,
    )


@pytest.fixture(scope="session")
def unseen() -> nct.Units:
    return recording(3, 7)


@pytest.fixture(scope="session")
def labelled_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """NWB file of a mouse with layers, and the table of its labels."""
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.file import Subject

    folder = tmp_path_factory.mktemp("recording")
    rng = np.random.default_rng(1)
    nwb = NWBFile("made up", "c4-recipe-1", datetime(2024, 1, 1, tzinfo=UTC))
    nwb.subject = Subject(subject_id="m1", species="Mus musculus")
    nwb.add_unit_column("layer", "layer of the cerebellar cortex")
    kinds = [kind for kind in TYPES for _ in range(5)]
    for k, kind in enumerate(kinds):
        layer = "ML" if kind == "MLI" else "PCL"
        nwb.add_unit(id=k, spike_times=spikes(kind, rng), waveform_mean=waveform(kind, rng) * 1e-6, layer=layer)
    nwb.units.waveform_rate = 30_000.0
    path = folder / "m1.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    table = folder / "labels.csv"
    rows = [f"{k},{kind}" for k, kind in enumerate(kinds)]
    table.write_text("\n".join(["unit_id,cell_type", *rows[:-1], f"{len(rows) - 1},"]) + "\n")
    return path, table
