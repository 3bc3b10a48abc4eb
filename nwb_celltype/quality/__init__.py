"""Can this recording, and this unit, be typed at all? Said before any label is given."""

from __future__ import annotations

from nwb_celltype.quality.records import TOPICS, Finding, Judgement, Scope, Severity, Status, Verdict
from nwb_celltype.quality.regions import is_cerebellar_cortex
from nwb_celltype.quality.sorting import quality_of
from nwb_celltype.quality.species import species_of
from nwb_celltype.quality.verdicts import judge

__all__ = [
    "TOPICS",
    "Finding",
    "Judgement",
    "Scope",
    "Severity",
    "Status",
    "Verdict",
    "is_cerebellar_cortex",
    "judge",
    "quality_of",
    "species_of",
]
