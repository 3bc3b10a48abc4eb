"""Which of several annotation runs is *the* label of a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from .rules import parse_created
from .vocabulary import SOURCE_TYPES

Run = TypeVar("Run")

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def published_run(runs: Iterable[Run] | Mapping[str, Run]) -> Run | None:
    """The run whose labels count.

    Ground truth goes before an expert, an expert before a classifier, a classifier before a rule; among those
    the newest, by `created`. A run that another one names in `supersedes` is out. Should every run be named by
    another (a circle, which is a mistake), none is out. Ties go to the last name in alphabetical order.

    Parameters
    ----------
    runs : iterable or mapping of CellTypeAnnotationTable
        Also tables read without this package.

    Returns
    -------
    CellTypeAnnotationTable or None
        None if there are no runs.
    """
    every: list[Run] = list(runs.values() if isinstance(runs, Mapping) else runs)
    replaced = {_text(run, "supersedes") for run in every if _text(run, "supersedes") != _text(run, "name")}
    current = [run for run in every if _text(run, "name") not in replaced] or every
    return max(current, key=_rank, default=None)


def _rank(run: Any) -> tuple[int, datetime, str]:
    source_type = getattr(getattr(run, "method", None), "source_type", None)
    trust = len(SOURCE_TYPES) - SOURCE_TYPES.index(source_type) if source_type in SOURCE_TYPES else 0
    return trust, parse_created(getattr(run, "created", None)) or _LONG_AGO, _text(run, "name")


def _text(run: Any, key: str) -> str:
    return str(getattr(run, key, None) or "")
