"""What ``structure.oebin`` says: continuous streams with their channels, and TTL event folders."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from nwb_celltype.converters.openephys.folder import Recording
from nwb_celltype.converters.records import LeftOut
from nwb_celltype.errors import InputError
from nwb_celltype.nested_text import parse_json

_MICROVOLTS = {"uv": 1.0, "µv": 1.0, "μv": 1.0, "": 1.0, "mv": 1e3, "v": 1e6}
_NOT_ELECTRODE = re.compile(r"ADC|AUX|SYNC|^AI\d|ANALOG", re.IGNORECASE)
_BAND = re.compile(r"[-_. ]?(AP|LFP|LF)$", re.IGNORECASE)
_LFP_RATE_HZ = 5000.0


@dataclass(frozen=True)
class Channel:
    """One column of a ``continuous.dat``.

    Attributes
    ----------
    name : str
    gain_uv : float
        Microvolts of one count.
    is_electrode : bool
        False for analog inputs, accelerometers and the sync word.
    history : str
        Processors that the signal passed, as Open Ephys lists them.
    """

    name: str
    gain_uv: float
    is_electrode: bool
    history: str


@dataclass(frozen=True)
class Stream:
    """Channels that were sampled together.

    Attributes
    ----------
    name : str
        Unique in the recording, for example ``ProbeA-AP``.
    folder : Path
        Holds ``continuous.dat``.
    sampling_rate_hz : float
    processor : str
        Source, for example ``Neuropix-PXI``.
    channels : tuple of Channel
    """

    name: str
    folder: Path
    sampling_rate_hz: float
    processor: str
    channels: tuple[Channel, ...]

    @property
    def electrodes(self) -> tuple[int, ...]:
        """Columns that are electrodes."""
        return tuple(i for i, channel in enumerate(self.channels) if channel.is_electrode)

    @property
    def is_lfp(self) -> bool:
        """Whether it is the slow band of a probe."""
        found = _BAND.search(self.name)
        if found:
            return found.group(1).upper() != "AP"
        return self.sampling_rate_hz < _LFP_RATE_HZ

    @property
    def device(self) -> str:
        """Name without its band: that of the probe."""
        return _BAND.sub("", self.name) or self.name


@dataclass(frozen=True)
class TtlFolder:
    """Events of the digital lines of one stream.

    Attributes
    ----------
    stream : str
        Name of the stream that the lines belong to.
    folder : Path
    initial_word : int or None
        States of all lines when the recording began, line 1 the lowest bit.
    """

    stream: str
    folder: Path
    initial_word: int | None


@dataclass(frozen=True)
class Structure:
    """Contents of a recording.

    Attributes
    ----------
    version : str
        Of the Open Ephys GUI.
    streams : tuple of Stream
    ttl : tuple of TtlFolder
    left_out : tuple of LeftOut
        What is listed and cannot be used.
    """

    version: str
    streams: tuple[Stream, ...]
    ttl: tuple[TtlFolder, ...]
    left_out: tuple[LeftOut, ...] = ()


def read_structure(recording: Recording) -> Structure:
    """Read ``structure.oebin``.

    Raises
    ------
    InputError
        The file is damaged, or lists no continuous stream that is there.

    Examples
    --------
    >>> read_structure(recording).streams[0].name  # doctest: +SKIP
    'ProbeA-AP'
    """
    path = recording.folder / "structure.oebin"
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        entries = [dict(entry) for entry in content.get("continuous", [])]
        events = [dict(entry) for entry in content.get("events", [])]
        n_spike_folders = len(content.get("spikes", []))
        version = str(content.get("GUI version", ""))
        names = _names(entries)
        streams = [_stream(entry, name, recording) for entry, name in zip(entries, names, strict=True)]
    except (
        OSError,
        UnicodeDecodeError,
        json.JSONDecodeError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        message = f"{path} cannot be read as the description of an Open Ephys recording ({error!r}); copy it again."
        raise InputError(message) from error
    left_out = []
    if n_spike_folders:
        left_out.append(
            LeftOut(f"{n_spike_folders} folders of spikes", "spikes that Open Ephys cut out are not sorted")
        )
    there = []
    for stream in streams:
        if (stream.folder / "continuous.dat").is_file():
            there.append(stream)
        else:
            left_out.append(LeftOut(f"stream {stream.name}", f"continuous.dat is not in {stream.folder.name}"))
    if not there:
        message = f"{path} lists no continuous stream whose continuous.dat is there; copy the whole recording."
        raise InputError(message)
    by_folder = {stream.folder.name: stream.name for stream in streams}
    ttl, events_left_out = _ttl_folders(events, by_folder, recording)
    return Structure(version, tuple(there), tuple(ttl), (*left_out, *events_left_out))


def _names(entries: list[dict[str, Any]]) -> list[str]:
    """Short names where they are unique, folder names (which are) otherwise; versions before 0.6 have no others."""
    folders = [_first_part(entry["folder_name"]) for entry in entries]
    short = [str(entry.get("stream_name") or folder) for entry, folder in zip(entries, folders, strict=True)]
    names = [name if short.count(name) == 1 else folder for name, folder in zip(short, folders, strict=True)]
    return [name.replace("/", "-").replace(":", "-") for name in names]


def _first_part(folder_name: str) -> str:
    parts = PurePosixPath(str(folder_name).replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0] == "/":
        message = f"folder_name {folder_name!r} is no folder of the recording"
        raise ValueError(message)
    return parts[0]


def _stream(entry: Mapping[str, Any], name: str, recording: Recording) -> Stream:
    channels = []
    for channel in entry["channels"]:
        unit = str(channel.get("units", "")).strip().lower()
        label = str(channel["channel_name"])
        channels.append(
            Channel(
                name=label,
                gain_uv=float(channel["bit_volts"]) * _MICROVOLTS.get(unit, 1.0),
                is_electrode=unit in {"uv", "µv", "μv", ""} and not _NOT_ELECTRODE.search(label),
                history=str(channel.get("history", "")),
            )
        )
    return Stream(
        name=name,
        folder=recording.folder / "continuous" / _first_part(entry["folder_name"]),
        sampling_rate_hz=float(entry["sample_rate"]),
        processor=str(entry.get("source_processor_name", "")),
        channels=tuple(channels),
    )


def _ttl_folders(
    events: list[dict[str, Any]], by_folder: Mapping[str, str], recording: Recording
) -> tuple[list[TtlFolder], list[LeftOut]]:
    found, left_out = [], []
    for entry in events:
        parts = PurePosixPath(str(entry.get("folder_name", "")).replace("\\", "/")).parts
        folder = recording.folder.joinpath("events", *parts)
        label = "events " + "/".join(parts)
        if ".." in parts or not folder.is_dir():
            left_out.append(LeftOut(label, "its folder is not there"))
        elif not any((folder / name).is_file() for name in ("states.npy", "channel_states.npy")):
            left_out.append(LeftOut(label, "text and other events are not converted, only digital lines"))
        elif parts[0] not in by_folder:
            left_out.append(LeftOut(label, "its stream was not recorded, so its clock is unknown"))
        else:
            word = entry.get("initial_state")
            found.append(TtlFolder(by_folder[parts[0]], folder, word if isinstance(word, int) else None))
    return found, left_out
