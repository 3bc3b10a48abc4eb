"""``kill -9`` at instants spread over every phase of writing: the file is the old one or a valid new one.

``NWB_CELLTYPE_KILLS=500`` kills that many times at instants spread over the whole of writing, besides those here.
"""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nwb_celltype import read_runs
from nwb_celltype.nwb_io.safe_write import PHASES
from nwb_celltype.nwb_io.validation import validator_messages

from .compare import added, describe, differences
from .files import label_csv, plain

HITS = 3  # in each phase, at least
FRACTIONS = (0.05, 0.5, 0.85, 0.25, 0.7)
MORE = int(os.environ.get("NWB_CELLTYPE_KILLS", "0"))
PATIENCE_S = 60.0


@dataclass
class Outcome:
    """What became of a child: its phases with their moments, how it ended, and what it said at the end."""

    phases: list[tuple[str, float]] = field(default_factory=list)
    status: int | None = None
    end: float = 0.0
    run: str = ""


class Writers:
    """The process that forks writers."""

    def __init__(self, path: Path, labels: Path) -> None:
        command = [sys.executable, str(Path(__file__).with_name("killed_writer.py")), str(path), str(labels)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._rest = b""
        assert self._line()[0] == "ready"

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()

    def write(self, kill_in: str | None = None, delay: float = 0.0) -> Outcome:
        """Let one child write; kill it `delay` seconds after it has announced a phase."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()
        outcome, child, due = Outcome(), 0, float("inf")
        waiting = kill_in
        while outcome.status is None:
            line = self._line(due)
            if line is None:
                os.kill(child, signal.SIGKILL)
                due = float("inf")
                continue
            match line:
                case ["child", pid]:
                    child = int(pid)
                case ["phase", phase]:
                    outcome.phases.append((phase, time.monotonic()))
                case ["run", name, _]:
                    outcome.run = name
                case ["failed", *words]:
                    pytest.fail(" ".join(words))
                case ["end", status]:
                    outcome.status, outcome.end = int(status), time.monotonic()
            if waiting is not None and child and any(phase == waiting for phase, _ in outcome.phases):
                due, waiting = dict(outcome.phases)[waiting] + delay, None
        return outcome

    def _line(self, due: float = float("inf")) -> list[str] | None:
        """The next line, as words; `None` when it is due time first."""
        assert self.process.stdout is not None
        while b"\n" not in self._rest:
            left = min(due - time.monotonic(), PATIENCE_S)
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                assert due < float("inf"), "the writer is stuck"
                return None
            got = os.read(self.process.stdout.fileno(), 65536)
            assert got, "the writer is gone"
            self._rest += got
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode().split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("killed")


@pytest.fixture(scope="module")
def file(folder: Path) -> Path:
    """About 30 MB, so that copying takes measurable time."""
    return plain(folder / "session.nwb", megabytes=30)


@pytest.fixture(scope="module")
def writers(folder: Path, file: Path) -> Iterator[Writers]:
    found = Writers(file, label_csv(folder, {7: "PkC_ss", 9: "MLI"}))
    yield found
    found.close()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_killed_at_any_instant(folder: Path, file: Path, writers: Writers, capsys: pytest.CaptureFixture[str]) -> None:
    original = folder / "original"
    shutil.copyfile(file, original)
    before, old = sha256(file), describe(file)
    took = _durations(writers.write())
    hits, states = Counter[str](), Counter[str]()

    def trial(phase: str, delay: float) -> None:
        shutil.copyfile(original, file)
        outcome = writers.write(phase, delay)
        if outcome.status == 0:
            return
        assert outcome.status == -signal.SIGKILL
        hits[outcome.phases[-1][0]] += 1
        states[_state(file, before, old)] += 1
        again = writers.write()
        assert (again.status, again.run) == (0, "expert_me")
        assert sorted(path.name for path in folder.iterdir()) == ["labels.csv", "original", "session.nwb"]
        assert [run.name for run in read_runs(file)] == ["expert_me"]

    for phase in PHASES:
        for k in range(5 * HITS):
            if hits[phase] >= HITS:
                break
            trial(phase, FRACTIONS[k % len(FRACTIONS)] * took[phase])
    total = sum(took.values())
    for k in range(MORE):
        trial("copy", total * (k + 0.5) / MORE)
    original.unlink()

    with capsys.disabled():
        print(f"\nkills by phase: {', '.join(f'{p} {hits[p]}' for p in PHASES)}; file after them: {dict(states)}")
    assert all(hits[phase] >= HITS for phase in PHASES), hits
    assert set(states) == {"old", "new"}


def _durations(outcome: Outcome) -> dict[str, float]:
    """Seconds that each phase takes when nobody interferes."""
    assert outcome.status == 0
    moments = [*(moment for _, moment in outcome.phases), outcome.end]
    assert tuple(phase for phase, _ in outcome.phases) == PHASES
    return {phase: moments[k + 1] - moments[k] for k, phase in enumerate(PHASES)}


def _state(file: Path, before: str, old: dict[str, dict[str, object]]) -> str:
    """Old bit for bit, or new, whole and valid."""
    if sha256(file) == before:
        return "old"
    (run,) = read_runs(file)
    assert run.labels_for([7, 3, 9]) == ["PkC_ss", "", "MLI"]
    assert validator_messages(file) == []
    new = describe(file)
    assert differences(old, new) == []
    assert added(old, new) == {"/processing/ecephys", "/specifications/ndx-cell-type"}
    return "new"
