"""What is known of the units' identity at conversion: labels found or given, responses to light, pauses.

Each source of labels becomes a run of its own in the finished file. A rule proposes; only the user's own table is
called ground truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nwb_celltype.annotation import Annotation
from nwb_celltype.converters.assembly import Options, sorted_probe
from nwb_celltype.converters.found_labels import found_runs
from nwb_celltype.converters.metadata import SessionMetadata
from nwb_celltype.converters.own_labels import OwnLabels
from nwb_celltype.converters.records import Float, Integer, ProbeRecording, SourceSession, UnitWaveforms
from nwb_celltype.converters.views import select_spikes
from nwb_celltype.errors import UsageError
from nwb_celltype.evidence import (
    EvokedWaveforms,
    OptotagWindows,
    Stimulation,
    choose_pulses,
    cs_ss_pairs,
    evoked_groups,
    identified,
    join_evidence,
    purkinje_cells,
)
from nwb_celltype.nwb_io.graft import Place, free_run_name, graft
from nwb_celltype.quality import is_cerebellar_cortex
from nwb_celltype.units import Units, read_units


def add_runs(
    path: Path,
    session: SourceSession,
    metadata: SessionMetadata,
    waveforms: Sequence[UnitWaveforms | None],
    *,
    labels: OwnLabels | None = None,
    options: Options | None = None,
) -> list[str]:
    """Write every run that the conversion itself can make into a finished NWB file.

    Parameters
    ----------
    path : Path
        File that was written from `session`; it is changed.
    session : SourceSession
        Prepared.
    metadata : SessionMetadata
    waveforms : sequence of UnitWaveforms or None
        One for each recording.
    labels : OwnLabels, optional
    options : Options, optional

    Returns
    -------
    list of str
        Names of the runs.

    Raises
    ------
    InputError, UsageError
        If the user's table cannot be used.
    """
    if not any(r.sorting is not None and len(r.sorting) for r in session.recordings):
        return []
    with read_units(path) as units:
        found = _annotations(units, session, metadata, waveforms, labels, options or Options())
        place = Place(
            "", units.session.units_path, units.session.units_object_id, units.session.identifier,
            np.array(units.unit_ids), path.name,
        )  # fmt: skip
    names = []
    for annotation in found:
        name = free_run_name(path, annotation.run_name)
        graft(path, annotation, replace(place, name=name))
        names.append(name)
    return names


def _annotations(
    units: Units,
    session: SourceSession,
    metadata: SessionMetadata,
    waveforms: Sequence[UnitWaveforms | None],
    labels: OwnLabels | None,
    options: Options,
) -> list[Annotation]:
    found = list(found_runs(units, session))
    rules = []
    stimulations = stimulations_of(session, metadata)
    if stimulations:
        evoked = list(evoked_waveforms(units, session, waveforms, stimulations, options))
        rules.append(identified(units, stimulations, waveforms=evoked, start_s=session.recordings[0].clock.start_s))
    if any(is_cerebellar_cortex(str(region)) is not False for region in units.region):
        pairs = cs_ss_pairs(units, groups=probes_of(session))
        if pairs:
            rules.append(purkinje_cells(units, pairs))
    for own in labels.runs(units) if labels is not None else ():
        for rule in rules if own.method.source_type == "ground_truth" else ():
            own = join_evidence(own, rule)
        found.append(own)
    return [*found, *rules]


def stimulations_of(session: SourceSession, metadata: SessionMetadata) -> list[Stimulation]:
    """Pulses of the stimuli that the metadata describe, once for each events table that they were named as.

    Pulses that went to several places are one stimulation: a response cannot be told from that to the other light.
    """
    lines = {
        event.name: line
        for line in session.pulses
        if len(line) and (event := metadata.events.get(line.name)) is not None and event.keep
    }
    found = []
    for name in dict.fromkeys(stimulus.events for stimulus in metadata.stimuli if stimulus.events in lines):
        same = [stimulus for stimulus in metadata.stimuli if stimulus.events == name]
        tags = next((stimulus.tags for stimulus in same if stimulus.tags), "")
        blockers = tuple(dict.fromkeys(blocker for stimulus in same for blocker in stimulus.blockers))
        found.append(Stimulation(name, lines[name].onsets_s, lines[name].durations_s, tags=tags, blockers=blockers))
    return found


def probes_of(session: SourceSession) -> list[str]:
    """Probe of each unit of the file; positions on one probe say nothing of those on another."""
    return [
        recording.probe.name
        for recording in session.recordings
        if recording.sorting is not None
        for _ in range(len(recording.sorting))
    ]


def evoked_waveforms(
    units: Units,
    session: SourceSession,
    waveforms: Sequence[UnitWaveforms | None],
    stimulations: Sequence[Stimulation],
    options: Options,
) -> Iterator[EvokedWaveforms]:
    """Mean waveforms of evoked and of spontaneous spikes on each unit's peak channel, from raw where there is raw.

    One for each set of blockers under which light evokes enough spikes.
    """
    first_row, start_s = 0, session.recordings[0].clock.start_s
    for recording, stored in zip(session.recordings, waveforms, strict=True):
        n = 0 if recording.sorting is None else len(recording.sorting)
        if recording.traces is not None and stored is not None and n:
            rows = np.arange(first_row, first_row + n)
            for stimulation in stimulations:
                yield from _evoked_on(recording, stored, units, rows, stimulation, stimulations, options, start_s)
        first_row += n


def _evoked_on(
    recording: ProbeRecording,
    stored: UnitWaveforms,
    units: Units,
    rows: Integer,
    stimulation: Stimulation,
    stimulations: Sequence[Stimulation],
    options: Options,
    start_s: float,
) -> Iterator[EvokedWaveforms]:
    sorting = recording.sorting
    if sorting is None:
        return
    others = [each for each in stimulations if each is not stimulation]
    windows = OptotagWindows()
    pulse_sets = choose_pulses(stimulation, windows, start_s=start_s, others=others)
    groups = [
        evoked_groups(units.spike_times[int(row)], stimulation, pulse_sets, windows, others=others) for row in rows
    ]
    for blocker in sorted({blocker for own in groups for blocker in own}):
        is_evoked = np.zeros(len(sorting.spike_samples), dtype=bool)
        is_spontaneous = np.zeros_like(is_evoked)
        for k, own in enumerate(groups):
            if blocker in own:
                is_evoked[sorting.offsets[k] + own[blocker].evoked] = True
                is_spontaneous[sorting.offsets[k] + own[blocker].spontaneous] = True
        evoked = _on_peak(recording, stored, is_evoked, options)
        spontaneous = _on_peak(recording, stored, is_spontaneous, options)
        for k, row in enumerate(rows):
            if blocker in groups[k] and np.isfinite(evoked[k]).all() and np.isfinite(spontaneous[k]).all():
                yield EvokedWaveforms(int(units.unit_ids[row]), stimulation.name, evoked[k], spontaneous[k], blocker)


def _on_peak(recording: ProbeRecording, stored: UnitWaveforms, keep: np.ndarray, options: Options) -> Float:
    """Mean of chosen spikes on the channel where the unit peaks over all its spikes; NaN rows where there are none."""
    from nwb_celltype.converters.slow_potentials import suggest_high_pass
    from nwb_celltype.converters.waveforms import mean_waveforms

    if recording.sorting is None or recording.traces is None:
        message = "Evoked waveforms need units and traces."
        raise UsageError(message)
    some = mean_waveforms(
        select_spikes(recording.sorting, keep),
        recording.traces,
        sorted_probe(recording.probe, recording.sorting),
        n_channels=options.n_channels,
        max_spikes=options.max_spikes,
        seed=options.seed,
        high_pass_hz=suggest_high_pass(recording.traces),
    )
    peaks = np.full((len(recording.sorting), some.mean.shape[1]), np.nan)
    for k, peak in enumerate(stored.peak_channels):
        at = np.flatnonzero(some.channels[k] == peak)
        if len(at):
            peaks[k] = some.mean[k, :, at[0]]
    return peaks
