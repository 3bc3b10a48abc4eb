"""Pages of the documentation as a runner sees them: blocks of code in order; some say why they are not run."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
RUNNABLE = ("python", "console", "bash", "sh")

_FENCE = re.compile(
    r"(?:^[ \t]*<!-- not run: (?P<reason>[^\n]+?) -->\n)?"
    r"^(?P<indent>[ \t]*)```(?P<word>[^\n]*)\n(?P<code>.*?)^(?P=indent)```[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True)
class Block:
    """A fenced block; `reason` says why it is not run, None where it is."""

    page: str
    line: int
    language: str
    code: str
    reason: str | None

    @property
    def is_runnable(self) -> bool:
        """Whether it is code that somebody would type; a block of no language may hold commands too."""
        return self.language in RUNNABLE or (
            not self.language and bool(re.match(r"\$ |nwb-celltype |export |python |pip ", self.code))
        )

    def commands(self) -> list[tuple[list[str], list[str]]]:
        """Words of every command, and the lines that are shown after it."""
        parts = re.split(r"^\$ (.+)$", self.code, flags=re.MULTILINE)[1:]
        return [
            (shlex.split(command, comments=True), shown.splitlines())
            for command, shown in zip(parts[::2], parts[1::2], strict=True)
        ]


def blocks_of(page: str) -> list[Block]:
    """Blocks of a page of the docs folder, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [
        Block(page, text[: match.start("word")].count("\n") + 1, match["word"].strip(), match["code"], match["reason"])
        for match in _FENCE.finditer(text)
    ]


def pages() -> list[str]:
    """Names of all pages."""
    return sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def missing_line(shown: list[str], printed: str) -> str:
    """First line that a page shows and that was not printed, in this order; empty where all were.

    ``...`` stands for lines, or for the end of one. Numbers may be others: a session on a page need not be that of the
    test. Where nothing is left out, nothing more may be printed.
    """
    actual = [_NUMBER.sub("#", line.rstrip()) for line in printed.splitlines()]
    at = 0
    for line in shown:
        wanted = _NUMBER.sub("#", line.rstrip())
        if wanted.strip() in ("...", ""):
            continue
        fits = (
            k
            for k in range(at, len(actual))
            if actual[k] == wanted or (wanted.endswith("...") and actual[k].startswith(wanted[:-3]))
        )
        found = next(fits, None)
        if found is None:
            return line
        at = found + 1
    is_whole = any(line.strip() for line in shown) and "..." not in "".join(shown)
    return next((line for line in actual[at:] if line.strip()), "") if is_whole else ""
