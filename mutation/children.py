"""Child processes of a warm one: no imports to wait for, limits of time and memory, nothing left behind."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress

BROKEN = 70
"""Exit code of a child whose work raised an error."""

_MEMORY = 8 * 2**30


def allow(seconds: float) -> None:
    """End this process when it has used so much more processor time, or twenty times that of the clock; 0: never."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 20 * seconds)


class Child:
    """A child process that calls `work`, with the end of a pipe to tell things.

    Its standard output is lost.

    Parameters
    ----------
    work : callable
        Given the pipe's descriptor; returns the exit code.
    cache : str, optional
        Folder where children keep Python's compiled modules for one another.
    """

    def __init__(self, work: Callable[[int], int], cache: str | None = None) -> None:
        reader, writer = os.pipe()
        sys.stdout.flush(), sys.stderr.flush()
        gc.freeze()  # what is here stays, so the child need not touch it
        self.process = os.fork()
        if self.process == 0:
            os.close(reader)
            _work(work, writer, cache)
        os.close(writer)
        with suppress(PermissionError, ProcessLookupError):
            os.setpgid(self.process, self.process)
        self.pipe = os.fdopen(reader, encoding="utf-8", errors="replace")

    def lines(self) -> Iterator[str]:
        """Yield what it tells, line by line."""
        yield from self.pipe

    def end(self) -> tuple[int, str]:
        """Wait for its end; its wait status, and what it told since. All that it leaves behind is ended."""
        with self.pipe:
            told = self.pipe.read()
        _, status = os.waitpid(self.process, 0)
        with suppress(ProcessLookupError):
            os.killpg(self.process, signal.SIGKILL)
        return status, told


def in_child(work: Callable[[int], int], cache: str | None = None) -> tuple[int, str]:
    """Wait for a `Child`; its wait status, and what it told."""
    return Child(work, cache).end()


def _work(work: Callable[[int], int], writer: int, cache: str | None) -> None:
    status = BROKEN
    try:
        gc.disable()
        if cache is not None:
            sys.pycache_prefix, sys.dont_write_bytecode = cache, False
        os.setpgid(0, 0)
        nothing = os.open(os.devnull, os.O_RDWR)
        for k in (0, 1, 2):
            os.dup2(nothing, k)
        for number in (signal.SIGALRM, signal.SIGPROF):
            signal.signal(number, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = work(writer)
    except BaseException:
        os.write(writer, traceback.format_exc().encode())
    finally:
        os._exit(status)
