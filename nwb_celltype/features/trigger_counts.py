"""Count the milliseconds with spikes around triggers, row by row.

Where a unit fires fast, the train is written out as one byte a millisecond and the window around each trigger is added
to the row's bytes, 32 and more at a time; where it is slow, the few neighbours are counted one by one. Both give whole
numbers, so the choice between them changes nothing. The bytes are those of a few seconds, whatever the recording.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Integer = NDArray[np.int64]

_CHUNK_MS = 16_384  # with the rows' bytes, what fits into the first cache
_FULL = 255
# Milliseconds added in the time that one neighbour takes; measured, and it decides no more than speed.
_DENSE_PER_NEIGHBOUR = 64


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def count_around(
    bins: Integer, rows: NDArray[np.int32], start: int, stop: int, half: int, counts: Integer, n_triggers: Integer
) -> None:
    """Add, for each trigger, the milliseconds with spikes around it to its row.

    Parameters
    ----------
    bins : (n,) int64 array
        Milliseconds of the spikes, ascending. Several in one count once as a target, and each as a trigger.
    rows : (n,) int32 array
    start, stop : int
        The observed milliseconds. Spikes within `half` of either end are no triggers, nor are those in the last
        millisecond that has any.
    half : int
        Largest lag, ms.
    counts : (n_rows, 2 * half + 1) int64 array
        Added to.
    n_triggers : (n_rows,) int64 array
        Added to.
    """
    n, width, n_rows = len(bins), 2 * half + 1, len(n_triggers)
    first, end = 0, n
    while first < n and bins[first] - half < start:
        first += 1
    while end > first and (bins[end - 1] + half + 1 >= stop or bins[end - 1] >= bins[n - 1]):
        end -= 1
    present = np.empty(_CHUNK_MS + 2 * half, dtype=np.uint8)
    sums = np.zeros((n_rows, width), dtype=np.uint8)
    n_added = np.zeros(n_rows, dtype=np.int64)
    left, right = 0, 0  # spikes within reach of the triggers of a chunk
    i = first
    while i < end:
        origin = bins[i] - half
        last = i
        while last < end and bins[last] - bins[i] < _CHUNK_MS:
            n_triggers[rows[last]] += 1
            last += 1
        while bins[left] < origin:
            left += 1
        right = max(right, last)
        while right < n and bins[right] <= bins[last - 1] + half:
            right += 1
        span = bins[last - 1] - bins[i] + width
        if (right - left) * _DENSE_PER_NEIGHBOUR < span:
            _count_neighbours(bins, rows, i, last, left, half, counts)
        else:
            present[:span] = 0
            for k in range(left, right):
                present[bins[k] - origin] = 1
            for k in range(i, last):
                row = rows[k]
                total, window = sums[row], present[bins[k] - bins[i] : bins[k] - bins[i] + width]
                for lag in range(width):
                    total[lag] += window[lag]
                n_added[row] += 1
                if n_added[row] == _FULL:
                    _empty(sums, counts, n_added, row)
        i = last
    for row in range(n_rows):
        _empty(sums, counts, n_added, row)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _count_neighbours(
    bins: Integer, rows: NDArray[np.int32], first: int, last: int, left: int, half: int, counts: Integer
) -> None:
    for i in range(first, last):
        here, row = bins[i], rows[i]
        while bins[left] < here - half:
            left += 1
        previous = here - half - 1
        for j in range(left, len(bins)):
            if bins[j] > here + half:
                break
            if bins[j] != previous:
                counts[row, bins[j] - here + half] += 1
                previous = bins[j]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _empty(sums: NDArray[np.uint8], counts: Integer, n_added: Integer, row: int) -> None:
    """Move a row's bytes, which hold 255 at most, to its counts."""
    for lag in range(sums.shape[1]):
        counts[row, lag] += sums[row, lag]
    sums[row] = 0
    n_added[row] = 0
