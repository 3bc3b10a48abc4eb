"""Locks between processes, on file systems that have them and on those that do not."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import IO, Any, Final

# What network and user-space file systems answer that lock nothing, or no folders. There every process is let in.
_NO_LOCKS: Final = frozenset((errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EINVAL))


def try_lock(handle: int | IO[Any]) -> bool:
    """Take the lock of an open file or folder, without waiting; closing the handle gives it back.

    Parameters
    ----------
    handle : int or file

    Returns
    -------
    bool
        False if another process has it. True also on a file system without locks.

    Raises
    ------
    OSError
        If it fails for another reason.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as mine, open(mine.name, "ab") as other:
    ...     try_lock(mine), try_lock(other)
    (True, False)
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def is_at(path: Path, handle: int | IO[Any]) -> bool:
    """Whether an open file is still the one at a path: the holder before may have deleted it as it finished."""
    descriptor = handle if isinstance(handle, int) else handle.fileno()
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
