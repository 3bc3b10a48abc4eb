"""How well statistics tell cell types: recordings, a species and monkeys held out, on a table such as that of C4."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.calibration import fit_temperature
from nwb_celltype.classifier import temper
from nwb_celltype.classifier.statistics import COLUMNS
from nwb_celltype.errors import InputError
from nwb_celltype.labels import read_labelled
from nwb_celltype.training.folds import left_out
from nwb_celltype.training.statistics_fitting import (
    Matrix,
    Rows,
    StatisticsSettings,
    Usable,
    fit_taught,
    grouped_folds,
    usable_columns,
)
from nwb_celltype.training.statistics_pool import StatisticsPool, make_statistics_pool
from nwb_celltype.training.statistics_recipe import TARGET_ACCURACIES, score_rows

CLASSES = ("GoC", "MFB", "MLI", "PkC_cs", "PkC_ss")
"""Classes of the protocols."""

_N_FOLDS = 5
_N_BOOTSTRAPS = 1000
_TAUGHT = 0.5
_MOUSE, _MACAQUE = "mouse", "macaque"

Split = tuple[Rows, Rows, str]


def protocols(
    table: str | Path,
    seeds: int = 5,
    *,
    settings: StatisticsSettings | None = None,
    nested_seeds: int = 1,
    tell: Callable[[str], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure the recipe of `cerebellum-statistics` under fixed protocols; nothing is chosen on the rows asked about.

    Parameters
    ----------
    table : str or Path
        With units of mice and of macaques; see `nwb_celltype.feature_table.read_feature_table`.
    seeds : int
        Of the folds and of the heads.
    settings : StatisticsSettings, optional
    nested_seeds : int
        For that many seeds, temperature and thresholds are found in folds inside the rows that teach.
    tell : callable, optional
        Given a line on each protocol and seed.

    Returns
    -------
    dict of str to dict
        By protocol: number of units, balanced accuracy and macro-F1 of each seed, mean, sd, 95 % interval over
        recordings, mean recalls, mean confusion, and, with ``nested``, calibration and abstention.

    Raises
    ------
    InputError
        If the table lacks mice, macaques or one of the five classes.
    """
    settings = settings or StatisticsSettings()
    pool = make_statistics_pool([read_labelled(table)], classes=CLASSES)
    for name in (_MOUSE, _MACAQUE):
        if len(np.unique(pool.labels[pool.species == name])) < len(CLASSES):
            message = f"{table} does not hold every class of {name}; the protocols are for mice and macaques together."
            raise InputError(message)
    mice, macaques = np.flatnonzero(pool.species == _MOUSE), np.flatnonzero(pool.species == _MACAQUE)

    def recordings(with_macaques: bool) -> Callable[[int], Iterator[Split]]:
        def splits(seed: int) -> Iterator[Split]:
            fold = grouped_folds(pool.groups[mice], _N_FOLDS, seed=seed)
            for k in range(_N_FOLDS):
                yield (
                    np.concatenate([mice[fold != k], macaques[: len(macaques) * with_macaques]]),
                    mice[fold == k],
                    _MOUSE,
                )

        return splits

    def species(_: int) -> Iterator[Split]:
        yield mice, macaques, _MACAQUE

    def monkeys(_: int) -> Iterator[Split]:
        for name, (_others, own) in left_out(np.where(pool.species == _MACAQUE, pool.subjects, "")):
            if name:
                yield np.setdiff1d(np.arange(len(pool)), own), own, _MACAQUE

    taught = replace(settings, taught=_TAUGHT)
    plans = {
        "mouse, recordings held out": (recordings(False), settings, True),
        "mouse, recordings held out, macaques teach too": (recordings(True), settings, True),
        "mouse -> macaque, from labelled mice alone": (species, settings, False),
        "mouse -> macaque, unlabelled macaque units seen": (species, settings, True),
        "mouse -> macaque, unlabelled macaque units seen and learnt from": (species, taught, True),
        "one monkey held out": (monkeys, settings, True),
    }
    found = {}
    for name, (splits, chosen, sees) in plans.items():
        runs, nested = [], []
        for seed in range(seeds):
            p, inner = _run(pool, list(splits(seed)), chosen, seed, sees=sees, is_nested=seed < nested_seeds)
            runs.append(p)
            if inner is not None:
                nested.append(inner)
            if tell is not None:
                tell(f"{name}, seed {seed}: {np.mean(_recalls(pool, p)):.3f}")
        found[name] = {**_summary(pool, runs), "nested": nested}
    return found


