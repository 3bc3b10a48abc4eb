"""How many threads compute, which units they get, and what happens to the others when one fails."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from nwb_celltype.errors import UsageError
from nwb_celltype.features.threads import n_processors, over_units

Float = NDArray[np.float64]
FEW, MANY = 19_999, 20_000


@pytest.mark.parametrize(
    ("asked", "n"),
    [
        (None, 3),
        ("", 3),
        ("1", 1),
        ("2", 2),
        ("3", 3),
        ("8", 3),
        ("2,4", 2),
        ("4,1", 3),
        ("0", 1),
        ("many", 3),
        ("-2", 3),
    ],
)
def test_processors_of_this_process_or_fewer(monkeypatch: pytest.MonkeyPatch, asked: str | None, n: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 2, 5} if process == 0 else set(), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert n_processors() == n


@pytest.mark.parametrize(("counted", "n"), [(5, 5), (1, 1), (None, 1), (0, 1)])
def test_processors_where_the_system_tells_no_more(
    monkeypatch: pytest.MonkeyPatch, counted: int | None, n: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert n_processors() == n


def threads_of(sizes: list[int], n_threads: int | None) -> list[bool]:
    """Whether each unit was worked on in this thread."""
    here = threading.get_ident()
    return list(
        over_units(lambda row, times, _: threading.get_ident() == here, map(np.zeros, sizes), None, n_threads=n_threads)
    )


def test_only_long_trains_go_to_another_thread() -> None:
    assert threads_of([FEW, MANY, 0, MANY], 2) == [True, False, True, False]
    assert threads_of([MANY, MANY], 1) == [True, True]
    here = threading.get_ident()
    two = over_units(lambda *_: threading.get_ident() == here, [np.zeros(MANY)] * 2, None, n_threads=2)
    assert list(two) == [False, False]
    assert list(over_units(lambda row, *_: threading.current_thread().name, [np.zeros(MANY)], None, n_threads=4)) == [
        threading.current_thread().name
    ]


def test_by_default_as_many_threads_as_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads_of([MANY, MANY], None) == [True, True]
    for wrong in (0, -1):
        with pytest.raises(UsageError, match=f"at least one thread, not {wrong}"):
            threads_of([MANY], wrong)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_progress_counts_what_is_known(n_threads: int) -> None:
    told: list[tuple[str, int, int]] = []
    trains = [np.zeros(MANY), np.zeros(3), np.zeros(MANY)]

    def unsized() -> Iterator[Float]:
        yield from trains

    def work(row: int, times: Float, intervals: Float | None) -> tuple[int, int]:
        assert intervals is None
        return row, len(times)

    expected = [(0, MANY), (1, 3), (2, MANY)]
    for source in (trains, unsized()):
        found = over_units(work, source, None, n_threads=n_threads, task="t", progress=lambda *x: told.append(x))
        assert list(found) == expected
    assert told == [("t", 1, 3), ("t", 2, 3), ("t", 3, 3), ("t", 1, 1), ("t", 2, 2), ("t", 3, 3)]


def test_intervals_go_with_their_trains() -> None:
    observed = [np.full((1, 2), k) for k in range(3)]
    for n_threads in (1, 2):
        rows = over_units(lambda row, _, on: (row, on[0, 0]), [np.zeros(MANY)] * 3, observed, n_threads=n_threads)
        assert list(rows) == [(0, 0), (1, 1), (2, 2)]


def test_units_that_wait_are_dropped_when_one_fails() -> None:
    begun: list[int] = []
    all_read = threading.Event()

    def trains() -> Iterator[Float]:
        yield from [np.zeros(MANY)] * 12
        all_read.set()

    def work(row: int, times: Float, _: Float | None) -> int:
        begun.append(row)
        if row == 0:
            all_read.wait(10)
            message = "broken"
            raise ValueError(message)
        time.sleep(0.03)
        return row

    with pytest.raises(ValueError, match="broken"):
        list(over_units(work, trains(), None, n_threads=1 + 1))
    assert len(begun) < 12


def test_reading_waits_for_slow_work() -> None:
    """Of trains of 17 MB each, no more are in memory than threads and one."""
    n_read = 0

    def trains() -> Iterator[Float]:
        nonlocal n_read
        for _ in range(8):
            n_read += 1
            yield np.zeros(2_100_000)

    ahead = []
    for row in over_units(lambda row, *_: time.sleep(0.02) or row, trains(), None, n_threads=2):
        ahead.append(n_read - row)
    assert len(ahead) == 8
    assert max(ahead) <= 3
