"""``nwb-celltype evaluate``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nwb_celltype.evaluation import Comparison, Evaluation


@click.command("evaluate")
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Folder for the figures: JSON, CSV, PNG.")
@click.option("--compare", "second", metavar="MODEL2", help="Another model, on the same units, with paired tests.")
@click.option("--threshold", type=click.FloatRange(0, 1), metavar="P", help="Least calibrated top probability.")
@click.option("--labels", type=click.Path(path_type=Path), metavar="TABLE", help="Labels of an NWB file (CSV, TSV).")
@click.option("--run", metavar="NAME", help="Annotation run that holds the labels. [default: the published one]")
@click.option(
    "--labels-are",
    type=click.Choice(["ground_truth", "expert"]),
    help="Take ground truth alone, or an expert's labels where there is none. [default: the published run]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
def command(
    model: str,
    data: tuple[str, ...],
    out: Path | None,
    second: str | None,
    threshold: float | None,
    labels: Path | None,
    run: str | None,
    labels_are: Any,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure MODEL (a name, or a folder) on labelled units that it was not trained on.

    DATA are annotated NWB files, detached labels, folders of them, addresses (DANDI:ID[@VERSION][/PATH], https://,
    s3://), of which only the units are read, .npz files with waveforms, interval and pair counts and labels, or .csv
    files with statistics of units. A file given twice is counted once. Labels that a model gave are no truth: a run of
    a classifier is refused unless --run names it.
    """
    from nwb_celltype.classifier import load_model
    from nwb_celltype.cli.progress import Progress
    from nwb_celltype.evaluation import compare, evaluate, write_evaluation
    from nwb_celltype.evaluation.measuring import features_for
    from nwb_celltype.training.pool import read_sources

    progress = Progress(quiet=quiet)
    options: dict[str, Any] = {"labels": labels, "run": run, "labels_are": labels_are}
    if second is None:
        first, other = evaluate(model, data, threshold=threshold, **options), None
    else:  # two models look at the same units, which are read once
        loaded = [load_model(model), load_model(second)]
        found = read_sources(list(dict.fromkeys(data)), features_of=features_for(*loaded), **options)
        first, other = (evaluate(each, [one for _, one in found], threshold=threshold) for each in loaded)
    compared = None if other is None else compare(first, other)
    answer = first.to_json()
    if other is not None and compared is not None:
        answer |= {"compared_with": other.to_json(), "comparison": compared.to_json()}
    if out is not None:
        can_draw = _can_draw()
        written = write_evaluation(out, first, other=other, comparison=compared, plots=can_draw)
        answer["files"] = [str(path) for path in written]
        if not can_draw:
            progress.phase("no figures: pip install 'nwb-celltype[report]'")
    if as_json:
        click.echo(json.dumps(answer, indent=2, allow_nan=False))
        return
    _tell(first)
    if other is not None and compared is not None:
        click.echo()
        _tell(other)
        _tell_comparison(compared)
    if out is not None:
        click.echo(f"\nWrote {len(answer['files'])} files to {out}")


def _can_draw() -> bool:
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def _tell(result: Evaluation) -> None:
    figures = result.to_json()
    low, high = result.interval
    click.echo(f"{result.model} {result.version} on {figures['n']} units ({figures['n_left_out']} left out)")
    click.echo(f"  balanced accuracy  {figures['balanced_accuracy']:.3f}  (95 % interval {low:.3f} to {high:.3f})")
    if result.recording_interval is not None:
        low, high = result.recording_interval
        n = figures["n_recordings"]
        click.echo(f"                            (drawing {n} whole recordings or subjects: {low:.3f} to {high:.3f})")
    click.echo(f"  macro F1           {figures['macro_f1']:.3f}")
    click.echo(f"  accuracy           {figures['accuracy']:.3f}")
    answered = f", {result.accuracy_kept:.1%} of them rightly" if result.coverage else ""
    click.echo(f"  answered           {result.coverage:.1%} at a probability of {result.threshold:.2f}{answered}")
    click.echo(f"  calibration error  {result.ece:.3f}")
    click.echo(f"\n  {'class':10s} {'n':>5s} {'recall':>8s} {'95 % interval':>16s} {'precision':>10s} {'answered':>9s}")
    for name, one in result.per_class.items():
        low, high = figures["recall_interval"][name]
        interval = "-" if low is None else f"{low:.3f} to {high:.3f}"
        recall, precision = _number(one.recall), _number(one.precision)
        answered_of = "-" if math.isnan(one.coverage) else f"{one.coverage:.1%}"
        click.echo(f"  {name:10s} {one.n:5d} {recall:>8s} {interval:>16s} {precision:>10s} {answered_of:>9s}")
    _tell_confusion(result)
    if len(result.by_modality) > 1:
        click.echo(f"\n  {'seeing only':20s} {'n':>5s} {'balanced':>9s} {'95 % interval':>16s} {'answered':>9s}")
        for name, part in result.by_modality.items():
            interval = f"{part.interval[0]:.3f} to {part.interval[1]:.3f}"
            balanced = f"{part.scores.balanced_accuracy:.3f}"
            click.echo(f"  {name:20s} {part.scores.n:5d} {balanced:>9s} {interval:>16s} {part.coverage:>9.1%}")
    left_out = ", ".join(f"{count} {why.replace('_', ' ')}" for why, count in result.left_out.items() if count)
    if left_out:
        click.echo(f"\n  left out: {left_out}")
    if result.n_repeated:
        which = f" ({', '.join(result.repeated[:3])})" if result.repeated else ""
        click.echo(f"\n  given more than once, counted once: {result.n_repeated} units{which}")


def _tell_confusion(result: Evaluation) -> None:
    width = max(5, *(len(name) for name in result.classes))
    heads = " ".join(f"{name:>{width}s}" for name in result.classes)
    click.echo(f"\n  {'label':10s} {heads}   (most probable class)")
    for name, counts in zip(result.classes, result.confusion.tolist(), strict=True):
        click.echo(f"  {name:10s} " + " ".join(f"{count or '.':>{width}}" for count in counts))


def _tell_comparison(compared: Comparison) -> None:
    one, other = compared.balanced_accuracy
    low, high = compared.interval
    click.echo(f"\n{compared.first} against {compared.second} on the {compared.n} units that both were measured on")
    click.echo(f"  balanced accuracy  {one:.3f} and {other:.3f}, difference {compared.difference:+.3f}")
    click.echo(f"    95 % interval {low:+.3f} to {high:+.3f}, p = {compared.p_difference:.3g}")
    click.echo(f"    (paired bootstrap, drawing {compared.drawn})")
    click.echo(f"  of {compared.n_answered} units that both answer, right in one alone: ", nl=False)
    click.echo(f"{compared.only_first} and {compared.only_second}, p = {compared.p_mcnemar:.3g}")
    click.echo("    (McNemar, exact, two-sided)")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
