"""The public names of the packages, in groups, each to be filled from its docstring by mkdocstrings.

What a package offers and no group names comes last, so nothing public is ever missing.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "nwb_celltype": {
        "Annotate": ("annotate", "annotate_many", "annotate_units", "Annotation", "explain"),
        "Look at it, hand it on": ("report", "review", "plotting", "export", "exporting"),
        "Read units and labels": (
            "read_units", "Units", "Session", "units_tables", "read_runs", "Run", "published_run", "choose_run",
            "load_labels", "check", "join",
        ),
        "Convert": ("convert", "converters"),
        "Archives": ("find", "fetch", "publish"),
        "Models": ("models", "load_model", "train", "evaluate", "compare"),
        "Features": ("features",),
        "Errors": (
            "CellTypeError", "UsageError", "InputError", "RefusedError", "NetworkError", "NothingToDoError",
        ),
    },
    "ndx_cell_type": {
        "Types": (
            "CellTypeAnnotations", "CellTypeAnnotationTable", "CellTypeAnnotationMethod", "CellTypeClassTable",
            "CellTypeEvidenceTable",
        ),
        "Which run is the label": ("published_run",),
        "Vocabulary": (
            "SOURCE_TYPES", "REASONS", "REASON_MEANINGS", "EVIDENCE_KINDS", "MAPPING_RELATIONS", "SPLITS",
            "UNCLASSIFIED", "DEFAULT_NAME", "NAMESPACE",
        ),
    },
}  # fmt: skip
PLACE = re.compile(r"^<!-- generated: public names of ([\w.]+) -->$", re.MULTILINE)
OWN_PAGE = {"plotting": "api_figures.md", "exporting": "api_figures.md"}
"""Modules whose names are listed on a page of their own."""


def public_names(package: str) -> list[str]:
    """Names that a package offers, without its version."""
    return [name for name in importlib.import_module(package).__all__ if not name.startswith("__")]


def entry(name: str, package: str) -> str:
    """Directive for one public name; a module stands with the names that it offers itself."""
    value = getattr(importlib.import_module(package), name)
    if not inspect.ismodule(value):
        # the extension's constructors take the arguments of the specification, which its docstrings name
        lenient = (
            "    options: {docstring_options: {warn_unknown_params: false}}\n" if package == "ndx_cell_type" else ""
        )
        return f"::: {package}.{name}\n{lenient}"
    heading = f"### `{package}.{name}` {{ #{package}.{name} }}"
    summary = (value.__doc__ or "").split("\n\n")[0]
    if name in OWN_PAGE:
        return f"{heading}\n\n{summary} See [its page]({OWN_PAGE[name]}).\n"
    offered = [each for each in value.__all__ if not inspect.ismodule(getattr(value, each))]
    return "\n".join(
        [
            f"{heading}\n\n{summary}\n",
            *(f"::: {package}.{name}.{each}\n    options: {{heading_level: 4}}\n" for each in offered),
        ]
    )


def listed(package: str) -> str:
    """Markdown of all public names of a package, in groups."""
    names = public_names(package)
    if package not in GROUPS:
        return "\n".join(entry(name, package) for name in names)
    groups = {head: [name for name in group if name in names] for head, group in GROUPS[package].items()}
    groups["Further"] = [name for name in names if not any(name in group for group in groups.values())]
    return "\n".join(
        f"## {head}\n\n" + "\n".join(entry(name, package) for name in group) for head, group in groups.items() if group
    )


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the places that ask for the names of a package."""
    return PLACE.sub(lambda match: listed(match[1]), markdown)
