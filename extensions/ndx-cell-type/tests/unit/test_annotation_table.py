"""CellTypeAnnotationTable: what a run holds and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from ndx_cell_type import REASONS, CellTypeAnnotationTable
from ndx_cell_type.testing.mock import (
    mock_CellTypeAnnotationMethod,
    mock_CellTypeAnnotationTable,
    mock_CellTypeClassTable,
    mock_CellTypeEvidenceTable,
)

TWO = [{"label": "a"}, {"label": "b"}]


def run(**arguments):
    """A run over units 10 and 20 with classes a and b."""
    given = {
        "name": "run",
        "classes": mock_CellTypeClassTable(rows=TWO),
        "unit_id": [10, 20],
        "cell_type": ["a", "b"],
        "probability": [[0.9, 0.1], [0.2, 0.8]],
    }
    return mock_CellTypeAnnotationTable(**{**given, **arguments})


def by_person(**arguments):
    return run(method=mock_CellTypeAnnotationMethod(source_type="expert"), **{"probability": None, **arguments})


def test_columns_are_stored_in_their_type():
    table = run(ood_score=[1, 2], cell_id=["x", None], split=["train", None])
    assert table["probability"].data.dtype == np.float32
    assert table["ood_score"].data.dtype == np.float32
    assert table["is_abstained"].data.tolist() == [False, False]
    assert table["reason"].data == ["", ""]
    assert table["cell_id"].data == ["x", ""]
    assert table["split"].data == ["train", "none"]
    assert table.units is None
    assert "unit" not in table.colnames


def test_abstention_follows_from_the_label():
    table = run(cell_type=["a", "unclassified"], reason=[None, "low_confidence"])
    assert table["is_abstained"].data.tolist() == [False, True]


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason(reason):
    run(cell_type=["a", "unclassified"], reason=["", reason])


def test_nothing_could_be_computed():
    nan = [np.nan, np.nan]
    table = run(cell_type=["a", "unclassified"], reason=["", "too_few_spikes"], probability=[[1, 0], nan])
    assert np.isnan(table["probability"].data[1]).all()


def test_units_are_resolved_by_id(nwbfile):
    table = by_person(unit_id=[9, 7], units=nwbfile.units)
    assert table["unit"].data == [2, 0]
    assert table.units is nwbfile.units
    assert table.units_object_id == nwbfile.units.object_id


def test_attributes():
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    table = run(created=moment, input_sha256="", supersedes="old", confidence_threshold=1, verdict="fine")
    assert table.created == "2026-01-02T00:00:00+00:00"
    assert table.input_sha256 is None
    assert table.source_identifier is None
    assert table.supersedes == "old"
    assert table.confidence_threshold == 1.0
    assert table.verdict == "fine"


def test_evidence_is_ragged():
    evidence = mock_CellTypeEvidenceTable()
    table = by_person(evidence=[[0, 1], []], evidence_table=evidence)
    assert table.evidence_table is evidence
    assert [len(table["evidence"][i]) for i in (0, 1)] == [2, 0]


NAN = np.nan


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell_type": ["a", "c"]}, r"row 1 \(unit 20\): label 'c' is not in the class table \(a, b\)"),
        ({"cell_type": ["a", "unclassified"]}, r"row 1 \(unit 20\): abstained without a reason"),
        ({"is_abstained": [True, False]}, r"row 0 \(unit 10\): is_abstained, so cell_type must be 'unclassified'"),
        (
            {"cell_type": ["a", "unclassified"], "is_abstained": [False, False]},
            r"row 1 \(unit 20\): .*is_abstained must be true",
        ),
        ({"cell_type": ["a", "unclassified"], "reason": ["", "bored"]}, r"row 1 \(unit 20\): reason 'bored'"),
        ({"reason": ["other", ""]}, r"row 0 \(unit 10\): reason 'other' given, but"),
        ({"probability": None, "confidence": [1, 1]}, "a classifier run needs `probability`"),
        ({"probability": [[0.9, 0.1], [0.2, 0.7]]}, r"row 1 \(unit 20\): probabilities sum to 0.9"),
        ({"probability": [[0.9, 0.1], [-0.2, 1.2]]}, r"row 1 \(unit 20\): probabilities outside 0 to 1"),
        ({"probability": [[0.9, 0.1], [NAN, 1]]}, r"row 1 \(unit 20\): some probabilities are NaN"),
        ({"probability": [[0.9, 0.1], [NAN, NAN]]}, r"row 1 \(unit 20\): .*all NaN, so the unit must be abstained"),
        ({"probability": [[0.9, 0.1, 0], [0.2, 0.8, 0]]}, "3 columns, but the class table has 2"),
        ({"probability": [0.9, 0.1]}, r"1 dimension\(s\), not 2"),
        ({"probability": [[0.9, 0.1], [1.0]]}, "equally long rows"),
        ({"probability": [[0.9, 0.1]]}, "`probability` has 1 entries, but there are 2 units"),
        ({"cell_type": ["a"]}, "`cell_type` has 1 entries"),
        ({"unit_id": [10, 10]}, r"row 1 \(unit 10\): the unit is already in row 0"),
        ({"unit_id": [1.5, 2.5]}, "list of integers"),
        ({"unit_id": [], "cell_type": []}, "no units"),
        ({"split": ["train", "holdout"]}, r"row 1 \(unit 20\): split 'holdout'"),
        ({"created": "yesterday"}, "`created` must be ISO 8601"),
        ({"created": "2026-01-01T00:00:00"}, "time zone"),
        ({"supersedes": "run"}, "cannot supersede itself"),
        ({"evidence": [[0], []]}, "`evidence_table` is needed"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        run(**arguments)


def test_message_of_many_problems_is_short():
    with pytest.raises(ValueError, match="and 15 more") as error:
        by_person(unit_id=list(range(20)), cell_type=["c"] * 20)
    assert len(str(error.value)) < 500


def test_units_that_do_not_exist(nwbfile):
    with pytest.raises(ValueError, match=r"row 1 \(unit 8\): there is no such unit"):
        by_person(unit_id=[7, 8], units=nwbfile.units)


def test_unit_that_is_there_twice(nwbfile):
    nwbfile.add_unit(id=7, spike_times=[1.0])
    with pytest.raises(ValueError, match=r"row 0 \(unit 7\): the id is in the units table twice"):
        by_person(unit_id=[7, 3], units=nwbfile.units)


def test_another_units_table_than_said(nwbfile):
    with pytest.raises(ValueError, match="is not that of the given units table"):
        by_person(unit_id=[7, 3], units=nwbfile.units, units_object_id="x")


def test_evidence_that_does_not_exist():
    with pytest.raises(ValueError, match=r"row 1 \(unit 20\): `evidence` names row 2"):
        by_person(evidence=[[0], [2]], evidence_table=mock_CellTypeEvidenceTable())


def test_links_must_be_of_their_type():
    with pytest.raises(ValueError, match="`classes` must be a CellTypeClassTable"):
        CellTypeAnnotationTable(
            name="r", description="d", method=mock_CellTypeAnnotationMethod(), created="2026-01-01T00:00:00Z"
        )
    with pytest.raises(ValueError, match="`method` must be"):
        CellTypeAnnotationTable(
            name="r", description="d", classes=mock_CellTypeClassTable(), created="2026-01-01T00:00:00Z"
        )


class TestRowByRow:
    @pytest.fixture
    def table(self, nwbfile):
        return CellTypeAnnotationTable(
            name="r",
            description="d",
            classes=mock_CellTypeClassTable(rows=TWO),
            method=mock_CellTypeAnnotationMethod(),
            created="2026-01-01T00:00:00Z",
            units=nwbfile.units,
            evidence_table=mock_CellTypeEvidenceTable(),
        )

    def test_adds(self, table):
        table.add_annotation(9, "a", probability=[1, 0], confidence=1, evidence=[1, 0])
        table.add_annotation(7, "unclassified", reason="no_waveform", reason_detail="None is stored.")
        assert table["unit"].data == [2, 0]
        assert table["unit_id"].data == [9, 7]
        assert np.isnan(table["probability"][1]).all()
        assert len(table["evidence"][1]) == 0
        assert table["probability"][0].dtype == np.float32

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((3, "a", {}), r"row 1 \(unit 3\): .*all NaN"),
            ((3, "c", {"probability": [1, 0]}), r"row 1 \(unit 3\): label 'c'"),
            ((3, "a", {"probability": [1, 1]}), r"row 1 \(unit 3\): probabilities sum to 2"),
            ((3, "a", {"probability": [1, 0, 0]}), "3 columns"),
            ((3, "a", {"probability": [1, 0], "split": "train"}), r"row 1 \(unit 3\): the run has no split"),
            ((3, "a", {"probability": [1, 0], "evidence": [7]}), r"row 1 \(unit 3\): `evidence` names row 7"),
            ((4, "a", {"probability": [1, 0]}), r"row 1 \(unit 4\): there is no such unit"),
            ((9, "a", {"probability": [1, 0]}), r"row 1 \(unit 9\): the unit is already in the run"),
            ((3, "unclassified", {}), r"row 1 \(unit 3\): abstained without a reason"),
        ],
    )
    def test_refusals_leave_the_table_as_it_was(self, table, arguments, message):
        table.add_annotation(9, "a", probability=[1, 0])
        unit_id, label, more = arguments
        with pytest.raises(ValueError, match=message):
            table.add_annotation(unit_id, label, **more)
        assert len(table) == 1
        assert {len(table[name].data) for name in ("unit_id", "unit", "cell_type", "probability")} == {1}

    def test_classifier_needs_probability(self, table):
        with pytest.raises(ValueError, match="needs `probability`"):
            table.add_annotation(9, "a")
        assert len(table) == 0

    def test_evidence_needs_its_table(self):
        table = CellTypeAnnotationTable(
            name="r",
            description="d",
            classes=mock_CellTypeClassTable(rows=TWO),
            method=mock_CellTypeAnnotationMethod(source_type="expert"),
            created="2026-01-01T00:00:00Z",
        )
        with pytest.raises(ValueError, match="name the evidence table"):
            table.add_annotation(9, "a", evidence=[0])
        table.add_annotation(9, "a")
        assert table.colnames == ("unit_id", "cell_type", "is_abstained", "reason", "reason_detail")


def test_bulk_and_rows_mix(nwbfile):
    table = by_person(unit_id=[9, 7], units=nwbfile.units)
    table.add_annotation(3, "b")
    assert table["unit"].data == [2, 0, 1]
    assert table["is_abstained"].data.tolist() == [False] * 3
