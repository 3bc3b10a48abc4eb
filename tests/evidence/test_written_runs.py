"""Runs of rules go into an NWB file, come back the same, and are never ground truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import nwb_celltype as nct
from nwb_celltype.annotation import Annotation
from nwb_celltype.evidence import Stimulation, identified, join_evidence, purkinje_cells
from nwb_celltype.label_table import LabelRow
from nwb_celltype.labelling import annotate_from_table
from nwb_celltype.nwb_io.graft import Place, free_run_name, graft

from .recordings import write_units
from .trains import evoked, firing, pulse_onsets, purkinje_cell


def put(path: Path, annotation: Annotation) -> None:
    with nct.read_units(path) as units:
        session, every = units.session, np.array(units.unit_ids)
    name = free_run_name(path, annotation.run_name)
    graft(path, annotation, Place(name, session.units_path, session.units_object_id, session.identifier, every))


def test_both_rules_and_the_users_own_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    onsets = pulse_onsets(rng, 200)
    tagged = evoked(rng, firing(rng, 9, 200), onsets, latency_ms=3, jitter_ms=0.5, reliability=0.9)
    trains = [tagged, *purkinje_cell(rng, 200), firing(rng, 9, 200)]
    path = write_units(tmp_path / "session.nwb", trains)
    with nct.read_units(path) as units:
        light = identified(units, [Stimulation("laser", onsets, 0.005, tags="MLI")])
        pauses = purkinje_cells(units)
        own = annotate_from_table(
            units, [LabelRow(2, 0, "GoC", None, "", "", "", {})], source_type="ground_truth", by="our lab"
        )
        joined = join_evidence(own, light)
    for annotation in (light, pauses, joined):
        put(path, annotation)
    assert nct.check(path) == []
    runs = {run.name: run for run in nct.read_runs(path)}
    stored = runs["optotag_rule"]
    assert stored.cell_type.tolist() == ["MLI", "unclassified", "unclassified", "unclassified"]
    assert stored.method.source_type == "rule"
    assert stored.evidence is not None
    assert light.evidence is not None
    assert [len(rows_) for rows_ in stored.evidence] == [1, 1, 1, 1]
    assert stored.evidence[0][0]["note"] == light.evidence[0][0]["note"]
    assert np.isclose(stored.evidence[0][0]["latency_ms"], light.evidence[0][0]["latency_ms"])
    paired = runs["cs_ss_pause_rule"]
    assert paired.cell_type.tolist() == ["unclassified", "PkC_cs", "PkC_ss", "unclassified"]
    assert paired.cell_id is not None
    assert paired.cell_id[1] == paired.cell_id[2] != ""
    published = nct.published_run(runs.values())
    assert published is not None
    assert published.method.source_type == "ground_truth"
    assert published.cell_type.tolist() == ["GoC"]
    assert published.evidence is not None
    assert str(published.evidence[0][0]["note"]).startswith("Labelled GoC by our lab; the rule would say MLI.")
