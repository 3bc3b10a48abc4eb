"""Environments with an older pynwb and nothing of ours; ``python -m tests.compat.environments`` makes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("NWB_CELLTYPE_COMPAT", ROOT / ".venv-compat"))
OLDER = {"3.1": ("pynwb==3.1.0",), "2.8": ("pynwb==2.8.3", "hdmf<4")}
"""By release: what is installed. hdmf 4 and later break pynwb 2.8."""


def python_of(release: str) -> Path:
    """Its interpreter, which need not be there."""
    return FOLDER / f"pynwb-{release}" / "bin" / "python"


def main() -> None:
    for release, packages in OLDER.items():
        python = python_of(release)
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
        version = subprocess.run(
            [str(python), "-c", "import pynwb, hdmf; print(pynwb.__version__, hdmf.__version__)"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        print(f"pynwb {release}: {version.stdout.strip()} in {python.parents[1]}")


if __name__ == "__main__":
    main()
