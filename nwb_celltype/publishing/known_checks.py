"""Findings of the slow checks, kept by content, so that a call that was killed does not check everything again."""

from __future__ import annotations

import contextlib
import json
from functools import cache
from pathlib import Path

from nwb_celltype.nested_text import parse_json
from nwb_celltype.publishing.local_files import OUR_FOLDER
from nwb_celltype.replacing import replace_file

Finding = tuple[bool, str]
"""Whether it blocks the upload, and what was found."""

_NAME = "checked.json"
_SAVE_EVERY = 20


class KnownChecks:
    """What the checks said of files with this content, name and these versions of the checkers.

    Parameters
    ----------
    folder : Path
        Of the dandiset. Where it cannot be written, nothing is remembered.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / OUR_FOLDER / _NAME
        self._known: dict[str, list[Finding]] = {}
        self._used: set[str] = set()
        self._n_unsaved = 0
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):  # missing or damaged: check again
            stored = parse_json(self._file.read_text(encoding="utf-8"))
            self._known = {key: [(bool(a), str(b)) for a, b in found] for key, found in stored.items()}

    def get(self, path: str, etag: str) -> list[Finding] | None:
        """Return the findings about a file; `None` if it was not checked yet."""
        self._used.add(_key(path, etag))
        return self._known.get(_key(path, etag))

    def put(self, path: str, etag: str, findings: list[Finding]) -> None:
        """Remember the findings about a file."""
        self._known[_key(path, etag)] = findings
        self._n_unsaved += 1
        if self._n_unsaved >= _SAVE_EVERY:
            self._save(self._known)

    def close(self) -> None:
        """Save what is known of the files that were asked about, and forget the others."""
        kept = {key: found for key, found in self._known.items() if key in self._used}
        if self._n_unsaved or len(kept) < len(self._known):
            self._save(kept)

    def _save(self, known: dict[str, list[Finding]]) -> None:
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(exist_ok=True)
            replace_file(self._file, (json.dumps(known, indent=1) + "\n").encode())
        self._n_unsaved = 0


def _key(path: str, etag: str) -> str:
    return f"{path} {etag} {_versions()}"


@cache
def _versions() -> str:
    from importlib.metadata import version

    return " ".join(f"{name}={version(name)}" for name in ("dandi", "nwbinspector", "pynwb", "hdmf", "ndx-cell-type"))
