"""CellTypeClassTable: what it holds and what it refuses."""

from __future__ import annotations

import pytest

from ndx_cell_type import CellTypeClassTable
from ndx_cell_type.testing.mock import mock_CellTypeAnnotations, mock_CellTypeAnnotationTable, mock_CellTypeClassTable


def test_rows_become_columns():
    table = mock_CellTypeClassTable(name="c", ontology_version="2026-03-26")
    assert table.labels == ["PkC_ss", "PkC_cs", "GoC", "MLI", "MFB"]
    assert table["ontology_id"][1] == "CL:0000121"
    assert table["ontology_id"][4] == ""
    assert (table.taxonomy_name, table.taxonomy_version) == ("C4 cerebellar cortex", "1")
    assert table.ontology_version == "2026-03-26"
    assert table.taxonomy_uri is None


def test_relation_may_lack_its_prefix():
    table = mock_CellTypeClassTable(rows=[{"label": "a", "ontology_id": "CL:1", "mapping_relation": "exactMatch"}])
    assert table["mapping_relation"][0] == "skos:exactMatch"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"label": "a"}, {"label": "a"}], r"row 1 \(class 'a'\): the label is there already"),
        ([{"label": "a"}, {"label": "unclassified"}], r"row 1 .*reserved word"),
        ([{"label": ""}], "row 0: a class needs a label"),
        ([{"full_name": "x"}], "row 0: a class needs a label"),
        ([{"label": "a", "ontology_id": "Purkinje cell"}], "row 0 .*not a CURIE"),
        ([{"label": "a", "ontology_id": "CL:1", "mapping_relation": "same"}], "row 0 .*mapping_relation 'same'"),
        ([{"label": "a", "mapping_relation": "exactMatch"}], "row 0 .*without an ontology_id"),
        ([{"label": "a", "parent_label": "a"}], "row 0 .*its own parent"),
        ([{"label": "a", "colour": "red"}], "row 0 .*unknown colour"),
        ([], "no classes"),
    ],
)
def test_refusals(rows, message):
    with pytest.raises(ValueError, match=message):
        mock_CellTypeClassTable(rows=rows)


def test_taxonomy_is_required():
    with pytest.raises(ValueError, match="`taxonomy_version` is missing"):
        CellTypeClassTable(name="c", description="d", taxonomy_name="t")


def test_row_by_row():
    table = CellTypeClassTable(name="c", description="d", taxonomy_name="t", taxonomy_version="1")
    table.add_class("a", full_name="A")
    table.add_class("b", parent_label="a")
    assert table.labels == ["a", "b"]
    with pytest.raises(ValueError, match=r"row 2 \(class 'a'\).*there already"):
        table.add_class("a")
    with pytest.raises(ValueError, match="reserved"):
        table.add_class("unclassified")


def test_class_without_the_column_for_it():
    from hdmf.common import VectorData

    label = VectorData(name="label", description="d", data=["a"])
    table = CellTypeClassTable(name="c", description="d", taxonomy_name="t", taxonomy_version="1", columns=[label])
    table.add_class("b")
    with pytest.raises(ValueError, match="without `full_name`"):
        table.add_class("c", full_name="C")


def test_classes_with_probabilities_cannot_grow():
    run = mock_CellTypeAnnotationTable(name="run")
    mock_CellTypeAnnotations(runs=[run])
    with pytest.raises(ValueError, match="run 'run' holds a probability"):
        run.classes.add_class("new")


def test_same_classes():
    one, two = mock_CellTypeClassTable(), mock_CellTypeClassTable()
    assert one.same_classes(two)
    assert not one.same_classes(mock_CellTypeClassTable(taxonomy_version="2"))
    assert not one.same_classes(mock_CellTypeClassTable(rows=[{"label": "MLI"}]))
