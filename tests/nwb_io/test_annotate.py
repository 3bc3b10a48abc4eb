"""What `annotate` adds, when it adds nothing, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_celltype import annotate, check, published_run, read_runs
from nwb_celltype.annotation import Annotation
from nwb_celltype.errors import InputError, NothingToDoError, RefusedError, UsageError
from nwb_celltype.runs import CONTAINER_PATH
from nwb_celltype.taxonomy import CEREBELLUM

from .annotations import from_classifier, graft_into
from .files import label_csv, plain, without_units

pytestmark = pytest.mark.usefixtures("no_validator")


def members(path: Path) -> set[str]:
    with h5py.File(path) as file:
        return set(file[CONTAINER_PATH])


def linked_classes(path: Path, run: str) -> str:
    with h5py.File(path) as file:
        return str(file[f"{CONTAINER_PATH}/{run}"].get("classes", getlink=True).path.rsplit("/", 1)[-1])


def test_the_copy_lies_beside_the_file(file: Path, labels: Path) -> None:
    result = annotate(file, labels=labels, by="Doe, Jane")
    assert result.file == file.with_name("session_celltype.nwb")
    assert result.is_new
    assert result.run.name == "expert_doe_jane"
    assert result.run.method.fields["person"] == "Doe, Jane"
    assert result.run.labels_for([3, 7, 9]) == ["", "PkC_ss", "MLI"]
    assert result.run.source_identifier == "plain"
    assert not read_runs(file)


def test_out_may_be_a_folder(file: Path, labels: Path, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    assert annotate(file, out=tmp_path / "results", labels=labels, by="me").file.parent.name == "results"


def test_second_run_shares_the_classes(file: Path, labels: Path, tmp_path: Path) -> None:
    annotate(file, in_place=True, labels=labels, by="me")
    other = label_csv(tmp_path, {3: "GoC"}, "other.csv")
    assert annotate(file, in_place=True, labels=other, by="me").run.name == "expert_me_2"
    assert annotate(file, in_place=True, labels=other, by="you").run.name == "expert_you"
    assert linked_classes(file, "expert_me") == linked_classes(file, "expert_me_2") == "cerebellar_cortex_classes"
    assert sum("classes" in name for name in members(file)) == 1


def test_other_classes_get_a_table_of_their_own(file: Path, labels: Path) -> None:
    annotate(file, in_place=True, labels=labels, by="me")
    annotate(file, in_place=True, labels=labels, by="me", taxonomy="free")
    graft_into(file, _five_classes())
    graft_into(file, replace(_five_classes(), run_name="again"))
    tables = {run.name: linked_classes(file, run.name) for run in read_runs(file)}
    assert tables == {
        "expert_me": "cerebellar_cortex_classes",
        "expert_me_2": "free_classes",
        "m_1": "cerebellar_cortex_classes_2",
        "again": "cerebellar_cortex_classes_2",
    }


def _five_classes() -> Annotation:
    """As the five-class model would answer: the same taxonomy without granule cells."""
    made = from_classifier([7, 3, 9])
    five = CEREBELLUM.subset([label for label in CEREBELLUM.labels if label != "GrC"])
    probability = np.array([[0.6, 0.1, 0.1, 0.1, 0.1], [0.1, 0.6, 0.1, 0.1, 0.1], [np.nan] * 5], dtype=np.float32)
    return replace(
        made,
        taxonomy=five,
        probability=probability,
        confidence=np.array([0.6, 0.6, np.nan], dtype=np.float32),
        cell_type=np.array([*five.labels[:2], "unclassified"]),
    )


def test_same_labels_again_change_no_byte(file: Path, labels: Path) -> None:
    first = annotate(file, in_place=True, labels=labels, by="me")
    before = file.read_bytes()
    second = annotate(file, in_place=True, labels=labels, by="me")
    assert (first.is_new, second.is_new) == (True, False)
    assert second.run.name == first.run.name
    assert file.read_bytes() == before
    third = annotate(file, in_place=True, labels=labels, by="me", again=True)
    assert third.run.name == "expert_me_2"


def test_same_labels_again_for_the_copy(file: Path, labels: Path) -> None:
    copy = annotate(file, labels=labels, by="me").file
    before = copy.read_bytes()
    assert not annotate(file, labels=labels, by="me").is_new
    assert copy.read_bytes() == before


def test_a_source_that_says_it_already_is_not_copied(file: Path, labels: Path) -> None:
    copy = annotate(file, labels=labels, by="me").file
    result = annotate(copy, labels=labels, by="me")
    assert not result.is_new
    assert result.file == copy
    assert not copy.with_name("session_celltype_celltype.nwb").exists()


def test_a_file_that_was_asked_for_is_written_all_the_same(file: Path, labels: Path, tmp_path: Path) -> None:
    annotate(file, in_place=True, labels=labels, by="me")
    result = annotate(file, out=tmp_path / "asked.nwb", labels=labels, by="me")
    assert not result.is_new
    assert result.file == tmp_path / "asked.nwb"
    assert [run.name for run in read_runs(result.file)] == ["expert_me"]


@pytest.mark.parametrize(
    "columns",
    [
        {"confidence": 0.9},
        {"cell_id": "a"},
        {"split": "test"},
        {"note": "sure"},
        {"evidence_kind": "optotag", "latency_ms": 2.1},
    ],
    ids=lambda columns: ",".join(columns),
)
def test_anything_that_differs_is_another_run(file: Path, labels: Path, tmp_path: Path, columns: dict) -> None:
    more = label_csv(tmp_path, {7: "PkC_ss", 9: "MLI"}, "more.csv", **columns)
    annotate(file, in_place=True, labels=labels, by="me")
    assert annotate(file, in_place=True, labels=more, by="me").is_new
    assert not annotate(file, in_place=True, labels=more, by="me").is_new


def test_columns_for_a_run_that_is_there_already(file: Path, labels: Path) -> None:
    annotate(file, in_place=True, labels=labels, by="me")
    result = annotate(file, in_place=True, labels=labels, by="me", mirror=True)
    assert (result.is_new, result.mirrored) == (False, ("expert_me_cell_type",))
    with h5py.File(file) as opened:
        assert opened["units/expert_me_cell_type"].asstr()[()].tolist() == ["PkC_ss", "", "MLI"]
    before = file.read_bytes()
    assert annotate(file, in_place=True, labels=labels, by="me", mirror=True).mirrored == ()
    assert file.read_bytes() == before


def test_a_column_that_is_there_is_never_touched(file: Path, labels: Path) -> None:
    with h5py.File(file, "r+") as opened:
        opened["units/expert_me_cell_type"] = [b"mine", b"mine", b"mine"]
    before = file.read_bytes()
    with pytest.raises(InputError, match="already has the units column 'expert_me_cell_type'"):
        annotate(file, in_place=True, labels=labels, by="me", mirror=True)
    assert file.read_bytes() == before


def test_some_units(file: Path, labels: Path, tmp_path: Path) -> None:
    result = annotate(file, units=[9], labels=label_csv(tmp_path, {9: "GoC"}), by="me")
    assert result.run.unit_ids.tolist() == [9]
    with pytest.raises(UsageError, match="4"):
        annotate(file, units=[4], labels=labels, by="me")
    with pytest.raises(UsageError, match="more than once"):
        annotate(file, units=[9, 9], labels=labels, by="me")
    with pytest.raises(InputError, match=r"not in .*session.nwb.*: 7 \(line 2\)"):
        annotate(file, units=[9], labels=label_csv(tmp_path, {7: "GoC"}), by="me")


def test_the_label_of_the_file(file: Path, labels: Path) -> None:
    for source_type in ("rule", "expert", "ground_truth"):
        annotate(file, in_place=True, labels=labels, by="me", source_type=source_type)
    graft_into(file, from_classifier([7, 3]))
    runs = read_runs(file)
    assert [run.name for run in runs] == ["rule_me", "expert_me", "ground_truth_me", "m_1"]
    assert published_run(runs).name == "ground_truth_me"
    graft_into(file, from_classifier([7], run_name="m_2", supersedes="ground_truth_me"))
    assert published_run(read_runs(file)).name == "expert_me"
    assert published_run([]) is None


def test_names_that_go_with_a_run_are_never_shared(file: Path) -> None:
    """A run called `m_1_method` must not become the method of a run called `m_1`."""
    graft_into(file, from_classifier([7, 3], run_name="m_1_method"))
    graft_into(file, from_classifier([7, 3], run_name="m_1"))
    assert {run.name for run in read_runs(file)} == {"m_1_method", "m_1_2"}
    with h5py.File(file) as opened:
        method = opened[f"{CONTAINER_PATH}/m_1_2/method"]
        assert method.attrs["neurodata_type"] == "CellTypeAnnotationMethod"


@pytest.mark.parametrize("place", ["/processing/ecephys", CONTAINER_PATH])
@pytest.mark.parametrize("what", ["group", "dataset", "dangling link", "external link"])
def test_somebody_elses_object_in_the_way(file: Path, labels: Path, place: str, what: str) -> None:
    plain(file.with_name("other.nwb"))
    with h5py.File(file, "r+") as opened:
        if place == CONTAINER_PATH:
            opened.create_group("/processing/ecephys").attrs["neurodata_type"] = "ProcessingModule"
        if what == "group":
            opened.create_group(place).attrs["neurodata_type"] = "Clustering"
        elif what == "dataset":
            opened[place] = 1
        elif what == "dangling link":
            opened[place] = h5py.SoftLink("/nowhere")
        else:
            opened[place] = h5py.ExternalLink("other.nwb", "/general")
    before, other = file.read_bytes(), file.with_name("other.nwb").read_bytes()
    with pytest.raises(InputError, match=r"session\.nwb") as caught:
        annotate(file, in_place=True, labels=labels, by="me")
    assert place in str(caught.value)
    assert file.read_bytes() == before
    assert file.with_name("other.nwb").read_bytes() == other
    assert sorted(p.name for p in file.parent.iterdir()) == ["labels.csv", "other.nwb", "session.nwb"]


def test_units_that_live_in_another_file(file: Path, labels: Path, tmp_path: Path) -> None:
    shell = plain(tmp_path / "shell.nwb")
    with h5py.File(shell, "r+") as opened:
        del opened["units"]
        opened["units"] = h5py.ExternalLink("session.nwb", "/units")
    before = file.read_bytes()
    with pytest.raises(InputError, match=r"/units of .* is a link into .*session.nwb; annotate that file"):
        annotate(shell, in_place=True, labels=labels, by="me", mirror=True)
    assert file.read_bytes() == before


def test_a_container_without_runs_of_somebody_else(file: Path, labels: Path) -> None:
    with h5py.File(file, "r+") as opened:
        opened.create_group("/processing/ecephys").attrs.update(
            {"neurodata_type": "ProcessingModule", "namespace": "core", "description": "d"}
        )
        opened.create_group(CONTAINER_PATH).attrs.update(
            {"neurodata_type": "CellTypeAnnotations", "namespace": "ndx-cell-type", "object_id": "theirs"}
        )
    annotate(file, in_place=True, labels=labels, by="me")
    with h5py.File(file) as opened:
        assert opened[CONTAINER_PATH].attrs["object_id"] == "theirs"
    assert [run.name for run in read_runs(file)] == ["expert_me"]


def test_existing_output_that_is_no_copy(file: Path, labels: Path, tmp_path: Path) -> None:
    text, other, changed = tmp_path / "notes.txt", plain(tmp_path / "other.nwb", [1, 2]), tmp_path / "changed.nwb"
    text.write_text("important")
    shutil.copyfile(file, changed)
    with h5py.File(changed, "r+") as opened:
        opened["units/spike_times"][0] += 0.001
    for out in (text, other, changed):
        before = out.read_bytes()
        with pytest.raises(RefusedError, match="is no copy of"):
            annotate(file, out=out, labels=labels, by="me")
        assert out.read_bytes() == before


def test_existing_copy_with_its_rows_in_another_order(labels: Path, tmp_path: Path) -> None:
    """The region counts the rows of the file that is written, not of the source."""
    source, copy = plain(tmp_path / "session.nwb"), plain(tmp_path / "copy.nwb", [9, 7, 3])
    annotate(source, out=copy, units=[7, 9], labels=labels, by="me")
    with h5py.File(copy) as file:
        assert file[f"{CONTAINER_PATH}/expert_me/unit"][()].tolist() == [1, 0]
    assert not [m for m in check(copy) if "row" in m.text]


def test_options_that_exclude_each_other(file: Path, labels: Path) -> None:
    with pytest.raises(UsageError, match="not both"):
        annotate(file, out="x.nwb", in_place=True, labels=labels, by="me")
    with pytest.raises(UsageError, match="source itself"):
        annotate(file, out=file, labels=labels, by="me")
    with pytest.raises(UsageError, match="threshold"):
        annotate(file, threshold=0.5, labels=labels, by="me")
    with pytest.raises(UsageError, match="--labels"):
        annotate(file, by="me")


def test_nothing_to_annotate(labels: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingToDoError, match="has no units table"):
        annotate(without_units(tmp_path / "raw.nwb"), labels=labels, by="me")
    with pytest.raises(NothingToDoError, match="has no units in /units"):
        annotate(plain(tmp_path / "none.nwb", []), labels=labels, by="me")
    bare = tmp_path / "bare.h5"
    with h5py.File(bare, "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not NWB 2"):
        annotate(bare, labels=labels, by="me")


def test_a_run_that_the_extension_refuses_is_a_sentence(file: Path) -> None:
    before = file.read_bytes()
    wrong = from_classifier([7, 3, 9], reason=np.array(["", "", "bored"]))
    with pytest.raises(InputError, match=r"The run 'm_1' cannot be stored: .*bored"):
        graft_into(file, wrong)
    assert file.read_bytes()[:100] == before[:100]
    assert not read_runs(file)


def test_a_prior_and_layers_are_another_question(file: Path, tmp_path: Path) -> None:
    layers = tmp_path / "layers.csv"
    layers.write_text("unit_id,layer\n7,GCL\n")
    for options in ({}, {"prior": "training"}, {"layers": layers}):
        first = annotate(file, in_place=True, **options)
        second = annotate(file, in_place=True, **options)
        assert (first.is_new, second.is_new, second.run.name) == (True, False, first.run.name)
    runs = read_runs(file)
    settings = [json.loads(run.method.fields["parameters"]) for run in runs]
    assert [sorted(set(each) - {"threshold", "ood_threshold"}) for each in settings] == [[], ["prior"], ["layers"]]
    assert settings[1]["prior"]["name"] == "training"
    assert settings[2]["layers"]["source"] == "layers.csv"


def test_a_prior_is_not_for_labels(file: Path, labels: Path) -> None:
    for options in ({"prior": "auto"}, {"layers": "layers.csv"}):
        with pytest.raises(UsageError, match="leave them out with --labels"):
            annotate(file, labels=labels, by="me", **options)
