"""Labels go to the units that they were made from, and to no others; nothing that is there changes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_celltype import check, join
from nwb_celltype.annotation import Annotation
from nwb_celltype.errors import InputError, RefusedError, UsageError
from nwb_celltype.nwb_io import detach
from nwb_celltype.nwb_io.validation import same_answers
from nwb_celltype.provenance import SourceAsset
from nwb_celltype.runs import CONTAINER_PATH, read_runs
from nwb_celltype.units import read_units

from ..archive.range_server import RangeServer
from .annotations import from_classifier, graft_into
from .compare import added, describe, differences
from .files import IDS, plain


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out pynwb's validator where it is not what is tested."""
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
    monkeypatch.setattr("nwb_celltype.nwb_io.detached.validator_messages", lambda _: [])


def annotated(path: Path, **changes: object) -> Annotation:
    """Put a run into a file as if its units had been annotated."""
    with read_units(path) as units:
        ids = units.unit_ids[::-1].tolist()
        digest = units.select(ids).sha256()
    return graft_into(path, from_classifier(ids, input_sha256=digest, **changes))


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """The recording as its owner has it."""
    (tmp_path / "ours").mkdir()
    return plain(tmp_path / "ours" / "session.nwb")


@pytest.fixture
def labels(tmp_path: Path, session: Path, unchecked: None) -> Path:
    """Somebody's labels of it, two runs, the second in place of the first."""
    there = tmp_path / "theirs"
    there.mkdir()
    copy = Path(shutil.copyfile(session, there / "copy.nwb"))
    annotated(copy)
    annotated(copy, run_name="m_2", supersedes="m_1")
    return detach(copy, there / "labels.nwb", SourceAsset(path="session.nwb"))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_beside(labels: Path, session: Path) -> None:
    before = sha256(session)
    joined = join(labels, session)
    assert joined.file == session.with_name("labels.nwb")
    assert (joined.runs, joined.is_new, joined.is_merged) == (("m_1", "m_2"), True, False)
    assert sha256(joined.file) == sha256(labels)
    assert sha256(session) == before
    assert not join(labels, session).is_new
    assert not join(joined.file, session).is_new
    assert sorted(path.name for path in session.parent.iterdir()) == ["labels.nwb", "session.nwb"]


def test_beside_under_another_name_or_in_a_folder(labels: Path, session: Path, tmp_path: Path) -> None:
    assert join(labels, session, out=tmp_path / "new" / "a.nwb").file.is_file()
    assert join(labels, session, out=tmp_path).file == tmp_path / "labels.nwb"


def test_another_file_in_the_way_is_left_alone(labels: Path, session: Path) -> None:
    other = session.with_name("labels.nwb")
    other.write_text("precious")
    with pytest.raises(RefusedError, match=r"labels\.nwb is another file; it was left alone"):
        join(labels, session)
    with pytest.raises(RefusedError, match="do not belong"):  # it must be a copy of the session to gain runs
        join(labels, session, merge=True, out=plain(session.with_name("other.nwb"), ids=(1, 2)))
    assert other.read_text() == "precious"


def test_merged_into_a_copy(any_file: Path, tmp_path: Path, unchecked: None) -> None:
    """Nothing of the source changes, whatever the source is."""
    source = Path(shutil.copyfile(any_file, any_file.with_name("source.nwb")))
    annotation = annotated(any_file)
    out = detach(any_file, tmp_path / "labels.nwb", SourceAsset())
    before, bytes_before = describe(source), sha256(source)
    joined = join(out, source, merge=True)
    assert joined.file == source.with_name("source_celltype.nwb")
    assert (joined.runs, joined.is_new, joined.is_merged) == (("m_1",), True, True)
    assert sha256(source) == bytes_before
    after = describe(joined.file)
    assert differences(before, after) == []
    assert added(before, after) == added(before, describe(any_file))
    (run,) = read_runs(joined.file)
    assert same_answers(run, annotation)
    assert run.units_path == "/units"
    with read_units(joined.file) as units:
        assert units.select(run.unit_ids.tolist()).sha256() == run.input_sha256
    with h5py.File(joined.file) as file:
        rows = file[f"{CONTAINER_PATH}/m_1/unit"][()]
        assert file["units/id"][()][rows].tolist() == run.unit_ids.tolist()


def test_the_validator_is_content(session: Path, tmp_path: Path) -> None:
    annotated(Path(shutil.copyfile(session, tmp_path / "copy.nwb")))
    labels = detach(tmp_path / "copy.nwb", tmp_path / "labels.nwb", SourceAsset())
    assert check(join(labels, session, merge=True).file) == []


def test_merging_again_adds_nothing(labels: Path, session: Path) -> None:
    first = join(labels, session, merge=True)
    bytes_before = sha256(first.file)
    again = join(labels, session, merge=True)
    assert (again.file, again.runs, again.is_new) == (first.file, ("m_1", "m_2"), False)
    assert sha256(first.file) == bytes_before
    runs = read_runs(first.file)
    assert [run.name for run in runs] == ["m_1", "m_2"]
    with h5py.File(first.file) as file:
        kinds = [g.attrs["neurodata_type"] for g in file[CONTAINER_PATH].values()]
        assert file[f"{CONTAINER_PATH}/m_1/classes"] == file[f"{CONTAINER_PATH}/m_2/classes"]
    assert kinds.count("CellTypeClassTable") == 1


