"""A server on loopback that wants the token, the memory or the disk of who asks it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nwb_celltype.archive.downloads import download
from nwb_celltype.archive.instances import Instance, open_client
from nwb_celltype.archive.transport import RangeSource, RetryPolicy
from nwb_celltype.errors import InputError

SECRET = "a-token-to-keep"
HASTY = RetryPolicy(n_retries=1, first_wait_s=0.001, longest_wait_s=0.002, read_timeout_s=1.0)
BOMB = gzip.compress(bytes(50_000_000))


class Hostile:
    """Answers by the first part of the path; remembers what it was sent."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.elsewhere = ""
        hostile = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hostile.seen.append((self.path, dict(self.headers)))
                getattr(self, "answer_" + self.path.strip("/").split("/")[0], self.answer_api)()

            do_POST = do_GET

            def answer_api(self) -> None:
                if "/info" in self.path or "/auth" in self.path:
                    url = f"http://127.0.0.1:{self.server.server_port}"
                    services = {"api": {"url": url + "/api"}, "webui": {"url": url}}
                    self._send(200, json.dumps({"version": "0.99.0", "cli-minimal-version": "0.1.0",
                                                "cli-bad-versions": [], "services": services}).encode())  # fmt: skip
                else:
                    self._redirect()

            def answer_moved(self) -> None:
                self._redirect()

            def _redirect(self) -> None:
                self.send_response(307)
                self.send_header("Location", hostile.elsewhere)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def answer_endless(self) -> None:
                self.send_response(206)
                self.send_header("Content-Range", "bytes 0-99/100000")
                self.end_headers()
                try:
                    for _ in range(10_000):
                        self.wfile.write(bytes(65536))
                except OSError:
                    return

            def answer_bomb(self) -> None:
                self.send_response(206)
                self.send_header("Content-Encoding", "gzip")
                self.send_header("Content-Range", f"bytes 0-{len(BOMB) - 1}/{len(BOMB)}")
                self.send_header("Content-Length", str(len(BOMB)))
                self.end_headers()
                self.wfile.write(BOMB)

            def answer_huge(self) -> None:
                self.send_response(206)
                self.send_header("Content-Range", f"bytes 0-0/{10**15}")
                self.send_header("Content-Length", "1")
                self.end_headers()
                self.wfile.write(b"x")

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def heard(self) -> str:
        """All that it was sent."""
        return repr(self.seen)


@pytest.fixture
def thief() -> Iterator[Hostile]:
    server = Hostile()
    yield server
    server.close()


@pytest.fixture
def server(thief: Hostile) -> Iterator[Hostile]:
    server = Hostile()
    server.elsewhere = thief.url + "/loot"
    yield server
    server.close()


@pytest.mark.parametrize("other", ["port", "host"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_archive_s_client_takes_the_token_nowhere_else(
    method: str, other: str, server: Hostile, thief: Hostile
) -> None:
    if other == "host":
        server.elsewhere = server.elsewhere.replace("127.0.0.1", "localhost")
    thief.elsewhere = thief.url + "/api/info/"
    instance = Instance("hostile", server.url + "/api", "", "HOSTILE_API_KEY")
    with open_client(instance, token=SECRET) as client:
        client.request(method, "/dandisets/", json_resp=False)
    assert f"token {SECRET}" in server.heard(), "the archive itself is told"
    assert thief.seen
    assert SECRET not in thief.heard()


@pytest.mark.parametrize("other", ["port", "host"])
def test_ranges_take_no_header_elsewhere(other: str, server: Hostile, thief: Hostile) -> None:
    elsewhere = f"{thief.url}/endless"
    server.elsewhere = elsewhere if other == "port" else elsewhere.replace("127.0.0.1", "localhost")
    source = RangeSource(server.url + "/moved/a", name="a", policy=HASTY, headers={"Authorization": f"token {SECRET}"})
    source.fetch(0, 100)
    assert SECRET in server.heard()
    assert thief.seen
    assert SECRET not in thief.heard()


def test_https_is_not_left_for_http() -> None:
    """Neither by the ranges that this package reads, nor by the client of the archive."""
    import requests

    from nwb_celltype.archive.transport import _host

    assert _host("https://archive.org/a") != _host("http://archive.org/a")
    for later in ("http://archive.org/a", "https://archive.org:8443/a", "https://archive.org.evil.net/a"):
        assert requests.Session().should_strip_auth("https://archive.org/a", later), later


def test_what_is_packed_is_not_unpacked(server: Hostile) -> None:
    """A small answer cannot become a large one."""
    with pytest.raises(InputError, match="compresses it"):
        RangeSource(server.url + "/bomb", name="a", policy=HASTY).fetch(0, len(BOMB))


def test_no_more_is_taken_than_was_asked_for(server: Hostile) -> None:
    source = RangeSource(server.url + "/endless", name="a", policy=HASTY)
    assert source.fetch(0, 100) == bytes(100)
    assert source.statistics.n_bytes <= 100 * source.statistics.n_requests


def test_a_size_that_no_disk_has_is_refused_before_it_is_taken(server: Hostile, tmp_path: Path) -> None:
    source = RangeSource(server.url + "/huge", name="a.nwb", policy=HASTY)
    with pytest.raises(InputError, match="needs 1000000000 MB more"):
        download(source, tmp_path / "a.nwb", sha256="0" * 64)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0
