"""A small model trained on made-up units, once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from nwb_celltype.classifier import Model, load_model
from nwb_celltype.labels import LabelledUnits, read_labelled
from nwb_celltype.training import train

from .synthetic import SHARED_DATA, make_arrays, save


@pytest.fixture(scope="session")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> LabelledUnits:
    return read_labelled(save(tmp_path_factory.mktemp("data") / "learnt.npz", make_arrays(12, 1)), lab="A")


@pytest.fixture(scope="session")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> LabelledUnits:
    return read_labelled(save(tmp_path_factory.mktemp("data") / "unseen.npz", make_arrays(8, 2)), lab="B")


@pytest.fixture(scope="session")
def model_folder(learnt: LabelledUnits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "small"
    train([learnt], out=folder, name="small", members=2, epochs=60)
    return folder


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Model:
    return load_model(model_folder)


@pytest.fixture
def c4() -> Path:
    """Folder with the real C4 units; tests that ask for it are skipped where it is not."""
    if not (SHARED_DATA / "hull_mouse_units.npz").is_file():
        pytest.skip("the C4 units (hull_mouse_units.npz and others) are not on this machine and may not be shipped")
    return SHARED_DATA
