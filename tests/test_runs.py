"""Runs as read from files, whoever wrote them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.runs import CONTAINER_PATH, Method, Run, choose_run, published_run, read_runs


def by_hand(path: Path, name: str = "run", created: str = "2026-01-01T00:00:00+00:00", **columns: object) -> Path:
    """The least that a run must have."""
    with h5py.File(path, "a") as file:
        container = file.require_group(CONTAINER_PATH)
        if "classes" not in container:
            container.create_group("classes")["label"] = ["A", "B"]
            container.create_group("method").attrs.update({"source_type": "rule", "software": "s", "object_id": "x"})
        run = container.create_group(name)
        run.attrs.update({"neurodata_type": "CellTypeAnnotationTable", "created": created})
        run["classes"] = h5py.SoftLink(f"{CONTAINER_PATH}/classes")
        run["method"] = h5py.SoftLink(f"{CONTAINER_PATH}/method")
        least = {"unit_id": [1, 2], "cell_type": ["A", "B"], "is_abstained": [False, False], "reason": ["", ""]}
        for key, values in {**least, **columns}.items():
            if values is not None:
                run[key] = values
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return by_hand(tmp_path / "f.nwb")


def test_least_run(path: Path) -> None:
    (run,) = read_runs(path)
    assert (run.name, len(run), run.classes) == ("run", 2, ("A", "B"))
    assert run.cell_type.tolist() == ["A", "B"]
    assert run.reason_detail.tolist() == ["", ""]
    assert run.probability is run.confidence is run.ood_score is run.cell_id is run.split is run.evidence is None
    assert (run.units_path, run.verdict, run.confidence_threshold) == ("", "", None)
    assert run.method == Method("rule", {"software": "s"})
    assert run.labels_for([2, 5, 1]) == ["B", "", "A"]


@pytest.mark.parametrize(
    ("fields", "who"),
    [
        ({"model_name": "m", "model_version": "2", "software": "s"}, "m 2"),
        ({"person": "Doe, J", "software": "s"}, "Doe, J"),
        ({"software": "s"}, "s"),
        ({}, "unknown"),
    ],
)
def test_whom_to_name(fields: dict[str, str], who: str) -> None:
    assert Method("rule", fields).who == who


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"reason": None}, "cannot be read .*reason"),
        ({"unit_id": ["a", "b"]}, "cannot be read"),
        ({"cell_type": ["A"]}, "different lengths"),
        ({"confidence": [0.5]}, "different lengths"),
        ({"confidence": ["high", "low"]}, "cannot be read"),
        ({"probability": [0.1, 0.9]}, r"probabilities of shape \(2,\) for 2 units and 2 classes"),
        ({"probability": [[0.1, 0.2, 0.7]] * 2}, r"shape \(2, 3\)"),
    ],
)
def test_damaged_run_is_a_sentence(tmp_path: Path, columns: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=f"Run 'run' in .*f.nwb .*{sentence}"):
        read_runs(by_hand(tmp_path / "f.nwb", **columns))


@pytest.mark.parametrize("link", ["classes", "method"])
def test_broken_links_are_a_sentence(path: Path, link: str) -> None:
    with h5py.File(path, "r+") as file:
        del file[f"{CONTAINER_PATH}/{link}"]
    with pytest.raises(InputError, match="cannot be read"):
        read_runs(path)


def empty(file: h5py.File) -> None:
    del file["processing"]


def other_type(file: h5py.File) -> None:
    file[f"{CONTAINER_PATH}/run"].attrs["neurodata_type"] = "DynamicTable"


def dataset(file: h5py.File) -> None:
    del file[CONTAINER_PATH]
    file[CONTAINER_PATH] = 1


@pytest.mark.parametrize("change", [empty, other_type, dataset])
def test_files_without_runs(path: Path, change: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)
    assert read_runs(path) == []
    with pytest.raises(InputError, match="holds no annotation runs"):
        choose_run(path)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "text.nwb").write_text("no")
    with pytest.raises(InputError, match="does not exist"):
        read_runs(tmp_path / "absent.nwb")
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        read_runs(tmp_path / "text.nwb")


def test_oldest_first_and_the_newest_published(path: Path) -> None:
    by_hand(path, "a newer", created="2026-03-01T00:00:00+01:00")
    by_hand(path, "b older", created="2025-03-01T00:00:00+00:00")
    assert [run.name for run in read_runs(path)] == ["b older", "run", "a newer"]
    assert choose_run(path).name == "a newer"
    assert choose_run(path, "run").name == "run"
    with pytest.raises(UsageError, match="has no run 'runn'; it has b older, run, a newer"):
        choose_run(path, "runn")


def made(name: str, source_type: str, created: str = "2026-01-01T00:00:00+00:00", supersedes: str = "") -> Run:
    one = np.array([1])
    return Run(
        name, Method(source_type), ("A",), one, np.array(["A"]), np.array([False]), np.array([""]), np.array([""]),
        created=created, supersedes=supersedes,
    )  # fmt: skip


def test_order_of_trust() -> None:
    runs = [made(kind, kind) for kind in ("rule", "classifier", "expert", "ground_truth")]
    for k in range(4, 0, -1):
        chosen = published_run(runs[:k])
        assert chosen is not None
        assert chosen.name == runs[k - 1].name
    assert published_run([]) is None


def test_newest_and_superseded() -> None:
    old, new = made("old", "expert", "2025-01-01T00:00:00+00:00"), made("new", "expert")
    assert published_run([new, old]) is new
    assert published_run([old, new, made("redo", "rule", supersedes="new")]) is old
    # moments are compared, not texts
    east = made("east", "expert", "2026-01-01T03:00:00+09:00")
    assert published_run([east, new]) is new
