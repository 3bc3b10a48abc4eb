"""Workers that are killed, restarted, or cut off in the middle of a file, and come back: each file is written once."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nwb_celltype import annotate_many
from nwb_celltype.batch.attendance import Attendance
from nwb_celltype.batch.journal import file_sha256
from nwb_celltype.batch.sessions import Labels, annotate_item
from nwb_celltype.batch.workers import WorkerChoice, Workers
from nwb_celltype.errors import NetworkError

from .recordings import dandi_names
from .results import assert_same, label_files
from .sites import PATIENCE_S, Link, Site, Strike, site, wait_until

SOAK = pytest.mark.skipif(not os.environ.get("NWB_CELLTYPE_SOAK"), reason="takes minutes: `make soak` does it")


def require_truth(out: Path, calm: Path) -> None:
    """Assert that each file was written once, is what the journal says, and that there is nothing else."""
    lines = [json.loads(line) for line in (out / ".nwb-celltype" / "journal.jsonl").read_text().splitlines()]
    files = label_files(out)
    assert Counter((line["file"], line["event"]) for line in lines) == Counter(
        (file, event) for file in files for event in ("writing", "done")
    )
    assert {line["file"]: line["sha256"] for line in lines} == {file: file_sha256(out / file) for file in files}
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert found == {*files, ".nwb-celltype/journal.jsonl", "dandiset.yaml", "units.parquet"}
    assert_same(out, calm)


class Acts:
    """What happens to workers."""

    def __init__(self, lab: Site) -> None:
        self.lab = lab

    def kill(self, _address: str, name: str) -> None:
        self.lab.workers[name].kill()

    def stop(self, address: str, name: str) -> None:
        """Stop a worker until the scheduler has given its file to another; then let it go on with the same file."""
        self.lab.workers[name].send_signal(signal.SIGSTOP)
        self.lab.give_up(address)
        self.lab.workers[name].send_signal(signal.SIGCONT)

    def restart(self, address: str, _name: str) -> None:
        """Let its nanny end a worker and begin another."""
        self.lab.client.restart_workers([address], timeout=PATIENCE_S)


@pytest.fixture
def slow_workers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Path, float], None]:
    """Annotate a folder here; workers then say the same, need not import what it takes, and take their time."""

    def prepare(data: Path, calm: Path, seconds: float) -> None:
        made = dict[str, Labels]()

        def kept(task: Any) -> Labels:
            labels = made[task.item.path] = annotate_item(task)
            return labels

        def annotate_item_again(task: Any) -> Labels:
            time.sleep(seconds)
            return made[task.item.path]

        monkeypatch.setattr("nwb_celltype.batch.batches.annotate_item", kept)
        annotate_many(data, out=calm, scheduler="synchronous")
        monkeypatch.setattr("nwb_celltype.batch.batches.annotate_item", annotate_item_again)

    return prepare


def test_a_worker_is_cut_off_and_comes_back_and_the_other_is_restarted(
    slow_workers: Callable[[Path, Path, float], None], written: Path, tmp_path: Path
) -> None:
    slow_workers(written, tmp_path / "calm", 0.5)
    with site(tmp_path / "site") as lab:
        lab.start("alone")
        lab.start("nursed", nanny=True)
        wait_until(lambda: len(lab.names()) == 2)
        acts = Acts(lab)
        with Strike(lab, [("alone", acts.stop), ("nursed", acts.restart)]) as strike:
            result = annotate_many(written, out=tmp_path / "struck", scheduler=lab.address)
        assert strike.struck == ["alone", "nursed"]
        assert result.counts == {"done": 3}
        # it ends, or says who it is again; what it made of the file goes nowhere
        wait_until(lambda: lab.workers["alone"].poll() is not None or "alone" in lab.names().values())
        require_truth(tmp_path / "struck", tmp_path / "calm")


@SOAK
def test_what_befalls_workers_changes_nothing(
    slow_workers: Callable[[Path, Path, float], None], tmp_path: Path
) -> None:
    """Kills, stops, cuts and restarts, one after the other, while 12 files are annotated."""
    rng, befell = random.Random(1), Counter[str]()
    dandi_names(tmp_path / "data", 12)
    slow_workers(tmp_path / "data", tmp_path / "calm", 5.0)
    with site(tmp_path / "site") as lab:
        acts, links = Acts(lab), dict[str, Link]()

        def refill() -> None:
            """Begin a worker for each that has ended."""
            alive = [name for name, process in lab.workers.items() if process.poll() is None and name != "nursed"]
            for _ in range(len(alive), 2):
                name = f"worker{len(links)}"
                links[name] = Link(lab.address)
                lab.start(name, by=links[name].address)

        def cut(address: str, name: str) -> None:
            links[name].cut()
            lab.give_up(address)
            time.sleep(rng.random())
            links[name].mend()

        ways = [("kill", acts.kill), ("stop", acts.stop), ("cut", cut)] * 4

        def befall(address: str, name: str) -> None:
            time.sleep(rng.random())
            if name == "nursed":
                acts.restart(address, name)
                befell["restart"] += 1
            else:
                word, act = ways.pop()
                act(address, name)
                befell[word] += 1
            refill()

        refill()
        lab.start("nursed", nanny=True)
        wait_until(lambda: len(lab.names()) == 3)
        with Strike(lab, [("", befall)] * 12) as strike:
            result = annotate_many(tmp_path / "data", out=tmp_path / "struck", scheduler=lab.address)
        for link in links.values():
            link.close()
    print(dict(befell))
    assert len(strike.struck) >= 8
    assert set(befell) >= {"kill", "stop", "cut"}
    assert result.counts == {"done": 12}
    require_truth(tmp_path / "struck", tmp_path / "calm")


class _Client:
    """Stands for a client whose scheduler has so many workers, or does not answer."""

    def __init__(self, *answers: int | None) -> None:
        self.answers = list(answers)
        self.scheduler = SimpleNamespace(ncores=None)

    def sync(self, _function: Any, callback_timeout: float | None) -> dict[int, int]:
        n = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if n is None:
            raise TimeoutError
        return dict.fromkeys(range(n), 1)


@pytest.mark.parametrize(
    ("answers", "queues", "is_far", "says", "told"),
    [
        (
            (2, 0),
            False,
            True,
            "tcp://h:1 had no worker any more for 0.1 s; what is done stays done. Start workers",
            "all",
        ),
        ((None,), False, True, "tcp://h:1 did not answer for 0.1 s", "an answer"),
        ((0,), True, True, "", "all are gone"),
        ((None,), False, False, "", "an answer from tcp://h:1"),
        ((0, 1), False, True, "", ""),
    ],
    ids=["gone", "silent", "jobs queue", "only busy", "back"],
)
def test_work_without_workers_is_given_up(
    monkeypatch: pytest.MonkeyPatch, answers: Any, queues: bool, is_far: bool, says: str, told: str
) -> None:
    monkeypatch.setattr("nwb_celltype.batch.attendance._COUNT_S", 0.0)
    said: list[str] = []
    attendance = Attendance(_Client(*answers), "tcp://h:1", 0.1, said.append, queues=queues, is_far=is_far)
    attendance.begin_work()

    def require_for_a_while() -> None:
        due = time.monotonic() + 0.2
        while time.monotonic() < due:
            attendance.require()
            time.sleep(0.01)

    if says:
        with pytest.raises(NetworkError, match=says):
            require_for_a_while()
    else:
        require_for_a_while()
    assert told in "".join(said)
    assert bool(told) == bool(said)


def test_the_first_task_of_threads_is_done_alone() -> None:
    def work(_: int) -> tuple[float, float]:
        began = time.monotonic()
        time.sleep(0.1)
        return began, time.monotonic()

    with Workers(WorkerChoice("threads", workers=4)) as workers:
        spans: dict[int, Any] = dict(workers.run(work, [0, 1, 2, 3, 4]))
    assert all(spans[k][0] > spans[0][1] for k in range(1, 5))
    assert spans[2][0] < spans[1][1]


def test_threads_go_on_whatever_memory_their_process_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", 2**20)

    def long(number: int) -> int:
        time.sleep(0.3)  # memory is looked at every 0.1 s, and a worker that takes too much is paused
        return number

    with Workers(WorkerChoice("threads", workers=1)) as workers:
        done = threading.Thread(target=lambda: list(workers.run(long, [0, 1, 2])), daemon=True)
        done.start()
        done.join(20.0)
    assert not done.is_alive()
