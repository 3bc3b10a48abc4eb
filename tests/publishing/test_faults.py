"""Whatever goes wrong: nothing is lost, nothing is sent twice, and the message says how to go on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from nwb_celltype.archive.instances import find_instance, open_client
from nwb_celltype.errors import CellTypeError, InputError, NetworkError, RefusedError
from nwb_celltype.publishing import publish
from nwb_celltype.publishing.dandiset_folder import DandisetFolder
from nwb_celltype.publishing.local_files import LocalFile
from nwb_celltype.publishing.preflight import check_folder
from nwb_celltype.publishing.uploading import TRIES, send_files

from ..archive_double import DandiDouble
from .conftest import Publish, draft_of
from .files import FIRST, SECOND, change

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("_impatient", "_unchecked")


def is_whole(archive: DandiDouble, folder: Path, identifier: str = "000001") -> bool:
    """Whether exactly the two files are up, as they are here."""
    paths = sorted(asset.path for asset in archive.state.assets_of(archive.dandiset(identifier).draft))
    return paths == [FIRST, SECOND] and all(
        archive.blob(path, identifier) == (folder / path).read_bytes() for path in paths
    )


def test_a_burst_of_503(folder: Path, archive: DandiDouble, send: Publish) -> None:
    bursts = [
        archive.faults.status(503, "/uploads/initialize/", method="POST", times=2, retry_after=0),
        archive.faults.status(503, "/assets/", method="POST", times=2),
        archive.faults.status(500, "/s3/", method="PUT", times=2),
    ]
    assert send(dandiset="new").count("new") == 2
    assert [burst.hits for burst in bursts] == [2, 2, 2]
    assert is_whole(archive, folder)


def test_a_connection_cut_in_a_part(folder: Path, archive: DandiDouble, send: Publish) -> None:
    cut = archive.faults.cut(10_000, method="PUT", times=2)
    assert send(dandiset="new").count("new") == 2
    assert cut.hits == 2
    assert is_whole(archive, folder)


def test_a_server_that_stays_down(folder: Path, archive: DandiDouble, send: Publish) -> None:
    down = archive.faults.status(503, "/uploads/initialize/", method="POST", times=None)
    with pytest.raises(NetworkError, match=r"the server answered 503, again and again\. 0 of 2 files are up") as raised:
        send(dandiset="new")
    assert "run the same command again" in str(raised.value)
    down.times = 0
    assert send(dandiset="new").dandiset == "000001"
    assert is_whole(archive, folder)


def test_a_part_that_comes_through_wrong_is_sent_again(folder: Path, archive: DandiDouble, send: Publish) -> None:
    wrong = archive.faults.wrong_etag(method="PUT", times=1)
    assert send(dandiset="new").count("new") == 2
    assert wrong.hits == 1
    assert is_whole(archive, folder)


def test_a_part_that_always_comes_through_wrong(archive: DandiDouble, send: Publish) -> None:
    wrong = archive.faults.wrong_etag(method="PUT", times=None)
    with pytest.raises(NetworkError, match="did not come through whole in 3 tries") as raised:
        send(dandiset="new", jobs=1)
    assert FIRST in str(raised.value)
    assert wrong.hits == 3
    assert not archive.state.assets


def test_urls_that_expired_are_asked_for_anew(folder: Path, archive: DandiDouble, send: Publish) -> None:
    refused = archive.faults.status(403, "/s3/", method="PUT", times=1)
    assert send(dandiset="new").count("new") == 2
    assert refused.hits == 1
    assert is_whole(archive, folder)


def expire_before(archive: DandiDouble, patch: pytest.MonkeyPatch, times: int) -> None:
    """Let the addresses that an upload was given expire before the first part is sent, in so many uploads."""
    from dandi.files import bases

    whole, left = bases._upload_blob_part, [times]

    def late(**options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            archive.faults.expire_signatures()
        return whole(**options)

    patch.setattr(bases, "_upload_blob_part", late)


def test_presigned_urls_that_expire(
    folder: Path, archive: DandiDouble, send: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    expire_before(archive, monkeypatch, times=2)
    assert send(dandiset="new", jobs=1).count("new") == 2
    statuses = [entry.status for entry in archive.requests("s3", "PUT")]
    assert (statuses.count(403), statuses.count(200)) == (2, 2)
    assert len(archive.requests("api", "POST", "/uploads/initialize/")) == 4
    assert is_whole(archive, folder)


def test_presigned_urls_that_always_expire(
    archive: DandiDouble, send: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    expire_before(archive, monkeypatch, times=100)
    with pytest.raises(NetworkError, match="the storage refused the addresses") as raised:
        send(dandiset="new", jobs=1)
    assert "0 of 2 files are up" in str(raised.value)
    assert "Signature" not in str(raised.value)
    assert len(archive.requests("api", "POST", "/uploads/initialize/")) == TRIES


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_revoked_half_way(folder: Path, archive: DandiDouble, send: Publish, status: int) -> None:
    refused = archive.faults.status(status, "/uploads/initialize/", method="POST", times=None, skip=1)
    with pytest.raises(RefusedError, match="refused the token") as raised:
        send(dandiset="new", jobs=1)
    text = str(raised.value)
    assert f"1 of 2 files are up: {FIRST}; not up: {SECOND}." in text
    assert archive.token_variable in text
    assert archive.token not in text
    refused.times = 0
    again = send(dandiset="new")
    assert [file.state for file in again.files] == ["unchanged", "new"]
    assert is_whole(archive, folder)


def test_notes_that_a_killed_call_left_unfinished_are_taken_away(
    folder: Path, archive: DandiDouble, send: Publish
) -> None:
    (folder / ".nwb-celltype").mkdir(exist_ok=True)
    left = [folder / ".dandiset.yaml.4711-0a1b2c3d.part", folder / ".nwb-celltype" / ".notes.json.4711-0a1b2c3d.part"]
    for path in left:
        path.write_text("half of")
    assert send(dandiset="new", dry_run=True).problems == ()
    assert all(path.exists() for path in left)
    assert send(dandiset="new").count("new") == 2
    assert not any(path.exists() for path in left)


def test_a_token_that_is_refused_at_once(archive: DandiDouble, send: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(archive.token_variable, "not a token")
    with pytest.raises(RefusedError) as raised:
        send(dandiset="new")
    assert "not a token" not in str(raised.value)
    assert not archive.state.dandisets


def test_no_secret_in_what_is_said_or_logged(
    archive: DandiDouble, send: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    archive.faults.status(503, "/s3/", method="PUT", times=None)
    with caplog.at_level("DEBUG"), pytest.raises(NetworkError) as raised:
        send(dandiset="new")
    told = f"{raised.value}{caplog.text}"
    assert archive.token not in told
    assert "Signature=" not in told
    assert "retry" in caplog.text


def test_an_archive_that_never_ends_its_validation(folder: Path, archive: DandiDouble, send: Publish) -> None:
    archive.faults.stick_validation("sub-m2")
    with pytest.raises(NetworkError, match="still validating dandiset 000001") as raised:
        send(dandiset="new", max_wait_s=0.2, publish_version=True)
    assert SECOND in str(raised.value)
    assert FIRST not in str(raised.value)
    assert "nothing is lost" in str(raised.value)
    assert list(archive.dandiset("000001").versions) == ["draft"]
    assert is_whole(archive, folder)


def test_a_token_revoked_while_waiting(folder: Path, archive: DandiDouble, send: Publish) -> None:
    archive.faults.status(401, "/versions/draft/info/", times=None)
    with pytest.raises(RefusedError, match="dandiset 000001, whose files are all up") as raised:
        send(dandiset="new")
    assert archive.token_variable in str(raised.value)
    assert is_whole(archive, folder)


def test_the_archive_s_own_errors_are_told(archive: DandiDouble, send: Publish) -> None:
    archive.faults.add_validation_error("sub-m2", "something only the archive knows", field="digest")
    with pytest.raises(InputError, match=f"{SECOND}: digest: something only the archive knows"):
        send(dandiset="new", publish_version=True)
    assert list(archive.dandiset("000001").versions) == ["draft"]


def test_two_publishers_put_the_same_file_in_one_place(folder: Path, archive: DandiDouble, send: Publish) -> None:
    """The second is told that the path is taken, looks, and finds its own file there."""
    send(dandiset="new")
    with archive.state.lock:
        assets = {a.path: a for a in archive.state.assets_of(archive.dandiset("000001").draft)}
    from nwb_celltype.publishing import uploading

    with pytest.MonkeyPatch.context() as patch:  # as if the list had been read before the other began
        patch.setattr(uploading, "remote_files", lambda dandiset: {})
        again = send(dandiset="000001")
    assert [file.state for file in again.files] == ["unchanged", "unchanged"]
    assert {a.asset_id for a in archive.state.assets_of(archive.dandiset("000001").draft)} == {
        a.asset_id for a in assets.values()
    }


def test_another_file_that_somebody_put_there_meanwhile_stays(
    folder: Path, archive: DandiDouble, send: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nwb_celltype.publishing import uploading

    theirs = archive.add_dandiset(name="Shared", files={FIRST: folder / SECOND})
    monkeypatch.setattr(uploading, "remote_files", lambda dandiset: {})
    with pytest.raises(RefusedError, match="somebody else has just put another file"):
        send(dandiset=theirs)
    assert archive.blob(FIRST, theirs) == (folder / SECOND).read_bytes()


def test_an_asset_that_somebody_changed_meanwhile(
    folder: Path, archive: DandiDouble, send: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of metadata gives an asset another id; the file is still replaced, once."""
    from nwb_celltype.publishing import uploading

    send(dandiset="new")
    change(folder / FIRST)
    before = uploading.remote_files

    def and_then_changed(dandiset: object) -> dict[str, uploading.RemoteFile]:
        found = before(dandiset)
        archive.add_asset("000001", FIRST, archive.blob(FIRST), metadata={**archive.asset("000001", FIRST).metadata})
        return found

    monkeypatch.setattr(uploading, "remote_files", and_then_changed)
    assert [file.state for file in send(dandiset="new").files] == ["replaced", "unchanged"]
    assert is_whole(archive, folder)


