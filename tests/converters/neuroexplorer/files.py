"""NeuroExplorer files written byte by byte from the published layout; nothing of the reader is used."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

NEURON, EVENT, INTERVAL, WAVEFORM, POPULATION, CONTINUOUS, MARKER = range(7)


@dataclass
class Var:
    """One variable; `fields` are (name, values) of a marker, `times` ticks, `ends` of intervals."""

    kind: int
    name: str
    times: np.ndarray
    ends: np.ndarray | None = None
    values: np.ndarray | None = None  # stored values: (n, points) of snippets, (points,) of a continuous channel
    starts: np.ndarray | None = None
    fields: list[tuple[str, list[str] | np.ndarray]] = field(default_factory=list)
    rate: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    before: float = 0.0
    wire: int = 0
    unit: int = 0
    units: str = "mV"
    version: int = 102


def data_of(var: Var, time: str, index: str, width: int) -> bytes:
    raw = var.times.astype(time).tobytes()
    if var.kind == POPULATION:
        return np.asarray(var.values, dtype="<f8").tobytes()
    if var.ends is not None:
        raw += var.ends.astype(time).tobytes()
    if var.starts is not None:
        raw += var.starts.astype(index).tobytes()
    if var.values is not None:
        raw += var.values.astype(var.values.dtype.newbyteorder("<")).tobytes()
    for name, values in var.fields:
        raw += name.encode().ljust(64, b"\0")
        if isinstance(values, np.ndarray):
            raw += values.astype("<u4").tobytes()
        else:
            raw += b"".join(value.encode().ljust(width, b"\0") for value in values)
    return raw


def marker_width(var: Var) -> int:
    return 6 if var.fields else 0


def points(var: Var) -> int:
    return 0 if var.values is None or var.kind == POPULATION else int(var.values.shape[-1])


def write_nex(
    path: Path, variables: list[Var], *, version: int = 106, frequency: float = 40_000.0, end: int = 10**6
) -> Path:
    offset, headers, data = 544 + 208 * len(variables), b"", b""
    for var in variables:
        raw = data_of(var, "<i4", "<i4", marker_width(var))
        headers += struct.pack(
            "<ii64sIiiiiiddddiiidd52x",
            var.kind, var.version, var.name.encode(), offset + len(data), len(var.times), var.wire, var.unit, 0, 0,
            0.0, 0.0, var.rate, var.scale, points(var), len(var.fields), marker_width(var), var.shift, var.before,
        )  # fmt: skip
        data += raw
    head = struct.pack("<4si256sdiii260x", b"NEX1", version, b"made by hand", frequency, 0, end, len(variables))
    path.write_bytes(head + headers + data)
    return path


def write_nex5(
    path: Path, variables: list[Var], *, frequency: float = 40_000.0, begin: int = 0, end: int = 10**6,
    long_times: bool = False, long_indices: bool = False, metadata: Any = None,
) -> Path:  # fmt: skip
    offset, headers, data = 356 + 244 * len(variables), b"", b""
    for var in variables:
        raw = data_of(var, "<i8" if long_times else "<i4", "<u8" if long_indices else "<u4", marker_width(var))
        is_float = var.values is not None and var.values.dtype.kind == "f"
        is_number = bool(var.fields) and isinstance(var.fields[0][1], np.ndarray)
        headers += struct.pack(
            "<ii64sQQiid32sddQdiiii60x",
            var.kind, 500, var.name.encode(), offset + len(data), len(var.times), int(long_times), int(is_float),
            var.rate, var.units.encode(), var.scale, var.shift, points(var), var.before, int(is_number),
            len(var.fields), marker_width(var), int(long_indices),
        )  # fmt: skip
        data += raw
    said = b"" if metadata is None else json.dumps(metadata).encode()
    at = offset + len(data) if said else 0
    head = struct.pack("<4si256sdqiQq56x", b"NEX5", 502, b"made by hand", frequency, begin, len(variables), at, end)
    path.write_bytes(head + headers + data + said)
    return path


def variables(*, floats: bool = False) -> list[Var]:
    """One of each kind."""
    rng = np.random.default_rng(0)
    spikes = np.sort(rng.choice(900_000, 50, replace=False))
    shape = np.array([0, 5, -100, 40, 10, 0, 0, 0])
    snippets = (shape + rng.integers(-3, 4, size=(50, 8))).astype(np.float32 if floats else np.int16)
    return [
        Var(NEURON, "sig001a", spikes, wire=1, unit=1),
        Var(NEURON, "sig001i", spikes + 7, wire=1, unit=0),
        Var(NEURON, "sig002a", spikes[::2] + 11, wire=2, unit=1),
        Var(WAVEFORM, "sig001a_wf", spikes, values=snippets, rate=40_000.0, scale=0.5, before=50e-6, wire=1, unit=1),
        Var(WAVEFORM, "sig003b", spikes + 3, values=snippets[:, ::-1], rate=40_000.0, scale=0.5, before=50e-6, wire=3),
        Var(WAVEFORM, "sig001a_template", spikes[:1], values=snippets[:1], rate=40_000.0, scale=0.5, wire=1),
        Var(EVENT, "EVT01", np.array([40, 4000])),
        Var(EVENT, "EVT02", np.array([], dtype=int)),
        Var(INTERVAL, "laser", np.array([8000, 400]), ends=np.array([8400, 800])),
        Var(INTERVAL, "AllFile", np.array([0]), ends=np.array([10**6])),
        Var(MARKER, "Strobed", np.array([100, 200, 300]), fields=[("DIO", ["00002", "00003", "32767"])]),
        Var(MARKER, "Keys", np.array([150, 250]), fields=[("key", ["a", "b"]), ("count", ["1", "2"])]),
        Var(CONTINUOUS, "AD01", np.array([0, 80_000]), starts=np.array([0, 600]), rate=1000.0, scale=0.25,
            values=np.arange(1000, dtype=np.float32 if floats else np.int16)),
        Var(POPULATION, "weights", np.zeros(3, dtype=int), values=np.ones(3)),
    ]  # fmt: skip
