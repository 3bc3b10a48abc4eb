"""Folders that Kilosort and Phy write: units, what curation said of them, templates, and where the recording lies."""

from __future__ import annotations

from nwb_celltype.converters.phy.folder import read_probe, read_sorting
from nwb_celltype.converters.phy.params import Params, read_params
from nwb_celltype.converters.phy.places import find_folder, require_same_rate, sorting_folders
from nwb_celltype.converters.phy.session import read_session

__all__ = [
    "Params",
    "find_folder",
    "read_params",
    "read_probe",
    "read_session",
    "read_sorting",
    "require_same_rate",
    "sorting_folders",
]
