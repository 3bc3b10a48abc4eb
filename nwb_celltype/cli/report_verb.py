"""``nwb-celltype report``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nwb_celltype.reporting.reports import WrittenReport


@click.command("report")
@click.argument("files", metavar="FILE|FOLDER...", nargs=-1, required=True)
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    help="The page [default: <stem>_report.html beside the file; report.html in a folder].",
)
@click.option("--run", metavar="NAME", help="Run to show. [default: the published one of each file]")
@click.option(
    "--units-table", metavar="PATH", help="HDF5 path of the units table, where a file has runs about several."
)
@click.option(
    "--sources",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PLACE",
    help="File, or folder, with the units of labels that stand alone; may be repeated. [default: beside them]",
)
@click.option("--model", "-m", metavar="MODEL", help="Model of the run, by name or folder. [default: as the run says]")
@click.option(
    "--no-explain", is_flag=True, help="Do not say what moved each decision: faster, and captum is not needed."
)
@click.option(
    "--figures", type=click.Path(path_type=Path), metavar="DIR", help="Also write figures as PNG, SVG and PDF there."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
def command(files: tuple[str, ...], no_explain: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Write one page about annotated files that shows every unit.

    FILE is an annotated NWB file, or one of labels alone, which is shown with its source where that lies beside it. The
    page needs no network; open it in a browser. It replaces an older report of its name, and nothing else.
    """
    written = make_page(files, explain=not no_explain, quiet=quiet, **options)
    if as_json:
        click.echo(json.dumps(page_json(written), indent=2, allow_nan=False))
        return
    for line in page_lines(written):
        click.echo(line)


def make_page(files: Sequence[str | Path], *, quiet: bool, **options: Any) -> WrittenReport:
    """Write a report with progress on stderr; options are those of `nwb_celltype.report`."""
    from nwb_celltype.cli.progress import Progress
    from nwb_celltype.reporting.reports import write_report

    return write_report(files[0] if len(files) == 1 else list(files), progress=Progress(quiet=quiet), **options)


def page_json(written: WrittenReport) -> dict[str, Any]:
    """What was written, in plain types."""
    view = written.view
    return {
        "file": str(written.file),
        "bytes": written.file.stat().st_size,
        "files": [
            {
                "file": file.name,
                "run": file.run.name,
                "model": file.run.method.who,
                "units": len(file.run),
                "counts": dict(Counter(file.run.cell_type.tolist())),
                "notes": list(file.notes),
            }
            for file in view.files
        ],
        "figures": [str(path) for path in written.figures],
        "notes": list(view.notes),
    }


def page_lines(written: WrittenReport) -> list[str]:
    """What was written, in words: what the reader of the page should know first."""
    view = written.view
    lines = []
    for file in view.files:
        where = f"{file.name}: " if len(view.files) > 1 else ""
        lines += [f"{where}{note}" for note in file.notes]
    lines += view.notes
    n, k = len(view.units), len(view.files)
    size = written.file.stat().st_size / 1e6
    lines.append(
        f"Wrote {written.file} ({n:,} unit{'' if n == 1 else 's'} of {k:,} file{'' if k == 1 else 's'}, {size:.1f} MB)"
    )
    if written.figures:
        lines.append(f"Wrote {len(written.figures):,} figures to {written.figures[0].parent}")
    return lines
