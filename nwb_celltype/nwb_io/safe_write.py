"""Change a file so that a kill, a full disk or a failed check leaves either the old file or the new one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from nwb_celltype.errors import InputError, RefusedError

Phase = Literal["copy", "append", "validate", "sync", "rename"]
PHASES: tuple[Phase, ...] = ("copy", "append", "validate", "sync", "rename")
"""What happens to a file, in this order."""

OnPhase = Callable[[Phase], None]

_PARTIAL = ".nwb-celltype-partial"
_LOCK = ".nwb-celltype-lock"
_FICLONE = 0x40049409  # Linux: share the blocks of two files until one of them is written to
_ROOM_FOR_RUN = 64 * 1024 * 1024


def write_safely(
    source: Path,
    target: Path,
    append: Callable[[Path], None],
    validate: Callable[[Path], None],
    on_phase: OnPhase = lambda _: None,
) -> Path:
    """Copy `source`, change the copy, check it, and only then let it take the place of `target`.

    Parameters
    ----------
    source : Path
        The file to start from; it is only read. The same as `target` to change a file in place.
    target : Path
        Symbolic links are resolved: the file they lead to is replaced, the link stays.
    append : callable
        Changes the copy at the path it is given.
    validate : callable
        Raises if the changed copy must not be kept.
    on_phase : callable, optional
        Told the name of each phase as it begins.

    Returns
    -------
    Path
        The file that was written, links resolved.

    Raises
    ------
    RefusedError
        If the file must not change (git-annex, a download from an archive), or another process is changing it.
    InputError
        If the source cannot be read, the folder cannot be written, or the disk is too full.
    """
    source, target = Path(os.path.realpath(source)), Path(os.path.realpath(target))
    in_place = source == target
    if in_place:
        refuse_protected(target)
    folder = target.parent
    if not folder.is_dir():
        message = f"The folder {folder} does not exist; make it first, or choose another place with --out."
        raise InputError(message)
    partial = folder / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{_PARTIAL}"
    try:
        with _only_writer(target):
            remove_abandoned(target)
            before = _fingerprint(source)
            _require_room(folder, before[0], source)
            on_phase("copy")
            _copy(source, partial)
            on_phase("append")
            append(partial)
            on_phase("validate")
            validate(partial)
            on_phase("sync")
            _take_over_metadata(target if target.exists() else source, partial, same_owner=target.exists())
            _sync(partial)
            on_phase("rename")
            if _fingerprint(source) != before:
                message = f"{source} changed while it was being annotated; nothing was written. Run it again."
                raise InputError(message)
            os.replace(partial, target)
            _sync(folder)
    except OSError as error:
        message = f"Writing {target} failed: {error}. The file is as it was before."
        raise InputError(message) from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def refuse_protected(path: Path) -> None:
    """Refuse files whose checksum somebody keeps: git-annex objects and files of a dandiset.

    Raises
    ------
    RefusedError
        Naming the file and the way out.
    """
    real = Path(os.path.realpath(path))
    if ".git" in real.parts and "annex" in real.parts:
        message = f"{path} is a git-annex object; changing it would break its checksum. Write a copy with --out."
        raise RefusedError(message)
    for folder in real.parents:
        if (folder / "dandiset.yaml").is_file():
            message = (
                f"{path} belongs to the dandiset in {folder}; changing it would break the archive's checksum. "
                "Write a copy with --out."
            )
            raise RefusedError(message)


def remove_abandoned(target: Path) -> list[Path]:
    """Delete the unfinished copies that killed runs left beside `target`; call it as the only writer."""
    name = "".join(f"[{c}]" if c in "*?[" else c for c in target.name)
    left = list(target.parent.glob(f".{name}.*{_PARTIAL}"))
    for partial in left:
        partial.unlink(missing_ok=True)
    return left


@contextlib.contextmanager
def _only_writer(target: Path) -> Iterator[None]:
    """Keep two processes from writing one file: the second would undo the first.

    The lock is on a file of its own, because HDF5 locks the data files themselves.
    """
    lock = target.with_name(f".{target.name}{_LOCK}")
    with lock.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = not (lock.exists() and os.path.samestat(os.fstat(handle.fileno()), lock.stat()))
        except BlockingIOError:
            taken = True
        except OSError as error:  # a file system without locks
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            taken = False
        if taken:
            message = f"Another process is writing {target}; run this again when it is done."
            raise RefusedError(message)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _fingerprint(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        message = f"{path} does not exist; check the path."
        raise InputError(message) from error
    return status.st_size, status.st_mtime_ns, status.st_ino


def _require_room(folder: Path, size: int, source: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + _ROOM_FOR_RUN:
        message = (
            f"{folder} has {free / 1e6:.0f} MB free; a safe copy of {source.name} needs "
            f"{(size + _ROOM_FOR_RUN) / 1e6:.0f} MB. Make room, or choose another place with --out."
        )
        raise InputError(message)


def _copy(source: Path, partial: Path) -> None:
    """Copy the bytes; share the blocks where the file system can. Never a hard link: it would change the source."""
    with source.open("rb") as old, partial.open("xb") as new:
        try:
            fcntl.ioctl(new, _FICLONE, old.fileno())
        except OSError:
            shutil.copyfileobj(old, new, 16 * 1024 * 1024)


def _take_over_metadata(old: Path, new: Path, *, same_owner: bool) -> None:
    """Give the new file the mode, extended attributes and, where it replaces a file, the owner of the old one."""
    status = old.stat()
    if same_owner and (status.st_uid, status.st_gid) != (new.stat().st_uid, new.stat().st_gid):
        with contextlib.suppress(PermissionError):  # only root may give files away; the content is worth more
            os.chown(new, status.st_uid, status.st_gid)
    for name in os.listxattr(old):
        # Labels that the system manages (security.*, some trusted.*) are its own to set.
        with contextlib.suppress(OSError):
            os.setxattr(new, name, os.getxattr(old, name))
    os.chmod(new, stat.S_IMODE(status.st_mode))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
