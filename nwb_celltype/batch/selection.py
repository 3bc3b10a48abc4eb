"""Which units of a file are annotated: by region, before a byte of their spikes and waveforms is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import UsageError
from nwb_celltype.quality import is_cerebellar_cortex

if TYPE_CHECKING:
    from nwb_celltype.units import Units

CEREBELLAR_CORTEX = "cerebellar_cortex"
PEAK_COLUMNS = (
    "max_electrode", "peak_electrode", "peak_channel_id", "peak_channel", "max_channel", "main_channel",
    "best_channel", "extremum_channel",
)  # fmt: skip
"""Columns in which files name the electrode of a unit's largest waveform."""

_TISSUES = {"cerebellum", "cerebellar cortex", "cerebellar_cortex"}


@dataclass(frozen=True)
class RegionRule:
    """Which regions are wanted.

    Attributes
    ----------
    tissue : str
        ``cerebellar_cortex``, or empty.
    pattern : str
        Words or a pattern that the region must have; empty for none.
    takes_unknown : bool
        Whether units of unknown region are taken.

    Examples
    --------
    >>> rule = RegionRule.of(None, "cerebellar_cortex")
    >>> rule.takes(["Flocculus"]), rule.takes(["CA1"]), rule.takes([])
    (True, False, True)
    >>> RegionRule.of("lobule vi", "").takes(["Cerebellum, lobule VI"])
    True
    """

    tissue: str = ""
    pattern: str = ""
    takes_unknown: bool = True

    @classmethod
    def of(cls, region: str | None, tissue: str) -> RegionRule:
        """Rule for the region that is asked for; without one it is the model's tissue.

        Raises
        ------
        UsageError
            If the region is an empty text.
        """
        if region is None:
            return cls(tissue=tissue if tissue == CEREBELLAR_CORTEX else "")
        wanted = " ".join(region.lower().split())
        if not wanted:
            message = "The region is empty; name one, such as cerebellum, or leave it out."
            raise UsageError(message)
        if wanted in _TISSUES:
            return cls(tissue=CEREBELLAR_CORTEX, takes_unknown=False)
        return cls(pattern=wanted, takes_unknown=False)

    @property
    def text(self) -> str:
        """The rule in words."""
        if self.pattern:
            return f"those whose region matches {self.pattern!r}; unknown regions are left out"
        if self.tissue:
            unknown = "units of unknown region are kept" if self.takes_unknown else "unknown regions are left out"
            return f"those in cerebellar cortex, by region; {unknown}"
        return "all, whatever their region"

    def takes(self, regions: Sequence[str]) -> bool:
        """Whether a unit is taken that may lie in any of these regions; () is unknown."""
        if not self.pattern and not self.tissue:
            return True
        verdicts = [self._matches(region) for region in regions]
        if any(verdict is True for verdict in verdicts):
            return True
        is_unknown = not verdicts or any(verdict is None for verdict in verdicts)
        return is_unknown and self.takes_unknown

    def is_unknown(self, regions: Sequence[str]) -> bool:
        """Whether nothing is known about where a unit of these regions lies."""
        return all(is_cerebellar_cortex(region) is None for region in regions)

    def _matches(self, region: str) -> bool | None:
        if not self.pattern:
            return is_cerebellar_cortex(region)
        if not region:
            return None
        found = " ".join(re.sub(r"[\s_]+", " ", region.lower()).split())
        if any(sign in self.pattern for sign in "*?["):
            return fnmatchcase(found, self.pattern)
        return re.search(rf"(?<![^\W_]){re.escape(self.pattern)}(?![^\W_])", found) is not None


@dataclass(frozen=True, eq=False)
class Selection:
    """Units that are taken.

    Attributes
    ----------
    unit_ids : (n,) int64 array
        In the order of the table.
    n_left_out : int
    n_unknown : int
        Of those taken, how many lie nobody knows where.
    """

    unit_ids: NDArray[np.int64]
    n_left_out: int
    n_unknown: int


def choose_units(units: Units, rule: RegionRule, table: Any = None) -> Selection:
    """Choose units by region; reads neither spikes nor waveforms.

    Parameters
    ----------
    units : Units
    rule : RegionRule
    table : h5py.Group, optional
        The units table, for the columns that name the electrode of the largest waveform.

    Returns
    -------
    Selection

    Examples
    --------
    >>> from nwb_celltype.units import Units
    >>> units = Units.from_arrays([[0.1], [0.2], [0.3]], region=["CA1", "lobule V", ""])
    >>> chosen = choose_units(units, RegionRule.of(None, "cerebellar_cortex"))
    >>> chosen.unit_ids.tolist(), chosen.n_left_out, chosen.n_unknown
    ([1, 2], 1, 1)
    """
    regions = possible_regions(units, table)
    taken = np.array([rule.takes(each) for each in regions], dtype=bool)
    unknown = sum(rule.is_unknown(each) for each, is_taken in zip(regions, taken, strict=True) if is_taken)
    return Selection(np.array(units.unit_ids[taken], dtype=np.int64), int(np.count_nonzero(~taken)), unknown)


