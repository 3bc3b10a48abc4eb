"""Which labels of a file are truth to learn from: ground truth, an expert's where asked for, never predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from nwb_celltype.errors import RefusedError
from nwb_celltype.runs import Run, choose_among, published_run
from nwb_celltype.taxonomy import means_no_label

LabelsAre = Literal["ground_truth", "expert"]
"""``ground_truth``: nothing else; ``expert``: an expert's labels too, for units without ground truth."""

_ALLOWED: dict[str, tuple[str, ...]] = {"ground_truth": ("ground_truth",), "expert": ("ground_truth", "expert")}


def kinds_of_labels(labels_are: LabelsAre) -> tuple[str, ...]:
    """Kinds of runs that may be learnt from.

    Examples
    --------
    >>> kinds_of_labels("expert")
    ('ground_truth', 'expert')
    """
    return _ALLOWED[labels_are]


class PredictionsOnlyError(RefusedError):
    """A file holds no labels of the kind asked for, but a classifier's or an expert's."""


def choose_labels(
    runs: Sequence[Run], path: str | Path, *, name: str | None = None, labels_are: LabelsAre | None = None
) -> Run:
    """Choose the run that holds the labels to learn from or to measure by; several of one kind are put together.

    Parameters
    ----------
    runs : sequence of Run
        All runs of a file.
    path : str or Path
        What messages call it.
    name : str, optional
        The run to take.
    labels_are : {'ground_truth', 'expert'}, optional
        What labels may be; by default the published run is taken, unless that is a classifier's, and a run that is
        asked for by its name whatever it is.

    Returns
    -------
    Run
        Of several runs, the published one first; a unit that it does not label has the label of the next one.

    Raises
    ------
    PredictionsOnlyError
        If there are no such labels.
    InputError
        If there are no runs.
    UsageError
        If there is no run of that name.
    """
    chosen = choose_among(runs, path, name)
    if labels_are is None:
        if name is None and chosen.method.source_type == "classifier":
            message = (
                f"{path} holds no labels but those that a classifier predicted (run {chosen.name!r}), which are "
                "nothing to learn from or to measure by. Give a table of labels, or name the run to use it anyway."
            )
            raise PredictionsOnlyError(message)
        return chosen
    allowed = _ALLOWED[labels_are]
    if name is not None:
        if chosen.method.source_type not in allowed:
            raise PredictionsOnlyError(_refusal(path, [chosen], labels_are))
        return chosen
    ordered = _ordered([run for run in runs if run.method.source_type in allowed])
    if not ordered:
        raise PredictionsOnlyError(_refusal(path, runs, labels_are))
    return _together(ordered)


def _refusal(path: str | Path, runs: Sequence[Run], labels_are: LabelsAre) -> str:
    kinds = ", ".join(f"{run.name!r} ({run.method.source_type.replace('_', ' ')})" for run in runs)
    if labels_are == "ground_truth" and any(run.method.source_type == "expert" for run in runs):
        advice = "An expert's labels are taken when they are asked for: --labels-are expert."
    else:
        advice = "Predictions and rules are nothing to learn from; annotate its units, or give a table of labels."
    what = "ground truth" if labels_are == "ground_truth" else "ground truth and no expert's labels"
    return f"{path} holds no {what}; it holds {kinds}. {advice}"


def _ordered(runs: Sequence[Run]) -> list[Run]:
    """Runs that are not superseded by another, the published one first, then the next that would be."""
    replaced = {run.supersedes for run in runs} - {""}
    left, ordered = [run for run in runs if run.name not in replaced] or list(runs), []
    while left:
        first = published_run(left)
        if first is None:
            break
        ordered.append(first)
        left = [run for run in left if run.name != first.name]
    return ordered


def _together(runs: Sequence[Run]) -> Run:
    """The first run, with what the others say of units that it does not label."""
    first = runs[0]
    said: dict[int, str] = {}
    for run in runs:
        for unit, label in zip(run.unit_ids.tolist(), run.cell_type.tolist(), strict=True):
            if not said.get(unit):
                said[unit] = "" if means_no_label(label) else label
    own = first.unit_ids.tolist()
    further = [unit for unit, label in said.items() if unit not in set(own) and label]
    cell_type = np.array([said[unit] for unit in [*own, *further]], dtype=str)
    if not further and (cell_type == np.where([means_no_label(x) for x in first.cell_type], "", first.cell_type)).all():
        return first
    n = len(cell_type)
    empty = np.full(n, "", dtype=str)
    return replace(
        first,
        unit_ids=np.array([*own, *further], dtype=np.int64),
        cell_type=np.where(cell_type == "", "unclassified", cell_type),
        is_abstained=cell_type == "",
        reason=empty,
        reason_detail=empty,
        probability=None,
        confidence=None,
        ood_score=None,
        cell_id=None,
        split=None,
        evidence=None,
        input_sha256="" if further else first.input_sha256,
    )
