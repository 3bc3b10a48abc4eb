"""Fixtures: a private copy of each real or generated file, and labels for its units."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nwb_celltype.units import read_units

from .files import GENERATED, REAL_FILES, REAL_FOLDER, label_csv, odd, plain

_MADE = {**GENERATED, "odd": odd}
_MADE.pop("rich")  # the odd one holds it all, and more


@pytest.fixture(params=[*REAL_FILES, *_MADE])
def any_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A writable copy of one of the real files, or a generated one."""
    path = tmp_path / "session.nwb"
    if request.param in _MADE:
        return _MADE[request.param](path)
    real = REAL_FOLDER / REAL_FILES[request.param]
    if not real.is_file():
        pytest.skip(f"{real.name} is not at hand: shared/data/nwb is not beside this checkout")
    shutil.copyfile(real, path)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three units, nothing else."""
    return plain(tmp_path / "session.nwb")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Labels of two of the three units."""
    return label_csv(tmp_path, {7: "PkC_ss", 9: "MLI"})


def labels_of_all(path: Path, label: str = "PkC_ss", name: str = "all.csv", **columns: object) -> Path:
    """Label every unit of a file alike."""
    with read_units(path) as units:
        return label_csv(path.parent, dict.fromkeys(units.unit_ids.tolist(), label), name, **columns)


@pytest.fixture
def no_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out pynwb's validator, which takes most of the time, where it is not what is tested."""
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
