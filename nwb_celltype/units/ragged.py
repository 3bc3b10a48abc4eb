"""Ragged columns of an NWB table: the index that says where each unit's rows end, checked before it is trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError
from nwb_celltype.units import hdf5
from nwb_celltype.units.lazy import Integer, Intervals, RowRanges, SpikeTrains


@dataclass(frozen=True)
class UnitsTable:
    """An open units table: what every column reader needs.

    Attributes
    ----------
    opened : OpenFile
        The file.
    group : h5py.Group
        The table.
    path : str
        HDF5 path under which the table was found.
    unit_ids : (n,) int64 array
        Ids of its rows.
    """

    opened: hdf5.OpenFile
    group: hdf5.Node
    path: str
    unit_ids: Integer

    def __len__(self) -> int:
        return len(self.unit_ids)

    @property
    def file_name(self) -> str:
        """Name of the file in messages."""
        return self.opened.name

    def column(self, name: str) -> hdf5.Node | None:
        """Dataset of a column, None when the table lacks it."""
        return hdf5.column(self.group, name, self.file_name)

    def is_ragged(self, name: str) -> bool:
        """Whether a column has an index."""
        return self.column(f"{name}_index") is not None

    def where(self, name: str) -> str:
        """A column and its file, for messages."""
        return f"{self.path}/{name} in {self.file_name}"

    def reader(self, dataset: hdf5.Node, name: str, start: int, stop: int) -> NDArray[np.generic]:
        """Rows of a column of this table."""
        return self.opened.rows(dataset, start, stop, f"{self.path}/{name}")

    def ranges(self, dataset: hdf5.Node, name: str, starts: Integer, stops: Integer) -> RowRanges:
        """Lazy row ranges of a column."""
        row_values = int(np.prod(dataset.shape[1:], dtype=np.int64))
        announce = self.opened.announce(dataset, f"{self.path}/{name}")
        return RowRanges(
            starts,
            stops,
            lambda start, stop: self.reader(dataset, name, start, stop),
            row_values=row_values,
            least_rows=hdf5.rows_of_uncached_chunk(dataset),
            value_bytes=dataset.dtype.itemsize,
            announce=announce,
        )

    def bounds(self, name: str, length: int, *, owners: int | None = None) -> tuple[Integer, Integer]:
        """Starts and stops that the index ``<name>_index`` gives, checked against the length of what it points into.

        Parameters
        ----------
        name : str
            Column that the index belongs to.
        length : int
            Number of rows of that column.
        owners : int or None
            Number of entries that the index must have; the number of units by default.

        Raises
        ------
        InputError
            If the index is no integer vector, has the wrong length, decreases or points past the end.
        """
        index_name = f"{name}_index"
        dataset = self.column(index_name)
        where = self.where(index_name)
        if dataset is None:
            message = f"{where} is missing, so rows cannot be given to units; repair or re-export the file."
            raise InputError(message)
        if dataset.dtype.kind not in "iu" or dataset.ndim != 1:
            kind = f"{dataset.dtype} of shape {dataset.shape}"
            message = f"{where} must be a vector of integers, but is {kind}; repair or re-export the file."
            raise InputError(message)
        expected = len(self) if owners is None else owners
        if dataset.shape[0] != expected:
            message = f"{where} has {dataset.shape[0]} entries for {expected} rows; repair or re-export the file."
            raise InputError(message)
        stored = self.opened.rows(dataset, 0, expected, where)
        beyond = np.flatnonzero((stored > length) | (stored < 0))
        if beyond.size:
            k = int(beyond[0])
            message = (
                f"{where}: {self._owner(k, owners)} ends at row {int(stored[k])}, but {name} has {length} rows; "
                "the file is corrupt or cut short, fetch or export it again."
            )
            raise InputError(message)
        stops = stored.astype(np.int64)
        starts = np.concatenate([np.zeros(1, dtype=np.int64), stops[:-1]]) if expected else stops
        backwards = np.flatnonzero(stops < starts)
        if backwards.size:
            k = int(backwards[0])
            message = (
                f"{where} decreases at {self._owner(k, owners)} (from {int(starts[k])} to {int(stops[k])}); "
                "the file is corrupt, export it again."
            )
            raise InputError(message)
        return starts, stops

    def _owner(self, k: int, owners: int | None) -> str:
        return f"unit {int(self.unit_ids[k])} (row {k})" if owners is None else f"entry {k}"


def leftover_note(name: str, stops: Integer, length: int) -> list[str]:
    """Note that some rows of a ragged column belong to no unit, as a list of none or one."""
    used = int(stops[-1]) if len(stops) else 0
    return [f"{length - used} rows at the end of {name} belong to no unit"] if used < length else []


def no_ranges(n: int) -> RowRanges:
    """Ranges of n units that own nothing."""
    nothing = np.zeros(n, dtype=np.int64)
    return RowRanges(nothing, nothing, lambda _start, _stop: np.empty(0, dtype=np.float64))


def read_spike_times(table: UnitsTable) -> tuple[SpikeTrains, float | None, list[str]]:
    """Spike trains of a table, the resolution that it states in seconds, and notes.

    Raises
    ------
    InputError
        If the column is not a numeric vector, has no index, or its index is corrupt.
    """
    n = len(table)
    dataset = table.column("spike_times")
    if dataset is None:
        return SpikeTrains(no_ranges(n)), None, ["the table has no spike_times"]
    if dataset.ndim != 1 or (not hdf5.is_number(dataset) and dataset.shape[0]):
        message = (
            f"{table.where('spike_times')} must be a vector of seconds, but is {dataset.dtype} of shape "
            f"{dataset.shape}; repair or re-export the file."
        )
        raise InputError(message)
    length = int(dataset.shape[0])
    if n == 0 and not table.is_ragged("spike_times"):
        return SpikeTrains(no_ranges(0)), None, []
    starts, stops = table.bounds("spike_times", length)
    notes = leftover_note("spike_times", stops, length)
    if dataset.dtype.kind != "f":
        notes.append(f"spike_times are stored as {dataset.dtype}, so they may be sample numbers")
    elif dataset.dtype.itemsize < 8:
        notes.append(f"spike_times are stored as {dataset.dtype}, which is too coarse late in a long recording")
    resolution = hdf5.number_attribute(dataset, "resolution")
    if resolution is None:
        resolution = hdf5.number_attribute(table.group, "resolution")
    trains = SpikeTrains(table.ranges(dataset, "spike_times", starts, stops))
    return trains, resolution if resolution is not None and resolution > 0 else None, notes


def read_obs_intervals(table: UnitsTable) -> tuple[Intervals | None, list[str]]:
    """Observation intervals of a table, None when it has none, and notes.

    Raises
    ------
    InputError
        If the column does not hold pairs of numbers or its index is corrupt.
    """
    dataset = table.column("obs_intervals")
    if dataset is None:
        return None, []
    n, shape = len(table), dataset.shape
    if shape == (0,) or n == 0:
        return Intervals.from_arrays([np.empty((0, 2))] * n), []
    if not hdf5.is_number(dataset) or len(shape) != 2 or shape[1] != 2:
        message = (
            f"{table.where('obs_intervals')} must hold pairs of start and stop in seconds, but is {dataset.dtype} of "
            f"shape {shape}; repair or re-export the file."
        )
        raise InputError(message)
    if not table.is_ragged("obs_intervals") and shape[0] == n:
        rows = np.arange(n, dtype=np.int64)
        note = "obs_intervals has no index; its rows were taken as one interval per unit"
        return Intervals(table.ranges(dataset, "obs_intervals", rows, rows + 1)), [note]
    starts, stops = table.bounds("obs_intervals", int(shape[0]))
    notes = leftover_note("obs_intervals", stops, int(shape[0]))
    return Intervals(table.ranges(dataset, "obs_intervals", starts, stops)), notes
