"""`check` finds each fault that is put into a good file, and nothing in the good file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from nwb_celltype import annotate, check
from nwb_celltype.errors import InputError
from nwb_celltype.runs import CONTAINER_PATH
from nwb_celltype.units import read_units

from .annotations import from_classifier, graft_into
from .conftest import labels_of_all
from .files import SECOND_UNITS, label_csv, plain, rich

RUN = f"{CONTAINER_PATH}/m_1"


@pytest.fixture
def good(file: Path) -> Path:
    with read_units(file) as units:
        digest = units.select([7, 3, 9]).sha256()
    graft_into(file, from_classifier([7, 3, 9], input_sha256=digest))
    return file


def overwrite(name: str, row: Any, value: Any) -> Callable[[h5py.File], None]:
    return lambda file: file[name].__setitem__(row, value)


FAULTS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "row sum": (overwrite(f"{RUN}/probability", (0, 0), 0.5), "sum"),
    "label": (overwrite(f"{RUN}/cell_type", 0, b"Mauthner"), "Mauthner"),
    "abstained with a label": (overwrite(f"{RUN}/is_abstained", 0, True), "abstain"),
    "reason": (overwrite(f"{RUN}/reason", 2, b"bored"), "bored"),
    "unit id": (overwrite(f"{RUN}/unit_id", 0, 8), "8"),
    "region": (overwrite(f"{RUN}/unit", 0, 1), "row 1 of the units"),
    "class": (overwrite(f"{CONTAINER_PATH}/cerebellar_cortex_classes/ontology_id", 0, b"Purkinje"), "CURIE"),
    "evidence": (overwrite(f"{CONTAINER_PATH}/m_1_evidence/kind", 0, b"rumour"), "rumour"),
    "created": (lambda file: file[RUN].attrs.__setitem__("created", "yesterday"), "ISO 8601"),
    "supersedes": (lambda file: file[RUN].attrs.__setitem__("supersedes", "m_0"), "m_0"),
    "changed spike": (overwrite("units/spike_times", 0, 0.0001), "units have changed"),
    "specification": (lambda file: file.__delitem__("specifications/ndx-cell-type"), "specifications/ndx-cell-type"),
    "hash": (lambda file: file[RUN].attrs.__delitem__("input_sha256"), "no hash"),
    "column gone": (lambda file: file["units"].__delitem__("spike_times_index"), "cannot be compared"),
}


def test_nothing_is_wrong_with_a_good_file(good: Path) -> None:
    assert check(good) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(good: Path, fault: str) -> None:
    change, word = FAULTS[fault]
    with h5py.File(good, "r+") as file:
        change(file)
    messages = check(good)
    assert any(word in message.text for message in messages), messages


def test_every_annotated_file_is_good(any_file: Path) -> None:
    if any_file.with_name("beside.h5").exists():
        pytest.skip("pynwb cannot read the odd file, whoever wrote it")
    annotate(any_file, in_place=True, labels=labels_of_all(any_file, note="seen"), by="me", mirror=True)
    assert check(any_file) == []


def test_run_about_a_second_units_table_is_compared_with_that(tmp_path: Path) -> None:
    path = rich(tmp_path / "session.nwb")
    labels = label_csv(tmp_path, {101: "MLI", 100: "GoC"})
    annotate(path, in_place=True, units_table=SECOND_UNITS, labels=labels, by="me")
    assert check(path) == []
    with h5py.File(path, "r+") as file:
        file[f"{SECOND_UNITS}/spike_times"][0] = 0.0001
    assert [message.where for message in check(path)] == ["expert_me"]


def test_detached_run_is_not_compared(file: Path) -> None:
    graft_into(file, from_classifier([7, 3, 9]))
    with h5py.File(file, "r+") as opened:
        del opened[f"{RUN}/unit"]
        names = [name for name in opened[RUN].attrs["colnames"] if name != "unit"]
        opened[RUN].attrs["colnames"] = names
    assert check(file) == []


def test_file_that_pynwb_cannot_read(good: Path) -> None:
    with h5py.File(good, "r+") as file:
        del file["session_start_time"]
    assert "pynwb" in {message.where for message in check(good)}


def test_nothing_to_check(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no annotation runs at .*make one with `nwb-celltype annotate`"):
        check(file)
    with pytest.raises(InputError, match="does not exist"):
        check(tmp_path / "absent.nwb")
    with pytest.raises(InputError, match=r"not HDF5|cannot be read as HDF5"):
        check(Path(__file__))


def test_file_whose_namespace_is_cached_without_what_it_builds_on(tmp_path: Path) -> None:
    """A file without cached specifications gets all that the run needs, or no validator could read it."""
    path = plain(tmp_path / "session.nwb", cache_spec=False)
    annotate(path, in_place=True, labels=label_csv(tmp_path, {7: "MLI"}), by="me")
    with h5py.File(path) as file:
        assert {"core", "hdmf-common", "ndx-cell-type"} <= set(file["specifications"])
    assert check(path) == []
