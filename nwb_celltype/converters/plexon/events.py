"""Event channels as pulses and marks, and the time in which a file was recorded."""

from __future__ import annotations

import numpy as np

from nwb_celltype.converters.plexon.content import Content, EventChannel
from nwb_celltype.converters.records import Float, Marks, Pulses

_LINE = "Digital input {name} of the Plexon system, which keeps the moments of its rises and no falls: no durations."


def make_pulses(content: Content) -> tuple[Pulses, ...]:
    """Digital inputs, the silent ones too; durations are NaN, because Plexon keeps rises alone."""
    return tuple(
        Pulses(
            name=name,
            onsets_s=event.ticks / content.tick_rate_hz,
            durations_s=np.full(len(event.ticks), np.nan),
            is_high_at_start=False,
            source=_LINE.format(name=name),
        )
        for name, event in _named(content)
        if event.is_line
    )


def make_marks(content: Content) -> tuple[Marks, ...]:
    """All other events that occur: strobed words with their values, keyboard, start and stop of recording."""
    return tuple(
        Marks(
            name=name,
            times_s=event.ticks / content.tick_rate_hz,
            values=event.values,
            source=(
                f"Words of 16 bits that were strobed into the Plexon system, channel {name}."
                if event.values is not None
                else f"Event channel {name} of the Plexon system."
            ),
        )
        for name, event in _named(content)
        if not event.is_line and len(event.ticks)
    )


def recorded_s(content: Content) -> Float | None:
    """Session seconds between each start and the stop that follows, (k, 2); None where there was no pause.

    A stop without a start before it ends what began with the file; a start without a stop goes on to its last event.
    """
    moments = np.concatenate([content.starts, content.stops])
    is_start = np.arange(len(moments)) < len(content.starts)
    order = np.lexsort((is_start, moments))  # a stop and a start at one moment: the stop comes first
    spans: list[tuple[int, int]] = []
    begun: int | None = None if len(content.starts) else 0
    if len(moments) and not is_start[order[0]]:
        begun = 0
    for k in order.tolist():
        if is_start[k]:
            begun = int(moments[k]) if begun is None else begun
        elif begun is not None:
            spans.append((begun, int(moments[k])))
            begun = None
    if begun is not None:
        spans.append((begun, max(content.last_tick, begun)))
    spans = [(first, last) for first, last in spans if last > first]
    return np.array(spans, dtype=np.float64) / content.tick_rate_hz if len(spans) > 1 else None


def _named(content: Content) -> list[tuple[str, EventChannel]]:
    """Event channels with names of their own."""
    seen: dict[str, int] = {}
    named = []
    for event in content.events:
        seen[event.name] = seen.get(event.name, 0) + 1
        named.append((event.name if seen[event.name] == 1 else f"{event.name} ({seen[event.name]})", event))
    return named
