"""Write a simulated session of a macaque's flocculus: what notebooks/02_convert_a_macaque_session converts.

Nothing in it was recorded. The units fire and look as those of `simulate_session.py`; simple spikes pause after complex
spikes, and rates follow the eye in a trial of smooth pursuit. There are two files, as a lab has them::

    simulated.pl2    OmniPlex: wideband of a 16-contact s-Probe at 40 kHz, some units that were sorted on line (SPK09a),
                     strobed words, a line that marks when the target moves, and a pause in the middle
    simulated.pkl    the curated sorting, as NeuroViz keeps it: a Purkinje cell with simple and complex spikes

and the table of labels of a person who looked at them (``our_labels.csv``). The same seed gives the same bytes. A
second of it takes 1.3 MB.

Run:  python examples/simulated_macaque.py [FOLDER]
"""

from __future__ import annotations

import pickle
import struct
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent))
from simulate_session import RECIPES, spike_times

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

SECONDS = 100.0  # that are recorded
RATE_HZ = 40_000
N_CHANNELS = 16
COEFFICIENT = 1.9487597780970627e-07  # volts of one count
NOISE_UV, SLOW_UV = 7.0, 60.0
PAUSE_S, GAP_S = 0.018, 12.5  # of simple spikes; of the recording
N_BEFORE, N_SHAPE = 60, 200  # of a spike in the traces
SNIPPET_BEFORE, SNIPPET = 8, 32
TRIAL_S, PURSUIT_S = 2.5, 0.65
START_TRIAL, STOP_TRIAL = 2, 3  # the words that Maestro strobes
ACQUISITION_TICK = 8_476_078  # of the begin of recording

_BY_ID = {recipe.unit_id: recipe for recipe in RECIPES}
# what it imitates, its contact (from 1), how many micrometres from there, its rate in pursuit relative to rest
UNITS = (
    (_BY_ID[1], 9, (0.0, 10.0), 1.8),
    (_BY_ID[2], 9, (0.0, 25.0), 1.0),
    (_BY_ID[4], 12, (-10.0, 5.0), 0.5),
    (_BY_ID[8], 13, (10.0, 0.0), 1.4),
    (replace(_BY_ID[9], amplitude_uv=130.0), 15, (0.0, 15.0), 1.0),
    (_BY_ID[12], 6, (5.0, 0.0), 1.0),
    (_BY_ID[17], 3, (0.0, 5.0), 1.6),
    (_BY_ID[18], 5, (-5.0, 10.0), 1.6),
)
SIMPLE, COMPLEX = 0, 1  # one Purkinje cell
ON_LINE = {0: (9, 1), 1: (9, 2), 3: (13, 1)}  # sorted while recording: channel and letter
LABELLED = {0: "PkC_ss", 3: "MLI", 5: "GoC"}  # by a person, in the table; the pickle pairs the Purkinje cell too


@dataclass(frozen=True, eq=False)
class SimulatedMacaque:
    """Files, and what is true of them: spikes in samples of the traces and in seconds, and when pursuit begins."""

    folder: Path
    pl2: Path
    neurons: Path
    labels: Path
    samples: tuple[Integer, ...]
    seconds: tuple[Float, ...]
    imitates: tuple[str, ...]
    pursuit_s: Float


