"""One NeuroExplorer file as a session: units, events, markers and intervals on the file's own clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nwb_celltype.converters.clocks import Clock
from nwb_celltype.converters.neuroexplorer.file import NexFile, Variable, open_nex
from nwb_celltype.converters.neuroexplorer.layout import Kind
from nwb_celltype.converters.neuroexplorer.units import electrodes, find_units, read_units
from nwb_celltype.converters.records import Float, LeftOut, Marks, ProbeRecording, Pulses, SourceSession

_WHOLE_FILE = "allfile"  # NeuroExplorer adds an interval over everything


def read_session(path: str | Path) -> SourceSession:
    """Read a .nex or .nex5 file.

    Neurons become units, with the mean of the snippets that are saved under their name (in microvolts, on the one
    electrode that the file knows them from); events and markers become marks, intervals pulses. Ticks divided by the
    file's frequency are the session's seconds. Continuous channels are left out: the file does not say which are
    electrodes, and holds them one after another with gaps of their own.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    SourceSession

    Raises
    ------
    InputError
        If it is no file of NeuroExplorer, cut off or damaged.

    Examples
    --------
    >>> read_session("no_such_file.nex")
    Traceback (most recent call last):
        ...
    nwb_celltype.errors.InputError: no_such_file.nex cannot be read: No such file or directory. Check the path.
    """
    file = open_nex(path)
    left_out, notes = list[LeftOut](), [*file.notes]
    units = find_units(file, left_out, notes)
    probe, rows = electrodes(units)
    sorting = read_units(file, units, rows, len(probe), notes)
    names = _Names()
    marks = tuple(
        mark
        for variable in file.variables
        if variable.kind in (Kind.EVENT, Kind.MARKER)
        for mark in _marks(file, variable, names, left_out, notes)
    )
    pulses = tuple(
        line
        for variable in file.variables
        if variable.kind is Kind.INTERVAL
        for line in _pulses(file, variable, names, left_out, notes)
    )
    left_out += [_left_out(variable) for variable in file.variables if variable.kind in _NOT_WRITTEN]
    if file.comment:
        notes.append(f"the file says of itself: {file.comment}")
    recording = ProbeRecording(
        probe=probe,
        clock=Clock(probe.name, file.frequency_hz, how="ticks of the file divided by its frequency"),
        sorting=sorting,
        observed_s=_observed(file, int(sorting.spike_samples.max(initial=0)), notes),
    )
    return SourceSession(
        kind="neuroexplorer",
        paths=(file.path,),
        recordings=(recording,),
        pulses=pulses,
        facts={"NWBFile.session_id": file.path.stem},
        left_out=tuple(left_out),
        notes=tuple(notes),
        marks=marks,
    )


_NOT_WRITTEN = (Kind.CONTINUOUS, Kind.POPULATION_VECTOR)


class _Names:
    """Names of events, each given once: a file can have two variables of one name."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, name: str) -> str:
        free, k = name, 2
        while free in self._taken:
            free, k = f"{name}_{k}", k + 1
        self._taken.add(free)
        return free


def _observed(file: NexFile, last_spike: int, notes: list[str]) -> Float | None:
    """The stretch of time that the file covers, in seconds; None where its header does not fit its spikes."""
    if not 0 <= file.begin < file.end:
        return None
    if last_spike > file.end:
        notes.append("spikes go on after the end that the file states; that end is not used")
        return None
    return np.array([[file.begin / file.frequency_hz, file.end / file.frequency_hz]])


def _marks(file: NexFile, variable: Variable, names: _Names, left_out: list[LeftOut], notes: list[str]) -> list[Marks]:
    if not variable.count:
        left_out.append(LeftOut(f"event {variable.name}", "nothing happened on it"))
        return []
    ticks = file.ticks(variable)
    order = np.argsort(ticks, kind="stable")
    if np.any(ticks[1:] < ticks[:-1]):
        notes.append(f"the times of {variable.name} are not in order; they were sorted")
    times = ticks[order] / file.frequency_hz
    if variable.kind is Kind.EVENT:
        return [Marks(names.take(variable.name), times, None, "Event variable of the NeuroExplorer file.")]
    fields = file.marker_fields(variable)
    source = "Marker variable of the NeuroExplorer file"
    if not fields:
        return [Marks(names.take(variable.name), times, None, f"{source}, without a value.")]
    return [
        Marks(
            names.take(variable.name if len(fields) == 1 else f"{variable.name}.{field}"),
            times,
            values[order],
            f"{source}, field {field}.",
        )
        for field, values in fields.items()
    ]


def _pulses(
    file: NexFile, variable: Variable, names: _Names, left_out: list[LeftOut], notes: list[str]
) -> list[Pulses]:
    name = variable.name
    if not variable.count:
        left_out.append(LeftOut(f"interval {name}", "there are none"))
        return []
    starts, stops = file.ticks(variable), file.interval_ends(variable)
    is_whole_file = variable.count == 1 and (starts[0] <= file.begin and stops[0] >= file.end)
    if name.lower() == _WHOLE_FILE and is_whole_file:
        left_out.append(LeftOut(f"interval {name}", "it covers the whole file, as NeuroExplorer adds it"))
        return []
    order = np.argsort(starts, kind="stable")
    starts, stops = starts[order], stops[order]
    durations = (stops - starts) / file.frequency_hz
    n_odd = int(np.count_nonzero(durations < 0))
    if n_odd:
        notes.append(f"{n_odd} intervals of {name} end before they begin; their duration is taken as unknown")
        durations[durations < 0] = np.nan
    if np.any(starts[1:] < stops[:-1]):
        notes.append(f"intervals of {name} overlap")
    source = "Interval variable of the NeuroExplorer file."
    return [Pulses(names.take(name), starts / file.frequency_hz, durations, False, source)]


def _left_out(variable: Variable) -> LeftOut:
    if variable.kind is Kind.POPULATION_VECTOR:
        return LeftOut(f"population vector {variable.name}", "weights of an analysis and no recording")
    seconds = variable.n_points / variable.rate_hz if variable.rate_hz > 0 else np.nan
    pieces = "1 fragment" if variable.count == 1 else f"{variable.count} fragments"
    reason = (
        f"{seconds:.1f} s at {variable.rate_hz:g} Hz in {pieces}: nothing says whether it is an electrode; convert the "
        "file of the acquisition system to get the recording"
    )
    return LeftOut(f"continuous channel {variable.name}", reason)
