"""The whole circle: a folder becomes NWB, is annotated and published; elsewhere it is fetched, joined, learnt from.

The server is the double of `archive_double`, or the one that ``NWB_CELLTYPE_DANDI_URL`` names, with the token in
``NWB_CELLTYPE_DANDI_TOKEN``. Nothing here knows which it is. On a server of your own the test leaves two dandisets.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import nwb_celltype as nct
from nwb_celltype.archive.instances import find_instance
from nwb_celltype.units import read_units

from .archive_double import DandiDouble

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 45.0
SUBJECTS = {"mouse-a": 3, "mouse-b": 8}
METADATA = {
    "NWBFile": {
        "session_start_time": "2026-01-31T14:02:54+00:00",
        "session_description": "Simulated recording from the cerebellar cortex; nothing in it was recorded.",
        "experimenter": ["Last name, First name"],
        "lab": "Simulation",
        "institution": "Simulation",
        "keywords": ["cerebellum", "simulated"],
    },
    "Subject": {"species": "mouse", "sex": "U", "age": "P90D", "description": "Simulated."},
    "Ecephys": {"imec0": {"location": "Cerebellar cortex"}},
}
ABOUT = {
    "description": "Made by a test of nwb-celltype; nothing in it was recorded.",
    "license": ["spdx:CC-BY-4.0"],
    "contributor": [
        {
            "schemaKey": "Person",
            "name": "Last name, First name",
            "email": "somebody@example.org",
            "roleName": ["dcite:ContactPerson", "dcite:Author"],
            "includeInCitation": True,
        }
    ],
}


@dataclass(frozen=True)
class Server:
    """An archive, and the token of somebody who may write to it."""

    url: str
    token: str


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    url = os.environ.get("NWB_CELLTYPE_DANDI_URL", "")
    if url:
        yield Server(url, os.environ["NWB_CELLTYPE_DANDI_TOKEN"])
        return
    with DandiDouble() as double:
        yield Server(double.url, double.token)


def example(name: str) -> ModuleType:
    """Module of the examples folder."""
    spec = importlib.util.spec_from_file_location(f"circle_{name}", ROOT / "examples" / f"{name}.py")
    if spec is None or spec.loader is None:
        pytest.fail(f"examples/{name}.py is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def describe(folder: Path, name: str) -> None:
    """Say in dandiset.yaml what a lab would say of its dandiset."""
    file = folder / "dandiset.yaml"
    there = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(yaml.safe_dump({**there, **ABOUT, "name": name}), encoding="utf-8")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dandiset folder with two converted sessions and what the lab knows of their units."""
    simulated = example("simulated_run")
    labs, out = tmp_path_factory.mktemp("labs"), tmp_path_factory.mktemp("recorded")
    classes = {cluster: recipe.simulates for cluster, recipe, *_ in simulated.UNITS if recipe.simulates in CLASSES}
    for subject, seed in SUBJECTS.items():
        run = simulated.simulate_run(labs / subject, seconds=SECONDS, seed=seed)
        known = {cluster: label for cluster, label in classes.items() if cluster in run.samples}
        lines = ["unit_id,cell_type", *(f"{cluster},{label}" for cluster, label in known.items())]
        run.labels.write_text("\n".join(lines) + "\n", encoding="utf-8")
        metadata: dict[str, Any] = {
            **METADATA,
            "NWBFile": {**METADATA["NWBFile"], "session_id": f"session-{subject[-1]}"},
            "Subject": {**METADATA["Subject"], "subject_id": subject},
        }
        nct.convert("spikeglx", run.run, metadata=metadata, out=out, labels=run.labels, by="The lab")
    describe(out, "nwb-celltype test: simulated sessions")
    return out


CLASSES = ("PkC_ss", "PkC_cs", "MLI", "GoC", "MFB")


def learn(data: Any, out: Path) -> Any:
    return nct.train(data, out=out, name="of-the-circle", members=2, epochs=30, classes=CLASSES)


