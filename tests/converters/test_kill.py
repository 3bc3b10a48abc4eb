"""``kill -9`` in every phase of a conversion: the file is the old one or the new one, and a rerun finishes."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import nwb_celltype as nct
from nwb_celltype.nwb_io.safe_write import NEW_FILE_PHASES
from nwb_celltype.nwb_io.validation import validator_messages

from .phy.folders import kilosort25, simulate, write_recording
from .test_conversion import METADATA

SCRIPT = Path(__file__).with_name("killed_conversion.py")
OLD = b"an older file"


def start(folder: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(folder), str(out), json.dumps(METADATA)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill_in(process: subprocess.Popen[str], phase: str, after_s: float) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == phase:
            time.sleep(after_s)
            break
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    process.stdout.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("lab")
    session = simulate()
    write_recording(top / "recording.dat", session)
    return kilosort25(top / "phy", session, dat_path="'../recording.dat'")


@pytest.mark.parametrize(("phase", "after_s"), [*zip(NEW_FILE_PHASES, (0.1, 0.0, 0.0, 0.0), strict=True)])
def test_a_killed_conversion_leaves_the_old_file_or_the_new(
    phase: str, after_s: float, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.nwb"
    out.write_bytes(OLD)
    kill_in(start(folder, out), phase, after_s)
    if hashlib.sha256(out.read_bytes()).digest() != hashlib.sha256(OLD).digest():
        assert validator_messages(out) == []


def test_a_rerun_finishes_and_tidies_up(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.nwb"
    out.write_bytes(OLD)
    kill_in(start(folder, out), "validate", 0.0)
    left = [path.name for path in tmp_path.iterdir() if path != out]
    assert any("partial" in name for name in left)
    process = start(folder, out)
    assert process.communicate()[0].strip().endswith("done")
    assert [path.name for path in tmp_path.iterdir()] == ["out.nwb"]
    with nct.read_units(out) as units:
        assert len(units) == simulate().n_units
