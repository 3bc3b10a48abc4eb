"""Builds the library that lets writes, reads and locks fail, and arms it in this process."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

KINDS = {"write": 1, "read": 2, "lock": 3}
SOURCE = Path(__file__).with_name("interposer.c")


def why_not() -> str:
    """Why calls cannot be made to fail here; empty where they can."""
    if not sys.platform.startswith("linux"):
        return "calls are interposed on Linux only"
    return "" if shutil.which("gcc") else "there is no gcc to build the interposer with"


def build(folder: Path) -> Path:
    """Compile the library; its path goes into LD_PRELOAD."""
    library = folder / "interposer.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-U_FORTIFY_SOURCE", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def arm(folder: str, kind: str, nth: int, error: int, *, stays: bool = True) -> None:
    """Let the `nth` call on files in a folder fail, and all after it if it `stays`."""
    ctypes.CDLL(None).fault_arm(folder.encode(), KINDS[kind], ctypes.c_long(nth), error, int(stays))


def seen() -> int:
    """Calls of the kind so far."""
    function = ctypes.CDLL(None).fault_seen
    function.restype = ctypes.c_long
    return int(function())