def test_two_publishers_at_once_end_with_one_of_each_file(folder: Path, archive: DandiDouble, tmp_path: Path) -> None:
    import shutil

    shared = archive.add_dandiset(name="Shared")
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    errors: list[CellTypeError] = []

    def run(place: Path) -> None:
        try:
            publish(place, dandiset=shared, instance=archive.url, max_wait_s=0)
        except CellTypeError as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(place,)) for place in (folder, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert is_whole(archive, folder, shared)


def plain_files(folder: Path, target: Path, n_files: int) -> list[LocalFile]:
    """Small files, no two alike, as they are after the checks."""
    from dandi.files import dandi_file

    checked = check_folder(folder, accept_model_licence=False, progress=lambda *_: None).files[0]
    files = []
    for k in range(n_files):
        path = f"sub-m1/sub-m1_ses-{k}_ecephys.nwb"
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"labels %d" % k)
        asset = dandi_file(file, target)
        etag = asset.get_digest().value
        metadata = {**checked.metadata, "path": path, "digest": {"dandi:dandi-etag": etag}}
        files.append(LocalFile(file, path, file.stat().st_size, asset=asset, etag=etag, metadata=metadata))
    return files


def test_two_publishers_at_once_send_little_twice(folder: Path, archive: DandiDouble, tmp_path: Path) -> None:
    """Both begin with the same file, and then each goes its own way through the rest."""
    shared, n_files = archive.add_dandiset(name="Shared"), 24
    archive.faults.latency(0.02, "/s3/", method="PUT")
    files = plain_files(folder, tmp_path / "many", n_files)
    done = []

    def run() -> None:
        instance = find_instance(archive.url)
        with open_client(instance, token=archive.token) as client:
            dandiset = client.get_dandiset(shared, "draft")
            done.append(send_files(files, dandiset, instance, jobs=1, progress=lambda *_: None))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(one) for one in done] == [n_files, n_files]
    assert len(archive.state.assets_of(archive.dandiset(shared).draft)) == n_files
    assert n_files <= len(archive.requests("s3", "PUT")) < 1.5 * n_files


