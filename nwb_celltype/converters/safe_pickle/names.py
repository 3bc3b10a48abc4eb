"""The names that a pickle may mention, each answered by a function of ours; all others are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nwb_celltype.converters.safe_pickle.arrays import PendingArray, PendingType, as_type, frombuffer, scalar

_LARGEST_KEY = 2**60
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_BUFFER_MODULES = ("numpy.core.numeric", "numpy._core.numeric")
_NUMBER_TYPES = frozenset(
    {
        "bool_", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
        "float64", "complex64", "complex128",
    }
)  # fmt: skip


class Broken(Exception):
    """The file is damaged, or its values are none that are read; the message is a clause."""


class Refused(Exception):
    """The file asks for something that is not answered; the message names it."""


@dataclass(frozen=True)
class Maker:
    """A name that the file may call; it is answered by `make`, which is ours."""

    name: str
    make: Callable[..., Any]


@dataclass(frozen=True)
class TheArray:
    """Stands for the name numpy.ndarray, which arrays mention and nobody calls."""


def hashable(key: Any) -> Any:
    """Return a value that may be a key: texts and ordinary numbers.

    Nested tuples and vast numbers are none: finding places for them can be made to take for ever.
    """
    is_number = isinstance(key, int | np.integer) and -_LARGEST_KEY < int(key) < _LARGEST_KEY
    if not (is_number or isinstance(key, str | bytes | float | np.floating | np.bool_ | None)):
        message = f"a key of a dictionary or set is no text and no ordinary number ({type(key).__name__})"
        raise Broken(message)
    return key


def answer(module: str, name: str) -> Any:
    """What stands for a name of the file."""
    found = _NAMES.get((module.replace("__builtin__", "builtins"), name))
    if found is not None:
        return found
    if module == "numpy" and name in _NUMBER_TYPES:
        return np.dtype(name)
    message = f"{module}.{name}"
    raise Refused(message)


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        message = f"text is encoded as {encoding!r}"
        raise ValueError(message)
    return text.encode("latin-1")


def _to_bytearray(text: str | bytes = b"", encoding: str = "latin1") -> bytearray:
    return bytearray(text if isinstance(text, bytes) else _encode(text, encoding))


def _to_bytes(values: tuple[Any, ...] | list[Any] | bytes = b"") -> bytes:
    if not isinstance(values, bytes | list | tuple):
        raise TypeError  # bytes(10**12) would be a terabyte of zeros
    return bytes(values)


def to_set(values: list[Any] | tuple[Any, ...] = ()) -> set[Any]:
    """Return a set of values that may be keys."""
    return {hashable(value) for value in _listed(values)}


def _to_complex(real: float, imaginary: float) -> complex:
    return complex(float(real), float(imaginary))


def _listed(values: Any = ()) -> list[Any]:
    if type(values) not in (list, tuple):
        raise TypeError
    return list(values)


def _scalar(kind: Any, values: Any) -> np.generic:
    return scalar(as_type(kind), values)


def _reconstruct(kind: Any, shape: Any, letter: Any) -> PendingArray:
    if not isinstance(kind, TheArray) or shape != (0,) or letter not in (b"b", "b"):
        raise ValueError
    return PendingArray()


_NAMES: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): TheArray(),
    ("numpy", "dtype"): Maker("numpy.dtype", PendingType.of),
    ("_codecs", "encode"): Maker("_codecs.encode", _encode),
    ("builtins", "bytes"): Maker("bytes", _to_bytes),
    ("builtins", "bytearray"): Maker("bytearray", _to_bytearray),
    ("builtins", "set"): Maker("set", to_set),
    ("builtins", "frozenset"): Maker("frozenset", lambda values=(): frozenset(to_set(values))),
    ("builtins", "complex"): Maker("complex", _to_complex),
    ("builtins", "list"): Maker("list", _listed),
    ("builtins", "tuple"): Maker("tuple", lambda values=(): tuple(_listed(values))),
    **{(module, "_reconstruct"): Maker("_reconstruct", _reconstruct) for module in _ARRAY_MODULES},
    **{(module, "scalar"): Maker("scalar", _scalar) for module in _ARRAY_MODULES},
    **{(module, "_frombuffer"): Maker("_frombuffer", frombuffer) for module in _BUFFER_MODULES},
}
