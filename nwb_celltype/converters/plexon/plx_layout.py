"""Headers of a .plx file, versions 100 to 106, and what they say about volts, rates and the date.

The layout is that of Plexon's published header file for .plx: a file header of 7504 bytes, then headers of spike
channels (1020 bytes each), event channels (296) and slow channels (296), then blocks of data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError

VERSIONS = range(100, 108)
_MAGIC = b"PLEX"

_FILE = np.dtype(
    [
        ("magic", "S4"), ("version", "<i4"), ("comment", "S128"), ("tick_rate", "<i4"),
        ("n_spike", "<i4"), ("n_event", "<i4"), ("n_slow", "<i4"), ("n_points", "<i4"), ("n_before", "<i4"),
        ("date", "<i4", (6,)), ("fast_read", "<i4"), ("snippet_rate", "<i4"), ("last_tick", "<f8"),
        ("trodalness", "u1"), ("data_trodalness", "u1"), ("spike_bits", "u1"), ("slow_bits", "u1"),
        ("spike_max_mv", "<u2"), ("slow_max_mv", "<u2"), ("spike_preamp", "<u2"),
        ("acquired_with", "S18"), ("processed_with", "S18"), ("padding", "S10"),
        ("spike_counts", "<i4", (130, 5)), ("snippet_counts", "<i4", (130, 5)), ("event_counts", "<i4", (512,)),
    ]
)  # fmt: skip
_SPIKE = np.dtype(
    [
        ("name", "S32"), ("signal", "S32"), ("channel", "<i4"), ("rate_limit", "<i4"), ("signal_channel", "<i4"),
        ("reference", "<i4"), ("gain", "<i4"), ("filter", "<i4"), ("threshold", "<i4"), ("method", "<i4"),
        ("n_units", "<i4"), ("template", "<i2", (5, 64)), ("fit", "<i4", (5,)), ("sort_width", "<i4"),
        ("boxes", "<i2", (5, 2, 4)), ("sort_begin", "<i4"), ("comment", "S128"), ("source", "u1"), ("reserved", "u1"),
        ("source_channel", "<u2"), ("padding", "S40"),
    ]
)  # fmt: skip
_EVENT = np.dtype(
    [
        ("name", "S32"), ("channel", "<i4"), ("comment", "S128"), ("source", "u1"), ("reserved", "u1"),
        ("source_channel", "<u2"), ("padding", "S128"),
    ]
)  # fmt: skip
_SLOW = np.dtype(
    [
        ("name", "S32"), ("channel", "<i4"), ("rate", "<i4"), ("gain", "<i4"), ("enabled", "<i4"), ("preamp", "<i4"),
        ("spike_channel", "<i4"), ("comment", "S128"), ("source", "u1"), ("reserved", "u1"),
        ("source_channel", "<u2"), ("padding", "S108"),
    ]
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PlxHeaders:
    """Headers of one file: `file` is a record, the others arrays of records; `first_block` is a place in the file."""

    path: Path
    file: Any
    spike: NDArray[Any]
    event: NDArray[Any]
    slow: NDArray[Any]
    first_block: int

    @property
    def version(self) -> int:
        """Of the format."""
        return int(self.file["version"])


def read_headers(path: Path) -> PlxHeaders:
    """Read the headers of a .plx file.

    Raises
    ------
    InputError
        It is no .plx file, of an unknown version, or ends within its headers.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(_FILE.itemsize)
            _check_start(path, start)
            head = np.frombuffer(start, _FILE, 1)[0]
            tables = [
                _table(file.read(max(0, min(int(head[count]) * dtype.itemsize, size))), dtype, int(head[count]), path)
                for count, dtype in (("n_spike", _SPIKE), ("n_event", _EVENT), ("n_slow", _SLOW))
            ]
            first_block = file.tell()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}); give a .plx file."
        raise InputError(message) from error
    if not head["tick_rate"] > 0:
        message = f"{path.name} states {int(head['tick_rate'])} ticks a second, so its times mean nothing."
        raise InputError(message)
    spike, event, slow = tables
    return PlxHeaders(path, head, spike, event, slow, first_block)


def spike_gain_uv(headers: PlxHeaders, row: int) -> float | None:
    """Microvolts of one count of the snippets of a spike channel; None where the headers do not say it."""
    head, gain = headers.file, float(headers.spike["gain"][row])
    if headers.version < 103:
        return _uv(3000.0, 2048.0 * gain * 1000.0)
    preamp = float(head["spike_preamp"]) if headers.version >= 105 else 1000.0
    return _uv(float(head["spike_max_mv"]), _half_range(int(head["spike_bits"])) * gain * preamp)


def slow_gain_uv(headers: PlxHeaders, row: int) -> float | None:
    """Microvolts of one count of a slow channel; None where the headers do not say it."""
    head, gain = headers.file, float(headers.slow["gain"][row])
    preamp = 1000.0 if headers.version < 102 else float(headers.slow["preamp"][row])
    if headers.version < 103:
        return _uv(5000.0, 2048.0 * gain * preamp)
    return _uv(float(head["slow_max_mv"]), _half_range(int(head["slow_bits"])) * gain * preamp)


def started(headers: PlxHeaders) -> tuple[datetime | None, str]:
    """Moment of the recording, without a zone, and a note where the file states none."""
    year, month, day, hour, minute, second = (int(value) for value in headers.file["date"])
    try:
        return datetime(year, month, day, hour, minute, second), ""
    except ValueError:
        return None, f"The date in the header ({year}-{month}-{day} {hour}:{minute}:{second}) is none and is not used."


def text(raw: bytes) -> str:
    """Text of a field: up to its first zero, in the encoding of Windows where it is no UTF-8."""
    raw = bytes(raw).split(b"\0")[0]
    try:
        found = raw.decode("utf-8")
    except UnicodeDecodeError:
        found = raw.decode("cp1252", errors="replace")
    return re.sub(r"[\x00-\x1f\x7f]", "", found).strip()


def _check_start(path: Path, start: bytes) -> None:
    if len(start) < _FILE.itemsize or start[:4] != _MAGIC:
        kind = "is shorter than the header of" if start[:4] == _MAGIC else "does not begin like"
        message = f"{path} {kind} a .plx file; give the file that the Plexon software wrote."
        raise InputError(message)
    version = int(np.frombuffer(start, _FILE, 1)["version"][0])
    if version not in VERSIONS:
        message = f"{path.name} has version {version} of the .plx format; versions 100 to {VERSIONS[-1]} can be read."
        raise InputError(message)


def _table(raw: bytes, dtype: np.dtype[Any], count: int, path: Path) -> NDArray[Any]:
    if count < 0 or len(raw) < count * dtype.itemsize:
        message = f"{path.name} ends within its headers; it is not complete. Copy it again from where it was recorded."
        raise InputError(message)
    return np.frombuffer(raw, dtype, count)


def _half_range(bits: int) -> float:
    return 0.5 * 2.0**bits if bits else 0.0


def _uv(millivolts: float, counts: float) -> float | None:
    return millivolts / counts * 1000.0 if millivolts > 0 and counts > 0 else None
