"""``nwb-celltype train``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nwb_celltype.errors import UsageError


@click.command("train")
@click.argument("data", nargs=-1, required=True)
@click.option("--out", "-o", required=True, type=click.Path(path_type=Path), help="Folder of the model.")
@click.option("--name", help="Name of the model. [default: the folder's]")
@click.option("--version", default="1", show_default=True, help="Version of the model.")
@click.option("--licence", default="", help="Licence of the weights, as an SPDX identifier.")
@click.option("--labels", type=click.Path(path_type=Path), metavar="TABLE", help="Labels of an NWB file (CSV, TSV).")
@click.option("--run", metavar="NAME", help="Annotation run that holds the labels. [default: the published one]")
@click.option("--recipe", type=click.Choice(["cerebellum"]), help="Train a shipped model anew; DATA is one folder.")
@click.option("--seed", default=0, show_default=True, help="Same data, seed and machine: same weights.")
@click.option("--members", default=10, show_default=True, help="Networks in the ensemble.")
@click.option("--epochs", default=300, show_default=True, help="Passes over the units.")
@click.option("--json", "as_json", is_flag=True, help="Print the model's card as one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
def command(
    data: tuple[str, ...],
    out: Path,
    name: str | None,
    version: str,
    licence: str,
    labels: Path | None,
    run: str | None,
    recipe: str | None,
    seed: int,
    members: int,
    epochs: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a model on labelled units.

    DATA are annotated NWB files, detached labels, folders of them, addresses (DANDI:ID[@VERSION][/PATH], https://,
    s3://), of which only the units are read, or .npz files with waveforms, interval and pair counts and labels. Labels
    that a model gave are no truth: a run of a classifier is refused unless --run names it.
    """
    from nwb_celltype.cli.progress import Progress
    from nwb_celltype.training import Card, run_recipe, train

    progress = Progress(quiet=quiet)
    if recipe:
        if len(data) != 1:
            message = f"With --recipe give the one folder that holds its files, not {len(data)} paths."
            raise UsageError(message)
        if labels is not None or run is not None:
            message = "--recipe has its own labels; leave out --labels and --run."
            raise UsageError(message)
        model = run_recipe(
            recipe, Path(data[0]), out, version=version, seed=seed, members=members, epochs=epochs, progress=progress
        )
    else:
        model = train(
            data,
            out=out,
            name=name or out.resolve().name,
            version=version,
            seed=seed,
            members=members,
            epochs=epochs,
            labels=labels,
            run=run,
            card=Card(licence=licence) if licence else None,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(dict(model.card), indent=2))
        return
    figures = model.card["metrics"]["cross-validation"]["all units"]
    click.echo(f"{out}: model {model.card['name']} {model.card['version']}, classes {', '.join(model.classes)}")
    click.echo(
        f"kept aside in cross-validation, {figures['n']} units: balanced accuracy {figures['balanced_accuracy']:.3f}, "
        f"answered {figures['coverage']:.0%} of them, {figures['accuracy_kept']:.1%} rightly"
    )
