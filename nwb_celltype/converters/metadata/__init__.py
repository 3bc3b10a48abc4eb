"""Metadata of a session: read from a lab's YAML, checked at once, and the template to start from."""

from __future__ import annotations

from nwb_celltype.converters.metadata.checking import check_metadata, check_sections
from nwb_celltype.converters.metadata.forms import template
from nwb_celltype.converters.metadata.reading import read_metadata
from nwb_celltype.converters.metadata.records import (
    Blocker,
    DeviceMetadata,
    EventMetadata,
    RegionRule,
    SessionMetadata,
    StimulusMetadata,
    Term,
)
from nwb_celltype.converters.metadata.regions import ChannelRegions, channel_regions
from nwb_celltype.converters.metadata.schemas import metadata_schema

__all__ = [
    "Blocker",
    "ChannelRegions",
    "DeviceMetadata",
    "EventMetadata",
    "RegionRule",
    "SessionMetadata",
    "StimulusMetadata",
    "Term",
    "channel_regions",
    "check_metadata",
    "check_sections",
    "metadata_schema",
    "read_metadata",
    "template",
]
