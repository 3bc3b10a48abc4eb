"""Mean waveforms from a raw recording: this package beside SpikeInterface's analyzer and a plain numpy loop.

Run:  python benchmarks/mean_waveforms.py --data-dir DIR [--seconds 300] [--units 50] [--repeats 3] [--json FILE]

DIR is filled with a simulated Neuropixels recording (384 channels and a sync word, int16, 30 kHz: 6.9 GB at 300 s) and
its spikes, unless they are there already. All methods then take the mean and standard deviation of the very same 500
spikes a unit, which come from this package's choice: SpikeInterface is given these spikes alone and told to use all.

Each run is a process of its own, which first does the same on a recording of 2 s so that compiling and importing are
not counted. The file is read once before, so that all find it in memory; runs of different methods alternate. Wall and
CPU time are those of the work; the peak memory is that of the process and its children, imports included.
SpikeInterface's time is that of the templates alone, without making the analyzer, which is given beside it. This
package's time contains finding the peak channels, choosing spikes and measuring drift.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.records import Probe, Sorting
from nwb_celltype.converters.spike_selection import spread_spikes
from nwb_celltype.converters.traces import BinaryTraces
from nwb_celltype.converters.waveforms import mean_waveforms

RATE_HZ = 30_000
N_CHANNELS = 384
GAIN_UV = 0.6 / 512 / 500 * 1e6
N_BEFORE, N_AFTER = 30, 90
MAX_SPIKES = 500
WARM_S = 2
OURS = "nwb-celltype"
METHODS = (
    OURS,
    "numpy memmap, all channels",
    "SpikeInterface dense, n_jobs=1",
    "SpikeInterface dense, n_jobs=2",
    "SpikeInterface sparse, n_jobs=1",
    "SpikeInterface sparse, n_jobs=2",
)


def positions() -> NDArray[np.float64]:
    """Checkerboard of a Neuropixels 1.0 shank."""
    row = np.arange(N_CHANNELS) // 2
    x = np.where(np.arange(N_CHANNELS) % 2, 48.0, 16.0) - np.where(row % 2, 16.0, 0.0)
    return np.column_stack([x, 20.0 * row])


def probe() -> Probe:
    names = tuple(f"AP{channel}" for channel in range(N_CHANNELS))
    return Probe("imec0", names, positions(), np.zeros(N_CHANNELS, dtype=np.int64), "simulated")


def traces(path: Path) -> BinaryTraces:
    return BinaryTraces(
        name="imec0.ap",
        paths=(path,),
        dtype=np.dtype("<i2"),
        n_file_channels=N_CHANNELS + 1,
        columns=np.arange(N_CHANNELS),
        sampling_rate_hz=RATE_HZ,
        gains_uv=np.full(N_CHANNELS, GAIN_UV),
    )


def read_sorting(path: Path) -> Sorting:
    with np.load(path) as stored:
        samples, offsets, peaks = stored["samples"], stored["offsets"], stored["peaks"]
    ids = np.arange(len(offsets) - 1)
    return Sorting(ids, tuple(map(str, ids)), samples, offsets, RATE_HZ, "simulated", peak_channels=peaks)


def simulate(folder: Path, seconds: int, n_units: int) -> None:
    """Write noise with spikes of 2 to 60 Hz on top, whose amplitude falls off with distance."""
    generator = np.random.default_rng(0)
    where = positions()
    peaks = generator.choice(N_CHANNELS, n_units)
    t_ms = np.arange(-N_BEFORE, N_AFTER) / RATE_HZ * 1e3
    shapes = np.empty((n_units, len(t_ms), N_CHANNELS))
    for shape, peak in zip(shapes, peaks, strict=True):
        width = generator.uniform(0.1, 0.25)
        wave = 0.4 * np.exp(-(((t_ms - 3 * width) / (2 * width)) ** 2)) - np.exp(-((t_ms / width) ** 2))
        distance = np.hypot(*(where - where[peak] - generator.uniform(-10, 10, 2)).T)
        shape[:] = wave[:, None] * generator.uniform(60, 400) * np.exp(-distance / 35)
    shapes = np.rint(shapes / GAIN_UV).astype(np.int16)
    spikes = []
    for rate_hz in np.exp(generator.uniform(np.log(2), np.log(60), n_units)):
        gaps = generator.exponential(RATE_HZ / rate_hz, round(1.5 * seconds * rate_hz) + 10) + 60
        samples = np.cumsum(gaps).astype(np.int64)
        spikes.append(samples[samples < seconds * RATE_HZ])
    noise = np.rint(generator.normal(0, 8 / GAIN_UV, (RATE_HZ + 5_003, N_CHANNELS))).astype(np.int16)
    carry = np.zeros((len(t_ms), N_CHANNELS), dtype=np.int16)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "raw.part", "wb") as file:
        for second in range(seconds):
            block = np.zeros((RATE_HZ + len(t_ms), N_CHANNELS + 1), dtype="<i2")
            signal = block[:, :N_CHANNELS]
            shift = int(generator.integers(5_000))
            signal[:RATE_HZ] = noise[shift : shift + RATE_HZ]
            signal[: len(carry)] += carry
            for shape, samples in zip(shapes, spikes, strict=True):
                begin, end = np.searchsorted(samples, [second * RATE_HZ + N_BEFORE, (second + 1) * RATE_HZ + N_BEFORE])
                for start in samples[begin:end] - second * RATE_HZ - N_BEFORE:
                    signal[start : start + len(t_ms)] += shape
            carry = signal[RATE_HZ:].copy()
            file.write(block[:RATE_HZ])
    offsets = np.cumsum([0, *map(len, spikes)])
    np.savez(folder / "spikes.npz", samples=np.concatenate(spikes), offsets=offsets, peaks=peaks)
    (folder / "raw.part").rename(folder / "raw.bin")
    with open(folder / "raw.bin", "rb") as whole, open(folder / "warm.bin", "wb") as short:
        short.write(whole.read(WARM_S * RATE_HZ * (N_CHANNELS + 1) * 2))


def chosen_spikes(sorting: Sorting, n_samples: int) -> list[NDArray[np.int64]]:
    """The spikes that `mean_waveforms` takes with seed 0."""
    window = {"n_before": N_BEFORE, "n_after": N_AFTER, "max_spikes": MAX_SPIKES}
    return [
        spread_spikes(sorting.samples_of(row), n_samples, seed=(0, int(unit)), **window).samples
        for row, unit in enumerate(sorting.unit_ids)
    ]


class Work:
    """One method on one recording: `prepare` is not counted, `run` is."""

    def __init__(self, method: str, path: Path, sorting: Sorting) -> None:
        self.method, self.path, self.sorting = method, path, sorting
        self.extra: dict[str, Any] = {}

    def prepare(self) -> None:
        self.traces = traces(self.path)
        self.spikes = chosen_spikes(self.sorting, self.traces.n_samples)
        if self.method.startswith("SpikeInterface"):
            self._prepare_analyzer()

    def _prepare_analyzer(self) -> None:
        import spikeinterface.core as si
        from probeinterface import Probe as Geometry

        si.set_global_job_kwargs(n_jobs=int(self.method[-1]), chunk_duration="1s", progress_bar=False)
        recording = si.BinaryRecordingExtractor(
            self.path, RATE_HZ, "int16", N_CHANNELS + 1, gain_to_uV=GAIN_UV, offset_to_uV=0.0
        ).select_channels(list(range(N_CHANNELS)))
        geometry = Geometry(ndim=2, si_units="um")
        geometry.set_contacts(positions(), shapes="square", shape_params={"width": 12})
        geometry.set_device_channel_indices(np.arange(N_CHANNELS))
        recording.set_probe(geometry)
        train = {str(unit): samples for unit, samples in zip(self.sorting.unit_ids, self.spikes, strict=True)}
        sorting = si.NumpySorting.from_unit_dict(train, RATE_HZ)
        start = time.perf_counter()
        self.analyzer = si.create_sorting_analyzer(sorting, recording, sparse="sparse" in self.method, format="memory")
        self.analyzer.compute("random_spikes", method="all")
        self.extra["making_the_analyzer_s"] = round(time.perf_counter() - start, 3)

    def run(self) -> None:
        if self.method == OURS:
            self._ours()
        elif self.method.startswith("numpy"):
            self._numpy()
        else:
            self.analyzer.compute("templates", operators=["average", "std"], ms_before=1.0, ms_after=3.0)

    def _ours(self) -> None:
        self.waveforms = mean_waveforms(
            self.sorting, self.traces, probe(), ms_before=1.0, ms_after=3.0, max_spikes=MAX_SPIKES
        )

    def _numpy(self) -> None:
        counts = np.memmap(self.path, dtype="<i2", mode="r", shape=(self.traces.n_samples, N_CHANNELS + 1))
        shape = (len(self.sorting), N_BEFORE + N_AFTER, N_CHANNELS)
        sums, squares = np.zeros(shape), np.zeros(shape)
        units = np.repeat(np.arange(len(self.spikes)), [len(samples) for samples in self.spikes])
        samples = np.concatenate(self.spikes)
        for i in np.argsort(samples):
            snippet = counts[samples[i] - N_BEFORE : samples[i] + N_AFTER, :N_CHANNELS].astype(np.float32)
            sums[units[i]] += snippet
            squares[units[i]] += snippet * snippet
        n = np.array([len(samples) for samples in self.spikes])[:, None, None]
        self.mean = sums / n * GAIN_UV
        self.sd = np.sqrt(squares / n - (sums / n) ** 2) * GAIN_UV

    def dense(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
        """Mean and standard deviation by unit, and the channels they are on if not on all."""
        if self.method == OURS:
            if not np.array_equal(self.waveforms.n_spikes_used, [len(samples) for samples in self.spikes]):
                message = "nothing drifts in this recording, yet spikes were left out"
                raise RuntimeError(message)
            return self.waveforms.mean, self.waveforms.sd, self.waveforms.channels
        if self.method.startswith("numpy"):
            return self.mean, self.sd, None
        templates = self.analyzer.get_extension("templates")
        return templates.get_templates(operator="average"), templates.get_templates(operator="std"), None


def work(method: str, folder: Path) -> None:
    """What a child process does."""
    sorting = read_sorting(folder / "spikes.npz")
    ends = [np.searchsorted(sorting.samples_of(row), WARM_S * RATE_HZ) for row in range(len(sorting))]
    warm_samples = [sorting.samples_of(row)[:end] for row, end in enumerate(ends)]
    warm = Sorting(
        sorting.unit_ids,
        sorting.unit_names,
        np.concatenate(warm_samples),
        np.cumsum([0, *ends]),
        RATE_HZ,
        "",
        peak_channels=sorting.peak_channels,
    )
    first = Work(method, folder / "warm.bin", warm)
    first.prepare()
    first.run()
    del first
    main = Work(method, folder / "raw.bin", sorting)
    main.prepare()
    before, start = os.times(), time.perf_counter()
    main.run()
    wall, after = time.perf_counter() - start, os.times()
    mean, sd, channels = main.dense()
    slug = method.replace(" ", "_").replace(",", "")
    stored = {} if channels is None else {"channels": channels}
    np.savez(folder / f"result_{slug}.npz", mean=mean, sd=sd, **stored)
    cpu = sum(after[:4]) - sum(before[:4])
    print(json.dumps({"wall_s": round(wall, 3), "cpu_s": round(cpu, 3), **main.extra}))


def resident_mb(process: int) -> float:
    """Memory of a process and its children now."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6 + sum(resident_mb(int(child)) for child in children)


