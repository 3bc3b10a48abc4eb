"""Change a file so that a kill, a full disk or a failed check leaves either the old file or the new one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Literal

from nwb_celltype.errors import InputError, RefusedError
from nwb_celltype.file_locks import is_at, try_lock
from nwb_celltype.replacing import force_to_disk

Phase = Literal["copy", "append", "write", "validate", "sync", "rename"]
PHASES: tuple[Phase, ...] = ("copy", "append", "validate", "sync", "rename")
"""What happens to a file that is changed, in this order."""
NEW_FILE_PHASES: tuple[Phase, ...] = ("write", "validate", "sync", "rename")
"""What happens to a file that is made from nothing."""

OnPhase = Callable[[Phase], None]

Fingerprint = tuple[int, int, int]
"""Size, moment of the last change and inode: enough to notice that a file was written to."""

_PARTIAL = ".nwb-celltype-partial"
_LOCK = ".nwb-celltype-lock"
_FICLONE = 0x40049409  # Linux: share the blocks of two files until one of them is written to
_ROOM_FOR_RUN = 64 * 1024 * 1024
_FULL = 1024 * 1024
_AT_ONCE = 64 * 1024 * 1024
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


def write_safely(
    source: Path,
    target: Path,
    append: Callable[[Path], None],
    validate: Callable[[Path], None],
    on_phase: OnPhase = lambda _: None,
    *,
    expected: Fingerprint | None = None,
    meanwhile: Callable[[], None] = lambda: None,
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
    expected : tuple, optional
        `fingerprint` of the source from before it was first read; it must be the same until the end.
    meanwhile : callable, optional
        Called while the bytes are copied; touches neither file.

    Returns
    -------
    Path
        The file that was written, links resolved.

    Raises
    ------
    RefusedError
        If the file must not change (git-annex, a download from an archive), or another process is changing it.
    InputError
        If the source cannot be read or has changed, the folder cannot be written, or the disk is too full.
    """
    source, target = Path(os.path.realpath(source)), Path(os.path.realpath(target))
    if target.exists():
        refuse_protected(target)
    folder = target.parent
    if not folder.is_dir():
        message = f"The folder {folder} does not exist; make it first, or choose another place with --out."
        raise InputError(message)
    partial = folder / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{_PARTIAL}"
    try:
        with _only_writer(target):
            remove_abandoned(target)
            before = fingerprint(source) if expected is None else expected
            _require_unchanged(source, before)
            _require_room(folder, before[0], source)
            on_phase("copy")
            _copy(source, partial, meanwhile)
            on_phase("append")
            append(partial)
            on_phase("validate")
            validate(partial)
            on_phase("sync")
            _take_over_metadata(target if target.exists() else source, partial, same_owner=target.exists())
            force_to_disk(partial)
            on_phase("rename")
            _require_unchanged(source, before)
            os.replace(partial, target)
            with contextlib.suppress(OSError):  # some file systems cannot sync folders; the file is whole either way
                force_to_disk(folder)
    except OSError as error:
        raise InputError(_why_not_written(target, error)) from error
    except RuntimeError as error:  # what HDF5 says when it cannot flush
        _require_full(folder, error)
        raise InputError(_is_full(folder)) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return target


