"""What a run or an annotation says: probabilities of a unit, counts of classes, coverage at thresholds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_celltype.annotation import Annotation
from nwb_celltype.colours import colours_of
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.plotting.canvas import axes_for
from nwb_celltype.plotting.panels import draw_counts, draw_coverage, draw_probabilities
from nwb_celltype.runs import Run
from nwb_celltype.taxonomy import UNCLASSIFIED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Answers = Run | Annotation
"""What one method says about units, as read from a file or fresh from `nwb_celltype.annotate_units`."""


def classes_of(answers: Answers) -> tuple[str, ...]:
    """Classes in the order of the columns of probabilities."""
    return answers.classes if isinstance(answers, Run) else answers.taxonomy.labels


def name_of(answers: Answers) -> str:
    """Name of the run."""
    return answers.name if isinstance(answers, Run) else answers.run_name


def answer_row(answers: Answers, unit_id: int) -> int:
    """Row of a unit.

    Raises
    ------
    UsageError
        If the run does not name the unit.
    """
    rows = np.flatnonzero(answers.unit_ids == unit_id)
    if not len(rows):
        message = f"The run {name_of(answers)!r} does not name unit {unit_id}; look at its `unit_ids`."
        raise UsageError(message)
    return int(rows[0])


def plot_probabilities(
    answers: Answers, unit_id: int, *, spread: float | ArrayLike | None = None, ax: Axes | None = None
) -> Axes:
    """Plot how probable each class is for one unit.

    Parameters
    ----------
    answers : Run or Annotation
    unit_id : int
    spread : float or (k,) array, optional
        Standard deviation over the members of an ensemble, of the most probable class or of each, drawn as error bars;
        ``Model.predict(features).spread`` has it.
    ax : matplotlib.axes.Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The dashed line is the least probability of an answer.

    Raises
    ------
    UsageError
        If the run does not name the unit, `spread` has another length than there are classes, or matplotlib is missing.
    InputError
        If the run has no probabilities, or none for this unit.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> from nwb_celltype.plotting import plot_probabilities
    >>> ax = plot_probabilities(nct.choose_run("session_celltype.nwb"), 17)  # doctest: +SKIP
    """
    row = answer_row(answers, unit_id)
    if answers.probability is None or not np.isfinite(answers.probability[row]).any():
        message = f"The run {name_of(answers)!r} has no probabilities of unit {unit_id}; its label stands alone."
        raise InputError(message)
    ax = axes_for(ax)
    classes = classes_of(answers)
    probability = answers.probability[row].astype(np.float64)
    errors = spread_of_classes(probability, spread)
    draw_probabilities(ax, classes, probability, colours_of(classes), errors, answers.confidence_threshold)
    return ax


def spread_of_classes(probability: NDArray[np.float64], spread: float | ArrayLike | None) -> NDArray[np.float64] | None:
    """(k,) spread of each class; of one number, that of the most probable class, NaN for the others.

    Raises
    ------
    UsageError
        If there are neither one number nor k.
    """
    if spread is None:
        return None
    given = np.asarray(spread, dtype=np.float64)
    if given.ndim == 0:
        errors = np.full(len(probability), np.nan)
        errors[int(np.nanargmax(probability))] = float(given)
        return errors
    if given.shape != probability.shape:
        message = f"`spread` has shape {given.shape}; give one number, or one for each of {len(probability)} classes."
        raise UsageError(message)
    return given


def plot_counts(answers: Answers | Sequence[Answers], *, ax: Axes | None = None) -> Axes:
    """Plot how many units each class got, and how many got no answer, by reason.

    Parameters
    ----------
    answers : Run or Annotation, or several
        Several are added up.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    UsageError
        If there is no run, or matplotlib is missing.

    Examples
    --------
    >>> from nwb_celltype.plotting import plot_counts
    >>> ax = plot_counts(nct.choose_run("session_celltype.nwb"))  # doctest: +SKIP
    """
    every = _several(answers)
    ax = axes_for(ax)
    counts, abstained = count_answers(every)
    draw_counts(ax, counts, abstained, colours_of(counts))
    return ax


def count_answers(answers: Sequence[Answers]) -> tuple[dict[str, int], dict[str, int]]:
    """Units of each class, 0 included, and units without an answer by reason, the most frequent first."""
    found = Counter(str(label) for one in answers for label in one.cell_type)
    names = dict.fromkeys(label for one in answers for label in classes_of(one))
    counts = {label: found[label] for label in [*names, *sorted(set(found) - set(names) - {UNCLASSIFIED})]}
    reasons = Counter(str(why) or "not stated" for one in answers for why in one.reason[one.is_abstained])
    return counts, dict(reasons.most_common())


def plot_coverage(answers: Answers | Sequence[Answers], *, ax: Axes | None = None) -> Axes:
    """Plot the share of units that would have an answer at each confidence threshold.

    Units that were left without an answer for other reasons than low confidence stay without one.

    Parameters
    ----------
    answers : Run or Annotation, or several
        Of several, all units count alike.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        The dashed line is the threshold that was used, where all agree on one.

    Raises
    ------
    UsageError
        If there is no run, or matplotlib is missing.
    InputError
        If a run has no confidence.

    Examples
    --------
    >>> from nwb_celltype.plotting import plot_coverage
    >>> ax = plot_coverage(nct.choose_run("session_celltype.nwb"))  # doctest: +SKIP
    """
    every = _several(answers)
    threshold, share = coverage(every)
    ax = axes_for(ax)
    used = {one.confidence_threshold for one in every}
    draw_coverage(ax, threshold, share, used.pop() if len(used) == 1 else None)
    return ax


def coverage(answers: Sequence[Answers]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(101,) thresholds from 0 to 1, and (101,) shares of units with an answer at each.

    Raises
    ------
    InputError
        If a run has no confidence.
    """
    for one in answers:
        if one.confidence is None:
            message = f"The run {name_of(one)!r} states no confidence, so there is no coverage to plot."
            raise InputError(message)
    confidence = np.concatenate([np.asarray(one.confidence, dtype=np.float64) for one in answers])
    is_open = np.concatenate([~one.is_abstained | (one.reason == "low_confidence") for one in answers])
    threshold = np.linspace(0, 1, 101)
    ranked = np.sort(confidence[is_open & np.isfinite(confidence)])
    n_above = len(ranked) - np.searchsorted(ranked, threshold, side="left")
    return threshold, n_above / max(len(confidence), 1)


def _several(answers: Answers | Sequence[Answers]) -> list[Answers]:
    every: list[Answers] = [answers] if isinstance(answers, Run | Annotation) else list(answers)
    if not every:
        message = "There is no run to plot; give one or more."
        raise UsageError(message)
    return every
