"""Features of spike trains: what they cost beside SpikeInterface, how that grows, and what the first call costs.

Run:  python benchmarks/features.py [--quick] [--vectors DIR] [--json FILE]

Made-up trains (gamma renewal with a refractory period and slow changes of rate, 30 kHz): 100 units of 30 min with
5.4 million spikes for the 3D-ACG, and 1,000 units of 100,000 spikes in an NWB file for intervals, autocorrelograms and
statistics. ``--quick`` does the same with 6 units of 2 min and 20 units of 2,000 spikes.

All is CPU time of one process, after a first call on a short train. SpikeInterface is called as its documentation says,
with the parameters of the same 3D-ACG and ``n_jobs=1``, which is its fastest here; it keeps triggers in the last second
of a train, so it is also compared on trains that end with a silence of two seconds and one spike. NeuroPyxels is not
run, since its licence does not go with ours: version 4.3.1 took 42 to 45 CPU seconds for these 100 units when it was
measured apart. DIR may hold ``acg3d_ref.npz`` with its maps (``spikes``, ``offsets``, ``acg_linear``).

Walls of two threads are given beside those of a loop that shares nothing, run with one and two threads at the same
time: it shows how many processors the machine had to give.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

import nwb_celltype as nct
from nwb_celltype.features import acg_3d, acgs_3d, compute

RATE_HZ = 30_000
NPYX_CPU_S = (42.0, 45.0)  # 100 units of 30 min, NeuroPyxels 4.3.1, measured apart

Ticks = NDArray[np.int64]
Float = NDArray[np.float64]


@numba.njit  # type: ignore[untyped-decorator,unused-ignore]
def wander(noise: Float, start: float, keep: float) -> Float:
    x = np.empty(len(noise))
    for i in range(len(noise)):
        start = keep * start + noise[i]
        x[i] = start
    return x


def train(seed: int, rate: float, shape: float, refractory_s: float, sd: float, tau_s: float, seconds: float) -> Ticks:
    """Gamma renewal process whose rate wanders, in ticks of the sampling clock."""
    rng = np.random.default_rng(seed)
    step = 0.01
    n, keep = int(seconds / step) + 1, np.exp(-step / tau_s)
    noise = rng.standard_normal(n) * sd * np.sqrt(1 - keep * keep)
    r = np.exp(wander(noise, rng.standard_normal() * sd, keep))
    free = rate / (1 - rate * refractory_s) * (r / r.mean())
    grown = np.concatenate([[0.0], np.cumsum(free[:-1]) * step])
    operational = np.cumsum(rng.gamma(shape, 1 / shape, int(grown[-1] * 1.2) + 100))
    t = np.interp(operational[operational < grown[-1]], grown, np.arange(n) * step)
    t = t + refractory_s * np.arange(len(t))
    if t[-1] > seconds - 0.5:
        t = t[t < seconds * 1.5] * (seconds - 0.5) / t[-1]
    return np.unique(np.floor(t * RATE_HZ).astype(np.int64))


def trains(n_units: int, seconds: float) -> list[Ticks]:
    """Rates from 5 to 80 Hz."""
    rng = np.random.default_rng(20250417)
    rates = np.exp(np.linspace(np.log(5), np.log(80), n_units))
    shapes, refractory = rng.choice([1.0, 1.5, 2.5, 4.0], n_units), rng.uniform(1.0, 3.0, n_units) / 1000
    sds, taus = rng.uniform(0.2, 0.7, n_units), rng.uniform(0.3, 5.0, n_units)
    return [
        train(1000 + i, float(rates[i]), float(shapes[i]), refractory[i], sds[i], taus[i], seconds)
        for i in range(n_units)
    ]


def trains_of(n_units: int, n_spikes: int) -> list[Float]:
    """Trains of so many spikes each, seconds; twenty kinds of 10 to 60 Hz, again and again."""
    rates = np.exp(np.linspace(np.log(10), np.log(60), 20))
    kinds = []
    for k, rate in enumerate(rates[:n_units]):
        made = train(k, float(rate), 2.0, 0.002, 0.4, 2.0, 1.3 * n_spikes / rate + 10)
        if len(made) < n_spikes:
            message = f"a train has {len(made)} spikes of {n_spikes}"
            raise RuntimeError(message)
        kinds.append(made[:n_spikes] / RATE_HZ)
    return [kinds[k % len(kinds)] for k in range(n_units)]


def cpu(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """CPU seconds, wall seconds, and what came out."""
    before, start = time.process_time(), time.perf_counter()
    result = work()
    return time.process_time() - before, time.perf_counter() - start, result


# --- 3D-ACG --------------------------------------------------------------------------------------------------------


def spikeinterface_acgs(ticks: list[Ticks]) -> NDArray[np.float64]:
    from spikeinterface.core import NumpySorting
    from spikeinterface.postprocessing import compute_acgs_3d

    sorting = NumpySorting.from_unit_dict({str(k): each for k, each in enumerate(ticks)}, RATE_HZ)
    found = compute_acgs_3d(
        sorting,
        window_ms=2000.0,
        bin_ms=1.0,
        num_firing_rate_quantiles=10,
        smoothing_factor=250,
        n_jobs=1,
        progress_bar=False,
    )
    return np.asarray(found[0])


def beside_spikeinterface(ticks: list[Ticks]) -> dict[str, Any]:
    seconds = [each / RATE_HZ for each in ticks]
    acg_3d(seconds[0][:1000])
    spikeinterface_acgs([ticks[0][:1000]])
    ours_s, _, ours = cpu(lambda: acgs_3d(seconds, n_threads=1))
    theirs_s, _, theirs = cpu(lambda: spikeinterface_acgs(ticks))
    ended = [np.append(each, each[-1] + 2 * RATE_HZ) for each in ticks[:: max(1, len(ticks) // 6)]]
    silent = np.abs(acgs_3d([each / RATE_HZ for each in ended]) - spikeinterface_acgs(ended)).max(axis=(1, 2))
    apart = np.abs(ours - theirs).max(axis=(1, 2))
    alike = [float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in zip(ours, theirs, strict=True)]
    return {
        "n_units": len(ticks),
        "n_spikes": int(sum(map(len, ticks))),
        "largest_difference": float(apart.max()),
        "smallest_correlation": min(alike),
        "largest_difference_with_a_silent_end": float(silent.max()),
        "identical_with_a_silent_end": f"{int((silent == 0).sum())} of {len(silent)}",
        "ours_cpu_s": ours_s,
        "spikeinterface_cpu_s": theirs_s,
        "ratio_spikeinterface": theirs_s / ours_s,
    }


def beside_vectors(folder: Path) -> str:
    with np.load(folder / "acg3d_ref.npz") as stored:
        found = acgs_3d([stored["spikes"][a:b] / RATE_HZ for a, b in pairwise(stored["offsets"])])
        same = [bool(np.array_equal(a, b)) for a, b in zip(found, stored["acg_linear"], strict=True)]
    return f"{sum(same)} of {len(same)}"


# --- threads -------------------------------------------------------------------------------------------------------


@numba.njit(nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def turn(n: int) -> float:
    x = 0.5
    for _ in range(n):
        x = 3.7 * x * (1 - x)
    return x


def with_threads(work: Callable[[int], Any], repeats: int, n_turns: int) -> dict[str, float]:
    """How much sooner two threads are done than one, beside a loop that shares nothing; best of some walls."""
    turn(10)

    def loop(n_threads: int) -> None:
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(turn, [n_turns] * 4))

    walls: dict[str, list[float]] = {"work_1": [], "loop_1": [], "work_2": [], "loop_2": []}
    for _ in range(repeats):
        for n_threads in (1, 2):
            walls[f"work_{n_threads}"].append(cpu(lambda n=n_threads: work(n))[1])
            walls[f"loop_{n_threads}"].append(cpu(lambda n=n_threads: loop(n))[1])
    best = {name: min(values) for name, values in walls.items()}
    one, two = (cpu(lambda n=n: work(n))[0] for n in (1, 2))
    return {
        "speed_up": best["work_1"] / best["work_2"],
        "speed_up_of_the_loop": best["loop_1"] / best["loop_2"],
        "more_cpu": two / one,
    }


# --- statistics from a file ----------------------------------------------------------------------------------------


def write_units(path: Path, times: list[Float]) -> None:
    from hdmf.common import ElementIdentifiers, VectorIndex
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.core import VectorData
    from pynwb.misc import Units

    spikes = VectorData(name="spike_times", description="s", data=np.concatenate(times))
    index = VectorIndex(name="spike_times_index", target=spikes, data=np.cumsum([len(each) for each in times]))
    ids = ElementIdentifiers(name="id", data=np.arange(len(times)))
    nwb = NWBFile("made up", path.stem, datetime(2024, 1, 1, tzinfo=UTC))
    nwb.units = Units(name="units", description="", id=ids, columns=[spikes, index], colnames=["spike_times"])
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)


def describe_file(path: Path, n_threads: int) -> dict[str, float]:
    """Features of all units of a file, in this process: what a child does."""
    import h5py

    first_cpu_s, first_wall_s, _ = cpu(first_calls)
    again_cpu_s, _, _ = cpu(first_calls)

    def read() -> int:
        with h5py.File(path, "r") as file:
            data, total = file["units/spike_times"], 0
            for start in range(0, len(data), 2**20):
                total += len(data[start : start + 2**20])
        return total

    read_cpu_s, _, n_spikes = cpu(read)
    before = peak_mb()
    cpu_s, wall_s, found = cpu(lambda: compute(nct.read_units(path), n_threads=n_threads))
    return {
        "n_units": found.sizes["unit"],
        "n_spikes": n_spikes,
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "cpu_s_per_1e8_spikes": cpu_s / n_spikes * 1e8,
        "h5py_read_cpu_s": read_cpu_s,
        "peak_rss_before_mb": before,
        "peak_rss_mb": peak_mb(),
        "first_calls_cpu_s": first_cpu_s - again_cpu_s,
        "first_calls_wall_s": first_wall_s,
    }


def peak_mb() -> float:
    """Largest resident memory of this process so far; not that of the process that started it, as elsewhere."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def first_calls() -> None:
    """All kernels once, on a short train with and without duplicates."""
    times = np.arange(0, 60, 0.02)
    acg_3d(times)
    compute(nct.Units.from_arrays([times, np.sort(np.repeat(times, 2))]))


