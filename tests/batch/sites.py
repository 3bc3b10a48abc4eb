"""A Dask scheduler with workers in processes of their own, as on other machines, to be killed, stopped or cut off."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


class Site:
    """The scheduler and its workers."""

    def __init__(self, cluster: LocalCluster, client: Any, folder: Path) -> None:
        self.address = str(cluster.scheduler_address)
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.client = client
        self._folder = folder

    def start(self, name: str, *, by: str | None = None, nanny: bool = False) -> None:
        """Start a worker that reaches the scheduler by an address."""
        options = [
            "--nthreads",
            "1",
            "--no-dashboard",
            "--death-timeout",
            "60",
            "--name",
            name,
            "--local-directory",
            str(self._folder / name),
        ]
        self.workers[name] = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", by or self.address, *options,
             "--nanny" if nanny else "--no-nanny"],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "DANDI_NO_ET": "1"},
        )  # fmt: skip

    def names(self) -> dict[str, str]:
        """Names of the workers that the scheduler believes to be there, by their addresses."""
        known = self.client.scheduler_info(n_workers=-1)["workers"]
        return {address: str(about["name"]) for address, about in known.items()}

    def give_up(self, address: str) -> None:
        """Let five minutes pass for the scheduler in which it heard nothing of a worker: others get its work."""

        async def expire(dask_scheduler: Any) -> None:
            dask_scheduler.workers[address].last_seen -= 2 * dask_scheduler.worker_ttl
            await dask_scheduler.check_worker_ttl()

        self.client.run_on_scheduler(expire)
        wait_until(lambda: address not in self.names())

    def close(self) -> None:
        for process in self.workers.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 20}),
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=0, processes=True, host="127.0.0.1", dashboard_address=None, silence_logs=50
        ) as cluster,
        Client(cluster, set_as_default=False) as client,  # type: ignore[no-untyped-call]
    ):
        made = Site(cluster, client, folder)
        try:
            yield made
        finally:
            made.close()


def wait_until(is_so: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    """Wait until something is so; fail if it is not in time."""
    due = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < due, "waited in vain"
        time.sleep(0.05)


class Strike:
    """Does one thing after the other to workers that are found in the middle of annotating a file.

    Parameters
    ----------
    site : Site
    acts : list of name and callable
        Names of the workers that are waited for, ``""`` for any, and what is done, given the worker's address and name.
    """

    def __init__(self, site: Site, acts: Sequence[tuple[str, Callable[[str, str], None]]]) -> None:
        self.struck: list[str] = []
        self.error: BaseException | None = None
        self._site, self._acts = site, acts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Strike:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _watch(self) -> None:
        try:
            for wanted, act in self._acts:
                address, name = self._busy(wanted)
                if not name:
                    return
                self.struck.append(name)
                act(address, name)
        except BaseException as error:  # told by the thread of the test
            self.error = error

    def _busy(self, wanted: str) -> tuple[str, str]:
        """Address and name of a worker that annotates a file; empty when the batch is over."""
        while not self._stop.is_set():
            names = self._site.names()
            for address, keys in self._site.client.processing().items():
                name = names.get(address, "")
                if any("annotate_item" in key for key in keys) and name and wanted in ("", name):
                    return address, name
            time.sleep(0.05)
        return "", ""


class Link:
    """A loopback address that leads to another, and can be cut: bytes then stay on the way, as with a cable pulled."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition("//")[2].rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._whole = threading.Event()
        self._whole.set()
        self._open: list[socket.socket] = []
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self.mend()
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._whole.wait()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                self._whole.wait()
                other.sendall(data)
            self._whole.wait()
            other.shutdown(socket.SHUT_WR)
