"""Events and manipulations beside a session's units (``basename.name.manipulation.mat``) as pulses."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nwb_celltype.converters.cellexplorer.matfile import read_mat, variables_of
from nwb_celltype.converters.cellexplorer.source import Source
from nwb_celltype.converters.cellexplorer.values import Struct, kind_of, struct_at, vector_of
from nwb_celltype.converters.records import Float, LeftOut, Pulses
from nwb_celltype.errors import InputError


def read_events(source: Source) -> tuple[tuple[Pulses, ...], tuple[LeftOut, ...]]:
    """Intervals of every file of events or manipulations, on the clock of the spikes.

    Parameters
    ----------
    source : Source

    Returns
    -------
    pulses : tuple of Pulses
        One for each file, called as the file is.
    left_out : tuple of LeftOut
        Files that hold no intervals.
    """
    pulses, left_out = [], []
    for path in source.files.timed:
        name = path.name[len(source.files.basename) + 1 :].removesuffix(".mat")
        try:
            starts, stops = _intervals(path)
        except InputError as error:
            left_out.append(LeftOut(path.name, str(error)))
            continue
        order = np.argsort(starts, kind="stable")
        text = f"Intervals (timestamps) of {path.name}, seconds as CellExplorer states them."
        pulses.append(Pulses(name, starts[order], (stops - starts)[order], is_high_at_start=False, source=text))
    return tuple(pulses), tuple(left_out)


def _intervals(path: Path) -> tuple[Float, Float]:
    names = variables_of(path)
    if not names:
        message = f"{path.name} holds no variable."
        raise InputError(message)
    struct: Struct = struct_at(read_mat(path, names[:1]), names[0])
    where = f"{path.name}: {names[0]}.timestamps"
    value = struct.get("timestamps")
    if not isinstance(value, np.ndarray) or value.ndim != 2 or 2 not in value.shape:
        message = f"{where} must be intervals, start and stop, and is {kind_of(value)}."
        raise InputError(message)
    flat = vector_of(value, where)
    if not np.all(np.isfinite(flat)):
        message = f"{where} holds values that are no number."
        raise InputError(message)
    intervals = flat.reshape(value.shape, order="F")
    intervals = intervals if intervals.shape[1] == 2 else intervals.T
    if np.any(intervals[:, 1] < intervals[:, 0]):
        message = f"{where} has intervals that end before they begin."
        raise InputError(message)
    return intervals[:, 0], intervals[:, 1]
