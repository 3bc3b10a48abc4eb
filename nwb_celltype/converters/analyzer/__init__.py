"""SpikeInterface as a source: a sorting or a sorting analyzer, in memory or in a folder."""

from __future__ import annotations

from nwb_celltype.converters.analyzer.session import read_session

__all__ = ["read_session"]
