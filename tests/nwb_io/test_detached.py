"""Labels in a file of their own: everybody can read it, an archive takes it, and it says where the units are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_celltype import check
from nwb_celltype.annotation import Annotation
from nwb_celltype.errors import InputError, RefusedError, UsageError
from nwb_celltype.nwb_io import detach, read_session_copy, write_detached
from nwb_celltype.nwb_io.safe_write import NEW_FILE_PHASES
from nwb_celltype.nwb_io.session_copies import SessionCopy
from nwb_celltype.nwb_io.validation import same_answers
from nwb_celltype.provenance import SourceAsset, is_detached, read_source
from nwb_celltype.runs import CONTAINER_PATH, Method, published_run, read_runs

from ..archive.range_server import RangeServer
from .annotations import from_classifier, graft_into
from .files import IDS, SECOND_UNITS, plain, rich

ASSET = SourceAsset(
    instance="dandi",
    dandiset="000409",
    version="0.260309.1324",
    path="sub-m1/sub-m1_ecephys.nwb",
    sha256="ab" * 32,
    size=4_000_000_000_000,
    doi="10.48324/dandi.000409/0.260309.1324",
    title="Brain-wide map",
    citation="Müller, Ö. (2026)",
)
SESSION = SessionCopy(
    session_description="a mouse ran",
    identifier="s1",
    session_start_time="2026-01-01T00:00:00+00:00",
    session_id="e1",
    experimenters=("Doe, Jane", "Roe, R"),
    lab="Ours",
    institution="There",
    subject_id="m1",
    species="Mus musculus",
    sex="F",
    age="P60D",
    age_reference="birth",
    date_of_birth="2025-11-01T00:00:00+00:00",
    genotype="wt",
    strain="C57BL/6J",
    description="a mouse",
    weight="0.02 kg",
    related_publications=("doi:10.1000/1",),
    keywords=("cerebellum",),
)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out pynwb's validator where it is not what is tested."""
    monkeypatch.setattr("nwb_celltype.nwb_io.detached.validator_messages", lambda _: [])


def expert(unit_ids: tuple[int, ...] = IDS, **changes: Any) -> Annotation:
    """Labels without probabilities or evidence."""
    none: dict[str, Any] = {"probability": None, "confidence": None, "ood_score": None, "evidence": None}
    changes = {"method": Method("expert", {"person": "Doe, Jane"}), "run_name": "expert_jane", **none, **changes}
    return from_classifier(unit_ids, **changes)


def test_an_archive_takes_it(tmp_path: Path) -> None:
    from dandi.files import dandi_file
    from dandi.metadata.nwb import get_metadata
    from dandi.validate import Severity
    from nwbinspector import Importance, inspect_nwbfile, load_config

    (tmp_path / "dandiset.yaml").write_text("identifier: '000123'\n")
    classified, phases = from_classifier(IDS), []
    path = write_detached(
        tmp_path / "sub-m1" / "sub-m1_desc-celltype_ecephys.nwb",
        [classified, expert(supersedes="m_1")],
        SESSION,
        ASSET,
        on_phase=phases.append,
    )
    assert tuple(phases) == NEW_FILE_PHASES
    with h5py.File(path) as file:
        assert "units" not in file
        assert set(file["specifications"]) == {"core", "hdmf-common", "hdmf-experimental", "ndx-cell-type"}
        assert file["general/was_generated_by"][0, 0] == b"nwb-celltype"
        copy = read_session_copy(file, path.name)
    assert copy.related_publications == ("doi:10.1000/1", "doi:10.48324/dandi.000409/0.260309.1324")
    assert copy.keywords == (
        "cerebellum", "cell type labels", "detached labels", "label source: classifier", "label source: expert",
        "cell type: PkC_cs", "cell type: PkC_ss",
    )  # fmt: skip
    same = {"identifier", "related_publications", "keywords"}
    assert {k: v for k, v in vars(copy).items() if k not in same} == {
        k: v for k, v in vars(SESSION).items() if k not in same
    }
    assert read_source(path) == replace(ASSET, identifier="s1")
    for run, annotation in zip(read_runs(path), (classified, expert()), strict=True):
        assert same_answers(run, annotation)
        assert (run.units_path, run.source_identifier, run.input_sha256) == ("", "s1", "ab" * 32)
    assert check(path) == []

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrong = [e for e in dandi_file(path, tmp_path).get_validation_errors() if e.severity >= Severity.ERROR]
        said = list(inspect_nwbfile(nwbfile_path=path, config=load_config("dandi")))
        metadata = get_metadata(path)
    assert wrong == []
    assert [m for m in said if m.importance.value > Importance.BEST_PRACTICE_SUGGESTION.value] == []
    assert (metadata["species"], metadata["subject_id"], metadata["session_id"]) == ("Mus musculus", "m1", "e1")


