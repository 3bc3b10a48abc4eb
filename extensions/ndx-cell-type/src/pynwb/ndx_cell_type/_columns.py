"""Reading whole columns of a table, wherever their data are: in memory or in an open file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import h5py
import numpy as np
from hdmf.common import DynamicTable, DynamicTableRegion, VectorData, VectorIndex
from hdmf.data_utils import AbstractDataChunkIterator, DataIO

SHOWN = 5
"""How many problems an error message spells out."""


class StrictTable(DynamicTable):
    """A table whose constructor asks for every required column, but which opens whatever a file holds.

    hdmf adds required columns at construction and then refuses a file that lacks one. Here every column of
    ``__columns__`` is optional to hdmf, and `_add_required_columns` is called only for tables made by hand.
    """

    __columns__: tuple[dict[str, Any], ...] = ()
    _required_columns: tuple[str, ...] = ()

    def _add_required_columns(self) -> None:
        for conf in self.__columns__:
            if conf["name"] in self._required_columns and conf["name"] not in self.colnames:
                self.add_column(name=conf["name"], description=conf["description"])


def plain(data: Any) -> np.ndarray:
    """Values of a column as an array; text as `str`.

    Raises
    ------
    ValueError
        If the data can be read only once (a chunk iterator), because they could not be checked.
    """
    if isinstance(data, (VectorData, DataIO)):
        return plain(data.data)
    if isinstance(data, AbstractDataChunkIterator):
        msg = "columns of this table must be arrays or lists, because a chunk iterator cannot be checked"
        raise ValueError(msg)
    values = np.asarray(data[:] if hasattr(data, "__getitem__") else list(data))
    if values.dtype.kind in "SO":
        values = np.array([v.decode() if isinstance(v, bytes) else v for v in values], dtype=object)
    return values


def values_of(table: DynamicTable, name: str) -> np.ndarray | None:
    """Values of one column, None where the table lacks it; for a region, the row numbers (ragged: flattened)."""
    if name not in table.colnames:
        return None
    column = table[name]
    return plain(column.target if isinstance(column, VectorIndex) else column)


def region_target(table: DynamicTable, name: str) -> DynamicTable | None:
    """The table that a region column points into; None where the column is absent."""
    if name not in table.colnames:
        return None
    column = table[name]
    column = column.target if isinstance(column, VectorIndex) else column
    return column.table if isinstance(column, DynamicTableRegion) else None


def make_columns(confs: Sequence[dict[str, Any]], data: dict[str, Any]) -> list[VectorData]:
    """Column objects, in the order of the schema, for every entry of `data` that is not None.

    A region is given as ``(rows, table)``, a ragged one as ``(list of lists of rows, table)``.
    """
    columns: list[VectorData] = []
    for conf in confs:
        name, values = conf["name"], data.get(conf["name"])
        if values is None:
            continue
        if not conf.get("table"):
            columns.append(VectorData(name=name, description=conf["description"], data=values))
            continue
        rows, table = values
        ends = None
        if conf.get("index"):
            ends = np.cumsum([len(r) for r in rows])
            rows = [int(r) for row in rows for r in row]
        region = DynamicTableRegion(name=name, description=conf["description"], data=list(rows), table=table)
        if ends is not None:
            columns.append(VectorIndex(name=f"{name}_index", data=ends, target=region))
        columns.append(region)
    return columns


def same_length(named: dict[str, Any], length: int, of: str) -> None:
    """Raise if an entry of `named` that is not None has another length than `length`."""
    for name, values in named.items():
        if values is not None and len(values) != length:
            msg = f"`{name}` has {len(values)} entries, but there are {length} {of}"
            raise ValueError(msg)


def check_row_numbers(rows: Iterable[Iterable[int]], target: DynamicTable, name: str, where: Sequence[str]) -> None:
    """Raise if a row number does not exist in `target`; `where` says whose row numbers they are."""
    n = len(target)
    for place, numbers in zip(where, rows, strict=True):
        for number in numbers:
            if not 0 <= int(number) < n:
                msg = f"{place}: `{name}` names row {number}, but table '{target.name}' has rows 0 to {n - 1}"
                raise ValueError(msg)


def check_ragged_room(table: DynamicTable, name: str, n_new: int) -> None:
    """Refuse a ragged entry that the stored index is too narrow to count: its type cannot be changed in place."""
    if not _is_stored_index(table, name):
        return
    index = table[name]
    largest = np.iinfo(index.data.dtype).max
    if len(index.target) + n_new > largest:
        msg = (
            f"`{name}` of table '{table.name}' holds {len(index.target)} entries and cannot count beyond {largest} "
            "in this file; write a new table with all rows instead"
        )
        raise ValueError(msg)


def append_row(table: DynamicTable, row: dict[str, Any]) -> None:
    """Add a row, also to ragged columns in an open file.

    There hdmf fails on an empty entry, and on any entry once the index counts beyond 255, after it has already
    written part of the row: the columns would be left with unequal lengths.
    """
    if not any(_is_stored_index(table, name) for name in row):
        table.add_row(**row)
        return
    table.id.append(len(table))
    for name, value in row.items():
        column = table[name]
        if not _is_stored_index(table, name):
            column.add_row(value)
            continue
        if len(value):
            column.target.extend(value)
        column.append(len(column.target))


def _is_stored_index(table: DynamicTable, name: str) -> bool:
    column = table[name] if name in table.colnames else None
    return isinstance(column, VectorIndex) and isinstance(column.data, h5py.Dataset)


def refuse(what: str, problems: Sequence[str]) -> None:
    """Raise ValueError with the first few problems, if there are any."""
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        msg = f"{what}: " + "; ".join(problems[:SHOWN]) + more
        raise ValueError(msg)
