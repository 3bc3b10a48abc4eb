"""Reviews: an expert walks the units of a file, and what the expert says becomes a run; and how far runs agree."""

from __future__ import annotations

from nwb_celltype.reviewing.agreement import Agreement, measure_agreement
from nwb_celltype.reviewing.reviews import Reviewed, review

__all__ = ["Agreement", "Reviewed", "measure_agreement", "review"]
