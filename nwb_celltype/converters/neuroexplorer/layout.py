"""Headers of .nex and .nex5 files as they lie on disk (public layout of Nex Technologies), little-endian."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import numpy as np


class Kind(IntEnum):
    """What a variable of a file is."""

    NEURON = 0
    EVENT = 1
    INTERVAL = 2
    WAVEFORM = 3
    POPULATION_VECTOR = 4
    CONTINUOUS = 5
    MARKER = 6


NAMES: Mapping[Kind, str] = {
    Kind.NEURON: "neuron",
    Kind.EVENT: "event",
    Kind.INTERVAL: "interval",
    Kind.WAVEFORM: "waveform",
    Kind.POPULATION_VECTOR: "population vector",
    Kind.CONTINUOUS: "continuous channel",
    Kind.MARKER: "marker",
}

NEX_FILE = np.dtype(
    [
        ("magic", "S4"), ("version", "<i4"), ("comment", "S256"), ("frequency", "<f8"), ("begin", "<i4"),
        ("end", "<i4"), ("n_variables", "<i4"), ("padding", "V260"),
    ]
)  # fmt: skip
NEX5_FILE = np.dtype(
    [
        ("magic", "S4"), ("version", "<i4"), ("comment", "S256"), ("frequency", "<f8"), ("begin", "<i8"),
        ("n_variables", "<i4"), ("metadata_offset", "<u8"), ("end", "<i8"), ("padding", "V56"),
    ]
)  # fmt: skip
# the offset is declared signed, but its low 32 bits are what is written, so files up to 4 GB read right without a sign
NEX_VARIABLE = np.dtype(
    [
        ("kind", "<i4"), ("version", "<i4"), ("name", "S64"), ("offset", "<u4"), ("count", "<i4"), ("wire", "<i4"),
        ("unit", "<i4"), ("gain", "<i4"), ("filter", "<i4"), ("x", "<f8"), ("y", "<f8"), ("rate", "<f8"),
        ("scale", "<f8"), ("n_points", "<i4"), ("n_markers", "<i4"), ("marker_length", "<i4"), ("shift", "<f8"),
        ("before", "<f8"), ("padding", "V52"),
    ]
)  # fmt: skip
NEX5_VARIABLE = np.dtype(
    [
        ("kind", "<i4"), ("version", "<i4"), ("name", "S64"), ("offset", "<u8"), ("count", "<u8"), ("time_type", "<i4"),
        ("value_type", "<i4"), ("rate", "<f8"), ("units", "S32"), ("scale", "<f8"), ("shift", "<f8"),
        ("n_points", "<u8"), ("before", "<f8"), ("marker_type", "<i4"), ("n_markers", "<i4"), ("marker_length", "<i4"),
        ("index_type", "<i4"), ("padding", "V60"),
    ]
)  # fmt: skip
FIRST_FILE_WITH_BEFORE, FIRST_VARIABLE_WITH_BEFORE = 106, 102  # versions of .nex in which the prethreshold is stated


def text(raw: bytes) -> str:
    r"""Text of a field: what stands before the first zero byte; what follows can be anything.

    Examples
    --------
    >>> text(b"sig001a\x00rest")
    'sig001a'
    """
    head = raw.split(b"\0", 1)[0]
    try:
        return head.decode("utf-8").strip()
    except UnicodeDecodeError:
        return head.decode("latin-1").strip()
