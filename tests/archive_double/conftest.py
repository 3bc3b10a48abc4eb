"""A small NWB file with units, and archives with it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from . import DandiDouble

SUBJECT_PATH = "sub-m1/sub-m1_ses-a_ecephys.nwb"


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the dandi client from calling home."""
    monkeypatch.setenv("DANDI_NO_ET", "1")


@pytest.fixture(scope="session")
def nwb_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An NWB file in a dandiset folder, with all that dandi asks of an upload."""
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.file import Subject

    path = tmp_path_factory.mktemp("dandiset") / SUBJECT_PATH
    path.parent.mkdir()
    nwb = NWBFile(
        session_description="spikes of three units",
        identifier="double-m1-a",
        session_start_time=datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC),
        session_id="a",
        experimenter=["Doe, Jane"],
        institution="Somewhere",
        lab="Some lab",
        keywords=["cerebellum"],
        subject=Subject(subject_id="m1", species="Mus musculus", sex="F", age="P90D", description="a mouse"),
    )
    generator = np.random.default_rng(1)
    for _ in range(3):
        nwb.add_unit(spike_times=np.cumsum(generator.gamma(2.0, 0.05, 2000)) + 0.0001)
    nwb.units.resolution = 1 / 30000
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


@pytest.fixture
def archive() -> Iterator[DandiDouble]:
    with DandiDouble() as double:
        yield double


@pytest.fixture
def seeded(archive: DandiDouble, nwb_file: Path) -> str:
    """Identifier of a published dandiset with the file."""
    return archive.add_dandiset(name="Mice", files={SUBJECT_PATH: nwb_file}, published="0.260101.1200")
