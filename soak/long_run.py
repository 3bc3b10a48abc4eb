"""A thousand annotations in one process: memory must be flat.

Run as ``python -m soak.long_run [--calls N]``; prints the memory as it goes, and ends with an error if it grows.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

import nwb_celltype as nct

SESSION = Path(__file__).resolve().parents[1] / "examples" / "simulated_session.nwb"


def run(calls: int, source: Path = SESSION) -> tuple[list[float], int]:
    """Annotate copies of a file, one after the other; memory in MB after each call, and open files at the end."""
    process, memory = psutil.Process(), list[float]()
    with tempfile.TemporaryDirectory(prefix="long-") as folder:
        for _ in range(calls):
            file = Path(shutil.copyfile(source, Path(folder) / "session.nwb"))
            assert nct.annotate(file, in_place=True).is_new
            gc.collect()
            memory.append(process.memory_info().rss / 1e6)
    return memory, process.num_fds()


def growth(memory: list[float]) -> float:
    """MB a call, fitted to the second half, when everything has been loaded and compiled."""
    half = memory[len(memory) // 2 :]
    return float(np.polyfit(np.arange(len(half)), half, 1)[0])


def main() -> None:
    """Annotate, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    calls = parser.parse_args().calls
    began = time.monotonic()
    memory, open_files = run(calls)
    for k in sorted({0, calls // 10, calls // 4, calls // 2, 3 * calls // 4, calls - 1}):
        print(f"after {k + 1:5d} calls: {memory[k]:7.1f} MB")
    slope = growth(memory)
    print(f"{calls} calls in {time.monotonic() - began:.0f} s; {slope * 1000:.1f} kB a call; {open_files} open files")
    if slope * calls / 2 > 20:
        message = f"memory grows: {slope * 1000:.1f} kB a call"
        raise SystemExit(message)


if __name__ == "__main__":
    main()
