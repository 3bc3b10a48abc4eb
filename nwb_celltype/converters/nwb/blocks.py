"""Data that are computed or read block by block while a file is written, so that they never lie in memory at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from hdmf.data_utils import DataChunk, GenericDataChunkIterator  # type: ignore[import-untyped,unused-ignore]
from numpy.typing import DTypeLike, NDArray

Read = Callable[[int, int], NDArray[Any]]
"""Rows from the first number to the second, exclusive."""

CHUNK_BYTES = 2**20
_CHUNKS_AT_ONCE = 16


class Blocks(GenericDataChunkIterator):  # type: ignore[misc]
    """A (rows,) or (rows, columns) array that is read in blocks of rows.

    It can also be indexed, so that an NWB file in memory can be looked at before it is written. Iterating starts anew
    each time and leaves alone how far the writer (which calls ``next``) has come.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` returns these rows, all columns.
    shape : tuple of int
        At least one row.
    dtype : dtype
    chunk_shape : tuple of int, optional
        Of the file; about one megabyte of whole rows by default.
    chunks_at_once : int, optional
        Chunks along the rows that are read together.

    Examples
    --------
    >>> squares = Blocks(lambda a, b: np.arange(a, b) ** 2, (10,), np.int64)
    >>> int(squares[3]), squares[-2:].tolist(), len(squares)
    (9, [64, 81], 10)
    """

    def __init__(
        self,
        read: Read,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        *,
        chunk_shape: tuple[int, ...] | None = None,
        chunks_at_once: int = _CHUNKS_AT_ONCE,
    ) -> None:
        self._read = read
        self._shape = shape
        self._type = np.dtype(dtype)
        chunk = chunk_shape or chunk_of_rows(shape, self._type)
        rows = min(shape[0], chunk[0] * chunks_at_once)
        super().__init__(chunk_shape=chunk, buffer_shape=(rows, *shape[1:]))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        return self._shape

    def _get_maxshape(self) -> tuple[int, ...]:
        return self._shape

    def _get_dtype(self) -> np.dtype[Any]:
        return self._type

    def _get_data(self, selection: tuple[slice, ...]) -> NDArray[Any]:
        rows = np.asarray(self._read(selection[0].start, selection[0].stop), dtype=self._type)
        return rows[(slice(None), *selection[1:])]

    def __len__(self) -> int:
        return self._shape[0]

    def __iter__(self) -> Iterator[Any]:
        step = self.buffer_shape[0]
        for start in range(0, len(self), step):
            selection = (slice(start, min(start + step, len(self))), *(slice(0, n) for n in self._shape[1:]))
            yield DataChunk(data=self._get_data(selection), selection=selection)

    def __getitem__(self, key: Any) -> Any:
        rows, others = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if isinstance(rows, int | np.integer):
            at = int(rows) + (len(self) if rows < 0 else 0)
            if not 0 <= at < len(self):
                message = f"row {rows} of {len(self)}"
                raise IndexError(message)
            return np.asarray(self._read(at, at + 1), dtype=self._type)[(0, *others)]
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step > 0:
                found = np.asarray(self._read(start, max(start, stop)), dtype=self._type)[::step]
                return found[(slice(None), *others)] if others else found
        return np.asarray(self)[key]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        whole = np.asarray(self._read(0, len(self)), dtype=self._type)
        return whole if dtype is None else whole.astype(dtype, copy=bool(copy))


def chunk_of_rows(shape: tuple[int, ...], dtype: DTypeLike) -> tuple[int, ...]:
    """Shape of chunks of whole rows, at most one megabyte where a row is no larger.

    Examples
    --------
    >>> chunk_of_rows((10**7,), np.float64)
    (131072,)
    """
    row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * np.dtype(dtype).itemsize
    return (max(1, min(shape[0], CHUNK_BYTES // max(1, row_bytes))), *shape[1:])


def one_after_another(pieces: Sequence[tuple[int, Read]]) -> Read:
    """Join the rows of several readers.

    Parameters
    ----------
    pieces : sequence of (int, callable)
        Number of rows, and how to read them.

    Examples
    --------
    >>> read = one_after_another([(3, lambda a, b: np.arange(a, b)), (2, lambda a, b: np.arange(a, b) + 100)])
    >>> read(1, 5).tolist()
    [1, 2, 100, 101]
    """
    ends = np.cumsum([n for n, _ in pieces])

    def read(start: int, stop: int) -> NDArray[Any]:
        found = []
        for (n, piece), end in zip(pieces, ends, strict=True):
            begin = int(end) - n
            a, b = max(start, begin), min(stop, int(end))
            if a < b:
                found.append(piece(a - begin, b - begin))
        if not found:
            return pieces[0][1](0, 0) if pieces else np.empty(0)
        return found[0] if len(found) == 1 else np.concatenate(found)

    return read
