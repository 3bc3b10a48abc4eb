"""The recipe of the C4 classifier (Beau et al., Cell 2025): from labelled recordings to an ensemble, and to answers."""

from __future__ import annotations

from nwb_celltype.c4.model import C4Model, Decision, add_inputs
from nwb_celltype.c4.preprocessing import preprocess_waveform
from nwb_celltype.c4.published import import_published
from nwb_celltype.c4.recipe import CLASSES, train_c4
from nwb_celltype.c4.sources import C4Units, describe_units
from nwb_celltype.c4.spike_quality import good_spikes

__all__ = [
    "CLASSES",
    "C4Model",
    "C4Units",
    "Decision",
    "add_inputs",
    "describe_units",
    "good_spikes",
    "import_published",
    "preprocess_waveform",
    "train_c4",
]