def possible_regions(units: Units, table: Any = None) -> list[tuple[str, ...]]:
    """Regions in which each unit may lie, from small columns alone; () where the file states none.

    A unit's own region counts first, then that of the electrode of its largest waveform where a column names it, then
    all those of its electrodes. A unit without electrodes lies where all electrodes do, if that is one region, else
    where its electrode group is.
    """
    own = units.regions.own
    missing = [i for i in range(len(units)) if not own[i]]
    found: list[tuple[str, ...]] = [(str(region),) if region else () for region in own]
    if not missing:
        return found
    locations = units.regions.by_electrode()
    peaks = _peak_electrodes(units, table) if table is not None and len(locations) else {}
    everywhere = tuple({str(place) for place in locations}) if len(locations) else ()
    rows = units.electrodes
    for i in missing:
        if i in peaks and peaks[i] < len(locations) and locations[peaks[i]]:
            found[i] = (str(locations[peaks[i]]),)
            continue
        if rows is not None and rows[i].size:
            valid = rows[i][(rows[i] >= 0) & (rows[i] < len(locations))]
            found[i] = tuple(dict.fromkeys(str(place) for place in locations[valid] if place))
        elif len(everywhere) == 1 and everywhere[0]:
            found[i] = everywhere
    missing = [i for i in missing if not found[i]]
    groups = units.regions.by_group() if missing else np.array([], dtype=np.str_)
    for i in missing:
        if len(groups) and groups[units.regions.table_rows[i]]:
            found[i] = (str(groups[units.regions.table_rows[i]]),)
    return found


def _peak_electrodes(units: Units, table: Any) -> dict[int, int]:
    """Electrode row of the largest waveform of each unit, where a column says it without doubt."""
    for name in PEAK_COLUMNS:
        column = table.get(name)
        index = table.get(f"{name}_index")
        if column is None or getattr(column, "dtype", np.dtype("O")).kind not in "iuf" or column.ndim != 1:
            continue
        values = _one_a_unit(np.asarray(column[()]), None if index is None else np.asarray(index[()]))
        rows_in_table = units.regions.table_rows
        if values is None or (len(rows_in_table) and rows_in_table.max() >= len(values)):
            continue
        is_row = "table" in column.attrs  # a region into the electrodes table
        ids = _electrode_ids(table)
        peaks: dict[int, int] = {}
        for i, row in enumerate(rows_in_table):
            own = units.electrodes[i] if units.electrodes is not None else np.empty(0, dtype=np.int64)
            peak = _peak_row(values[row], own, ids, is_row=is_row, is_id=name.endswith("_id"))
            if peak is not None:
                peaks[i] = peak
        return peaks
    return {}


def _peak_row(
    value: float, own: NDArray[np.int64], ids: NDArray[np.int64] | None, *, is_row: bool, is_id: bool
) -> int | None:
    """Row of the electrode that a value names; None where it could be another one as well."""
    if not np.isfinite(value) or value != int(value) or value < 0:
        return None
    number = int(value)
    if is_row:
        return number
    matches = np.flatnonzero(ids == number) if ids is not None else np.empty(0, dtype=np.int64)
    by_id = int(matches[0]) if len(matches) == 1 else None
    if is_id:
        return by_id
    candidates = {row for row in (number, by_id) if row is not None and (row in own if own.size else True)}
    return candidates.pop() if len(candidates) == 1 else None


def _one_a_unit(values: NDArray[Any], index: NDArray[Any] | None) -> NDArray[np.float64] | None:
    """Values of a column with one value a unit, however it is stored; NaN for units with none or several."""
    if index is None:
        return values.astype(np.float64)
    if index.ndim != 1 or (len(index) and int(index[-1]) > len(values)):
        return None
    stops = index.astype(np.int64)
    starts = np.concatenate([np.zeros(1, dtype=np.int64), stops[:-1]]) if len(stops) else stops
    out = np.full(len(stops), np.nan)
    single = stops - starts == 1
    out[single] = values[starts[single]]
    return out


def _electrode_ids(table: Any) -> NDArray[np.int64] | None:
    electrodes = table.file.get("/general/extracellular_ephys/electrodes/id")
    if electrodes is None or electrodes.dtype.kind not in "iu":
        return None
    return np.asarray(electrodes[()]).astype(np.int64)
