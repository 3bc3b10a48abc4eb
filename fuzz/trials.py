"""One input and what came of it: nothing, or a finding; and which lines of the parser were reached."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import traceback
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz.targets import Target

PACKAGE = Path(__file__).resolve().parents[1] / "nwb_celltype"
HANG_S = 10
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pickle.find_class",
             "socket.connect", "webbrowser.open", "shutil.rmtree.outside")  # fmt: skip
"""What no parser may do, whatever it reads."""

_state = {"watches": False}


class Hang(BaseException):
    """An input took longer than any should."""


@dataclass(frozen=True)
class Finding:
    """An input that was not answered as it should: what happened, where, and the input."""

    what: str
    where: str
    data: bytes


class Trials:
    """Runs a target in a folder of its own; counts, and keeps the shortest input of each finding."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.n = 0
        self.findings: dict[str, Finding] = {}
        self.lines: set[tuple[str, int]] = set()
        self._folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self._files = {str(PACKAGE / name) for name in target.modules}

    def __enter__(self) -> Trials:
        self.warm()
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def one(self, data: bytes, *, traces: bool = False) -> Finding | None:
        """Give one input to the target."""
        self.n += 1
        finding = None
        try:
            with warnings.catch_warnings(), _limits(), self._tracing(traces):
                warnings.simplefilter("error")
                self.target.call(data, self._folder)
        except (Exception, Hang) as error:
            finding = self._judge(error, data)
        finally:
            self._empty()
        if finding is not None:
            known = self.findings.get(finding.where)
            if known is None or len(data) < len(known.data):
                self.findings[finding.where] = finding
        return finding

    def coverage(self) -> tuple[int, int]:
        """Lines of the parser that were reached, and lines that there are."""
        there = {(name, line) for name in self._files for line in _executable(Path(name))}
        return len(self.lines & there), len(there)

    def warm(self) -> None:
        """Give it the seeds once without watching: what is imported by that may do what a parser may not."""
        for data in self.target.seeds:
            with suppress(Exception):
                self.target.call(data, self._folder)
            self._empty()

    def _empty(self) -> None:
        for entry in self._folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()

    def _judge(self, error: BaseException, data: bytes) -> Finding | None:
        from nwb_celltype.errors import CellTypeError

        if isinstance(error, CellTypeError):
            text = str(error)
            if len(text) > 10 and len(text) < 20_000:
                return None
            return Finding(f"no sentence: {text[:80]!r}", "no sentence", data)
        frames = [f for f in traceback.extract_tb(error.__traceback__) if str(PACKAGE) in f.filename]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "outside"
        return Finding(f"{type(error).__name__}: {str(error)[:200]}", f"{type(error).__name__} {where}", data)

    @contextmanager
    def _tracing(self, is_on: bool) -> Iterator[None]:
        if not is_on:
            yield
            return

        def local(frame: types.FrameType, event: str, _: Any) -> Any:
            if event == "line":
                self.lines.add((frame.f_code.co_filename, frame.f_lineno))
            return local

        def begin(frame: types.FrameType, _event: str, _: Any) -> Any:
            return local if frame.f_code.co_filename in self._files else None

        before = sys.gettrace()
        sys.settrace(begin)
        try:
            yield
        finally:
            sys.settrace(before)


@contextmanager
def _limits() -> Iterator[None]:
    """Limit the time, and see to it that nothing is run or reached."""

    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    _state["watches"] = True
    try:
        yield
    finally:
        _state["watches"] = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _state["watches"] and event in FORBIDDEN:
        message = f"{event} {arguments!r:.100}"
        raise PermissionError(message)


def _executable(path: Path) -> set[int]:
    """Lines inside functions that hold code; what is run at import is run by any input."""
    found: set[int] = set()
    todo = [compile(path.read_text(encoding="utf-8"), str(path), "exec")]
    while todo:
        code = todo.pop()
        if code.co_flags & 0x2:  # a function, neither the module nor a class
            found |= {line for _, _, line in code.co_lines() if line and line != code.co_firstlineno}
        todo += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return found


sys.addaudithook(_watch)
