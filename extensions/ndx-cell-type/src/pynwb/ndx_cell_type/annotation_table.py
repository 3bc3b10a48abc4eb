"""CellTypeAnnotationTable: one annotation run, what one method said about each unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from hdmf.common import DynamicTable
from hdmf.utils import AllowPositional, docval, get_docval, popargs
from pynwb import register_class

from ._columns import (
    StrictTable,
    append_row,
    check_ragged_room,
    check_row_numbers,
    make_columns,
    plain,
    refuse,
    region_target,
    same_length,
    values_of,
)
from ._namespace import NAMESPACE
from .classes import CellTypeClassTable
from .evidence import CellTypeEvidenceTable
from .method import CellTypeAnnotationMethod
from .rules import RunColumns, parse_created, run_problems
from .vocabulary import UNCLASSIFIED

_ATTRIBUTES = (
    "created",
    "input_sha256",
    "units_object_id",
    "source_identifier",
    "supersedes",
    "confidence_threshold",
    "verdict",
)
_FLOAT = ("probability", "confidence", "ood_score")
_TEXT = ("cell_type", "reason", "reason_detail", "cell_id", "split")


@register_class("CellTypeAnnotationTable", NAMESPACE)
class CellTypeAnnotationTable(StrictTable):
    """One annotation run: what one method said about each unit, one row a unit.

    Make a whole run with `from_columns`; add single units with `add_annotation`, also in a file opened for
    appending. The constructor is what both use; it leaves a table empty unless `columns` are given.

    Parameters
    ----------
    name, description : str
        Name of the run (unique in its container) and what it is.
    classes : CellTypeClassTable
        The classes, in the order of the columns of `probability`.
    method : CellTypeAnnotationMethod
        Who or what made the run.
    created : str or datetime
        When, ISO 8601 with time zone.
    input_sha256, units_object_id, source_identifier : str, optional
        What the run was computed from: a digest, the units table, and the NWB file's identifier.
        An empty text is kept as None.
    supersedes : str, optional
        Name of the run that this one replaces.
    confidence_threshold : float, optional
        Units below this confidence were left unclassified.
    verdict : str, optional
        One line on whether the recording as a whole can be typed.
    units : pynwb.misc.Units, optional
        The units table, where it is in the same file.
    evidence_table : CellTypeEvidenceTable, optional
        Where `evidence` points.
    """

    __fields__ = ("classes", "method", *_ATTRIBUTES)

    __columns__ = (
        {"name": "unit_id", "description": "The unit's id in the units table (not a row number)."},
        {"name": "unit", "description": "The unit as a row of the units table.", "table": True},
        {"name": "cell_type", "description": "A label of the class table, or 'unclassified'."},
        {"name": "probability", "description": "Probability of each class, in the order of the class table."},
        {"name": "confidence", "description": "How sure the method is. NaN: not computed."},
        {"name": "ood_score", "description": "How unlike the training data the unit is. NaN: not computed."},
        {"name": "is_abstained", "description": "True where the method declined to name a class."},
        {"name": "reason", "description": "Why the method abstained, one word of a closed list."},
        {"name": "reason_detail", "description": "The reason in a sentence."},
        {"name": "cell_id", "description": "Name of the biological cell. Empty: not stated."},
        {"name": "split", "description": "Part played in training: train, validate, test or none."},
        {"name": "evidence", "description": "Evidence for the label.", "table": True, "index": True},
    )
    _required_columns = ("unit_id", "cell_type", "is_abstained", "reason")

    @docval(
        *get_docval(DynamicTable.__init__),
        # No type is asked for here: a file written by someone else must open whatever it holds.
        {"name": "classes", "type": None, "doc": "the classes", "default": None},
        {"name": "method", "type": None, "doc": "who or what made the run", "default": None},
        *({"name": key, "type": None, "doc": key.replace("_", " "), "default": None} for key in _ATTRIBUTES),
        {"name": "units", "type": DynamicTable, "doc": "the units table", "default": None},
        {"name": "evidence_table", "type": DynamicTable, "doc": "where `evidence` points", "default": None},
        allow_positional=AllowPositional.ERROR,
    )
    def __init__(self, **kwargs: Any) -> None:
        classes, method, units, evidence_table = popargs("classes", "method", "units", "evidence_table", kwargs)
        attributes = dict(zip(_ATTRIBUTES, popargs(*_ATTRIBUTES, kwargs), strict=True))
        targets = {"unit": units, "evidence": evidence_table}
        targets = {key: table for key, table in targets.items() if table is not None}
        if targets:
            kwargs["target_tables"] = {**targets, **(kwargs["target_tables"] or {})}
        super().__init__(**kwargs)
        if not self._in_construct_mode:
            attributes = self._checked(attributes, classes, method)
        self.classes, self.method = classes, method
        for key, value in attributes.items():
            setattr(self, key, value)
        if self._in_construct_mode:
            return
        self._add_required_columns()
        if len(self):
            refuse(f"run '{self.name}'", run_problems(run_columns(self)))

    def _checked(self, attributes: dict[str, Any], classes: Any, method: Any) -> dict[str, Any]:
        """Attributes in the form they are stored in; raises on those that cannot be."""
        problems = []
        if not isinstance(classes, CellTypeClassTable):
            problems.append("`classes` must be a CellTypeClassTable")
        if not isinstance(method, CellTypeAnnotationMethod):
            problems.append("`method` must be a CellTypeAnnotationMethod")
        if parse_created(attributes["created"]) is None:
            problems.append(
                f"`created` must be ISO 8601 with a time zone such as '2026-01-31T12:00:00+00:00', "
                f"not {attributes['created']!r}"
            )
        if attributes["supersedes"] == self.name:
            problems.append("a run cannot supersede itself")
        refuse(f"run '{self.name}'", problems)
        clean = {key: value if value is None else str(value) or None for key, value in attributes.items()}
        created, threshold = attributes["created"], attributes["confidence_threshold"]
        clean["created"] = created.isoformat() if isinstance(created, datetime) else str(created)
        return {**clean, "confidence_threshold": None if threshold is None else float(threshold)}

    @classmethod
    def from_columns(
        cls,
        *,
        name: str,
        description: str,
        classes: CellTypeClassTable,
        method: CellTypeAnnotationMethod,
        unit_id: Sequence[int] | np.ndarray,
        cell_type: Sequence[str] | np.ndarray,
        is_abstained: Sequence[bool] | np.ndarray | None = None,
        probability: Sequence[Sequence[float]] | np.ndarray | None = None,
        confidence: Sequence[float] | np.ndarray | None = None,
        ood_score: Sequence[float] | np.ndarray | None = None,
        reason: Sequence[str | None] | np.ndarray | None = None,
        reason_detail: Sequence[str | None] | np.ndarray | None = None,
        cell_id: Sequence[str | None] | np.ndarray | None = None,
        split: Sequence[str | None] | np.ndarray | None = None,
        evidence: Sequence[Sequence[int]] | None = None,
        evidence_table: CellTypeEvidenceTable | None = None,
        units: DynamicTable | None = None,
        created: str | datetime,
        input_sha256: str = "",
        units_object_id: str = "",
        source_identifier: str = "",
        supersedes: str | None = None,
        confidence_threshold: float | None = None,
        verdict: str | None = None,
    ) -> CellTypeAnnotationTable:
        """Make a whole run at once.

        Parameters
        ----------
        unit_id : (n,) int
            Ids of the units (values of `id`, not row numbers).
        cell_type : (n,) str
            A label of `classes`, or 'unclassified'.
        is_abstained : (n,) bool, optional
            Default: where `cell_type` is 'unclassified'.
        probability : (n, k) float, optional
            One column a class, stored as float32. Required where the method is a classifier.
        confidence, ood_score : (n,) float, optional
            NaN where not computed.
        reason : (n,) str, optional
            One of `REASONS` where abstained, else empty or None.
        reason_detail, cell_id : (n,) str, optional
            Free text.
        split : (n,) str, optional
            One of `SPLITS`; None counts as 'none'.
        evidence : list of list of int, optional
            For each unit the row numbers of `evidence_table`.
        units : pynwb.misc.Units, optional
            With it, `unit` points to the rows of the units and `units_object_id` is filled in. Without it
            the run is detached: it names units by id only.

        Raises
        ------
        ValueError
            Naming the row and the unit, if anything contradicts itself or the schema.
        """
        ids = _integers(unit_id, name)
        n = len(ids)
        if n == 0:
            msg = f"run '{name}' has no units"
            raise ValueError(msg)
        named: dict[str, Any] = {
            "cell_type": cell_type,
            "is_abstained": is_abstained,
            "probability": probability,
            "confidence": confidence,
            "ood_score": ood_score,
            "reason": reason,
            "reason_detail": reason_detail,
            "cell_id": cell_id,
            "split": split,
            "evidence": evidence,
        }
        same_length(named, n, f"units in run '{name}'")
        data = {key: _typed(key, value) for key, value in named.items() if value is not None and key != "evidence"}
        data["unit_id"] = ids
        if is_abstained is None:
            data["is_abstained"] = np.array([label == UNCLASSIFIED for label in data["cell_type"]], dtype=bool)
        data.setdefault("reason", [""] * n)
        where = [f"run '{name}', row {i} (unit {unit})" for i, unit in enumerate(ids)]
        if units is not None:
            data["unit"] = (unit_rows(units, ids, where), units)
            if units_object_id and units_object_id != units.object_id:
                msg = f"run '{name}': units_object_id {units_object_id} is not that of the given units table"
                raise ValueError(msg)
            units_object_id = units.object_id
        if evidence is not None:
            if evidence_table is None:
                msg = f"run '{name}': `evidence` is given, so `evidence_table` is needed"
                raise ValueError(msg)
            check_row_numbers(evidence, evidence_table, "evidence", where)
            data["evidence"] = (evidence, evidence_table)
        return cls(
            name=name,
            description=description,
            columns=make_columns(cls.__columns__, data),
            classes=classes,
            method=method,
            created=created,
            input_sha256=input_sha256,
            units_object_id=units_object_id,
            source_identifier=source_identifier,
            supersedes=supersedes,
            confidence_threshold=confidence_threshold,
            verdict=verdict,
        )

    def add_annotation(
        self,
        unit_id: int,
        cell_type: str,
        *,
        is_abstained: bool | None = None,
        probability: Sequence[float] | np.ndarray | None = None,
        confidence: float | None = None,
        ood_score: float | None = None,
        reason: str | None = None,
        reason_detail: str | None = None,
        cell_id: str | None = None,
        split: str | None = None,
        evidence: Sequence[int] | None = None,
    ) -> None:
        """Add one unit at the end; the first row decides which optional columns the run has.

        Where the run points to a units table, the unit must exist there.
        """
        number = len(self)
        given: dict[str, Any] = {
            "probability": probability,
            "confidence": confidence,
            "ood_score": ood_score,
            "reason_detail": reason_detail,
            "cell_id": cell_id,
            "split": split,
            "evidence": evidence,
        }
        columns = self._row_columns(given, f"row {number} (unit {unit_id})")
        row: dict[str, Any] = {
            "unit_id": int(unit_id),
            "cell_type": str(cell_type),
            "is_abstained": bool(cell_type == UNCLASSIFIED if is_abstained is None else is_abstained),
            "reason": str(reason or ""),
        }
        k = len(self.classes.labels)
        fill: dict[str, Any] = {"probability": [np.nan] * k, "confidence": np.nan, "ood_score": np.nan}
        for key in columns:
            if key in ("unit", "evidence"):
                continue
            if key not in row:
                value = fill.get(key, "") if given[key] is None else given[key]
                row[key] = _typed(key, [value])[0]
        existing = values_of(self, "unit_id")
        if existing is not None and int(unit_id) in existing:
            msg = f"run '{self.name}', row {number} (unit {unit_id}): the unit is already in the run"
            raise ValueError(msg)
        arrays = {key: plain([row[key]]) for key in row}
        refuse(f"run '{self.name}'", run_problems(run_columns(self, arrays, first_row=number)))
        where = [f"run '{self.name}', row {number} (unit {unit_id})"]
        if "unit" in columns:
            row["unit"] = int(unit_rows(region_target(self, "unit"), [int(unit_id)], where)[0])
        if "evidence" in columns:
            row["evidence"] = [int(r) for r in evidence or ()]
            target = region_target(self, "evidence")
            if target is None:
                msg = f"{where[0]}: name the evidence table when you make the run (`evidence_table`)"
                raise ValueError(msg)
            check_row_numbers([row["evidence"]], target, "evidence", where)
            check_ragged_room(self, "evidence", len(row["evidence"]))
        append_row(self, row)

    def _row_columns(self, given: Mapping[str, Any], where: str) -> list[str]:
        """Names of the columns that a new row must fill."""
        known = [conf["name"] for conf in self.__columns__]
        named = {key for key, value in given.items() if value is not None}
        if not len(self):
            # A later unit may need a reason, and columns cannot be added once there are rows.
            return [key for key in known if key in named | {"reason_detail"} | set(self.colnames)]
        missing = sorted(named - set(self.colnames))
        if missing:
            msg = f"run '{self.name}', {where}: the run has no {', '.join(missing)}; give them from the first row on"
            raise ValueError(msg)
        return [key for key in known if key in self.colnames]

    @property
    def units(self) -> DynamicTable | None:
        """The units table that the run points to; None for a detached run."""
        return region_target(self, "unit")

    @property
    def evidence_table(self) -> DynamicTable | None:
        """The evidence table that the run points to, if any."""
        return region_target(self, "evidence")


def run_columns(
    table: CellTypeAnnotationTable, arrays: Mapping[str, np.ndarray] | None = None, *, first_row: int = 0
) -> RunColumns:
    """Columns of a run as the rules want them; `arrays` stand in for the table's own."""
    names = ("unit_id", "cell_type", "is_abstained", "reason", "probability", "split")
    if arrays is None:
        arrays = {key: values for key in names if (values := values_of(table, key)) is not None}
    classes, method = table.classes, table.method
    return RunColumns(
        labels=list(classes.labels) if isinstance(classes, CellTypeClassTable) else None,
        source_type=getattr(method, "source_type", None),
        first_row=first_row,
        **{key: arrays.get(key) for key in names},
    )


