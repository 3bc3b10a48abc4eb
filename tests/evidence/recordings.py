"""Spike trains of real recordings that cannot be shipped, and a small file to write runs into."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from scipy.io import loadmat

from .trains import Float

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
"""A folder `shared` beside the checkout holds recordings that cannot be shipped."""


def files_of(folder: str) -> list[Path]:
    """MAT files of a folder of recordings; skips the test where they are not at hand."""
    files = sorted((DATA / folder).glob("*.mat"))
    if not files:
        pytest.skip(f"{folder} is not at hand: shared/data is not beside this checkout")
    return files


def macaque_purkinje() -> tuple[Float, Float]:
    """Complex and simple spikes of one cell, seconds: an expert's marks on a 25 kHz trace of 47 s."""
    recording = loadmat(files_of("macaque_purkinje")[0])
    marks = recording["Labels"].ravel().astype(int)
    complex_ = np.flatnonzero(np.diff(np.concatenate([[0], marks])) == 1) / 25_000.0
    return complex_, np.flatnonzero(recording["SS_train"].ravel()) / 1000.0


def hippocampus_and_cortex() -> list[list[Float]]:
    """Trains of each CellExplorer session, seconds."""
    sessions = []
    for path in files_of("cellexplorer"):
        if h5py.is_hdf5(path):
            with h5py.File(path) as file:
                cells = [
                    np.asarray(file[reference]).ravel() for reference in file["cell_metrics/spikes/times"][()].flat
                ]
        else:
            metrics = loadmat(path, simplify_cells=True)["cell_metrics"]
            cells = [np.atleast_1d(times) for times in metrics["spikes"]["times"]]
        sessions.append([np.sort(cell.astype(float)) for cell in cells])
    return sessions


def write_units(path: Path, trains: Sequence[Float]) -> Path:
    """Write a units table with nothing but spike times."""
    nwb = NWBFile(
        session_description="made up", identifier="evidence", session_start_time=datetime(2026, 1, 1, tzinfo=UTC)
    )
    for k, train in enumerate(trains):
        nwb.add_unit(id=k, spike_times=train)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path
