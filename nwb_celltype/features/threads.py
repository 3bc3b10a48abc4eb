"""Work on units side by side: one thread reads, several compute, and only a few units are in memory at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import repeat
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import UsageError

Float = NDArray[np.float64]
T = TypeVar("T")

_WAITING_SPIKES = 4_000_000
"""Spikes (32 MB) that may be read ahead of what is computed; one unit always may."""
_FEW_SPIKES = 20_000
"""Below this many, handing a unit to another thread costs more than it gains."""


def n_processors() -> int:
    """Threads to compute with: processors of this process, or ``OMP_NUM_THREADS`` where that is less.

    Examples
    --------
    >>> n_processors() >= 1
    True
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return max(1, min(available, int(asked))) if asked.isdigit() else max(1, available)


def over_units(
    work: Callable[[int, Float, Float | None], T],
    spike_times: Iterable[Float],
    obs_intervals: Iterable[Float | None] | None,
    *,
    n_threads: int | None = None,
    task: str = "",
    progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[T]:
    """Yield ``work(row, times, intervals)`` of every unit, in their order.

    Parameters
    ----------
    work : callable
        Must leave the interpreter to others while it computes, or threads gain nothing.
    spike_times : iterable of (n_spikes,) arrays, seconds
        Read in this thread, as results are taken.
    obs_intervals : iterable of (n_intervals, 2) arrays or None, optional
    n_threads : int, optional
        By default `n_processors`.
    task : str
    progress : callable, optional
        Called after each unit with `task`, the units done and the number of units.

    Raises
    ------
    UsageError
        If there is no thread.
    ValueError
        If there are not as many entries of intervals as trains.

    Examples
    --------
    >>> import numpy as np
    >>> list(over_units(lambda row, times, intervals: (row, len(times)), [np.arange(3.0), np.arange(2.0)], None))
    [(0, 3), (1, 2)]
    """
    n_threads = n_processors() if n_threads is None else n_threads
    if n_threads < 1:
        message = f"There must be at least one thread, not {n_threads}."
        raise UsageError(message)
    n = len(spike_times) if isinstance(spike_times, Sized) else 0
    observed = repeat(None) if obs_intervals is None else obs_intervals
    pairs = zip(spike_times, observed, strict=obs_intervals is not None)
    results = _serial(work, pairs) if n_threads == 1 or n == 1 else _side_by_side(work, pairs, n_threads)
    for k, result in enumerate(results):
        if progress is not None:
            progress(task, k + 1, max(n, k + 1))
        yield result


def _serial(work: Callable[[int, Float, Float | None], T], pairs: Iterable[tuple[Float, Float | None]]) -> Iterator[T]:
    for row, (times, intervals) in enumerate(pairs):
        yield work(row, times, intervals)


def _side_by_side(
    work: Callable[[int, Float, Float | None], T], pairs: Iterable[tuple[Float, Float | None]], n_threads: int
) -> Iterator[T]:
    waiting: deque[tuple[Future[T], int]] = deque()
    n_waiting = 0
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            for row, (times, intervals) in enumerate(pairs):
                if len(times) < _FEW_SPIKES:
                    future: Future[T] = Future()
                    future.set_result(work(row, times, intervals))
                else:
                    future = pool.submit(work, row, times, intervals)
                waiting.append((future, len(times)))
                n_waiting += len(times)
                while waiting and ((n_waiting > _WAITING_SPIKES and len(waiting) > n_threads) or waiting[0][0].done()):
                    done, size = waiting.popleft()
                    n_waiting -= size
                    yield done.result()
            while waiting:
                yield waiting.popleft()[0].result()
        finally:
            for future, _ in waiting:
                future.cancel()
