"""Files of NeuroExplorer (.nex, .nex5): sorted units with their snippets, events, intervals and markers."""

from __future__ import annotations

from nwb_celltype.converters.neuroexplorer.file import NexFile, Variable, open_nex
from nwb_celltype.converters.neuroexplorer.session import read_session

__all__ = ["NexFile", "Variable", "open_nex", "read_session"]
