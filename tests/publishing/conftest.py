"""An archive, its token, and a folder of two labelled files that was checked before."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nwb_celltype.publishing import Published, publish
from nwb_celltype.publishing.preflight import check_folder

from ..archive_double import DandiDouble
from .files import write_draft, write_labels

Publish = Callable[..., Published]


@pytest.fixture(scope="session")
def checked_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two detached files; the slow checks of them are remembered, as after a killed call."""
    folder = tmp_path_factory.mktemp("checked")
    write_labels(folder, "m1")
    write_labels(folder, "m2", (1, 2))
    write_draft(folder)
    checked = check_folder(folder, accept_model_licence=False, progress=lambda *_: None)
    assert not checked.problems
    return folder


@pytest.fixture
def folder(checked_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checked_folder, tmp_path / "labels"))


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[DandiDouble]:
    with DandiDouble() as double:
        monkeypatch.setenv("DANDI_NO_ET", "1")
        monkeypatch.setenv(double.token_variable, double.token)
        yield double


@pytest.fixture
def send(folder: Path, archive: DandiDouble) -> Publish:
    """`publish` of the folder into the archive."""
    return partial(publish, folder, instance=archive.url, max_wait_s=10.0)


@pytest.fixture
def _unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the slow checks out, where a test is about something else and its files are sound."""
    monkeypatch.setattr("dandi.files.NWBAsset.get_validation_errors", lambda _: [])


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client try again at once, and four times only; what it tries again is left as it is."""
    import tenacity.nap

    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setattr("dandi.dandiapi.REQUEST_RETRIES", 4)


def draft_of(archive: DandiDouble, identifier: str = "000001") -> dict[str, Any]:
    """Metadata of a draft as the archive gives them."""
    from dandi.dandiapi import DandiAPIClient

    with DandiAPIClient(archive.api_url) as client:
        found: dict[str, Any] = client.get_dandiset(identifier, "draft").get_raw_metadata()
        return found
