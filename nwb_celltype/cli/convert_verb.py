"""``nwb-celltype convert``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_STUB_S = 10.0
_KINDS = {
    "phy": ("Phy or Kilosort folder.", "A Phy or Kilosort folder (Kilosort 2 to 4), curated or not."),
    "spikeglx": ("SpikeGLX run.", "A SpikeGLX run, with the sorting beside it or named after it."),
    "spikeinterface": ("SpikeInterface folder.", "A saved SpikeInterface sorting or sorting analyzer."),
    "openephys": (
        "Open Ephys session.",
        "An Open Ephys session in binary format, with the sorting beside it or named after it.",
    ),
    "plexon": (
        "Plexon file.",
        "A Plexon file (.plx, .pl2); a Kilosort folder or a sorter's pickle may be given as a second path.",
    ),
    "neuroexplorer": ("NeuroExplorer file.", "A NeuroExplorer file (.nex, .nex5)."),
    "cellexplorer": ("CellExplorer session.", "Cell metrics of CellExplorer (.mat), with what lies beside them."),
    "c4": ("C4 database.", "One recording of the C4 database (HDF5)."),
}
"""Kinds, each with a short and a longer line of help."""


class _Kind(click.Command):
    """A command whose ``--stub`` takes a number only if one follows, so that it never swallows the path."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spelt = []
        for word, after in zip(args, [*args[1:], ""], strict=True):
            spelt.append(f"--stub={_STUB_S:g}" if word == "--stub" and not _is_number(after) else word)
        return super().parse_args(ctx, spelt)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class _Kinds(click.Group):
    """A group that lists its kinds when it is asked for another."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            ctx.fail(f"There is no kind {args[0]!r}; choose one of {', '.join(self.commands)}.")
        return super().resolve_command(ctx, args)


_HELP = """Make an NWB file of a lab's folder.

\b
nwb-celltype convert template KIND PATH -o metadata.yaml     then fill it in
nwb-celltype convert KIND PATH -m metadata.yaml --dry-run    what would be written, and what not
nwb-celltype convert KIND PATH -m metadata.yaml -o FILE|FOLDER
nwb-celltype convert KIND 'PATTERN' -m lab.yaml -o FOLDER    every session that matches; again: what is left
"""


@click.group("convert", cls=_Kinds, help=_HELP, no_args_is_help=True, subcommand_metavar="KIND PATH... [OPTIONS]")
def command() -> None:
    """Make an NWB file of a lab's folder."""


