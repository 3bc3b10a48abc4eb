"""The README's example runs as it stands, and its file satisfies the validators."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def example(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(README), "exec"), {})
    return tmp_path / "example.nwb", capsys.readouterr().out


def test_example(example):
    path, out = example
    assert path.exists()
    assert "['classifier_1', 'optotagged_1']\noptotagged_1\n" in out
    assert "low_confidence" in out


def test_inspector_finds_nothing_in_our_types(example):
    nwbinspector = pytest.importorskip("nwbinspector")
    config = nwbinspector.load_config("dandi")
    messages = list(nwbinspector.inspect_nwbfile(nwbfile_path=str(example[0]), config=config))
    ours = [m for m in messages if "CellType" in str(m.object_type) or "cell_type" in str(m.location)]
    assert [m for m in ours if m.importance.name != "BEST_PRACTICE_SUGGESTION"] == []
    # a README example has no subject; everything else of these ranks would be ours
    bad = {m.check_function_name for m in messages if m.importance.name in {"ERROR", "CRITICAL", "PYNWB_VALIDATION"}}
    assert bad <= {"check_subject_exists"}
