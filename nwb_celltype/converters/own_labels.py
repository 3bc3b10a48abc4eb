"""The user's own labels: read and compared with the units before anything is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.annotation import Annotation
from nwb_celltype.converters.records import SourceSession
from nwb_celltype.errors import UsageError
from nwb_celltype.label_table import LabelRow, read_label_table
from nwb_celltype.labelling import TaxonomyName, annotate_from_table
from nwb_celltype.units import Units


@dataclass(frozen=True)
class OwnLabels:
    """Table of labels that a user gives; it becomes a run of ground truth, or of an expert.

    Attributes
    ----------
    rows : tuple of LabelRow
    by : str or None
        Whose labels these are.
    taxonomy : {'auto', 'cerebellum', 'forebrain', 'free'}
        Whose words they are.
    source_type : {'ground_truth', 'expert'}
        What the user says they are.
    """

    rows: tuple[LabelRow, ...]
    by: str | None = None
    taxonomy: TaxonomyName = "auto"
    source_type: Literal["ground_truth", "expert"] = "ground_truth"

    def require_units(self, session: SourceSession) -> None:
        """Refuse labels of units that the session does not have, and labels that no taxonomy knows.

        Raises
        ------
        InputError
            If a unit is unknown.
        UsageError
            If a label is unknown.
        """
        ids, _ = _units_of(session)
        self.runs(Units.from_arrays([np.empty(0)] * len(ids), unit_ids=ids))

    def runs(self, units: Units) -> list[Annotation]:
        """Turn these labels into a run; several people who are named in the table have a run each."""
        people = sorted({row.annotator for row in self.rows})
        if self.by or len(people) == 1:
            return [self._run(units, self.rows)]
        return [self._run(units, [row for row in self.rows if row.annotator == person]) for person in people]

    def _run(self, units: Units, rows: Sequence[LabelRow]) -> Annotation:
        return annotate_from_table(units, rows, source_type=self.source_type, by=self.by, taxonomy=self.taxonomy)


def _units_of(session: SourceSession) -> tuple[NDArray[np.int64], list[str]]:
    """Ids and names of the units as they will stand in the file."""
    from nwb_celltype.converters.nwb.unit_facts import unique_ids

    sortings = [r.sorting for r in session.recordings if r.sorting is not None and len(r.sorting)]
    ids = unique_ids(sortings) if sortings else np.empty(0, dtype=np.int64)
    return ids, [name for sorting in sortings for name in sorting.unit_names]


def _ids_by_name(session: SourceSession | None) -> dict[str, int]:
    """Ids of units whose name is no number and belongs to one unit alone."""
    if session is None:
        return {}
    ids, names = _units_of(session)
    return {
        name: int(unit_id)
        for unit_id, name in zip(ids, names, strict=True)
        if names.count(name) == 1 and not re.fullmatch(r"[+-]?[\d.]+", name)
    }


def read_own_labels(
    path: str | Path | None,
    by: str | None,
    taxonomy: TaxonomyName,
    source_type: Literal["ground_truth", "expert"] = "ground_truth",
    session: SourceSession | None = None,
) -> OwnLabels | None:
    """Read the user's table; None where there is none.

    Raises
    ------
    InputError
        If the table cannot be read.
    UsageError
        If somebody is named who labelled nothing.
    """
    if path is not None:
        return OwnLabels(tuple(read_label_table(path, unit_names=_ids_by_name(session))), by, taxonomy, source_type)
    if by is not None:
        message = f"Nothing says what {by} labelled; give the table of labels too (--labels), or leave out --by."
        raise UsageError(message)
    return None
