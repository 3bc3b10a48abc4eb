"""An HDF5 file on a server: opened with h5py, its headers fetched together, and network failures told as such."""

from __future__ import annotations

import atexit
import bisect
import io
import os
import re
import threading
import weakref
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import h5py  # type: ignore[import-untyped,unused-ignore]

from nwb_celltype.errors import CellTypeError, InputError
from nwb_celltype.units.chunk_plan import Span, merge_spans

if TYPE_CHECKING:
    from nwb_celltype.archive.disk_cache import DiskCache
    from nwb_celltype.archive.remote_file import RemoteFile

# One request more costs as long as a megabyte of transfer: bytes between two wanted ranges are cheaper than a request.
HEADER_GAP_BYTES = 96 * 1024
# between a file's groups lie the electrodes, which are read too
GROUP_GAP_BYTES = 384 * 1024
DATA_GAP_BYTES = 32 * 1024
# What is read of an object besides its header: attributes, the chunk index, and the values of a small column, which
# writers put right behind it.
_HEADER_BYTES = 12 * 1024
_BEFORE_HEADER = 4 * 1024
# the grid of a remote file's own blocks, so that no slivers are left between them
_GRID = 32 * 1024
# the last that pynwb writes are the small columns and what names them
_TAIL_BYTES = 352 * 1024
# The first read outside is of the root group's own, behind which pynwb writes the electrodes; the later ones are of
# single objects. (bytes before, bytes from)
_FIRST_WINDOW = (32 * 1024, 336 * 1024)
_WINDOW = (8 * 1024, 32 * 1024)
_LARGEST_SMALL_READ = 16 * 1024
_ZARR = re.compile(
    r"\.zarr(/|$)|/zarr/[0-9a-f]{8}-[0-9a-f-]{27}(/|$)|/(\.zgroup|\.zmetadata|zarr\.json)$", re.IGNORECASE
)
_open_files: weakref.WeakValueDictionary[int, RemoteHDF5] = weakref.WeakValueDictionary()


