"""Fetched labels find the file that their units are in, by identifiers and never by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import pytest

from nwb_celltype.errors import InputError, RefusedError
from nwb_celltype.fetching import fetch
from nwb_celltype.nwb_io import detach
from nwb_celltype.provenance import SourceAsset
from nwb_celltype.runs import read_runs

from ..archive_double import DandiDouble
from .conftest import DETACHED_LABELS, LABELLED, OPEN_ASSET
from .files import (
    DETACHED_PATH,
    EXPERT,
    GROUND_TRUTH,
    SOURCE_DANDISET,
    SOURCE_PATH,
    Recordings,
    recording,
    sha256,
)
from .test_fetch import bytes_from_bucket


@pytest.fixture
def mine(tmp_path: Path, recordings: Recordings) -> Path:
    """A folder of my own files, none named as in the archive."""
    folder = tmp_path / "mine"
    (folder / "deep").mkdir(parents=True)
    shutil.copyfile(recordings.source, folder / "deep" / "tuesday.nwb")
    shutil.copyfile(recordings.expert_only, folder / "wednesday.nwb")
    (folder / "broken.nwb").write_bytes(b"no HDF5")
    return folder


def labels_address(name: str) -> str:
    return f"DANDI:{name}/{DETACHED_PATH}"


def test_beside_the_source(archive: DandiDouble, labels_dandiset: str, mine: Path, out: Path) -> None:
    plan = fetch(labels_address(labels_dandiset), out=out, join=mine, dry_run=True)
    assert [(row.status, row.source) for row in plan.joined] == [("planned", mine / "deep" / "tuesday.nwb")]
    assert not out.exists()
    done = fetch(labels_address(labels_dandiset), out=out, join=mine)
    beside = mine / "deep" / f"sub-m1_ses-1_desc-celltype{labels_dandiset}_ecephys.nwb"
    assert [(row.status, row.file) for row in done.joined] == [("joined", beside)]
    assert sha256(beside) == sha256(out / labels_dandiset / DETACHED_PATH)
    assert done.exit_code == 0
    again = fetch(labels_address(labels_dandiset), out=out, join=mine)
    assert [row.status for row in again.joined] == ["there"]


def test_into_a_copy(archive: DandiDouble, labels_dandiset: str, mine: Path, recordings: Recordings, out: Path) -> None:
    done = fetch(labels_address(labels_dandiset), out=out, join=[mine], merge=True)
    merged = mine / "deep" / "tuesday_celltype.nwb"
    assert [(row.status, row.file) for row in done.joined] == [("joined", merged)]
    assert [(run.name, run.units_path) for run in read_runs(merged)] == [(GROUND_TRUTH, "/units"), (EXPERT, "/units")]
    assert sha256(mine / "deep" / "tuesday.nwb") == sha256(recordings.source)
    again = fetch(labels_address(labels_dandiset), out=out, join=[mine], merge=True)
    assert [(row.status, row.source) for row in again.joined] == [("there", mine / "deep" / "tuesday.nwb")]


def test_no_source_is_found(archive: DandiDouble, labels_dandiset: str, mine: Path, out: Path) -> None:
    (mine / "deep" / "tuesday.nwb").unlink()
    done = fetch(labels_address(labels_dandiset), out=out, join=mine)
    assert done.counts == {"fetched": 1}
    assert [row.status for row in done.joined] == ["unmatched"]
    assert "recording-1" in done.joined[0].message
    assert "broken.nwb" in done.joined[0].message
    assert done.exit_code == 6


def test_the_units_are_others(archive: DandiDouble, labels_dandiset: str, mine: Path, out: Path) -> None:
    with h5py.File(mine / "deep" / "tuesday.nwb", "r+") as file:
        file["units"].attrs["object_id"] = "00000000-0000-4000-8000-000000000000"
    done = fetch(labels_address(labels_dandiset), out=out, join=mine)
    assert [row.status for row in done.joined] == ["refused"]
    assert "object" in done.joined[0].message
    assert done.exit_code == 4


def test_of_several_copies_the_one_with_the_digest_is_meant(
    archive: DandiDouble, labels_dandiset: str, mine: Path, out: Path
) -> None:
    shutil.copyfile(mine / "deep" / "tuesday.nwb", mine / "a.nwb")
    with h5py.File(mine / "a.nwb", "r+") as file:
        file["general/lab"] = "somebody added this"
    done = fetch(labels_address(labels_dandiset), out=out, join=mine)
    assert [(row.status, row.source) for row in done.joined] == [("joined", mine / "deep" / "tuesday.nwb")]


def test_copies_that_nothing_tells_apart(archive: DandiDouble, labels_dandiset: str, mine: Path, out: Path) -> None:
    for name in ("a.nwb", "deep/tuesday.nwb"):
        shutil.copyfile(mine / "deep" / "tuesday.nwb", mine / "b.nwb")
        shutil.move(mine / "b.nwb", mine / name)
        with h5py.File(mine / name, "r+") as file:
            file["general/lab"] = name
    done = fetch(labels_address(labels_dandiset), out=out, join=mine)
    assert [row.status for row in done.joined] == ["refused"]
    assert "name the one that is meant" in done.joined[0].message


def test_a_missing_folder(labels_dandiset: str, archive: DandiDouble, out: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        fetch(labels_address(labels_dandiset), out=out, join=out / "nowhere")


def test_with_sources(
    archive: DandiDouble, labels_dandiset: str, source_dandiset: str, recordings: Recordings, out: Path
) -> None:
    plan = fetch(labels_address(labels_dandiset), out=out, with_sources=True, merge=True, dry_run=True)
    assert [(row.path, row.is_source) for row in plan.files] == [(DETACHED_PATH, False), (SOURCE_PATH, True)]
    assert [row.status for row in plan.joined] == ["planned"]
    done = fetch(labels_address(labels_dandiset), out=out, with_sources=True, merge=True)
    assert done.counts == {"fetched": 2}
    assert sha256(out / SOURCE_DANDISET / SOURCE_PATH) == sha256(recordings.source)
    merged = out / "merged" / SOURCE_DANDISET / SOURCE_PATH.replace(".nwb", "_celltype.nwb")
    assert [(row.status, row.file) for row in done.joined] == [("joined", merged)]
    assert len(read_runs(merged)) == 2
    archive.log.clear()
    again = fetch(labels_address(labels_dandiset), out=out, with_sources=True, merge=True)
    assert (again.counts, [row.status for row in again.joined]) == ({"there": 2}, ["there"])
    assert bytes_from_bucket(archive) == 0


def test_sources_that_are_at_hand_are_not_fetched(
    archive: DandiDouble, labels_dandiset: str, source_dandiset: str, mine: Path, out: Path
) -> None:
    done = fetch(labels_address(labels_dandiset), out=out, with_sources=True, join=mine)
    assert [row.path for row in done.files] == [DETACHED_PATH]
    assert [row.status for row in done.joined] == ["joined"]


def test_the_source_was_replaced(
    archive: DandiDouble, recordings: Recordings, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = recording(tmp_path / "other.nwb", "recording-1", kilobytes=1)
    source = archive.add_dandiset(name="Draft", files={SOURCE_PATH: other}, asset_metadata={SOURCE_PATH: OPEN_ASSET})
    asset = SourceAsset(archive.url, source, "draft", SOURCE_PATH, sha256=sha256(recordings.source))
    detached = detach(recordings.annotated, tmp_path / "detached.nwb", asset)
    name = archive.add_dandiset(
        name="Labels", files={DETACHED_PATH: detached}, asset_metadata={DETACHED_PATH: DETACHED_LABELS}
    )
    done = fetch(f"DANDI:{name}", out=out, with_sources=True)
    assert {row.path: row.status for row in done.files} == {DETACHED_PATH: "fetched", SOURCE_PATH: "refused"}
    assert "has been replaced since the labels were made" in done.failures[0].message
    assert [row.status for row in done.joined] == ["unmatched"]
    assert done.exit_code == 4


def test_a_source_in_the_same_dandiset(archive: DandiDouble, recordings: Recordings, tmp_path: Path, out: Path) -> None:
    files = {SOURCE_PATH: recordings.source, DETACHED_PATH: recordings.detached}
    metadata = {SOURCE_PATH: {**OPEN_ASSET, "schemaVersion": archive.state.schema_version},
                DETACHED_PATH: DETACHED_LABELS}  # fmt: skip
    name = archive.add_dandiset(name="Together", files=files, asset_metadata=metadata)
    out.mkdir()
    done = fetch(f"DANDI:{name}", out=out, join=out)
    assert done.counts == {"fetched": 2}
    assert [row.status for row in done.joined] == ["there"]  # they lie beside each other already


@pytest.fixture
def annotated_dandiset(archive: DandiDouble, recordings: Recordings) -> str:
    """Recordings with ground truth and an expert's labels in them."""
    return archive.add_dandiset(
        name="Annotated", files={SOURCE_PATH: recordings.annotated}, asset_metadata={SOURCE_PATH: LABELLED}
    )


