"""Each field of a session taken away, or of another kind than it should be: read without it, or said in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_celltype.converters.cellexplorer import read_session
from nwb_celltype.errors import InputError

from .matlab_files import cell_metrics, row, write_v5

METRICS = "rat1_day2.cell_metrics.cellinfo.mat"
GENERAL = [f"general.{name}" for name in cell_metrics()["general"]]
INSTEAD: dict[str, Any] = {
    "absent": None,
    "a text": "x",
    "an empty cell": [],
    "a struct": {"a": row(1)},
    "one number": row(1),
    "NaN": row(np.nan, np.nan, np.nan),
}
NEEDED = {"spikes"}
"""Fields without which there are no units."""


def changed(field: str, value: Any) -> dict[str, Any]:
    metrics = cell_metrics()
    place, _, name = field.rpartition(".")
    inside = metrics[place] if place else metrics
    inside[name] = value
    if value is None:
        del inside[name]
    return metrics


@pytest.mark.parametrize("field", [*cell_metrics(), *GENERAL])
def test_a_field_that_is_missing_or_of_another_kind(field: str, tmp_path: Path) -> None:
    outcomes = {}
    for what, value in INSTEAD.items():
        folder = tmp_path / what
        folder.mkdir()
        write_v5(folder / METRICS, {"cell_metrics": changed(field, value)})
        try:
            sorting = read_session(folder).recordings[0].sorting
        except InputError as error:
            outcomes[what] = str(error)
            assert METRICS in str(error) or "rat1_day2" in str(error)  # noqa: PT017 - either is right
        else:
            assert sorting is not None
            assert len(sorting.unit_ids) == 3 or what in ("one number", "a struct")
            outcomes[what] = "read"
    assert (outcomes["absent"] != "read") == (field in NEEDED), outcomes["absent"]
