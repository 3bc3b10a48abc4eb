"""``nwb-celltype annotate``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nwb_celltype.nwb_io.annotated_file import AnnotatedFile

_ONE_FILE = (
    "in_place",
    "units",
    "again",
    "mirror_columns",
    "labels",
    "source_type",
    "by",
    "taxonomy",
)
_MANY = (
    "glob", "region", "where", "scheduler", "workers", "cluster", "slurm", "cluster_option", "instance", "cache",
    "dry_run", "overwrite",
)  # fmt: skip


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
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option(
    "--model", "-m", default="cerebellum", show_default=True, help="Shipped model, or path of a model folder."
)
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    help="File to write [default: <stem>_celltype.nwb]; of many: folder [<source>_celltype].",
)
@click.option("--in-place", is_flag=True, help="One file: add the run to the file itself.")
@click.option("--units", type=_Ids(), help="One file: annotate these units only, by id: 3,5,8-12.")
@click.option("--units-table", metavar="PATH", help="HDF5 path of the units table, where a file has several.")
@click.option("--threshold", type=click.FloatRange(0, 1), metavar="P", help="Least calibrated top probability.")
@click.option(
    "--prior",
    default="uniform",
    show_default=True,
    metavar="uniform|training|auto|FILE",
    help="How common each class is held to be; FILE (JSON, YAML, CSV) gives weights.",
)
@click.option(
    "--layers",
    metavar="TABLE",
    help="Layer of each unit (CSV, TSV; of many with a column file or session), a column, or 'ignore'. "
    "[default: a column that says it]",
)
@click.option("--again", is_flag=True, help="One file: add a run even if an equal one is there.")
@click.option("--mirror-columns", is_flag=True, help="One file: also write plain units columns of the run.")
@click.option(
    "--labels", type=click.Path(path_type=Path), metavar="TABLE", help="One file: write these labels (CSV, TSV)."
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
@click.option("--glob", metavar="PATTERN", help="Many: files whose path matches, such as '*desc-processed*'.")
@click.option(
    "--region", metavar="TEXT", help="Many: units of this region only: cerebellum, or words. [default: model's tissue]"
)
@click.option(
    "--where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Many: files of this species, subject, session, sex or path; may be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Many: print the plan, write nothing.")
@click.option("--overwrite", is_flag=True, help="Many: annotate all again, and replace files that are there.")
@click.option("--scheduler", metavar="WHERE", help="Many: processes, threads, synchronous, or tcp://HOST:PORT.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Many: processes, threads or jobs.")
@click.option("--cluster", metavar="SYSTEM", help="Many: slurm, pbs, sge, lsf, htcondor, oar or moab.")
@click.option("--slurm", is_flag=True, help="Many: the same as --cluster slurm.")
@click.option("--cluster-option", multiple=True, metavar="KEY=VALUE", help="With --cluster: for dask-jobqueue.")
@click.option("--instance", metavar="NAME", help="Archive that DANDI: means: a name or URL.")
@click.option("--cache", is_flag=True, help="Many: keep what is read from servers ($NWB_CELLTYPE_CACHE).")
@click.option(
    "--report", "with_report", is_flag=True, help="Also write a page that shows every unit, beside the labels."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
def command(sources: tuple[str, ...], as_json: bool, quiet: bool, **options: Any) -> None:
    """Say what cell each unit is, or why not.

    SOURCE is one NWB file, which is only read: the answer goes into a copy beside it, with the model, its hash and the
    reasons.

    Or SOURCE is many: a dandiset (DANDI:000409[@VERSION][/PATH], dandi://INSTANCE/...), an https:// or s3:// address, a
    folder, several files or 'a pattern'. They are only read, remote ones without downloading them; the labels of each
    session go into a small file of their own in a folder. Stopped, or run again, it does only what is left.

    Exit code of many: 0 all done; else that of the failures where they share one; else 1.
    """
    if _is_one_file(sources):
        _refuse(_given(_MANY), f"{sources[0]} is one file", "a dandiset, an address, a folder or several files")
        _annotate_one(
            Path(sources[0]), as_json=as_json, quiet=quiet, **{k: options[k] for k in options if k not in _MANY}
        )
        return
    _refuse(_given(_ONE_FILE), f"{' '.join(sources[:2])} is no such file", "one local file")
    _annotate_many(sources, as_json=as_json, quiet=quiet, **{k: options[k] for k in options if k not in _ONE_FILE})


def _is_one_file(sources: Sequence[str]) -> bool:
    """Whether one path of this machine is meant that is no folder and no pattern; it may be missing."""
    from nwb_celltype.archive.addresses import is_remote

    if len(sources) != 1 or is_remote(sources[0]):
        return False
    path = Path(sources[0]).expanduser()
    if path.is_dir():  # with what only one file can be given, a folder is a mistake
        return bool(_given(_ONE_FILE)) and not _given(_MANY)
    return path.is_file() or not any(sign in sources[0] for sign in "*?[")


def _given(names: Sequence[str]) -> list[str]:
    """Options among these that stand on the command line."""
    context = click.get_current_context()
    default = click.core.ParameterSource.DEFAULT
    return [f"--{name.replace('_', '-')}" for name in names if context.get_parameter_source(name) is not default]


def _refuse(given: Sequence[str], what: str, meant: str) -> None:
    from nwb_celltype.errors import UsageError

    if given:
        verb = "goes" if len(given) == 1 else "go"
        message = f"{', '.join(given)} {verb} with {meant}, but {what}."
        raise UsageError(message)


def _annotate_many(
    sources: Sequence[str],
    *,
    with_report: bool,
    as_json: bool,
    quiet: bool,
    slurm: bool,
    cluster: str | None,
    cluster_option: Sequence[str],
    **options: Any,
) -> None:
    from nwb_celltype.archive.addresses import is_remote
    from nwb_celltype.batch import annotate_many
    from nwb_celltype.cli.progress import Progress
    from nwb_celltype.errors import UsageError

    if slurm and cluster not in {None, "slurm"}:
        message = f"Give --slurm or --cluster {cluster}, not both."
        raise UsageError(message)
    progress = Progress(quiet=quiet)
    result = annotate_many(
        sources[0] if len(sources) == 1 else list(sources),
        cluster="slurm" if slurm else cluster,
        cluster_options=_cluster_options(cluster_option),
        progress=progress,
        on_phase=progress.phase,
        on_plan=lambda plan: None if as_json or quiet or options["dry_run"] else click.echo(f"{plan}\n"),
        **options,
    )
    if not as_json:
        click.echo(str(result))
    labelled = [asset for asset in result.assets if asset.status in {"done", "done already"}]
    page: dict[str, Any] = {}
    if with_report and labelled:
        page = _page(
            [result.out / asset.file for asset in labelled],
            quiet=quiet,
            as_json=as_json,
            out=result.out / "report.html",
            sources=[asset.address for asset in labelled if not is_remote(asset.address)],
            model=options["model"],
        )
    if as_json:
        _print_json(result.to_json(), page)
    if result.exit_code:
        raise SystemExit(result.exit_code)


def _page(files: Sequence[Path], *, quiet: bool, as_json: bool, **options: Any) -> dict[str, Any]:
    """Write a report of files that were just annotated; returns what ``--json`` says of it.

    Where that fails the labels are written all the same, so what was done is told first, and then the failure raised.
    """
    from nwb_celltype.cli.report_verb import make_page, page_json, page_lines
    from nwb_celltype.errors import CellTypeError

    try:
        written = make_page(files, quiet=quiet, **options)
    except CellTypeError as error:
        if not as_json:
            raise
        return {"report": None, "report_error": error}
    if not as_json:
        click.echo("\n".join(["", *page_lines(written)]))
    return {"report": page_json(written)}


def _cluster_options(texts: Sequence[str]) -> dict[str, Any]:
    """Options of a cluster: KEY=VALUE, the value as YAML."""
    import yaml

    from nwb_celltype.errors import UsageError

    options = {}
    for text in texts:
        key, equals, value = text.partition("=")
        try:
            options[key.strip().replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError:
            options[key.strip().replace("-", "_")] = value
        if not equals or not key.strip():
            message = f"{text!r} is no option of a cluster; write KEY=VALUE, such as queue=long."
            raise UsageError(message)
    return options


def _annotate_one(
    file: Path,
    *,
    model: str,
    out: Path | None,
    in_place: bool,
    units: list[int] | None,
    units_table: str | None,
    threshold: float | None,
    prior: str,
    layers: str | None,
    again: bool,
    mirror_columns: bool,
    labels: Path | None,
    source_type: Any,
    by: str | None,
    taxonomy: Any,
    with_report: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from nwb_celltype.cli.progress import Progress
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
        prior=prior,
        layers=layers,
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
    if not as_json:
        _say(result)
    page: dict[str, Any] = {}
    if with_report:
        shown = model if labels is None else None
        table = result.run.units_path or None
        page = _page([result.file], quiet=quiet, as_json=as_json, run=result.run.name, units_table=table, model=shown)
    if as_json:
        _print_json(result.to_json(), page)


def _print_json(done: dict[str, Any], page: dict[str, Any]) -> None:
    """Print what was done and what page shows it; raise what kept the page from being written."""
    error = page.pop("report_error", None)
    if error is not None:
        page = {**page, "report_error": str(error)}
    click.echo(json.dumps({**done, **page}, indent=2, allow_nan=False))
    if error is not None:
        raise error


def _say(result: AnnotatedFile) -> None:
    """Print what `annotate` did."""
    from nwb_celltype.cli.tables import run_table

    click.echo(run_table(result.run))
    if result.is_new:
        click.echo(f"\nWrote run {result.run.name!r} to {result.file}")
    else:
        click.echo(f"\nRun {result.run.name!r} in {result.file} says this already; no run was added (see --again).")
    if result.mirrored:
        click.echo(f"Wrote units columns to {result.file}: {', '.join(result.mirrored)}")
