"""Conversion of a .plx file to NWB: this toolkit beside NeuroConv, on the same file, in the same run.

Run:  python benchmarks/plexon_convert.py --data-dir DIR [--blocks 400000] [--repeats 3] [--json FILE]

The file is that of `plexon_header.py`: wideband of 16 channels at 40 kHz, and on each channel units a and b and
waveforms that were given to no unit. Each conversion runs in a fresh process, turn by turn; wall and CPU time are of
the conversion alone, without imports, and of the whole process; peak memory is that of the process, file pages too.
Before any table is printed, the spike times of all units, and the stored counts of the traces, are compared. NeuroConv
takes the unsorted waveforms for units and writes them too; it writes neither snippets nor mean waveforms nor events.
This toolkit's files hold mean waveforms and electrodes of each unit, made from the traces, and were validated before
they were kept; all of that is in its time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent))
from plexon_header import write_file

START = "2021-05-04T10:00:00+00:00"
SUBJECT = {"subject_id": "monkey", "species": "Macaca mulatta", "sex": "U", "age": "P6Y"}
ABOUT = {"session_description": "Simulated.", "session_id": "sim1"}
VERSIONS = ("nwb-celltype", "neuroconv", "neo", "spikeinterface", "pynwb", "hdmf", "h5py", "numpy")
OURS, THEIRS = "nwb-celltype", "neuroconv"


@dataclass(frozen=True)
class Task:
    """One conversion: which program, of what, to where."""

    program: str
    content: str
    source: str
    out: str


def ours(task: Task) -> Callable[[], object]:
    import ndx_cell_type  # noqa: F401 - NeuroConv loads at import what would else be loaded at first use
    import pynwb.validation  # noqa: F401

    import nwb_celltype.converters.identity
    import nwb_celltype.converters.nwb.units
    import nwb_celltype.converters.plexon
    import nwb_celltype.converters.waveforms  # noqa: F401
    from nwb_celltype.converters import convert

    metadata = {"NWBFile": {"session_start_time": START, **ABOUT}, "Subject": dict(SUBJECT)}
    raw = task.content != "spikes"
    return lambda: convert(
        "plexon", task.source, metadata=metadata, out=task.out, raw=raw, overwrite=True, inspect=False
    )


def theirs(task: Task) -> Callable[[], object]:
    from neuroconv import ConverterPipe
    from neuroconv.datainterfaces import PlexonRecordingInterface, PlexonSortingInterface

    def run() -> None:
        interfaces: dict[str, Any] = {"units": PlexonSortingInterface(file_path=task.source)}
        if task.content != "spikes":
            # of the same prefix, or else channels of all prefixes would be one stream to it
            interfaces["traces"] = PlexonRecordingInterface(file_path=task.source, stream_name="WB-Wideband")
        converter = ConverterPipe(data_interfaces=interfaces)
        metadata = converter.get_metadata()
        metadata["NWBFile"].update(ABOUT, session_start_time=datetime.fromisoformat(START))
        metadata["Subject"] = dict(SUBJECT)
        converter.run_conversion(nwbfile_path=task.out, metadata=metadata, overwrite=True)

    return run


def child(task: Task) -> None:
    """Convert once and print what it took."""
    warnings.simplefilter("ignore")
    convert = {OURS: ours, THEIRS: theirs}[task.program](task)
    before, started = os.times(), time.perf_counter()
    convert()
    wall_s, after = time.perf_counter() - started, os.times()
    found = {"wall_s": wall_s, "cpu_s": sum(after[:4]) - sum(before[:4]), "peak_mb": peak_mb()}
    print(json.dumps({**found, "file_mb": Path(task.out).stat().st_size / 1e6}))


def peak_mb() -> float:
    """Most memory that this process ever held; what getrusage says would include its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3


def measure(task: Task) -> dict[str, float]:
    """Convert in a fresh process."""
    load, started = os.getloadavg()[0], time.perf_counter()
    command = [sys.executable, str(Path(__file__).resolve()), "--child", json.dumps(asdict(task))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{task.program} could not convert {task.source}:\n{done.stderr[-4000:]}"
        raise SystemExit(message)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**found, "process_s": time.perf_counter() - started, "load_before": load}


def spike_times(path: Path) -> dict[str, NDArray[np.float64]]:
    """Spike times by the name of the unit."""
    with h5py.File(path, "r") as file:
        units = file["units"]
        names = units["unit_name"].asstr()[:]
        parts = np.split(units["spike_times"][:], units["spike_times_index"][:-1])
    return dict(zip(map(str, names), parts, strict=True))


def names_of_theirs(source: Path) -> dict[str, str]:
    """Name of each unit in this toolkit's files by that in NeuroConv's, which counts neo's list; the unsorted are 0."""
    from neo.rawio import PlexonRawIO  # type: ignore[import-untyped,unused-ignore]

    reader = PlexonRawIO(str(source), progress_bar=False)
    reader.parse_header()
    names = {}
    for k, header in enumerate(reader.header["spike_channels"]):
        channel, unit = (int(part) for part in header["id"][2:].split("#"))
        names[str(k)] = f"SPK{channel:02d}{'0abcdefgh'[unit]}"
    return names


