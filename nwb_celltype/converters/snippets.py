"""Sums over the snippets of a recording around chosen spikes, read in the order of the file in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil, pi, tan
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.records import TraceSource
from nwb_celltype.converters.spike_selection import ChosenSpikes
from nwb_celltype.converters.traces import BinaryTraces, RowReader

Integer = NDArray[np.int64]
Float = NDArray[np.float64]
Result = TypeVar("Result")
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

# Sums that live at one time, all threads together; a recording with more units is gone through several times.
_SUMS_BYTES = 96 * 2**20
_MAX_THREADS = 4
# Windows from files are gathered in a buffer that fits the processor's cache; other sources give whole seconds, because
# one that filters as it reads does so at about the same cost for a snippet as for a second.
_BUFFER_BYTES = 2 * 2**20
_READ_BYTES = 48 * 2**20
# Skipping fewer columns than this costs more than adding them up for nothing.
_COLUMN_GAP = 6
_SETTLING_TIMES = 8


@dataclass(frozen=True)
class SnippetWindow:
    """Samples around a spike that are summed.

    Attributes
    ----------
    n_before, n_after : int
        Samples before the spike, and from the spike on.
    high_pass_hz : float or None
        Corner of a first-order causal Butterworth high-pass, as probes have one in hardware; None for as stored.
    """

    n_before: int
    n_after: int
    high_pass_hz: float | None = None

    def __len__(self) -> int:
        return self.n_before + self.n_after

    def filter(self, sampling_rate_hz: float) -> tuple[int, float, float]:
        """Return the samples that the filter needs to settle, its gain and its feedback."""
        if self.high_pass_hz is None:
            return 0, 1.0, 0.0
        corner = tan(pi * self.high_pass_hz / sampling_rate_hz)
        n_lead = ceil(_SETTLING_TIMES * sampling_rate_hz / (2 * pi * self.high_pass_hz))
        return n_lead, 1 / (1 + corner), (1 - corner) / (1 + corner)


class SnippetSums(NamedTuple):
    """Sums over the snippets of one unit, in stored counts.

    Attributes
    ----------
    sums, squares : (n_blocks, n_window, k) float64 arrays
        Of the values and of their squares, on the channels asked for.
    counts : (n_blocks,) int64 array
        Snippets in each block of time.
    """

    sums: Float
    squares: Float
    counts: Integer


def reduce_snippets(
    traces: TraceSource,
    spikes: Sequence[ChosenSpikes],
    channels: Sequence[Integer],
    window: SnippetWindow,
    reduce: Callable[[int, SnippetSums], Result],
    *,
    n_blocks: int,
    task: str = "",
    progress: Progress | None = None,
) -> list[Result]:
    """Sum the snippets of every unit by block of time and hand each unit's sums to `reduce`.

    Flat files are read window by window with several threads; any other source is read in whole seconds that hold a
    spike, one after another. Either way memory does not grow with the recording.

    Parameters
    ----------
    traces : TraceSource
    spikes : sequence of ChosenSpikes
        One a unit, with blocks below `n_blocks`.
    channels : sequence of int arrays
        For each unit the rows of the probe to be summed.
    window : SnippetWindow
    reduce : callable
        Takes the number of the unit and its sums, which it must not keep. Called from several threads.
    n_blocks : int
    task, progress : str and callable, optional
        Told how many spikes are done, from whichever thread did them.

    Returns
    -------
    list
        What `reduce` returned, a unit each.
    """
    meter = _Meter(task, sum(len(chosen.samples) for chosen in spikes), progress)
    sizes = np.array([16 * n_blocks * len(window) * len(wanted) for wanted in channels], dtype=np.int64)
    results: dict[int, Result] = {}

    def run(units: Integer, blocks: Callable[[Integer, Integer, Integer], Iterator[_Block]]) -> None:
        batch = _Batch(traces, [spikes[u] for u in units], [channels[u] for u in units], window, n_blocks)
        for number, sums in enumerate(batch.sum(blocks, meter)):
            results[int(units[number])] = reduce(int(units[number]), sums)

    if isinstance(traces, BinaryTraces):
        n_threads = min(_n_processors(), _MAX_THREADS, max(1, len(spikes)))
        with traces.open_rows() as rows, ThreadPoolExecutor(n_threads) as pool:
            files = _FileRows(traces, rows)
            for done in [pool.submit(run, units, files.blocks) for units in _batches(sizes, n_threads)]:
                done.result()
    else:
        source = _SourceRows(traces)
        for units in _batches(sizes, 1):
            run(units, source.blocks)
    return [results[unit] for unit in range(len(spikes))]


class _Block(NamedTuple):
    """Rows of the recording that hold the windows `first` to `stop` (exclusive), each from row `rows[i]` on."""

    values: NDArray[Any]
    first: int
    stop: int
    rows: Integer


class _FileRows:
    """Windows of flat files, gathered in a buffer."""

    def __init__(self, traces: BinaryTraces, reader: RowReader) -> None:
        self._traces, self._reader = traces, reader

    def blocks(self, starts: Integer, stops: Integer, _channels: Integer) -> Iterator[_Block]:
        from nwb_celltype.converters.snippet_kernels import merge_windows

        most = max(_BUFFER_BYTES // self._traces.row_bytes, int((stops - starts).max()))
        buffer = np.empty((most, self._traces.n_file_channels), dtype=self._traces.dtype)
        firsts, lasts = _read_bounds(merge_windows(starts, stops, 0, most))
        rows = np.empty(len(starts), dtype=np.int64)
        filled, begin = 0, 0
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
            start, stop = int(starts[first]), int(stops[last - 1])
            if filled + stop - start > most:
                yield _Block(_native(buffer), begin, first, rows[begin:first])
                filled, begin = 0, first
            self._reader.read_into(buffer[filled : filled + stop - start], start)
            rows[first:last] = starts[first:last] - start + filled
            filled += stop - start
        yield _Block(_native(buffer), begin, len(starts), rows[begin:])


class _SourceRows:
    """Windows of any other source, a second or less at a time, with only the channels that are needed."""

    def __init__(self, traces: TraceSource) -> None:
        self._traces = traces

    def blocks(self, starts: Integer, stops: Integer, channels: Integer) -> Iterator[_Block]:
        from nwb_celltype.converters.snippet_kernels import merge_windows

        second = ceil(self._traces.sampling_rate_hz)
        fitting = _READ_BYTES // (self._traces.n_channels * self._traces.dtype.itemsize)
        most = max(min(second, fitting), int((stops - starts).max()))
        for first, last in zip(*_read_bounds(merge_windows(starts, stops, second, most)), strict=True):
            values = self._traces.read(int(starts[first]), int(stops[last - 1]), channels)
            yield _Block(_native(np.ascontiguousarray(values)), first, last, starts[first:last] - starts[first])


class _Batch:
    """Units whose sums are in memory at the same time, and one way through the recording for them."""

    def __init__(
        self,
        traces: TraceSource,
        spikes: Sequence[ChosenSpikes],
        channels: Sequence[Integer],
        window: SnippetWindow,
        n_blocks: int,
    ) -> None:
        self._traces, self._window, self._n_blocks = traces, window, n_blocks
        samples = np.concatenate([chosen.samples for chosen in spikes])
        units = np.repeat(np.arange(len(spikes)), [len(chosen.samples) for chosen in spikes])
        order = np.argsort(samples, kind="stable")
        self._samples, self._units = samples[order], units[order]
        self._blocks = np.concatenate([chosen.blocks for chosen in spikes])[order]
        self._channels = np.unique(np.concatenate(channels))
        # Columns of what is read: of the file, or of the channels asked for from another source.
        if isinstance(traces, BinaryTraces):
            columns = [traces.columns[wanted] for wanted in channels]
        else:
            columns = [np.searchsorted(self._channels, wanted) for wanted in channels]
        self._runs, self._places = _column_runs(columns)

    def sum(
        self, blocks: Callable[[Integer, Integer, Integer], Iterator[_Block]], meter: _Meter
    ) -> Iterator[SnippetSums]:
        from nwb_celltype.converters.snippet_kernels import add_high_passed, add_snippets

        window = self._window
        n_lead, gain, feedback = window.filter(self._traces.sampling_rate_hz)
        shape = (len(self._places), self._n_blocks, len(window), int(self._runs[:, :, 1].sum(axis=1).max()))
        sums, squares = np.zeros(shape), np.zeros(shape)
        starts = np.maximum(self._samples - window.n_before - n_lead, 0)
        leads = self._samples - window.n_before - starts
        for block in blocks(starts, self._samples + window.n_after, self._channels) if len(starts) else ():
            part = slice(block.first, block.stop)
            rows, units, times = np.ascontiguousarray(block.rows), self._units[part], self._blocks[part]
            if window.high_pass_hz is None:
                add_snippets(block.values, rows, units, times, self._runs, sums, squares)
            else:
                add_high_passed(
                    block.values, rows, units, times, self._runs, sums, squares, leads[part], gain, feedback
                )
            meter.add(block.stop - block.first)
        counts = np.zeros(shape[:2], dtype=np.int64)
        np.add.at(counts, (self._units, self._blocks), 1)
        for unit, place in enumerate(self._places):
            yield SnippetSums(sums[unit][:, :, place], squares[unit][:, :, place], counts[unit])


class _Meter:
    """Counts spikes done by all threads."""

    def __init__(self, task: str, total: int, progress: Progress | None) -> None:
        self._task, self._total, self._progress = task, total, progress
        self._done, self._lock = 0, Lock()

    def add(self, count: int) -> None:
        if self._progress is None:
            return
        with self._lock:
            self._done += count
            self._progress(self._task, self._done, self._total)


def _column_runs(columns: Sequence[Integer]) -> tuple[Integer, list[Integer]]:
    """Cover each unit's columns by runs of neighbours; return runs, and the place of each column in their sum."""
    runs, places = [], []
    for wanted in columns:
        ordered = np.unique(wanted)
        breaks = np.flatnonzero(np.diff(ordered) > _COLUMN_GAP) + 1
        firsts = ordered[np.concatenate([[0], breaks])]
        lengths = ordered[np.concatenate([breaks, [len(ordered)]]) - 1] - firsts + 1
        run = np.searchsorted(firsts, wanted, side="right") - 1
        places.append(wanted - firsts[run] + (np.cumsum(lengths) - lengths)[run])
        runs.append(np.column_stack([firsts, lengths]))
    table = np.zeros((len(runs), max(map(len, runs)), 2), dtype=np.int64)
    for row, run in zip(table, runs, strict=True):
        row[: len(run)] = run
    return table, places


def _batches(sizes: Integer, n_threads: int) -> list[Integer]:
    """Units in turn, a batch for every thread or more, none with more sums than its share of memory allows."""
    n_batches = max(n_threads, ceil(int(sizes.sum()) * n_threads / _SUMS_BYTES))
    return [np.arange(first, len(sizes), n_batches) for first in range(min(n_batches, len(sizes)))]


def _read_bounds(reads: Integer) -> tuple[Integer, Integer]:
    firsts = np.flatnonzero(np.diff(reads, prepend=-1))
    return firsts, np.append(firsts[1:], len(reads))


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in the machine's own byte order, as compiled loops need them."""
    if values.dtype.kind in "iu" or values.dtype.itemsize in (4, 8):
        return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))
    return values.astype(np.float64)


def _n_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
