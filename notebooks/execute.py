"""Run notebooks from their .py halves and keep the outputs in their .ipynb halves.

Run:  python notebooks/execute.py [NOTEBOOK.py ...]      all of them by default

A notebook that needs an archive starts one on this machine itself (`tests/archive_double`). Its port and the temporary
folder in which a notebook works differ from run to run, so in outputs they are replaced.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
_PASSING = (
    (re.compile(r"http://127\.0\.0\.1:\d+"), "https://archive.example.org"),
    (re.compile(r"127\.0\.0\.1:\d+"), "archive.example.org"),
    (re.compile(rf"(?:/private)?{re.escape(tempfile.gettempdir())}/tmp\w+/"), ""),
)
"""What differs from run to run, and what is shown instead."""


def sources() -> list[Path]:
    """Notebooks as scripts."""
    return sorted(path.with_suffix(".py") for path in HERE.glob("*.ipynb")) or sorted(HERE.glob("[0-9]*.py"))


def executed(source: Path, folder: Path, *, timeout_s: int = 600) -> Any:
    """Run a notebook in a folder and return it with its outputs, and nothing in it that changes from run to run."""
    notebook = jupytext.read(source)
    NotebookClient(notebook, timeout=timeout_s, resources={"metadata": {"path": str(folder)}}).execute()
    notebook.metadata = {
        "jupytext": {"formats": "ipynb,py:percent"},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for k, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{k:02d}"
        cell.metadata = {}
        if "outputs" in cell:
            cell.outputs = _joined(cell.outputs)
        for output in cell.get("outputs", []):
            for holder, kind in [(output, "text"), *((output.get("data", {}), kind) for kind in output.get("data", {}))]:
                if kind.startswith("text") and isinstance(holder.get(kind), str):
                    holder[kind] = _lasting(holder[kind])
    return notebook


def _joined(outputs: list[Any]) -> list[Any]:
    """Join what a cell printed: how it is cut into pieces depends on how fast the machine was."""
    kept: list[Any] = []
    for output in outputs:
        if kept and output.output_type == "stream" == kept[-1].output_type and output.name == kept[-1].name:
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def _lasting(text: str) -> str:
    for passing, shown in _PASSING:
        text = passing.sub(shown, text)
    return text


if __name__ == "__main__":
    os.environ.setdefault("DANDI_NO_ET", "1")
    for script in map(Path, sys.argv[1:] or sources()):
        nbformat.write(executed(script, HERE), script.with_suffix(".ipynb"))
        print(script.with_suffix(".ipynb").name)
