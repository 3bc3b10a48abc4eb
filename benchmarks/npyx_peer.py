"""3D autocorrelograms beside NeuroPyxels (npyx) 4.3.1, which the C4 recipe was written with, in one process.

Run:  python benchmarks/npyx_peer.py --data-dir DIR [--quick] [--json FILE]

npyx is under the GPL, so it is no dependency, and nothing here is taken from it: it is installed from the package index
into an environment of its own in DIR, which also sees the packages of this one, and called as its documentation says.
Trains are those of ``features.py``. Equal first: units whose maps are the same, bit for bit, are counted; in others two
rates tie to twelve digits, and npyx's rounding decides.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import time
import venv
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

NPYX = "4.3.1"


def environment(folder: Path) -> Path:
    """Python of an environment with npyx, over the packages of this one; made once."""
    place = folder / f"npyx-{NPYX}"
    python = place / "bin" / "python"
    site = place / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    if not (site / "npyx").is_dir():
        venv.create(place, with_pip=True, clear=True)
        (site / "below.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        # six is imported by npyx and not among the dependencies that it states.
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"npyx=={NPYX}", "six"], check=True)
    return python


def compare(quick: bool) -> dict[str, Any]:
    """Time both, on the same trains, one thread."""
    from benchmarks.features import RATE_HZ, cpu, trains
    from nwb_celltype.features import acgs_3d

    import_s, _, peer = cpu(_npyx)
    ticks = trains(6, 120.0) if quick else trains(100, 1800.0)
    seconds = [each / RATE_HZ for each in ticks]
    acgs_3d([seconds[0][:1000]], n_threads=1)
    peer(ticks[0][:1000], ticks[0][:1000], 2000, 1)
    ours_s, _, ours = cpu(lambda: acgs_3d(seconds, n_threads=1))
    theirs_s, _, theirs = cpu(lambda: [peer(each, each, 2000, 1)[1] for each in ticks])
    same = [bool(np.array_equal(a, b)) for a, b in zip(ours, theirs, strict=True)]
    apart = max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))
    return {
        "versions": {name: version(name) for name in ("nwb-celltype", "npyx", "numpy", "scipy", "numba")},
        "n_units": len(ticks),
        "n_spikes": int(sum(map(len, ticks))),
        "identical_units": sum(same),
        "largest_difference": apart,
        "ours_cpu_s": ours_s,
        "npyx_cpu_s": theirs_s,
        "ratio_npyx": theirs_s / ours_s,
        "npyx_import_cpu_s": import_s,
    }


def _npyx() -> Any:
    from npyx.corr import crosscorr_vs_firing_rate

    return crosscorr_vs_firing_rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="6 units of 2 min")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        found = compare(options.quick)
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return
    numbers = (options.json or options.data_dir / "npyx_peer.json").resolve()
    command = [environment(options.data_dir.resolve()), __file__, "--data-dir", str(options.data_dir), "--inside"]
    command += ["--json", str(numbers), *(["--quick"] if options.quick else [])]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)})
    for key, value in json.loads(numbers.read_text(encoding="utf-8")).items():
        print(f"  {key:<24} {f'{value:.4g}' if isinstance(value, float) else value}")
    print(f"  seconds, with imports    {time.perf_counter() - began:.0f}")


if __name__ == "__main__":
    main()
