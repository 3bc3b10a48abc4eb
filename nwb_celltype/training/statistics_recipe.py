"""Train models of the kind `statistics`: from tables or units, a head for each species, measured, with its card."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.bundles import check_output, save_bundle
from nwb_celltype.calibration import (
    DEFAULT_THRESHOLD,
    OOD_QUANTILE,
    brier_score,
    expected_calibration_error,
    fit_novelty,
    fit_temperature,
    negative_log_likelihood,
    reliability_points,
    risk_coverage,
)
from nwb_celltype.classifier import OOD_THRESHOLD, Model, load_model, temper
from nwb_celltype.classifier.novelty import distances
from nwb_celltype.classifier.statistics import (
    COLUMNS,
    KIND,
    MODALITIES,
    OTHER,
    Head,
    StatisticsModel,
    head_name,
    novelty_columns,
    places_of,
    read_columns,
)
from nwb_celltype.classifier.training_map import on_one_thread
from nwb_celltype.feature_table import SUFFIXES
from nwb_celltype.features import FEATURE_SPEC_VERSION
from nwb_celltype.features.dataset import Progress
from nwb_celltype.label_choice import LabelsAre
from nwb_celltype.labels import LabelledUnits, labelled_from_units, read_labelled
from nwb_celltype.licences import inherited_licence
from nwb_celltype.training.folds import left_out
from nwb_celltype.training.labelled_rows import hashes_seen
from nwb_celltype.training.pool import read_sources
from nwb_celltype.training.sources import describe_source
from nwb_celltype.training.statistics_fitting import (
    SUBSETS,
    Matrix,
    Rows,
    StatisticsSettings,
    Usable,
    fit_heads,
    usable_columns,
)
from nwb_celltype.training.statistics_pool import (
    StatisticsPool,
    best,
    held_out,
    hold_out_groups,
    make_statistics_pool,
    species_of_rows,
)
from nwb_celltype.training.trainer import NEW_LAB_MARGIN, TEMPERATURE_FLOOR, Card
from nwb_celltype.verification import record_examples

TARGET_ACCURACIES = (0.92, 0.97)
"""The card states from which threshold on the answers kept aside were right as often."""

_MIN_OWN = 40
_MIN_LAB = 30
_MIN_UNLABELLED = 120
_HIGHEST_THRESHOLD = 0.9
_TAUGHT = 0.5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Plan:
    """One head: what it is for, what it is taught, and what rows that it did not see say about it."""

    species: str
    taught: Rows
    unlabelled: Matrix
    usable: Usable
    aside_rows: Rows
    aside: dict[str, Matrix]
    protocol: str


@on_one_thread()  # more threads round otherwise
def train_statistics(
    data: str | Path | LabelledUnits | Sequence[str | Path | LabelledUnits],
    *,
    out: str | Path,
    name: str,
    version: str = "1",
    seed: int = 0,
    classes: Sequence[str] | None = None,
    group_by: str = "recording",
    unlabelled: str | Path | LabelledUnits | Sequence[str | Path | LabelledUnits] = (),
    labels: str | Path | None = None,
    run: str | None = None,
    labels_are: LabelsAre | None = None,
    card: Card | None = None,
    settings: StatisticsSettings | None = None,
    progress: Progress | None = None,
) -> Model:
    """Train a model on hand-made statistics of labelled units, and write it to a folder.

    A species with every class and at least 40 rows gets a head of its own, which learns from the other species what is
    alike in both. One more head answers for all other species, from what differs little between those it was taught.

    Parameters
    ----------
    data : path, address or LabelledUnits, or a sequence of them
        ``.csv`` tables of statistics, or labelled units; see `nwb_celltype.labels.read_labelled`.
    out : str or Path
        Folder of the model.
    name, version : str
    seed : int
        The same data, seed and machine give the same weights, however many cores it has.
    classes : sequence of str, optional
        By default every label that at least five rows have.
    group_by : {'recording', 'subject'}
        What folds keep together.
    unlabelled : as `data`, optional
        Units of a species that no label is known of. They get a head of their own: what seems shifted between their
        classes and those of the labelled units is left out, and it learns from their soft labels once. Whatever labels
        they carry are not used.
    labels, run, labels_are : optional
        Where the labels of NWB files are, as for `nwb_celltype.labels.read_labelled`.
    card : Card, optional
        What the data do not say: licence, intended use, limits.
    settings : StatisticsSettings, optional
    progress : callable, optional
        Called with a task, the steps done and the number of steps.

    Returns
    -------
    Model

    Raises
    ------
    NothingToDoError
        If no row is labelled and has statistics.
    InputError
        If a file cannot be read, or a class has too few rows.
    UsageError
        If the folder holds something else, or `group_by` is no such thing.

    Examples
    --------
    >>> from nwb_celltype.training.statistics_recipe import train_statistics
    >>> model = train_statistics("unit_features.csv", out="my_model", name="my-model")  # doctest: +SKIP
    """
    check_output(out)
    said, settings = card or Card(), settings or StatisticsSettings()
    read = read_sources(data, labels=labels, run=run, labels_are=labels_are)
    sources = [one for _, one in read]
    pool = make_statistics_pool(sources, classes=classes, group_by=group_by)
    strangers = _strangers(unlabelled, pool)
    tell = progress or _silent
    plans = _plans(pool, strangers, settings, seed, tell)
    heads: dict[str, Head] = {}
    for step, (head, plan) in enumerate(plans.items()):
        rows = pool.taught(plan.taught, plan.species)
        fitted = fit_heads(rows, plan.unlabelled, plan.usable, _with_taught(settings, plan), seed=seed)
        heads |= {head_name(head, SUBSETS[subset]): one for subset, one in fitted.items()}
        tell("fitting heads", step + 1, len(plans))
    novelty, limits = _novelty(pool, seed)
    temperatures = {head: _temperatures(pool, plan) for head, plan in plans.items()}
    threshold = _threshold(pool, plans, temperatures)
    full = {
        "name": name,
        "version": version,
        "description": said.description,
        "licence": inherited_licence(said.licence, (one.licence for one in sources)),
        "created": datetime.now(UTC).date().isoformat(),
        "classes": list(pool.classes),
        "feature_spec_version": FEATURE_SPEC_VERSION,
        "modalities": {key: list(members) for key, members in MODALITIES.items()},
        "architecture": _architecture(heads, plans, settings),
        "intended_use": said.intended_use,
        "limits": list(said.limits),
        "applies_to": dict(said.applies_to),
        "references": list(said.references),
        "training": {"seed": seed, "group_by": group_by, "n_units": len(pool), "settings": vars(settings)},
        "training_data": [_describe(k, file, one, pool, said) for k, (file, one) in enumerate(read)],
        "metrics": {head: _metrics(pool, plan, temperatures[head], threshold) for head, plan in plans.items()},
        "calibration": {
            "temperature": temperatures,
            "method": "subspaces and forests averaged, then one temperature a head and combination of modalities",
            "fitted_on": "the rows kept aside that `metrics` of the head names",
            "floor": TEMPERATURE_FLOOR,
        },
        "ood": {
            "threshold": OOD_THRESHOLD,
            "distance_limits": limits,
            "meaning": f"0.5: as far from the training units as {OOD_QUANTILE:.0%} of the units of a laboratory left "
            "out (or, where there is but one, of a recording left out, with a margin) are at most; above: flagged",
        },
        "default_threshold": threshold,
    }
    tensors = dict(novelty)
    for key, one_head in heads.items():
        tensors |= one_head.tensors(key)
    places, full["training_map"] = StatisticsModel(full, tensors).map_training(pool.columns, pool.labels, pool.labs)
    save_bundle(
        out,
        tensors=tensors,
        card=full,
        licence_text=said.licence_text,
        training_rows=hashes_seen(sources, pool.classes),
        training_map=places,
    )
    record_examples(out)
    return load_model(Path(out))


def _plans(
    pool: StatisticsPool, strangers: Mapping[str, Matrix], settings: StatisticsSettings, seed: int, tell: Progress
) -> dict[str, _Plan]:
    """Decide which heads there are, and ask each about rows that it did not see."""
    everyone = np.arange(len(pool))
    nobody = np.empty((0, len(COLUMNS)))
    counts = {name: np.bincount(pool.labels[pool.species == name], minlength=len(pool.classes)) for name in
              np.unique(pool.species) if name}  # fmt: skip
    own = [name for name, n in counts.items() if n.sum() >= _MIN_OWN and n.min() >= 2]
    several = len(np.unique(pool.species)) > 1
    names = [*(own if several else []), OTHER, *strangers]
    plans: dict[str, _Plan] = {}
    for step, name in enumerate(names):
        if name in strangers and name != OTHER:
            plans[name] = _plan_stranger(pool, strangers[name], settings, seed)
        elif name in own and several:
            rows = pool.taught(everyone, name)
            usable = usable_columns(rows, nobody, settings)
            mine, others = np.flatnonzero(pool.species == name), np.flatnonzero(pool.species != name)
            aside = hold_out_groups(pool, mine, name, settings, seed=seed + 100, others=others)
            protocol = f"recordings of {name} kept aside in 5 folds; the other species always taught"
            plans[name] = _Plan(name, everyone, nobody, usable, mine, aside, protocol)
        elif name == OTHER:
            plans[name] = (
                _plan_stranger(pool, strangers[OTHER], settings, seed)
                if OTHER in strangers
                else _plan_other(pool, own, settings, seed)
            )
        tell("rows kept aside", step + 1, len(names))
    return plans


def _plan_other(pool: StatisticsPool, own: Sequence[str], settings: StatisticsSettings, seed: int) -> _Plan:
    everyone, nobody = np.arange(len(pool)), np.empty((0, len(COLUMNS)))
    if len(own) < 2:
        aside = hold_out_groups(pool, everyone, "", settings, seed=seed + 100)
        usable = usable_columns(pool.taught(everyone, ""), nobody, settings)
        return _Plan("", everyone, nobody, usable, everyone, aside, "recordings kept aside in 5 folds")
    found = [usable_columns(pool.taught(everyone, name), nobody, settings) for name in own]
    steady = np.logical_and.reduce([one.steady for one in found])
    usable = Usable(np.logical_and.reduce([one.present for one in found]) & steady, steady)
    rows: list[Rows] = []
    said: list[dict[str, Matrix]] = []
    for name in own:
        rows.append(np.flatnonzero(pool.species == name))
        taught = np.flatnonzero(pool.species != name)
        said.append(held_out(pool, taught, rows[-1], name, _student(settings), seed=seed + 100))
    aside = {subset: np.concatenate([one[subset] for one in said]) for subset in SUBSETS}
    protocol = (
        f"{' and '.join(own)}, each asked what the others teach; no label of the species asked about was used, but its "
        "units without labels were"
    )
    return _Plan("", everyone, nobody, usable, np.concatenate(rows), aside, protocol)


def _plan_stranger(pool: StatisticsPool, unlabelled: Matrix, settings: StatisticsSettings, seed: int) -> _Plan:
    everyone = np.arange(len(pool))
    nowhere = "\0"  # no row is of the species asked about
    usable = usable_columns(pool.taught(everyone, nowhere), unlabelled, settings)
    aside = hold_out_groups(pool, everyone, nowhere, settings, seed=seed + 100, usable=usable)
    protocol = "recordings of the labelled species kept aside in 5 folds, with the columns of this head"
    return _Plan(nowhere, everyone, unlabelled, usable, everyone, aside, protocol)


def _strangers(
    unlabelled: str | Path | LabelledUnits | Sequence[str | Path | LabelledUnits], pool: StatisticsPool
) -> dict[str, Matrix]:
    """Columns of units without labels, by species; units of species with labels are left out, and said."""
    found: dict[str, list[Matrix]] = {}
    given = [unlabelled] if isinstance(unlabelled, str | Path | LabelledUnits) else unlabelled
    for one in map(_read_unlabelled, given):
        columns, species = read_columns(one.features), species_of_rows(one)
        for name in np.unique(species):
            if name and (pool.species == name).any():
                _log.warning("%s: units of %s are not needed without labels, there are some with.", one.source, name)
                continue
            rows = columns[species == name]
            found.setdefault(str(name) or OTHER, []).append(rows[np.isfinite(rows).any(axis=1)])
    strangers = {name: np.concatenate(rows) for name, rows in found.items()}
    for name, rows in strangers.items():
        if len(rows) < _MIN_UNLABELLED:
            _log.warning(
                "%d units of %s without labels are few to find what differs: %d or more are needed.",
                len(rows), name, _MIN_UNLABELLED,
            )  # fmt: skip
    return strangers


def _read_unlabelled(source: str | Path | LabelledUnits) -> LabelledUnits:
    """Read units whose labels, if they have any, are not used."""
    if isinstance(source, LabelledUnits):
        return source
    if Path(source).suffix.lower() in (".npz", *SUFFIXES):
        return read_labelled(source)
    from nwb_celltype.units import read_units

    with read_units(source) as units:
        return labelled_from_units(units, [""] * len(units.unit_ids))


def _student(settings: StatisticsSettings) -> StatisticsSettings:
    return settings if settings.taught else replace(settings, taught=_TAUGHT)


def _with_taught(settings: StatisticsSettings, plan: _Plan) -> StatisticsSettings:
    return _student(settings) if len(plan.unlabelled) else settings


def _temperatures(pool: StatisticsPool, plan: _Plan) -> dict[str, float]:
    temperatures = {}
    for subset, p in plan.aside.items():
        known = ~np.isnan(p).any(axis=1)
        y = pool.labels[plan.aside_rows][known]
        temperatures[subset] = round(fit_temperature(p[known], y, floor=TEMPERATURE_FLOOR), 4) if len(y) else 1.0
    return temperatures


def _threshold(
    pool: StatisticsPool, plans: Mapping[str, _Plan], temperatures: Mapping[str, Mapping[str, float]]
) -> float:
    """Least top probability with which the rows kept aside of species with a head are right as often as wanted."""
    own = [name for name in plans if plans[name].species and not len(plans[name].unlabelled)] or [OTHER]
    said = [best({s: temper(p, temperatures[name][s]) for s, p in plans[name].aside.items()}) for name in own]
    p, y = np.concatenate(said), np.concatenate([pool.labels[plans[name].aside_rows] for name in own])
    known = ~np.isnan(p).any(axis=1)
    curve = risk_coverage(p[known], y[known])
    enough = np.flatnonzero(curve.accuracy >= TARGET_ACCURACIES[-1])
    found = float(curve.threshold[enough[-1]]) if len(enough) else _HIGHEST_THRESHOLD
    return round(min(max(found, DEFAULT_THRESHOLD), _HIGHEST_THRESHOLD), 2)


def _metrics(pool: StatisticsPool, plan: _Plan, temperatures: Mapping[str, float], threshold: float) -> dict[str, Any]:
    tempered = {subset: temper(p, temperatures[subset]) for subset, p in plan.aside.items()}
    figures: dict[str, Any] = {"protocol": f"{plan.protocol}; no abstention; temperatures fitted on these rows"}
    y = pool.labels[plan.aside_rows]
    for subset, p in {"all units": best(tempered), **tempered}.items():
        known = ~np.isnan(p).any(axis=1)
        if known.any():
            figures[subset] = score_rows(p[known], y[known], pool.classes, threshold)
            if subset == "all units":
                figures[subset]["reliability"] = reliability_points(p[known], y[known])
    return figures


def score_rows(p: Matrix, y: Rows, classes: Sequence[str], threshold: float) -> dict[str, Any]:
    """Figures of tempered probabilities, plain numbers; `thresholds` keep answers that were right as often."""
    right, said = p.argmax(axis=1) == y, p.argmax(axis=1)
    kept = p.max(axis=1) >= threshold
    curve = risk_coverage(p, y)
    thresholds = {}
    for accuracy in TARGET_ACCURACIES:
        enough = np.flatnonzero(curve.accuracy >= accuracy)
        if len(enough):
            last = enough[-1]
            thresholds[f"{accuracy:g}"] = {
                "threshold": round(float(curve.threshold[last]), 4),
                "coverage": round(float(curve.coverage[last]), 4),
            }
    per_class = {
        name: {
            "n": int((y == k).sum()),
            "recall": round(float(right[y == k].mean()), 4),
            "precision": round(float(right[said == k].mean()), 4) if (said == k).any() else None,
            "coverage": round(float(kept[y == k].mean()), 4),
        }
        for k, name in enumerate(classes)
        if (y == k).any()
    }
    return {
        "n": len(y),
        "accuracy": round(float(right.mean()), 4),
        "balanced_accuracy": round(float(np.mean([right[y == k].mean() for k in np.unique(y)])), 4),
        "ece": round(expected_calibration_error(p, y), 4),
        "nll": round(negative_log_likelihood(p, y), 4),
        "brier": round(brier_score(p, y), 4),
        "coverage": round(float(kept.mean()), 4),
        "accuracy_kept": round(float(right[kept].mean()), 4) if kept.any() else None,
        "thresholds": thresholds,
        "per_class": per_class,
    }


def _architecture(
    heads: Mapping[str, Head], plans: Mapping[str, _Plan], settings: StatisticsSettings
) -> dict[str, Any]:
    return {
        "kind": KIND,
        "columns": list(COLUMNS),
        "gain": settings.gain,
        "clip": settings.clip,
        "heads": {
            name: {
                "subspaces": len(head.size),
                "cosines": head.frequency.shape[1],
                "forests": len(head.forests),
                "columns_not_carried_over": list(plans[name.partition("/")[0]].usable.dropped),
                "units_without_labels": len(plans[name.partition("/")[0]].unlabelled),
            }
            for name, head in heads.items()
        },
    }


def _novelty(pool: StatisticsPool, seed: int) -> tuple[dict[str, NDArray[np.float32]], dict[str, float]]:
    """Where the training units lie, and the distance that nearly all units of a laboratory left out do not exceed."""
    everyone = np.arange(len(pool))
    tensors: dict[str, NDArray[np.float32]] = {}
    limits: dict[str, float] = {}
    splits = [
        (rest, aside)
        for lab, (rest, aside) in left_out(pool.labs)
        if lab and len(rest) >= _MIN_LAB and len(aside) >= _MIN_LAB
    ]
    margin = 1.0
    if len(splits) < 2:
        margin = NEW_LAB_MARGIN
        names = np.where(pool.groups == "", np.char.add("row ", everyone.astype(str)), pool.groups)
        halves = np.random.default_rng(seed).permutation(len(np.unique(names)))[
            np.unique(names, return_inverse=True)[1]
        ]
        splits = [(everyone[halves % 5 != k], everyone[halves % 5 == k]) for k in range(5) if (halves % 5 == k).any()]
        splits = [(rest, aside) for rest, aside in splits if len(rest)]
    for name, members in MODALITIES.items():
        places = places_of(members)
        here = np.isfinite(pool.columns[:, places]).mean(axis=1) >= 0.5
        tensors |= _place(pool, everyone[here] if here.any() else everyone, name, places)
        quantiles, weights = [], []
        for rest, aside in splits:
            rest, aside = rest[here[rest]], aside[here[aside]]
            if len(rest) and len(aside):
                learnt = _place(pool, rest, name, places)
                z = novelty_columns(pool.columns[aside][:, places], learnt, name)
                far = distances(z, learnt[f"{name}.ood_means"], learnt[f"{name}.ood_whitening"])
                quantiles.append(max(float(np.quantile(far, OOD_QUANTILE)), 1e-3))
                weights.append(len(rest))
        limit = float(np.exp(np.average(np.log(quantiles), weights=weights))) if quantiles else 1.0
        limits[name] = round(limit * margin, 4)
    return tensors, limits


def _place(pool: StatisticsPool, rows: Rows, name: str, places: list[int]) -> dict[str, NDArray[np.float32]]:
    columns = pool.columns[rows][:, places]
    median = np.array([np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else 0.0 for c in columns.T])
    filled = np.where(np.isnan(columns), median, columns)
    # A column that only some laboratories have says little about distance: its spread is not made smaller by medians.
    spread = np.array([c[np.isfinite(c)].std() if np.isfinite(c).sum() > 1 else 1.0 for c in columns.T])
    tensors = {
        f"{name}.ood_missing": median.astype(np.float32),
        f"{name}.ood_centre": filled.mean(axis=0).astype(np.float32),
        f"{name}.ood_scale": (spread + 1e-3).astype(np.float32),
    }
    means, whitening = fit_novelty(novelty_columns(columns, tensors, name), pool.labels[rows], len(pool.classes))
    return {**tensors, f"{name}.ood_means": means, f"{name}.ood_whitening": whitening}


def _describe(position: int, file: str | Path, one: LabelledUnits, pool: StatisticsPool, said: Card) -> dict[str, Any]:
    mine = pool.sources == position
    return describe_source(
        file,
        one,
        np.array(pool.classes)[pool.labels[mine]],
        pool.classes,
        said.data.get(Path(one.source).name, {}),
        lab=", ".join(sorted(set(pool.labs[mine]) - {""})),
        species=", ".join(sorted(set(pool.species[mine]) - {""})),
    )


def _silent(task: str, done: int, total: int) -> None:
    """Tell nobody."""
