"""Sorted units of a Plexon file, with the mean of their stored snippets; unsorted waveforms are never a unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.plexon.content import NO_SNIPPET, Content, SpikeChannel
from nwb_celltype.converters.plexon.snippets import mean_snippets
from nwb_celltype.converters.records import Column, Integer, LeftOut, Sorting, Templates

UNSORTED = 0
LAST_UNIT = 26
_IDS_OF_SOURCE = 1_000_000


@dataclass(frozen=True, eq=False)
class PlexonUnit:
    """One unit: channel and letter; of a stereotrode or tetrode, all channels on which it was stored.

    Attributes
    ----------
    unit_id : int
        ``100 * channel + unit``, unit 1 being ``a``; a second kind of spike channels in one file counts from 1,000,000.
    name : str
        Channel and letter: ``SPK09a``.
    number : int
        1 to 26.
    channels : tuple of SpikeChannel
        The first names the unit.
    """

    unit_id: int
    name: str
    number: int
    channels: tuple[SpikeChannel, ...]

    @property
    def ticks(self) -> Integer:
        """Spikes, ascending."""
        return self._of(self.channels[0], self.channels[0].ticks)

    def positions(self, channel: SpikeChannel) -> Integer:
        """First bytes of its snippets on one of its channels."""
        return self._of(channel, channel.positions)

    def _of(self, channel: SpikeChannel, values: Integer) -> Integer:
        chosen: Integer = values[channel.units == self.number]
        return chosen


@dataclass(frozen=True)
class FoundUnits:
    """Units of a file, what is no unit, and what was odd."""

    units: tuple[PlexonUnit, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]


def find_units(content: Content) -> FoundUnits:
    """Find the units that were sorted, on-line or off-line, before the file was written.

    Unit number 0 are waveforms that no unit was given; numbers above 26 (Offline Sorter's mark of invalidated
    waveforms among them) are none of Plexon's units either. A unit that was stored with the same times on all channels
    of a stereotrode or tetrode is one unit.
    """
    sources = list(dict.fromkeys(channel.source for channel in content.spikes))
    by_key = {(channel.source, channel.number): channel for channel in content.spikes}
    units: list[PlexonUnit] = []
    notes: list[str] = []
    merged: set[tuple[str, int, int]] = set()
    for channel in content.spikes:
        for number in np.unique(channel.units).tolist():
            key = (channel.source, channel.number, number)
            if not UNSORTED < number <= LAST_UNIT or key in merged:
                continue
            others = [by_key[channel.source, other] for other in channel.trode]
            group = _same_spikes(channel, [each for each in others if each.number > channel.number], number, notes)
            merged |= {(each.source, each.number, number) for each in group}
            first_id = sources.index(channel.source) * _IDS_OF_SOURCE
            name = f"{channel.name}{chr(ord('a') + number - 1)}"
            units.append(PlexonUnit(first_id + 100 * channel.number + number, name, number, group))
    order = sorted(units, key=lambda unit: unit.unit_id)
    return FoundUnits(tuple(order), _no_units(content.spikes), tuple(notes))


def make_sorting(
    content: Content,
    units: Sequence[PlexonUnit],
    rows: Mapping[int, int],
    n_rows: int,
    to_samples: Callable[[Integer], Integer],
    sampling_rate_hz: float,
) -> Sorting:
    """Units of one probe.

    Parameters
    ----------
    content : Content
    units : sequence of PlexonUnit
    rows : mapping of int to int
        Row of the probe by number of the spike channel.
    n_rows : int
        Of the probe.
    to_samples : callable
        Sample numbers of ticks.
    sampling_rate_hz : float
        Of these samples.
    """
    trains = [to_samples(unit.ticks) for unit in units]
    offsets = np.concatenate([[0], np.cumsum([len(train) for train in trains])]).astype(np.int64)
    names = [unit.name for unit in units]
    unique = [name if names.count(name) == 1 else f"{name} ({u.unit_id})" for name, u in zip(names, units, strict=True)]
    channels = np.array([unit.channels[0].name for unit in units])
    letters = np.array([chr(ord("a") + unit.number - 1) for unit in units])
    templates, notes = _templates(content.path, units, rows, n_rows)
    return Sorting(
        unit_ids=np.array([unit.unit_id for unit in units], dtype=np.int64),
        unit_names=tuple(unique),
        spike_samples=np.concatenate([np.empty(0, dtype=np.int64), *trains]),
        offsets=offsets,
        sampling_rate_hz=sampling_rate_hz,
        source=f"Units stored in {content.path.name} ({content.version}).",
        columns={
            "plexon_channel": Column(channels, "Spike channel of the Plexon file on which the unit was sorted."),
            "plexon_unit": Column(letters, "Letter of the unit on its spike channel."),
        },
        peak_channels=np.array([rows[unit.channels[0].number] for unit in units], dtype=np.int64),
        templates=templates,
        notes=notes,
    )


def _same_spikes(
    channel: SpikeChannel, others: list[SpikeChannel], number: int, notes: list[str]
) -> tuple[SpikeChannel, ...]:
    """Channels of the trode that hold the same spikes of a unit; a note where some hold others."""
    ticks = channel.ticks[channel.units == number]
    same = [each for each in others if np.array_equal(each.ticks[each.units == number], ticks)]
    differ = [each.name for each in others if each not in same and np.any(each.units == number)]
    if differ:
        notes.append(
            f"Unit {chr(ord('a') + number - 1)} of {channel.name} and of {', '.join(differ)}, which belong to one "
            "stereotrode or tetrode, have other spikes; they are separate units."
        )
    return (channel, *same)


def _no_units(channels: Sequence[SpikeChannel]) -> tuple[LeftOut, ...]:
    """Waveforms that belong to no unit, by channel."""
    unsorted = {each.name: int(np.count_nonzero(each.units == UNSORTED)) for each in channels}
    others = {each.name: int(np.count_nonzero((each.units < UNSORTED) | (each.units > LAST_UNIT))) for each in channels}
    left_out = []
    for counts, what, reason in (
        (unsorted, "unsorted waveforms", "unit 0 is Plexon's word for waveforms that were given to no unit"),
        (
            others,
            "waveforms with other unit numbers",
            f"Plexon's units are 1 to {LAST_UNIT} (a to z); Offline Sorter marks invalidated waveforms by others",
        ),
    ):
        listed = [f"{name} {count}" for name, count in counts.items() if count]
        if listed:
            left_out.append(LeftOut(f"{sum(counts.values())} {what} ({', '.join(listed)})", reason))
    return tuple(left_out)


def _templates(
    path: Path, units: Sequence[PlexonUnit], rows: Mapping[int, int], n_rows: int
) -> tuple[Templates | None, tuple[str, ...]]:
    """Mean snippets, with the threshold crossing of all channels at the same sample."""
    parts = [(row, channel) for row, unit in enumerate(units) for channel in unit.channels]
    usable = [
        (row, channel) for row, channel in parts if np.any(units[row].positions(channel) != NO_SNIPPET)
        and 0 <= channel.n_before < channel.n_points
    ]  # fmt: skip
    if not usable:
        return None, ()
    rates = [channel.sampling_rate_hz for _, channel in usable]
    rate = max(sorted(set(rates)), key=rates.count)
    odd = sorted({channel.name for _, channel in usable if channel.sampling_rate_hz != rate})
    notes = [f"Snippets of {', '.join(odd)} have another rate than {rate:g} Hz and are not averaged."] if odd else []
    usable = [(row, channel) for row, channel in usable if channel.sampling_rate_hz == rate]
    scaled = all(channel.gain_uv is not None for _, channel in usable)
    if not scaled:
        notes.append("Headers do not state the gain of every spike channel; mean snippets are in counts.")
    n_before = max(channel.n_before for _, channel in usable)
    n_points = n_before + max(channel.n_points - channel.n_before for _, channel in usable)
    mean = np.full((len(units), n_points, n_rows), np.nan)
    sd, n_used = mean.copy(), np.zeros(len(units), dtype=np.int64)
    for length in sorted({channel.n_points for _, channel in usable}):
        group = [(row, channel) for row, channel in usable if channel.n_points == length]
        found = mean_snippets(path, [units[row].positions(channel) for row, channel in group], length)
        for k, (row, channel) in enumerate(group):
            gain = channel.gain_uv if scaled and channel.gain_uv is not None else 1.0
            at = slice(n_before - channel.n_before, n_before - channel.n_before + length)
            mean[row, at, rows[channel.number]] = found.mean[k] * gain
            sd[row, at, rows[channel.number]] = found.sd[k] * gain
            if channel is units[row].channels[0]:
                n_used[row] = found.counts[k]
    has: NDArray[np.bool_] = n_used > 0
    source = "mean of the stored snippets"
    templates = Templates(
        waveforms=mean.astype(np.float32),
        n_before=n_before,
        unit="microvolts" if scaled else "a.u.",
        source=tuple(source if each else "" for each in has.tolist()),
        sampling_rate_hz=rate,
        sd=sd.astype(np.float32),
        n_spikes_used=n_used,
        keeps_all=True,
    )
    return templates, tuple(notes)
