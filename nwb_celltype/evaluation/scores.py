"""Figures of answers against the truth, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import UsageError

N_RESAMPLES = 2000
"""Bootstrap samples behind every interval."""

_Z = 1.959963984540054  # of a 95 % interval


@dataclass(frozen=True)
class Scores:
    """How well labels were predicted.

    Attributes
    ----------
    n : int
    accuracy : float
    balanced_accuracy : float
        Mean recall over the classes that occur.
    macro_f1 : float
        Mean F1 over the classes that occur or were answered.
    """

    n: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class ClassScores:
    """Figures of one class; `coverage` is the share of its units that the model answers."""

    n: int
    recall: float
    precision: float
    f1: float
    coverage: float


def score(truth: Sequence[str] | NDArray[np.str_], answers: Sequence[str] | NDArray[np.str_]) -> Scores:
    """Compare answers with the truth.

    Parameters
    ----------
    truth, answers : (n,) sequences of str
        An empty answer is wrong.

    Returns
    -------
    Scores

    Raises
    ------
    UsageError
        If there is not one answer a label, or no label at all.

    Examples
    --------
    >>> score(["MLI", "MLI", "GoC"], ["MLI", "GoC", "GoC"]).balanced_accuracy
    0.75
    """
    true, said = np.asarray(truth, dtype=str), np.asarray(answers, dtype=str)
    if len(true) == 0 or len(true) != len(said):
        message = f"{len(said)} answers for {len(true)} labels: one a labelled unit is needed, and at least one."
        raise UsageError(message)
    each = {name: class_scores(true == name, said == name, None) for name in np.union1d(true, said[said != ""])}
    return Scores(
        n=len(true),
        accuracy=float((true == said).mean()),
        balanced_accuracy=float(np.mean([one.recall for one in each.values() if one.n])),
        macro_f1=float(np.mean([one.f1 for one in each.values()])),
    )


def class_scores(true: NDArray[np.bool_], said: NDArray[np.bool_], answered: NDArray[np.bool_] | None) -> ClassScores:
    """Figures of one class from (n,) masks of the units that are, and are said to be, of it; NaN if undefined."""
    hits, n, n_said = int((true & said).sum()), int(true.sum()), int(said.sum())
    return ClassScores(
        n=n,
        recall=hits / n if n else float("nan"),
        precision=hits / n_said if n_said else float("nan"),
        f1=2 * hits / (n + n_said) if n + n_said else float("nan"),
        coverage=float(answered[true].mean()) if answered is not None and n else float("nan"),
    )


def most_probable(classes: Sequence[str], probability: NDArray[np.float64]) -> NDArray[np.str_]:
    """(n,) most probable class of each row; empty, and so never right, where nothing could be said."""
    nothing = np.isnan(probability).any(axis=1)
    return np.where(nothing, "", np.array(classes)[np.nan_to_num(probability, nan=-1.0).argmax(axis=1)])


def share_interval(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson); NaN if there is nothing to share.

    Examples
    --------
    >>> [round(end, 3) for end in share_interval(9, 10)]
    [0.596, 0.982]
    """
    if n == 0:
        return float("nan"), float("nan")
    middle = (hits + _Z**2 / 2) / (n + _Z**2)
    half = _Z / (n + _Z**2) * (hits * (n - hits) / n + _Z**2 / 4) ** 0.5
    return max(middle - half, 0.0), min(middle + half, 1.0)


def unit_interval(truth: NDArray[np.str_], right: NDArray[np.bool_]) -> tuple[float, float]:
    """95 % bootstrap interval of the balanced accuracy; units are resampled within classes."""
    rng = np.random.default_rng(0)
    recalls = []
    for name in np.unique(truth):
        hits = right[truth == name]  # hits of a class are binomial when its units are resampled
        recalls.append(rng.binomial(len(hits), hits.mean(), size=N_RESAMPLES) / len(hits))
    low, high = np.percentile(np.mean(recalls, axis=0), [2.5, 97.5])
    return float(low), float(high)


def resampled_balanced_accuracy(
    truth: NDArray[np.str_], right: NDArray[np.bool_], groups: NDArray[np.str_], *, seed: int = 0
) -> NDArray[np.float64]:
    """Balanced accuracies when recordings are drawn anew, each with all its units.

    Parameters
    ----------
    truth : (n,) array of str
    right : (m, n) bool array
        Which units each of m models gets right; all are measured on the same draws.
    groups : (n,) array of str
        Recording or subject; a unit without one is drawn by itself.
    seed : int

    Returns
    -------
    (m, N_RESAMPLES) array
        Mean recall over the classes that are in each draw.
    """
    own = np.array([f"\0{i}" for i in range(len(groups))])
    _, member = np.unique(np.where(groups == "", own, groups), return_inverse=True)
    names, code = np.unique(truth, return_inverse=True)
    n_groups = int(member.max()) + 1
    held = np.zeros((n_groups, len(names)))
    np.add.at(held, (member, code), 1)
    hits = np.zeros((len(right), n_groups, len(names)))
    for k, each in enumerate(right):
        np.add.at(hits[k], (member, code), each)
    rng = np.random.default_rng(seed)
    times_drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=N_RESAMPLES).astype(np.float64)
    counts = times_drawn @ held
    drawn = counts > 0
    recalls = np.where(drawn, (times_drawn @ hits) / np.where(drawn, counts, 1), 0.0)
    return np.asarray(recalls.sum(axis=-1) / drawn.sum(axis=-1))


def n_recordings(groups: NDArray[np.str_]) -> int:
    """Count the recordings or subjects that are named."""
    return len(np.unique(groups[groups != ""]))
