"""Fixtures: an annotated file made once, a server that can be killed, a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..browser.conftest import browser  # noqa: F401  the same browser as for the report
from .files import annotated_file

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="package")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve units, the run of a classifier and a rule's."""
    return annotated_file(tmp_path_factory.mktemp("template") / "session.nwb")


@pytest.fixture
def file(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private copy, and a private cache."""
    monkeypatch.setenv("NWB_CELLTYPE_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copyfile(template, tmp_path / "session.nwb"))


@pytest.fixture
def no_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out pynwb's validator, which takes most of the time, where it is not what is tested."""
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])


class Server:
    """A review in a process of its own."""

    def __init__(self, parent: subprocess.Popen[str]) -> None:
        self._parent = parent
        self.pids: list[int] = []
        self.pid = 0

    def start(self, file: Path, by: str = "Jane Doe") -> str:
        """Begin a review; its address."""
        assert self._parent.stdin is not None
        print(file, by, sep="\t", file=self._parent.stdin, flush=True)
        word, rest = self._next()
        assert word == "child", rest
        self.pid = int(rest)
        self.pids.append(self.pid)
        word, rest = self._next()
        assert word == "ready", rest
        return rest

    def stop(self, signal: int) -> int:
        """End it; how it ended."""
        os.kill(self.pid, signal)
        word, rest = self._next()
        while word == "done":
            word, rest = self._next()
        assert word == "end", rest
        self.pids.remove(self.pid)
        return int(rest)

    def _next(self) -> tuple[str, str]:
        assert self._parent.stdout is not None
        word, _, rest = self._parent.stdout.readline().strip().partition(" ")
        return word, rest


@pytest.fixture(scope="package")
def parent_process(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A process that has imported everything, and forks a server on command."""
    pytest.importorskip("fastapi", reason="fastapi is not installed")
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    folder = tmp_path_factory.mktemp("warm")
    warm = shutil.copyfile(template, folder / "session.nwb")
    environment = {**os.environ, "NWB_CELLTYPE_CACHE": str(folder / "cache"), "DANDI_NO_ET": "1"}
    command = [sys.executable, "-m", "tests.reviewing.server_process", str(warm)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("warm")
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def server(parent_process: subprocess.Popen[str]) -> Iterator[Server]:
    """A server that the test may kill."""
    server = Server(parent_process)
    yield server
    for _ in list(server.pids):
        server.stop(9)


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[[str], Any]]:  # noqa: F811
    """Open an address in a tab of its own browser profile; whatever goes wrong on the page fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    problems: list[str] = []

    def open_address(url: str) -> Any:
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(("http://127.0.0.1:", "data:")) else problems.append(asked.url),
        )
        page.problems = problems
        page.goto(url)
        page.locator("html[data-ready]").wait_for()
        return page

    yield open_address
    context.close()
    assert problems == []
