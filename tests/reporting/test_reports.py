"""The page as a file: where it goes, what it replaces, and what the command line says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nwb_celltype.cli import main
from nwb_celltype.errors import RefusedError, UsageError
from nwb_celltype.reporting import report
from nwb_celltype.reporting.reports import MARK

from ..test_runs import by_hand

pytest.importorskip("plotly", reason="the page needs plotly")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return by_hand(tmp_path / "labels.nwb")


def test_page_lies_beside_the_file_and_replaces_only_its_like(labels: Path) -> None:
    page = report(labels)
    assert page == labels.with_name("labels_report.html")
    assert MARK in page.read_text(encoding="utf-8")[:4096]
    assert report(labels) == page
    page.write_text("<html>my notes</html>")
    with pytest.raises(RefusedError, match="left alone"):
        report(labels)
    assert page.read_text() == "<html>my notes</html>"
    assert sorted(p.name for p in labels.parent.iterdir()) == ["labels.nwb", "labels_report.html"]


def test_other_places(labels: Path, tmp_path: Path) -> None:
    assert report(tmp_path) == tmp_path / "report.html"
    folder = tmp_path / "pages"
    folder.mkdir()
    assert report(labels, out=folder) == folder / "labels_report.html"
    assert report([labels, labels], out=tmp_path / "new" / "x.html") == tmp_path / "new" / "x.html"
    with pytest.raises(UsageError, match="is a file; name a folder"):
        report(labels, figures=labels)


def test_contents_of_a_file_never_become_markup(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    file = by_hand(tmp_path / "evil.nwb", reason=[evil, ""], reason_detail=[evil, evil])
    assert "alert(1)" not in report(file).read_text(encoding="utf-8")


def test_command_line(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["report", str(labels), "--json", "--quiet"])
    said = json.loads(capsys.readouterr().out)
    assert Path(said["file"]).stat().st_size == said["bytes"] < 10_000_000
    assert said["files"][0]["counts"] == {"A": 1, "B": 1}
    main(["report", str(labels), "--quiet", "--no-explain"])
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"Wrote {said['file']} (2 units of 1 file")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["no_such.nwb"], 3, "does not exist"),
        (["{labels}", "--run", "other"], 2, "has no run 'other'; it has run"),
        (["{labels}", "--out", "{labels}"], 4, "is no report"),
    ],
)
def test_failures(labels: Path, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["report", "--quiet", *(one.format(labels=labels) for one in arguments)])
    assert stopped.value.code == code
    assert said in capsys.readouterr().err


def test_annotate_writes_it_too(annotated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "session.nwb"
    file.write_bytes(annotated.read_bytes())
    table = tmp_path / "labels.csv"
    table.write_text("unit_id,cell_type\n1,PkC_ss\n4,MLI\n")
    main(["annotate", str(file), "--in-place", "--labels", str(table), "--by", "Doe, J", "--report", "--json", "-q"])
    said = json.loads(capsys.readouterr().out)
    assert said["report"]["file"] == str(tmp_path / "session_report.html")
    assert [one["run"] for one in said["report"]["files"]] == [said["run"]] == ["expert_doe_j"]


def test_labels_are_told_of_though_the_page_is_refused(
    annotated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "session.nwb"
    file.write_bytes(annotated.read_bytes())
    (tmp_path / "session_report.html").write_text("mine")
    table = tmp_path / "labels.csv"
    table.write_text("unit_id,cell_type\n1,PkC_ss\n")
    with pytest.raises(SystemExit) as stopped:
        main(
            ["annotate", str(file), "--in-place", "--labels", str(table), "--by", "Doe, J", "--report", "--json", "-q"]
        )
    assert stopped.value.code == RefusedError.exit_code
    said = json.loads(capsys.readouterr().out)
    assert (said["run"], said["report"]) == ("expert_doe_j", None)
    assert "left alone" in said["report_error"]
