"""A disk that is full, cannot be read, or has no locks; a file that others have open or are writing."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

import nwb_celltype as nct
from nwb_celltype.bundles import read_bundle, save_bundle
from nwb_celltype.errors import InputError, RefusedError
from nwb_celltype.publishing.dandiset_folder import DandisetFolder
from nwb_celltype.replacing import replace_folder, tidy_up
from nwb_celltype.runs import read_runs

from ..nwb_io.files import label_csv, plain
from .crew import Crew, Outcome
from .interposer import build, why_not
from .scenes import Scene, annotating, names, sha256

interposed = pytest.mark.skipif(bool(why_not()), reason=why_not() or "calls can be made to fail")


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    library = build(tmp_path_factory.mktemp("interposer"))
    # Without locks of HDF5's own, as its manual says for disks that have none.
    with Crew(environment={"LD_PRELOAD": str(library), "HDF5_USE_FILE_LOCKING": "FALSE"}) as crew:
        yield crew


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return annotating(tmp_path, in_place=True, megabytes=0)


def fail(crew: Crew, scene: Scene, kind: str, nth: int, error: int) -> Outcome:
    """Do the job while the n-th call of a kind, and all after it, fail."""
    scene.renew()
    fault = {"folder": str(scene.folder), "kind": kind, "nth": nth, "error": error}
    return crew.do({**scene.job, "pause_s": 0.0, "fault": fault})


def spread(n: int, of: int) -> list[int]:
    """A few of the numbers from 1 to n, the first and the last among them."""
    return sorted({max(1, round(1 + (n - 1) * k / (of - 1))) for k in range(of)})


@interposed
def test_a_disk_that_is_full_at_any_write(crew: Crew, scene: Scene) -> None:
    n_writes = fail(crew, scene, "write", 10**9, errno.ENOSPC).calls
    assert n_writes > 10
    for nth in spread(n_writes, 6):
        outcome = fail(crew, scene, "write", nth, errno.ENOSPC)
        if outcome.status == 0:
            assert scene.state() == "new"
            assert nth >= n_writes - 1  # nothing but forcing the folder to the disk is left by then
            continue
        assert (outcome.status, outcome.error) == (InputError.exit_code, "InputError"), outcome.text
        assert "is full; nothing was written. Make room" in outcome.text
        assert scene.state() == "old"
        assert names(scene.folder) == ["session.nwb"]


@interposed
def test_a_quota_that_is_used_up(crew: Crew, scene: Scene) -> None:
    outcome = fail(crew, scene, "write", 12, errno.EDQUOT)
    assert "is full; nothing was written" in outcome.text
    assert scene.state() == "old"
    assert not scene.strangers()


@interposed
def test_a_disk_that_cannot_be_read(crew: Crew, scene: Scene) -> None:
    n_reads = fail(crew, scene, "read", 10**9, errno.EIO).calls
    for nth in spread(n_reads, 5)[:-1]:
        outcome = fail(crew, scene, "read", nth, errno.EIO)
        assert outcome.status in (0, InputError.exit_code), (nth, outcome.error, outcome.text)
        assert scene.state() == "old" if outcome.status and "copy" not in dict(outcome.phases) else scene.state()
        assert not scene.strangers()


@interposed
def test_a_network_disk_without_locks(crew: Crew, scene: Scene) -> None:
    outcome = fail(crew, scene, "lock", 1, errno.ENOLCK)
    assert outcome.status == 0, outcome.text
    scene.finished(outcome.result)


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_hdf5_on_a_disk_without_locks_says_how_to_go_on(
    error: int, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        message = f"Unable to synchronously open file (unable to lock file, errno = {error}, error message = '...')"
        raise OSError(error, message)

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(InputError, match=r"is on a disk without locks; set HDF5_USE_FILE_LOCKING=FALSE"):
        nct.read_units(original)


def test_publishing_from_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with DandisetFolder(tmp_path).only_publisher():
        assert [path.name for path in tmp_path.iterdir()] == [".nwb-celltype"]
    assert not any(tmp_path.iterdir())


HOLDER = """
import h5py, sys
with h5py.File(sys.argv[1], sys.argv[2]):
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plain(tmp_path_factory.mktemp("original") / "session.nwb")


