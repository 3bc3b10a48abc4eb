"""The page on MATLAB tells the truth: its paths, sizes, types and values are those of the file, as MATLAB turns it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "reading_in_matlab.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```matlab\n(.*?)```\n(?:\n```text\n(.*?)```)?", PAGE, re.DOTALL)
CODE = "\n".join(code for code, _ in BLOCKS)
READ = re.compile(
    r"^(?P<name>\w+) += (?P<call>.*?h5read\(file, '(?P<path>/[^']*)'(?P<part>(?:, [^';]+)?)\)[^;]*);"
    r"(?: +% (?P<said>.*))?$",
    re.MULTILINE,
)
ATTRIBUTE = re.compile(
    r"^(?P<name>\w+) += .*?h5readatt\(file, '(?P<path>/[^']*)', '(?P<key>[^']+)'\)+;(?: +% (?P<said>.*))?$",
    re.MULTILINE,
)
MATLAB = {"i8": "int64", "f4": "single", "f8": "double", "u1": "uint8"}
PLACE = "/processing/ecephys/cell_type_annotations"


class Read(NamedTuple):
    """One line of the page that reads a dataset: into what, how, from where, and what it says comes."""

    name: str
    call: str
    path: str
    part: str
    said: str


READS = [Read(*(match[key] or "" for key in Read._fields)) for match in READ.finditer(CODE)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[h5py.File]:
    """The file that the commands of the page make."""
    folder = tmp_path_factory.mktemp("matlab")
    (folder / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "simulated_session.nwb", folder / "examples")
    (labels,) = re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)
    (folder / "our_labels.csv").write_text(labels, encoding="utf-8")
    commands = re.findall(r"^\$ nwb-celltype (.+)$", PAGE, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "nwb_celltype", *shlex.split(command)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "DANDI_NO_ET": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    with h5py.File(folder / re.findall(r"^file = '(.+)';$", CODE, re.MULTILINE)[0]) as opened:
        yield opened


def stored(file: h5py.File, path: str) -> np.ndarray:
    """A dataset as Python values; texts as texts."""
    dataset = file[path]
    return np.asarray(dataset.asstr()[()] if h5py.check_string_dtype(dataset.dtype) else dataset[()])


def in_matlab(read: Read, file: h5py.File) -> str:
    """Size and class of what a line of the page gives: dimensions reversed, one dimension a column."""
    dataset = file[read.path]
    size = "x".join(str(n) for n in reversed(dataset.shape)) if dataset.ndim > 1 else f"{dataset.shape[0]}x1"
    if read.call.endswith('== "TRUE"'):
        assert dataset.dtype == bool
        return f"{size} logical"
    if read.call.startswith("string("):
        assert h5py.check_string_dtype(dataset.dtype)
        return f"{size} string"
    assert dataset.dtype.kind in "iuf"
    return f"{size} {'double' if read.call.startswith('double(') else MATLAB[dataset.dtype.str[1:]]}"


def shown_after(text: str) -> list[str]:
    """Lines of the output that follows the block with this piece of code."""
    (output,) = [output for code, output in BLOCKS if text in code]
    return [line.strip() for line in output.splitlines() if line.strip() and set(line.strip()) - set("_ ")]


def test_every_reading_line_is_checked() -> None:
    assert len(READS) == CODE.count("h5read(") > 20
    attributes = len(ATTRIBUTE.findall(CODE))
    assert attributes + CODE.count("h5readatt(file, group.Name") + CODE.count("h5readatt(file, [group.Name") == (
        CODE.count("h5readatt(")
    )
    assert attributes > 10


@pytest.mark.parametrize("read", [read for read in READS if not read.part], ids=lambda read: read.name)
def test_paths_sizes_and_classes_are_those_of_the_file(read: Read, file: h5py.File) -> None:
    assert isinstance(file[read.path], h5py.Dataset)
    assert read.said == in_matlab(read, file)


@pytest.mark.parametrize("match", list(ATTRIBUTE.finditer(CODE)), ids=lambda match: match["name"])
def test_attributes_are_those_of_the_file(match: re.Match[str], file: h5py.File) -> None:
    value = file[match["path"]].attrs[match["key"]]
    if match["said"]:
        assert match["said"] == (value if isinstance(value, str) else f"{value:g}")
    if match["key"] == "parameters":
        assert isinstance(json.loads(value), dict)


def test_truth_is_stored_by_the_names_that_the_page_compares_with(file: h5py.File) -> None:
    kind = file[f"{PLACE}/cerebellum_3/is_abstained"].id.get_type()
    assert isinstance(kind, h5py.h5t.TypeEnumID)
    assert [kind.get_member_name(k) for k in range(kind.get_nmembers())] == [b"FALSE", b"TRUE"]


def test_runs_are_listed(file: h5py.File) -> None:
    (place,) = re.findall(r"h5info\(file, '([^']+)'\)", CODE)
    runs = [
        f"{place}/{name}: {group['method'].attrs['source_type']}"
        for name, group in file[place].items()
        if group.attrs["neurodata_type"] == "CellTypeAnnotationTable"
    ]
    assert shown_after("h5info(") == runs


def test_the_table_of_answers_is_that_of_the_file(file: h5py.File) -> None:
    header, *rows = shown_after("table(unit_id, cell_type")
    by_name = {read.name: stored(file, read.path) for read in READS if "/cerebellum_3/" in read.path}
    assert header.split() == ["unit_id", "cell_type", "confidence", "abstained", "reason"]
    assert len(rows) == len(by_name["unit_id"])
    for k, row in enumerate(rows):
        unit, cell_type, confidence, abstained, reason = row.split()
        assert int(unit) == by_name["unit_id"][k]
        assert cell_type.strip('"') == by_name["cell_type"][k]
        assert float(confidence) == pytest.approx(by_name["confidence"][k], abs=0.02)  # the processor's last digits
        assert (abstained == "true") == by_name["abstained"][k]
        assert reason.strip('"') == by_name["reason"][k]


def test_the_table_of_probabilities_is_that_of_the_file(file: h5py.File) -> None:
    header, *rows = shown_after("array2table(probability'")
    labels = stored(file, f"{PLACE}/cerebellum_3/classes/label").tolist()
    assert header.split() == labels
    values = np.array([[float(text) for text in row.split()] for row in rows])
    probability = stored(file, f"{PLACE}/cerebellum_3/probability")
    np.testing.assert_array_equal(values[:, 0], stored(file, f"{PLACE}/cerebellum_3/unit_id"))
    np.testing.assert_allclose(values[:, 1:], probability, atol=0.02)  # the processor's last digits
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    assert "class by unit in MATLAB: {}x{}".format(*probability.T.shape) in PAGE


def test_evidence_is_found_by_the_rows_that_the_page_counts(file: h5py.File) -> None:
    names = ("truth_id", "truth", "piece", "last", "kind", "latency_ms")
    truth_id, truth, piece, last, kind, latency = (
        stored(file, next(read.path for read in READS if read.name == name)) for name in names
    )
    first = [1, *(last[:-1].astype(int) + 1)]  # from 1, as in MATLAB
    lines = []
    for k in range(len(truth_id)):
        for row in piece[first[k] - 1 : int(last[k])].astype(int) + 1:
            said = "NaN" if np.isnan(latency[row - 1]) else f"{latency[row - 1]:.1f}"
            lines.append(f"{truth_id[k]} {truth[k]}: {kind[row - 1]}, latency {said} ms")
    assert shown_after("latency_ms(row)") == lines
    for part in ("evidence')) + 1", "[1; last(1:end-1) + 1]", "piece(first(k):last(k))'"):
        assert part in CODE


def test_spike_times_of_one_unit(file: h5py.File) -> None:
    (times,) = [read for read in READS if read.part]
    assert times.part == ", starts(k) + 1, ends(k) - starts(k)"
    ends = stored(file, "/units/spike_times_index").astype(int)
    starts = np.array([0, *ends[:-1]])
    (k,) = np.flatnonzero(stored(file, "/units/id") == 8)
    train = file[times.path][starts[k] : ends[k]]  # start + 1 and a count, as h5read wants them
    assert len(train) == ends[k] - starts[k] > 100
    assert np.all(np.diff(train) > 0)
    rows = stored(file, f"{PLACE}/cerebellum_3/unit")
    np.testing.assert_array_equal(stored(file, "/units/id")[rows], stored(file, f"{PLACE}/cerebellum_3/unit_id"))


def test_properties_of_matnwb_are_those_of_the_schema(file: h5py.File) -> None:
    """MatNWB names a set of groups after their type, in small letters, and a dataset's property after the dataset."""
    (version,) = file["specifications/ndx-cell-type"].values()
    (source,) = [name for name in version if name != "namespace"]
    groups = {group["neurodata_type_def"]: group for group in json.loads(version[source].asstr()[()])["groups"]}
    sets = {each["neurodata_type_inc"].lower(): each["neurodata_type_inc"] for each in
            groups["CellTypeAnnotations"]["groups"]}  # fmt: skip
    uses = re.findall(r"found\.(\w+)\.get\('(\w+)'\)(?:\.(\w+))?", CODE)
    assert len(uses) == 4
    for name, key, member in uses:
        assert file[f"{PLACE}/{key}"].attrs["neurodata_type"] == sets[name]
        spec = groups[sets[name]]
        assert not member or member in {each["name"] for each in spec.get("datasets", []) + spec.get("attributes", [])}
    columns = {each["name"] for each in groups["CellTypeAnnotationTable"]["datasets"]}
    read = re.findall(r"^run\.(\w+)\.data\.load\(\)", CODE, re.MULTILINE)
    assert len(read) == 4
    assert set(read) <= columns
    assert re.findall(r"found\.(\w+)\.keys\(\)", CODE) == ["celltypeannotationtable"]
    assert file[PLACE].attrs["neurodata_type"] == "CellTypeAnnotations"


def test_it_says_that_matlab_was_not_run() -> None:
    assert "**MATLAB could not be run where this page was written.**" in PAGE
