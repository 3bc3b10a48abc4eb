"""The page on reviews tells the truth: its keys are those of the page, and its code and commands run."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from nwb_celltype.cli import main
from nwb_celltype.nwb_io import annotate
from nwb_celltype.reviewing.access import HOST
from nwb_celltype.taxonomy import CEREBELLUM

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reviewing.md").read_text(encoding="utf-8")  # checked in tests/docs as "reviewing.md"
SCRIPT = (ROOT / "nwb_celltype" / "reviewing" / "static" / "review.js").read_text(encoding="utf-8")


@pytest.fixture
def folder(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_validator: None) -> Path:
    """A file that two experts labelled, too."""
    file = Path(shutil.copyfile(template, tmp_path / "session_celltype.nwb"))
    for who, label in (("Jane Doe", "MLI"), ("John Roe", "GoC")):
        table = tmp_path / f"{who}.csv"
        table.write_text(f"unit_id,cell_type\n10,PkC_cs\n13,PkC_ss\n16,{label}\n")
        annotate(file, in_place=True, labels=table, by=who)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_and_code_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(
        r"^\$ nwb-celltype (.+)$", "".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)), re.M
    )
    assert len(commands) == 1
    main(shlex.split(commands[0]))
    assert "Fleiss' kappa" in capsys.readouterr().out
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    assert re.fullmatch(r"(1\.0|-?0\.\d+|None) \[.*16.*\]\n|1\.0 \[\]\n", capsys.readouterr().out)


def test_keys_are_those_of_the_page() -> None:
    listed = re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE)
    named = {key for cell in listed for key in re.findall(r"`(.)`", cell)}
    handled = set(
        re.findall(r"[{ ](.|\"[/?]\"): \(?(?:\(\) =>|agree|disagree|cannotTell|openNote|undo|redo|save)", SCRIPT)
    )
    assert {key.strip('"') for key in handled} <= named | set("09")
    assert named - set("19") <= {key.strip('"') for key in handled} | {"0"}
    said = re.findall(r"(\d) (?:is )?`(\w+)`", PAGE)
    assert [label for _, label in said] == list(CEREBELLUM.labels)
    assert [int(digit) for digit, _ in said] == list(range(1, 7))


def test_the_address_is_that_of_the_server() -> None:
    assert f"listens on {HOST} only" in PAGE
