"""Cell types for extracellular units: read an NWB units table, name its cells, write the answer back with provenance.

>>> import nwb_celltype as nct
>>> "annotate" in nct.__all__
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nwb_celltype import converters, features, plotting
    from nwb_celltype.annotation import Annotation, annotate_units
    from nwb_celltype.batch import annotate_many
    from nwb_celltype.bundles import models
    from nwb_celltype.classifier import load_model
    from nwb_celltype.converters import convert
    from nwb_celltype.errors import (
        CellTypeError,
        InputError,
        NetworkError,
        NothingToDoError,
        RefusedError,
        UsageError,
    )
    from nwb_celltype.evaluation import compare, evaluate
    from nwb_celltype.explanation import explain
    from nwb_celltype.exporting import export
    from nwb_celltype.fetching import fetch
    from nwb_celltype.finding import find
    from nwb_celltype.label_frames import load_labels
    from nwb_celltype.nwb_io import annotate, check, join
    from nwb_celltype.publishing import publish
    from nwb_celltype.recomputation import verify
    from nwb_celltype.reporting import report
    from nwb_celltype.reviewing import review
    from nwb_celltype.runs import Run, choose_run, published_run, read_runs
    from nwb_celltype.training import train
    from nwb_celltype.units import Session, Units, read_units, units_tables

__version__ = "0.1.0"

# Where each public name lives; its module, and with it torch or pynwb, is imported when the name is first used.
_HOME = {
    "Annotation": "annotation",
    "CellTypeError": "errors",
    "InputError": "errors",
    "NetworkError": "errors",
    "NothingToDoError": "errors",
    "RefusedError": "errors",
    "Run": "runs",
    "Session": "units",
    "Units": "units",
    "UsageError": "errors",
    "annotate": "nwb_io",
    "annotate_many": "batch",
    "annotate_units": "annotation",
    "check": "nwb_io",
    "choose_run": "runs",
    "compare": "evaluation",
    "convert": "converters",
    "converters": "",
    "evaluate": "evaluation",
    "explain": "explanation",
    "export": "exporting",
    "features": "",
    "fetch": "fetching",
    "find": "finding",
    "join": "nwb_io",
    "load_labels": "label_frames",
    "load_model": "classifier",
    "models": "bundles",
    "plotting": "",
    "publish": "publishing",
    "published_run": "runs",
    "read_runs": "runs",
    "read_units": "units",
    "report": "reporting",
    "review": "reviewing",
    "train": "training",
    "units_tables": "units",
    "verify": "recomputation",
}

__all__ = [
    "Annotation",
    "CellTypeError",
    "InputError",
    "NetworkError",
    "NothingToDoError",
    "RefusedError",
    "Run",
    "Session",
    "Units",
    "UsageError",
    "annotate",
    "annotate_many",
    "annotate_units",
    "check",
    "choose_run",
    "compare",
    "convert",
    "converters",
    "evaluate",
    "explain",
    "export",
    "features",
    "fetch",
    "find",
    "join",
    "load_labels",
    "load_model",
    "models",
    "plotting",
    "publish",
    "published_run",
    "read_runs",
    "read_units",
    "report",
    "review",
    "train",
    "units_tables",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    home = _HOME[name]
    value = import_module(f"{__name__}.{name}") if not home else getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
