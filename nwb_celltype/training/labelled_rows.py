"""Which rows of labelled sources are learnt from, and which classes they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.class_names import match_names, one_spelling
from nwb_celltype.errors import InputError, NothingToDoError, UsageError
from nwb_celltype.labels import PARTS, LabelledUnits

MIN_UNITS = 5
"""Rows that a label needs to become a class where nobody names the classes."""


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Rows of several sources that have one of the classes.

    Attributes
    ----------
    classes : tuple of str
    sources : tuple of LabelledUnits
        With these rows alone, their labels spelt as the classes are.
    labels : (n,) integer array
        Positions in `classes`, over all sources.
    positions : (n,) integer array
        Which of the sources each row is from.
    """

    classes: tuple[str, ...]
    sources: tuple[LabelledUnits, ...]
    labels: NDArray[np.intp]
    positions: NDArray[np.intp]


def check_classes(classes: Sequence[str] | None) -> None:
    """Raise `UsageError` if the classes asked for are not two or more different ones."""
    if classes is not None and len(set(classes)) < max(len(classes), 2):
        message = f"Two or more different classes are needed, not {', '.join(classes) or 'none'}."
        raise UsageError(message)


def choose_rows(
    data: Sequence[LabelledUnits],
    usable: Callable[[LabelledUnits], NDArray[np.bool_]],
    *,
    classes: Sequence[str] | None,
    what: str,
) -> LabelledRows:
    """Collect the usable labelled rows of some sources, each once, and name the classes.

    A row whose waveform or spike train a source before it has is left out, so that no unit is on both sides of a fold.

    Parameters
    ----------
    data : sequence of LabelledUnits
    usable : callable
        Gives the (n,) mask of the labelled rows of a source that can be learnt from.
    classes : sequence of str, optional
        Other rows are left out; case and separators do not count. By default every label with at least five rows.
    what : str
        What a row must be besides labelled, for messages.

    Returns
    -------
    LabelledRows

    Raises
    ------
    NothingToDoError
        If there are no such rows.
    InputError
        If fewer than two classes remain, or a class asked for has fewer than two rows.
    UsageError
        If the classes asked for are not two or more different ones, or a label could mean several of them.
    """
    check_classes(classes)
    chosen: list[LabelledUnits] = []
    seen: dict[str, set[str]] = {part: set() for part in PARTS}
    for one in (each.take(each.is_labelled) for each in data):
        chosen.append(one.take(usable(one) & ~one.found_in(seen)))
        for i, part in enumerate(PARTS):
            seen[part].update(chosen[-1].part_sha256[:, i].tolist())
    stated = Counter(str(label) for one in chosen for label in one.cell_type)
    if not stated:
        message = f"None of {sum(map(len, data))} units is labelled and {what}; there is nothing to train on."
        raise NothingToDoError(message)
    spelt = one_spelling(stated) if classes is None else match_names(classes, stated)
    chosen = [respelt(one, spelt) for one in chosen]
    counts = Counter(str(label) for one in chosen for label in one.cell_type)
    names = tuple(sorted(k for k, n in counts.items() if n >= MIN_UNITS)) if classes is None else tuple(classes)
    rare = [name for name in names if counts[name] < 2]
    if len(names) < 2 or rare:
        found = ", ".join(f"{k} ({n})" for k, n in counts.most_common())
        few = f"fewer than 2 classes have {MIN_UNITS} units or more"
        why = f"class {rare[0]!r} has fewer than 2 units" if rare else few
        message = f"A model cannot be trained: {why}. Labelled units found: {found}."
        raise InputError(message)
    kept = tuple(one.take(np.isin(one.cell_type, names)) for one in chosen)
    return LabelledRows(
        classes=names,
        sources=kept,
        labels=np.array([names.index(label) for one in kept for label in one.cell_type], dtype=np.intp),
        positions=np.repeat(np.arange(len(kept)), [len(one) for one in kept]),
    )


def respelt(one: LabelledUnits, spelt: dict[str, str]) -> LabelledUnits:
    """Return units with their labels spelt otherwise; labels that are not mentioned stay as they are."""
    labels = [spelt.get(str(label), str(label)) for label in one.cell_type]
    return replace(one, cell_type=np.array(labels, dtype=str).reshape(len(one)))


def hashes_seen(data: Sequence[LabelledUnits], classes: Sequence[str]) -> dict[str, list[str]]:
    """Hashes by part of every row with one of the classes, duplicates and rows that could not be used included."""
    parts = [
        one.part_sha256[np.isin(one.cell_type, list(match_names(classes, np.unique(one.cell_type).tolist())))]
        for one in data
    ]
    return {part: sorted({str(h) for rows in parts for h in rows[:, i]} - {""}) for i, part in enumerate(PARTS)}
