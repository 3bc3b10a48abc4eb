"""Where the work of a batch runs: here, on local processes or threads, or on a cluster, through Dask."""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

from nwb_celltype.batch.attendance import LOST, Attendance
from nwb_celltype.batch.records import Failure
from nwb_celltype.errors import NetworkError, UsageError

Task = TypeVar("Task")
Result = TypeVar("Result")

CLUSTERS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
}
"""Batch systems, with the class of dask-jobqueue for each."""
LOCAL = ("processes", "threads", "synchronous")
"""What `scheduler` can be besides the address of one."""

_PIP = 'pip install "nwb-celltype[cluster]"'
_CONNECT_TIMEOUT = "15s"
_HERE = "127.0.0.1"
_LOGGERS = {"distributed", "tornado", "bokeh"}
_POLL_S = 0.05
WAIT_S = 600.0
"""How long workers are waited for where there are none, seconds."""


@dataclass(frozen=True)
class WorkerChoice:
    """Where the work is to run.

    Attributes
    ----------
    scheduler : str or None
        One of `LOCAL`, or the address of a Dask scheduler; processes by default, and for one asset none.
    workers : int or None
        Processes, threads, or jobs of a cluster; as many as there are processors, or assets, by default.
    cluster : str or None
        One of `CLUSTERS`.
    cluster_options : mapping
        For dask-jobqueue, over what its own configuration says.
    wait_s : float, seconds
        How long there may be no worker, at the beginning and later; jobs of a cluster may queue for longer.

    Raises
    ------
    UsageError
        If they do not fit together, or what they need is not installed.
    """

    scheduler: str | None = None
    workers: int | None = None
    cluster: str | None = None
    cluster_options: Mapping[str, Any] = field(default_factory=dict)
    wait_s: float = WAIT_S

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if self.scheduler is not None and self.scheduler not in LOCAL and "://" not in self.scheduler:
            message = (
                f"{self.scheduler!r} is no scheduler; give {', '.join(LOCAL)}, or an address such as tcp://HOST:8786."
            )
            raise UsageError(message)
        if self.cluster is not None and self.cluster not in CLUSTERS:
            message = f"There is no cluster {self.cluster!r}; choose one of {', '.join(CLUSTERS)}."
            raise UsageError(message)
        if self.cluster is not None and self.scheduler is not None:
            message = "A cluster brings its own scheduler; give --scheduler or --cluster, not both."
            raise UsageError(message)
        if self.cluster_options and self.cluster is None:
            message = "Options of a cluster need one; say which with --cluster."
            raise UsageError(message)
        if self.workers is not None and self.workers < 1:
            message = f"{self.workers} workers can do nothing; give at least 1."
            raise UsageError(message)
        if self.workers is not None and self.is_given:
            message = f"The scheduler at {self.scheduler} has its own workers; leave out --workers."
            raise UsageError(message)
        if self.workers is not None and self.scheduler == "synchronous":
            message = "A synchronous run has no workers; leave out --workers."
            raise UsageError(message)
        if not self.wait_s > 0:
            message = f"Workers cannot be waited for {self.wait_s} s; give a positive number of seconds."
            raise UsageError(message)
        needed = [] if self.scheduler in (None, *LOCAL) and self.cluster is None else ["distributed"]
        require_installed(*needed, *(["dask_jobqueue"] if self.cluster else []))

    @property
    def is_given(self) -> bool:
        """Whether the scheduler is one that runs already, by its address."""
        return self.scheduler is not None and "://" in self.scheduler

    def is_here(self, n_tasks: int) -> bool:
        """Whether so many tasks run in this process, one after the other."""
        if self.cluster is not None or self.scheduler not in {None, "synchronous"}:
            return False
        return self.scheduler == "synchronous" or n_tasks < 2


