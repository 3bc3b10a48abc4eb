"""Annotated files that pynwb stumbles over: `check` says which part it is, and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import pytest

import nwb_celltype as nct

from . import files


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    (folder / "labels.csv").write_text("unit_id,cell_type\n10,MLI\n20,GoC\n")
    base = files.sound(folder / "sound.nwb")
    return nct.annotate(base, labels=folder / "labels.csv", by="me").file


def foreign(file: h5py.File) -> None:
    file["units"].attrs.update(namespace="ndx-lost", neurodata_type="LostUnits")


STUMBLES = {
    "no start": (files.edit(lambda f: f.__delitem__("session_start_time")),
                 "it lacks session_start_time, .*Write the file anew with what is missing"),
    "nothing at the top": (files.edit(lambda f: [f.__delitem__("identifier"), f.__delitem__("session_start_time")]),
                           "it lacks identifier and session_start_time"),
    "electrodes that are gone": (
        files.edit(lambda f: f.__delitem__("general/extracellular_ephys/electrodes")),
        "`table` of /units/electrodes points to something that is not in the file.*Put back what is missing"),
    "types of an extension": (files.edit(foreign), "'ndx-lost' not a namespace.*Install the extension that defines"),
    "a date in words": (files.edit(lambda f: files.replace(f, "session_start_time", "yesterday")),
                        "'yesterday'.*Mend that part in the program that wrote the file"),
}  # fmt: skip


@pytest.mark.parametrize("what", STUMBLES)
def test_what_pynwb_stumbles_over_is_said_with_advice(
    what: str, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "gone" not in what:  # the one over which the validator stumbles too
        monkeypatch.setattr("nwb_celltype.nwb_io.checks.validator_messages", lambda _: [])
    make, said = STUMBLES[what]
    path = make(files.copied(labelled, tmp_path))
    messages = {one.where: one.text for one in nct.check(path)}
    assert re.search(rf"^pynwb [\d.]+ cannot read the file: .*{said}", messages["pynwb"])
    assert "The runs were read without it" in messages["pynwb"]
    for text in messages.values():
        assert len(text) < 900
        assert text.endswith(".") or "data_type" in text
    with h5py.File(path, "r+"):
        """It is not left open."""