def child(path: Path, *, n_threads: int = 1, cache: Path | None = None) -> dict[str, float]:
    command = [sys.executable, __file__, "--describe", str(path), "--threads", str(n_threads)]
    environment = os.environ | ({"NUMBA_CACHE_DIR": str(cache)} if cache else {})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def beside_isi_of_spikeinterface(times: list[Float]) -> dict[str, Any]:
    """SpikeInterface's interval and pair counts beside all our statistics, which contain such counts.

    Its last bin has both its edges, and its pairs are in bins from whole to whole millisecond, so only intervals below
    99 ms can be compared.
    """
    from spikeinterface.core import NumpySorting
    from spikeinterface.postprocessing.correlograms import compute_auto_correlograms
    from spikeinterface.postprocessing.isi import compute_isi_histograms_numpy

    def theirs(trains: list[Float]) -> NDArray[np.int64]:
        ticks = {str(k): np.round(each * RATE_HZ).astype(np.int64) for k, each in enumerate(trains)}
        sorting = NumpySorting.from_unit_dict(ticks, RATE_HZ)
        sorting.to_spike_vector()
        counts = compute_isi_histograms_numpy(sorting, window_ms=100.0, bin_ms=1.0)[0]
        compute_auto_correlograms(sorting, window_ms=200.0, bin_ms=1.0)
        return np.asarray(counts)

    units = nct.Units.from_arrays(times)
    theirs([times[0][:1000]])
    ours_s, _, found = cpu(lambda: compute(units, n_threads=1))
    theirs_s, _, counts = cpu(lambda: theirs(times))
    return {
        "n_units": len(times),
        "n_spikes": int(sum(map(len, times))),
        "same_interval_counts_below_99_ms": bool(np.array_equal(found["isi_counts"].values[:, :99], counts[:, :99])),
        "ours_everything_cpu_s": ours_s,
        "spikeinterface_isi_and_acg_alone_cpu_s": theirs_s,
    }


