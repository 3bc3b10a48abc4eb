"""Every notebook runs from its first cell to its last, and what is stored of it is what its script says."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nbclient")
jupytext = pytest.importorskip("jupytext")
nbformat = pytest.importorskip("nbformat")


ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|root|tmp|work|Users|var|opt|usr|private)/|[A-Z]:\\\\?Users|site-packages")


def texts_of(notebook: Any) -> list[tuple[int, str]]:
    """Text of every output, with the number of its cell."""
    found = []
    for k, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            texts = [output.get("text", ""), *(data[kind] for kind in data if kind.startswith("text/"))]
            found += [(k, text) for text in texts if text]
    return found


def kinds_of(notebook: Any) -> list[list[tuple[str, ...]]]:
    """What each cell gives, a figure or a table or text, without what is in it."""
    return [
        [tuple(sorted(out.get("data", {}))) or (out.output_type,) for out in cell.get("outputs", [])]
        for cell in notebook.cells
    ]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS
    assert {path.stem for path in NOTEBOOKS} == {path.stem for path in (ROOT / "notebooks").glob("[0-9]*.py")}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_script_and_notebook_are_one(path: Path) -> None:
    stored, script = nbformat.read(path, as_version=4), jupytext.read(path.with_suffix(".py"))
    cells = [[(cell.cell_type, cell.source) for cell in each.cells] for each in (stored, script)]
    assert cells[0] == cells[1], f"run: python notebooks/execute.py {path.with_suffix('.py').name}"
    assert stored.metadata["jupytext"]["formats"] == script.metadata["jupytext"]["formats"] == "ipynb,py:percent"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_kept_and_name_no_machine(path: Path) -> None:
    assert path.stat().st_size < 1_000_000
    notebook = nbformat.read(path, as_version=4)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1)), "run in one go"
    assert any("image/png" in out.get("data", {}) for cell in notebook.cells for out in cell.get("outputs", []))
    for k, text in texts_of(notebook):
        assert MACHINE_PATH.search(text) is None, f"cell {k}: {text[:300]}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("examples", "tests"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("DANDI_NO_ET", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(
        "JUPYTER_PATH", str(tmp_path / "jupyter")
    )  # the kernel of this interpreter, whatever is installed
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))
    spec = importlib.util.spec_from_file_location("execute_notebooks", ROOT / "notebooks" / "execute.py")
    assert spec is not None
    assert spec.loader is not None
    execute = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(execute)

    notebook = execute.executed(path.with_suffix(".py"), tmp_path / "notebooks", timeout_s=300)

    said = [out.text for cell in notebook.cells for out in cell.get("outputs", []) if out.get("name") == "stderr"]
    # where processes start slowly, a wait of Tornado (under Dask and Jupyter) may end so, and nothing is lost
    slow = re.compile(
        r"Future exception was never retrieved\nfuture: <Future .*TimeoutError\('Timeout'\)>\n.*Timeout\n"
    )
    assert [text for text in said if not slow.fullmatch(text)] == []
    stored = nbformat.read(path, as_version=4)
    streams = [
        ["".join(out.text for out in cell.get("outputs", []) if out.output_type == "stream") for cell in each.cells]
        for each in (notebook, stored)
    ]
    assert kinds_of(notebook) == kinds_of(stored)
    number = re.compile(r"\d+\.\d+")
    assert [number.sub("#", text) for text in streams[0]] == [number.sub("#", text) for text in streams[1]]
