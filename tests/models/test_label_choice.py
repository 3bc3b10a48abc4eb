"""What is learnt from: ground truth, an expert's labels when asked for, predictions never."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nwb_celltype.errors import InputError, RefusedError, UsageError
from nwb_celltype.label_choice import choose_labels
from nwb_celltype.runs import Method, Run


def run_of(
    name: str, source_type: str, labels: dict[int, str], created: str = "2026-01-01T00:00:00Z", **more: Any
) -> Run:
    n = len(labels)
    empty = np.full(n, "", dtype=str)
    return Run(
        name=name,
        method=Method(source_type, {"person": "Doe, Jane"}),
        classes=tuple(sorted(set(labels.values()))),
        unit_ids=np.array(list(labels), dtype=np.int64),
        cell_type=np.array(list(labels.values()), dtype=str),
        is_abstained=np.zeros(n, bool),
        reason=empty,
        reason_detail=empty,
        created=created,
        **more,
    )


TRUTH = run_of("tagged", "ground_truth", {1: "GoC", 2: "unclassified"})
EXPERT = run_of("jane", "expert", {1: "MLI", 2: "MLI", 3: "PkC_ss"})
MODEL = run_of("model", "classifier", {1: "MFB", 4: "MFB"})
RULE = run_of("rule", "rule", {1: "MFB"})


def labels(run: Run) -> dict[int, str]:
    return dict(zip(run.unit_ids.tolist(), run.cell_type.tolist(), strict=True))


def test_ground_truth_alone() -> None:
    chosen = choose_labels([MODEL, EXPERT, TRUTH], "f.nwb", labels_are="ground_truth")
    assert chosen is TRUTH


def test_an_expert_fills_what_ground_truth_leaves() -> None:
    chosen = choose_labels([MODEL, EXPERT, TRUTH, RULE], "f.nwb", labels_are="expert")
    assert labels(chosen) == {1: "GoC", 2: "MLI", 3: "PkC_ss"}
    assert chosen.method.source_type == "ground_truth"
    assert choose_labels([MODEL, EXPERT], "f.nwb", labels_are="expert") is EXPERT


def test_two_runs_of_ground_truth_are_put_together() -> None:
    newer = run_of("lines", "ground_truth", {1: "MLI", 5: "PV"}, created="2026-02-01T00:00:00Z")
    assert labels(choose_labels([TRUTH, newer], "f.nwb", labels_are="ground_truth")) == {1: "MLI", 5: "PV"}
    corrected = run_of("tagged_again", "ground_truth", {1: "PkC_cs"}, supersedes="tagged")
    assert labels(choose_labels([TRUTH, corrected], "f.nwb", labels_are="ground_truth")) == {1: "PkC_cs"}


@pytest.mark.parametrize("labels_are", ["ground_truth", "expert"])
@pytest.mark.parametrize("name", [None, "model"])
def test_predictions_never(labels_are: Any, name: str | None) -> None:
    with pytest.raises(
        RefusedError, match=r"f.nwb holds no ground truth.*'model' \(classifier\).*nothing to learn from"
    ):
        choose_labels([MODEL], "f.nwb", name=name, labels_are=labels_are)


def test_an_experts_labels_must_be_asked_for() -> None:
    for name in (None, "jane"):
        with pytest.raises(RefusedError, match=r"holds 'jane' \(expert\).*--labels-are expert"):
            choose_labels([EXPERT], "f.nwb", name=name, labels_are="ground_truth")
    assert choose_labels([EXPERT], "f.nwb", name="jane", labels_are="expert") is EXPERT


def test_without_a_word_the_published_run() -> None:
    assert choose_labels([MODEL, EXPERT, TRUTH], "f.nwb") is TRUTH
    assert choose_labels([MODEL, RULE], "f.nwb", name="model") is MODEL
    with pytest.raises(RefusedError, match="which are nothing to learn from or to measure by"):
        choose_labels([MODEL], "f.nwb")


def test_no_runs_and_no_such_run() -> None:
    with pytest.raises(InputError, match="holds no annotation runs"):
        choose_labels([], "f.nwb", labels_are="ground_truth")
    with pytest.raises(UsageError, match="has no run 'none'"):
        choose_labels([TRUTH], "f.nwb", name="none", labels_are="ground_truth")
