"""Plexon files, ``.plx`` and ``.pl2``: spikes, snippets, traces and events, read without the vendor's library."""

from __future__ import annotations

from nwb_celltype.converters.plexon.geometry import GEOMETRIES, place_electrodes
from nwb_celltype.converters.plexon.pl2 import read_pl2
from nwb_celltype.converters.plexon.plx import read_plx
from nwb_celltype.converters.plexon.session import read_content, read_session
from nwb_celltype.converters.plexon.snippets import read_snippets

__all__ = ["GEOMETRIES", "place_electrodes", "read_content", "read_pl2", "read_plx", "read_session", "read_snippets"]
