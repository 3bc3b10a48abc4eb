"""Train the networks of the ensemble: each on all labelled units but those of one fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from nwb_celltype.c4.laplace import Curvature, calibrated, curvature_of, logit_variance, prior_precision
from nwb_celltype.c4.networks import Classifier
from nwb_celltype.c4.pretraining import RESTART_EPOCHS, Pretrained, reproducible
from nwb_celltype.errors import UsageError

Matrix = NDArray[np.float32]
Labels = NDArray[np.intp]
Rows = NDArray[np.intp]
Folds = int | Literal["unit", "recording"]
"""Number of stratified folds, or ``unit`` (each unit once left out), or ``recording``."""

BATCH = 64
LEARNING_RATE = 1e-3
DECAY = 0.01


@dataclass(frozen=True, eq=False)
class Fitted:
    """One trained network, the uncertainty of its last layer, and what it says of the fold that it did not see."""

    network: Classifier
    curvature: Curvature
    precision: float
    held_out: Rows
    probability: NDArray[np.float64]


def folds_of(labels: Labels, groups: NDArray[np.str_], folds: Folds, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Rows to train on and rows left out.

    Parameters
    ----------
    labels : (n,) integer array
    groups : (n,) array of str
        Recording of each row.
    folds : int, 'unit' or 'recording'
    seed : int
        Shuffles the rows of stratified folds.

    Yields
    ------
    train, left_out : integer arrays

    Raises
    ------
    UsageError
        If there are fewer than two folds.
    """
    n = len(labels)
    if folds == "unit":
        member = np.arange(n)
    elif folds == "recording":
        member = np.unique(groups, return_inverse=True)[1]
    else:
        rng = np.random.default_rng(seed)
        member = np.zeros(n, dtype=np.intp)
        next_fold = 0
        for label in np.unique(labels):
            rows = rng.permutation(np.flatnonzero(labels == label))
            member[rows] = (next_fold + np.arange(len(rows))) % folds
            next_fold += len(rows)
    kinds = np.unique(member)
    if len(kinds) < 2:
        message = f"The units fall into {len(kinds)} fold; two or more are needed. Ask for other folds (`folds`)."
        raise UsageError(message)
    for kind in kinds:
        yield np.flatnonzero(member != kind), np.flatnonzero(member == kind)


def fit_network(
    x: Matrix,
    labels: Labels,
    train: Rows,
    left_out: Rows,
    *,
    n_classes: int,
    has_layer: bool,
    encoders: Pretrained,
    epochs: int,
    seed: int,
) -> Fitted:
    """Train one network, encoders and all, on classes made equally frequent by repeating rows.

    Parameters
    ----------
    x : (n, 1100 or 1104) float32 array
    labels : (n,) integer array
    train, left_out : integer arrays
        Rows.
    n_classes : int
    has_layer : bool
    encoders : Pretrained
    epochs, seed : int

    Returns
    -------
    Fitted
    """
    rng = np.random.default_rng(seed)
    rows = torch.from_numpy(_oversampled(labels, train, rng))
    inputs, truth = torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(labels.astype(np.int64))
    with reproducible(seed):
        network = Classifier(n_classes, has_layer=has_layer)
        network.acg_head.load_state_dict(encoders.acg)
        network.wvf_head.load_state_dict(encoders.waveform)
        optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, RESTART_EPOCHS)
        network.train()
        for _ in range(epochs):
            for batch in torch.split(rows[torch.randperm(len(rows))], BATCH):
                if len(batch) < 2:  # a normalisation learns nothing from one row
                    continue
                loss = torch.nn.functional.cross_entropy(network(inputs[batch]), truth[batch])
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            hidden = network.hidden(inputs[rows])
            curvature = curvature_of(hidden.numpy(), network.fc2(hidden).numpy())
            last = network.fc2
            squared = float((last.weight.double() ** 2).sum() + (last.bias.double() ** 2).sum())
            precision = prior_precision(curvature, squared)
            hidden = network.hidden(inputs[torch.from_numpy(left_out)])
            logits = network.fc2(hidden).numpy()
    probability = calibrated(logits, logit_variance(hidden.numpy(), curvature, precision))
    return Fitted(network, curvature, precision, left_out, probability)


def run_seeds(seed: int, n_runs: int) -> Sequence[int]:
    """Seed of each run of the folds."""
    return [seed + int(step) for step in np.random.default_rng(seed).integers(0, 100, n_runs)]


def _oversampled(labels: Labels, rows: Rows, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows, those of rare classes repeated at random until every class is as frequent as the most frequent one."""
    found, counts = np.unique(labels[rows], return_counts=True)
    extra = [
        rng.choice(rows[labels[rows] == label], counts.max() - count)
        for label, count in zip(found, counts, strict=True)
    ]
    return np.concatenate([rows, *extra]).astype(np.int64)
