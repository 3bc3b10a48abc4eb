"""Open Ephys sessions in binary format: probes, TTL lines, and the sorting beside them, on one clock."""

from __future__ import annotations

from nwb_celltype.converters.openephys.folder import Recording, find_recording
from nwb_celltype.converters.openephys.session import read_session
from nwb_celltype.converters.openephys.structure import Structure, read_structure

__all__ = ["Recording", "Structure", "find_recording", "read_session", "read_structure"]
