"""Pulses of digital lines as events tables, one a line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from nwb_celltype.converters.metadata.records import EventMetadata
from nwb_celltype.converters.records import LeftOut, Marks, Pulses
from nwb_celltype.errors import InputError


def write_events(
    nwbfile: Any, pulses: tuple[Pulses, ...], stated: Mapping[str, EventMetadata]
) -> tuple[dict[str, Pulses], tuple[LeftOut, ...]]:
    """Add one `pynwb.event.EventsTable` for each line that had pulses and is wanted.

    A line about which the metadata say nothing is written under the name it has in the source.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    pulses : tuple of Pulses
    stated : mapping of str to EventMetadata
        By line.

    Returns
    -------
    written : dict of str to Pulses
        By name of their table.
    left_out : tuple of LeftOut
        Lines without a table.

    Raises
    ------
    InputError
        If two lines have the same name, or the file has such a table already.
    """
    written: dict[str, Pulses] = {}
    left_out = []
    for line in pulses:
        about = stated.get(line.name)
        if about is not None and not about.keep:
            left_out.append(LeftOut(f"digital line {line.name}", "the metadata say that it is not to be kept"))
            continue
        if len(line) == 0:
            left_out.append(LeftOut(f"digital line {line.name}", "no pulse on it"))
            continue
        about = about or unnamed(line)
        name = about.name.replace("/", "_").replace(":", "_")
        if name in written or name in (nwbfile.events or {}):
            message = (
                f"There are two events tables called {name!r}; give the line {line.name} another name under Events in "
                "the metadata, or keep: false."
            )
            raise InputError(message)
        nwbfile.add_events_table(_table(name, about.description, line))
        written[name] = line
    return written, tuple(left_out)


def write_marks(nwbfile: Any, marks: tuple[Marks, ...], stated: Mapping[str, EventMetadata]) -> tuple[LeftOut, ...]:
    """Add one events table for each channel of marks that has any: moments, with the values that were written down.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    marks : tuple of Marks
    stated : mapping of str to EventMetadata
        By channel.

    Returns
    -------
    tuple of LeftOut
        Channels without a table.

    Raises
    ------
    InputError
        If two channels have the same name, or the file has such a table already.
    """
    left_out = []
    for channel in marks:
        about = stated.get(channel.name) or EventMetadata(_clean(channel.name), f"Marks of the channel {channel.name}.")
        if not about.keep or not len(channel):
            reason = "no mark on it" if about.keep else "the metadata say that it is not to be kept"
            left_out.append(LeftOut(f"event channel {channel.name}", reason))
            continue
        name = about.name.replace("/", "_").replace(":", "_")
        if name in (nwbfile.events or {}):
            message = (
                f"There are two events tables called {name!r}; give the channel {channel.name} another name under "
                "Events in the metadata, or keep: false."
            )
            raise InputError(message)
        nwbfile.add_events_table(_table_of_marks(name, about.description, channel))
    return tuple(left_out)


def _table_of_marks(name: str, description: str, channel: Marks) -> Any:
    from hdmf.common import VectorData  # type: ignore[import-untyped,unused-ignore]
    from pynwb.event import EventsTable, TimestampVectorData

    times = TimestampVectorData(
        name="timestamp",
        description="When it was written down, seconds on the session clock.",
        data=np.asarray(channel.times_s, dtype=np.float64),
    )
    columns = [times]
    if channel.values is not None:
        values = np.asarray(channel.values)
        texts = values.dtype.kind not in "iub"
        data = [str(value) for value in values] if texts else values
        columns.append(VectorData(name="value", description="What was written down.", data=data))
    return EventsTable(
        name=name,
        description=description,
        source_description=f"Event channel {channel.name}. {channel.source}".strip(),
        columns=columns,
        colnames=[column.name for column in columns],
    )


def _clean(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", name)


def unnamed(line: Pulses) -> EventMetadata:
    """Name and describe a line about which the metadata say nothing, after the source.

    Examples
    --------
    >>> unnamed(Pulses("nidq.XD0.3", np.array([1.0]), np.array([0.01]), False, "")).name
    'nidq_XD0_3'
    """
    name = _clean(line.name)
    return EventMetadata(
        name=name, description=f"Pulses of the digital line {line.name}; what they mean is not stated."
    )


def _table(name: str, description: str, line: Pulses) -> Any:
    from hdmf.common import VectorData  # type: ignore[import-untyped,unused-ignore]
    from pynwb.event import DurationVectorData, EventsTable, TimestampVectorData

    began_before = np.zeros(len(line), dtype=np.bool_)
    began_before[0] = line.is_high_at_start
    columns = [
        TimestampVectorData(
            name="timestamp",
            description="When the line went high, seconds on the session clock.",
            data=np.asarray(line.onsets_s, dtype=np.float64),
        )
    ]
    if not np.all(np.isnan(line.durations_s)):
        columns.append(
            DurationVectorData(
                name="duration",
                description="How long it stayed high, seconds; NaN: still high when the recording ended.",
                data=np.asarray(line.durations_s, dtype=np.float64),
            )
        )
    columns.append(
        VectorData(
            name="is_high_at_start",
            description="Whether the line was high already when the recording began, so that the pulse began earlier.",
            data=began_before,
        )
    )
    return EventsTable(
        name=name,
        description=description or f"Pulses of the digital line {line.name}.",
        source_description=f"Digital line {line.name}. {line.source}".strip(),
        columns=columns,
        colnames=[column.name for column in columns],
    )
