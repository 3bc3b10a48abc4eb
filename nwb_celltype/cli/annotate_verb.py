"""``nwb-celltype annotate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


class _Ids(click.ParamType[Any]):
    """Unit ids: 3,5,8 or 3-8, in any mixture."""

    name = "IDS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if isinstance(value, list):
            return value
        ids: list[int] = []
        try:
            for part in str(value).replace(" ", ",").split(","):
                if not part:
                    continue
                first, dash, last = part.partition("-")
                ids.extend(range(int(first), int(last) + 1) if dash and first else [int(part)])
        except ValueError:
            self.fail(f"{value!r} is no list of unit ids such as 3,5,8-12.", param, ctx)
        if not ids:
            self.fail(f"{value!r} names no units.", param, ctx)
        return ids


@click.command("annotate")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--model", "-m", default="cerebellum", show_default=True, help="Shipped model, or path of a model folder."
)
@click.option("--out", "-o", type=click.Path(path_type=Path), help="File to write. [default: <stem>_celltype.nwb]")
@click.option("--in-place", is_flag=True, help="Add the run to FILE itself.")
@click.option("--units", type=_Ids(), help="Annotate these units only, by id: 3,5,8-12.")
@click.option("--units-table", metavar="PATH", help="HDF5 path of the units table, where FILE has several.")
@click.option("--threshold", type=click.FloatRange(0, 1), metavar="P", help="Least calibrated top probability.")
@click.option("--again", is_flag=True, help="Add a run even if an equal one is there.")
@click.option("--mirror-columns", is_flag=True, help="Also write plain units columns named after the run.")
@click.option(
    "--labels", type=click.Path(path_type=Path), metavar="TABLE", help="Write these labels (CSV, TSV) instead."
)
@click.option(
    "--source-type",
    type=click.Choice(["expert", "rule", "ground_truth"]),
    default="expert",
    show_default=True,
    help="With --labels: where they come from.",
)
@click.option("--by", metavar="WHO", help="With --labels: name or ORCID of the annotator, or name of the rule.")
@click.option(
    "--taxonomy",
    type=click.Choice(["auto", "cerebellum", "forebrain", "free"]),
    default="auto",
    show_default=True,
    help="With --labels: whose words they are.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
def command(
    file: Path,
    model: str,
    out: Path | None,
    in_place: bool,
    units: list[int] | None,
    units_table: str | None,
    threshold: float | None,
    again: bool,
    mirror_columns: bool,
    labels: Path | None,
    source_type: Any,
    by: str | None,
    taxonomy: Any,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say what cell each unit of the NWB file FILE is, or why not.

    FILE is only read; the answer goes into a copy beside it, with the model, its hash and the reasons.
    """
    from nwb_celltype.cli.progress import Progress
    from nwb_celltype.cli.tables import run_table
    from nwb_celltype.nwb_io import annotate

    progress = Progress(quiet=quiet)
    progress.phase(f"read {file}")
    result = annotate(
        file,
        model=model,
        out=out,
        in_place=in_place,
        units=units,
        units_table=units_table,
        threshold=threshold,
        again=again,
        mirror=mirror_columns,
        labels=labels,
        source_type=source_type,
        by=by,
        taxonomy=taxonomy,
        on_phase=progress.phase,
        progress=progress,
    )
    if labels is not None and result.run.method.who == "nwb-celltype":  # only the program that wrote them is known
        progress.phase("the run names nobody; --by WHO would say whose labels they are")
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2, allow_nan=False))
        return
    click.echo(run_table(result.run))
    if result.is_new:
        click.echo(f"\nWrote run {result.run.name!r} to {result.file}")
    else:
        click.echo(f"\nRun {result.run.name!r} in {result.file} says this already; no run was added (see --again).")
    if result.mirrored:
        click.echo(f"Wrote units columns to {result.file}: {', '.join(result.mirrored)}")
