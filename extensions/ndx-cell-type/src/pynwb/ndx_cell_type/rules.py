"""What a good annotation run looks like: pure functions from columns to a list of problems.

The constructors raise on what these find, the checks of `ndx_cell_type.checks` report it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from .vocabulary import MAPPING_RELATIONS, REASONS, SOURCE_TYPES, SPLITS, UNCLASSIFIED

SUM_TOLERANCE = 1e-4
_CURIE = re.compile(r"[A-Za-z][\w.\-]*:\S+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RunColumns:
    """Columns of one annotation run, as plain arrays; None where the run lacks a column.

    Attributes
    ----------
    labels : list of str or None
        Labels of the class table, in its order.
    source_type : str or None
        Source type of the run's method.
    first_row : int
        Number of the first row, so that a row that is about to be added is named rightly.
    """

    labels: list[str] | None
    source_type: str | None
    unit_id: np.ndarray | None = None
    cell_type: np.ndarray | None = None
    is_abstained: np.ndarray | None = None
    reason: np.ndarray | None = None
    probability: np.ndarray | None = None
    split: np.ndarray | None = None
    first_row: int = 0

    def row(self, i: int) -> str:
        """Name of a row for a message: its number and the unit's id."""
        unit = "" if self.unit_id is None or i >= len(self.unit_id) else f" (unit {self.unit_id[i]})"
        return f"row {self.first_row + i}{unit}"


def run_problems(run: RunColumns) -> list[str]:
    """Everything wrong with the columns of a run."""
    return [
        *unit_problems(run),
        *label_problems(run),
        *abstention_problems(run),
        *probability_problems(run),
        *split_problems(run),
    ]


def unit_problems(run: RunColumns) -> list[str]:
    """Units that appear twice."""
    if run.unit_id is None:
        return ["the column `unit_id` is missing"]
    seen: dict[int, int] = {}
    problems = []
    for i, unit in enumerate(run.unit_id.tolist()):
        if unit in seen:
            problems.append(f"{run.row(i)}: the unit is already in row {seen[unit]}; a run names each unit once")
        seen.setdefault(unit, run.first_row + i)
    return problems


def label_problems(run: RunColumns) -> list[str]:
    """Labels that are neither in the class table nor 'unclassified'."""
    if run.cell_type is None:
        return ["the column `cell_type` is missing"]
    if run.labels is None:
        return ["the run has no class table"]
    known = {*run.labels, UNCLASSIFIED}
    return [
        f"{run.row(i)}: label '{label}' is not in the class table ({', '.join(run.labels)})"
        for i, label in enumerate(run.cell_type)
        if label not in known
    ]


def abstention_problems(run: RunColumns) -> list[str]:
    """'unclassified' without `is_abstained` or the reverse; reasons missing, superfluous or unknown."""
    if run.cell_type is None:
        return []
    if run.is_abstained is None:
        return ["the column `is_abstained` is missing"]
    problems = []
    reasons: Iterable[Any] = [""] * len(run.cell_type) if run.reason is None else run.reason
    for i, (label, abstained, reason) in enumerate(zip(run.cell_type, run.is_abstained, reasons, strict=False)):
        if abstained and label != UNCLASSIFIED:
            problems.append(f"{run.row(i)}: is_abstained, so cell_type must be '{UNCLASSIFIED}', not '{label}'")
        elif label == UNCLASSIFIED and not abstained:
            problems.append(f"{run.row(i)}: cell_type is '{UNCLASSIFIED}', so is_abstained must be true")
        if abstained and not reason:
            problems.append(f"{run.row(i)}: abstained without a reason; give one of {', '.join(REASONS)}")
        elif reason and reason not in REASONS:
            problems.append(f"{run.row(i)}: reason '{reason}' is not one of {', '.join(REASONS)}")
        elif reason and not abstained:
            problems.append(f"{run.row(i)}: reason '{reason}' given, but the unit is not abstained")
    return problems


