"""What goes wrong between two machines: nothing is lost, nothing is fetched twice, and the message says what to do."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nwb_celltype.archive.downloads import PART
from nwb_celltype.errors import InputError, NetworkError, RefusedError
from nwb_celltype.fetching import Fetched, fetch
from nwb_celltype.runs import read_runs

from ..archive_double import DandiDouble
from .conftest import LABELLED
from .files import EXPERT, GROUND_TRUTH, Recordings
from .test_fetch import bytes_from_bucket, record_of

ROOT = Path(__file__).resolve().parents[2]
PLAIN = {"schemaKey": "Asset"}
SIZE = 3_000_000


def noise(seed: int, size: int = SIZE) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def seeded(archive: DandiDouble, n_files: int = 1, *, embargo: bool = False) -> str:
    """A draft with files of noise, no two alike in this session."""
    name = archive.add_dandiset(name="Noise", embargo=embargo)
    for k in range(n_files):
        archive.add_asset(name, f"sub-{k}/{k}.bin", noise(1000 * int(name) + k), metadata=PLAIN)
    archive.settle()
    return name


def key_of(archive: DandiDouble, name: str, k: int = 0) -> str:
    """What the requests for the bytes of an asset have in their path."""
    return str(archive.asset(name, f"sub-{k}/{k}.bin").blob_id)


def is_whole(archive: DandiDouble, name: str, out: Path, k: int = 0) -> bool:
    path = f"sub-{k}/{k}.bin"
    return (out / name / path).read_bytes() == archive.blob(path, name)


def test_bursts_of_503(archive: DandiDouble, out: Path) -> None:
    name = seeded(archive)
    fault = archive.faults.status(503, "blobs/", method="GET", times=3, retry_after=0)
    done = fetch(f"DANDI:{name}", out=out)
    assert (done.counts, done.exit_code, fault.hits) == ({"fetched": 1}, 0, 3)
    assert is_whole(archive, name, out)


def test_a_server_that_stays_down(archive: DandiDouble, out: Path) -> None:
    name = seeded(archive, 2)
    archive.faults.status(503, key_of(archive, name), method="GET", times=None)
    done = fetch(f"DANDI:{name}", out=out)
    assert (done.counts, done.exit_code) == ({"failed": 1, "fetched": 1}, NetworkError.exit_code)
    assert "Try again later" in done.failures[0].message
    assert is_whole(archive, name, out, 1)  # one failing file does not stop the rest
    archive.faults.clear()
    archive.log.clear()
    again = fetch(f"DANDI:{name}", out=out)
    assert again.counts == {"fetched": 1, "there": 1}
    assert not archive.requests("s3", "GET", key_of(archive, name, 1))


def test_cut_connections(archive: DandiDouble, out: Path) -> None:
    name = seeded(archive)
    fault = archive.faults.cut(700_000, "blobs/", method="GET", times=2)
    done = fetch(f"DANDI:{name}", out=out)
    assert (done.counts, fault.hits) == ({"fetched": 1}, 2)
    assert is_whole(archive, name, out)
    assert bytes_from_bucket(archive) < 1.1 * SIZE  # only what was missing was asked for again


def test_corrupted_bytes(archive: DandiDouble, out: Path) -> None:
    name = seeded(archive)
    fault = archive.faults.corrupt("blobs/", times=None)
    done = fetch(f"DANDI:{name}", out=out)
    assert fault.hits
    assert (done.counts, done.exit_code) == ({"failed": 1}, NetworkError.exit_code)
    assert not (out / name / "sub-0" / "0.bin").exists()
    assert "sub-0/0.bin" in done.failures[0].message
    archive.faults.clear()
    assert fetch(f"DANDI:{name}", out=out).counts == {"fetched": 1}
    assert is_whole(archive, name, out)


def test_other_bytes_under_the_same_key(archive: DandiDouble, out: Path) -> None:
    name = seeded(archive)
    blob = key_of(archive, name)

    def replace(_: Fetched) -> None:
        archive.overwrite_blob(blob, noise(7))
        archive.settle()

    done = fetch(f"DANDI:{name}", out=out, on_plan=replace)
    assert (done.counts, done.exit_code) == ({"failed": 1}, 3)
    assert "was replaced while it was being fetched" in done.failures[0].message
    assert fetch(f"DANDI:{name}", out=out).counts == {"fetched": 1}
    assert is_whole(archive, name, out)


def test_an_asset_that_is_deleted_meanwhile(archive: DandiDouble, out: Path) -> None:
    name = seeded(archive)
    asset = archive.asset(name, "sub-0/0.bin")

    def delete(_: Fetched) -> None:
        with archive.state.lock:
            archive.state.remove_asset(archive.dandiset(name), asset)
        archive.faults.status(404, "blobs/", method="GET", times=None)

    done = fetch(f"DANDI:{name}", out=out, on_plan=delete)
    assert (done.counts, done.exit_code) == ({"failed": 1}, 3)
    assert "was deleted or renamed" in done.failures[0].message


def test_signed_addresses_expire(archive: DandiDouble, out: Path) -> None:
    name = seeded(archive, embargo=True)
    archive.faults.limit_signatures(uses=1)
    archive.faults.cut(700_000, "blobs/", method="GET", times=2)
    done = fetch(f"DANDI:{name}", out=out)
    assert done.counts == {"fetched": 1}, done.failures
    assert is_whole(archive, name, out)
    assert 403 in {entry.status for entry in archive.requests("s3", "GET")}


def test_signed_addresses_that_expire_between_the_parts(
    archive: DandiDouble, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nwb_celltype.archive.downloads.PART", 256 * 1024)
    name = seeded(archive, embargo=True)
    archive.faults.limit_signatures(uses=3)
    done = fetch(f"DANDI:{name}", out=out)
    assert done.counts == {"fetched": 1}, done.failures
    assert is_whole(archive, name, out)
    answers = [entry.status for entry in archive.requests("s3", "GET", key_of(archive, name))]
    assert answers.count(403) >= 2
    assert answers.count(206) == -(-SIZE // (256 * 1024))  # nothing came twice


def test_signed_addresses_that_expire_while_labels_are_streamed(
    archive: DandiDouble, recordings: Recordings, out: Path
) -> None:
    name = archive.add_dandiset(name="Closed", embargo=True)
    archive.add_asset(name, "sub-a/sub-a.nwb", recordings.annotated.read_bytes() + bytes(1), metadata=LABELLED)
    archive.settle()
    archive.faults.limit_signatures(uses=1)
    done = fetch(f"DANDI:{name}", out=out, labels_only=True)
    assert done.counts == {"fetched": 1}, done.failures
    assert [run.name for run in read_runs(done.files[0].file)] == [GROUND_TRUTH, EXPERT]
    assert 403 in {entry.status for entry in archive.requests("s3", "GET")}


def test_embargo_without_a_token(archive: DandiDouble, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = seeded(archive, embargo=True)
    monkeypatch.delenv(archive.token_variable)
    with pytest.raises(RefusedError, match="token"):
        fetch(f"DANDI:{name}", out=out)
    assert not out.exists()


def test_a_token_that_is_revoked_half_way(archive: DandiDouble, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = seeded(archive, 2, embargo=True)
    user = archive.add_user("owner@example.org", "a-token-for-a-while")
    archive.dandiset(name).owners.append(user.username)
    monkeypatch.setenv(archive.token_variable, user.token)
    key = key_of(archive, name)

    def revoke(_: Fetched) -> None:
        archive.faults.revoke_token(user.token)

    done = fetch(f"DANDI:{name}", out=out, on_plan=revoke)
    assert (done.counts, done.exit_code) == ({"refused": 2}, RefusedError.exit_code)
    assert all("token" in row.message and user.token not in row.message for row in done.failures)
    assert not archive.requests("s3", "GET", key)
    monkeypatch.setenv(archive.token_variable, archive.token)
    assert fetch(f"DANDI:{name}", out=out).counts == {"fetched": 2}


def test_two_fetches_at_once(archive: DandiDouble, out: Path) -> None:
    name = seeded(archive, 2)
    archive.faults.slow(20_000_000, "blobs/")
    done: list[Fetched] = []
    both = [threading.Thread(target=lambda: done.append(fetch(f"DANDI:{name}", out=out))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert [one.exit_code for one in done] == [0, 0]
    assert sorted(row.status for one in done for row in one.files) == ["fetched", "fetched", "there", "there"]
    assert is_whole(archive, name, out, 0)
    assert is_whole(archive, name, out, 1)
    assert bytes_from_bucket(archive) == 2 * SIZE
    assert len([entry for entry in record_of(out / name) if entry["path"].endswith(".bin")]) == 2


def client(name: str, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "nwb_celltype", "fetch", f"DANDI:{name}", "--out", str(out), "--jobs", "1"]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_listen_to_interrupts
    )


def _listen_to_interrupts() -> None:
    """Tests that were started in the background of a shell hand on that interrupts are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_client_goes_on(archive: DandiDouble, out: Path, signal_number: int) -> None:
    name = seeded(archive, 2)
    size = PART + 300_000  # the second part is there long before the first
    archive.add_asset(name, "sub-1/1.bin", noise(int(name), size), metadata=PLAIN)
    archive.settle()
    archive.faults.slow(1_000_000, key_of(archive, name, 1))
    process = client(name, out)
    journal = out / name / "sub-1" / "1.bin.part.done"
    deadline = time.monotonic() + 30
    while not journal.exists() or len(journal.read_text().splitlines()) < 2:
        assert time.monotonic() < deadline, process.communicate()
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.kill(process.pid, signal_number)
    _, said = process.communicate(timeout=60)  # an interrupt lets the part under way end
    assert process.returncode != 0
    if signal_number == signal.SIGINT:
        assert said.splitlines()[-1] == "nwb-celltype: stopped."
    assert not (out / name / "sub-1" / "1.bin").exists()
    archive.faults.clear()
    archive.log.clear()
    again = fetch(f"DANDI:{name}", out=out)
    assert again.counts == {"fetched": 1, "there": 1}
    assert not archive.requests("s3", "GET", key_of(archive, name, 0))
    assert again.n_bytes == bytes_from_bucket(archive) == PART
    assert is_whole(archive, name, out, 0)
    assert is_whole(archive, name, out, 1)
    assert [path.name for path in journal.parent.iterdir()] == ["1.bin"]


