"""Write small NWB files, one for each way in which units tables are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject

N_UNITS, N_CHANNELS, N_SAMPLES, RATE_HZ = 3, 4, 40, 30000.0
IDS = (10, 20, 30)
PEAKS = (2, 0, 3)
TRAINS = ([0.1, 0.25, 0.5, 0.9], [], [0.2, 0.3])


def spike(n_samples: int = N_SAMPLES, amplitude: float = 100.0) -> np.ndarray:
    """One mean waveform in microvolts, negative at a third of its length."""
    time = np.arange(n_samples) - n_samples // 3
    return -amplitude * np.exp(-((time / 3.0) ** 2)) + 0.3 * amplitude * np.exp(-(((time - 8) / 5.0) ** 2))


def waveform(unit: int, n_samples: int = N_SAMPLES, n_channels: int = N_CHANNELS) -> np.ndarray:
    """(samples, channels) microvolts, largest on channel ``PEAKS[unit]``."""
    gain = 0.7 ** np.abs(np.arange(n_channels) - PEAKS[unit])
    return np.outer(spike(n_samples), gain)


def waveforms() -> np.ndarray:
    """(units, samples, channels) microvolts."""
    return np.stack([waveform(unit) for unit in range(N_UNITS)])


def new_file(n_electrodes: int = N_CHANNELS, locations: Sequence[str] | None = None) -> NWBFile:
    """NWB file in memory with a mouse, one probe and its electrodes."""
    start = datetime(2024, 5, 1, 12, tzinfo=UTC)
    nwb = NWBFile("units of a test", "test-file", start, session_id="s1", lab="Lab", institution="Institute")
    nwb.subject = Subject(subject_id="m1", species="Mus musculus", sex="F", age="P60D")
    device = nwb.create_device(name="probe", description="a probe")
    group = nwb.create_electrode_group("shank", description="a shank", location="cerebellum", device=device)
    for k in range(n_electrodes):
        nwb.add_electrode(
            rel_x=16.0 * (k % 2), rel_y=20.0 * k, location=locations[k] if locations else "lobule V", group=group,
            filtering="300-6000 Hz",
        )  # fmt: skip
    return nwb


def write(nwb: NWBFile, path: Path) -> Path:
    """Write a file and return its path."""
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def plain(path: Path, **columns: Sequence[Any]) -> Path:
    """Spikes, observation intervals, electrodes and text columns; no waveforms."""
    nwb = new_file()
    columns = columns or {"quality": ["good", "mua", "good"], "cell_type": ["PkC_ss", "MLI", "unknown"]}
    for name in columns:
        nwb.add_unit_column(name, f"the {name}")
    for unit, unit_id in enumerate(IDS):
        nwb.add_unit(
            id=unit_id, spike_times=np.array(TRAINS[unit]), obs_intervals=[[0.0, 0.6], [0.8, 1.0]][: unit + 1],
            electrodes=list(range(N_CHANNELS)), **{name: values[unit] for name, values in columns.items()},
        )  # fmt: skip
    return write(nwb, path)


def with_waveforms(
    path: Path, shape: Callable[[np.ndarray], np.ndarray], *, electrodes: bool = True, rate: float | None = RATE_HZ
) -> Path:
    """Mean waveforms as ``shape`` makes them of (samples, channels) microvolts."""
    nwb = new_file()
    for unit, unit_id in enumerate(IDS):
        more: dict[str, Any] = {"electrodes": list(range(N_CHANNELS))} if electrodes else {}
        nwb.add_unit(id=unit_id, spike_times=np.array(TRAINS[unit]), waveform_mean=shape(waveform(unit)), **more)
    write(nwb, path)
    if rate is not None:
        with h5py.File(path, "r+") as file:
            file["units/waveform_mean"].attrs["sampling_rate"] = rate
    return path


def single_channel(path: Path) -> Path:
    """(units, samples) in volts."""
    return with_waveforms(path, lambda mean: mean[:, np.abs(mean).max(axis=0).argmax()] * 1e-6)


def samples_channels(path: Path) -> Path:
    """(units, samples, channels) in volts, as NWB says."""
    return with_waveforms(path, lambda mean: mean * 1e-6)


def channels_samples(path: Path) -> Path:
    """(units, channels, samples) in microvolts under the name of volts."""
    return with_waveforms(path, lambda mean: mean.T)


def ragged_channels(path: Path) -> Path:
    """One row per channel, channel-major, with an index, as the Allen Institute stores it."""
    plain(path)
    rows = np.concatenate([waveform(unit).T for unit in range(N_UNITS)])
    add_column(path, "waveform_mean", rows, [[N_CHANNELS, 2 * N_CHANNELS, 3 * N_CHANNELS]], sampling_rate=RATE_HZ)
    return path


def ragged_samples(path: Path) -> Path:
    """One row per sample, columns are channels, with an index."""
    plain(path)
    rows = np.concatenate([waveform(unit) for unit in range(N_UNITS)])
    add_column(path, "waveform_mean", rows, [[N_SAMPLES, 2 * N_SAMPLES, 3 * N_SAMPLES]], sampling_rate=RATE_HZ)
    return path


def double_ragged(path: Path) -> Path:
    """Unit -> channels -> samples in one long vector; the second unit has no channel."""
    plain(path)
    flat = np.concatenate([waveform(unit).T.ravel() for unit in (0, 2)])
    per_channel = np.arange(1, 2 * N_CHANNELS + 1) * N_SAMPLES
    per_unit = [N_CHANNELS, N_CHANNELS, 2 * N_CHANNELS]
    add_column(path, "waveform_mean", flat, [per_channel, per_unit], sampling_rate=RATE_HZ)
    return path


def single_spikes(path: Path) -> Path:
    """No ``waveform_mean`` but ``waveforms`` of single spikes on several channels, double ragged."""
    nwb = new_file()
    for unit, unit_id in enumerate(IDS):
        mean = waveform(unit).T * 1e-6
        spikes = [(mean * gain).tolist() for gain in np.linspace(0.8, 1.2, 2 + unit)]
        nwb.add_unit(id=unit_id, spike_times=np.linspace(0, 1, 2 + unit), waveforms=spikes)
    write(nwb, path)
    with h5py.File(path, "r+") as file:
        file["units/waveforms"].attrs["sampling_rate"] = RATE_HZ
    return path


def add_column(
    path: Path, name: str, data: Any, indices: Sequence[Any] = (), table: str = "units", **attributes: Any
) -> None:
    """Put a column, with any number of indices, into a table by hand."""
    with h5py.File(path, "r+") as file:
        full = name
        put(file, f"{table}/{full}", data, **attributes)
        for index in indices:
            full += "_index"
            put(file, f"{table}/{full}", np.asarray(index))


def put(file: h5py.File, path: str, data: Any, **attributes: Any) -> None:
    """Write a dataset in place of what is there."""
    if path in file:
        del file[path]
    dataset = file.create_dataset(path, data=data)
    dataset.attrs.update(attributes)


def by_hand(path: Path, *, table: str = "units", n: int = 2, **columns: Any) -> Path:
    """Bare HDF5 with a units table of ``n`` units with two spikes each, for what no NWB library writes."""
    with h5py.File(path, "a") as file:
        file.attrs["nwb_version"] = "2.9.0"
        group = file.create_group(table)
        group.attrs.update({"neurodata_type": "Units", "object_id": f"object of {table}", "colnames": ["spike_times"]})
        group["id"] = np.arange(n)
        group["spike_times"] = np.arange(2.0 * n)
        group["spike_times_index"] = np.arange(2, 2 * n + 2, 2).astype(np.uint8)
        for name, data in columns.items():
            put(file, f"{table}/{name}", data)
    return path
