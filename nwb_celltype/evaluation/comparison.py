"""Two models on the same units: which is better, and could it be chance?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from nwb_celltype.errors import NothingToDoError
from nwb_celltype.evaluation.measuring import Answers, Evaluation
from nwb_celltype.evaluation.scores import N_RESAMPLES, n_recordings, resampled_balanced_accuracy


@dataclass(frozen=True)
class Comparison:
    """Two models on the units that both were measured on.

    Attributes
    ----------
    first, second : str
        Names and versions.
    n : int
        Units that both were measured on; training units of either are not among them.
    balanced_accuracy : (float, float)
        Of each, on these units, abstention ignored.
    difference : float
        First less second.
    interval : (float, float)
        95 % interval of the difference, both models on the same bootstrap draws.
    p_difference : float
        Share of the draws on the far side of no difference, times two, the observed data counted as a draw.
    drawn : str
        What a bootstrap draw draws: recordings, or units where recordings are not known.
    n_answered : int
        Units that both models answer.
    only_first, only_second : int
        Of those, units that only one of them gets right.
    p_mcnemar : float
        Exact (binomial) two-sided McNemar test of these two counts.
    """

    first: str
    second: str
    n: int
    balanced_accuracy: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    p_difference: float
    drawn: str
    n_answered: int
    only_first: int
    only_second: int
    p_mcnemar: float

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return {
            **{key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()},
            "tests": {
                "p_difference": f"paired bootstrap of the balanced accuracy, {N_RESAMPLES} draws of {self.drawn}",
                "p_mcnemar": "McNemar, exact and two-sided, on units that both models answer",
            },
        }


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """Compare two evaluations unit by unit.

    Parameters
    ----------
    first, second : Evaluation
        Of two models on the same data.

    Returns
    -------
    Comparison

    Raises
    ------
    NothingToDoError
        If no unit was measured in both.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> from nwb_celltype.evaluation import compare
    >>> data = ["monday.nwb", "tuesday.nwb"]
    >>> compare(nct.evaluate("cerebellum", data), nct.evaluate("my_model", data)).p_mcnemar  # doctest: +SKIP
    0.31
    """
    rows = _pairs(first.answers, second.answers)
    if not rows:
        message = (
            f"No unit was measured with both {first.model} and {second.model}: their classes differ, or each was "
            "trained on what is left of the other. Give them other units."
        )
        raise NothingToDoError(message)
    i, j = np.array(rows).T
    truth, groups = first.answers.truth[i], first.answers.groups[i]
    right = np.stack([first.answers.is_right[i], second.answers.is_right[j]])
    many, unnamed = n_recordings(groups), int((groups == "").sum())
    if many + unnamed < 2:  # one recording cannot be drawn in other ways, so its units are
        many, unnamed, groups = 0, len(rows), np.full(len(rows), "")
    drawn = resampled_balanced_accuracy(truth, right, groups)
    differences = drawn[0] - drawn[1]
    each = [float(np.mean([hits[truth == name].mean() for name in np.unique(truth)])) for hits in right]
    low, high = np.percentile(differences, [2.5, 97.5])
    far = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    answered = first.answers.is_answered[i] & second.answers.is_answered[j]
    b, c = int((right[0] & ~right[1] & answered).sum()), int((~right[0] & right[1] & answered).sum())
    return Comparison(
        first=f"{first.model} {first.version}",
        second=f"{second.model} {second.version}",
        n=len(rows),
        balanced_accuracy=(each[0], each[1]),
        difference=each[0] - each[1],
        interval=(float(low), float(high)),
        p_difference=min(1.0, 2 * (far + 1) / (N_RESAMPLES + 1)),
        drawn=_drawn(many, unnamed),
        n_answered=int(answered.sum()),
        only_first=b,
        only_second=c,
        p_mcnemar=_mcnemar(b, c),
    )


def _pairs(first: Answers, second: Answers) -> list[tuple[int, int]]:
    """Rows of the same unit in both; units that a file names alike are paired in their order."""
    places: dict[tuple[tuple[str, int, str], int], int] = {}
    seen: Counter[tuple[str, int, str]] = Counter()
    for k, key in enumerate(second.keys):
        places[key, seen[key]] = k
        seen[key] += 1
    seen.clear()
    rows = []
    for k, key in enumerate(first.keys):
        place = places.get((key, seen[key]))
        seen[key] += 1
        if place is not None:
            rows.append((k, place))
    return rows


def _drawn(n_named: int, n_unnamed: int) -> str:
    if n_named == 0:
        return "units (of no more than one known recording)"
    return f"{n_named} recordings or subjects" + (f" and {n_unnamed} units without one" if n_unnamed else "")


def _mcnemar(only_first: int, only_second: int) -> float:
    from scipy.stats import binomtest

    n = only_first + only_second
    return 1.0 if n == 0 else float(binomtest(only_first, n, 0.5).pvalue)