def test_another_run_of_that_name_is_no_hindrance(labels: Path, session: Path) -> None:
    annotated(session, run_name="m_1", confidence_threshold=0.9)
    joined = join(labels, session, merge=True)
    assert joined.runs == ("m_1_2", "m_2")
    runs = {run.name: run for run in read_runs(joined.file)}
    assert set(runs) == {"m_1", "m_1_2", "m_2"}
    assert runs["m_2"].supersedes == "m_1_2"
    assert join(labels, session, merge=True).runs == ("m_1_2", "m_2")


def test_a_copy_gains_what_it_lacks(labels: Path, session: Path, tmp_path: Path) -> None:
    first = detach(labels.with_name("copy.nwb"), tmp_path / "one.nwb", SourceAsset(), runs=["m_1"])
    target = join(first, session, merge=True, out=tmp_path / "merged.nwb").file
    before = describe(target)
    assert join(labels, session, merge=True, out=target).is_new
    assert differences(before, describe(target)) == []
    assert [run.name for run in read_runs(target)] == ["m_1", "m_2"]


def test_a_source_that_has_them_is_enough(labels: Path) -> None:
    copy = labels.with_name("copy.nwb")
    joined = join(labels, copy, merge=True)
    assert (joined.file, joined.is_new, joined.runs) == (copy, False, ("m_1", "m_2"))
    asked = join(labels, copy, merge=True, out=copy.with_name("asked.nwb"))
    assert asked.is_new
    assert describe(asked.file).keys() == describe(copy).keys()


def rename(file: h5py.File) -> None:
    file["identifier"][()] = "somebody else"


def another_table(file: h5py.File) -> None:
    file["units"].attrs["object_id"] = "00000000-0000-4000-8000-000000000000"


def fewer_units(file: h5py.File) -> None:
    file["units/id"][0] = 70


def moved_spike(file: h5py.File) -> None:
    file["units/spike_times"][3] += 1e-6


def no_table(file: h5py.File) -> None:
    del file["units"]


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ([rename], ["its identifier is 'somebody else', and the labels are of 'plain'"]),
        ([another_table], ["its units table has the object id 00000000-0000-4000-8000-000000000000"]),
        ([fewer_units], [r"it lacks 1 of the 3 units of run 'm_1' (7)", "of run 'm_2' (7)"]),
        ([moved_spike], ["the spikes or waveforms of its units are not those that run 'm_1' was made from"]),
        ([no_table, rename], ["its identifier is 'somebody else'", "/units"]),
        ([rename, another_table, fewer_units], ["identifier", "object id", "it lacks 1 of the 3"]),
        ([rename, moved_spike], ["identifier", "run 'm_1' was made from", "run 'm_2' was made from"]),
    ],
)
@pytest.mark.parametrize("merge", [False, True])
def test_what_does_not_belong_together(
    labels: Path, session: Path, changes: list[Callable[[h5py.File], None]], sentences: list[str], merge: bool
) -> None:
    with h5py.File(session, "r+") as file:
        for change in changes:
            change(file)
    before = sha256(session)
    with pytest.raises(RefusedError, match=r"The labels do not belong to .*session\.nwb") as caught:
        join(labels, session, merge=merge)
    assert [s for s in sentences if s not in str(caught.value)] == []
    assert sha256(session) == before
    assert [path.name for path in session.parent.iterdir()] == ["session.nwb"]


def test_data_are_compared_unless_told_otherwise(labels: Path, session: Path) -> None:
    with h5py.File(session, "r+") as file:
        moved_spike(file)
    assert join(labels, session, check_data=False).is_new


def test_an_address_is_checked_and_the_labels_put_where_told(labels: Path, session: Path, tmp_path: Path) -> None:
    with RangeServer(session.parent) as server:
        url = server.url("session.nwb")
        assert join(labels, url, out=tmp_path / "here.nwb").file == tmp_path / "here.nwb"
        for merge, out in ((True, tmp_path / "m.nwb"), (False, None)):
            with pytest.raises(UsageError, match=r"is an address; fetch the file first"):
                join(labels, url, merge=merge, out=out)
        with h5py.File(session, "r+") as file:
            moved_spike(file)
        with pytest.raises(RefusedError, match="spikes or waveforms"):
            join(labels, url, out=tmp_path / "there.nwb")


def test_what_is_not_detached_cannot_be_joined(labels: Path, session: Path) -> None:
    with pytest.raises(InputError, match="holds no detached labels"):
        join(session, labels)
    with pytest.raises(UsageError, match="is the source itself"):
        join(labels, session, merge=True, out=session)
    with pytest.raises(InputError, match="does not exist"):
        join(labels, session.with_name("absent.nwb"))


def test_a_kill_leaves_no_half_file(labels: Path, session: Path) -> None:
    def die(phase: str) -> None:
        if phase == "sync":
            raise KeyboardInterrupt

    for merge in (False, True):
        with pytest.raises(KeyboardInterrupt):
            join(labels, session, merge=merge, on_phase=die)
    assert [path.name for path in session.parent.iterdir()] == ["session.nwb"]


def test_runs_made_at_other_moments_are_other_runs(labels: Path, session: Path) -> None:
    target = join(labels, session, merge=True).file
    copy = labels.with_name("copy.nwb")
    with read_units(copy) as units:
        digest = units.select(list(IDS)[::-1]).sha256()
    again = replace(from_classifier(np.array(IDS)[::-1].tolist()), input_sha256=digest, run_name="m_3")
    graft_into(copy, again)
    newer = detach(copy, labels.with_name("newer.nwb"), SourceAsset(), runs=["m_3"])
    assert join(newer, session, merge=True).runs == ("m_3",)
    assert [run.name for run in read_runs(target)] == ["m_1", "m_2", "m_3"]
