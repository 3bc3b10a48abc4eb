"""Reports: what a run says about each unit, with the panels that let a physiologist believe it."""

from __future__ import annotations

from nwb_celltype.reporting.gathering import gather
from nwb_celltype.reporting.payload import to_payload
from nwb_celltype.reporting.reports import report

__all__ = ["gather", "report", "to_payload"]
