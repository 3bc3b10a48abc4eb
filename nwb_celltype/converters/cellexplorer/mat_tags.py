"""Tags of a MATLAB 5 file, walked before SciPy reads it: a type out of range ends the process there.

The format is that of "MAT-File Format" (MathWorks), chapter 1: an element is a tag of type and size and its data,
padded to eight bytes; small ones hold both in eight bytes; a matrix is a list of elements, and may hold matrices.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_TYPES = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 14, 15, 16, 17, 18})
_CLASSES = range(1, 19)
_DEEPEST = 64
_FLAGS = 6  # unsigned 32 bit: the first element of a matrix says its class
_MAX_INFLATED = 2 * 1024**3


def check_tags(path: Path) -> None:
    """Raise `ValueError` if an element of a version 5 file has a type, class or size that cannot be.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ValueError
        With the place of the element.
    """
    data = memoryview(path.read_bytes())
    order = {b"IM": "<", b"MI": ">"}.get(bytes(data[126:_HEADER]))
    if order is None:
        return  # version 4, or no such file: SciPy says so in words
    at = _HEADER
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        stop = at + 8 + size
        if kind not in (_MATRIX, _COMPRESSED) or stop > len(data):
            message = f"the element at byte {at} has the type {kind} and {size} bytes"
            raise ValueError(message)
        if kind == _COMPRESSED:
            inflated = _inflate(data[at + 8 : stop], at)
            _walk(inflated, 0, len(inflated), order, f"compressed at byte {at}", 0)
        else:
            _walk(data, at, stop, order, f"at byte {at}", 0)
        at = stop


def _inflate(packed: memoryview, at: int) -> memoryview:
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(packed, _MAX_INFLATED)
    except zlib.error as error:
        message = f"the compressed element at byte {at} is damaged ({error})"
        raise ValueError(message) from error
    if stream.unconsumed_tail:
        message = f"the compressed element at byte {at} holds more than {_MAX_INFLATED >> 30} GiB"
        raise ValueError(message)
    return memoryview(plain)


def _walk(data: memoryview, start: int, stop: int, order: str, where: str, depth: int) -> None:
    """Check the elements between two places; those of a matrix are its parts."""
    if depth > _DEEPEST:
        message = f"the element {where} lies too deep in others"
        raise ValueError(message)
    at, is_first = start, True
    while at + 8 <= stop:
        kind, size = struct.unpack_from(f"{order}II", data, at)
        begin, padded = at + 8, -(-size // 8) * 8
        if kind >> 16:  # small: both in four bytes, the data in the other four
            kind, size, begin, padded = kind & 0xFFFF, kind >> 16, at + 4, 4
        if kind not in _TYPES or size > stop - begin or (begin == at + 4 and size > 4):
            message = f"an element {where} has the type {kind} and {size} bytes"
            raise ValueError(message)
        if depth and is_first and kind == _FLAGS and size >= 4:
            flags = struct.unpack_from(f"{order}I", data, begin)[0]
            if flags & 0xFF not in _CLASSES:
                message = f"an array {where} has the class {flags & 0xFF}"
                raise ValueError(message)
        if kind == _MATRIX:
            _walk(data, begin, begin + size, order, where, depth + 1)
        at, is_first = begin + padded, False