def test_runs_of_a_file_are_detached(any_file: Path, tmp_path: Path) -> None:
    """Old schemas, no subject, no object ids: the new file is valid whatever the source is."""
    annotation = graft_into(any_file)
    path = detach(any_file, tmp_path / "labels.nwb", SourceAsset(path="session.nwb"))
    (inside,), (run,) = read_runs(any_file), read_runs(path)
    assert same_answers(run, annotation)
    with h5py.File(any_file) as file:
        identifier = file["identifier"].asstr()[()]
        object_id = file[inside.units_path].attrs.get("object_id", "")
    source = read_source(path)
    assert source == SourceAsset(
        path="session.nwb", identifier=identifier, units_path=inside.units_path, units_object_id=object_id
    )
    assert (run.source_identifier, run.units_object_id, run.units_path) == (identifier, object_id, "")
    assert (run.created, run.method, run.verdict) == (inside.created, inside.method, inside.verdict)
    assert run.confidence_threshold == inside.confidence_threshold
    with h5py.File(any_file) as old, h5py.File(path) as new:
        facts = [replace(read_session_copy(f, "f"), identifier="", keywords=()) for f in (old, new)]
        table = [f[CONTAINER_PATH][run.name].get("classes")["definition"][()].tolist() for f in (old, new)]
    assert facts[0] == facts[1]
    assert table[0] == table[1]


@pytest.mark.usefixtures("unchecked")
def test_a_licence_that_forbids_publishing_comes_along(tmp_path: Path) -> None:
    """Whatever the archive says of the dandiset: the labels are made of these data."""
    words = "From the C4 database, licence CC BY-NC-SA 4.0: not for commercial use."
    source = plain(tmp_path / "session.nwb")
    graft_into(source)
    with h5py.File(source, "r+") as file:
        file["general"].create_dataset("notes", data=words)
    path = detach(source, tmp_path / "labels.nwb", replace(ASSET, licence="spdx:CC-BY-4.0"))
    stated = read_source(path)
    assert stated is not None
    assert stated.licence == words


READ = """
import importlib.util, json, sys, warnings
site, path = sys.argv[1:]
sys.path.insert(0, site)
if importlib.util.find_spec("ndx_cell_type") is not None:
    sys.exit("the package is there after all")
from pynwb import NWBHDF5IO
warnings.simplefilter("ignore")
with NWBHDF5IO(path, "r") as io:
    nwb = io.read()
    run = nwb.processing["ecephys"]["cell_type_annotations"].cell_type_annotation_tables["m_1"]
    source = nwb.scratch["cell_type_annotation_source"]
    print(json.dumps([list(run["cell_type"][:]), [int(i) for i in run["unit_id"][:]], nwb.units is None,
                      source["dandiset"][0], nwb.subject.species]))
"""


