"""Recordings that are written once, and copied where a test changes them; an archive that holds them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nwb_celltype.archive.transport import RetryPolicy

from ..archive_double import DandiDouble
from .recordings import dandi_names, recording

WITHOUT_REGIONS = ["", ""]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three recordings; only read it."""
    folder = tmp_path_factory.mktemp("recordings")
    dandi_names(folder, 3)
    return folder


@pytest.fixture
def recordings(written: Path, tmp_path: Path) -> Path:
    """A copy of these that a test may change."""
    return Path(shutil.copytree(written, tmp_path / "data"))


@pytest.fixture(autouse=True)
def without_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The validator takes a second a file; fixtures of wider scope and other processes use it all the same."""
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
    monkeypatch.setattr("nwb_celltype.nwb_io.detached.validator_messages", lambda _: [])


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Recordings whose spikes take more than a request for metadata, by their paths in a dandiset."""
    folder = tmp_path_factory.mktemp("large")
    files = {f"sub-m{k}/sub-m{k}_ses-a_desc-sorted_ecephys.nwb": k for k in range(2)}
    for path, k in files.items():
        recording(folder / path, subject=f"m{k}", session="a", seed=k, n_spikes=60_000)
    recording(folder / "sub-r1/sub-r1_desc-sorted_ecephys.nwb", subject="r1", session="", species="Rattus norvegicus")
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.nwb"))}


@pytest.fixture(scope="session")
def server(large: dict[str, Path]) -> Iterator[DandiDouble]:
    """An archive with a published dandiset 000100 of these recordings and a note."""
    with DandiDouble() as double:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DANDI_NO_ET", "1")
            double.add_dandiset(name="Two mice and a rat", files=large, identifier="000100")
            double.add_asset("000100", "notes.txt", b"read me")
            double.publish("000100", "0.260101.1200")
        yield double


@pytest.fixture
def archive(server: DandiDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[DandiDouble]:
    """This archive, well again and with an empty log."""
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    policy = RetryPolicy(n_retries=3, sleep=lambda _: None)
    monkeypatch.setattr("nwb_celltype.archive.transport.DEFAULT_POLICY", policy)
    server.faults.clear()
    server.log.clear()
    yield server
    server.faults.clear()
