"""Real recordings, as the NWB files that a lab would have made of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject
from scipy.io import loadmat

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
"""A folder `shared` beside the checkout holds recordings that cannot be shipped."""


def need(path: Path) -> Path:
    """Skip the test where the recording is not at hand."""
    if not path.exists():
        pytest.skip(f"{path.name} is not at hand: shared/data is not beside this checkout")
    return path


@dataclass
class Unit:
    """What goes into one row of a units table."""

    unit_id: int
    spike_times: np.ndarray  # s
    waveform_mean: np.ndarray  # (samples,) or (samples, channels), volts
    region: str


def write_nwb(path: Path, units: list[Unit], rate_hz: float, species: str, stop_s: float | None = None) -> Path:
    """Write a units table with spike times, mean waveforms, their rate and the regions."""
    nwb = NWBFile(
        session_description="sorted units",
        identifier=path.stem,
        session_start_time=datetime(2017, 11, 6, tzinfo=UTC),
        subject=Subject(subject_id="subject", species=species, sex="U", age="P1Y"),
    )
    nwb.add_unit_column("brain_region", "region of the electrode")
    for unit in units:
        row: dict[str, Any] = {} if stop_s is None else {"obs_intervals": [[0.0, stop_s]]}
        nwb.add_unit(
            id=unit.unit_id,
            spike_times=unit.spike_times,
            waveform_mean=unit.waveform_mean,
            brain_region=unit.region,
            **row,
        )
    nwb.units.waveform_rate = rate_hz
    nwb.units.resolution = 1 / rate_hz
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def macaque_purkinje(source: Path, path: Path) -> Path:
    """Simple and complex spikes of one Purkinje cell: 47 s of a 25 kHz trace and an expert's marks.

    The simple spikes are marked to the millisecond, so each snippet is aligned at its largest deflection before the
    mean is taken, as a spike sorter would.
    """
    rate_hz = 25_000.0
    recording = loadmat(source)
    trace = recording["HIGH"].ravel().astype(float)
    marks = recording["Labels"].ravel().astype(int)
    simple_s = np.flatnonzero(recording["SS_train"].ravel()) / 1000.0
    complex_s = np.flatnonzero(np.diff(np.concatenate([[0], marks])) == 1) / rate_hz
    units = [
        Unit(0, simple_s, _mean_waveform(trace, simple_s, rate_hz) * 1e-8, "cerebellar cortex"),
        Unit(1, complex_s, _mean_waveform(trace, complex_s, rate_hz) * 1e-8, "cerebellar cortex"),
    ]
    return write_nwb(path, units, rate_hz, "Macaca mulatta", stop_s=len(trace) / rate_hz)


def _mean_waveform(trace: np.ndarray, spikes_s: np.ndarray, rate_hz: float) -> np.ndarray:
    search, before, after = (round(ms * rate_hz / 1e3) for ms in (1.0, 1.0, 2.0))
    snippets = []
    for sample in np.round(spikes_s * rate_hz).astype(int):
        if sample - search - before < 0 or sample + search + after > len(trace):
            continue
        peak = sample - search + int(np.argmax(np.abs(trace[sample - search : sample + search])))
        snippets.append(trace[peak - before : peak + after])
    return np.mean(snippets, axis=0)


def cellexplorer(source: Path, path: Path) -> Path:
    """Units of a CellExplorer session with full spike trains, unfiltered mean waveforms and regions."""
    cells = _cell_metrics(source)
    time_ms = cells[0]["time_ms"]
    rate_hz = round(1e3 / float(np.median(np.diff(time_ms))), 1)
    units = [
        Unit(k + 1, np.sort(cell["spike_times"]), cell["waveform"] * 1e-6, cell["region"])
        for k, cell in enumerate(cells)
    ]
    return write_nwb(path, units, rate_hz, cells[0]["species"])


def _cell_metrics(source: Path) -> list[dict[str, Any]]:
    """Spike times (s), filtered mean waveform (uV) with its time base, and region of each cell."""
    if not h5py.is_hdf5(source):
        metrics = loadmat(source, simplify_cells=True)["cell_metrics"]
        return [
            {
                "spike_times": np.atleast_1d(metrics["spikes"]["times"][k]).astype(float),
                "waveform": np.asarray(metrics["waveforms"]["filt"][k], dtype=float),
                "time_ms": np.asarray(metrics["waveforms"]["time"][k], dtype=float),
                "region": str(metrics["brainRegion"][k]),
                "species": "Mus musculus",
            }
            for k in range(len(metrics["spikes"]["times"]))
        ]
    with h5py.File(source) as file:
        metrics = file["cell_metrics"]

        def at(dataset: Any, k: int) -> np.ndarray:
            return np.asarray(file[dataset.ravel()[k]]).ravel()

        def text(dataset: Any, k: int) -> str:
            return "".join(chr(c) for c in at(dataset, k))

        return [
            {
                "spike_times": at(metrics["spikes/times"][()], k).astype(float),
                "waveform": at(metrics["waveforms/filt"][()], k).astype(float),
                "time_ms": at(metrics["waveforms/time"][()], k).astype(float),
                "region": text(metrics["brainRegion"][()], k),
                "species": text(metrics["animal_species"][()], k),
            }
            for k in range(metrics["spikes/times"].size)
        ]
