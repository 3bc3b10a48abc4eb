"""Reader of .pl2 files of OmniPlex: channels, events and pauses, without the vendor's library."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nwb_celltype.converters.plexon.content import NO_SNIPPET, AnalogChannel, Content, EventChannel, SpikeChannel
from nwb_celltype.converters.plexon.pl2_blocks import (
    ANALOG,
    EVENT,
    HEADER_BYTES,
    SPIKE,
    START_STOP,
    Blocks,
    Reader,
    Table,
    block_ticks,
    block_words,
    read_table,
)
from nwb_celltype.converters.plexon.pl2_layout import Pl2Headers, gain_uv, read_headers, started
from nwb_celltype.converters.plexon.plx_layout import text
from nwb_celltype.converters.records import Integer, LeftOut

_ANALOG_KINDS = {3: "WB", 4: "SPKC", 7: "FP"}
_NAME_KINDS = {"WB": "WB", "SPKC": "SPKC", "FP": "FP"}
_SINGLE_BIT, _OTHER_EVENTS = 9, 10
_STROBED = 1  # channel of the other events


def read_pl2(path: Path | str) -> Content:
    """Read what a .pl2 file holds; traces and snippets stay in it.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Content
        Time 0 is when recording began. OmniPlex counts from there in the files seen so far; where a file counts from
        the start of acquisition instead, the ticks until recording began are subtracted.

    Raises
    ------
    InputError
        It is no .pl2 file, ends within its headers, or is damaged.

    Examples
    --------
    >>> content = read_pl2("session.pl2")  # doctest: +SKIP
    >>> content.version, content.tick_rate_hz  # doctest: +SKIP
    ('pl2, OmniPlex 1.22.0', 40000.0)
    """
    path = Path(path)
    headers = read_headers(path)
    with path.open("rb") as file:
        reader = Reader(file.fileno(), os.fstat(file.fileno()).st_size, path.name)
        table, notes = read_table(headers, reader)
        read = _Reading(headers, reader, table)
        spikes, analog, events = read.spikes(), read.analog(), read.events()
        moments, kinds = read.starts_and_stops()
    last = max((int(ticks[-1]) for ticks in read.all_ticks if len(ticks)), default=0)
    zero, shift_note = _zero(headers, read.all_ticks, moments[kinds == 1], last)
    began, date_note = started(headers)
    software = " ".join(filter(None, (text(headers.file["software"]), text(headers.file["software_version"]))))
    probes = {text(name) for name in headers.analog["probe_name"]} | {
        text(name) for name in headers.spike["probe_name"]
    }
    return Content(
        path=path,
        version="pl2" + (f", {software}" if software else ""),
        tick_rate_hz=float(headers.file["tick_rate"]),
        last_tick=last - zero,
        started=began,
        comment=text(headers.file["comment"]),
        spikes=tuple(make(zero) for make in spikes),
        analog=tuple(make(zero) for make in analog),
        events=_with_pauses([make(zero) for make in events], moments - zero, kinds),
        starts=moments[kinds == 1] - zero,
        stops=moments[kinds == 0] - zero,
        probe_name=", ".join(sorted(probes - {""})),
        left_out=read.left_out(),
        notes=(*notes, *read.notes, *(note for note in (date_note, shift_note) if note)),
    )


def _zero(headers: Pl2Headers, ticks: list[Integer], starts: Integer, last: int) -> tuple[int, str]:
    """Ticks to subtract so that recording begins at 0, and a note where there are any."""
    start, duration = int(headers.file["start_tick"]), int(headers.file["duration"])
    first = min((int(each[0]) for each in ticks if len(each)), default=0)
    if len(starts):
        counts_from_acquisition = start > 0 and int(starts.min()) == start
    else:
        counts_from_acquisition = start > 0 and first >= start and (not duration or last > duration)
    if not counts_from_acquisition:
        return 0, ""
    rate = float(headers.file["tick_rate"])
    return start, f"Times count from {start / rate:.3f} s before recording began; these were subtracted."


def _with_pauses(events: list[EventChannel], moments: Integer, kinds: Integer) -> tuple[EventChannel, ...]:
    """Add the moments at which recording began and ceased, which OmniPlex keeps apart from the other events."""
    taken = {event.name for event in events}
    both = ((f"recording {name}" if name in taken else name, kind) for name, kind in (("Start", 1), ("Stop", 0)))
    return (*events, *(EventChannel(name, False, np.sort(moments[kinds == kind]), None) for name, kind in both))


class _Reading:
    """Makers of channels, which wait for the moment that is 0, and what was odd."""

    def __init__(self, headers: Pl2Headers, reader: Reader, table: Table) -> None:
        self._headers, self._reader, self._table = headers, reader, table
        self._asked: set[tuple[int, int, int]] = set()
        self.notes: list[str] = []
        self.all_ticks: list[Integer] = []

    def spikes(self) -> list[Callable[[int], SpikeChannel]]:
        sources = list(dict.fromkeys(self._headers.spike["source"].tolist()))
        return [self._spikes(head, is_first=head["source"] == sources[0]) for head in self._headers.spike]

    def analog(self) -> list[Callable[[int], AnalogChannel]]:
        found = [self._analog(head) for head in self._headers.analog]
        return [make for make in found if make is not None]

    def events(self) -> list[Callable[[int], EventChannel]]:
        return [self._events(head) for head in self._headers.event]

    def starts_and_stops(self) -> tuple[Integer, Integer]:
        """Moments, and 1 where recording began or was taken up again and 0 where it ceased."""
        blocks = self._blocks(START_STOP, 0, 0)
        ticks = block_ticks(self._reader, blocks)
        kinds = block_words(self._reader, blocks)
        if len(ticks):
            self.all_ticks.append(np.sort(ticks))
        return ticks, kinds

    def left_out(self) -> tuple[LeftOut, ...]:
        """Blocks that belong to no header."""
        return tuple(
            LeftOut(f"{len(blocks.places)} blocks of type 0x{kind:X}, source {source}, channel {channel}",
                    "the file has no header for this channel")
            for (kind, source, channel), blocks in sorted(self._table.items())
            if (kind, source, channel) not in self._asked
        )  # fmt: skip

    def _blocks(self, kind: int, source: int, channel: int) -> Blocks:
        self._asked.add((kind, source, channel))
        return self._table.get((kind, source, channel), Blocks())

    def _spikes(self, head: Any, *, is_first: bool) -> Callable[[int], SpikeChannel]:
        blocks, n_points = self._blocks(SPIKE, int(head["source"]), int(head["channel"])), int(head["n_points"])
        ticks = block_ticks(self._reader, blocks)
        units = block_words(self._reader, blocks)
        positions = [
            place + HEADER_BYTES + 10 * count + 2 * n_points * np.arange(count, dtype=np.int64)
            for place, count in zip(blocks.places, blocks.counts, strict=True)
        ]
        places = np.concatenate([np.empty(0, dtype=np.int64), *positions])
        if not n_points:
            places[:] = NO_SNIPPET
        order = np.argsort(ticks, kind="stable")
        ticks, units, places = ticks[order], units[order], places[order]
        self.all_ticks.append(ticks)
        trode = self._headers.spike[
            (self._headers.spike["source"] == head["source"]) & (self._headers.spike["trode"] == head["trode"])
        ]
        return lambda zero: SpikeChannel(
            name=text(head["name"]) or f"SPK{int(head['channel']):02d}",
            number=int(head["channel"]),
            source="" if is_first else text(head["source_name"]) or str(int(head["source"])),
            sampling_rate_hz=float(head["rate"]),
            gain_uv=gain_uv(head),
            n_points=n_points,
            n_before=int(head["n_before"]),
            trode=tuple(trode["channel"].tolist()) if head["trodality"] > 1 else (int(head["channel"]),),
            ticks=ticks - zero,
            units=units,
            positions=places,
        )

    def _analog(self, head: Any) -> Callable[[int], AnalogChannel] | None:
        blocks, name = self._blocks(ANALOG, int(head["source"]), int(head["channel"])), text(head["name"])
        counts = np.array(blocks.counts, dtype=np.int64)
        places = np.array(blocks.places, dtype=np.int64)[counts > 0]
        if not len(places):
            return None
        if not float(head["rate"]) > 0:
            self.notes.append(f"Analog channel {name} states a rate of {float(head['rate']):g} Hz and is not used.")
            return None
        ticks = np.array([self._reader.ticks(place + 8, 1)[0] for place in places.tolist()], dtype=np.int64)
        order = np.argsort(ticks, kind="stable")
        ticks, counts, places = ticks[order], counts[counts > 0][order], places[order]
        self.all_ticks.append(ticks)
        kind = _kind(head)
        return lambda zero: AnalogChannel(
            name=name or f"{kind}{int(head['channel']):02d}",
            kind=kind,
            electrode=-1 if kind == "AUX" else int(head["channel"]),
            sampling_rate_hz=float(head["rate"]),
            gain_uv=gain_uv(head),
            ticks=ticks - zero,
            counts=counts,
            positions=places + HEADER_BYTES,
        )

    def _events(self, head: Any) -> Callable[[int], EventChannel]:
        source, channel = int(head["source"]), int(head["channel"])
        blocks = self._blocks(EVENT, source, channel)
        ticks = block_ticks(self._reader, blocks)
        values = block_words(self._reader, blocks)
        order = np.argsort(ticks, kind="stable")
        ticks, values = ticks[order], values[order]
        self.all_ticks.append(ticks)
        name = text(head["name"])
        has_words = source == _OTHER_EVENTS and (channel == _STROBED or name.lower().startswith("strobe"))
        return lambda zero: EventChannel(
            name=name or f"EVT{channel:02d}",
            is_line=source == _SINGLE_BIT,
            ticks=ticks - zero,
            values=values if has_words or (source != _SINGLE_BIT and values.any()) else None,
        )


def _kind(head: Any) -> str:
    """Kind of an analog channel: by the name of its source, which a user cannot change, else by its number."""
    name = re.match(r"[A-Z]*", text(head["source_name"]).upper())
    found = _NAME_KINDS.get(name[0] if name else "")
    return found or _ANALOG_KINDS.get(int(head["source"]), "AUX")
