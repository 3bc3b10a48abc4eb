"""``nwb-celltype export``."""

from __future__ import annotations

import json
from pathlib import Path

import click

_HELP = """Write the labels of FILE where other programs find them.

FILE is an annotated NWB file or its address; for tables also a folder, a pattern or a dandiset.

\b
nwb-celltype export session_celltype.nwb --phy sorting/      Phy then shows cell_type beside its own columns
nwb-celltype export labels/ --csv labels.csv                 a row for each unit of all files
"""


@click.command("export", help=_HELP)
@click.argument("file")
@click.option("--phy", type=click.Path(path_type=Path), metavar="FOLDER", help="Folder of params.py.")
@click.option("--csv", type=click.Path(path_type=Path), metavar="FILE", help="Table of all units as CSV.")
@click.option("--parquet", type=click.Path(path_type=Path), metavar="FILE", help="Table of all units as Parquet.")
@click.option("--run", metavar="NAME", help="Which run.  [default: the label of choice]")
@click.option("--probe", metavar="NAME", help="Which probe the Phy folder is of, if FILE holds several.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    file: str,
    phy: Path | None,
    csv: Path | None,
    parquet: Path | None,
    run: str | None,
    probe: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the labels of a file where other programs find them."""
    from nwb_celltype.exporting import export

    done = export(file, phy=phy, csv=csv, parquet=parquet, run=run, probe=probe, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps(done.to_json(), indent=2))
        return
    for path in done.files:
        click.echo(path)
    for sentence in done.left_out:
        click.echo(f"left out: {sentence}", err=True)
    click.echo(f"{done.n_labels} labels")