@pytest.mark.parametrize(
    ("mode", "locking", "is_refused"), [("r", "TRUE", False), ("r+", "TRUE", True), ("r+", "FALSE", False)]
)
def test_a_file_that_another_program_has_open(
    mode: str, locking: str, is_refused: bool, original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds a file open keeps seeing the old one; who writes into it has it locked, if HDF5 is let to."""
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
    file = Path(shutil.copyfile(original, tmp_path / "session.nwb"))
    labels = label_csv(tmp_path, {7: "PkC_ss"})
    environment = {**os.environ, "HDF5_USE_FILE_LOCKING": locking}
    command = [sys.executable, "-c", HOLDER, str(file), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        before = sha256(file)
        if is_refused:
            with pytest.raises(InputError, match=r"cannot be opened|unable to lock"):
                nct.annotate(file, in_place=True, labels=labels, by="me")
            assert sha256(file) == before
        else:
            assert nct.annotate(file, in_place=True, labels=labels, by="me").is_new
            assert len(read_runs(file)) == 1
        holder.communicate(b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.csv", "session.nwb"]


def test_of_two_who_annotate_one_file_one_wins_and_the_other_says_so(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
    file = Path(shutil.copyfile(original, tmp_path / "session.nwb"))
    first, second = label_csv(tmp_path, {7: "PkC_ss"}), label_csv(tmp_path, {7: "MLI"}, name="other.csv")
    said: list[str] = []

    def meanwhile(phase: str) -> None:
        if phase == "validate":
            command = [sys.executable, "-m", "nwb_celltype", "annotate", str(file), "--in-place", "--by", "you"]
            done = subprocess.run(
                [*command, "--labels", str(second)], capture_output=True, text=True, cwd=Path(__file__).parents[2]
            )
            said.extend((str(done.returncode), done.stderr.strip().splitlines()[-1]))

    assert nct.annotate(file, in_place=True, labels=first, by="me", on_phase=meanwhile).is_new
    assert said[0] == str(RefusedError.exit_code)
    assert f"Another process is writing {file}; run this again when it is done." in said[1]
    assert [run.name for run in read_runs(file)] == ["expert_me"]


def test_a_read_error_is_no_file_without_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """h5py's `get` takes what it cannot read for what is not there."""

    class Broken(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            message = "Unable to synchronously open object (file read failed: errno = 5)"
            raise KeyError(message)

    from nwb_celltype.runs import runs_in

    with pytest.raises(InputError, match="cannot be read"):
        runs_in(Broken(), "session.nwb")  # type: ignore[arg-type]
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        assert runs_in(file, "empty.h5") == []


def test_a_folder_is_replaced_as_one(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    replace_folder(folder, lambda new: (new / "a").write_text("1") and None)

    def half(new: Path) -> None:
        (new / "a").write_text("2")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space"):
        replace_folder(folder, half)
    assert (folder / "a").read_text() == "1"
    assert names(tmp_path) == ["model"]


def test_a_folder_that_was_put_aside_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where names cannot be exchanged, a kill may fall between two changes of names."""
    monkeypatch.setattr("nwb_celltype.replacing._exchange", lambda *_: False)
    folder = tmp_path / "model"
    for text in ("1", "2"):
        replace_folder(folder, lambda new, text=text: (new / "a").write_text(text) and None)  # type: ignore[misc]
    assert (folder / "a").read_text() == "2"
    folder.rename(tmp_path / ".model.1-00000000.old")
    (tmp_path / ".model.1-00000001.part").mkdir()
    tidy_up(folder)
    assert names(tmp_path) == ["model"]
    assert (folder / "a").read_text() == "2"


def test_a_full_disk_keeps_the_model_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = read_bundle("cerebellum-statistics")
    folder = save_bundle(tmp_path / "m", tensors=shipped.tensors, card=shipped.card, licence_text="a")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"cannot be written: No space left on device\. Make room"):
        save_bundle(folder, tensors=shipped.tensors, card=shipped.card, licence_text="b")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert names(tmp_path) == ["m"]
