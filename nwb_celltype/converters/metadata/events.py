"""The Events block: what the pulses on the digital lines mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nwb_celltype.converters.metadata.records import EventMetadata
from nwb_celltype.converters.metadata.values import Block
from nwb_celltype.converters.records import SourceSession

EVENT_KEYS = ("name", "description", "keep")


def check_events(top: Block, source: SourceSession | None) -> dict[str, EventMetadata]:
    """Check the Events block.

    Parameters
    ----------
    top : Block
        The whole of the metadata.
    source : SourceSession or None
        To know the lines that were recorded.

    Returns
    -------
    dict of str to EventMetadata
        By line. A line without a name of its own is called after itself.
    """
    lines = None
    if source is not None:
        lines = [pulses.name for pulses in source.pulses] + [marks.name for marks in source.marks]
    block = top.block("Events")
    events: dict[str, EventMetadata] = {}
    named: dict[str, str] = {}
    for line, entry in block.values.items():
        if line not in block or _is_neuroconv(line, entry):
            continue
        if lines is not None and line not in lines:
            top.problems.unknown(block.path_of(line), line, lines, "the recording has no such digital line")
            continue
        event = _event(block, line)
        if event.keep and event.name in named:
            found = f"{event.name!r} is also the name of {named[event.name]}"
            top.problems.add(f"{block.path_of(line)}.name", found, "a name of its own for each line", "name: laser_2")
        elif event.keep:
            named[event.name] = line
        events[line] = event
    return events


def _event(block: Block, line: str) -> EventMetadata:
    entry = block.block(line)
    entry.check_keys(EVENT_KEYS)
    name = entry.name("name", "what the pulses are, in a word", "name: laser") or line.replace("/", "_").replace(
        ":", "_"
    )
    description = entry.text("description", "what the pulses mean, in a sentence", "description: Laser on.")
    keep = entry.flag("keep", default=True)
    return EventMetadata(name, description or f"High periods of the digital line {line}.", keep)


def _is_neuroconv(line: str, entry: Any) -> bool:
    """Whether an entry is one that NeuroConv's own interfaces write."""
    return line == "EventTables" or (isinstance(entry, Mapping) and "event_types" in entry)
