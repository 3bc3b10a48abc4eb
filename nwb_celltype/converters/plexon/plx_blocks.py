"""Where every block of a .plx file lies: a walk from block to block that reads the file in pieces.

Each block says how long it is, so its successor is known only when it has been looked at. The walk itself takes one
number from each header; everything else is gathered for thousands of headers at once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.records import Integer

SPIKE, EVENT, ANALOG = 1, 4, 5
HEADER_BYTES = 16
_PIECE_BYTES = 8 * 2**20
_KNOWN_TYPES = (1, 2, 3, 4, 5)  # 2 and 3 were reserved for stereotrodes and tetrodes
_HIGHEST_BYTE = 255  # times have 40 bits


@dataclass(frozen=True, eq=False)
class BlockIndex:
    """All blocks in the order of the file.

    Attributes
    ----------
    types, channels, units : (n,) int8 and int16 arrays
    ticks, positions : (n,) int64 arrays
        Time, and first byte after the header.
    waveforms, words : (n,) uint16 arrays
        Waveforms in the block, and 16-bit words of each.
    notes : tuple of str
        Where the file ends too early or is damaged.
    """

    types: NDArray[np.int8]
    channels: NDArray[np.int16]
    units: NDArray[np.int16]
    ticks: Integer
    positions: Integer
    waveforms: NDArray[np.uint16]
    words: NDArray[np.uint16]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.types)


def index_blocks(path: Path, first: int, *, piece_bytes: int = _PIECE_BYTES) -> BlockIndex:
    """Find every block of a file.

    Parameters
    ----------
    path : Path
    first : int
        Place of the first block.
    piece_bytes : int
        Read at once; memory is this and the index, 25 bytes a block.

    Returns
    -------
    BlockIndex
        Up to the end of the file, or to the first place where there is no block.
    """
    size = path.stat().st_size
    parts: list[_Piece] = []
    note, position = "", first
    buffer = bytearray(piece_bytes)
    with path.open("rb", buffering=0) as file:
        while position + HEADER_BYTES <= size and not note:
            n_read = _fill(file.fileno(), buffer, position)
            found, following = _walk(buffer, n_read)
            rows = _headers(buffer, found)
            n_good = _count_good(rows)
            if n_good < len(rows):
                place = position + int(found[n_good])
                note = f"At byte {place} of {path.name} there is no block of data; {size - place} bytes are not read."
            parts.append(_piece(rows[:n_good], found[:n_good] + position + HEADER_BYTES))
            position += following
    return _index(parts, size, note, path.name)


_Piece = dict[str, NDArray[np.integer[Any]]]
_EMPTY = np.empty((0, 8), dtype=np.uint16)


def _piece(rows: NDArray[np.uint16], positions: Integer) -> _Piece:
    """Fields of some headers, as narrow as they can be: there are millions."""
    return {
        "types": rows[:, 0].astype(np.int8),
        "channels": rows[:, 4].astype(np.int16),
        "units": rows[:, 5].astype(np.int16),
        "ticks": (rows[:, 1].astype(np.int64) << 32) | (rows[:, 3].astype(np.int64) << 16) | rows[:, 2],
        "positions": positions,
        "waveforms": rows[:, 6].copy(),
        "words": rows[:, 7].copy(),
    }


def _fill(descriptor: int, buffer: bytearray, position: int) -> int:
    view, done = memoryview(buffer), 0
    while done < len(buffer):
        count = os.preadv(descriptor, [view[done:]], position + done)
        if count == 0:
            break
        done += count
    return done


def _walk(buffer: bytearray, n_bytes: int) -> tuple[Integer, int]:
    """Places of the headers that lie whole in the buffer, and the place of the next."""
    sizes = Struct("<HH").unpack_from
    found: list[int] = []
    append, place, last = found.append, 0, n_bytes - HEADER_BYTES
    while place <= last:
        append(place)
        n_waveforms, n_words = sizes(buffer, place + 12)
        place += 16 + 2 * n_waveforms * n_words
    return np.array(found, dtype=np.int64), place


def _headers(buffer: bytearray, places: Integer) -> NDArray[np.uint16]:
    """Eight words of every header; headers lie at even places, as everything in the file has an even size."""
    words = np.frombuffer(buffer, dtype="<u2")
    return np.asarray(words[(places // 2)[:, None] + np.arange(8)], dtype=np.uint16)


def _count_good(rows: NDArray[np.uint16]) -> int:
    """Headers before the first that cannot be one."""
    bad = ~np.isin(rows[:, 0], _KNOWN_TYPES) | (rows[:, 1] > _HIGHEST_BYTE)
    return int(np.argmax(bad)) if bad.any() else len(rows)


def _index(parts: list[_Piece], size: int, note: str, name: str) -> BlockIndex:
    """All pieces as one, and of its last block only what is whole."""
    notes = [note] if note else []
    parts = parts or [_piece(_EMPTY, np.empty(0, dtype=np.int64))]
    # One field after the other, so that little is in memory twice.
    fields: dict[str, Any] = {key: np.concatenate([part.pop(key) for part in parts]) for key in list(parts[0])}
    if len(fields["positions"]):
        end = int(fields["positions"][-1]) + 2 * int(fields["waveforms"][-1]) * int(fields["words"][-1])
        if end > size:
            start = int(fields["positions"][-1]) - HEADER_BYTES
            fields = {key: values[:-1] for key, values in fields.items()}
            notes.append(
                f"{name} ends within a block; its last {size - start} bytes are not used. It was not copied whole, or "
                "the recording was broken off."
            )
        elif end < size and not note:
            notes.append(f"{name} ends within the header of a block; its last {size - end} bytes are not used.")
    return BlockIndex(**fields, notes=tuple(notes))
