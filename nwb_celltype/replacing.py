"""A folder of files, or one file, changes as a whole: a kill at any moment leaves the old one or the new one."""

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

from nwb_celltype.file_locks import try_lock

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
                force_to_disk(file)
            force_to_disk(new)
            _take_place(new, folder)
            with contextlib.suppress(OSError):  # some file systems cannot sync folders
                force_to_disk(folder.parent)
    finally:
        shutil.rmtree(new, ignore_errors=True)  # what was in the place, or what could not be finished


def replace_file(file: str | Path, data: bytes) -> None:
    """Write a file beside its place, force it to the disk, and let it take the place.

    What killed calls left beside it is deleted.

    Parameters
    ----------
    file : str or Path
        Links are resolved. It may be there already. Its folder must be.
    data : bytes

    Raises
    ------
    OSError
        If it cannot be written or the disk is full; what was there before is there still.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "model.zip"
    >>> replace_file(place, b"1"), replace_file(place, b"2")
    (None, None)
    >>> place.read_bytes(), [path.name for path in place.parent.iterdir()]
    (b'2', ['model.zip'])
    """
    file = Path(os.path.realpath(file))
    tidy_up(file)
    new = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}{_NEW}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            try_lock(handle)
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
            new.replace(file)
        with contextlib.suppress(OSError):  # some file systems cannot sync folders
            force_to_disk(file.parent)
    finally:
        new.unlink(missing_ok=True)


def tidy_up(place: Path) -> None:
    """Delete what killed calls left beside a folder or file.

    What one of them had put aside goes back if its place is empty.

    Parameters
    ----------
    place : Path
        The folder or file that they were to replace.
    """
    _tidy(place.parent, re.escape(place.name))


def tidy_within(folder: Path) -> None:
    """As `tidy_up`, beside whatever lies in a folder.

    Parameters
    ----------
    folder : Path
    """
    _tidy(folder, ".+")


def is_leftover(name: str) -> bool:
    """Whether a name is one that only unfinished calls leave.

    Examples
    --------
    >>> is_leftover(".dandiset.yaml.4711-0a1b2c3d.part"), is_leftover("sub-1.nwb.part")
    (True, False)
    """
    return _leftovers(".+").fullmatch(name) is not None


def _leftovers(names: str) -> re.Pattern[str]:
    return re.compile(rf"\.({names})\.\d+-[0-9a-f]{{8}}({re.escape(_NEW)}|{re.escape(_OLD)})")


def _tidy(parent: Path, names: str) -> None:
    ours = _leftovers(names)
    for path in parent.iterdir():
        match = ours.fullmatch(path.name)
        if match is None or path.is_symlink():
            continue
        with contextlib.suppress(OSError), _held(path):  # else somebody is at it now
            if path.suffix == _OLD and not (parent / match[1]).exists():
                path.rename(parent / match[1])
            elif path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


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
    """Keep a folder or file from being taken for what a killed call left.

    A file system without locks has none to keep.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
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


def force_to_disk(path: Path) -> None:
    """Wait until what was written to a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
