"""Validators find nothing new in what we write, and pynwb reads it back, with the extension and without."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO

from nwb_celltype import annotate, read_runs
from nwb_celltype.annotation import Annotation
from nwb_celltype.nwb_io.validation import new_messages, same_answers, validator_messages
from nwb_celltype.runs import Run

from .annotations import from_classifier, graft_into
from .files import GENERATED, REAL_FILES, REAL_FOLDER

# What pynwb says about the sources themselves when it opens them.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Ignoring the following cached namespace:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*The second dimension of data does not match:UserWarning"),
    pytest.mark.filterwarnings("ignore:The 'manufacturer' field is deprecated:DeprecationWarning"),
]

READ = """
import importlib.util, json, math, sys, warnings
site, *paths = sys.argv[1:]
sys.path.insert(0, site)
if importlib.util.find_spec("ndx_cell_type") is not None:
    sys.exit("the package is there after all")
from pynwb import NWBHDF5IO
warnings.simplefilter("ignore")

def plain(values):
    return [None if isinstance(v, float) and math.isnan(v) else v for v in values]

def read(path):
    with NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        run = nwbfile.processing["ecephys"]["cell_type_annotations"].cell_type_annotation_tables["m_1"]
        ids = nwbfile.units.id[:]
        said = {
            "type": type(run).__name__,
            "cell_type": list(run["cell_type"][:]),
            "probability": [plain(map(float, row)) for row in run["probability"][:]],
            "labels": list(run.classes["label"][:]),
            "model": run.method.model_name,
            "unit_id": [int(i) for i in run["unit_id"][:]],
            "ids of the rows": [int(ids[row]) for row in run["unit"].data[:]],
            "points to the units": run["unit"].table is nwbfile.units,
        }
        if "evidence" in run.colnames:
            index = run["evidence"]
            said["evidence"] = [[round(float(v), 3) for v in index[i]["latency_ms"]] for i in range(len(run))]
            said["index holds the region"] = index.target.table["kind"][0]
        return said

print(json.dumps({path: read(path) for path in paths}))
"""


@pytest.fixture(scope="module")
def grafted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path, Annotation]]:
    """For each file at hand: the source, the file with a classifier's run, and what was put in."""
    folder = tmp_path_factory.mktemp("grafted")
    found = {}
    for name, source in _sources(folder).items():
        path = source.with_name(f"grafted_{source.name}")
        shutil.copyfile(source, path)
        found[name] = (source, path, graft_into(path))
    return found


def _sources(folder: Path) -> dict[str, Path]:
    made = {name: make(folder / f"{name}.nwb") for name, make in GENERATED.items()}
    for version, name in REAL_FILES.items():
        if (REAL_FOLDER / name).is_file():
            made[version] = Path(shutil.copyfile(REAL_FOLDER / name, folder / name))
    return made


@pytest.mark.parametrize("name", [*REAL_FILES, *GENERATED])
def test_validator_says_nothing_new(grafted: dict[str, tuple[Path, Path, Annotation]], name: str) -> None:
    if name not in grafted:
        pytest.skip("shared/data/nwb is not beside this checkout")
    source, path, _ = grafted[name]
    if name in GENERATED:
        assert validator_messages(path) == validator_messages(source) == []
    assert new_messages(path, source) == []


@pytest.mark.parametrize("name", [*REAL_FILES, *GENERATED])
def test_reads_back_equal(grafted: dict[str, tuple[Path, Path, Annotation]], name: str) -> None:
    if name not in grafted:
        pytest.skip("shared/data/nwb is not beside this checkout")
    _, path, annotation = grafted[name]
    (run,) = read_runs(path)
    assert same_answers(run, annotation)
    assert run.units_path == "/units"
    assert run.classes == annotation.taxonomy.labels
    assert run.method.who == "m 1"
    with NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        table = nwbfile.processing["ecephys"]["cell_type_annotations"].runs["m_1"]
        assert table.units is nwbfile.units
        assert nwbfile.units.id[:][table["unit"].data[:]].tolist() == annotation.unit_ids.tolist()
        np.testing.assert_array_equal(table["probability"][:], annotation.probability)
        assert table["cell_type"][:].tolist() == annotation.cell_type.tolist()
        assert (table.evidence_table is None) is (annotation.evidence is None)


