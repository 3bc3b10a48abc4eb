"""A thousand annotations in one process: memory must be flat, and no file or thread may stay.

Run as ``python -m soak.long_run [--calls N]``; prints the memory as it goes, and ends with an error if it grows.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

import nwb_celltype as nct
from tests.batch.recordings import recording

EVERY = 20


def run(calls: int, source: Path, say: Callable[[str], None] = print) -> list[float]:
    """Annotate copies of a file in place, one after the other; memory in MB after every twenty calls."""
    process, memory, began = psutil.Process(), list[float](), time.monotonic()
    say("| calls | memory, MB | open files | threads | seconds |\n|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="long-") as folder:
        for k in range(1, calls + 1):
            file = Path(shutil.copyfile(source, Path(folder) / "session.nwb"))
            if not nct.annotate(file, in_place=True).is_new:
                message = f"call {k} added no run"
                raise SystemExit(message)
            if k % EVERY == 0:
                gc.collect()
                memory.append(process.memory_info().rss / 1e6)
            if k in (EVERY, calls) or k % 100 == 0:
                seconds = time.monotonic() - began
                say(f"| {k} | {memory[-1]:.1f} | {process.num_fds()} | {threading.active_count()} | {seconds:.0f} |")
    return memory


def growth(memory: list[float]) -> float:
    """MB a call, fitted to the second half, when everything has been loaded and compiled."""
    half = memory[len(memory) // 2 :]
    return float(np.polyfit(EVERY * np.arange(len(half)), half, 1)[0])


def main() -> None:
    """Annotate, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    calls = max(10 * EVERY, parser.parse_args().calls)
    with tempfile.TemporaryDirectory(prefix="long-") as folder:
        # The validator takes most of the time of a call, whatever the file; two units keep the rest short.
        source = recording(Path(folder) / "two_units.nwb", ["Lobule V", "Flocculus"], n_spikes=800)
        memory = run(calls, source, lambda line: print(line, flush=True))
    slope = growth(memory)
    print(f"{slope * 1000:.2f} kB a call over the last {calls // 2} calls")
    if slope * calls / 2 > 20:
        message = f"memory grows: {slope * 1000:.1f} kB a call"
        raise SystemExit(message)


if __name__ == "__main__":
    main()
