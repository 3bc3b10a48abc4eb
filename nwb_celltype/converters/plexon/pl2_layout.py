"""Headers of a .pl2 file: the file's own, and one for each spike, analog and event channel.

Every record of the format, channel headers, data blocks and footers alike, begins with 16 bytes: type (1 byte), source
(1), words that follow (2), channel (2), and 10 more that depend on the type. Records begin at multiples of 16 bytes.
The layout has not been published; it is known from files and from the parsers of the laboratories that use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.plexon.plx_layout import text
from nwb_celltype.errors import InputError

SPIKE_HEADER, ANALOG_HEADER, EVENT_HEADER = 0xD5, 0xD4, 0xD6
_FIRST_HEADER = 0x480
_MAGIC = b"PLEXON"

_START = np.dtype(
    {
        "names": [
            "kind", "magic", "headers_end", "data_begin", "data_end", "footer", "start_tick", "duration", "comment",
            "software", "software_version", "moment", "tick_rate", "n_spike", "n_analog", "n_event",
        ],
        "formats": [
            "u1", "S6", "<u8", "<u8", "<u8", "<u8", "<u8", "<u8", "S256", "S64", "S16", ("<i4", (10,)), "<f8",
            "<u4", "<u4", "<u4",
        ],
        "offsets": [
            0, 10, 0x20, 0x28, 0x30, 0x38, 0x40, 0x48, 0xE0, 0x1E0, 0x220, 0x230, 0x258, 0x264, 0x26C, 0x274,
        ],
        "itemsize": _FIRST_HEADER,
    }
)  # fmt: skip
_CHANNEL = [
    ("type", "u1"), ("subtype", "u1"), ("n_words", "<u2"), ("plex_channel", "<u4"), ("unused", "<u4", (2,)),
    ("name", "S64"), ("source", "<u4"), ("channel", "<u4"), ("is_enabled", "<u4"), ("is_recorded", "<u4"),
]  # fmt: skip
_SIGNAL = [("unit", "S16"), ("rate", "<f8"), ("coefficient", "<f8")]
_PLACE = [
    ("trodality", "<u4"), ("trode", "<u4"), ("channel_in_trode", "<u4"), ("n_in_source", "<u4"), ("device", "<u4"),
    ("n_in_device", "<u4"), ("source_name", "S64"), ("device_name", "S64"), ("probe_name", "S64"),
    ("probe", "<u4", (4,)), ("lowest_v", "<f8"), ("highest_v", "<f8"), ("total_gain", "<f8"), ("reserved", "S128"),
]  # fmt: skip
_SORTING = [
    ("n_points", "<u4"), ("threshold", "<i4"), ("n_before", "<u4"), ("is_sorted", "<u4"), ("sort_method", "<u4"),
    ("n_units", "<u4"), ("sort_begin", "<u4"), ("sort_end", "<u4"), ("unit_counts", "<u8", (256,)),
]  # fmt: skip
_SPIKE = np.dtype(_CHANNEL + _SIGNAL + _SORTING + _PLACE)
_ANALOG = np.dtype(_CHANNEL + _SIGNAL + _PLACE)
_EVENT = np.dtype(
    [*_CHANNEL, ("n_in_source", "<u4"), ("n_in_device", "<u4"), ("device", "<u4"), ("n_events", "<u4"),
     ("source_name", "S64"), ("device_name", "S64"), ("reserved", "S128")]
)  # fmt: skip
# Microvolts of the units that a header can name.
_UNITS = {"volts": 1e6, "volt": 1e6, "v": 1e6, "millivolts": 1e3, "mv": 1e3, "microvolts": 1.0, "uv": 1.0}


@dataclass(frozen=True, eq=False)
class Pl2Headers:
    """Headers of one file: `file` is a record, the others arrays of records."""

    path: Path
    size: int
    file: Any
    spike: NDArray[Any]
    analog: NDArray[Any]
    event: NDArray[Any]

    @property
    def data_end(self) -> int:
        """Where the data blocks end; the end of the file where the recording was broken off."""
        stated = int(self.file["data_end"]) or int(self.file["footer"])
        return min(stated, self.size) if stated else self.size


def read_headers(path: Path) -> Pl2Headers:
    """Read the headers of a .pl2 file.

    Raises
    ------
    InputError
        It is no .pl2 file, or ends within its headers, or they are damaged.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(_FIRST_HEADER)
            if start[10:16] != _MAGIC or len(start) < _FIRST_HEADER:
                kind = "is shorter than the header of" if start[10:16] == _MAGIC else "does not begin like"
                message = f"{path} {kind} a .pl2 file; give the file that OmniPlex wrote."
                raise InputError(message)
            head = np.frombuffer(start, _START, 1)[0]
            tables = [
                _table(file.read(min(int(head[count]) * dtype.itemsize, size)), dtype, int(head[count]), kind, path)
                for count, dtype, kind in (
                    ("n_spike", _SPIKE, SPIKE_HEADER), ("n_analog", _ANALOG, ANALOG_HEADER),
                    ("n_event", _EVENT, EVENT_HEADER),
                )
            ]  # fmt: skip
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}); give a .pl2 file."
        raise InputError(message) from error
    rate = float(head["tick_rate"])
    if not (np.isfinite(rate) and rate > 0):
        message = f"{path.name} states {rate:g} ticks a second, so its times mean nothing; the header is damaged."
        raise InputError(message)
    return Pl2Headers(path, size, head, *tables)


def gain_uv(channel: Any) -> float | None:
    """Microvolts of one count of a spike or analog channel; None where its unit is none of voltage."""
    scale = _UNITS.get(text(channel["unit"]).lower())
    coefficient = float(channel["coefficient"])
    return scale * coefficient if scale is not None and np.isfinite(coefficient) and coefficient > 0 else None


def started(headers: Pl2Headers) -> tuple[datetime | None, str]:
    """Moment at which the file was begun, without a zone, and a note where the file states none."""
    second, minute, hour, day, month, year = (int(value) for value in headers.file["moment"][:6])
    millisecond = int(headers.file["moment"][9])
    try:
        return datetime(1900 + year, month + 1, day, hour, minute, second, 1000 * millisecond), ""
    except (ValueError, OverflowError):
        return None, "The date in the header is none and is not used."


def _table(raw: bytes, dtype: np.dtype[Any], count: int, kind: int, path: Path) -> NDArray[Any]:
    if len(raw) < count * dtype.itemsize:
        message = f"{path.name} ends within its headers; it is not complete. Copy it again from where it was recorded."
        raise InputError(message)
    table = np.frombuffer(raw, dtype, count)
    if np.any(table["type"] != kind):
        message = (
            f"The channel headers of {path.name} are not where they should be (type 0x{int(table['type'].max()):X} "
            f"in place of 0x{kind:X}); the file is damaged, or of a version of OmniPlex that is not known here."
        )
        raise InputError(message)
    return table
