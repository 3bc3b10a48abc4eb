"""CellTypeAnnotations: adding runs, and which run is the label."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ndx_cell_type import CellTypeAnnotations, published_run
from ndx_cell_type.testing.mock import (
    mock_CellTypeAnnotationMethod,
    mock_CellTypeAnnotations,
    mock_CellTypeAnnotationTable,
    mock_CellTypeClassTable,
    mock_CellTypeEvidenceTable,
)


def labelled(name, source_type, created="2026-01-01T00:00:00Z", supersedes=None):
    return SimpleNamespace(
        name=name, created=created, supersedes=supersedes, method=SimpleNamespace(source_type=source_type)
    )


def test_default_name():
    assert CellTypeAnnotations().name == "cell_type_annotations"


def test_add_run_brings_what_it_links_to():
    evidence = mock_CellTypeEvidenceTable(name="e")
    run = mock_CellTypeAnnotationTable(
        name="r", unit_id=[1], cell_type=["MLI"], evidence=[[0]], evidence_table=evidence
    )
    container = mock_CellTypeAnnotations(runs=[run])
    assert container.runs == {"r": run}
    assert list(container.cell_type_class_tables.values()) == [run.classes]
    assert list(container.cell_type_annotation_methods.values()) == [run.method]
    assert list(container.cell_type_evidence_tables.values()) == [evidence]


def test_runs_share_classes_and_method():
    first = mock_CellTypeAnnotationTable()
    second = mock_CellTypeAnnotationTable(classes=first.classes, method=first.method)
    container = mock_CellTypeAnnotations(runs=[first, second])
    assert len(container.runs) == 2
    assert len(container.cell_type_class_tables) == 1
    assert len(container.cell_type_annotation_methods) == 1


def test_runs_are_never_overwritten():
    container = mock_CellTypeAnnotations(runs=[mock_CellTypeAnnotationTable(name="r")])
    with pytest.raises(ValueError, match="already a run 'r'"):
        container.add_run(mock_CellTypeAnnotationTable(name="r"))


@pytest.mark.parametrize("name", ["r", "c", "m"])
def test_members_share_their_names(name):
    first = mock_CellTypeAnnotationTable(
        name="r", classes=mock_CellTypeClassTable(name="c"), method=mock_CellTypeAnnotationMethod(name="m")
    )
    container = mock_CellTypeAnnotations(runs=[first])
    with pytest.raises(ValueError, match=f"CellTypeClassTable '{name}', but the container already holds"):
        container.add_run(mock_CellTypeAnnotationTable(classes=mock_CellTypeClassTable(name=name)))
    assert len(container.runs) == 1
    assert len(container.cell_type_annotation_methods) == 1


def test_run_and_its_classes_of_one_name():
    with pytest.raises(ValueError, match="holds another member of that name"):
        mock_CellTypeAnnotations(
            runs=[mock_CellTypeAnnotationTable(name="same", classes=mock_CellTypeClassTable(name="same"))]
        )


def test_container_is_made_with_its_members():
    classes = mock_CellTypeClassTable(name="c")
    assert CellTypeAnnotations(cell_type_class_tables=[classes]).cell_type_class_tables["c"] is classes


def test_published_run_of_a_container():
    runs = [
        mock_CellTypeAnnotationTable(name="model"),
        mock_CellTypeAnnotationTable(name="person", method=mock_CellTypeAnnotationMethod(source_type="expert")),
    ]
    assert mock_CellTypeAnnotations(runs=runs).published_run().name == "person"
    assert mock_CellTypeAnnotations(runs=[]).published_run() is None


@pytest.mark.parametrize(
    ("runs", "chosen"),
    [
        ([("a", "rule"), ("b", "classifier"), ("c", "expert"), ("d", "ground_truth")], "d"),
        ([("a", "rule"), ("b", "classifier"), ("c", "expert")], "c"),
        ([("a", "rule", "2030-01-01T00:00:00Z"), ("b", "classifier")], "b"),
        ([("a", "classifier", "2026-02-01T00:00:00Z"), ("b", "classifier")], "a"),
        # the same moments in other time zones: a is later
        ([("a", "rule", "2026-01-01T00:00:00-05:00"), ("b", "rule", "2026-01-01T04:00:00Z")], "a"),
        ([("a", "ground_truth"), ("b", "ground_truth", "2020-01-01T00:00:00Z", "a")], "b"),
        ([("a", "rule"), ("b", "rule", "2026-01-01T00:00:00Z", "a"), ("c", "rule", "2020-01-01T00:00:00Z", "b")], "c"),
        ([("a", "rule", "2026-01-01T00:00:00Z", "gone")], "a"),
        ([("a", "rule", "2026-01-01T00:00:00Z", "a")], "a"),
        ([("a", "rule", "2026-01-01T00:00:00Z", "b"), ("b", "rule", "2027-01-01T00:00:00Z", "a")], "b"),
        ([("a", "rule"), ("b", "rule")], "b"),
        ([("a", "rule", "last week"), ("b", "oracle"), ("c", "rule", None)], "c"),
        ([("a", "rule", "2026-01-01T00:00:00"), ("b", "rule", "2020-01-01T00:00:00Z")], "b"),
    ],
)
def test_published_run(runs, chosen):
    made = [labelled(*run) for run in runs]
    assert published_run(made).name == chosen
    assert published_run({run.name: run for run in made}).name == chosen
    assert published_run(reversed(made)).name == chosen


def test_published_run_of_nothing():
    assert published_run([]) is None
