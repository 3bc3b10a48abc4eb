"""Plexon files written byte by byte to the layout of the formats; shares no code with the reader."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

PL2_SOURCES = {"WB": 3, "SPKC": 4, "FP": 7, "AI": 12}
PL2_SOURCE_NAMES = {"WB": "WB", "SPKC": "SPKC", "FP": "FP", "AI": "AI"}
PL2_COEFFICIENT = 1.9487597780970627e-07


@dataclass
class Spikes:
    """One spike channel; `ticks` ascend."""

    name: str
    number: int
    ticks: np.ndarray
    units: np.ndarray
    snippets: np.ndarray  # (n, points) int16; (n, 0) for none
    gain: int = 1
    trode: int = 1  # channels of its trode


@dataclass
class Analog:
    """One continuous channel: pieces of (first tick, counts)."""

    name: str
    prefix: str
    number: int  # of the electrode, from 1
    rate: int
    pieces: list[tuple[int, np.ndarray]]
    gain: int = 1
    preamp: int = 1000


@dataclass
class Event:
    """One event channel: its number in a .plx file, source and number in a .pl2 file."""

    name: str
    plx: int
    pl2: tuple[int, int]
    ticks: list[int]
    values: list[int] | None = None


@dataclass
class Recipe:
    """What is in a file."""

    spikes: list[Spikes] = field(default_factory=list)
    analog: list[Analog] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    stops: list[int] = field(default_factory=list)
    tick_rate: int = 40_000
    comment: str = ""
    n_before: int = 8
    date: tuple[int, int, int, int, int, int] = (2021, 5, 4, 10, 11, 12)


def write_plx(
    path: Path,
    recipe: Recipe,
    *,
    version: int = 106,
    words: int = 250,
    snippet_rate: int = 40_000,
    spike_bits: int = 12,
    slow_bits: int = 16,
    spike_mv: int = 3000,
    slow_mv: int = 5000,
    spike_preamp: int = 1000,
    trodalness: int = 1,
    tail: bytes = b"",
) -> Path:
    """Write a .plx file; fields that a version does not have are zero."""
    n_points = max((s.snippets.shape[1] for s in recipe.spikes), default=32)
    last = max([*(int(s.ticks[-1]) for s in recipe.spikes if len(s.ticks)), *recipe.stops, 0])
    counts = np.zeros((130, 5), dtype="<i4")
    for s in recipe.spikes:
        for unit in range(5):
            counts[s.number, unit] = np.count_nonzero(s.units == unit)
    pause_channels = [("Start", 258, recipe.starts), ("Stop", 259, recipe.stops)]
    out = bytearray()
    out += struct.pack("<Ii128s", 0x58454C50, version, recipe.comment.encode())
    out += struct.pack("<4i", recipe.tick_rate, len(recipe.spikes), len(recipe.events) + 2, len(recipe.analog))
    out += struct.pack("<2i6i2id", n_points, recipe.n_before, *recipe.date, 0, snippet_rate, float(last))
    modern, newer, newest = version >= 103, version >= 105, version >= 106
    out += struct.pack("<4B", *((trodalness, 1, spike_bits, slow_bits) if modern else (0, 0, 0, 0)))
    out += struct.pack("<2H", *((spike_mv, slow_mv) if modern else (0, 0)))
    out += struct.pack("<H", spike_preamp if newer else 0)
    out += struct.pack("<18s18s10s", b"OmniPlex 1.20" if newest else b"", b"", b"")
    out += counts.tobytes() + counts.tobytes() + bytes(4 * 512)
    for s in recipe.spikes:
        out += struct.pack("<32s32s", s.name.encode(), f"SIG{s.number}".encode())
        out += struct.pack("<9i", s.number, 10, s.number, 0, s.gain, 0, -300, 2, int(s.units.max(initial=0)))
        out += bytes(640) + bytes(20) + bytes(4) + bytes(80) + bytes(4) + bytes(128)
        out += struct.pack("<BBH", 6 if newest else 0, 0, s.number if newest else 0) + bytes(40)
    for name, channel in [*((e.name, e.plx) for e in recipe.events), *((n, c) for n, c, _ in pause_channels)]:
        out += struct.pack("<32si128sBBH", name.encode(), channel, b"", 0, 0, 0) + bytes(128)
    for row, a in enumerate(recipe.analog):
        out += struct.pack("<32s5i", a.name.encode(), row, a.rate, a.gain, 1, a.preamp if version >= 102 else 0)
        linked = a.number if version >= 104 and a.prefix != "AI" else 0
        out += struct.pack("<i128sBBH", linked, b"", 0, 0, 0) + bytes(108)
    blocks: list[tuple[int, int, bytes]] = []

    def add(kind: int, tick: int, channel: int, unit: int, data: np.ndarray | None) -> None:
        n = 0 if data is None else len(data)
        head = struct.pack("<HHIHHHH", kind, tick >> 32, tick & 0xFFFFFFFF, channel, unit, int(n > 0), n)
        blocks.append((tick, len(blocks), head + (b"" if data is None else data.astype("<i2").tobytes())))

    for row, a in enumerate(recipe.analog):
        step = recipe.tick_rate / a.rate
        for tick, samples in a.pieces:
            for first in range(0, len(samples), words):
                add(5, tick + round(first * step), row, 0, samples[first : first + words])
    for s in recipe.spikes:
        for tick, unit, snippet in zip(s.ticks.tolist(), s.units.tolist(), s.snippets, strict=True):
            add(1, tick, s.number, unit, snippet)
    for e in recipe.events:
        for tick, value in zip(e.ticks, e.values or [0] * len(e.ticks), strict=True):
            add(4, tick, e.plx, value, None)
    for _, channel, ticks in pause_channels:
        for tick in ticks:
            add(4, tick, channel, 0, None)
    out += b"".join(data for _, _, data in sorted(blocks))
    path.write_bytes(bytes(out) + tail)
    return path


def write_pl2(
    path: Path,
    recipe: Recipe,
    *,
    with_footer: bool = True,
    start_tick: int = 8_476_078,
    counts_from_acquisition: bool = False,
    items: int = 300,
    words: int = 5000,
    cut: int = 0,
) -> Path:
    """Write a .pl2 file as OmniPlex 1.22 does; without a footer, `cut` bytes of its data are missing."""
    zero = start_tick if counts_from_acquisition else 0
    year, month, day, hour, minute, second = recipe.date
    headers = bytearray()
    for s in recipe.spikes:
        headers += struct.pack("<BBHIII64s", 0xD5, 6, 0x508, s.number, 0, 0, s.name.encode())
        headers += struct.pack("<4I16s2d", 6, s.number, 1, 1, b"Volts", 40_000.0, PL2_COEFFICIENT)
        headers += struct.pack("<IiI5I", s.snippets.shape[1], -1905, recipe.n_before, 1, 3, 0, 0, 32)
        headers += np.bincount(np.minimum(s.units, 255), minlength=256).astype("<u8").tobytes()
        headers += struct.pack("<6I", s.trode, (s.number - 1) // s.trode + 1, (s.number - 1) % s.trode + 1, 16, 700, 16)
        headers += struct.pack("<64s64s64s", b"SPK", b"Basic Sorting", b"Generic N-channel Electrodes")
        headers += struct.pack("<4I3d", 1, s.number, 50, s.number, -5.0, 5.0, 783.0) + bytes(128)
    for a in recipe.analog:
        source = PL2_SOURCES[a.prefix]
        headers += struct.pack("<BBHIII64s", 0xD4, source, 0xF8, a.number, 0, 0, a.name.encode())
        headers += struct.pack("<4I16s2d", source, a.number, 1, 1, b"Volts", float(a.rate), PL2_COEFFICIENT * a.gain)
        headers += struct.pack("<6I", 1, a.number, source, 16, 552, 16)
        headers += struct.pack("<64s64s64s", PL2_SOURCE_NAMES[a.prefix].encode(), b"Digital HST Processor", b"")
        headers += struct.pack("<4I3d", 1, a.number, 50, a.number, -5.0, 5.0, 783.0) + bytes(128)
    for e in recipe.events:
        source, channel = e.pl2
        headers += struct.pack("<BBHIII64s", 0xD6, source, 0xB0, channel, 0, 0, e.name.encode())
        headers += struct.pack("<8I64s64s", source, channel, 1, 1, 32, 32, 1000, 260, b"events", b"Plexon") + bytes(128)
    data_begin = (0x480 + len(headers) + 64 + 15) // 16 * 16
    data, index = bytearray(), {}

    def add(kind: int, source: int, channel: int, third: int, last: int, payload: bytes, first_tick: int, n: int):
        place = data_begin + len(data)
        data.extend(struct.pack("<BBHHHQ", kind, source, len(payload) // 2, channel, third, last) + payload)
        data.extend(bytes(-len(data) % 16))
        index.setdefault((kind, source, channel), []).append((place, first_tick, n))

    for s in recipe.spikes:
        for first in range(0, len(s.ticks), items):
            some = slice(first, first + items)
            ticks = s.ticks[some] + zero
            payload = ticks.astype("<u8").tobytes() + s.units[some].astype("<u2").tobytes()
            payload += s.snippets[some].astype("<i2").tobytes()
            add(0x31, 6, s.number, s.snippets.shape[1], len(ticks), payload, int(ticks[0]), len(ticks))
    for a in recipe.analog:
        step = recipe.tick_rate / a.rate
        for begin, samples in a.pieces:
            for first in range(0, len(samples), words):
                part, tick = samples[first : first + words].astype("<i2"), zero + begin + round(first * step)
                add(0x42, PL2_SOURCES[a.prefix], a.number, len(part), tick, part.tobytes(), tick, len(part))
    for e in recipe.events:
        if e.ticks:
            ticks = np.array(e.ticks, dtype="<u8") + np.uint64(zero)
            payload = ticks.tobytes() + np.array(e.values or [0] * len(ticks), dtype="<u2").tobytes()
            add(0x5A, *e.pl2, len(ticks), 0, payload, int(ticks[0]), len(ticks))
    moments = sorted([(t, 1) for t in recipe.starts] + [(t, 0) for t in recipe.stops])
    payload = np.array([t + zero for t, _ in moments], dtype="<u8").tobytes()
    payload += np.array([k for _, k in moments], dtype="<u2").tobytes()
    add(0x59, 0, 0, len(moments), 0, payload, moments[0][0] + zero, len(moments))
    data_end = data_begin + len(data)
    footer = bytearray()
    for (kind, source, channel), blocks in index.items():
        places, ticks, counts = (np.array(column) for column in zip(*blocks, strict=True))
        payload = places.astype("<u8").tobytes() + ticks.astype("<u8").tobytes() + counts.astype("<u2").tobytes()
        footer_kind = {0x31: 0xDE, 0x42: 0xDD, 0x5A: 0xDF, 0x59: 0xE0}[kind]
        footer += struct.pack("<BBHHHQ", footer_kind, source, len(payload) // 2, channel, 1, int(counts.sum()))
        footer += payload + bytes(-len(payload) % 16)
    duration = max([*recipe.stops, *(int(s.ticks[-1]) for s in recipe.spikes if len(s.ticks)), 0])
    head = bytearray(0x480)
    struct.pack_into("<B9x6s", head, 0, 0xFE, b"PLEXON")
    ends = (data_end, data_end + 32) if with_footer else (0, 0)
    struct.pack_into("<6Q", head, 0x20, 0x480 + len(headers), data_begin, *ends, start_tick, duration)
    struct.pack_into("<256s64s16s", head, 0xE0, recipe.comment.encode(), b"OmniPlex", b"1.22.0")
    struct.pack_into("<10i", head, 0x230, second, minute, hour, day, month - 1, year - 1900, 0, 0, 0, 0)
    struct.pack_into("<d", head, 0x258, float(recipe.tick_rate))
    struct.pack_into("<6I", head, 0x264, len(recipe.spikes), len(recipe.spikes), len(recipe.analog), len(recipe.analog),
                     len(recipe.events), 1)  # fmt: skip
    body = bytes(head + headers).ljust(data_begin, b"\0") + bytes(data)
    path.write_bytes(body + bytes(32) + bytes(footer) if with_footer else body[: len(body) - cut])
    return path


def small_recipe(seed: int = 0, *, seconds: float = 2.0, n_channels: int = 3, gap: bool = False) -> Recipe:
    """Wideband with spikes cut out of it, field potentials, events and strobed words; with `gap`, a pause of 1.5 s."""
    generator = np.random.default_rng(seed)
    n = int(seconds * 40_000)
    begins = [0] if not gap else [0, n + 60_000]
    shape = np.zeros(40)
    shape[6:20] = [-60, -400, -900, -1400, -1100, -600, -200, 100, 250, 260, 200, 130, 80, 30]
    spikes, analog = [], []
    for channel in range(n_channels):
        pieces, ticks_of, units_of, snippets_of = [], [], [], []
        for begin in begins:
            counts = generator.normal(0, 20, n)
            at = np.arange(400 + 37 * channel, n - 400, 900) + generator.integers(
                0, 300, len(range(400 + 37 * channel, n - 400, 900))
            )
            units = generator.integers(0, 3, len(at))
            for tick, unit in zip(at, units, strict=True):
                counts[tick - 8 : tick + 32] += shape * (0.5 + 0.5 * unit)
            counts = np.round(counts).astype("<i2")
            pieces.append((begin, counts))
            ticks_of.append(at + begin)
            units_of.append(units)
            snippets_of.append(np.stack([counts[tick - 8 : tick + 32] for tick in at]))
        number = channel + 1
        spikes.append(Spikes(f"SPK{number:02d}", number, np.concatenate(ticks_of), np.concatenate(units_of),
                             np.concatenate(snippets_of)))  # fmt: skip
        analog.append(Analog(f"WB{number:02d}", "WB", number, 40_000, pieces))
    for channel in range(n_channels):
        pieces = [(begin, generator.integers(-900, 900, n // 40).astype("<i2")) for begin in begins]
        analog.append(Analog(f"FP{channel + 1:02d}", "FP", channel + 1, 1000, pieces))
    events = [
        Event("EVT01", 1, (9, 1), [1000, 5000, 9000]),
        Event("EVT02", 2, (9, 2), []),
        Event("KBD1", 101, (8, 1), [4321]),
        Event("Strobed", 257, (10, 1), [2000, 2040, 2080], [2, 65_535, 3]),
    ]
    ends = [begin + n for begin in begins]
    return Recipe(spikes, analog, events, begins, ends, comment="floccular complex, left")


def real(name: str) -> Path:
    """A recording of a folder `shared` beside the checkout, which cannot be shipped."""
    path = Path(__file__).resolve().parents[4] / "shared" / "data" / "lab_formats" / "plexon" / name
    if not path.exists():
        pytest.skip(f"{name} is not at hand: shared/data is not beside this checkout")
    return path
