"""Run a command as a process of its own and say what it took: seconds, processor seconds, largest memory."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

VERSIONS = ("nwb-celltype", "numpy", "numba", "h5py", "pynwb", "hdmf", "torch", "xarray")


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Attributes
    ----------
    wall_s, cpu_s : float
        Seconds until it ended, and of all its threads together, in the program and in the system.
    peak_mb : float
        Largest resident memory, megabytes.
    exit_code : int
    output : str
        What it printed.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    exit_code: int
    output: str

    def to_json(self) -> dict[str, Any]:
        """Return the figures."""
        return {key: value for key, value in asdict(self).items() if key not in ("output", "exit_code")}


def run(arguments: Sequence[str], *, data_limit_bytes: int | None = None) -> Cost:
    """Run this Python with some arguments.

    Parameters
    ----------
    arguments : sequence of str
    data_limit_bytes : int, optional
        Most memory that the process may ask the system for (``RLIMIT_DATA``; Linux counts all private writable memory).

    Raises
    ------
    SystemExit
        With what the process said, if it failed.
    """

    def limit() -> None:
        if data_limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (data_limit_bytes, data_limit_bytes))

    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, *arguments], stdout=out, stderr=errors, preexec_fn=limit)
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        cost = Cost(
            wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, process.returncode, out.read() + errors.read()
        )
    if cost.exit_code:
        message = f"python {' '.join(arguments)} ended with {cost.exit_code}:\n{cost.output[-2000:]}"
        raise SystemExit(message)
    return cost


def annotate(file: Path, *options: str, data_limit_bytes: int | None = None) -> Cost:
    """Run ``nwb-celltype annotate`` on a file or folder."""
    arguments = ["-m", "nwb_celltype", "annotate", str(file), "--quiet", *options]
    return run(arguments, data_limit_bytes=data_limit_bytes)


def machine() -> dict[str, Any]:
    """What the figures were measured with."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "versions": {name: version(name) for name in VERSIONS},
    }
