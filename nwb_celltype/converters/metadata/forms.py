"""The template that a lab fills in: YAML with comments, and what the recording itself says already in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import numpy as np
import yaml

from nwb_celltype.converters.metadata.fields import DEVICE_FIELDS, NWBFILE_FIELDS, SUBJECT_FIELDS
from nwb_celltype.converters.records import Probe, ProbeRecording, Pulses, SourceSession

_WIDTH = 116
_COMMENT_COLUMN = 26
_HEAD = """\
# Metadata of one session, for  nwb-celltype convert {kind}
#
# Fill in the lines marked REQUIRED; the rest is welcome and may stay empty. The words behind # are for you.
# Lines that begin with #| are examples: take the #| away to use one, and keep what stands behind it in its column.
# Indent with spaces, never with tabs; put quotes around a text that contains a colon or a #.
# What all sessions of your lab share can stand in a file of its own: give both files, the one of the lab first.
# To see what is still missing, without writing anything, convert with  --dry-run
"""
_REGION_EXAMPLE = """\
# Where the channels were, part by part. Channels count from 0 as recorded, depths from the tip of the probe.
# Layers of the cerebellar cortex: molecular, Purkinje, granular. By depth: {{depth_um: [960, 1300], layer: Purkinje}}
#|Layers:
#|  {probe}:
#|    - {{channels: 0-{half}, layer: granular}}
#|    - {{channels: {next}-{last}, layer: molecular, location: Crus 1}}
"""
_LIGHT_EXAMPLE = """\
# Light that was switched by one of the lines above. With it, units are tested for a response to light.
#|Optogenetics:
#|  - events: {events}
#|    device: blue_laser      # describe it under Devices
#|    wavelength_nm: 473
#|    power_mw: 5             # while a pulse lasts
#|    location: Cerebellar cortex
#|    opsin: ChR2
#|    tags: MLI               # cells that carry the opsin: PkC_ss, MLI, GoC, MFB, GrC, PV, SST, ...
#|    blockers: [{{name: gabazine, from_s: 1800}}]   # synaptic blockers in the bath, seconds of the session
#|    leave_out: true         # keep the stimulated part out of the features that cell types are found by
"""
_OPTIONAL_SESSION = ("experimenter", "experiment_description", "lab", "institution", "keywords")
_RARE_SESSION = ("surgery", "virus", "pharmacology", "protocol", "related_publications", "stimulus_notes", "notes")
_OPTIONAL_SUBJECT = ("genotype", "strain", "weight", "description")


def template(kind: str, session: SourceSession | None = None) -> str:
    """Write a metadata file to fill in.

    Parameters
    ----------
    kind : str
        Kind of converter, for example ``spikeglx``.
    session : SourceSession, optional
        What was recorded; what it says is filled in, and the rest is asked for.

    Returns
    -------
    str
        YAML with comments. As it is, `check_metadata` names each required key that is still empty.

    Examples
    --------
    >>> print(template("phy").splitlines()[0])
    # Metadata of one session, for  nwb-celltype convert phy
    """
    facts = dict(session.facts) if session is not None else {}
    recordings = session.recordings if session is not None else ()
    pulses = session.pulses if session is not None else ()
    parts = [
        _HEAD.format(kind=_one_line(kind)) + _source_lines(session),
        _session_block(facts, session),
        _subject_block(facts),
        _device_block(recordings),
        _probe_block(recordings),
        _layer_block(recordings),
        _event_block(pulses, known=session is not None),
        _LIGHT_EXAMPLE.format(events="laser"),
    ]
    return "\n".join(parts)


def _source_lines(session: SourceSession | None) -> str:
    if session is None or not session.paths:
        return ""
    names = ", ".join(_one_line(path.name or str(path)) for path in session.paths)
    return f"# Filled in from {names}.\n"


def _session_block(facts: Mapping[str, str], session: SourceSession | None) -> str:
    lines = ["NWBFile:"]
    started = session.started if session is not None else None
    if started is not None and started.utcoffset() is not None:
        lines.append(_line("session_start_time", started.isoformat(), "REQUIRED: as the recording says"))
    elif started is not None:
        local = started.isoformat()
        lines += [
            f"  # The recording began at {local} by the clock of its computer, which does not say in which time zone.",
            f'  # Write for example "{local}+01:00", or "{local} Europe/London".',
            _line("session_start_time", "", f"REQUIRED: {NWBFILE_FIELDS['session_start_time'].description}"),
        ]
    else:
        example = NWBFILE_FIELDS["session_start_time"].example
        lines.append(_line("session_start_time", "", f"REQUIRED: when it began, with time zone, such as {example}"))
    lines += [_asked("NWBFile", key, facts, required=True) for key in ("session_description", "session_id")]
    rare = [key for key in NWBFILE_FIELDS if f"NWBFile.{key}" in facts and key not in (*_OPTIONAL_SESSION, *_REQUIRED)]
    lines += [_asked("NWBFile", key, facts) for key in (*_OPTIONAL_SESSION, *rare)]
    lines += [f"#|  {key}: {NWBFILE_FIELDS[key].example}" for key in _RARE_SESSION if key not in rare]
    return "\n".join(lines) + "\n"


_REQUIRED = ("session_start_time", "session_description", "session_id")


def _subject_block(facts: Mapping[str, str]) -> str:
    lines = ["Subject:"]
    lines += [_asked("Subject", key, facts, required=True) for key in ("subject_id", "species", "sex", "age")]
    lines += [_asked("Subject", key, facts) for key in _OPTIONAL_SUBJECT]
    lines.append(f"#|  date_of_birth: {SUBJECT_FIELDS['date_of_birth'].example}   # instead of the age, or with it")
    return "\n".join(lines) + "\n"


def _asked(block: str, key: str, facts: Mapping[str, str], *, required: bool = False) -> str:
    field = (NWBFILE_FIELDS if block == "NWBFile" else SUBJECT_FIELDS)[key]
    told = facts.get(f"{block}.{key}", "")
    shown = f"{field.description}, such as {field.example}"
    return _line(key, told, f"REQUIRED: {shown}" if required else shown)


def _device_block(recordings: Sequence[ProbeRecording]) -> str:
    if not recordings:
        example = [
            "# Devices by name: probes, laser. What the recording says of its probes is taken from there.",
            "#|Devices:",
            *_laser_lines(),
        ]
        return "\n".join(example) + "\n"
    lines = ["Devices:"]
    for recording in recordings:
        probe = recording.probe
        told = {
            "description": probe.description,
            "manufacturer": probe.manufacturer,
            "model": probe.model,
            "serial_number": probe.serial_number,
        }
        lines.append(f"  {_scalar(probe.name)}:")
        lines += [_line(key, text, DEVICE_FIELDS[key].description, indent=4) for key, text in told.items()]
    return "\n".join([*lines, *_laser_lines()]) + "\n"


def _laser_lines() -> list[str]:
    return [
        "#|  blue_laser:",
        "#|    description: 473 nm diode laser, 200 um fibre on the surface of the brain.",
        "#|    manufacturer: Coherent",
    ]


def _probe_block(recordings: Sequence[ProbeRecording]) -> str:
    where = "brain region, such as Cerebellar cortex, CBX or UBERON:0002129"
    if not recordings:
        lines = [
            "# Where the probes were. The annotator needs it, because it types units of the cerebellar cortex.",
            "#|Ecephys:",
            "#|  imec0:",
            f"#|    location: Cerebellar cortex   # {where}",
            "#|    gain_uv: 2.34375             # microvolts of one count, only where the recording does not say it",
        ]
        return "\n".join(lines) + "\n"
    lines = [
        "# Where the probes were. The annotator needs it, because it types units of the cerebellar cortex.",
        "Ecephys:",
    ]
    for recording in recordings:
        lines += [
            f"  {_scalar(recording.probe.name)}:",
            f"    # {_about(recording)}",
            _line("location", "", where, indent=4),
        ]
        if recording.traces is not None and recording.traces.gains_uv is None:
            lines.append(_line("gain_uv", "", "microvolts of one count: the recording does not say it", indent=4))
    return "\n".join(lines) + "\n"


def _about(recording: ProbeRecording) -> str:
    """Say which probe it was, so that people recognise it."""
    probe = recording.probe
    said = [_one_line(probe.model)] if probe.model else []
    if probe.serial_number:
        said.append(f"serial number {_one_line(probe.serial_number)}")
    said.append(f"{len(probe)} channels{_depths(probe)}")
    if recording.sorting is not None:
        said.append(f"{len(recording.sorting)} sorted units")
    return ", ".join(said)


def _depths(probe: Probe) -> str:
    depth = probe.positions_um[:, 1] if len(probe) else np.empty(0)
    depth = depth[np.isfinite(depth)]
    return f" at depths of {depth.min():.0f} to {depth.max():.0f} um" if len(depth) else ""


def _layer_block(recordings: Sequence[ProbeRecording]) -> str:
    name, last = "imec0", 383
    if recordings and len(recordings[0].probe) > 1:
        name, last = recordings[0].probe.name, len(recordings[0].probe) - 1
    half = last // 2
    return _REGION_EXAMPLE.format(probe=_scalar(name), half=half, next=half + 1, last=last)


def _event_block(pulses: Sequence[Pulses], *, known: bool) -> str:
    active = [line for line in pulses if len(line)]
    silent = [line.name for line in pulses if not len(line)]
    about = "# Digital lines: name those that you know; keep: false leaves one out."
    if not active:
        said = _wrapped(f"The recording has no pulses on {', '.join(map(_one_line, silent))}.") if silent else []
        if known and not pulses:
            said = ["# The recording has no digital lines."]
        line_name = _scalar(silent[0]) if silent else "nidq.XD0.3"
        example = ["#|Events:", f"#|  {line_name}: {{name: laser, description: Laser on., keep: true}}"]
        return "\n".join([about, *said, *example]) + "\n"
    lines = [about]
    if silent:
        lines += _wrapped(f"Without a pulse: {', '.join(map(_one_line, silent))}.")
    lines.append("Events:")
    for line in active:
        lines += [
            f"  {_scalar(line.name)}:",
            f"    # {_pulses_said(line)}",
            _line("name", "", "what the pulses are, in a word, such as laser", indent=4),
            _line("description", "", "in a sentence, such as Laser on.", indent=4),
            "    keep: true",
        ]
    return "\n".join(lines) + "\n"


def _pulses_said(line: Pulses) -> str:
    """Say how many pulses there were, how long and when, so that people recognise the laser."""
    number = len(line)
    durations = line.durations_s[np.isfinite(line.durations_s)]
    length = f" of {_seconds(float(np.median(durations)))} (median)" if len(durations) else ""
    when = f"at {line.onsets_s[0]:.1f} s"
    if number > 1:
        when = f"from {line.onsets_s[0]:.1f} to {line.onsets_s[-1]:.1f} s"
    wave = "; as regular as a sync signal" if _is_square_wave(line) else ""
    return f"{number} pulse{'s' if number > 1 else ''}{length}, {when}{wave}"


def _is_square_wave(line: Pulses) -> bool:
    """Whether the line is high half of the time at one steady period, as a sync signal is."""
    if len(line) < 4:
        return False
    periods, durations = np.diff(line.onsets_s), line.durations_s[1:-1]
    period = float(np.median(periods))
    if not period > 0 or not np.isfinite(durations).all():
        return False
    steady = bool((np.abs(periods - period) < 0.05 * period).all())
    return steady and abs(float(np.median(durations)) / period - 0.5) < 0.05


def _seconds(duration: float) -> str:
    return f"{duration:.3g} s" if duration >= 1 else f"{duration * 1e3:.3g} ms"


def _line(key: str, value: str, comment: str, *, indent: int = 2) -> str:
    """Write a key, its value if there is one, and a comment behind it, or before it where there is no room."""
    start = f"{' ' * indent}{key}: {_scalar(value)}" if value else f"{' ' * indent}{key}:"
    line = f"{start:<{_COMMENT_COLUMN + 2}}  # {comment}"
    return line if len(line) <= _WIDTH else f"{' ' * indent}# {comment}\n{start}"


def _wrapped(text: str) -> list[str]:
    lines, rest = [], text
    while len(rest) > _WIDTH:
        cut = rest.rfind(" ", 0, _WIDTH)
        cut = cut if cut > 0 else _WIDTH
        lines.append(f"# {rest[:cut]}")
        rest = rest[cut:].strip()
    return [*lines, f"# {rest}"]


def _one_line(text: str) -> str:
    """Put a text into a comment: on one line, without characters that YAML refuses."""
    return re.sub(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]+", " ", str(text)).strip()


def _scalar(text: str) -> str:
    """Write a text so that YAML reads the same text back: in quotes where it must."""
    plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+()/ -]*[A-Za-z0-9_.+)]|[A-Za-z]", text)
    if plain and yaml.safe_load(text) == text:
        return text
    return json.dumps(text)
