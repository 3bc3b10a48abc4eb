"""Labels alone: detached files as they are, annotated files by their runs only, and nothing of what has none."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from nwb_celltype.archive.assets import Asset
from nwb_celltype.errors import NothingToDoError
from nwb_celltype.fetching import SkippedAsset, fetch
from nwb_celltype.fetching.selection import Wanted, choose
from nwb_celltype.provenance import is_detached, read_source
from nwb_celltype.runs import read_runs

from ..archive_double import DandiDouble
from .files import DETACHED_PATH, EXPERT, GROUND_TRUTH, Recordings, sha256
from .test_fetch import bytes_from_bucket, record_of

ANNOTATED = "sub-m2/sub-m2_ses-1_ecephys.nwb"
DETACHED_HERE = "sub-m2/sub-m2_ses-1_desc-celltype_ecephys.nwb"


def test_labels_only(archive: DandiDouble, labels_dandiset: str, recordings: Recordings, out: Path) -> None:
    done = fetch(f"DANDI:{labels_dandiset}", out=out, labels_only=True)
    rows = {row.file.relative_to(done.folder).as_posix(): row for row in done.files}
    assert done.exit_code == 0
    assert {name: (row.action, row.status) for name, row in rows.items()} == {
        DETACHED_PATH: ("download", "fetched"),
        DETACHED_HERE: ("detach", "fetched"),
        "sub-m3/sub-m3_ses-1_desc-celltype_ecephys.nwb": ("detach", "fetched"),
    }
    assert sha256(done.folder / DETACHED_PATH) == sha256(recordings.detached)
    assert {row.path: row.reason for row in done.skipped} == {
        "notes.txt": "no NWB file",
        "sub-m4/sub-m4_ses-1_ecephys.nwb": "no cell type labels",
    }
    streamed = done.folder / DETACHED_HERE
    assert is_detached(streamed)
    assert [run.name for run in read_runs(streamed)] == [GROUND_TRUTH, EXPERT]
    source = read_source(streamed)
    assert source is not None
    assert (source.dandiset, source.version, source.path) == (labels_dandiset, "draft", ANNOTATED)
    assert source.sha256 == sha256(recordings.annotated)
    assert source.licence == "CC-BY-4.0"
    with h5py.File(recordings.annotated) as file:
        assert source.units_object_id == file["units"].attrs["object_id"]
    entry = next(e for e in record_of(done.folder) if e["path"] == DETACHED_HERE)
    assert (entry["action"], entry["asset_path"], entry["sha256"]) == ("detach", ANNOTATED, source.sha256)
    assert entry["file_sha256"] == sha256(streamed)
    assert "not the asset" in entry["note"]


def test_streaming_takes_few_bytes(archive: DandiDouble, tmp_path: Path, out: Path) -> None:
    from .conftest import LABELLED
    from .files import recording

    source = recording(tmp_path / "large.nwb", "large", kilobytes=5000)
    (tmp_path / "labels.csv").write_text("unit_id,cell_type\n7,PkC_ss\n")
    from nwb_celltype.nwb_io import annotate

    annotate(source, labels=tmp_path / "labels.csv", source_type="ground_truth", by="Ada", in_place=True)
    name = archive.add_dandiset(
        name="Large", files={"sub-l/sub-l.nwb": source}, asset_metadata={"sub-l/sub-l.nwb": LABELLED}
    )
    done = fetch(f"DANDI:{name}", out=out, labels_only=True)
    assert done.counts == {"fetched": 1}
    assert 0 < bytes_from_bucket(archive) < 0.3 * source.stat().st_size
    assert done.n_bytes == bytes_from_bucket(archive)
    assert "downloaded 0 MB" not in str(done)


def test_a_rerun_streams_nothing(archive: DandiDouble, labels_dandiset: str, out: Path) -> None:
    address = f"DANDI:{labels_dandiset}/{ANNOTATED}"
    fetch(address, out=out, labels_only=True)
    archive.log.clear()
    assert fetch(address, out=out, labels_only=True).counts == {"there": 1}
    assert bytes_from_bucket(archive) == 0
    # killed between the file and its record
    (out / labels_dandiset / ".nwb-celltype" / "fetched.jsonl").unlink()
    assert fetch(address, out=out, labels_only=True).counts == {"there": 1}
    assert DETACHED_HERE in {entry["path"] for entry in record_of(out / labels_dandiset)}


def test_an_edited_detached_file_is_left_alone(archive: DandiDouble, labels_dandiset: str, out: Path) -> None:
    address = f"DANDI:{labels_dandiset}/{ANNOTATED}"
    fetch(address, out=out, labels_only=True)
    file = out / labels_dandiset / DETACHED_HERE
    with file.open("ab") as opened:
        opened.write(b"edited")
    edited = sha256(file)
    done = fetch(address, out=out, labels_only=True)
    assert (done.counts, done.exit_code) == ({"refused": 1}, 4)
    assert sha256(file) == edited
    assert fetch(address, out=out, labels_only=True, overwrite=True).counts == {"fetched": 1}
    assert [run.name for run in read_runs(file)] == [GROUND_TRUTH, EXPERT]


def test_ground_truth(archive: DandiDouble, labels_dandiset: str, recordings: Recordings, out: Path) -> None:
    done = fetch(f"DANDI:{labels_dandiset}", out=out, ground_truth=True)
    assert {row.path for row in done.files} == {DETACHED_PATH, ANNOTATED}
    assert sha256(done.folder / ANNOTATED) == sha256(recordings.annotated)
    assert {row.reason for row in done.skipped} == {"no NWB file", "no cell type labels", "no ground truth labels"}
    for row in done.files:
        assert (row.runs, row.ground_truth) == ((EXPERT, GROUND_TRUTH), (GROUND_TRUTH,))
    labels = fetch(f"DANDI:{labels_dandiset}", out=out.with_name("labels"), ground_truth=True, labels_only=True)
    assert [(row.action, row.ground_truth) for row in labels.files] == [
        ("download", (GROUND_TRUTH,)),
        ("detach", (GROUND_TRUTH,)),
    ]
    entry = next(e for e in record_of(labels.folder) if e["path"] == DETACHED_HERE)
    assert entry["ground_truth"] == [GROUND_TRUTH]


def test_assets_without_keywords_are_looked_into(archive: DandiDouble, recordings: Recordings, out: Path) -> None:
    from .conftest import OPEN_ASSET

    files = {
        "sub-a/sub-a.nwb": recordings.annotated,
        "sub-b/sub-b.nwb": recordings.expert_only,
        "sub-c/sub-c.nwb": recordings.source,
        "sub-d/sub-d_labels.nwb": recordings.detached,
    }
    name = archive.add_dandiset(name="Not ours", files=files, asset_metadata=dict.fromkeys(files, OPEN_ASSET))
    archive.add_asset(name, "sub-e/sub-e.nwb", b"no HDF5" * 1000, metadata=OPEN_ASSET)
    done = fetch(f"DANDI:{name}", out=out, labels_only=True, ground_truth=True)
    assert {row.path: (row.action, row.status) for row in done.files} == {
        "sub-a/sub-a.nwb": ("detach", "fetched"),
        "sub-d/sub-d_labels.nwb": ("download", "fetched"),
        "sub-e/sub-e.nwb": ("download", "failed"),
    }
    assert done.exit_code == 3
    assert "cannot be read as HDF5" in done.failures[0].message
    assert {row.path: row.reason for row in done.skipped} == {
        "sub-b/sub-b.nwb": "no ground truth labels",
        "sub-c/sub-c.nwb": "no cell type labels",
    }


def test_a_dandiset_without_labels(archive: DandiDouble, source_dandiset: str, out: Path) -> None:
    with pytest.raises(NothingToDoError, match="1 with no cell type labels"):
        fetch(f"DANDI:{source_dandiset}", out=out, labels_only=True)
    assert not out.exists()


def test_detached_names_do_not_collide(archive: DandiDouble, recordings: Recordings, out: Path) -> None:
    from .conftest import DETACHED_LABELS, LABELLED

    files = {
        "sub-a/sub-a_ses-1_desc-sorted_ecephys.nwb": recordings.annotated,
        "sub-a/sub-a_ses-1_desc-raw_ecephys.nwb": recordings.expert_only,
        "sub-a/sub-a_ses-1_desc-celltype_ecephys.nwb": recordings.detached,
    }
    metadata = dict.fromkeys(files, LABELLED) | {"sub-a/sub-a_ses-1_desc-celltype_ecephys.nwb": DETACHED_LABELS}
    name = archive.add_dandiset(name="Both", files=files, asset_metadata=metadata)
    done = fetch(f"DANDI:{name}", out=out, labels_only=True)
    assert done.counts == {"fetched": 3}
    assert sorted(row.file.name for row in done.files) == [
        "sub-a_ses-1_desc-celltype_ecephys.nwb",
        "sub-a_ses-1_desc-celltyperaw_ecephys.nwb",
        "sub-a_ses-1_desc-celltypesorted_ecephys.nwb",
    ]


def test_zarr_is_left_out() -> None:
    asset = Asset("dandi", "000001", "draft", "sub-a/sub-a.nwb.zarr", "", 10, "", "", {}, zarr_id="x")
    for wanted in (Wanted(), Wanted(labels_only=True)):
        row = choose(asset, wanted, lambda _: pytest.fail("nobody should look"))
        assert isinstance(row, SkippedAsset)
        assert "NWB-Zarr" in row.reason
