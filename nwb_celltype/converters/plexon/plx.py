"""Reader of .plx files: headers, block index, and the channels that they make."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from nwb_celltype.converters.plexon.content import NO_SNIPPET, AnalogChannel, Content, EventChannel, SpikeChannel
from nwb_celltype.converters.plexon.plx_blocks import ANALOG, EVENT, SPIKE, BlockIndex, index_blocks
from nwb_celltype.converters.plexon.plx_layout import (
    PlxHeaders,
    read_headers,
    slow_gain_uv,
    spike_gain_uv,
    started,
    text,
)
from nwb_celltype.converters.records import Integer, LeftOut

STROBED, START, STOP = 257, 258, 259
_LAST_LINE = 32
_WIDEBAND_HZ = 5000.0
_KINDS = {"WB": "WB", "SPKC": "SPKC", "FP": "FP", "AI": "AUX", "AIF": "AUX"}


def read_plx(path: Path | str) -> Content:
    """Read what a .plx file (versions 100 to 106) holds; traces and snippets stay in it.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Content
        Times are the file's own ticks.

    Raises
    ------
    InputError
        It is no .plx file, of an unknown version, or ends within its headers.

    Examples
    --------
    >>> content = read_plx("session.plx")  # doctest: +SKIP
    >>> [channel.name for channel in content.spikes]  # doctest: +SKIP
    ['SPK01', 'SPK02']
    """
    path = Path(path)
    headers = read_headers(path)
    blocks = index_blocks(path, headers.first_block)
    groups = _Groups(blocks)
    spikes = _spike_channels(headers, groups)
    analog = _analog_channels(headers, groups)
    events = _event_channels(headers, groups)
    began, date_note = started(headers)
    notes = [*blocks.notes, *([date_note] if date_note else []), *groups.notes]
    notes += _count_notes(headers, spikes, last_tick=int(blocks.ticks.max(initial=0)))
    if not headers.file["snippet_rate"] > 0 and any(len(channel.ticks) for channel in spikes):
        notes.append(
            f"The header states no sampling rate of the snippets (WaveformFreq 0); that of the times is taken, "
            f"{int(headers.file['tick_rate'])} Hz."
        )
    software = text(headers.file["acquired_with"]) if headers.version >= 106 else ""
    return Content(
        path=path,
        version=f"plx {headers.version}" + (f", {software}" if software else ""),
        tick_rate_hz=float(headers.file["tick_rate"]),
        last_tick=int(blocks.ticks.max(initial=0)),
        started=began,
        comment=text(headers.file["comment"]),
        spikes=spikes,
        analog=analog,
        events=events,
        starts=groups.ticks(EVENT, START),
        stops=groups.ticks(EVENT, STOP),
        left_out=groups.unknown(),
        notes=tuple(notes),
    )


class _Groups:
    """Blocks by type and channel."""

    def __init__(self, blocks: BlockIndex) -> None:
        self.blocks = blocks
        self.notes: list[str] = []
        self._asked: set[tuple[int, int]] = {(EVENT, START), (EVENT, STOP)}
        self._rows: dict[tuple[int, int], Integer] = {}
        for kind in (1, 2, 3, EVENT, ANALOG):
            rows = np.flatnonzero(blocks.types == kind).astype(np.int32 if len(blocks) < 2**31 else np.int64)
            order = rows[np.argsort(blocks.channels[rows], kind="stable")]
            channels, firsts = np.unique(blocks.channels[order], return_index=True)
            parts = np.split(order, firsts[1:]) if len(channels) else []
            self._rows |= {(kind, int(channel)): part for channel, part in zip(channels, parts, strict=True)}

    def rows(self, kind: int, channel: int) -> Integer:
        """Blocks of a channel, in the order of time."""
        self._asked.add((kind, channel))
        rows = self._rows.get((kind, channel), np.empty(0, dtype=np.int64))
        ticks = self.blocks.ticks[rows]
        return rows if np.all(ticks[1:] >= ticks[:-1]) else rows[np.argsort(ticks, kind="stable")]

    def ticks(self, kind: int, channel: int) -> Integer:
        return self.blocks.ticks[self.rows(kind, channel)]

    def channels(self, kind: int) -> list[int]:
        return [channel for found, channel in self._rows if found == kind]

    def unknown(self) -> tuple[LeftOut, ...]:
        """Blocks that belong to no header."""
        names = {SPIKE: "spike", 2: "stereotrode", 3: "tetrode", EVENT: "event", ANALOG: "slow"}
        return tuple(
            LeftOut(f"{len(rows)} blocks of {names[kind]} channel {channel}", "the file has no header for this channel")
            for (kind, channel), rows in sorted(self._rows.items())
            if (kind, channel) not in self._asked
        )


def _spike_channels(headers: PlxHeaders, groups: _Groups) -> tuple[SpikeChannel, ...]:
    head, found = headers.file, []
    rate = float(head["snippet_rate"]) if head["snippet_rate"] > 0 else float(head["tick_rate"])
    trodalness = max(1, int(head["trodalness"])) if headers.version >= 103 else 1
    numbers = headers.spike["channel"].tolist()
    for row, number in enumerate(numbers):
        blocks, rows = groups.blocks, groups.rows(SPIKE, number)
        words = blocks.words[rows].astype(np.int64) * (blocks.waveforms[rows] > 0)
        n_points, name = _commonest(words), text(headers.spike["name"][row])
        odd = int(np.count_nonzero((words > 0) & (words != n_points)))
        if odd:
            groups.notes.append(f"{odd} snippets of {name} are not {n_points} points long and are not averaged.")
        if np.any(blocks.waveforms[rows] > 1):
            groups.notes.append(f"Blocks of {name} hold several waveforms; the first of each is used.")
        first = (number - 1) // trodalness * trodalness + 1
        trode = tuple(other for other in range(first, first + trodalness) if other in numbers)
        found.append(
            SpikeChannel(
                name=name or f"SPK{number:02d}",
                number=number,
                source="",
                sampling_rate_hz=rate,
                gain_uv=spike_gain_uv(headers, row),
                n_points=n_points or int(head["n_points"]),
                n_before=int(head["n_before"]),
                trode=trode,
                ticks=blocks.ticks[rows],
                units=blocks.units[rows].astype(np.int64),
                positions=np.where((words == n_points) & (words > 0), blocks.positions[rows], NO_SNIPPET),
            )
        )
    return tuple(found)


def _commonest(words: Integer) -> int:
    counts = np.bincount(words[words > 0])
    return int(np.argmax(counts)) if len(counts) else 0


def _analog_channels(headers: PlxHeaders, groups: _Groups) -> tuple[AnalogChannel, ...]:
    found = []
    for row, number in enumerate(headers.slow["channel"].tolist()):
        blocks, rows = groups.blocks, groups.rows(ANALOG, number)
        counts = blocks.words[rows].astype(np.int64) * blocks.waveforms[rows]
        rows, counts = rows[counts > 0], counts[counts > 0]
        name, rate = text(headers.slow["name"][row]), float(headers.slow["rate"][row])
        if not len(rows):
            continue
        if not rate > 0:
            groups.notes.append(f"Slow channel {name} states a rate of {rate:g} Hz and is not used.")
            continue
        kind, electrode = _place(headers, row, name, rate)
        found.append(
            AnalogChannel(
                name=name or f"AD{number:02d}",
                kind=kind,
                electrode=electrode,
                sampling_rate_hz=rate,
                gain_uv=slow_gain_uv(headers, row),
                ticks=blocks.ticks[rows],
                counts=counts,
                positions=blocks.positions[rows],
            )
        )
    return tuple(found)


def _place(headers: PlxHeaders, row: int, name: str, rate: float) -> tuple[str, int]:
    """Kind of a slow channel and the number of its electrode; -1 where it has none."""
    linked = int(headers.slow["spike_channel"][row]) if headers.version >= 104 else 0
    parts = re.match(r"(\D*)(\d+)?", name)
    prefix, number = (parts[1].upper().strip(" _-"), parts[2]) if parts else ("", None)
    kind = _KINDS.get(prefix, "")
    if not kind:
        kind = ("WB" if rate >= _WIDEBAND_HZ else "FP") if linked > 0 else "AUX"
    if kind == "AUX":
        return kind, -1
    return kind, linked if linked > 0 else int(number or headers.slow["channel"][row] + 1)


def _event_channels(headers: PlxHeaders, groups: _Groups) -> tuple[EventChannel, ...]:
    headed = {int(channel): text(name) for name, channel in zip(headers.event["name"], headers.event["channel"],
                                                                strict=True)}  # fmt: skip
    named = {STROBED: "Strobed", START: "Start", STOP: "Stop"}
    extra = [channel for channel in groups.channels(EVENT) if channel in named and channel not in headed]
    found = []
    for channel in [*headed, *sorted(extra)]:
        rows = groups.rows(EVENT, channel)
        found.append(
            EventChannel(
                name=headed.get(channel, "") or named.get(channel, f"EVT{channel:02d}"),
                is_line=1 <= channel <= _LAST_LINE,
                ticks=groups.blocks.ticks[rows],
                values=groups.blocks.units[rows].astype(np.uint16).astype(np.int64) if channel == STROBED else None,
            )
        )
    return tuple(found)


def _count_notes(headers: PlxHeaders, spikes: tuple[SpikeChannel, ...], *, last_tick: int) -> list[str]:
    """Say so where the header knows of more than there is: the end of the file is missing."""
    rate, ends = float(headers.file["tick_rate"]), float(headers.file["last_tick"])
    notes = []
    if ends - last_tick > rate:
        notes.append(
            f"The header says that recording ended at {ends / rate:.1f} s, the last that is in the file is at "
            f"{last_tick / rate:.1f} s; the end of it may be missing."
        )
    counted = headers.file["spike_counts"]
    stated = sum(int(counted[s.number].sum()) for s in spikes if 0 < s.number < len(counted))
    found = sum(int(np.count_nonzero((s.units >= 0) & (s.units < counted.shape[1]))) for s in spikes if
                0 < s.number < len(counted))  # fmt: skip
    if stated > found:
        notes.append(f"The header counts {stated} spikes, {found} are in the file; the end of it may be missing.")
    return notes
