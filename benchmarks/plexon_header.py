"""Index of a .plx file with 200,000 blocks: this package against neo, each in a process of its own.

    python benchmarks/plexon_header.py --data-dir /tmp/plexon_bench --json result.json

The file is written first: wideband of 16 channels at 40 kHz in blocks of 250 samples, and snippets of units a and b and
of none. Both readers are asked for the places of all blocks and the times of all spikes; a checksum over these must be
the same. Wall and processor time are the best of the repeats, memory is the largest of the process (private memory and
mapped pages), and of that what was there before the file was opened.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import struct
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

RATE_HZ = 40_000
N_CHANNELS = 16
WORDS = 250
N_POINTS = 32
SPIKES_PER_SECOND = 15  # of each of three units a channel
OURS, NEO = "nwb-celltype", "neo"
METHODS = (OURS, NEO)


def write_file(path: Path, n_blocks: int) -> None:
    """Version 106, blocks in the order of time."""
    rng = np.random.default_rng(0)
    seconds = n_blocks / (N_CHANNELS * (RATE_HZ / WORDS + 3 * SPIKES_PER_SECOND))
    n_samples = int(seconds * RATE_HZ) // WORDS * WORDS
    n_spikes = (n_blocks - N_CHANNELS * n_samples // WORDS) // (3 * N_CHANNELS)
    head = struct.pack("<Ii128s4i", 0x58454C50, 106, b"", RATE_HZ, N_CHANNELS, 1, N_CHANNELS)
    head += struct.pack("<2i6i2id", N_POINTS, 8, 2021, 5, 4, 10, 0, 0, 0, RATE_HZ, float(n_samples))
    head += struct.pack("<4B3H", 1, 1, 12, 16, 3000, 5000, 1000) + bytes(46) + bytes(4 * (650 + 650 + 512))
    for number in range(1, N_CHANNELS + 1):
        head += struct.pack("<32s32s9i", b"SPK%02d" % number, b"", number, 10, number, 0, 1, 0, -300, 2, 2)
        head += bytes(1020 - 100)
    head += struct.pack("<32si", b"Strobed", 257) + bytes(260)
    for number in range(N_CHANNELS):
        head += struct.pack("<32s6i", b"WB%02d" % (number + 1), number, RATE_HZ, 1, 1, 1000, number + 1) + bytes(240)
    blocks: list[tuple[int, bytes]] = []
    for channel in range(N_CHANNELS):
        counts = rng.normal(0, 60, n_samples).astype("<i2")
        blocks += [
            (tick, struct.pack("<HHIHHHH", 5, 0, tick, channel, 0, 1, WORDS) + counts[tick : tick + WORDS].tobytes())
            for tick in range(0, n_samples, WORDS)
        ]
        for unit in range(3):
            ticks = np.sort(rng.integers(100, n_samples - 100, n_spikes))
            snippets = rng.normal(0, 50, (n_spikes, N_POINTS)).astype("<i2")
            blocks += [
                (tick, struct.pack("<HHIHHHH", 1, 0, tick, channel + 1, unit, 1, N_POINTS) + snippet.tobytes())
                for tick, snippet in zip(ticks.tolist(), snippets, strict=True)
            ]
    blocks.sort(key=lambda block: block[0])
    with path.open("wb") as file:
        file.write(head)
        file.writelines(data for _, data in blocks)


def read_ours(path: Path) -> list[np.ndarray]:
    from nwb_celltype.converters.plexon import read_plx

    content = read_plx(path)
    spikes = [array for channel in content.spikes for array in (channel.ticks, channel.units, channel.positions)]
    return spikes + [
        array for channel in content.analog for array in (channel.ticks, channel.counts, channel.positions)
    ]


def read_neo(path: Path) -> Any:
    from neo.rawio import PlexonRawIO

    reader = PlexonRawIO(str(path), progress_bar=False)
    reader.parse_header()
    return reader


def arrays_of_neo(reader: Any) -> list[np.ndarray]:
    spikes = [blocks[name] for blocks in reader._data_blocks[1].values() for name in ("timestamp", "unit_id", "pos")]
    slow = [array for blocks in reader._data_blocks[5].values() for array in
            (blocks["timestamp"], blocks["size"] // 2, blocks["pos"])]  # fmt: skip
    return spikes + slow


def peak_rss_mb() -> float:
    """Most memory that this process ever held; what getrusage says would include its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def work(method: str, path: Path) -> None:
    """What a child process does."""
    read = {OURS: read_ours, NEO: read_neo}[method]
    if method == OURS:
        import nwb_celltype.converters.plexon  # noqa: F401 - imports are not timed
    else:
        import neo.rawio  # noqa: F401
    imported_mb = peak_rss_mb()
    before, start = os.times(), time.perf_counter()
    found = read(path)
    wall, after = time.perf_counter() - start, os.times()
    peak_mb = peak_rss_mb()
    digest = hashlib.sha256()
    n_blocks = 0
    arrays = found if method == OURS else arrays_of_neo(found)
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
    n_blocks = sum(len(array) for array in arrays) // 3
    print(json.dumps({
        "wall_s": round(wall, 4), "cpu_s": round(sum(after[:4]) - sum(before[:4]), 4), "peak_rss_mb": round(peak_mb, 1),
        "imported_rss_mb": round(imported_mb, 1), "n_blocks": n_blocks, "sha256": digest.hexdigest(),
    }))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--blocks", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--method", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    path = options.data_dir / f"blocks_{options.blocks}.plx"
    if options.method:
        work(options.method, path)
        return
    options.data_dir.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_file(path, options.blocks)
    with path.open("rb") as file:  # into the page cache, for all alike
        while file.read(2**24):
            pass
    runs: dict[str, list[dict[str, Any]]] = {method: [] for method in METHODS}
    for _ in range(options.repeats):
        for method in METHODS:
            command = [sys.executable, __file__, "--data-dir", str(options.data_dir), "--blocks", str(options.blocks)]
            done = subprocess.run([*command, "--method", method], stdout=subprocess.PIPE, text=True, check=True)
            runs[method].append(json.loads(done.stdout.splitlines()[-1]))
    report(path, runs, options.json)


