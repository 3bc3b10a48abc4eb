"""Run notebooks from their .py halves and keep the outputs in their .ipynb halves.

Run:  python notebooks/execute.py [NOTEBOOK.py ...]      all of them by default
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent


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
    return notebook


if __name__ == "__main__":
    os.environ.setdefault("DANDI_NO_ET", "1")
    for script in map(Path, sys.argv[1:] or sources()):
        nbformat.write(executed(script, HERE), script.with_suffix(".ipynb"))
        print(script.with_suffix(".ipynb").name)
