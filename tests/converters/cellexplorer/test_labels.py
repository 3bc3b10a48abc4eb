"""Labels of CellExplorer: ground truth, putative types and tags are runs apart, and a second label is never lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nwb_celltype.converters.cellexplorer import read_session
from nwb_celltype.converters.records import PriorLabels
from nwb_celltype.taxonomy import FOREBRAIN, map_label

from .matlab_files import Write, cell_metrics, row, write_v5


def runs_of(folder: Path, write: Write = write_v5, **changes: Any) -> dict[str, PriorLabels]:
    write(folder / "a.cell_metrics.cellinfo.mat", {"cell_metrics": cell_metrics(**changes)})
    sorting = read_session(folder).recordings[0].sorting
    assert sorting is not None
    return {run.run_name: run for run in sorting.prior_labels}


def test_ground_truth_and_putative_types_are_two_runs(tmp_path: Path, write: Write) -> None:
    runs = runs_of(tmp_path, write)
    assert list(runs) == ["ground_truth_cellexplorer", "cellexplorer_putative"]
    truth, putative = runs.values()
    assert truth.source_type == "ground_truth"
    assert truth.unit_rows.tolist() == [0, 2]
    assert truth.labels == ("PV", "PV")
    assert putative.source_type == "classifier"
    assert putative.confidence is None
    assert putative.unit_rows.tolist() == [0, 1, 2]
    assert putative.labels == ("Narrow Interneuron", "Pyramidal Cell", "Unknown")
    assert (putative.software, putative.software_version) == ("CellExplorer", "2.1")
    assert putative.evidence == ()


def test_evidence_says_what_the_file_says(tmp_path: Path, write: Write) -> None:
    truth = runs_of(tmp_path, write)["ground_truth_cellexplorer"]
    (first,), (third,) = truth.evidence
    assert first["kind"] == "optotag"
    assert "its tags are Good, optotagged" in first["note"]
    assert "genetic line of the animal: PV-Cre::Ai32" in first["note"]
    assert third["kind"] == "juxtacellular"
    assert "2 groups, all of which hold: PV, Juxta" in third["note"]


def test_two_cell_types_of_a_unit_are_both_kept(tmp_path: Path, write: Write) -> None:
    labels = {"Juxta": row(2), "PV": row(1, 2), "SST": row(2), "VIP": row(2)}
    runs = runs_of(tmp_path, write, groundTruthClassification=labels, tags={})
    first = runs["ground_truth_cellexplorer"]
    assert first.labels == ("PV", "PV")
    (said,) = first.evidence[1]
    assert "4 groups, all of which hold: PV, SST, VIP, Juxta" in said["note"]
    for name, label in (("ground_truth_cellexplorer_2", "SST"), ("ground_truth_cellexplorer_3", "VIP")):
        assert (runs[name].unit_rows.tolist(), runs[name].labels) == ([1], (label,))
        assert runs[name].source_type == "ground_truth"
        assert runs[name].evidence[0] == first.evidence[1]


def test_a_wider_class_adds_no_second_run(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, groundTruthClassification={"PV": row(1), "VGAT": row(1)})
    assert [name for name in runs if name.startswith("ground_truth")] == ["ground_truth_cellexplorer"]
    assert "PV, VGAT" in runs["ground_truth_cellexplorer"].evidence[0][0]["note"]


def test_older_files_keep_texts_for_each_unit(tmp_path: Path, write: Write) -> None:
    runs = runs_of(tmp_path, write, groundTruthClassification=["PV", "", ["SST", "Juxta"]], tags=["", "", ""])
    truth = runs["ground_truth_cellexplorer"]
    assert (truth.unit_rows.tolist(), truth.labels) == ([0, 2], ("PV", "SST"))


def test_tags_called_like_a_cell_type_are_a_persons_word(tmp_path: Path, write: Write) -> None:
    runs = runs_of(tmp_path, write, groundTruthClassification={}, tags={"PV": row(2), "Bad": row(1)})
    assert list(runs) == ["cellexplorer_putative", "cellexplorer_tags"]
    tagged = runs["cellexplorer_tags"]
    assert (tagged.source_type, tagged.unit_rows.tolist(), tagged.labels) == ("expert", [1], ("PV",))


def test_no_labels_no_runs(tmp_path: Path, write: Write) -> None:
    runs = runs_of(
        tmp_path, write, groundTruthClassification={}, tags={}, putativeCellType=["Unknown", "Unknown", "Unknown"]
    )
    assert runs == {}


def test_a_label_of_a_unit_that_is_not_there_is_said(tmp_path: Path) -> None:
    write_v5(
        tmp_path / "a.cell_metrics.cellinfo.mat",
        {"cell_metrics": cell_metrics(groundTruthClassification={"PV": row(1, 9)})},
    )
    sorting = read_session(tmp_path).recordings[0].sorting
    assert sorting is not None
    assert any("names units that the file does not hold: PV (9)" in note for note in sorting.notes)
    assert sorting.prior_labels[0].unit_rows.tolist() == [0]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("PV", "PV"), ("SST", "SST"), ("VIP", "VIP"), ("Axo_Axonic", "axo_axonic"), ("Axoaxonic", "axo_axonic"),
        ("NOS1", "NOS1"), ("GAT1", "interneuron"), ("VGAT", "interneuron"), ("Juxta", "juxtacellular"),
        ("Pyramidal Cell", "pyramidal"), ("Narrow Interneuron", "narrow_interneuron"),
        ("Wide Interneuron", "wide_interneuron"), ("CCK", "CCK"), ("NPY", "NPY"),
    ],
)  # fmt: skip
def test_names_of_cellexplorer_are_in_the_taxonomy(text: str, label: str) -> None:
    assert map_label(text, "cellexplorer") == label
    assert label in FOREBRAIN