def require_installed(*modules: str) -> None:
    """Say in one sentence what to install.

    Raises
    ------
    UsageError
        If a module is missing.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        message = f"This needs {', '.join(name.replace('_', '-') for name in missing)}: {_PIP}"
        raise UsageError(message)


class Workers:
    """Runs tasks where they were chosen to run; what is needed is started with the first tasks.

    Parameters
    ----------
    choice : WorkerChoice
    say : callable, optional
        Told a line when workers are started or found.

    Examples
    --------
    >>> with Workers(WorkerChoice("synchronous")) as workers:
    ...     sorted(workers.run(abs, [-3, 2]))
    [(0, 3), (1, 2)]
    """

    def __init__(self, choice: WorkerChoice, say: Callable[[str], None] = lambda _: None) -> None:
        self._choice = choice
        self._say = say
        self._stack = ExitStack()
        self._client: Any = None
        self._attendance: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._client = self._attendance = None

    def run(self, work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[int, Result | Failure]]:
        """Do some tasks, one each a node of a Dask graph; a task whose worker dies is done again by another.

        Parameters
        ----------
        work : callable
            A function of a module, which every worker can import.
        tasks : sequence

        Yields
        ------
        tuple
            Place of the task in `tasks`, and its result, or why there is none; in the order in which they end.

        Raises
        ------
        NetworkError
            If the scheduler cannot be reached, or is lost.
        UsageError
            If a package or an option of the cluster is missing.
        """
        if not tasks:
            return
        if self._client is None and self._choice.is_here(len(tasks)):
            yield from enumerate(map(work, tasks))
            return
        if self._client is None:
            require_installed("distributed")
            connected = _connected(self._choice, len(tasks), self._say)
            self._client, self._attendance = self._stack.enter_context(connected)
        yield from self._distributed(work, tasks)

    def _distributed(self, work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        name, run = getattr(work, "__name__", "task"), uuid4().hex[:8]
        futures: dict[str, Any] = {}

        def submit(k: int, word: str = "") -> Any:
            key = f"{name}-{run}-{k}{word}"
            futures[key] = self._client.submit(work, tasks[k], key=key, pure=False)
            return futures[key]

        # The first task of threads runs alone, so that one thread imports modules and compiles loops: of modules that
        # import each other, several threads at once may get halves, and the others would only wait for the compiler.
        n_alone = 1 if self._choice.scheduler == "threads" else 0
        suspects = []
        try:
            for group in (range(n_alone), range(n_alone, len(tasks))):
                place = {submit(k).key: k for k in group}
                for future in self._ended([futures[key] for key in place]):
                    k = place[future.key]
                    if _killed_workers(future):
                        suspects.append(k)  # or it only waited at a worker that another task killed
                    else:
                        yield k, _answer(future)
                    future.release()  # the file of labels need not stay in a worker's memory
            for k in suspects:
                for future in self._ended([submit(k, "-alone")]):
                    yield k, _answer(future)
        finally:
            if self._client.status == "running":
                self._client.cancel([future for future in futures.values() if not future.done()])

    def _ended(self, futures: Sequence[Any]) -> Iterator[Any]:
        """Yield futures as they end.

        Raises
        ------
        NetworkError
            If there have been no workers for too long.
        """
        import distributed

        as_completed: Any = distributed.as_completed
        under_way = as_completed(futures, loop=self._client.loop)
        self._attendance.begin_work()
        while not under_way.is_empty():
            ended = under_way.next_batch(block=False)
            yield from ended
            if not ended:
                self._attendance.require()
                time.sleep(_POLL_S)


def _killed_workers(future: Any) -> bool:
    from distributed import KilledWorker

    return future.status == "error" and isinstance(future.exception(), KilledWorker)


def _answer(future: Any) -> Any:
    """Result of a task that has ended, or why there is none.

    Raises
    ------
    NetworkError
        If the scheduler was lost.
    """
    if future.status == "finished":
        try:
            return future.result()
        except (OSError, concurrent.futures.CancelledError) as error:
            raise NetworkError(LOST) from error
        except Exception as error:  # the worker that had the result died, and others that made it again did, too
            return _why_failed(error)
    if future.status == "error":
        return _why_failed(future.exception())
    raise NetworkError(LOST)


def _why_failed(error: BaseException) -> Failure:
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        message = (
            "The workers that tried it died one after the other, most likely for want of memory; use fewer workers, "
            "or workers with more memory."
        )
        return Failure("KilledWorker", message)
    if isinstance(error, ModuleNotFoundError):
        message = f"The workers lack {error.name}; install the same version of nwb-celltype on all of them."
        return Failure("UsageError", message)
    return Failure.of(error)


@contextmanager
def _connected(choice: WorkerChoice, n_tasks: int, say: Callable[[str], None]) -> Iterator[tuple[Any, Attendance]]:
    import distributed

    connect: Any = distributed.Client
    with ExitStack() as stack:
        stack.enter_context(_quiet_dask())
        if choice.is_given:
            target: Any = choice.scheduler
        elif choice.cluster is not None:
            target = stack.enter_context(_job_queue(choice, n_tasks))
        else:
            target = stack.enter_context(_local_cluster(choice, n_tasks))
        try:
            client = stack.enter_context(connect(target, timeout=_CONNECT_TIMEOUT, set_as_default=False))
        except (OSError, TimeoutError) as error:
            message = f"There is no Dask scheduler at {choice.scheduler} ({error}); check the address."
            raise NetworkError(message) from error
        if choice.cluster is None and choice.scheduler in {None, "processes"}:
            client.run(_pass_over_interrupts)
        where = str(choice.scheduler) if choice.is_given else type(target).__name__
        attendance = Attendance(
            client, where, choice.wait_s, say, queues=choice.cluster is not None, is_far=choice.is_given
        )
        dashboard = _dashboard_of(client, is_here=not choice.is_given and choice.cluster is None)
        if dashboard:
            say(f"Dask dashboard: {dashboard}")
        n_workers = attendance.wait_for_first() if choice.is_given else attendance.n_workers() or 0
        say(f"{n_workers} worker{'' if n_workers == 1 else 's'} at {where}")
        yield client, attendance


@contextmanager
def _quiet_dask() -> Iterator[None]:
    """Keep Dask from writing tracebacks to stderr about what is told here in one sentence.

    Its loggers have levels and handlers of their own, so that the level of their parent does not reach them.
    """
    import logging

    import distributed  # noqa: F401  it sets levels when it is imported

    names = [name for name in list(logging.root.manager.loggerDict) if name.partition(".")[0] in _LOGGERS]
    loggers = [logging.getLogger(name) for name in {*names, "distributed.comm", "distributed.core"}]
    before = [(logger, logger.level) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in before:
            logger.setLevel(level)


def _dashboard_of(client: Any, *, is_here: bool) -> str:
    """Address of Dask's dashboard; empty where there is none."""
    port = client.scheduler_info().get("services", {}).get("dashboard")
    if not port:
        return ""
    # a local one is bound to this machine's loopback alone, while Dask names the outer address
    return f"http://{_HERE}:{port}/status" if is_here else str(client.dashboard_link)


