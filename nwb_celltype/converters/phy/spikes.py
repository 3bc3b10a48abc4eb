"""Spikes of a sorting folder, put together by cluster in pieces, so that hours of recording fit in memory."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.phy.arrays import Vector, blocks, open_vector, whole_numbers
from nwb_celltype.converters.records import Float, Integer
from nwb_celltype.errors import InputError

_DENSE = 2**24  # ids or pairs up to here are counted in one array
_OVERSHOOT_S = 10.0  # sorters pad their last batch: spikes beyond the end lie within seconds of it
_OVERSHOOT_SHARE = 0.1
_SHOWN = 10


@dataclass(frozen=True)
class SpikeFiles:
    """Arrays of a folder with one value a spike."""

    times: Vector
    clusters: Vector
    templates: Vector | None
    amplitudes: Vector | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class TemplateUse:
    """How many spikes of each unit were found with each template, pairs that occur alone.

    Attributes
    ----------
    unit_rows, templates, counts : (m,) int64 arrays
    """

    unit_rows: Integer
    templates: Integer
    counts: Integer


@dataclass(frozen=True)
class GroupedSpikes:
    """Spikes by unit, ascending within each.

    Attributes
    ----------
    unit_ids : (n,) int64 array
        Clusters that have spikes, ascending.
    samples : (total,) int64 array
    offsets : (n + 1,) int64 array
    amplitudes : (total,) float64 array or None
    use : TemplateUse or None
        None without spike_templates.npy.
    n_without_cluster : int
        Spikes with a negative cluster id, left out.
    emptied : tuple of int
        Clusters whose spikes all lie outside the recording.
    notes : tuple of str
    """

    unit_ids: Integer
    samples: Integer
    offsets: Integer
    amplitudes: Float | None
    use: TemplateUse | None
    n_without_cluster: int
    emptied: tuple[int, ...]
    notes: tuple[str, ...]


def _require_whole_samples(times: Vector, notes: list[str]) -> None:
    """Take floating-point spike times as samples where every one is a whole number; seconds never all are."""
    for start, stop in blocks(len(times)):
        values = times.read(start, stop)
        if not bool(np.all(np.isfinite(values) & (values == np.rint(values)))):
            message = (
                f"{times.path} holds {times.dtype} numbers that are no whole samples; if they are seconds, write "
                "round(seconds * sample_rate) as int64 there."
            )
            raise InputError(message)
    notes.append(f"{times.name} holds {times.dtype} numbers; all are whole and were taken as samples")


def open_spikes(folder: Path) -> SpikeFiles:
    """Open the arrays of a folder and check that they belong together.

    Raises
    ------
    InputError
        If one is missing or damaged, if times are no samples, or if lengths disagree.
    """
    notes: list[str] = []
    times = open_vector(folder / "spike_times.npy")
    if times.dtype.kind == "f":
        _require_whole_samples(times, notes)
    templates = _optional(folder / "spike_templates.npy")
    clusters = _optional(folder / "spike_clusters.npy")
    if clusters is None:
        if templates is None:
            message = f"{folder} has neither spike_clusters.npy nor spike_templates.npy: copy the whole sorting there."
            raise InputError(message)
        clusters = templates
        notes.append("spike_clusters.npy is missing; the units are the sorter's own (spike_templates.npy)")
    amplitudes = None
    if (folder / "amplitudes.npy").is_file():
        amplitudes = open_vector(folder / "amplitudes.npy")
    files = [file for file in (times, clusters, templates, amplitudes) if file is not None]
    if len({len(file) for file in files}) > 1:
        found = ", ".join(f"{file.name} {len(file)}" for file in dict.fromkeys(files))
        message = f"{folder}: the files do not hold equally many spikes ({found}). Copy them again from one sorting."
        raise InputError(message)
    if not len(times):
        message = f"{folder / 'spike_times.npy'} holds no spikes: the sorting found nothing, or was cut off."
        raise InputError(message)
    return SpikeFiles(times, clusters, templates, amplitudes, tuple(notes))


def _optional(path: Path) -> Vector | None:
    return open_vector(path) if path.is_file() else None


def group_spikes(files: SpikeFiles, *, n_samples: int | None, sampling_rate_hz: float) -> GroupedSpikes:
    """Put the spikes together by cluster.

    Parameters
    ----------
    files : SpikeFiles
    n_samples : int or None
        Length of the recording; spikes beyond it are left out. None where it is not known.
    sampling_rate_hz : float

    Returns
    -------
    GroupedSpikes
    """
    notes = list(files.notes)
    ids, counts, top_template = _count(files)
    is_unit = ids >= 0
    unit_ids = ids[is_unit]
    offsets = np.concatenate([[0], np.cumsum(counts[is_unit])]).astype(np.int64)
    samples, amplitudes, use = _gather(files, ids, unit_ids, offsets, top_template)
    lost = int(counts[~is_unit].sum())
    if lost:
        notes.append(f"{lost} spikes have a negative cluster id, which names no unit; they were left out")
    _sort_within(unit_ids, samples, offsets, amplitudes, notes)
    samples, offsets, amplitudes = _trim(
        unit_ids, samples, offsets, amplitudes, n_samples=n_samples, margin=_OVERSHOOT_S * sampling_rate_hz, notes=notes
    )
    left = np.diff(offsets) > 0
    emptied = tuple(int(unit) for unit in unit_ids[~left])
    if emptied:
        unit_ids, offsets = unit_ids[left], np.concatenate([offsets[:-1][left], offsets[-1:]])
        use = _without(use, left)
    return GroupedSpikes(unit_ids, samples, offsets, amplitudes, use, lost, emptied, tuple(notes))


def _without(use: TemplateUse | None, left: NDArray[np.bool_]) -> TemplateUse | None:
    if use is None:
        return None
    kept, new_row = left[use.unit_rows], np.cumsum(left) - 1
    return TemplateUse(new_row[use.unit_rows[kept]], use.templates[kept], use.counts[kept])


def _count(files: SpikeFiles) -> tuple[Integer, Integer, int]:
    """Cluster ids, spikes of each, and the largest template."""
    dense = np.zeros(0, dtype=np.int64)
    sparse: dict[int, int] = {}
    top = -1
    for start, stop in blocks(len(files.times)):
        ids = whole_numbers(files.clusters.read(start, stop), files.clusters.path)
        if ids.min() >= 0 and ids.max() < _DENSE:
            found = np.bincount(ids, minlength=len(dense))
            found[: len(dense)] += dense
            dense = found
        else:
            for cluster, count in zip(*np.unique(ids, return_counts=True), strict=True):
                sparse[int(cluster)] = sparse.get(int(cluster), 0) + int(count)
        if files.templates is not None:
            templates = whole_numbers(files.templates.read(start, stop), files.templates.path)
            if templates.min() < 0:
                message = f"{files.templates.path} holds negative templates; it is damaged. Copy it again."
                raise InputError(message)
            top = max(top, int(templates.max()))
    for cluster in np.flatnonzero(dense):
        sparse[int(cluster)] = sparse.get(int(cluster), 0) + int(dense[cluster])
    ids = np.array(sorted(sparse), dtype=np.int64)
    return ids, np.array([sparse[int(cluster)] for cluster in ids], dtype=np.int64), top


def _gather(
    files: SpikeFiles, ids: Integer, unit_ids: Integer, offsets: Integer, top_template: int
) -> tuple[Integer, Float | None, TemplateUse | None]:
    """Distribute the spikes block by block, each block by a stable sort of its clusters."""
    total, n_units = int(offsets[-1]), len(unit_ids)
    samples = np.empty(total, dtype=np.int64)
    amplitudes = np.empty(total, dtype=np.float64) if files.amplitudes is not None else None
    pairs = _Pairs(n_units, top_template + 1) if files.templates is not None else None
    row_of = _rows_of(ids, n_units)
    filled = offsets[:-1].copy()
    for start, stop in blocks(len(files.times)):
        rows = row_of(files.clusters.read(start, stop))
        order = np.argsort(rows, kind="stable")  # numpy sorts 16-bit rows by radix
        counts = np.bincount(rows, minlength=n_units + 1)[:n_units]
        order = order[: int(counts.sum())]  # clusters that are no unit come last
        times = _int64(files.times.read(start, stop))[order]
        scale = None if files.amplitudes is None else files.amplitudes.read(start, stop)[order]
        if pairs is not None and files.templates is not None:
            pairs.add(rows[order], files.templates.read(start, stop)[order])
        ends = np.cumsum(counts)
        for row in np.flatnonzero(counts):
            piece = slice(ends[row] - counts[row], ends[row])
            there = slice(filled[row], filled[row] + counts[row])
            samples[there] = times[piece]
            if amplitudes is not None and scale is not None:
                amplitudes[there] = scale[piece]
        filled += counts
    return samples, amplitudes, pairs.result() if pairs is not None else None


def _int64(times: NDArray[Any]) -> Integer:
    # a negative sample stored as uint64 comes back as the negative number that it was
    return times.astype(np.int64)


def _rows_of(ids: Integer, n_units: int) -> Any:
    """Function from cluster ids to rows; `n_units` for clusters that are no unit."""
    dtype = np.uint16 if n_units < 2**16 - 1 else np.uint32
    first = len(ids) - n_units
    row = np.maximum(np.arange(len(ids)) - first, -1)
    row[row < 0] = n_units
    low, span = int(ids[0]), int(ids[-1]) - int(ids[0]) + 1
    if span <= _DENSE:
        table = np.zeros(span, dtype=dtype)
        table[ids - low] = row
        return lambda clusters: table[clusters.astype(np.int64) - low]
    return lambda clusters: row[np.searchsorted(ids, clusters.astype(np.int64))].astype(dtype)


class _Pairs:
    """Counts pairs of unit and template."""

    def __init__(self, n_units: int, n_templates: int) -> None:
        self._n_templates = n_templates
        self._dense = np.zeros(n_units * n_templates, dtype=np.int64) if n_units * n_templates <= _DENSE else None
        self._keys: list[Integer] = []
        self._counts: list[Integer] = []

    def add(self, rows: NDArray[Any], templates: NDArray[Any]) -> None:
        keys = rows.astype(np.int64) * self._n_templates + templates.astype(np.int64)
        if self._dense is not None:
            self._dense += np.bincount(keys, minlength=len(self._dense))
            return
        found, counts = np.unique(keys, return_counts=True)
        self._keys.append(found)
        self._counts.append(counts)

    def result(self) -> TemplateUse:
        if self._dense is not None:
            keys = np.flatnonzero(self._dense)
            counts = self._dense[keys]
        else:
            keys, inverse = np.unique(np.concatenate(self._keys), return_inverse=True)
            counts = np.zeros(len(keys), dtype=np.int64)
            np.add.at(counts, inverse, np.concatenate(self._counts))
        return TemplateUse(keys // self._n_templates, keys % self._n_templates, counts)


def _sort_within(
    unit_ids: Integer, samples: Integer, offsets: Integer, amplitudes: Float | None, notes: list[str]
) -> None:
    """Put the spikes of each unit in order of time, in place."""
    unsorted, twice = [], []
    for row, unit in enumerate(unit_ids):
        piece = slice(offsets[row], offsets[row + 1])
        own = samples[piece]
        if bool(np.any(own[1:] < own[:-1])):
            order = np.argsort(own, kind="stable")
            samples[piece] = own[order]
            if amplitudes is not None:
                amplitudes[piece] = amplitudes[piece][order]
            unsorted.append(str(unit))
        same = int(np.count_nonzero(own[1:] == own[:-1]))
        if same:
            twice.append(f"{unit} ({same})")
    if unsorted:
        notes.append(f"spikes were not in order of time and were sorted in units {_some(unsorted)}")
    if twice:
        notes.append(f"several spikes lie at the same sample, and were kept, in units {_some(twice)}")


def _trim(
    unit_ids: Integer,
    samples: Integer,
    offsets: Integer,
    amplitudes: Float | None,
    *,
    n_samples: int | None,
    margin: float,
    notes: list[str],
) -> tuple[Integer, Integer, Float | None]:
    """Leave out spikes before the first sample and after the last, moving the others up in place."""
    pieces = [samples[a:b] for a, b in pairwise(offsets)]
    before = np.array([np.searchsorted(own, 0) for own in pieces], dtype=np.int64)
    beyond = np.zeros(len(pieces), dtype=np.int64)
    if n_samples is not None:
        beyond = np.array([len(own) - np.searchsorted(own, n_samples) for own in pieces], dtype=np.int64)
        last = max((int(own[-1]) for own in pieces if len(own)), default=0)
        if beyond.sum() > _OVERSHOOT_SHARE * len(samples) and last - n_samples > margin:
            notes.append(
                f"the recording that was found has {n_samples} samples, but {beyond.sum()} of {len(samples)} spikes "
                f"come later (up to sample {last}): it is not the whole recording that was sorted. All spikes are kept"
            )
            beyond[:] = 0
    for lost, what in ((before, "before the first sample"), (beyond, f"after the last sample ({n_samples})")):
        if lost.any():
            which = [f"{unit} ({count})" for unit, count in zip(unit_ids, lost, strict=True) if count]
            notes.append(f"{lost.sum()} spikes lie {what} of the recording and were left out, in units {_some(which)}")
    if not (before.any() or beyond.any()):
        return samples, offsets, amplitudes
    kept = np.concatenate([[0], np.cumsum(np.diff(offsets) - before - beyond)]).astype(np.int64)
    for row in range(len(unit_ids)):
        source = slice(offsets[row] + before[row], offsets[row + 1] - beyond[row])
        samples[kept[row] : kept[row + 1]] = samples[source]
        if amplitudes is not None:
            amplitudes[kept[row] : kept[row + 1]] = amplitudes[source]
    total = int(kept[-1])
    return samples[:total], kept, amplitudes[:total] if amplitudes is not None else None


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
