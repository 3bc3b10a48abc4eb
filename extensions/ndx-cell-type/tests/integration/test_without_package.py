"""Files open in an environment that lacks this package, from the schema they carry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from pynwb import NWBHDF5IO

from ndx_cell_type.testing.mock import mock_CellTypeAnnotationTable, mock_CellTypeEvidenceTable

READ = """
import importlib.util, json, sys
sys.path.insert(0, sys.argv[1])
if importlib.util.find_spec("ndx_cell_type") is not None:
    sys.exit("the package is there after all")
from pynwb import NWBHDF5IO, validate
with NWBHDF5IO(sys.argv[2], "r") as io:
    nwbfile = io.read()
    container = nwbfile.processing["ecephys"]["cell_type_annotations"]
    run = container.cell_type_annotation_tables["run"]
    print(json.dumps({
        "type": [type(container).__name__, type(run).__name__],
        "table": run.to_dataframe(index=True)[["unit_id", "unit", "cell_type", "is_abstained"]].to_dict("list"),
        "labels": list(run.classes["label"][:]),
        "source_type": run.method.source_type,
        "references": list(run.method.references),
        "created": run.created,
        "evidence": [len(run["evidence"][i]) for i in range(3)],
        "sum": float(run["probability"][0].sum()),
        "units": run["unit"].table is nwbfile.units,
        "problems": [str(e) for e in validate(path=sys.argv[2])],
    }))
with NWBHDF5IO(sys.argv[2], "r") as source, NWBHDF5IO(sys.argv[3], "w") as target:
    target.export(src_io=source, nwbfile=source.read())
"""


@pytest.fixture
def bare_site(tmp_path) -> Path:
    """A folder of links to every installed package but ours; .pth files and editable finders are left out."""
    site = tmp_path / "site"
    site.mkdir()
    for item in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "ndx_cell_type" not in item.name and item.suffix != ".pth":
            (site / item.name).symlink_to(item)
    return site


def test_reads_validates_and_exports(nwbfile, annotations, tmp_path, bare_site):
    annotations.add_run(
        mock_CellTypeAnnotationTable(
            name="run",
            units=nwbfile.units,
            evidence=[[0, 1], [], [1]],
            evidence_table=mock_CellTypeEvidenceTable(name="evidence"),
        )
    )
    path, exported = tmp_path / "f.nwb", tmp_path / "exported.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    # -S: no site-packages of its own; PYNWB_NO_CACHE_DIR: no type map remembered from elsewhere
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"PYNWB_NO_CACHE_DIR": "1"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", READ, str(bare_site), str(path), str(exported)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "type": ["CellTypeAnnotations", "CellTypeAnnotationTable"],
        "table": {
            "unit_id": [7, 3, 9],
            "unit": [0, 1, 2],
            "cell_type": ["PkC_ss", "PkC_cs", "unclassified"],
            "is_abstained": [False, False, True],
        },
        "labels": ["PkC_ss", "PkC_cs", "GoC", "MLI", "MFB"],
        "source_type": "classifier",
        "references": ["https://doi.org/10.1016/j.cell.2025.01.041"],
        "created": "2026-01-31T12:00:00+00:00",
        "evidence": [2, 0, 1],
        "sum": pytest.approx(1, abs=1e-6),
        "units": True,
        "problems": [],
    }
    with NWBHDF5IO(exported, "r") as io:  # and back to where the package is
        container = io.read().processing["ecephys"]["cell_type_annotations"]
        assert container.published_run().name == "run"
