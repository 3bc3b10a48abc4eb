"""From recordings to a model folder and its answers."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nwb_celltype as nct
from nwb_celltype.annotation import annotate_units
from nwb_celltype.c4 import C4Model, describe_units, train_c4
from nwb_celltype.c4.fitting import folds_of
from nwb_celltype.c4.pretraining import vary_train
from nwb_celltype.c4.sources import read_recordings
from nwb_celltype.classifier import load_model
from nwb_celltype.errors import InputError, NothingToDoError, UsageError
from nwb_celltype.evaluation import evaluate
from nwb_celltype.label_choice import PredictionsOnlyError

from ..converters.c4.database import mouse, write
from .conftest import TYPES, recording, spikes

SMALL = {"n_runs": 1, "folds": 4, "epochs": 60, "pretraining_epochs": 2, "n_variants": 2}


@pytest.fixture(scope="module")
def trained(labelled_file, tmp_path_factory):
    path, table = labelled_file
    out = tmp_path_factory.mktemp("models") / "mine"
    said = []
    model = train_c4(path, labels=table, out=out, variant="layer", progress=lambda *a: said.append(a), **SMALL)
    return model, out, said


@pytest.fixture(scope="module")
def features(trained, unseen):
    layers = ["PCL"] * 6 + ["ML"] * 3
    return trained[0].compute_features(unseen, layers=layers)


def test_the_folder_is_a_model(trained):
    model, out, said = trained
    loaded = load_model(out)
    assert isinstance(loaded, C4Model)
    assert isinstance(model, C4Model)
    assert loaded.classes == ("MLI", "PkC_ss", "PkC_cs")
    assert loaded.has_layer
    card = json.loads((out / "model.json").read_text())
    assert card["architecture"] == {"kind": "c4", "variant": "layer", "networks": 4, "has_layer": True}
    assert card["name"] == "mine"
    assert card["training"]["n_units"] == 14
    assert card["metrics"]["left out"]["n"] == 14
    assert ("networks", 4, 4) in said
    assert not list(out.parent.glob(".mine*"))
    assert loaded.training_rows is not None
    assert len(loaded.training_rows["waveform"]) == 14


def test_it_knows_new_units(trained, features):
    prediction = trained[0].predict(features)
    kinds = np.repeat(TYPES, 3)
    best = np.array(trained[0].classes)[prediction.probability.argmax(axis=1)]
    assert (best == kinds).mean() >= 8 / 9
    np.testing.assert_allclose(prediction.probability.sum(axis=1), 1)
    assert prediction.used.all()
    assert np.isnan(prediction.ood_score).all()


def test_decisions_are_those_of_the_mean(trained, features):
    model = trained[0]
    prediction, decision = model.predict(features), model.decide(features)
    ranked = np.sort(prediction.probability, axis=1)
    np.testing.assert_allclose(decision.confidence_ratio, ranked[:, -1] / ranked[:, -2])
    np.testing.assert_array_equal(decision.is_kept, decision.confidence_ratio >= 2)
    assert not model.decide(features, ratio=1e9).is_kept.any()
    assert decision.votes.max() <= 4
    assert decision.votes.min() >= 1


def test_units_without_one_of_the_inputs_get_no_answer(trained, unseen):
    import nwb_celltype as nct

    bare = nct.Units.from_arrays([unseen.spike_times[0], unseen.spike_times[1][:80]])
    features = trained[0].compute_features(bare)
    assert "no mean waveform" in str(features.c4_reason.values[0])
    assert "0 spikes in stretches" in str(features.c4_reason.values[1])
    prediction = trained[0].predict(features)
    assert np.isnan(prediction.probability).all()
    assert not prediction.used.any()
    decision = trained[0].decide(features)
    assert decision.cell_type.tolist() == ["", ""]
    assert not decision.is_kept.any()
    assert np.isnan(trained[0].predict(features, modalities=["waveform"]).confidence).all()


def test_features_without_the_inputs_are_refused(trained, features):
    with pytest.raises(InputError, match="compute_features"):
        trained[0].predict(features.drop_vars("c4_acg"))
    with pytest.raises(UsageError, match="no modality 'lfp'"):
        trained[0].predict(features, modalities=["lfp"])


def test_the_layer_changes_the_answer(trained, unseen, features):
    other = trained[0].compute_features(unseen, layers=["GCL"] * 9)
    assert not np.allclose(trained[0].predict(features).probability, trained[0].predict(other).probability)


def test_a_stopped_training_goes_on_and_ends_the_same(trained, labelled_file, tmp_path):
    path, table = labelled_file
    out = tmp_path / "mine"

    def stop(task, done, total):
        if task == "networks" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_c4(path, labels=table, out=out, variant="layer", progress=stop, **SMALL)
    assert (tmp_path / ".mine.training").is_dir()
    again = []
    model = train_c4(path, labels=table, out=out, variant="layer", progress=lambda *a: again.append(a), **SMALL)
    assert model.weights_sha256 == trained[0].weights_sha256
    assert not any(task.startswith("pretraining") for task, _, _ in again)
    assert model.card["training"]["pretraining_mse"] == trained[0].card["training"]["pretraining_mse"]
    assert not (tmp_path / ".mine.training").exists()


def test_it_is_measured_on_recordings_and_on_nothing_less(trained, labelled_file, tmp_path):
    path, table = labelled_file
    seen = tmp_path / "seen.csv"
    seen.write_text(table.read_text().rstrip("\n") + "MLI\n")  # the last unit had no label when it was trained
    result = evaluate(trained[1], path, labels=seen)
    assert (result.scores.n, result.left_out["training_rows"]) == (1, 14)
    assert np.isfinite(result.answers.probability).all()
    assert result.coverage == float(result.answers.confidence[0] >= result.threshold)
    assert set(result.by_modality) == {"waveform+train"}
    counts = {"waveform": np.ones((3, 75)), "waveform_rate_hz": 3e4, "cell_type": ["MLI", "MLI", "PkC_ss"]}
    np.savez(tmp_path / "counts.npz", **counts)
    with pytest.raises(InputError, match=r"counts.npz: mine needs spike times.* as NWB"):
        evaluate(trained[1], tmp_path / "counts.npz")


def test_it_says_that_it_knows_no_strangers(trained, unseen):
    annotation = annotate_units(unseen, trained[0])
    assert annotation.ood_score is None
    said = [finding.sentence for finding in annotation.verdict.findings if finding.topic == "strangers"]
    assert len(said) == 1
    assert "no unit has an ood_score" in said[0]
    assert annotation.verdict.status == "typable with caution"


def test_only_labels_of_the_kind_asked_for_are_learnt_from(labelled_file, tmp_path):
    path, table = labelled_file
    expert = tmp_path / "expert.nwb"
    nct.annotate(path, labels=table, source_type="expert", by="Doe, Jane", out=expert)
    with pytest.raises(PredictionsOnlyError, match=r"no ground truth; it holds .*--labels-are expert"):
        train_c4(expert, out=tmp_path / "m", **SMALL)
    units, _ = read_recordings(expert, labels_are="expert")
    assert sorted(set(units.cell_type.tolist())) == ["", *sorted(TYPES)]
    database = write(tmp_path / "b.h5", [mouse(0, expert_label="MLI")])
    with pytest.raises(PredictionsOnlyError, match="an expert's labels of 1 neurons"):
        read_recordings(database, labels_are="ground_truth")
    assert read_recordings(database, labels_are="expert")[0].cell_type.tolist() == ["MLI"]


def test_the_c4_database_is_read_as_it_is(tmp_path):
    rng = np.random.default_rng(0)
    neurons = []
    for k, kind in enumerate(["PkC_ss", "PkC_ss", "MLI", "MLI", "unlabelled", "MLI"]):
        samples = np.round(spikes("PkC_ss" if kind == "PkC_ss" else "MLI", rng) * 30_000).astype(np.uint32)
        neurons.append(
            mouse(
                k, spike_indices=samples, sane_spikes=np.ones(len(samples)), amplitudes=np.ones(len(samples)),
                fn_fp_filtered_spikes=np.arange(len(samples)) > 50, ground_truth_label=kind,
                ground_truth_source="optotagged", phyllum_layer="PCL" if kind == "PkC_ss" else "ML",
                mli_cluster="cluster 1" if kind == "MLI" else "",
            )
        )  # fmt: skip
    neurons[-1]["phyllum_layer"] = "not_cortex"
    path = write(tmp_path / "C4_database_hull_labelled.h5", neurons)
    units, sources = read_recordings(path)
    assert units.cell_type.tolist() == ["PkC_ss", "PkC_ss", "MLI", "MLI", ""]
    assert units.layer.tolist() == ["PCL", "PCL", "ML", "ML", "ML"]
    assert units.is_complete.all()
    assert sources[0]["n_units"] == 5
    kept = neurons[0]["spike_indices"][51:] / 30_000
    np.testing.assert_array_equal(units.trains[0], kept)
    assert read_recordings(path, subtypes=True)[0].cell_type.tolist()[2] == "MLI_A"
    model = train_c4(path, out=tmp_path / "m", n_runs=1, folds="unit", epochs=2, pretraining_epochs=1, n_variants=1)
    assert model.card["architecture"]["networks"] == 4
    assert model.classes == ("MLI", "PkC_ss")


def test_spikes_of_bad_stretches_are_not_used():
    units = recording(1, 3, seconds=290.0)
    described = describe_units(units)
    assert described.is_complete.all()
    assert (described.layer == "unknown").all()
    for kept, times in zip(described.trains, units.spike_times, strict=True):  # windows begin in whole minutes
        np.testing.assert_array_equal(kept, times[times < 260])


@pytest.mark.parametrize("folds", [3, "unit", "recording"])
def test_every_unit_is_left_out_once(folds):
    labels, groups = np.array([0] * 7 + [1] * 4 + [2] * 2), np.array(list("aaabbbccdddde"))
    parts = list(folds_of(labels, groups, folds, 0))
    assert sorted(np.concatenate([out for _, out in parts])) == list(range(13))
    for train, out in parts:
        assert not set(train) & set(out)
        if folds == "recording":
            assert not set(groups[train]) & set(groups[out])


def test_one_fold_is_none():
    with pytest.raises(UsageError, match="1 fold"):
        list(folds_of(np.array([0, 1]), np.array(["a", "a"]), "recording", 0))


@pytest.mark.parametrize(
    "wrong", [{"variant": "deep"}, {"folds": 1}, {"folds": "mouse"}, {"epochs": 0}, {"pretraining_epochs": -1}]
)
def test_wrong_settings_are_refused_before_anything_is_read(wrong, tmp_path):
    with pytest.raises(UsageError):
        train_c4(tmp_path / "nothing.h5", out=tmp_path / "m", **wrong)


def test_without_labels_there_is_nothing_to_do(tmp_path):
    path = write(tmp_path / "a.h5", [mouse(0)])
    with pytest.raises(NothingToDoError, match="None of 1 units"):
        train_c4(path, out=tmp_path / "m")


def test_one_class_is_not_enough(labelled_file, tmp_path):
    path, table = labelled_file
    one = tmp_path / "one.csv"
    one.write_text("".join(line for line in table.read_text().splitlines(True) if "PkC_cs" in line or "unit" in line))
    with pytest.raises(InputError, match="fewer than 2 classes"):
        train_c4(path, labels=one, out=tmp_path / "m")


def test_variants_of_a_train_keep_the_refractory_time():
    rng = np.random.default_rng(0)
    times = spikes("PkC_ss", rng)
    lengths = set()
    for _ in range(12):
        varied = vary_train(times, rng)
        assert (np.diff(varied) >= 0.001).all()
        lengths.add(np.sign(len(varied) - len(times)))
    assert len(lengths) >= 2
