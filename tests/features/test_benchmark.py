"""The benchmark of features runs, shows equal outputs first and writes what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_benchmark_in_short(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "features.py"), "--quick", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert "ratio_spikeinterface" in done.stdout
    maps = found["acg_3d"]
    # On trains of two minutes each trigger weighs much; what SpikeInterface keeps at the end is seen.
    assert maps["largest_difference"] < 0.05
    assert maps["largest_difference_with_a_silent_end"] < 0.005
    assert maps["ratio_spikeinterface"] > 10
    assert found["spikeinterface_isi"]["same_interval_counts_below_99_ms"]
    assert found["statistics"]["n_spikes"] == 40_000
    assert [row["what"] for row in found["growth"]] == ["base", "units x10", "spikes x10"] * 2
    assert max(row["times_the_base"] for row in found["growth"]) < 25
