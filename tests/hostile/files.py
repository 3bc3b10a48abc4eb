"""One sound file, and the many ways to break a copy of it; every breakage is code, none is a stored file."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject

IDS = (10, 20, 30, 40)
N_CHANNELS, N_SAMPLES, RATE_HZ = 4, 60, 30_000.0
RUNS = "processing/ecephys/cell_type_annotations"

Make = Callable[[Path], Path]
"""Takes the path of a sound file and breaks it; returns the path to give to the program."""


def train(unit: int, n: int = 400) -> np.ndarray:
    """Spike times in seconds of a regular cell."""
    return np.cumsum(0.003 + np.random.default_rng(unit).gamma(4.0, 0.006, n))


def waveforms() -> np.ndarray:
    """(units, samples, channels) microvolts."""
    time = (np.arange(N_SAMPLES) - 20) / 30
    one = -100 * np.exp(-((time / 0.15) ** 2)) + 30 * np.exp(-(((time - 0.4) / 0.2) ** 2))
    return np.stack([np.outer(one, 0.7 ** np.abs(np.arange(N_CHANNELS) - k)) for k in range(len(IDS))])


def sound(path: Path) -> Path:
    """Write a small file that nothing is wrong with; without cached specifications, which would be most of it."""
    nwb = NWBFile("made up", "hostile", datetime(2026, 1, 1, tzinfo=UTC), session_id="s1")
    nwb.subject = Subject(subject_id="m1", species="Mus musculus", sex="F", age="P60D")
    device = nwb.create_device(name="probe")
    group = nwb.create_electrode_group("shank", description="d", location="lobule V", device=device)
    for k in range(N_CHANNELS):
        nwb.add_electrode(rel_x=16.0 * (k % 2), rel_y=20.0 * k, location="lobule V", group=group)
    nwb.add_unit_column("quality", "the sorter's word")
    for k, unit_id in enumerate(IDS):
        spikes = train(unit_id)
        nwb.add_unit(
            id=unit_id, spike_times=spikes, obs_intervals=[[0.0, float(spikes[-1]) + 1]], quality="good",
            electrodes=list(range(N_CHANNELS)), waveform_mean=waveforms()[k],
        )  # fmt: skip
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb, cache_spec=False)
    with h5py.File(path, "r+") as file:
        file["units/waveform_mean"].attrs["sampling_rate"] = RATE_HZ
    return path


def cut(n_bytes: int | None = None, share: float = 0.5) -> Make:
    """Keep only the beginning."""

    def make(path: Path) -> Path:
        size = path.stat().st_size
        os.truncate(path, int(size * share) if n_bytes is None else n_bytes if n_bytes >= 0 else size + n_bytes)
        return path

    return make


def overwrite(offset: int, data: bytes) -> Make:
    """Other bytes at a place of the file."""

    def make(path: Path) -> Path:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)
        return path

    return make


def instead(data: bytes) -> Make:
    """Another file altogether."""

    def make(path: Path) -> Path:
        path.write_bytes(data)
        return path

    return make


def zipped(path: Path) -> Path:
    path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def edit(change: Callable[[h5py.File], object]) -> Make:
    """Change the file through HDF5."""

    def make(path: Path) -> Path:
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return make


def put(**columns: Any) -> Make:
    """Columns of the units table in place of what is there; None takes one away."""

    def change(file: h5py.File) -> None:
        for name, data in columns.items():
            replace(file, f"units/{name}", data)

    return edit(change)


def replace(file: h5py.File, path: str, data: Any, **how: Any) -> None:
    """A dataset in place of what is there, with its attributes; None takes it away."""
    attributes = dict(file[path].attrs) if path in file else {}
    if path in file:
        del file[path]
    if data is not None or how:
        file.create_dataset(path, data=data, **how).attrs.update(attributes)


def spikes(change: Callable[[np.ndarray], np.ndarray], unit: int = 0) -> Make:
    """Other spike times of one unit, as many as it has."""

    def make(path: Path) -> Path:
        with h5py.File(path, "r+") as file:
            stops = file["units/spike_times_index"][()].astype(int)
            start, stop = ([0, *stops])[unit], stops[unit]
            file["units/spike_times"][start:stop] = change(file["units/spike_times"][start:stop])
        return path

    return make


def every_train(change: Callable[[np.ndarray], np.ndarray]) -> Make:
    """Other spike times of all units; the type may change."""
    return edit(lambda file: replace(file, "units/spike_times", change(file["units/spike_times"][()])))


def attribute(node: str, name: str, value: Any) -> Make:
    """Another attribute; None takes it away."""

    def change(file: h5py.File) -> None:
        file[node].attrs.pop(name, None)
        if value is not None:
            file[node].attrs[name] = value

    return edit(change)


def link(place: str, target: Any) -> Make:
    """A link in place of what is there."""

    def change(file: h5py.File) -> None:
        if place in file or file.get(place, getlink=True) is not None:
            del file[place]
        file[place] = target

    return edit(change)


def circles(file: h5py.File) -> None:
    """Groups that hold one another by forty names each: without end to who walks them."""
    for name in ("processing", "analysis", "scratch"):
        group = file.require_group(name)
        for k in range(40):
            group[f"again{k}"] = file["/"]


def virtual(file: h5py.File) -> None:
    """Spike times that are a view of a file that is not there: HDF5 reads zeros."""
    n = file["units/spike_times"].shape[0]
    layout = h5py.VirtualLayout(shape=(n,), dtype="f8")
    layout[:] = h5py.VirtualSource("nowhere.h5", "x", shape=(n,))
    del file["units/spike_times"]
    file.create_virtual_dataset("units/spike_times", layout)


def damaged_chunk(path: Path) -> Path:
    """A compressed chunk whose bytes were changed."""
    with h5py.File(path, "r+") as file:
        values = file["units/spike_times"][()]
        replace(file, "units/spike_times", values, chunks=(len(values),), compression="gzip")
        offset = file["units/spike_times"].id.get_chunk_info(0).byte_offset
    return overwrite(offset, b"\xff" * 16)(path)


def beside(name: str, make: Callable[[Path, Path], object]) -> Make:
    """Give another path than that of the file."""

    def made(path: Path) -> Path:
        other = path.with_name(name)
        make(other, path)
        return other

    return made


def copied(path: Path, folder: Path, name: str = "session.nwb") -> Path:
    """A copy to break."""
    return Path(shutil.copyfile(path, folder / name))
