"""The C4 database of cerebellar units (mouse and macaque): one session a recording, with its labels and its licence."""

from __future__ import annotations

from nwb_celltype.converters.c4.database import Database, read_database
from nwb_celltype.converters.c4.layout import CITATION, LICENCE
from nwb_celltype.converters.c4.neurons import Neuron, NeuronEntry
from nwb_celltype.converters.c4.session import read_session, recordings

__all__ = [
    "CITATION",
    "LICENCE",
    "Database",
    "Neuron",
    "NeuronEntry",
    "read_database",
    "read_session",
    "recordings",
]
