"""Integrated gradients of forests: their answers are steps, so what there is to integrate lies at the thresholds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.classifier.forest import Forest

_CHUNK = 200_000  # pairs of a unit and a tree that are walked at once


def credit_steps(
    forest: Forest, start: NDArray[np.float32], columns: NDArray[np.float32], target: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Credit what a forest says about units to the columns whose thresholds lie between a starting point and them.

    Parameters
    ----------
    forest : Forest
    start : (n_columns,) or (n_units, n_columns) float32 array
    columns : (n_units, n_columns) float32 array
    target : (n_units,) integer array
        Class of each unit.

    Returns
    -------
    contributions : (n_units, n_columns) array
        Their sum over columns is the forest's probability of the class for the unit less that for the start.
    at_start : (n_units,) array
        The forest's probability of the class for the start.

    Examples
    --------
    >>> import numpy as np
    >>> stump = Forest(
    ...     np.array([1, -1, -1], np.int16), np.array([0.5, 0, 0], np.float32), np.array([2, 0, 1], np.int32),
    ...     np.eye(2, dtype=np.float32), np.array([0], np.int32))
    >>> credit_steps(stump, np.zeros(2, np.float32), np.array([[3, 1]], np.float32), np.array([1]))[0].tolist()
    [[0.0, 1.0]]
    """
    n_trees = len(forest.root)
    contributions = np.zeros(columns.shape)
    at_start = np.zeros(len(columns))
    start = np.broadcast_to(start, columns.shape)
    for first in range(0, len(columns), max(_CHUNK // n_trees, 1)):
        rows = slice(first, first + max(_CHUNK // n_trees, 1))
        contributions[rows], at_start[rows] = _walk(forest, start[rows], columns[rows], target[rows])
    return contributions / n_trees, at_start / n_trees


def _walk(
    forest: Forest, start: NDArray[np.float32], columns: NDArray[np.float32], target: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums over trees, of contributions and of what is said at the start: from each leaf to the next on the line."""
    n, n_trees = len(columns), len(forest.root)
    row = np.repeat(np.arange(n), n_trees)
    root = np.tile(forest.root, n)
    moment = np.full(len(row), -1.0)  # how far along the line: 0 is the start, 1 the unit
    leaf, next_moment, next_column = _leaf_at(forest, start, columns, row, root, moment)
    said = forest.leaf[leaf, target[row]].astype(np.float64)
    at_start = np.bincount(row, weights=said, minlength=n).astype(np.float64)
    contributions = np.zeros(columns.shape)
    on = np.flatnonzero(np.isfinite(next_moment))
    row, root, said = row[on], root[on], said[on]
    moment, crossed = next_moment[on], next_column[on]
    while len(row):
        leaf, next_moment, next_column = _leaf_at(forest, start, columns, row, root, moment)
        now = forest.leaf[leaf, target[row]].astype(np.float64)
        np.add.at(contributions, (row, crossed), now - said)
        on = np.flatnonzero(np.isfinite(next_moment))
        row, root, said = row[on], root[on], now[on]
        moment, crossed = next_moment[on], next_column[on]
    return contributions, at_start


def _leaf_at(
    forest: Forest,
    start: NDArray[np.float32],
    columns: NDArray[np.float32],
    row: NDArray[np.intp],
    root: NDArray[np.int32],
    moment: NDArray[np.float64],
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.intp]]:
    """Leaf just after a moment on the line, the moment at which it is left, and the column crossed there.

    A threshold is crossed once at most, and only if it lies between start and unit; all that lie at or before the
    moment have been. The way at the start and at the unit is decided as a tree decides, so that both ends are exact.
    """
    node = root.astype(np.int64)
    soonest = np.full(len(row), np.inf)
    column = np.zeros(len(row), dtype=np.intp)
    walking = np.flatnonzero(forest.feature[node] >= 0)
    while len(walking):
        at = node[walking]
        asked, threshold = forest.feature[at].astype(np.intp), forest.threshold[at]
        here, there = start[row[walking], asked], columns[row[walking], asked]
        left_first, left_last = here <= threshold, there <= threshold
        turns = left_first != left_last
        length = np.where(turns, there.astype(np.float64) - here, 1.0)
        when = np.where(turns, np.clip((threshold.astype(np.float64) - here) / length, 0.0, 1.0), np.inf)
        passed = when <= moment[walking]
        left = np.where(passed, left_last, left_first)
        ahead = turns & ~passed & (when < soonest[walking])
        soonest[walking[ahead]], column[walking[ahead]] = when[ahead], asked[ahead]
        at = np.where(left, at + 1, forest.child[at])
        node[walking] = at
        walking = walking[forest.feature[at] >= 0]
    return forest.child[node], soonest, column