def run_child(method: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--data-dir", str(folder), "--method", method]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            peak[0] = max(peak[0], resident_mb(child.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = child.communicate()
    ended.set()
    watcher.join()
    if child.returncode:
        message = f"{method} ended with {child.returncode}"
        raise RuntimeError(message)
    return {**json.loads(output.splitlines()[-1]), "peak_rss_mb": round(peak[0], 1)}


def differences(folder: Path) -> dict[str, tuple[float, float]]:
    """Largest absolute difference of each method from this package, microvolts: mean and standard deviation.

    A sparse analyzer has zeros on the channels that it left out; these are not compared.
    """
    with np.load(folder / f"result_{OURS}.npz") as ours:
        mean, sd, channels = ours["mean"], ours["sd"], ours["channels"]
    found = {}
    for method in METHODS[1:]:
        with np.load(folder / f"result_{method.replace(' ', '_').replace(',', '')}.npz") as theirs:
            their_mean, their_sd = (
                np.stack([values[:, channels[unit]] for unit, values in enumerate(theirs[name])])
                for name in ("mean", "sd")
            )
        has = np.any(their_sd != 0, axis=1, keepdims=True)
        found[method] = tuple(
            float(np.abs(np.where(has, a - b, 0)).max()) for a, b in ((mean, their_mean), (sd, their_sd))
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--units", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--method", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = options.data_dir
    if options.method:
        work(options.method, folder)
        return
    if not (folder / "warm.bin").exists():
        simulate(folder, options.seconds, options.units)
    with open(folder / "raw.bin", "rb") as file:
        while file.read(2**24):
            pass
    runs: dict[str, list[dict[str, Any]]] = {method: [] for method in METHODS}
    for _ in range(options.repeats):
        for method in METHODS:
            runs[method].append(run_child(method, folder))
    report(folder, runs, options.json)


def report(folder: Path, runs: dict[str, list[dict[str, Any]]], path: Path | None) -> None:
    packages = ("nwb-celltype", "spikeinterface", "numpy", "numba")
    versions = {"python": platform.python_version(), **{name: version(name) for name in packages}}
    sorting, n_bytes = read_sorting(folder / "spikes.npz"), (folder / "raw.bin").stat().st_size
    seconds = n_bytes / (2 * (N_CHANNELS + 1) * RATE_HZ)
    size = (
        f"{len(sorting)} units, {MAX_SPIKES} spikes each, {seconds:g} s, {n_bytes / 1e9:.2f} GB, {os.cpu_count()} CPUs"
    )
    print(", ".join(f"{name} {number}" for name, number in versions.items()), size, sep="\n", end="\n\n")
    apart = differences(folder)
    print("Same spikes, largest difference from this package (uV):        mean        sd")
    for method, (mean, sd) in apart.items():
        print(f"  {method:<58} {mean:9.2g} {sd:9.2g}")
    best = {method: min(run["wall_s"] for run in made) for method, made in runs.items()}
    print(f"\n{'':<34} {'wall s':>8} {'median':>8} {'CPU s':>8} {'RSS MB':>8} {'x ours':>8}  making the analyzer s")
    table = []
    for method, made in runs.items():
        row = {
            "method": method,
            "wall_s": best[method],
            "wall_s_median": median(run["wall_s"] for run in made),
            "cpu_s": min(run["cpu_s"] for run in made),
            "peak_rss_mb": max(run["peak_rss_mb"] for run in made),
            "ratio_to_ours": round(best[method] / best[OURS], 2),
            "making_the_analyzer_s": min(run.get("making_the_analyzer_s", np.nan) for run in made),
        }
        numbers = [row[name] for name in ("wall_s", "wall_s_median", "cpu_s", "peak_rss_mb", "ratio_to_ours")]
        making = row["making_the_analyzer_s"]
        extra = "" if np.isnan(making) else f"{making:8.2f}"
        print(f"{method:<34}", *(f"{number:8.2f}" for number in numbers), extra)
        table.append(row if extra else {name: row[name] for name in row if name != "making_the_analyzer_s"})
    if path:
        found = {"versions": versions, "data": size, "differences_uv": apart, "table": table, "runs": runs}
        path.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
