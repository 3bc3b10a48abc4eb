"""Cells of cluster tables become typed columns of the units, and cell types become labels of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.phy.descriptions import describe, sort_key
from nwb_celltype.converters.phy.tables import ClusterTables, RawColumn
from nwb_celltype.converters.records import Column, Integer, PriorLabels
from nwb_celltype.taxonomy import layer_of

_MISSING = frozenset({"", "nan", "na", "n/a", "none", "null", "<na>"})
_UNIT = re.compile(r"\s*(spk/s|spikes/s|hz|um|µm|μm|uv|µv|μv|ms|%)$", re.IGNORECASE)
_UNLABELLED = "unsorted"
_PREDICTED, _PROBABILITY = "predicted_cell_type", "pred_probability"
_CONFIDENCE = (
    "mean over the models of the ensemble of the probability of the predicted class; units whose probability is less "
    "than a given multiple (2 unless set) of that of the second class are not listed"
)


def unit_columns(tables: ClusterTables, unit_ids: Integer) -> tuple[dict[str, Column], list[str]]:
    """Columns of the units in a fixed order, and notes.

    Every cluster with spikes is a unit; what a table does not say of it is blank, and its ``quality`` is ``unsorted``.
    """
    notes: list[str] = []
    raw = dict(tables.columns)
    raw.setdefault("quality", RawColumn("quality", ""))
    columns: dict[str, Column] = {}
    for name in sorted(raw, key=sort_key):
        if name in (_PREDICTED, _PROBABILITY) and _PREDICTED in raw:
            continue
        cells = [_cell(raw[name], int(unit)) for unit in unit_ids]
        if name == "quality":
            columns[name] = Column(texts([cell or _UNLABELLED for cell in cells]), describe(name, raw[name].file))
        elif name == "layer":
            columns[name] = Column(texts(_layers(cells, raw[name].file, notes)), describe(name, raw[name].file))
        elif not any(cells):
            notes.append(f"{raw[name].file}: column {name} says nothing of the clusters with spikes; it was left out")
        else:
            columns[name] = Column(typed(cells, raw[name].decimal), describe(name, raw[name].file))
    if "cell_type" in columns:
        notes.append(f"{raw['cell_type'].file} is kept as the column cell_type; who labelled the units is not stated")
    return columns, notes


def prior_labels(tables: ClusterTables, unit_ids: Integer) -> tuple[tuple[PriorLabels, ...], list[str]]:
    """Cell types that the C4 classifier left beside the sorting, and notes."""
    predicted = tables.columns.get(_PREDICTED)
    if predicted is None:
        return (), []
    row_of = {int(unit): row for row, unit in enumerate(unit_ids)}
    named = {unit: _cell(predicted, unit) for unit in sorted(predicted.cells)}
    units = [unit for unit, label in named.items() if label and unit in row_of]
    gone = [str(unit) for unit, label in named.items() if label and unit not in row_of]
    notes = [f"{predicted.file} labels clusters without spikes: {', '.join(gone)}"] if gone else []
    if not units:
        return (), notes
    probability = tables.columns.get(_PROBABILITY)
    confidence = None
    if probability is not None:
        values = typed([_cell(probability, unit) for unit in units], probability.decimal)
        if values.dtype.kind in "if":
            confidence = values.astype(np.float64)
        else:
            notes.append(f"{probability.file} holds values that are no numbers; the labels have no confidence")
    rows = np.array([row_of[unit] for unit in units], dtype=np.int64)
    labels = PriorLabels(
        source=predicted.file,
        source_type="classifier",
        unit_rows=rows,
        labels=tuple(named[unit] for unit in units),
        confidence=confidence,
        software="C4 cell-type classifier (npyx)",
        confidence_definition=_CONFIDENCE if confidence is not None else "",
    )
    return (labels,), notes


def texts(values: Sequence[str]) -> NDArray[np.str_]:
    """Text column that can be empty."""
    return np.array(values, dtype=np.str_) if values else np.empty(0, dtype="<U1")


def typed(cells: Sequence[str], decimal: str = ".") -> NDArray[np.generic]:
    """Numbers where every cell that says something is one, booleans where all are, otherwise text.

    Integers with gaps become floats with NaN. A unit of measure that all cells carry (``2.1 spk/s``) is taken off.

    Examples
    --------
    >>> typed(["1", "2"]), typed(["1", ""]), typed(["2.1 spk/s", "3 spk/s"])
    (array([1, 2]), array([ 1., nan]), array([2.1, 3. ]))
    >>> typed(["True", "False"]), typed(["good", ""])
    (array([ True, False]), array(['good', ''], dtype='<U4'))
    """
    said = [cell for cell in cells if cell]
    if said and len(said) == len(cells) and all(cell.lower() in ("true", "false") for cell in said):
        return np.array([cell.lower() == "true" for cell in cells], dtype=np.bool_)
    units = {match.group(1).lower() for cell in said if (match := _UNIT.search(cell))}
    bare = [_UNIT.sub("", cell) for cell in cells] if len(units) == 1 else list(cells)
    if len(said) == len(cells) and all(re.fullmatch(r"[+-]?\d{1,18}", cell) for cell in bare):
        return np.array([int(cell) for cell in bare], dtype=np.int64)
    numbers = [_number(cell.replace(decimal, ".")) if cell else float("nan") for cell in bare]
    if said and all(number is not None for number in numbers):
        return np.array(numbers, dtype=np.float64)
    return texts(cells)


def _number(text: str) -> float | None:
    # Python's underscores between digits are no numbers in a table
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?|[+-]?inf(inity)?", text, re.IGNORECASE):
        return None
    return float(re.sub("[dD]", "e", text) if text.lower().lstrip("+-")[:3] != "inf" else text)


def _cell(column: RawColumn, unit: int) -> str:
    text = column.cells.get(unit, "")
    return "" if text.lower() in _MISSING else text


def _layers(cells: Sequence[str], file: str, notes: list[str]) -> list[str]:
    found: list[str] = []
    unknown: Mapping[str, None] = {}
    for cell in cells:
        blank = cell.lower() in ("", "unknown", "unlabelled", "unlabeled")
        layer = None if blank else layer_of(cell)
        if layer is None and not blank:
            unknown = {**unknown, cell: None}
        found.append("" if blank else layer.label if layer else cell)
    if unknown:
        notes.append(
            f"{file}: layers kept as they stand, because they are none of the cerebellum: {', '.join(unknown)}"
        )
    return found
