"""``nwb-celltype fetch``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nwb_celltype.fetching import Fetched


_HELP = """Fetch recordings or labels from an archive.

ADDRESS is DANDI:ID[@VERSION][/PATH], or the address of a page of an archive. The files go to OUT/ID under the archive's
paths; what is there already is not fetched again, and what a stop left unfinished goes on.

\b
nwb-celltype fetch DANDI:000123 --labels-only -o labels        labels alone, a few hundred kB a session
nwb-celltype fetch DANDI:000123 --labels-only --join my_data   and a copy of each beside the file it belongs to
nwb-celltype fetch DANDI:000123 --glob 'sub-A/*' --dry-run     what would come, and how much
"""


@click.command("fetch", help=_HELP)
@click.argument("address")
@click.option("--glob", metavar="PATTERN", help="Only assets whose path matches, as '*desc-celltype*'.")
@click.option("--labels-only", is_flag=True, help="Only labels: detached files, and the runs of annotated ones.")
@click.option("--ground-truth", is_flag=True, help="Only assets with ground truth labels.")
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    help="Folder that gets a folder ID of the dandiset.  [default: the working folder]",
)
@click.option(
    "--join",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="File, or folder of files, that the labels belong to; may be given more than once.",
)
@click.option("--merge", is_flag=True, help="Write the labels into a copy of each source, not beside it.")
@click.option("--with-sources", is_flag=True, help="Fetch the files that the labels were made from, and join them.")
@click.option("--jobs", "-j", type=click.IntRange(1, 64), default=4, show_default=True, help="Files at a time.")
@click.option("--instance", "-i", metavar="NAME|URL", help="Archive.  [default: $DANDI_INSTANCE, else dandi]")
@click.option("--overwrite", is_flag=True, help="Replace files that differ from what the archive has.")
@click.option("--dry-run", is_flag=True, help="Say what would be fetched, and what not; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
def command(
    address: str,
    glob: str | None,
    labels_only: bool,
    ground_truth: bool,
    out: Path | None,
    join: tuple[Path, ...],
    merge: bool,
    with_sources: bool,
    jobs: int,
    instance: str | None,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Fetch recordings or labels from an archive."""
    from nwb_celltype.cli.progress import Progress
    from nwb_celltype.fetching import fetch

    progress = Progress(quiet=quiet)

    def tell(plan: Fetched) -> None:
        progress.phase(plan.summary)

    progress.phase(f"look at {address}")
    result = fetch(
        address,
        out=out,
        glob=glob,
        labels_only=labels_only,
        ground_truth=ground_truth,
        join=list(join) or None,
        merge=merge,
        with_sources=with_sources,
        instance=instance,
        jobs=jobs,
        overwrite=overwrite,
        dry_run=dry_run,
        on_plan=tell,
        progress=progress,
    )
    click.echo(json.dumps(result.to_json(), indent=2, allow_nan=False) if as_json else str(result))
    sys.exit(result.exit_code)
