"""The table of all units of a batch: ``units.parquet``, one row a unit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nwb_celltype.batch.journal import Entry
from nwb_celltype.errors import InputError
from nwb_celltype.nwb_io.safe_write import create_safely
from nwb_celltype.provenance import SourceAsset, read_source
from nwb_celltype.runs import Run, read_runs

NAME = "units.parquet"
"""File of the table in the output folder."""


def write_unit_table(folder: Path, entries: Sequence[Entry]) -> Path:
    """Write one row for each unit of each file of labels, read back from these files.

    Rows are in the order of the files' names and, in each, of the units; columns of probabilities are named
    ``probability_<class>``. Units without an answer keep their row, with the reason.

    Parameters
    ----------
    folder : Path
        Output folder of a batch.
    entries : sequence of Entry
        Of the journal: which run of which file, and the regions of its units.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If a file of labels cannot be read, or the table not be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = [_rows(folder, entry) for entry in sorted(entries, key=lambda entry: entry.file)]
    classes = sorted({name for part in parts for name in part if name.startswith("probability_")})
    fixed = [name for name in parts[0] if not name.startswith("probability_")] if parts else []
    columns: dict[str, Any] = {name: [value for part in parts for value in part[name]] for name in fixed}
    for name in classes:
        columns[name] = [
            value for part in parts for value in part.get(name, np.full(len(part["unit_id"]), np.nan, np.float32))
        ]
    types = {name: pa.float32() for name in classes} | {
        "unit_id": pa.int64(), "is_abstained": pa.bool_(), "confidence": pa.float32(), "ood_score": pa.float32(),
    }  # fmt: skip
    table = pa.table({name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()})

    def write(path: Path) -> None:
        pq.write_table(table, path)

    def validate(path: Path) -> None:
        if pq.read_metadata(path).num_rows != table.num_rows:
            message = f"{path} does not hold the rows that were written; the disk may be full or damaged."
            raise InputError(message)

    return create_safely(folder / NAME, write, validate, replaces=True)


def _rows(folder: Path, entry: Entry) -> dict[str, Any]:
    path = folder / entry.file
    run = next((run for run in read_runs(path) if run.name == entry.run), None)
    source = read_source(path)
    if run is None or source is None:
        message = f"{path} does not hold the run {entry.run!r} any more; move it away, and run the command again."
        raise InputError(message)
    n = len(run)
    regions = entry.regions if len(entry.regions) == n else ("",) * n
    return _constant(entry, run, source, n) | _by_unit(run, regions)


def _constant(entry: Entry, run: Run, source: SourceAsset, n: int) -> dict[str, Any]:
    values = {
        "file": entry.file,
        "dandiset": source.dandiset,
        "version": source.version,
        "source_path": source.path,
        "source_sha256": source.sha256,
        "source_identifier": source.identifier,
        "run": run.name,
        "model": run.method.who,
        "weights_sha256": str(run.method.fields.get("weights_sha256", "")),
        "created": run.created,
    }
    return {name: [value] * n for name, value in values.items()}


def _by_unit(run: Run, regions: Sequence[str]) -> dict[str, Any]:
    n = len(run)
    nothing = np.full(n, np.nan, dtype=np.float32)
    columns: dict[str, Any] = {
        "unit_id": run.unit_ids.tolist(),
        "region": list(regions),
        "cell_type": run.cell_type.tolist(),
        "is_abstained": run.is_abstained.tolist(),
        "reason": run.reason.tolist(),
        "reason_detail": run.reason_detail.tolist(),
        "confidence": run.confidence if run.confidence is not None else nothing,
        "ood_score": run.ood_score if run.ood_score is not None else nothing,
    }
    if run.probability is not None:
        columns |= {f"probability_{name}": run.probability[:, k] for k, name in enumerate(run.classes)}
    return columns
