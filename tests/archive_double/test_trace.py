"""The double answers as the archive did whose exchanges were recorded."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import requests

from . import DandiDouble
from .recorded import Names
from .records import multipart_etag
from .state import JobKind

TRACE = Path(__file__).parents[3] / "shared" / "reference" / "dandi_trace.jsonl"
# the server was started afresh between these two exchanges
RESTART = 138
RECORDED_HEADERS = ("Location", "ETag", "Content-Range", "Accept-Ranges", "Content-Disposition", "WWW-Authenticate")

# Exchanges that are not compared, by number, and why. The list may only become shorter.
NOT_REPLAYED: dict[int, str] = {}

# The bytes were not recorded. Others of the same sizes stand in for them.
PART = 64 * 1024**2
SMALL, OTHER_SMALL = b"\x01" * 248_064, b"\x02" * 248_064
LARGE = [b"\x03" * PART, b"\x04" * PART, b"\x05" * 26_035_408]
ZARR_FILES = {
    ".zgroup": b'{\n    "zarr_format": 2\n}',
    ".zattrs": b"{}",
    "x/.zattrs": b"{}",
    "x/.zarray": b"z" * 300,
    "x/0": b"0" * 100,
    "x/1": b"1" * 93,
}
BODIES = {13: SMALL, 47: LARGE[0], 48: LARGE[1], 49: LARGE[2], 68: OTHER_SMALL}
RECORDED_PARTS = {
    "ba6c26c794183bfed0c06a7654408eea": [SMALL],
    "90a43bec3b851288e37ce33d9db09639": LARGE,
    "286ff1523dd0c8b8cd403096d6a2e7d5": [OTHER_SMALL],
}
RECORDED_SHA256 = {"2fa8a4cbe5f9029501f57e1e90ff29474ee8a369deef94356726388d920b4049": SMALL}
RECORDED_MD5 = {
    "9a5981a9ed64d346c83bfffdc491b09c": SMALL,
    "2434c15d178467ccdf4f986fb1eef8d4": OTHER_SMALL,
    "6bea394ea5a320581e252ffd7e6cd87a": LARGE[0],
    "ed6b7cb565e222d39db77ba923e4df5e": LARGE[1],
    "06df41e651d4e24fbf04f535ec37212a": LARGE[2],
}


@pytest.fixture(scope="module")
def trace() -> list[dict[str, Any]]:
    if not TRACE.exists():
        pytest.skip("the recorded exchanges are not in this checkout")
    return [json.loads(line) for line in TRACE.read_text().splitlines()]


def open_archive() -> DandiDouble:
    """An archive that does nothing by itself: the replay says when validation and publication are done."""
    return DandiDouble(validation_delay=math.inf, publish_delay=math.inf, schema_version="0.7.0", instance="DEV-DANDI")


@pytest.fixture(scope="module")
def digests() -> dict[str, str]:
    """Recorded digests, and those of the bytes that stand in."""
    md5s = {data: hashlib.md5(data) for data in RECORDED_MD5.values()}
    names = {recorded: md5s[data].hexdigest() for recorded, data in RECORDED_MD5.items()}
    for recorded, parts in RECORDED_PARTS.items():
        names[recorded] = multipart_etag([md5s[part].digest() for part in parts]).partition("-")[0]
    return names | {recorded: hashlib.sha256(data).hexdigest() for recorded, data in RECORDED_SHA256.items()}


class Replay:
    """Sends recorded requests to an archive and compares the answers."""

    def __init__(self, archive: DandiDouble, digests: dict[str, str], zarr_files: dict[str, bytes]) -> None:
        self.archive = archive
        self.zarr_files = zarr_files
        self.names = Names()
        self.names.tokens.update(digests)
        self.names.hosts = {
            "http://localhost:8000": archive.url,
            "http://localhost:8085": archive.url,
            "http://127.0.0.1:59000/dandi-dandisets": f"{archive.s3_endpoint}/{archive.bucket}",
            "http://dandi-dandisets.s3.amazonaws.com": f"{archive.s3_endpoint}/{archive.bucket}",
            "dandi-dandisets": archive.bucket,
        }

    def differences(self, number: int, exchange: dict[str, Any]) -> list[str]:
        """What differs in one exchange."""
        self.settle(exchange)
        with requests.request(
            exchange["method"],
            self.names.translate(exchange["url"]),
            headers=self.headers(exchange),
            data=self.body(number, exchange),
            allow_redirects=False,
            timeout=30,
        ) as reply:
            return self.compare(number, exchange, reply)

    def headers(self, exchange: dict[str, Any]) -> dict[str, str]:
        recorded = exchange["req_headers"]
        headers = {name: recorded[name] for name in ("Range", "Content-Type") if name in recorded}
        if "Authorization" in recorded:
            wrong = exchange["step"] == "bad_token"
            headers["Authorization"] = f"token {'wrong' if wrong else self.archive.token}"
        if exchange["method"] == "PUT" and "/zarr/" in exchange["url"]:
            headers["Content-MD5"] = base64_md5(self.zarr_files[zarr_path(exchange)])
        return headers

    def body(self, number: int, exchange: dict[str, Any]) -> bytes | None:
        recorded = exchange["req_body"]
        if number in BODIES:
            return BODIES[number]
        if isinstance(recorded, dict) and "_text" in recorded:
            return str(self.names.translate(recorded["_text"])).encode()
        if isinstance(recorded, dict) and "_stream" in recorded:
            return self.zarr_files[zarr_path(exchange)]
        if isinstance(recorded, list):
            ours = [{**entry, "base64md5": base64_md5(self.zarr_files[entry["path"]])} for entry in recorded]
            return json.dumps(ours).encode()
        return None if recorded is None else json.dumps(self.names.translate(recorded)).encode()

    def settle(self, exchange: dict[str, Any]) -> None:
        """Let the archive finish what it had finished when the answer was recorded."""
        body = exchange.get("resp_body")
        text = json.dumps(body)
        if '"dandi:sha2-256": "' in text or '"sha256": "' in text:
            self.archive.settle(("digest",))
        if not isinstance(body, dict):
            return
        listed = body.get("results") or [body]
        status = next((one["status"] for one in map(draft_of, listed) if one is not None), "")
        kinds: dict[str, tuple[JobKind, ...]] = {
            "Valid": ("digest", "asset", "version"),
            "Invalid": ("digest", "asset", "version"),
            "Published": ("publish",),
        }
        pending = "asset is currently being validated" in text
        if status == "Pending" and "asset_validation_errors" in body and not pending:
            self.archive.settle(("digest", "asset"))
        self.archive.settle(kinds.get(status, ()))

    def compare(self, number: int, exchange: dict[str, Any], reply: requests.Response) -> list[str]:
        if reply.status_code != exchange["status"]:
            return [f"status {exchange['status']} was recorded, the double has {reply.status_code}: {reply.text[:300]}"]
        found: list[str] = []
        recorded_headers = {name.lower(): value for name, value in exchange["resp_headers"].items()}
        for name in RECORDED_HEADERS:
            found += self.names.differences(recorded_headers.get(name.lower()), reply.headers.get(name), name)
        body = exchange.get("resp_body")
        if exchange["status"] == 200 and exchange["url"].endswith("/auth/token/"):
            return found + ([] if reply.json() == self.archive.token else ["another token"])
        if isinstance(body, dict) and "_len" in body:  # a page for people
            return found + ([] if reply.headers["Content-Type"].startswith("text/html") else ["no page"])
        if isinstance(body, dict) and "_text" in body:
            text = body["_text"].replace('encoding="utf-8"', 'encoding="UTF-8"')
            return found + self.names.differences(text, reply.text, "body")
        if body is None:
            if "dandi-dandisets" in exchange["url"] and exchange["method"] == "GET":
                length = int(recorded_headers["content-length"])
                return found + ([] if len(reply.content) == length else [f"{len(reply.content)} bytes"])
            return found + ([] if not reply.content else [f"a body: {reply.text[:100]}"])
        ours = reply.json()
        if exchange["url"].endswith("/api/info/"):
            body, ours = {**body, "version": ""}, {**ours, "version": ""}
        if "/assets/paths/" in exchange["url"]:
            # the number of the version in a database
            found += [f"version {one['version']!r}" for one in ours["results"] if type(one.pop("version")) is not int]
            for one in body["results"]:
                del one["version"]
        return found + self.names.differences(body, ours, "body")


def draft_of(document: Any) -> dict[str, Any] | None:
    """The draft that a recorded document tells the status of."""
    if not isinstance(document, dict):
        return None
    if "draft_version" in document:
        return document["draft_version"]  # type: ignore[no-any-return]
    return document if document.get("version") == "draft" and "status" in document else None


def zarr_path(exchange: dict[str, Any]) -> str:
    return str(exchange["url"]).partition("?")[0].split("/zarr/")[1].partition("/")[2]


def base64_md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


@pytest.fixture(scope="module")
def answers(trace: list[dict[str, Any]], digests: dict[str, str]) -> dict[int, list[str]]:
    """Differences of every exchange, by number."""
    found: dict[int, list[str]] = {}
    with open_archive() as archive:
        replay = Replay(archive, digests, ZARR_FILES)
        for number in range(RESTART):
            if number not in NOT_REPLAYED:
                found[number] = replay.differences(number, trace[number])
    with open_archive() as archive:
        # what the restarted server was given before the recording goes on
        identifier = archive.add_dandiset(name=trace[4]["req_body"]["name"], metadata=trace[4]["req_body"]["metadata"])
        path = "sub-m1/sub-m1_ecephys.nwb"
        archive.add_asset(identifier, path, SMALL, metadata=trace[141]["resp_body"])
        archive.publish(identifier)
        replay = Replay(archive, digests, ZARR_FILES)
        for number in range(RESTART, len(trace)):
            if number not in NOT_REPLAYED:
                found[number] = replay.differences(number, trace[number])
    return found


def test_every_exchange_is_replayed_or_named(trace: list[dict[str, Any]], answers: dict[int, list[str]]) -> None:
    assert len(trace) == 215
    assert set(answers) | set(NOT_REPLAYED) == set(range(len(trace)))
    for number, reason in NOT_REPLAYED.items():
        print(number, trace[number]["step"], trace[number]["method"], trace[number]["url"], reason)


def test_the_double_answers_as_recorded(trace: list[dict[str, Any]], answers: dict[int, list[str]]) -> None:
    wrong = [
        f"{number} {trace[number]['step']} {trace[number]['method']} {trace[number]['url'][:150]}: {line}"
        for number, lines in answers.items()
        for line in lines
    ]
    assert not wrong, "\n".join(wrong)
