"""CellTypeEvidenceTable: observations that speak for the cell type of a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    values_of,
)
from ._namespace import NAMESPACE
from .vocabulary import EVIDENCE_KINDS

# column: (least, largest); all are float32 with NaN for "unknown"
_RANGES = {
    "latency_ms": (-np.inf, np.inf),
    "jitter_ms": (0.0, np.inf),
    "reliability": (0.0, 1.0),
    "salt_p": (0.0, 1.0),
    "waveform_correlation": (-1.0, 1.0),
}
_DEFAULTS: dict[str, Any] = {**dict.fromkeys(_RANGES, np.nan), "blocker": "", "n_pulses": -1, "note": ""}


@register_class("CellTypeEvidenceTable", NAMESPACE)
class CellTypeEvidenceTable(StrictTable):
    """Observations that speak for the cell type of a unit, one row a piece of evidence.

    Parameters
    ----------
    name, description : str
        Name of the table and what was observed.
    pulses_table : DynamicTable, optional
        Table of the pulses that the column `pulses` points into. Leave it out for files that older readers
        must open.

    Examples
    --------
    >>> evidence = CellTypeEvidenceTable.from_rows(
    ...     name="optotagging", description="Blue light, L7-ChR2",
    ...     rows=[{"kind": "optotag", "latency_ms": 2.1, "salt_p": 0.001, "n_pulses": 200}])
    >>> len(evidence)
    1
    """

    __columns__ = (
        {"name": "kind", "description": "Kind of evidence."},
        {"name": "latency_ms", "description": "Median latency of the response, in ms. NaN: unknown."},
        {"name": "jitter_ms", "description": "Standard deviation of the latency, in ms. NaN: unknown."},
        {"name": "reliability", "description": "Fraction of pulses with a response. NaN: unknown."},
        {"name": "salt_p", "description": "P value of the stimulus-associated latency test. NaN: unknown."},
        {"name": "waveform_correlation", "description": "Evoked with spontaneous mean waveform. NaN: unknown."},
        {"name": "blocker", "description": "Synaptic blockers present during the test. Empty: none."},
        {"name": "n_pulses", "description": "Number of light pulses tested. -1: unknown or none."},
        {"name": "note", "description": "Anything else, in a sentence."},
        {"name": "pulses", "description": "The pulses that were tested.", "table": True, "index": True},
    )
    _required_columns = ("kind",)

    @docval(
        *get_docval(DynamicTable.__init__),
        {"name": "pulses_table", "type": DynamicTable, "doc": "table of the pulses", "default": None},
        allow_positional=AllowPositional.ERROR,
    )
    def __init__(self, **kwargs: Any) -> None:
        pulses_table = popargs("pulses_table", kwargs)
        if pulses_table is not None:
            kwargs["target_tables"] = {**(kwargs["target_tables"] or {}), "pulses": pulses_table}
        super().__init__(**kwargs)
        if self._in_construct_mode:
            return
        self._add_required_columns()
        columns = {name: values_of(self, name) for name in ("kind", *_RANGES)}
        rows = [{k: v[i] for k, v in columns.items() if v is not None} for i in range(len(self))]
        refuse(f"evidence table '{self.name}'", evidence_problems(rows))

    @classmethod
    def from_rows(
        cls,
        name: str,
        description: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        pulses_table: DynamicTable | None = None,
    ) -> CellTypeEvidenceTable:
        """Make a table from one mapping per piece of evidence.

        Parameters
        ----------
        rows : sequence of mappings
            Keys: `kind` (required), `latency_ms`, `jitter_ms`, `reliability`, `salt_p`,
            `waveform_correlation`, `blocker`, `n_pulses`, `note`, and `pulses` (list of row numbers of
            `pulses_table`). A column that no row names is not written.
        pulses_table : DynamicTable, optional
            Where `pulses` points.
        """
        known = [conf["name"] for conf in cls.__columns__]
        for i, row in enumerate(rows):
            unknown = sorted(set(row) - set(known))
            if unknown:
                msg = f"row {i} of evidence table '{name}': unknown {', '.join(unknown)}; known are {', '.join(known)}"
                raise ValueError(msg)
        refuse(f"evidence table '{name}'", evidence_problems(rows) or ([] if rows else ["it has no rows"]))
        used = {key for row in rows for key in row if row[key] is not None} - {"pulses"}
        data: dict[str, Any] = {key: _typed(key, [_value(row, key) for row in rows]) for key in used}
        pulses = [list(row.get("pulses") or []) for row in rows]
        if pulses_table is not None:
            where = [f"row {i} of evidence table '{name}'" for i in range(len(rows))]
            check_row_numbers(pulses, pulses_table, "pulses", where)
            data["pulses"] = (pulses, pulses_table)
        elif any(pulses):
            msg = f"evidence table '{name}': rows name pulses, so `pulses_table` is needed"
            raise ValueError(msg)
        return cls(name=name, description=description, columns=make_columns(cls.__columns__, data))

    def add_evidence(self, kind: str, **fields: Any) -> int:
        """Add one piece of evidence and return its row number, for `evidence` of an annotation.

        Fields are the keys of `from_rows`. Columns are fixed by the first row.
        """
        known = [conf["name"] for conf in self.__columns__]
        row = {"kind": kind, **{k: v for k, v in fields.items() if v is not None}}
        number = len(self)
        unknown = sorted(set(row) - set(known))
        problems = [f"row {number}: unknown {', '.join(unknown)}; known are {', '.join(known)}"] if unknown else []
        refuse(f"evidence table '{self.name}'", problems or evidence_problems([row], first_row=number))
        if number:
            missing = sorted(set(row) - set(self.colnames))
            if missing:
                msg = f"evidence table '{self.name}' has no {', '.join(missing)}; give them from the first row on"
                raise ValueError(msg)
            columns = [key for key in known if key in self.colnames]
        else:
            columns = [key for key in known if key in row or key in self.colnames]
        values = {key: _typed(key, [_value(row, key)])[0] for key in columns if key != "pulses"}
        if "pulses" in columns:
            target = region_target(self, "pulses")
            if target is None:
                msg = f"evidence table '{self.name}': name the table of pulses when you make it (`pulses_table`)"
                raise ValueError(msg)
            values["pulses"] = [int(r) for r in row.get("pulses", [])]
            check_row_numbers([values["pulses"]], target, "pulses", [f"row {number} of '{self.name}'"])
            check_ragged_room(self, "pulses", len(values["pulses"]))
        append_row(self, values)
        return number


def evidence_problems(rows: Sequence[Mapping[str, Any]], first_row: int = 0) -> list[str]:
    """Unknown kinds and numbers out of range."""
    problems = []
    for i, row in enumerate(rows, start=first_row):
        if row.get("kind") not in EVIDENCE_KINDS:
            problems.append(f"row {i}: kind '{row.get('kind')}' is not one of {', '.join(EVIDENCE_KINDS)}")
        for key, (least, largest) in _RANGES.items():
            value = row.get(key)
            if value is not None and not np.isnan(value) and not (least <= value <= largest and np.isfinite(value)):
                problems.append(f"row {i}: {key} is {value}, outside {least:g} to {largest:g}")
    return problems


def _value(row: Mapping[str, Any], key: str) -> Any:
    value = row.get(key)
    return _DEFAULTS.get(key, "") if value is None else value


def _typed(key: str, values: list[Any]) -> Any:
    if key in _RANGES:
        return plain(values).astype(np.float32)
    if key == "n_pulses":
        return plain(values).astype(np.int32)
    return [str(v) for v in values]
