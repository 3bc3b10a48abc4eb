"""The electrodes table: made, or extended where another program has begun it, without saying anything twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nwb_celltype.converters.nwb.columns import TableColumn, blank, fit_values, kind_of, stack
from nwb_celltype.converters.nwb.devices import is_probe
from nwb_celltype.converters.records import Integer, Probe
from nwb_celltype.errors import InputError

_SAYS_NOTHING = frozenset({"", "unknown"})
_ROOM: dict[str, Any] = {"f": np.float64, "i": np.int64, "b": np.bool_, "U": np.object_, "O": np.object_}


def existing_rows(nwbfile: Any, probe: Probe) -> tuple[int | None, ...]:
    """Row of the electrodes table for each channel of a probe, None where the file does not have it.

    A row matches by device and channel name; a name such as ``AP0,LF0`` stands for either.

    Raises
    ------
    InputError
        If the file has electrodes of this probe, but none of them has the name of one of its channels.
    """
    table = nwbfile.electrodes
    if table is None or len(table) == 0:
        return (None,) * len(probe)
    has_names = "channel_name" in table.colnames
    rows: dict[str, int] = {}
    n_of_probe = 0
    for row in range(len(table)):
        if not is_probe(table["group"][row].device, probe):
            continue
        n_of_probe += 1
        for name in str(table["channel_name"][row]).split(",") if has_names else ():
            rows.setdefault(name.strip(), row)
    found = tuple(rows.get(name) for name in probe.channel_names)
    if n_of_probe and all(row is None for row in found):
        message = (
            f"The file has {n_of_probe} electrodes of the probe {probe.name} already, but none is called like a "
            f"channel of it ({', '.join(probe.channel_names[:3])}, ...), so they cannot be matched. Let this "
            "converter write the electrodes, or name them alike in the column channel_name."
        )
        raise InputError(message)
    return found


def write_electrodes(
    nwbfile: Any, tables: Sequence[Mapping[str, TableColumn]], known: Sequence[tuple[int | None, ...]]
) -> tuple[Integer, ...]:
    """Write the electrodes of all probes.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    tables : sequence of mappings of str to TableColumn
        What is known of the electrodes of each probe.
    known : sequence of tuples
        Rows that the file has already, as `existing_rows` gives them.

    Returns
    -------
    tuple of (n,) int64 arrays
        Row of the electrodes table for each electrode of each probe.
    """
    lengths = [len(rows) for rows in known]
    columns = stack(tables, lengths)
    flat = [row for rows in known for row in rows]
    if nwbfile.electrodes is None or len(nwbfile.electrodes) == 0:
        _make(nwbfile, columns, len(flat))
        rows = np.arange(len(flat), dtype=np.int64)
    else:
        rows = _extend(nwbfile, columns, flat)
    return tuple(np.split(rows, np.cumsum(lengths)[:-1]))


def _make(nwbfile: Any, columns: Mapping[str, TableColumn], n: int) -> None:
    from hdmf.common import ElementIdentifiers, VectorData  # type: ignore[import-untyped,unused-ignore]
    from pynwb.ecephys import ElectrodesTable

    if n == 0:
        return
    made = [
        VectorData(name=name, description=column.description, data=fit_values(column.values))
        for name, column in columns.items()
    ]
    ids = ElementIdentifiers(name="id", data=np.arange(n, dtype=np.int64))
    nwbfile.electrodes = ElectrodesTable(id=ids, columns=made, colnames=list(columns))


def _extend(nwbfile: Any, columns: Mapping[str, TableColumn], known: Sequence[int | None]) -> Integer:
    table = nwbfile.electrodes
    rows = list(known)
    for i, row in enumerate(known):
        if row is None:
            cells = {
                name: _cell(columns[name].values[i]) if name in columns else _blank_cell(table[name])
                for name in table.colnames
            }
            rows[i] = len(table)
            table.add_row(id=int(np.max(table.id[:], initial=-1)) + 1, **cells)
    at = np.array(rows, dtype=np.int64)
    for name, column in columns.items():
        if name in table.colnames:
            _fill(table[name].data, column, at, known)
        else:
            kind = kind_of(column.values)
            kind = "f" if kind == "i" and len(set(at.tolist())) < len(table) else kind
            values = np.full(len(table), blank(kind), dtype=_ROOM[kind])
            values[at] = column.values
            table.add_column(name=name, description=column.description, data=fit_values(values))
    return at


def _fill(cells: Any, column: TableColumn, at: Integer, known: Sequence[int | None]) -> None:
    """Write what is known into cells that say nothing; what somebody wrote stays."""
    for i, row in enumerate(known):
        value = _cell(column.values[i])
        if row is None or _is_blank(value) or not _is_blank(cells[row]):
            continue
        if isinstance(cells, np.ndarray) and cells.dtype.kind in "US" and len(value) > cells.dtype.itemsize // 4:
            message = (
                f"The column with {cells[row]!r} in the electrodes table is too narrow for {value!r}; make it a list."
            )
            raise InputError(message)
        cells[int(at[i])] = value


def _is_blank(value: Any) -> bool:
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, str):
        return value.strip().lower() in _SAYS_NOTHING
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _cell(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _blank_cell(column: Any) -> Any:
    """What another program's column holds for an electrode that it does not know."""
    if hasattr(column, "target"):
        return []
    sample = column[0]
    if isinstance(sample, str | bytes):
        return ""
    if isinstance(sample, bool | np.bool_):
        return False
    if isinstance(sample, int | np.integer):
        return -1
    if isinstance(sample, float | np.floating):
        return np.nan
    if isinstance(sample, np.ndarray) and sample.dtype.kind == "f":
        return np.full_like(sample, np.nan)
    message = (
        f"The column {column.name!r} of the electrodes table has no value for further electrodes "
        f"({type(sample).__name__}); add the other probes first, or leave it out."
    )
    raise InputError(message)
