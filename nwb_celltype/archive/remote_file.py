"""A remote file that h5py can read: small reads share blocks, announced ranges come in parallel."""

from __future__ import annotations

import atexit
import collections
import functools
import io
import os
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nwb_celltype.archive import collection
from nwb_celltype.archive.connections import MAX_CONNECTIONS
from nwb_celltype.archive.read_ahead import MIB, READ_AHEAD, ReadAhead, merged_ranges, overlap, part_length
from nwb_celltype.archive.segments import Segment, Segments
from nwb_celltype.archive.transport import RangeSource
from nwb_celltype.errors import InputError, UsageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from nwb_celltype.archive.addresses import DandiAddress, UrlAddress
    from nwb_celltype.archive.disk_cache import DiskCache

MAX_BYTES: Final = 64 * MIB
"""How much of one file is kept in memory."""

_SHARE_OF_ANNOUNCED: Final = 0.75  # the rest is for what is read without having been announced


@dataclass(frozen=True)
class ReadStatistics:
    """What reading one file has cost so far.

    Attributes
    ----------
    n_requests, n_bytes, n_retries : int
        As in `TransferStatistics`.
    n_cached_bytes : int
        Bytes that came from the cache on disk instead.
    """

    n_requests: int = 0
    n_bytes: int = 0
    n_retries: int = 0
    n_cached_bytes: int = 0


