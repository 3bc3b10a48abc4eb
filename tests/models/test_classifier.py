"""What a model answers: from any modality, whatever the order, amplitude and length of the recording."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_celltype.classifier import Model, load_model, temper
from nwb_celltype.classifier.inputs import read_blocks
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.features import from_counts
from nwb_celltype.features.counts import count_train
from nwb_celltype.labels import LabelledUnits

from .synthetic import RATE_HZ


def accuracy(model: Model, labelled: LabelledUnits, **options: tuple[str, ...]) -> float:
    probability = model.predict(labelled.features, **options).probability
    return float((np.array(model.classes)[probability.argmax(axis=1)] == labelled.cell_type).mean())


def test_every_modality_answers(model: Model, unseen: LabelledUnits) -> None:
    assert accuracy(model, unseen) > 0.95
    assert accuracy(model, unseen, modalities=("waveform",)) > 0.9
    assert accuracy(model, unseen, modalities=("train",)) > 0.9


def test_rows_are_probabilities(model: Model, unseen: LabelledUnits) -> None:
    prediction = model.predict(unseen.features)
    assert prediction.probability.shape == (len(unseen), 3)
    np.testing.assert_allclose(prediction.probability.sum(axis=1), 1)
    np.testing.assert_array_equal(prediction.confidence, prediction.probability.max(axis=1))
    assert ((prediction.ood_score >= 0) & (prediction.ood_score <= 1)).all()
    assert ((prediction.spread >= 0) & (prediction.spread <= 0.5)).all()
    assert prediction.used.all()
    assert len(prediction) == len(unseen)


def test_missing_modalities_are_not_made_up(model: Model, unseen: LabelledUnits) -> None:
    isi, acg = unseen.features["isi_counts"].values, unseen.features["acg_counts"].values
    waveforms = list(unseen.waveforms)
    only_waveform = model.predict(from_counts(waveforms, RATE_HZ))
    only_train = model.predict(from_counts([None] * len(unseen), None, isi, acg))
    nothing = model.predict(from_counts([None] * 2, None))
    assert only_waveform.used[0].tolist() == [True, False]
    assert only_train.used[0].tolist() == [False, True]
    np.testing.assert_allclose(
        only_waveform.probability, model.predict(unseen.features, modalities=["waveform"]).probability, atol=1e-6
    )
    np.testing.assert_allclose(
        only_train.probability, model.predict(unseen.features, modalities=["train"]).probability, atol=1e-6
    )
    for values in (nothing.probability, nothing.confidence, nothing.ood_score, nothing.spread):
        assert np.isnan(values).all()


def test_order_and_company_of_units_do_not_matter(model: Model, unseen: LabelledUnits) -> None:
    order = np.random.default_rng(0).permutation(len(unseen))
    everyone = model.predict(unseen.features)
    shuffled = model.predict(unseen.features.isel(unit=order))
    alone = model.predict(unseen.features.isel(unit=[3]))
    np.testing.assert_array_equal(shuffled.unit_ids, everyone.unit_ids[order])
    np.testing.assert_allclose(shuffled.probability, everyone.probability[order], atol=1e-6)
    np.testing.assert_allclose(shuffled.ood_score, everyone.ood_score[order], atol=1e-6)
    np.testing.assert_allclose(alone.probability[0], everyone.probability[3], atol=1e-6)


def test_amplitude_does_not_matter(model: Model, unseen: LabelledUnits) -> None:
    isi, acg = unseen.features["isi_counts"].values, unseen.features["acg_counts"].values
    for factor in (1e-6, 37.0):
        scaled = from_counts([np.asarray(w, dtype=float) * factor for w in unseen.waveforms], RATE_HZ, isi, acg)
        np.testing.assert_allclose(
            model.predict(scaled).probability, model.predict(unseen.features).probability, atol=1e-4
        )


def test_a_recording_a_tenth_as_long_gives_the_same_answers(model: Model, unseen: LabelledUnits) -> None:
    rng = np.random.default_rng(0)
    isi, acg = unseen.features["isi_counts"].values, unseen.features["acg_counts"].values
    lag = rng.binomial(acg[:, 101:], 0.1)
    shorter = np.concatenate([lag[:, ::-1], np.zeros((len(lag), 1), dtype=int), lag], axis=1)
    features = from_counts([None] * len(unseen), None, rng.binomial(isi, 0.1), shorter)
    assert features["isi_counts"].values.sum(axis=1).max() < 100
    said = np.array(model.classes)[model.predict(features).probability.argmax(axis=1)]
    assert (said == unseen.cell_type).mean() > 0.85


def test_noise_is_far_from_the_training_units(model: Model, unseen: LabelledUnits) -> None:
    rng = np.random.default_rng(0)
    noise = from_counts([rng.normal(size=75) for _ in range(20)], RATE_HZ)
    scores = model.predict(noise).ood_score
    assert (scores[~np.isnan(scores)] > model.ood_threshold).all()
    assert (model.predict(unseen.features).ood_score > model.ood_threshold).mean() < 0.25


def test_features_of_another_version_are_refused(model: Model, unseen: LabelledUnits) -> None:
    other = unseen.features.assign_attrs(feature_spec_version="0")
    with pytest.raises(InputError, match="needs features of version"):
        model.predict(other)
    with pytest.raises(UsageError, match="no modality 'layer'"):
        model.predict(unseen.features, modalities=["layer"])


def test_temper() -> None:
    p = np.array([[0.7, 0.2, 0.1], [np.nan] * 3])
    np.testing.assert_allclose(temper(p, 1.0)[0], p[0])
    sharp, flat = temper(p, 0.5)[0], temper(p, 2.0)[0]
    np.testing.assert_allclose(sharp, p[0] ** 2 / (p[0] ** 2).sum())
    assert sharp[0] > p[0, 0] > flat[0]
    assert np.isnan(temper(p, 0.5)[1]).all()


def test_a_thousand_units_are_answered_in_one_call() -> None:
    rng = np.random.default_rng(0)
    t = np.arange(-30, 45) / 30
    counts = count_train(np.cumsum(0.003 + rng.gamma(2, 0.01, 3000)))
    isi, acg = np.tile(counts.isi_counts, (1000, 1)), np.tile(counts.acg_counts, (1000, 1))
    features = from_counts(
        [-np.exp(-((t / 0.1) ** 2)) + 0.01 * rng.normal(size=75) for _ in range(1000)], RATE_HZ, isi, acg
    )
    shipped = load_model("cerebellum")
    prediction = shipped.predict(features)
    assert prediction.used.all()


def test_counts_and_amplitude_are_no_input(unseen: LabelledUnits) -> None:
    isi, acg = unseen.features["isi_counts"].values, unseen.features["acg_counts"].values
    longer = from_counts([np.asarray(w) * 3 for w in unseen.waveforms], RATE_HZ, isi * 1000, acg * 1000)
    longest = from_counts(list(unseen.waveforms), RATE_HZ, isi * 4000, acg * 4000)
    one, other = read_blocks(longer), read_blocks(longest)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=2e-3)
