"""Ways to divide labelled units into what is trained on and what is kept aside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import UsageError

Rows = NDArray[np.intp]
Split = tuple[Rows, Rows]


def contiguous_folds(n: int, n_folds: int = 5) -> Iterator[Split]:
    """Yield train and test rows of `n_folds` contiguous blocks of rows, the first ones one row longer if need be.

    Examples
    --------
    >>> [test.tolist() for _, test in contiguous_folds(5, 2)]
    [[0, 1, 2], [3, 4]]
    """
    _check(n, n_folds)
    for test in np.array_split(np.arange(n), n_folds):
        yield np.setdiff1d(np.arange(n), test), test


def stratified_folds(labels: NDArray[np.str_], n_folds: int = 5, *, seed: int = 0) -> Iterator[Split]:
    """Yield train and test rows of random folds with the same share of each class.

    The assignment is that of scikit-learn's ``StratifiedKFold(n_folds, shuffle=True, random_state=seed)``.
    """
    _check(len(labels), n_folds)
    _, first, codes = np.unique(labels, return_index=True, return_inverse=True)
    # Classes are numbered by their first appearance, and dealt out over the folds as in the sorted list of labels.
    codes = np.argsort(np.argsort(first))[codes]
    ordered = np.sort(codes)
    n_classes = len(first)
    allocation = np.array([np.bincount(ordered[i::n_folds], minlength=n_classes) for i in range(n_folds)])
    # scikit-learn draws with the legacy generator; nothing else gives the same folds.
    rng = np.random.RandomState(seed)
    fold_of = np.empty(len(labels), dtype=int)
    for k in range(n_classes):
        folds = np.arange(n_folds).repeat(allocation[:, k])
        rng.shuffle(folds)
        fold_of[codes == k] = folds
    yield from _splits(fold_of, n_folds)


def honest_folds(labels: NDArray[np.str_], groups: NDArray[np.str_], n_folds: int = 5) -> Iterator[Split]:
    """Yield train and test rows that keep what was recorded together on one side, as far as it is known.

    Two or more named groups are dealt out whole, the largest first, to the fold with the fewest rows; there are no more
    folds than groups then, unless rows have none. Rows without a group (or with the only one) are cut, label by label,
    into contiguous blocks, because neighbouring rows tend to come from the same recording.
    """
    _check(len(labels), n_folds)
    fold_of = np.full(len(labels), -1)
    names, sizes = np.unique(groups[groups != ""], return_counts=True)
    if len(names) >= 2:
        filled = np.zeros(n_folds)
        for name in names[np.argsort(-sizes, kind="stable")]:
            fold = int(np.argmin(filled))
            fold_of[groups == name] = fold
            filled[fold] += (groups == name).sum()
    for label in np.unique(labels[fold_of < 0]):
        rows = np.flatnonzero((fold_of < 0) & (labels == label))
        for fold, block in enumerate(np.array_split(rows, n_folds)):
            fold_of[block] = fold
    yield from _splits(fold_of, n_folds)


def left_out(names: Sequence[str] | NDArray[np.str_]) -> Iterator[tuple[str, Split]]:
    """Yield each name (of a laboratory, a species) with the rows of all others and its own."""
    array = np.asarray(names, dtype=str)
    for name in np.unique(array):
        yield str(name), (np.flatnonzero(array != name), np.flatnonzero(array == name))


def _splits(fold_of: NDArray[np.integer], n_folds: int) -> Iterator[Split]:
    for fold in range(n_folds):
        test = np.flatnonzero(fold_of == fold)
        if len(test):
            yield np.flatnonzero(fold_of != fold), test


def _check(n: int, n_folds: int) -> None:
    if not 2 <= n_folds <= n:
        message = f"{n} units cannot be divided into {n_folds} folds; ask for 2 to {n}."
        raise UsageError(message)
