"""MATLAB 5 files (saved up to v7), read element by element, each of which must lie inside the one around it.

The format is that of "MAT-File Format" (MathWorks), chapter 1: an element is a tag of type and size and its data,
padded to eight bytes; small ones hold both in eight bytes; a matrix is a list of elements, and may hold matrices.
SciPy's compiled reader trusts types and classes that it reads: changed bytes can end the process there.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.cellexplorer.unreadable import NOT_READ, Unreadable

_HEADER: Final = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS: Final = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CODECS: Final = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CLASSES: Final = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
_LOGICAL, _COMPLEX = 0x02, 0x08
_DEEPEST: Final = 64
_MOST_BYTES: Final = 2 * 1024**3
"""Of one variable, as MATLAB itself has it for this format."""
_MOST_EMPTY: Final = 1_000_000
_GLANCE: Final = 64 * 1024
"""Bytes of an element in which its name is looked for."""


def is_level5(path: Path) -> bool:
    """Whether a file states to be of this format.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool
    """
    with path.open("rb") as file:
        return file.read(_HEADER)[126:] in (b"IM", b"MI")


def names_in(path: Path) -> list[str]:
    """Names of the variables of a file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If an element cannot be what it says; the message says where it lies.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        return [name for name, _ in _variables(file) if name]


def read_variables(path: Path, names: Collection[str], skip: Collection[str] = ()) -> dict[str, Any]:
    """Read some variables: structs as dictionaries, cells and arrays of structs as lists, texts, and arrays.

    Parameters
    ----------
    path : Path
    names : collection of str
        Those that the file does not hold are absent from the answer.
    skip : collection of str
        Fields that are not read, as ``variable.field``.

    Returns
    -------
    dict of str to object
        `Unreadable` stands for what only MATLAB can read, and for what was skipped.

    Raises
    ------
    ValueError
        If an element cannot be what it says; the message says where it lies.
    OSError
        If the file cannot be read.
    """
    found = {}
    with path.open("rb") as file:
        for name, load in _variables(file):
            if name in names:
                data, order, where = load()
                found[name] = _Reader(data, order, where, frozenset(skip)).variable(name)
    return found


def _variables(file: IO[bytes]) -> Iterator[tuple[str, Callable[[], tuple[memoryview, str, str]]]]:
    """Names of the matrices at the top, and how the elements of each are got."""
    head = file.read(_HEADER)
    order = {b"IM": "<", b"MI": ">"}.get(head[126:])
    if order is None:
        message = "it has no header of this format"
        raise ValueError(message)
    size = file.seek(0, 2)
    at = _HEADER
    while at + 8 <= size:
        file.seek(at)
        kind, length = struct.unpack(f"{order}II", file.read(8))
        where = f"at byte {at}"
        if kind not in (_MATRIX, _COMPRESSED) or length > size - at - 8:
            message = f"the element {where} has the type {kind} and {length} bytes"
            raise ValueError(message)
        begin = at + 8
        packed = file.read(min(length, _GLANCE))
        plain = _inflated(packed, _GLANCE, where)[8:] if kind == _COMPRESSED else packed

        def load(
            begin: int = begin, length: int = length, kind: int = kind, where: str = where
        ) -> tuple[memoryview, str, str]:
            if length > _MOST_BYTES:
                message = f"the element {where} has more than {_MOST_BYTES >> 30} GiB"
                raise ValueError(message)
            file.seek(begin)
            data = file.read(length)
            if kind == _COMPRESSED:
                data = _inflated(data, _MOST_BYTES, where, is_whole=True)
                kind, length = struct.unpack(f"{order}II", data[:8]) if len(data) >= 8 else (0, 0)
                if kind != _MATRIX or length > len(data) - 8:
                    message = f"the element packed {where} has the type {kind} and {length} bytes"
                    raise ValueError(message)
                data = data[8 : 8 + length]
                where = f"packed {where}"
            return memoryview(data), order, where

        yield _Reader(memoryview(plain), order, where, frozenset()).name(), load
        at = begin + length