def probability_problems(run: RunColumns) -> list[str]:
    """Probabilities that are missing, of the wrong shape, outside 0 to 1, or do not sum to 1."""
    values = run.probability
    if values is None:
        return ["a classifier run needs `probability`"] if run.source_type == "classifier" else []
    if values.ndim != 2:
        return [f"`probability` has {values.ndim} dimension(s), not 2 (units, classes)"]
    problems = class_count_problems(run)
    if values.dtype.kind not in "fiu":
        return ["`probability` does not hold numbers"]
    values = values.astype(np.float64)
    empty = np.isnan(values).all(axis=1)
    odd = np.isnan(values).any(axis=1) & ~empty
    outside = ((values < 0) | (values > 1) | np.isinf(values)).any(axis=1)
    with np.errstate(invalid="ignore"):
        total = values.sum(axis=1)
        off = np.abs(total - 1) > SUM_TOLERANCE
    for i in np.flatnonzero(empty | odd | outside | off).tolist():
        if odd[i]:
            problems.append(f"{run.row(i)}: some probabilities are NaN; a row is all NaN or has none")
        elif outside[i]:
            problems.append(f"{run.row(i)}: probabilities outside 0 to 1 ({_numbers(values[i])})")
        elif off[i]:
            problems.append(f"{run.row(i)}: probabilities sum to {total[i]:.6g}, not 1")
        elif run.is_abstained is not None and i < len(run.is_abstained) and not run.is_abstained[i]:
            problems.append(f"{run.row(i)}: probabilities are all NaN, so the unit must be abstained with a reason")
    return problems


def class_count_problems(run: RunColumns) -> list[str]:
    """Another number of probability columns than of classes."""
    if run.probability is None or run.labels is None or run.probability.ndim != 2:
        return []
    if run.probability.shape[1] == len(run.labels):
        return []
    return [f"`probability` has {run.probability.shape[1]} columns, but the class table has {len(run.labels)} classes"]


def class_order_problems(run: RunColumns) -> list[str]:
    """Labels that mostly are not the most probable class: the columns are probably in another order."""
    if run.probability is None or run.cell_type is None or run.labels is None or class_count_problems(run):
        return []
    position = {label: i for i, label in enumerate(run.labels)}
    pairs = [
        (position[label], int(np.argmax(row)))
        for label, row in zip(run.cell_type, run.probability, strict=False)
        if label in position and np.isfinite(row).all()
    ]
    wrong = sum(a != b for a, b in pairs)
    if len(pairs) < 2 or wrong * 2 <= len(pairs):
        return []
    return [
        f"the label of {wrong} of {len(pairs)} units is not their most probable class: "
        "the columns of `probability` may not be in the order of the class table"
    ]


def split_problems(run: RunColumns) -> list[str]:
    """Splits outside the closed list."""
    if run.split is None:
        return []
    return [
        f"{run.row(i)}: split '{split}' is not one of {', '.join(SPLITS)}"
        for i, split in enumerate(run.split)
        if split not in SPLITS
    ]


def class_problems(rows: Sequence[Mapping[str, Any]], taken: Iterable[str] = (), first_row: int = 0) -> list[str]:
    """Everything wrong with rows of a class table; `taken` are labels that are there already."""
    problems = []
    count = Counter(taken)
    for i, row in enumerate(rows, start=first_row):
        label = row.get("label") or ""
        if not label.strip():
            problems.append(f"row {i}: a class needs a label")
            continue
        name = f"row {i} (class '{label}')"
        if label == UNCLASSIFIED:
            problems.append(f"{name}: '{UNCLASSIFIED}' is a reserved word and cannot be a class")
        if count[label]:
            problems.append(f"{name}: the label is there already; labels are unique")
        count[label] += 1
        curie, relation = row.get("ontology_id") or "", row.get("mapping_relation") or ""
        if curie and not _CURIE.fullmatch(curie):
            problems.append(f"{name}: ontology_id '{curie}' is not a CURIE such as 'CL:0000121'")
        if relation and relation not in MAPPING_RELATIONS:
            problems.append(f"{name}: mapping_relation '{relation}' is not one of {', '.join(MAPPING_RELATIONS)}")
        if relation and not curie:
            problems.append(f"{name}: mapping_relation is given without an ontology_id")
        if row.get("parent_label") == label:
            problems.append(f"{name}: a class cannot be its own parent")
    return problems


def method_problems(fields: Mapping[str, Any]) -> list[str]:
    """Everything wrong with the fields of a method."""
    problems = []
    if fields.get("source_type") not in SOURCE_TYPES:
        problems.append(f"source_type '{fields.get('source_type')}' is not one of {', '.join(SOURCE_TYPES)}")
    if not (fields.get("person") or fields.get("software")):
        problems.append("say who labelled: `person`, `software`, or both")
    sha256 = fields.get("weights_sha256")
    if sha256 and not _SHA256.fullmatch(sha256):
        problems.append(f"weights_sha256 '{sha256}' is not 64 lower-case hexadecimal digits")
    if fields.get("parameters"):
        try:
            json.loads(fields["parameters"])
        except (TypeError, ValueError):
            problems.append("`parameters` is not JSON text")
    return problems


def parse_created(created: object) -> datetime | None:
    """The moment written in `created`; None if it is no ISO 8601 date or lacks a time zone."""
    try:
        moment = created if isinstance(created, datetime) else datetime.fromisoformat(str(created))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{v:.3g}" for v in values)
