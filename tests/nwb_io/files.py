"""Files to annotate: real ones, and generated ones with everything that may be lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.behavior import BehavioralTimeSeries
from pynwb.ecephys import LFP, ElectricalSeries
from pynwb.file import Subject
from pynwb.misc import Units

REAL_FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "nwb"
REAL_FILES = {
    "2.0.2": "sub-anm369963_ses-20170228.nwb",
    "2.1.0": "sub_anm00239123_ses_20170627T093549_ecephys_and_ogen.nwb",
    "2.4.0": "pynapple_A8604-211122.nwb",
    "2.5.0": "ecephys_tutorial_v2.5.0.nwb",
}
IDS = (7, 3, 9)  # neither sorted nor row numbers, so that mixing them up shows
SECOND_UNITS = "/processing/sorting/second_units"


def train(unit_id: int) -> np.ndarray:
    """Spike times in seconds."""
    return np.cumsum(np.random.default_rng(unit_id).exponential(0.05, 50))


def write(nwb: NWBFile, path: Path, *, cache_spec: bool = True) -> Path:
    """Write a file as somebody would who has never heard of cell types."""
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb, cache_spec=cache_spec)
    with h5py.File(path, "r+") as file:  # pynwb caches every extension that happens to be imported
        if "specifications/ndx-cell-type" in file:
            del file["specifications/ndx-cell-type"]
    return path


def plain(path: Path, ids: Iterable[int] = IDS, *, cache_spec: bool = True, megabytes: int = 0) -> Path:
    """Units with ids and spike times; no electrodes, no processing module. A recording may make it large."""
    nwb = NWBFile(
        session_description="made up", identifier="plain", session_start_time=datetime(2026, 1, 1, tzinfo=UTC)
    )
    ids = list(ids)
    for unit_id in ids:
        nwb.add_unit(id=unit_id, spike_times=train(unit_id))
    if megabytes:
        samples = np.random.default_rng(0).integers(0, 2**16, megabytes * 500_000, dtype=np.uint16)
        nwb.add_acquisition(TimeSeries(name="noise", data=samples, unit="a.u.", rate=30000.0))
    if not ids:
        nwb.units = Units(name="units", description="nobody spiked")
    return write(nwb, path, cache_spec=cache_spec)


def without_units(path: Path) -> Path:
    """A sound NWB file that nobody sorted."""
    nwb = NWBFile(session_description="made up", identifier="none", session_start_time=datetime(2026, 1, 1, tzinfo=UTC))
    return write(nwb, path)


def rich(path: Path) -> Path:
    """Electrodes and regions into them, object references, a link, two units tables."""
    nwb = NWBFile(session_description="made up", identifier="rich", session_start_time=datetime(2026, 1, 1, tzinfo=UTC))
    nwb.subject = Subject(subject_id="m1", species="Mus musculus", age="P60D", sex="F")
    device = nwb.create_device(name="probe")
    group = nwb.create_electrode_group(name="shank", description="d", location="lobule V", device=device)
    for k in range(4):
        nwb.add_electrode(x=0.0, y=20.0 * k, z=0.0, location="lobule V", group=group, filtering="300-6000 Hz")
    region = nwb.create_electrode_table_region(region=[0, 2], description="two sites")
    rng = np.random.default_rng(0)
    raw = ElectricalSeries(name="raw", data=rng.normal(size=(400, 2)), electrodes=region, rate=1000.0)
    nwb.add_acquisition(raw)
    module = nwb.create_processing_module(name="ecephys", description="what others computed")
    lfp = ElectricalSeries(name="lfp", data=rng.normal(size=(100, 2)), electrodes=region, rate=250.0)
    module.add(LFP(electrical_series=lfp))
    wheel = TimeSeries(name="wheel", data=np.arange(100.0), unit="cm", rate=10.0)
    nwb.add_acquisition(wheel)
    behavior = nwb.create_processing_module(name="behavior", description="the same series again: a link")
    behavior.add(BehavioralTimeSeries(name="linked", time_series=[wheel]))
    nwb.add_trial(start_time=0.0, stop_time=1.0, timeseries=[raw, wheel])
    nwb.add_trial(start_time=1.0, stop_time=2.0, timeseries=[wheel])
    nwb.add_unit_column("quality", "the sorter's word")
    for unit_id in IDS:
        nwb.add_unit(id=unit_id, spike_times=train(unit_id), electrodes=[0, 2], obs_intervals=[[0.0, 99.0]],
                     waveform_mean=rng.normal(size=40), electrode_group=group, quality="gut")  # fmt: skip
    second = Units(name="second_units", description="another sorter's")
    for unit_id in (100, 101):
        second.add_unit(id=unit_id, spike_times=train(unit_id))
    nwb.create_processing_module(name="sorting", description="d").add(second)
    return write(nwb, path)


def odd(path: Path) -> Path:
    """The rich file with everything that HDF5 can hold, some of which pynwb cannot even read; it must survive too."""
    rich(path)
    with h5py.File(path.with_name("beside.h5"), "w") as other:
        other["data"] = np.arange(5)
    with h5py.File(path, "r+") as file:
        lab = file.create_group("scratch/lab")
        lab["beside"] = h5py.ExternalLink("beside.h5", "/data")
        lab["nowhere"] = h5py.SoftLink("/no/such/place")
        lab["to units"] = h5py.SoftLink("/units")
        lab["again"] = file["units/id"]  # a second hard link
        lab["word"] = np.dtype("<f4")
        squeezed = lab.create_dataset("squeezed", data=np.arange(1000.0), chunks=(100,), compression=4, shuffle=True,
                                      fletcher32=True, maxshape=(None,))  # fmt: skip
        squeezed.attrs["empty"] = h5py.Empty("f")
        squeezed.attrs["fixed"] = np.bytes_("ascii")
        squeezed.attrs.create("latin", np.array(["a", "bc"], dtype="S2"))
        squeezed.attrs["reference"] = file["units"].ref
        squeezed.attrs["region"] = file["units/id"].regionref[1:3]
        lab["references"] = np.array([file["units"].ref, file["general"].ref], dtype=h5py.ref_dtype)
        lab.create_dataset("colour", data=[0, 1], dtype=h5py.enum_dtype({"red": 0, "blue": 1}, basetype="u1"))
        lab.create_dataset("ragged", data=np.array([np.arange(2), np.arange(3)], dtype=object),
                           dtype=h5py.vlen_dtype(np.int32))  # fmt: skip
    return path


GENERATED: dict[str, Callable[[Path], Path]] = {
    "rich": rich,
    "plain": plain,
    "no cached spec": lambda path: plain(path, cache_spec=False),
}


def label_csv(folder: Path, labels: dict[int, str], name: str = "labels.csv", **columns: Any) -> Path:
    """A table of labels; further columns give one value for all rows."""
    lines = [",".join(["unit_id", "cell_type", *columns])]
    lines += [",".join([str(i), label, *map(str, columns.values())]) for i, label in labels.items()]
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path
