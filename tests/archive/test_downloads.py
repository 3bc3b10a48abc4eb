import errno
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.archive import downloads
from nwb_celltype.archive.downloads import dandi_etag, download
from nwb_celltype.archive.transport import RangeSource, RetryPolicy
from nwb_celltype.errors import InputError, NetworkError, RefusedError, UsageError

from .range_server import Fault, RangeServer

PART = 50_000
SIZE = 10 * PART + 123
CONTENT = np.random.default_rng(3).integers(0, 256, SIZE, dtype=np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HASTY = RetryPolicy(n_retries=2, first_wait_s=0.001, longest_wait_s=0.002)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "PART", PART)


@pytest.fixture
def server(tmp_path: Path):
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "a.nwb").write_bytes(CONTENT)
    (folder / "empty.nwb").write_bytes(b"")
    with RangeServer(folder) as server:
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "sub-1" / "a.nwb"


def source_of(server: RangeServer, name: str = "a.nwb") -> RangeSource:
    return RangeSource(server.url(name), name="DANDI:000001/a.nwb", policy=HASTY)


def left_beside(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target)


def n_part_requests(server: RangeServer) -> int:
    return sum(request.n_bytes > 1 for request in server.log)


def test_download(server: RangeServer, target: Path):
    seen: list[tuple[int, int]] = []
    server.latency_s = 0.02
    assert download(source_of(server), target, sha256=SHA256, progress=lambda *done: seen.append(done)) == target
    assert target.read_bytes() == CONTENT
    assert left_beside(target) == []
    assert seen[0] == (0, SIZE)
    assert seen[-1] == (SIZE, SIZE)
    assert seen == sorted(seen)
    assert server.most_at_once > 2
    assert server.n_bytes == SIZE + 1


@pytest.mark.parametrize("name", ["dandi_etag", "md5", "nothing"])
def test_other_checksums(server: RangeServer, target: Path, name: str):
    etag = {
        "dandi_etag": dandi_etag(server.folder / "a.nwb"),
        "md5": hashlib.md5(CONTENT).hexdigest(),
        "nothing": "",
    }[name]
    download(source_of(server), target, etag=f'"{etag}"')
    assert target.read_bytes() == CONTENT


def test_empty_file(server: RangeServer, target: Path):
    download(source_of(server, "empty.nwb"), target, sha256=hashlib.sha256(b"").hexdigest())
    assert target.read_bytes() == b""


def test_one_that_is_there_is_left_alone(server: RangeServer, target: Path):
    download(source_of(server), target, sha256=SHA256)
    server.forget()
    before = target.stat().st_mtime_ns
    download(source_of(server), target, sha256=SHA256)
    assert (server.n_requests, target.stat().st_mtime_ns) == (0, before)


def test_another_file_is_not_replaced_unasked(server: RangeServer, target: Path):
    target.parent.mkdir()
    target.write_bytes(b"mine")
    for checksum in (SHA256, ""):
        with pytest.raises(RefusedError, match="left alone"):
            download(source_of(server), target, sha256=checksum)
    assert target.read_bytes() == b"mine"
    download(source_of(server), target, sha256=SHA256, replaces=True)
    assert target.read_bytes() == CONTENT


def test_goes_on_where_it_stopped(server: RangeServer, target: Path):
    server.faults.append(Fault(skip=6, times=99, status=503))
    with pytest.raises(NetworkError, match="answered 503"):
        download(source_of(server), target, sha256=SHA256)
    assert left_beside(target) == ["a.nwb.part", "a.nwb.part.done"]
    assert not target.exists()
    n_done = n_part_requests(server)
    assert n_done == 5
    server.faults.clear()
    server.forget()
    seen: list[tuple[int, int]] = []
    download(source_of(server), target, sha256=SHA256, progress=lambda *done: seen.append(done))
    assert target.read_bytes() == CONTENT
    assert n_part_requests(server) == 11 - n_done
    assert seen[0] == (n_done * PART, SIZE)
    assert left_beside(target) == []


SCRIPT = """
import sys
from pathlib import Path
from nwb_celltype.archive import downloads
from nwb_celltype.archive.transport import RangeSource
downloads.PART = int(sys.argv[4])
source = RangeSource(sys.argv[1], name="a.nwb")
downloads.download(source, Path(sys.argv[2]), sha256=sys.argv[3], progress=lambda *done: print(*done, flush=True))
"""


def test_killed_in_the_middle(server: RangeServer, target: Path):
    server.bytes_per_s = 500_000
    command = [sys.executable, "-c", SCRIPT, server.url("a.nwb"), str(target), SHA256, str(PART)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line.split()[0]) >= 3 * PART:
                break
        with pytest.raises(RefusedError, match="Another process is downloading"):
            download(source_of(server), target, sha256=SHA256)
        process.send_signal(signal.SIGKILL)
    assert not target.exists()
    server.bytes_per_s = 0
    seen: list[int] = []
    download(source_of(server), target, sha256=SHA256, progress=lambda done, _: seen.append(done))
    assert target.read_bytes() == CONTENT
    assert seen[0] >= 3 * PART


