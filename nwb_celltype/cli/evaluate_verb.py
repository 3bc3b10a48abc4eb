"""``nwb-celltype evaluate``."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("evaluate")
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option("--threshold", type=click.FloatRange(0, 1), metavar="P", help="Least calibrated top probability.")
@click.option("--labels", type=click.Path(path_type=Path), metavar="TABLE", help="Labels of an NWB file (CSV, TSV).")
@click.option("--run", metavar="NAME", help="Annotation run that holds the labels. [default: the published one]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    model: str, data: tuple[str, ...], threshold: float | None, labels: Path | None, run: str | None, as_json: bool
) -> None:
    """Measure MODEL (a name, or a folder) on labelled units that it was not trained on.

    DATA are annotated NWB files, detached labels, folders of them, addresses (DANDI:ID[@VERSION][/PATH], https://,
    s3://), of which only the units are read, or .npz files with waveforms, interval and pair counts and labels. Labels
    that a model gave are no truth: a run of a classifier is refused unless --run names it.
    """
    from nwb_celltype.evaluation import evaluate

    result = evaluate(model, data, threshold=threshold, labels=labels, run=run)
    figures = result.to_json()
    if as_json:
        click.echo(json.dumps(figures, indent=2, allow_nan=False))
        return
    low, high = result.interval
    click.echo(f"{result.model} {result.version} on {figures['n']} units ({figures['n_left_out']} left out)")
    click.echo(f"  balanced accuracy  {figures['balanced_accuracy']:.3f}  (95 % interval {low:.3f} to {high:.3f})")
    click.echo(f"  macro F1           {figures['macro_f1']:.3f}")
    click.echo(f"  accuracy           {figures['accuracy']:.3f}")
    answered = f", {result.accuracy_kept:.1%} of them rightly" if result.coverage else ""
    click.echo(f"  answered           {result.coverage:.1%} at a probability of {result.threshold:.2f}{answered}")
    click.echo(f"  calibration error  {result.ece:.3f}")
    click.echo(f"\n  {'class':10s} {'n':>5s} {'recall':>8s} {'precision':>10s} {'answered':>9s}")
    for name, one in result.per_class.items():
        figures_of_class = (f"{one.recall:.3f}", f"{one.precision:.3f}", f"{one.coverage:.1%}")
        recall, precision, answered_of = ("-" if "nan" in text else text for text in figures_of_class)
        click.echo(f"  {name:10s} {one.n:5d} {recall:>8s} {precision:>10s} {answered_of:>9s}")
    left_out = ", ".join(f"{count} {why.replace('_', ' ')}" for why, count in result.left_out.items() if count)
    if left_out:
        click.echo(f"\n  left out: {left_out}")