def _pass_over_interrupts() -> None:
    """Leave Ctrl-C, which a terminal sends to all its processes, to the one that ends the others in order."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _local_cluster(choice: WorkerChoice, n_tasks: int) -> Any:
    import logging

    import dask
    import distributed

    start: Any = distributed.LocalCluster
    n = choice.workers or max(1, min(n_tasks, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4))
    by_threads = choice.scheduler == "threads"
    # A worker that was paused for its memory has no task whose end would free any: it would be waited for for ever. The
    # limit ends a process instead, and its task is tried elsewhere; this process itself is nobody's to end or to stop.
    with dask.config.set({"distributed.worker.memory.pause": False}):
        return start(
            n_workers=1 if by_threads else n,
            threads_per_worker=n if by_threads else 1,
            processes=not by_threads,
            memory_limit=None if by_threads else "auto",
            dashboard_address=f"{_HERE}:0" if find_spec("bokeh") is not None else None,
            silence_logs=logging.CRITICAL,
        )


@contextmanager
def _job_queue(choice: WorkerChoice, n_tasks: int) -> Iterator[Any]:
    """Ask a batch system for workers; a job that ends before the work does is asked for again.

    Raises
    ------
    UsageError
        If the batch system is not here, or dask-jobqueue misses an option or does not know one.
    NetworkError
        If the batch system takes no job.
    """
    import dask
    import dask_jobqueue

    system = str(choice.cluster)
    kind = getattr(dask_jobqueue, CLUSTERS[system])
    configured: Mapping[str, Any] = dask.config.get(f"jobqueue.{system}", {}) or {}
    options = dict(choice.cluster_options)
    missing = [name for name in ("cores", "memory") if not (options.get(name) or configured.get(name))]
    if missing:
        message = (
            f"The {system} cluster needs {' and '.join(missing)} of a job: give --cluster-option "
            f"{missing[0]}=VALUE, or write it into jobqueue.yaml in Dask's configuration folder."
        )
        raise UsageError(message)
    submit = str(getattr(kind.job_cls, "submit_command", "")).partition(" ")[0]
    if submit and shutil.which(submit) is None:
        message = f"There is no {submit} on this machine; start the run where jobs of {system} can be submitted."
        raise UsageError(message)
    # any free port: another person's dashboard may have the usual one
    stated = {**(configured.get("scheduler-options") or {}), **(options.pop("scheduler_options", None) or {})}
    try:
        cluster = kind(**options, scheduler_options={"dashboard_address": ":0", **stated})
    except (TypeError, ValueError) as error:
        message = f"The {system} cluster cannot be used: {' '.join(str(error).split())} See --cluster-option."
        raise UsageError(message) from error
    n = choice.workers or n_tasks
    with cluster:

        async def ask() -> None:
            cluster.scale(n)
            await cluster._correct_state()  # only this tells that a job was refused

        try:
            cluster.sync(ask)
        except (RuntimeError, OSError) as error:
            for jobs in (cluster.worker_spec, cluster.workers, cluster._created):
                jobs.clear()  # it would wait for them when it is closed
            message = f"{system} took no job: {' '.join(str(error).split())}"
            raise NetworkError(message) from error
        cluster.adapt(minimum=n, maximum=n)
        yield cluster
