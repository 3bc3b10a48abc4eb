"""Plain units columns of a run, for readers that know nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import h5py  # type: ignore[import-untyped,unused-ignore]
import numpy as np

from nwb_celltype.errors import InputError
from nwb_celltype.nwb_io.old_schema import help_text, is_older_than

if TYPE_CHECKING:
    from nwb_celltype.annotation import Annotation
    from nwb_celltype.nwb_io.graft import Place
    from nwb_celltype.runs import Run


def has_mirror(path: Path, name: str, units_path: str) -> bool:
    """Whether the run `name` has plain columns in the units table already."""
    with h5py.File(path, "r") as file:
        return f"{name}_cell_type" in file[units_path]


def mirror_columns(path: Path, annotation: Annotation | Run, place: Place) -> list[str]:
    """Write the run as plain columns of the units table, for readers that know nothing else.

    Parameters
    ----------
    path : Path
    annotation : Annotation or Run
    place : Place
        The columns are called ``<run>_cell_type`` and, for classifier runs, ``<run>_confidence``.

    Returns
    -------
    list of str
        Names of the new columns.

    Raises
    ------
    InputError
        If a column of that name is already there; it is never touched.
    """
    rows = {int(i): k for k, i in enumerate(annotation.unit_ids)}
    order = [rows.get(int(i)) for i in place.all_unit_ids]
    columns: dict[str, tuple[str, Any]] = {
        f"{place.name}_cell_type": (
            f"Cell type from the annotation run {place.name!r}; empty where the run does not name the unit.",
            np.array(["" if k is None else str(annotation.cell_type[k]) for k in order], dtype=object),
        )
    }
    if annotation.confidence is not None:
        values = annotation.confidence
        columns[f"{place.name}_confidence"] = (
            f"Confidence of the annotation run {place.name!r}; NaN where there is none.",
            np.array([np.nan if k is None else values[k] for k in order], dtype=np.float32),
        )
    with h5py.File(path, "r+") as file:
        table = file[place.units_path]
        if "colnames" not in table.attrs:
            message = (
                f"{place.units_path} in {place.file_name} does not list its columns; plain columns cannot be added."
            )
            raise InputError(message)
        taken = [name for name in columns if name in table]
        if taken:
            message = f"{place.file_name} already has the units column {taken[0]!r}; columns are never overwritten."
            raise InputError(message)
        for name, (description, data) in columns.items():
            dtype = h5py.string_dtype() if data.dtype == object else data.dtype
            dataset = table.create_dataset(name, data=data, dtype=dtype, maxshape=(None,), chunks=True)
            dataset.attrs["description"] = description
            dataset.attrs["namespace"] = "core" if is_older_than(file, 2, 2) else "hdmf-common"
            dataset.attrs["neurodata_type"] = "VectorData"
            dataset.attrs["object_id"] = str(uuid4())
            if is_older_than(file, 2, 1):
                dataset.attrs["help"] = help_text("VectorData")
        _extend_colnames(table, list(columns))
    return list(columns)


def _extend_colnames(table: Any, added: Sequence[str]) -> None:
    """Add names to the list of columns, as text of the kind that it is; fixed lengths grow."""
    names = [n.decode() if isinstance(n, bytes) else str(n) for n in table.attrs["colnames"]] + list(added)
    old = h5py.check_string_dtype(table.attrs.get_id("colnames").dtype)
    encoding = "utf-8" if old is None else old.encoding
    stored = [name.encode(encoding) for name in names]
    length = max(map(len, stored)) if old is not None and old.length is not None else None
    table.attrs.create("colnames", stored, dtype=h5py.string_dtype(encoding, length))