def simulate_macaque(folder: str | Path, *, seconds: float = SECONDS, seed: int = 5) -> SimulatedMacaque:
    """Write the session and its sorting into a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    half = round(seconds / 2 * RATE_HZ)
    begins = (0, half + round(GAP_S * RATE_HZ))
    onsets = np.arange(1.0, seconds / 2 - TRIAL_S, TRIAL_S)
    pursuit = np.concatenate([onsets, onsets + seconds / 2])  # seconds of the traces, which know no pause
    samples = tuple(_trains(half, pursuit, rng))
    fast = _traces_uv(2 * half, samples, rng)
    ticks = [_ticks(each, half, begins) for each in samples]
    when = _ticks(np.rint(pursuit * RATE_HZ).astype(np.int64), half, begins)
    path = folder / "simulated.pl2"
    _write_pl2(path, fast, samples, ticks, when, half, begins, rng)
    neurons = folder / "simulated.pkl"
    neurons.write_bytes(pickle.dumps(_neurons(samples), protocol=3))
    labels = folder / "our_labels.csv"
    ids = {row: row + 1 if row < COMPLEX else row for row in range(len(UNITS))}
    rows = [f"{ids[row]},{label}" for row, label in LABELLED.items()]
    labels.write_text("\n".join(["unit_id,cell_type", *rows]) + "\n", encoding="utf-8")
    times = tuple(each / RATE_HZ for each in ticks)
    kinds = tuple(recipe.simulates for recipe, *_ in UNITS)
    return SimulatedMacaque(folder, path, neurons, labels, samples, times, kinds, when / RATE_HZ)


def positions_um() -> Float:
    """(16, 2) contacts of an s-Probe: eight rows of two, 50 micrometres apart, counted from the tip."""
    contacts = np.arange(N_CHANNELS)
    return np.column_stack([contacts % 2 * 50.0, contacts // 2 * 50.0])


def _ticks(samples: Integer, half: int, begins: tuple[int, int]) -> Integer:
    """Ticks since recording began: the second half comes after the pause."""
    return np.where(samples < half, samples + begins[0], samples - half + begins[1])


def _trains(half: int, pursuit_s: Float, rng: np.random.Generator) -> list[Integer]:
    times = [_follow_the_eye(spike_times(recipe, rng), gain, pursuit_s) for recipe, _, _, gain in UNITS]
    last = np.searchsorted(times[COMPLEX], times[SIMPLE]) - 1
    since = np.where(last >= 0, times[SIMPLE] - times[COMPLEX][np.maximum(last, 0)], np.inf)
    times[SIMPLE] = times[SIMPLE][since > PAUSE_S]
    made = []
    for own in times:
        samples = np.unique(np.rint(own * RATE_HZ).astype(np.int64))
        from_edge = np.minimum(samples % half, half - samples % half)
        made.append(samples[(samples < 2 * half) & (from_edge > N_SHAPE)])
    return made


def _follow_the_eye(times: Float, gain: float, pursuit_s: Float) -> Float:
    """Shorten intervals while the eye moves where `gain` is above 1, and lengthen them where it is below."""
    if gain == 1.0:
        return times
    intervals = np.diff(times, prepend=0.0)
    made, now = np.empty(len(times)), 0.0
    onsets, k = np.append(pursuit_s, np.inf), 0
    for row, interval in enumerate(intervals.tolist()):
        while now > onsets[k] + PURSUIT_S:
            k += 1
        now += interval / gain if now > onsets[k] else interval
        made[row] = now
    return made


def shapes_uv() -> list[Float]:
    """(N_SHAPE, 16) of each unit: the recipe's bell curves, smaller and later with distance."""
    time_ms = (np.arange(N_SHAPE) - N_BEFORE) / RATE_HZ * 1e3
    made = []
    for recipe, contact, off_um, _ in UNITS:
        distance = np.hypot(*(positions_um() - positions_um()[contact - 1] - off_um).T)
        at = time_ms[:, None] - (distance - distance.min()) / 500.0
        shape = sum(height * np.exp(-0.5 * ((at - centre) / width) ** 2) for centre, width, height in recipe.bells)
        made.append(shape * np.exp(-(distance - distance.min()) / 40.0) * recipe.amplitude_uv)
    return made


