"""A person's labels with measured evidence: the person wins, conflicts are said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nwb_celltype.annotation import Annotation
from nwb_celltype.errors import UsageError
from nwb_celltype.evidence import OptotagRule, Stimulation, identified, join_evidence, purkinje_cells
from nwb_celltype.label_table import LabelRow
from nwb_celltype.labelling import SourceType, annotate_from_table
from nwb_celltype.units import Units

from .trains import evoked, firing, pulse_onsets, purkinje_cell


@pytest.fixture(scope="module")
def units() -> Units:
    """Unit 4 responds to light, unit 8 does not, unit 6 responds too."""
    rng = np.random.default_rng(0)
    onsets = pulse_onsets(rng, 200)
    respond = [evoked(rng, firing(rng, 9, 170), onsets, latency_ms=3, jitter_ms=0.5, reliability=0.9) for _ in range(2)]
    return Units.from_arrays([respond[0], firing(rng, 9, 170), respond[1]], unit_ids=[4, 8, 6])


@pytest.fixture(scope="module")
def proposed(units: Units) -> Annotation:
    onsets = pulse_onsets(np.random.default_rng(0), 200)
    return identified(units, [Stimulation("laser", onsets, 0.005, tags="MLI")])


def own(units: Units, labels: dict[int, str], evidence: Any = None, source: SourceType = "ground_truth") -> Annotation:
    rows = [
        LabelRow(k + 2, unit, label, None, "", "", "", (evidence or {}).get(unit, {}))
        for k, (unit, label) in enumerate(labels.items())
    ]
    return annotate_from_table(units, rows, source_type=source, by="our lab")


def notes(run: Annotation) -> list[str]:
    assert run.evidence is not None
    return [str(rows[-1]["note"]) for rows in run.evidence]


def test_labels_that_agree_gain_evidence_and_nothing_else(units: Units, proposed: Annotation) -> None:
    mine = own(units, {6: "MLI", 4: "MLI"})
    joined = join_evidence(mine, proposed)
    assert joined.unit_ids.tolist() == [6, 4]
    assert joined.cell_type.tolist() == ["MLI", "MLI"]
    assert joined.method.source_type == "ground_truth"
    assert joined.evidence is not None
    assert [rows[0]["kind"] for rows in joined.evidence] == ["optotag", "optotag"]
    assert all(note.startswith("laser: ") for note in notes(joined))
    assert joined.input_sha256 == mine.input_sha256
    assert joined.method.fields["person"] == "our lab"
    assert joined.method.fields["parameters"]["evidence_measured_by"]["optotag"]["rule_version"] == OptotagRule.version
    assert "doi:10.1038/nature12176" in joined.method.fields["references"]
    assert mine.evidence is None


def test_the_persons_label_wins_and_the_conflict_is_said(units: Units, proposed: Annotation) -> None:
    joined = join_evidence(own(units, {4: "GoC", 8: "MLI", 6: ""}), proposed)
    assert joined.cell_type.tolist() == ["GoC", "MLI", "unclassified"]
    assert joined.is_abstained.tolist() == [False, False, True]
    other, unconfirmed, left = notes(joined)
    assert other.startswith("Labelled GoC by our lab; the rule would say MLI. laser: ")
    assert unconfirmed.startswith("Labelled MLI by our lab; the rule does not confirm it. Not tagged by laser: ")
    assert left.startswith("Left without a label by our lab; the rule would say MLI. laser: ")


def test_without_tags_the_rule_cannot_confirm_a_label(units: Units) -> None:
    untold = identified(units, [Stimulation("laser", pulse_onsets(np.random.default_rng(0), 200), 0.005)])
    joined = join_evidence(own(units, {4: "MLI"}), untold)
    assert notes(joined)[0].startswith("Labelled MLI by our lab; the rule cannot confirm it. Light (laser) makes it ")


def test_an_experts_run_stays_an_experts(units: Units, proposed: Annotation) -> None:
    assert join_evidence(own(units, {4: "MLI"}, source="expert"), proposed).method.source_type == "expert"


def test_evidence_that_was_stated_stays_first(units: Units, proposed: Annotation) -> None:
    stated = {
        4: {"kind": "optotag", "latency_ms": 3.1, "n_pulses": 50},
        6: {"kind": "optotag", "latency_ms": 8.0},
        8: {"kind": "morphology", "note": "filled"},
    }
    joined = join_evidence(own(units, {4: "MLI", 6: "MLI", 8: "MLI"}, stated), proposed)
    assert joined.evidence is not None
    assert [rows[0] for rows in joined.evidence] == list(stated[unit] for unit in (4, 6, 8))
    assert [len(rows) for rows in joined.evidence] == [2, 2, 2]
    assert notes(joined)[0].startswith("laser: ")
    assert notes(joined)[1].startswith("our lab states latency_ms 8, measured is ")


def test_units_that_were_not_measured_stay_as_they_are(units: Units, proposed: Annotation) -> None:
    rng = np.random.default_rng(1)
    more = Units.from_arrays([firing(rng, 5, 60)], unit_ids=[77])
    mine = own(more, {77: "GoC"})
    joined = join_evidence(mine, proposed)
    assert joined.evidence is None
    assert joined.cell_type.tolist() == ["GoC"]


def test_cell_ids_of_pairs_are_taken_where_both_labels_agree() -> None:
    rng = np.random.default_rng(2)
    complex_, simple = purkinje_cell(rng, 300)
    units = Units.from_arrays([complex_, simple])
    pairs = purkinje_cells(units)
    joined = join_evidence(own(units, {0: "PkC_cs", 1: "PkC_ss"}), pairs)
    assert joined.cell_id is not None
    assert joined.cell_id.tolist() == ["purkinje_ss1_cs0"] * 2
    assert join_evidence(own(units, {0: "MLI", 1: "PkC_ss"}), pairs).cell_id is None


def test_only_a_rules_evidence_is_joined(units: Units, proposed: Annotation) -> None:
    with pytest.raises(UsageError, match="Only a rule's evidence"):
        join_evidence(own(units, {4: "MLI"}), own(units, {4: "MLI"}))