def answers(model: Path, files: list[Path]) -> pd.DataFrame:
    """What a model says about every unit of some files."""
    said = []
    for file in files:
        with read_units(file) as units:
            annotation = nct.annotate_units(units, str(model))
            table = pd.DataFrame({"unit_id": annotation.unit_ids, "cell_type": annotation.cell_type})
            table["confidence"] = annotation.confidence
            said.append(table.assign(identifier=units.session.identifier))
    return pd.concat(said).sort_values(["identifier", "unit_id"], ignore_index=True)


def test_convert_annotate_publish_fetch_join_train(
    server: Server, recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = find_instance(server.url)
    monkeypatch.setenv(instance.token_variable, server.token)
    monkeypatch.setenv("DANDI_INSTANCE", server.url)
    monkeypatch.setenv("NWB_CELLTYPE_CACHE", str(tmp_path / "cache of the lab"))

    # the lab publishes what it recorded, ...
    sources = nct.publish(recorded, dandiset="new", publish_version=True)
    assert len(sources.files) == len(SUBJECTS)
    assert sources.version
    address = f"DANDI:{sources.dandiset}@{sources.version}"

    # ... has it annotated from the archive, and publishes these labels too
    annotated = tmp_path / "labels"
    batch = nct.annotate_many(address, out=annotated, scheduler="synchronous")
    assert not batch.failures
    describe(annotated, "nwb-celltype test: labels of simulated sessions")
    labels = nct.publish(annotated, dandiset="new", accept_model_licence=True)
    at_home = nct.load_labels(annotated)
    assert set(at_home["identifier"]) == {read(file).identifier for file in recorded.rglob("*.nwb")}

    # on another machine: other folders, an empty cache, no token
    monkeypatch.setenv("NWB_CELLTYPE_CACHE", str(tmp_path / "cache elsewhere"))
    monkeypatch.delenv(instance.token_variable)
    elsewhere = tmp_path / "elsewhere"
    got = nct.fetch(f"DANDI:{labels.dandiset}", out=elsewhere, with_sources=True, merge=True)
    assert not got.failures
    assert len(got.joined) == len(SUBJECTS)
    there = nct.load_labels(elsewhere / labels.dandiset)
    same = ["identifier", "unit_id", "cell_type", "is_abstained", "reason", "confidence", *at_home.filter(like="p_")]
    pd.testing.assert_frame_equal(
        at_home[same].sort_values(same[:2], ignore_index=True), there[same].sort_values(same[:2], ignore_index=True)
    )

    # what was merged holds the lab's labels and the model's, of the same units
    merged = [joined.file for joined in got.joined]
    for file in merged:
        kinds = sorted(run.method.source_type for run in nct.read_runs(file))
        assert "ground_truth" in kinds
        assert "classifier" in kinds

    # the lab's own labels teach the same model from its folder, from the archive, and from what was fetched
    originals = sorted(recorded.rglob("*.nwb"))
    models = {
        "at home": learn([str(file) for file in originals], tmp_path / "at home"),
        "streamed": learn(address, tmp_path / "streamed"),
        "fetched": learn([str(file) for file in sorted(merged)], tmp_path / "fetched"),
    }
    assert len({model.weights_sha256 for model in models.values()}) == 1
    said = {name: answers(tmp_path / name, originals if name == "at home" else merged) for name in models}
    for other in ("streamed", "fetched"):
        pd.testing.assert_frame_equal(said["at home"], said[other])


def read(file: Path) -> Any:
    with read_units(file) as units:
        return units.session


def test_the_circle_has_something_to_say(recorded: Path) -> None:
    found = nct.load_labels(recorded, source_types=["ground_truth"])
    assert np.unique(found["cell_type"]).tolist() == sorted(CLASSES)
    assert len(found) > 2 * len(CLASSES)
