"""One fact a unit: names, the sorter's columns, place on the probe, where its waveform comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.nwb.columns import TableColumn, fit_name, kind_of, says_nothing, stack, texts
from nwb_celltype.converters.nwb.probes import UNKNOWN, WrittenProbe
from nwb_celltype.converters.records import Integer, Sorting, UnitWaveforms
from nwb_celltype.errors import InputError

# columns of the units table that hold other things than one fact a unit
_STRUCTURE = frozenset(
    {
        "spike_times", "obs_intervals", "electrodes", "electrode_group", "waveform_mean", "waveform_sd", "waveforms",
        "spike_amplitudes",
    }
)  # fmt: skip
# columns that tell the units of several probes apart
_BY_PROBE = frozenset({"probe", "original_cluster_id"})


@dataclass(frozen=True, eq=False)
class ProbeUnits:
    """Units of one probe whose electrodes are in the file.

    Attributes
    ----------
    probe : WrittenProbe
    sorting : Sorting
    waveforms : UnitWaveforms or None
    peaks : (n,) int64 array
        Row of the probe where each unit is largest, -1 where unknown.
    """

    probe: WrittenProbe
    sorting: Sorting
    waveforms: UnitWaveforms | None
    peaks: Integer

    @classmethod
    def of(cls, probe: WrittenProbe, sorting: Sorting, waveforms: UnitWaveforms | None) -> ProbeUnits:
        """Units with the peak channel of the waveforms, else the sorter's.

        Raises
        ------
        InputError
            If waveforms and units do not belong together.
        """
        n = len(sorting)
        if waveforms is not None and {len(waveforms.mean), len(waveforms.channels)} != {n}:
            message = (
                f"{probe.recording.probe.name} has {n} units, but mean waveforms of {len(waveforms.mean)}; make them "
                "from the same sorting."
            )
            raise InputError(message)
        peaks = np.full(len(sorting), -1, dtype=np.int64)
        if sorting.peak_channels is not None:
            peaks = np.asarray(sorting.peak_channels, dtype=np.int64)
        if waveforms is not None:
            peaks = np.where(waveforms.peak_channels >= 0, waveforms.peak_channels, peaks)
        return cls(probe, sorting, waveforms, peaks)

    def without_waveforms(self) -> ProbeUnits:
        """Return the same units, with the word that their waveforms could not be stored."""
        if self.waveforms is None:
            return self
        said = ("left out, because NWB holds one unit of measure and one rate for all units",) * len(self.sorting)
        none = np.zeros(len(self.sorting), dtype=np.int64)
        return replace(self, waveforms=replace(self.waveforms, source=said, n_spikes_used=none))


def unique_ids(sortings: Sequence[Sorting]) -> Integer:
    """Ids of the units of all probes, one sorting each: the sorter's where they are unique.

    Where two probes share an id, the ids of the second probe are counted from the next power of ten above all ids,
    those of the third from twice that, and so on: unit 12 of the second probe becomes 1012 when no id exceeds 999.

    Examples
    --------
    >>> from types import SimpleNamespace as Some
    >>> unique_ids([Some(unit_ids=np.array(ids)) for ids in ([0, 12], [12], [5])]).tolist()
    [0, 12, 112, 205]
    """
    ids = [np.asarray(sorting.unit_ids, dtype=np.int64) for sorting in sortings]
    flat: Integer = np.concatenate(ids)
    if len(np.unique(flat)) == len(flat):
        return flat
    step = 10 ** len(str(int(flat.max())))
    return np.concatenate([own + k * step for k, own in enumerate(ids)])


def unit_facts(units: tuple[ProbeUnits, ...]) -> tuple[dict[str, TableColumn], tuple[str, ...]]:
    """Columns of the units table with one value a unit, all probes below one another.

    Parameters
    ----------
    units : tuple of ProbeUnits

    Returns
    -------
    columns : dict of str to TableColumn
        In the order in which they are written: name, quality, the sorter's, then ours.
    notes : tuple of str
        Columns that were left out or renamed.
    """
    notes: list[str] = []
    tables = [_facts(part, notes, len(units) > 1) for part in units]
    columns = stack(tables, [len(part.sorting) for part in units])
    empty = sorted(name for name, column in columns.items() if says_nothing(column.values))
    own = {name for part in units for name in part.sorting.columns}
    sorters_empty = [name for name in empty if name in own]
    if sorters_empty:
        notes.append(f"Columns of the sorter without a single value were left out: {', '.join(sorters_empty)}.")
    first = ("unit_name", "quality")
    order = [*(n for n in first if n in columns), *(n for n in columns if n not in first)]
    return {name: columns[name] for name in order if name not in empty}, tuple(dict.fromkeys(notes))


def _facts(part: ProbeUnits, notes: list[str], several_probes: bool) -> dict[str, TableColumn]:
    sorting = part.sorting
    columns = {"unit_name": TableColumn(texts(sorting.unit_names), "Name of the unit in the output of the sorter.")}
    taken = _STRUCTURE | _BY_PROBE if several_probes else _STRUCTURE
    for name, column in sorting.columns.items():
        values = np.asarray(column.values)
        fitted = fit_name(name, values)
        while fitted in taken or fitted in columns:
            fitted = f"{fitted}_of_sorter"
        if fitted != name:
            notes.append(f"The sorter's column {name} is called {fitted} here.")
        columns[fitted] = TableColumn(values, column.description or f"{name}, as the sorter states it.")
    if several_probes:
        probe_name = part.probe.recording.probe.name
        columns["probe"] = TableColumn(texts([probe_name] * len(sorting)), "Probe that recorded the unit.")
        columns["original_cluster_id"] = TableColumn(
            np.asarray(sorting.unit_ids, dtype=np.int64), "Id of the unit in the output of its probe's sorter."
        )
    for name, ours in {**_place(part), **_waveform_facts(part)}.items():
        columns[name] = _first_stated(columns[name], ours) if name in columns else ours
    return columns


def _place(part: ProbeUnits) -> dict[str, TableColumn]:
    probe, regions, peaks = part.probe.recording.probe, part.probe.regions, part.peaks
    locations = ["" if name == UNKNOWN else name for name in _at(regions.location, peaks)]
    positions = np.full((len(peaks), 2), np.nan)
    positions[peaks >= 0] = probe.positions_um[peaks[peaks >= 0]]
    return {
        "location": TableColumn(texts(locations), "Brain region of the unit's peak channel."),
        "layer": TableColumn(texts(_at(regions.layer, peaks)), "Layer of the tissue at the unit's peak channel."),
        "peak_channel": TableColumn(
            texts(_at(probe.channel_names, peaks)),
            "Name of the channel where the unit's waveform is largest; the first of its electrodes.",
        ),
        "depth": TableColumn(positions[:, 1], "Position of the peak channel along the shank, micrometres."),
        "rel_x": TableColumn(positions[:, 0], "Position of the peak channel across, micrometres."),
        "rel_y": TableColumn(positions[:, 1], "Position of the peak channel along the shank, micrometres."),
    }


def _waveform_facts(part: ProbeUnits) -> dict[str, TableColumn]:
    waveforms = part.waveforms
    if waveforms is None:
        return {}
    columns = {
        "waveform_source": TableColumn(
            texts(waveforms.source), "What the mean waveform was made from, or why there is none."
        ),
        "n_waveforms": TableColumn(
            np.asarray(waveforms.n_spikes_used, dtype=np.int64), "Spikes whose traces were averaged; 0 for templates."
        ),
    }
    if waveforms.drift_um is not None:
        columns["drift_um"] = TableColumn(
            np.asarray(waveforms.drift_um, dtype=np.float64),
            "How far the unit moved along the probe over the recording, largest minus smallest, micrometres.",
        )
    return columns


def _first_stated(sorters: TableColumn, ours: TableColumn) -> TableColumn:
    """The sorter's word where it says something (a layer that a person typed in), else ours."""
    kind = kind_of(sorters.values)
    if kind != kind_of(ours.values) or kind not in "fU":
        return sorters
    is_stated: NDArray[np.bool_] = (
        np.isfinite(sorters.values) if kind == "f" else np.array([bool(str(v).strip()) for v in sorters.values])
    )
    if is_stated.all():
        return sorters
    return TableColumn(
        np.where(is_stated, sorters.values, ours.values),
        f"{sorters.description} Where it is not stated: {ours.description[:1].lower()}{ours.description[1:]}",
    )


def _at(names: tuple[str, ...], peaks: Integer) -> list[str]:
    return [names[row] if row >= 0 else "" for row in peaks]


def sources_text(units: tuple[ProbeUnits, ...]) -> str:
    """Say where the mean waveforms come from, and of how many units."""
    found: dict[str, int] = {}
    for part in units:
        nothing = ("none, as there are neither raw data nor templates",) * len(part.sorting)
        for source in nothing if part.waveforms is None else part.waveforms.source:
            found[source or "unknown"] = found.get(source or "unknown", 0) + 1
    return f"Mean waveforms: {'; '.join(f'{source}: {n} units' for source, n in sorted(found.items()))}."