def _options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a kind its arguments and options; they are the same for all."""
    decorators = (
        click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path)),
        click.option("--many", is_flag=True, help="Each PATH is a session of its own, as with a quoted pattern."),
        click.option("--recording", metavar="ID", help="One recording of a source that holds several (c4)."),
        click.option(
            "--metadata", "-m", type=click.Path(path_type=Path), multiple=True,
            help="YAML with session, subject, regions and stimuli; of several the later ones win.",
        ),
        click.option(
            "--out", "-o", type=click.Path(path_type=Path),
            help="File (.nwb), or folder for DANDI's names.  [default: the working folder]",
        ),
        click.option("--raw", is_flag=True, help="Also write the traces, compressed."),
        click.option("--stub", "stub_s", type=float, metavar="[SECONDS]",
                     help="Convert the first seconds only (10 if no number follows)."),
        click.option("--labels", type=click.Path(path_type=Path), metavar="TABLE",
                     help="Your own labels (CSV, TSV): they become a run of their own."),
        click.option("--labels-are", type=click.Choice(["ground_truth", "expert"]), default="ground_truth",
                     show_default=True, help="With --labels: where they come from."),
        click.option("--by", metavar="WHO", help="With --labels: name or ORCID of who labelled."),
        click.option("--taxonomy", type=click.Choice(["auto", "cerebellum", "forebrain", "free"]), default="auto",
                     show_default=True, help="With --labels: whose words they are."),
        click.option("--channels", "n_channels", type=int, default=16, show_default=True,
                     help="Nearest channels on which each unit's mean waveform is stored."),
        click.option("--max-spikes", type=int, default=1000, show_default=True,
                     help="Spikes averaged per unit, spread over the recording."),
        click.option("--seed", type=int, default=0, show_default=True, help="For the choice of these spikes."),
        click.option("--overwrite", is_flag=True, help="Replace an existing file."),
        click.option("--dry-run", is_flag=True, help="Report what would be written and what not; write nothing."),
        click.option("--no-inspect", is_flag=True, help="Do not ask nwbinspector about the finished file."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option("--quiet", "-q", is_flag=True, help="No progress on stderr."),
    )  # fmt: skip
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def _run(
    kind: str,
    paths: tuple[Path, ...],
    many: bool,
    recording: str | None,
    metadata: tuple[Path, ...],
    out: Path | None,
    raw: bool,
    stub_s: float | None,
    labels: Path | None,
    labels_are: Any,
    by: str | None,
    taxonomy: Any,
    n_channels: int,
    max_spikes: int,
    seed: int,
    overwrite: bool,
    dry_run: bool,
    no_inspect: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from nwb_celltype.cli.progress import Progress
    from nwb_celltype.converters import convert
    from nwb_celltype.errors import InputError

    progress = Progress(quiet=quiet)
    options: dict[str, Any] = {
        "recording": recording,
        "metadata": list(metadata) or None,
        "out": out,
        "raw": raw,
        "stub_s": stub_s,
        "n_channels": n_channels,
        "max_spikes": max_spikes,
        "seed": seed,
        "overwrite": overwrite,
        "dry_run": dry_run,
        "labels_are": labels_are,
        "by": by,
        "taxonomy": taxonomy,
        "inspect": not no_inspect,
        "on_phase": progress.phase,
        "progress": progress,
    }
    if _is_series(kind, paths, recording, many=many):
        _run_series(kind, paths, labels, options, many=many, as_json=as_json)
        return
    progress.phase(f"read {paths[0]}")
    result = convert(kind, list(paths), labels=labels, **options)
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2, allow_nan=False))
    else:
        click.echo(str(result.plan))
        for remark in result.remarks:
            click.echo(f"nwbinspector  {remark}")
        for run in result.runs:
            click.echo(f"Wrote run {run!r}.")
        if result.file is not None:
            click.echo(f"\nWrote {result.file}")
    if result.plan.problems:
        if as_json:
            sys.exit(InputError.exit_code)
        message = "The metadata are not complete yet; nothing was written."
        raise InputError(message)


def _is_series(kind: str, paths: tuple[Path, ...], recording: str | None, *, many: bool) -> bool:
    """Whether more than one session is meant: by --many, by a pattern, or by a database of several recordings."""
    from nwb_celltype.converters.series.sources import is_pattern, recordings_of

    if many or any(is_pattern(path) for path in paths):
        return True
    return len(paths) == 1 and recording is None and recordings_of(kind, paths[0]) > 1


def _run_series(
    kind: str, paths: tuple[Path, ...], labels: Path | None, options: dict[str, Any], *, many: bool, as_json: bool
) -> None:
    """Convert many sessions; a PATH that is none of them is the name of each session's sorting."""
    from nwb_celltype.converters.series import convert_many
    from nwb_celltype.converters.series.sources import is_pattern
    from nwb_celltype.errors import UsageError

    sessions = [path for path in paths if is_pattern(path) or (many and "{name}" not in str(path))] or list(paths)
    others = [str(path) for path in paths if path not in sessions]
    if len(others) > 1:
        message = (
            f"Sessions are given by a pattern, so one more PATH at most can name each one's sorting, not {others}."
        )
        raise UsageError(message)
    options["out"] = options["out"] or Path()
    report = convert_many(
        kind,
        sessions,
        labels=None if labels is None else str(labels),
        sorting=others[0] if others else None,
        on_session=options["progress"].phase,
        **options,
    )
    click.echo(json.dumps(report.to_json(), indent=2, allow_nan=False) if as_json else str(report))
    if not (as_json or options["dry_run"]):
        click.echo(f"Report: {report.folder / 'conversion_report.tsv'}")
    sys.exit(report.exit_code)


def _add(kind: str, short_text: str, text: str) -> None:
    @command.command(kind, cls=_Kind, short_help=short_text, help=text)
    @_options
    def _kind(**arguments: Any) -> None:
        _run(kind, **arguments)


for _kind_name, _texts in _KINDS.items():
    _add(_kind_name, *_texts)


@command.command("template", short_help="Metadata file to fill in.")
@click.argument("kind", type=click.Choice(list(_KINDS)))
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), help="File to write.  [default: print it]")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def _template(kind: str, paths: tuple[Path, ...], out: Path | None, overwrite: bool) -> None:
    """Write a commented metadata file for KIND, filled with what the source at PATHS says."""
    from nwb_celltype.converters import template
    from nwb_celltype.converters.kinds import interface_for
    from nwb_celltype.errors import InputError, RefusedError

    text = template(kind, interface_for(kind, list(paths)).session if paths else None)
    if out is None:
        click.echo(text, nl=False)
        return
    if out.exists() and not overwrite:
        message = f"{out} exists; it was left alone. Choose another name, or replace it with --overwrite."
        raise RefusedError(message)
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"{out} cannot be written ({error.strerror}). Make its folder, or choose another place with --out."
        raise InputError(message) from error
    click.echo(f"Wrote {out}")
