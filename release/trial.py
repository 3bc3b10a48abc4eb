"""Try a release as a user gets it: ``python -m release.trial``.

What follows, such as ``--extra-index-url URL``, is given to pip. Makes an empty environment, installs the lock
into it with every hash checked, then the two wheels and nothing else, and lets the command line annotate a file there
and check it. Ends with 0 if all of that works.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from .lock import LOCK, ROOT

EXAMPLE = """
import sys
from datetime import datetime, timezone
import numpy as np
from pynwb import NWBHDF5IO, NWBFile

random = np.random.default_rng(1)
nwb = NWBFile("made up", "trial", datetime(2026, 1, 1, tzinfo=timezone.utc))
time = (np.arange(60) - 20) / 30
for _ in range(5):
    wave = -100 * np.exp(-((time / 0.15) ** 2)) + 30 * np.exp(-(((time - 0.4) / 0.2) ** 2))
    nwb.add_unit(spike_times=np.cumsum(0.003 + random.gamma(4, 0.006, 2000)), waveform_mean=wave)
nwb.units.waveform_rate = 30000.0
with NWBHDF5IO(sys.argv[1], "w") as io:
    io.write(nwb)
"""


def trial(folder: Path, extra: list[str]) -> None:
    """Install and run in a folder; what is said is printed.

    Parameters
    ----------
    folder : Path
        The environment is made in it; one that is there already is used again.
    extra : list of str
        Further arguments for pip, such as another index.

    Raises
    ------
    subprocess.CalledProcessError
        If a step fails.
    """
    environment, wheels = folder / "environment", folder / "wheels"
    python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not python.exists():
        venv.create(environment, with_pip=True)

    def run(*command: str) -> None:
        print("$", *command, flush=True)
        subprocess.run([str(python), *command], check=True, cwd=folder)

    own = [str(ROOT), str(ROOT / "extensions" / "ndx-cell-type")]
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(wheels), *own], check=True)
    run("-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK), *extra)
    run("-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", *map(str, sorted(wheels.glob("*.whl"))))
    run("-m", "pip", "check")
    for left in folder.glob("*.nwb"):
        left.unlink()
    (folder / "example.py").write_text(EXAMPLE, encoding="utf-8")
    run("example.py", "example.nwb")
    run("-m", "nwb_celltype", "annotate", "example.nwb", "--threshold", "0")
    run("-m", "nwb_celltype", "check", "example_celltype.nwb")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where to work; a folder of its own that is deleted by default")
    options, extra = parser.parse_known_args()
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        trial(options.folder.resolve(), extra)
        return
    with tempfile.TemporaryDirectory() as folder:
        trial(Path(folder), extra)


if __name__ == "__main__":
    main()
