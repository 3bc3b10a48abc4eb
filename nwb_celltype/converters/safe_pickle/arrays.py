"""Arrays of numpy from the pieces that a pickle holds, with every size checked against the bytes that are there."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CODE = re.compile(r"b1|\?|[iu][1248]|f(?:2|4|8|16)|c(?:8|16)|[SU]\d{1,7}|O[48]?")
_MAX_AXES = 32


@dataclass
class PendingType:
    """A numpy type whose byte order is still to come."""

    kind: np.dtype[Any]
    memo_keys: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, code: Any, *_: Any) -> PendingType:
        """Take the code that numpy wrote.

        Raises
        ------
        ValueError
            If it is a type that is not read: dates, records, types of other packages.

        Examples
        --------
        >>> PendingType.of("f8", False, True).built((3, "<", None, None, None, -1, -1, 0)) == np.float64
        True
        """
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            message = (
                f"numbers of the type {code[:40]!r} are not read" if isinstance(code, str) else "a type has no name"
            )
            raise ValueError(message)
        return cls(np.dtype("O" if code.startswith("O") else code))

    def built(self, state: Any) -> np.dtype[Any]:
        """Add the byte order.

        Raises
        ------
        ValueError
            If the state is that of a record.
        """
        if type(state) is not tuple or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            message = "its type is none that numpy writes"
            raise ValueError(message)
        if any(part is not None for part in state[2:5]):
            message = "records (arrays with named fields) are not read"
            raise ValueError(message)
        return self.kind.newbyteorder(state[1])


def as_type(kind: Any) -> np.dtype[Any]:
    """Return a type, finished or not.

    Raises
    ------
    ValueError
        If it is none.
    """
    if isinstance(kind, PendingType):
        return kind.kind
    if not isinstance(kind, np.dtype):
        message = "its type is missing"
        raise ValueError(message)
    return kind


@dataclass
class PendingArray:
    """An array that is named, and whose shape and values are still to come."""

    memo_keys: list[int] = field(default_factory=list)

    def built(self, state: Any) -> NDArray[Any]:
        """Give it shape and values.

        Parameters
        ----------
        state : tuple
            As numpy writes it: version (absent in old files), shape, type, column by column or not, values.

        Raises
        ------
        ValueError
            If shape, type and values do not fit each other.
        """
        if type(state) is not tuple or len(state) not in (4, 5):
            message = "its state is none that numpy writes"
            raise ValueError(message)
        shape, kind, is_by_column, values = state[-4:]
        return _shaped(as_type(kind), shape, values, "F" if is_by_column else "C")


def frombuffer(values: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    """Array as protocol 5 writes it.

    Raises
    ------
    ValueError
        If shape, type and values do not fit each other.
    """
    if order not in ("C", "F"):
        message = "its order is neither C nor F"
        raise ValueError(message)
    return _shaped(as_type(kind), shape, values, order)


def scalar(kind: np.dtype[Any], values: Any) -> np.generic:
    """One number or text of numpy.

    Raises
    ------
    ValueError
        If type and bytes do not fit each other.
    """
    one: np.generic = _shaped(kind, (1,), values, "C")[0]
    if not isinstance(one, np.generic):
        message = "a scalar is no number and no text"
        raise ValueError(message)
    return one


def _shaped(kind: np.dtype[Any], shape: Any, values: Any, order: Any) -> NDArray[Any]:
    if isinstance(shape, int):
        shape = (shape,)
    is_shape = type(shape) is tuple and all(type(n) is int and 0 <= n < 2**48 for n in shape)
    if not is_shape or len(shape) > _MAX_AXES:
        message = "its shape is none"
        raise ValueError(message)
    n = math.prod(shape)
    if kind.hasobject:
        return _objects(n, shape, values, order)
    if isinstance(values, str):  # Python 2 wrote bytes as text
        values = values.encode("latin-1")
    if not isinstance(values, bytes | bytearray) or len(values) != n * kind.itemsize:
        message = f"{n} values of {kind.itemsize} bytes are announced, and other ones are there"
        raise ValueError(message)
    if not kind.itemsize and n:
        message = "it has texts of no length"
        raise ValueError(message)
    if not len(values):
        return np.zeros(shape, dtype=kind)
    return np.frombuffer(bytes(values) if isinstance(values, bytearray) else values, dtype=kind).reshape(
        shape, order=order
    )


def _objects(n: int, shape: tuple[int, ...], values: Any, order: Any) -> NDArray[Any]:
    if type(values) is not list or len(values) != n:
        message = f"{n} values are announced, and other ones are there"
        raise ValueError(message)
    flat = np.empty(n, dtype=object)
    for k, value in enumerate(values):
        flat[k] = value
    return flat.reshape(shape, order=order)