def _inflated(packed: bytes, most: int, where: str, *, is_whole: bool = False) -> bytes:
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(packed, most)
    except zlib.error as error:
        message = f"the compressed element {where} is damaged ({error})"
        raise ValueError(message) from error
    if is_whole and stream.unconsumed_tail:
        message = f"the compressed element {where} holds more than {most >> 30} GiB"
        raise ValueError(message)
    return plain


class _Reader:
    """Reads the elements of one matrix, one after the other; `budget` is what its arrays may take, bytes."""

    def __init__(self, data: memoryview, order: str, where: str, skip: frozenset[str]) -> None:
        self._data, self._order, self._where, self._skip = data, order, where, skip
        self._budget = _MOST_BYTES

    def name(self) -> str:
        """The name of the matrix."""
        kind, _, at = self._flags(0, len(self._data))
        if kind != _OPAQUE:  # whose name comes without dimensions before it
            _, at = self._element(at, len(self._data))
        (_, raw), _ = self._element(at, len(self._data))
        return bytes(raw).decode("utf-8", "replace")

    def variable(self, name: str) -> Any:
        """Its value."""
        return self._matrix(0, len(self._data), name, 0)

    def _bad(self, at: int, what: str) -> ValueError:
        return ValueError(f"{what} ({at} bytes into the element {self._where})")

    def _element(self, at: int, stop: int) -> tuple[tuple[int, memoryview], int]:
        """Type and data of the element at a place, and the place behind it."""
        if at + 8 > stop:
            raise self._bad(at, "an element is missing")
        kind, size = struct.unpack_from(f"{self._order}II", self._data, at)
        begin, behind = at + 8, at + 8 + -(-size // 8) * 8
        if kind >> 16:  # small: type and size in four bytes, the data in the other four
            kind, size, begin, behind = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            stop = min(stop, behind)
        if size > stop - begin:
            raise self._bad(at, f"an element has the type {kind} and {size} bytes")
        return (kind, self._data[begin : begin + size]), behind

    def _flags(self, at: int, stop: int) -> tuple[int, int, int]:
        """Class and flags of a matrix, and the place behind them."""
        (kind, raw), behind = self._element(at, stop)
        if kind != 6 or len(raw) != 8:
            raise self._bad(at, "an array does not begin with its flags")
        word = struct.unpack(f"{self._order}I", raw[:4])[0]
        if not 1 <= word & 0xFF <= 18:
            raise self._bad(at, f"an array has the class {word & 0xFF}")
        return word & 0xFF, word >> 8 & 0xFF, behind

    def _numbers(self, at: int, stop: int) -> tuple[NDArray[Any], int]:
        (kind, raw), behind = self._element(at, stop)
        if kind not in _NUMBERS:
            raise self._bad(at, f"numbers have the type {kind}")
        dtype = np.dtype(self._order + _NUMBERS[kind])
        if len(raw) % dtype.itemsize:
            raise self._bad(at, f"numbers of {dtype.itemsize} bytes take {len(raw)} bytes")
        return np.frombuffer(raw, dtype), behind

    def _matrix(self, at: int, stop: int, where: str, depth: int) -> Any:
        """The value of a matrix whose elements lie between two places."""
        if depth > _DEEPEST:
            raise self._bad(at, f"{where} lies too deep in others")
        if at == stop:  # how an empty cell is written
            return np.zeros((0, 0))
        kind, flags, at = self._flags(at, stop)
        if kind in (_OPAQUE, _FUNCTION, 18):
            return Unreadable("function handle" if kind == _FUNCTION else "MATLAB object")
        sizes, at = self._numbers(at, stop)
        shape = tuple(sizes.tolist())
        if len(shape) < 2 or sizes.dtype.kind not in "iu" or min(shape) < 0:
            raise self._bad(at, f"{where} has the dimensions {shape[:8]}")
        n = math.prod(shape)
        _, at = self._element(at, stop)  # its name
        if kind == _CELL:
            return self._cells(at, stop, n, where, depth)
        if kind == _OBJECT:
            _, at = self._element(at, stop)  # the name of its class
        if kind in (_STRUCT, _OBJECT):
            return self._structs(at, stop, n, where, depth)
        if kind == _SPARSE:
            return Unreadable("sparse array")
        if kind == _CHAR:
            return self._text(at, stop, shape, where)
        return self._array(at, stop, shape, kind, flags, where)

    def _inner(self, at: int, stop: int) -> tuple[int, int]:
        """Where the elements of a matrix inside another begin and end."""
        if at + 8 > stop:
            raise self._bad(at, "an array is missing")
        kind, size = struct.unpack_from(f"{self._order}II", self._data, at)
        if kind != _MATRIX or size > stop - at - 8:
            raise self._bad(at, f"instead of an array comes the type {kind} of {size} bytes")
        return at + 8, at + 8 + size

    def _cells(self, at: int, stop: int, n: int, where: str, depth: int) -> list[Any]:
        if n > (stop - at) // 8:
            raise self._bad(at, f"{where} cannot hold {n} cells")
        cells = []
        for k in range(n):
            begin, end = self._inner(at, stop)
            cells.append(self._matrix(begin, end, f"{where}{{{k + 1}}}", depth + 1))
            at = end
        return cells

    def _structs(self, at: int, stop: int, n: int, where: str, depth: int) -> Any:
        length, at = self._numbers(at, stop)
        (_, raw), at = self._element(at, stop)
        width = int(length[0]) if len(length) == 1 else 0
        if width < 1 or len(raw) % width:
            raise self._bad(at, f"the names of the fields of {where} have {len(raw)} bytes")
        named = [bytes(raw[k : k + width]).split(b"\0")[0] for k in range(0, len(raw), width)]
        fields = [name.decode("utf-8", "replace") for name in named]
        if n * max(len(fields), 1) > ((stop - at) // 8 if fields else _MOST_EMPTY):
            raise self._bad(at, f"{where} cannot hold {n} structs")
        structs = []
        for _ in range(n):
            one: dict[str, Any] = {}
            for field in fields:
                begin, end = self._inner(at, stop)
                path = f"{where}.{field}"
                one[field] = NOT_READ if path in self._skip else self._matrix(begin, end, path, depth + 1)
                at = end
            structs.append(one)
        return structs[0] if n == 1 else structs

    def _text(self, at: int, stop: int, shape: tuple[int, ...], where: str) -> str:
        n = math.prod(shape)
        if n == 0:
            return ""
        (kind, raw), _ = self._element(at, stop)
        if kind in _CODECS:
            codec = _CODECS[kind] + ("" if kind == 16 else "-le" if self._order == "<" else "-be")
            text = bytes(raw).decode(codec, "replace")
            units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2")
            if len(units) != n and shape[0] == 1:
                return text.rstrip()
        elif kind in (1, 2, 4):
            units = np.frombuffer(raw, self._order + _NUMBERS[kind].replace("i", "u")).astype("<u2")
        else:
            raise self._bad(at, f"the text {where} has the type {kind}")
        if len(units) != n:
            raise self._bad(at, f"the text {where} has {len(units)} letters where there should be {n}")
        rows = units.reshape(shape, order="F").reshape(-1, shape[-1])
        return "\n".join(row.tobytes().decode("utf-16-le", "replace").rstrip() for row in rows)

    def _array(self, at: int, stop: int, shape: tuple[int, ...], kind: int, flags: int, where: str) -> NDArray[Any]:
        n = math.prod(shape)
        if kind not in _CLASSES:
            raise self._bad(at, f"{where} has the class {kind}")
        dtype = np.dtype(np.bool_ if flags & _LOGICAL else _CLASSES[kind])
        self._budget -= n * dtype.itemsize * (2 if flags & _COMPLEX else 1)
        parts = []
        for _ in range(2 if flags & _COMPLEX else 1):
            values, at = self._numbers(at, stop)
            if len(values) != n:
                raise self._bad(at, f"{where} has {len(values)} numbers where there should be {n}")
            if self._budget < 0:
                raise self._bad(at, f"the variable has more than {_MOST_BYTES >> 30} GiB")
            parts.append(values.astype(dtype).reshape(shape, order="F"))
        return parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1]
