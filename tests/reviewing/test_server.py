"""Who may talk to the server: this machine, with the secret, from the page."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from nwb_celltype.errors import UsageError
from nwb_celltype.reviewing.access import Access, close_door, open_door
from nwb_celltype.reviewing.reviewers import Reviewer
from nwb_celltype.reviewing.sessions import Asked, ReviewSession

httpx = pytest.importorskip("httpx", reason="httpx is not installed")
pytest.importorskip("fastapi", reason="fastapi is not installed")

ACCESS = Access(4321, "secret-of-the-test")
HOST = "http://127.0.0.1:4321"
GOOD = {"X-Review-Token": ACCESS.token, "Origin": HOST, "Content-Type": "application/json"}


@pytest.fixture(scope="module")
def app(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from nwb_celltype.reviewing.server import make_app

    file = tmp_path_factory.mktemp("server") / "session.nwb"
    file.write_bytes(template.read_bytes())
    with ReviewSession(Asked(file, explain=False), Reviewer("Jane Doe")) as session:
        yield make_app(session, ACCESS)


def send(app: Any, method: str, path: str, headers: dict[str, str] | None = None, base: str = HOST, **more: Any) -> Any:
    async def once() -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base) as client:
            return await client.request(method, path, headers=headers or {}, **more)

    # in a thread of its own: the browser of other tests keeps an event loop in this one
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, once()).result()


def test_the_page_comes_with_its_policy(app: Any) -> None:
    page = send(app, "GET", f"/?token={ACCESS.token}")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in page.headers
    assert "set-cookie" not in page.headers
    for script in ("drawing.js", "panels.js", "review.js", "panels.css"):
        assert send(app, "GET", f"/static/{script}").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/?token=", "/?token=wrong", "/?token=%00", "/?token=a&token=secret-of-the-test"]
)
def test_the_page_is_not_given_out_without_the_secret(app: Any, path: str) -> None:
    assert send(app, "GET", path).status_code == 403


@pytest.mark.parametrize("path", ["/api/review", "/api/units", "/api/state", "/api/runs"])
def test_nothing_is_read_without_the_secret(app: Any, path: str) -> None:
    answer = send(app, "GET", path)
    assert answer.status_code == 403
    assert ACCESS.token not in answer.text
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("host", ["evil.example:4321", "127.0.0.1:4322", "127.0.0.1", "127.0.0.1.evil.example:4321"])
def test_another_name_for_this_machine_is_refused(app: Any, host: str) -> None:
    base = f"http://{host}"
    assert send(app, "GET", f"/?token={ACCESS.token}", base=base).status_code == 421
    assert send(app, "GET", "/api/review", GOOD, base=base).status_code == 421


def test_localhost_is_this_machine(app: Any) -> None:
    assert send(app, "GET", f"/?token={ACCESS.token}", base="http://localhost:4321").status_code == 200


@pytest.mark.parametrize("path", ["/api/events", "/api/save", "/api/agreement"])
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"X-Review-Token": "wrong"}, 403),
        ({"X-Review-Token": None}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": None}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Length": "99999999"}, 413),
    ],
)
def test_nothing_is_written_from_elsewhere(app: Any, path: str, change: dict[str, str | None], status: int) -> None:
    headers = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    answer = send(app, "POST", path, headers, content=b'{"events": []}')
    assert answer.status_code == status
    assert send(app, "GET", "/api/state", GOOD).json()["n"] == 0


def test_a_page_of_elsewhere_reads_nothing_even_with_the_secret(app: Any) -> None:
    assert send(app, "GET", "/api/review", {**GOOD, "Origin": "http://evil.example"}).status_code == 403
    assert send(app, "OPTIONS", "/api/events", {**GOOD, "Origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize("path", ["/static/../server.py", "/static/%2e%2e%2fserver.py", "/static/none.js", "/docs"])
def test_only_the_files_of_the_page_are_given_out(app: Any, path: str) -> None:
    assert send(app, "GET", path, GOOD).status_code in (403, 404)


def test_requests_that_make_no_sense_get_a_sentence(app: Any) -> None:
    for content in (b'{"events": 3}', b'{"events": [3]}', b'{"events": ' + json.dumps([{}] * 501).encode() + b"}"):
        answer = send(app, "POST", "/api/events", GOOD, content=content)
        assert answer.status_code == 422
        assert "500 events" in answer.json()["error"]
    assert send(app, "POST", "/api/events", GOOD, content=b"not json").status_code == 422
    answer = send(app, "POST", "/api/save", GOOD, content=b"{}")
    assert (answer.status_code, answer.json()["error"]) == (409, "Nothing is decided yet, so there is nothing to save.")
    answer = send(app, "POST", "/api/agreement", GOOD, content=b'{"runs": ["none", "one"]}')
    assert answer.status_code == 422


def test_units_and_decisions_go_through(app: Any) -> None:
    overview = send(app, "GET", "/api/review", GOOD).json()
    assert len(overview["units"]) == 12
    assert "waveform" not in overview["units"][0]
    units = send(app, "GET", "/api/units?first=10&n=20", GOOD).json()
    assert [unit["id"] for unit in units] == [40, 43]
    assert units[0]["waveform"]["channels"]
    event = {"id": str(uuid4()), "kind": "note", "unit": 40, "note": "hello"}
    answer = send(app, "POST", "/api/events", GOOD, json={"events": [event], "since": 0}).json()
    assert [said["note"] for said in answer["events"]] == ["hello"]
    assert answer["refused"] == []


def test_the_secret_outlives_a_kill_but_not_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NWB_CELLTYPE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "s.nwb"
    first, listener = open_door(file)
    assert listener.getsockname()[0] == "127.0.0.1"
    listener.close()
    again, listener = open_door(file)
    assert again == first
    stored = next((tmp_path / "cache").rglob("*.access.json"))
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    with pytest.raises(UsageError, match=f"Port {again.port} .* cannot be used"):
        open_door(tmp_path / "other.nwb", again.port)
    other, second = open_door(file)  # the port of last time is taken: another, and the page must be opened anew
    assert other.port != first.port
    second.close()
    listener.close()
    close_door(file, again)
    fresh, listener = open_door(file)
    listener.close()
    assert fresh.port == first.port
    assert fresh.token != first.token
    assert len(fresh.token) >= 40