def test_a_full_disk(archive: DandiDouble, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = seeded(archive, 2)
    archive.add_asset(name, "small.txt", b"fits", metadata=PLAIN)
    archive.settle()
    write = os.pwrite

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if offset + len(data) > SIZE // 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr("nwb_celltype.archive.downloads.os.pwrite", full)
        done = fetch(f"DANDI:{name}", out=out)
    assert (done.counts, done.exit_code) == ({"failed": 2, "fetched": 1}, 3)
    assert all("Make room" in row.message for row in done.failures)
    assert (out / name / "small.txt").read_bytes() == b"fits"
    assert not list((out / name).rglob("*.bin"))
    assert fetch(f"DANDI:{name}", out=out).counts == {"fetched": 2, "there": 1}
    assert is_whole(archive, name, out, 0)
    assert is_whole(archive, name, out, 1)
    assert not list((out / name).rglob("*.part*"))


def test_a_disk_with_just_enough_room(archive: DandiDouble, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = seeded(archive)
    free = SIZE + 5_000_000
    monkeypatch.setattr("nwb_celltype.fetching.retrieval.shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    assert fetch(f"DANDI:{name}", out=out, dry_run=True).counts == {"planned": 1}
    assert fetch(f"DANDI:{name}", out=out).counts == {"fetched": 1}
    free = SIZE + 10_000
    with pytest.raises(InputError, match=r"has 3 MB free; the files need 7\.2 MB"):
        fetch(f"DANDI:{name}", out=out.with_name("other"))


def test_more_parts_than_connections(archive: DandiDouble, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwb_celltype.archive.downloads.PART", 64 * 1024)
    name = seeded(archive)
    done = fetch(f"DANDI:{name}", out=out)
    assert done.counts == {"fetched": 1}, done.failures
    assert is_whole(archive, name, out)
    assert len(archive.requests("s3", "GET")) == -(-SIZE // (64 * 1024))


def test_a_wrong_etag_in_the_middle(archive: DandiDouble, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwb_celltype.archive.downloads.PART", 512 * 1024)
    name = seeded(archive)
    fault = archive.faults.wrong_etag("blobs/", method="GET", skip=2)
    done = fetch(f"DANDI:{name}", out=out)
    assert (done.counts, done.exit_code, fault.hits) == ({"failed": 1}, 3, 1)
    assert "replaced" in done.failures[0].message
    assert not (out / name / "sub-0" / "0.bin").exists()
    assert fetch(f"DANDI:{name}", out=out).counts == {"fetched": 1}
    assert is_whole(archive, name, out)
