"""Pulses of digital lines as events tables, one a line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from nwb_celltype.converters.metadata.records import EventMetadata
from nwb_celltype.converters.records import LeftOut, Pulses
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


def unnamed(line: Pulses) -> EventMetadata:
    """Name and describe a line about which the metadata say nothing, after the source.

    Examples
    --------
    >>> unnamed(Pulses("nidq.XD0.3", np.array([1.0]), np.array([0.01]), False, "")).name
    'nidq_XD0_3'
    """
    name = re.sub(r"[^A-Za-z0-9_]+", "_", line.name)
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
