"""The bucket behaves as S3 does, and the faults do what they say."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import requests

from . import DandiDouble
from .conftest import SUBJECT_PATH
from .recorded import Names

Stored = tuple[DandiDouble, str, str]
DATA = bytes(range(256)) * 40


@pytest.fixture
def stored(archive: DandiDouble) -> Stored:
    """An archive with one asset, its unsigned address and its API address."""
    identifier = archive.add_dandiset(name="Bytes")
    asset_id = archive.add_asset(identifier, "a.bin", DATA)
    return archive, archive.blob_url("a.bin"), f"{archive.api_url}/assets/{asset_id}/download/"


def get(url: str, method: str = "GET", **headers: str) -> requests.Response:
    return requests.request(method, url, headers=headers, timeout=5, allow_redirects=False)


def presigned(download: str) -> str:
    return get(download, "HEAD").headers["Location"]


# ---- the bucket


@pytest.mark.parametrize(
    ("span", "start", "stop"),
    [("0-0", 0, 1), ("10-19", 10, 20), ("10239-99999", 10239, 10240), ("-5", 10235, 10240), ("10000-", 10000, 10240)],
)
def test_ranges(stored: Stored, span: str, start: int, stop: int) -> None:
    _, url, _ = stored
    reply = get(url, Range=f"bytes={span}")
    assert reply.status_code == 206
    assert reply.content == DATA[start:stop]
    assert reply.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"


def test_a_range_behind_the_end_is_refused(stored: Stored) -> None:
    _, url, _ = stored
    reply = get(url, Range="bytes=10240-")
    assert reply.status_code == 416
    assert reply.headers["Content-Range"] == "bytes */10240"


@pytest.mark.parametrize("span", ["bytes=5-2", "lines=1-2", "bytes=0-1,4-5"])
def test_ranges_that_s3_ignores(stored: Stored, span: str) -> None:
    _, url, _ = stored
    reply = get(url, Range=span)
    assert (reply.status_code, len(reply.content)) == (200, len(DATA))


def test_head_tells_size_and_etag(stored: Stored) -> None:
    archive, url, _ = stored
    reply = get(url, "HEAD")
    blob = next(iter(archive.state.blobs.values()))
    assert reply.headers["ETag"] == f'"{blob.etag}"'
    assert reply.headers["Content-Length"] == "10240"
    assert get(url, **{"If-Match": '"other"'}).status_code == 412


def test_what_is_not_there(stored: Stored) -> None:
    archive, url, _ = stored
    assert "<Code>NoSuchKey</Code>" in get(f"{url}0").text
    assert get(f"{archive.s3_endpoint}/other-bucket/x").status_code == 404
    assert get(url, "DELETE").status_code == 403
    assert get(url, "PUT").status_code == 403


def test_a_body_of_unknown_length_is_refused(stored: Stored) -> None:
    _, url, _ = stored
    reply = requests.put(url, data=iter([b"some", b"bytes"]), timeout=5)
    assert reply.status_code == 411


def test_a_token_has_no_business_in_the_bucket(stored: Stored) -> None:
    archive, url, download = stored
    for address in (url, presigned(download)):
        assert get(address, Authorization=f"token {archive.token}").status_code == 400


def test_signatures_are_checked(stored: Stored) -> None:
    _, _, download = stored
    url = presigned(download)
    assert get(url).content == DATA
    # signed for GET only
    assert get(url, "HEAD").status_code == 403
    for wrong in (
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.replace("a.bin", "b.bin"),
        url.replace("21600", "99999"),
    ):
        reply = get(wrong)
        assert reply.status_code == 403
        assert "<Code>SignatureDoesNotMatch</Code>" in reply.text


def test_the_log_keeps_no_secret(stored: Stored) -> None:
    archive, _, download = stored
    get(presigned(download), Authorization="", Range="bytes=0-9")
    get(f"{archive.api_url}/auth/token/", Authorization=f"token {archive.token}")
    assert "Signature" not in repr(archive.log)
    assert archive.token not in repr(archive.log)


def test_the_log_tells_each_request(stored: Stored) -> None:
    archive, url, _ = stored
    get(url, Range="bytes=0-9")
    entry = archive.log[-1]
    assert (entry.side, entry.method, entry.range, entry.status, entry.bytes) == ("s3", "GET", "bytes=0-9", 206, 10)
    get(f"{archive.api_url}/dandisets/?draft=true", Authorization=f"token {archive.token}")
    entry = archive.log[-1]
    assert (entry.side, entry.path, entry.query) == ("api", "/api/dandisets/", "draft=true")
    assert entry.user == "admin@example.org"
    assert archive.requests("s3", "GET", "blobs")[0].status == 206


def test_blobs_under_embargo_need_a_signature(archive: DandiDouble) -> None:
    identifier = archive.add_dandiset(name="Secret", embargo=True)
    asset_id = archive.add_asset(identifier, "a.bin", DATA)
    assert "<Code>AccessDenied</Code>" in get(archive.blob_url("a.bin")).text
    download = f"{archive.api_url}/assets/{asset_id}/download/"
    assert get(download).status_code == 401
    redirect = get(download, Authorization=f"token {archive.token}")
    assert get(redirect.headers["Location"]).content == DATA


def test_small_parts_can_be_chosen() -> None:
    with DandiDouble(part_size=1000) as archive:
        identifier = archive.add_dandiset(name="Parts")
        archive.add_asset(identifier, "a.bin", DATA)
        assert get(archive.blob_url("a.bin"), "HEAD").headers["ETag"].endswith('-11"')


# ---- faults


def test_a_burst_of_failures(stored: Stored) -> None:
    archive, url, _ = stored
    fault = archive.faults.status(503, "blobs", times=2, retry_after=3)
    replies = [get(url) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [503, 503, 200]
    assert replies[0].headers["Retry-After"] == "3"
    assert fault.hits == 2


def test_a_failure_can_wait_for_its_request_and_choose_the_method(stored: Stored) -> None:
    archive, url, _ = stored
    archive.faults.status(500, "blobs", method="HEAD", skip=1)
    assert [get(url, method).status_code for method in ("GET", "HEAD", "HEAD", "HEAD")] == [200, 200, 500, 200]


def test_a_download_that_is_cut(stored: Stored) -> None:
    archive, url, _ = stored
    archive.faults.cut(100)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        get(url)
    assert archive.log[-1].bytes == 100
    assert get(url).content == DATA


def test_wrong_etags_and_wrong_bytes(stored: Stored) -> None:
    archive, url, _ = stored
    right = get(url).headers["ETag"]
    archive.faults.wrong_etag()
    archive.faults.corrupt(skip=1)
    first, second, third = get(url), get(url), get(url)
    assert first.headers["ETag"] != right
    assert first.content == DATA
    assert second.headers["ETag"] == right
    assert second.content == b"\1" + DATA[1:]
    assert (third.headers["ETag"], third.content) == (right, DATA)


def test_servers_without_ranges(stored: Stored) -> None:
    archive, url, _ = stored
    archive.faults.no_ranges()
    reply = get(url, Range="bytes=0-9")
    assert (reply.status_code, len(reply.content)) == (200, len(DATA))
    assert "Accept-Ranges" not in reply.headers


def test_presigned_addresses_expire_on_demand(stored: Stored) -> None:
    archive, _, download = stored
    old = presigned(download)
    archive.faults.expire_signatures()
    reply = get(old)
    assert reply.status_code == 403
    assert "Request has expired" in reply.text
    assert get(presigned(download)).status_code == 200


def test_presigned_addresses_expire_after_uses(stored: Stored) -> None:
    archive, _, download = stored
    archive.faults.limit_signatures(uses=2)
    url = presigned(download)
    assert [get(url).status_code for _ in range(3)] == [200, 200, 403]
    assert get(presigned(download)).status_code == 200


def test_presigned_addresses_expire_with_time(stored: Stored) -> None:
    archive, _, download = stored
    archive.faults.limit_signatures(lifetime=0.05)
    url = presigned(download)
    time.sleep(0.07)
    assert get(url).status_code == 403


def test_a_token_that_is_revoked(stored: Stored) -> None:
    archive, _, _ = stored
    archive.faults.revoke_token(archive.token, after=2)
    url = f"{archive.api_url}/auth/token/"
    replies = [get(url, Authorization=f"token {archive.token}").status_code for _ in range(4)]
    assert replies == [200, 200, 401, 401]


def test_validation_that_never_ends(archive: DandiDouble, nwb_file: Path) -> None:
    archive.faults.stick_validation("m1")
    identifier = archive.add_dandiset(name="Stuck", files={SUBJECT_PATH: nwb_file})
    archive.settle()
    document = get(f"{archive.api_url}/dandisets/{identifier}/versions/draft/info/").json()
    assert document["status"] == "Pending"
    assert document["asset_validation_errors"][0]["path"] == SUBJECT_PATH
    archive.faults.clear()
    assert get(f"{archive.api_url}/dandisets/{identifier}/versions/draft/info/").json()["status"] == "Valid"


def test_validation_errors_of_choice(archive: DandiDouble, nwb_file: Path) -> None:
    archive.faults.add_validation_error("m1", "no such age", field="wasAttributedTo.0.age")
    identifier = archive.add_dandiset(name="Wrong", files={SUBJECT_PATH: nwb_file})
    document = get(f"{archive.api_url}/dandisets/{identifier}/versions/draft/info/").json()
    assert document["asset_validation_errors"] == [
        {"field": "wasAttributedTo.0.age", "message": "no such age", "path": SUBJECT_PATH}
    ]
    reply = get(
        f"{archive.api_url}/dandisets/{identifier}/versions/draft/publish/",
        "POST",
        Authorization=f"token {archive.token}",
    )
    assert (reply.status_code, reply.json()) == (400, "Dandiset metadata or asset metadata is not valid")


def test_latency_and_slow_downloads(stored: Stored) -> None:
    archive, url, _ = stored
    archive.faults.latency(0.1, times=1)
    started = time.monotonic()
    get(url)
    assert time.monotonic() - started >= 0.1
    archive.faults.slow(100_000)
    started = time.monotonic()
    assert get(url).content == DATA
    assert time.monotonic() - started >= 0.1


def test_bytes_that_are_replaced(stored: Stored) -> None:
    archive, url, download = stored
    old = get(url).headers["ETag"]
    archive.replace_bytes("000001", "a.bin", b"other")
    assert get(presigned(download)).content == b"other"
    assert get(url).content == DATA
    archive.overwrite_blob(url.rpartition("/")[2], b"third")
    reply = get(url)
    assert reply.content == b"third"
    assert reply.headers["ETag"] != old


def test_a_mistake_of_the_double_is_told(archive: DandiDouble, capsys: pytest.CaptureFixture[str]) -> None:
    reply = requests.post(
        f"{archive.api_url}/uploads/initialize/",
        json={"digest": {}, "contentSize": 1, "dandiset": "000001"},
        headers={"Authorization": f"token {archive.token}"},
        timeout=5,
    )
    assert reply.status_code == 500
    assert "KeyError" in capsys.readouterr().err


# ---- the comparison that test_trace.py relies on


@pytest.mark.parametrize(
    ("recorded", "ours"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": None}, {"a": []}),
        (["x"], ["x", "x"]),
        ("Pending", "Valid"),
        ("2026-11-21T02:37:27.829603Z", "2026-11-21T02:37:27.829603+00:00"),
        ("000409", 409),
        ("blobs/123/456/12345678-1111-1111-1111-111111111111", "blobs/12345678-1111-1111-1111-111111111111"),
    ],
)
def test_differences_are_seen(recorded: Any, ours: Any) -> None:
    assert Names().differences(recorded, ours)


def test_names_are_learned_once_and_for_all() -> None:
    first, second = (f"{digit * 8}-1111-1111-1111-111111111111" for digit in "12")
    names = Names()
    assert names.differences({"id": first}, {"id": second}) == []
    assert names.translate(f"/assets/{first}/") == f"/assets/{second}/"
    assert names.differences({"id": first}, {"id": first})
    assert names.differences({"id": second}, {"id": second})
    assert names.differences("2026-11-21T02:37:27Z", "2030-01-01T00:00:00Z") == []
