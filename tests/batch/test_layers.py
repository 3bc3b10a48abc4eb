"""Layers of the units of many recordings: from one table, or from a column of their units tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nwb_celltype import annotate, annotate_many, read_runs
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.layers import read_layer_table

from .recordings import recording
from .results import label_files


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    for k in range(2):
        recording(folder / f"day{k}" / "rec.nwb", ["Lobule V"] * 2, subject=f"m{k}", session=f"s{k}", seed=k)
    return folder


def layers_of(folder: Path) -> list[dict[str, int] | None]:
    """Layers that the parameters of each run state, by count."""
    found = []
    for name in label_files(folder):
        parameters = read_runs(folder / name)[0].method.fields["parameters"]
        parameters = json.loads(parameters) if isinstance(parameters, str) else parameters
        found.append(parameters["layers"]["units"] if "layers" in parameters else None)
    return found


def test_a_table_says_of_which_file_each_unit_is(two: Path, tmp_path: Path) -> None:
    table = tmp_path / "layers.csv"
    table.write_text(
        "file,unit_id,layer\nday0/rec.nwb,10,ML\nday0/rec.nwb,11,GrC_layer\nday1/rec,11,ML\nday7/rec,1,ML\n"
    )
    options = {"out": tmp_path / "out", "scheduler": "synchronous", "layers": table}
    result = annotate_many(two, **options)
    assert result.exit_code == 0
    assert layers_of(tmp_path / "out") == [{"GCL": 1, "ML": 1}, {"ML": 1}]
    assert any("names 1 file that" in note and note.endswith(": day7/rec") for note in result.plan.notes)
    # The same table with one file alone says the same of its units.
    alone = annotate(two / "day1" / "rec.nwb", layers=table, out=tmp_path / "one.nwb")
    parameters = alone.run.method.fields["parameters"]
    assert '"ML": 1' in json.dumps(json.loads(parameters) if isinstance(parameters, str) else parameters)
    # Nothing changed: nothing to do; another table: done again.
    assert annotate_many(two, **options).plan.counts == {"done already": 2}
    table.write_text("session,unit_id,layer\ns1,10,PCL\n")
    assert annotate_many(two, **options).plan.counts == {"to do": 2}
    assert [runs and runs.get("PCL") for runs in layers_of_last(tmp_path / "out")] == [None, 1]


def layers_of_last(folder: Path) -> list[dict[str, int] | None]:
    found = []
    for name in label_files(folder):
        parameters = max(read_runs(folder / name), key=lambda run: run.created).method.fields["parameters"]
        parameters = json.loads(parameters) if isinstance(parameters, str) else parameters
        found.append(parameters["layers"]["units"] if "layers" in parameters else None)
    return found


def test_a_unit_that_a_file_does_not_have_fails_that_file_alone(two: Path, tmp_path: Path) -> None:
    table = tmp_path / "layers.tsv"
    table.write_text("session\tunit_id\tlayer\ns0\t10\tML\ns1\t99\tML\n")
    result = annotate_many(two, out=tmp_path / "out", scheduler="synchronous", layers=table)
    assert [asset.status for asset in result.assets] == ["done", "failed"]
    assert "line 3" in result.assets[1].reason
    assert "has no unit 99" in result.assets[1].reason


def test_tables_that_cannot_be_meant_are_refused_before_anything_is_read(two: Path, tmp_path: Path) -> None:
    options = {"out": tmp_path / "out", "scheduler": "synchronous"}
    table = tmp_path / "layers.csv"
    table.write_text("unit_id,layer\n10,ML\n")
    with pytest.raises(InputError, match="add a column `file`"):
        annotate_many(two, layers=table, **options)
    table.write_text("file,unit_id,layer\nday0/rec,10,2/3\n")
    with pytest.raises(InputError, match="line 2: '2/3' is no layer"):
        annotate_many(two, layers=table, **options)
    with pytest.raises(UsageError, match="no table of layers"):
        annotate_many(two, layers=tmp_path / "other.csv", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "path", "is_same"),
    [
        ("rec.nwb", "/data/day0/rec.nwb", True),
        ("day0/rec", "/data/day0/rec.nwb", True),
        ("./day0/rec.nwb", "day0/rec.nwb", True),
        ("day0\\rec.nwb", "/data/day0/rec.nwb", True),
        ("ec.nwb", "/data/day0/rec.nwb", False),
        ("/data/day0/rec.nwb", "day0/rec.nwb", False),
    ],
)
def test_a_file_is_named_by_its_path_or_the_last_parts_of_it(file, path, is_same, tmp_path):
    table = tmp_path / "layers.csv"
    table.write_text(f"file,unit_id,layer\n{file},10,ML\n")
    assert bool(read_layer_table(table).of([path], []).rows) is is_same
