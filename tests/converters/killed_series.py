"""Convert a series in a process that a test kills: sessions and phases are announced on stdout."""

from __future__ import annotations

import json
import sys
import time

from nwb_celltype.converters.series import convert_many


def main(pattern: str, out: str, metadata: str) -> None:
    """Convert all that matches."""

    def tell(line: str) -> None:
        print(line, flush=True)
        time.sleep(0.05)  # lets the test aim

    convert_many("phy", pattern, metadata=json.loads(metadata), out=out, inspect=False, on_session=tell, on_phase=tell)
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
