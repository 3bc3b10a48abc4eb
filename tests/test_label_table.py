"""Tables of labels: what is read, what is refused with the line, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.label_table import LabelRow, read_label_table
from nwb_celltype.labelling import annotate_from_table
from nwb_celltype.units import Units


@pytest.fixture
def units() -> Units:
    return Units.from_arrays(spike_times=[np.arange(1.0, 9.0)] * 3, unit_ids=[7, 3, 9])


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding=encoding, newline="")
    return path


def test_all_columns(tmp_path: Path) -> None:
    header = (
        "unit_id,cell_type,confidence,note,annotator,cell_id,split,evidence_kind,latency_ms,jitter_ms,reliability,"
        "salt_p,waveform_correlation,blocker,n_pulses"
    )
    (row,) = read_label_table(
        table(tmp_path, f"{header}\n 7 ,PkC_ss,0.9,sure,Doe,a,Train,optotag,2.5,0.3,0.9,0.001,0.98,NBQX,200\n")
    )
    assert row == LabelRow(
        line=2, unit_id=7, cell_type="PkC_ss", confidence=0.9, annotator="Doe", cell_id="a", split="train",
        evidence={"kind": "optotag", "latency_ms": 2.5, "jitter_ms": 0.3, "reliability": 0.9, "salt_p": 0.001,
                  "waveform_correlation": 0.98, "blocker": "NBQX", "n_pulses": 200, "note": "sure"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("id,label\n7,A\n", [(2, 7, "A")]),
        ("\n\nid,label\n7,A\n", [(4, 7, "A")]),
        ("id,label\n\n7,A\n,,\n", [(3, 7, "A")]),
        ("ID;Class\n7.0;A\n", [(2, 7, "A")]),
        ("neuron_id\tcelltype\r\n7\tA, or B\r\n", [(2, 7, "A, or B")]),
        ("id,label\n9007199254740993,A\n", [(2, 9007199254740993, "A")]),
        ("id,label,note\n7,A\n", [(2, 7, "A")]),
        ("id,label\n7,\n", [(2, 7, "")]),
    ],
)
def test_layouts(tmp_path: Path, text: str, rows: list[tuple[int, int, str]]) -> None:
    assert [(row.line, row.unit_id, row.cell_type) for row in read_label_table(table(tmp_path, text))] == rows


def test_decimal_comma_goes_with_semicolons(tmp_path: Path) -> None:
    assert read_label_table(table(tmp_path, "id;label;confidence\n7;A;0,5\n"))[0].confidence == 0.5
    assert read_label_table(table(tmp_path, "id;label;confidence\n7;A;0.5\n"))[0].confidence == 0.5
    with pytest.raises(InputError, match="more cells than the header"):
        read_label_table(table(tmp_path, "id,label,confidence\n7,A,0,5\n"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no column `unit_id`; its header holds nothing"),
        ("a,b\n1,2\n", "no column `unit_id`; its header holds a, b"),
        ("id,b\n1,2\n", "no column `cell_type`"),
        ("id,label\n", "no rows below its header"),
        ("id,label\n,A\n", "line 2: `unit_id` is empty"),
        ("id,label\nseven,A\n", "line 2: `unit_id` is 'seven', a number is needed"),
        ("id,label\n7.5,A\n", "line 2: `unit_id` is '7.5', a whole number is needed"),
        ("id,label\ninf,A\n", "line 2: `unit_id` is 'inf', a finite number is needed"),
        ("id,label\n7,A\n3,B\n7,C\n", "lines 2 and 4: unit 7 is labelled twice"),
        ("id,label,confidence\n7,A,high\n", "line 2: `confidence` is 'high'"),
        ("id,label,latency_ms\n7,A,2\n", "line 2: evidence is given but not its kind"),
        ("id,label,kind\n7,A,rumour\n", "line 2: kind 'rumour' is not one of optotag"),
        ("id,label,kind,reliability\n7,A,optotag,95\n", "line 2: reliability is 95.0, outside 0 to 1"),
        ("id,label,kind,n_pulses\n7,A,optotag,2.5\n", "line 2: `n_pulses` is '2.5', a whole number is needed"),
        ("id,label,kind,n_pulses\n7,A,optotag,1e12\n", "line 2: `n_pulses` is 1000000000000, no number of pulses"),
        ("id,label,split\n7,A,training\n", "line 2: `split` is 'training', not one of train, validate, test, none"),
        ('id,label\n7,"A\n', ""),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = table(tmp_path, text)
    if not sentence:  # an open quotation mark: the csv module takes the rest as one cell
        assert read_label_table(path)[0].cell_type == "A"
        return
    with pytest.raises(InputError) as caught:
        read_label_table(path)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_label_table(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="not UTF-8"):
        read_label_table(table(tmp_path, "id,label\n7,é\n", "utf-16"))
    with pytest.raises(InputError, match=r"after line 1: .*plain CSV"):
        read_label_table(table(tmp_path, f"id,label\n7,{'A' * 200_000}\n"))


def test_answers(tmp_path: Path, units: Units) -> None:
    path = table(tmp_path, "id,label,confidence\n9,PkC_ss,0.5\n7,MLI,\n3,unknown,\n")
    made = annotate_from_table(units, path, by="Doe, Jane")
    assert made.unit_ids.tolist() == [9, 7, 3]
    assert made.cell_type.tolist() == ["PkC_ss", "MLI", "unclassified"]
    assert made.is_abstained.tolist() == [False, False, True]
    assert made.reason.tolist() == ["", "", "not_labelled"]
    np.testing.assert_array_equal(made.confidence, np.array([0.5, np.nan, np.nan], dtype=np.float32))
    assert made.run_name == "expert_doe_jane"
    assert made.method.fields["person"] == "Doe, Jane"
    assert made.input_sha256 == units.select([9, 7, 3]).sha256()


def test_hash_is_of_the_labelled_units_alone(tmp_path: Path, units: Units) -> None:
    made = annotate_from_table(units, table(tmp_path, "id,label\n9,MLI\n"), by="me")
    assert made.input_sha256 == units.select([9]).sha256() != units.sha256()


def test_who(tmp_path: Path, units: Units) -> None:
    one = table(tmp_path, "id,label,annotator\n9,MLI,Doe\n7,MLI,\n")
    assert annotate_from_table(units, one).method.who == "Doe"
    assert annotate_from_table(units, one, source_type="rule", by="narrow").method.fields["software"] == "narrow"
    unnamed = annotate_from_table(units, table(tmp_path, "id,label\n9,MLI\n"), by=" ")
    assert unnamed.run_name == "expert_unnamed"
    assert "person" not in unnamed.method.fields
    assert unnamed.description.endswith("nobody is named).")
    with pytest.raises(UsageError, match=r"2 annotators \(Doe, Roe\)"):
        annotate_from_table(units, table(tmp_path, "id,label,annotator\n9,MLI,Doe\n7,MLI,Roe\n"))


def test_whose_words(tmp_path: Path, units: Units) -> None:
    mine = table(tmp_path, "id,label\n9,ON\n7,OFF\n")
    with pytest.raises(UsageError, match=r"'OFF' is not one of .* Use --taxonomy free"):
        annotate_from_table(units, mine, by="me")
    free = annotate_from_table(units, mine, by="me", taxonomy="free")
    assert free.taxonomy.labels == ("OFF", "ON")
    with pytest.raises(UsageError, match="no label at all"):
        annotate_from_table(units, table(tmp_path, "id,label\n9,\n"), by="me", taxonomy="free")
    none = annotate_from_table(units, table(tmp_path, "id,label\n9,\n"), by="me")
    assert none.is_abstained.all()


def test_units_that_are_not_there(tmp_path: Path, units: Units) -> None:
    with pytest.raises(InputError, match=r"2 units of the table are not in .*: 1 \(line 2\), 2 \(line 3\)"):
        annotate_from_table(units, table(tmp_path, "id,label\n1,MLI\n2,MLI\n7,MLI\n"), by="me")
