"""The first page tells the truth: its session is what the command prints, its snippets run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which the session of the first page was run, and what it printed."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "simulated_session.nwb", folder / "examples")
    arguments = re.search(r"^\$ nwb-celltype (annotate examples/.*)$", README, re.MULTILINE)
    assert arguments is not None
    done = subprocess.run(
        [sys.executable, "-m", "nwb_celltype", *arguments.group(1).split()],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_session_prints_what_the_page_shows(annotated: tuple[Path, str]) -> None:
    shown = README.split("$ nwb-celltype annotate examples/simulated_session.nwb --quiet\n", 1)[1].split("```", 1)[0]
    number = re.compile(r"\d\.\d\d")
    assert number.sub("#", annotated[1]) == number.sub("#", shown)
    printed, promised = ([float(n) for n in number.findall(text)] for text in (annotated[1], shown))
    assert printed == pytest.approx(promised, abs=0.02)  # the last digit is the processor's


def test_the_snippets_run(annotated: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = annotated[0] / "examples"
    shutil.copy(folder / "simulated_session.nwb", folder / "session.nwb")
    shutil.copy(folder / "simulated_session_celltype.nwb", folder / "session_celltype.nwb")
    monkeypatch.chdir(folder)
    snippets = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(snippets) == 2
    for snippet in snippets:
        values: dict[str, object] = {}
        exec(snippet, values)  # the page's own code, nothing else
    assert values["run"].name == "cerebellum_3"  # type: ignore[attr-defined]


def test_the_pages_and_pictures_it_names_are_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
