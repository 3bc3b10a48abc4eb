"""``nwb-celltype check``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from nwb_celltype.errors import InputError


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(file: Path, as_json: bool) -> None:
    """Check the annotations in the NWB file FILE; ends with 3 when something is wrong."""
    from nwb_celltype.nwb_io import check
    from nwb_celltype.runs import published_run, read_runs

    messages = check(file)
    runs = read_runs(file)
    chosen = published_run(runs)
    label = chosen.name if chosen else None
    if as_json:
        found = [{"where": m.where, "text": m.text} for m in messages]
        click.echo(json.dumps({"file": str(file), "label_run": label, "messages": found}, indent=2))
    else:
        for message in messages:
            click.echo(f"{message.where}: {message.text}")
        names = ", ".join(run.name for run in runs)
        click.echo(f"{file}: runs {names}; the label is {label!r}; {len(messages) or 'no'} messages")
    if messages:
        sys.exit(InputError.exit_code)
