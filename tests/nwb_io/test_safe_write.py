"""Whatever goes wrong, the old file is there, whole, and nothing lies about."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import stat
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from nwb_celltype import annotate, read_runs
from nwb_celltype.errors import InputError, RefusedError
from nwb_celltype.nwb_io import safe_write
from nwb_celltype.nwb_io.safe_write import PHASES, fingerprint, write_safely

is_root = os.geteuid() == 0


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "session.nwb"
    path.write_bytes(b"old")
    return path


def add(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b" and new")


def accept(_: Path) -> None:
    pass


def refuse(_: Path) -> None:
    message = "not good"
    raise InputError(message)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_phases_come_in_order(old: Path) -> None:
    seen: list[str] = []
    write_safely(old, old, add, accept, seen.append)
    assert tuple(seen) == PHASES
    assert old.read_bytes() == b"old and new"
    assert names(old.parent) == ["session.nwb"]


def test_copy_leaves_the_source(old: Path) -> None:
    before = fingerprint(old)
    written = write_safely(old, old.with_name("new.nwb"), add, accept)
    assert (old.read_bytes(), written.read_bytes()) == (b"old", b"old and new")
    assert fingerprint(old) == before
    assert written.stat().st_ino != old.stat().st_ino
    assert written.stat().st_nlink == old.stat().st_nlink == 1


@pytest.mark.parametrize("mode", [0o400, 0o444, 0o640, 0o664, 0o755])
@pytest.mark.parametrize("in_place", [True, False])
def test_mode_is_kept(old: Path, mode: int, in_place: bool) -> None:
    old.chmod(mode)
    written = write_safely(old, old if in_place else old.with_name("new.nwb"), add, accept)
    assert stat.S_IMODE(written.stat().st_mode) == mode
    assert written.read_bytes() == b"old and new"


def test_nobody_reads_along_while_a_private_file_is_copied(old: Path) -> None:
    old.chmod(0o600)
    modes = []
    write_safely(old, old, lambda path: modes.append(stat.S_IMODE(path.stat().st_mode)), accept)
    assert modes == [0o600]


@pytest.mark.skipif(not is_root, reason="only root can give files away")
def test_owner_is_kept_in_place(old: Path) -> None:
    os.chown(old, 1234, 5678)
    old.chmod(0o4750)
    status = write_safely(old, old, add, accept).stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 5678, 0o4750)


def test_extended_attributes_are_kept(old: Path) -> None:
    try:
        os.setxattr(old, "user.origin", b"rig 3")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    for target in (old.with_name("new.nwb"), old):
        assert os.getxattr(write_safely(old, target, add, accept), "user.origin") == b"rig 3"


def test_file_system_without_extended_attributes(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(_: Path) -> list[str]:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "listxattr", unsupported)
    assert write_safely(old, old, add, accept).read_bytes() == b"old and new"


def test_symbolic_link_stays(old: Path, tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    link = tmp_path / "shelf" / "link.nwb"
    link.symlink_to("../session.nwb")
    assert write_safely(link, link, add, accept) == old.resolve()
    assert os.readlink(link) == "../session.nwb"
    assert old.read_bytes() == b"old and new"
    assert names(link.parent) == ["link.nwb"]


def test_other_name_of_a_hard_linked_file_is_untouched(old: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.nwb"
    os.link(old, other)
    write_safely(old, old, add, accept)
    assert (old.read_bytes(), other.read_bytes()) == (b"old and new", b"old")
    assert old.stat().st_nlink == other.stat().st_nlink == 1


def test_read_only_source_is_annotated(file: Path, labels: Path, no_validator: None) -> None:
    file.chmod(0o444)
    copy = annotate(file, labels=labels, by="me").file
    annotate(file, in_place=True, labels=labels, by="me")
    again = annotate(file, out=copy, labels=labels, by="you").file
    assert again == copy
    for path in (file, copy):
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert [run.name for run in read_runs(copy)] == ["expert_me", "expert_you"]


@pytest.mark.skipif(is_root, reason="root may write everywhere")
def test_read_only_folder(old: Path) -> None:
    old.parent.chmod(0o500)
    try:
        with pytest.raises(InputError, match=r"may not be written .*--out"):
            write_safely(old, old, add, accept)
    finally:
        old.parent.chmod(0o700)


@pytest.mark.parametrize(
    ("number", "sentence"),
    [(13, "may not be written"), (30, "may not be written"), (28, "is full"), (5, "failed, and nothing was changed")],
)
def test_what_the_system_refuses_is_a_sentence(
    old: Path, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(safe_write, "_copy", fail)
    with pytest.raises(InputError, match=sentence):
        write_safely(old, old, add, accept)
    assert names(old.parent) == ["session.nwb"]


@pytest.mark.parametrize("copied", [0, 2])
def test_copied_where_the_kernel_does_not_do_it(old: Path, monkeypatch: pytest.MonkeyPatch, copied: int) -> None:
    """From the start, or after some bytes."""
    left = [copied]

    def some(source: int, target: int, count: int, at: int, to: int) -> int:
        n = min(left.pop(), count) if left else 0
        if not n:
            raise OSError(22, "Invalid argument")
        return os.pwrite(target, os.pread(source, n, at), to)

    monkeypatch.setattr(os, "copy_file_range", some, raising=False)
    write_safely(old, old, add, accept)
    assert old.read_bytes() == b"old and new"


def test_what_is_done_meanwhile_fails(old: Path) -> None:
    def fail() -> None:
        message = "no such module"
        raise ImportError(message)

    with pytest.raises(ImportError, match="no such module"):
        write_safely(old, old, add, accept, meanwhile=fail)
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["session.nwb"]


def test_folder_that_cannot_be_synced(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has been replaced by then, so it must not be called a failure."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert write_safely(old, old, add, accept).read_bytes() == b"old and new"


def test_too_little_room(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 99, 1_000_000))
    with pytest.raises(InputError, match=r"has 1 MB free; a safe copy of session.nwb needs 67 MB"):
        write_safely(old, old, add, accept)
    assert (old.read_bytes(), names(old.parent)) == (b"old", ["session.nwb"])


def test_missing_folder_and_missing_file(old: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"folder .*no does not exist; make it first"):
        write_safely(old, tmp_path / "no" / "new.nwb", add, accept)
    with pytest.raises(InputError, match=r"absent.nwb does not exist; check the path"):
        write_safely(tmp_path / "absent.nwb", tmp_path / "new.nwb", add, accept)
    assert names(tmp_path) == ["session.nwb"]


@pytest.mark.parametrize("in_place", [True, False])
def test_failed_check_keeps_the_old_file(old: Path, in_place: bool) -> None:
    target = old if in_place else old.with_name("new.nwb")
    with pytest.raises(InputError, match="not good"):
        write_safely(old, target, add, refuse)
    assert (old.read_bytes(), names(old.parent)) == (b"old", ["session.nwb"])


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ValueError])
def test_any_failure_cleans_up(old: Path, error: type[BaseException]) -> None:
    def append(path: Path) -> None:
        add(path)
        raise error

    with pytest.raises(error):
        write_safely(old, old, append, accept)
    assert (old.read_bytes(), names(old.parent)) == (b"old", ["session.nwb"])


def test_source_that_changes_meanwhile(old: Path) -> None:
    def append(path: Path) -> None:
        add(path)
        add(old)

    with pytest.raises(InputError, match="changed while it was being annotated"):
        write_safely(old, old, append, accept)
    assert (old.read_bytes(), names(old.parent)) == (b"old and new", ["session.nwb"])


def test_source_that_changed_after_it_was_read(
    file: Path, labels: Path, monkeypatch: pytest.MonkeyPatch, no_validator: None
) -> None:
    """The labels were made from what is no longer there."""
    from nwb_celltype.nwb_io import annotated_file

    real = annotated_file.annotate_from_table

    def slow(*args: object, **kwargs: object) -> object:
        made = real(*args, **kwargs)  # type: ignore[arg-type]
        with file.open("ab") as other:
            other.write(b"\0")
        return made

    monkeypatch.setattr(annotated_file, "annotate_from_table", slow)
    with pytest.raises(InputError, match="changed while it was being annotated"):
        annotate(file, labels=labels, by="me")
    assert names(file.parent) == ["labels.csv", "session.nwb"]


@pytest.mark.parametrize("place", [".git/annex/objects/x/session.nwb", "session.nwb", "sub-1/session.nwb"])
@pytest.mark.usefixtures("no_validator")
def test_files_whose_checksum_somebody_keeps(tmp_path: Path, file: Path, labels: Path, place: str) -> None:
    folder = tmp_path / "kept"
    kept = folder / place
    kept.parent.mkdir(parents=True)
    shutil.copyfile(file, kept)
    if ".git" not in place:
        (folder / "dandiset.yaml").write_text("identifier: '000000'\n")
    link = tmp_path / "link.nwb"
    link.symlink_to(kept)
    before = kept.read_bytes()
    for path in (kept, link):
        with pytest.raises(RefusedError, match=r"checksum. Write a new file with --out") as caught:
            annotate(path, in_place=True, labels=labels, by="me")
        assert caught.value.exit_code == 4
    # nor may it be changed as an existing output
    with pytest.raises(RefusedError, match="checksum"):
        annotate(file, out=link, labels=labels, by="me")
    assert kept.read_bytes() == before
    assert annotate(link, out=tmp_path / "copy.nwb", labels=labels, by="me").is_new


def test_second_writer_is_refused(old: Path) -> None:
    """In the same process through another open file, which is another holder of the lock."""
    said: list[str] = []

    def append(path: Path) -> None:
        add(path)
        try:
            write_safely(old, old, add, accept)
        except RefusedError as error:
            said.append(str(error))

    write_safely(old, old, append, accept)
    assert said == [f"Another process is writing {old}; run this again when it is done."]
    assert old.read_bytes() == b"old and new"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # of fork, Python 3.12
def test_two_processes_at_once(file: Path, labels: Path) -> None:
    """Many try, each either adds its run or is refused; no run is lost."""
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    writers = [context.Process(target=_annotate, args=(file, labels, f"w{k}", answers)) for k in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    said = [answers.get() for _ in writers]
    done = {text for text in said if text.startswith("expert_")}
    assert done
    assert all("Another process" in text or "changed while" in text for text in set(said) - done), said
    assert {run.name for run in read_runs(file)} == done
    assert names(file.parent) == ["labels.csv", "session.nwb"]


def _annotate(file: Path, labels: Path, by: str, answers: object) -> None:
    from nwb_celltype.nwb_io import validation

    validation.validator_messages = lambda _: []
    try:
        answers.put(annotate(file, in_place=True, labels=labels, by=by).run.name)  # type: ignore[attr-defined]
    except Exception as error:
        answers.put(f"{type(error).__name__}: {error}")  # type: ignore[attr-defined]


def test_lock_file_of_a_killed_run_is_no_obstacle(old: Path) -> None:
    lock = old.with_name(".session.nwb.nwb-celltype-lock")
    lock.write_bytes(b"")
    write_safely(old, old, add, accept)
    assert names(old.parent) == ["session.nwb"]


def test_lock_that_vanishes_while_we_wait_for_it(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening the lock file and locking it, its holder deletes it: the lock must be taken anew."""
    lock = old.with_name(".session.nwb.nwb-celltype-lock")
    real, tries = fcntl.flock, []

    def flock(handle: object, operation: int) -> None:
        tries.append(operation)
        if len(tries) == 1:
            lock.unlink()
        real(handle, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", flock)
    write_safely(old, old, add, accept)
    assert len(tries) == 2
    assert names(old.parent) == ["session.nwb"]


def test_file_system_without_locks(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert write_safely(old, old, add, accept).read_bytes() == b"old and new"


def test_only_abandoned_copies_of_this_file_are_removed(old: Path, tmp_path: Path) -> None:
    mine = tmp_path / ".session.nwb.4711-0a1b2c3d.nwb-celltype-partial"
    others = [
        ".session.nwb.bak.nwb.4711-0a1b2c3d.nwb-celltype-partial",  # of session.nwb.bak.nwb
        ".other.nwb.4711-0a1b2c3d.nwb-celltype-partial",
        ".session.nwb.notes",
    ]
    for name in (mine.name, *others):
        (tmp_path / name).write_bytes(b"x")
    write_safely(old, old, add, accept)
    assert names(tmp_path) == sorted([*others, "session.nwb"])


def test_threads_write_different_files(tmp_path: Path) -> None:
    paths = [tmp_path / f"{k}.nwb" for k in range(4)]
    for path in paths:
        path.write_bytes(b"old")
    threads = [threading.Thread(target=write_safely, args=(path, path, add, accept)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {path.read_bytes() for path in paths} == {b"old and new"}
