"""A folder of files changes as one: a kill at any moment leaves the old folder or the new one."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

_NEW, _OLD = ".part", ".old"
_AT_FDCWD, _EXCHANGE = -100, 2  # of Linux's renameat2


def replace_folder(folder: str | Path, fill: Callable[[Path], None]) -> None:
    """Fill a folder of another name beside `folder`, force it to the disk, and let it take the place.

    What killed calls left beside the folder is deleted, or put back where it is all that there is.

    Parameters
    ----------
    folder : str or Path
        Links are resolved. It may be there already; then nothing of it stays.
    fill : callable
        Writes the files, plain ones, into the folder that it is given.

    Raises
    ------
    OSError
        If a folder cannot be written or the disk is full; the old folder is still there then.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "model"
    >>> replace_folder(place, lambda new: (new / "card").write_text("1") and None)
    >>> replace_folder(place, lambda new: (new / "weights").write_text("2") and None)
    >>> [path.name for path in place.iterdir()], [path.name for path in place.parent.iterdir()]
    (['weights'], ['model'])
    """
    folder = Path(os.path.realpath(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    tidy_up(folder)
    new = folder.with_name(f".{folder.name}.{os.getpid()}-{secrets.token_hex(4)}{_NEW}")
    new.mkdir()
    try:
        with _held(new):
            fill(new)
            for file in new.iterdir():
                _sync(file)
            _sync(new)
            _take_place(new, folder)
            with contextlib.suppress(OSError):  # some file systems cannot sync folders
                _sync(folder.parent)
    finally:
        shutil.rmtree(new, ignore_errors=True)  # what was in the place, or what could not be finished


def tidy_up(folder: Path) -> None:
    """Delete what killed calls left beside `folder`; what one of them had put aside goes back if its place is empty."""
    ours = re.compile(rf"\.{re.escape(folder.name)}\.\d+-[0-9a-f]{{8}}({re.escape(_NEW)}|{re.escape(_OLD)})")
    for path in folder.parent.iterdir():
        if ours.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError), _held(path):  # else somebody is at it now
                if path.suffix == _OLD and not folder.exists():
                    path.rename(folder)
                else:
                    shutil.rmtree(path, ignore_errors=True)


def _take_place(new: Path, folder: Path) -> None:
    if not folder.exists():
        new.rename(folder)
        return
    new.chmod(folder.stat().st_mode & 0o7777)
    if _exchange(new, folder):
        return
    old = new.with_suffix(_OLD)  # without an exchange there is a moment in which only this name leads to the folder
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change names in one step, where the system can."""
    if not sys.platform.startswith("linux"):
        return False
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    return bool(function(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE) == 0)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep a folder from being taken for what a killed call left; a file system without locks has none to keep."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            if folder.suffix == _OLD or f".{os.getpid()}-" not in folder.name:
                raise  # nobody can say whether its maker still lives
        yield
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
