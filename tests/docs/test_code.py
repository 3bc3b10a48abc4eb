"""Every block of code on every page runs, or says why it does not."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path

import pytest

from nwb_celltype.training.statistics_fitting import StatisticsSettings

from .pages import ROOT, blocks_of, missing_line, pages
from .scratch import PREPARED, Commands, run_page

ELSEWHERE = {
    "archives.md": "tests/test_archives_page.py",
    "converting.md": "tests/test_converting_page.py",
    "reading_in_matlab.md": "tests/test_matlab_page.py",
    "reviewing.md": "tests/reviewing/test_reviewing_page.py",
    "training.md": "tests/test_training_page.py",
    "writing.md": "tests/nwb_io/test_writing_page.py",
}
"""Pages whose blocks another test runs, one after another."""

MEASURED = ("mutation.md", "performance.md", "reliability.md")
"""Pages whose commands measure this repository again, for minutes or hours: what they name is there."""

MANY_NOT_RUN = 10
"""More blocks than this that only say why they are not run would be a habit."""


@pytest.fixture(scope="module")
def commands() -> Commands:
    return Commands()


@pytest.mark.parametrize("page", sorted(PREPARED))
def test_blocks_run_in_order(
    page: str, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    # the validator is slow, and tested elsewhere; pages import readers that warn about themselves
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
    monkeypatch.setattr("nwb_celltype.converters.conversion._remarks", lambda *_: [])
    # and models that a page trains need not be good
    small = partial(StatisticsSettings, subspaces=4, cosines=8, trees=3, rows_per_class=20, n_shift_subspaces=4)
    monkeypatch.setattr("nwb_celltype.training.statistics_recipe.StatisticsSettings", small)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("NWB_CELLTYPE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "lab"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert run_page(page, folder, commands) > 0
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")  # figures that a page drew


def test_no_page_is_forgotten() -> None:
    runnable = {
        page for page in pages() if any(block.is_runnable and block.reason is None for block in blocks_of(page))
    }
    runnable -= {"api.md", *MEASURED}
    assert runnable == {*PREPARED, *ELSEWHERE}  # the one block of api.md is an import, as on all pages
    assert not set(PREPARED) & set(ELSEWHERE)
    for page, test in ELSEWHERE.items():
        code = (ROOT / test).read_text(encoding="utf-8")
        assert f'"{page}"' in code
        for language in {block.language for block in blocks_of(page) if block.is_runnable and block.reason is None}:
            assert f"```{language}" in code or "$ nwb-celltype" in code, f"{test} does not look at {language} in {page}"


@pytest.mark.parametrize("page", [page for page in MEASURED if page in pages()])
def test_commands_that_measure_again_name_what_is_there(page: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    blocks = [block for block in blocks_of(page) if block.is_runnable and block.reason is None]
    for line in "".join(block.code for block in blocks).replace("\\\n", " ").splitlines():
        command, _, remark = line.partition("#")
        named = set(re.findall(r"\bmake ([\w-]+)", command + remark))
        files = set(re.findall(r"(?<![\w/])((?:tests|benchmarks|examples|fuzz|soak)/[\w/]+(?:\.py)?)", command))
        modules = {
            name.replace(".", "/")
            for name in re.findall(r" -m ((?:tests|fuzz|soak|benchmarks|mutation)[\w.]*)", command)
        }
        assert named or files or modules or not command.strip() or "nwb-celltype" in command, line
        assert named <= targets, line
        assert all((ROOT / name).exists() for name in files), line
        assert all((ROOT / f"{name}.py").exists() or (ROOT / name / "__main__.py").exists() for name in modules), line


def test_blocks_that_are_not_run_say_why() -> None:
    left_out = [block for page in pages() for block in blocks_of(page) if block.reason is not None]
    assert all(block.is_runnable and len(block.reason or "") > 15 for block in left_out)
    assert len(left_out) <= MANY_NOT_RUN
    for page in pages():
        for block in blocks_of(page):
            assert block.language or not block.is_runnable or block.reason, f"{page}, line {block.line}: commands"


def test_what_is_shown_is_compared() -> None:
    printed = "2 units: 1 GoC\n\nWrote run 'a' to b.nwb\n"
    assert missing_line(["3 units: 2 GoC", "Wrote run 'a' to b.nwb"], printed) == ""
    assert missing_line(["...", "Wrote run ..."], printed) == ""
    assert missing_line(["Wrote run 'c' to b.nwb"], printed) == "Wrote run 'c' to b.nwb"
    assert missing_line(["2 units: 1 GoC"], printed).startswith("Wrote")
    assert missing_line(["Wrote run 'a' to b.nwb", "2 units: 1 GoC"], printed) == "2 units: 1 GoC"


def test_options_on_pages_are_there() -> None:
    from nwb_celltype.cli import VERBS, group

    known: set[str] = {"--help", "--version"}
    for verb in VERBS:
        command = group.get_command(None, verb)  # type: ignore[arg-type]
        assert command is not None
        below = getattr(command, "commands", {}).values()
        context = command.make_context(verb, [], resilient_parsing=True)
        if not below and hasattr(command, "list_commands"):
            below = [command.get_command(context, name) for name in command.list_commands(context)]
        for each in (command, *below):
            known |= {name for parameter in each.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for page in ("annotating.md", "faq.md", "formats.md", "quickstart.md", "reading.md", "trust.md", "writing.md"):
        text = "".join(re.split(r"```.*?```", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.DOTALL))
        stated = set(re.findall(r"`(?:[\w ]+ )?(--[a-z][a-z-]*)", text))
        assert stated <= known, f"{page}: {stated - known}"