def test_one_folder_is_published_by_one_process(folder: Path, archive: DandiDouble, send: Publish) -> None:
    with DandisetFolder(folder).only_publisher(), pytest.raises(RefusedError, match="Another process is publishing"):
        send(dandiset="new")
    assert not archive.state.dandisets


def test_a_file_that_changes_while_it_is_sent(
    folder: Path, archive: DandiDouble, send: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nwb_celltype.publishing import publication

    whole = publication.send_files

    def after_a_change(files: object, *rest: object, **options: object) -> object:
        with (folder / FIRST).open("ab") as handle:
            handle.write(b"more")
        return whole(files, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(publication, "send_files", after_a_change)
    with pytest.raises(InputError, match=f"{FIRST} was changed while it was sent"):
        send(dandiset="new", jobs=1)
    assert not archive.state.assets


@pytest.mark.parametrize(
    ("method", "part", "moment"),
    [
        ("POST", "/dandisets/", "after"),  # the dandiset is made, and nobody has noted its number
        ("POST", "/validate/", "after"),  # the bytes are up, the asset is not
    ],
)
def test_a_kill_and_a_second_call(
    folder: Path, archive: DandiDouble, send: Publish, method: str, part: str, moment: str
) -> None:
    command = [sys.executable, "-m", "tests.publishing.killed_publisher", str(folder), method, part, moment]
    killed = subprocess.run(command, cwd=ROOT, env=os.environ | archive.env, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    n_blobs = len(archive.state.blobs)
    assert send(dandiset="new").dandiset == "000001"
    assert list(archive.state.dandisets) == ["000001"]
    assert is_whole(archive, folder)
    assert len(archive.state.blobs) == 2
    assert len(archive.requests("s3", "PUT")) == 2
    assert n_blobs <= 1
    assert draft_of(archive)["name"] == "Cell types of two made-up sessions"
