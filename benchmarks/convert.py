"""Conversion of a sorted session to NWB: this toolkit beside NeuroConv, on the same data, in the same run.

Run:  python benchmarks/convert.py --data-dir DIR [--sizes 50 500] [--raw-seconds 300] [--repeats 3] [--json FILE]

Data are made in DIR on the first run and kept: a Phy folder of each size (50 units with 0.5 million spikes, 500 with
20 million) and, unless ``--raw-seconds 0``, a simulated SpikeGLX session (23 MB a second) with its sorting. Each
conversion runs in a fresh process, turn by turn; wall and CPU time are of the conversion alone, without imports, and of
the whole process; peak memory is that of the process, file pages included. NeuroConv runs as its documentation has it,
and once more without compression; its raw conversion needs the peak channel of each unit from the user and an
undocumented call that puts spikes on the clock of the traces. Before any table is printed, the spike times and traces
of all files are compared. Beside them, this toolkit's files hold mean waveforms and electrodes of each unit, made from
the traces where there are any, and were validated before they were kept; all of that is in its time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
N_SPIKES = {50: 489_000, 500: 20_000_000}
START = "2026-01-31T14:03:00+00:00"
SUBJECT = {"subject_id": "m1", "species": "Mus musculus", "sex": "F", "age": "P90D"}
VERSIONS = ("nwb-celltype", "neuroconv", "spikeinterface", "pynwb", "hdmf", "h5py", "numpy")


@dataclass(frozen=True)
class Task:
    """One conversion: which program, of what, to where."""

    program: str
    content: str
    units: int
    source: str
    out: str


# ---------------------------------------------------------------------------------------------------------------- data


def phy_folder(folder: Path, n_units: int, n_spikes: int) -> Path:
    """Spikes and labels of a Phy folder over three hours, without templates."""
    if not (folder / "params.py").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(n_units)
        samples = np.sort(rng.integers(0, 3 * 3600 * 30_000, n_spikes)).astype(np.uint64)
        clusters = rng.integers(0, n_units, n_spikes).astype(np.uint32)
        np.save(folder / "spike_times.npy", samples[:, None])
        np.save(folder / "spike_clusters.npy", clusters[:, None])
        for name in ("KSLabel", "group"):
            lines = [f"cluster_id\t{name}", *(f"{k}\t{('good', 'mua')[k % 2]}" for k in range(n_units))]
            (folder / f"cluster_{name}.tsv").write_text("\n".join(lines) + "\n")
        (folder / "params.py").write_text(
            "dat_path = 'recording.dat'\nn_channels_dat = 385\ndtype = 'int16'\noffset = 0\n"
            "sample_rate = 30000.0\nhp_filtered = False\n"
        )
    return folder


def raw_session(folder: Path, seconds: float) -> Path:
    """A simulated SpikeGLX run with its sorting; `truth.npz` names the peak channel of each cluster."""
    if not (folder / "truth.npz").is_file():
        sys.path.insert(0, str(ROOT / "tests"))
        from converters.simulation import simulate_session  # type: ignore[import-not-found,unused-ignore]

        made = simulate_session(folder, seconds=seconds, n_units=50, max_offset=20)
        label_all(made.sorting)
        np.savez(folder / "truth.npz", clusters=made.clusters.ids, peaks=made.units.peak_channels)
    return folder


def label_all(sorting: Path) -> None:
    """Give every cluster a label: NeuroConv cannot write a folder in which some have none."""
    heads, *rows = (line.split("\t") for line in (sorting / "cluster_info.tsv").read_text().splitlines())
    column = heads.index("group")
    for row in rows:
        row[column] = row[column] or "unsorted"
    (sorting / "cluster_info.tsv").write_text("\n".join("\t".join(row) for row in [heads, *rows]) + "\n")
    labels = "".join(f"{row[0]}\t{row[column]}\n" for row in rows)
    (sorting / "cluster_group.tsv").write_text(f"cluster_id\tgroup\n{labels}")


# --------------------------------------------------------------------------------------------------------- conversions


def _our_convert() -> Callable[..., object]:
    """Load what would otherwise be loaded when it is first used, as NeuroConv loads it at import."""
    import ndx_cell_type  # noqa: F401
    import pynwb.validation  # noqa: F401

    import nwb_celltype.converters.identity
    import nwb_celltype.converters.nwb.units
    import nwb_celltype.converters.phy
    import nwb_celltype.converters.spikeglx
    import nwb_celltype.converters.waveforms  # noqa: F401
    from nwb_celltype.converters import convert

    return convert


def ours_phy(task: Task) -> Callable[[], object]:
    convert = _our_convert()
    metadata = _our_metadata()
    return lambda: convert("phy", task.source, metadata=metadata, out=task.out, overwrite=True, inspect=False)


def ours_raw(task: Task) -> Callable[[], object]:
    convert = _our_convert()
    metadata, run = _our_metadata(), Path(task.source) / "sim_g0"
    metadata["Ecephys"] = {"imec0": {"location": "Cerebellar cortex"}}
    return lambda: convert("spikeglx", run, metadata=metadata, out=task.out, raw=True, overwrite=True, inspect=False)


def neuroconv_phy(task: Task, *, compress: bool = True) -> Callable[[], object]:
    from neuroconv.datainterfaces import PhySortingInterface
    from neuroconv.tools.nwb_helpers import (
        configure_and_write_nwbfile,
        get_default_backend_configuration,
        make_nwbfile_from_metadata,
    )

    def run() -> None:
        interface = PhySortingInterface(folder_path=task.source)
        metadata = _their_metadata(interface)
        if compress:
            interface.run_conversion(nwbfile_path=task.out, metadata=metadata, overwrite=True)
            return
        nwbfile = make_nwbfile_from_metadata(metadata)
        interface.add_to_nwbfile(nwbfile, metadata)
        configuration = get_default_backend_configuration(nwbfile, backend="hdf5")
        for dataset in configuration.dataset_configurations.values():
            dataset.compression_method = None
        configure_and_write_nwbfile(nwbfile, nwbfile_path=task.out, backend_configuration=configuration)

    return run


def neuroconv_raw(task: Task) -> Callable[[], object]:
    from neuroconv.converters import SortedRecordingConverter
    from neuroconv.datainterfaces import PhySortingInterface, SpikeGLXRecordingInterface

    def run() -> None:
        source = Path(task.source)
        recording = SpikeGLXRecordingInterface(folder_path=source / "sim_g0", stream_id="imec0.ap")
        sorting = PhySortingInterface(folder_path=source / "sim_g0" / "sim_g0_imec0" / "kilosort")
        sorting.register_recording(recording)  # or else spikes start at 0 and traces at firstSample / rate
        with np.load(source / "truth.npz") as truth:
            peaks = dict(zip(truth["clusters"].tolist(), truth["peaks"].tolist(), strict=True))
        names = [str(name) for name in recording.channel_ids]
        mapping = {unit: [names[peaks[int(unit)]]] for unit in sorting.units_ids.tolist()}
        converter = SortedRecordingConverter(
            recording_interface=recording, sorting_interface=sorting, unit_ids_to_channel_ids=mapping
        )
        converter.run_conversion(nwbfile_path=task.out, metadata=_their_metadata(converter), overwrite=True)

    return run


def _our_metadata() -> dict[str, Any]:
    described = {"session_start_time": START, "session_description": "Simulated.", "session_id": "sim1"}
    return {"NWBFile": described, "Subject": dict(SUBJECT)}


def _their_metadata(source: Any) -> Any:
    from datetime import datetime

    metadata = source.get_metadata()
    metadata["NWBFile"]["session_start_time"] = datetime.fromisoformat(START)
    metadata["NWBFile"]["session_description"] = "Simulated."
    metadata["NWBFile"]["session_id"] = "sim1"
    metadata["Subject"] = dict(SUBJECT)
    return metadata


RUNNERS: dict[tuple[str, str], Callable[[Task], Callable[[], object]]] = {
    ("nwb-celltype", "spikes"): ours_phy,
    ("neuroconv", "spikes"): neuroconv_phy,
    ("neuroconv, no compression", "spikes"): lambda task: neuroconv_phy(task, compress=False),
    ("nwb-celltype", "spikes and traces"): ours_raw,
    ("neuroconv", "spikes and traces"): neuroconv_raw,
}


def child(task: Task) -> None:
    """Convert once and print what it took."""
    warnings.simplefilter("ignore")
    imported = time.perf_counter()
    convert = RUNNERS[task.program, task.content](task)
    importing_s = time.perf_counter() - imported
    before, started = os.times(), time.perf_counter()
    convert()
    wall_s, after = time.perf_counter() - started, os.times()
    cpu_s = sum(after[:4]) - sum(before[:4])
    found = {"wall_s": wall_s, "cpu_s": cpu_s, "import_s": importing_s, "peak_mb": peak_mb()}
    print(json.dumps({**found, "file_mb": Path(task.out).stat().st_size / 1e6}))


def peak_mb() -> float:
    """Largest resident memory of this process; `ru_maxrss` would start with that of the process that forked it."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure(task: Task) -> dict[str, float]:
    """Convert in a fresh process."""
    load = os.getloadavg()[0]
    started = time.perf_counter()
    command = [sys.executable, str(Path(__file__).resolve()), "--child", json.dumps(asdict(task))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{task.program} could not convert {task.source}:\n{done.stderr[-4000:]}"
        raise SystemExit(message)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**found, "process_s": time.perf_counter() - started, "load_before": load}


