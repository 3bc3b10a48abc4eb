"""``nwb-celltype models``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click


@click.group("models", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """The models that are at hand: list them, read their cards, check them, send and take in others.

    Without a command they are listed.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_models, as_json=False)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_models(as_json: bool) -> None:
    """List the models, shipped ones first, loudly with their licences."""
    from nwb_celltype.bundles import models

    found = models()
    if as_json:
        click.echo(json.dumps([m.to_json() for m in found], indent=2))
        return
    for model in found:
        where = "" if model.origin == "shipped" else f"  ({model.origin})"
        click.echo(f"{model.name} {model.version}  LICENCE: {model.licence}{where}")
        click.echo(f"  {model.description}")
        click.echo(f"  classes: {', '.join(model.classes)}")
        click.echo(f"  weights sha256: {model.weights_sha256}")
        click.echo(f"  licence text: {model.licence_file}\n")


@command.command("show")
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print the card as one JSON object.")
def show(model: str, as_json: bool) -> None:
    """Say what MODEL (a name, or a folder) is: its card, with what was measured and how."""
    from nwb_celltype.bundles import read_bundle
    from nwb_celltype.model_store import card_text

    card = read_bundle(model).card
    click.echo(json.dumps(dict(card), indent=2, ensure_ascii=False) if as_json else card_text(card))


@command.command("verify")
@click.argument("model")
@click.option(
    "--data",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A file that it was trained on, or a folder of them; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(model: str, data: tuple[Path, ...], as_json: bool) -> None:
    """Check MODEL: hashes, shapes, its stored answers about made-up units, and the files it was trained on.

    Ends with 3 if anything is wrong.
    """
    from nwb_celltype.verification import verify_model

    found = verify_model(model, data=data)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        click.echo(f"{found.model} {found.version}: {found.path}")
        for name, result, note in found.checks:
            click.echo(f"  {name:14s} {result:12s} {note}")
    if not found.is_sound:
        sys.exit(3)


@command.command("export")
@click.argument("model")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="File (.zip) or folder. [default: NAME-VERSION.zip]")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def export(model: str, out: Path | None, overwrite: bool, as_json: bool) -> None:
    """Put MODEL into one file to send to others, with its card and its licence."""
    from nwb_celltype.model_store import export_model

    done = export_model(model, out, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps(done.to_json(), indent=2))
        return
    click.echo(f"{done.path}: {done.name} {done.version}  LICENCE: {done.licence}")
    click.echo(f"sha256 {done.sha256}")


@command.command("import")
@click.argument("source", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--name", help="Name to use it by. [default: the one on its card]")
@click.option("--sha256", metavar="HASH", help="What the hash of the file must be.")
@click.option("--replace", is_flag=True, help="Put it in the place of another imported model of that name.")
@click.option(
    "--c4",
    "variant",
    type=click.Choice(["base", "layer", "mli_clustering"]),
    help="SOURCE is what the authors of C4 publish: networks and their curvatures, .pt files or archives of them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def take_in(
    source: tuple[Path, ...], name: str | None, sha256: str | None, replace: bool, variant: Any, as_json: bool
) -> None:
    """Take in the model of SOURCE, a file that `models export` made or a model folder, after checking everything.

    Pickles and foreign files are refused; of the published C4 weights tensors alone are read. The model is kept in
    $NWB_CELLTYPE_CACHE/models, or else in your data folder.
    """
    from nwb_celltype.errors import UsageError
    from nwb_celltype.model_store import import_c4, import_model

    if variant is not None:
        if sha256 is not None:
            message = "--sha256 is the hash of a file that `models export` made; leave it out with --c4."
            raise UsageError(message)
        done = import_c4(source, variant=variant, name=name or f"c4-{variant.replace('_', '-')}", replace=replace)
    elif len(source) > 1:
        message = f"Models are taken in one by one; {len(source)} files were given."
        raise UsageError(message)
    else:
        done = import_model(source[0], name=name, sha256=sha256, replace=replace)
    if as_json:
        click.echo(json.dumps(done.to_json(), indent=2))
        return
    what = "imported" if done.is_new else "was there already"
    click.echo(f"{done.name} {done.version} {what}: {done.path}  LICENCE: {done.licence}")
    click.echo(f"use it by its name: nwb-celltype annotate FILE --model {done.name}")