@pytest.fixture
def expert_labels(archive: DandiDouble, recordings: Recordings, annotated_dandiset: str, tmp_path: Path) -> Path:
    """What somebody else might say about the units of the annotated dandiset: labels of an expert alone."""
    digest = sha256(recordings.annotated)
    asset = SourceAsset(archive.url, annotated_dandiset, "draft", SOURCE_PATH, sha256=digest)
    return detach(recordings.annotated, tmp_path / "expert.nwb", asset, runs=[EXPERT])


def add_labels(archive: DandiDouble, labels: Path) -> str:
    return archive.add_dandiset(
        name="Labels", files={DETACHED_PATH: labels}, asset_metadata={DETACHED_PATH: DETACHED_LABELS}
    )


def test_the_folder_of_a_dandiset_gets_nothing_foreign(
    archive: DandiDouble, annotated_dandiset: str, expert_labels: Path, out: Path
) -> None:
    name = add_labels(archive, expert_labels)
    done = fetch(f"DANDI:{name}", out=out, with_sources=True)
    joined = out / "joined" / annotated_dandiset / f"sub-m1/sub-m1_ses-1_desc-celltype{name}_ecephys.nwb"
    assert [(row.status, row.file) for row in done.joined] == [("joined", joined)], done.failures
    folder = out / annotated_dandiset
    assert [file.relative_to(folder).as_posix() for file in folder.rglob("*.nwb")] == [SOURCE_PATH]
    # the labels of the recordings themselves have the name that the joined ones would have had there
    labels = fetch(f"DANDI:{annotated_dandiset}", out=out, labels_only=True, ground_truth=True)
    assert labels.counts == {"fetched": 1}
    assert labels.files[0].ground_truth == (GROUND_TRUTH,)
    assert sorted(run.name for run in read_runs(folder / DETACHED_PATH)) == [EXPERT, GROUND_TRUTH]


