"""``nwb-celltype publish``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nwb_celltype.errors import InputError, RefusedError

if TYPE_CHECKING:
    from nwb_celltype.publishing import Published

_DONE = {"new": "sent", "replaced": "replaced", "unchanged": "there already", "described": "metadata changed"}
_PLANNED = {"new": "would be sent", "replaced": "would replace", "unchanged": "there already", "described": "metadata"}


@click.command("publish")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--dandiset", required=True, metavar="ID|new", help="Dandiset to publish into; new makes one.")
@click.option("--instance", "-i", metavar="NAME|URL", help="Archive. [default: $DANDI_INSTANCE, else dandi]")
@click.option("--publish-version", is_flag=True, help="Make a version with a DOI; it cannot be undone.")
@click.option("--dry-run", is_flag=True, help="Check and compare; send nothing.")
@click.option(
    "--accept-model-licence",
    is_flag=True,
    help="Publish labels of a model that forbids commercial use, with that said in the metadata.",
)
@click.option(
    "--max-wait",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    metavar="S",
    help="Longest wait in seconds for the archive's validation.",
)
@click.option("--jobs", "-j", type=click.IntRange(min=1), default=4, show_default=True, help="Files sent at a time.")
@click.option("--name", metavar="TEXT", help="Name of the dandiset; over dandiset.yaml.")
@click.option("--description", metavar="TEXT", help="Its description.")
@click.option("--licence", metavar="NAME", help="Its licence: CC-BY-4.0 or CC0-1.0.")
@click.option("--contact", metavar="'LAST, FIRST <MAIL>'", help="Whom to ask about it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
def command(
    folder: Path,
    dandiset: str,
    instance: str | None,
    publish_version: bool,
    dry_run: bool,
    accept_model_licence: bool,
    max_wait: float,
    jobs: int,
    name: str | None,
    description: str | None,
    licence: str | None,
    contact: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Send the NWB files below FOLDER to a DANDI archive, with where their labels come from.

    Every problem is listed before anything is sent. The dandiset's name, description, license and contributors are
    read from dandiset.yaml in FOLDER. Your token is read from the archive's variable (DANDI_API_KEY, ...) or keyring.
    """
    from nwb_celltype.cli.progress import Progress
    from nwb_celltype.publishing import publish

    result = publish(
        folder,
        dandiset=dandiset,
        instance=instance,
        publish_version=publish_version,
        dry_run=dry_run,
        accept_model_licence=accept_model_licence,
        max_wait_s=max_wait,
        jobs=jobs,
        name=name,
        description=description,
        licence=licence,
        contact=contact,
        progress=Progress(quiet=quiet),
    )
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2, allow_nan=False))
    else:
        click.echo(_text(result))
    if result.problems:
        refused = any(problem.kind == "licence" for problem in result.problems)
        sys.exit(RefusedError.exit_code if refused else InputError.exit_code)


def _text(result: Published) -> str:
    words = _PLANNED if result.is_dry_run else _DONE
    lines = [f"{file.path}  {file.size / 1e6:.1f} MB  {words[file.state]}" for file in result.files]
    lines += ["", *(f"Remark: {text}" for text in result.remarks)] if result.remarks else []
    if result.problems:
        n = len(result.problems)
        lines += ["", f"{n} problem{'s' * (n != 1)}:", *(f"  {problem}" for problem in result.problems)]
    where = (
        f"dandiset {result.dandiset} of {result.instance}"
        if result.dandiset
        else f"a new dandiset of {result.instance}"
    )
    if result.is_dry_run:
        return "\n".join([*lines, "", f"Nothing was sent; this would go into {where}. {result.url}".rstrip()])
    state = (
        f"version {result.version}" if result.version != "draft" else f"draft ({result.status or 'not validated yet'})"
    )
    return "\n".join([*lines, "", f"In {where}, {state}: {result.url}"])
