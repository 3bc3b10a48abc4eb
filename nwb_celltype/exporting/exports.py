"""Write the labels of a file where other programs find them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwb_celltype.errors import InputError, RefusedError, UsageError
from nwb_celltype.nwb_io.safe_write import create_safely

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    files : tuple of Path
    n_labels : int
        Rows of the table, or of Phy's clusters.
    left_out : tuple of str
        Units without a row, and why.
    """

    files: tuple[Path, ...]
    n_labels: int
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"files": [str(path) for path in self.files], "labels": self.n_labels, "left_out": list(self.left_out)}


def export(
    file: str | Path,
    *,
    phy: str | Path | None = None,
    csv: str | Path | None = None,
    parquet: str | Path | None = None,
    run: str | None = None,
    probe: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the labels of a file beside a Phy sorting, or as a table.

    Parameters
    ----------
    file : str or Path
        An annotated file, or its address. For tables also a folder, a pattern or a dandiset, as for
        `nwb_celltype.load_labels`.
    phy : str or Path, optional
        Folder of ``params.py``: gets ``cluster_cell_type.tsv`` and ``cluster_cell_type_confidence.tsv``, which Phy
        shows as columns. Clusters are found by the sorter's id as conversion kept it, and by their number of spikes.
    csv, parquet : str or Path, optional
        File of a table with a row a unit and the columns of `nwb_celltype.load_labels`. Parquet needs pyarrow.
    run : str, optional
        Name of the run; the published one by default.
    probe : str, optional
        Which probe the Phy folder is of, where the file holds several.
    overwrite : bool
        Replace files that are there already; tables beside a Phy sorting are replaced without it as long as they are
        as this package left them.

    Returns
    -------
    Exported

    Raises
    ------
    UsageError
        If nowhere to write is given, there is no such run, the probe must be named, or pyarrow is missing.
    InputError
        If the file cannot be read or holds no runs, or no labelled unit is a cluster of the folder.
    RefusedError
        If a file is there that would be overwritten.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> done = nct.export("session_celltype.nwb", phy="sorting/", csv="labels.csv")  # doctest: +SKIP
    """
    if phy is None and csv is None and parquet is None:
        message = "Say where the labels go: --phy FOLDER, --csv FILE or --parquet FILE."
        raise UsageError(message)
    if probe is not None and phy is None:
        message = "A probe chooses among the units for --phy; tables hold the units of all probes."
        raise UsageError(message)
    if parquet is not None and find_spec("pyarrow") is None:
        message = "Parquet tables need pyarrow: pip install 'nwb-celltype[cluster]'."
        raise UsageError(message)
    targets = {kind: Path(path).expanduser() for kind, path in (("csv", csv), ("parquet", parquet)) if path is not None}
    for path in targets.values():
        if path.exists() and not overwrite:
            message = f"{path} is there already; choose another name, or replace it with --overwrite."
            raise RefusedError(message)
    files: list[Path] = []
    left_out: list[str] = []
    n_labels = 0
    if targets:
        table = _table(file, run)
        files += [_write_table(table, path, kind, overwrite) for kind, path in targets.items()]
        n_labels = len(table)
    if phy is not None:
        written, left_out, n_clusters = _phy(file, Path(phy), run, probe, overwrite)
        files += written
        n_labels = max(n_labels, n_clusters)
    return Exported(tuple(files), n_labels, tuple(left_out))


def _table(file: str | Path, run: str | None) -> pd.DataFrame:
    from nwb_celltype.label_frames import load_labels

    return load_labels(file, published_only=True) if run is None else load_labels(file, runs=[run])


def _write_table(table: pd.DataFrame, path: Path, kind: str, overwrite: bool) -> Path:
    def write(partial: Path) -> None:
        if kind == "csv":
            table.to_csv(partial, index=False, float_format="%.6g", lineterminator="\n")
        else:
            table.to_parquet(partial, index=False)

    def validate(partial: Path) -> None:
        import pandas as pd

        n = len(pd.read_csv(partial, usecols=["unit_id"])) if kind == "csv" else len(pd.read_parquet(partial))
        if n != len(table):
            message = f"{path} does not hold the rows that were written; the disk may be full or damaged."
            raise InputError(message)

    return create_safely(path, write, validate, replaces=overwrite)


def _phy(
    file: str | Path, folder: Path, run: str | None, probe: str | None, overwrite: bool
) -> tuple[list[Path], list[str], int]:
    from nwb_celltype.exporting.phy_tables import write_phy_tables
    from nwb_celltype.exporting.unit_labels import open_labelled
    from nwb_celltype.runs import choose_run

    if not str(file).lower().startswith(("dandi:", "http", "s3:")) and Path(file).is_dir():
        message = f"{file} is a folder; a Phy sorting gets the labels of one file."
        raise UsageError(message)
    chosen = choose_run(file, run)
    with open_labelled(file, chosen) as units:
        written, left_out = write_phy_tables(folder, units, chosen, file=str(file), probe=probe, overwrite=overwrite)
    return written, left_out, len(chosen) - len(left_out)
