"""Evidence for cell types: responses to light, pauses after complex spikes, and the rules that read them.

Pure functions on spike times and pulses in seconds; no file formats. Nothing here is called ground truth: the rules
propose, and only a person's own table of labels can say so.
"""

from __future__ import annotations

from nwb_celltype.evidence.cell_pairs import purkinje_cells
from nwb_celltype.evidence.complex_spikes import Pair, cs_ss_pairs
from nwb_celltype.evidence.evoked import evoked_groups
from nwb_celltype.evidence.joined_labels import join_evidence
from nwb_celltype.evidence.left_out import observed_before, observed_outside, observed_without
from nwb_celltype.evidence.optotag import (
    OptotagResponse,
    SpikeGroups,
    spike_groups,
    tagging_response,
    waveform_correlation,
)
from nwb_celltype.evidence.optotag_rule import OptotagRule, OptotagVerdict, UnitResponse
from nwb_celltype.evidence.pauses import PauseRule, PauseStatistics, pause_statistics
from nwb_celltype.evidence.pulse_sets import PulseSet, choose_pulses
from nwb_celltype.evidence.pulses import OptotagWindows, Stimulation
from nwb_celltype.evidence.salt import SaltResult, latency_test
from nwb_celltype.evidence.tagged_units import (
    EvokedWaveforms,
    identified,
    measured_responses,
    response_evidence,
)

__all__ = [
    "EvokedWaveforms",
    "OptotagResponse",
    "OptotagRule",
    "OptotagVerdict",
    "OptotagWindows",
    "Pair",
    "PauseRule",
    "PauseStatistics",
    "PulseSet",
    "SaltResult",
    "SpikeGroups",
    "Stimulation",
    "UnitResponse",
    "choose_pulses",
    "cs_ss_pairs",
    "evoked_groups",
    "identified",
    "join_evidence",
    "latency_test",
    "measured_responses",
    "observed_before",
    "observed_outside",
    "observed_without",
    "pause_statistics",
    "purkinje_cells",
    "response_evidence",
    "spike_groups",
    "tagging_response",
    "waveform_correlation",
]
