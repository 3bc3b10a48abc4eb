"""Runs are added to existing files, in later sessions, without touching what is there."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, validate

from ndx_cell_type import CellTypeAnnotations, CellTypeAnnotationTable
from ndx_cell_type.testing.mock import (
    mock_CellTypeAnnotationMethod,
    mock_CellTypeAnnotationTable,
    mock_CellTypeClassTable,
    mock_CellTypeEvidenceTable,
)


@pytest.fixture
def path(nwbfile, annotations, tmp_path):
    run = mock_CellTypeAnnotationTable(
        name="first",
        units=nwbfile.units,
        classes=mock_CellTypeClassTable(name="classes"),
        method=mock_CellTypeAnnotationMethod(name="model"),
        evidence=[[0], [], [1]],
        evidence_table=mock_CellTypeEvidenceTable(name="evidence"),
    )
    annotations.add_run(run)
    with NWBHDF5IO(tmp_path / "f.nwb", "w") as io:
        io.write(nwbfile)
    return tmp_path / "f.nwb"


def annotations_of(nwbfile) -> CellTypeAnnotations:
    return nwbfile.processing["ecephys"]["cell_type_annotations"]


def snapshot(path, name):
    found = {}
    with h5py.File(path) as file:

        def keep(key, item):
            found[key] = item[()].tolist() if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu" else None

        file[f"processing/ecephys/cell_type_annotations/{name}"].visititems(keep)
    return found


def test_second_run_in_a_later_session_shares_the_classes(path):
    before = snapshot(path, "first")
    with NWBHDF5IO(path, "r+") as io:
        nwbfile = io.read()
        container = annotations_of(nwbfile)
        run = mock_CellTypeAnnotationTable(
            name="second",
            classes=container.runs["first"].classes,
            method=mock_CellTypeAnnotationMethod(name="person", source_type="expert"),
            units=nwbfile.units,
            evidence=[[1], [0, 1], []],
            evidence_table=container.runs["first"].evidence_table,
        )
        container.add_run(run)
        io.write(nwbfile)
    assert validate(path=path) == []
    assert snapshot(path, "first") == before
    with NWBHDF5IO(path, "r") as io:
        container = annotations_of(io.read())
        assert set(container.runs) == {"first", "second"}
        assert container.runs["second"].classes is container.runs["first"].classes
        assert container.runs["second"].evidence_table is container.runs["first"].evidence_table
        assert len(container.cell_type_class_tables) == 1
        assert container.published_run().name == "second"


def test_container_is_added_to_a_file_without_one(nwbfile, tmp_path):
    path = tmp_path / "f.nwb"
    nwbfile.processing.pop("ecephys")
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    with NWBHDF5IO(path, "r+") as io:
        nwbfile = io.read()
        container = CellTypeAnnotations()
        nwbfile.create_processing_module(name="ecephys", description="d").add(container)
        container.add_run(mock_CellTypeAnnotationTable(name="run", units=nwbfile.units))
        io.write(nwbfile)
    assert validate(path=path) == []
    with h5py.File(path) as file:
        assert "namespace" in file["specifications/ndx-cell-type/0.1.0"]
    with NWBHDF5IO(path, "r") as io:
        assert annotations_of(io.read()).runs["run"]["unit_id"][:].tolist() == [7, 3, 9]


def test_rows_are_added_in_a_later_session(nwbfile, annotations, tmp_path):
    path = tmp_path / "f.nwb"
    annotations.add_run(
        mock_CellTypeAnnotationTable(
            name="run",
            unit_id=[9],
            cell_type=["MLI"],
            units=nwbfile.units,
            classes=mock_CellTypeClassTable(name="classes"),
            evidence=[[0]],
            evidence_table=mock_CellTypeEvidenceTable(name="evidence"),
        )
    )
    annotations.add_cell_type_class_tables(mock_CellTypeClassTable(name="unused"))
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    with NWBHDF5IO(path, "r+") as io:
        nwbfile = io.read()
        run = annotations_of(nwbfile).runs["run"]
        row = run.evidence_table.add_evidence("expert", note="sure")
        run.add_annotation(7, "GoC", probability=[0, 0, 1, 0, 0], confidence=1, evidence=[row])
        run.add_annotation(3, "unclassified", reason="no_waveform")
        with pytest.raises(ValueError, match=r"row 3 \(unit 3\)"):
            run.add_annotation(3, "GoC", probability=[0, 0, 1, 0, 0])
        with pytest.raises(ValueError, match="holds a probability for each"):
            run.classes.add_class("new")
        annotations_of(nwbfile).cell_type_class_tables["unused"].add_class("new", full_name="New")
        io.write(nwbfile)
    assert validate(path=path) == []
    with NWBHDF5IO(path, "r") as io:
        container = annotations_of(io.read())
        run = container.runs["run"]
        assert run["unit_id"][:].tolist() == [9, 7, 3]
        assert run["unit"].data[:].tolist() == [2, 0, 1]
        assert run["is_abstained"][:].tolist() == [False, False, True]
        assert run["probability"].data.dtype == np.float32
        assert np.isnan(run["probability"][2]).all()
        assert [len(run["evidence"][i]) for i in range(3)] == [1, 1, 0]
        assert run.evidence_table["note"][2] == "sure"
        assert container.cell_type_class_tables["unused"].labels[-1] == "new"


def test_ragged_column_too_narrow_to_grow_is_refused_before_anything_is_written(nwbfile, annotations, tmp_path):
    path = tmp_path / "f.nwb"
    annotations.add_run(
        mock_CellTypeAnnotationTable(
            name="run",
            unit_id=[9],
            cell_type=["MLI"],
            units=nwbfile.units,
            evidence=[[0] * 254],
            evidence_table=mock_CellTypeEvidenceTable(name="evidence"),
        )
    )
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    with NWBHDF5IO(path, "r+") as io:
        run = annotations_of(io.read()).runs["run"]
        with pytest.raises(ValueError, match="cannot count beyond 255"):
            run.add_annotation(7, "GoC", probability=[0, 0, 1, 0, 0], evidence=[0, 1])
    assert validate(path=path) == []
    with NWBHDF5IO(path, "r") as io:
        assert len(annotations_of(io.read()).runs["run"]["evidence"].target) == 254


def test_ragged_column_with_many_entries_grows(nwbfile, annotations, tmp_path):
    path = tmp_path / "f.nwb"
    annotations.add_run(
        mock_CellTypeAnnotationTable(
            name="run",
            unit_id=[9],
            cell_type=["MLI"],
            units=nwbfile.units,
            evidence=[[0] * 300],
            evidence_table=mock_CellTypeEvidenceTable(name="evidence"),
        )
    )
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    with NWBHDF5IO(path, "r+") as io:
        annotations_of(io.read()).runs["run"].add_annotation(7, "GoC", probability=[0, 0, 1, 0, 0], evidence=[0, 1])
    with NWBHDF5IO(path, "r") as io:
        run = annotations_of(io.read()).runs["run"]
        assert [len(run["evidence"][i]) for i in (0, 1)] == [300, 2]
        assert run["id"][:].tolist() == [0, 1]


def test_refused_run_leaves_the_file_as_it_was(path):
    before = path.read_bytes()
    with NWBHDF5IO(path, "r") as io:
        container = annotations_of(io.read())
        with pytest.raises(ValueError, match="already a run"):
            container.add_run(mock_CellTypeAnnotationTable(name="first"))
    assert path.read_bytes() == before


def test_export_to_a_new_file_with_another_run(path, tmp_path):
    new = tmp_path / "new.nwb"
    with NWBHDF5IO(path, "r") as source:
        nwbfile = source.read()
        container = annotations_of(nwbfile)
        container.add_run(
            mock_CellTypeAnnotationTable(name="second", units=nwbfile.units, classes=container.runs["first"].classes)
        )
        with NWBHDF5IO(new, "w") as target:
            target.export(src_io=source, nwbfile=nwbfile)
    assert validate(path=new) == []
    with NWBHDF5IO(new, "r") as io:
        nwbfile = io.read()
        runs = annotations_of(nwbfile).runs
        assert set(runs) == {"first", "second"}
        assert runs["second"].units is nwbfile.units
    with NWBHDF5IO(path, "r") as io:
        assert set(annotations_of(io.read()).runs) == {"first"}


def test_references_are_only_where_the_readme_says(path):
    allowed = {"unit": "table", "evidence": "table", "evidence_index": "target"}
    with h5py.File(path) as file:
        group = file["processing/ecephys/cell_type_annotations"]

        def look(name, item):
            for key, value in item.attrs.items():
                if isinstance(value, h5py.Reference):
                    assert allowed.get(name.rsplit("/")[-1]) == key, (name, key)

        group.visititems(look)
        for link in ("classes", "method"):
            target = group["first"].get(link, getlink=True)
            assert isinstance(target, h5py.SoftLink)
            assert target.path.startswith("/processing/ecephys/cell_type_annotations/")


def test_rows_are_written_in_a_subclass_of_dynamic_table(path):
    with NWBHDF5IO(path, "r") as io:
        run = annotations_of(io.read()).runs["first"]
        assert isinstance(run, CellTypeAnnotationTable)
        assert run.to_dataframe(index=True)["unit"].tolist() == [0, 1, 2]
