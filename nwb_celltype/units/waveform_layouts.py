"""Recognise how a units table stores its mean waveforms and bring every layout to (samples, channels)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError
from nwb_celltype.units import hdf5
from nwb_celltype.units.lazy import BLOCK_VALUES, Integer, RowRanges
from nwb_celltype.units.ragged import UnitsTable, leftover_note
from nwb_celltype.units.waveforms import StoredWaveforms

# Half a millisecond at 20 kHz: fewer samples are no spike waveform, so an axis this short counts channels.
FEWEST_SAMPLES = 10
SLOWEST_RATE_HZ = 1000.0
_RATE_COLUMNS = ("waveform_sampling_rate", "waveform_rate", "sampling_rate", "sample_rate", "sampling_frequency")


@dataclass(frozen=True)
class ElectrodeCounts:
    """How many electrodes there are, to tell channels from samples.

    Attributes
    ----------
    per_unit : (n,) int64 array or None
        Electrodes of each unit, None when the table does not say.
    total : int or None
        Rows of the electrodes table.
    """

    per_unit: Integer | None
    total: int | None

    def fits(self, counts: Integer) -> bool:
        """Whether these channel counts are the unit's own electrodes, or all electrodes of the file."""
        if len(counts) == 0:
            return False
        if self.per_unit is not None and bool(np.all(self.per_unit > 1)) and np.array_equal(counts, self.per_unit):
            return True
        return self.total is not None and self.total > 1 and bool(np.all(counts == self.total))


def read_waveforms(table: UnitsTable, electrodes: ElectrodeCounts) -> tuple[StoredWaveforms | None, list[str]]:
    """Mean waveforms of a table in any layout, None when it has none, and notes.

    Raises
    ------
    InputError
        If the column is not numeric, has another number of rows than units, or its index is corrupt.
    """
    name = "waveform_mean"
    dataset = table.column(name)
    if dataset is None:
        return _from_single_spikes(table)
    if dataset.size == 0 or len(table) == 0:
        return None, []
    if not hdf5.is_number(dataset):
        message = f"{table.where(name)} must be numeric, but is {dataset.dtype}; repair or re-export the file."
        raise InputError(message)
    if not table.is_ragged(name):
        return _dense(table, dataset, electrodes)
    if table.is_ragged(f"{name}_index"):
        return _double_ragged(table, dataset, electrodes)
    return _ragged(table, dataset, electrodes)


def _dense(
    table: UnitsTable, dataset: hdf5.Node, electrodes: ElectrodeCounts
) -> tuple[StoredWaveforms | None, list[str]]:
    n, shape = len(table), dataset.shape
    if shape[0] != n:
        where = table.where("waveform_mean")
        message = f"{where} has {shape[0]} rows for {n} units and no index; repair or re-export the file."
        raise InputError(message)
    rows = np.arange(n, dtype=np.int64)
    ranges = table.ranges(dataset, "waveform_mean", rows, rows + 1)
    if len(shape) == 2:
        return _stored(dataset, ranges, lambda _i, stored: stored[0][:, np.newaxis]), []
    if len(shape) == 3:
        first = np.full(n, shape[1], dtype=np.int64)
        second = np.full(n, shape[2], dtype=np.int64)
        transposed, notes = _channels_come_first(first, second, electrodes, by_default=False)
        return _stored(dataset, ranges, lambda _i, stored: stored[0].T if transposed else stored[0]), notes
    return None, [_unknown_layout(shape)]


def _ragged(
    table: UnitsTable, dataset: hdf5.Node, electrodes: ElectrodeCounts
) -> tuple[StoredWaveforms | None, list[str]]:
    length, shape = int(dataset.shape[0]), dataset.shape
    starts, stops = table.bounds("waveform_mean", length)
    notes = leftover_note("waveform_mean", stops, length)
    ranges = table.ranges(dataset, "waveform_mean", starts, stops)
    if len(shape) == 1:
        return _stored(dataset, ranges, lambda _i, stored: stored[:, np.newaxis]), notes
    if len(shape) == 2:
        transposed, said = _rows_are_channels(stops - starts, int(shape[1]), electrodes)
        return _stored(dataset, ranges, lambda _i, stored: stored.T if transposed else stored), notes + said
    if len(shape) == 3 and bool(np.all(stops - starts <= 1)):
        owns = stops > starts
        first = np.where(owns, shape[1], 0)[owns]
        second = np.where(owns, shape[2], 0)[owns]
        some = ElectrodeCounts(electrodes.per_unit[owns] if electrodes.per_unit is not None else None, electrodes.total)
        transposed, said = _channels_come_first(first, second, some, by_default=False)
        return _stored(dataset, ranges, lambda _i, stored: _single(stored, transposed)), notes + said
    return None, [*notes, _unknown_layout(shape)]


