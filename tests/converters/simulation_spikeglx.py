"""Write a simulated SpikeGLX run: a Neuropixels 1.0 probe, NIDQ on a clock of its own, and their headers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .simulation_units import N_BEFORE, N_SHAPE, RATE_HZ, SimulatedUnits

Float = NDArray[np.float64]

N_CHANNELS = 384
REFERENCE = 191
"""Site that is wired to the reference and records no tissue."""
GAIN_UV = 0.6 / 512 / 500 * 1e6
LFP_GAIN_UV = 0.6 / 512 / 250 * 1e6
NOISE_UV = 6.0
NI_RATE_HZ = 25_000
SYNC_BIT, SYNC_LINE, LASER_LINE, TRIAL_LINE = 6, 0, 3, 20


@dataclass(frozen=True)
class Clocks:
    """Where the files of the two streams begin, and how NIDQ's clock runs.

    Attributes
    ----------
    first_sample, ni_first_sample : int
        ``firstSample`` of the probe's file and of NIDQ's.
    ni_offset_s : float
        When NIDQ's sample 0 was taken, on the probe's clock.
    ni_drift_ppm : float
        How much faster than stated NIDQ's clock runs.
    sync_phase_s : float
        When the square wave of 1 Hz first rises.
    """

    first_sample: int = 177_385
    ni_first_sample: int = 147_741
    ni_offset_s: float = 0.0081
    ni_drift_ppm: float = 50.0
    sync_phase_s: float = 0.2371

    @property
    def start_s(self) -> float:
        """Session second of the first sample of the probe's file."""
        return self.first_sample / RATE_HZ

    def ni_seconds(self, samples: NDArray[np.int64]) -> Float:
        """Session seconds of samples of NIDQ's file."""
        rate = NI_RATE_HZ * (1 + self.ni_drift_ppm * 1e-6)
        return np.asarray(self.ni_offset_s + (samples + self.ni_first_sample) / rate)

    def sync(self, seconds: Float) -> NDArray[np.bool_]:
        """Level of the square wave."""
        return np.asarray(((seconds - self.sync_phase_s) % 1.0) < 0.5)


