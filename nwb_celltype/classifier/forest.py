"""Forests of decision trees as plain arrays: grown by scikit-learn in training, asked with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 2048

PARTS: dict[str, type] = {
    "feature": np.int16,
    "threshold": np.float32,
    "child": np.int32,
    "leaf": np.float32,
    "root": np.int32,
}
"""Arrays of a forest and their types, by the last part of their names in a bundle."""


@dataclass(frozen=True, eq=False)
class Forest:
    """All trees of a forest in a row, each node before its children.

    Attributes
    ----------
    feature : (n_nodes,) int16 array
        Column that a node asks about; -1 in a leaf.
    threshold : (n_nodes,) float32 array
        A unit goes on to the next node in the row if its column is at most this, else to `child`.
    child : (n_nodes,) int32 array
        Where a unit goes otherwise; in a leaf, the row of `leaf`.
    leaf : (n_leaves, n_classes) float32 array
        Probabilities of the classes.
    root : (n_trees,) int32 array
        First node of each tree.
    """

    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    child: NDArray[np.int32]
    leaf: NDArray[np.float32]
    root: NDArray[np.int32]

    def probabilities(self, columns: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean over the trees of the probabilities of each class.

        Parameters
        ----------
        columns : (n_units, n_columns) float32 array
            No NaN.

        Returns
        -------
        (n_units, n_classes) array

        Examples
        --------
        >>> import numpy as np
        >>> stump = Forest(
        ...     np.array([0, -1, -1], np.int16), np.array([0.5, 0, 0], np.float32), np.array([2, 0, 1], np.int32),
        ...     np.eye(2, dtype=np.float32), np.array([0], np.int32))
        >>> stump.probabilities(np.array([[0.5], [0.6]], np.float32)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        answers = np.empty((len(columns), self.leaf.shape[1]))
        for start in range(0, len(columns), _CHUNK):
            answers[start : start + _CHUNK] = self._ask(columns[start : start + _CHUNK])
        return answers

    def tensors(self, name: str) -> dict[str, NDArray[Any]]:
        """Return the arrays by their names in a bundle, `name` first."""
        return {f"{name}.{part}": getattr(self, part) for part in PARTS}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], name: str) -> Forest:
        """Take the forest `name` out of the arrays of a bundle; KeyError if it is not there."""
        return cls(*(tensors[f"{name}.{part}"] for part in PARTS))

    def problem(self, n_columns: int, n_classes: int) -> str:
        """Say what is wrong with arrays that came from a file, or nothing: no walk may leave them, or never end."""
        n = len(self.feature)
        flat = (self.feature, self.threshold, self.child, self.root)
        if any(getattr(self, part).dtype != dtype for part, dtype in PARTS.items()):
            return "arrays of other types than a forest has"
        if any(array.ndim != 1 for array in flat) or self.leaf.ndim != 2 or self.leaf.shape[1] != n_classes:
            return "arrays of other shapes than a forest has"
        if not (len(self.threshold) == len(self.child) == n > 0 and len(self.root) > 0):
            return "arrays of different lengths"
        is_leaf, place = self.feature < 0, np.arange(n)
        limit = np.where(is_leaf, len(self.leaf), n)
        least = np.where(is_leaf, 0, place + 1)
        inside = (self.child >= least) & (self.child < limit) & (self.feature < n_columns) & (is_leaf | (place + 1 < n))
        if not inside.all() or self.root.min() < 0 or self.root.max() >= n:
            return "nodes that lead nowhere"
        return ""

    def _ask(self, columns: NDArray[np.float32]) -> NDArray[np.float64]:
        n_trees = len(self.root)
        rows = np.repeat(np.arange(len(columns)), n_trees)
        node = np.tile(self.root, len(columns))
        walking = np.flatnonzero(self.feature[node] >= 0)
        while len(walking):
            at = node[walking]
            left = columns[rows[walking], self.feature[at]] <= self.threshold[at]
            at = np.where(left, at + 1, self.child[at])
            node[walking] = at
            walking = walking[self.feature[at] >= 0]
        said = self.leaf[self.child[node]].reshape(len(columns), n_trees, -1)
        return np.asarray(said.mean(axis=1, dtype=np.float64))


def grow(
    columns: NDArray[np.float32],
    labels: NDArray[np.integer],
    n_classes: int,
    *,
    trees: int,
    min_leaf: int,
    seed: int,
    weights: NDArray[np.float64] | None = None,
    columns_asked: float | str = "sqrt",
) -> Forest:
    """Grow extremely randomised trees; classes count the same, however many units they have.

    Parameters
    ----------
    columns : (n_units, n_columns) float32 array
        No NaN.
    labels : (n_units,) integer array
    n_classes : int
    trees, min_leaf : int
        Number of trees, and of units in a leaf at least.
    seed : int
    weights : (n_units,) array, optional
        Of units within their classes.
    columns_asked : float or "sqrt"
        Share of the columns that are tried at each node, or the root of their number.

    Returns
    -------
    Forest
        A class without units has a probability of 0 everywhere.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    grown = ExtraTreesClassifier(
        trees,
        min_samples_leaf=min_leaf,
        max_features=columns_asked,
        class_weight="balanced",
        random_state=seed,
        n_jobs=1,
    ).fit(columns, labels, sample_weight=weights)
    features, thresholds, children, leaves, roots = [], [], [], [], []
    n_nodes = n_leaves = 0
    for estimator in grown.estimators_:
        tree = estimator.tree_
        is_leaf = tree.children_left < 0
        value = np.zeros((int(is_leaf.sum()), n_classes))
        value[:, grown.classes_] = tree.value[is_leaf, 0]
        # scikit-learn compares single with double precision: rounded down, single precision compares alike.
        threshold = tree.threshold.astype(np.float32)
        threshold = np.where(threshold > tree.threshold, np.nextafter(threshold, np.float32(-np.inf)), threshold)
        features.append(np.where(is_leaf, -1, tree.feature))
        thresholds.append(np.where(is_leaf, np.float32(0), threshold))
        children.append(np.where(is_leaf, n_leaves + np.cumsum(is_leaf) - 1, tree.children_right + n_nodes))
        leaves.append(value / value.sum(axis=1, keepdims=True))
        roots.append(n_nodes)
        n_nodes += len(is_leaf)
        n_leaves += len(value)
    return Forest(
        np.concatenate(features).astype(np.int16),
        np.concatenate(thresholds).astype(np.float32),
        np.concatenate(children).astype(np.int32),
        np.concatenate(leaves).astype(np.float32),
        np.array(roots, dtype=np.int32),
    )