class Stream(io.RawIOBase):
    """Bytes of a remote file, for h5py and for reads that pass it by.

    h5py turns whatever a file object raises into an OSError without its reason, or passes it over, so the first error
    is kept here until `raise_failure`.

    Parameters
    ----------
    remote : RemoteFile
        Where the bytes come from; closed together with this object.
    """

    def __init__(self, remote: RemoteFile) -> None:
        super().__init__()
        self.remote = remote
        self._failure: BaseException | None = None
        self._position = 0
        self._lock = threading.Lock()
        self._decoders: ThreadPoolExecutor | None = None
        self._asked: list[Span] = []
        self._window = _FIRST_WINDOW

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def tell(self) -> int:
        """Position of the next `readinto`."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position of the next `readinto`."""
        try:
            base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
            self._position = offset + (self.remote.size if base is None else base)
        except CellTypeError as error:
            self._failure = self._failure or error
            raise
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; h5py does not ask again when it comes back half filled."""
        view = memoryview(buffer).cast("B")
        try:
            if len(view) <= _LARGEST_SMALL_READ:
                self._fetch_around(self._position, self._position + len(view))
            data = self.read_at(self._position, self._position + len(view))
        except BaseException as error:
            self._failure = self._failure or error
            raise
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def read_at(self, start: int, stop: int) -> bytearray:
        """Bytes ``[start, stop)``, fewer only where the file ends; safe to call from several threads."""
        data = bytearray(max(0, stop - start))
        with self._lock:
            self.remote.seek(start)
            n_bytes = self.remote.readinto(data)
        return data if n_bytes == len(data) else data[:n_bytes]

    def prefetch(self, spans: Iterable[Span], gap: int = DATA_GAP_BYTES) -> None:
        """Ask for these bytes now, all at once, without waiting for them."""
        wanted = merge_spans(spans, gap)
        if wanted:
            self.remote.prefetch(wanted)
            self._asked = merge_spans((*self._asked, *wanted))

    def expect_single_objects(self) -> None:
        """From now on small reads are of objects here and there, no longer of the file's first groups."""
        self._window = _WINDOW

    def _fetch_around(self, start: int, stop: int) -> None:
        """Fetch what lies around a small read of HDF5, unless it was asked for before: more such reads will follow."""
        k = bisect.bisect_right(self._asked, start, key=lambda span: span[0]) - 1
        if k >= 0 and stop <= self._asked[k][1]:
            return
        if not self._asked:
            size = self.remote.size  # comes with the first block of the file
            self.prefetch([(0, min(_GRID, size)), ((size - _TAIL_BYTES) // _GRID * _GRID, size)])
            return self._fetch_around(start, stop)
        before, behind = self._window
        self.expect_single_objects()
        self.prefetch([((start - before) // _GRID * _GRID, -(-(stop + behind) // _GRID) * _GRID)])
        return None

    @property
    def decoders(self) -> ThreadPoolExecutor:
        """Threads that decode chunks while others arrive."""
        if self._decoders is None:
            self._decoders = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1), thread_name_prefix="decode")
        return self._decoders

    def raise_failure(self, cause: BaseException | None = None) -> None:
        """Raise what went wrong in a read that h5py made; nothing when all went well."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure from cause

    def close(self) -> None:
        """Close the remote file; closing twice is harmless."""
        if not self.closed:
            self.remote.close()
            if self._decoders is not None:
                self._decoders.shutdown(wait=True, cancel_futures=True)
        super().close()


class RemoteHDF5(h5py.File):  # type: ignore[misc,unused-ignore]
    """`h5py.File` over a `Stream`, which it closes; leaving its ``with`` block tells network failures as such.

    Parameters
    ----------
    stream : Stream
        The bytes.
    **options
        For `h5py.File`.
    """

    def __init__(self, stream: Stream, **options: Any) -> None:
        self.stream = stream
        super().__init__(stream, "r", **options)
        _open_files[id(self)] = self

    def close(self) -> None:
        """Close the file and the connection; closing twice is harmless."""
        super().close()
        self.stream.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None or not isinstance(error, CellTypeError) or isinstance(error, InputError):
            self.stream.raise_failure(error)


def _close_all() -> None:
    # HDF5 closes forgotten files itself, too late to call back into Python
    for file in list(_open_files.values()):
        file.close()


atexit.register(_close_all)


def open_hdf5(
    address: Any, *, cache: DiskCache | Path | str | bool | None, instance: str | None, **options: Any
) -> RemoteHDF5:
    """Open a remote HDF5 file.

    Parameters
    ----------
    address : str or UrlAddress or DandiAddress
        Where it is.
    cache : DiskCache or path or bool, optional
        Where to keep what was read; True is the default place, None and False nowhere.
    instance : str, optional
        Archive that ``DANDI:`` means.
    **options
        For `h5py.File`.

    Raises
    ------
    InputError
        If it is NWB-Zarr.
    OSError
        If it is no HDF5 file.
    """
    from nwb_celltype.archive.remote_file import open_remote

    refuse_zarr(address)
    stream = Stream(open_remote(address, cache=_disk_cache(cache), instance=instance))
    try:
        refuse_zarr(stream.remote.name)
        return RemoteHDF5(stream, **options)
    except BaseException as error:
        stream.close()
        if isinstance(error, Exception):
            stream.raise_failure(error)
        raise


def refuse_zarr(address: object) -> None:
    """Say that NWB-Zarr cannot be read.

    Raises
    ------
    InputError
        If an address looks like NWB-Zarr.
    """
    text = str(getattr(address, "text", address))
    if _ZARR.search(text.partition("?")[0]):
        message = f"{text} is NWB-Zarr, and only NWB in HDF5 can be read; export it to HDF5 with hdmf-zarr first."
        raise InputError(message)


def fetch_headers(group: Any, stream: Stream, names: Sequence[str] | None = None, gap: int = HEADER_GAP_BYTES) -> None:
    """Fetch the headers of a group's members together, where h5py would come for them one after the other.

    Parameters
    ----------
    group : h5py.Group
        Its links are read, its members are not opened.
    stream : Stream
        The file's bytes.
    names : sequence of str, optional
        Members; all by default.
    gap : int
        Headers that lie at most this many bytes apart are fetched with one request.
    """
    links = group.id.links
    wanted = list(group) if names is None else [name for name in names if name in group]
    infos = [links.get_info(name.encode()) for name in wanted]
    addresses = [int(info.u) for info in infos if info.type == h5py.h5l.TYPE_HARD]
    blocks = [
        ((address - _BEFORE_HEADER) // _GRID * _GRID, -(-(address + _HEADER_BYTES) // _GRID) * _GRID)
        for address in addresses
    ]
    stream.prefetch(blocks, gap)
    stream.expect_single_objects()


def _disk_cache(cache: DiskCache | Path | str | bool | None) -> DiskCache | None:
    from nwb_celltype.archive.disk_cache import DiskCache

    if cache is None or cache is False:
        return None
    if cache is True:
        return DiskCache()
    return DiskCache(Path(cache)) if isinstance(cache, str | os.PathLike) else cache
