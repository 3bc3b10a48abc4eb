"""A Plexon file as one session: electrodes, traces, units, events and pauses on the clock of the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from nwb_celltype.converters.clocks import Clock
from nwb_celltype.converters.plexon.content import AnalogChannel, Content
from nwb_celltype.converters.plexon.events import make_marks, make_pulses, recorded_s
from nwb_celltype.converters.plexon.fragments import Grid, lay_grid
from nwb_celltype.converters.plexon.geometry import ELECTRODE, UNKNOWN
from nwb_celltype.converters.plexon.pl2 import read_pl2
from nwb_celltype.converters.plexon.plx import read_plx
from nwb_celltype.converters.plexon.traces import BlockTraces
from nwb_celltype.converters.plexon.units import FoundUnits, PlexonUnit, find_units, make_sorting
from nwb_celltype.converters.records import Float, Integer, LeftOut, Probe, ProbeRecording, Sorting, SourceSession
from nwb_celltype.errors import InputError, UsageError

KIND = "plexon"
PROBE = "plexon"
_READERS = {".plx": read_plx, ".pl2": read_pl2}
_FILTERING = {
    "WB": "Wideband, as digitized.",
    "SPKC": "High-passed by the acquisition system for spikes (SPKC); the corner is not stated in the file.",
    "FP": "Low-passed by the acquisition system for field potentials (FP); the corner is not stated in the file.",
}
_SUFFIX = {"FP": "LFP"}


@dataclass(frozen=True, eq=False)
class _Stream:
    """Channels of one kind and rate."""

    kind: str
    channels: tuple[AnalogChannel, ...]

    @property
    def numbers(self) -> list[int]:
        return [channel.electrode for channel in self.channels]


@dataclass(eq=False)
class _Opened:
    """What was read, and what was found on the way."""

    content: Content
    found: FoundUnits
    streams: dict[str, _Stream]
    has_own_sorting: bool
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_content(path: Path | str) -> Content:
    """Read a .plx or a .pl2 file, by its ending.

    Parameters
    ----------
    path : str or Path
        The file, or a folder that holds exactly one of them.

    Returns
    -------
    Content

    Raises
    ------
    InputError
        There is no such file, or several, or it cannot be read.

    Examples
    --------
    >>> read_content("session.pl2").tick_rate_hz  # doctest: +SKIP
    40000.0
    """
    path = Path(path).expanduser()
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.suffix.lower() in _READERS)
        if len(files) != 1:
            shown = ", ".join(each.name for each in files) or "none"
            message = f"{path} must hold one .plx or .pl2 file ({shown} found); name the file."
            raise InputError(message)
        path = files[0]
    if path.suffix.lower() not in _READERS:
        message = f"{path} is no Plexon file by its name; give a .plx or a .pl2 file."
        raise InputError(message)
    return _READERS[path.suffix.lower()](path)


def read_session(path: Path | str, *, sorting: Path | str | Sorting | None = None) -> SourceSession:
    """Read a .plx or .pl2 file as one session.

    Time 0 is tick 0 of a .plx file, and the begin of recording in a .pl2 file. Traces are the wideband where it was
    recorded, else the high-passed spike channels; field potentials go beside them. Units that were sorted before the
    file was written come with the mean of their snippets. Unsorted waveforms are listed as left out.

    Parameters
    ----------
    path : str or Path
        The file, or a folder that holds exactly one.
    sorting : str, Path, Sorting, optional
        Units that were sorted from the traces, in place of those of the file: a Kilosort or Phy folder, or a sorting
        whose spikes are sample numbers of the traces, counted without pauses.

    Returns
    -------
    SourceSession
        One recording. Spike channels whose electrode has no traces are a second one, ``plexon_spikes``.

    Raises
    ------
    InputError
        The file cannot be read, or holds nothing.
    UsageError
        A sorting is given for a file without traces.

    Examples
    --------
    >>> session = read_session("session.pl2")  # doctest: +SKIP
    >>> session.recordings[0].sorting.unit_names  # doctest: +SKIP
    ('SPK01a', 'SPK01b', 'SPK09a')
    """
    content = read_content(path)
    found = find_units(content)
    opened = _Opened(content, found, _streams(content), has_own_sorting=sorting is not None)
    opened.left_out += [*content.left_out, *found.left_out]
    opened.notes += [*content.notes, *found.notes]
    if opened.has_own_sorting and found.units:
        names = ", ".join(unit.name for unit in found.units)
        opened.left_out.append(LeftOut(f"units of {content.path.name} ({names})", "another sorting was given"))
    recordings = _recordings(opened)
    if not recordings and not any(len(event.ticks) for event in content.events):
        message = f"{content.path} holds neither traces nor spikes nor events; there is nothing to convert."
        raise InputError(message)
    if sorting is not None:
        recordings = [_with_sorting(recordings, sorting, content), *recordings[1:]]
    facts = {"NWBFile.session_id": content.path.stem, **content.facts}
    if content.comment:
        facts["NWBFile.notes"] = content.comment
    return SourceSession(
        kind=KIND,
        paths=(content.path,),
        recordings=tuple(recordings),
        pulses=make_pulses(content),
        started=content.started,
        facts=facts,
        left_out=tuple(opened.left_out),
        notes=tuple(opened.notes),
        marks=make_marks(content),
    )


def _streams(content: Content) -> dict[str, _Stream]:
    """Channels by kind; of several rates, the one that most channels have, and the highest of equals."""
    streams = {}
    for kind in ("WB", "SPKC", "FP"):
        channels = [channel for channel in content.analog if channel.kind == kind]
        rates = [channel.sampling_rate_hz for channel in channels]
        if rates:
            rate = max(set(rates), key=lambda each: (rates.count(each), each))
            chosen: dict[int, AnalogChannel] = {}
            for channel in channels:
                if channel.sampling_rate_hz == rate:
                    chosen.setdefault(channel.electrode, channel)
            streams[kind] = _Stream(kind, tuple(chosen[number] for number in sorted(chosen)))
    return streams


def _recordings(opened: _Opened) -> list[ProbeRecording]:
    content, streams = opened.content, opened.streams
    main = streams.get("WB") or streams.get("SPKC")
    slow = streams.get("FP")
    spiking = {channel.number for channel in content.spikes if len(channel.ticks)}
    spiking |= {each.number for unit in opened.found.units for each in unit.channels}
    base = main or slow
    recordings = []
    covered = set(base.numbers) if base is not None else set()
    if base is not None:
        recordings.append(_traced(opened, base, main, slow))
    rest = sorted(spiking - covered)
    if rest:
        recordings.append(_spikes_alone(opened, rest, PROBE if base is None else f"{PROBE}_spikes"))
    used = {id(channel) for stream in (main, slow) if stream is not None for channel in stream.channels}
    opened.left_out += [_unused(channel, streams) for channel in content.analog if id(channel) not in used]
    return recordings


def _unused(channel: AnalogChannel, streams: dict[str, _Stream]) -> LeftOut:
    what = f"analog channel {channel.name} ({channel.sampling_rate_hz:g} Hz)"
    if channel.kind == "AUX":
        return LeftOut(what, "it is an analog input and not on an electrode, by its name and source")
    if channel.kind == "SPKC" and "WB" in streams:
        return LeftOut(what, "the wideband of the electrodes is kept, from which it was filtered")
    return LeftOut(what, "another channel of its kind has its electrode, or most of its kind have another rate")


def _traced(opened: _Opened, base: _Stream, main: _Stream | None, slow: _Stream | None) -> ProbeRecording:
    """Electrodes of the traces, or of the field potentials where there are none."""
    content, numbers = opened.content, base.numbers
    units = _units_on(opened, numbers)
    needed = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *(unit.ticks for unit in units)]))
    traces, grid = _traces(opened, main, needed) if main is not None else (None, None)
    lfp, lfp_grid = _lfp(opened, slow, numbers)
    if opened.has_own_sorting and grid is not None:
        samples_fit = True
    else:
        samples_fit = grid is not None and _are_whole(grid.samples(needed))
    probe = _probe(content, PROBE, [channel.name for channel in base.channels], numbers)
    recording = ProbeRecording(
        probe=probe,
        clock=grid.clock() if grid is not None and samples_fit else _tick_clock(content),
        traces=traces if samples_fit else None,
        lfp=lfp,
        lfp_clock=None if lfp_grid is None else lfp_grid.clock(),
        observed_s=_observed(opened, grid, needed),
    )
    if traces is not None and grid is not None and not samples_fit:
        recording = _beside(opened, recording, traces, grid)
    if not units:
        return recording
    rate = recording.clock.sampling_rate_hz
    rows = {number: row for row, number in enumerate(numbers)}
    to_samples = _rounded(grid) if grid is not None and samples_fit else _ticks
    return replace(recording, sorting=make_sorting(content, units, rows, len(numbers), to_samples, rate))


def _beside(opened: _Opened, recording: ProbeRecording, traces: BlockTraces, grid: Grid) -> ProbeRecording:
    """Keep the times of spikes exact where the traces are sampled at other moments than spikes were noticed."""
    opened.notes.append(
        f"{traces.name} is sampled at {grid.sampling_rate_hz:g} Hz and spikes were timed at "
        f"{grid.tick_rate_hz:g} Hz; spikes keep their times, waveforms are the stored snippets."
    )
    if recording.lfp is not None:
        reason = "the traces of the same electrodes take their place, as their rate is not that of the spikes"
        opened.left_out.append(LeftOut(f"field potentials ({recording.lfp.name})", reason))
    return replace(recording, lfp=traces, lfp_clock=grid.clock())


def _spikes_alone(opened: _Opened, numbers: list[int], name: str) -> ProbeRecording:
    """Spike channels without traces."""
    content = opened.content
    names = {channel.number: channel.name for channel in reversed(content.spikes)}
    units = _units_on(opened, numbers)
    clock = _tick_clock(content)
    rows = {number: row for row, number in enumerate(numbers)}
    sorting = make_sorting(content, units, rows, len(numbers), _ticks, clock.sampling_rate_hz) if units else None
    probe = _probe(content, name, [names[number] for number in numbers], numbers)
    return ProbeRecording(probe=probe, clock=clock, sorting=sorting, observed_s=recorded_s(content))


def _units_on(opened: _Opened, numbers: Sequence[int]) -> list[PlexonUnit]:
    """Units of these electrodes; a unit of a trode is where all its channels are, or its first one."""
    if opened.has_own_sorting:
        return []
    units = [unit for unit in opened.found.units if unit.channels[0].number in numbers]
    return [
        replace(unit, channels=tuple(channel for channel in unit.channels if channel.number in numbers))
        for unit in units
    ]


def _traces(opened: _Opened, stream: _Stream, needed: Integer) -> tuple[BlockTraces, Grid]:
    name = f"{PROBE}.{_SUFFIX.get(stream.kind, stream.kind)}"
    grid, blocks, notes = lay_grid(name, stream.channels, opened.content.tick_rate_hz, needed)
    opened.notes += notes
    gains = [channel.gain_uv for channel in stream.channels]
    if any(gain is None for gain in gains):
        opened.notes.append(f"The headers do not state the gain of {name}; state gain_uv in the metadata.")
    traces = BlockTraces(
        name=name,
        path=opened.content.path,
        blocks=blocks,
        n_samples=grid.n_samples,
        sampling_rate_hz=grid.sampling_rate_hz,
        gains_uv=None if any(gain is None for gain in gains) else np.array(gains, dtype=np.float64),
        filtering=_FILTERING[stream.kind],
    )
    return traces, grid


def _lfp(
    opened: _Opened, slow: _Stream | None, numbers: list[int]
) -> tuple[BlockTraces | None, Grid | None]:  # fmt: skip
    """Field potentials of the electrodes, in their order."""
    if slow is None:
        return None, None
    own = dict(zip(slow.numbers, slow.channels, strict=True))
    missing = [number for number in numbers if number not in own]
    if missing:
        reason = f"electrode {missing[0]} and {len(missing) - 1} others have traces and no field potential"
        names = ", ".join(channel.name for channel in slow.channels)
        opened.left_out.append(LeftOut(f"field potentials ({names})", reason))
        return None, None
    beyond = [channel.name for number, channel in own.items() if number not in numbers]
    if beyond:
        reason = "their electrodes have no traces, and those of the traces are kept"
        opened.left_out.append(LeftOut(f"field potentials {', '.join(beyond)}", reason))
    stream = _Stream("FP", tuple(own[number] for number in numbers))
    return _traces(opened, stream, np.empty(0, dtype=np.int64))


def _observed(opened: _Opened, grid: Grid | None, spike_ticks: Integer) -> Float | None:
    """When the file was recorded: between starts and stops, else where the traces are; None for all of it.

    Where spikes were found while traces were lost, that was no pause.
    """
    observed = recorded_s(opened.content)
    if observed is not None or grid is None or len(grid.recorded_ticks) < 2:
        return observed
    return None if grid.n_astray(spike_ticks) else grid.recorded_ticks / grid.tick_rate_hz


def _probe(content: Content, name: str, names: list[str], numbers: list[int]) -> Probe:
    unique = [each if names.count(each) == 1 else f"{each} ({n})" for each, n in zip(names, numbers, strict=True)]
    told = f" The file calls the electrodes {content.probe_name!r}." if content.probe_name else ""
    return Probe(
        name=name,
        channel_names=tuple(unique),
        positions_um=np.full((len(numbers), 2), np.nan),
        shanks=np.zeros(len(numbers), dtype=np.int64),
        geometry_source=UNKNOWN,
        description=f"Electrodes recorded with a Plexon system ({content.version}).{told}",
        columns={ELECTRODE: np.array(numbers, dtype=np.int64)},
        column_descriptions={ELECTRODE: "Number of the electrode's channel in the Plexon system, from 1."},
    )


def _with_sorting(
    recordings: list[ProbeRecording], sorting: Path | str | Sorting, content: Content
) -> ProbeRecording:  # fmt: skip
    """Join units that another program sorted from the traces."""
    recording = recordings[0] if recordings else None
    if recording is None or recording.traces is None:
        message = f"{content.path.name} holds no traces that a sorter could have sorted; give no sorting for it."
        raise UsageError(message)
    if isinstance(sorting, Sorting):
        return replace(recording, sorting=sorting)
    from nwb_celltype.converters.phy import read_sorting, require_same_rate

    columns = np.arange(len(recording.probe), dtype=np.int64)
    read = read_sorting(sorting, columns=columns, probe=recording.probe, n_samples=recording.traces.n_samples)
    require_same_rate(read, Path(sorting), recording.traces.name, recording.traces.sampling_rate_hz)
    return replace(recording, sorting=read)


def _tick_clock(content: Content) -> Clock:
    return Clock(f"{PROBE}.ticks", content.tick_rate_hz)


def _ticks(ticks: Integer) -> Integer:
    return ticks


def _rounded(grid: Grid) -> Callable[[Integer], Integer]:
    return lambda ticks: np.round(grid.samples(ticks)).astype(np.int64)


def _are_whole(samples: Float) -> bool:
    return bool(np.all(np.abs(samples - np.round(samples)) < 1e-6))
