"""``nwb-celltype review`` on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from nwb_celltype.cli import main
from nwb_celltype.reviewing import review

from .files import RUN


def run(*arguments: object) -> None:
    main(["review", *map(str, arguments)])


def test_compare_prints_tables_and_kappa(template: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(template, "--compare", RUN, "cs_ss_pause_rule")
    said = capsys.readouterr().out
    assert f"{RUN} (rows) and cs_ss_pause_rule (columns)" in said
    assert "Cohen's kappa 1.000: both name a class for 2 of 2 units" in said
    run(template, "--compare", "--json")
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found["runs"]] == ["cs_ss_pause_rule", RUN]
    assert found["pairs"][0]["kappa"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), 2, "Say who reviews: --by"),
        (("--by", "Jane", "--orcid", "1"), 2, "is no ORCID"),
        (("--by", "Jane", "--json"), 2, "--json goes with --compare"),
        (("a", "b"), 2, "runs are named with --compare"),
        (("--compare", RUN, "none"), 2, "has no run 'none'"),
    ],
)
def test_mistakes_are_said(
    template: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    with pytest.raises(SystemExit) as end:
        run(template, *arguments)
    assert end.value.code == code
    assert sentence in capsys.readouterr().err


def test_what_is_not_installed_is_one_sentence(template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    from nwb_celltype.errors import UsageError

    with pytest.raises(
        UsageError, match=r"^The review needs fastapi and uvicorn: pip install 'nwb-celltype\[review\]'\.$"
    ):
        review(template, by="Jane Doe")