def report(path: Path, runs: dict[str, list[dict[str, Any]]], out: Path | None) -> None:
    versions = {"python": platform.python_version(), **{name: version(name) for name in (OURS, NEO, "numpy")}}
    found = {(run["n_blocks"], run["sha256"]) for made in runs.values() for run in made}
    if len(found) != 1:
        message = f"the readers disagree: {sorted(found)}"
        raise RuntimeError(message)
    size = f"{path.stat().st_size / 1e6:.1f} MB, {found.pop()[0]} blocks, {os.cpu_count()} CPUs; same places and times"
    print(", ".join(f"{name} {number}" for name, number in versions.items()), size, sep="\n", end="\n\n")
    best = min(run["wall_s"] for run in runs[OURS])
    table = []
    print(f"{'':<14} {'wall s':>8} {'median':>8} {'CPU s':>8} {'RSS MB':>8} {'import':>8} {'x ours':>8}")
    for method, made in runs.items():
        row = {
            "method": method,
            "wall_s": min(run["wall_s"] for run in made),
            "wall_s_median": median(run["wall_s"] for run in made),
            "cpu_s": min(run["cpu_s"] for run in made),
            "peak_rss_mb": max(run["peak_rss_mb"] for run in made),
            "imported_rss_mb": max(run["imported_rss_mb"] for run in made),
        }
        row["ratio_to_ours"] = round(row["wall_s"] / best, 1)
        print(f"{method:<14}", *(f"{value:8.3f}" for name, value in row.items() if name != "method"))
        table.append(row)
    if out:
        out.write_text(json.dumps({"versions": versions, "data": size, "table": table, "runs": runs}, indent=2) + "\n")


if __name__ == "__main__":
    main()
