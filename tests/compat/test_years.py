"""Files of earlier releases, readers of earlier years, models of another version of the features."""

from __future__ import annotations

import json
import lzma
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import nwb_celltype as nct
from nwb_celltype.classifier import load_model
from nwb_celltype.errors import InputError
from nwb_celltype.nwb_io import detach
from nwb_celltype.provenance import SourceAsset
from nwb_celltype.recomputation import verify
from nwb_celltype.verification import example_features

from ..nwb_io.files import label_csv, plain
from .environments import OLDER, python_of

FILES = Path(__file__).parent / "files"
RELEASES = sorted(path.name.removesuffix(".nwb.xz") for path in FILES.glob("*.nwb.xz"))


def written_by(release: str, folder: Path) -> Path:
    """A file as a release has left it."""
    file = folder / f"{release}.nwb"
    file.write_bytes(lzma.decompress((FILES / f"{release}.nwb.xz").read_bytes()))
    return file


def test_every_release_has_left_a_file() -> None:
    assert RELEASES[0] == "0.1.0"
    assert nct.__version__ in RELEASES, "keep a file of this release in tests/compat/files"


@pytest.mark.parametrize("release", RELEASES)
def test_files_of_every_release_are_read_and_annotated_again(release: str, tmp_path: Path) -> None:
    file = written_by(release, tmp_path)
    runs = {run.name: run for run in nct.read_runs(file)}
    assert set(runs) == {"expert_me", "ground_truth_jane_doe", "cerebellum_3"}
    assert runs["expert_me"].labels_for([7, 3, 9]) == ["PkC_ss", "", "MLI"]
    assert runs["ground_truth_jane_doe"].labels_for([7, 3, 9]) == ["PkC_ss", "MFB", "GoC"]
    assert nct.published_run(list(runs.values())) is runs["ground_truth_jane_doe"]
    assert nct.check(file) == []
    assert [(n, r) for n, r, _ in verify(file, run="expert_me").checks] == [("units", "ok"), ("answers", "not checked")]
    labels = label_csv(tmp_path, {7: "PkC_ss", 9: "MLI"})
    assert not nct.annotate(file, in_place=True, labels=labels, by="me").is_new
    again = nct.annotate(file, in_place=True, labels=label_csv(tmp_path, {3: "MLI"}, name="b.csv"), by="you")
    assert (again.is_new, again.run.name) == (True, "expert_you")


def read_with(release: str, *files: Path) -> list[dict[str, object]]:
    python = python_of(release)
    if not python.exists():
        pytest.skip(f"there is no environment with pynwb {release}; `make compat` makes it")
    script = Path(__file__).with_name("older_reader.py")
    done = subprocess.run([str(python), str(script), *map(str, files)], capture_output=True, text=True, check=True)
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("release", sorted(OLDER))
def test_files_of_an_older_pynwb_open_there_when_annotated(release: str, tmp_path: Path) -> None:
    read_with(release)  # skips
    file, labels = tmp_path / "older.nwb", label_csv(tmp_path, {7: "PkC_ss", 9: "MLI"})
    subprocess.run([str(python_of(release)), str(Path(__file__).with_name("older_writer.py")), str(file)], check=True)
    nct.annotate(file, in_place=True)
    nct.annotate(file, in_place=True, labels=labels, by="me", mirror=True)
    (found,) = read_with(release, file)
    assert "error" not in found
    runs = {run.name: run for run in nct.read_runs(file)}
    assert found["runs"] == {
        name: {
            "unit_ids": run.unit_ids.tolist(),
            "cell_type": run.cell_type.tolist(),
            "source_type": run.method.source_type,
            "classes": list(run.classes),
        }
        for name, run in runs.items()
    }
    assert found["spikes"] == [200, 200, 200]


def test_files_of_today_open_in_pynwb_3_1(tmp_path: Path) -> None:
    read_with("3.1")  # skips
    whole = written_by("0.1.0", tmp_path)
    alone = detach(whole, tmp_path / "labels.nwb", SourceAsset(url="https://example.org/a.nwb"))
    for found in read_with("3.1", whole, alone):
        assert set(found.get("runs", {})) == {"expert_me", "ground_truth_jane_doe", "cerebellum_3"}, found  # type: ignore[call-overload]


def test_pynwb_2_8_cannot_open_any_file_with_electrodes_of_today(tmp_path: Path) -> None:
    """It does not know the type that the electrodes have had since NWB 2.9; our runs have no part in that."""
    read_with("2.8")  # skips
    labels = label_csv(tmp_path, {7: "PkC_ss"})
    with_electrodes, without = written_by("0.1.0", tmp_path), plain(tmp_path / "plain.nwb")
    nct.annotate(without, in_place=True, labels=labels, by="me")
    first, second = read_with("2.8", with_electrodes, without)
    assert "No specification for 'ElectrodesTable'" in str(first["error"])
    assert set(second.get("runs", {})) == {"expert_me"}, second  # type: ignore[call-overload]


def test_a_model_meets_features_of_another_version_with_an_error() -> None:
    """Both ways: features that are of another version, and a model that was made for one."""
    model, features = load_model("cerebellum"), example_features()
    with pytest.raises(InputError, match="version"):
        model.predict(features.assign_attrs(feature_spec_version="0"))
    older = replace(model, card={**model.card, "feature_spec_version": "0"})
    with pytest.raises(InputError, match="version"):
        older.predict(features)