def traces(path: Path) -> Any:
    """Counts of the traces, but for the last block of 250 samples, which neo may lose."""
    with h5py.File(path, "r") as file:
        (series,) = (s for s in file["acquisition"].values() if s.attrs["neurodata_type"] == "ElectricalSeries")
        data = series["data"]
        return data.shape[1], [data[:40_000], data[-80_000:-40_000] if len(data) % 250 == 0 else data[40_000:80_000]]


def volts(path: Path) -> float:
    """Volts of one count of the traces."""
    with h5py.File(path, "r") as file:
        (series,) = (s for s in file["acquisition"].values() if s.attrs["neurodata_type"] == "ElectricalSeries")
        return float(series["data"].attrs["conversion"])


def compare(tasks: list[Task]) -> list[str]:
    """Say whether the files hold the same, and stop where they do not."""
    said, names = [], names_of_theirs(Path(tasks[0].source))
    for content in dict.fromkeys(task.content for task in tasks):
        mine, other = (
            next(Path(t.out) for t in tasks if t.content == content and t.program == p) for p in (OURS, THEIRS)
        )
        mine_, theirs_ = spike_times(mine), {names[name]: times for name, times in spike_times(other).items()}
        unsorted = [name for name in theirs_ if name.endswith("0")]
        sorted_ = {name: times for name, times in theirs_.items() if name not in unsorted}
        if mine_.keys() != sorted_.keys() or any(len(mine_[name]) != len(sorted_[name]) for name in mine_):
            message = f"{content}: the files do not hold the same units."
            raise SystemExit(message)
        apart = max(float(np.max(np.abs(mine_[name] - sorted_[name]), initial=0)) for name in mine_)
        if not apart <= 1e-9:
            message = f"{content}: spike times are {apart:g} s apart, so times of conversion cannot be compared."
            raise SystemExit(message)
        n_unsorted = sum(len(theirs_[name]) for name in unsorted)
        said.append(
            f"{content}: {len(mine_)} units with {sum(map(len, mine_.values()))} spikes in both files, {apart:.1e} s "
            f"apart at most; NeuroConv writes {len(unsorted)} more for {n_unsorted} unsorted waveforms"
        )
        if content != "spikes":
            (n, a), (m, b) = traces(mine), traces(other)
            if n != m or not np.array_equal(a[0], b[0]):
                message = f"{content}: the files do not hold the same traces."
                raise SystemExit(message)
            said.append(f"{content}: {n} channels of traces, the same counts")
            true = 5.0 / (0.5 * 2**16 * 1000)  # by the header: 5000 mV, 16 bits, gains 1 and 1000
            said.append(
                f"volts of one count: {true:.6g} by the header, {volts(mine):.6g} in the file of this toolkit, "
                f"{volts(other):.6g} in NeuroConv's ({true / volts(other):.1f} times too small)"
            )
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--blocks", type=int, default=400_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(Task(**json.loads(options.child)))
        return
    if options.data_dir is None:
        parser.error("--data-dir is needed")
    options.data_dir.mkdir(parents=True, exist_ok=True)
    source = options.data_dir / f"blocks_{options.blocks}.plx"
    if not source.exists():
        write_file(source, options.blocks)
    versions = {name: version(name) for name in VERSIONS} | {"python": platform.python_version()}
    data = f"{source.stat().st_size / 1e6:.1f} MB, {options.blocks} blocks, {os.cpu_count()} CPUs"
    print(", ".join(f"{name} {text}" for name, text in versions.items()), data, sep="\n")
    tasks = [
        Task(program, content, str(source), str(options.data_dir / f"{content.replace(' ', '_')}_{program}.nwb"))
        for content in ("spikes", "spikes and traces")
        for program in (OURS, THEIRS)
    ]
    runs: dict[Task, list[dict[str, float]]] = {task: [] for task in tasks}
    for _ in range(options.repeats):
        for task in tasks:
            runs[task].append(measure(task))
    same = compare(tasks)
    print(*same, sep="\n", end="\n\n")
    print("content | program | wall s | CPU s | process s | peak MB | file MB")
    rows = []
    for task, found in runs.items():
        middle = {key: statistics.median(run[key] for run in found) for key in found[0]}
        rows.append({"program": task.program, "content": task.content, **middle, "runs": found})
        print(
            f"{task.content} | {task.program} | {middle['wall_s']:.2f} | {middle['cpu_s']:.2f} | "
            f"{middle['process_s']:.2f} | {middle['peak_mb']:.0f} | {middle['file_mb']:.1f}"
        )
    if options.json:
        found_ = {"versions": versions, "data": data, "same": same, "rows": rows}
        options.json.write_text(json.dumps(found_, indent=1) + "\n")


if __name__ == "__main__":
    main()
