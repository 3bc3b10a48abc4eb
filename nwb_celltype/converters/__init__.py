"""Converters: a lab's folder becomes an NWB file with everything that the annotator needs.

>>> from nwb_celltype import converters
>>> sorted(converters.KINDS)
['c4', 'cellexplorer', 'neuroexplorer', 'openephys', 'phy', 'plexon', 'spikeglx', 'spikeinterface']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nwb_celltype.converters.conversion import Conversion, convert
    from nwb_celltype.converters.interface import SessionInterface
    from nwb_celltype.converters.kinds import (
        KINDS,
        C4Interface,
        CellExplorerInterface,
        NeuroExplorerInterface,
        OpenEphysInterface,
        PhyInterface,
        PlexonInterface,
        SpikeGLXInterface,
        SpikeInterfaceInterface,
    )
    from nwb_celltype.converters.metadata import template
    from nwb_celltype.converters.series import BatchReport, convert_many

_HOME = {
    "BatchReport": "series",
    "C4Interface": "kinds",
    "CellExplorerInterface": "kinds",
    "Conversion": "conversion",
    "KINDS": "kinds",
    "NeuroExplorerInterface": "kinds",
    "OpenEphysInterface": "kinds",
    "PhyInterface": "kinds",
    "PlexonInterface": "kinds",
    "SessionInterface": "interface",
    "SpikeGLXInterface": "kinds",
    "SpikeInterfaceInterface": "kinds",
    "convert": "conversion",
    "convert_many": "series",
    "template": "metadata",
}

__all__ = [
    "KINDS",
    "BatchReport",
    "C4Interface",
    "CellExplorerInterface",
    "Conversion",
    "NeuroExplorerInterface",
    "OpenEphysInterface",
    "PhyInterface",
    "PlexonInterface",
    "SessionInterface",
    "SpikeGLXInterface",
    "SpikeInterfaceInterface",
    "convert",
    "convert_many",
    "template",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
