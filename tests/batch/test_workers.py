"""Processes, schedulers, batch systems; and what happens when one of them dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster

from nwb_celltype import annotate_many
from nwb_celltype.batch.journal import Entry, Journal
from nwb_celltype.batch.workers import WorkerChoice, Workers
from nwb_celltype.errors import NetworkError, UsageError

from ..archive_double import DandiDouble
from .recordings import dandi_names
from .results import assert_same, label_files

ROOT = Path(__file__).resolve().parents[2]
STALL_S = 20.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two processes with one thread each, as a lab's scheduler would have them."""
    with (
        pytest.MonkeyPatch.context() as patch,
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
    ):
        patch.setenv("DANDI_NO_ET", "1")
        yield cluster


class Killer:
    """Kills the worker that reads an asset, in the middle of reading it."""

    def __init__(self, cluster: LocalCluster, archive: DandiDouble, key: str) -> None:
        self.killed: list[int] = []
        self._stop = threading.Event()
        self._address = cluster.scheduler_address
        self._archive = archive
        self._key = key
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Killer:
        # the spikes of this asset never come, until its reader is dead
        self._stall = self._archive.faults.latency(STALL_S, f"{self._key}.*", method="GET", times=None)
        self._stall.skip = 3
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        with Client(self._address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            while not self._stop.is_set():
                busy = {
                    who: keys for who, keys in client.processing().items() if any("annotate_item" in k for k in keys)
                }
                if self._stall.hits and busy:
                    pids = client.run(os.getpid)
                    reader = next(who for who, keys in busy.items() if any(k.endswith("-0") for k in keys))
                    self._archive.faults.clear()
                    os.kill(pids[reader], signal.SIGKILL)
                    self.killed.append(pids[reader])
                    return
                time.sleep(0.02)


def test_a_worker_that_is_killed_changes_nothing(cluster: LocalCluster, archive: DandiDouble, tmp_path: Path) -> None:
    address = cluster.scheduler_address
    said: list[str] = []
    calm = annotate_many(
        "DANDI:000100", instance=archive.url, out=tmp_path / "calm", scheduler=address, on_phase=said.append
    )
    assert calm.counts == {"done": 2, "skipped": 2}
    assert f"2 workers at {address}" in said
    first = next(asset.path for asset in calm.assets if asset.status == "done")
    key = archive.blob_url(first, "000100").rpartition("/")[2]
    with Killer(cluster, archive, key) as killer:
        struck = annotate_many("DANDI:000100", instance=archive.url, out=tmp_path / "struck", scheduler=address)
    assert len(killer.killed) == 1
    assert struck.counts == calm.counts
    assert_same(tmp_path / "struck", tmp_path / "calm")
    assert not list(Path(tmp_path / "struck").rglob("*partial*"))


def test_a_worker_that_dies_of_an_asset_fails_that_asset(cluster: LocalCluster) -> None:
    def die_of_zero(number: int) -> int:
        if number == 0:
            os._exit(3)
        return number

    with Workers(WorkerChoice(cluster.scheduler_address)) as workers:
        answers: dict[int, Any] = dict(workers.run(die_of_zero, [1, 0, 2]))
    assert answers[0] == 1
    assert answers[2] == 2
    assert "died one after the other" in answers[1].reason
    assert answers[1].exit_code == 1


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    dandi_names(tmp_path / "data", 3)
    command = [sys.executable, "-m", "nwb_celltype", "annotate", "data", "--workers", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, "--out", "killed"], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env=environment,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if "done 1/3" in line:
                process.kill()
                break
    out = tmp_path / "killed"
    assert 1 <= len(label_files(out)) < 3
    assert not (out / "units.parquet").exists()
    again = annotate_many(tmp_path / "data", out=out, scheduler="synchronous")
    assert again.counts["done already"] >= 1
    annotate_many(tmp_path / "data", out=tmp_path / "whole", scheduler="synchronous")
    assert_same(out, tmp_path / "whole")


class _KilledError(BaseException):
    """Stands for the end of the process: nothing catches it."""


@pytest.mark.parametrize("moment", range(8))
def test_a_kill_between_any_two_steps_leaves_what_can_be_resumed(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    n_puts = 0
    put = Journal.put

    def killed(journal: Journal, entry: Entry) -> None:
        nonlocal n_puts
        n_puts += 1
        if n_puts == 1 + moment // 2:
            if moment % 2:  # half a line is on the disk
                put(journal, entry)
                journal.path.write_bytes(journal.path.read_bytes()[:-40])
            raise _KilledError
        put(journal, entry)

    monkeypatch.setattr(Journal, "put", killed)
    with pytest.raises(_KilledError):
        annotate_many(written, out=tmp_path, scheduler="synchronous", glob="*m[01]*")
    monkeypatch.setattr(Journal, "put", put)
    result = annotate_many(written, out=tmp_path, scheduler="synchronous", glob="*m[01]*")
    assert result.exit_code == 0
    assert len(label_files(tmp_path)) == 2
    assert annotate_many(written, out=tmp_path, scheduler="synchronous", glob="*m[01]*").counts["done already"] == 2


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`sbatch` and `scancel` stand for Slurm: the job script that dask-jobqueue writes is run as it is."""
    tools = tmp_path / "bin"
    tools.mkdir()
    scripts = {
        "sbatch": f'job={tmp_path}/job.sh; cp "$1" $job\n'
        'setsid bash $job >/dev/null 2>&1 & echo "Submitted batch job $!"\n',
        "scancel": 'for job in "$@"; do kill -TERM -- "-$job" 2>/dev/null; done; true\n',
    }
    for name, text in scripts.items():
        (tools / name).write_text(f"#!/bin/bash\n{text}")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)  # dask-jobqueue leaves logs
    return tools


JOB = {"cores": 1, "memory": "2GB", "queue": "cerebellum", "interface": "lo", "walltime": "00:10:00"}


def test_jobs_of_a_batch_system(slurm: Path, written: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"cluster": "slurm", "workers": 1, "cluster_options": JOB}
    result = annotate_many(written, out=tmp_path / "out", glob="*m1*", **options)
    assert result.counts == {"done": 1, "skipped": 2}
    assert "#SBATCH -p cerebellum" in (tmp_path / "job.sh").read_text()


def test_a_batch_system_that_takes_no_job(slurm: Path, written: Path, tmp_path: Path) -> None:
    (slurm / "sbatch").write_text("#!/bin/bash\necho invalid partition >&2; exit 1\n")
    with pytest.raises(NetworkError, match=r"slurm took no job: .*invalid partition"):
        annotate_many(written, out=tmp_path / "out", cluster="slurm", workers=1, cluster_options=JOB)


def test_a_job_needs_cores_and_memory(slurm: Path, written: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="slurm cluster needs memory of a job: give --cluster-option memory=VALUE"):
        annotate_many(written, out=tmp_path / "out", cluster="slurm", cluster_options={"cores": 1})


def test_a_batch_system_that_is_not_here(written: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no sbatch on this machine"):
        annotate_many(written, out=tmp_path / "out", cluster="slurm", cluster_options=JOB)


def test_no_scheduler_at_an_address(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwb_celltype.batch.workers._CONNECT_TIMEOUT", "0.3s")
    with pytest.raises(NetworkError, match=r"There is no Dask scheduler at tcp://127\.0\.0\.1:9 "):
        annotate_many(written, out=tmp_path / "out", scheduler="tcp://127.0.0.1:9")


@contextmanager
def scheduler(n_workers: int) -> Iterator[str]:
    """Address of a scheduler in a process of its own, in which its workers are, too."""
    code = (
        "from distributed import LocalCluster\n"
        f"cluster = LocalCluster(n_workers={n_workers}, processes=False, dashboard_address=None, host='127.0.0.1',\n"
        "                       protocol='tcp')\n"
        "print(cluster.scheduler_address, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def test_a_scheduler_without_workers_is_told_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("nwb_celltype.batch.attendance._REMIND_S", 0.2)
    with (
        scheduler(0) as address,
        Workers(WorkerChoice(address, wait_s=0.5), said.append) as workers,
        pytest.raises(NetworkError, match=rf"No worker came to {address} in 0\.5 s; start some"),
    ):
        list(workers.run(abs, [1, 2]))
    assert 2 <= said.count(f"waiting for workers at {address}") <= 4
    with pytest.raises(UsageError, match="positive number of seconds"):
        WorkerChoice(address, wait_s=0)


def test_a_scheduler_that_dies_is_told_in_one_sentence() -> None:
    # Dask's loggers write to the stderr that their process began with, so it is one of its own
    code = (
        "import logging, signal, sys\n"
        "import distributed\n"
        "from nwb_celltype.batch import workers\n"
        "from nwb_celltype.errors import NetworkError\n"
        "workers._CONNECT_TIMEOUT = '1s'\n"
        "level = logging.getLogger('distributed.client').level\n"
        "try:\n"
        "    with workers.Workers(workers.WorkerChoice(sys.argv[1])) as crew:\n"
        "        list(crew.run(signal.raise_signal, [9, 9]))\n"  # kills the scheduler's process
        "except NetworkError as error:\n"
        "    print(error)\n"
        "assert logging.getLogger('distributed.client').level == level\n"
    )
    with scheduler(1) as address:
        ended = subprocess.run(
            [sys.executable, "-c", code, address], cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert ended.stdout == "The scheduler was lost, or gave the work up; run the same command again to go on.\n"
    assert ended.stderr == ""


def test_the_dashboard_of_local_workers_can_be_opened() -> None:
    pytest.importorskip("bokeh")
    said: list[str] = []
    with Workers(WorkerChoice("threads", workers=1), said.append) as workers:
        assert dict(workers.run(abs, [-1, 2])) == {0: 1, 1: 2}
        [link] = [line.removeprefix("Dask dashboard: ") for line in said if line.startswith("Dask dashboard: ")]
        with urllib.request.urlopen(link, timeout=10) as page:
            assert page.status == 200
