"""Labels without their units teach and measure as well as labels beside them, from this machine and from an archive."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject

from nwb_celltype import evaluate, train
from nwb_celltype.annotation import Annotation, now
from nwb_celltype.classifier import Model
from nwb_celltype.errors import InputError, RefusedError, UsageError
from nwb_celltype.labels import LabelledUnits, read_labelled
from nwb_celltype.nwb_io import read_session_copy, write_detached
from nwb_celltype.nwb_io.graft import Place, graft
from nwb_celltype.provenance import SourceAsset
from nwb_celltype.runs import Method
from nwb_celltype.taxonomy import free_taxonomy
from nwb_celltype.training.pool import read_sources
from nwb_celltype.units import read_units

from ..archive.range_server import RangeServer
from ..archive_double import DandiDouble
from .synthetic import CLASSES, RATE_HZ, make_spikes, make_waveform

SOURCE_PATH, LABELS_PATH = "sub-m1/sub-m1_ecephys.nwb", "sub-m1/sub-m1_desc-celltype_ecephys.nwb"
SOURCE_ID, VERSION = "000777", "0.260101.1200"
KINDS = CLASSES * 6
ASSET = {"schemaKey": "Asset", "encodingFormat": "application/x-nwb"}


def recording(path: Path) -> Path:
    """Units of three kinds with waveforms and spikes, some of them nobody's."""
    rng = np.random.default_rng(5)
    nwb = NWBFile(session_description="d", identifier="s1", session_start_time=datetime(2026, 1, 1, tzinfo=UTC))
    nwb.subject = Subject(subject_id="m1", species="Mus musculus", age="P60D", sex="F")
    for k, kind in enumerate([*KINDS, "fast", "slow"]):
        nwb.add_unit(id=100 + k, spike_times=make_spikes(kind, rng), waveform_mean=make_waveform(kind, rng))
    nwb.units.waveform_rate = RATE_HZ
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def labels_of(path: Path, source_type: str = "expert", **changes: object) -> Annotation:
    n = len(KINDS)
    with read_units(path) as units:
        ids = units.unit_ids[:n]
        digest = units.select(ids.tolist()).sha256()
    empty = np.full(n, "", dtype=str)
    annotation = Annotation(
        unit_ids=ids,
        cell_type=np.array(KINDS),
        is_abstained=np.zeros(n, bool),
        reason=empty,
        reason_detail=empty,
        taxonomy=free_taxonomy(CLASSES),
        method=Method(source_type, {"software": "made-up", "person": "Doe, Jane"}),
        description="made up",
        run_name=f"{source_type}_1",
        input_sha256=digest,
        created=now(),
    )
    return replace(annotation, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Files:
    """The recording, the same with labels inside, and the labels alone."""

    source: Path
    annotated: Path
    detached: Path


@pytest.fixture(scope="module")
def archive() -> Iterator[DandiDouble]:
    with DandiDouble() as double, pytest.MonkeyPatch.context() as patch:
        for name, value in double.env.items():
            patch.setenv(name, value)
        patch.setattr("nwb_celltype.nwb_io.detached.validator_messages", lambda _: [])
        yield double


@pytest.fixture(scope="module")
def files(archive: DandiDouble, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("recordings")
    source = recording(folder / "source.nwb")
    archive.add_dandiset(name="Units", files={SOURCE_PATH: source}, identifier=SOURCE_ID, published=VERSION)
    annotated = Path(shutil.copyfile(source, folder / "annotated.nwb"))
    with read_units(source) as units:
        session = units.session
        place = Place("expert_1", "/units", session.units_object_id, session.identifier, np.array(units.unit_ids))
    graft(annotated, labels_of(source), place)
    asset = SourceAsset(
        instance=archive.url, dandiset=SOURCE_ID, version=VERSION, path=SOURCE_PATH, units_path="/units",
        units_object_id=session.units_object_id,
    )  # fmt: skip
    with h5py.File(source) as file:
        copy = read_session_copy(file, "source.nwb")
    detached = write_detached(folder / "alone" / "labels.nwb", [labels_of(source)], copy, asset)
    return Files(source, annotated, detached)


@pytest.fixture(scope="module")
def labelled_dandiset(archive: DandiDouble, files: Files) -> str:
    """A dandiset with labels, predictions and a file without either."""
    held = {LABELS_PATH: files.detached, "sub-m2/sub-m2.nwb": files.source}
    said = {LABELS_PATH: ASSET | {"keywords": ["cell type labels"]}, "sub-m2/sub-m2.nwb": ASSET}
    return archive.add_dandiset(name="Labels", files=held, asset_metadata=said)


def same(one: LabelledUnits, other: LabelledUnits) -> bool:
    """Whether two teach the same: rows with a label, in their order."""
    one, other = one.take(one.is_labelled), other.take(other.is_labelled)
    columns = ("cell_type", "unit_ids", "row_sha256", "groups", "sampling_rate_hz")
    equal = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in columns)
    return equal and (one.lab, one.species) == (other.lab, other.species) and len(one) == len(KINDS)


def test_units_come_from_the_archive(files: Files, archive: DandiDouble) -> None:
    archive.log.clear()
    labelled = read_labelled(files.detached)
    assert same(labelled, read_labelled(files.annotated))
    assert labelled.source == str(files.detached)
    assert len(labelled) == len(KINDS)  # what the run does not name is left out
    assert archive.requests("s3", "GET")


def test_a_file_beside_it_comes_first(files: Files, archive: DandiDouble, tmp_path: Path) -> None:
    labels = Path(shutil.copyfile(files.detached, tmp_path / "labels.nwb"))
    shutil.copyfile(files.source, tmp_path / "any name.nwb")
    archive.log.clear()
    assert same(read_labelled(labels), read_labelled(files.annotated))
    assert archive.log == []


def test_another_file_beside_it_is_refused(files: Files, tmp_path: Path) -> None:
    labels = Path(shutil.copyfile(files.detached, tmp_path / "labels.nwb"))
    other = Path(shutil.copyfile(files.source, tmp_path / "source.nwb"))
    with h5py.File(other, "r+") as file:
        file["units/spike_times"][0] += 1e-6
    with pytest.raises(RefusedError, match=r"do not belong to .*source\.nwb: the spikes or waveforms"):
        read_labelled(labels)


def test_units_that_are_nowhere(files: Files, tmp_path: Path, archive: DandiDouble) -> None:
    with h5py.File(files.source) as file:
        copy = read_session_copy(file, "source.nwb")
    labels = write_detached(tmp_path / "labels.nwb", [labels_of(files.source)], copy, SourceAsset(path="here.nwb"))
    with pytest.raises(InputError, match=r"identifier 's1'. That is not in the same folder, and no address is stated"):
        read_labelled(labels)
    shutil.copyfile(files.source, tmp_path / "source.nwb")
    assert same(read_labelled(labels), read_labelled(files.annotated))


def test_a_table_of_labels_for_detached_units(files: Files, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("unit_id,cell_type\n118,fast\n")
    labelled = read_labelled(files.detached, labels=table)
    assert labelled.cell_type[labelled.unit_ids == 118].tolist() == ["fast"]
    assert int(labelled.is_labelled.sum()) == 1


def test_by_address(files: Files, archive: DandiDouble, labelled_dandiset: str) -> None:
    expected = read_labelled(files.annotated)
    assert same(read_labelled(f"DANDI:{labelled_dandiset}/{LABELS_PATH}"), expected)
    with RangeServer(files.source.parent) as server:
        assert same(read_labelled(server.url("annotated.nwb")), expected)
        with pytest.raises(UsageError, match="only NWB files are read from afar"):
            read_labelled(server.url("units.npz"))
    with pytest.raises(UsageError, match="has no run 'me'; it has expert_1"):
        read_labelled(f"DANDI:{labelled_dandiset}/{LABELS_PATH}", run="me")


def test_train_and_evaluate_take_a_dandiset(
    files: Files, archive: DandiDouble, labelled_dandiset: str, model: Model, tmp_path: Path
) -> None:
    address = f"DANDI:{labelled_dandiset}"
    ours, theirs = evaluate(model, files.annotated).to_json(), evaluate(model, address).to_json()
    unlabelled = {"n_left_out", "left_out"}  # units that nobody labelled are not read from afar
    assert {k: v for k, v in ours.items() if k not in unlabelled} == {
        k: v for k, v in theirs.items() if k not in unlabelled
    }
    assert ours["n"] == len(KINDS)
    small = {"name": "small", "members": 1, "epochs": 2, "labels_are": "expert"}
    local = train([files.annotated], out=tmp_path / "local", **small)  # type: ignore[arg-type]
    remote = train(address, out=tmp_path / "remote", **small)  # type: ignore[arg-type]
    assert local.weights_sha256 == remote.weights_sha256
    (data,) = remote.card["training_data"]
    archive.settle()
    assert data["name"] == Path(LABELS_PATH).name
    assert data["n_used"] == dict.fromkeys(sorted(CLASSES), 6)


def test_predictions_in_a_folder_are_left_out(
    files: Files, archive: DandiDouble, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with h5py.File(files.source) as file:
        copy = read_session_copy(file, "source.nwb")
    method = Method("classifier", {"software": "made-up", "model_name": "m"})
    probability = np.eye(3, dtype=np.float32)[[sorted(CLASSES).index(kind) for kind in KINDS]]
    guessed = labels_of(files.source, "classifier", method=method, probability=probability)
    write_detached(tmp_path / "guessed.nwb", [guessed], copy, SourceAsset())
    shutil.copyfile(files.source, tmp_path / "source.nwb")
    with pytest.raises(RefusedError, match=r"guessed\.nwb holds no labels but those that a classifier predicted"):
        read_sources(tmp_path)
    shutil.copyfile(files.annotated, tmp_path / "annotated.nwb")
    ((path, labelled),) = read_sources([tmp_path])
    assert path == tmp_path / "annotated.nwb"
    assert int(labelled.is_labelled.sum()) == len(KINDS)
    assert "1 files left out, the first: " in caplog.text
    ((_, named),) = read_sources(tmp_path / "guessed.nwb", run="classifier_1")
    assert same(named, labelled)
    ((nowhere, again),) = read_sources(labelled)
    assert nowhere == ""
    assert again is labelled
