"""Where every block of a .pl2 file lies: from the footers at its end, or from block to block where there are none."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.plexon.pl2_layout import Pl2Headers
from nwb_celltype.converters.records import Integer
from nwb_celltype.errors import InputError

SPIKE, ANALOG, EVENT, START_STOP = 0x31, 0x42, 0x5A, 0x59
HEADER_BYTES = 16
_FOOTERS = {0xDE: SPIKE, 0xDD: ANALOG, 0xDF: EVENT, 0xE0: START_STOP}
_LAST_TICK = 2**50  # hundreds of years
_HEADER = Struct("<BBHHHQ").unpack  # type, source, words, channel, points or items, items or time
_READ_AT_ONCE = 2**16
_SMALL_BLOCK = 2**12


@dataclass
class Blocks:
    """Blocks of one channel: places of their headers, items, and points an item (of snippets)."""

    places: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


Table = dict[tuple[int, int, int], Blocks]
"""Blocks by type, source and channel."""


class Reader:
    """Reads pieces of a file, never beyond its end."""

    def __init__(self, descriptor: int, size: int, name: str) -> None:
        self._descriptor, self.size, self._name = descriptor, size, name

    def bytes(self, place: int, length: int) -> bytes:
        """Return `length` bytes, fewer at the end of the file."""
        parts = []
        while length > 0 and (part := os.pread(self._descriptor, length, place)):
            parts.append(part)
            place, length = place + len(part), length - len(part)
        return b"".join(parts)

    def ticks(self, place: int, count: int) -> Integer:
        """Return `count` times in ticks.

        Raises
        ------
        InputError
            If one is longer than any recording.
        """
        found = self.array(place, "<u8", count)
        if count and int(found.max()) > _LAST_TICK:
            message = (
                f"{self._name} states a time of {found.max()} ticks at byte {place}: it is damaged. Copy it again."
            )
            raise InputError(message)
        return found.astype(np.int64)

    def array(self, place: int, dtype: str, count: int) -> NDArray[Any]:
        """Return `count` numbers."""
        raw = self.bytes(place, np.dtype(dtype).itemsize * count)
        if len(raw) < np.dtype(dtype).itemsize * count:
            message = f"{self._name} became shorter while it was read, at byte {place}; read it again when complete."
            raise InputError(message)
        return np.frombuffer(raw, dtype, count)


def read_table(headers: Pl2Headers, reader: Reader) -> tuple[Table, list[str]]:
    """Find every block of a file.

    Returns
    -------
    table : dict
    notes : list of str
        Where the footers are missing or wrong, or the file is damaged or cut.
    """
    place = int(headers.file["footer"])
    if place and place < headers.size:
        table = _from_footers(place, reader)
        if table is not None and _is_complete(table, headers):
            return table, []
        why = "The index at the end of the file is damaged or not complete"
    else:
        why = "The file has no index at its end: the recording was broken off, or the file was not copied whole"
    scanned, notes = _scanned(headers, reader)
    return scanned, [f"{why}; its blocks were looked up one by one.", *notes]


def block_bytes(kind: int, points: int, items: int) -> int:
    """Size of a block with its header, without the padding after it."""
    if kind == ANALOG:
        return HEADER_BYTES + 2 * points
    if kind == SPIKE:
        return HEADER_BYTES + items * (10 + 2 * points)
    return HEADER_BYTES + points * 10


def _from_footers(place: int, reader: Reader) -> Table | None:
    """Blocks as the footers list them; None where these do not fit what lies there."""
    table: Table = {}
    totals: dict[tuple[int, int, int], int] = {}
    while place + HEADER_BYTES <= reader.size:
        footer, source, n_words, channel, _, total = _HEADER(reader.bytes(place, HEADER_BYTES))
        n = 2 * n_words // 18
        if footer not in _FOOTERS or place + HEADER_BYTES + 18 * n > reader.size:
            return None
        key = (_FOOTERS[footer], source, channel)
        blocks = table.setdefault(key, Blocks())
        places = reader.array(place + HEADER_BYTES, "<u8", n).tolist()
        if max(places, default=0) >= reader.size:
            return None
        blocks.places += places
        blocks.counts += reader.array(place + HEADER_BYTES + 16 * n, "<u2", n).tolist()
        totals[key] = max(totals.get(key, 0), total)
        place = _aligned(place + HEADER_BYTES + 2 * n_words)
    fits = all(sum(blocks.counts) == totals[key] for key, blocks in table.items())
    return table if fits and _agree(table, reader) else None


def _agree(table: Table, reader: Reader) -> bool:
    """Whether the first and the last block of every channel are where the footers say."""
    for (kind, source, channel), blocks in table.items():
        for number in {0, len(blocks.places) - 1} if blocks.places else ():
            raw = reader.bytes(blocks.places[number], HEADER_BYTES)
            if len(raw) < HEADER_BYTES:
                return False
            found = _HEADER(raw)
            items = found[5] if kind == SPIKE else found[4]
            size = block_bytes(kind, found[4], found[5])
            if (found[0], found[1], found[3], items) != (kind, source, channel, blocks.counts[number]):
                return False
            if blocks.places[number] + size > reader.size:
                return False
    return True


def _is_complete(table: Table, headers: Pl2Headers) -> bool:
    """Whether the blocks of an index fill all the room that the header gives to blocks."""
    spikes = headers.spike
    points = dict(
        zip(zip(spikes["source"].tolist(), spikes["channel"].tolist(), strict=True), spikes["n_points"].tolist(),
            strict=True)
    )  # fmt: skip
    total = 0
    for (kind, source, channel), blocks in table.items():
        each = points.get((source, channel), 0) if kind == SPIKE else 0
        total += sum(_aligned(block_bytes(kind, each if kind == SPIKE else n, n)) for n in blocks.counts)
    return total == headers.data_end - int(headers.file["data_begin"])


def _scanned(headers: Pl2Headers, reader: Reader) -> tuple[Table, list[str]]:
    table: Table = {}
    place, end = int(headers.file["data_begin"]), headers.data_end
    read = _buffered(reader)
    while place + HEADER_BYTES <= end:
        kind, source, n_words, channel, points, items = _HEADER(read(place))
        if kind not in (SPIKE, ANALOG, EVENT, START_STOP):
            if kind in _FOOTERS:
                break
            return table, [f"At byte {place} there is no block of data; {end - place} bytes are not read."]
        size = block_bytes(kind, points, items)
        if size - HEADER_BYTES != 2 * n_words:
            return table, [f"The block at byte {place} is damaged; {end - place} bytes are not read."]
        if place + size > end:
            return table, [f"The file ends within a block; its last {end - place} bytes are not used."]
        blocks = table.setdefault((kind, source, channel), Blocks())
        blocks.places.append(place)
        blocks.counts.append(items if kind == SPIKE else points)
        place = _aligned(place + size)
    return table, [f"The file ends within a block; its last {end - place} bytes are not used."] if place < end else []


def _buffered(reader: Reader) -> Callable[[int], bytes]:
    """Headers one after another: small blocks lie in the same read, large ones are passed over."""
    start, buffer, before = 0, b"", 0

    def read(place: int) -> bytes:
        nonlocal start, buffer, before
        if not start <= place <= start + len(buffer) - HEADER_BYTES:
            length = _READ_AT_ONCE if place - before < _SMALL_BLOCK else HEADER_BYTES
            start, buffer = place, reader.bytes(place, length)
        before = place
        return buffer[place - start : place - start + HEADER_BYTES]

    return read


def block_ticks(reader: Reader, blocks: Blocks) -> Integer:
    """Times of the items of some blocks; raises as `Reader.ticks` does."""
    parts = [
        reader.ticks(place + HEADER_BYTES, count) for place, count in zip(blocks.places, blocks.counts, strict=True)
    ]
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])


def block_words(reader: Reader, blocks: Blocks) -> Integer:
    """Numbers of two bytes that follow the times, one an item: units, or kinds of events."""
    parts = [
        reader.array(place + HEADER_BYTES + 8 * count, "<u2", count).astype(np.int64)
        for place, count in zip(blocks.places, blocks.counts, strict=True)
    ]
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])


def _aligned(place: int) -> int:
    return (place + 15) // 16 * 16
