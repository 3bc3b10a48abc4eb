"""Find the units tables of a file, and choose the one that is meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.units import hdf5
from nwb_celltype.units.lazy import Integer
from nwb_celltype.units.ragged import UnitsTable

DEFAULT_PATH = "/units"
_DEPTH = 6
# where tables besides /units are kept; walking acquisition on every open would cost a request per recording
_LIKELY_PLACES = ("processing", "analysis", "scratch")


def units_tables(source: str | Path, *, instance: str | None = None) -> list[str]:
    """HDF5 paths of all units tables in an NWB file, ``/units`` first.

    Parameters
    ----------
    source : str or Path or address or binary file object
        NWB file in HDF5, as for `read_units`.
    instance : str, optional
        Archive that ``DANDI:`` means.

    Returns
    -------
    list of str
        Paths that ``read_units(..., units_table=...)`` takes.

    Raises
    ------
    InputError
        If the file cannot be opened as HDF5.
    NetworkError, RefusedError
        If a server cannot be reached, or does not let us read the file.

    Examples
    --------
    >>> units_tables("no_such_file.nwb")
    Traceback (most recent call last):
    ...
    nwb_celltype.errors.InputError: no_such_file.nwb does not exist; check the path.
    """
    with hdf5.open_source(source, instance=instance) as file:
        opened = hdf5.OpenFile(file, hdf5.source_name(source))
        with opened.reading("the groups"):
            opened.fetch_headers(file)
            return find_tables(file, opened.name)


def find_tables(file: hdf5.Node, file_name: str) -> list[str]:
    """Paths of all units tables of an open file, ``/units`` first."""
    found = [
        path
        for path, group in hdf5.walk_groups(file, _DEPTH, skip=lambda path: path.startswith("/specifications"))
        if _is_units_table(group)
    ]
    if DEFAULT_PATH in found:
        found.remove(DEFAULT_PATH)
    # a link is not walked, and /units may be one
    default = hdf5.child(file, "units", file_name)
    return [DEFAULT_PATH, *found] if _is_units_table(default) else found


def other_tables(file: hdf5.Node, chosen: hdf5.Node) -> list[str]:
    """Units tables besides the chosen one, in the places where they usually are."""
    found = []
    for place in _LIKELY_PLACES:
        parent = file.get(place)
        if hdf5.is_group(parent):
            found += [path for path, group in hdf5.walk_groups(parent, 2) if _is_units_table(group)]
    return [path for path in found if file[path] != chosen]


def open_table(opened: hdf5.OpenFile, units_table: str | None) -> UnitsTable:
    """The units table at a path, or the only one, or ``/units``.

    Raises
    ------
    InputError
        If the file has no units table, or several and none is ``/units``, or the table has no usable ids.
    UsageError
        If there is no units table at the given path.
    """
    path = units_table if units_table is not None else _default_path(opened)
    path = "/" + path.strip("/")
    group = hdf5.at_path(opened.file, path, opened.name)
    opened.fetch_headers(group)
    if not _is_units_table(group):
        known = ", ".join(find_tables(opened.file, opened.name)) or "none"
        message = f"{path} in {opened.name} is no units table; those it has: {known}."
        raise UsageError(message)
    table = UnitsTable(opened, group, path, np.empty(0, dtype=np.int64))
    return UnitsTable(opened, group, path, _read_ids(table))


def _default_path(opened: hdf5.OpenFile) -> str:
    group = hdf5.child(opened.file, "units", opened.name)
    if _is_units_table(group):
        return DEFAULT_PATH
    found = find_tables(opened.file, opened.name)
    if len(found) == 1:
        return found[0]
    if found:
        message = (
            f"{opened.name} has no /units but {len(found)} other units tables: {', '.join(found)}. "
            "Choose one with --units-table."
        )
        raise InputError(message)
    if group is not None:
        message = f"/units in {opened.name} is no units table (it has no id column); re-export the file."
        raise InputError(message)
    if "nwb_version" not in opened.file.attrs:
        message = f"{opened.name} is an HDF5 file without units, and not NWB 2; give an NWB 2 file with sorted units."
        raise InputError(message)
    message = f"{opened.name} has no units table; sort its spikes first, or give the file that holds the sorted units."
    raise InputError(message)


def _is_units_table(group: hdf5.Node | None) -> bool:
    if not hdf5.is_group(group) or group is None:
        return False
    if hdf5.attribute(group, "neurodata_type") == "Units":
        return True
    return group.get("id", getlink=True) is not None and (
        group.name == DEFAULT_PATH or group.get("spike_times", getlink=True) is not None
    )


def _read_ids(table: UnitsTable) -> Integer:
    dataset = table.column("id")
    if dataset is None:
        message = f"{table.path} in {table.file_name} has no id column; repair or re-export the file."
        raise InputError(message)
    if dataset.ndim != 1 or (dataset.dtype.kind not in "iu" and dataset.shape[0]):
        message = (
            f"{table.where('id')} must be a vector of integers, but is {dataset.dtype} of shape {dataset.shape}; "
            "repair or re-export the file."
        )
        raise InputError(message)
    stored = table.reader(dataset, "id", 0, int(dataset.shape[0]))
    if stored.size and int(stored.max()) > np.iinfo(np.int64).max:
        message = f"{table.where('id')} holds an id too large for a 64-bit integer: {int(stored.max())}."
        raise InputError(message)
    ids = stored.astype(np.int64)
    values, counts = np.unique(ids, return_counts=True)
    if bool(np.any(counts > 1)):
        twice = ", ".join(str(int(value)) for value in values[counts > 1][:10])
        message = f"{table.where('id')} repeats unit ids ({twice}); ids must be unique, so give the units new ones."
        raise InputError(message)
    return ids