def _double_ragged(
    table: UnitsTable, dataset: hdf5.Node, electrodes: ElectrodeCounts
) -> tuple[StoredWaveforms | None, list[str]]:
    """Unit -> channels -> samples when the data are a vector, else unit -> groups -> rows of samples."""
    length, shape = int(dataset.shape[0]), dataset.shape
    entries = int(table.group["waveform_mean_index"].shape[0])
    inner_starts, inner_stops = table.bounds("waveform_mean", length, owners=entries)
    outer_starts, outer_stops = table.bounds("waveform_mean_index", entries)
    edges = np.concatenate([inner_starts[:1], inner_stops]) if entries else np.zeros(1, dtype=np.int64)
    starts, stops = edges[outer_starts], edges[outer_stops]
    notes = leftover_note("waveform_mean", inner_stops, length)
    ranges = table.ranges(dataset, "waveform_mean", starts, stops)
    if len(shape) == 2 and shape[1] > 1:
        transposed, said = _rows_are_channels(stops - starts, int(shape[1]), electrodes)
        return _stored(dataset, ranges, lambda _i, stored: stored.T if transposed else stored), notes + said
    if len(shape) > 2:
        return None, [*notes, _unknown_layout(shape)]

    def channels(i: int, stored: NDArray[Any]) -> NDArray[Any] | None:
        lengths = np.diff(edges[outer_starts[i] : outer_stops[i] + 1])
        if len(lengths) == 0:
            return None
        waveform = np.full((int(lengths.max()), len(lengths)), np.nan)
        flat = stored.reshape(-1)
        for k, part in enumerate(np.split(flat, np.cumsum(lengths)[:-1])):
            waveform[: len(part), k] = part
        return waveform

    return _stored(dataset, ranges, channels), notes


def _from_single_spikes(table: UnitsTable) -> tuple[StoredWaveforms | None, list[str]]:
    """Average ``waveforms`` (one row per spike, or per spike and channel) when there is no ``waveform_mean``."""
    name = "waveforms"
    dataset = table.column(name)
    if dataset is None or dataset.size == 0 or len(table) == 0:
        return None, []
    if not hdf5.is_number(dataset):
        message = f"{table.where(name)} must be numeric, but is {dataset.dtype}; repair or re-export the file."
        raise InputError(message)
    length, shape = int(dataset.shape[0]), dataset.shape
    if not table.is_ragged(name) or len(shape) not in (2, 3):
        return None, [f"waveforms of shape {shape} without waveform_mean could not be averaged: unknown layout"]
    n = len(table)
    channels: list[int | None] = [1] * n
    if table.is_ragged(f"{name}_index"):
        entries = int(table.group[f"{name}_index"].shape[0])
        inner_starts, inner_stops = table.bounds(name, length, owners=entries)
        outer_starts, outer_stops = table.bounds(f"{name}_index", entries)
        edges = np.concatenate([np.zeros(1, dtype=np.int64), inner_stops])
        starts, stops = edges[outer_starts], edges[outer_stops]
        rows_per_spike = inner_stops - inner_starts
        channels = [_only_value(rows_per_spike[a:b]) for a, b in zip(outer_starts, outer_stops, strict=True)]
    else:
        starts, stops = table.bounds(name, length)
    notes = ["waveform_mean is missing; the single spikes in waveforms were averaged"]
    odd = [int(table.unit_ids[i]) for i in range(n) if channels[i] is None and stops[i] > starts[i]]
    if odd:
        notes.append(f"waveforms of units {odd[:10]} have a varying number of channels and were left out")
        starts = np.where([value is None for value in channels], stops, starts)
    ranges = table.ranges(dataset, name, starts, stops)

    def average(i: int) -> NDArray[Any] | None:
        return _average(ranges, i, channels[i] or 1, shape[1:])

    return _stored(dataset, ranges, lambda _i, _rows: None, average), notes


