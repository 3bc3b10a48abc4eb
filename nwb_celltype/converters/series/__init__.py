"""Series of sessions: one command converts many, tries them all, reports on each, and goes on where it stopped."""

from __future__ import annotations

from nwb_celltype.converters.series.batch_report import BatchReport, SessionRow
from nwb_celltype.converters.series.many import convert_many

__all__ = ["BatchReport", "SessionRow", "convert_many"]
