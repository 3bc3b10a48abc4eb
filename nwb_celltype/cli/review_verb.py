"""``nwb-celltype review``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command("review")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("runs", nargs=-1, metavar="[RUN...]")
@click.option("--by", metavar="WHO", help="Who reviews: name or ORCID.")
@click.option("--orcid", metavar="ORCID", help="ORCID besides the name.")
@click.option("--run", metavar="NAME", help="Run to look at. [default: the published one that no expert made]")
@click.option("--units-table", metavar="PATH", help="HDF5 path of the units table, where a file has several.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Save into a copy of this name, not into FILE.")
@click.option(
    "--taxonomy",
    type=click.Choice(["auto", "cerebellum", "forebrain", "free"]),
    default="auto",
    show_default=True,
    help="Whose classes are offered; auto: the first that knows those of the runs.",
)
@click.option("--class", "classes", multiple=True, metavar="LABEL", help="A further class; may be repeated.")
@click.option("--model", "-m", metavar="MODEL", help="The model of the run, if it is not found by its name.")
@click.option("--no-explain", is_flag=True, help="Leave out what moved each decision; faster.")
@click.option("--blind", is_flag=True, help="Do not show what other experts say.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of this machine. [default: a free one]")
@click.option("--no-browser", is_flag=True, help="Print the address, open nothing.")
@click.option("--compare", is_flag=True, help="Open no page: compare the RUNs named after FILE, or all.")
@click.option("--json", "as_json", is_flag=True, help="With --compare: print one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
def command(file: Path, runs: tuple[str, ...], *, compare: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Walk the units of FILE on a local page and say what they are.

    The page shows the panels of the report and is worked with the keyboard (? lists the keys). Decisions are in a
    journal beside FILE at once; saving (s) adds a run of the expert to FILE. The page is for this machine alone.

    With --compare, print how far the named runs agree: tables, Cohen's kappa, and the units in dispute.
    """
    from nwb_celltype.errors import UsageError

    if compare:
        from nwb_celltype.reviewing.agreement import measure_agreement

        found = measure_agreement(file, runs or None, units_table=options["units_table"])
        click.echo(json.dumps(found.to_json(), indent=2, allow_nan=False) if as_json else str(found))
        return
    if runs:
        message = f"{' '.join(runs)}: runs are named with --compare; --run NAME chooses the one to look at."
        raise UsageError(message)
    if as_json:
        message = "--json goes with --compare."
        raise UsageError(message)
    _serve(file, quiet=quiet, **options)


def _serve(file: Path, *, quiet: bool, no_explain: bool, no_browser: bool, **options: Any) -> None:
    from nwb_celltype.cli.progress import Progress
    from nwb_celltype.reviewing import review

    def ready(url: str) -> None:
        click.echo(f"Review {file} at\n  {url}\nThe address is secret: who has it can decide. Ctrl-C ends the review.")

    done = review(
        file,
        explain=not no_explain,
        open_browser=not no_browser,
        on_ready=ready,
        progress=Progress(quiet=quiet),
        **options,
    )
    click.echo(f"\n{done.n_decided} of {done.n_units} units are decided.")
    if done.is_saved and done.run:
        click.echo(f"Saved in {done.file} as run {done.run!r}.")
    elif not done.is_saved:
        click.echo(
            f"Not all of it is saved in {done.file} yet; nothing is lost: it is in {done.journal}. Run this again and "
            "press s."
        )
