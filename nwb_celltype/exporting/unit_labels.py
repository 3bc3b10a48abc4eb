"""Labels of one run with the units that they are about, and the names that those units have elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.annotation import Annotation
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.provenance import find_source_beside, is_detached, open_source_units, read_source
from nwb_celltype.runs import Run, choose_run
from nwb_celltype.units import Units, read_units

Labels = str | Path | Run | Annotation
"""A file with labels, or its address; or one run."""

SORTER_ID_COLUMNS = ("original_cluster_id", "cluster_id", "unit_name")
"""Columns of the units table in which conversion keeps the sorter's own id, the first that is there."""


def labels_of(labels: Labels, run: str | None = None) -> Run | Annotation:
    """Return the run called `run` of a file, the published one by default; a run stands for itself.

    Raises
    ------
    UsageError
        If there is no such run, or a name is given besides a run.
    InputError
        If the file cannot be read, or holds no runs.
    """
    if isinstance(labels, str | Path):
        return choose_run(labels, run)
    if run is not None:
        message = f"A run was given already; the name {run!r} chooses among the runs of a file."
        raise UsageError(message)
    return labels


def open_labelled(file: str | Path, run: Run) -> Units:
    """Open the units of a run; those of a detached file are looked for beside it.

    Returns
    -------
    Units
        The caller closes it.

    Raises
    ------
    InputError
        If the units are not at hand.
    RefusedError
        If the file beside a detached one does not hold its units.
    """
    if not is_detached(file):
        return read_units(file, units_table=run.units_path or None)
    source = read_source(file)
    beside = None if source is None or not Path(file).exists() else find_source_beside(Path(file), source)
    if source is None or beside is None:
        wanted = "" if source is None else source.path or source.address
        message = (
            f"{file} holds labels alone, and the recording with their units{f' ({wanted})' if wanted else ''} is not "
            "beside it. Put it there, or join both with `nwb-celltype fetch --join`."
        )
        raise InputError(message)
    return open_source_units(beside, source, [run], check_data=False)


def sorter_ids(units: Units) -> tuple[NDArray[np.int64], str]:
    """(n,) ids of the units in the output of the sorter, and the column that they come from.

    The first of `SORTER_ID_COLUMNS` that holds whole numbers, and where there is none, the ids themselves.

    Examples
    --------
    >>> sorter_ids(Units.from_arrays([[0.1], [0.2]], unit_ids=[7, 9]))
    (array([7, 9]), 'id')
    """
    for name in SORTER_ID_COLUMNS:
        if name in units.column_names:
            values = whole_numbers(units.column(name))
            if values is not None:
                return values, name
    return units.unit_ids.copy(), "id"


def whole_numbers(values: NDArray[Any]) -> NDArray[np.int64] | None:
    """(n,) integers, None where a value is no whole number."""
    found = []
    for value in values.tolist():
        text = str(value).strip()
        if isinstance(value, float) and value.is_integer():
            text = str(int(value))
        if not text.lstrip("-").isdecimal():
            return None
        found.append(int(text))
    return np.array(found, dtype=np.int64)


def columns_of(labels: Run | Annotation) -> dict[str, NDArray[Any]]:
    """Columns of a run that other tools can show, one value a unit; those that the run lacks are left out."""
    columns: dict[str, NDArray[Any]] = {
        "cell_type": np.asarray(labels.cell_type).astype(str),
        "is_abstained": np.asarray(labels.is_abstained, dtype=bool),
        "reason": np.asarray(labels.reason).astype(str),
    }
    for name in ("confidence", "ood_score"):
        values = getattr(labels, name)
        if values is not None:
            columns[name] = np.asarray(values, dtype=np.float64)
    if labels.cell_id is not None:
        columns["cell_id"] = np.asarray(labels.cell_id).astype(str)
    order = ("cell_type", "confidence", "is_abstained", "reason", "ood_score", "cell_id")
    return {name: columns[name] for name in order if name in columns}


_NOTHING: Mapping[str, Any] = {"U": "", "f": np.nan, "b": False}


def in_order(values: NDArray[Any], rows: list[int | None]) -> NDArray[Any]:
    """(n,) values at these rows; what stands for nothing of that type where there is no row."""
    nothing = _NOTHING[values.dtype.kind]
    return np.array([nothing if row is None else values[row] for row in rows], dtype=values.dtype)
