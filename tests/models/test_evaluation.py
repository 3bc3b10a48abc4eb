"""Evaluation: the figures of scikit-learn, without the units that the model was trained on."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

from nwb_celltype.classifier import Model
from nwb_celltype.errors import InputError, NothingToDoError, UsageError
from nwb_celltype.evaluation import (
    Evaluation,
    compare,
    cross_validate,
    evaluate,
    score,
    training_overlap,
    transfer,
    write_evaluation,
)
from nwb_celltype.evaluation.scores import resampled_balanced_accuracy, share_interval
from nwb_celltype.labels import LabelledUnits, read_labelled
from nwb_celltype.training import Settings

from .synthetic import make_arrays, save

KEYS = {
    "balanced_accuracy", "macro_f1", "accuracy", "coverage", "accuracy_kept", "ece", "per_class", "n", "n_left_out",
    "left_out", "n_repeated", "by_modality", "reliability", "recall_interval",
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
    settings = Settings(members=1, epochs=40, n_variants=2, trees=20, strangers=30)
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
    settings = Settings(members=1, epochs=20, n_variants=2, trees=20, strangers=30)
    scores = transfer(learnt, replace(unseen, source=learnt.source), classes=["fast", "slow"], settings=settings)
    assert scores.n == 16


def test_units_that_nothing_can_be_said_about_are_wrong(tmp_path: Path) -> None:
    only_waveforms = read_labelled(save(tmp_path / "w.npz", make_arrays(6, 0, with_trains=False)))
    arrays = make_arrays(6, 1)
    arrays["waveform"][:] = np.nan
    only_trains = read_labelled(save(tmp_path / "t.npz", arrays))
    settings = Settings(members=1, epochs=5, n_variants=1, trees=20, strangers=30)
    scores = transfer(only_waveforms, only_trains, classes=["fast", "slow"], settings=settings)
    assert (scores.n, scores.accuracy) == (12, 0)


@pytest.fixture(scope="session")
def measured(model: Model, unseen: LabelledUnits) -> Evaluation:
    """Figures that are not perfect, of units of eight recordings."""
    return evaluate(model, in_recordings(mislabelled(unseen)))


def in_recordings(labelled: LabelledUnits, n: int = 8) -> LabelledUnits:
    return replace(labelled, groups=np.array([f"day {k % n}" for k in range(len(labelled))]))


def test_a_file_given_twice_is_counted_once(model: Model, tmp_path: Path) -> None:
    path = save(tmp_path / "units.npz", make_arrays(8, 2))
    once = evaluate(model, path)
    copy = Path(shutil.copyfile(path, tmp_path / "copy.npz"))
    again = evaluate(model, [path, str(path), tmp_path / ".." / tmp_path.name / "units.npz", copy])
    assert again.scores == once.scores
    assert (once.n_repeated, once.repeated) == (0, ())
    assert again.n_repeated == 72
    assert again.repeated[-1] == str(copy)
    assert len(again.repeated) == 3
    plain = again.to_json()
    assert (plain["n"], plain["n_left_out"], plain["n_repeated"]) == (24, 0, 72)


def test_units_that_another_file_has_are_counted_once(model: Model, tmp_path: Path) -> None:
    arrays, others = make_arrays(8, 2), make_arrays(4, 3)
    arrays["waveform"][0], arrays["isi_counts"][0], arrays["acg_counts"][0] = np.nan, 0, 0
    others["waveform"][0], others["isi_counts"][0], others["acg_counts"][0] = np.nan, 0, 0
    for name in ("waveform", "isi_counts", "acg_counts"):
        others[name][3] = arrays[name][3]
    result = evaluate(model, [save(tmp_path / "a.npz", arrays), save(tmp_path / "b.npz", others)])
    assert (result.scores.n, result.n_repeated, result.repeated) == (35, 1, ())


def test_each_modality_alone(model: Model, measured: Evaluation, unseen: LabelledUnits, tmp_path: Path) -> None:
    truth = mislabelled(unseen).cell_type
    for name in ("waveform", "train"):
        said = model.predict(unseen.features, modalities=[name]).probability.argmax(axis=1)
        found = measured.by_modality[name]
        assert found.scores == score(truth, np.array(model.classes)[said])
        assert found.interval[0] <= found.scores.balanced_accuracy <= found.interval[1]
    assert measured.by_modality["waveform+train"].scores == measured.scores
    assert measured.by_modality["waveform+train"].ece == pytest.approx(measured.ece)
    waves = evaluate(model, save(tmp_path / "w.npz", make_arrays(8, 2, with_trains=False)))
    assert set(waves.by_modality) == {"waveform"}
    assert waves.by_modality["waveform"].scores == waves.scores


def test_reliability_and_curve_are_those_of_the_figures(measured: Evaluation) -> None:
    bins = measured.reliability()
    assert sum(row["n"] for row in bins) == 24
    gaps = [row["n"] * abs(row["confidence"] - row["accuracy"]) for row in bins]
    assert sum(gaps) / 24 == pytest.approx(measured.ece)
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in bins)
    curve = measured.curve()
    assert curve[-1]["coverage"] == 1
    assert curve[-1]["accuracy"] == pytest.approx(measured.scores.accuracy)
    assert np.all(np.diff([row["coverage"] for row in curve]) > 0)
    assert np.all(np.diff([row["threshold"] for row in curve]) < 0)


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (3, 7), (9, 10), (12, 12)])
def test_intervals_of_shares(hits: int, n: int) -> None:
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert share_interval(hits, n) == pytest.approx((expected.low, expected.high))


def test_recordings_are_drawn_whole() -> None:
    truth = np.array(["a", "b"] * 10)
    groups = np.repeat(["one", "two"], 10)
    right = np.stack([groups == "one", np.ones(20, bool)])
    drawn = resampled_balanced_accuracy(truth, right, groups)
    assert set(drawn[0].tolist()) == {0, 0.5, 1}
    assert 0.2 < (drawn[0] == 1).mean() < 0.3
    assert set(drawn[1].tolist()) == {1}
    spread = resampled_balanced_accuracy(truth, right, np.full(20, ""))[0]
    assert spread.std() == pytest.approx((0.25 / 20) ** 0.5, rel=0.1)


def test_the_interval_over_recordings(model: Model, unseen: LabelledUnits, measured: Evaluation) -> None:
    assert measured.recording_interval is not None
    low, high = measured.recording_interval
    assert low < measured.scores.balanced_accuracy < high
    assert measured.to_json()["n_recordings"] == 8
    alone = evaluate(model, in_recordings(unseen, 1))
    assert alone.recording_interval is None
    assert alone.to_json()["balanced_accuracy_interval_over_recordings"] is None


def changed(evaluation: Evaluation, rows: list[int], **fields: object) -> Evaluation:
    """An evaluation of a model that says something else about some units."""
    answer = evaluation.answers.answer.copy()
    names = np.array(evaluation.classes)
    for k in rows:
        right = evaluation.answers.truth[k]
        answer[k] = names[names != right][0] if answer[k] == right else right
    return replace(evaluation, answers=replace(evaluation.answers, answer=answer, **fields))


def test_two_models_on_the_same_units(measured: Evaluation) -> None:
    right = measured.answers.is_right
    worse = changed(measured, np.flatnonzero(right)[:8].tolist() + np.flatnonzero(~right)[:1].tolist())
    found = compare(measured, worse)
    assert found.n == 24
    assert (found.only_first, found.only_second) == (8, 1)
    assert found.n_answered == int(measured.answers.is_answered.sum())
    assert found.p_mcnemar == pytest.approx(2 * (1 + 9) / 2**9)
    assert found.difference == pytest.approx(
        measured.scores.balanced_accuracy - score(worse.answers.truth, worse.answers.answer).balanced_accuracy
    )
    assert found.interval[0] < found.difference < found.interval[1]
    assert found.p_difference < 0.05
    assert found.drawn == "8 recordings or subjects"
    back = compare(worse, measured)
    assert (back.difference, back.p_mcnemar) == (-found.difference, found.p_mcnemar)
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert "exact" in plain["tests"]["p_mcnemar"]


def test_a_model_is_not_better_than_itself(measured: Evaluation) -> None:
    found = compare(measured, measured)
    assert (found.difference, found.p_mcnemar, found.p_difference) == (0, 1, 1)
    assert found.interval == (0, 0)


def test_units_that_either_abstains_on_do_not_count_for_mcnemar(measured: Evaluation) -> None:
    rows = np.flatnonzero(measured.answers.is_right)[:4]
    silent = np.ones(24, bool)
    silent[rows[:3]] = False
    found = compare(replace(measured, answers=replace(measured.answers, is_answered=silent)),
                    changed(measured, rows.tolist(), is_answered=np.ones(24, bool)))  # fmt: skip
    assert (found.n_answered, found.only_first, found.only_second) == (21, 1, 0)


def test_one_recording_is_drawn_unit_by_unit(model: Model, unseen: LabelledUnits) -> None:
    one = evaluate(model, in_recordings(mislabelled(unseen), 1))
    found = compare(one, changed(one, [0, 1, 2, 3]))
    assert found.drawn.startswith("units")
    assert found.interval[0] < found.interval[1]


def test_only_units_of_both_are_compared(model: Model, measured: Evaluation, tmp_path: Path) -> None:
    others = evaluate(model, save(tmp_path / "others.npz", make_arrays(4, 9)))
    with pytest.raises(NothingToDoError, match="No unit was measured with both small and small"):
        compare(measured, others)
    keys = measured.answers.keys
    found = compare(measured, replace(others, answers=replace(others.answers, keys=keys[:4] + others.answers.keys[4:])))
    assert found.n == 4


def test_the_files_hold_the_figures(measured: Evaluation, tmp_path: Path) -> None:
    second = changed(measured, [0, 1, 2])
    written = write_evaluation(tmp_path / "out", measured, other=second, comparison=compare(measured, second))
    assert {path.name for path in written} == {path.name for path in (tmp_path / "out").iterdir()}
    said = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert said.pop("compared_with") == json.loads(json.dumps(second.to_json()))
    assert said.pop("comparison") == json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert said == json.loads(json.dumps(measured.to_json()))

    def rows(name: str) -> list[dict[str, str]]:
        with (tmp_path / "out" / name).open(newline="") as file:
            return list(csv.DictReader(file))

    units = rows("units.csv")
    assert [row["cell_type"] for row in units] == measured.answers.truth.tolist()
    assert np.mean([row["cell_type"] == row["answer"] for row in units]) == pytest.approx(measured.scores.accuracy)
    confusion = [[int(row[name]) for name in measured.classes] for row in rows("confusion.csv")]
    assert confusion == measured.confusion.tolist()
    assert float(rows("classes.csv")[0]["recall"]) == pytest.approx(measured.per_class["fast"].recall, abs=1e-5)
    assert [row["modalities"] for row in rows("modalities.csv")] == ["waveform", "train", "waveform+train"]
    assert len(rows("risk_coverage.csv")) == len(measured.curve())
    assert len(rows("reliability.csv")) == len(measured.reliability())
    drawn = [path for path in written if path.suffix == ".png"]
    assert [path.stem for path in drawn] == ["confusion", "reliability", "risk_coverage", "classes", "modalities"]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000 for path in drawn)


def test_files_of_an_evaluation_that_says_little(model: Model, unseen: LabelledUnits, tmp_path: Path) -> None:
    only_one = replace(unseen.take(unseen.cell_type == "fast"), source="=1+1")
    written = write_evaluation(tmp_path, evaluate(model, only_one, threshold=1.0))
    assert "'=1+1" in next(path for path in written if path.name == "units.csv").read_text()
    classes = next(path for path in written if path.name == "classes.csv").read_text().splitlines()
    assert classes[2].startswith("regular,0,,,,")


def test_files_need_a_place_and_figures_matplotlib(
    measured: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="Name another folder"):
        write_evaluation(tmp_path / "file", measured, plots=False)
    monkeypatch.setattr("nwb_celltype.evaluation.plots.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'nwb-celltype\[report\]'"):
        write_evaluation(tmp_path / "out", measured)
    assert not (tmp_path / "out").exists()
    assert len(write_evaluation(tmp_path / "out", measured, plots=False)) == 7