def test_journal_that_was_cut_off_or_is_of_another_file(server: RangeServer, target: Path):
    for journal in (
        "",
        "{",
        json.dumps({"size": SIZE, "etag": "old", "checksum": SHA256, "part": PART}) + "\n0\n",
        json.dumps({"size": SIZE, "etag": server.etag(server.folder / "a.nwb"), "checksum": SHA256, "part": PART})
        + "\n50000",
    ):
        target.parent.mkdir(exist_ok=True)
        Path(f"{target}.part").write_bytes(bytes(SIZE))
        Path(f"{target}.part.done").write_text(journal)
        download(source_of(server), target, sha256=SHA256)
        assert target.read_bytes() == CONTENT
        target.unlink()


def test_replaced_between_two_runs(server: RangeServer, target: Path):
    server.faults.append(Fault(skip=6, times=99, status=503))
    with pytest.raises(NetworkError):
        download(source_of(server), target)
    server.faults.clear()
    (server.folder / "a.nwb").write_bytes(CONTENT[::-1])
    download(source_of(server), target)
    assert target.read_bytes() == CONTENT[::-1]


def test_replaced_while_it_is_downloaded(server: RangeServer, target: Path):
    server.faults.append(Fault(skip=4, etag="another"))
    with pytest.raises(InputError, match="was replaced"):
        download(source_of(server), target)
    assert not target.exists()


def test_wrong_checksum(server: RangeServer, target: Path):
    for wrong in ({"sha256": "0" * 64}, {"etag": "0" * 32 + "-1"}):
        with pytest.raises(NetworkError, match=r"a.nwb arrived with another (SHA-256|dandi-etag)"):
            download(source_of(server), target, **wrong)
        assert list(target.parent.iterdir()) == []


def test_text_that_is_no_checksum(server: RangeServer, target: Path):
    with pytest.raises(UsageError, match="no checksum"):
        download(source_of(server), target, sha256="abc")


def test_cut_connections(server: RangeServer, target: Path):
    server.faults.append(Fault(times=8, cut_after=30_000))
    policy = RetryPolicy(n_retries=6, first_wait_s=0.001)
    source = RangeSource(server.url("moved/a.nwb"), name="a.nwb", policy=policy)
    download(source, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT


def test_no_such_file_leaves_nothing(server: RangeServer, target: Path):
    with pytest.raises(InputError, match="does not exist"):
        download(source_of(server, "none.nwb"), target)
    assert not target.parent.exists()


def test_full_disk_keeps_what_came(server: RangeServer, target: Path, monkeypatch: pytest.MonkeyPatch):
    write, n_written = os.pwrite, []

    def fills_up(*arguments) -> int:
        n_written.append(1)
        if len(n_written) > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(*arguments)

    monkeypatch.setattr(downloads.os, "pwrite", fills_up)
    with pytest.raises(InputError, match=r"is full .* was kept in a.nwb.part"):
        download(source_of(server), target, sha256=SHA256)
    monkeypatch.undo()
    monkeypatch.setattr(downloads, "PART", PART)
    server.forget()
    download(source_of(server), target, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert n_part_requests(server) < 11


def test_disk_that_is_too_small_is_told_first(server: RangeServer, target: Path, monkeypatch: pytest.MonkeyPatch):
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"a.nwb needs 1 MB more"):
        download(source_of(server), target)
    assert n_part_requests(server) == 0


def test_folder_that_cannot_be_made(server: RangeServer, tmp_path: Path):
    (tmp_path / "sub-1").write_text("a file")
    with pytest.raises(InputError, match="could not be written"):
        download(source_of(server), tmp_path / "sub-1" / "a.nwb")


def test_file_system_without_locks(server: RangeServer, target: Path, monkeypatch: pytest.MonkeyPatch):
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert download(source_of(server), target, sha256=SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize("size", [0, 1, 10_000, 70_000])
def test_dandi_etag_is_the_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int):
    from dandischema.digests.dandietag import DandiETag, PartGenerator

    path = tmp_path / "a.nwb"
    path.write_bytes(CONTENT[:size])
    if size > 1:  # many parts of a small file, and more than there may be
        monkeypatch.setattr(downloads, "_ETAG_PART", 5)
        monkeypatch.setattr(PartGenerator, "DEFAULT_PART_SIZE", 5)
        monkeypatch.setattr(PartGenerator, "MIN_PART_SIZE", 1)
    etag = DandiETag(size)
    etag.partial_update(path.read_bytes())
    assert dandi_etag(path) == etag.as_str()


def test_interrupt_ends_the_waits(server: RangeServer, target: Path):
    server.faults.append(Fault(skip=2, times=99, status=503, retry_after="30"))
    source = RangeSource(server.url("a.nwb"), name="a.nwb")

    def interrupt(n_done: int, _: int) -> None:
        if n_done:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        download(source, target, progress=interrupt)
    assert time.monotonic() - began < 5
