"""A folder of recordings: what is planned, written, skipped, done again, and left alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

import nwb_celltype as nct
from nwb_celltype import annotate_many, read_runs
from nwb_celltype.batch.sessions import look_at
from nwb_celltype.errors import InputError, NothingToDoError, RefusedError, UsageError
from nwb_celltype.provenance import read_source

from .recordings import recording
from .results import assert_same, label_files, table


def here(source: Any, out: Path, **options: Any) -> nct.batch.BatchResult:
    return annotate_many(source, out=out, scheduler="synchronous", **options)


def statuses(result: Any) -> dict[str, str]:
    return {Path(asset.path).name: asset.status for asset in result.assets}


@pytest.fixture(scope="module")
def done(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels of the three recordings; only read it."""
    out = tmp_path_factory.mktemp("labels")
    assert here(written, out).exit_code == 0
    return out


@pytest.fixture
def labelled(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "out"))


def test_a_folder_is_annotated(written: Path, done: Path) -> None:
    assert label_files(done) == [f"sub-m{k}/sub-m{k}_ses-a_desc-celltype_ecephys.nwb" for k in range(3)]
    columns = table(done)
    assert columns["unit_id"] == [10, 12, 13] * 3
    assert columns["region"] == ["Lobule V", "", "Flocculus"] * 3
    assert columns["file"] == sorted(columns["file"])
    assert set(columns["model"]) == {"cerebellum 3"}
    sums = np.sum([columns[name] for name in columns if name.startswith("probability_")], axis=0)
    np.testing.assert_allclose(sums, 1.0, atol=1e-5)
    source = read_source(done / label_files(done)[0])
    assert source is not None
    assert (source.path, source.identifier) == ("sub-m0/sub-m0_ses-a_ecephys.nwb", "m0-a-0")
    assert len(source.sha256) == 64
    draft = yaml.safe_load((done / "dandiset.yaml").read_text())
    assert "identifier" not in draft
    assert draft["keywords"][0] == "nwb-celltype"


def test_the_answers_are_those_of_annotate_for_these_units(written: Path, done: Path, tmp_path: Path) -> None:
    source = written / "sub-m1/sub-m1_ses-a_ecephys.nwb"
    alone = nct.annotate(source, units=[10, 12, 13], out=tmp_path / "one.nwb").run
    batch = read_runs(done / "sub-m1/sub-m1_ses-a_desc-celltype_ecephys.nwb")[0]
    np.testing.assert_array_equal(batch.unit_ids, alone.unit_ids)
    np.testing.assert_array_equal(batch.cell_type, alone.cell_type)
    np.testing.assert_array_equal(batch.reason_detail, alone.reason_detail)
    assert batch.probability is not None
    assert alone.probability is not None
    np.testing.assert_allclose(batch.probability, alone.probability, atol=1e-6)  # torch may use more threads alone
    assert batch.input_sha256 == alone.input_sha256
    assert batch.verdict == alone.verdict