def _average(ranges: RowRanges, i: int, n_channels: int, row_shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Mean over the spikes of one unit, in blocks, passing over NaN; (samples, channels)."""
    start, stop = int(ranges.starts[i]), int(ranges.stops[i])
    if stop <= start:
        return None
    total = np.zeros((n_channels, *row_shape))
    count = np.zeros((n_channels, *row_shape))
    step = max(1, BLOCK_VALUES // max(1, ranges.row_values) // n_channels) * n_channels
    for first in range(start, stop, step):
        rows = np.asarray(ranges.read(first, min(first + step, stop)), dtype=np.float64)
        spikes = rows.reshape(-1, n_channels, *row_shape)
        finite = np.isfinite(spikes)
        total += np.where(finite, spikes, 0.0).sum(axis=0)
        count += finite.sum(axis=0)
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return mean[0] if len(row_shape) == 2 else mean.T


def _channels_come_first(
    first: Integer, second: Integer, electrodes: ElectrodeCounts, *, by_default: bool
) -> tuple[bool, list[str]]:
    """Whether (first, second) is (channels, samples), from the electrodes, then from what a waveform can be."""
    is_first, is_second = electrodes.fits(first), electrodes.fits(second)
    if is_first != is_second:
        return is_first, ["waveform_mean is stored as (channels, samples)"] if is_first and not by_default else []
    shortest = (int(first.min(initial=FEWEST_SAMPLES)), int(second.min(initial=FEWEST_SAMPLES)))
    if (shortest[0] < FEWEST_SAMPLES) != (shortest[1] < FEWEST_SAMPLES):
        is_first = shortest[0] < FEWEST_SAMPLES
        return is_first, ["waveform_mean is stored as (channels, samples)"] if is_first and not by_default else []
    order = "(channels, samples)" if by_default else "(samples, channels)"
    return by_default, [f"the electrodes do not tell which axis of waveform_mean is time; read as {order}"]


def _rows_are_channels(lengths: Integer, n_columns: int, electrodes: ElectrodeCounts) -> tuple[bool, list[str]]:
    owns = lengths > 0
    rows = lengths[owns]
    if rows.size == 0 or bool(np.all(rows == 1)):
        return True, []
    per_unit = electrodes.per_unit[owns] if electrodes.per_unit is not None else None
    columns = np.full(len(rows), n_columns, dtype=np.int64)
    return _channels_come_first(rows, columns, ElectrodeCounts(per_unit, electrodes.total), by_default=True)


def _stored(
    dataset: hdf5.Node,
    ranges: RowRanges,
    shape_unit: Callable[[int, NDArray[Any]], NDArray[Any] | None],
    read_unit: Callable[[int], NDArray[Any] | None] | None = None,
) -> StoredWaveforms:
    return StoredWaveforms(ranges, shape_unit, hdf5.attribute(dataset, "unit"), read_unit)


def _single(stored: NDArray[Any], transposed: bool) -> NDArray[Any] | None:
    if len(stored) == 0:
        return None
    waveform: NDArray[Any] = stored[0]
    return waveform.T if transposed else waveform


def _only_value(values: Integer) -> int | None:
    return int(values[0]) if len(values) and values[0] > 0 and bool(np.all(values == values[0])) else None


def _unknown_layout(shape: tuple[int, ...]) -> str:
    return f"waveform_mean of shape {shape} has an unknown layout and was left out"


def read_waveform_rates(table: UnitsTable) -> tuple[NDArray[np.float64], list[str]]:
    """Sampling rate of each unit's waveform in Hz, NaN when missing, and notes.

    The attribute ``sampling_rate`` of ``waveform_mean``, ``waveform_sd``, ``waveforms`` or the table comes first, then
    a column of the table.
    """
    n = len(table)
    for name in ("waveform_mean", "waveform_sd", "waveforms", ""):
        node = table.column(name) if name else table.group
        value = None if node is None else hdf5.number_attribute(node, "sampling_rate")
        if value is not None and np.isfinite(value) and value > 0:
            return _plausible(np.full(n, value))
    for name in _RATE_COLUMNS:
        dataset = table.column(name)
        if dataset is not None and hdf5.is_number(dataset) and dataset.shape == (n,) and not table.is_ragged(name):
            rates, notes = _plausible(np.asarray(table.reader(dataset, name, 0, n), dtype=np.float64))
            return rates, [f"the waveform sampling rate was taken from the column {name}", *notes]
    return np.full(n, np.nan), []


def _plausible(rates: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[str]]:
    """Drop rates that no spike waveform has; kilohertz written where hertz is meant is the usual cause."""
    possible = np.isfinite(rates) & (rates >= SLOWEST_RATE_HZ)
    impossible = rates[np.isfinite(rates) & (rates > 0) & ~possible]
    notes = []
    if impossible.size:
        notes.append(f"a waveform sampling rate of {impossible[0]:g} Hz is impossible (kHz?); treated as missing")
    return np.where(possible, rates, np.nan), notes
