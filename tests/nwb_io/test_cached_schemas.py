"""Schemas that are kept say what pynwb says, whichever files came before."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import pynwb
import pytest

from nwb_celltype import annotate
from nwb_celltype.nwb_io.cached_schemas import cached_schemas
from nwb_celltype.nwb_io.validation import validator_messages

from .files import plain


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A sound file, one with a run and its extension, one that lacks a text, and one whose own schema wants more."""
    made = {"plain": plain(tmp_path / "plain.nwb")}
    made["run"] = annotate(made["plain"], out=tmp_path / "run.nwb").file
    for name in ("lacking", "other schema", "no schema"):
        made[name] = Path(shutil.copyfile(made["plain"], tmp_path / f"{name}.nwb"))
    with h5py.File(made["lacking"], "r+") as file:
        del file["session_description"]
    with h5py.File(made["other schema"], "r+") as file:
        (version,) = file["specifications/core"].values()
        stored = version["nwb.file"][()].decode()
        changed = stored.replace('"name":"session_description"', '"name":"session_summary"')
        assert changed != stored
        version["nwb.file"][()] = changed
    with h5py.File(made["no schema"], "r+") as file:
        del file.attrs[".specloc"], file["specifications"]
    return made


@pytest.mark.filterwarnings("ignore:The file .* has no cached namespace information")
def test_in_any_order_they_say_what_pynwb_says(files: dict[str, Path]) -> None:
    expected = {name: [str(message) for message in pynwb.validate(path=str(path))] for name, path in files.items()}
    assert expected["plain"] == expected["run"] == []
    assert len(expected["lacking"]) == 1
    assert any("session_summary" in message for message in expected["other schema"])
    for name in [*files, *reversed(files), *files]:
        assert validator_messages(files[name]) == expected[name]


def test_equal_schemas_are_built_once_and_few_are_kept(files: dict[str, Path], tmp_path: Path) -> None:
    first = cached_schemas(files["plain"])
    assert first is not None
    assert cached_schemas(files["lacking"]) is first
    assert cached_schemas(files["other schema"]) is not first
    assert cached_schemas(files["no schema"]) is None
    for k in range(1, 5):
        path = Path(shutil.copyfile(files["plain"], tmp_path / f"{k}.nwb"))
        with h5py.File(path, "r+") as file:
            (version,) = file["specifications/core"].values()
            version["nwb.file"][()] = version["nwb.file"][()].decode() + " " * k
        assert cached_schemas(path) is not first
    assert cached_schemas(files["plain"]) is not first


def test_a_schema_behind_a_link_is_that_of_the_file_it_leads_to(files: dict[str, Path]) -> None:
    with h5py.File(files["plain"], "r+") as file:
        (version,) = file["specifications/core"].values()
        text = version["nwb.file"][()]
        del version["nwb.file"]
        version["nwb.file"] = h5py.SoftLink("/scratch/spec")
        file["scratch/spec"] = text.decode().replace('"name":"session_description"', '"name":"session_summary"')
    assert any("session_summary" in message for message in validator_messages(files["plain"]))
