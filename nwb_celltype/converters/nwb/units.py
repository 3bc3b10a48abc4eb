"""The units table, column by column: no loop over spikes, and no spike time in memory before it is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nwb_celltype.converters.nwb.blocks import Blocks, Read, one_after_another
from nwb_celltype.converters.nwb.columns import fit_values
from nwb_celltype.converters.nwb.intervals import Intervals, observed
from nwb_celltype.converters.nwb.probes import WrittenProbe
from nwb_celltype.converters.nwb.unit_facts import ProbeUnits, sources_text, unique_ids, unit_facts
from nwb_celltype.converters.nwb.unit_waveforms import StoredWaveforms, stored_waveforms
from nwb_celltype.converters.records import Integer, UnitWaveforms
from nwb_celltype.errors import UsageError
from nwb_celltype.intervals import remaining_intervals


def write_units(
    nwbfile: Any,
    probes: tuple[WrittenProbe, ...],
    waveforms: Sequence[UnitWaveforms | None],
    left_out: Intervals,
) -> tuple[str, ...]:
    """Add the table of units; nothing where no probe was sorted.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
        With the electrodes of the probes.
    probes : tuple of WrittenProbe
    waveforms : sequence of UnitWaveforms or None
        One for each probe.
    left_out : (k, 2) float64 array
        Periods that do not count as observed, session seconds.

    Returns
    -------
    tuple of str
        What was odd, a sentence each.

    Raises
    ------
    UsageError
        If the file has units already.
    InputError
        If waveforms and units do not belong together.
    """
    units = tuple(
        ProbeUnits.of(probe, probe.recording.sorting, own)
        for probe, own in zip(probes, waveforms, strict=True)
        if probe.recording.sorting is not None and len(probe.recording.sorting) > 0
    )
    if not units:
        return ("No units: the source holds no sorting, or an empty one.",)
    if nwbfile.units is not None:
        message = (
            f"The file has a table of {len(nwbfile.units)} units already, and NWB holds one; leave out the other "
            "sorting interface, or give all sortings of the session to one converter."
        )
        raise UsageError(message)
    counts = [len(part.sorting) for part in units]
    names = [part.probe.recording.probe.name for part in units]
    stored = stored_waveforms([part.waveforms for part in units], counts, names)
    if stored is not None:
        units = tuple(
            part.without_waveforms() if gone else part for part, gone in zip(units, stored.is_left_out, strict=True)
        )
    facts, notes = unit_facts(units)
    columns = [*_spike_times(units), *_observed(units, left_out), *_electrodes(nwbfile, units, stored)]
    columns += _waveform_columns(stored)
    columns += [_column(name, fact.description, fit_values(fact.values)) for name, fact in facts.items()]
    columns += [*_amplitudes(units), *_spike_columns(units)]
    nwbfile.units = _table(units, columns, stored)
    return (sources_text(units), *notes, *(stored.notes if stored is not None else ()))


def _table(units: tuple[ProbeUnits, ...], columns: list[Any], stored: StoredWaveforms | None) -> Any:
    from hdmf.common import ElementIdentifiers  # type: ignore[import-untyped,unused-ignore]
    from pynwb.misc import Units

    about: dict[str, Any] = {}
    if stored is not None:
        about = {
            "waveform_rate": stored.rate_hz,
            "waveform_unit": stored.unit,
            "waveform_time_before_peak_in_ms": stored.ms_before,
        }
    sources = dict.fromkeys(part.sorting.source for part in units if part.sorting.source)
    return Units(
        name="units",
        description=" ".join(["Sorted units.", *sources]),
        id=ElementIdentifiers(name="id", data=unique_ids([part.sorting for part in units])),
        columns=columns,
        colnames=[column.name for column in columns if not column.name.endswith("_index")],
        resolution=min(1.0 / part.sorting.sampling_rate_hz for part in units),
        **about,
    )


def _spike_times(units: tuple[ProbeUnits, ...]) -> list[Any]:
    def seconds(part: ProbeUnits) -> Read:
        samples, clock = part.sorting.spike_samples, part.probe.recording.clock
        return lambda start, stop: clock.seconds(samples[start:stop])

    return _ragged(
        "spike_times",
        "Spike times of each unit, seconds on the session clock.",
        _flat([(len(part.sorting.spike_samples), seconds(part)) for part in units], np.float64),
        [np.diff(part.sorting.offsets) for part in units],
    )


def _amplitudes(units: tuple[ProbeUnits, ...]) -> list[Any]:
    if all(part.sorting.amplitudes is None for part in units):
        return []

    def amplitudes(part: ProbeUnits) -> Read:
        values = part.sorting.amplitudes
        return lambda start, stop: np.full(stop - start, np.nan) if values is None else values[start:stop]

    descriptions = dict.fromkeys(part.sorting.amplitude_description for part in units)
    return _ragged(
        "spike_amplitudes",
        f"Amplitude of each spike. {' '.join(text for text in descriptions if text)}".strip(),
        _flat([(len(part.sorting.spike_samples), amplitudes(part)) for part in units], np.float32),
        [np.diff(part.sorting.offsets) for part in units],
    )


def _spike_columns(units: tuple[ProbeUnits, ...]) -> list[Any]:
    """Facts about single spikes; NaN, -1 or blank for the units of a probe that has none."""
    columns: list[Any] = []
    counts = [np.diff(part.sorting.offsets) for part in units]
    for name in dict.fromkeys(name for part in units for name in part.sorting.spike_columns):
        stated = [part.sorting.spike_columns.get(name) for part in units]
        known = next(column for column in stated if column is not None)
        kind = known.values.dtype.kind
        blank = np.nan if kind == "f" else -1 if kind in "iu" else ""
        values = [
            np.full(int(n.sum()), blank, dtype=known.values.dtype) if column is None else column.values
            for column, n in zip(stated, counts, strict=True)
        ]
        columns += _ragged(name, known.description, np.concatenate(values), counts)
    return columns


def _observed(units: tuple[ProbeUnits, ...], left_out: Intervals) -> list[Any]:
    found = [observed(part.probe.recording, left_out) for part in units]
    own = [part.sorting.obs_intervals for part in units]
    if all(intervals is None for intervals, _ in found) and all(intervals is None for intervals in own):
        return []
    counts, rows = [], []
    for part, (intervals, _), stated in zip(units, found, own, strict=True):
        common = np.empty((0, 2)) if intervals is None else intervals
        for row in range(len(part.sorting)):
            each = common if stated is None else remaining_intervals(stated[row], left_out)
            counts.append(len(each))
            rows.append(each)
    sources = dict.fromkeys(source for _, source in found if source)
    text = f"When each unit was observed, seconds: {', '.join(sources) or 'the whole recording'}"
    if any(intervals is not None for intervals in own):
        text += "; for single units, as the source says it"
    if len(left_out):
        text += "; without the stimulated periods that the experimenter leaves out"
    data = np.concatenate(rows) if rows else np.empty((0, 2))
    return _ragged("obs_intervals", f"{text}.", data, [np.array(counts, dtype=np.int64)])


def _electrodes(nwbfile: Any, units: tuple[ProbeUnits, ...], stored: StoredWaveforms | None) -> list[Any]:
    """Electrodes of each unit: those of its waveform, in the same order; without a waveform, the peak channel."""
    from hdmf.common import DynamicTableRegion, VectorIndex  # type: ignore[import-untyped,unused-ignore]

    rows, counts = [], []
    k = 0 if stored is None else stored.n_channels
    for part in units:
        own = part.peaks[:, np.newaxis]
        if part.waveforms is not None:
            own = part.waveforms.channels if k == 0 else part.waveforms.channels[:, :k]
            only_peak = np.full_like(own, -1)
            only_peak[:, 0] = part.peaks
            own = np.where(np.all(own >= 0, axis=1, keepdims=True), own, only_peak)
        is_known = own >= 0
        counts.append(is_known.sum(axis=1))
        rows.append(part.probe.rows[own[is_known]])
    flat = np.concatenate(rows)
    if len(flat) == 0:
        return []
    text = "Electrodes of each unit, peak channel first, in the order of the channels of waveform_mean."
    region = DynamicTableRegion(name="electrodes", description=text, data=flat, table=nwbfile.electrodes)
    index = VectorIndex(name="electrodes_index", data=np.cumsum(np.concatenate(counts)), target=region)
    return [index, region, *_groups(units)]


def _groups(units: tuple[ProbeUnits, ...]) -> list[Any]:
    """Shank of each unit; no column where it is unknown for some."""
    groups: list[Any] = []
    for part in units:
        own = part.probe.groups
        only = own[0] if len({id(group) for group in own}) == 1 else None
        groups += [own[peak] if peak >= 0 else only for peak in part.peaks]
    if any(group is None for group in groups):
        return []
    return [_column("electrode_group", "Electrode group (shank) of the unit's peak channel.", groups)]


def _waveform_columns(stored: StoredWaveforms | None) -> list[Any]:
    if stored is None:
        return []
    axes = f"(unit, sample, channel), {stored.unit}, channels in the order of electrodes"
    if stored.unit != "volts":
        axes += "; arbitrary units, because nothing says how many volts one is"
    columns = [_column("waveform_mean", f"Mean waveform of each unit: {axes}.", stored.mean)]
    if stored.sd is not None:
        text = f"Standard deviation over the spikes that were averaged: {axes}."
        columns.append(_column("waveform_sd", text, stored.sd))
    return columns


def _flat(pieces: list[tuple[int, Read]], dtype: Any) -> Any:
    n = sum(length for length, _ in pieces)
    return Blocks(one_after_another(pieces), (n,), dtype) if n else np.empty(0, dtype=dtype)


def _ragged(name: str, description: str, data: Any, counts: list[Integer]) -> list[Any]:
    from hdmf.common import VectorIndex

    column = _column(name, description, data)
    ends = np.cumsum(np.concatenate(counts)).astype(np.int64)
    # hdmf wants the index of an iterator before it
    return [VectorIndex(name=f"{name}_index", data=ends, target=column), column]


def _column(name: str, description: str, data: Any) -> Any:
    from hdmf.common import VectorData

    return VectorData(name=name, description=description, data=data)