# -------------------------------------------------------------------------------------------------------------- checks


def spike_times(path: Path) -> dict[int, NDArray[np.float64]]:
    """Spike times by the sorter's id, straight from HDF5: NeuroConv keeps ids in `unit_name`."""
    with h5py.File(path, "r") as file:
        units = file["units"]
        stops = units["spike_times_index"][:]
        times = units["spike_times"][:]
        by_name = "unit_name" in units and units["unit_name"].dtype.kind != "f"
        names = units["unit_name"].asstr()[:] if by_name else units["id"][:]
    return {int(name): part for name, part in zip(names, np.split(times, stops[:-1]), strict=True)}


def largest_difference(a: dict[int, NDArray[np.float64]], b: dict[int, NDArray[np.float64]]) -> float:
    """Seconds; infinite where units or numbers of spikes differ."""
    if a.keys() != b.keys() or any(len(a[unit]) != len(b[unit]) for unit in a):
        return float("inf")
    return max((float(np.max(np.abs(a[unit] - b[unit]))) for unit in a if len(a[unit])), default=0.0)


def same_traces(a: Path, b: Path) -> bool:
    """Whether stored counts of the first and the last second are equal."""
    parts = []
    for path in (a, b):
        with h5py.File(path, "r") as file:
            series = [s for s in file["acquisition"].values() if s.attrs.get("neurodata_type") == "ElectricalSeries"]
            data = series[0]["data"]
            parts.append((data.shape, data[:30_000], data[-30_000:]))
    return parts[0][0] == parts[1][0] and all(
        np.array_equal(x, y) for x, y in zip(*(p[1:] for p in parts), strict=True)
    )


