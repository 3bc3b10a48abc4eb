"""Pairs of complex and simple spikes inside `annotate`: one cell, evidence, and contradictions flagged."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nwb_celltype as nct
from nwb_celltype.quality import Finding, Verdict
from nwb_celltype.runs import Method
from nwb_celltype.session_context import contradictions, with_context
from nwb_celltype.taxonomy import CEREBELLUM, FOREBRAIN

from .evidence.recordings import macaque_purkinje, write_units
from .evidence.trains import complex_spikes, firing, purkinje_cell

SECONDS = 240.0
METHOD = Method(
    "classifier", {"software": "s", "model_name": "m", "parameters": {"threshold": 0.5}, "references": ["a"]}
)


def cells(seed: int = 0, n_cells: int = 1) -> list[np.ndarray]:
    """Complex and simple spikes of some Purkinje cells, one cell after another, and an interneuron."""
    rng = np.random.default_rng(seed)
    trains = [train for _ in range(n_cells) for train in purkinje_cell(rng, SECONDS)]
    return [*trains, firing(rng, 20.0, SECONDS)]


def said(units: nct.Units, labels: list[str], reasons: list[str] | None = None, **more: Any) -> nct.Annotation:
    """An annotation that a model with these answers would make."""
    n = len(labels)
    reason = np.array(reasons or [""] * n)
    return nct.Annotation(
        unit_ids=np.asarray(units.unit_ids),
        cell_type=np.where(reason == "", labels, "unclassified"),
        is_abstained=reason != "",
        reason=reason,
        reason_detail=np.full(n, "", dtype=str),
        taxonomy=more.pop("taxonomy", CEREBELLUM),
        method=METHOD,
        description="d",
        run_name="m_1",
        verdict=Verdict("typable"),
        **more,
    )


def test_a_pair_gets_one_cell_and_evidence() -> None:
    units = nct.Units.from_arrays(cells(), unit_ids=[5, 7, 9])
    before = said(units, ["PkC_cs", "PkC_ss", "MLI"])
    after = with_context(before, units)
    assert after.cell_id is not None
    assert after.cell_id.tolist() == ["purkinje_ss7_cs5", "purkinje_ss7_cs5", ""]
    assert after.evidence is not None
    assert [len(each) for each in after.evidence] == [1, 1, 0]
    assert after.evidence[0][0]["kind"] == "cs_ss_pause"
    assert "Simple spikes of unit 7 pause after complex spikes of unit 5" in after.evidence[1][0]["note"]
    assert after.cell_type.tolist() == before.cell_type.tolist()
    assert after.reason_detail.tolist() == ["", "", ""]
    assert after.verdict == before.verdict
    context = after.method.fields["parameters"]["session_context"]
    assert (context["rule"], context["n_pairs"], context["max_distance_um"]) == ("cs_ss_pause", 1, 250.0)
    assert after.method.fields["parameters"]["threshold"] == 0.5
    assert len(after.method.fields["references"]) > 1


def test_a_contradiction_is_flagged_and_no_label_changed() -> None:
    units = nct.Units.from_arrays(cells(), unit_ids=[5, 7, 9])
    after = with_context(said(units, ["PkC_cs", "MFB", "MLI"]), units)
    assert after.cell_type.tolist() == ["PkC_cs", "MFB", "MLI"]
    assert after.reason_detail.tolist() == [
        "", "Contradicted: the pause between units 5 and 7 says PkC_ss.", "",
    ]  # fmt: skip
    assert after.verdict is not None
    assert after.verdict.status == "typable with caution"
    assert after.verdict.findings == (
        Finding(
            "context",
            "flag",
            "1 of 1 pairs of complex and simple spikes, found by their pause, contradicts the labels.",
        ),
    )


def test_what_the_pause_says_of_an_abstained_unit_is_added() -> None:
    units = nct.Units.from_arrays(cells(), unit_ids=[5, 7, 9])
    before = said(units, ["PkC_cs", "PkC_ss", "MLI"], ["low_confidence", "", ""])
    after = with_context(before, units)
    assert after.is_abstained.tolist() == [True, False, False]
    assert after.reason_detail[0] == "Its pause with unit 7 says PkC_cs."
    assert after.verdict == before.verdict


@pytest.mark.parametrize("reason", ["region", "species", "poor_quality", "invalid_data"])
def test_units_outside_the_scope_are_no_cells(reason: str) -> None:
    units = nct.Units.from_arrays(cells())
    before = said(units, ["PkC_cs", "PkC_ss", "MLI"], [reason, "", ""])
    assert with_context(before, units) is before


def test_models_that_know_no_purkinje_cells_are_left_alone() -> None:
    units = nct.Units.from_arrays(cells())
    before = said(units, list(FOREBRAIN.labels[:3]), taxonomy=FOREBRAIN)
    assert with_context(before, units) is before


def test_nothing_is_found_in_units_that_do_not_pause() -> None:
    rng = np.random.default_rng(3)
    units = nct.Units.from_arrays([complex_spikes(rng, 1.1, SECONDS), firing(rng, 60.0, SECONDS), firing(rng, 8.0, 60)])
    before = said(units, ["PkC_cs", "PkC_ss", "GoC"])
    assert with_context(before, units) is before


def test_far_units_are_not_paired() -> None:
    far, near = [[0.0, 0.0], [0.0, 900.0], [0.0, 40.0]], [[0.0, 0.0], [0.0, 120.0], [0.0, 40.0]]
    for positions, found in ((far, False), (near, True)):
        units = nct.Units.from_arrays(cells(), electrodes=[[0], [1], [2]], channel_positions=positions)
        after = with_context(said(units, ["PkC_cs", "PkC_ss", "MLI"]), units)
        assert (after.cell_id is not None) is found


def test_several_cells_keep_their_own() -> None:
    units = nct.Units.from_arrays(cells(1, n_cells=3))
    annotation = said(units, ["PkC_cs", "PkC_ss"] * 3 + ["MLI"])
    after = with_context(annotation, units)
    assert after.cell_id is not None
    assert after.cell_id.tolist() == [
        "purkinje_ss1_cs0", "purkinje_ss1_cs0", "purkinje_ss3_cs2", "purkinje_ss3_cs2", "purkinje_ss5_cs4",
        "purkinje_ss5_cs4", "",
    ]  # fmt: skip


def test_contradictions_by_unit() -> None:
    from nwb_celltype.evidence import cs_ss_pairs

    units = nct.Units.from_arrays(cells(), unit_ids=[5, 7, 9])
    (pair,) = cs_ss_pairs(units)
    assert contradictions(said(units, ["PkC_cs", "PkC_ss", "MLI"]), pair) == {}
    assert contradictions(said(units, ["MFB", "MLI", "MLI"]), pair) == {5: ("MFB", "PkC_cs"), 7: ("MLI", "PkC_ss")}


def test_a_large_session_takes_no_time() -> None:
    rng = np.random.default_rng(0)
    trains = [complex_spikes(rng, 1.0, 300.0) for _ in range(40)] + [firing(rng, 50.0, 300.0) for _ in range(60)]
    units = nct.Units.from_arrays(
        trains, electrodes=[[k] for k in range(100)], channel_positions=[[0.0, 40.0 * k] for k in range(100)]
    )
    annotation = said(units, ["PkC_cs"] * 40 + ["PkC_ss"] * 60)
    began = time.process_time()
    with_context(annotation, units)
    assert time.process_time() - began < 5.0


def test_a_pair_is_stored_in_the_run_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
    file = write_units(tmp_path / "session.nwb", cells())
    result = nct.annotate(file)
    run = result.run
    assert run.cell_id is not None
    assert run.cell_id.tolist() == ["purkinje_ss1_cs0", "purkinje_ss1_cs0", ""]
    assert run.evidence is not None
    assert [[piece["kind"] for piece in each] for each in run.evidence] == [["cs_ss_pause"], ["cs_ss_pause"], []]
    assert json.loads(run.method.fields["parameters"])["session_context"]["n_pairs"] == 1
    assert result.to_json()["units"][0]["cell_id"] == "purkinje_ss1_cs0"
    assert not nct.annotate(file).is_new


def test_the_real_purkinje_cell_is_one_cell() -> None:
    complex_, simple = macaque_purkinje()
    units = nct.Units.from_arrays([simple, complex_], unit_ids=[12, 40])
    after = with_context(said(units, ["PkC_ss", "PkC_cs"]), units)
    assert after.cell_id is not None
    assert after.cell_id.tolist() == ["purkinje_ss12_cs40"] * 2