def positions_um() -> Float:
    """(N_CHANNELS, 2) positions of bank 0 of a Neuropixels 1.0 probe: two staggered columns a row of 20 micrometres."""
    channel = np.arange(N_CHANNELS)
    return np.stack([np.array([27.0, 59.0, 11.0, 43.0])[channel % 4], 20.0 * (channel // 2)], axis=1)


def write_probe(
    folder: Path,
    run: str,
    units: SimulatedUnits,
    seconds: float,
    clocks: Clocks,
    seed: int,
    *,
    max_offset: int = 0,
) -> Path:
    """Write the action-potential band of probe ``imec0``, a second at a time, and return its ``.bin`` file.

    Channels rest at a constant of at most `max_offset` counts, as those of real probes do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run}_t0.imec0.ap.bin"
    n = round(seconds * RATE_HZ)
    rng = np.random.default_rng(seed)
    noise = _noise(rng)
    offsets = rng.integers(-max_offset, max_offset + 1, N_CHANNELS)
    spikes = _Spikes(units)
    with path.open("wb") as file:
        for start in range(0, n, RATE_HZ):
            stop = min(n, start + RATE_HZ)
            shift = int(rng.integers(0, 2 * RATE_HZ))
            block = np.roll(noise[shift : shift + stop - start], int(rng.integers(N_CHANNELS)), axis=1)
            spikes.add(block, start, stop)
            block[:, REFERENCE] = noise[shift : shift + stop - start, REFERENCE]
            counts = np.empty((stop - start, N_CHANNELS + 1), dtype="<i2")
            counts[:, :-1] = np.clip(np.rint(block + offsets.astype(np.float32)), -512, 511)
            counts[:, -1] = clocks.sync((clocks.first_sample + np.arange(start, stop)) / RATE_HZ) << SYNC_BIT
            file.write(counts.tobytes())
    _write_probe_header(path, n, RATE_HZ, clocks.first_sample, "ap")
    return path


def _noise(rng: np.random.Generator) -> NDArray[np.float32]:
    """Three seconds of noise of `NOISE_UV`, in counts: smooth over two samples, a quarter of it on all channels."""
    own = rng.standard_normal((3 * RATE_HZ + 1, N_CHANNELS), dtype=np.float32)
    shared = rng.standard_normal((3 * RATE_HZ + 1, 1), dtype=np.float32)
    white = np.float32(np.sqrt(0.75)) * own + np.float32(0.5) * shared
    smooth = (white[:-1] + np.float32(0.5) * white[1:]) / np.float32(np.sqrt(1.25))
    return np.asarray(smooth * np.float32(NOISE_UV / GAIN_UV))


def write_lfp(folder: Path, run: str, seconds: float, clocks: Clocks, seed: int) -> Path:
    """Write the field-potential band: a slow wave and noise, a twelfth of the rate."""
    path = folder / f"{run}_t0.imec0.lf.bin"
    rate = RATE_HZ // 12
    n = round(seconds * RATE_HZ) // 12
    rng = np.random.default_rng(seed + 1)
    wave = 200.0 / LFP_GAIN_UV * np.sin(2 * np.pi * 4.0 * np.arange(n) / rate)
    counts = np.empty((n, N_CHANNELS + 1), dtype="<i2")
    counts[:, :-1] = np.rint(wave[:, None] + rng.standard_normal((n, N_CHANNELS), dtype=np.float32))
    counts[:, -1] = clocks.sync((clocks.first_sample / 12 + np.arange(n)) / rate) << SYNC_BIT
    counts.tofile(path)
    _write_probe_header(path, n, rate, clocks.first_sample // 12, "lf")
    return path


class _Spikes:
    """All spikes of all units in one order, to be added to a block of traces."""

    def __init__(self, units: SimulatedUnits) -> None:
        samples = np.concatenate(units.samples)
        rows = np.repeat(np.arange(len(units)), [len(s) for s in units.samples])
        order = np.argsort(samples, kind="stable")
        self.samples, self.rows = samples[order], rows[order]
        self.places: list[slice] = []
        self.shapes: list[NDArray[np.float32]] = []
        for shape in units.shapes_uv:
            seen = np.flatnonzero(np.any(shape != 0, axis=0))
            place = slice(int(seen[0]), int(seen[-1]) + 1)
            self.places.append(place)
            self.shapes.append(np.ascontiguousarray(shape[:, place] / np.float32(GAIN_UV)))

    def add(self, block: NDArray[np.float32], start: int, stop: int) -> None:
        first, last = np.searchsorted(self.samples, [start - N_SHAPE, stop + N_SHAPE])
        for sample, row in zip(self.samples[first:last].tolist(), self.rows[first:last].tolist(), strict=True):
            begin = sample - N_BEFORE - start
            a, b = max(begin, 0), min(begin + N_SHAPE, stop - start)
            if a < b:
                block[a:b, self.places[row]] += self.shapes[row][a - begin : b - begin]


def write_nidq(folder: Path, run: str, seconds: float, clocks: Clocks, laser_s: Float, trials_s: Float) -> Path:
    """Write NIDQ: one analog channel and 32 digital lines, of which three are used.

    Parameters
    ----------
    folder : Path
    run : str
    seconds : float
        Length of the probe's file; NIDQ's stops a little later.
    clocks : Clocks
    laser_s, trials_s : (k, 2) float64 arrays
        From when to when each line is high, session seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run}_t0.nidq.bin"
    n = round((seconds + 0.01) * NI_RATE_HZ)
    block = 20 * NI_RATE_HZ
    with path.open("wb") as file:
        for start in range(0, n, block):
            samples = np.arange(start, min(n, start + block))
            when = clocks.ni_seconds(samples)
            lines = clocks.sync(when).astype(np.uint32) << SYNC_LINE
            lines |= is_high(when, laser_s).astype(np.uint32) << np.uint32(LASER_LINE)
            lines |= is_high(when, trials_s).astype(np.uint32) << np.uint32(TRIAL_LINE)
            counts = np.empty((len(samples), 3), dtype="<i2")
            counts[:, 0] = np.rint(5000 * np.sin(2 * np.pi * when))
            counts[:, 1] = (lines & 0xFFFF).astype(np.uint16).view(np.int16)
            counts[:, 2] = (lines >> 16).astype(np.uint16).view(np.int16)
            file.write(counts.tobytes())
    _write_nidq_header(path, n, clocks)
    return path


def is_high(seconds: Float, intervals: Float) -> NDArray[np.bool_]:
    """Whether each instant lies in one of some intervals that do not overlap."""
    if not len(intervals):
        return np.zeros(len(seconds), dtype=bool)
    row = np.searchsorted(intervals[:, 0], seconds, side="right") - 1
    return np.asarray((row >= 0) & (seconds < intervals[np.maximum(row, 0), 1]))


def _common(path: Path, n: int, rate_hz: float, first_sample: int) -> dict[str, object]:
    return {
        "appVersion": "20230411",
        "fileCreateTime": "2026-01-31T14:03:00",
        # where it was recorded, not where it lies now
        "fileName": f"D:/data/{path.parent.name}/{path.name}",
        "fileSizeBytes": path.stat().st_size,
        "fileTimeSecs": n / rate_hz,
        "firstSample": first_sample,
        "gateMode": "Immediate",
        "nDataDirs": 1,
        "syncSourceIdx": 3,
        "syncSourcePeriod": 1,
        "trigMode": "Immediate",
        "typeImEnabled": 1,
        "typeNiEnabled": 1,
        "userNotes": "",
    }


def _write_probe_header(path: Path, n: int, rate_hz: int, first_sample: int, band: str) -> None:
    saved = f"0:{N_CHANNELS - 1},768" if band == "ap" else f"{N_CHANNELS}:768"
    name = band.upper()
    values = {
        **_common(path, n, rate_hz, first_sample),
        "acqApLfSy": "384,384,1",
        "imAiRangeMax": 0.6,
        "imAiRangeMin": -0.6,
        "imDatPrb_pn": "PRB_1_4_0480_1",
        "imDatPrb_port": 2,
        "imDatPrb_slot": 2,
        "imDatPrb_sn": "18194809281",
        "imDatPrb_type": 0,
        "imMaxInt": 512,
        "imSampRate": rate_hz,
        "nSavedChans": N_CHANNELS + 1,
        "snsApLfSy": "384,0,1" if band == "ap" else "0,384,1",
        "snsSaveChanSubset": saved,
        "syncImInputSlot": 2,
        "typeThis": "imec",
    }
    channels = range(N_CHANNELS)
    xy = positions_um().astype(int).tolist()
    used = [0 if c == REFERENCE else 1 for c in channels]
    offset = 0 if band == "ap" else N_CHANNELS
    tables = {
        "imroTbl": "(0,384)" + "".join(f"({c} 0 0 500 250 1)" for c in channels),
        "snsChanMap": "(384,384,1)" + "".join(f"({name}{c};{c + offset}:{c})" for c in channels) + "(SY0;768:384)",
        "snsGeomMap": "(PRB_1_4_0480_1,1,0,70)" + "".join(f"(0:{x}:{y}:{used[c]})" for c, (x, y) in enumerate(xy)),
        "snsShankMap": "(1,2,480)" + "".join(f"(0:{c % 2}:{c // 2}:{used[c]})" for c in channels),
    }
    _write_header(path, values, tables)


def _write_nidq_header(path: Path, n: int, clocks: Clocks) -> None:
    values = {
        **_common(path, n, NI_RATE_HZ, clocks.ni_first_sample),
        "acqMnMaXaDw": "0,0,1,2",
        "nSavedChans": 3,
        "niAiRangeMax": 5,
        "niAiRangeMin": -5,
        "niClockSource": "PXI1Slot7_Internal : 25000.000000",
        "niDev1": "PXI1Slot7",
        "niDev1ProductName": "PXIe-6363",
        "niMAChans1": "",
        "niMAGain": 1,
        "niMNChans1": "",
        "niMNGain": 200,
        "niMaxInt": 32768,
        "niMuxFactor": 32,
        "niSampRate": NI_RATE_HZ,
        "niXAChans1": 0,
        "niXDBytes1": 4,
        "niXDChans1": "0:31",
        "snsMnMaXaDw": "0,0,1,2",
        "snsSaveChanSubset": "all",
        "syncNiChan": SYNC_LINE,
        "syncNiChanType": 0,
        "syncNiThresh": 1.1,
        "typeThis": "nidq",
    }
    _write_header(path, values, {"snsChanMap": "(0,0,32,1,2)(XA0;0:0)(XD0;1:1)(XD1;2:2)", "snsShankMap": "(1,2,0)"})


def _write_header(path: Path, values: dict[str, object], tables: dict[str, str]) -> None:
    lines = [f"{key}={value}" for key, value in sorted(values.items())]
    lines += [f"~{key}={value}" for key, value in sorted(tables.items())]
    path.with_suffix(".meta").write_text("\n".join(lines) + "\n", encoding="utf-8")
