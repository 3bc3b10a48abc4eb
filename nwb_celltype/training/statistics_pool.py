"""Rows of tables of statistics put together, and what a head says about rows that it did not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.classifier.statistics import COLUMNS, MODALITIES, Head, places_of, read_columns, species_in
from nwb_celltype.errors import UsageError
from nwb_celltype.labels import LabelledUnits
from nwb_celltype.quality import species_of
from nwb_celltype.training.labelled_rows import check_classes, choose_rows
from nwb_celltype.training.statistics_fitting import (
    SUBSETS,
    Matrix,
    Rows,
    StatisticsSettings,
    TaughtRows,
    Usable,
    fit_heads,
    grouped_folds,
    one_hot,
    usable_columns,
)

GROUP_BY = ("recording", "subject")
"""What folds may keep together."""


@dataclass(frozen=True, eq=False)
class StatisticsPool:
    """Labelled rows to learn from.

    Attributes
    ----------
    columns : (n, n_columns) array
        `COLUMNS`, NaN where a value is missing.
    labels : (n,) integer array
        Positions in `classes`.
    classes : tuple of str
    groups, species, labs, subjects : (n,) array of str
        Empty where unknown; species by their common names.
    sources : (n,) integer array
        Which of the sources each row is from, by position.
    """

    columns: Matrix
    labels: Rows
    classes: tuple[str, ...]
    groups: NDArray[np.str_]
    species: NDArray[np.str_]
    labs: NDArray[np.str_]
    subjects: NDArray[np.str_]
    sources: Rows

    def __len__(self) -> int:
        return len(self.labels)

    def taught(self, rows: Rows, species: str) -> TaughtRows:
        """Rows to fit a head for a species from; with an empty text every row is the head's own."""
        own = self.species[rows] == species if species else np.ones(len(rows), dtype=bool)
        targets = one_hot(self.labels[rows], len(self.classes))
        return TaughtRows(self.columns[rows], targets, own, self.groups[rows], np.ones(len(rows)))


def make_statistics_pool(
    data: Sequence[LabelledUnits], *, classes: Sequence[str] | None = None, group_by: str = "recording"
) -> StatisticsPool:
    """Collect the labelled rows of some sources that have statistics, each once.

    Parameters
    ----------
    data : sequence of LabelledUnits
    classes : sequence of str, optional
        As for `nwb_celltype.training.labelled_rows.choose_rows`.
    group_by : {'recording', 'subject'}
        What folds keep together; recordings of tables are told apart by their subjects too.

    Returns
    -------
    StatisticsPool

    Raises
    ------
    NothingToDoError
        If no row is labelled and has statistics.
    InputError
        If fewer than two classes remain, or one asked for has fewer than two rows.
    UsageError
        If the classes are not two or more different ones, or `group_by` is no such thing.
    """
    check_classes(classes)
    if group_by not in GROUP_BY:
        message = f"Folds keep together what is of one {' or '.join(GROUP_BY)}, not of one {group_by!r}."
        raise UsageError(message)
    chosen = choose_rows(data, _has_statistics, classes=classes, what="has statistics")
    kept_units = chosen.sources
    subjects = np.concatenate([_about(one, "subject") for one in kept_units])
    groups = np.concatenate([one.groups for one in kept_units])
    return StatisticsPool(
        columns=np.concatenate([read_columns(one.features) for one in kept_units]),
        labels=chosen.labels,
        classes=chosen.classes,
        groups=np.where(subjects == "", groups, subjects) if group_by == "subject" else groups,
        species=np.concatenate([species_of_rows(one) for one in kept_units]),
        labs=np.concatenate([np.where(_about(one, "lab") == "", one.lab, _about(one, "lab")) for one in kept_units]),
        subjects=subjects,
        sources=chosen.positions,
    )


def _has_statistics(one: LabelledUnits) -> NDArray[np.bool_]:
    """(n,) mask of the rows with any statistic, the first of exact duplicates only."""
    first = np.zeros(len(one), dtype=bool)
    first[np.unique(one.row_sha256, return_index=True)[1]] = True
    return np.asarray(first & np.isfinite(read_columns(one.features)).any(axis=1))


def species_of_rows(one: LabelledUnits) -> NDArray[np.str_]:
    """(n,) common name of the species of each row, empty where it is not known."""
    stated = species_in(one.features)
    stated = np.where(stated == "", one.species, stated)
    return np.array([species_of(str(text)) for text in stated], dtype=str)


def answers(heads: Mapping[str, Head], columns: Matrix) -> dict[str, Matrix]:
    """(n, k) probabilities before tempering by combination of modalities; NaN where a unit lacks one of them."""
    said = {}
    k = next(iter(heads.values())).linear.shape[1]
    for subset, members in SUBSETS.items():
        there = [np.isfinite(columns[:, places_of(MODALITIES[name])]).any(axis=1) for name in members]
        p = heads[subset].probabilities(columns) if subset in heads else np.full((len(columns), k), np.nan)
        said[subset] = np.where(np.logical_and.reduce(there)[:, None], p, np.nan)
    return said


def best(said: dict[str, Matrix]) -> Matrix:
    """(n, k) answer from all that a unit has."""
    p = np.full_like(next(iter(said.values())), np.nan)
    for subset in SUBSETS:
        p = np.where(np.isnan(p), said[subset], p)
    return p


def held_out(
    pool: StatisticsPool,
    taught: Rows,
    asked: Rows,
    species: str,
    settings: StatisticsSettings,
    *,
    seed: int,
    usable: Usable | None = None,
) -> dict[str, Matrix]:
    """Ask a head about rows that it did not learn from.

    Labels of the rows asked about are not used. Their columns are, if `species` has no row among those taught: to find
    what differs too much between the species, and to learn from their soft labels (`StatisticsSettings.taught`).

    Parameters
    ----------
    pool : StatisticsPool
    taught, asked : integer arrays
        Rows of the pool.
    species : str
        Of the rows asked about; empty for no difference of species.
    settings : StatisticsSettings
    seed : int
    usable : Usable, optional
        Found anew by default.

    Returns
    -------
    dict of str to (n_asked, k) array
        By combination of modalities, before tempering.
    """
    rows = pool.taught(taught, species)
    unlabelled = np.empty((0, len(COLUMNS))) if rows.is_own.any() else pool.columns[asked]
    found = usable_columns(rows, unlabelled, settings) if usable is None else usable
    return answers(fit_heads(rows, unlabelled, found, settings, seed=seed), pool.columns[asked])


def hold_out_groups(
    pool: StatisticsPool,
    rows: Rows,
    species: str,
    settings: StatisticsSettings,
    *,
    seed: int,
    n_folds: int = 5,
    others: Rows | None = None,
    usable: Usable | None = None,
) -> dict[str, Matrix]:
    """Ask about each row in turn what the others teach; rows of one recording stay together, `others` always teach.

    Returns
    -------
    dict of str to (n_rows, k) array
    """
    always = np.empty(0, dtype=np.intp) if others is None else others
    fold = grouped_folds(pool.groups[rows], n_folds, seed=seed)
    said = {subset: np.full((len(rows), len(pool.classes)), np.nan) for subset in SUBSETS}
    for k in np.unique(fold):
        taught = np.concatenate([rows[fold != k], always])
        if len(taught) == 0:
            continue
        for subset, p in held_out(pool, taught, rows[fold == k], species, settings, seed=seed, usable=usable).items():
            said[subset][fold == k] = p
    return said


def _about(one: LabelledUnits, name: str) -> NDArray[np.str_]:
    if name not in one.features.coords:
        return np.full(len(one), "")
    return np.asarray(one.features[name].values, dtype=str)
