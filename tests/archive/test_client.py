"""A server whose answers and lists have no end, are packed, or are no answers: told soon, with its name."""

from __future__ import annotations

import gzip
import json
import resource
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from nwb_celltype.archive import client as clients
from nwb_celltype.archive import instances
from nwb_celltype.archive.addresses import DandiAddress
from nwb_celltype.archive.assets import list_assets
from nwb_celltype.archive.dandisets import find_dandiset
from nwb_celltype.archive.instances import Instance, find_instance, open_client
from nwb_celltype.errors import InputError, NetworkError
from nwb_celltype.finding import find

MB = 1 << 20
ROW = {"identifier": "000001", "path": "a.nwb", "asset_id": "1", "size": 1, "metadata": {}}


class Hostile:
    """An archive that says what it is, and answers everything else by `answer`."""

    def __init__(self) -> None:
        self.answer: Callable[[BaseHTTPRequestHandler], None] = lambda _: None
        self.answers_info = True
        self.seen: list[tuple[str, str]] = []
        hostile = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hostile.seen.append((self.path, self.headers.get("Authorization", "")))
                if hostile.answers_info and self.path in ("/api/info/", "/server-info", "/api/auth/token"):
                    services = {"api": {"url": f"{hostile.url}/api"}}
                    said = {"version": "0.99.0", "cli-minimal-version": "0.1.0", "cli-bad-versions": []}
                    reply(self, json.dumps(said | {"services": services}).encode())
                else:
                    hostile.answer(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"
        self.address = DandiAddress("000001", "draft", instance=self.url)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def reply(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def say(content: Any) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda handler: reply(handler, json.dumps(content).encode())


def endless(status: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", "/elsewhere")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"[" * 65536)
        except OSError:
            return

    return answer


def bomb(packing: str) -> Callable[[BaseHTTPRequestHandler], None]:
    raw = bytes(60 * MB)
    body = gzip.compress(raw, 9) if "gzip" in packing else zlib.compress(raw, 9)
    if packing == "gzip, gzip":
        body = gzip.compress(body)
    return lambda handler: reply(handler, body, Content_Encoding=packing)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hostile]:
    monkeypatch.setattr(clients, "MOST_BYTES", 20 * MB)
    monkeypatch.setattr("dandi.dandiapi.REQUEST_RETRIES", 2)
    monkeypatch.setattr(instances.time, "sleep", lambda _: None)
    server = Hostile()
    yield server
    server.close()


@pytest.mark.parametrize("status", [200, 307, 404])
def test_an_answer_without_end_is_cut(status: int, server: Hostile) -> None:
    server.answer = endless(status)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(NetworkError, match=rf"{server.host} answers with more than 20 MiB.*Check its address"):
        list_assets(server.address)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


def test_what_it_says_of_itself_has_an_end_too(server: Hostile) -> None:
    server.answers_info, server.answer = False, endless(200)
    with pytest.raises(NetworkError, match=f"{server.host} answers with more than 20 MiB"):
        find_instance(server.url)


def test_also_when_only_the_second_question_is_answered_so(server: Hostile) -> None:
    instances._reached.add(f"{server.url}/api")
    server.answers_info, server.answer = False, endless(200)
    with pytest.raises(NetworkError, match=f"{server.host} answers with more than 20 MiB"):
        find_instance(server.url)


@pytest.mark.parametrize(("packing", "said"), [
    ("gzip", "answers with more than 20 MiB"), ("deflate", "answers with more than 20 MiB"),
    ("gzip, gzip", "packs its answer in a way"), ("br", "packs its answer in a way"),
    ("zstd", "packs its answer in a way"),
])  # fmt: skip
def test_bombs_are_not_unpacked(packing: str, said: str, server: Hostile) -> None:
    server.answer = bomb(packing)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(NetworkError, match=f"{server.host} {said}"):
        find_dandiset(server.address)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


def test_an_answer_that_drips_is_left(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    pause = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(1000):
                handler.wfile.write(b"1" * clients._PIECE)
                pause.wait(0.02)
        except OSError:
            return

    server.answer = drip
    find_instance(server.url)
    monkeypatch.setattr(clients, "LONGEST_S", 0.2)
    with pytest.raises(NetworkError, match=rf"{server.host} took more than 0 s for one answer"):
        find_dandiset(server.address)


def lists(pages: Callable[[str], dict[str, Any]]) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda handler: say({"count": None, "results": [ROW], "next": None} | pages(handler.path))(handler)


@pytest.mark.parametrize("following", ["?page_size=1000&cursor=x", "/api/other/?page=1", "http://elsewhere.test/?a=b"])
def test_pages_in_a_circle(following: str, server: Hostile) -> None:
    server.answer = lists(lambda _: {"next": following})
    with pytest.raises(NetworkError, match=f"{server.host}, the list at .*assets/: its pages lead in a circle"):
        list_assets(server.address)
    assert len([path for path, _ in server.seen if "assets" in path]) == 2


def test_pages_without_end(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MOST_PAGES", 20)
    server.answer = lists(lambda _: {"next": f"/x?cursor={len(server.seen)}"})
    with pytest.raises(NetworkError, match="more than 20 pages, which no archive's list has"):
        list_assets(server.address)
    server.seen.clear()
    server.answer = lists(lambda _: {"next": "/x?page=2", "count": 10**12})
    with pytest.raises(NetworkError, match="more than 20 pages"):
        list_assets(server.address)
    assert len(server.seen) < 5
    with pytest.raises(NetworkError, match="more than 20 pages"):
        find(instance=server.url)


def test_a_list_of_many_large_pages(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MOST_LIST_BYTES", 5 * MB)
    server.answer = lists(lambda _: {"next": f"/x?cursor={len(server.seen)}", "results": [ROW | {"more": "x" * MB}]})
    with pytest.raises(NetworkError, match="it has more than 0 GiB"):
        list_assets(server.address)


def test_the_next_page_is_asked_of_the_same_server(server: Hostile) -> None:
    thief = Hostile()
    thief.answer = say({"count": 0, "results": [], "next": None})
    server.answer = lists(lambda path: {} if "cursor" in path else {"next": f"{thief.url}/api/loot/?cursor=2"})
    instance = Instance("hostile", f"{server.url}/api", "", "HOSTILE_API_KEY")
    with open_client(instance, token="a-token-to-keep") as client:
        assert len(list(client.paginate("/dandisets/000001/versions/draft/assets/"))) == 2
    assert not thief.seen
    assert server.seen[-1] == ("/api/dandisets/000001/versions/draft/assets/?cursor=2", "token a-token-to-keep")
    thief.close()


def test_pages_by_number_come_in_order(server: Hostile) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        number = int(handler.path.rpartition("page=")[2]) if "&page=" in handler.path else 1
        rows = [ROW | {"path": f"{1000 * (number - 1) + k:05d}.nwb"} for k in range(1000 if number < 8 else 5)]
        say({"count": 7005, "results": rows, "next": "http://other/x?page=2&page_size=1000"})(handler)

    server.answer = answer
    assert [asset.path for asset in list_assets(server.address)] == [f"{k:05d}.nwb" for k in range(7005)]


@pytest.mark.parametrize("content", [
    [], {}, 7, None, {"results": 3}, {"results": [3]}, {"results": [{}]}, {"results": [], "next": 5},
    {"results": [], "next": "nowhere"}, {"results": [ROW | {"size": "much"}]}, {"results": [ROW | {"size": [1]}]},
    {"results": [], "next": "/x?page=2", "count": "many"}, "[" * 100_000,
])  # fmt: skip
def test_answers_that_are_none(content: Any, server: Hostile) -> None:
    body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    server.answer = lambda handler: reply(handler, body)
    if content == {"results": [], "next": "/x?page=2", "count": "many"}:
        with pytest.raises(NetworkError, match="its pages lead in a circle"):
            list_assets(server.address)
    else:
        with pytest.raises(NetworkError, match=r"what came is no page|does not say where|is not what an archive says"):
            list_assets(server.address)
    with pytest.raises((NetworkError, InputError), match=r"While reading|does not describe"):
        find_dandiset(DandiAddress("000001", instance=server.url))
    with pytest.raises((NetworkError, InputError), match=r"While reading|does not describe"):
        find_dandiset(server.address)
