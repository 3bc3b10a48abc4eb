"""`annotate` for many recordings on the command line; one file stays what it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nwb_celltype.cli import main

from ..batch.recordings import dandi_names


class Said:
    """What a command ended with and wrote."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mice")
    dandi_names(folder, 2)
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Said:
    code = 0
    try:
        main([str(argument) for argument in ("annotate", *arguments)])
    except SystemExit as end:
        code = int(end.code or 0)
    return Said(code, *capsys.readouterr())


@pytest.fixture(autouse=True)
def without_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwb_celltype.nwb_io.detached.validator_messages", lambda _: [])


def test_the_plan_alone(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    said = run(capsys, folder, "--out", tmp_path / "out", "--dry-run", "--scheduler", "synchronous")
    assert said.code == 0
    assert "2 assets to do: 6 units (2 of unknown region), 2 left out by region" in said.out
    assert said.out.count("assets to do") == 1
    assert "plan: 2" in said.err
    assert not (tmp_path / "out").exists()


def test_a_run_for_people_and_for_machines(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    arguments = (folder, "-o", tmp_path, "--scheduler", "synchronous", "--region", "cerebellum")
    said = run(capsys, *arguments, "--where", "subject=m0")
    assert said.code == 0
    assert "1 asset to do: 2 units, 2 left out by region" in said.out
    assert f"2 assets: 1 done, 1 skipped -> {tmp_path}" in said.out
    assert "done 1/1: sub-m0/sub-m0_ses-a_ecephys.nwb -> sub-m0/" in said.err
    said = run(capsys, *arguments, "--json", "--quiet")
    assert said.err == ""
    answer = json.loads(said.out)
    assert (answer["exit_code"], answer["counts"]) == (0, {"done": 1, "done already": 1})
    assert answer["units_file"] == str(tmp_path / "units.parquet")


def test_failures_have_their_exit_code(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.nwb").write_bytes(b"nothing")
    said = run(capsys, folder / "sub-m0", tmp_path / "broken.nwb", "-o", tmp_path / "o", "--scheduler", "synchronous")
    assert said.code == 3
    assert "1 asset failed:" in said.out
    assert "broken.nwb is not an HDF5 file" in said.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{file}", "--region", "cerebellum"], "--region goes with a dandiset, an address, a folder or several files"),
        (["{file}", "--dry-run", "--glob", "*"], "--glob, --dry-run go with a dandiset"),
        (["DANDI:000409", "--in-place"], "--in-place goes with one local file, but DANDI:000409 is no such file"),
        (["{folder}", "--units", "3", "--region", "x"], "--units goes with one local file"),
        (["{folder}", "--slurm", "--cluster", "pbs"], "Give --slurm or --cluster pbs, not both"),
        (["{folder}", "--slurm", "--cluster-option", "queue"], "'queue' is no option of a cluster"),
        (["DANDI:409"], "six digits; write 000409"),
        (["ftp://example.org/a.nwb"], "Addresses are: DANDI:ID"),
        (["file://{file}"], "named by its path alone"),
        (["{file}", "{file}"], "say with --out which folder"),
    ],
)
def test_wrong_calls(capsys: pytest.CaptureFixture[str], folder: Path, arguments: list[str], says: str) -> None:
    file = folder / "sub-m0/sub-m0_ses-a_ecephys.nwb"
    said = run(capsys, *(text.format(file=file, folder=folder) for text in arguments))
    assert said.code == 2, said.err
    assert says in said.err
    assert said.out == ""


def test_nothing_to_do_ends_with_6(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    said = run(capsys, folder, "-o", tmp_path / "o", "--where", "species=macaque", "--scheduler", "synchronous")
    assert said.code == 6
    assert "2 assets: --where species=macaque does not hold" in said.err
