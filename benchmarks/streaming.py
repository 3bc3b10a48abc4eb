"""Units of a remote NWB file: this toolkit beside remfile and fsspec, from the same server, in the same run.

Run:  python benchmarks/streaming.py --data-dir DIR [--size large|small] [--repeats 3] [--json FILE]

The file is written once by pynwb, as it is and with gzip: 600 units, 20.1 M spikes and as many amplitudes, 18 columns
with one value per unit, mean waveforms of 82 samples on 384 channels, 300 MB of LFP on 384 of 1536 electrodes. A server
in a process of its own gives it away over loopback with 40 ms latency per request and 25 MB/s per connection. Each task
opens the file anew and runs in a fresh process; requests and bytes are those that the server counted, seconds those
from before opening to the last value, without imports, the median of the repeats. Peers read with h5py: whole columns
with ``[()]``, spikes unit by unit through the index. Before any table is printed, the values of all readers are
compared with those in the local file. remfile runs with its defaults, fsspec with its default (5 MiB read ahead) and
with ``cache_type="blockcache"`` and 1 MiB blocks, which suits HDF5 better.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

LATENCY_S, BYTES_PER_S = 0.04, 25e6
OURS = "nwb-celltype"
READERS = (OURS, "remfile", "fsspec", "fsspec blockcache")
TASKS = {
    "scalars": "open and all columns with one value per unit",
    "spikes_10": "spikes of 10 units",
    "spikes": "all spikes",
    "waveforms": "all mean waveforms",
}
VERSIONS = ("nwb-celltype", "remfile", "fsspec", "aiohttp", "h5py", "pynwb", "hdmf", "numpy")
N_CHOSEN = 10


@dataclass(frozen=True)
class Size:
    """How much is in the file."""

    n_units: int
    n_spikes: int
    n_samples: int
    n_channels: int
    n_electrodes: int
    lfp_bytes: int


SIZES = {
    "large": Size(600, 20_100_000, 82, 384, 1536, 300_000_000),
    "small": Size(60, 200_000, 40, 32, 64, 2_000_000),
}


# the file


def write_file(path: Path, size: Size, *, gzip: bool, seed: int = 5) -> None:
    """Write the NWB file of the benchmark; the same seed gives the same values."""
    from hdmf.backends.hdf5 import H5DataIO
    from hdmf.common import DynamicTableRegion, VectorData, VectorIndex
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.ecephys import LFP, ElectricalSeries
    from pynwb.file import Subject
    from pynwb.misc import Units

    random = np.random.default_rng(seed)
    n = size.n_units

    def stored(values: NDArray[Any]) -> Any:
        return H5DataIO(values, compression="gzip", shuffle=True) if gzip else values

    def column(name: str, values: Any) -> VectorData:
        return VectorData(name=name, description=f"simulated {name}", data=values)

    start = datetime(2026, 1, 1, tzinfo=UTC)
    nwb = NWBFile("simulated units", f"streaming-{n}", start, session_id="s1", lab="Lab", institution="Institute")
    nwb.subject = Subject(subject_id="m1", species="Mus musculus", sex="F", age="P60D")
    device = nwb.create_device(name="probe")
    group = nwb.create_electrode_group("probe0", description="a probe", location="cerebellum", device=device)
    for k in range(size.n_electrodes):
        nwb.add_electrode(
            x=1000.0, y=20.0 * k, z=3000.0, rel_x=16.0 * (k % 4), rel_y=20.0 * (k // 4), group=group,
            location="lobule V" if k < size.n_electrodes // 2 else "lobule VI", filtering="300-6000 Hz",
        )  # fmt: skip
    counts = random.multinomial(size.n_spikes, random.dirichlet(np.full(n, 3.0)))
    ends = np.cumsum(counts).astype(np.uint64)
    times = np.concatenate([np.sort(random.integers(0, 3600 * 30_000, count)) / 30_000 for count in counts])
    spikes = column("spike_times", stored(times))
    amplitudes = column("spike_amplitudes", stored(random.normal(80.0, 20.0, size.n_spikes)))
    channels = random.integers(0, size.n_electrodes, n)
    columns = [
        spikes,
        VectorIndex(name="spike_times_index", data=ends, target=spikes),
        amplitudes,
        VectorIndex(name="spike_amplitudes_index", data=ends, target=amplitudes),
        DynamicTableRegion(name="electrodes", description="peak electrode", data=channels, table=nwb.electrodes),
        column("waveform_mean", stored(_waveforms(random, size))),
        *(column(f"metric_{k:02d}", random.random(n)) for k in range(16)),
        column("quality", np.where(random.random(n) < 0.6, "good", "mua").tolist()),
        column("ks_label", np.where(random.random(n) < 0.6, "good", "mua").tolist()),
    ]
    index = VectorIndex(name="electrodes_index", data=np.arange(1, n + 1), target=columns[4])
    columns.insert(5, index)
    nwb.units = Units(
        name="units", description="simulated units", id=list(range(n)), columns=columns, resolution=1 / 30_000,
        colnames=[each.name for each in columns if not each.name.endswith("_index")], waveform_rate=30_000.0,
    )  # fmt: skip
    n_lfp = min(384, size.n_electrodes)
    lfp = random.integers(-500, 500, (size.lfp_bytes // (2 * n_lfp), n_lfp), dtype=np.int16)
    region = nwb.create_electrode_table_region(list(range(n_lfp)), "channels of the LFP")
    series = ElectricalSeries(name="lfp", data=stored(lfp), electrodes=region, rate=2500.0)
    nwb.create_processing_module("ecephys", "filtered").add(LFP(electrical_series=series))
    unfinished = path.with_suffix(".part")
    with NWBHDF5IO(unfinished, "w") as io:
        io.write(nwb)
    unfinished.replace(path)


def _waveforms(random: np.random.Generator, size: Size) -> NDArray[np.float32]:
    """(units, samples, channels) volts: a spike on some channels, and noise."""
    shape = (size.n_units, size.n_samples, size.n_channels)
    waveforms = random.normal(0.0, 2e-6, shape).astype(np.float32)
    time_course = -1e-4 * np.exp(-(((np.arange(size.n_samples) - size.n_samples / 3) / 4.0) ** 2))
    for unit, peak in enumerate(random.integers(0, size.n_channels, size.n_units)):
        gain = np.exp(-np.abs(np.arange(size.n_channels) - peak) / 8.0)
        waveforms[unit] += np.outer(time_course, gain).astype(np.float32)
    return waveforms


# the readers; each returns what it read, in the order of the units


def read_ours(url: str, task: str, chosen: list[int]) -> Callable[[], list[Any]]:
    import certifi  # noqa: F401 - these are loaded at first use otherwise
    import urllib3  # noqa: F401

    from nwb_celltype.archive import disk_cache, remote_file, transport  # noqa: F401
    from nwb_celltype.units import read_units

    def run() -> list[Any]:
        with read_units(url) as units:
            if task == "scalars":
                return [units.column(name) for name in sorted(units.column_names)]
            if task == "spikes_10":
                return list(units.select(units.unit_ids[chosen]).spike_times)
            if task == "spikes":
                return list(units.spike_times)
            return list(units.waveform_mean)

    return run


def read_h5py(open_url: Callable[[], Any], task: str, chosen: list[int]) -> Callable[[], list[Any]]:
    def run() -> list[Any]:
        with h5py.File(open_url(), "r") as file:
            table = file["units"]
            if task == "scalars":
                return [_column(table[name]) for name in sorted(_scalar_names(table))]
            if task == "waveforms":
                return [values * 1e6 for values in table["waveform_mean"][()].astype(np.float64)]
            ends = table["spike_times_index"][()].astype(np.int64)
            starts = np.concatenate([[0], ends[:-1]])
            if task == "spikes_10":
                return [table["spike_times"][starts[unit] : ends[unit]] for unit in chosen]
            times = table["spike_times"][()]
            return [times[a:b] for a, b in zip(starts, ends, strict=True)]

    return run


def _scalar_names(table: Any) -> list[str]:
    names = [str(name) for name in table.attrs["colnames"]]
    return [name for name in [*names, "id"] if f"{name}_index" not in table and name != "waveform_mean"]


def _column(dataset: Any) -> NDArray[Any]:
    values = dataset.asstr()[()] if h5py.check_string_dtype(dataset.dtype) else dataset[()]
    return np.asarray(values, dtype=np.str_ if values.dtype.kind == "O" else None)


def reader(name: str, url: str, task: str, chosen: list[int]) -> Callable[[], list[Any]]:
    if name == OURS:
        return read_ours(url, task, chosen)
    if name == "remfile":
        import remfile

        return read_h5py(lambda: remfile.File(url), task, chosen)
    if name == "local":
        return read_h5py(lambda: url, task, chosen)
    import aiohttp  # noqa: F401
    import fsspec
    import fsspec.implementations.http

    options = {"cache_type": "blockcache", "block_size": 2**20} if name.endswith("blockcache") else {}
    return read_h5py(lambda: fsspec.filesystem("http").open(url, "rb", **options), task, chosen)


def digest(values: list[Any]) -> str:
    """Of values and shapes, whatever their width and byte order."""
    sha = hashlib.sha256()
    for each in values:
        array = np.asarray(each)
        array = array.astype(np.str_) if array.dtype.kind in "OSU" else array.astype("<f8")
        sha.update(repr((array.shape, array.dtype.kind)).encode())
        sha.update(" ".join(array).encode() if array.dtype.kind == "U" else np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def run_task(name: str, url: str, task: str, chosen: list[int]) -> dict[str, Any]:
    run = reader(name, url, task, chosen)
    began = time.perf_counter()
    values = run()
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "digest": digest(values)}


def in_fresh_process(name: str, url: str, task: str, chosen: list[int]) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", json.dumps([name, url, task, chosen])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{name}, {task} failed:\n{done.stderr[-2000:]}"
        raise SystemExit(message)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


# the comparison


def measure(folder: Path, size: Size, names: list[str], repeats: int) -> list[dict[str, Any]]:
    from tests.archive.range_server import spawn_server

    chosen = np.sort(np.random.default_rng(10).choice(size.n_units, N_CHOSEN, replace=False)).tolist()
    rows = []
    with spawn_server(folder, latency_s=LATENCY_S, bytes_per_s=BYTES_PER_S) as server:
        for file in names:
            for task in TASKS:
                truth = in_fresh_process("local", str(folder / file), task, chosen)["digest"]
                stored = stored_bytes(folder / file, task)
                for name in READERS:
                    runs = []
                    for _ in range(repeats):
                        server.take_log()
                        answer = in_fresh_process(name, server.url(file), task, chosen)
                        n_requests, n_bytes = server.take_log()
                        runs.append((answer["seconds"], n_requests, n_bytes, answer["digest"] == truth))
                    row = {
                        "file": file,
                        "task": task,
                        "reader": name,
                        "requests": max(run[1] for run in runs),
                        "bytes": max(run[2] for run in runs),
                        "seconds": statistics.median(run[0] for run in runs),
                        "stored_bytes": stored,
                        "values_agree": all(run[3] for run in runs),
                    }
                    rows.append(row)
                    print(f"  {file} {task} {name}: {row['seconds']:.2f} s", file=sys.stderr)
    return rows


def stored_bytes(path: Path, task: str) -> int:
    """Bytes that the values of a task take in the file, what describes them left out."""
    with h5py.File(path, "r") as file:
        table = file["units"]
        if task == "scalars":
            return sum(int(table[name].id.get_storage_size()) for name in _scalar_names(table))
        return int(table["waveform_mean" if task == "waveforms" else "spike_times"].id.get_storage_size())


def print_tables(rows: list[dict[str, Any]]) -> None:
    disagree = [f"{row['file']} {row['task']} {row['reader']}" for row in rows if not row["values_agree"]]
    print("values:", "all readers agree with the local file" if not disagree else f"DIFFERENT in {disagree}")
    for file in dict.fromkeys(row["file"] for row in rows):
        for task, words in TASKS.items():
            some = [row for row in rows if row["file"] == file and row["task"] == task]
            ours = next(row for row in some if row["reader"] == OURS)
            print(f"\n{file}: {words} ({ours['stored_bytes'] / 1e6:.1f} MB stored)")
            print(f"  {'':18} {'requests':>8} {'MB':>8} {'seconds':>8} {'times ours':>10}")
            for row in some:
                ratio = row["seconds"] / ours["seconds"]
                counts = f"{row['requests']:8d} {row['bytes'] / 1e6:8.2f}"
                print(f"  {row['reader']:18} {counts} {row['seconds']:8.2f} {ratio:10.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", type=Path, help="where the files are, or are written to")
    parser.add_argument("--size", choices=sorted(SIZES), default="large")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.one:
        print(json.dumps(run_task(*json.loads(options.one))))
        return
    if options.data_dir is None:
        parser.error("--data-dir is needed")
    options.data_dir.mkdir(parents=True, exist_ok=True)
    size, names = SIZES[options.size], [f"{options.size}.nwb", f"{options.size}_gzip.nwb"]
    for name in names:
        path = options.data_dir / name
        if not path.exists():
            print(f"writing {path}", file=sys.stderr)
            write_file(path, size, gzip="gzip" in name)
    rows = measure(options.data_dir, size, names, options.repeats)
    versions = {name: version(name) for name in VERSIONS}
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()},", end=" ")
    print(", ".join(f"{name} {number}" for name, number in versions.items()))
    print(f"server: {LATENCY_S * 1e3:g} ms per request, {BYTES_PER_S / 1e6:g} MB/s per connection")
    print_tables(rows)
    if options.json:
        about = {"versions": versions, "latency_s": LATENCY_S, "bytes_per_s": BYTES_PER_S}
        options.json.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
