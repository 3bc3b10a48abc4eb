"""Every object that was in a file before is there afterwards, bit for bit; nothing is added but what is said."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import pytest

from nwb_celltype import annotate

from .compare import added, describe, differences
from .conftest import labels_of_all
from .files import SECOND_UNITS, label_csv, odd

pytestmark = pytest.mark.usefixtures("no_validator")  # test_readers and test_checks ask the validator

CONTAINER = "/processing/ecephys/cell_type_annotations"
SPECIFICATION = "/specifications/ndx-cell-type"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def first_additions(path: Path) -> set[str]:
    """What one run adds to a file as it is now."""
    with h5py.File(path) as file:
        place = "/processing/ecephys" if "/processing/ecephys" not in file else CONTAINER
        cached = "/specifications" in file
        located = ".specloc" in file.attrs
    return {place, SPECIFICATION if cached else "/specifications"} | (set() if located else {"/@.specloc"})


@pytest.mark.parametrize("in_place", [False, True], ids=["copy", "in place"])
def test_run_after_run_only_adds(any_file: Path, in_place: bool) -> None:
    """Twice without columns, then once with them: each state is compared with the one before."""
    before, bytes_before, expected = describe(any_file), sha256(any_file), first_additions(any_file)
    first = labels_of_all(any_file)
    second = labels_of_all(any_file, "GoC", "second.csv", confidence=0.5)

    result = annotate(any_file, in_place=in_place, labels=first, by="me")
    once = describe(result.file)
    assert result.run.name == "expert_me"
    assert differences(before, once) == []
    assert added(before, once) == expected

    result = annotate(any_file, in_place=in_place, labels=second, by="me")
    twice = describe(result.file)
    assert result.run.name == "expert_me_2"
    assert differences(once, twice) == []
    assert added(once, twice) == {f"{CONTAINER}/expert_me_2", f"{CONTAINER}/expert_me_2_method"}

    result = annotate(any_file, in_place=in_place, labels=second, by="me", again=True, mirror=True)
    thrice = describe(result.file)
    columns = ("expert_me_3_cell_type", "expert_me_3_confidence")
    assert result.mirrored == columns
    assert differences(twice, thrice, {("/units", "colnames")}) == []
    assert added(twice, thrice) == {f"{CONTAINER}/expert_me_3", f"{CONTAINER}/expert_me_3_method"} | {
        f"/units/{name}" for name in columns
    }
    assert_only_longer(any_file if in_place else result.file, twice, thrice, columns)
    assert (sha256(any_file) == bytes_before) is (not in_place)


def assert_only_longer(path: Path, before: dict, after: dict, columns: tuple[str, ...]) -> None:
    """The list of columns is the old one, in its own kind of text, with the new names at its end."""
    (_, was_shape, was), (_, now_shape, now) = (d["/units"]["attributes"]["colnames"] for d in (before, after))
    with h5py.File(path) as file:
        names = [n.decode() if isinstance(n, bytes) else n for n in file["units"].attrs["colnames"]]
        kind = h5py.check_string_dtype(file["units"].attrs.get_id("colnames").dtype)
    assert tuple(names[-len(columns) :]) == columns
    assert now_shape == (was_shape[0] + len(columns),)
    if kind.length is None:
        assert now[: len(was)] == was


def test_colnames_keep_their_kind_of_text(file: Path, labels: Path) -> None:
    with h5py.File(file, "r+") as opened:
        names = [n.encode() for n in opened["units"].attrs["colnames"]]
        opened["units"].attrs.create("colnames", names, dtype=h5py.string_dtype("ascii", 11))
    annotate(file, in_place=True, labels=labels, by="me", mirror=True)
    with h5py.File(file) as opened:
        kind = h5py.check_string_dtype(opened["units"].attrs.get_id("colnames").dtype)
        assert kind == ("ascii", len("expert_me_cell_type"))
        assert opened["units"].attrs["colnames"].tolist() == [*names, b"expert_me_cell_type"]


def test_run_about_a_second_units_table(tmp_path: Path) -> None:
    path = odd(tmp_path / "session.nwb")
    before = describe(path)
    labels = label_csv(tmp_path, {101: "MLI", 100: "GoC"})
    result = annotate(path, in_place=True, units_table=SECOND_UNITS, labels=labels, by="me", mirror=True)
    after = describe(path)
    assert differences(before, after, {(SECOND_UNITS, "colnames")}) == []
    assert added(before, after) == {CONTAINER, SPECIFICATION, f"{SECOND_UNITS}/expert_me_cell_type"}
    assert result.run.units_path == SECOND_UNITS
    with h5py.File(path) as file:
        region = file[f"{CONTAINER}/expert_me/unit"]
        assert file[region.attrs["table"]].name == SECOND_UNITS
        assert region[()].tolist() == [1, 0]
        assert file[f"{CONTAINER}/expert_me"].attrs["units_object_id"] == file[SECOND_UNITS].attrs["object_id"]
        assert [v.decode() for v in file[f"{SECOND_UNITS}/expert_me_cell_type"][()]] == ["GoC", "MLI"]


def test_the_comparer_sees_what_changes(tmp_path: Path) -> None:
    """A test of the test: each of these changes must be reported, and nothing when nothing changes."""
    path = odd(tmp_path / "session.nwb")
    before = describe(path)
    assert differences(before, describe(path)) == []
    changes = {
        "/units/spike_times": lambda f: f["units/spike_times"].__setitem__(3, 0.5),
        "/units": lambda f: f["units"].attrs.__setitem__("description", "d"),
        "/scratch/lab/to units": _link_becomes_object,
        "/scratch/lab/squeezed": lambda f: f["scratch/lab/squeezed"].attrs.__setitem__("reference", f["general"].ref),
        "/scratch/lab/colour": lambda f: f["scratch/lab/colour"].__setitem__(0, 1),
        "/scratch/lab/references": lambda f: f["scratch/lab/references"].__setitem__(0, f["general"].ref),
        "/scratch/lab/word": lambda f: f.__delitem__("scratch/lab/word"),
        "/session_description": lambda f: f["session_description"].__setitem__((), "other"),
    }
    for place, change in changes.items():
        with h5py.File(path, "r+") as file:
            change(file)
        now = describe(path)
        assert any(text.startswith(place) for text in differences(before, now)), place
        before = now


def _link_becomes_object(file: h5py.File) -> None:
    del file["scratch/lab/to units"]
    file["scratch/lab/to units"] = file["units"]
