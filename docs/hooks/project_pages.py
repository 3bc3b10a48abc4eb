"""The change log of the repository as a page, and its extras as a table."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = "<!-- generated: extras -->"
WORDS = {
    "all": "everything below that a user may want",
    "cluster": "many files at a time: Dask, batch systems, `units.parquet`",
    "dev": "the tests",
    "docs": "this site",
    "explain": "what moved an answer (`explain`)",
    "neuroconv": "the converters inside NeuroConv",
    "notebooks": "running the notebooks",
    "report": "reports and figures",
    "review": "the review page",
}
"""What each extra is for; one that is not here is shown with its packages alone."""


def on_files(files: Any, *, config: Any, **_: Any) -> Any:
    """Add the page of changes: ours, then the extension's."""
    ours = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    theirs = (ROOT / "extensions" / "ndx-cell-type" / "CHANGELOG.md").read_text(encoding="utf-8")
    theirs = re.sub(r"^# .*\n", "## The extension ndx-cell-type\n", theirs, count=1)
    theirs = re.sub(r"^## (?!The extension)", "### ", theirs, flags=re.MULTILINE)
    files.append(File.generated(config, "changelog.md", content=f"{ours}\n\n{theirs}"))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the place that asks for the extras."""
    return markdown.replace(EXTRAS, extras()) if EXTRAS in markdown else markdown


def extras() -> str:
    """Markdown table of the extras in `pyproject.toml`."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    rows = [f"| `{name}` | {WORDS.get(name, '')} | {_packages(listed[name])} |" for name in sorted(listed)]
    return "\n".join(["| extra | for | brings |", "|---|---|---|", *rows])


def _packages(requirements: list[str]) -> str:
    return ", ".join(re.match(r"[\w.-]+(\[[\w,-]+\])?", each)[0] for each in requirements)  # type: ignore[index]
