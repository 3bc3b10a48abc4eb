"""``nwb-celltype verify``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from nwb_celltype.errors import InputError


@click.command("verify")
@click.argument("file")
@click.option("--run", metavar="NAME", help="The run to compute again. [default: the published one]")
@click.option("--source", metavar="FILE", help="The recording, where FILE holds the labels alone.")
@click.option("--model", metavar="MODEL", help="The model, if it is not at hand under the name that the run states.")
@click.option("--layers", type=click.Path(path_type=Path), metavar="TABLE", help="Table of layers that the run used.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    file: str, run: str | None, source: str | None, model: str | None, layers: Path | None, quiet: bool, as_json: bool
) -> None:
    """Compute a run of FILE again from spikes and weights, and say whether it still holds.

    Ends with 3 if it does not.
    """
    from nwb_celltype.cli.progress import Progress
    from nwb_celltype.recomputation import verify

    done = verify(file, run=run, source=source, model=model, layers=layers, progress=Progress(quiet=quiet or as_json))
    if as_json:
        click.echo(json.dumps(done.to_json(), indent=2))
    else:
        click.echo(f"{done.file}: run {done.run} ({done.source_type}, {done.who})")
        for name, result, note in done.checks:
            click.echo(f"  {name:14s} {result:12s} {note}")
        click.echo("It holds." if done.holds else "It does not hold.")
    if not done.holds:
        sys.exit(InputError.exit_code)