def test_references_of_the_evidence_point_into_the_file(grafted: dict[str, tuple[Path, Path, Annotation]]) -> None:
    _, path, _ = grafted["rich"]
    with h5py.File(path) as file:
        run = file["processing/ecephys/cell_type_annotations/m_1"]
        targets = {
            name: file[run[name].attrs[key]].name
            for name, key in {"unit": "table", "evidence": "table", "evidence_index": "target"}.items()
        }
    assert targets == {
        "unit": "/units",
        "evidence": "/processing/ecephys/cell_type_annotations/m_1_evidence",
        "evidence_index": "/processing/ecephys/cell_type_annotations/m_1/evidence",
    }


def test_opens_where_the_extension_is_not_installed(
    grafted: dict[str, tuple[Path, Path, Annotation]], tmp_path: Path
) -> None:
    """A folder of links to every installed package but ours; -S: no site-packages of its own."""
    site = tmp_path / "site"
    site.mkdir()
    for item in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "ndx_cell_type" not in item.name and item.suffix != ".pth":
            (site / item.name).symlink_to(item)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"PYNWB_NO_CACHE_DIR": "1"}
    paths = [str(path) for _, path, _ in grafted.values()]
    done = subprocess.run(
        [sys.executable, "-S", "-c", READ, str(site), *paths],
        capture_output=True, text=True, check=False, env=environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    for _, path, annotation in grafted.values():
        said = answers[str(path)]
        expected = {
            "type": "CellTypeAnnotationTable",
            "cell_type": annotation.cell_type.tolist(),
            "probability": [[None if np.isnan(p) else float(p) for p in row] for row in annotation.probability],
            "labels": list(annotation.taxonomy.labels),
            "model": "m",
            "unit_id": annotation.unit_ids.tolist(),
            "ids of the rows": annotation.unit_ids.tolist(),
            "points to the units": True,
        }
        if annotation.evidence is not None:
            expected["evidence"] = [[round(e["latency_ms"], 3) for e in pieces] for pieces in annotation.evidence]
            expected["index holds the region"] = "optotag"
        assert said == expected, path.name


def test_pynwb_appends_to_what_we_wrote(grafted: dict[str, tuple[Path, Path, Annotation]], tmp_path: Path) -> None:
    from ndx_cell_type import CellTypeAnnotationMethod, CellTypeAnnotationTable

    path = Path(shutil.copyfile(grafted["rich"][1], tmp_path / "session.nwb"))
    with NWBHDF5IO(path, "r+") as io:
        nwbfile = io.read()
        container = nwbfile.processing["ecephys"]["cell_type_annotations"]
        container.add_run(
            CellTypeAnnotationTable.from_columns(
                name="later", description="by hand", classes=container.runs["m_1"].classes,
                method=CellTypeAnnotationMethod(name="somebody", source_type="expert", person="Doe, J"),
                unit_id=[9], cell_type=["GoC"], units=nwbfile.units, created="2026-01-31T12:00:00+00:00",
            )
        )  # fmt: skip
        io.write(nwbfile)
    assert validator_messages(path) == []
    runs = {run.name: run for run in read_runs(path)}
    assert set(runs) == {"m_1", "later"}
    assert runs["later"].labels_for([3, 9]) == ["", "GoC"]
    third = annotate(path, in_place=True, labels=_csv(tmp_path), by="me")
    assert {run.name for run in read_runs(path)} == {"m_1", "later", third.run.name}


def _csv(folder: Path) -> Path:
    path = folder / "labels.csv"
    path.write_text("unit_id,cell_type\n7,PkC_ss\n")
    return path


@pytest.mark.parametrize("read", [lambda path: read_runs(path)[0], lambda path: annotate_again(path).run])
def test_long_text_and_unicode_survive(file: Path, read: Callable[[Path], Run]) -> None:
    detail = np.array(["", "", "µ" * 3000])
    graft_into(file, from_classifier([7, 3, 9], reason_detail=detail, method=_by("Müller, Zoë")))
    run = read(file)
    assert run.reason_detail.tolist() == detail.tolist()
    assert run.method.who == "m 1"


def annotate_again(path: Path):
    """The first run of the file after another was added."""
    from nwb_celltype.nwb_io import AnnotatedFile

    annotate(path, in_place=True, labels=_csv(path.parent), by="me")
    return AnnotatedFile(path, next(run for run in read_runs(path) if run.name == "m_1"), is_new=False)


def _by(person: str):
    from dataclasses import replace

    from .annotations import METHOD

    return replace(METHOD, fields={**METHOD.fields, "person": person})
