"""What a conversion will write, and what it leaves out and why: shown before a byte is written, and kept afterwards."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nwb_celltype.converters.assembly import Options
from nwb_celltype.converters.clocks import Clock
from nwb_celltype.converters.metadata import SessionMetadata
from nwb_celltype.converters.records import LeftOut, Marks, ProbeRecording, Pulses, SourceSession


@dataclass(frozen=True)
class ProbePlan:
    """One probe: what it is, where its facts come from, and its units; texts are whole phrases."""

    name: str
    model: str
    serial_number: str
    n_channels: int
    geometry: str
    traces: str
    scale: str
    clock: str
    n_units: int
    n_spikes: int
    n_silent_units: int
    sorting: str
    waveforms: str


@dataclass(frozen=True)
class LinePlan:
    """One digital line: how often it was high, and the events table that it becomes (``""``: none)."""

    line: str
    n_pulses: int
    median_duration_ms: float | None
    events: str
    is_named: bool
    are_marks: bool = False


@dataclass(frozen=True)
class StreamPlan:
    """One stream beside the probes' own: how its clock was aligned."""

    stream: str
    clock: str


@dataclass(frozen=True)
class Plan:
    """Everything that will be written, and everything that will not.

    Attributes
    ----------
    file : str
        Where to.
    kind : str
    probes : tuple of ProbePlan
    streams : tuple of StreamPlan
        Streams that are not a probe's traces.
    lines : tuple of LinePlan
    left_out : tuple of LeftOut
    notes : tuple of str
        What was odd.
    problems : str
        What is wrong with the metadata, ``""`` when nothing is.
    """

    file: str
    kind: str
    probes: tuple[ProbePlan, ...]
    streams: tuple[StreamPlan, ...]
    lines: tuple[LinePlan, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    problems: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for ``--json``."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(_lines_of(self))


def plan_of(session: SourceSession, metadata: SessionMetadata, options: Options, file: str, problems: str = "") -> Plan:
    """Plan the conversion of a prepared session.

    Parameters
    ----------
    session : SourceSession
    metadata : SessionMetadata
    options : Options
    file : str
        Where it will go.
    problems : str, optional
        What is wrong with the metadata.

    Returns
    -------
    Plan
    """
    sortings = [r.sorting for r in session.recordings if r.sorting is not None]
    left_out = [*session.left_out, *(each for sorting in sortings for each in sorting.left_out)]
    notes = [*session.notes, *(note for sorting in sortings for note in sorting.notes), *metadata.notes]
    return Plan(
        file=file,
        kind=session.kind,
        probes=tuple(_probe_plan(recording, options) for recording in session.recordings),
        streams=tuple(StreamPlan(clock.stream, clock_text(clock)) for clock in session.clocks),
        lines=(
            *(_line_plan(pulses, metadata) for pulses in session.pulses),
            *(_mark_plan(marks, metadata) for marks in session.marks),
        ),
        left_out=tuple(dict.fromkeys(left_out)),
        notes=tuple(dict.fromkeys(notes)),
        problems=problems,
    )


def _probe_plan(recording: ProbeRecording, options: Options) -> ProbePlan:
    probe, sorting = recording.probe, recording.sorting
    counts = np.diff(sorting.offsets) if sorting is not None else np.zeros(0, dtype=np.int64)
    return ProbePlan(
        name=probe.name,
        model=" ".join(text for text in (probe.manufacturer, probe.model) if text),
        serial_number=probe.serial_number,
        n_channels=len(probe),
        geometry=probe.geometry_source,
        traces=_traces_text(recording, options),
        scale=_scale_text(recording),
        clock=clock_text(recording.clock),
        n_units=len(counts),
        n_spikes=int(counts.sum()),
        n_silent_units=int((counts == 0).sum()),
        sorting=sorting.source if sorting is not None else "none",
        waveforms=_waveforms_text(recording, options),
    )


def _traces_text(recording: ProbeRecording, options: Options) -> str:
    traces = recording.traces
    if traces is None:
        return "none at hand"
    seconds = traces.n_samples / traces.sampling_rate_hz
    use = "written, compressed" if options.raw else "read for waveforms, not written (see --raw)"
    other = f"; with it {recording.lfp.name}" if options.raw and recording.lfp is not None else ""
    return f"{traces.name}, {seconds:.1f} s at {traces.sampling_rate_hz:g} Hz; {use}{other}"


def _scale_text(recording: ProbeRecording) -> str:
    traces = recording.traces
    if traces is None:
        return "no traces"
    if traces.gains_uv is None:
        return "unknown: give Ecephys.<probe>.gain_uv, or waveforms are in arbitrary units"
    low, high = float(np.min(traces.gains_uv)), float(np.max(traces.gains_uv))
    return f"{low:.6g} uV a count" if low == high else f"{low:.6g} to {high:.6g} uV a count"


def _waveforms_text(recording: ProbeRecording, options: Options) -> str:
    sorting = recording.sorting
    if sorting is None or len(sorting) == 0:
        return "none: no units"
    if recording.traces is not None and recording.traces.n_samples:
        return f"from raw, up to {options.max_spikes} spikes a unit on the {options.n_channels} nearest channels"
    if sorting.templates is None:
        return "none: neither raw nor templates"
    kinds = sorted({source for source in sorting.templates.source if source})
    return f"from templates ({', '.join(kinds) or 'none has one'}), in {sorting.templates.unit}"


def clock_text(clock: Clock) -> str:
    """Say how a stream's samples become seconds of the session."""
    start = f"sample 0 is at {clock.start_s:.6f} s"
    fit = clock.fit
    if fit is None and (clock.how or not clock.is_nominal):
        return f"{start}; {clock.how or 'by the times that the source states'}"
    if fit is None:
        return f"{start}; its own rate, {clock.sampling_rate_hz:g} Hz"
    jumps = f"; {fit.n_jumps} jumps, where samples were lost" if fit.n_jumps else ""
    return (
        f"{start}; aligned to {fit.reference} by {fit.n_edges} sync edges, drift {fit.drift_ppm:+.2f} ppm, "
        f"residual {fit.residual_us_median:.0f} us (at most {fit.residual_us_max:.0f} us){jumps}"
    )


def _line_plan(pulses: Pulses, metadata: SessionMetadata) -> LinePlan:
    from nwb_celltype.converters.nwb.events import unnamed

    about = metadata.events.get(pulses.name)
    known = pulses.durations_s[np.isfinite(pulses.durations_s)]
    is_written = len(pulses) > 0 and (about is None or about.keep)
    return LinePlan(
        line=pulses.name,
        n_pulses=len(pulses),
        median_duration_ms=float(np.median(known)) * 1e3 if len(known) else None,
        events=(about or unnamed(pulses)).name if is_written else "",
        is_named=about is not None,
    )


def _mark_plan(marks: Marks, metadata: SessionMetadata) -> LinePlan:
    about = metadata.events.get(marks.name)
    name = (about.name if about is not None else re.sub(r"[^A-Za-z0-9_]+", "_", marks.name)) if len(marks) else ""
    kept = name if about is None or about.keep else ""
    return LinePlan(marks.name, len(marks), None, kept, about is not None, are_marks=True)


def _lines_of(plan: Plan) -> list[str]:
    lines = [f"{plan.kind} -> {plan.file}"]
    for probe in plan.probes:
        lines += _probe_lines(probe)
    lines += [f"{each.stream}\n  {'clock':<10}{each.clock}" for each in plan.streams]
    if plan.lines:
        lines.append("digital lines" + (" and marks" if any(line.are_marks for line in plan.lines) else ""))
        lines += [_line_text(line) for line in plan.lines if line.n_pulses]
        silent = [line.line for line in plan.lines if not line.n_pulses]
        lines += [f"  {len(silent)} silent: {_runs_of(silent)}"] if silent else []
    if plan.left_out:
        lines.append(f"left out ({len(plan.left_out)})")
        lines += [f"  {each.what}: {each.reason}" for each in plan.left_out]
    if plan.notes:
        lines.append("notes")
        lines += [f"  {note}" for note in plan.notes]
    if plan.problems:
        lines += ["metadata", *(f"  {line}" for line in plan.problems.splitlines())]
    return lines


def _probe_lines(probe: ProbePlan) -> list[str]:
    facts = {
        "probe": ", ".join(
            text
            for text in (probe.model, f"serial {probe.serial_number}" if probe.serial_number else "",
                         f"{probe.n_channels} channels")
            if text
        ),
        "geometry": probe.geometry,
        "traces": probe.traces,
        "scale": probe.scale,
        "clock": probe.clock,
        "units": _units_text(probe),
        "sorting": probe.sorting,
        "waveforms": probe.waveforms,
    }  # fmt: skip
    return [probe.name, *(f"  {name:<10}{text}" for name, text in facts.items())]


def _units_text(probe: ProbePlan) -> str:
    silent = f", {probe.n_silent_units} without a spike" if probe.n_silent_units else ""
    return f"{probe.n_units:,} with {probe.n_spikes:,} spikes{silent}"


def _line_text(line: LinePlan) -> str:
    length = "" if line.median_duration_ms is None else f", {line.median_duration_ms:.3g} ms each"
    fate = f"events table {line.events!r}" if line.events else "not written, as asked"
    fate += "" if line.is_named else " (what it means can be said under Events)"
    return f"  {line.line:<13} {line.n_pulses:,} {'marks' if line.are_marks else 'pulses'}{length}; {fate}"


def _runs_of(names: list[str]) -> str:
    """Shorten ``a.1, a.2, a.3`` to ``a.1 to a.3``."""
    runs: list[list[str]] = []
    for name in names:
        stem, _, number = name.rpartition(".")
        last_stem, _, last = runs[-1][-1].rpartition(".") if runs else ("", "", "")
        if runs and stem == last_stem and number.isdigit() and last.isdigit() and int(number) == int(last) + 1:
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(", ".join(run) if len(run) < 3 else f"{run[0]} to {run[-1]}" for run in runs)
