"""A macaque's session as a lab has it: a Plexon file written byte by byte, and the pickle of its curated sorting.

Simulated; shares no code with the readers. There is a pause in the middle, the probe's outer contacts were not
recorded, and the wideband carries slow waves that spike channels do not have.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .plexon.files import PL2_COEFFICIENT, Analog, Event, Recipe, Spikes, write_pl2, write_plx
from .simulation_units import KINDS, pause, train

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

RATE_HZ = 40_000
CHANNELS = np.arange(5, 13)  # of an s-Probe with 16 contacts
PIECE_S, PAUSE_TICKS, FIRST_TICK = 20, 130_000, 6_000
N_BEFORE, N_POINTS = 8, 40
N_SHAPE, AT = 160, 40  # of a spike in the traces, and where its trough is
NOISE_UV, SLOW_UV, SLOW_HZ = 6.0, 150.0, 7.0
TRACE_GAIN_UV = {"plx": 5000 / 2**15, "pl2": PL2_COEFFICIENT * 1e6}
SNIPPET_GAIN_UV = {"plx": 3000 / 2**11, "pl2": PL2_COEFFICIENT * 1e6}
WRITERS: dict[str, Any] = {"plx": write_plx, "pl2": write_pl2}
# name in Plexon, number of the channel, letter, what it imitates, name in the pickle
UNITS = (
    ("SPK06a", 6, 1, "MLI", "1"),
    ("SPK08a", 8, 1, "MFB", "4"),
    ("SPK09a", 9, 1, "PkC_ss", "2s"),
    ("SPK09b", 9, 2, "PkC_cs", "2c"),
    ("SPK11a", 11, 1, "GoC", "5"),
)
WORDS = [2, *b"trial_7", 0, 3]


@dataclass(frozen=True, eq=False)
class MacaqueSession:
    """Files and the truth about them.

    Attributes
    ----------
    path, neurons : Path
        Plexon file, and the pickle.
    samples : mapping of str to (n,) int64 array
        Spikes of each unit by its name in Plexon, in samples of the traces, which know no pause.
    ticks : mapping of str to (n,) int64 array
        The same in ticks of the file.
    counts : (n_channels, n) int16 array
        Wideband as stored.
    snippets : mapping of str to (n, N_POINTS) int16 array
        As stored, by unit.
    shapes_uv : mapping of str to (N_SHAPE, n_channels) float64 array
    begins : tuple of int
        First tick of each piece.
    events : mapping of str to list of int
        Ticks, by channel.
    """

    kind: str
    path: Path
    neurons: Path
    samples: dict[str, Integer]
    ticks: dict[str, Integer]
    counts: NDArray[np.int16]
    snippets: dict[str, NDArray[np.int16]]
    shapes_uv: dict[str, Float]
    begins: tuple[int, ...]
    events: dict[str, list[int]]

    @property
    def trace_gain_uv(self) -> float:
        return TRACE_GAIN_UV[self.kind]

    @property
    def snippet_gain_uv(self) -> float:
        return SNIPPET_GAIN_UV[self.kind]

    @property
    def pieces_s(self) -> Float:
        """(2, 2) seconds in which the file was recorded."""
        return np.array([[begin, begin + PIECE_S * RATE_HZ] for begin in self.begins]) / RATE_HZ

    def seconds(self, name: str) -> Float:
        """When a unit fired, on the session clock."""
        return np.asarray(self.ticks[name] / RATE_HZ)


def positions_um() -> Float:
    """(n, 2) of the recorded contacts: two columns, eight rows 50 micrometres apart, counted from the tip."""
    contacts = CHANNELS - 1
    return np.column_stack([contacts % 2 * 50.0, contacts // 2 * 50.0])


def write_session(folder: Path, kind: str, seed: int = 4) -> MacaqueSession:
    """Write ``monkey.plx`` or ``monkey.pl2``, and ``monkey.pkl`` beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    n_piece = PIECE_S * RATE_HZ
    begins = (FIRST_TICK, FIRST_TICK + n_piece + PAUSE_TICKS)
    samples = _trains(2 * n_piece, n_piece, rng)
    ticks = {name: np.where(s < n_piece, s + begins[0], s - n_piece + begins[1]) for name, s in samples.items()}
    shapes = {name: _shape(KINDS[imitates].amplitude_uv, imitates, channel) for name, channel, _, imitates, _ in UNITS}
    fast = _fast_uv(2 * n_piece, samples, shapes, rng)
    slow = (SLOW_UV * np.sin(2 * np.pi * SLOW_HZ * np.arange(2 * n_piece) / RATE_HZ)).astype(np.float32)
    counts = np.round((fast + slow) / TRACE_GAIN_UV[kind]).astype("<i2")
    spikes, snippets = _spike_channels(kind, fast, samples, ticks, begins, rng)
    analog = [
        Analog(f"WB{number:02d}", "WB", int(number), RATE_HZ,
               [(begin, counts[row, k * n_piece : (k + 1) * n_piece]) for k, begin in enumerate(begins)])
        for row, number in enumerate(CHANNELS)
    ]  # fmt: skip
    events, happened = _events(begins)
    recipe = Recipe(spikes, analog, events, list(begins), [begin + n_piece for begin in begins], n_before=N_BEFORE,
                    comment="left flocculus, simulated")  # fmt: skip
    path = WRITERS[kind](folder / f"monkey.{kind}", recipe)
    neurons = folder / "monkey.pkl"
    neurons.write_bytes(pickle.dumps(_neurons(samples), protocol=3))
    return MacaqueSession(kind, path, neurons, samples, ticks, counts, snippets, shapes, begins, happened)


