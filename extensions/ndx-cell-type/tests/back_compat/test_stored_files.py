"""Files of every release stay readable."""

from __future__ import annotations

import runpy
from pathlib import Path

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, validate

from ndx_cell_type import checks

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.nwb"))


def test_there_is_a_file_of_the_first_release():
    assert [path.name for path in FILES][:1] == ["0.1.0_all_types.nwb"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_stored_file(path):
    with h5py.File(path) as file:
        assert path.name.split("_")[0] in file["specifications/ndx-cell-type"]
    assert validate(path=path) == []
    with NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        container = nwbfile.processing["ecephys"]["cell_type_annotations"]
        assert set(container.runs) == {"classifier", "ground_truth", "detached"}
        classifier, truth = container.runs["classifier"], container.runs["ground_truth"]
        assert classifier.units is nwbfile.units
        assert classifier["unit_id"][:].tolist() == [7, 3, 9, 4]
        assert classifier["cell_type"][3] == "unclassified"
        assert classifier["probability"].data.dtype == np.float32
        assert classifier.classes.labels == ["PkC_ss", "PkC_cs", "GoC", "MLI", "MFB"]
        assert classifier.method.settings == {"seed": 1}
        assert classifier.verdict == "Mouse cerebellum: can be typed."
        assert truth["unit"].data[:].tolist() == [1, 2]
        assert [len(truth["evidence"][i]) for i in (0, 1)] == [1, 2]
        assert truth.evidence_table["kind"][0] == "optotag"
        assert container.runs["detached"].units is None
        assert container.published_run() is truth
        assert checks.problems_in(container) == [
            "cell_type_annotations: run 'detached' supersedes 'an earlier run', which is not in 'cell_type_annotations'"
        ]


def test_generator_still_runs(tmp_path):
    runpy.run_path(str(HERE / "make_files.py"))["main"](tmp_path)
    assert len(list(tmp_path.glob("*.nwb"))) == 1
