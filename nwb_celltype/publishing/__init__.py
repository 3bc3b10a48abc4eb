"""Labels to an archive: every problem found first, then sent with their provenance, and a version only when asked."""

from __future__ import annotations

from nwb_celltype.publishing.publication import publish
from nwb_celltype.publishing.records import Problem, Published, PublishedFile

__all__ = ["Problem", "Published", "PublishedFile", "publish"]
