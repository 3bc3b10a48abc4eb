"""What networks learn from labelled units: cross-validation, and transfer from one set of units to another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import UsageError
from nwb_celltype.evaluation.scores import Scores, most_probable, score
from nwb_celltype.features.dataset import Progress
from nwb_celltype.labels import LabelledUnits
from nwb_celltype.training import Settings
from nwb_celltype.training.folds import contiguous_folds, stratified_folds
from nwb_celltype.training.heldout import hold_out
from nwb_celltype.training.pool import make_pool


def cross_validate(
    labelled: LabelledUnits,
    *,
    classes: Sequence[str],
    folds: str = "contiguous",
    n_folds: int = 5,
    settings: Settings | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Scores:
    """Measure how well the networks learn one set of units, by cross-validation.

    Parameters
    ----------
    labelled : LabelledUnits
    classes : sequence of str
        Other rows are left out.
    folds : {'contiguous', 'stratified'}
        Contiguous blocks of rows, or random folds with equal shares of each class (always drawn with seed 0).
    n_folds : int
    settings : Settings, optional
    seed : int
        Of the networks and the variants of the units.
    progress : callable, optional

    Returns
    -------
    Scores
        Over all units, no abstention.
    """
    settings = replace(settings or Settings(), strangers=0)  # nobody asks here how strange a unit is
    pool = make_pool([labelled], classes=classes, n_variants=settings.n_variants, seed=seed)
    splits: Iterable[tuple[NDArray[np.intp], NDArray[np.intp]]]
    if folds == "contiguous":
        splits = contiguous_folds(len(pool), n_folds)
    elif folds == "stratified":
        splits = stratified_folds(pool.names, n_folds)
    else:
        message = f"Folds are 'contiguous' or 'stratified', not {folds!r}."
        raise UsageError(message)
    held = hold_out(pool, splits, settings, seed=100 * seed, progress=progress)
    return score(pool.names, most_probable(pool.classes, held.best()))


def transfer(
    learnt: LabelledUnits,
    asked: LabelledUnits,
    *,
    classes: Sequence[str],
    settings: Settings | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Scores:
    """Measure what one set of units teaches about another; parameters as for `cross_validate`."""
    settings = replace(settings or Settings(), strangers=0)  # nobody asks here how strange a unit is
    pool = make_pool([learnt, asked], classes=classes, n_variants=settings.n_variants, seed=seed)
    train_rows, test_rows = np.flatnonzero(pool.sources == 0), np.flatnonzero(pool.sources == 1)
    held = hold_out(pool, [(train_rows, test_rows)], settings, seed=100 * seed, progress=progress, task="transfer")
    return score(pool.names[test_rows], most_probable(pool.classes, held.best()[test_rows]))