def create_safely(
    target: Path,
    write: Callable[[Path], None],
    validate: Callable[[Path], None],
    on_phase: OnPhase = lambda _: None,
    *,
    replaces: bool = False,
    needs_bytes: int = 0,
) -> Path:
    """Write a new file under another name, check it, and only then give it the name `target`.

    Parameters
    ----------
    target : Path
        Its folder is made if need be. Symbolic links are resolved.
    write : callable
        Writes the file at the path it is given.
    validate : callable
        Raises if the file must not be kept.
    on_phase : callable, optional
        Told the name of each phase as it begins.
    replaces : bool
        Whether an existing file may be replaced.
    needs_bytes : int
        How large the file will be, about; more must be free on the disk.

    Returns
    -------
    Path
        The file that was written, links resolved.

    Raises
    ------
    RefusedError
        If the file exists and may not be replaced, is a git-annex object, or another process is writing it.
    InputError
        If the folder cannot be written, or the disk is full.
    """
    target = Path(os.path.realpath(target))
    if target.exists() and not replaces:
        message = f"{target} exists; it was left alone. Choose another name with --out, or replace it with --overwrite."
        raise RefusedError(message)
    _refuse_annexed(target)
    partial = target.parent / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{_PARTIAL}"
    made = [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _only_writer(target):
            remove_abandoned(target)
            _require_free(target.parent, needs_bytes, f"{target.name} needs about")
            on_phase("write")
            write(partial)
            on_phase("validate")
            validate(partial)
            on_phase("sync")
            if target.exists():
                _take_over_metadata(target, partial, same_owner=True)
            force_to_disk(partial)
            on_phase("rename")
            if target.exists() and not replaces:
                message = f"{target} was made by somebody else meanwhile; it was left alone."
                raise RefusedError(message)
            os.replace(partial, target)
            with contextlib.suppress(OSError):  # some file systems cannot sync folders; the file is whole either way
                force_to_disk(target.parent)
    except OSError as error:
        raise InputError(_why_not_written(target, error)) from error
    except RuntimeError as error:  # what HDF5 says when it cannot flush
        _require_full(target.parent, error)
        raise InputError(_is_full(target.parent)) from error
    finally:
        with contextlib.suppress(OSError):  # the folder itself may be missing
            partial.unlink(missing_ok=True)
        if not target.exists():
            with contextlib.suppress(OSError):  # the first that is not empty ends it
                for folder in made:
                    folder.rmdir()
    return target


def refuse_protected(path: Path) -> None:
    """Refuse files whose checksum somebody keeps: git-annex objects and files of a dandiset.

    Raises
    ------
    RefusedError
        Naming the file and the way out.
    """
    _refuse_annexed(path)
    real = Path(os.path.realpath(path))
    for folder in real.parents:
        if (folder / "dandiset.yaml").is_file():
            message = (
                f"{path} belongs to the dandiset in {folder}; changing it would break the archive's checksum. "
                "Write a new file with --out."
            )
            raise RefusedError(message)


def _refuse_annexed(path: Path) -> None:
    real = Path(os.path.realpath(path))
    if ".git" in real.parts and "annex" in real.parts:
        message = f"{path} is a git-annex object; changing it would break its checksum. Write a new file with --out."
        raise RefusedError(message)


def tidy(target: Path) -> None:
    """Delete what killed runs left beside `target`, unless somebody is writing it now."""
    target = Path(os.path.realpath(target))
    if _abandoned(target) or _lock_of(target).exists():
        with contextlib.suppress(OSError, RefusedError), _only_writer(target):
            remove_abandoned(target)


def remove_abandoned(target: Path) -> list[Path]:
    """Delete the unfinished copies that killed runs left beside `target`; call it as the only writer."""
    left = _abandoned(target)
    for partial in left:
        partial.unlink(missing_ok=True)
    return left


def _abandoned(target: Path) -> list[Path]:
    ours = re.compile(rf"\.{re.escape(target.name)}\.\d+-[0-9a-f]{{8}}{re.escape(_PARTIAL)}")
    return [path for path in target.parent.iterdir() if ours.fullmatch(path.name)]


def _lock_of(target: Path) -> Path:
    return target.with_name(f".{target.name}{_LOCK}")


@contextlib.contextmanager
def _only_writer(target: Path) -> Iterator[None]:
    """Keep two processes from writing one file: the second would undo the first.

    The lock is on a file of its own, because HDF5 locks the data files themselves.
    """
    lock = _lock_of(target)
    while True:
        with lock.open("ab") as handle:
            if not try_lock(handle):
                message = f"Another process is writing {target}; run this again when it is done."
                raise RefusedError(message)
            if not is_at(lock, handle):  # its last holder has just finished and deleted it
                continue
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def fingerprint(path: Path) -> Fingerprint:
    """What tells whether a file has been written to.

    Raises
    ------
    InputError
        If there is no such file.
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        message = f"{path} does not exist; check the path."
        raise InputError(message) from error
    return status.st_size, status.st_mtime_ns, status.st_ino


def _require_unchanged(source: Path, before: Fingerprint) -> None:
    if fingerprint(source) != before:
        message = f"{source} changed while it was being annotated; nothing was written. Run it again."
        raise InputError(message)


def _why_not_written(target: Path, error: OSError) -> str:
    at = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
    if at is not None and at.is_absolute() and target.parent not in (at, *at.parents):
        return f"{at} cannot be read ({error.strerror}); nothing was written. Check its permissions and the disk."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"The folder {target.parent} may not be written ({error.strerror}); nothing was written. "
            "Choose another place with --out."
        )
    if error.errno in _FULL_DISK or _hdf5_errno(error) in _FULL_DISK:
        return _is_full(target.parent)
    return f"Writing {target} failed, and nothing was changed: {error}"


def _is_full(folder: Path) -> str:
    return f"{folder} is full; nothing was written. Make room, or choose another place with --out."


def _require_full(folder: Path, error: RuntimeError) -> None:
    """Pass an error on that has another cause; under a quota the disk itself may have room.

    Raises
    ------
    InputError
        If HDF5 stumbled over what is in the file.
    """
    if _hdf5_errno(error) in _FULL_DISK or shutil.disk_usage(folder).free <= _FULL:
        return
    if "synchronously" not in str(error):  # none of HDF5's
        raise error
    message = f"HDF5 cannot write what belongs into {folder}: {error}. The file is damaged; fetch or copy it again."
    raise InputError(message) from error


def _hdf5_errno(error: Exception) -> int:
    """Number of the error of the system that HDF5 names in its text; 0 where it names none."""
    found = re.search(r"errno = (\d+)", str(error))
    return int(found.group(1)) if found else 0


def _require_room(folder: Path, size: int, source: Path) -> None:
    _require_free(folder, size, f"a safe copy of {source.name} needs")


def _require_free(folder: Path, size: int, what_needs: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + _ROOM_FOR_RUN:
        message = (
            f"{folder} has {free / 1e6:.0f} MB free; {what_needs} "
            f"{(size + _ROOM_FOR_RUN) / 1e6:.0f} MB. Make room, or choose another place with --out."
        )
        raise InputError(message)


def _copy(source: Path, partial: Path, meanwhile: Callable[[], None]) -> None:
    """Copy the bytes; share the blocks where the file system can. Never a hard link: it would change the source.

    Nobody else may read the copy before it has the mode of the file that it replaces.
    """
    with source.open("rb") as old, open(partial, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as new:
        try:
            fcntl.ioctl(new, _FICLONE, old.fileno())
        except OSError:
            stop = threading.Event()
            with ThreadPoolExecutor(1) as pool:
                copying = pool.submit(_copy_bytes, old, new, stop)
                try:
                    meanwhile()
                except BaseException:  # an interrupt too: a large file would be copied to its end for nothing
                    stop.set()
                    raise
            copying.result()
        else:
            meanwhile()


def _copy_bytes(old: IO[bytes], new: IO[bytes], stop: threading.Event) -> None:
    """Let the kernel copy, which reads nothing into this process; what it does not copy is read and written."""
    done = 0
    with contextlib.suppress(OSError, AttributeError):  # another kernel or file system cannot
        while not stop.is_set() and (n := os.copy_file_range(old.fileno(), new.fileno(), _AT_ONCE, done, done)):
            done += n
    old.seek(done)
    new.seek(done)
    if not stop.is_set():
        shutil.copyfileobj(old, new, 16 * 1024 * 1024)


def _take_over_metadata(old: Path, new: Path, *, same_owner: bool) -> None:
    """Give the new file the mode, extended attributes and, where it replaces a file, the owner of the old one."""
    status = old.stat()
    if same_owner:
        for owner in (status.st_uid, -1):  # only root may give files away, but a member of the group may keep it
            with contextlib.suppress(PermissionError):
                os.chown(new, owner, status.st_gid)
                break
    names: list[str] = []
    with contextlib.suppress(OSError):  # a file system without extended attributes
        names = os.listxattr(old) if hasattr(os, "listxattr") else []  # Python has them on Linux only
    for name in names:
        # Labels that the system manages (security.*, some trusted.*) are its own to set.
        with contextlib.suppress(OSError):
            os.setxattr(new, name, os.getxattr(old, name))
    os.chmod(new, stat.S_IMODE(status.st_mode))