class RemoteFile(io.RawIOBase):
    """A file on a server, to be read like one on disk; safe to use from several threads.

    Parameters
    ----------
    source : RangeSource
        Where the bytes come from; it is closed together with the file.
    cache : DiskCache, optional
        Keeps what was read for the next time.
    identity : str
        What tells this content from every other in the cache; default: name and ETag, where the server gives one.
    max_bytes : int
        How much is kept in memory.
    read_ahead : ReadAhead, optional
        How much is asked for at once.

    Raises
    ------
    InputError, NetworkError, RefusedError
        As `RangeSource.fetch`: unless the source knows the size, the first request is made at once.

    Examples
    --------
    >>> import h5py
    >>> with open_remote("https://example.org/session.nwb") as remote, h5py.File(remote, "r") as file:  # doctest: +SKIP
    ...     print(list(file["units"]))
    """

    def __init__(
        self,
        source: RangeSource,
        *,
        cache: DiskCache | None = None,
        identity: str = "",
        max_bytes: int = MAX_BYTES,
        read_ahead: ReadAhead | None = None,
    ) -> None:
        super().__init__()
        _close_hdf5_at_exit()
        self._source = source
        self._cache = cache
        self._identity = identity
        self._max_bytes = max_bytes
        self._policy = read_ahead or READ_AHEAD
        self._position = 0
        self._lock = _Lock()  # of everything below
        self._segments = Segments()
        self._used: collections.OrderedDict[Segment, None] = collections.OrderedDict()  # here; longest unused first
        self._announced: collections.deque[Segment] = collections.deque()  # not asked for yet: no room
        self._n_held = 0  # bytes of segments asked for or here
        self._n_unread = 0  # those of them that were announced and not read yet
        self._n_cached_bytes = 0
        self._ahead = float(self._policy.block)
        self._last_stop = -1  # where the newest block ends
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._n_threads = 0
        # Asked for here, not when HDF5 wants to know the size: a failure there leaves it in a state that crashes later.
        if source.known_size is None:
            self._open()

    # what h5py asks for

    @property
    def name(self) -> str:
        """What the file is called in messages."""
        return self._source.name

    @property
    def etag(self) -> str:
        """The server's mark of this very content; "" where it has none."""
        return self._source.etag

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._source.size

    @property
    def statistics(self) -> ReadStatistics:
        """What reading has cost so far."""
        transfer = self._source.statistics
        return ReadStatistics(transfer.n_requests, transfer.n_bytes, transfer.n_retries, self._n_cached_bytes)

    def __repr__(self) -> str:
        return f"<RemoteFile {self.name}>"

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, counted from the start, the current place or the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: None}[whence]
        position = offset + (self.size if base is None else base)
        if position < 0:
            message = f"Byte {position} of {self.name} was asked for; there is none before byte 0."
            raise UsageError(message)
        self._position = position
        return position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer` from the current place; the number of bytes, fewer only at the end of the file.

        Raises
        ------
        InputError, NetworkError, RefusedError
            As `RangeSource.fetch`.
        """
        view = memoryview(buffer).cast("B")
        n_bytes = self._read_into(view, self._position)
        self._position += n_bytes
        return n_bytes

    def read(self, size: int | None = -1) -> bytes:
        """The next `size` bytes, all that are left by default; fewer only at the end of the file.

        Raises
        ------
        InputError, NetworkError, RefusedError
            As `RangeSource.fetch`.
        """
        left = max(0, self.size - self._position)
        buffer = bytearray(left if size is None or size < 0 else min(size, left))
        self.readinto(buffer)
        return bytes(buffer)

    def readall(self) -> bytes:
        """All bytes that are left."""
        return self.read()

    def close(self) -> None:
        """Stop what is under way and forget what was read."""
        if not self.closed and hasattr(self, "_n_threads"):  # not when the constructor failed
            self._source.close()
            with self._lock:
                for forgotten in (self._announced, self._segments, self._used):
                    forgotten.clear()
            for _ in range(self._n_threads):  # what is still in the queue fails at once: the source is closed
                self._queue.put(None)
        super().close()

    # ranges announced

    def prefetch(self, ranges: Sequence[tuple[int, int]], *, wait: bool = False) -> None:
        """Ask for ranges that will be read, several at a time; reading them then makes no request of its own.

        No more than `max_bytes` is asked for ahead of what was read: the rest follows as reading goes on.

        Parameters
        ----------
        ranges : sequence of (start, stop)
            Bytes from `start` up to, not including, `stop`; in any order, they may overlap.
        wait : bool
            Whether to return only when all that fits into memory is there.

        Raises
        ------
        InputError, NetworkError, RefusedError
            As `RangeSource.fetch`; without `wait`, reading the range raises it.
        """
        size = self.size
        collection.catch_up()
        merged = merged_ranges([(max(0, start), min(stop, size)) for start, stop in ranges], self._policy)
        total = sum(stop - start for start, stop, _ in merged)
        part = part_length(total, self._policy)
        new = []
        with self._lock:
            self._require_open()
            for start, stop, wanted in merged:
                for gap_start, gap_stop in self._segments.gaps(start, stop):
                    n_parts = -(-(gap_stop - gap_start) // part)
                    length = -(-(gap_stop - gap_start) // n_parts)
                    for at in range(gap_start, gap_stop, length):
                        segment = self._segments.insert(at, min(at + length, gap_stop))
                        segment.n_wanted = overlap(wanted, segment.start, segment.stop)
                        new.append(segment)
            self._announce(new)
            started = [segment for segment in new if segment.is_started]
        if wait:
            for segment in started:
                segment.arrival.result()

    # inside

    def _open(self) -> None:
        """Make the first request, which tells the size and the ETag."""
        first = self._source.fetch(0, self._policy.first)
        self._identity = self._identity or self._source.identity
        if not first:
            return
        segment = self._segments.insert(0, len(first))
        segment.is_loading = True
        self._begin(segment)
        self._last_stop = segment.stop
        self._arrived(segment, first)
        if self._cache is not None and self._identity:
            self._cache.put(self._identity, 0, first)

    def _require_open(self) -> None:
        if self.closed:
            message = f"{self.name} is closed."
            raise UsageError(message)

    def _read_into(self, view: memoryview, start: int) -> int:
        self._require_open()
        if not len(view):
            return 0
        stop = min(start + len(view), self.size)
        at = start
        collection.catch_up()
        while at < stop:
            with self._lock:
                self._require_open()
                segment = self._segments.at(at)
                if segment is None:
                    self._plan(at, stop)
                    continue
                if segment in self._used:
                    self._used.move_to_end(segment)
                if not segment.is_started:
                    self._take(segment)
            self._load(segment)  # a reader does not wait for a thread to become free
            data = segment.arrival.result()
            end = min(stop, segment.stop)
            view[at - start : end - start] = memoryview(data)[at - segment.start : end - segment.start]
            with self._lock:
                if segment.n_wanted and self._wants(segment, segment.n_wanted - (end - at)):
                    self._start_announced()
            at = end
        return max(0, stop - start)

    def _plan(self, start: int, stop: int) -> None:
        """Make segments for a read that found nothing at `start`; the first of them begins at or before it."""
        policy = self._policy
        if stop - start >= policy.large:
            part = part_length(stop - start, policy)
            segments = [
                self._segments.insert(at, min(at + part, gap_stop))
                for gap_start, gap_stop in self._segments.gaps(start, stop)
                for at in range(gap_start, gap_stop, part)
            ]
            for segment in segments:
                segment.n_wanted = segment.n_bytes
            self._announce(segments[1:], first=True)  # the reader itself fetches the very first
            return
        block = policy.block
        first = start // block * block
        is_next = first == self._last_stop // block * block or start == self._last_stop
        self._ahead = min(self._ahead * policy.growth, policy.longest) if is_next else self._ahead / policy.growth
        self._ahead = max(self._ahead, block)
        last = max(-(-stop // block) * block, first + round(self._ahead / block) * block)
        gap = next(gap for gap in self._segments.gaps(first, min(last, self._source.size)) if gap[1] > start)
        self._segments.insert(*gap)
        self._last_stop = gap[1]

    def _remove(self, segment: Segment) -> None:
        if segment in self._segments:
            self._wants(segment, 0)
            self._segments.remove(segment)
            self._used.pop(segment, None)
            if segment.is_started:
                self._n_held -= segment.n_bytes

    def _wants(self, segment: Segment, n_bytes: int) -> bool:
        """Note how many announced bytes of a segment are still to be read; whether that makes room."""
        if n_bytes > 0 or not segment.n_wanted:
            segment.n_wanted = max(0, n_bytes)
            return False
        segment.n_wanted = 0
        if segment.is_started:
            self._n_unread -= segment.n_bytes
        return True

    def _announce(self, segments: Sequence[Segment], *, first: bool = False) -> None:
        """Line segments up, before the others where a reader waits for them, and start what there is room for."""
        for segment in segments:
            segment.is_announced = True
        if first:
            self._announced.extendleft(reversed(segments))
        else:
            self._announced.extend(segments)
        self._start_announced()

    def _start_announced(self) -> None:
        room = self._max_bytes * _SHARE_OF_ANNOUNCED
        while self._announced:
            segment = self._announced[0]
            if self._n_unread and self._n_unread + segment.n_bytes > room:
                return
            self._announced.popleft()
            self._begin(segment)
            if self._n_threads < MAX_CONNECTIONS:
                self._n_threads += 1
                threading.Thread(target=_work, args=(self._queue,), name="nwb-celltype-read", daemon=True).start()
            collection.pause()  # until it was brought: not only from when a thread begins
            self._queue.put(functools.partial(self._load_in_thread, segment))

    def _take(self, segment: Segment) -> None:
        """Begin a segment that a reader waits for.

        If it was still waiting for room, nobody seems to wait for what was announced before it: that makes the room.
        """
        if segment.is_announced:
            self._announced.rotate(-self._announced.index(segment))
            self._announced.popleft()
            for other in self._used:
                self._wants(other, 0)
        self._begin(segment)
        self._start_announced()

    def _begin(self, segment: Segment) -> None:
        segment.is_announced, segment.is_started = False, True
        self._n_held += segment.n_bytes
        self._n_unread += segment.n_bytes if segment.n_wanted else 0
        self._make_room()

    def _make_room(self) -> None:
        """Forget what was used longest ago; what was announced and not read only when nothing else is left."""
        for keeps_wanted in (True, False):
            if self._n_held > self._max_bytes:
                for other in [other for other in self._used if not (keeps_wanted and other.n_wanted)]:
                    self._remove(other)
                    if self._n_held <= self._max_bytes:
                        break

    def _load_in_thread(self, segment: Segment) -> None:
        try:
            self._load(segment)
        finally:
            collection.resume()

    def _load(self, segment: Segment) -> None:
        """Bring a segment, unless another thread has begun to."""
        with collection.paused():
            with self._lock:
                if segment.is_loading:
                    return
                segment.is_loading = True
            try:
                data = self._bytes(segment.start, segment.stop)
            except BaseException as error:
                with self._lock:
                    self._remove(segment)
                segment.arrival.set_exception(error)
            else:
                self._arrived(segment, data)

    def _arrived(self, segment: Segment, data: bytes) -> None:
        with self._lock:
            if segment in self._segments:  # not after the file was closed
                self._used[segment] = None
                self._make_room()
        segment.arrival.set_result(data)

    def _bytes(self, start: int, stop: int) -> bytes:
        """From the cache on disk as far as it has them, else from the server."""
        if self._cache is None or not self._identity:
            return self._whole(start, stop)
        pieces = []
        at = start
        while at < stop:
            found = self._cache.get(self._identity, at, stop)
            piece = found.data
            if piece:
                with self._lock:
                    self._n_cached_bytes += len(piece)
            else:
                piece = self._whole(at, found.stop)
                self._cache.put(self._identity, at, piece)
            pieces.append(piece)
            at += len(piece)
        return b"".join(pieces)

    def _whole(self, start: int, stop: int) -> bytes:
        data = self._source.fetch(start, stop)
        if len(data) != stop - start:
            message = f"{self.name} ended before byte {stop}; it was replaced while it was read. Start again."
            raise InputError(message)
        return data


@functools.cache
def _close_hdf5_at_exit() -> None:
    """See to it that nothing is left for HDF5 to close when Python is gone: it would call the file then, and crash."""
    atexit.register(_close_hdf5)


def _close_hdf5() -> None:
    if (h5py := sys.modules.get("h5py")) is None:
        return
    for file_id in h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE):
        if file_id.name.startswith(b"<RemoteFile "):  # h5py names files after what it reads through
            h5py.File(file_id).close()


class _Lock:
    """A lock that its holder can take again; the collector pauses while it is held."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        collection.pause()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        collection.resume()


def _work(jobs: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    """Do what comes, until None comes.

    Threads of our own: those of an executor take locks, also between jobs, when the collector may run.
    """
    while (job := jobs.get()) is not None:
        job()
        del job  # an idle thread must not keep the file


def open_remote(
    address: str | UrlAddress | DandiAddress, *, cache: DiskCache | None = None, instance: str | None = None
) -> RemoteFile:
    """Open a file on a server for reading, without downloading it.

    Parameters
    ----------
    address : str, UrlAddress or DandiAddress
        A web address, `s3://bucket/key`, or one asset of an archive: `DANDI:000409@0.2/sub-1/sub-1.nwb`.
    cache : DiskCache, optional
        Keeps what was read for the next time.
    instance : str, optional
        Name or address of the archive that `DANDI:` addresses mean; default `$DANDI_INSTANCE`, else the public one.

    Returns
    -------
    RemoteFile
        Close it after use.

    Raises
    ------
    UsageError
        If the text is no address.
    InputError
        If there is no such file, or it is in Zarr.
    RefusedError, NetworkError
        If the server does not let us read it, or cannot be reached.
    """
    from nwb_celltype.archive.addresses import DandiAddress, parse_address

    parsed = parse_address(address, instance=instance) if isinstance(address, str) else address
    if not isinstance(parsed, DandiAddress):
        _refuse_zarr(parsed.text, parsed.url)
        return RemoteFile(RangeSource(parsed.url, name=parsed.text), cache=cache)
    from nwb_celltype.archive.assets import content_url, find_asset

    _refuse_zarr(parsed.text, parsed.path)
    asset = find_asset(parsed)
    _refuse_zarr(asset.address.text, asset.path, is_zarr=asset.is_zarr)
    source = RangeSource(lambda expired: content_url(asset, fresh=expired), name=asset.address.text, size=asset.size)
    return RemoteFile(source, cache=cache, identity=asset.sha256 or asset.etag)


def _refuse_zarr(name: str, path: str, *, is_zarr: bool = False) -> None:
    if is_zarr or path.partition("?")[0].rstrip("/").endswith(".zarr"):
        message = (
            f"{name} is NWB in Zarr; only NWB in HDF5 can be read from a server. Download it, export it to HDF5 "
            "(hdmf-zarr reads it, pynwb's NWBHDF5IO.export writes it) and name that file."
        )
        raise InputError(message)
