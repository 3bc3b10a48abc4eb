"""Contributions to the decisions of each kind of model: networks by captum, forests at their steps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.classifier.ensemble import Ensemble
from nwb_celltype.classifier.inputs import Matrix, has_modality, joined, read_blocks
from nwb_celltype.classifier.statistics import (
    COLUMNS,
    Head,
    StatisticsModel,
    places_of,
    read_columns,
    species_in,
)
from nwb_celltype.explanation.steps import credit_steps

if TYPE_CHECKING:
    import xarray as xr

    from nwb_celltype.features.dataset import Progress

_CHUNK = 64
_AT_ONCE = 512
_SAME_COLUMNS = {"waveform_turned": "waveform"}  # a block that shows the samples of another with their sign turned

Shown = dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]


@dataclass(frozen=True, eq=False)
class Contributions:
    """What moved the decisions on some units.

    Attributes
    ----------
    target : (n,) integer array
        Class of each unit that is explained.
    probability, baseline : (n,) array
        Of that class, before calibration, of the unit and of the mean training unit.
    by_modality : (n, m) array
        NaN where a unit does not have the modality.
    shown : dict of str to (dimensions, array)
        Contributions of the parts of what the model looks at, by the names of the features.
    coords : mapping of str to array
        Of dimensions that the features do not have.
    """

    target: NDArray[np.intp]
    probability: NDArray[np.float64]
    baseline: NDArray[np.float64]
    by_modality: NDArray[np.float64]
    shown: Shown
    coords: Mapping[str, Any]


Choose = Callable[[NDArray[np.float64]], NDArray[np.intp]]
"""Turns (n, k) probabilities into the class of each unit that is to be explained."""


def explain_ensemble(
    model: Ensemble,
    features: xr.Dataset,
    choose: Choose,
    modalities: Collection[str] | None,
    steps: int,
    progress: Progress | None,
) -> Contributions:
    """Explain networks and forests over waveforms and spike trains; parameters as for `explain`."""
    blocks, allowed = read_blocks(features), model.allowed(modalities)
    names = list(model.modalities)
    used = np.stack([has_modality(blocks, model.modalities[name]) & (name in allowed) for name in names], axis=1)
    said = model.uncalibrated(blocks, allowed)
    target = choose(said)
    forests, share = model.forests, model.forest_share
    columns = {name: np.zeros((len(used), joined(blocks, model.modalities[name]).shape[1])) for name in names}
    base = np.full(len(used), np.nan)
    for pattern in np.unique(used[used.any(axis=1)], axis=0):
        rows = np.flatnonzero((used == pattern).all(axis=1))
        seen = [name for name, has in zip(names, pattern, strict=True) if has]
        found, start = _by_networks(model, blocks, rows, seen, target[rows], steps, progress)
        base[rows] = (1 - share) * start
        for name in seen:
            columns[name][rows] = (1 - share) * found[name]
            if name in forests:
                x = joined(blocks, model.modalities[name])[rows]
                mean = np.asarray(model.tensors[f"{name}.mean"], dtype=np.float32)
                at_steps, start = credit_steps(forests[name], mean, x, target[rows])
                columns[name][rows] += share / len(seen) * at_steps
                base[rows] += share / len(seen) * start
    shown: Shown = {}
    for i, name in enumerate(names):
        place = 0
        for block in model.modalities[name]:
            source = _SAME_COLUMNS.get(block, block)
            width = features[source].shape[1]
            values = np.where(used[:, i, None], columns[name][:, place : place + width], np.nan)
            before = shown[source][1] if source in shown else 0.0
            shown[source] = (tuple(map(str, features[source].dims)), values + before)
            place += width
    totals = [np.where(used[:, i], columns[name].sum(axis=1), np.nan) for i, name in enumerate(names)]
    probability = said[np.arange(len(said)), target]
    return Contributions(target, probability, base, np.stack(totals, axis=1), shown, {})


def explain_statistics(
    model: StatisticsModel,
    features: xr.Dataset,
    choose: Choose,
    modalities: Collection[str] | None,
    steps: int,
    progress: Progress | None,
) -> Contributions:
    """Explain kernel machines and forests over statistics; parameters as for `explain`."""
    values, allowed = read_columns(features), model.allowed(modalities)
    for name in set(model.modalities) - allowed:
        values[:, places_of(model.modalities[name])] = np.nan
    used = model.has(values)
    heads = model.heads_of(species_in(features))
    n = len(values)
    is_said = used.any(axis=1)
    said = np.full((n, len(model.classes)), np.nan)
    for name in np.unique(heads[is_said]):
        rows = np.flatnonzero((heads == name) & is_said)
        said[rows] = model.heads[str(name)].probabilities(values[rows])
    target = choose(said)
    columns, base = np.full((n, len(COLUMNS)), np.nan), np.full(n, np.nan)
    for name in np.unique(heads[is_said]):
        rows = np.flatnonzero((heads == name) & is_said)
        head = model.heads[str(name)]
        z = head.standardised(values[rows])
        # What is missing is the same at both ends of the line, and so moves nothing.
        start = np.where(np.isnan(values[rows]), z, 0.0)
        columns[rows], base[rows] = _by_head(head, start, z, target[rows], steps, progress)
    totals = [
        np.where(used[:, i], columns[:, places_of(names)].sum(axis=1), np.nan)
        for i, names in enumerate(model.modalities.values())
    ]
    absent = np.isnan(values)
    shown: Shown = {"statistics": (("unit", "model_statistic"), np.where(absent, np.nan, columns))}
    probability = said[np.arange(n), target]
    by_modality = np.stack(totals, axis=1)
    # The few columns of a modality that is not there enough still moved a little; they count for the other one.
    rest = probability - base - np.nansum(by_modality, axis=1)
    lone = is_said & ~used.all(axis=1)
    by_modality[lone] += np.where(used[lone], rest[lone, None], 0.0)
    return Contributions(target, probability, base, by_modality, shown, {"model_statistic": list(COLUMNS)})


def _by_networks(
    model: Ensemble,
    blocks: Mapping[str, Matrix],
    rows: NDArray[np.intp],
    names: Sequence[str],
    target: NDArray[np.intp],
    steps: int,
    progress: Progress | None,
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Contributions by modality to the networks' mean probability, and that probability at the start."""
    import torch

    from nwb_celltype.classifier import network

    prepared = {name: torch.from_numpy(x[rows]) for name, x in model.prepare(blocks).items() if name in names}
    parameters = model.parameters

    def mean_probability(*inputs: Any) -> Any:
        there = {name: torch.ones(len(inputs[0]), dtype=torch.bool) for name in names}
        each = network.probabilities(parameters, dict(zip(names, inputs, strict=True)), there).mean(dim=0)
        return each / each.sum(dim=1, keepdim=True)

    inputs = tuple(prepared[name] for name in names)
    starts = tuple(torch.zeros_like(x) for x in inputs)
    found, start = _integrate(mean_probability, inputs, starts, target, steps, progress)
    return dict(zip(names, found, strict=True)), start


