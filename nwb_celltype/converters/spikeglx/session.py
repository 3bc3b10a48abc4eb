"""A SpikeGLX run as one session: probes, digital lines and sorted units on one clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from nwb_celltype.converters.clocks import Clock, nominal_clock, same_device_clock
from nwb_celltype.converters.edges import fit_line_clock, pulses
from nwb_celltype.converters.records import LeftOut, Probe, ProbeRecording, Pulses, Sorting, SourceSession
from nwb_celltype.converters.spikeglx.geometry import read_probe
from nwb_celltype.converters.spikeglx.lines import Lines, read_lines
from nwb_celltype.converters.spikeglx.meta import Meta, read_meta
from nwb_celltype.converters.spikeglx.run import Run, StreamFiles, find_run
from nwb_celltype.converters.spikeglx.sortings import match_sortings
from nwb_celltype.converters.spikeglx.streams import all_columns, electrode_traces, size_note
from nwb_celltype.converters.traces import BinaryTraces
from nwb_celltype.errors import InputError

KIND = "spikeglx"
_AP_PER_LF = 12  # samples of the AP band of every probe with an LF band


@dataclass(frozen=True, eq=False)
class _Stream:
    """A stream with its header and its lines; these are empty when the ``.bin`` file is not there."""

    files: StreamFiles
    meta: Meta
    lines: Lines
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.files.name

    def nominal(self) -> Clock:
        return nominal_clock(self.name, self.meta.sampling_rate_hz, self.meta.first_sample)


@dataclass(frozen=True, eq=False)
class _Device:
    """Streams of one device, the first of them the one that its clock is fitted by."""

    name: str
    streams: tuple[_Stream, ...]

    def band(self, band: str) -> _Stream | None:
        return next((stream for stream in self.streams if stream.files.band == band), None)


def read_session(path: Path | str, *, sorting: Path | Sequence[Path] | None = None) -> SourceSession:
    """Read a SpikeGLX run, with the sorting beside it.

    Parameters
    ----------
    path : str or Path
        The run's folder or the one above it, a probe's folder, or one ``.bin`` file.
    sorting : Path, sequence of Path or None
        Phy or Kilosort folders, one for each probe at most; None looks for them under the run.

    Returns
    -------
    SourceSession
        The first probe's clock is the session clock: 0 is when acquisition began, ``firstSample`` samples before the
        file's first. Other streams are mapped onto it by the edges of the shared sync wave; a stream for which that
        fails keeps its nominal clock, and a note says so.

    Raises
    ------
    InputError
        There is no probe, or files are missing, broken, or from several recordings.
    UsageError
        A probe has several sortings, or a sorting belongs to no probe.

    Examples
    --------
    >>> session = read_session("mouse7_g0")  # doctest: +SKIP
    >>> [pulses.name for pulses in session.pulses]  # doctest: +SKIP
    ['imec0.SY0.6', 'nidq.XD0.0', 'nidq.XD0.3']
    """
    run = find_run(path)
    if not run.devices():
        message = f"{run.folder} holds no stream of a probe (imec), only {', '.join(s.name for s in run.streams)}."
        raise InputError(message)
    devices = [_read_device(name, run) for name in dict.fromkeys(stream.device for stream in run.streams)]
    folders, left_out = match_sortings(run, sorting)
    clocks, notes = _clocks(devices)
    recordings: list[ProbeRecording] = []
    for device in devices:
        if device.name in run.devices():
            recording, own_left_out, own_notes = _recording(device, clocks, folders.get(device.name))
            recordings.append(recording)
            left_out += own_left_out
            notes += own_notes
    if not any(recording.traces or recording.lfp or recording.sorting for recording in recordings):
        missing = ", ".join(stream.meta.with_suffix(".bin").name for stream in run.streams if stream.data is None)
        message = (
            f"{run.folder} holds headers alone, neither traces nor a sorting, so there is nothing to convert; put "
            f"{missing} beside its .meta file, or a sorting folder into the run."
        )
        raise InputError(message)
    streams = [stream for device in devices for stream in device.streams]
    left_out += tuple(
        LeftOut(f"{s.files.device} {item.what}", item.reason) for s in streams for item in s.lines.left_out
    )
    started, start_notes = _started(devices[0].streams[0].meta)
    return SourceSession(
        kind=KIND,
        paths=(Path(path),),
        recordings=tuple(recordings),
        pulses=tuple(pulse for device in devices for pulse in _pulses(device, clocks)),
        started=started,
        facts=_facts(run, devices[0].streams[0].meta),
        left_out=left_out,
        notes=(*run.notes, *(note for stream in streams for note in stream.notes), *notes, *start_notes),
        clocks=tuple(clocks[s.name] for d in devices if d.name not in run.devices() for s in d.streams),
    )


def _read_device(name: str, run: Run) -> _Device:
    files = [stream for stream in run.streams if stream.device == name]
    # Lines stand in both bands of a probe; those of the AP band are the finer ones.
    source = next((stream for stream in files if stream.data is not None), None)
    streams = [_read_stream(stream, with_lines=stream is source) for stream in files]
    return _Device(name, tuple(sorted(streams, key=lambda stream: stream.files is not source)))


def _read_stream(files: StreamFiles, *, with_lines: bool) -> _Stream:
    meta = read_meta(files.meta)
    if files.data is None:
        return _Stream(files, meta, Lines(), meta.notes)
    traces = all_columns(files, meta)
    size = size_note(meta, traces)
    notes = (*meta.notes, *traces.notes, *([size] if size else []))
    return _Stream(files, meta, read_lines(meta, traces) if with_lines else Lines(), notes)


def _clocks(devices: Sequence[_Device]) -> tuple[Mapping[str, Clock], list[str]]:
    """Clock of each stream on the session clock, by name, and what was odd."""
    clocks: dict[str, Clock] = {}
    notes: list[str] = []
    reference = devices[0].streams[0]
    # The AP band counts for the first probe, for it is what sorters count: its seconds must be exact.
    base = devices[0].band("ap") or reference
    for stream in devices[0].streams:
        clocks[stream.name] = _on_same_device(base.nominal(), stream)
    for device in devices[1:]:
        first = device.streams[0]
        clock = _aligned(first, reference, clocks[reference.name], notes)
        for stream in device.streams:
            clocks[stream.name] = _on_same_device(clock, stream)
    return clocks, notes


def _on_same_device(clock: Clock, stream: _Stream) -> Clock:
    if clock.stream == stream.name:
        return clock
    return same_device_clock(
        clock,
        stream=stream.name,
        sampling_rate_hz=stream.meta.sampling_rate_hz,
        first_sample=stream.meta.first_sample,
    )


def _aligned(stream: _Stream, reference: _Stream, reference_clock: Clock, notes: list[str]) -> Clock:
    nominal = stream.nominal()
    edges, reference_edges = stream.lines.sync_edges, reference.lines.sync_edges
    reason = ""
    if not stream.meta.sync.is_on:
        reason = "SpikeGLX was set to no sync source (syncSourceIdx=0)"
    elif edges is None or reference_edges is None:
        without = stream if edges is None else reference
        what = "is not there" if without.files.data is None else "holds no sync channel"
        reason = f"the .bin file of {without.name} {what}"
    if edges is None or reference_edges is None or reason:
        notes.append(_nominal_note(stream, reference, f"{reason}."))
        return nominal
    try:
        clock = fit_line_clock(
            edges,
            reference_edges,
            reference_clock,
            stream=stream.name,
            sampling_rate_hz=stream.meta.sampling_rate_hz,
            first_sample=stream.meta.first_sample,
            period_s=stream.meta.sync.period_s,
        )
    except InputError as error:
        notes.append(_nominal_note(stream, reference, str(error)))
        return nominal
    if clock.fit is not None and clock.fit.is_ambiguous:
        notes.append(clock.fit.doubt)
    return clock


def _nominal_note(stream: _Stream, reference: _Stream, reason: str) -> str:
    return (
        f"{stream.name} is not aligned to {reference.name}: {reason} Its times are its own sample numbers (from "
        "firstSample on) divided by its own rate; they may be off by milliseconds at first and drift from then on."
    )


def _recording(
    device: _Device, clocks: Mapping[str, Clock], folder: Path | None
) -> tuple[ProbeRecording, tuple[LeftOut, ...], list[str]]:
    ap, lf = device.band("ap"), device.band("lf")
    main = ap or lf
    if main is None:  # a device of a run has a stream
        message = f"{device.name} has neither an AP nor an LF stream."
        raise InputError(message)
    notes: list[str] = []
    probe = read_probe(main.meta, device.name)
    traces = electrode_traces(ap.files, ap.meta) if ap is not None and ap.files.data is not None else None
    lfp, left_out = _lfp(lf, main)
    clock = clocks[main.name]
    if ap is None:
        clock = same_device_clock(
            clock,
            stream=f"{device.name}.ap",
            sampling_rate_hz=main.meta.sampling_rate_hz * _AP_PER_LF,
            first_sample=main.meta.first_sample * _AP_PER_LF,
        )
        notes.append(
            f"{device.name} has no AP stream; samples of its AP band are counted from its LF stream, which is exact to "
            f"{_AP_PER_LF} of them."
        )
    recording = ProbeRecording(
        probe=probe,
        clock=clock,
        sorting=None if folder is None else _sorting(folder, main, probe, clock, traces),
        traces=traces,
        lfp=lfp,
        lfp_clock=None if lfp is None or lf is None else clocks[lf.name],
    )
    if folder is None:
        notes.append(f"No sorting (a folder with spike_times.npy) was found for {device.name}; it will have no units.")
    return recording, left_out, notes


def _lfp(lf: _Stream | None, main: _Stream) -> tuple[BinaryTraces | None, tuple[LeftOut, ...]]:
    """LF traces in the order of the rows of the probe, which are those of the AP stream."""
    if lf is None or lf.files.data is None:
        return None, ()
    wanted = main.meta.numbers_of(main.meta.kind.upper())
    saved, columns = lf.meta.numbers_of("LF"), lf.meta.columns_of("LF")
    missing = np.setdiff1d(wanted, saved)
    if len(missing):
        reason = f"It was saved without {len(missing)} of the channels of the AP band (LF{missing[0]} the first)."
        return None, (LeftOut(f"LF stream {lf.name}", reason),)
    order = columns[np.argsort(saved)][np.searchsorted(np.sort(saved), wanted)]
    return electrode_traces(lf.files, lf.meta, order), ()


def _sorting(folder: Path, main: _Stream, probe: Probe, clock: Clock, traces: BinaryTraces | None) -> Sorting:
    from nwb_celltype.converters.phy import read_sorting, require_same_rate

    sorting = read_sorting(
        folder,
        columns=main.meta.columns_of(main.meta.kind.upper()),
        probe=probe,
        n_samples=None if traces is None else traces.n_samples,
    )
    require_same_rate(sorting, folder, main.files.device, clock.sampling_rate_hz)
    return sorting


def _pulses(device: _Device, clocks: Mapping[str, Clock]) -> list[Pulses]:
    return [
        pulses(f"{device.name}.{line}", edges, clocks[stream.name], stream.lines.sources[line])
        for stream in device.streams
        for line, edges in stream.lines.edges.items()
    ]


def _started(meta: Meta) -> tuple[datetime | None, tuple[str, ...]]:
    """Moment of the session clock's 0: the file was begun `first_sample` samples after acquisition."""
    if meta.created is None:
        return None, ()
    before_s = meta.first_sample / meta.sampling_rate_hz
    started = (meta.created - timedelta(seconds=before_s) + timedelta(milliseconds=500)).replace(microsecond=0)
    note = (
        f"Time 0 is when acquisition began, {started.isoformat()} by the clock of the acquisition computer: "
        f"{before_s:.3f} s before the file was begun ({meta.created.isoformat()}). SpikeGLX does not state the zone."
    )
    return started, (note,)


def _facts(run: Run, meta: Meta) -> dict[str, str]:
    facts = {"NWBFile.session_id": run.name}
    user_notes = meta.values.get("userNotes", "").replace("\\n", "\n").strip()
    if user_notes:
        facts["NWBFile.notes"] = user_notes
    return facts
