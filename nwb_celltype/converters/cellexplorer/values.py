"""What the fields of CellExplorer's structs hold, as the types that are needed, with an error that names the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.records import Float, Integer
from nwb_celltype.errors import InputError

Struct = Mapping[str, Any]

MOST_CHANNELS = 100_000
"""No session has more: a larger number is no channel."""


def struct_at(struct: Any, *names: str) -> Struct:
    """Return a struct within a struct, empty where it is absent or something else; of several, the first.

    Examples
    --------
    >>> struct_at({"general": {"animal": {"sex": "Male"}}}, "general", "animal")
    {'sex': 'Male'}
    >>> struct_at({}, "general", "animal")
    {}
    """
    for name in names:
        struct = struct.get(name) if isinstance(struct, Mapping) else None
        if isinstance(struct, Sequence) and not isinstance(struct, str):
            struct = struct[0] if struct else None
    return struct if isinstance(struct, Mapping) else {}


def structs_of(value: Any) -> tuple[Struct, ...]:
    """Structs of a cell array, of an array of structs, or the one."""
    if isinstance(value, Mapping):
        return (value,) if value else ()
    if isinstance(value, list):
        return tuple(each for item in value for each in structs_of(item))
    return ()


def text_of(value: Any) -> str:
    """Text of a field: itself, the first of a cell array, a number written out; ``""`` where there is none.

    Examples
    --------
    >>> text_of(["Rat"]), text_of(np.array([[5813.0]])), text_of(np.zeros((0, 0)))
    ('Rat', '5813', '')
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return text_of(value[0]) if value else ""
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "iufb":
        number = float(value.ravel()[0])
        return "" if np.isnan(number) else f"{number:g}" if abs(number) < 1e5 else repr(number).removesuffix(".0")
    return ""


def texts_of(value: Any) -> tuple[str, ...]:
    """Every text of a cell array that is not empty, or the one text."""
    items = value if isinstance(value, list) else [value]
    return tuple(text for text in map(text_of, items) if text)


def number_of(value: Any) -> float | None:
    """Return a single finite number, written as number or text; None for everything else.

    Examples
    --------
    >>> number_of("12150"), number_of(np.array([[0.195]])), number_of(np.array([[1, 2]]))
    (12150.0, 0.195, None)
    """
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return None
    elif isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "iufb":
        number = float(value.ravel()[0])
    else:
        return None
    return number if np.isfinite(number) else None


def vector_of(value: Any, where: str) -> Float:
    """Return numbers of a field, in MATLAB's order.

    Raises
    ------
    InputError
        The field holds something else.
    """
    if isinstance(value, list) and not value:
        return np.empty(0)
    if isinstance(value, np.ndarray) and value.dtype.kind in "iufb":
        return value.ravel(order="F").astype(np.float64)
    message = f"{where} must hold numbers, and holds {kind_of(value)}. Save the file again in MATLAB."
    raise InputError(message)


def whole_of(value: Any, where: str) -> Integer:
    """Return whole numbers of a field.

    Raises
    ------
    InputError
        The field holds something else.
    """
    numbers = vector_of(value, where)
    if not np.all(is_whole(numbers)):
        message = f"{where} must hold whole numbers; some are none. Save the file again in MATLAB."
        raise InputError(message)
    return numbers.astype(np.int64)


def is_whole(numbers: Float) -> NDArray[np.bool_]:
    """Whether each number is whole, and small enough to be exact."""
    with np.errstate(invalid="ignore"):
        found: NDArray[np.bool_] = np.isfinite(numbers) & (numbers == np.round(numbers)) & (np.abs(numbers) < 2.0**53)
    return found


def channels_of(value: Any, where: str) -> Integer:
    """Return numbers of channels, as they are counted there.

    Raises
    ------
    InputError
        The field holds something else, or numbers that no channel has.
    """
    channels = whole_of(value, where)
    if np.any((channels < 0) | (channels > MOST_CHANNELS)):
        message = f"{where} must hold numbers of channels, and holds {channels.min()} to {channels.max()}."
        raise InputError(message)
    return channels


def kind_of(value: Any) -> str:
    """Say what a field holds, in a few words."""
    if isinstance(value, str):
        return "a text"
    if isinstance(value, Mapping):
        return "a struct"
    if isinstance(value, list):
        return f"a cell array of {len(value)}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} values in the shape {' x '.join(map(str, value.shape))}"
    return str(getattr(value, "kind", "nothing"))
