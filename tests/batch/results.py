"""What two batches must agree in: everything but the moments at which they ran, and random ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from nwb_celltype import read_runs
from nwb_celltype.provenance import read_source


def table(folder: Path) -> dict[str, list[Any]]:
    """Columns of the table of all units, without moments."""
    columns: dict[str, list[Any]] = pq.read_table(folder / "units.parquet").to_pydict()
    del columns["created"]
    return columns


def label_files(folder: Path) -> list[str]:
    """Files of labels, from the folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.nwb"))


def assert_same(ours: Path, theirs: Path) -> None:
    """Assert that two output folders say the same, to the last bit."""
    assert label_files(ours) == label_files(theirs)
    assert label_files(ours)
    for name in label_files(ours):
        assert read_source(ours / name) == read_source(theirs / name)
        runs, others = read_runs(ours / name), read_runs(theirs / name)
        assert [run.name for run in runs] == [run.name for run in others]
        for run, other in zip(runs, others, strict=True):
            assert (run.verdict, run.input_sha256, run.classes) == (other.verdict, other.input_sha256, other.classes)
            assert run.method == other.method
            for column in ("unit_ids", "cell_type", "is_abstained", "reason", "reason_detail"):
                np.testing.assert_array_equal(getattr(run, column), getattr(other, column))
            for column in ("probability", "confidence", "ood_score"):
                np.testing.assert_array_equal(getattr(run, column), getattr(other, column))
    one, other_table = table(ours), table(theirs)
    assert one.keys() == other_table.keys()
    for column in one:
        np.testing.assert_array_equal(one[column], other_table[column], err_msg=column)
