"""Sessions of CellExplorer: cell metrics, spikes and what lies beside them, in MATLAB files of either format."""

from __future__ import annotations

from nwb_celltype.converters.cellexplorer.session import read_session

__all__ = ["read_session"]
