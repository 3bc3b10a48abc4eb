"""An archive on loopback with recordings, labels and noise; quick to lose patience."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nwb_celltype.archive.keywords import DETACHED, LABELS, source_keyword
from nwb_celltype.archive.transport import RetryPolicy

from ..archive_double import DandiDouble
from .files import DETACHED_PATH, SOURCE_DANDISET, SOURCE_PATH, SOURCE_VERSION, Recordings, make_recordings

OPEN_ASSET = {"schemaKey": "Asset", "encodingFormat": "application/x-nwb"}
LABELLED = {**OPEN_ASSET, "keywords": [LABELS, source_keyword("ground_truth"), source_keyword("expert")]}
LABELLED_BY_EXPERT = {**OPEN_ASSET, "keywords": [LABELS, source_keyword("expert")]}
DETACHED_LABELS = {**OPEN_ASSET, "keywords": [LABELS, DETACHED, source_keyword("ground_truth")]}


@pytest.fixture(scope="session")
def server() -> Iterator[DandiDouble]:
    with DandiDouble() as double:
        yield double


@pytest.fixture(scope="session")
def recordings(server: DandiDouble, tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
        patch.setattr("nwb_celltype.nwb_io.detached.validator_messages", lambda _: [])
        return make_recordings(tmp_path_factory.mktemp("published"), server.url)


@pytest.fixture(scope="session")
def source_dandiset(server: DandiDouble, recordings: Recordings) -> str:
    """The dandiset that the labels were made from, published."""
    return server.add_dandiset(
        name="Recordings",
        files={SOURCE_PATH: recordings.source},
        asset_metadata={SOURCE_PATH: OPEN_ASSET | {"schemaVersion": server.state.schema_version}},
        identifier=SOURCE_DANDISET,
        published=SOURCE_VERSION,
    )


@pytest.fixture(scope="session")
def labels_dandiset(server: DandiDouble, recordings: Recordings) -> str:
    """A draft with all kinds of assets; nobody may change it."""
    files = {
        DETACHED_PATH: recordings.detached,
        "sub-m2/sub-m2_ses-1_ecephys.nwb": recordings.annotated,
        "sub-m3/sub-m3_ses-1_ecephys.nwb": recordings.expert_only,
        "sub-m4/sub-m4_ses-1_ecephys.nwb": recordings.source,
    }
    metadata = dict(zip(files, (DETACHED_LABELS, LABELLED, LABELLED_BY_EXPERT, OPEN_ASSET), strict=True))
    name = server.add_dandiset(name="Labels of all kinds", files=files, asset_metadata=metadata)
    server.add_asset(name, "notes.txt", b"read me")
    server.settle()
    return name


@pytest.fixture
def archive(server: DandiDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[DandiDouble]:
    """The archive, well again and with an empty log."""
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DANDI_INSTANCE", server.url)
    policy = RetryPolicy(n_retries=3, sleep=lambda _: None)
    monkeypatch.setattr("nwb_celltype.archive.transport.DEFAULT_POLICY", policy)
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
    monkeypatch.setattr("nwb_celltype.nwb_io.detached.validator_messages", lambda _: [])
    server.log.clear()
    yield server
    server.faults.clear()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"
