"""Lines of a SpikeGLX header: ``key=value`` text, and the numbers and lists in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nwb_celltype.errors import InputError

_LARGEST = 2**62
_MOST_CHANNELS = 100_000  # ten times what any stream has; a damaged number must not fill the memory


def broken(path: Path, key: str, problem: str) -> InputError:
    """Return the error for a header that cannot be used, naming file and key."""
    message = f"{path}: {key} {problem}. Take the header from the original recording."
    return InputError(message)


def read_values(path: Path) -> dict[str, str]:
    """Every ``key=value`` line of a header, keys without ``~``; InputError names a line that is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}); give the .meta file that SpikeGLX wrote beside the .bin."
        raise InputError(message) from error
    if not data.strip():
        message = f"{path} is empty; take the header from the original recording."
        raise InputError(message)
    # Notes of the user may be in the code page of the acquisition computer; every key that matters is ASCII.
    text = data.decode("utf-8-sig", errors="replace")
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        key, equals, value = line.partition("=")
        key = key.strip().removeprefix("~")
        if not equals or not re.fullmatch(r"\w[\w.\-]*", key):
            message = f"{path}, line {number}: {line[:60]!r} is not key=value, so this is no complete SpikeGLX header."
            raise InputError(message)
        values[key] = value.strip()
    return values


def required(path: Path, values: Mapping[str, str], key: str) -> str:
    """Return a value; InputError when it is missing or empty."""
    if not values.get(key):
        raise broken(path, key, "is missing")
    return values[key]


def integer(path: Path, values: Mapping[str, str], key: str) -> int:
    """Return a whole number; InputError when it is missing or none."""
    text = required(path, values, key)
    try:
        value = int(text)
    except ValueError as error:
        raise broken(path, key, f"is {text[:40]!r}; it should be a whole number") from error
    if abs(value) > _LARGEST:
        raise broken(path, key, f"is {text[:40]!r}, which no recording has")
    return value


def number(path: Path, values: Mapping[str, str], key: str) -> float:
    """Return a finite number; InputError when it is missing or none."""
    text = required(path, values, key)
    try:
        value = float(text)
    except ValueError as error:
        raise broken(path, key, f"is {text[:40]!r}; it should be a number") from error
    if not np.isfinite(value):
        raise broken(path, key, f"is {text!r}; it should be a finite number")
    return value


def channel_list(text: str) -> list[int]:
    """Numbers of a list such as ``0:3,7``, ranges inclusive; ValueError when it is none.

    Examples
    --------
    >>> channel_list("0,2:4,6:7")
    [0, 2, 3, 4, 6, 7]
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, colon, last = part.partition(":")
        start, stop = int(first), int(last if colon else first)
        if start < 0 or stop < start or stop > _MOST_CHANNELS or len(numbers) > _MOST_CHANNELS:
            message = f"{part!r} is no range of channels"
            raise ValueError(message)
        numbers.extend(range(start, stop + 1))
    return numbers
