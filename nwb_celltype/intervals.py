"""Stretches of time: put in order, joined where they meet, and taken out of one another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def merged_intervals(intervals: Float) -> Float:
    """Intervals in ascending order, those that touch or overlap made one; empty ones left out.

    Parameters
    ----------
    intervals : (k, 2) float64 array
        Starts and stops, of any unit; a stop may be infinite.

    Returns
    -------
    (m, 2) float64 array

    Examples
    --------
    >>> merged_intervals(np.array([[3.0, 4.0], [0.0, 1.0], [1.0, 2.0]])).tolist()
    [[0.0, 2.0], [3.0, 4.0]]
    """
    if len(intervals) == 0:
        return np.empty((0, 2))
    ordered = intervals[intervals[:, 1] > intervals[:, 0]]
    if len(ordered) == 0:
        return np.empty((0, 2))
    ordered = ordered[np.argsort(ordered[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ordered[:, 1])
    begins = np.concatenate([[True], ordered[1:, 0] > reach[:-1]])
    ends = np.concatenate([begins[1:], [True]])
    return np.column_stack([ordered[begins, 0], reach[ends]])


def remaining_intervals(kept: Float, removed: Float) -> Float:
    """Return the parts of some intervals that lie in none of others.

    Parameters
    ----------
    kept, removed : (k, 2), (l, 2) float64 arrays
        In any order; they may overlap, and stops may be infinite.

    Returns
    -------
    (m, 2) float64 array
        Ascending, without overlaps; empty when nothing is left.

    Examples
    --------
    >>> remaining_intervals(np.array([[0.0, 10.0]]), np.array([[2.0, 3.0], [2.5, 4.0], [9.0, 20.0]])).tolist()
    [[0.0, 2.0], [4.0, 9.0]]
    """
    rows: list[tuple[float, float]] = []
    cuts = merged_intervals(removed)
    for start, stop in merged_intervals(kept).tolist():
        position = start
        first = int(np.searchsorted(cuts[:, 1], start, side="right"))
        for cut_start, cut_stop in cuts[first:].tolist():
            if cut_start >= stop:
                break
            if cut_start > position:
                rows.append((position, cut_start))
            position = max(position, cut_stop)
        if position < stop:
            rows.append((position, stop))
    return np.array(rows, dtype=np.float64).reshape(-1, 2)