def unit_rows(units: DynamicTable, unit_ids: Sequence[int] | np.ndarray, where: Sequence[str]) -> list[int]:
    """Row numbers of units in their table; raises on ids that are not there, or there twice."""
    ids = plain(units.id.data).tolist()
    row_of = {unit: i for i, unit in enumerate(ids)}
    twice = {unit for unit in ids if ids.count(unit) > 1} if len(row_of) < len(ids) else set()
    problems = [
        f"{place}: " + ("the id is in the units table twice" if unit in twice else "there is no such unit")
        for place, unit in zip(where, unit_ids, strict=True)
        if unit in twice or unit not in row_of
    ]
    refuse(f"units table '{units.name}'", problems)
    return [row_of[unit] for unit in unit_ids]


def _integers(values: Sequence[int] | np.ndarray, name: str) -> np.ndarray:
    ids = np.asarray(values)
    if ids.size and (ids.dtype.kind not in "iu" or ids.ndim != 1):
        msg = f"run '{name}': `unit_id` must be a list of integers"
        raise ValueError(msg)
    return ids.astype(np.int64)


def _typed(key: str, values: Any) -> Any:
    """A column in the type it is stored in: float32, bool or text."""
    if key in _FLOAT:
        try:
            return np.asarray(values, dtype=np.float32)
        except ValueError as error:
            msg = f"`{key}` is not a table of numbers with equally long rows"
            raise ValueError(msg) from error
    if key in _TEXT:
        empty = "none" if key == "split" else ""
        return [empty if v is None or v == "" else str(v) for v in values]
    return np.asarray(values, dtype=bool)
