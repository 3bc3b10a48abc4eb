"""Synthetic Open Ephys sessions in the documented layout of the binary format."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

PROCESSOR = "Neuropix-PXI"
NP1_X = (27, 59, 11, 43)  # sites of a Neuropixels 1.0 probe, row by row


@dataclass
class Line:
    """TTL events of one line: numbers since acquisition began, and whether each is a rise."""

    numbers: np.ndarray
    is_rise: np.ndarray


@dataclass
class FakeStream:
    """One continuous stream; `timestamps` None for one that Open Ephys did not synchronise."""

    folder: str
    name: str
    counts: np.ndarray  # (samples, channels) int16
    channels: list[str]
    rate_hz: float = 30000.0
    first: int = 0
    bit_volts: float = 0.195
    unit: str = "uV"
    processor: str = PROCESSOR
    numbers: np.ndarray | None = None
    timestamps: np.ndarray | None = None
    lines: dict[int, Line] = field(default_factory=dict)
    initial_word: int = 0
    history: str = f"{PROCESSOR} -> Record Node"


def square_wave(rises: np.ndarray, high_s: float, rate_hz: float) -> Line:
    """Events of pulses at seconds of the stream's own clock."""
    times = np.sort(np.concatenate([rises, rises + high_s]))
    is_rise = np.isin(times, rises)
    return Line(np.ceil(times * rate_hz).astype(np.int64), is_rise)


def write_recording(node: Path, streams: list[FakeStream], *, experiment=1, recording=1, software_ms=None) -> Path:
    folder = node / f"experiment{experiment}" / f"recording{recording}"
    continuous, events = [], []
    for stream in streams:
        continuous.append(write_stream(folder, stream))
        events.append(write_events(folder, stream))
    (folder / "events" / "MessageCenter").mkdir(parents=True)
    np.save(folder / "events" / "MessageCenter" / "text.npy", np.array([b"started"]))
    np.save(folder / "events" / "MessageCenter" / "sample_numbers.npy", np.array([0]))
    np.save(folder / "events" / "MessageCenter" / "timestamps.npy", np.array([0.0]))
    events.append({"folder_name": "MessageCenter/", "channel_name": "Messages"})
    content = {"GUI version": "0.6.7", "continuous": continuous, "events": events, "spikes": []}
    (folder / "structure.oebin").write_text(json.dumps(content))
    if software_ms is not None:
        first = "Software Time (milliseconds since midnight Jan 1st 1970 UTC)"
        (folder / "sync_messages.txt").write_text(f"{first}: {software_ms}\n")
    return folder


def write_stream(recording: Path, stream: FakeStream) -> dict:
    folder = recording / "continuous" / stream.folder
    folder.mkdir(parents=True)
    n = len(stream.counts)
    stream.counts.astype("<i2").tofile(folder / "continuous.dat")
    numbers = np.arange(stream.first, stream.first + n) if stream.numbers is None else stream.numbers
    np.save(folder / "sample_numbers.npy", numbers.astype(np.int64))
    timestamps = np.full(n, -1.0) if stream.timestamps is None else stream.timestamps
    np.save(folder / "timestamps.npy", timestamps)
    return {
        "folder_name": f"{stream.folder}/",
        "sample_rate": stream.rate_hz,
        "source_processor_name": stream.processor,
        "stream_name": stream.name,
        "num_channels": len(stream.channels),
        "channels": [
            {"channel_name": name, "bit_volts": stream.bit_volts, "units": stream.unit, "history": stream.history}
            for name in stream.channels
        ],
    }


def write_events(recording: Path, stream: FakeStream) -> dict:
    folder = recording / "events" / stream.folder / "TTL"
    folder.mkdir(parents=True)
    rows = sorted(
        (int(number), line, bool(up))
        for line, events in stream.lines.items()
        for number, up in zip(events.numbers, events.is_rise, strict=True)
    )
    word, words = stream.initial_word, []
    for _, line, up in rows:
        word = word | 1 << (line - 1) if up else word & ~(1 << (line - 1))
        words.append(word)
    numbers = np.array([number for number, _, _ in rows], dtype=np.int64)
    np.save(folder / "states.npy", np.array([line if up else -line for _, line, up in rows], dtype=np.int16))
    np.save(folder / "sample_numbers.npy", numbers)
    np.save(folder / "timestamps.npy", numbers / stream.rate_hz)
    np.save(folder / "full_words.npy", np.array(words, dtype=np.uint64))
    return {
        "folder_name": f"{stream.folder}/TTL/",
        "channel_name": f"{stream.name} TTL",
        "sample_rate": stream.rate_hz,
        "stream_name": stream.name,
        "type": "int16",
        "initial_state": stream.initial_word,
    }


def write_settings(node: Path, probes: list[str], *, sync_lines: dict[str, int] | None = None, n=384) -> Path:
    """Settings of Neuropixels 1.0 probes in bank 0; sync lines from 1."""
    channels = " ".join(f'CH{i}="0"' for i in range(n))
    xs = " ".join(f'CH{i}="{NP1_X[i % 4]}"' for i in range(n))
    ys = " ".join(f'CH{i}="{i // 2 * 20}"' for i in range(n))
    elements = "".join(
        f'<NP_PROBE slot="2" port="{i + 1}" dock="1" probe_serial_number="1900{i}" probe_part_number="PRB_1_4_0480_1" '
        f'probe_name="Neuropixels 1.0" apGainValue="500x" lfpGainValue="250x" isEnabled="1"><CHANNELS {channels}/>'
        f"<ELECTRODE_XPOS {xs}/><ELECTRODE_YPOS {ys}/></NP_PROBE>"
        for i in range(len(probes))
    )
    streams = "".join(f'<STREAM name="{name}-{band}"/>' for name in probes for band in ("AP", "LFP"))
    set_lines = "".join(
        f'<STREAM name="{name}"><PARAMETERS sync_line="{line - 1}"/></STREAM>'
        for name, line in (sync_lines or {}).items()
    )
    path = node / "settings.xml"
    node.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<?xml version="1.0" encoding="UTF-8"?><SETTINGS><INFO><VERSION>0.6.7</VERSION></INFO><SIGNALCHAIN>'
        f'<PROCESSOR name="{PROCESSOR}" nodeId="100" libraryVersion="0.6.3">{streams}'
        f"<EDITOR>{elements}</EDITOR></PROCESSOR>"
        f'<PROCESSOR name="Record Node" nodeId="101">{set_lines}</PROCESSOR></SIGNALCHAIN></SETTINGS>'
    )
    return path
