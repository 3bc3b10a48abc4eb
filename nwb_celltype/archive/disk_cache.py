"""Parts of remote files kept on disk for the next time."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import struct
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 10 * 1024**3
"""How much the cache holds by default."""

_HEAD = struct.Struct("<8sI")  # a mark, and the CRC-32 of what follows
_MARK = b"nwbcell1"
_SUFFIX = ".part"
_ROOM = 0.9  # what is left after making room: not every part that is written should have to look for room


@dataclass(frozen=True)
class Found:
    """What of a range is in the cache at its start.

    Attributes
    ----------
    data : bytes
        From the start on; empty when the cache has nothing there.
    stop : int
        Where `data` ends; without data, where the next bytes that the cache has begin, or the range ends.
    """

    data: bytes
    stop: int


class DiskCache:
    """Parts of remote files on disk, up to a size; those used longest ago go first.

    Several processes may use one folder. The cache never makes reading fail: what cannot be kept is read from the
    server again, and `is_off` says why nothing more is kept.

    Parameters
    ----------
    folder : Path, optional
        Default: `$NWB_CELLTYPE_CACHE`, else the user's cache folder; always a folder `ranges` below it.
    max_bytes : int
        How much is kept.

    Examples
    --------
    >>> import tempfile
    >>> cache = DiskCache(Path(tempfile.mkdtemp()))
    >>> cache.put("sha256 of a file", 100, b"spikes")
    >>> cache.get("sha256 of a file", 102, 200)
    Found(data=b'ikes', stop=106)
    >>> cache.get("another file", 102, 200)
    Found(data=b'', stop=200)
    """

    def __init__(self, folder: Path | None = None, *, max_bytes: int = MAX_BYTES) -> None:
        self.folder = (default_folder() if folder is None else Path(folder)) / "ranges"
        self.max_bytes = max_bytes
        self._lock = threading.Lock()  # of everything below
        self._parts: dict[str, list[tuple[int, int]]] = {}  # of each file asked for: starts and stops, sorted
        self._n_new: int | None = None  # bytes written since the folder was last counted; None: never counted
        self._n_counted = 0
        self._why_off = ""

    @property
    def is_off(self) -> str:
        """Why nothing more is kept, "" while all is well."""
        return self._why_off

    @property
    def n_bytes(self) -> int:
        """What the cache holds now, counted anew."""
        return sum(size for _, size, _ in self._files())

    def get(self, identity: str, start: int, stop: int) -> Found:
        """What of the bytes from `start` up to `stop` is there, at `start`."""
        key = _key(identity)
        with self._lock:
            parts = self._known(key)
            covering = [part for part in parts if part[0] <= start < part[1]]
            following = [part[0] for part in parts if start < part[0] < stop]
        for part in sorted(covering, key=lambda part: -part[1]):
            data = self._read(key, *part)
            if data is not None:
                piece = data[start - part[0] : stop - part[0]]
                return Found(piece, start + len(piece))
            with self._lock, contextlib.suppress(ValueError):
                parts.remove(part)
        return Found(b"", min(following, default=stop))

    def put(self, identity: str, start: int, data: bytes) -> None:
        """Keep bytes that begin at `start`."""
        if not data or self._why_off or len(data) > self.max_bytes:
            return
        key = _key(identity)
        part = start, start + len(data)
        with self._lock:
            if part in self._known(key):
                return
        path = self._path(key, *part)
        partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("xb") as file:
                    file.write(_HEAD.pack(_MARK, zlib.crc32(data)))
                    file.write(data)
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
        except FileNotFoundError:
            return  # another process has just emptied the folder; the next part makes it again
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            self._why_off = f"{self.folder} {'is full' if full else 'cannot be written'} ({error.strerror})"
            return
        with self._lock:
            parts = self._known(key)
            if part not in parts:
                parts.append(part)
                parts.sort()
        self._keep_size(len(data))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._parts.clear()
            self._n_new = None
        for path, _, _ in self._files():
            path.unlink(missing_ok=True)

    # inside

    def _path(self, key: str, start: int, stop: int) -> Path:
        return self.folder / key[:2] / key[2:] / f"{start}-{stop}{_SUFFIX}"

    def _known(self, key: str) -> list[tuple[int, int]]:
        """Parts of one file: those on disk when it was first asked for, and those put since."""
        if key not in self._parts:
            folder = self._path(key, 0, 0).parent
            found = []
            with contextlib.suppress(OSError):
                for path in folder.glob(f"*{_SUFFIX}"):
                    start, _, stop = path.name.removesuffix(_SUFFIX).partition("-")
                    if start.isdecimal() and stop.isdecimal():
                        found.append((int(start), int(stop)))
            self._parts[key] = sorted(found)
        return self._parts[key]

    def _read(self, key: str, start: int, stop: int) -> bytes | None:
        """A part, or None when it is gone or damaged."""
        path = self._path(key, start, stop)
        try:
            content = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        head, data = content[: _HEAD.size], content[_HEAD.size :]
        if len(data) != stop - start or head != _HEAD.pack(_MARK, zlib.crc32(data)):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        return data

    def _keep_size(self, n_bytes: int) -> None:
        with self._lock:
            if self._n_new is None:
                self._n_counted = sum(size for _, size, _ in self._files())
                self._n_new = 0
            else:
                self._n_new += n_bytes
            if self._n_counted + self._n_new <= self.max_bytes:
                return
            files = sorted(self._files(), key=lambda file: file[2])  # other processes write too: count anew
            left = sum(size for _, size, _ in files)
            for path, size, _ in files:
                if left <= _ROOM * self.max_bytes:
                    break
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
                    left -= size
            self._n_counted, self._n_new = left, 0

    def _files(self) -> list[tuple[Path, int, int]]:
        """Every part: path, bytes, moment of its last use."""
        files = []
        for path in self.folder.glob(f"*/*/*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                status = path.stat()
                files.append((path, status.st_size, status.st_mtime_ns))
        return files


def default_folder() -> Path:
    """The folder of all caches: `$NWB_CELLTYPE_CACHE`, else the user's cache folder."""
    if folder := os.environ.get("NWB_CELLTYPE_CACHE"):
        return Path(folder)
    import platformdirs

    return Path(platformdirs.user_cache_dir("nwb-celltype", appauthor=False))


def _key(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()
