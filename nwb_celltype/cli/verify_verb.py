"""``nwb-celltype verify``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from nwb_celltype.errors import CellTypeError, InputError, UsageError


@click.command("verify")
@click.argument("file")
@click.option("--run", metavar="NAME", help="The run to compute again. [default: every run of FILE]")
@click.option("--source", metavar="FILE", help="The recording, where FILE holds the labels alone.")
@click.option("--model", metavar="MODEL", help="The model, if it is not at hand under the name that the run states.")
@click.option("--layers", type=click.Path(path_type=Path), metavar="TABLE", help="Table of layers that the run used.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    file: str, run: str | None, source: str | None, model: str | None, layers: Path | None, quiet: bool, as_json: bool
) -> None:
    """Compute the runs of FILE again from spikes and weights, and say whether they still hold.

    Ends with 3 if one does not. A run that cannot be computed, because its model is not at hand say, does not keep the
    others from it; its code is the one this ends with where nothing is wrong.
    """
    from nwb_celltype.cli.progress import Progress
    from nwb_celltype.recomputation import TOLERANCE, Recomputation, verify
    from nwb_celltype.runs import choose_run, read_runs

    stored = [choose_run(file, run)] if run else read_runs(file) or [choose_run(file)]  # which says that there is none
    computed = [one.name for one in stored if one.method.source_type == "classifier"]
    if model and len(computed) > 1:
        message = f"--model is for one run, but {file} has {len(computed)}: name one with --run {'|'.join(computed)}."
        raise UsageError(message)
    names = [one.name for one in stored]
    done: list[Recomputation] = []
    failed: dict[str, CellTypeError] = {}
    for name in names:
        told = Progress(quiet=quiet or as_json)
        try:
            one = verify(file, run=name, source=source, model=model, layers=layers, progress=told)
        except CellTypeError as error:
            if len(names) == 1:
                raise
            failed[name] = error
            if not as_json:
                click.echo(f"{file}: run {name}\n  cannot be computed again: {error}")
            continue
        done.append(one)
        if not as_json:
            click.echo(f"{one.file}: run {one.run} ({one.source_type}, {one.who})")
            for check, result, note in one.checks:
                click.echo(f"  {check:14s} {result:12s} {note}")
    wrong = [one.run for one in done if not one.holds]
    if as_json:
        runs = [one.to_json() for one in done]
        runs += [{"file": file, "run": name, "holds": None, "error": str(error)} for name, error in failed.items()]
        holds = False if wrong else None if failed else True  # null: nobody can say
        click.echo(json.dumps({"file": file, "holds": holds, "tolerance": TOLERANCE, "runs": runs}, indent=2))
    else:
        click.echo(_summary(len(names), wrong, list(failed)))
    if wrong:
        sys.exit(InputError.exit_code)
    if failed:
        sys.exit(next(iter(failed.values())).exit_code)


def _summary(n_runs: int, wrong: list[str], failed: list[str]) -> str:
    if n_runs == 1:
        return "It does not hold." if wrong else "It holds."
    parts = [f"{', '.join(wrong)} {'does' if len(wrong) == 1 else 'do'} not hold"] if wrong else []
    parts += [f"{', '.join(failed)} could not be computed again"] if failed else []
    n_good = n_runs - len(wrong) - len(failed)
    return "; ".join([f"{n_good} of {n_runs} runs hold", *parts]) + "."
