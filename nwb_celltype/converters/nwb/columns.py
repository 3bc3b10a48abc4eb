"""Columns of NWB tables: what is said of each row, made fit for NWB, and put together from several probes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# hdmf turns columns into attributes of the table: these names are taken (each breaks writing or reading)
_TAKEN = frozenset(
    {
        "id", "name", "parent", "children", "columns", "colnames", "data", "description", "fields", "modified",
        "namespace", "object_id", "neurodata_type", "container_source", "all_objects", "data_type", "read_io",
    }
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class TableColumn:
    """One column of a table.

    Attributes
    ----------
    values : (n,) array
        Float (NaN: not stated), integer, bool, str (``""``: not stated) or NWB objects.
    description : str
    """

    values: NDArray[Any]
    description: str


def stack(tables: Sequence[Mapping[str, TableColumn]], lengths: Sequence[int]) -> dict[str, TableColumn]:
    """Put the rows of several tables below one another; a table that lacks a column says nothing there.

    Columns are in the order in which they first appear. Integers that some table lacks become floats with NaN, and
    bools with NaN too; columns of different kinds become text.

    Parameters
    ----------
    tables : sequence of mappings of str to TableColumn
    lengths : sequence of int
        Rows of each table.

    Examples
    --------
    >>> a = {"depth": TableColumn(np.array([10, 20]), "um")}
    >>> stack([a, {}], [2, 1])["depth"].values.tolist()
    [10.0, 20.0, nan]
    """
    names = list(dict.fromkeys(name for table in tables for name in table))
    return {name: _stacked(name, tables, lengths) for name in names}


def _stacked(name: str, tables: Sequence[Mapping[str, TableColumn]], lengths: Sequence[int]) -> TableColumn:
    present = [table[name] for table in tables if name in table]
    kinds = {kind_of(column.values) for column in present}
    is_partial = len(present) < len(tables)
    if kinds <= {"i", "f"} or (kinds == {"b"} and is_partial):
        kind = "f" if is_partial or "f" in kinds else "i"
    else:
        kind = kinds.pop() if len(kinds) == 1 else "U"
    parts = [
        _as_kind(table[name].values, kind) if name in table else np.full(n, blank(kind), dtype=_DTYPES[kind])
        for table, n in zip(tables, lengths, strict=True)
    ]
    descriptions = dict.fromkeys(column.description for column in present)
    return TableColumn(np.concatenate(parts), " / ".join(descriptions))


_DTYPES: dict[str, Any] = {"f": np.float64, "i": np.int64, "b": np.bool_, "U": np.object_, "O": np.object_}


def kind_of(values: NDArray[Any]) -> str:
    """``f``, ``i``, ``b``, ``U`` for text, or ``O`` for NWB objects."""
    kind = values.dtype.kind
    if kind in "OUSTa":
        return "U" if all(isinstance(value, str | bytes) for value in values) else "O"
    return {"u": "i"}.get(kind, kind)


def blank(kind: str) -> Any:
    """What a cell holds where nothing is stated."""
    return {"f": np.nan, "i": -1, "b": False, "U": "", "O": None}[kind]


def _as_kind(values: NDArray[Any], kind: str) -> NDArray[Any]:
    if kind == "U":
        return np.array([_text(value) for value in values], dtype=np.object_)
    return np.asarray(values).astype(_DTYPES[kind])


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, float | np.floating) and np.isnan(value):
        return ""
    return str(value)


def texts(values: Iterable[Any]) -> NDArray[Any]:
    """Column of texts, each as long as it is."""
    return np.array([str(value) for value in values], dtype=np.object_)


def says_nothing(values: NDArray[Any]) -> bool:
    """Whether no cell of a column states anything: all NaN, or all empty texts."""
    kind = kind_of(values)
    if kind == "f":
        return bool(np.all(np.isnan(values)))
    return kind == "U" and all(not str(value).strip() for value in values)


def fit_values(values: NDArray[Any]) -> Any:
    """Values as they are stored: texts as a list of str, integers that fit in one byte as such.

    One byte, so that shanks 0 and 1 are not taken for a badly stored yes or no.
    """
    kind = kind_of(values)
    if kind in "UO":
        return [_text(value) for value in values] if kind == "U" else list(values)
    if kind == "i" and len(values) and set(np.unique(values).tolist()) <= {0, 1}:
        return values.astype(np.int8)
    if kind == "f":
        return values.astype(np.float32) if values.dtype == np.float32 else values.astype(np.float64)
    return values.astype(_DTYPES[kind])


def fit_name(name: str, values: NDArray[Any]) -> str:
    """Name that NWB can hold: no slash, colon or name that hdmf needs; bools begin with ``is_``.

    Examples
    --------
    >>> fit_name("fr/Hz", np.zeros(2)), fit_name("id", np.zeros(2)), fit_name("good", np.ones(2, bool))
    ('fr_Hz', 'id_of_sorter', 'is_good')
    """
    fitted = re.sub(r"[/:.\s]+", "_", name.strip()).strip("_") or "unnamed"
    if kind_of(values) == "b" and not fitted.startswith("is_"):
        fitted = f"is_{fitted}"
    if fitted in _TAKEN or fitted.endswith("_index"):
        fitted = f"{fitted}_of_sorter"
    return fitted
