"""Rows of one array of a remote file: announced together, read exactly, decoded in threads while others arrive."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from itertools import islice
from typing import Any

from numpy.typing import NDArray

from nwb_celltype.units.chunk_plan import ChunkPlan, Span
from nwb_celltype.units.remote import Stream

# Decoded chunks that are kept or under way: those of a few units, whatever the chunks' size.
DECODED_BYTES = 48 * 1024 * 1024


class RemoteArray:
    """One array of a remote HDF5 file.

    Parameters
    ----------
    plan : ChunkPlan
        Where its rows lie.
    stream : Stream
        The file's bytes.
    read_slowly : callable
        ``read_slowly(start, stop)`` reads rows through HDF5, for what cannot be decoded here.
    """

    def __init__(self, plan: ChunkPlan, stream: Stream, read_slowly: Callable[[int, int], NDArray[Any]]) -> None:
        self._plan = plan
        self._stream = stream
        self._read_slowly = read_slowly
        self._coming: deque[int] = deque()  # announced chunks, in the order in which they will be read
        self._decoded: OrderedDict[int, Future[bytes | bytearray]] = OrderedDict()

    def announce(self, rows: Iterable[Span]) -> None:
        """Ask for rows ``start:stop`` that will be read, in this order; returns at once."""
        rows = list(rows)
        spans = [span for start, stop in rows for span in self._plan.spans(start, stop)]
        self._stream.prefetch(spans)
        if self._plan.filters:
            chunks = dict.fromkeys(k for start, stop in rows for k in self._plan.chunks(start, stop))
            self._coming.extend(k for k in chunks if not self._coming or k != self._coming[-1])

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start:stop``.

        Raises
        ------
        InputError, NetworkError, RefusedError
            As `RangeSource.fetch`.
        """
        if not self._plan.is_decodable:
            self._stream.prefetch(self._plan.spans(start, stop))
            return self._read_slowly(start, stop)
        if self._plan.filters:
            missing = [k for k in self._plan.chunks(start, stop) if k not in self._decoded]
            self._stream.prefetch(self._plan.span(k) for k in missing)
        else:
            self._stream.prefetch(self._plan.spans(start, stop))
        try:
            return self._plan.read(start, stop, self._bytes)
        except ValueError:
            # HDF5 knows the filters better, or says what is wrong with the bytes
            return self._read_slowly(start, stop)

    def _bytes(self, k: int, span: Span) -> bytes | bytearray:
        if not self._plan.filters:
            return self._stream.read_at(*span)
        chunk_bytes = max(1, self._plan.chunk_rows * self._plan.row_bytes)
        most = max(2, DECODED_BYTES // chunk_bytes)
        if k in self._coming:
            while self._coming[0] != k:
                self._coming.popleft()
        for each in (k, *islice(self._coming, 1, most // 2)) if k in self._coming else (k,):
            if each not in self._decoded:
                self._decoded[each] = self._stream.decoders.submit(self._decode, each)
            self._decoded.move_to_end(each)
        wanted = self._decoded[k]
        while len(self._decoded) > most:
            self._decoded.popitem(last=False)[1].cancel()
        try:
            return wanted.result()
        except BaseException:
            self._decoded.clear()
            raise

    def _decode(self, k: int) -> bytes | bytearray:
        return self._plan.decode(self._stream.read_at(*self._plan.span(k)))