def _run(
    pool: StatisticsPool, splits: list[Split], settings: StatisticsSettings, seed: int, *, sees: bool, is_nested: bool
) -> tuple[Matrix, dict[str, Any] | None]:
    """Probabilities of all rows asked about (NaN elsewhere), and what temperatures and thresholds from inside do."""
    k = len(pool.classes)
    raw, tempered = np.full((len(pool), k), np.nan), np.full((len(pool), k), np.nan)
    thresholds = {accuracy: np.full(len(pool), np.nan) for accuracy in TARGET_ACCURACIES}
    for taught, asked, species in splits:
        rows = pool.taught(taught, species)
        nobody = np.empty((0, len(COLUMNS)))
        unlabelled = nobody if rows.is_own.any() or not sees else pool.columns[asked]
        usable = usable_columns(rows, unlabelled, settings)
        raw[asked] = fit_taught(rows, unlabelled, usable, settings, seed=seed).probabilities(pool.columns[asked])
        if is_nested:
            aside_rows, aside = _inside(pool, taught, species, usable, settings, seed)
            temperature = fit_temperature(aside, pool.labels[aside_rows])
            tempered[asked] = temper(raw[asked], temperature)
            inside = score_rows(temper(aside, temperature), pool.labels[aside_rows], pool.classes, 0.5)["thresholds"]
            for accuracy, column in thresholds.items():
                column[asked] = inside.get(f"{accuracy:g}", {"threshold": 1.0})["threshold"]
    return raw, _kept(pool, tempered, thresholds) if is_nested else None


def _inside(
    pool: StatisticsPool, taught: Rows, species: str, usable: Usable, settings: StatisticsSettings, seed: int
) -> tuple[Rows, Matrix]:
    """Rows that teach, asked in folds: those of the species asked about if there are any."""
    own = taught[pool.species[taught] == species]
    pool_rows = own if len(own) else taught
    fold = grouped_folds(pool.groups[pool_rows], _N_FOLDS, seed=100 + seed)
    said = np.empty((len(pool_rows), len(pool.classes)))
    plain = replace(settings, taught=0.0)
    for k in np.unique(fold):
        rows = pool.taught(np.setdiff1d(taught, pool_rows[fold == k]), species)
        head = fit_taught(rows, np.empty((0, len(COLUMNS))), usable, plain, seed=seed)
        said[fold == k] = head.probabilities(pool.columns[pool_rows[fold == k]])
    return pool_rows, said


def _kept(pool: StatisticsPool, p: Matrix, thresholds: Mapping[float, NDArray[np.float64]]) -> dict[str, Any]:
    known = np.flatnonzero(~np.isnan(p).any(axis=1))
    p, y = p[known], pool.labels[known]
    right = p.argmax(axis=1) == y
    figures = score_rows(p, y, pool.classes, 0.5)
    found: dict[str, Any] = {key: figures[key] for key in ("ece", "nll", "brier")}
    for accuracy, column in thresholds.items():
        kept = p.max(axis=1) >= column[known]
        found[f"threshold for {accuracy:g}"] = {
            "coverage": round(float(kept.mean()), 3),
            "accuracy_kept": round(float(right[kept].mean()), 3) if kept.any() else None,
            "coverage_by_class": {
                name: round(float(kept[y == i].mean()), 3) for i, name in enumerate(pool.classes) if (y == i).any()
            },
        }
    return found


def _recalls(pool: StatisticsPool, p: Matrix) -> list[float]:
    known = ~np.isnan(p).any(axis=1)
    right, y = p[known].argmax(axis=1) == pool.labels[known], pool.labels[known]
    return [float(right[y == k].mean()) for k in range(len(pool.classes)) if (y == k).any()]


def _summary(pool: StatisticsPool, runs: list[Matrix]) -> dict[str, Any]:
    known = np.flatnonzero(~np.isnan(runs[0]).any(axis=1))
    y, names = pool.labels[known], pool.classes
    said = [p[known].argmax(axis=1) for p in runs]
    each = np.array([_recalls(pool, p) for p in runs])
    confusion = np.zeros((len(names), len(names)))
    for answer in said:
        np.add.at(confusion, (y, answer), 1 / len(runs))
    balanced = each.mean(axis=1)
    low, high = _interval(pool.groups[known], y, said)
    return {
        "n": len(known),
        "balanced_accuracy": balanced.round(4).tolist(),
        "mean": round(float(balanced.mean()), 4),
        "sd": round(float(balanced.std()), 4),
        "interval": [round(low, 3), round(high, 3)],
        "accuracy": round(float(np.mean([(answer == y).mean() for answer in said])), 4),
        "macro_f1": [round(_macro_f1(y, answer, len(names)), 4) for answer in said],
        "recall_by_class": {name: round(float(value), 3) for name, value in zip(names, each.mean(axis=0), strict=True)},
        "confusion": confusion.round(1).tolist(),
    }


def _macro_f1(y: Rows, said: Rows, n_classes: int) -> float:
    each = [2 * ((y == k) & (said == k)).sum() / max((y == k).sum() + (said == k).sum(), 1) for k in range(n_classes)]
    return float(np.mean(each))


def _interval(groups: NDArray[np.str_], y: Rows, said: list[Rows]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean balanced accuracy; whole recordings are drawn."""
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(groups == name) for name in np.unique(groups)]
    found = []
    for _ in range(_N_BOOTSTRAPS):
        drawn = np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))])
        true = y[drawn]
        found.append(np.mean([[(answer[drawn][true == k] == k).mean() for k in np.unique(true)] for answer in said]))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)
