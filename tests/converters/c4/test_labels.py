"""Labels: which run they go to, on what evidence, and what is said of those that are not known."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_celltype.converters.c4 import read_session

from .database import ABSENT, NULL, macaque, mouse, write


def sorting_of(tmp_path, neurons):
    return read_session(write(tmp_path / "c4.h5", neurons)).recordings[0].sorting


def test_ground_truth_of_mice(tmp_path):
    neurons = [
        mouse(0, ground_truth_label="MLI", ground_truth_source="optogagged"),
        mouse(1, ground_truth_label="unlabelled"),
        mouse(2, ground_truth_label=b"PkC_ss", ground_truth_source=np.array([b"CSxSS"])),
        mouse(3, ground_truth_label=np.array(["PkC_cs"], dtype=object), ground_truth_source="CS x SS"),
        mouse(4, ground_truth_label="unlabeled"),
        mouse(5, ground_truth_label=""),
        mouse(6, ground_truth_label=NULL),
        mouse(7, ground_truth_label=ABSENT),
        mouse(8, ground_truth_label="GrC", ground_truth_source="optotagged"),
    ]
    (run,) = sorting_of(tmp_path, neurons).prior_labels
    assert run.source_type == "ground_truth"
    assert run.unit_rows.tolist() == [0, 2, 3, 8]
    assert run.labels == ("MLI", "PkC_ss", "PkC_cs", "GrC")
    kinds = [[piece["kind"] for piece in pieces] for pieces in run.evidence]
    assert kinds == [["optotag"], ["cs_ss_pause"], ["cs_ss_pause"], ["optotag"]]
    assert run.person == "Hausser lab"
    assert "doi:10.1016/j.cell.2025.01.041" in run.references
    assert run.confidence is None


def test_labels_of_macaques_are_an_experts(tmp_path):
    neurons = [
        macaque(0),
        macaque(1, expert_label="unlabeled"),
        macaque(2, expert_label=b"PkC_cs"),
        macaque(3, expert_label=ABSENT, ground_truth_label="GoC"),
        macaque(4, expert_label="MFB", ground_truth_label="GoC"),
    ]
    sorting = sorting_of(tmp_path, neurons)
    (run,) = sorting.prior_labels
    assert run.source_type == "expert"
    assert run.unit_rows.tolist() == [0, 2, 3, 4]
    assert run.labels == ("PkC_ss", "PkC_cs", "GoC", "GoC")
    assert {piece["kind"] for pieces in run.evidence for piece in pieces} == {"expert"}
    assert any(item.what == "field expert_label of neuron lisberger_neuron_4" for item in sorting.left_out)


def test_two_labels_of_a_mouse_are_two_runs(tmp_path):
    neuron = mouse(0, ground_truth_label="MLI", ground_truth_source="optotagged", expert_label="GoC")
    runs = sorting_of(tmp_path, [neuron]).prior_labels
    assert [(run.source_type, run.labels) for run in runs] == [("ground_truth", ("MLI",)), ("expert", ("GoC",))]


def test_unlabelled_files_have_no_run(tmp_path):
    assert sorting_of(tmp_path, [mouse(0), mouse(1)]).prior_labels == ()


@pytest.mark.parametrize("label", ["PkC", "basket case", 7])
def test_a_label_that_is_not_known_is_named_and_the_unit_stays_unlabelled(tmp_path, label):
    sorting = sorting_of(tmp_path, [mouse(0, ground_truth_label="MLI"), mouse(1, ground_truth_label=label)])
    assert sorting.prior_labels[0].unit_rows.tolist() == [0]
    (reason,) = [i.reason for i in sorting.left_out if i.what == "field ground_truth_label of neuron hausser_neuron_1"]
    assert str(label) in reason


def test_a_source_that_is_not_known_gives_no_evidence(tmp_path):
    sorting = sorting_of(tmp_path, [mouse(0, ground_truth_label="MLI", ground_truth_source="dream")])
    assert sorting.prior_labels[0].evidence == ((),)
    assert any("'dream'" in item.reason for item in sorting.left_out)


def test_layers(tmp_path):
    neurons = [
        mouse(0, phyllum_layer="ML"),
        mouse(1, phyllum_layer="PkC_layer"),
        mouse(2, phyllum_layer=b"GrC_layer"),
        mouse(3, phyllum_layer="unknown"),
        mouse(4, phyllum_layer="not_cortex"),
        mouse(5, phyllum_layer=""),
        mouse(6, phyllum_layer="bone"),
        mouse(7, phyllum_layer="ML", human_layer="GCL"),
    ]
    sorting = sorting_of(tmp_path, neurons)
    assert sorting.columns["layer"].values.tolist() == ["ML", "PCL", "GCL", "", "", "", "", "GCL"]
    where = sorting.columns["location"].values.tolist()
    assert where[0] == "Cerebellar cortex"
    assert where[3:7] == ["", "outside the cerebellar cortex", "", ""]
    assert any("'bone'" in item.reason and "hausser_neuron_6" in item.what for item in sorting.left_out)


def test_subtypes_of_interneurons(tmp_path):
    neurons = [
        mouse(0, mli_cluster="cluster_1", ground_truth_label="MLI"),
        mouse(1, mli_cluster=b"cluster_2", ground_truth_label="MLI"),
        mouse(2, ground_truth_label="MLI_B"),
        mouse(3),
        mouse(4, mli_cluster="neither", ground_truth_label="MLI"),
    ]
    sorting = sorting_of(tmp_path, neurons)
    assert sorting.columns["mli_subtype"].values.tolist() == ["A", "B", "B", "", "neither"]
    assert set(sorting.prior_labels[0].labels) == {"MLI"}
