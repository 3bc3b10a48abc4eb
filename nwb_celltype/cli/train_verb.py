"""``nwb-celltype train``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nwb_celltype.errors import UsageError

if TYPE_CHECKING:
    from nwb_celltype.classifier import Model

LEARNERS = {
    "default": ("nwb_celltype.training", "train"),
    "features": ("nwb_celltype.training.statistics_recipe", "train_statistics"),
    "c4": ("nwb_celltype.c4", "train_c4"),
}
"""Module and function of the recipes that learn from anybody's labelled units, by their names."""

SHIPPED = ("cerebellum", "cerebellum-statistics")
"""Recipes that make a shipped model anew, from the files that it was made of."""

_TABLES = (".csv", ".tsv")


@click.command("train")
@click.argument("data", nargs=-1, required=True)
@click.option("--out", "-o", required=True, type=click.Path(path_type=Path), help="Folder of the model.")
@click.option("--name", help="Name of the model. [default: the folder's]")
@click.option("--version", help="Version of the model. [default: 1; a shipped model's own]")
@click.option("--licence", default="", help="Licence of the weights, as an SPDX identifier.")
@click.option("--classes", metavar="A,B,...", help="Labels to learn. [default: those of five units or more]")
@click.option(
    "--labels-are",
    type=click.Choice(["ground_truth", "expert"]),
    default="ground_truth",
    show_default=True,
    help="What runs of NWB files to learn from; `expert`: where there is no ground truth.",
)
@click.option("--labels", type=click.Path(path_type=Path), metavar="TABLE", help="Labels of an NWB file (CSV, TSV).")
@click.option("--run", metavar="NAME", help="Annotation run that holds the labels.")
@click.option(
    "--recipe",
    type=click.Choice([*LEARNERS, *SHIPPED]),
    help="How to learn: `features` from statistics alone, `c4` as in Beau et al. 2025; or make a shipped model anew "
    "from the one folder DATA. [default: `features` for tables, else `default`]",
)
@click.option(
    "--group-by",
    type=click.Choice(["recording", "subject"]),
    help="What is kept together when the model is measured. [default: by recipe]",
)
@click.option("--seed", default=0, show_default=True, help="Same data, seed and machine: same weights.")
@click.option("--members", type=click.IntRange(1), help="Networks in the ensemble. [default: by recipe]")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the units. [default: by recipe]")
@click.option(
    "--variant",
    type=click.Choice(["base", "layer", "mli_clustering"]),
    help="Of the recipe c4: with the layer of the cortex, or with two kinds of interneurons. [default: base]",
)
@click.option("--runs", type=click.IntRange(1), help="Of the recipe c4: times that all folds are trained.")
@click.option(
    "--folds", metavar="N|unit|recording", help="Of the recipe c4: what each network leaves out. [default: unit]"
)
@click.option(
    "--unlabelled",
    multiple=True,
    metavar="DATA",
    help="Of the recipe features: units of a new species or laboratory, to find what differs there; may be repeated.",
)
@click.option(
    "--early-stopping/--no-early-stopping",
    default=True,
    help="Of the recipe default: stop where units kept aside inside the training are told worse. [default: stop]",
)
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), help="Of the recipe default. [default: a GPU if there is one]"
)
@click.option("--fresh", is_flag=True, help="Start anew instead of going on where an earlier call was stopped.")
@click.option("--json", "as_json", is_flag=True, help="Print the model's card as one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
@click.pass_context
def command(
    context: click.Context,
    data: tuple[str, ...],
    out: Path,
    name: str | None,
    version: str | None,
    licence: str,
    classes: str | None,
    labels_are: str,
    labels: Path | None,
    run: str | None,
    recipe: str | None,
    group_by: str | None,
    seed: int,
    members: int | None,
    epochs: int | None,
    variant: str | None,
    runs: int | None,
    folds: str | None,
    unlabelled: tuple[str, ...],
    early_stopping: bool,
    device: str | None,
    fresh: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a model on labelled units, of any cell types.

    DATA are annotated NWB files, detached labels, folders of them (a fetched dandiset, too), addresses
    (DANDI:ID[@VERSION][/PATH], https://, s3://), of which only the units are read, .npz files with waveforms, interval
    and pair counts and labels, or .csv files with statistics of units; for the recipe c4 also .h5 files of the C4
    database. Of NWB files the runs of ground truth are learnt
    from; an expert's if --labels-are expert asks for them; a classifier's never.
    """
    from nwb_celltype.cli.progress import Progress
    from nwb_celltype.training.checkpoints import workplace_of

    recipe = recipe or ("features" if all(one.lower().endswith(_TABLES) for one in data) else "default")
    given: dict[str, Any] = {
        "--classes": ("classes", _list_of(classes)),
        "--labels-are": ("labels_are", labels_are if _was_given(context, "labels_are") else None),
        "--labels": ("labels", labels),
        "--run": ("run", run),
        "--group-by": ("group_by", group_by),
        "--members": ("members", members),
        "--epochs": ("epochs", epochs),
        "--variant": ("variant", variant),
        "--runs": ("n_runs", runs),
        "--folds": ("folds", int(folds) if folds is not None and folds.isdecimal() else folds),
        "--unlabelled": ("unlabelled", list(unlabelled) or None),
        "--no-early-stopping": ("early_stopping", None if early_stopping else False),
        "--device": ("device", device),
        "--fresh": ("resume", False if fresh else None),
    }
    function = _learner(recipe)
    progress = Progress(quiet=quiet)
    options: dict[str, Any] = {"seed": seed, "progress": progress}
    options |= {} if version is None else {"version": version}
    options |= _accepted(function, recipe, given)
    if "labels_are" in _parameters(function):
        options["labels_are"] = labels_are
    if not fresh and "resume" in _parameters(function) and workplace_of(out).is_dir():
        progress.phase(f"{workplace_of(out)} is of a training that was stopped: it goes on where the data are the same")
    if recipe in SHIPPED:
        if len(data) != 1:
            message = f"With --recipe {recipe} give the one folder that holds its files, not {len(data)} paths."
            raise UsageError(message)
        if name or licence:
            message = f"--recipe {recipe} has its own name and licence; leave out --name and --licence."
            raise UsageError(message)
        from nwb_celltype.training import run_recipe

        model = run_recipe(recipe, Path(data[0]), out, **options)
    else:
        if licence:
            options |= _licence(function, licence)
        model = function(list(data), out=out, name=name or out.resolve().name, **options)
    if as_json:
        click.echo(json.dumps(dict(model.card), indent=2))
    else:
        _tell(model, out)


def _learner(recipe: str) -> Callable[..., Model]:
    from importlib import import_module

    if recipe in SHIPPED:
        from nwb_celltype.training import RECIPES

        module, function = RECIPES[recipe]
    else:
        module, function = LEARNERS[recipe]
    learner: Callable[..., Model] = getattr(import_module(module), function)
    return learner


def _accepted(function: Callable[..., Model], recipe: str, given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a recipe's function from the options that were given; `UsageError` for one that it does not have."""
    known = _parameters(function)
    for option, (argument, value) in given.items():
        if value is not None and argument not in known:
            message = f"{option} does not go with --recipe {recipe}; leave it out."
            raise UsageError(message)
    return {argument: value for argument, value in given.values() if value is not None}


def _licence(function: Callable[..., Model], licence: str) -> dict[str, Any]:
    from nwb_celltype.training import Card

    return {"licence": licence} if "licence" in _parameters(function) else {"card": Card(licence=licence)}


def _parameters(function: Callable[..., Model]) -> set[str]:
    from inspect import signature

    return set(signature(function).parameters)


def _was_given(context: click.Context, parameter: str) -> bool:
    return context.get_parameter_source(parameter) is click.core.ParameterSource.COMMANDLINE


def _list_of(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _tell(model: Model, out: Path) -> None:
    from nwb_celltype.model_store import figures_text

    click.echo(f"{out}: model {model.card['name']} {model.card['version']}, classes {', '.join(model.classes)}")
    metrics = model.card["metrics"]
    if "all units" in metrics.get("cross-validation", {}):
        figures = metrics["cross-validation"]["all units"]
        click.echo(
            f"kept aside in cross-validation, {figures['n']} units: balanced accuracy "
            f"{figures['balanced_accuracy']:.3f}, answered {figures['coverage']:.0%} of them, "
            f"{figures['accuracy_kept']:.1%} rightly"
        )
    else:
        click.echo(figures_text(metrics))
    click.echo(f"more: nwb-celltype models show {out}")
