"""The recording that params.py names, looked for where it says and, since folders move, close by."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath


def file_name(path: str) -> str:
    r"""Last part of a path of any system.

    Examples
    --------
    >>> file_name("D:\\data\\run.bin"), file_name("/data/run.bin")
    ('run.bin', 'run.bin')
    """
    windows = "\\" in path or re.match(r"[A-Za-z]:", path)
    return PureWindowsPath(path).name if windows else PurePosixPath(path).name


def find_files(dat_paths: Sequence[str], folder: Path, notes: list[str]) -> tuple[Path, ...]:
    """Find every file, or none: parts of a recording are not used."""
    found = [find_file(path, folder, notes) for path in dat_paths]
    if any(path is None for path in found) and any(path is not None for path in found):
        notes.append("params.py names several recordings and not all were found; none is used")
    paths = tuple(path for path in found if path is not None)
    return paths if len(paths) == len(dat_paths) else ()


def find_file(dat_path: str, folder: Path, notes: list[str]) -> Path | None:
    """Find the file where params.py says, or one of that name in the folder, two folders up, or beside the folder."""
    name = file_name(dat_path)
    stated = folder / dat_path.replace("\\", "/")
    if os.path.isfile(stated):  # unlike the methods of `Path`, it takes any name
        return stated
    here = folder.resolve()
    for place in (here, here.parent, here.parent.parent):
        if os.path.isfile(place / name):
            notes.append(f"{name} is not where params.py says; it was found at {_relative(place / name, here)}")
            return place / name
    beside = sorted(place / name for place in _folders(here.parent) if os.path.isfile(place / name))
    if len(beside) == 1:
        notes.append(f"{name} is not where params.py says; it was found at {_relative(beside[0], here)}")
        return beside[0]
    if beside:
        places = ", ".join(_relative(path, here) for path in beside)
        notes.append(f"{name} is not where params.py says, and several files have its name ({places}); none is used")
    else:
        notes.append(f"{name}, which params.py names as the recording, was not found there or near the folder")
    return None


def find_header(dat_path: str, folder: Path) -> Path | None:
    """Find the SpikeGLX header of a recording that is not at hand itself."""
    name = file_name(dat_path)
    if not name.endswith(".bin"):
        return None
    return find_file(name.removesuffix(".bin") + ".meta", folder, [])


def find_header_around(folder: Path) -> Path | None:
    """Find the one SpikeGLX AP header in the nearest of the folder and the two above it that holds any."""
    here = folder.resolve()
    for place in (here, here.parent, here.parent.parent):
        headers = sorted(place.glob("*.ap.meta"))
        if headers:
            return headers[0] if len(headers) == 1 else None
    return None


def _folders(parent: Path) -> list[Path]:
    try:
        return [path for path in parent.iterdir() if path.is_dir()]
    except OSError:
        return []  # a parent that cannot be listed has nothing to offer


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