# --- growth --------------------------------------------------------------------------------------------------------


def growth(n_units: int, n_spikes: int) -> list[dict[str, Any]]:
    rows = []
    for job, work in (
        ("3D-ACG", lambda times: acgs_3d(times, n_threads=1)),
        ("statistics", lambda times: compute(nct.Units.from_arrays(times), n_threads=1)),
    ):
        for what, units, spikes in (("base", 1, 1), ("units x10", 10, 1), ("spikes x10", 1, 10)):
            times = trains_of(n_units * units, n_spikes * spikes)
            cpu_s = min(cpu(lambda t=times, w=work: w(t))[0] for _ in range(3))
            rows.append({"job": job, "what": what, "n_units": len(times), "n_spikes": len(times[0]), "cpu_s": cpu_s})
            rows[-1]["times_the_base"] = cpu_s / next(row["cpu_s"] for row in rows if row["job"] == job)
    return rows


def measure(quick: bool, vectors: Path | None) -> dict[str, Any]:
    first_calls()
    packages = ("nwb-celltype", "spikeinterface", "numpy", "numba", "h5py")
    found: dict[str, Any] = {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "processors": os.cpu_count(),
    }
    ticks = trains(6, 120.0) if quick else trains(100, 1800.0)
    found["acg_3d"] = beside_spikeinterface(ticks)
    if not quick:
        ours = found["acg_3d"]["ours_cpu_s"]
        found["acg_3d"]["ratio_npyx_measured_apart"] = [seconds / ours for seconds in NPYX_CPU_S]
    if vectors:
        found["acg_3d"]["identical_to_vectors"] = beside_vectors(vectors)
    seconds = [each / RATE_HZ for each in ticks]
    pace = (1, 1_000_000) if quick else (5, 40_000_000)
    found["acg_3d_threads"] = with_threads(lambda n: acgs_3d(seconds, n_threads=n), *pace)
    units = nct.Units.from_arrays(seconds)
    found["statistics_threads"] = with_threads(lambda n: compute(units, n_threads=n), *pace)
    times = trains_of(*((20, 2_000) if quick else (1_000, 100_000)))
    found["spikeinterface_isi"] = beside_isi_of_spikeinterface(times[:20])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "units.nwb"
        write_units(path, times)
        found["statistics"] = child(path)
        if not quick:
            found["statistics_two_threads"] = child(path, n_threads=2)
            found["statistics_no_cached_kernels"] = child(path, cache=Path(folder) / "cache")
    found["growth"] = growth(*((4, 1_000) if quick else (10, 10_000)))
    return found


def written(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if type(value) is int else str(value)


def show(found: dict[str, Any]) -> None:
    print(", ".join(f"{name} {number}" for name, number in found["versions"].items()))
    print(f"{found['processors']} processors; CPU seconds of one process")
    for name, part in found.items():
        if isinstance(part, dict) and name != "versions":
            print(f"\n{name}")
            for key, value in part.items():
                numbers = value if isinstance(value, list) else [value]
                print(f"  {key:<42} {' - '.join(map(written, numbers))}")
    print(f"\n{'growth':<12} {'':<12} {'units':>7} {'spikes each':>12} {'CPU s':>9} {'x base':>8}")
    for row in found["growth"]:
        print(
            f"{row['job']:<12} {row['what']:<12} {row['n_units']:>7,} {row['n_spikes']:>12,} "
            f"{row['cpu_s']:>9.4f} {row['times_the_base']:>8.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--describe", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.describe:
        print(json.dumps(describe_file(options.describe, options.threads)))
        return
    found = measure(options.quick, options.vectors)
    show(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
