"""``nwb-celltype find``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nwb_celltype.finding import Found

_UNITS = ("B", "kB", "MB", "GB", "TB")


@click.command("find")
@click.option("--species", metavar="NAME", help="Common or Latin name: mouse, 'Macaca mulatta'.")
@click.option("--class", "cell_type", metavar="CLASS", help="Only dandisets with units of this class, such as PkC_ss.")
@click.option("--ground-truth", is_flag=True, help="Only labels that rest on evidence, such as optotagging.")
@click.option("--instance", metavar="NAME|URL", help="Archive. [default: $DANDI_INSTANCE, else dandi]")
@click.option("--catalogue", is_flag=True, help="List the catalogue that comes along, and ask no server.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def command(
    species: str | None, cell_type: str | None, ground_truth: bool, instance: str | None, catalogue: bool, as_json: bool
) -> None:
    """List dandisets that carry cell-type labels, then a catalogue of others that are worth annotating.

    Where the server cannot be reached the catalogue is listed all the same, and the exit code is 5.
    """
    from nwb_celltype.errors import NetworkError
    from nwb_celltype.finding import find

    failed: NetworkError | None = None
    try:
        found = find(
            species=species,
            cell_type=cell_type,
            ground_truth=ground_truth,
            instance=instance,
            catalogue_only=catalogue,
        )
    except NetworkError as error:
        failed = error
        # The catalogue has nothing to say about labels.
        found = () if cell_type or ground_truth else find(species=species, catalogue_only=True)
    if as_json:
        click.echo(json.dumps([one.to_json() for one in found], indent=2))
    else:
        labelled = [one for one in found if not one.is_catalogued]
        catalogued = [one for one in found if one.is_catalogued]
        if not catalogue and failed is None:
            click.echo(_labelled_text(labelled))
        if catalogued:
            click.echo(_catalogue_text(catalogued))
    if failed is not None:
        raise failed


def _labelled_text(found: Sequence[Found]) -> str:
    if not found:
        return "No dandiset with labels fits.\n"
    lines = [f"With labels: {len(found)}", ""]
    for one in found:
        lines.append(f"{one.address.text}  {one.name}")
        classes = [
            f"{label} ({one.units[label]} unit{'s' * (one.units[label] != 1)})"
            if label in one.units
            else f"{label} ({files} file{'s' * (files != 1)})"
            for label, files in one.classes.items()
        ]
        sources = ", ".join(source.replace("_", " ") for source in one.sources)
        size = f"{one.n_files} labelled file{'s' * (one.n_files != 1)}, {_size(one.n_bytes)}" if one.n_files else ""
        facts = (", ".join(one.species), one.licence, size, f"doi:{one.doi}" if one.doi else "")
        lines.append("  " + "; ".join(fact for fact in facts if fact))
        lines += [
            f"  {text}" for text in (f"labels: {sources}" if sources else "", ", ".join(classes), one.note) if text
        ]
        lines.append("")
    return "\n".join(lines)


def _catalogue_text(found: Sequence[Found]) -> str:
    rows = [(one.address.text, ", ".join(one.species), one.licence or "not recorded", one.name) for one in found]
    header = ("address", "species", "licence", "title")
    widths = [max(len(row[k]) for row in (header, *rows)) for k in range(3)]
    lines = [f"In the catalogue, without labels of ours: {len(found)} (--json adds notes)", ""]
    for row in (header, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[3]]).rstrip())
    return "\n".join(lines)


def _size(n_bytes: int) -> str:
    value = float(n_bytes)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""
