"""Units and their spikes: ids, times in seconds, and the samples that they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nwb_celltype.converters.cellexplorer.source import Source
from nwb_celltype.converters.cellexplorer.values import Struct, kind_of, struct_at, vector_of, whole_of
from nwb_celltype.converters.records import Float, Integer
from nwb_celltype.errors import InputError

# Times that are samples divided by the rate lie on whole samples but for rounding; times of another clock do not.
_OFF_SAMPLE = 0.05
_LONGEST = 1e12  # samples of a year at 30 kHz are fewer
FINE_RATE_HZ = 1e6
"""Grid for spike times that are not whole samples: half a microsecond is the most that rounding moves them."""


@dataclass(frozen=True, eq=False)
class UnitSpikes:
    """Spikes of every unit.

    Attributes
    ----------
    unit_ids : (n,) int64 array
    rows : (n,) int64 array or None
        Place of each unit in ``spikes`` when ``cell_metrics`` comes first; None where there is no such struct.
    times : tuple of n float64 arrays
        Seconds, ascending.
    source : str
        Field they come from.
    notes : tuple of str
    """

    unit_ids: Integer
    rows: Integer | None
    times: tuple[Float, ...]
    source: str
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.times)


def read_spikes(source: Source) -> UnitSpikes:
    """Read units and spike times, from ``cell_metrics`` where it keeps them, else from ``spikes``.

    Parameters
    ----------
    source : Source

    Returns
    -------
    UnitSpikes

    Raises
    ------
    InputError
        There are no spikes, a field is broken, or the two structs do not belong together.
    """
    notes: list[str] = []
    own = struct_at(source.metrics, "spikes").get("times")
    if source.metrics and own is not None:
        where = f"{source.name}: cell_metrics.spikes.times"
        times = _times_of(own, where, notes)
        ids = _ids(source.metrics, len(times), "cell_metrics", source, notes)
        rows = None if not source.spikes else _rows_in_spikes(source, len(times), is_needed=False)
        return UnitSpikes(ids, rows, times, "cell_metrics.spikes.times", tuple(notes))
    if not source.spikes:
        message = (
            f"{source.name} has no spikes (cell_metrics.spikes.times is absent), and {source.files.basename}.spikes."
            "cellinfo.mat does not lie beside it; put it there, or let ProcessCellMetrics keep the spikes."
        )
        raise InputError(message)
    times, field = _times_in_spikes(source, notes)
    if not source.metrics:
        ids = _ids(source.spikes, len(times), "spikes", source, notes)
        return UnitSpikes(ids, np.arange(len(times)), times, f"spikes.{field}", tuple(notes))
    n = _count(source)
    found = _rows_in_spikes(source, n, is_needed=True)
    if found is None or found.max(initial=-1) >= len(times):
        message = _apart(source, f"{n} units", f"{len(times)} with spikes")
        raise InputError(message)
    ids = _ids(source.metrics, n, "cell_metrics", source, notes)
    return UnitSpikes(ids, found, tuple(times[row] for row in found), f"spikes.{field}", tuple(notes))


def samples_of(times: tuple[Float, ...], rate_hz: float | None, *, is_fixed: bool) -> tuple[Integer, Integer, float]:
    """Whole samples of spike times, at the rate of the recording where they lie on its samples.

    Parameters
    ----------
    times : tuple of float64 arrays
        Seconds.
    rate_hz : float or None
        Of the recording.
    is_fixed : bool
        Whether samples must be those of the recording, because there is one.

    Returns
    -------
    samples : (total,) int64 array
    offsets : (n + 1,) int64 array
    sampling_rate_hz : float
        `rate_hz`, or a million where spikes do not lie on its samples.

    Examples
    --------
    >>> samples, offsets, rate = samples_of((np.array([0.0195, 1.222]),), 20000.0, is_fixed=False)
    >>> samples.tolist(), offsets.tolist(), rate
    ([390, 24440], [0, 2], 20000.0)
    >>> samples_of((np.array([0.0195123]),), 20000.0, is_fixed=False)[2]
    1000000.0
    """
    flat = np.concatenate(times) if times else np.empty(0)
    offsets = np.concatenate(([0], np.cumsum([len(each) for each in times]))).astype(np.int64)
    rate = FINE_RATE_HZ
    if rate_hz is not None:
        at = flat * rate_hz
        if is_fixed or float(np.abs(at - np.round(at)).max(initial=0.0)) < _OFF_SAMPLE:
            rate = rate_hz
    return np.round(flat * rate).astype(np.int64), offsets, rate


def _times_in_spikes(source: Source, notes: list[str]) -> tuple[tuple[Float, ...], str]:
    name = (source.files.spikes or source.files.folder).name
    if "times" in source.spikes:
        return _times_of(source.spikes["times"], f"{name}: spikes.times", notes), "times"
    if "ts" not in source.spikes:
        message = f"{name}: spikes has neither times nor ts; run loadSpikes of CellExplorer again."
        raise InputError(message)
    rate, _ = source.sampling_rate_hz()
    if rate is None:
        message = (
            f"{name}: spikes.ts is in samples, and neither spikes.sr nor the session's file says how many there are in "
            "a second; set spikes.sr."
        )
        raise InputError(message)
    times = _times_of(source.spikes["ts"], f"{name}: spikes.ts", notes)
    notes.append(f"spike times are spikes.ts, in samples, divided by {rate:g} Hz")
    return tuple(each / rate for each in times), "ts"


def _times_of(value: Any, where: str, notes: list[str]) -> tuple[Float, ...]:
    if isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
        value = [value]  # a single unit, not in a cell
    if not isinstance(value, list):
        message = f"{where} must be a cell array with the spikes of each unit, and is {kind_of(value)}."
        raise InputError(message)
    times, n_unsorted = [], 0
    for i, item in enumerate(value):
        own = vector_of(item, f"{where}{{{i + 1}}}")
        if not np.all(np.isfinite(own)):
            message = (
                f"{where}{{{i + 1}}} has {int(np.sum(~np.isfinite(own)))} values that are no number; a spike needs a "
                "time. Load the spikes again in MATLAB."
            )
            raise InputError(message)
        if np.any(np.abs(own) > _LONGEST):
            message = f"{where}{{{i + 1}}} holds times as large as {np.abs(own).max():g}, which no recording has."
            raise InputError(message)
        if np.any(np.diff(own) < 0):
            own, n_unsorted = np.sort(own), n_unsorted + 1
        times.append(own)
    field = where.rpartition(": ")[2]
    if n_unsorted:
        notes.append(f"spikes of {n_unsorted} units were not in order of time in {field}, and were put in order")
    n_negative = int(sum((own < 0).sum() for own in times))
    if n_negative:
        notes.append(f"{n_negative} spikes in {field} lie before time 0; they are kept")
    return tuple(times)


def _count(source: Source) -> int:
    """Units of `cell_metrics` without spikes of its own."""
    for name in ("UID", "cellID", "cluID"):
        if name in source.metrics:
            return len(vector_of(source.metrics[name], f"{source.name}: cell_metrics.{name}"))
    message = f"{source.name}: cell_metrics has neither UID nor cluID, so its units cannot be told apart."
    raise InputError(message)


def _ids(struct: Struct, n: int, name: str, source: Source, notes: list[str]) -> Integer:
    value = struct.get("UID")
    if value is not None:
        ids = whole_of(value, f"{source.name}: {name}.UID")
        if len(ids) != n:
            of = f"{name}.spikes.times" if name == "cell_metrics" else f"{name}.times"
            message = (
                f"{source.name}: {name}.UID has {len(ids)} values, but {of} holds the spikes of {n} units; nothing "
                "says which belong together. Save the file again in MATLAB."
            )
            raise InputError(message)
        if len(np.unique(ids)) == n:
            return ids
        notes.append(f"{name}.UID gives an id twice; units are numbered from 1 in the order of their spikes")
    else:
        notes.append(f"{name}.UID is absent; units are numbered from 1 in the order of their spikes")
    return np.arange(1, n + 1, dtype=np.int64)


def _rows_in_spikes(source: Source, n: int, *, is_needed: bool) -> Integer | None:
    """Place in `spikes` of each unit of `cell_metrics`: by UID, else by cluster, else by order."""
    for name in ("UID", "cluID"):
        ours, theirs = source.metrics.get(name), source.spikes.get(name)
        if ours is None or theirs is None:
            continue
        wanted = whole_of(ours, f"{source.name}: cell_metrics.{name}").tolist()
        there = whole_of(theirs, f"{(source.files.spikes or source.files.folder).name}: spikes.{name}").tolist()
        if len(set(there)) == len(there) and len(wanted) == n and set(wanted) <= set(there):
            return np.array([there.index(each) for each in wanted], dtype=np.int64)
    counts = source.spikes.get("times", source.spikes.get("ts"))
    if isinstance(counts, list) and len(counts) == n:
        return np.arange(n, dtype=np.int64)
    if is_needed:
        message = _apart(source, f"{n} units", "others")
        raise InputError(message)
    return None


def _apart(source: Source, ours: str, theirs: str) -> str:
    spikes = (source.files.spikes or source.files.folder).name
    return (
        f"{source.name} has {ours}, but {spikes} has {theirs}, and neither UID nor cluID says which is which; "
        "give files of the same sorting."
    )
