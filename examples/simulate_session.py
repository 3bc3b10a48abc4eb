"""Write the simulated session that `make demo` annotates.

Nothing in it was recorded. Spike trains are renewal processes and waveforms sums of bell curves, with widths, rates and
regularities that the literature gives for each class; the file says in every description that it is simulated.

Run:  python examples/simulate_session.py [FILE]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pynwb import NWBHDF5IO, H5DataIO, NWBFile
from pynwb.file import Subject

FILE = Path(__file__).with_name("simulated_session.nwb")
DURATION_S = 180.0
RATE_HZ = 30_000.0
N_CHANNELS = 8
TIME_MS = np.arange(-40, 60) / RATE_HZ * 1e3


@dataclass(frozen=True)
class Recipe:
    """How one unit fires and what its spike looks like: (centre ms, width ms, height) of each bell curve."""

    unit_id: int
    simulates: str
    bells: tuple[tuple[float, float, float], ...]
    mean_isi_ms: float
    refractory_ms: float
    shape: float  # of the gamma distribution of intervals: 1 is Poisson, more is more regular
    burst: float = 0.0  # chance that the next spike follows within a few ms
    amplitude_uv: float = 120.0
    quality: str = "good"


SIMPLE = ((0.0, 0.09, -1.0), (0.30, 0.16, 0.28), (0.75, 0.40, 0.24))
COMPLEX = ((0.0, 0.17, -1.0), (0.55, 0.25, 0.35), (0.95, 0.15, 0.55), (-0.3, 0.12, 0.1))
INTERNEURON = ((0.0, 0.12, -1.0), (0.42, 0.22, 0.30), (0.9, 0.4, 0.10))
GOLGI = ((0.0, 0.13, -1.0), (0.38, 0.17, 0.62))
MOSSY = ((0.0, 0.06, -1.0), (-0.12, 0.06, 0.20), (0.16, 0.07, 0.45), (0.55, 0.20, -0.12))

RECIPES = (
    Recipe(1, "PkC_ss", SIMPLE, 11.0, 3.0, 3.0, amplitude_uv=240),
    Recipe(2, "PkC_cs", COMPLEX, 900.0, 80.0, 1.6, amplitude_uv=260),
    Recipe(4, "PkC_ss", SIMPLE, 14.5, 4.0, 2.2, amplitude_uv=180),
    Recipe(5, "PkC_cs", COMPLEX, 750.0, 60.0, 1.4, amplitude_uv=170),
    Recipe(8, "MLI", INTERNEURON, 38.0, 4.0, 1.1, amplitude_uv=90),
    Recipe(9, "MLI", INTERNEURON, 26.0, 4.0, 1.2, amplitude_uv=110),
    Recipe(12, "GoC", GOLGI, 75.0, 25.0, 9.0, amplitude_uv=130),
    Recipe(13, "GoC", GOLGI, 62.0, 20.0, 7.0, amplitude_uv=105),
    Recipe(17, "MFB", MOSSY, 40.0, 1.2, 0.9, burst=0.45, amplitude_uv=80),
    Recipe(18, "MFB", MOSSY, 28.0, 1.0, 0.9, burst=0.40, amplitude_uv=95),
    Recipe(21, "several cells at once", SIMPLE, 6.0, 0.0, 1.0, amplitude_uv=60, quality="mua"),
)


def spike_times(recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """Renewal process with a slow modulation of its rate, on the sampling grid; seconds."""
    n = int(3 * DURATION_S * 1e3 / recipe.mean_isi_ms / (1 - recipe.burst)) + 50
    free_ms = max(recipe.mean_isi_ms - recipe.refractory_ms, 0.1)
    isi_ms = recipe.refractory_ms + rng.gamma(recipe.shape, free_ms / recipe.shape, n)
    short = rng.random(n) < recipe.burst
    isi_ms[short] = recipe.refractory_ms + rng.gamma(2.0, 1.2, int(short.sum()))
    times = np.cumsum(isi_ms) * 1e-3
    slow = 1 + 0.15 * np.sin(2 * np.pi * times / 47.0 + recipe.unit_id)
    times = np.cumsum(np.diff(times, prepend=0.0) * slow)
    times = np.unique(np.round(times[times < DURATION_S] * RATE_HZ)) / RATE_HZ
    return times[times > 0]


def waveforms(recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """Mean waveform on each channel: the same shape, weaker and a little later with distance; volts."""
    shape = sum(height * np.exp(-0.5 * ((TIME_MS - centre) / width) ** 2) for centre, width, height in recipe.bells)
    distance = np.abs(np.arange(N_CHANNELS) - recipe.unit_id % N_CHANNELS)
    columns = [np.roll(shape, int(d)) * np.exp(-d / 1.5) for d in distance]
    noise = rng.normal(0, 0.006, (len(TIME_MS), N_CHANNELS))
    return (np.stack(columns, axis=1) + noise) * recipe.amplitude_uv * 1e-6


def write(path: Path, seed: int = 7) -> Path:
    """Write the session."""
    rng = np.random.default_rng(seed)
    nwb = NWBFile(
        session_description="SIMULATED units of a cerebellar cortex; nothing here was recorded.",
        identifier="nwb-celltype-simulated-session",
        session_start_time=datetime(2026, 1, 1, tzinfo=UTC),
        timestamps_reference_time=datetime(2026, 1, 1, tzinfo=UTC),
        file_create_date=datetime(2026, 1, 1, tzinfo=UTC),
        session_id="simulated",
        experiment_description="Simulated session bundled with nwb-celltype.",
        keywords=["simulated", "cerebellum"],
        subject=Subject(subject_id="simulated", species="Mus musculus", sex="U", age="P90D", description="simulated"),
    )
    device = nwb.create_device(name="simulated_probe", description="simulated probe")
    group = nwb.create_electrode_group(
        name="shank0", description="simulated", location="Cerebellar cortex", device=device
    )
    for column, description in (("rel_x", "um, simulated"), ("rel_y", "um, simulated")):
        nwb.add_electrode_column(column, description)
    for k in range(N_CHANNELS):
        nwb.add_electrode(
            group=group,
            location="Cerebellar cortex",
            filtering="high-pass 300 Hz, first order",
            rel_x=0.0,
            rel_y=20.0 * k,
        )
    nwb.add_unit_column("quality", "simulated curation label")
    nwb.add_unit_column("simulates", "the class that the recipe of this unit imitates")
    for recipe in RECIPES:
        nwb.add_unit(
            id=recipe.unit_id,
            spike_times=spike_times(recipe, rng),
            obs_intervals=[[0.0, DURATION_S]],
            electrodes=list(range(N_CHANNELS)),
            waveform_mean=waveforms(recipe, rng),
            quality=recipe.quality,
            simulates=recipe.simulates,
        )
    nwb.units.waveform_rate = RATE_HZ
    nwb.units.resolution = 1 / RATE_HZ
    spikes = nwb.units["spike_times"].target
    spikes.fields["data"] = H5DataIO(np.asarray(spikes.data), compression="gzip", shuffle=True)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


if __name__ == "__main__":
    print(write(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE))
