"""Milliseconds around triggers, counted both ways, against plain counting."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nwb_celltype.features.trigger_counts import count_around

Integer = NDArray[np.int64]
N_ROWS = 3


def count_plainly(bins: Integer, rows: Integer, start: int, stop: int, half: int) -> tuple[Integer, Integer]:
    counts, n_triggers = np.zeros((N_ROWS, 2 * half + 1), dtype=np.int64), np.zeros(N_ROWS, dtype=np.int64)
    there = set(bins.tolist())
    for at, row in zip(bins.tolist(), rows.tolist(), strict=True):
        if at - half >= start and at + half + 1 < stop and at < bins[-1]:
            n_triggers[row] += 1
            for lag in range(-half, half + 1):
                counts[row, lag + half] += at + lag in there
    return counts, n_triggers


def made(steps: tuple[int, int], n: int, twice: bool = False) -> Integer:
    bins = np.cumsum(np.random.default_rng(n).integers(*steps, n)) + 1_000
    return np.repeat(bins, 2) if twice else bins


TRAINS = {
    "fast": (made((0, 4), 2_000), 20),  # bytes run over several times
    "fast, over two chunks": (made((2, 18), 2_500), 8),
    "slow": (made((200, 900), 70), 60),
    "slow, each twice": (made((200, 900), 50, twice=True), 500),
    "slow and fast": (np.concatenate([made((0, 3), 300), made((300, 900), 60) + 50_000]), 30),
    "few": (np.array([1_000, 1_003, 1_003, 1_009]), 2),
    "one": (np.array([1_000]), 2),
}


@pytest.mark.parametrize(("before", "after"), [(0, 1), (500, 1), (0, 500), (7, 25), (8, 26), (9, 27)])
@pytest.mark.parametrize("name", TRAINS)
def test_counts_around_triggers(name: str, before: int, after: int) -> None:
    bins, half = TRAINS[name]
    rows = np.random.default_rng(0).integers(0, N_ROWS, len(bins))
    start, stop = int(bins[0]) - before, int(bins[-1]) + after
    counts, n_triggers = np.full((N_ROWS, 2 * half + 1), 5), np.full(N_ROWS, 7)  # what is there is added to
    count_around(bins, rows.astype(np.int32), start, stop, half, counts, n_triggers)
    expected = count_plainly(bins, rows, start, stop, half)
    np.testing.assert_array_equal(counts - 5, expected[0])
    np.testing.assert_array_equal(n_triggers - 7, expected[1])


def test_a_trigger_needs_its_whole_window() -> None:
    """From 10 ms before a trigger to 11 ms after it, and a later spike."""
    bins = np.array([1_000, 1_020, 1_040, 1_060])
    for start, stop, n in ((990, 2_000, 3), (991, 2_000, 2), (990, 1_051, 2), (990, 1_052, 3)):
        n_triggers = np.zeros(1, dtype=np.int64)
        count_around(bins, np.zeros(4, dtype=np.int32), start, stop, 10, np.zeros((1, 21), dtype=np.int64), n_triggers)
        assert n_triggers.tolist() == [n], (start, stop)
