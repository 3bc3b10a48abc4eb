"""Inner loops over snippets of a recording, compiled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Integer = NDArray[np.int64]
Float = NDArray[np.float64]

# In both: `block` holds rows of the recording; snippet i begins at row `rows[i]` and belongs to the sums of
# `units[i]`, `blocks[i]`. A unit's columns are runs of neighbouring columns of `block`: (first column, length) in
# `runs[unit]`, length 0 after the last. Runs are slices, which the compiler turns into vector instructions.
# Sums are double: whole numbers are exact in them up to 2**53.


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def add_snippets(
    block: NDArray[Any], rows: Integer, units: Integer, blocks: Integer, runs: Integer, sums: Float, squares: Float
) -> None:
    """Add each snippet, and its square, to the sums of its unit and block of time."""
    n_window = sums.shape[2]
    for i in range(len(rows)):
        u, b = units[i], blocks[i]
        for w in range(n_window):
            sample = block[rows[i] + w]
            at = 0
            for r in range(runs.shape[1]):
                first, length = runs[u, r, 0], runs[u, r, 1]
                if length == 0:
                    break
                values = sample[first : first + length]
                total = sums[u, b, w, at : at + length]
                square = squares[u, b, w, at : at + length]
                for k in range(length):
                    value = np.float64(values[k])
                    total[k] += value
                    square[k] += value * value
                at += length


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def add_high_passed(
    block: NDArray[Any],
    rows: Integer,
    units: Integer,
    blocks: Integer,
    runs: Integer,
    sums: Float,
    squares: Float,
    leads: Integer,
    gain: float,
    feedback: float,
) -> None:
    """Like `add_snippets`, each snippet high-passed first: ``y[t] = gain * (x[t] - x[t-1]) + feedback * y[t-1]``.

    `leads[i]` rows before the window let the filter settle; `rows[i]` is the first of them.
    """
    n_window, n_columns = sums.shape[2], sums.shape[3]
    last, filtered = np.empty(n_columns), np.empty(n_columns)
    for i in range(len(rows)):
        u, b = units[i], blocks[i]
        filtered[:] = 0.0
        for w in range(-leads[i], n_window):
            sample = block[rows[i] + leads[i] + w]
            at = 0
            for r in range(runs.shape[1]):
                first, length = runs[u, r, 0], runs[u, r, 1]
                if length == 0:
                    break
                values = sample[first : first + length]
                before = last[at : at + length]
                state = filtered[at : at + length]
                if w == -leads[i]:
                    for k in range(length):
                        before[k] = np.float64(values[k])
                for k in range(length):
                    value = np.float64(values[k])
                    state[k] = gain * (value - before[k]) + feedback * state[k]
                    before[k] = value
                if w >= 0:
                    total = sums[u, b, w, at : at + length]
                    square = squares[u, b, w, at : at + length]
                    for k in range(length):
                        total[k] += state[k]
                        square[k] += state[k] * state[k]
                at += length


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def merge_windows(starts: Integer, stops: Integer, gap: int, most: int) -> Integer:
    """Return the number of the read that each window belongs to; `starts` and `stops` ascend.

    Windows less than `gap` rows apart share a read, unless it would get longer than `most` rows.
    """
    reads = np.empty(len(starts), dtype=np.int64)
    number, begin = -1, 0
    for i in range(len(starts)):
        if i == 0 or starts[i] > stops[i - 1] + gap or stops[i] - begin > most:
            number += 1
            begin = starts[i]
        reads[i] = number
    return reads
