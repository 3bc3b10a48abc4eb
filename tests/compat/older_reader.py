"""Read annotated files as somebody with an older pynwb and nothing of ours does; run in an environment of its own."""

from __future__ import annotations

import json
import sys
import warnings

warnings.simplefilter("ignore")

import pynwb  # noqa: E402
from pynwb import NWBHDF5IO  # noqa: E402


def read(path: str) -> dict[str, object]:
    try:
        with NWBHDF5IO(path, "r", load_namespaces=True) as io:
            nwb = io.read()
            container = nwb.processing["ecephys"]["cell_type_annotations"]
            runs = {}
            for name, table in container.cell_type_annotation_tables.items():
                frame = table.to_dataframe(index=True)
                runs[name] = {
                    "unit_ids": [int(i) for i in frame["unit_id"]],
                    "cell_type": [str(label) for label in frame["cell_type"]],
                    "source_type": str(table.method.source_type),
                    "classes": [str(label) for label in table.classes["label"][:]],
                }
            spikes = [] if nwb.units is None else [len(nwb.units["spike_times"][k]) for k in range(len(nwb.units))]
            return {"pynwb": pynwb.__version__, "runs": runs, "spikes": spikes}
    except Exception as error:
        return {"pynwb": pynwb.__version__, "error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    print(json.dumps([read(path) for path in sys.argv[1:]]))