def _by_head(
    head: Head,
    start: NDArray[np.float64],
    z: NDArray[np.float64],
    target: NDArray[np.intp],
    steps: int,
    progress: Progress | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, n_columns) contributions to what a head says, and (n,) what it says at the start."""
    import torch

    stop = np.cumsum(head.size)
    pieces = list(zip((stop - head.size).tolist(), stop.tolist(), strict=True))
    frequency, linear = torch.from_numpy(head.frequency).double(), torch.from_numpy(head.linear).double()
    cosine, sine = torch.from_numpy(head.cosine).double(), torch.from_numpy(head.sine).double()
    place = torch.from_numpy(head.place.astype(np.int64))

    def mean_probability(rows: Any) -> Any:
        total = torch.zeros(len(rows), cosine.shape[-1], dtype=torch.float64)
        for i, (first, last) in enumerate(pieces):
            x = rows[:, place[first:last]]
            angle = x @ frequency[first:last]
            score = torch.cos(angle) @ cosine[i] + torch.sin(angle) @ sine[i] + x @ linear[first:last]
            total = total + torch.softmax(head.gain * score, dim=1)
        return total / len(pieces)

    ends, starts = torch.from_numpy(z), torch.from_numpy(start)
    (found,), at_start = _integrate(mean_probability, (ends,), (starts,), target, steps, progress)
    columns, base = found / 2, at_start / 2
    here, there = start.astype(np.float32), z.astype(np.float32)
    for places, forest in head.forests:
        own = places.astype(np.intp)
        at_steps, said = credit_steps(forest, here[:, own], there[:, own], target)
        for k, column in enumerate(own):
            columns[:, column] += at_steps[:, k] / (2 * len(head.forests))
        base = base + said / (2 * len(head.forests))
    return columns, base


def _integrate(
    function: Callable[..., Any],
    inputs: tuple[Any, ...],
    starts: tuple[Any, ...],
    target: NDArray[np.intp],
    steps: int,
    progress: Progress | None,
) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """Integrated gradients of the probability of a class each, and that probability at the start."""
    import torch
    from captum.attr import IntegratedGradients

    method = IntegratedGradients(function)
    classes = torch.from_numpy(target.astype(np.int64))
    parts: list[list[NDArray[np.float64]]] = [[] for _ in inputs]
    at_start = []
    n = len(target)
    for first in range(0, n, _CHUNK):
        rows = slice(first, first + _CHUNK)
        here, there = tuple(x[rows] for x in starts), tuple(x[rows] for x in inputs)
        with torch.enable_grad():
            found = method.attribute(
                there,
                here,
                target=classes[rows],
                n_steps=steps,
                method="gausslegendre",
                internal_batch_size=max(_AT_ONCE, len(classes[rows])),
            )
        for kept, values in zip(parts, found, strict=True):
            kept.append(values.detach().numpy().astype(np.float64))
        with torch.no_grad():
            at_start.append(function(*here).numpy()[np.arange(len(here[0])), target[rows]])
        if progress is not None:
            progress("explaining", min(first + _CHUNK, n), n)
    return [np.concatenate(kept) for kept in parts], np.concatenate(at_start).astype(np.float64)
