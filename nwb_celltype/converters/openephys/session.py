"""An Open Ephys session as one: probes with both bands, digital lines, and the units sorted from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nwb_celltype.converters.clocks import Clock, nominal_clock, same_device_clock
from nwb_celltype.converters.edges import LineEdges, pulses
from nwb_celltype.converters.openephys.folder import Recording, find_recording
from nwb_celltype.converters.openephys.geometry import read_probe
from nwb_celltype.converters.openephys.sortings import match_sortings
from nwb_celltype.converters.openephys.structure import Stream, Structure, read_structure
from nwb_celltype.converters.openephys.timing import Counting, align, file_clock, read_counting, sync_lines
from nwb_celltype.converters.openephys.ttl import read_ttl
from nwb_celltype.converters.records import LeftOut, Probe, ProbeRecording, Pulses, Sorting, SourceSession
from nwb_celltype.converters.traces import BinaryTraces
from nwb_celltype.errors import InputError


@dataclass(eq=False)
class _Opened:
    """What was read of each stream, by its name."""

    recording: Recording
    structure: Structure
    countings: dict[str, Counting] = field(default_factory=dict)
    lines: dict[str, Mapping[int, LineEdges]] = field(default_factory=dict)
    clocks: dict[str, Clock] = field(default_factory=dict)  # for samples counted without gaps
    notes: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def read_session(path: Path | str, *, sorting: Path | str | Sequence[Path | str] | None = None) -> SourceSession:
    """Read one recording of Open Ephys, binary format.

    The first probe's stream is the session clock: ``(first sample + sample) / rate``. Every other stream is aligned to
    it by the sync line that both recorded, else by the timestamps that Open Ephys synchronised while it recorded, else
    not at all; a note says which.

    Parameters
    ----------
    path : str or Path
        Session, record node, experiment or recording.
    sorting : path or sequence of paths, optional
        Phy or Kilosort folders, one for each probe at most; looked for under the session by default.

    Returns
    -------
    SourceSession

    Raises
    ------
    InputError
        No recording or several of them, no electrodes, damaged files, or a sorting that belongs to no one probe.

    Examples
    --------
    >>> session = read_session("2026-01-31_14-03-00")  # doctest: +SKIP
    >>> [len(recording.probe) for recording in session.recordings]  # doctest: +SKIP
    [384]
    """
    recording = find_recording(path)
    opened = _Opened(recording, read_structure(recording))
    opened.left_out += opened.structure.left_out
    pairs = _bands(opened.structure)
    if not pairs:
        message = f"{recording.folder} has no stream with electrodes; there is nothing to convert."
        raise InputError(message)
    for stream in opened.structure.streams:
        opened.countings[stream.name], notes = read_counting(stream)
        opened.notes += notes
    _read_lines(opened)
    _align_all(opened, pairs)
    recordings = _recordings(opened, pairs, sorting)
    probe_streams = {stream.name for pair in pairs for stream in pair if stream is not None}
    for stream in opened.structure.streams:
        unused = [channel.name for channel in stream.channels if not channel.is_electrode]
        if unused:
            shown = ", ".join(unused[:4]) + (", ..." if len(unused) > 4 else "")
            opened.left_out.append(LeftOut(f"{len(unused)} channels of {stream.name} ({shown})", "not electrodes"))
    return SourceSession(
        kind="openephys",
        paths=(Path(path),),
        recordings=recordings,
        pulses=_pulses(opened, pairs),
        started=recording.started,
        facts={"NWBFile.session_id": recording.session.name},
        left_out=tuple(opened.left_out),
        notes=tuple(opened.notes),
        clocks=tuple(
            file_clock(opened.clocks[s.name], opened.countings[s.name])
            for s in opened.structure.streams
            if s.name not in probe_streams
        ),
    )


def open_traces(stream: Stream) -> BinaryTraces:
    """Electrode channels of a stream.

    Examples
    --------
    >>> open_traces(stream).gains_uv[:2]  # doctest: +SKIP
    array([0.195, 0.195])
    """
    columns = np.array(stream.electrodes, dtype=np.int64)
    steps = [step.strip() for step in stream.channels[columns[0]].history.split("->")][1:-1]
    return BinaryTraces(
        name=stream.name,
        paths=(stream.folder / "continuous.dat",),
        dtype=np.dtype("<i2"),
        n_file_channels=len(stream.channels),
        columns=columns,
        sampling_rate_hz=stream.sampling_rate_hz,
        gains_uv=np.array([stream.channels[column].gain_uv for column in columns]),
        filtering=f"Processed in Open Ephys before it was stored: {', '.join(steps)}." if steps else "",
    )


def _bands(structure: Structure) -> list[tuple[Stream, Stream | None]]:
    """Streams with electrodes: the fast band of each probe and the slow one, which has no probe of its own."""
    streams = [stream for stream in structure.streams if stream.electrodes]
    slow = [stream for stream in streams if stream.is_lfp]
    pairs: list[tuple[Stream, Stream | None]] = []
    for stream in streams:
        if stream.is_lfp:
            continue
        own = [other for other in slow if other.device == stream.device]
        if not own:  # before 0.6: Neuropix-PXI-100.0 and, next to it, Neuropix-PXI-100.1
            head, _, number = stream.folder.name.rpartition(".")
            follower = f"{head}.{int(number) + 1}" if number.isdigit() else ""
            own = [other for other in slow if other.folder.name == follower]
        own = [other for other in own if len(other.electrodes) == len(stream.electrodes)]
        pairs.append((stream, own[0] if own else None))
    paired = {other.name for _, other in pairs if other is not None}
    return [*pairs, *((stream, None) for stream in slow if stream.name not in paired)]


def _read_lines(opened: _Opened) -> None:
    for ttl in opened.structure.ttl:
        counting = opened.countings.get(ttl.stream)
        if counting is None:
            opened.left_out.append(LeftOut(f"lines of {ttl.stream}", "the stream's continuous.dat is not there"))
            continue
        found = read_ttl(ttl, first_sample=counting.first_sample, n_samples=counting.span)
        opened.lines[ttl.stream] = {**opened.lines.get(ttl.stream, {}), **found.edges}
        opened.notes += found.notes


def _align_all(opened: _Opened, pairs: list[tuple[Stream, Stream | None]]) -> None:
    first = pairs[0][0]
    counting = opened.countings[first.name]
    clock = nominal_clock(first.name, first.sampling_rate_hz, counting.first_sample)
    opened.clocks[first.name] = clock
    fast_of = {slow.name: fast.name for fast, slow in pairs if slow is not None}
    set_lines = sync_lines(opened.recording)
    reference = clock, counting, opened.lines.get(first.name, {})
    for stream in sorted(opened.structure.streams, key=lambda s: s.name in fast_of):
        own = opened.countings[stream.name]
        if stream.name in fast_of:
            opened.clocks[stream.name] = same_device_clock(
                opened.clocks[fast_of[stream.name]],
                stream=stream.name,
                sampling_rate_hz=stream.sampling_rate_hz,
                first_sample=own.first_sample,
            )
        elif stream is not first:
            lines = set_lines.get(stream.name, 1), set_lines.get(first.name, 1)
            found, note = align(stream, own, opened.lines.get(stream.name, {}), reference=reference, sync_lines=lines)
            opened.clocks[stream.name] = found
            opened.notes.append(note)


def _recordings(
    opened: _Opened,
    pairs: list[tuple[Stream, Stream | None]],
    sorting: Path | str | Sequence[Path | str] | None,
) -> tuple[ProbeRecording, ...]:
    fast = [stream for stream, _ in pairs]
    folders = match_sortings(opened.recording, fast, sorting)
    recordings = []
    for stream, slow in pairs:
        probe, notes = read_probe(stream, opened.recording)
        traces = open_traces(stream)
        opened.notes += [*notes, *traces.notes]
        clock = file_clock(opened.clocks[stream.name], opened.countings[stream.name])
        lfp = open_traces(slow) if slow is not None else None
        lfp_clock = file_clock(opened.clocks[slow.name], opened.countings[slow.name]) if slow is not None else None
        units = _units(folders.get(stream.name), traces, probe)
        is_slow_alone = stream.is_lfp
        recordings.append(
            ProbeRecording(
                probe=probe,
                clock=clock,
                sorting=units,
                traces=None if is_slow_alone else traces,
                lfp=traces if is_slow_alone else lfp,
                lfp_clock=clock if is_slow_alone else lfp_clock,
            )
        )
    return tuple(recordings)


def _units(folder: Path | None, traces: BinaryTraces, probe: Probe) -> Sorting | None:
    from nwb_celltype.converters.phy import read_sorting, require_same_rate

    if folder is None:
        return None
    sorting = read_sorting(folder, columns=traces.columns, probe=probe, n_samples=traces.n_samples)
    require_same_rate(sorting, folder, traces.name, traces.sampling_rate_hz)
    return sorting


def _pulses(opened: _Opened, pairs: list[tuple[Stream, Stream | None]]) -> tuple[Pulses, ...]:
    slow = {other.name: stream for stream, other in pairs if other is not None}
    found = []
    for name, lines in opened.lines.items():
        if name in slow and slow[name].name in opened.lines:
            reason = f"the same lines are in {slow[name].name}, at a higher rate"
            opened.left_out += [LeftOut(f"lines of {name}", reason)] if lines else []
            continue
        for line, edges in lines.items():
            source = f"TTL events of stream {name}, line {line}."
            found.append(pulses(f"{name}.TTL{line}", edges, opened.clocks[name], source))
    return tuple(found)
