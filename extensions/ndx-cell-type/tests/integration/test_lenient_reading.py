"""Reading refuses nothing: whatever someone else wrote opens, and the checks say what is strange."""

from __future__ import annotations

import warnings

import h5py
import pytest
from pynwb import NWBHDF5IO

from ndx_cell_type import checks
from ndx_cell_type.testing.mock import (
    mock_CellTypeAnnotationMethod,
    mock_CellTypeAnnotationTable,
    mock_CellTypeClassTable,
    mock_CellTypeEvidenceTable,
)


def drop_column(table, name):
    def change(group):
        del group[table][name]
        names = [str(n) for n in group[table].attrs["colnames"] if n != name]
        group[table].attrs["colnames"] = names

    return change


def drop_attribute(where, name):
    return lambda group: group[where].attrs.__delitem__(name)


def set_attribute(where, name, value):
    return lambda group: group[where].attrs.__setitem__(name, value)


def retype(dataset, data):
    def change(group):
        attributes = dict(group[dataset].attrs)
        del group[dataset]
        group.create_dataset(dataset, data=data).attrs.update(attributes)

    return change


def relink(group):
    del group["run/method"]
    group["run/method"] = h5py.SoftLink("/processing/ecephys/cell_type_annotations/classes")


CHANGES = {
    "no method": lambda group: group["run"].__delitem__("method"),
    "no classes": lambda group: group["run"].__delitem__("classes"),
    "dangling classes": lambda group: group.__delitem__("classes"),
    "method is a class table": relink,
    "no created": drop_attribute("run", "created"),
    "created is a number": set_attribute("run", "created", 2026),
    "threshold is text": set_attribute("run", "confidence_threshold", "high"),
    "no source type": drop_attribute("method", "source_type"),
    "source type is a number": set_attribute("method", "source_type", 3),
    "references are one text": set_attribute("method", "references", "doi:1"),
    "parameters are not JSON": set_attribute("method", "parameters", "a=1"),
    "no taxonomy": drop_attribute("classes", "taxonomy_name"),
    "no cell_type": drop_column("run", "cell_type"),
    "no is_abstained": drop_column("run", "is_abstained"),
    "no unit_id": drop_column("run", "unit_id"),
    "no reason": drop_column("run", "reason"),
    "no label": drop_column("classes", "label"),
    "no kind": drop_column("evidence", "kind"),
    "labels are numbers": retype("run/cell_type", [1, 2, 3]),
    "abstained is text": retype("run/is_abstained", ["yes", "no", "no"]),
    "flat probability": retype("run/probability", [0.1, 0.2, 0.3]),
    "unit ids are decimals": retype("run/unit_id", [0.5, 1.5, 2.5]),
    "kinds are numbers": retype("evidence/kind", [1, 2]),
}
HARMLESS = {"references are one text", "threshold is text"}


@pytest.mark.parametrize("what", CHANGES)
def test_strange_file_opens_and_is_reported(nwbfile, annotations, tmp_path, what):
    annotations.add_run(
        mock_CellTypeAnnotationTable(
            name="run",
            units=nwbfile.units,
            classes=mock_CellTypeClassTable(name="classes"),
            method=mock_CellTypeAnnotationMethod(name="method"),
            evidence=[[0], [1], []],
            evidence_table=mock_CellTypeEvidenceTable(name="evidence"),
        )
    )
    path = tmp_path / "strange.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    with h5py.File(path, "r+") as file:
        CHANGES[what](file["processing/ecephys/cell_type_annotations"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hdmf says that links are broken
        with NWBHDF5IO(path, "r") as io:
            container = io.read().processing["ecephys"]["cell_type_annotations"]
            assert list(container.runs) == ["run"]
            assert container.published_run().name == "run"
            assert str(container.runs["run"])
            assert container.cell_type_annotation_methods["method"].settings in ({"seed": 1}, {})
            problems = checks.problems_in(container)
    assert problems or what in HARMLESS, what
