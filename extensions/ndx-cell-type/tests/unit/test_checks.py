"""Checks report what a constructor would have refused, on tables that someone else wrote."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO

from ndx_cell_type import checks
from ndx_cell_type.testing.mock import (
    mock_CellTypeAnnotationMethod,
    mock_CellTypeAnnotations,
    mock_CellTypeAnnotationTable,
    mock_CellTypeEvidenceTable,
)


@pytest.fixture
def stored(nwbfile, annotations, tmp_path):
    """Path of a good file with two runs."""
    run = annotations.add_run(
        mock_CellTypeAnnotationTable(
            name="run", units=nwbfile.units, method=mock_CellTypeAnnotationMethod(name="m"), split=["train"] * 3
        )
    )
    run.classes.set_modified()
    annotations.add_run(
        mock_CellTypeAnnotationTable(
            name="second",
            classes=run.classes,
            unit_id=[7],
            cell_type=["MLI"],
            units=nwbfile.units,
            evidence=[[0]],
            evidence_table=mock_CellTypeEvidenceTable(name="evidence"),
            method=mock_CellTypeAnnotationMethod(name="p", source_type="expert"),
            supersedes="run",
        )
    )
    path = tmp_path / "stored.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    return path


def damage(path, change):
    """Change the stored HDF5 group of the annotations, and return what the checks find."""
    with h5py.File(path, "r+") as file:
        change(file["processing/ecephys/cell_type_annotations"])
    with NWBHDF5IO(path, "r") as io:
        container = io.read().processing["ecephys"]["cell_type_annotations"]
        return checks.problems_in(container)


def set_value(dataset, index, value):
    def change(group):
        group[dataset][index] = value

    return change


def set_attribute(where, key, value):
    def change(group):
        group[where].attrs[key] = value

    return change


def test_a_good_file_has_no_problems(stored):
    assert damage(stored, lambda group: None) == []  # noqa: ARG005


def test_a_new_container_has_no_problems():
    assert checks.problems_in(mock_CellTypeAnnotations()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_value("run/probability", 1, [0.5] * 5), "row 1 (unit 3): probabilities sum to 2.5, not 1"),
        (set_value("run/probability", 0, [np.nan] * 5), "row 0 (unit 7): probabilities are all NaN"),
        (
            set_value("run/cell_type", 0, "oligodendrocyte"),
            "row 0 (unit 7): label 'oligodendrocyte' is not in",
        ),
        (set_value("run/is_abstained", 0, True), "row 0 (unit 7): is_abstained, so cell_type must be"),
        (set_value("run/reason", 2, "bored"), "row 2 (unit 9): reason 'bored' is not one of"),
        (set_value("run/split", 2, "holdout"), "row 2 (unit 9): split 'holdout'"),
        (set_value("run/unit_id", 1, 7), "row 1 (unit 7): the unit is already in row 0"),
        (set_value("run/unit", 1, 2), "row 1 (unit 3): `unit` is row 2 of the units, whose id is 9"),
        (set_attribute("run", "units_object_id", "x"), "the units were replaced after the run"),
        (set_attribute("run", "created", "last week"), "`created` is 'last week'"),
        (set_attribute("second", "supersedes", "gone"), "run 'second' supersedes 'gone', which is not in"),
        (set_attribute("run", "supersedes", "second"), "run 'run' supersedes itself, directly or through 1"),
        (set_attribute("m", "source_type", "oracle"), "source_type 'oracle'"),
        (set_value("evidence/kind", 0, "guess"), "row 0: kind 'guess'"),
        (set_value("evidence/salt_p", 0, 3), "row 0: salt_p is 3.0"),
    ],
)
def test_damage_is_reported(stored, change, message):
    found = damage(stored, change)
    assert any(message in problem for problem in found), found


def test_class_table_of_another_order_or_size(stored):
    def reverse(group):
        labels = group["run/classes/label"]
        labels[:] = labels[:][::-1]

    assert any("may not be in the order of the class table" in problem for problem in damage(stored, reverse))

    def widen(group):
        values = np.full((3, 6), 1 / 6, dtype=np.float32)
        attributes = dict(group["run/probability"].attrs)
        del group["run/probability"]
        group["run"].create_dataset("probability", data=values).attrs.update(attributes)

    assert any("6 columns, but the class table has 5" in problem for problem in damage(stored, widen))


def test_classes_that_are_not_classes(stored):
    found = damage(stored, lambda group: group["run/classes/label"].__setitem__(1, "unclassified"))
    assert any("reserved word" in problem for problem in found)


def test_strange_columns_are_a_problem_not_a_crash(stored):
    def text_for_numbers(group):
        attributes = dict(group["run/probability"].attrs)
        del group["run/probability"]
        group["run"].create_dataset("probability", data=[["a"], ["b"], ["c"]]).attrs.update(attributes)
        attributes = dict(group["run/unit_id"].attrs)
        del group["run/unit_id"]
        group["run"].create_dataset("unit_id", data=[[1, 2]] * 3).attrs.update(attributes)

    found = damage(stored, text_for_numbers)
    assert any("`probability` does not hold numbers" in problem for problem in found), found
    assert any("could not be done" in problem for problem in found), found


def test_missing_schema(nwbfile, annotations, tmp_path):
    annotations.add_run(mock_CellTypeAnnotationTable(name="run", units=nwbfile.units))
    path = tmp_path / "f.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile, cache_spec=False)
    assert any("lacks /specifications/ndx-cell-type" in problem for problem in damage(path, lambda group: None))  # noqa: ARG005


def test_registering_is_explicit_and_done_once():
    nwbinspector = pytest.importorskip("nwbinspector")
    before = list(nwbinspector.available_checks)
    try:
        assert not [check for check in before if "cell_type" in check.__name__]
        names = checks.register()
        assert checks.register() == names
        added = [check.__name__ for check in nwbinspector.available_checks if "cell_type" in check.__name__]
        assert sorted(added) == sorted(names)
    finally:
        nwbinspector.available_checks[:] = before


def test_inspector_reports_damage(stored):
    nwbinspector = pytest.importorskip("nwbinspector")
    before = list(nwbinspector.available_checks)
    with h5py.File(stored, "r+") as file:
        file["processing/ecephys/cell_type_annotations/run/probability"][0] = 0.5
    try:
        checks.register()
        ours = [check for check in nwbinspector.available_checks if "cell_type" in check.__name__]
        messages = list(nwbinspector.inspect_nwbfile(nwbfile_path=str(stored), checks=ours, skip_validate=True))
    finally:
        nwbinspector.available_checks[:] = before
    (message,) = [m for m in messages if m.check_function_name == "check_cell_type_probability_rows"]
    assert message.importance.name == "CRITICAL"
    assert message.object_type == "CellTypeAnnotationTable"
    assert "row 0 (unit 7): probabilities sum to 2.5" in message.message


def test_inspector_is_optional(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "nwbinspector", None)
    with pytest.raises(ImportError, match=r"ndx-cell-type\[inspector\]"):
        checks.register()
