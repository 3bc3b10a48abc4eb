"""Convert in a process that a test kills: every phase is announced on stdout, then waits a moment."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from nwb_celltype.converters import convert


def main(folder: str, out: str, metadata: str) -> None:
    """Replace `out` by a conversion of the Phy folder."""

    def tell(phase: str) -> None:
        print(phase, flush=True)
        time.sleep(0.05)  # lets the test aim within the phase

    convert("phy", Path(folder), metadata=json.loads(metadata), out=out, overwrite=True, inspect=False, on_phase=tell)
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
