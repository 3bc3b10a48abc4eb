"""Ranges of channels and of depths as people write them: ``0-95``, ``[0, 95]``, ``[0-95, 200]``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from nwb_celltype.converters.metadata.values import as_number, as_text

_CHANNELS = re.compile(r"(\d{1,6})(?: ?(?:-|–|\.\.|:|to) ?(\d{1,6}))?")
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_DEPTHS = re.compile(rf"{_NUMBER}? ?(?:-|–|\.\.|to) ?{_NUMBER}?(?: ?um| ?µm)?")


def channel_ranges(value: Any) -> list[tuple[int, int]] | None:
    """Read channels: ranges with both ends included, in the order given; `None` where a value is none.

    Two numbers in a list are the ends of a range; three and more are channels one by one.

    Examples
    --------
    >>> channel_ranges("0-95, 200"), channel_ranges([0, 95]), channel_ranges(["0-3", 7]), channel_ranges([1, 2, 3, 9])
    ([(0, 95), (200, 200)], [(0, 95)], [(0, 3), (7, 7)], [(1, 3), (9, 9)])
    """
    if isinstance(value, list | tuple):
        return _from_list(value)
    text = as_text(value)
    if not text:
        return None
    ranges = [_one_range(part.strip()) for part in text.split(",")]
    return None if None in ranges else [r for r in ranges if r is not None]


def depth_range(value: Any) -> tuple[float | None, float | None] | None:
    """Read a range of depths in micrometres; an end that is left out is open; `None` where a value is no range.

    Examples
    --------
    >>> depth_range([960, 1300]), depth_range("960-1300 um"), depth_range([1300, None]), depth_range([3, 2])
    ((960.0, 1300.0), (960.0, 1300.0), (1300.0, None), None)
    """
    ends: Sequence[Any]
    if isinstance(value, list | tuple):
        ends = value
    else:
        match = _DEPTHS.fullmatch(as_text(value) or "")
        ends = match.groups() if match else ()
    if len(ends) != 2:
        return None
    numbers = [as_number(end) for end in ends]
    if any(number is None and end is not None for number, end in zip(numbers, ends, strict=True)):
        return None
    low, high = numbers
    if (low is None and high is None) or (low is not None and high is not None and low >= high):
        return None
    return low, high


def _from_list(values: Sequence[Any]) -> list[tuple[int, int]] | None:
    plain = all(isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**6 for value in values)
    if plain and len(values) == 2:
        return [(values[0], values[1])] if values[0] <= values[1] else None
    if plain:
        return _runs(sorted(set(values))) or None
    ranges: list[tuple[int, int]] = []
    for value in values:
        inner = None if isinstance(value, list | tuple) and len(value) != 2 else _ranges_of_item(value)
        if inner is None:
            return None
        ranges += inner
    return ranges or None


def _ranges_of_item(value: Any) -> list[tuple[int, int]] | None:
    """Read one entry of a list of channels: a range as text, a pair of numbers, or one number."""
    if isinstance(value, list | tuple):
        plain = all(isinstance(end, int) and not isinstance(end, bool) for end in value)
        return _from_list(value) if plain else None
    return channel_ranges(value)


def _one_range(text: str) -> tuple[int, int] | None:
    match = _CHANNELS.fullmatch(text)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2] or match[1])
    return (first, last) if first <= last else None


def _runs(channels: Sequence[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for channel in channels:
        if runs and channel == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], channel)
        else:
            runs.append((channel, channel))
    return runs
