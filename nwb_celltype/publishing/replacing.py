"""Small text files that a kill leaves either as they were or as they are to be."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Put a text in the place of a file.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full; the old file is still there then.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.new")
    ours = re.compile(rf"\.{re.escape(path.name)}\.\d+\.new")
    for left in path.parent.iterdir():  # by a process that was killed; one that is at it now will be heard to fail
        if ours.fullmatch(left.name):
            left.unlink(missing_ok=True)
    try:
        with partial.open("w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(partial, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some file systems cannot sync folders
                os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        partial.unlink(missing_ok=True)
