"""Write large simulated sessions for the benchmarks, block by block: nothing in them was recorded.

Run:  python benchmarks/simulated_units.py FILE [--units 1000] [--spikes 100000] [--channels 384] [--filler-mb 0]

One unit in ten fires like complex spikes (1 Hz); half of these have a unit of simple spikes beside them that pauses
after each. The others fire like simple spikes, interneurons, Golgi cells and mossy fibres. Trains are renewal processes
on a 30 kHz grid; the session is as long as it takes to reach the number of spikes. No more than one unit is in memory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

RATE_HZ = 30_000.0
N_SAMPLES = 82
PAUSE_S = 0.014


@dataclass(frozen=True)
class Kind:
    """How a unit fires and what its spike looks like: (centre ms, width ms, height) of each bell curve."""

    name: str
    rate_hz: float
    refractory_ms: float
    shape: float
    bells: tuple[tuple[float, float, float], ...]


COMPLEX = Kind("PkC_cs", 1.0, 80.0, 1.5, ((0.0, 0.17, -1.0), (0.55, 0.25, 0.35), (0.95, 0.15, 0.55)))
SIMPLE = Kind("PkC_ss", 60.0, 3.0, 2.5, ((0.0, 0.09, -1.0), (0.30, 0.16, 0.28), (0.75, 0.40, 0.24)))
INTERNEURON = Kind("MLI", 28.0, 4.0, 1.1, ((0.0, 0.12, -1.0), (0.42, 0.22, 0.30), (0.9, 0.4, 0.10)))
GOLGI = Kind("GoC", 14.0, 20.0, 8.0, ((0.0, 0.13, -1.0), (0.38, 0.17, 0.62)))
MOSSY = Kind("MFB", 40.0, 1.2, 0.9, ((0.0, 0.06, -1.0), (-0.12, 0.06, 0.20), (0.16, 0.07, 0.45)))
KINDS = (COMPLEX, SIMPLE, SIMPLE, INTERNEURON, INTERNEURON, GOLGI, MOSSY, SIMPLE, MOSSY, INTERNEURON)
"""Kind of unit ``k`` is ``KINDS[k % 10]``; where ``k % 20 == 1``, it pauses after the spikes of unit ``k - 1``."""


@dataclass(frozen=True)
class Size:
    """How much is in a session.

    Attributes
    ----------
    n_units, n_spikes, n_channels : int
        `n_spikes` is of all units together, and reached within some percent.
    filler_bytes : int
        Of a stored signal that has nothing to do with the units.
    is_compressed : bool
        Whether the spike times are (gzip).
    """

    n_units: int = 1000
    n_spikes: int = 100_000_000
    n_channels: int = 384
    filler_bytes: int = 0
    is_compressed: bool = False

    @property
    def duration_s(self) -> float:
        """Length of the session in seconds."""
        return self.n_spikes / sum(KINDS[k % 10].rate_hz for k in range(self.n_units))


def train(kind: Kind, duration_s: float, rng: np.random.Generator) -> Float:
    """Spike times of a renewal process in seconds, ascending, on the sampling grid."""
    expected = kind.rate_hz * duration_s
    n = int(expected + 6 * np.sqrt(expected) + 20)
    free_s = 1 / kind.rate_hz - kind.refractory_ms * 1e-3
    intervals = rng.standard_gamma(kind.shape, n, dtype=np.float32) * np.float32(free_s / kind.shape)
    times = np.cumsum(intervals + np.float32(kind.refractory_ms * 1e-3), dtype=np.float64)
    samples = np.floor(times[times < duration_s] * RATE_HZ)
    return np.asarray(samples / RATE_HZ)


def trains(size: Size, seed: int = 9) -> Iterator[Float]:
    """Spike times of each unit in turn; the same seed gives the same."""
    leader = np.empty(0)
    for k in range(size.n_units):
        kind = KINDS[k % 10]
        times = train(kind, size.duration_s, np.random.default_rng([seed, k]))
        if kind is COMPLEX:
            leader = times
        elif k % 20 == 1 and len(leader):
            last = np.searchsorted(leader, times, side="right") - 1
            since = times - leader[np.maximum(last, 0)]
            times = times[(last < 0) | (since > PAUSE_S)]
        yield times


def waveform(kind: Kind, peak_channel: int, n_channels: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(samples, channels) volts: one shape, weaker with distance from its peak, and noise."""
    time_ms = (np.arange(N_SAMPLES) - 30) / RATE_HZ * 1e3
    shape = sum(height * np.exp(-0.5 * ((time_ms - centre) / width) ** 2) for centre, width, height in kind.bells)
    gain = np.exp(-np.abs(np.arange(n_channels) - peak_channel) / 6.0)
    noise = rng.normal(0, 0.006, (N_SAMPLES, n_channels))
    volts = (np.outer(shape, gain) + noise) * rng.uniform(60, 250) * 1e-6
    return np.asarray(volts, dtype=np.float32)


