"""Temperatures, and the limits beyond which a model keeps quiet: from units that were kept aside, never from others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nwb_celltype.calibration import (
    DEFAULT_THRESHOLD,
    OOD_QUANTILE,
    STRANGER_QUANTILE,
    choose_threshold,
    fit_temperature,
    weighted_quantile,
)
from nwb_celltype.classifier import temper
from nwb_celltype.training.folds import left_out
from nwb_celltype.training.heldout import HeldOut
from nwb_celltype.training.pool import Pool

TEMPERATURE_FLOOR = 0.5
"""No model sharpens its probabilities more than this, however easy its own units are."""

NEW_LAB_MARGIN = 1.3
"""Units of a new laboratory lie about this much further from the training units than units kept aside at home, where
both could be measured; used when all training units are from one laboratory."""


def temperatures_of(pool: Pool, validated: HeldOut, elsewhere: HeldOut | None) -> dict[str, float]:
    """One temperature a combination of modalities.

    A temperature fitted in the laboratories of the training data alone is over-confident elsewhere, one fitted on
    left-out laboratories alone is timid at home. A user may come from either, so both have the same number of rows.
    """
    temperatures = {}
    for subset in validated.probability:
        rows = [(h.probability[subset], pool.labels) for h in (validated, elsewhere) if h is not None]
        kept = [(p[~np.isnan(p).any(axis=1)], y[~np.isnan(p).any(axis=1)]) for p, y in rows]
        p, y = np.concatenate([p for p, _ in kept]), np.concatenate([y for _, y in kept])
        temperatures[subset] = round(fit_temperature(p, y, floor=TEMPERATURE_FLOOR), 4) if len(y) else 1.0
    return temperatures


def threshold_of(pool: Pool, validated: HeldOut, elsewhere: HeldOut | None, temperatures: Mapping[str, float]) -> float:
    """Least top probability of an answer, from the units that have every modality, where there are any."""
    pairs = []
    for held in (validated, elsewhere):
        if held is not None:
            tempered = {subset: temper(p, temperatures[subset]) for subset, p in held.probability.items()}
            fullest = list(tempered.values())[-1]
            p = HeldOut(tempered, {}).best() if np.isnan(fullest).any(axis=1).all() else fullest
            known = ~np.isnan(p).any(axis=1)
            pairs.append((p[known], pool.labels[known]))
    if not len(pairs[0][1]):
        return DEFAULT_THRESHOLD
    return choose_threshold(pairs[0], pairs[1] if len(pairs) > 1 else None)


def distance_limits(pool: Pool, validated: HeldOut, elsewhere: HeldOut | None) -> dict[str, float]:
    """Distance that 98 % of the units of laboratories left out do not exceed, by modality.

    Where no laboratory could be left out, or a modality is one laboratory's alone, units kept aside in
    cross-validation stand for them, with a margin. Laboratories are averaged (geometrically), weighted by the units
    that remained to train on: the model that is shipped has seen them all, and is closest to the fold that lacked
    least.
    """
    limits = {}
    for name, at_home in validated.distance.items():
        distance, margin = at_home, NEW_LAB_MARGIN
        if elsewhere is not None and not np.isnan(elsewhere.distance[name]).all():
            distance, margin = elsewhere.distance[name], 1.0
        quantiles, weights = [], []
        known = ~np.isnan(distance)
        for _, (rest, own) in left_out(pool.labs):
            if known[own].any():
                quantiles.append(np.quantile(distance[own][known[own]], OOD_QUANTILE))
                weights.append(max(int(known[rest].sum()), 1))
        limit = float(np.exp(np.average(np.log(quantiles), weights=weights))) if quantiles else 1.0
        limits[name] = round(limit * margin, 4)
    return limits


def stranger_limits(validated: HeldOut, elsewhere: HeldOut | None) -> dict[str, float]:
    """Strangeness that 95 % of the units kept aside do not exceed, by modalities; only real units set it."""
    limits = {}
    for subset, at_home in validated.strangeness.items():
        parts = [at_home] if elsewhere is None else [at_home, elsewhere.strangeness[subset]]
        parts = [part[~np.isnan(part)] for part in parts if not np.isnan(part).all()]
        values = np.concatenate([*parts, np.empty(0)])
        weights = np.concatenate([*(np.full(len(part), 1 / len(part)) for part in parts), np.empty(0)])
        limit = weighted_quantile(values, weights, STRANGER_QUANTILE) if len(values) else 0.5
        limits[subset] = round(float(np.clip(limit, 0.01, 0.99)), 4)
    return limits
