"""Sums over intervals and their neighbours, many at once.

Sums are taken in the order in which numpy takes them (halves of halves, down to blocks of 128 with eight strands), so
that means and deviations are numpy's to the last bit wherever the terms are. Logarithms are the exception: one of each
interval serves all, and those of products are taken for sixteen factors together. Each loop over a block touches three
arrays or four and stops for no division by 0, since compilers use wide registers only for such loops.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

_BLOCK = 128
_STRANDS = 8
_FACTORS = 16  # each above 1e-15, so that no product is lost
_DEPTH = 256
_BINS = 2048


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def _strands(x: Float) -> float:
    """Sum of at most 128 terms, as numpy reckons it."""
    n = len(x)
    total = 0.0
    if n < _STRANDS:
        for value in x:
            total += value
        return float(total)
    s0, s1, s2, s3, s4, s5, s6, s7 = x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
    i = _STRANDS
    while i < n - n % _STRANDS:
        s0 += x[i]
        s1 += x[i + 1]
        s2 += x[i + 2]
        s3 += x[i + 3]
        s4 += x[i + 4]
        s5 += x[i + 5]
        s6 += x[i + 6]
        s7 += x[i + 7]
        i += _STRANDS
    total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    while i < n:
        total += x[i]
        i += 1
    return float(total)


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def _next_block(lengths: NDArray[np.int64], depth: int) -> int:
    """Halve the uppermost length until it is a block; 0 stands for the sum of the two values before it."""
    while lengths[depth - 1] > _BLOCK:
        n = lengths[depth - 1]
        half = n // 2
        half -= half % _STRANDS
        lengths[depth - 1] = 0
        lengths[depth] = n - half
        lengths[depth + 1] = half
        depth += 2
    return depth


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def sums_of_intervals(intervals: Float, logs: Float) -> Float:
    """(3,) sums of the intervals, of their inverses and of their natural logarithms, which are given too."""
    n = len(intervals)
    values, lengths = np.zeros((_DEPTH, 3)), np.zeros(_DEPTH, dtype=np.int64)
    term = np.empty(_BLOCK)
    lengths[0] = n
    depth, top, at = 1, 0, 0
    while depth:
        if lengths[depth - 1] == 0 and n:
            top -= 1
            values[top - 1] += values[top]
            depth -= 1
            continue
        depth = _next_block(lengths, depth)
        size = lengths[depth - 1]
        block = intervals[at : at + size]
        for i in range(size):
            term[i] = 1 / block[i]
        values[top, 0] = _strands(block)
        values[top, 1] = _strands(term[:size])
        values[top, 2] = _strands(logs[at : at + size])
        at += size
        top += 1
        depth -= 1
    sums: Float = values[0]
    return sums


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def sums_of_deviations(intervals: Float, mean: float, logs: Float, mean_log: float) -> Float:
    """(3,) sums of squares and of cubes of the deviations from the mean, and of squares of those of logarithms."""
    n = len(intervals)
    values, lengths = np.zeros((_DEPTH, 3)), np.zeros(_DEPTH, dtype=np.int64)
    square, cube, log = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    lengths[0] = n
    depth, top, at = 1, 0, 0
    while depth:
        if lengths[depth - 1] == 0 and n:
            top -= 1
            values[top - 1] += values[top]
            depth -= 1
            continue
        depth = _next_block(lengths, depth)
        size = lengths[depth - 1]
        x, y = intervals[at : at + size], logs[at : at + size]
        for i in range(size):
            square[i] = (x[i] - mean) * (x[i] - mean)
        for i in range(size):
            cube[i] = square[i] * (x[i] - mean)
        for i in range(size):
            log[i] = (y[i] - mean_log) * (y[i] - mean_log)
        values[top, 0] = _strands(square[:size])
        values[top, 1] = _strands(cube[:size])
        values[top, 2] = _strands(log[:size])
        at += size
        top += 1
        depth -= 1
    sums: Float = values[0]
    return sums


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def sums_of_neighbours(
    first: Float, second: Float, first_log: Float, second_log: Float, ms: float, s: float, cv2: Float
) -> Float:
    """Sums over pairs of an interval and its successor.

    Parameters
    ----------
    first, second : (n,) arrays, seconds
    first_log, second_log : (n,) arrays
        Their natural logarithms.
    ms, s : float
        Four times the refractoriness, in milliseconds and in seconds.
    cv2 : (n,) array
        Filled with twice the difference over the sum.

    Returns
    -------
    (6,) array
        Sums of cv2; of 1 - 4ab/(a+b)², plain and with each refractoriness; of |log b/a|; of log 4ab/(a+b)².
    """
    n = len(first)
    values, lengths = np.zeros((_DEPTH, 6)), np.zeros(_DEPTH, dtype=np.int64)
    local, local_ms, local_s = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    total, ratio, closeness = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    lengths[0] = n
    depth, top, at = 1, 0, 0
    while depth:
        if lengths[depth - 1] == 0 and n:
            top -= 1
            values[top - 1] += values[top]
            depth -= 1
            continue
        depth = _next_block(lengths, depth)
        size = lengths[depth - 1]
        a, b, c = first[at : at + size], second[at : at + size], cv2[at : at + size]
        x, y = first_log[at : at + size], second_log[at : at + size]
        for i in range(size):
            total[i] = a[i] + b[i]
        for i in range(size):
            c[i] = 2 * abs(b[i] - a[i]) / total[i]
        for i in range(size):
            closeness[i] = 4 * a[i] * b[i] / (total[i] * total[i])
        for i in range(size):
            local[i] = 1 - closeness[i]
        for i in range(size):
            local_ms[i] = local[i] * (1 + ms / total[i])
        for i in range(size):
            local_s[i] = local[i] * (1 + s / total[i])
        for i in range(size):
            ratio[i] = abs(y[i] - x[i])
        values[top, 0] = _strands(c)
        values[top, 1] = _strands(local[:size])
        values[top, 2] = _strands(local_ms[:size])
        values[top, 3] = _strands(local_s[:size])
        values[top, 4] = _strands(ratio[:size])
        values[top, 5] = _log_of_product(closeness[:size])
        at += size
        top += 1
        depth -= 1
    sums: Float = values[0]
    return sums


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def _log_of_product(factors: Float) -> float:
    total = 0.0
    for start in range(0, len(factors), _FACTORS):
        product = 1.0
        for i in range(start, min(start + _FACTORS, len(factors))):
            product *= factors[i]
        total += np.log(product)
    return float(total)


def middle_value(values: Float) -> float:
    """Median of values from 0 to 2, at least one: only those in the bins of the middle ones are put in order."""
    near, below = _near_middle(values)
    n = len(values)
    ranks = [(n - 1) // 2 - below, n // 2 - below]
    near.partition(sorted(set(ranks)))
    low, high = near[ranks].tolist()
    return float(low if n % 2 else (low + high) / 2)


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def _near_middle(values: Float) -> tuple[Float, int]:
    """Values in the bins that hold the two middle ones, and how many are below them."""
    n = len(values)
    counts = np.zeros(_BINS + 1, dtype=np.int64)
    for value in values:
        counts[int(value * (_BINS / 2))] += 1
    low, below = 0, 0
    while below + counts[low] <= (n - 1) // 2:
        below += counts[low]
        low += 1
    high, within = low, counts[low]
    while below + within <= n // 2:
        high += 1
        within += counts[high]
    near = np.empty(within + 1)
    m = 0
    for value in values:
        bin_ = int(value * (_BINS / 2))
        near[m] = value
        m += (low <= bin_) & (bin_ <= high)
    return near[:within], below