# ---------------------------------------------------------------------------------------------------------------- main


def tasks_of(options: argparse.Namespace) -> list[Task]:
    data = options.data_dir
    tasks = []
    for size in options.sizes:
        source = phy_folder(data / f"phy_{size}", size, N_SPIKES.get(size, 40_000 * size))
        for program in ("nwb-celltype", "neuroconv", "neuroconv, no compression"):
            out = data / f"spikes_{size}_{program.replace(', ', '_').replace(' ', '_')}.nwb"
            tasks.append(Task(program, "spikes", size, str(source), str(out)))
    if options.raw_seconds:
        source = raw_session(data / f"session_{options.raw_seconds:g}s", options.raw_seconds)
        for program in ("nwb-celltype", "neuroconv"):
            tasks.append(Task(program, "spikes and traces", 50, str(source), str(data / f"raw_{program}.nwb")))
    return tasks


def compare(tasks: list[Task]) -> None:
    """Say whether the files hold the same, and stop where they do not."""
    for content, units in dict.fromkeys((task.content, task.units) for task in tasks):
        group = [task for task in tasks if (task.content, task.units) == (content, units)]
        first = spike_times(Path(group[0].out))
        n_spikes = sum(map(len, first.values()))
        for other in group[1:]:
            difference = largest_difference(first, spike_times(Path(other.out)))
            print(
                f"{content}, {units} units: {other.program}: {n_spikes} spike times, {difference:.1e} s apart at most"
            )
            if not difference <= 1e-9:
                message = "The files do not hold the same spikes, so their times cannot be compared."
                raise SystemExit(message)
            if content != "spikes" and not same_traces(Path(group[0].out), Path(other.out)):
                message = "The files do not hold the same traces, so their times cannot be compared."
                raise SystemExit(message)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[50, 500], help="numbers of units, spikes only")
    parser.add_argument("--raw-seconds", type=float, default=300.0, help="length of the session with traces; 0: none")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(Task(**json.loads(options.child)))
        return
    if options.data_dir is None:
        parser.error("--data-dir is needed")
    versions = {name: version(name) for name in VERSIONS} | {"python": platform.python_version()}
    print(", ".join(f"{name} {text}" for name, text in versions.items()), f"on {os.cpu_count()} CPUs")
    tasks = tasks_of(options)
    runs: dict[Task, list[dict[str, float]]] = {task: [] for task in tasks}
    for _ in range(options.repeats):
        for task in tasks:
            runs[task].append(measure(task))
    compare(tasks)
    heads = ("content", "units", "program", "wall s", "CPU s", "process s", "peak MB", "file MB")
    print(" | ".join(heads))
    rows = []
    for task, found in runs.items():
        middle = {key: statistics.median(run[key] for run in found) for key in found[0]}
        rows.append({**asdict(task), **middle, "runs": found})
        print(
            f"{task.content} | {task.units} | {task.program} | {middle['wall_s']:.2f} | {middle['cpu_s']:.2f} | "
            f"{middle['process_s']:.2f} | {middle['peak_mb']:.0f} | {middle['file_mb']:.1f}"
        )
    if options.json:
        options.json.write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
