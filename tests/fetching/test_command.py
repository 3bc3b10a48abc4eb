"""``nwb-celltype fetch``: what people and machines are told, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from nwb_celltype.cli.fetch_verb import command
from nwb_celltype.errors import InputError, NothingToDoError

from ..archive_double import DandiDouble
from .files import SOURCE_PATH


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


def test_for_people(archive: DandiDouble, source_dandiset: str, out: Path, runner: CliRunner) -> None:
    said = runner.invoke(command, [f"DANDI:{source_dandiset}", "-o", str(out)])
    assert said.exit_code == 0, said.stderr
    lines = said.stdout.splitlines()
    assert lines[0].endswith("(the newest published version)")
    assert lines[1] == f"into {out / source_dandiset}"
    assert lines[2].startswith(f"fetched    {SOURCE_PATH}  0.")
    assert lines[-1].startswith("1 file: 1 fetched; downloaded 0.")
    assert "nwb-celltype: look at DANDI:" in said.stderr
    assert "1 to fetch (0." in said.stderr
    quiet = runner.invoke(command, [f"DANDI:{source_dandiset}", "-o", str(out), "--quiet"])
    assert quiet.stderr == ""
    assert "1 there; downloaded 0 MB" in quiet.stdout


def test_for_machines(archive: DandiDouble, labels_dandiset: str, out: Path, runner: CliRunner) -> None:
    arguments = [f"DANDI:{labels_dandiset}", "-o", str(out), "--labels-only", "--dry-run", "--json", "-q"]
    said = runner.invoke(command, arguments)
    assert said.exit_code == 0
    answer = json.loads(said.stdout)
    assert (answer["version"], answer["dry_run"], answer["counts"]) == ("draft", True, {"planned": 3})
    assert {row["reason"] for row in answer["skipped"]} == {"no NWB file", "no cell type labels"}
    assert not out.exists()


def test_labels_of_a_dry_run_for_people(
    archive: DandiDouble, labels_dandiset: str, out: Path, runner: CliRunner
) -> None:
    said = runner.invoke(command, [f"DANDI:{labels_dandiset}", "-o", str(out), "--labels-only", "--dry-run", "-q"])
    assert "runs only of sub-m2/sub-m2_ses-1_ecephys.nwb" in said.stdout
    assert "skipped    1 asset: no NWB file (notes.txt)" in said.stdout
    assert "3 files: 3 planned; to download" in said.stdout


def test_exit_codes(archive: DandiDouble, source_dandiset: str, out: Path, runner: CliRunner) -> None:
    file = out / source_dandiset / SOURCE_PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(b"mine")
    refused = runner.invoke(command, [f"DANDI:{source_dandiset}", "-o", str(out), "-q"])
    assert refused.exit_code == 4
    assert "it was left alone" in refused.stdout
    nothing = runner.invoke(command, [f"DANDI:{source_dandiset}", "-o", str(out), "--labels-only", "-q"])
    assert isinstance(nothing.exception, NothingToDoError)  # the group tells it and ends with 6
    assert runner.invoke(command, [f"DANDI:{source_dandiset}", "--jobs", "0"]).exit_code == 2


def test_a_token_is_in_no_output(archive: DandiDouble, out: Path, runner: CliRunner) -> None:
    name = archive.add_dandiset(name="Closed", embargo=True)
    archive.add_asset(name, "a.txt", b"secret", metadata={"schemaKey": "Asset"})
    said = runner.invoke(command, [f"DANDI:{name}", "-o", str(out), "--json"])
    assert said.exit_code == 0, said.output
    everything = said.output + "".join(p.read_text() for p in out.rglob("*") if p.is_file())
    assert archive.token not in everything
    assert "X-Amz-Signature" not in everything


def test_train_and_evaluate_take_addresses(
    archive: DandiDouble, labels_dandiset: str, out: Path, runner: CliRunner
) -> None:
    from nwb_celltype.cli import evaluate_verb, train_verb

    data = f"DANDI:{labels_dandiset}@draft/sub-m2/sub-m2_ses-1_ecephys.nwb"
    said = runner.invoke(evaluate_verb.command, ["cerebellum", data, "--run", "ground_truth_ada", "--json"])
    assert said.exit_code == 0, said.output
    answer = json.loads(said.stdout)
    assert answer["n"] + answer["n_left_out"] == 3
    too_few = runner.invoke(train_verb.command, [data, "-o", str(out), "-q"])
    assert isinstance(too_few.exception, InputError)
    assert "units" in str(too_few.exception)
