"""The shipped models answer alike on processors that are older than this one."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys

import pytest

from benchmarks.processors import PROCESSORS


@pytest.fixture(scope="module")
def kernels(tmp_path_factory) -> str:
    """Where those of the other processor are compiled to, once."""
    return str(tmp_path_factory.mktemp("kernels"))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="instruction sets of x86 are taken away")
@pytest.mark.parametrize("model", ["cerebellum", "cerebellum-statistics"])
def test_answers_within_1e_4_without_avx(model: str, kernels: str) -> None:
    environment = os.environ | PROCESSORS["SSE4 (2008)"] | {"NUMBA_CACHE_DIR": kernels}
    command = [sys.executable, "-m", "nwb_celltype", "models", "verify", model, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    notes = {each["check"]: each["note"] for each in json.loads(done.stdout)["checks"]}
    found = re.search(r"largest difference (\S+) ", notes["answers"])
    assert found is not None, notes["answers"]
    assert float(found[1]) < 1e-4