@pytest.mark.usefixtures("unchecked")
def test_opens_where_the_extension_is_not_installed(tmp_path: Path) -> None:
    path = write_detached(tmp_path / "labels.nwb", [from_classifier(IDS)], SESSION, ASSET)
    site = tmp_path / "site"
    site.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "ndx_cell_type" not in entry.name and entry.suffix != ".pth":
            (site / entry.name).symlink_to(entry)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", READ, str(site), str(path)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["PkC_ss", "PkC_cs", "unclassified"], [7, 3, 9], True, "000409", "Mus musculus"]


@pytest.mark.usefixtures("unchecked")
def test_identifier_says_what_was_annotated_by_what(tmp_path: Path) -> None:
    def identifier(annotation: Annotation, source: SourceAsset = ASSET) -> str:
        path = write_detached(tmp_path / "labels.nwb", [annotation], SESSION, source, replaces=True)
        with h5py.File(path) as file:
            return str(file["identifier"].asstr()[()])

    one = from_classifier(IDS)
    first = identifier(one)
    assert first == identifier(replace(one, created="2027-01-01T00:00:00+00:00"))
    other_model = Method("classifier", {**one.method.fields, "weights_sha256": "1" * 64})
    others = [
        identifier(replace(one, input_sha256="cd" * 32)),
        identifier(replace(one, method=other_model)),
        identifier(one, replace(ASSET, identifier="s2")),
        identifier(expert()),
        identifier(expert(cell_type=np.array(["MLI", "GoC", "unclassified"]))),
    ]
    assert len({first, *others}) == 6


@pytest.mark.usefixtures("unchecked")
def test_times_stay_as_the_source_states_them(tmp_path: Path) -> None:
    session = replace(SESSION, session_start_time="2017-02-28T10:00:00.000", date_of_birth="2016-12-01")
    path = write_detached(tmp_path / "labels.nwb", [expert()], session, ASSET)
    with h5py.File(path) as file:
        copy = read_session_copy(file, "f")
        assert file["timestamps_reference_time"].asstr()[()] == "2017-02-28T10:00:00.000"
    assert (copy.session_start_time, copy.date_of_birth) == ("2017-02-28T10:00:00.000", "2016-12-01")


@pytest.mark.usefixtures("unchecked")
def test_nothing_is_invented(tmp_path: Path) -> None:
    least = SessionCopy("d", "s1", "2026-01-01T00:00:00+00:00")
    path = write_detached(tmp_path / "labels.nwb", [expert()], least, SourceAsset())
    with h5py.File(path) as file:
        assert "general/subject" not in file
        assert set(file["general"]) == {"keywords", "notes", "source_script", "was_generated_by"}
    assert read_source(path) == SourceAsset(identifier="s1")


@pytest.mark.usefixtures("unchecked")
def test_runs_of_one_name_and_chosen_runs(tmp_path: Path) -> None:
    path = tmp_path / "session.nwb"
    plain(path)
    graft_into(path)
    graft_into(path, expert())
    graft_into(path)
    both = detach(path, tmp_path / "both.nwb", SourceAsset())
    assert [run.name for run in read_runs(both)] == ["m_1", "expert_jane", "m_1_2"]
    with h5py.File(both) as file:
        tables = [n for n, g in file[CONTAINER_PATH].items() if g.attrs["neurodata_type"] == "CellTypeClassTable"]
    assert tables == ["cerebellar_cortex_classes"]
    one = detach(path, tmp_path / "one.nwb", SourceAsset(), runs=["expert_jane"])
    chosen = published_run(read_runs(one))
    assert chosen is not None
    assert chosen.name == "expert_jane"
    named = write_detached(tmp_path / "named.nwb", [expert(), expert()], SESSION, ASSET)
    assert [run.name for run in read_runs(named)] == ["expert_jane", "expert_jane_2"]
    with pytest.raises(UsageError, match="has no run 'expert_joe'; it has m_1, expert_jane"):
        detach(path, tmp_path / "none.nwb", SourceAsset(), runs=["expert_joe"])
    with pytest.raises(InputError, match="holds detached labels already"):
        detach(both, tmp_path / "again.nwb", SourceAsset())