def _trains(n: int, n_piece: int, rng: np.random.Generator) -> dict[str, Integer]:
    seconds = n / RATE_HZ
    times = {name: train(KINDS[imitates], seconds, rng) for name, _, _, imitates, _ in UNITS}
    times["SPK09a"] = pause(times["SPK09a"], times["SPK09b"])
    made = {}
    for name, own in times.items():
        samples = np.unique(np.rint(own * RATE_HZ).astype(np.int64))
        from_edge = np.minimum(samples % n_piece, n_piece - samples % n_piece)
        made[name] = samples[from_edge > N_SHAPE]
    return made


def _shape(amplitude_uv: float, imitates: str, channel: int) -> Float:
    """(N_SHAPE, n_channels): a trough and a bump, smaller with distance."""
    kind = KINDS[imitates]
    t_ms = (np.arange(N_SHAPE) - AT) / RATE_HZ * 1e3
    positions = positions_um()
    distance = np.hypot(*(positions - positions[channel == CHANNELS][0]).T)
    trough = np.exp(-((t_ms / kind.trough_ms) ** 2) / 2)
    after = np.exp(-(((t_ms - kind.bump_ms) / (0.4 * kind.bump_ms + 0.1)) ** 2) / 2)
    one = amplitude_uv * (kind.bump * after - trough) * np.minimum(1, np.arange(N_SHAPE)[::-1] / 20)
    return np.asarray(one[:, None] * np.exp(-distance / 45.0))


def _fast_uv(
    n: int, samples: dict[str, Integer], shapes: dict[str, Float], rng: np.random.Generator
) -> NDArray[np.float32]:  # fmt: skip
    """(n_channels, n) noise and spikes."""
    made = rng.standard_normal((len(CHANNELS), n), dtype=np.float32) * np.float32(NOISE_UV)
    for name, spikes in samples.items():
        shape = shapes[name].T.astype(np.float32)
        for spike in spikes.tolist():
            made[:, spike - AT : spike - AT + N_SHAPE] += shape
    return made


def _spike_channels(
    kind: str,
    fast: NDArray[np.float32],
    samples: dict[str, Integer],
    ticks: dict[str, Integer],
    begins: tuple[int, ...],
    rng: np.random.Generator,
) -> tuple[list[Spikes], dict[str, NDArray[np.int16]]]:
    """Snippets of the sorted units and, on each channel, some waveforms that were given to no unit."""
    window = np.arange(N_POINTS) - N_BEFORE
    channels: list[Spikes] = []
    snippets: dict[str, NDArray[np.int16]] = {}
    for row, number in enumerate(CHANNELS.tolist()):
        stray = np.sort(rng.choice(np.arange(1000, 700_000), 40, replace=False))
        parts = [(stray, stray + begins[0], 0)]
        parts += [(samples[name], ticks[name], letter) for name, channel, letter, *_ in UNITS if channel == number]
        at = np.concatenate([part[0] for part in parts])
        when = np.concatenate([part[1] for part in parts])
        units = np.repeat([part[2] for part in parts], [len(part[0]) for part in parts])
        order = np.argsort(when, kind="stable")
        cut = np.round(fast[row, at[order][:, None] + window] / SNIPPET_GAIN_UV[kind]).astype("<i2")
        channels.append(Spikes(f"SPK{number:02d}", number, when[order], units[order], cut))
        snippets |= {
            name: cut[units[order] == letter] for name, channel, letter, *_ in UNITS if channel == number
        }  # fmt: skip
    return channels, snippets