def _traces_uv(n: int, samples: tuple[Integer, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """(16, n) noise and spikes; the slow waves come later, as spike channels do not have them."""
    noise = rng.standard_normal((N_CHANNELS, 4 * RATE_HZ), dtype=np.float32) * np.float32(NOISE_UV)
    made = np.empty((N_CHANNELS, n), dtype=np.float32)
    for start in range(0, n, 2 * RATE_HZ):
        stop, shift = min(n, start + 2 * RATE_HZ), int(rng.integers(0, 2 * RATE_HZ))
        made[:, start:stop] = np.roll(noise[:, shift : shift + stop - start], int(rng.integers(N_CHANNELS)), axis=0)
    for spikes, shape in zip(samples, shapes_uv(), strict=True):
        small = shape.T.astype(np.float32)
        for spike in (spikes - N_BEFORE).tolist():
            made[:, spike : spike + N_SHAPE] += small
    return made


def _neurons(samples: tuple[Integer, ...]) -> list[dict[str, Any]]:
    """As NeuroViz keeps neurons: samples and channels count from 1, and complex spikes are there twice."""
    neurons = []
    for row, spikes in enumerate(samples):
        contact = UNITS[row][1]
        neurons.append({
            "type__": "PurkinjeCell" if row == SIMPLE else "Neuron", "spike_indices__": np.uint32(spikes + 1),
            "channel_id__": contact, "spike_indices_channel__": np.full(len(spikes), contact, dtype=np.uint16),
            "sampling_rate__": RATE_HZ, "filename__": "D:\\simulated\\simulated.pl2", "label": "unlabeled",
        })  # fmt: skip
    neurons[SIMPLE]["cs_spike_indices__"] = np.uint32(samples[COMPLEX] + 1)
    return [neurons[row] for row in (SIMPLE, *range(2, len(neurons)), COMPLEX)]


# ------------------------------------------------------------------------------------------- the file, byte by byte


def _write_pl2(
    path: Path,
    fast: NDArray[np.float32],
    samples: tuple[Integer, ...],
    ticks: list[Integer],
    pursuit: Integer,
    half: int,
    begins: tuple[int, int],
    rng: np.random.Generator,
) -> None:
    """Headers of all channels, blocks of data, and an index of the blocks at the end."""
    units: dict[int, list[tuple[Integer, Integer, int]]] = {channel: [] for channel, _ in ON_LINE.values()}
    for row, (channel, letter) in ON_LINE.items():
        units[channel].append((samples[row], ticks[row], letter))
    stray = np.sort(rng.choice(np.arange(1000, half), 60, replace=False))
    events = _events(pursuit)
    headers = b"".join(_spike_header(channel) for channel in sorted(units))
    headers += b"".join(_analog_header(channel) for channel in range(1, N_CHANNELS + 1))
    headers += b"".join(_event_header(name, *place) for name, place, _, _ in events)
    file = _Blocks(first_byte=(0x480 + len(headers) + 15) // 16 * 16)
    for channel in sorted(units):
        parts = [(stray, stray, 0), *units[channel]]
        at, when = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
        letters = np.repeat([part[2] for part in parts], [len(part[0]) for part in parts])
        order = np.argsort(when, kind="stable")
        window = np.arange(SNIPPET) - SNIPPET_BEFORE
        cut = np.rint(fast[channel - 1, at[order][:, None] + window] / (COEFFICIENT * 1e6)).astype("<i2")
        for first in range(0, len(order), 300):
            some = slice(first, first + 300)
            file.add_items(0x31, (6, channel), when[order][some], letters[order][some], cut[some])
    slow = (SLOW_UV * np.sin(2 * np.pi * 6.0 * np.arange(fast.shape[1]) / RATE_HZ)).astype(np.float32)
    for channel in range(N_CHANNELS):
        counts = np.rint((fast[channel] + slow) / (COEFFICIENT * 1e6)).astype("<i2")
        for k, begin in enumerate(begins):
            for first in range(0, half, 5000):
                file.add_samples(
                    (3, channel + 1), begin + first, counts[k * half + first : k * half + min(first + 5000, half)]
                )
    for _, place, when, values in events:
        file.add_items(0x5A, place, when, values)
    moments = np.array([begins[0], begins[0] + half, begins[1], begins[1] + half])
    file.add_items(0x59, (0, 0), moments, np.array([1, 0, 1, 0]))
    head = bytearray(0x480)
    struct.pack_into("<B9x6s", head, 0, 0xFE, b"PLEXON")
    ends = (file.next_byte, file.next_byte + 32)
    struct.pack_into(
        "<6Q", head, 0x20, 0x480 + len(headers), file.first_byte, *ends, ACQUISITION_TICK, int(moments[-1])
    )
    struct.pack_into("<256s64s16s", head, 0xE0, b"SIMULATED; nothing was recorded.", b"OmniPlex", b"1.22.0")
    struct.pack_into("<10i", head, 0x230, 0, 3, 14, 31, 0, 126, 0, 0, 0, 0)  # 2026-01-31 14:03:00
    struct.pack_into("<d", head, 0x258, float(RATE_HZ))
    counted = (len(units), len(units), N_CHANNELS, N_CHANNELS, len(events), 1)
    struct.pack_into("<6I", head, 0x264, *counted)
    with path.open("wb") as out:
        out.write((bytes(head) + headers).ljust(file.first_byte, b"\0"))
        out.writelines(file.pieces)
        out.write(bytes(32) + file.index())


def _events(pursuit: Integer) -> list[tuple[str, tuple[int, int], Integer, Integer]]:
    """Each trial: words with its beginning, its name and its end, and a line that rises when the target moves."""
    words = [START_TRIAL, *b"pursuit", 0, STOP_TRIAL]
    delays = np.append(np.arange(len(words) - 1) * 40 - 12_000, 40_000)  # the last when the trial is over
    when = (pursuit[:, None] + delays).ravel()
    return [
        ("EVT02", (9, 2), pursuit, np.zeros(len(pursuit), dtype=np.int64)),
        ("Strobed", (10, 1), when, np.tile(words, len(pursuit))),
    ]


class _Blocks:
    """Blocks of data and where they are."""

    def __init__(self, first_byte: int) -> None:
        self.first_byte = self.next_byte = first_byte
        self.pieces: list[bytes] = []
        self._index: dict[tuple[int, int, int], list[tuple[int, int, int]]] = {}

    def add_items(
        self, kind: int, place: tuple[int, int], ticks: Integer, values: Integer, snippets: Any = None
    ) -> None:
        """Add moments with a value each, and snippets where there are any."""
        payload = ticks.astype("<u8").tobytes() + values.astype("<u2").tobytes()
        third, last = len(ticks), 0
        if snippets is not None:
            payload, third, last = payload + snippets.tobytes(), snippets.shape[1], len(ticks)
        self._add(kind, place, third, last, payload, int(ticks[0]), len(ticks))

    def add_samples(self, place: tuple[int, int], tick: int, counts: NDArray[np.int16]) -> None:
        """Add a piece of a continuous channel."""
        self._add(0x42, place, len(counts), tick, counts.tobytes(), tick, len(counts))

    def _add(self, kind: int, place: tuple[int, int], third: int, last: int, payload: bytes, tick: int, n: int) -> None:
        block = struct.pack("<BBHHHQ", kind, place[0], len(payload) // 2, place[1], third, last) + payload
        block += bytes(-len(block) % 16)
        self._index.setdefault((kind, *place), []).append((self.next_byte, tick, n))
        self.pieces.append(block)
        self.next_byte += len(block)

    def index(self) -> bytes:
        """Footer: of each channel, the places, first ticks and lengths of its blocks."""
        out = bytearray()
        for (kind, source, channel), blocks in self._index.items():
            places, ticks, counts = (np.array(column) for column in zip(*blocks, strict=True))
            payload = places.astype("<u8").tobytes() + ticks.astype("<u8").tobytes() + counts.astype("<u2").tobytes()
            footer = {0x31: 0xDE, 0x42: 0xDD, 0x5A: 0xDF, 0x59: 0xE0}[kind]
            out += struct.pack("<BBHHHQ", footer, source, len(payload) // 2, channel, 1, int(counts.sum()))
            out += payload + bytes(-len(payload) % 16)
        return bytes(out)


def _spike_header(channel: int) -> bytes:
    out = struct.pack("<BBHIII64s", 0xD5, 6, 0x508, channel, 0, 0, b"SPK%02d" % channel)
    out += struct.pack("<4I16s2d", 6, channel, 1, 1, b"Volts", float(RATE_HZ), COEFFICIENT)
    out += struct.pack("<IiI5I", SNIPPET, -1905, SNIPPET_BEFORE, 1, 3, 0, 0, 32) + bytes(8 * 256)
    out += struct.pack("<6I", 1, channel, 0, 16, 700, 16)
    out += struct.pack("<64s64s64s", b"SPK", b"Basic Sorting", b"Generic N-channel Electrodes")
    return out + struct.pack("<4I3d", 1, channel, 50, channel, -5.0, 5.0, 783.0) + bytes(128)


def _analog_header(channel: int) -> bytes:
    out = struct.pack("<BBHIII64s", 0xD4, 3, 0xF8, channel, 0, 0, b"WB%02d" % channel)
    out += struct.pack("<4I16s2d", 3, channel, 1, 1, b"Volts", float(RATE_HZ), COEFFICIENT)
    out += struct.pack("<6I", 1, channel, 3, 16, 552, 16) + struct.pack(
        "<64s64s64s", b"WB", b"Digital HST Processor", b""
    )
    return out + struct.pack("<4I3d", 1, channel, 50, channel, -5.0, 5.0, 783.0) + bytes(128)


def _event_header(name: str, source: int, channel: int) -> bytes:
    out = struct.pack("<BBHIII64s", 0xD6, source, 0xB0, channel, 0, 0, name.encode())
    return out + struct.pack("<8I64s64s", source, channel, 1, 1, 32, 32, 1000, 260, b"events", b"Plexon") + bytes(128)


if __name__ == "__main__":
    print(simulate_macaque(sys.argv[1] if len(sys.argv) > 1 else "simulated_macaque").pl2)
