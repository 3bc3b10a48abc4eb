"""Evaluation: the figures of scikit-learn, without the units that the model was trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

from nwb_celltype.classifier import Model
from nwb_celltype.errors import InputError, NothingToDoError, UsageError
from nwb_celltype.evaluation import cross_validate, evaluate, score, training_overlap, transfer
from nwb_celltype.labels import LabelledUnits, read_labelled
from nwb_celltype.training import Settings

from .synthetic import make_arrays, save

KEYS = {
    "balanced_accuracy", "macro_f1", "accuracy", "coverage", "accuracy_kept", "ece", "per_class", "n", "n_left_out",
    "left_out",
}  # fmt: skip


def mislabelled(labelled: LabelledUnits) -> LabelledUnits:
    """Every fourth label moved, so that no figure is perfect."""
    cell_type = labelled.cell_type.copy()
    cell_type[::4] = np.roll(cell_type, 1)[::4]
    return replace(labelled, cell_type=cell_type)


def test_figures_are_those_of_scikit_learn(model: Model, unseen: LabelledUnits) -> None:
    labelled = mislabelled(unseen)
    result = evaluate(model, labelled)
    truth = labelled.cell_type
    said = np.array(model.classes)[model.predict(labelled.features).probability.argmax(axis=1)]
    assert result.scores.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, said))
    assert result.scores.macro_f1 == pytest.approx(f1_score(truth, said, average="macro"))
    assert result.scores.accuracy == pytest.approx((truth == said).mean())
    names = list(model.classes)
    np.testing.assert_array_equal(result.confusion, confusion_matrix(truth, said, labels=names))
    for k, name in enumerate(names):
        one = result.per_class[name]
        assert one.recall == pytest.approx(recall_score(truth, said, labels=names, average=None)[k])
        assert one.precision == pytest.approx(precision_score(truth, said, labels=names, average=None)[k])
    low, high = result.interval
    assert low < result.scores.balanced_accuracy < high


def test_score_counts_classes_that_were_only_answered() -> None:
    truth, said = ["a", "a", "b"], ["a", "c", "b"]
    assert score(truth, said).macro_f1 == pytest.approx(f1_score(truth, said, average="macro"))
    assert score(truth, said).balanced_accuracy == pytest.approx(0.75)
    with pytest.raises(UsageError, match="at least one"):
        score([], [])


def test_json_has_what_others_build_on(model: Model, unseen: LabelledUnits) -> None:
    plain = json.loads(json.dumps(evaluate(model, unseen, threshold=0.0).to_json(), allow_nan=False))
    assert plain.keys() >= KEYS
    assert plain["n"] == 24
    assert plain["n_left_out"] == 0
    assert plain["per_class"]["fast"].keys() == {"n", "recall", "precision", "f1", "coverage"}
    assert plain["coverage"] >= evaluate(model, unseen, threshold=0.999).coverage


def test_nothing_answered_is_no_accuracy(model: Model, unseen: LabelledUnits) -> None:
    result = evaluate(model, unseen, threshold=1.0)
    assert result.coverage == 0
    assert result.to_json()["accuracy_kept"] is None


def test_training_rows_are_left_out(model: Model, learnt: LabelledUnits, unseen: LabelledUnits, tmp_path: Path) -> None:
    both = evaluate(model, [learnt, unseen])
    assert both.left_out == {"unlabeled": 0, "unknown_class": 0, "training_rows": 36}
    assert both.scores == evaluate(model, unseen).scores
    arrays = make_arrays(12, 1)
    renamed = {**arrays, "waveform": np.random.default_rng(0).normal(size=arrays["waveform"].shape)}
    only_trains = read_labelled(save(tmp_path / "renamed.npz", renamed))
    assert training_overlap(model, only_trains).all()


def test_rows_without_a_known_label_are_left_out(model: Model, unseen: LabelledUnits) -> None:
    cell_type = unseen.cell_type.copy()
    cell_type[:3], cell_type[3:5] = "", "GoC"
    result = evaluate(model, replace(unseen, cell_type=cell_type.astype("<U8")))
    assert result.left_out == {"unlabeled": 3, "unknown_class": 2, "training_rows": 0}
    assert result.to_json()["n_left_out"] == 5
    assert result.scores.n == 19


def test_a_unit_that_cannot_be_described_is_not_right(model: Model, tmp_path: Path) -> None:
    arrays = make_arrays(8, 2)
    arrays["waveform"][0] = np.nan
    arrays["isi_counts"][0] = arrays["acg_counts"][0] = 0
    result = evaluate(model, save(tmp_path / "units.npz", arrays))
    assert result.scores.n == 24
    assert result.scores.accuracy <= 23 / 24
    assert result.confusion.sum() == 23


def test_nothing_left_says_why(model: Model, learnt: LabelledUnits) -> None:
    with pytest.raises(NothingToDoError, match=r"Of 36 units none is left .* 0 have no label, .* trained on 36"):
        evaluate(model, learnt)


def test_wrong_calls(model: Model, unseen: LabelledUnits, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        evaluate(model, unseen, threshold=2)
    with pytest.raises(InputError, match="does not exist"):
        evaluate(model, tmp_path / "none.npz")
    with pytest.raises(UsageError, match="'contiguous' or 'stratified'"):
        cross_validate(unseen, classes=["fast", "slow"], folds="random", settings=Settings(n_variants=1))


def test_cross_validation(learnt: LabelledUnits) -> None:
    settings = Settings(members=1, epochs=40, n_variants=2)
    for folds in ("contiguous", "stratified"):
        assert cross_validate(learnt, classes=["fast", "slow"], folds=folds, settings=settings).accuracy > 0.9


def test_trains_of_a_few_spikes_are_not_the_same_unit(model: Model, unseen: LabelledUnits, tmp_path: Path) -> None:
    arrays = make_arrays(8, 2)
    for name, bins in (("isi_counts", [30]), ("acg_counts", [71, 131])):
        arrays[name][0] = 0
        arrays[name][0, bins] = 1
    labelled = read_labelled(save(tmp_path / "units.npz", arrays))
    rows = {"train": frozenset(labelled.part_sha256[:1, 1].tolist())}
    assert not training_overlap(replace(model, training_rows=rows), labelled).any()
    rows = {"waveform": frozenset(labelled.part_sha256[:1, 0].tolist())}
    assert training_overlap(replace(model, training_rows=rows), labelled).sum() == 1


def test_transfer_between_files_of_one_name(learnt: LabelledUnits, unseen: LabelledUnits) -> None:
    settings = Settings(members=1, epochs=20, n_variants=2)
    scores = transfer(learnt, replace(unseen, source=learnt.source), classes=["fast", "slow"], settings=settings)
    assert scores.n == 16


def test_units_that_nothing_can_be_said_about_are_wrong(tmp_path: Path) -> None:
    only_waveforms = read_labelled(save(tmp_path / "w.npz", make_arrays(6, 0, with_trains=False)))
    arrays = make_arrays(6, 1)
    arrays["waveform"][:] = np.nan
    only_trains = read_labelled(save(tmp_path / "t.npz", arrays))
    settings = Settings(members=1, epochs=5, n_variants=1)
    scores = transfer(only_waveforms, only_trains, classes=["fast", "slow"], settings=settings)
    assert (scores.n, scores.accuracy) == (12, 0)
