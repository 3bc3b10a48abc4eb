"""Stimuli of the metadata as the optotag rule takes them."""

from __future__ import annotations

import numpy as np

from nwb_celltype.converters.clocks import Clock
from nwb_celltype.converters.identity import stimulations_of
from nwb_celltype.converters.metadata import Blocker, EventMetadata, SessionMetadata, StimulusMetadata
from nwb_celltype.converters.records import Probe, ProbeRecording, Pulses, SourceSession
from nwb_celltype.evidence import measured_responses
from nwb_celltype.units import Units

GABAZINE = Blocker("gabazine", 50.0)


def stimulus(site: str, tags: str = "", blockers: tuple[Blocker, ...] = ()) -> StimulusMetadata:
    return StimulusMetadata("laser", site, "", "Crus 1", "laser", 473.0, 5.0, tags=tags, blockers=blockers)


def session() -> SourceSession:
    probe = Probe("imec0", ("AP0",), np.zeros((1, 2)), np.zeros(1, dtype=np.int64), "by hand")
    onsets = np.arange(1.0, 101.0)
    line = Pulses("nidq.XD0.3", onsets, np.full(100, 0.005), False, "")
    silent = Pulses("nidq.XD0.4", np.empty(0), np.empty(0), False, "")
    return SourceSession("spikeglx", (), (ProbeRecording(probe, Clock("imec0.ap", 30000.0)),), (line, silent))


def metadata(*stimuli: StimulusMetadata) -> SessionMetadata:
    events = {"nidq.XD0.3": EventMetadata("laser", "Light."), "nidq.XD0.4": EventMetadata("lamp", "Light.")}
    return SessionMetadata({}, {}, events=events, stimuli=stimuli)


def test_pulses_that_went_to_two_places_are_one_stimulation() -> None:
    found = stimulations_of(session(), metadata(stimulus("left"), stimulus("right", "MLI", (GABAZINE,))))
    assert [(each.name, each.tags, each.blockers) for each in found] == [("laser", "MLI", (GABAZINE,))]
    units = Units.from_arrays([np.sort(np.random.default_rng(0).uniform(0, 100, 1000))])
    responses = measured_responses(units, found, start_s=0.0)[0]
    assert [(each.blocker, each.response.n_pulses) for each in responses] == [("", 49), ("gabazine", 51)]


def test_lines_without_pulses_or_names_are_no_stimulation() -> None:
    other = StimulusMetadata("lamp", "site", "", "Crus 1", "lamp", 590.0, 5.0, tags="MLI")
    assert stimulations_of(session(), metadata(other)) == []