def test_the_plan_counts_and_writes_nothing(written: Path, tmp_path: Path) -> None:
    result = here(written, tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    assert result.assets == ()
    plan = result.plan
    assert plan.counts == {"to do": 3}
    assert (plan.total("units"), plan.total("left_out"), plan.total("unknown")) == (9, 3, 3)
    assert plan.total("bytes_to_read") == 9 * (1500 * 8 + 60 * 2 * 8)
    assert "3 assets to do: 9 units (3 of unknown region), 3 left out by region" in str(result)


def test_a_rerun_does_nothing(written: Path, labelled: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in labelled.rglob("*.nwb")}
    result = here(written, labelled)
    assert set(statuses(result).values()) == {"done already"}
    assert {path: path.stat().st_mtime_ns for path in labelled.rglob("*.nwb")} == before
    assert [asset.classes for asset in result.assets] == [{"PkC_ss": 3}] * 3


def test_a_rerun_does_what_is_missing_or_has_changed(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    here(recordings, out)
    (out / label_files(out)[0]).unlink()
    with h5py.File(recordings / "sub-m1/sub-m1_ses-a_ecephys.nwb", "r+") as file:
        file["units/spike_times"][:100] += 1e-5
    (recordings / "sub-m2/sub-m2_ses-a_ecephys.nwb").touch()  # another moment, the same content
    result = here(recordings, out)
    assert list(statuses(result).values()) == ["done", "done", "done already"]
    fresh = here(recordings, tmp_path / "fresh")
    assert fresh.exit_code == 0
    assert_same(out, tmp_path / "fresh")


def test_labels_that_somebody_changed_are_left_alone(written: Path, labelled: Path) -> None:
    changed = labelled / label_files(labelled)[1]
    with h5py.File(changed, "r+") as file:
        file.attrs["mine"] = 1
    plan = here(written, labelled, dry_run=True)
    assert plan.plan.counts == {"done already": 2, "failed": 1}
    assert "was changed by somebody since it was written" in str(plan)
    assert plan.exit_code == RefusedError.exit_code
    result = here(written, labelled)
    assert list(statuses(result).values()) == ["done already", "failed", "done already"]
    assert "was changed by somebody since it was written" in result.failures[0].reason
    assert result.exit_code == RefusedError.exit_code
    with h5py.File(changed) as file:
        assert "mine" in file.attrs
    assert here(written, labelled, overwrite=True).exit_code == 0
    with h5py.File(changed) as file:
        assert "mine" not in file.attrs


def test_what_was_seen_and_skipped_is_not_opened_again(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cortex = recording(recordings / "cortex.nwb", ["CA1", "VISp"], subject="v")
    opened: list[str] = []

    def looked(task: Any) -> Any:
        opened.append(task.item.path)
        return look_at(task)

    monkeypatch.setattr("nwb_celltype.batch.batches.look_at", looked)
    out = tmp_path / "out"
    here(recordings, out, dry_run=True)
    assert not out.exists()
    first = here(recordings, out)
    assert first.counts == {"done": 3, "skipped": 1}
    opened.clear()
    again = here(recordings, out)
    assert again.counts == {"done already": 3, "skipped": 1}
    assert not opened
    assert again.plan.skipped == first.plan.skipped
    here(recordings, out, dry_run=True, region="CA1")  # other units: all are looked at
    assert len(opened) == 4
    opened.clear()
    cortex.touch()
    here(recordings, out)
    assert opened == ["cortex.nwb"]


def test_verdicts_are_told_together(written: Path, done: Path) -> None:
    said = str(here(written, done))
    assert "3 files typable with caution: The region of 3 of 9 units is not stated" in said


def test_a_file_that_is_not_ours_is_left_alone(written: Path, tmp_path: Path) -> None:
    target = tmp_path / "sub-m0/sub-m0_ses-a_desc-celltype_ecephys.nwb"
    target.parent.mkdir()
    target.write_text("mine")
    result = here(written, tmp_path, glob="*m0*")
    assert "was not written by this batch" in result.failures[0].reason
    assert target.read_text() == "mine"


def test_another_threshold_adds_a_run(written: Path, labelled: Path) -> None:
    result = here(written, labelled, threshold=0.99, glob="*m0*")
    assert statuses(result)["sub-m0_ses-a_ecephys.nwb"] == "done"
    old, new = read_runs(labelled / label_files(labelled)[0])
    assert (old.name, new.name, new.supersedes) == ("cerebellum_3", "cerebellum_3_2", "cerebellum_3")
    assert new.is_abstained.all()
    assert not old.is_abstained.any()
    rows = [row for row in zip(table(labelled)["run"], table(labelled)["is_abstained"], strict=True)]
    assert rows == [("cerebellum_3_2", True)] * 3 + [("cerebellum_3", False)] * 6


def test_what_is_skipped_and_why(recordings: Path, tmp_path: Path) -> None:
    recording(recordings / "human.nwb", subject="h", species="Homo sapiens")
    recording(recordings / "cortex.nwb", ["CA1", "VISp"], subject="v")
    recording(recordings / "empty.nwb", [], subject="e")
    (recordings / "sub-m0/old.nwb.zarr").mkdir()
    (recordings / "sub-m0/old.nwb.zarr/.zgroup").touch()
    shutil.copy(recordings / "human.nwb", recordings / "human_celltype.nwb")
    here(recordings, recordings / "labels", glob="*m2*")  # inside the folder itself
    result = here(recordings, recordings / "labels", where={"sex": "F"}, glob="*[!1]_*", dry_run=True)
    assert "labels" not in str([asset.path for asset in result.plan.assets])
    result = here(recordings, tmp_path / "out", region="cerebellum", where=["subject=[!m]*"], dry_run=True)
    reasons = {asset.path: asset.reason for asset in result.plan.assets if asset.status == "skipped"}
    assert reasons["sub-m0/old.nwb.zarr"].startswith("it is NWB-Zarr")
    assert reasons["human_celltype.nwb"] == "it is the annotated copy of human.nwb"
    assert reasons["human.nwb"] == "the species is human; the model was made from mouse and macaque"
    assert reasons["cortex.nwb"].startswith("none of its units is among those in cerebellar cortex")
    assert reasons["empty.nwb"] == "it has no units"
    assert reasons["sub-m1/sub-m1_ses-a_ecephys.nwb"] == "--where subject=[!m]* does not hold"


def test_unknown_regions_are_left_out_when_a_region_is_asked_for(written: Path, tmp_path: Path) -> None:
    result = here(written, tmp_path / "out", region="cerebellum", where={"subject": "m0"})
    assert result.counts == {"done": 1, "skipped": 2}
    assert table(tmp_path / "out")["region"] == ["Lobule V", "Flocculus"]
    assert [asset.left_out for asset in result.assets if asset.status == "done"] == [2]


@pytest.mark.parametrize(
    ("where", "n"),
    [
        (["species=mouse"], 3),
        (["species=Mus*"], 3),
        (["species=macaque"], 0),
        (["sex=female"], 3),
        (["subject=M1"], 1),
        (["session=a", "path=*m[02]*"], 2),
    ],
)
def test_conditions(written: Path, tmp_path: Path, where: list[str], n: int) -> None:
    plan = here(written, tmp_path / "out", where=where, dry_run=True).plan
    assert plan.counts.get("to do", 0) == n


def test_bad_assets_stop_nothing(recordings: Path, tmp_path: Path) -> None:
    broken = recordings / "sub-m1/sub-m1_ses-a_ecephys.nwb"
    broken.write_bytes(broken.read_bytes()[:5000])
    with h5py.File(recordings / "sub-m2/sub-m2_ses-a_ecephys.nwb", "r+") as file:
        del file["identifier"]  # seen only when its labels are written
    result = here(recordings, tmp_path / "out")
    assert list(statuses(result).values()) == ["done", "failed", "failed"]
    assert "truncated" in result.assets[1].reason
    assert "states no identifier" in result.assets[2].reason
    assert result.exit_code == InputError.exit_code
    assert len(table(tmp_path / "out")["unit_id"]) == 3
    said = str(result)
    assert "2 assets failed:" in said
    assert "what is done stays done" in said


def test_two_files_of_one_session_get_names_of_their_own(tmp_path: Path) -> None:
    one = recording(tmp_path / "data/sub-m1_ses-1_desc-a_ecephys.nwb", session="1")
    recording(tmp_path / "data/sub-m1_ses-1_desc-b_ecephys.nwb", session="1", seed=1)
    here(tmp_path / "data", tmp_path / "out")
    both = ["sub-m1/sub-m1_ses-1_desc-celltypea_ecephys.nwb",
            "sub-m1/sub-m1_ses-1_desc-celltypeb_ecephys.nwb"]  # fmt: skip
    assert label_files(tmp_path / "out") == both
    here(one, tmp_path / "alone")
    here(tmp_path / "data", tmp_path / "alone")  # the name that a file has stays
    assert label_files(tmp_path / "alone") == ["sub-m1/sub-m1_ses-1_desc-celltype_ecephys.nwb", both[1]]


def test_several_paths_and_patterns(written: Path, tmp_path: Path) -> None:
    sources = [written / "sub-m0", str(written / "sub-m[12]" / "*.nwb")]
    assert here(sources, tmp_path / "out").counts == {"done": 3}
    assert set(table(tmp_path / "out")["source_path"]) == {f"sub-m{k}/sub-m{k}_ses-a_ecephys.nwb" for k in range(3)}


def test_threads_give_the_same(written: Path, done: Path, tmp_path: Path) -> None:
    assert annotate_many(written, out=tmp_path, scheduler="threads", workers=2).counts == {"done": 3}
    assert_same(tmp_path, done)


def test_nothing_to_do_is_said(written: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingToDoError, match=r"no units to annotate in .* --where species=rat does not hold"):
        here(written, tmp_path / "out", where={"species": "rat"})
    (tmp_path / "no").mkdir()
    assert not (tmp_path / "out").exists()
    with pytest.raises(NothingToDoError, match="There are no NWB files in"):
        here(tmp_path / "no", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"scheduler": "cloud"}, "'cloud' is no scheduler; give processes, threads, synchronous, or an address"),
        ({"cluster": "cloud"}, "There is no cluster 'cloud'; choose one of slurm, pbs"),
        ({"cluster": "slurm", "scheduler": "threads"}, "not both"),
        ({"cluster_options": {"queue": "q"}}, "say which with --cluster"),
        ({"scheduler": "tcp://h:1", "workers": 2}, "has its own workers"),
        ({"workers": 0}, "give at least 1"),
        ({"where": ["species"]}, "write KEY=VALUE"),
        ({"where": ["colour=red"]}, "a key is one of species, subject, session, sex, path"),
        ({"threshold": 2.0}, "between 0 and 1"),
        ({"model": "nobody"}, "There is no model 'nobody'"),
        ({"region": ""}, "The region is empty"),
    ],
)
def test_wrong_calls(written: Path, tmp_path: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        annotate_many(written, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_is_one_sentence(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwb_celltype.batch.workers.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'^This needs pyarrow: pip install "nwb-celltype\[cluster\]"$'):
        here(written, tmp_path / "out")
