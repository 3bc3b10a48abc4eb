"""Annotate many recordings: a dandiset, a folder, a list of files; on one machine or on a cluster."""

from __future__ import annotations

from nwb_celltype.batch.batches import annotate_many
from nwb_celltype.batch.records import AssetOutcome, BatchResult, Plan, PlannedAsset

__all__ = ["AssetOutcome", "BatchResult", "Plan", "PlannedAsset", "annotate_many"]
