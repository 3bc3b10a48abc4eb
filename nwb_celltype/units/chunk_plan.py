"""Where the rows of a stored array lie in its file, so that a remote file is asked for these bytes and no others."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import h5py  # type: ignore[import-untyped,unused-ignore]
import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]
"""Bytes ``[start, stop)`` of a file."""

Integer = NDArray[np.int64]

_DEFLATE, _SHUFFLE = 1, 2
_DECODED_HERE = ((), (_DEFLATE,), (_SHUFFLE, _DEFLATE))


@dataclass(frozen=True, eq=False)
class ChunkPlan:
    """Layout of one array: its chunks in the file, sorted by their first row.

    A contiguous array is one chunk.

    Attributes
    ----------
    dtype : numpy.dtype
        As stored, byte order included.
    shape : tuple of int
        Of the whole array.
    chunk_rows : int
        Rows of one chunk; the last one may be cut short by the array's end.
    numbers : (n_chunks,) int64 array
        Which rows a chunk holds: ``numbers[k] * chunk_rows`` is the first. Rows without a chunk hold `fill`.
    offsets, sizes : (n_chunks,) int64 array
        Where a chunk lies in the file and how many bytes it takes there.
    filters : tuple of int
        HDF5 codes of the filters that every chunk went through; ``()`` when stored as it is.
    is_decodable : bool
        Whether `read` can be used; otherwise only the spans are known, and HDF5 must decode them.
    fill : numpy scalar
        Value of rows that were never written.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    chunk_rows: int
    numbers: Integer
    offsets: Integer
    sizes: Integer
    filters: tuple[int, ...]
    is_decodable: bool
    fill: Any

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in memory."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    @property
    def is_exact(self) -> bool:
        """Whether single rows can be cut out of a chunk."""
        return self.is_decodable and not self.filters

    @property
    def stored_bytes(self) -> int:
        """Bytes that the whole array takes in the file."""
        return int(self.sizes.sum())

    def spans(self, start: int, stop: int) -> list[Span]:
        """Bytes that must be read for the rows ``start:stop``, in the order of the rows."""
        if stop <= start:
            return []
        spans: list[Span] = []
        for k in self._chunks(start, stop):
            if not self.is_exact:
                spans.append(self.span(k))
                continue
            first, last = self._overlap(int(self.numbers[k]), start, stop)
            origin = int(self.offsets[k]) - int(self.numbers[k]) * self.chunk_rows * self.row_bytes
            spans.append((origin + first * self.row_bytes, origin + last * self.row_bytes))
        return spans

    def span(self, k: int) -> Span:
        """Bytes of the whole chunk at position `k` of `numbers`."""
        offset = int(self.offsets[k])
        return offset, offset + int(self.sizes[k])

    def chunks(self, start: int, stop: int) -> list[int]:
        """Positions in `numbers` of the chunks that hold the rows ``start:stop``."""
        return list(self._chunks(start, stop)) if stop > start else []

    def read(self, start: int, stop: int, chunk_bytes: Callable[[int, Span], bytes | bytearray]) -> NDArray[Any]:
        """Rows ``start:stop``, decoded here.

        Parameters
        ----------
        start, stop : int
            Rows.
        chunk_bytes : callable
            ``chunk_bytes(k, span)`` returns the decoded bytes of chunk ``k`` when the array has filters, else the
            bytes of the span, which is the part of the chunk that is asked for.

        Returns
        -------
        (stop - start, ...) array
            In the byte order of the machine.

        Raises
        ------
        ValueError
            If a chunk does not hold as many bytes as it must.
        """
        start, stop = max(0, start), min(stop, self.shape[0])
        rows = np.empty((max(0, stop - start), *self.shape[1:]), dtype=self.dtype)
        if rows.size == 0:
            return rows.astype(self.dtype.newbyteorder("="))
        chunks = self._chunks(start, stop)
        # only where chunks are missing; filling costs as much as reading
        if len(chunks) < (stop - 1) // self.chunk_rows - start // self.chunk_rows + 1:
            rows[...] = self.fill
        for k, span in zip(chunks, self.spans(start, stop), strict=True):
            first, last = self._overlap(int(self.numbers[k]), start, stop)
            base = int(self.numbers[k]) * self.chunk_rows
            skipped = (first - base) * self.row_bytes if self.filters else 0
            values = np.frombuffer(
                chunk_bytes(k, span),
                dtype=self.dtype,
                count=(last - first) * int(np.prod(self.shape[1:], dtype=np.int64)),
                offset=skipped,
            )
            rows[first - start : last - start] = values.reshape(last - first, *self.shape[1:])
        return rows.astype(self.dtype.newbyteorder("="), copy=False)

    def decode(self, stored: bytes | bytearray) -> bytes | bytearray:
        """Undo the filters of one chunk.

        Raises
        ------
        ValueError
            If the bytes are damaged or too few.
        """
        data, n_bytes = stored, self.chunk_rows * self.row_bytes
        for code in reversed(self.filters):
            if code == _DEFLATE:
                unpacking = zlib.decompressobj()
                try:  # one byte more than a chunk holds: what has more is refused below, not unpacked
                    data = unpacking.decompress(data, n_bytes + 1)
                except zlib.error as error:
                    message = f"a compressed chunk is damaged ({error})"
                    raise ValueError(message) from error
                if len(data) <= n_bytes and not unpacking.eof:
                    message = "a compressed chunk is damaged (it ends too soon)"
                    raise ValueError(message)
            elif code == _SHUFFLE:
                data = _unshuffle(data, self.dtype.itemsize)
        if len(data) != n_bytes:
            message = f"a chunk holds {len(data)} bytes, not {n_bytes}"
            raise ValueError(message)
        return data

    def _chunks(self, start: int, stop: int) -> range:
        first = int(np.searchsorted(self.numbers, start // self.chunk_rows, side="left"))
        last = int(np.searchsorted(self.numbers, (stop - 1) // self.chunk_rows, side="right"))
        return range(first, last)

    def _overlap(self, number: int, start: int, stop: int) -> Span:
        return max(start, number * self.chunk_rows), min(stop, (number + 1) * self.chunk_rows, self.shape[0])


def plan_chunks(dataset: Any) -> ChunkPlan | None:
    """Layout of an HDF5 dataset, None where it does not say where its bytes lie (compact, external or virtual storage).

    Reads the chunk index, not the chunks.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of one or more dimensions.

    Returns
    -------
    ChunkPlan or None
    """
    if dataset.ndim == 0 or dataset.size in (0, None) or dataset.is_virtual or dataset.external:
        return None
    # HDF5 counts some addresses from the end of a user block and some from the start of the file
    if dataset.file.userblock_size:
        return None
    plain = dataset.dtype.kind in "iuf" and dataset.id.get_type() == h5py.h5t.py_create(dataset.dtype)
    nothing = np.zeros(1, dtype=np.int64)
    fill = dataset.fillvalue if plain else None
    if dataset.chunks is None:
        offset = dataset.id.get_offset()
        if offset is None:
            return None
        sizes = nothing + dataset.id.get_storage_size()
        return ChunkPlan(
            dataset.dtype, dataset.shape, dataset.shape[0], nothing, nothing + offset, sizes, (), plain, fill
        )
    filters = _filters(dataset)
    found = _chunk_table(dataset)
    if found is None:
        return None
    numbers, offsets, sizes, are_whole = found
    rows = int(dataset.chunks[0])
    in_one = all(chunk >= axis for chunk, axis in zip(dataset.chunks[1:], dataset.shape[1:], strict=True))
    # a chunk wider than the array pads every row
    exact = in_one and all(chunk == axis for chunk, axis in zip(dataset.chunks[1:], dataset.shape[1:], strict=True))
    decodable = plain and exact and are_whole and filters in _DECODED_HERE
    return ChunkPlan(dataset.dtype, dataset.shape, rows, numbers, offsets, sizes, filters, decodable, fill)


def merge_spans(spans: Iterable[Span], gap: int = 0) -> list[Span]:
    """Spans in the order of the file, those that touch or lie at most `gap` bytes apart made one.

    Examples
    --------
    >>> merge_spans([(10, 20), (0, 5), (18, 30), (33, 40)], gap=4)
    [(0, 5), (10, 40)]
    """
    merged: list[Span] = []
    for start, stop in sorted(span for span in spans if span[1] > span[0]):
        if merged and start <= merged[-1][1] + gap:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


def _filters(dataset: Any) -> tuple[int, ...]:
    properties = dataset.id.get_create_plist()
    return tuple(int(properties.get_filter(i)[0]) for i in range(properties.get_nfilters()))


def _chunk_table(dataset: Any) -> tuple[Integer, Integer, Integer, bool] | None:
    """Numbers along the first axis, offsets and sizes of the chunks, and whether no chunk skipped a filter."""
    rows = int(dataset.chunks[0])
    found: list[tuple[int, int, int]] = []
    are_whole = True

    def note(info: Any) -> None:
        nonlocal are_whole
        are_whole = are_whole and info.filter_mask == 0
        if info.byte_offset is not None:
            found.append((int(info.chunk_offset[0]) // rows, int(info.byte_offset), int(info.size)))

    dataset.id.chunk_iter(note)
    if not found:
        return None
    table = np.array(sorted(found), dtype=np.int64).reshape(-1, 3)
    return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy(), are_whole


def _unshuffle(data: bytes | bytearray, width: int) -> bytes | bytearray:
    if width < 2:
        return data
    whole = len(data) // width
    planes = np.frombuffer(data, dtype=np.uint8, count=whole * width).reshape(width, whole)
    # bytes that do not fill an element stay where they are
    return np.ascontiguousarray(planes.T).tobytes() + data[whole * width :]
