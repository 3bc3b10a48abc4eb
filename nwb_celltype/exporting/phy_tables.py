"""Labels beside a Phy sorting, so that Phy shows them: one table a column, by cluster."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.phy.tables import EXPORT_RECORD
from nwb_celltype.errors import InputError, RefusedError, UsageError
from nwb_celltype.exporting.unit_labels import sorter_ids
from nwb_celltype.nested_text import parse_json
from nwb_celltype.npy_files import load_npy
from nwb_celltype.nwb_io.safe_write import create_safely
from nwb_celltype.runs import Run
from nwb_celltype.units import Units

TABLES = {"cell_type": "cluster_cell_type.tsv", "cell_type_confidence": "cluster_cell_type_confidence.tsv"}
"""Columns that Phy will show, and the file of each."""
RECORD = EXPORT_RECORD
"""Says which run the tables hold, and what they looked like when they were written."""

_SAME_COUNT = 0.01  # a cluster that gained or lost more of its spikes is another one


def write_phy_tables(
    folder: Path, units: Units, run: Run, *, file: str = "", probe: str | None = None, overwrite: bool = False
) -> tuple[list[Path], list[str]]:
    """Write the labels of the clusters of a sorting folder as tables that Phy reads.

    Clusters are matched by the sorter's id, and by their number of spikes: what was merged or split since the file was
    made is another cluster and gets no label.

    Parameters
    ----------
    folder : Path
        Folder of ``params.py``, or that file.
    units : Units
        Of the annotated file.
    run : Run
    file : str
        Name of the annotated file, for the record.
    probe : str, optional
        Which probe the folder is of; needed where the units table holds several.
    overwrite : bool
        Replace tables of these names that are not ours, or that were changed since.

    Returns
    -------
    files : list of Path
    left_out : list of str
        Units without a row, and why.

    Raises
    ------
    UsageError
        If the units are of several probes and none is named, or there is no such probe.
    InputError
        If there is no Phy sorting, or none of the labelled units is a cluster of it.
    RefusedError
        If a table is there that is not ours.
    """
    folder = _sorting_folder(folder)
    own = units.select(run.unit_ids.tolist())
    clusters, _ = sorter_ids(own)
    is_here = _of_probe(own, probe)
    sizes = _cluster_sizes(folder)
    rows, left_out = _matched(own, clusters, is_here, sizes, run)
    if not rows:
        first = f" ({left_out[0]})" if left_out else ""
        message = (
            f"None of the {len(run)} labelled units is a cluster of {folder}{first}. Is it the sorting of the file?"
        )
        raise InputError(message)
    cells: dict[str, dict[int, str]] = {
        "cell_type": {int(clusters[k]): str(run.cell_type[k]) for k in rows},
    }
    if run.confidence is not None:
        values = {int(clusters[k]): float(run.confidence[k]) for k in rows}
        cells["cell_type_confidence"] = {i: f"{value:.3f}" for i, value in values.items() if np.isfinite(value)}
    texts = {TABLES[name]: _table(name, column) for name, column in cells.items()}
    if not overwrite:
        _refuse_foreign(folder, texts)
    record = {
        "software": "nwb-celltype",
        "file": file,
        "run": run.name,
        "created": run.created,
        "source_type": run.method.source_type,
        "who": run.method.who,
        "sha256": {name: _sha256(text.encode()) for name, text in texts.items()},
    }
    # The record last: when this is cut off, tables are as the old record says or as the next try would write them.
    texts = {**texts, RECORD: json.dumps(record, indent=2) + "\n"}
    return [_write(folder / name, text) for name, text in texts.items()], left_out


def _sorting_folder(folder: Path) -> Path:
    path = folder.expanduser()
    path = path.parent if path.name == "params.py" else path
    if not path.is_dir():
        message = f"{folder} is no folder; give the one that holds params.py."
        raise InputError(message)
    if not (path / "params.py").is_file():
        message = f"{folder} holds no params.py, so Phy would not open it; give the folder of the sorting."
        raise InputError(message)
    return path


def _cluster_sizes(folder: Path) -> dict[int, int]:
    """Number of spikes of each cluster."""
    for name in ("spike_clusters.npy", "spike_templates.npy"):
        path = folder / name
        if path.is_file():
            try:
                ids = load_npy(path)
                found, counts = np.unique(ids, return_counts=True)
            except (OSError, ValueError) as error:
                message = f"{path} cannot be read: {error}. Copy the sorting again."
                raise InputError(message) from error
            return dict(zip(found.astype(np.int64).tolist(), counts.tolist(), strict=True))
    message = f"{folder} holds neither spike_clusters.npy nor spike_templates.npy; give the folder of the sorting."
    raise InputError(message)


def _of_probe(units: Units, probe: str | None) -> NDArray[np.bool_]:
    if "probe" not in units.column_names:
        if probe is not None:
            message = f"The units table has no column `probe`; leave --probe {probe} away."
            raise UsageError(message)
        return np.ones(len(units), dtype=bool)
    names = np.asarray(units.column("probe")).astype(str)
    known = sorted(set(names.tolist()))
    if probe is None and len(known) == 1:
        return np.ones(len(units), dtype=bool)
    if probe not in known:
        said = "which one is the folder of" if probe is None else f"not {probe!r}"
        message = f"The units are of the probes {', '.join(known)}; say {said} with --probe."
        raise UsageError(message)
    return np.asarray(names == probe)


def _matched(
    units: Units, clusters: NDArray[np.int64], is_here: NDArray[np.bool_], sizes: Mapping[int, int], run: Run
) -> tuple[list[int], list[str]]:
    """Rows that are clusters of the folder, and a sentence for each of the others."""
    counts = units.spike_times.counts
    rows, left_out = [], []
    for k in np.flatnonzero(is_here).tolist():
        cluster, n = int(clusters[k]), int(counts[k])
        found = sizes.get(cluster)
        if found is None:
            left_out.append(f"unit {run.unit_ids[k]}: there is no cluster {cluster}")
        elif abs(found - n) > _SAME_COUNT * max(found, n):
            left_out.append(f"unit {run.unit_ids[k]}: it has {n} spikes, cluster {cluster} has {found}")
        else:
            rows.append(k)
    return rows, left_out


def _table(name: str, cells: Mapping[int, str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(["cluster_id", name])
    writer.writerows(sorted(cells.items()))
    return text.getvalue()


def _refuse_foreign(folder: Path, texts: Mapping[str, str]) -> None:
    """Refuse to replace a table that is not as this package left it; one that holds the same is left alone."""
    written = _recorded(folder / RECORD)
    for name in texts:
        path = folder / name
        if not path.exists():
            continue
        content = path.read_bytes()
        if content.decode("utf-8", "replace") == texts[name] or _sha256(content) == written.get(name):
            continue
        how = "was changed since it was written" if name in written else "was not written by nwb-celltype"
        message = f"{path} {how}; move it away, or replace it with --overwrite."
        raise RefusedError(message)


def _recorded(path: Path) -> dict[str, Any]:
    try:
        record = parse_json(path.read_text(encoding="utf-8"))
        return dict(record["sha256"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{path} cannot be read ({error}); move it away, or write anew with --overwrite."
        raise RefusedError(message) from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, text: str) -> Path:
    def write(partial: Path) -> None:
        partial.write_text(text, encoding="utf-8", newline="")

    def validate(partial: Path) -> None:
        if partial.read_bytes() != text.encode():
            message = f"{path} could not be written as it should be; is the disk full?"
            raise InputError(message)

    return create_safely(path, write, validate, replaces=True)
