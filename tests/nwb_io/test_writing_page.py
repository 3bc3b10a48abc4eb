"""The snippets of docs/writing.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nwb_celltype import annotate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "writing.md"


def test_snippets(
    file: Path, labels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    annotate(file, labels=labels, by="me")
    monkeypatch.chdir(file.parent)
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(snippets) == 3
    for snippet in snippets:
        exec(compile(snippet, str(PAGE), "exec"), {})
        said = capsys.readouterr().out
        assert "PkC_ss" in said
        assert "7" in said
