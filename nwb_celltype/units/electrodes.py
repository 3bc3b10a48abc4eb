"""Electrodes of each unit: rows, positions in micrometres, filter texts, and the brain region they lie in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError
from nwb_celltype.units import hdf5
from nwb_celltype.units.columns import Texts, blank_to_empty, read_texts
from nwb_celltype.units.lazy import Integer, RowNumbers
from nwb_celltype.units.ragged import UnitsTable

_REGION_COLUMNS = (
    "region", "brain_region", "brain_area", "area", "location", "structure", "structure_acronym", "acronym",
    "anatomical_location", "anatomical_region", "unit_location", "ccf_acronym", "allen_acronym",
)  # fmt: skip
_POSITIONS = (("rel_x", "rel_y", "rel_z"), ("x", "y", "z"))
# Contacts of real probes are 5 um apart or more: smaller steps mean millimetres.
_SMALLEST_STEP_UM = 1.0
# all channels of a probe for every unit are megabytes, which opening a remote file should not cost
_MOST_READ_AT_ONCE = 16_384


@dataclass(frozen=True, eq=False)
class Electrodes:
    """What the electrodes table says about the units.

    Attributes
    ----------
    rows : sequence of (k,) int64 arrays, or None
        Electrode rows of each unit, None when the table does not say.
    counts : (n,) int64 array or None
        Number of electrodes of each unit.
    positions : (n_electrodes, 2 or 3) float64 array or None
        Micrometres.
    total : int or None
        Rows of the electrodes table, None when the file has none.
    filtering : tuple of str
        Distinct filter descriptions of the units' electrodes (of all electrodes when units have none).
    notes : tuple of str
        What was odd.
    """

    rows: Sequence[Integer] | None
    counts: Integer | None
    positions: NDArray[np.float64] | None
    total: int | None
    filtering: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Regions:
    """Where the region of a unit can be found, in order: its own column, its electrodes, its electrode group.

    Attributes
    ----------
    own : (n,) array of str
        The unit's own region, ``""`` when unknown.
    by_electrode : callable
        Returns the location of every electrode, (n_electrodes,) array of str.
    by_group : callable
        Returns the location of each unit's electrode group for all units of the table, (n_table,) array of str.
    table_rows : (n,) int64 array
        Row of each unit in its table.
    """

    own: Texts
    by_electrode: Callable[[], Texts]
    by_group: Callable[[], Texts]
    table_rows: Integer

    @classmethod
    def known(cls, own: Texts) -> Regions:
        """Regions that are given, nothing to look up."""
        nothing = hdf5.texts([])
        return cls(own, lambda: nothing, lambda: nothing, np.arange(len(own), dtype=np.int64))

    def take(self, rows: Integer) -> Regions:
        """Regions of the units in these rows."""
        return Regions(self.own[rows], self.by_electrode, self.by_group, self.table_rows[rows])

    def resolve(
        self,
        electrodes: Sequence[Integer] | None,
        peak_electrode: Callable[[int], int | None],
        fetch: Callable[[list[int]], None] = lambda _units: None,
    ) -> Texts:
        """Region of each unit.

        When a unit's electrodes lie in several regions, the one under its largest waveform counts, else the most
        common one. A unit without electrodes lies where all electrodes of the file lie, if that is one region.

        Parameters
        ----------
        electrodes : sequence of (k,) int64 arrays, or None
            Electrode rows of each unit.
        peak_electrode : callable
            Electrode row of the largest waveform of a unit, None when unknown; asked only when it matters.
        fetch : callable, optional
            Called once with all units that `peak_electrode` will be asked for.
        """
        regions = [str(value) for value in self.own]
        missing = [i for i, region in enumerate(regions) if not region]
        locations = self.by_electrode() if missing else hdf5.texts([])
        everywhere = np.arange(len(locations)) if len(set(locations.tolist())) == 1 else np.empty(0, dtype=np.int64)
        in_several: list[int] = []
        for i in missing:
            own = electrodes[i] if electrodes is not None and electrodes[i].size else everywhere
            valid = own[(own >= 0) & (own < len(locations))]
            found = Counter(str(location) for location in locations[valid] if location)
            if not found:
                continue
            regions[i] = found.most_common(1)[0][0]
            if len(found) > 1:
                in_several.append(i)
        fetch(in_several)
        for i in in_several:
            peak = peak_electrode(i)
            if peak is not None and 0 <= peak < len(locations) and locations[peak]:
                regions[i] = str(locations[peak])
        missing = [i for i in missing if not regions[i]]
        groups = self.by_group() if missing else hdf5.texts([])
        for i in missing:
            if len(groups):
                regions[i] = str(groups[self.table_rows[i]])
        return hdf5.texts(regions)


def read_electrodes(table: UnitsTable) -> Electrodes:
    """Electrodes of the units and what the electrodes table says about them.

    Raises
    ------
    InputError
        If the column ``electrodes`` holds no integers or its index is corrupt.
    """
    notes: list[str] = []
    dataset = table.column("electrodes")
    source = electrodes_table(table)
    if source is not None:
        table.opened.fetch_headers(source, ("id", "location", "group", "filtering", *_POSITIONS[0], *_POSITIONS[1]))
    total = _length(table, source) if source is not None else None
    rows, counts = (None, None) if dataset is None else _unit_electrodes(table, dataset)
    if isinstance(rows, tuple) and total is not None:
        strays = [int(table.unit_ids[i]) for i, own in enumerate(rows) if np.any((own < 0) | (own >= total))]
        if strays:
            notes.append(f"units {strays[:10]} name electrodes that do not exist (there are {total})")
    if source is None:
        return Electrodes(rows, counts, None, total, (), tuple(notes))
    positions, said = _positions(table, source)
    filters = blank_to_empty(_electrode_texts(table, source, "filtering"))
    own_rows = _all_rows(rows) if isinstance(rows, tuple) or len(set(filters.tolist())) > 1 else None
    used = filters if own_rows is None else filters[own_rows[(own_rows >= 0) & (own_rows < len(filters))]]
    filtering = tuple(dict.fromkeys(str(value) for value in used if value))
    return Electrodes(rows, counts, positions, total, filtering, (*notes, *said))


def read_regions(table: UnitsTable) -> Regions:
    """Where the region of each unit can be found."""
    own = hdf5.texts([""] * len(table))
    for name in _REGION_COLUMNS:
        dataset = table.column(name)
        if dataset is None or not (hdf5.is_text(dataset) or hdf5.enum_names(dataset)):
            continue
        values = read_texts(table, name)
        if values is not None:
            values = blank_to_empty(values)
            own = hdf5.texts([str(first or second) for first, second in zip(own, values, strict=True)])

    def by_electrode() -> Texts:
        with table.opened.reading("electrode locations"):
            return _electrode_locations(table)

    def by_group() -> Texts:
        with table.opened.reading("electrode groups"):
            return _group_locations(table, table.column("electrode_group"))

    return Regions(own, by_electrode, by_group, np.arange(len(table), dtype=np.int64))


def electrodes_table(table: UnitsTable) -> hdf5.Node | None:
    """Electrodes table that the units point to, else the one of the file, None when there is none."""
    column = table.column("electrodes")
    target = None if column is None else hdf5.referenced(column.file, column.attrs.get("table"))
    if hdf5.is_group(target):
        return target
    found = hdf5.at_path(table.opened.file, "/general/extracellular_ephys/electrodes", table.file_name)
    return found if hdf5.is_group(found) else None


def _electrode_locations(table: UnitsTable) -> Texts:
    source = electrodes_table(table)
    if source is None:
        return hdf5.texts([])
    locations = blank_to_empty(_electrode_texts(table, source, "location"))
    if bool(np.all(locations != "")):
        return locations
    groups = _group_locations(table, hdf5.column(source, "group", table.file_name))
    if len(groups) != len(locations):
        return locations
    return hdf5.texts([str(first or second) for first, second in zip(locations, groups, strict=True)])


def _unit_electrodes(table: UnitsTable, dataset: hdf5.Node) -> tuple[Sequence[Integer], Integer]:
    """Electrode rows of each unit, and their numbers; many rows of a remote file are read when asked for."""
    length = int(dataset.shape[0]) if dataset.ndim else 0
    if dataset.ndim != 1 or (dataset.dtype.kind not in "iu" and length):
        message = (
            f"{table.where('electrodes')} must be a vector of electrode rows, but is {dataset.dtype} of shape "
            f"{dataset.shape}; repair or re-export the file."
        )
        raise InputError(message)
    if not table.is_ragged("electrodes") and length == len(table):
        starts = np.arange(length, dtype=np.int64)
        stops = starts + 1
    elif length == 0 and not table.is_ragged("electrodes"):
        starts = stops = np.zeros(len(table), dtype=np.int64)
    else:
        starts, stops = table.bounds("electrodes", length)

    @cache
    def read() -> tuple[Integer, ...]:
        values = np.asarray(table.reader(dataset, "electrodes", 0, length)).astype(np.int64)
        rows = tuple(values[a:b].copy() for a, b in zip(starts, stops, strict=True))
        for each in rows:
            each.flags.writeable = False
        return rows

    if table.opened.is_remote and length > _MOST_READ_AT_ONCE:
        return RowNumbers(read, np.arange(len(table), dtype=np.int64)), stops - starts
    return read(), stops - starts


def _all_rows(rows: Sequence[Integer] | None) -> Integer | None:
    if rows is None or not any(own.size for own in rows):
        return None
    return np.unique(np.concatenate(rows))


def _length(table: UnitsTable, source: hdf5.Node) -> int | None:
    ids = hdf5.column(source, "id", table.file_name)
    return int(ids.shape[0]) if ids is not None and ids.ndim == 1 else None


def _electrode_texts(table: UnitsTable, source: hdf5.Node, name: str) -> Texts:
    dataset = hdf5.column(source, name, table.file_name)
    total = _length(table, source)
    if dataset is None or dataset.ndim != 1 or not hdf5.is_text(dataset):
        return hdf5.texts([])
    words = [hdf5.text(value) for value in dataset[()]]
    return hdf5.texts(words) if total in (None, len(words)) else hdf5.texts([])


def _positions(table: UnitsTable, source: hdf5.Node) -> tuple[NDArray[np.float64] | None, list[str]]:
    """Positions on the probe if they vary, else in the brain."""
    for names in _POSITIONS:
        columns = []
        for name in names:
            dataset = hdf5.column(source, name, table.file_name)
            if dataset is not None and hdf5.is_number(dataset) and dataset.ndim == 1 and dataset.size:
                columns.append(np.asarray(dataset[()], dtype=np.float64))
        if len(columns) < 2 or len({len(values) for values in columns}) > 1:
            continue
        positions = np.column_stack(columns)
        # writers fill x, y, z with zeros or NaN when they do not know them
        if len(positions) > 1 and not bool(np.nanmax(np.where(np.isfinite(positions), positions, 0.0).std(axis=0)) > 0):
            continue
        if not np.isfinite(positions).any():
            continue
        steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
        steps = steps[np.isfinite(steps) & (steps > 0)]
        if steps.size and float(np.median(steps)) < _SMALLEST_STEP_UM:
            return positions * 1e3, [f"electrode {', '.join(names[: len(columns)])} were read as millimetres"]
        return positions, []
    return None, ["the electrodes have no positions"]


def _group_locations(table: UnitsTable, dataset: hdf5.Node | None) -> Texts:
    if dataset is None or dataset.ndim != 1 or not hdf5.is_reference(dataset):
        return hdf5.texts([])
    known: dict[str, str] = {}
    locations: list[str] = []
    for reference in table.reader(dataset, dataset.name.rpartition("/")[2], 0, int(dataset.shape[0])):
        group = hdf5.referenced(dataset.file, reference)
        if group is None:
            locations.append("")
            continue
        if group.name not in known:
            known[group.name] = hdf5.attribute(group, "location")
        locations.append(known[group.name])
    return blank_to_empty(hdf5.texts(locations))
