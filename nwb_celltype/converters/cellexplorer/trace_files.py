"""Traces beside a session's units (``basename.dat``, ``basename.lfp``), where they reach to its last spike."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nwb_celltype.converters.cellexplorer.source import Source
from nwb_celltype.converters.cellexplorer.values import number_of, struct_at, text_of
from nwb_celltype.converters.records import Float
from nwb_celltype.converters.traces import BinaryTraces
from nwb_celltype.errors import InputError

# MATLAB's names of number types
_DTYPES = {
    "int16": "<i2", "uint16": "<u2", "int32": "<i4", "uint32": "<u4", "int64": "<i8", "single": "<f4", "double": "<f8",
}  # fmt: skip


def open_dat(
    source: Source, rate_hz: float | None, n_channels: int, last_s: float, notes: list[str]
) -> BinaryTraces | None:
    """Open the recording in ``basename.dat``.

    Parameters
    ----------
    source : Source
    rate_hz : float or None
        Of the recording.
    n_channels : int
        Rows of the probe.
    last_s : float
        Time of the last spike.
    notes : list of str
        Receives why it is not used.

    Returns
    -------
    BinaryTraces or None
    """
    extracellular = struct_at(source.session, "extracellular")
    named = text_of(extracellular.get("fileName"))
    path = source.files.dat
    if named and Path(named).name == named and (source.files.folder / named).is_file():
        path = source.files.folder / named
    return _open(source, path, "dat", rate_hz, n_channels, last_s, notes)


def open_lfp(source: Source, n_channels: int, last_s: float, notes: list[str]) -> BinaryTraces | None:
    """Open the slow part of the recording in ``basename.lfp``, with the same arguments as `open_dat`."""
    extracellular = struct_at(source.session, "extracellular")
    rate = number_of(extracellular.get("srLfp")) or number_of(extracellular.get("srLFP"))
    rate = rate or number_of(source.info.get("lfpSampleRate"))
    return _open(source, source.files.lfp, "lfp", rate, n_channels, last_s, notes)


def _open(
    source: Source,
    path: Path | None,
    name: str,
    rate_hz: float | None,
    n_channels: int,
    last_s: float,
    notes: list[str],
) -> BinaryTraces | None:
    if path is None:
        return None
    extracellular = struct_at(source.session, "extracellular")
    stated = number_of(extracellular.get("nChannels")) or number_of(source.info.get("nChannels"))
    precision = text_of(extracellular.get("precision")) or "int16"
    problem = ""
    if stated is None or rate_hz is None:
        problem = "the session's file does not say how many channels it has, or its sampling rate"
    elif int(stated) != n_channels:
        problem = f"it has {stated:g} channels, and the units name {n_channels}"
    elif precision not in _DTYPES:
        problem = f"its number type is {precision!r}, which is not known"
    if problem or stated is None or rate_hz is None:
        notes.append(f"{path.name} is not used: {problem}")
        return None
    try:
        traces = BinaryTraces(
            name=name,
            paths=(path,),
            dtype=np.dtype(_DTYPES[precision]),
            n_file_channels=n_channels,
            columns=np.arange(n_channels, dtype=np.int64),
            sampling_rate_hz=rate_hz,
            gains_uv=_gains(source, n_channels, path, notes),
        )
    except InputError as error:
        notes.append(f"{path.name} is not used: {error}")
        return None
    length_s = traces.n_samples / rate_hz
    if length_s < last_s - 1.0:
        notes.append(
            f"{path.name} is not used: it holds {length_s:g} s, and there are spikes until {last_s:g} s; it is not the "
            "whole recording that was sorted"
        )
        return None
    notes += traces.notes
    return traces


def _gains(source: Source, n_channels: int, path: Path, notes: list[str]) -> Float | None:
    gain = number_of(struct_at(source.session, "extracellular").get("leastSignificantBit"))
    if gain is None or gain <= 0:
        notes.append(f"nothing says how many microvolts one count of {path.name} is; state gain_uv in the metadata")
        return None
    return np.full(n_channels, gain)
