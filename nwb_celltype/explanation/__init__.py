"""Why a model said what it said: how much each modality, lag and waveform sample moved the decision on each unit."""

from __future__ import annotations

from nwb_celltype.explanation.explaining import explain
from nwb_celltype.explanation.steps import credit_steps

__all__ = ["credit_steps", "explain"]
