"""Fetch recordings and labels from an archive: planned, resumable, checked, and joined to what they belong to."""

from __future__ import annotations

from nwb_celltype.fetching.records import Fetched, FetchedFile, JoinedLabels, SkippedAsset
from nwb_celltype.fetching.retrieval import fetch

__all__ = ["Fetched", "FetchedFile", "JoinedLabels", "SkippedAsset", "fetch"]
