"""Small recordings with spikes and waveforms that the shipped model has an opinion about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject

RATE_HZ = 30_000.0
N_SAMPLES, N_CHANNELS = 60, 2
TIME_MS = (np.arange(N_SAMPLES) - 20) / 30
REGIONS = ("Lobule V", "CA1", "", "Flocculus")


def spikes(seed: int, n: int = 1500) -> np.ndarray:
    """Spike times in seconds with a refractory period."""
    rng = np.random.default_rng(seed)
    return np.cumsum(0.003 + rng.gamma(3, 0.004, n))


def waveform(seed: int) -> np.ndarray:
    """(samples, channels) microvolts."""
    rng = np.random.default_rng(seed)
    width = 0.08 + 0.05 * rng.random()
    shape = -np.exp(-0.5 * (TIME_MS / width) ** 2) + 0.35 * np.exp(-0.5 * ((TIME_MS - 0.45) / 0.3) ** 2)
    return np.outer(shape * (60 + 60 * rng.random()), [1.0, 0.4])


def recording(
    path: Path,
    regions: Sequence[str] = REGIONS,
    *,
    subject: str = "m1",
    session: str = "s1",
    species: str = "Mus musculus",
    sex: str = "F",
    seed: int = 0,
    n_spikes: int = 1500,
    chunks: bool = False,
) -> Path:
    """One NWB file with a unit a region, on an electrode of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    start = datetime(2024, 5, 1, 12, tzinfo=UTC)
    nwb = NWBFile("a recording", f"{subject}-{session}-{seed}", start, session_id=session or None)
    if subject:
        nwb.subject = Subject(subject_id=subject, species=species, sex=sex, age="P60D")
    device = nwb.create_device(name="probe")
    group = nwb.create_electrode_group("shank", description="a shank", location="unknown", device=device)
    for k in range(2 * len(regions)):
        region = regions[k // 2] or "unknown"
        nwb.add_electrode(rel_x=0.0, rel_y=20.0 * k, location=region, group=group, filtering="300-6000 Hz")
    for k in range(len(regions)):
        nwb.add_unit(
            id=10 + k,
            spike_times=spikes(seed * 100 + k, n_spikes),
            waveform_mean=waveform(seed * 100 + k),
            electrodes=[2 * k, 2 * k + 1],
        )
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    with h5py.File(path, "r+") as file:
        if "waveform_mean" in file.get("units", {}):
            file["units/waveform_mean"].attrs["sampling_rate"] = RATE_HZ
        if not chunks and "spike_times" in file.get("units", {}):
            contiguous(file, "units/spike_times")
            contiguous(file, "units/waveform_mean")
    return path


def contiguous(file: Any, name: str) -> None:
    """Store a column in one piece, so that the bytes of a unit can be read without its neighbours'."""
    values, attributes = file[name][()], dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, data=values)
    for key, value in attributes.items():
        file[name].attrs[key] = value


def dandi_names(folder: Path, n: int, **options: Any) -> list[Path]:
    """Some recordings of different mice under DANDI's names."""
    return [
        recording(folder / f"sub-m{k}/sub-m{k}_ses-a_ecephys.nwb", subject=f"m{k}", session="a", seed=k, **options)
        for k in range(n)
    ]
