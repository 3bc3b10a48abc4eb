"""CellTypeEvidenceTable: what it holds and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hdmf.common import DynamicTable, VectorData

from ndx_cell_type import EVIDENCE_KINDS, CellTypeEvidenceTable
from ndx_cell_type.testing.mock import mock_CellTypeEvidenceTable


@pytest.fixture
def pulses() -> DynamicTable:
    return DynamicTable(
        name="pulses", description="d", columns=[VectorData(name="start", description="d", data=[0.0, 1.0, 2.0])]
    )


def test_missing_values_have_a_word_for_it():
    table = mock_CellTypeEvidenceTable()
    assert table["kind"].data == ["optotag", "cs_ss_pause"]
    assert table["latency_ms"].data.dtype == np.float32
    assert np.isnan(table["latency_ms"][1])
    assert table["n_pulses"].data.tolist() == [200, -1]
    assert table["blocker"].data == ["NBQX, APV, gabazine", ""]


def test_columns_nobody_fills_are_left_out():
    table = mock_CellTypeEvidenceTable(rows=[{"kind": kind} for kind in EVIDENCE_KINDS])
    assert table.colnames == ("kind",)


def test_pulses(pulses):
    table = mock_CellTypeEvidenceTable(
        rows=[{"kind": "optotag", "pulses": [0, 2]}, {"kind": "expert"}], pulses_table=pulses
    )
    assert table["pulses"].target.data == [0, 2]
    assert [len(table["pulses"][i]) for i in (0, 1)] == [2, 0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"kind": "expert"}, {"kind": "guess"}], "row 1: kind 'guess'"),
        ([{}], "row 0: kind 'None'"),
        ([{"kind": "optotag", "salt_p": 1.5}], "row 0: salt_p is 1.5"),
        ([{"kind": "optotag", "jitter_ms": -1}], "row 0: jitter_ms"),
        ([{"kind": "optotag", "latency_ms": np.inf}], "row 0: latency_ms"),
        ([{"kind": "optotag", "colour": "blue"}], "row 0 .*unknown colour"),
        ([{"kind": "optotag", "pulses": [0]}], "`pulses_table` is needed"),
        ([], "no rows"),
    ],
)
def test_refusals(rows, message):
    with pytest.raises(ValueError, match=message):
        mock_CellTypeEvidenceTable(rows=rows)


def test_pulses_that_do_not_exist(pulses):
    with pytest.raises(ValueError, match=r"row 0 .*names row 3, but table 'pulses' has rows 0 to 2"):
        mock_CellTypeEvidenceTable(rows=[{"kind": "optotag", "pulses": [3]}], pulses_table=pulses)


def test_row_by_row(pulses):
    table = CellTypeEvidenceTable(name="e", description="d", pulses_table=pulses)
    assert table.add_evidence("optotag", latency_ms=2.0, pulses=[0, 1]) == 0
    assert table.add_evidence("expert") == 1
    assert np.isnan(table["latency_ms"][1])
    with pytest.raises(ValueError, match="row 2: kind 'guess'"):
        table.add_evidence("guess")
    with pytest.raises(ValueError, match="has no note"):
        table.add_evidence("expert", note="x")
    with pytest.raises(ValueError, match="unknown colour"):
        table.add_evidence("expert", colour="red")
    with pytest.raises(ValueError, match="names row 5"):
        table.add_evidence("expert", pulses=[5])
    assert len(table) == 2


def test_pulses_without_a_table():
    table = CellTypeEvidenceTable(name="e", description="d")
    with pytest.raises(ValueError, match="name the table of pulses"):
        table.add_evidence("optotag", pulses=[0])
    assert len(table) == 0
