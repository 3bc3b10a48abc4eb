"""Agreement: kappa as others compute it, abstentions handled as stated."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.reviewing.agreement import cohens_kappa, fleiss_kappa, measure_agreement
from nwb_celltype.runs import Method, Run


def run(
    name: str, said: dict[int, str], *, skipped: tuple[int, ...] = (), supersedes: str = "", path: str = "/units"
) -> Run:
    labels = np.array(list(said.values()))
    abstained = labels == "unclassified"
    reason = [
        "not_labelled" if unit in skipped else "low_confidence" if label == "unclassified" else ""
        for unit, label in said.items()
    ]
    classes = tuple(sorted({*labels.tolist()} - {"unclassified"}))
    ids = np.array(list(said), dtype=np.int64)
    texts = np.array(reason)
    return Run(
        name, Method("expert", {"person": name}), classes, ids, labels, abstained, texts, texts, units_path=path,
        supersedes=supersedes,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_kappa_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.choice(list("abcd"), 60, p=[0.5, 0.3, 0.15, 0.05])
    second = np.where(rng.random(60) < 0.6, first, rng.choice(list("abcd"), 60))
    assert cohens_kappa(first, second) == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)


def test_kappa_is_not_defined_where_chance_explains_everything() -> None:
    assert cohens_kappa(["a", "a"], ["a", "a"]) is None
    assert cohens_kappa([], []) is None
    assert fleiss_kappa([["a", "a", "a"]]) is None


def test_fleiss_kappa_of_the_textbook() -> None:
    # 14 raters, 10 subjects, 5 categories (Fleiss 1971, as on many pages): 0.210
    counts = (
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    )  # fmt: skip
    answers = [[str(k) for k, n in enumerate(row) for _ in range(n)] for row in counts]
    assert fleiss_kappa(answers) == pytest.approx(0.210, abs=5e-4)


def test_abstentions_count_apart_and_what_nobody_looked_at_not_at_all() -> None:
    one = run("one", {1: "a", 2: "b", 3: "a", 4: "unclassified", 5: "unclassified", 6: "a", 9: "a"})
    other = run("other", {1: "a", 2: "a", 3: "a", 4: "b", 5: "unclassified", 6: "unclassified", 7: "b"}, skipped=(6,))
    found = measure_agreement([one, other])
    pair = found.pairs[0]
    assert (pair.n_judged, pair.n_labelled, pair.n_same) == (5, 3, 2)
    assert (pair.n_first_only, pair.n_second_only, pair.n_neither) == (0, 1, 1)
    assert pair.kappa == pytest.approx(cohen_kappa_score(["a", "b", "a"], ["a", "a", "a"]))
    assert pair.labels == ("a", "b", "unclassified")
    assert pair.table.tolist() == [[2, 0, 0], [1, 0, 0], [0, 1, 1]]
    assert [(each.unit, each.labels) for each in found.disputed] == [(2, {"one": "b", "other": "a"})]
    assert "not_labelled" in found.notes[0]
    assert "1 unit is in dispute" in str(found)


def test_three_runs_and_what_only_one_could_say() -> None:
    runs = [run("one", {1: "a", 2: "b"}), run("other", {1: "a", 2: "b"}), run("third", {1: "a", 2: "c"})]
    found = measure_agreement(runs)
    assert [(p.first, p.second) for p in found.pairs] == [("one", "other"), ("one", "third"), ("other", "third")]
    assert found.n_fleiss == 2
    assert found.fleiss_kappa == pytest.approx(fleiss_kappa([["a"] * 3, ["b", "b", "c"]]))
    assert any(note.startswith("Only third knows c") for note in found.notes)
    assert "Fleiss' kappa" in str(found)


def test_runs_that_were_superseded_are_only_compared_by_name() -> None:
    runs = [run("old", {1: "a"}), run("new", {1: "b"}, supersedes="old"), run("other", {1: "b"})]
    assert [each.name for each in measure_agreement(runs).runs] == ["new", "other"]
    assert [each.name for each in measure_agreement(runs, ["old", "other"]).runs] == ["old", "other"]


def test_what_cannot_be_compared_is_said() -> None:
    one, other = run("one", {1: "a"}), run("other", {1: "a"}, path="/elsewhere")
    with pytest.raises(InputError, match="Two runs are needed"):
        measure_agreement([one])
    with pytest.raises(UsageError, match="has no run 'none'; it has one, other"):
        measure_agreement([one, other], ["one", "none"])
    with pytest.raises(UsageError, match="different units tables"):
        measure_agreement([one, other])
    with pytest.raises(UsageError, match="named twice"):
        measure_agreement([one, other], ["one", "one"])
