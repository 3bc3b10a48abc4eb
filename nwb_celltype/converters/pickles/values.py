"""Values out of a pickle, checked: spike samples, channels, single numbers and texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.records import Integer
from nwb_celltype.errors import InputError

_LARGEST = 2**53  # whole numbers up to here are exact as doubles


def whole_numbers(value: Any, what: str) -> Integer:
    """Return whole numbers as an (n,) array, from an array of any shape or a list.

    Parameters
    ----------
    value : object
    what : str
        What they are, in which unit and file.

    Raises
    ------
    InputError
        If they are no whole numbers.

    Examples
    --------
    >>> whole_numbers([3.0, 5], "spikes")
    array([3, 5])
    """
    numbers = _array(value)
    if numbers is None:
        message = f"{what}: whole numbers are needed, and a {type(value).__name__} of other things is there."
        raise InputError(message)
    with np.errstate(all="ignore"):
        is_whole = np.isfinite(numbers) & (np.abs(numbers.astype(np.float64)) < _LARGEST)
        if numbers.dtype.kind == "f":
            is_whole &= numbers == np.round(numbers)
    if not is_whole.all():
        odd = numbers[~is_whole][0]
        message = f"{what}: {odd} is no whole number. Spikes and channels are counted; seconds cannot be read."
        raise InputError(message)
    return numbers.astype(np.int64)


def first_whole(value: Any, what: str) -> int | None:
    """Return a whole number, or the first of several; None where there is none."""
    if value is None:
        return None
    numbers = whole_numbers([value] if isinstance(value, int | float | np.number) else value, what)
    return int(numbers[0]) if len(numbers) else None


def number(value: Any) -> float | None:
    """Return a single number, alone or in an array or list of one; None for anything else.

    Examples
    --------
    >>> number(np.array([40_000])), number("40000")
    (40000.0, None)
    """
    numbers = _array([value] if isinstance(value, int | float | np.number) else value)
    if numbers is None or len(numbers) != 1:
        return None
    try:
        return float(numbers[0])
    except OverflowError:
        return None


def floats(value: Any) -> NDArray[np.floating[Any]] | None:
    """Return numbers as an array of their own shape; None for anything else."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "iufb" and value.dtype.itemsize <= 8:
        return value
    return _array(value)


def at_channel(value: Any, channel: int | None) -> Any:
    """Return the value of one channel, where there is one for each; else the value itself."""
    if isinstance(value, Mapping):
        return value.get(channel)
    return value


def _array(value: Any) -> NDArray[Any] | None:
    """Numbers as an (n,) array; None where they are none."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "O":
            return _array(value.ravel().tolist())
        return value.ravel() if value.dtype.kind in "iuf" and value.dtype.itemsize <= 8 else None
    if isinstance(value, list | tuple) and all(_is_number(each) for each in value):
        try:
            return np.array(value, dtype=np.float64)
        except OverflowError:
            return None
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
