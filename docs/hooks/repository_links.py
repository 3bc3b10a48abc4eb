"""Links that leave the docs folder lead to the page made of that file, else to the file in the repository."""

from __future__ import annotations

import logging
import posixpath
import re
import tomllib
from pathlib import Path
from typing import Any

LOG = logging.getLogger("mkdocs.hooks.repository_links")
ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<=\]\()(\.\./[^)#\s]+)(#[^)\s]+)?(?=\))")
FENCE = re.compile(r"(^[ \t]*```.*?^[ \t]*```[ \t]*$)", re.MULTILINE | re.DOTALL)
SOURCE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Source"]


def on_page_markdown(markdown: str, *, page: Any, files: Any, **_: Any) -> str:
    """Rewrite links outside of code."""
    here = posixpath.dirname(page.file.src_uri)

    def target(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", here, match[1]))
        if path.startswith("docs/"):
            return match[0]
        if not (ROOT / path).exists():
            LOG.warning("%s links to %s, which is not in the repository.", page.file.src_uri, path)
        made = {"CHANGELOG.md": "changelog.md"}.get(path, re.sub(r"\.(ipynb|py)$", ".md", path))
        if files.get_file_from_path(made) is not None:
            return posixpath.relpath(made, here or ".") + (match[2] or "")
        return f"{SOURCE}/blob/main/{path}{match[2] or ''}"

    parts = FENCE.split(markdown)
    return "".join(part if k % 2 else LINK.sub(target, part) for k, part in enumerate(parts))
