"""Labels that people keep in a table (CSV or TSV): read and checked line by line."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwb_celltype.errors import InputError

_ALIASES = {
    "unit_id": ("unit_id", "unit", "id", "cluster_id", "neuron_id"),
    "cell_type": ("cell_type", "label", "celltype", "class", "predicted_cell_type"),
    "confidence": ("confidence",),
    "note": ("note", "notes", "comment"),
    "annotator": ("annotator", "person", "by"),
    "cell_id": ("cell_id",),
    "split": ("split",),
    "evidence_kind": ("evidence_kind", "evidence", "kind"),
}
_INT32 = 2**31
_EVIDENCE_NUMBERS = ("latency_ms", "jitter_ms", "reliability", "salt_p", "waveform_correlation")


@dataclass(frozen=True)
class LabelRow:
    """One line of a table of labels; texts are empty and numbers `None` where the table says nothing."""

    line: int
    unit_id: int
    cell_type: str
    confidence: float | None
    annotator: str
    cell_id: str
    split: str
    evidence: Mapping[str, Any]


def read_label_table(path: str | Path, *, unit_names: Mapping[str, int] | None = None) -> list[LabelRow]:
    """Read a table of labels.

    Parameters
    ----------
    path : str or Path
        CSV (also with semicolons and decimal commas, as spreadsheets write it in some countries) or TSV, UTF-8, with a
        header. Needed: ``unit_id`` (also ``unit``, ``id``, ``cluster_id``) and ``cell_type`` (also
        ``label``). Used if there: ``confidence``, ``note``, ``annotator``, ``cell_id``, ``split``, and for evidence
        ``evidence_kind``, ``latency_ms``, ``jitter_ms``, ``reliability``, ``salt_p``, ``waveform_correlation``,
        ``blocker``, ``n_pulses``.
    unit_names : mapping of str to int, optional
        Ids by name, for tables that name units as the laboratory does (``SPK09a``).

    Returns
    -------
    list of LabelRow

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, or a value is none; the message names the line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}. Check the path."
        raise InputError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 text; save the table as CSV in UTF-8."
        raise InputError(message) from error
    table = text.lstrip("\r\n")
    skipped = text[: len(text) - len(table)].count("\n")
    first = table.partition("\n")[0]
    delimiter = "\t" if "\t" in first else ";" if ";" in first else ","
    reader = csv.DictReader(io.StringIO(table, newline=""), delimiter=delimiter)
    try:
        lines = [(reader.line_num + skipped, raw) for raw in reader]
    except csv.Error as error:
        message = f"{path}, after line {reader.line_num + skipped}: {error}; save the table as plain CSV."
        raise InputError(message) from error
    header = {str(name).strip().lower(): name for name in reader.fieldnames or ()}
    columns = {key: next((header[a] for a in names if a in header), None) for key, names in _ALIASES.items()}
    for needed in ("unit_id", "cell_type"):
        if columns[needed] is None:
            found = ", ".join(header) or "nothing"
            message = f"{path} has no column `{needed}`; its header holds {found}."
            raise InputError(message)
    rows = []
    seen: dict[tuple[int, str], int] = {}
    for line, raw in lines:
        if not any(isinstance(value, str) and value.strip() for value in raw.values()):
            continue  # spreadsheets end with lines of bare delimiters
        if None in raw:
            message = f"{path}, line {line} has more cells than the header; quote texts that hold {delimiter!r}."
            raise InputError(message)
        row = _parse(
            path, line, raw, columns, header, decimal="," if delimiter == ";" else ".", unit_names=unit_names or {}
        )
        once = row.unit_id, row.annotator
        if once in seen:
            message = f"{path}, lines {seen[once]} and {row.line}: unit {row.unit_id} is labelled twice."
            raise InputError(message)
        seen[once] = row.line
        rows.append(row)
    if not rows:
        message = f"{path} holds no rows below its header."
        raise InputError(message)
    return rows


def _parse(
    path: Path,
    line: int,
    raw: Mapping[str, str | None],
    columns: Mapping[str, str | None],
    header: Mapping[str, str],
    decimal: str,
    unit_names: Mapping[str, int],
) -> LabelRow:
    def text(key: str) -> str:
        name = columns.get(key) or header.get(key)
        return str(raw.get(name) or "").strip() if name else ""

    def number(key: str) -> float | None:
        value = text(key)
        if value.lower() in {"", "nan", "na", "n/a"}:
            return None
        try:
            parsed = float(value.replace(decimal, "."))
        except ValueError as error:
            message = f"{path}, line {line}: `{key}` is {value!r}, a number is needed."
            raise InputError(message) from error
        if not math.isfinite(parsed):
            message = f"{path}, line {line}: `{key}` is {value!r}, a finite number is needed."
            raise InputError(message)
        return parsed

    def whole(key: str) -> int | None:
        value = number(key)
        if value is not None and not value.is_integer():
            message = f"{path}, line {line}: `{key}` is {text(key)!r}, a whole number is needed."
            raise InputError(message)
        if value is None:
            return None
        return int(text(key)) if re.fullmatch(r"[+-]?\d+", text(key)) else int(value)

    unit = unit_names[text("unit_id")] if text("unit_id") in unit_names else whole("unit_id")
    if unit is None:
        message = f"{path}, line {line}: `unit_id` is empty, a whole number is needed."
        raise InputError(message)
    evidence: dict[str, Any] = {key: value for key in _EVIDENCE_NUMBERS if (value := number(key)) is not None}
    if text("blocker"):
        evidence["blocker"] = text("blocker")
    pulses = whole("n_pulses")
    if pulses is not None:
        evidence["n_pulses"] = pulses
    if text("note"):
        evidence["note"] = text("note")
    if text("evidence_kind") or evidence:
        evidence["kind"] = text("evidence_kind") or ("expert" if set(evidence) == {"note"} else "")
    if evidence and not evidence["kind"]:
        message = f"{path}, line {line}: evidence is given but not its kind; add a column `evidence_kind`."
        raise InputError(message)
    row = LabelRow(
        line=line,
        unit_id=unit,
        cell_type=text("cell_type"),
        confidence=number("confidence"),
        annotator=text("annotator"),
        cell_id=text("cell_id"),
        split=text("split").lower(),
        evidence=evidence,
    )
    problem = _problem(row)
    if problem:
        message = f"{path}, line {line}: {problem}."
        raise InputError(message)
    return row


def _problem(row: LabelRow) -> str:
    """What the extension would refuse about a row, if anything."""
    if not (row.split or row.evidence):
        return ""
    from ndx_cell_type.evidence import evidence_problems
    from ndx_cell_type.vocabulary import SPLITS

    if row.split and row.split not in SPLITS:
        return f"`split` is {row.split!r}, not one of {', '.join(SPLITS)}"
    if not -1 <= row.evidence.get("n_pulses", 0) < _INT32:
        return f"`n_pulses` is {row.evidence['n_pulses']}, no number of pulses"
    found = evidence_problems([row.evidence]) if row.evidence else []
    return found[0].removeprefix("row 0: ") if found else ""