def write_session(path: Path, size: Size, seed: int = 9) -> Path:
    """Write the session with pynwb, under another name first, so that a file that is there is whole."""
    from hdmf.backends.hdf5 import H5DataIO
    from hdmf.common import DynamicTableRegion, VectorData, VectorIndex
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.file import Subject
    from pynwb.misc import Units

    n = size.n_units
    nwb = NWBFile(
        session_description="SIMULATED units for benchmarks; nothing here was recorded.",
        identifier=f"simulated-{n}-{size.n_spikes}-{size.n_channels}",
        session_start_time=datetime(2026, 1, 1, tzinfo=UTC),
        session_id="simulated",
        subject=Subject(subject_id="simulated", species="Mus musculus", sex="U", age="P90D"),
    )
    device = nwb.create_device(name="probe")
    group = nwb.create_electrode_group("probe0", description="simulated", location="Cerebellar cortex", device=device)
    nwb.add_electrode_column("rel_x", "um, simulated")
    nwb.add_electrode_column("rel_y", "um, simulated")
    for k in range(size.n_channels):
        nwb.add_electrode(
            group=group, location="Cerebellar cortex", filtering="high-pass 300 Hz, first order, causal",
            rel_x=16.0 * (k % 2), rel_y=20.0 * (k // 2),
        )  # fmt: skip
    ends = np.cumsum([len(times) for times in trains(size, seed)]).astype(np.uint64)
    options: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    stored = _blocks(trains(size, seed), (int(ends[-1]),), np.float64)
    spikes = VectorData(
        name="spike_times",
        description="simulated",
        data=H5DataIO(stored, chunks=(min(131_072, max(1, int(ends[-1]))),), **(options if size.is_compressed else {})),
    )
    peaks = [_peak(k, size) for k in range(n)]
    shapes = (
        waveform(KINDS[k % 10], peaks[k], size.n_channels, np.random.default_rng([seed, 1, k]))[None] for k in range(n)
    )
    mean = _blocks(shapes, (n, N_SAMPLES, size.n_channels), np.float32)
    stored_mean = H5DataIO(mean, chunks=(1, N_SAMPLES, size.n_channels))
    kinds = [KINDS[k % 10].name for k in range(n)]
    electrodes = DynamicTableRegion(name="electrodes", description="peak", data=peaks, table=nwb.electrodes)
    columns = [
        VectorIndex(name="spike_times_index", data=ends, target=spikes),  # hdmf wants it before what is streamed
        spikes,
        electrodes,
        VectorIndex(name="electrodes_index", data=np.arange(1, n + 1), target=electrodes),
        VectorData(name="waveform_mean", description="simulated", data=stored_mean),
        VectorData(name="simulates", description="what the unit imitates", data=kinds),
    ]  # fmt: skip
    names = [each.name for each in columns if not each.name.endswith("_index")]
    nwb.units = Units(
        name="units", description="simulated units", id=list(range(n)), columns=columns, colnames=names,
        resolution=1 / RATE_HZ, waveform_rate=RATE_HZ,
    )  # fmt: skip
    if size.filler_bytes:
        nwb.add_acquisition(_filler(size.filler_bytes, seed))
    unfinished = path.with_name(f".{path.name}.part.nwb")
    with NWBHDF5IO(unfinished, "w") as io:
        io.write(nwb)
    unfinished.replace(path)
    return path


def _peak(k: int, size: Size) -> int:
    """Channel of a unit: those that follow one another lie side by side, all along the probe."""
    return int(k * size.n_channels / size.n_units)


def _filler(n_bytes: int, seed: int) -> Any:
    """Noise of some size, as a signal that was recorded beside the units."""
    from hdmf.backends.hdf5 import H5DataIO
    from pynwb import TimeSeries

    rows = 4_000_000  # 8 MB
    rng = np.random.default_rng([seed, 2])
    n_blocks = max(1, n_bytes // (2 * rows))
    blocks = (rng.integers(-500, 500, rows, dtype=np.int16) for _ in range(n_blocks))
    data = _blocks(blocks, (n_blocks * rows,), np.int16)
    return TimeSeries(name="signal", data=H5DataIO(data, chunks=(500_000,)), unit="a.u.", rate=RATE_HZ)


def _blocks(blocks: Iterator[NDArray[Any]], shape: tuple[int, ...], dtype: type) -> Any:
    """Give the blocks to hdmf one after the other; each is along the first axis."""
    from hdmf.data_utils import AbstractDataChunkIterator, DataChunk

    class Blocks(AbstractDataChunkIterator):  # type: ignore[misc]
        def __init__(self) -> None:
            self.first = 0

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            block = next(blocks)
            rows = slice(self.first, self.first + len(block))
            self.first = rows.stop
            return DataChunk(data=block, selection=(rows, *(slice(0, each) for each in shape[1:])))

        def recommended_chunk_shape(self) -> None:
            return None

        def recommended_data_shape(self) -> tuple[int, ...]:
            return shape

        @property
        def dtype(self) -> np.dtype[Any]:
            return np.dtype(dtype)

        @property
        def maxshape(self) -> tuple[int, ...]:
            return shape

    return Blocks()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--units", type=int, default=1000)
    parser.add_argument("--spikes", type=int, default=100_000, help="of a unit, on average")
    parser.add_argument("--channels", type=int, default=384)
    parser.add_argument("--filler-mb", type=int, default=0, help="of a signal beside the units")
    parser.add_argument("--gzip", action="store_true", help="compress the spike times")
    given = parser.parse_args()
    size = Size(given.units, given.units * given.spikes, given.channels, given.filler_mb * 10**6, given.gzip)
    write_session(given.file, size)
    print(f"{given.file}: {given.file.stat().st_size / 1e6:.0f} MB, {size.duration_s:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
