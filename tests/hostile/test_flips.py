"""Bits of a file are turned over at random: an error in a sentence, the same labels, or a difference that is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

N = 1000 if os.environ.get("NWB_CELLTYPE_SOAK") else 60
ROOT = Path(__file__).resolve().parents[2]


def test_turned_bits_are_noticed_or_do_no_harm() -> None:
    command = [sys.executable, "-m", "tests.hostile.flips", "--n", str(N), "--seed", "7", "--write-every", "30"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["n"] == N
    assert said["came"]["sentence"] > 0
    assert said["came"]["same"] > 0
