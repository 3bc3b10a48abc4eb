"""``nwb-celltype publish``: the same as the function, with exit codes and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from nwb_celltype.cli.publish_verb import command
from nwb_celltype.errors import RefusedError

from ..archive_double import DandiDouble
from .conftest import Publish
from .files import FIRST, NON_COMMERCIAL, edit, write_draft


def run(folder: Path, archive: DandiDouble, *options: str) -> tuple[int, str]:
    call = [str(folder), "--instance", archive.url, "--quiet", *options]
    done = CliRunner().invoke(command, call, catch_exceptions=False)
    return done.exit_code, done.stdout


def test_it_publishes(folder: Path, archive: DandiDouble) -> None:
    code, text = run(folder, archive, "--dandiset", "new")
    assert code == 0
    assert f"{FIRST}  0." in text
    assert "In dandiset 000001 of " in text
    code, text = run(folder, archive, "--dandiset", "new", "--publish-version", "--json")
    assert code == 0
    found = json.loads(text)
    assert found["version"] in archive.dandiset("000001").versions
    assert [file["state"] for file in found["files"]] == ["unchanged", "unchanged"]


def test_a_dry_run_lists_problems_and_ends_with_3(folder: Path, archive: DandiDouble) -> None:
    write_draft(folder, name=None)
    code, text = run(folder, archive, "--dandiset", "new", "--dry-run")
    assert code == 3
    assert "would be sent" in text
    assert "dandiset: has no `name`" in text
    assert "Nothing was sent" in text
    code, text = run(folder, archive, "--dandiset", "new", "--dry-run", "--json")
    assert [problem["where"] for problem in json.loads(text)["problems"]] == ["dandiset"]
    assert not archive.state.dandisets


@pytest.mark.usefixtures("_unchecked")
def test_a_licence_ends_with_4(folder: Path, archive: DandiDouble) -> None:
    edit(folder / FIRST, method=NON_COMMERCIAL)
    code, text = run(folder, archive, "--dandiset", "new", "--dry-run")
    assert code == RefusedError.exit_code
    assert "--accept-model-licence" in text
    assert run(folder, archive, "--dandiset", "new", "--dry-run", "--accept-model-licence")[0] == 0


def test_progress_counts_to_the_end(folder: Path, send: Publish) -> None:
    told: list[tuple[str, int, int]] = []
    send(dandiset="new", publish_version=True, progress=lambda *step: told.append(step))
    last = {task: (done, of) for task, done, of in told}
    assert {"check", "upload (MB)", "validation by the archive", "make a version"} == set(last)
    assert all(done == of for done, of in last.values())