def test_other_labels_of_the_same_units_are_not_those_of_the_archive(
    archive: DandiDouble, annotated_dandiset: str, expert_labels: Path, out: Path
) -> None:
    file = out / annotated_dandiset / DETACHED_PATH
    file.parent.mkdir(parents=True)
    shutil.copyfile(expert_labels, file)
    done = fetch(f"DANDI:{annotated_dandiset}", out=out, labels_only=True)
    assert (done.counts, done.exit_code) == ({"refused": 1}, RefusedError.exit_code)
    assert "is not what the archive has under that name" in done.failures[0].message
    assert sha256(file) == sha256(expert_labels)
    again = fetch(f"DANDI:{annotated_dandiset}", out=out, labels_only=True, overwrite=True)
    assert (again.counts, again.files[0].ground_truth) == ({"fetched": 1}, (GROUND_TRUTH,))


def test_labels_of_two_dandisets_are_joined_to_one_source(
    archive: DandiDouble, recordings: Recordings, expert_labels: Path, mine: Path, out: Path
) -> None:
    mine_too = mine / "deep" / "tuesday.nwb"
    shutil.copyfile(recordings.annotated, mine_too)
    names = [add_labels(archive, recordings.detached), add_labels(archive, expert_labels)]
    for name in names:
        done = fetch(f"DANDI:{name}", out=out, join=mine)
        assert [row.status for row in done.joined] == ["joined"], done.failures
    beside = [mine / "deep" / f"sub-m1_ses-1_desc-celltype{name}_ecephys.nwb" for name in names]
    assert [sha256(file) for file in beside] == [sha256(recordings.detached), sha256(expert_labels)]
    for name in names:
        assert [row.status for row in fetch(f"DANDI:{name}", out=out, join=mine).joined] == ["there"]


def test_another_file_where_joined_labels_go(archive: DandiDouble, labels_dandiset: str, mine: Path, out: Path) -> None:
    taken = mine / "deep" / f"sub-m1_ses-1_desc-celltype{labels_dandiset}_ecephys.nwb"
    shutil.copyfile(mine / "wednesday.nwb", taken)
    done = fetch(labels_address(labels_dandiset), out=out, join=mine)
    assert [row.status for row in done.joined] == ["refused"]
    assert str(taken) in done.joined[0].message
    assert "--out" not in done.joined[0].message  # names a folder here, and would not help
