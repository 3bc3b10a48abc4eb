"""Lazy sequences with one array per unit: spike trains, observation intervals, mean waveforms."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, SupportsIndex, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_celltype.errors import InputError

# One block of a sequential pass, 8 MB: measured as fast as reading everything at once; larger blocks were slower.
BLOCK_VALUES = 1_048_576
# What one pass asks for ahead of what was read: two passes side by side (spikes and waveforms of each unit) fit into
# the memory that a remote file may take, and one that is given up after its first unit has not fetched much.
AHEAD_BYTES = 28 * 1024 * 1024

Float = NDArray[np.float64]
Integer = NDArray[np.int64]
T = TypeVar("T")


class RowRanges:
    """Which rows of one stored array belong to each unit, and how to read them.

    Parameters
    ----------
    starts, stops : (n,) int64 array
        Unit ``i`` owns the rows ``starts[i]:stops[i]``.
    read : callable
        ``read(start, stop)`` returns these rows.
    row_values : int
        Number of values in one row, which sets the size of a block.
    least_rows : int
        Rows that a block should have at least, for storage that reads no less at a time.
    value_bytes : int
        Bytes of one value.
    announce : callable, optional
        ``announce([(start, stop), ...])`` says which rows will be read next, for storage that can fetch them meanwhile.
    """

    def __init__(
        self,
        starts: Integer,
        stops: Integer,
        read: Callable[[int, int], NDArray[Any]],
        row_values: int = 1,
        least_rows: int = 1,
        value_bytes: int = 8,
        announce: Callable[[Sequence[tuple[int, int]]], None] | None = None,
    ) -> None:
        self.starts = starts
        self.stops = stops
        self.read = read
        self.row_values = max(1, row_values)
        self.least_rows = max(1, least_rows)
        self.value_bytes = value_bytes
        self.announce = announce

    def __len__(self) -> int:
        return len(self.starts)

    def one(self, i: int) -> NDArray[Any]:
        """Rows of unit ``i``."""
        return self.read(int(self.starts[i]), int(self.stops[i]))

    def all(self) -> Iterator[NDArray[Any]]:
        """Rows of every unit in turn, reading neighbours together in blocks of bounded size."""
        blocks = self._blocks()
        rows = [(int(self.starts[i]), int(self.stops[last - 1])) for i, last in blocks]
        row_bytes = self.row_values * self.value_bytes
        announced, ahead = 0, 0
        for k, (i, last) in enumerate(blocks):
            if self.announce is not None and ahead <= AHEAD_BYTES // 2:
                before = announced
                while announced < len(rows):
                    more = (rows[announced][1] - rows[announced][0]) * row_bytes
                    if announced > k and ahead + more > AHEAD_BYTES:
                        break
                    announced, ahead = announced + 1, ahead + more
                self.announce(rows[before:announced])
            first, stop = rows[k]
            block = self.read(first, stop)
            ahead -= (stop - first) * row_bytes
            for row in range(i, last):
                yield block[int(self.starts[row]) - first : int(self.stops[row]) - first]

    def fetch(self, rows: Integer) -> None:
        """Announce the rows of these units, which will be read one by one."""
        if self.announce is not None and len(rows):
            self.announce([(int(self.starts[i]), int(self.stops[i])) for i in rows])

    def _blocks(self) -> list[tuple[int, int]]:
        """Units ``first:last`` whose rows are read together."""
        limit = max(self.least_rows, BLOCK_VALUES // self.row_values)
        n, i = len(self), 0
        blocks = []
        while i < n:
            last = i + 1
            while last < n and self.starts[last] == self.stops[last - 1] and self.stops[last] - self.starts[i] <= limit:
                last += 1
            blocks.append((i, last))
            i = last
        return blocks

    def take(self, rows: Integer) -> RowRanges:
        """Ranges of the given units only."""
        return RowRanges(
            self.starts[rows],
            self.stops[rows],
            self.read,
            self.row_values,
            self.least_rows,
            self.value_bytes,
            self.announce,
        )


class UnitSequence(Sequence[T], ABC, Generic[T]):
    """Read-only sequence with one entry per unit, read when asked for."""

    @abstractmethod
    def _one(self, i: int) -> T: ...

    @abstractmethod
    def take(self, rows: Integer) -> UnitSequence[T]:
        """The same sequence for the units of these rows only."""

    def __getitem__(self, index: SupportsIndex) -> T:  # type: ignore[override]
        i = operator.index(index)
        n = len(self)
        if not -n <= i < n:
            message = f"Row {i} does not exist: there are {n} units."
            raise IndexError(message)
        return self._one(i % n)

    def __iter__(self) -> Iterator[T]:
        return (self._one(i) for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} units>"


class RowNumbers(UnitSequence[Integer]):
    """Rows of another table for every unit: (k,) int64 arrays, all read the first time that one is asked for."""

    def __init__(self, read: Callable[[], Sequence[Integer]], rows: Integer) -> None:
        self._read = read
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def _one(self, i: int) -> Integer:
        return self._read()[int(self._rows[i])]

    def take(self, rows: Integer) -> RowNumbers:
        """The rows of these units only."""
        return RowNumbers(self._read, self._rows[rows])


class SpikeTrains(UnitSequence[Float]):
    """Spike times of every unit in seconds, as stored: neither sorted nor cleaned.

    ``trains[i]`` reads one unit; iterating reads the whole dataset once, in order, with bounded memory.

    Parameters
    ----------
    ranges : RowRanges
        Where each unit's spikes lie.

    Examples
    --------
    >>> trains = SpikeTrains.from_arrays([[0.1, 0.2, 0.4], []])
    >>> len(trains), trains.counts.tolist(), trains[0].tolist()
    (2, [3, 0], [0.1, 0.2, 0.4])
    """

    def __init__(self, ranges: RowRanges) -> None:
        self._ranges = ranges

    @classmethod
    def from_arrays(cls, arrays: Sequence[ArrayLike]) -> SpikeTrains:
        """Spike trains from one array of seconds per unit.

        Raises
        ------
        InputError
            If an entry is not one-dimensional or not numeric.
        """
        trains = [_float_array(values, 1, f"spike_times of row {i}") for i, values in enumerate(arrays)]
        return cls(_in_memory(trains, ()))

    @property
    def counts(self) -> Integer:
        """(n,) int64 array: number of spikes of each unit, known without reading them."""
        return self._ranges.stops - self._ranges.starts

    def __len__(self) -> int:
        return len(self._ranges)

    def _one(self, i: int) -> Float:
        return np.array(self._ranges.one(i), dtype=np.float64)

    def __iter__(self) -> Iterator[Float]:
        # a copy, so that keeping one unit does not keep the block of its neighbours
        return (np.array(rows, dtype=np.float64) for rows in self._ranges.all())

    def take(self, rows: Integer) -> SpikeTrains:
        """Spike trains of the units in these rows."""
        return SpikeTrains(self._ranges.take(rows))

    def __repr__(self) -> str:
        return f"<SpikeTrains of {len(self)} units, {int(self.counts.sum())} spikes>"


class Intervals(UnitSequence[Float]):
    """Observation intervals of every unit: (k, 2) float64 arrays of start and stop in seconds."""

    def __init__(self, ranges: RowRanges) -> None:
        self._ranges = ranges

    @classmethod
    def from_arrays(cls, arrays: Sequence[ArrayLike]) -> Intervals:
        """Intervals from one (k, 2) array of seconds per unit.

        Raises
        ------
        InputError
            If an entry does not have two columns.
        """
        rows = []
        for i, values in enumerate(arrays):
            array = np.asarray(values, dtype=np.float64)
            array = array.reshape(0, 2) if array.size == 0 else array
            if array.ndim != 2 or array.shape[1] != 2:
                message = f"obs_intervals of row {i} has shape {array.shape}; give (k, 2) starts and stops in seconds."
                raise InputError(message)
            rows.append(array)
        return cls(_in_memory(rows, (2,)))

    def __len__(self) -> int:
        return len(self._ranges)

    def _one(self, i: int) -> Float:
        return np.array(self._ranges.one(i), dtype=np.float64)

    def __iter__(self) -> Iterator[Float]:
        return (np.array(rows, dtype=np.float64) for rows in self._ranges.all())

    def take(self, rows: Integer) -> Intervals:
        """Intervals of the units in these rows."""
        return Intervals(self._ranges.take(rows))


def _float_array(values: ArrayLike, ndim: int, what: str) -> Float:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        message = f"{what} is not numeric: {error}."
        raise InputError(message) from error
    if array.ndim != ndim:
        message = f"{what} has {array.ndim} dimensions; give {ndim}."
        raise InputError(message)
    return array


def _in_memory(arrays: Sequence[Float], row_shape: tuple[int, ...]) -> RowRanges:
    flat = np.concatenate(arrays) if arrays else np.empty((0, *row_shape), dtype=np.float64)
    stops = np.cumsum([len(array) for array in arrays], dtype=np.int64)
    starts = np.concatenate([np.zeros(1, dtype=np.int64), stops[:-1]]) if arrays else stops
    return RowRanges(starts, stops, lambda start, stop: flat[start:stop])
