"""One table of units and runs, from files, folders, patterns and dandisets alike."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from nwb_celltype import load_labels
from nwb_celltype.annotation import Annotation
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.label_frames import COLUMNS
from nwb_celltype.nwb_io import detach, join
from nwb_celltype.provenance import SourceAsset
from nwb_celltype.runs import CONTAINER_PATH, Method, read_runs, run_files
from nwb_celltype.taxonomy import CEREBELLUM, free_taxonomy

from .archive.range_server import RangeServer
from .archive_double import DandiDouble
from .nwb_io.annotations import from_classifier, graft_into
from .nwb_io.files import plain, rich

DETACHED = "sub-m1/sub-m1_desc-celltype_ecephys.nwb"


def expert(unit_ids: tuple[int, ...], **changes: Any) -> Annotation:
    """A person's labels in other words than the classifier's: no probabilities."""
    none: dict[str, Any] = {
        "probability": None,
        "confidence": None,
        "ood_score": None,
        "evidence": None,
        "cell_id": None,
    }
    own = {"method": Method("expert", {"person": "Doe, Jane"}), "run_name": "expert_jane"}
    taxonomy = free_taxonomy(["ON", "OFF"])
    n = len(unit_ids)
    empty = np.array([""] * n)
    said = {
        "cell_type": np.array(["ON"] * n),
        "is_abstained": np.zeros(n, bool),
        "reason": empty,
        "reason_detail": empty,
    }
    return from_classifier(unit_ids, taxonomy=taxonomy, **{**none, **own, **said, **changes})


@dataclass(frozen=True)
class Recordings:
    """A lab's folder.

    `annotated` has a classifier's run of three units and an expert's of one; `detached` the same runs; `other` is
    another session with an expert's run; `source` has no runs.
    """

    folder: Path
    annotated: Path
    detached: Path
    other: Path
    source: Path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "deep" / "er").mkdir(parents=True)
    source = rich(folder / "source.nwb")
    annotated = Path(shutil.copyfile(source, folder / "annotated.nwb"))
    graft_into(annotated, from_classifier((7, 3, 9), created="2026-01-01T00:00:00+00:00"))
    graft_into(annotated, expert((9,), created="2026-01-02T00:00:00+00:00"))
    other = plain(folder / "deep" / "er" / "other.nwb")
    graft_into(other, expert((3, 7)))
    asset = SourceAsset(instance="dandi", dandiset="000409", version="0.260309.1324", path="sub-m1/sub-m1.nwb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nwb_celltype.nwb_io.detached.validator_messages", lambda _: [])
        detached = detach(annotated, folder / "elsewhere" / "labels.nwb", asset)
    return Recordings(folder, annotated, detached, other, source)


def test_columns_of_one_file(lab: Recordings) -> None:
    table = load_labels(lab.annotated)
    assert list(table.columns) == [*COLUMNS, *(f"p_{c}" for c in CEREBELLUM.labels), "p_OFF", "p_ON"]
    assert table["unit_id"].tolist() == [7, 3, 9, 9]
    assert table["cell_type"].tolist() == ["PkC_ss", "PkC_cs", "unclassified", "ON"]
    assert table["is_abstained"].tolist() == [False, False, True, False]
    assert table["reason"].tolist() == ["", "", "no_modality", ""]
    assert table["evidence"].tolist() == ["", "optotag", "optotag", ""]
    assert table["cell_id"].tolist() == ["cell 0", "cell 0", "cell 1", ""]
    assert table["is_published"].tolist() == [False, False, False, True]
    np.testing.assert_allclose(table["p_PkC_ss"], [0.9, 0.02, np.nan, np.nan], rtol=1e-6)
    assert table["p_ON"].isna().all()
    assert table["confidence"].isna().tolist() == [False, False, False, True]
    first = table.iloc[0]
    with h5py.File(lab.annotated) as file:
        object_id = file["units"].attrs["object_id"]
    facts = {
        "file": str(lab.annotated), "dandiset": "", "version": "", "path": "", "identifier": "rich", "session_id": "",
        "session_start_time": "2026-01-01T00:00:00+00:00", "subject_id": "m1", "species": "Mus musculus", "lab": "",
        "units_path": "/units", "units_object_id": object_id, "run": "m_1", "source_type": "classifier", "who": "m 1",
        "model": "m", "model_version": "1", "created": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    assert {name: first[name] for name in facts} == facts
    assert (table["who"].iloc[3], table["model"].iloc[3]) == ("Doe, Jane", "")


def test_rows_of_a_detached_file_are_about_its_source(lab: Recordings) -> None:
    inside, outside = load_labels(lab.annotated), load_labels(lab.detached)
    told_apart = ["file", "dandiset", "version", "path"]
    assert outside.drop(columns=told_apart).equals(inside.drop(columns=told_apart))
    first = outside.iloc[0]
    assert [first[name] for name in told_apart] == [
        str(lab.detached), "000409", "0.260309.1324", "sub-m1/sub-m1.nwb"
    ]  # fmt: skip


def test_a_run_that_is_given_twice_is_listed_once(lab: Recordings, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
        merged = join(lab.detached, lab.source, merge=True, out=tmp_path / "merged.nwb", check_data=False).file
    for sources in ([lab.annotated, lab.detached, merged], [lab.detached, merged, lab.annotated]):
        table = load_labels(sources)
        assert set(table["file"]) == {str(lab.detached)}
        assert table["unit_id"].tolist() == [7, 3, 9, 9]
    table = load_labels([merged, lab.annotated])
    assert set(table["file"]) == {str(merged)}
    assert len(table) == 4


def test_the_label_of_choice_is_chosen_over_all_files(lab: Recordings, tmp_path: Path) -> None:
    copy = Path(shutil.copyfile(lab.source, tmp_path / "tagged.nwb"))
    truth = expert((7, 3), method=Method("ground_truth", {"person": "Doe, Jane"}), run_name="tagged")
    graft_into(copy, truth)
    table = load_labels([lab.annotated, copy, lab.other])
    published = table[table["is_published"]]
    assert sorted(set(zip(published["identifier"], published["run"], strict=True))) == [
        ("plain", "expert_jane"), ("rich", "tagged"),
    ]  # fmt: skip
    only = load_labels([lab.annotated, copy, lab.other], published_only=True)
    assert len(only) == 4
    assert only["is_published"].all()


def test_runs_and_kinds_of_labels_are_chosen(lab: Recordings) -> None:
    both = [lab.annotated, lab.other]
    assert set(load_labels(both, runs=["m_1"])["run"]) == {"m_1"}
    assert load_labels(both, source_types=["expert"])["unit_id"].tolist() == [9, 3, 7]
    # what is left out still counts when the label of choice is chosen
    assert not load_labels(both, source_types=["classifier"])["is_published"].any()
    with pytest.raises(InputError, match=r"No annotation run is left .*m_1 \(classifier\)"):
        load_labels(both, source_types=["rule"])


def test_folders_and_patterns(lab: Recordings) -> None:
    everything = load_labels(lab.folder)
    assert set(everything["file"]) == {str(lab.detached), str(lab.other)}
    assert len(everything) == 6
    assert len(load_labels(f"{lab.folder}/deep/**/*.nwb")) == 2
    assert run_files(lab.folder) == [lab.annotated, lab.other, lab.detached]
    assert run_files(lab.source) == [lab.source]
    with pytest.raises(InputError, match=r"None of the 0 NWB files in .*nothing"):
        load_labels(f"{lab.folder}/nothing*.nwb")


def test_files_that_cannot_be_read_are_named(lab: Recordings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"source\.nwb holds no annotation runs"):
        load_labels([lab.annotated, lab.source])
    (tmp_path / "broken.nwb").write_text("no")
    with pytest.raises(InputError, match=r"broken\.nwb cannot be read as HDF5"):
        load_labels([lab.annotated, tmp_path])
    with pytest.raises(InputError, match=r"broken\.nwb is not an HDF5 file"):
        load_labels(tmp_path / "broken.nwb")
    with pytest.raises(InputError, match="does not exist"):
        load_labels(tmp_path / "absent.nwb")
    with pytest.raises(UsageError, match="No files"):
        load_labels([])
    with pytest.raises(UsageError, match="not 'polars'"):
        load_labels(lab.annotated, kind="polars")  # type: ignore[call-overload]


def test_as_a_dataset(lab: Recordings, tmp_path: Path) -> None:
    data = load_labels([lab.annotated, lab.other], kind="xarray")
    assert dict(data.sizes) == {"row": 6, "class": 8}
    assert data["probability"].dims == ("row", "class")
    assert data["probability"].sel({"class": "PkC_ss"}).values[0] == np.float32(0.9)
    assert data["class"].values.tolist() == [*CEREBELLUM.labels, "OFF", "ON"]
    assert {name: data[name].attrs["description"] for name in COLUMNS} == dict(COLUMNS)
    assert data["probability"].attrs["units"] == "1"
    data.to_netcdf(tmp_path / "labels.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "labels.nc", engine="h5netcdf") as stored:
        assert stored["cell_type"].values.tolist() == data["cell_type"].values.tolist()


def test_units_of_files_without_an_identifier_are_not_mixed(tmp_path: Path) -> None:
    for name in "ab":
        path = plain(tmp_path / f"{name}.nwb")
        graft_into(path, expert((3,), created="2026-01-01T00:00:00+00:00"))
        with h5py.File(path, "r+") as file:
            file["identifier"][()] = ""
            file["units"].attrs["object_id"] = file[CONTAINER_PATH]["expert_jane"].attrs["units_object_id"] = "same"
            file[CONTAINER_PATH]["expert_jane"].attrs["source_identifier"] = ""
    assert len(load_labels(tmp_path)) == 2


@pytest.fixture(scope="module")
def archive(lab: Recordings) -> Iterator[DandiDouble]:
    with DandiDouble() as double, pytest.MonkeyPatch.context() as patch:
        for name, value in double.env.items():
            patch.setenv(name, value)
        yield double


ASSET = {"schemaKey": "Asset", "encodingFormat": "application/x-nwb"}


def test_a_whole_dandiset(lab: Recordings, archive: DandiDouble) -> None:
    files = {DETACHED: lab.detached, "sub-m2/sub-m2.nwb": lab.other, "sub-m3/sub-m3.nwb": lab.source}
    said = dict(zip(files, [ASSET | {"keywords": ["cell type labels"]}] * 2 + [ASSET], strict=True))
    name = archive.add_dandiset(name="Labels", files=files, asset_metadata=said)
    table = load_labels(f"DANDI:{name}")
    assert len(table) == 6
    assert set(table["dandiset"]) == {"000409", name}  # a detached file's units are in the dandiset that it names
    own = table[table["dandiset"] == name]
    assert set(zip(own["version"], own["path"], strict=True)) == {("draft", "sub-m2/sub-m2.nwb")}
    local = load_labels([lab.detached, lab.other]).drop(columns=["file", "dandiset", "version", "path"])
    assert table.drop(columns=["file", "dandiset", "version", "path"]).equals(local)
    assert [run.name for run in read_runs(table["file"].iloc[-1])] == ["expert_jane"]
    assert len(load_labels(f"{archive.url}/dandiset/{name}/draft")) == 6


def test_a_dandiset_without_keywords(lab: Recordings, archive: DandiDouble) -> None:
    files = {DETACHED: lab.detached, "sub-m2/sub-m2.nwb": lab.other}
    name = archive.add_dandiset(name="Labels by hand", files=files, asset_metadata=dict.fromkeys(files, ASSET))
    assert [str(file).rpartition("/sub-")[2] for file in run_files(f"DANDI:{name}@draft")] == [
        "m1_desc-celltype_ecephys.nwb"
    ]
    path = "sub-m2/sub-m2.nwb"
    bare = archive.add_dandiset(name="None", files={path: lab.source}, asset_metadata={path: ASSET})
    with pytest.raises(InputError, match=f"None of the 1 NWB files in DANDI:{bare} carries cell type labels"):
        load_labels(f"DANDI:{bare}")


def test_a_file_behind_a_url(lab: Recordings) -> None:
    with RangeServer(lab.folder) as server:
        table = load_labels([server.url("elsewhere/labels.nwb"), lab.other])
        assert len(table) == 6
        n_requests = server.n_requests
        assert n_requests <= 3
        with pytest.raises(InputError, match=r"source\.nwb holds no annotation runs"):
            load_labels(server.url("source.nwb"))


def test_many_files_are_read_once_each(lab: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(20):
        path = Path(shutil.copyfile(lab.other, tmp_path / f"{k:02}.nwb"))
        with h5py.File(path, "r+") as file:
            file["identifier"][()] = f"s{k}"
    opened: list[str] = []
    original = h5py.File.__init__

    def count(self: h5py.File, name: Any, *args: Any, **options: Any) -> None:
        opened.append(str(name))
        original(self, name, *args, **options)

    monkeypatch.setattr(h5py.File, "__init__", count)
    table = load_labels([tmp_path / f"{k:02}.nwb" for k in range(20)])
    assert sorted(set(table["identifier"])) == sorted(f"s{k}" for k in range(20))
    assert len([name for name in opened if name.endswith(".nwb")]) == 20


def test_columns_of_classes_are_those_of_the_runs_listed(lab: Recordings) -> None:
    table = load_labels([lab.other, lab.annotated], runs=["expert_jane"])
    assert [name for name in table.columns if name.startswith("p_")] == ["p_OFF", "p_ON"]
