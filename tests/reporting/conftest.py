"""An annotated session that is made once, and copied where a test changes it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import nwb_celltype as nct
from nwb_celltype.reporting import gather
from nwb_celltype.reporting.records import ReportView

SIMULATED = Path(__file__).resolve().parents[2] / "examples" / "simulated_session.nwb"


@pytest.fixture(scope="package")
def annotated(tmp_path_factory: pytest.TempPathFactory, loaded_once: None) -> Path:
    """The simulated session with a run of the shipped model; only read it."""
    folder = tmp_path_factory.mktemp("annotated")
    file = Path(shutil.copyfile(SIMULATED, folder / "session.nwb"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
        return nct.annotate(file, in_place=True).file


@pytest.fixture(scope="package")
def view(annotated: Path) -> ReportView:
    """What a report shows of it; captum is part of the test environment, so decisions are explained."""
    return gather(annotated)


@pytest.fixture
def file(annotated: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copyfile(annotated, tmp_path / "session.nwb"))


@pytest.fixture(scope="package", autouse=True)
def loaded_once() -> Iterator[None]:
    """Loading a model takes longer than a report of a small session."""
    with pytest.MonkeyPatch.context() as patch:
        load = cache(nct.load_model)
        patch.setattr("nwb_celltype.reporting.second_look.load_model", load)
        patch.setattr("nwb_celltype.classifier.load_model", load)
        yield


@pytest.fixture(autouse=True)
def no_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out pynwb's validator, which is not what is tested here."""
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
    monkeypatch.setattr("nwb_celltype.nwb_io.detached.validator_messages", lambda _: [])
