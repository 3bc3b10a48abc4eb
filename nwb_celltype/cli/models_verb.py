"""``nwb-celltype models``."""

from __future__ import annotations

import json

import click


@click.group("models")
def command() -> None:
    """The models that are at hand."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_models(as_json: bool) -> None:
    """List the shipped models, loudly with their licences."""
    from nwb_celltype.bundles import models

    found = models()
    if as_json:
        click.echo(json.dumps([m.to_json() for m in found], indent=2))
        return
    for model in found:
        click.echo(f"{model.name} {model.version}  LICENCE: {model.licence}")
        click.echo(f"  {model.description}")
        click.echo(f"  classes: {', '.join(model.classes)}")
        click.echo(f"  weights sha256: {model.weights_sha256}")
        click.echo(f"  licence text: {model.licence_file}\n")