def _events(begins: tuple[int, ...]) -> tuple[list[Event], dict[str, list[int]]]:
    """A trial in each piece: words that are strobed in, a line that marks it, a key."""
    happened = {
        "Strobed": [begin + 4000 + 40 * k for begin in begins for k in range(len(WORDS))],
        "EVT02": [begin + 8000 + 20_000 * k for begin in begins for k in range(5)],
        "KBD1": [begins[1] + 77],
    }
    return [
        Event("EVT01", 1, (9, 1), []),
        Event("EVT02", 2, (9, 2), happened["EVT02"]),
        Event("KBD1", 101, (8, 1), happened["KBD1"]),
        Event("Strobed", 257, (10, 1), happened["Strobed"], WORDS * len(begins)),
    ], happened


def _neurons(samples: dict[str, Integer]) -> list[dict[str, Any]]:
    """As NeuroViz keeps what Full Binary Pursuit found: samples and channels count from 1."""

    def neuron(name: str, channel: int, kind: str = "Neuron", **more: Any) -> dict[str, Any]:
        spikes, place = samples[name], int(np.flatnonzero(channel == CHANNELS)[0])
        return {
            "type__": kind, "spike_indices__": np.uint32(spikes + 1), "channel_id__": place + 1,
            "spike_indices_channel__": np.full(len(spikes), place + 1, dtype=np.uint16), "sampling_rate__": RATE_HZ,
            "filename__": "D:\\recordings\\monkey.pl2", "snr": 5.0 + place, "fraction_mua": 0.01, **more,
        }  # fmt: skip

    complex_ = np.uint32(samples["SPK09b"] + 1)
    return [
        neuron("SPK06a", 6, label="putative_basket"),
        neuron("SPK09a", 9, "PurkinjeCell", cs_spike_indices__=complex_),
        neuron("SPK09b", 9),  # the complex spikes once more, as NeuroViz leaves them
        neuron("SPK08a", 8, label="unlabeled"),
        neuron("SPK11a", 11, label="putative_golgi"),
    ]


def real_purkinje_cell(source: Path, folder: Path, kind: str) -> tuple[Path, dict[str, Integer]]:
    """Write the real trace of a macaque's Purkinje cell as a Plexon file with the expert's marks as units.

    Simple spikes are marked to the millisecond: each is put where the trace is lowest within it. Complex spikes begin
    where their marks begin.

    Returns
    -------
    path : Path
    ticks : dict of str to (n,) int64 array
    """
    from scipy.io import loadmat

    recording, rate = loadmat(source), 25_000
    trace = recording["HIGH"].ravel()
    marked = np.flatnonzero(recording["SS_train"].ravel()) * (rate // 1000)
    simple = np.array([start + int(np.argmin(trace[start : start + 26])) for start in marked.tolist()])
    complex_ = np.flatnonzero(np.diff(recording["Labels"].ravel().astype(int), prepend=0) == 1)
    window = np.arange(-25, 75)
    simple, complex_ = (each[(each > 25) & (each < len(trace) - 75)] for each in (simple, complex_))
    when = np.concatenate([simple, complex_])
    units = np.repeat([1, 2], [len(simple), len(complex_)])
    order = np.argsort(when, kind="stable")
    cut = trace[when[order][:, None] + window].astype("<i2")
    spikes = [Spikes("SPK01", 1, when[order], units[order], cut)]
    traces = [Analog("SPKC01", "SPKC", 1, rate, [(0, trace)], gain=15)]  # the true gain is not known
    recipe = Recipe(spikes, traces, stops=[len(trace)], tick_rate=rate, n_before=25)
    more: dict[str, Any] = {"snippet_rate": rate, "spike_bits": 16} if kind == "plx" else {}
    path = WRITERS[kind](folder / f"purkinje.{kind}", recipe, **more)
    return path, {"SPK01a": simple, "SPK01b": complex_}
