"""Add everything that a lab's folder says about a session to an NWB file in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nwb_celltype.converters.metadata.records import SessionMetadata
from nwb_celltype.converters.nwb.alignment import alignment_sentences, write_alignment
from nwb_celltype.converters.nwb.events import write_events, write_marks
from nwb_celltype.converters.nwb.file import describe
from nwb_celltype.converters.nwb.intervals import left_out_periods
from nwb_celltype.converters.nwb.optogenetics import write_stimuli
from nwb_celltype.converters.nwb.probes import write_probes
from nwb_celltype.converters.nwb.series import write_traces
from nwb_celltype.converters.nwb.units import write_units
from nwb_celltype.converters.records import LeftOut, SourceSession, UnitWaveforms
from nwb_celltype.errors import UsageError


def add_session(
    nwbfile: Any,
    session: SourceSession,
    metadata: SessionMetadata,
    waveforms: Sequence[UnitWaveforms | None],
    *,
    raw: bool = False,
) -> None:
    """Add probes, units, events, stimuli, clock alignment and, if asked for, traces.

    Electrodes and devices that another program has put into the file are used again. Nothing large is copied: spike
    times and traces are computed and read when the file is written, so keep the source where it is until then.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
        In memory, new or begun by another program.
    session : SourceSession
    metadata : SessionMetadata
    waveforms : sequence of UnitWaveforms or None
        One for each recording of the session.
    raw : bool
        Also the traces.

    Raises
    ------
    InputError
        If source, metadata and file contradict each other.
    UsageError
        If the file has units or traces of the same name already, or `waveforms` has another length.

    Examples
    --------
    >>> nwbfile = new_nwbfile(metadata, session)  # doctest: +SKIP
    >>> add_session(nwbfile, session, metadata, [mean_waveforms(sorting, traces, probe)])  # doctest: +SKIP
    >>> write_nwbfile(nwbfile, Path("session.nwb"))  # doctest: +SKIP
    """
    if len(waveforms) != len(session.recordings):
        message = f"{len(session.recordings)} recordings need as many sets of waveforms, not {len(waveforms)}."
        raise UsageError(message)
    probes = write_probes(nwbfile, session.recordings, metadata) if session.recordings else ()
    written, silent = write_events(nwbfile, session.pulses, metadata.events)
    unmarked = write_marks(nwbfile, session.marks, metadata.events)
    unlit = write_stimuli(nwbfile, metadata, written)
    periods = left_out_periods(metadata.stimuli, written)
    unit_notes = write_units(nwbfile, probes, waveforms, periods)
    write_alignment(nwbfile, session)
    trace_notes = write_traces(nwbfile, probes, metadata) if raw else ()
    describe(
        nwbfile,
        [
            *alignment_sentences(session),
            *(f"{r.probe.name}: {r.probe.geometry_source}" for r in session.recordings if r.probe.geometry_source),
            *unit_notes,
            *trace_notes,
            *session.notes,
            *(note for r in session.recordings if r.sorting is not None for note in r.sorting.notes),
            *_left_out(session, (*silent, *unmarked, *unlit)),
        ],
    )


def _left_out(session: SourceSession, further: Iterable[LeftOut]) -> list[str]:
    """Name what was left out, one sentence each."""
    every = [
        *session.left_out,
        *(item for r in session.recordings if r.sorting is not None for item in r.sorting.left_out),
        *further,
    ]
    return [f"Left out: {item.what} ({item.reason})." for item in every]
