"""The process that does jobs in children: lets one end, kills it at an instant, or lets it meet a fault."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0


@dataclass
class Outcome:
    """What became of a child."""

    phases: list[tuple[str, float]] = field(default_factory=list)
    status: int | None = None
    began: float = 0.0
    ended: float = 0.0
    result: str = ""
    error: str = ""
    text: str = ""
    calls: int = 0

    @property
    def last(self) -> str:
        """The phase that it was in when it ended."""
        return self.phases[-1][0] if self.phases else ""

    def stretches(self) -> list[tuple[str, float, float]]:
        """Each phase with the seconds from the first announcement to it, and how long it took."""
        ends = [at for _, at in self.phases[1:]] + [self.ended]
        return [(name, at - self.phases[0][1], end - at) for (name, at), end in zip(self.phases, ends, strict=True)]


class Crew:
    """Children that do jobs, one after the other; see `victims`."""

    def __init__(self, *verbs: str, environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "tests.faults.victims", *verbs]
        own = {**os.environ, "DANDI_NO_ET": "1", **(environment or {})}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=own)
        self._rest = b""
        ready = self._line(time.monotonic() + PATIENCE_S)
        assert ready is not None
        assert ready["kind"] == "ready"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()

    def do(self, job: dict[str, Any], *, kill_after: tuple[str, int, float] | None = None) -> Outcome:
        """Let a child do a job; kill it some seconds after it has announced a phase for the n-th time (from 0)."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()
        outcome, child = Outcome(began=time.monotonic()), 0
        patience, due = time.monotonic() + PATIENCE_S, float("inf")
        while outcome.status is None:
            line = self._line(min(due, patience))
            if line is None:
                assert time.monotonic() < patience, f"stuck in {outcome.phases}"
                os.kill(child, signal.SIGKILL)
                due = float("inf")
                continue
            match line["kind"]:
                case "child":
                    child = line["pid"]
                case "phase":
                    outcome.phases.append((line["name"], line["at"]))
                case "result":
                    outcome.result = line["text"]
                case "calls":
                    outcome.calls = line["n"]
                case "failed":
                    outcome.error, outcome.text = line["error"], line["text"]
                case "end":
                    outcome.status, outcome.ended = line["status"], line["at"]
            if kill_after is not None and child:
                name, turn, delay = kill_after
                said = [at for word, at in outcome.phases if word == name]
                if len(said) > turn:
                    due, kill_after = said[turn] + delay, None
        return outcome

    def _line(self, due: float) -> dict[str, Any] | None:
        """The next line; `None` when it is due time first."""
        assert self.process.stdout is not None
        while b"\n" not in self._rest:
            left = due - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            got = os.read(self.process.stdout.fileno(), 65536)
            assert got, "the process is gone"
            self._rest += got
        line, _, self._rest = self._rest.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found