@pytest.mark.usefixtures("unchecked")
def test_runs_of_two_units_tables_are_not_mixed(tmp_path: Path) -> None:
    path = rich(tmp_path / "session.nwb")
    graft_into(path)
    with h5py.File(path, "r+") as file:
        file.copy(f"{CONTAINER_PATH}/m_1", f"{CONTAINER_PATH}/second")
        for name, target in {"unit": SECOND_UNITS, "evidence": f"{CONTAINER_PATH}/m_1_evidence"}.items():
            file[f"{CONTAINER_PATH}/second/{name}"].attrs["table"] = file[target].ref
    with pytest.raises(UsageError, match=r"about 2 units tables .*second_units.*choose some by name"):
        detach(path, tmp_path / "labels.nwb", SourceAsset())
    detach(path, tmp_path / "labels.nwb", SourceAsset(), runs=["second"])
    source = read_source(tmp_path / "labels.nwb")
    assert source is not None
    assert source.units_path == SECOND_UNITS


def test_of_a_remote_file_only_the_runs_are_read(tmp_path: Path, unchecked: None) -> None:
    served = tmp_path / "served"
    served.mkdir()
    path = plain(served / "session.nwb", megabytes=4)
    annotation = graft_into(path)
    with RangeServer(served) as server:
        url = server.url("session.nwb")
        out = detach(url, tmp_path / "labels.nwb", SourceAsset(url=url))
        assert server.n_bytes < path.stat().st_size / 2
        (run,) = read_runs(url)
    assert same_answers(run, annotation)
    assert same_answers(read_runs(out)[0], annotation)
    source = read_source(out)
    assert source is not None
    assert (source.address, source.identifier) == (url, "plain")
    assert is_detached(out)
    assert not is_detached(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"session_start_time": ""}, r"states no session_start_time, which every NWB file must"),
        ({"identifier": "", "session_start_time": ""}, r"states no identifier, session_start_time"),
        ({"session_start_time": "last May"}, r"session_start_time of DANDI:000409@.* is 'last May'"),
        ({"date_of_birth": "?"}, r"subject's date_of_birth of DANDI:000409@.* is '\?'"),
    ],
)
def test_sessions_that_cannot_be_written(tmp_path: Path, changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        write_detached(tmp_path / "labels.nwb", [expert()], replace(SESSION, **changes), ASSET)
    assert list(tmp_path.iterdir()) == []


def remove_runs(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file[CONTAINER_PATH]


def spoil_classes(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        table = file[f"{CONTAINER_PATH}/cerebellar_cortex_classes"]
        table["definition"].resize((2,))


@pytest.mark.parametrize(
    ("change", "sentence"), [(remove_runs, "holds no annotation runs"), (spoil_classes, "classes of run 'm_1'")]
)
def test_files_that_cannot_be_detached(tmp_path: Path, change: Callable[[Path], None], sentence: str) -> None:
    path = plain(tmp_path / "session.nwb")
    graft_into(path)
    change(path)
    with pytest.raises(InputError, match=sentence):
        detach(path, tmp_path / "labels.nwb", SourceAsset())


def test_an_existing_file_and_a_failed_check_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "labels.nwb"
    target.write_text("precious")
    with pytest.raises(RefusedError, match="exists; it was left alone"):
        write_detached(target, [expert()], SESSION, ASSET)
    monkeypatch.setattr("nwb_celltype.nwb_io.detached.validator_messages", lambda _: ["something is missing"])
    with pytest.raises(InputError, match="would not be a valid NWB file; it was not written:\n  something is missing"):
        write_detached(target, [expert()], SESSION, ASSET, replaces=True)
    with pytest.raises(UsageError, match="No annotations"):
        write_detached(target, [], SESSION, ASSET)
    assert target.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["labels.nwb"]
    shutil.rmtree(tmp_path)
