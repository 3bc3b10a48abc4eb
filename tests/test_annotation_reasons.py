"""The words of an answer: its reasons to the letter, its limits to the digit, and what is stored of the method."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

import nwb_celltype as nct
from nwb_celltype.annotation import observed_seconds, same_settings, scope_of, taxonomy_of
from nwb_celltype.classifier import Prediction
from nwb_celltype.features import compute
from nwb_celltype.quality import Scope
from nwb_celltype.runs import Method
from nwb_celltype.taxonomy import CEREBELLUM

from .test_annotation import CLASSES, SPIKE, STEEP, FixedModel, annotate, method, train


@pytest.fixture(scope="module")
def answer() -> nct.Annotation:
    return annotate(FixedModel(), spike_times=[train(0, 400), train(1, 400)], unit_ids=[7, 9])


def detail_of(model: FixedModel, **columns: Any) -> str:
    columns.setdefault("spike_times", [train(0, 400)])
    return str(annotate(model, **columns).reason_detail[0])


# --- limits ----------------------------------------------------------------------------------------------------------


def test_an_answer_at_its_limits_is_given() -> None:
    spikes = [train(0, 400)]
    assert annotate(FixedModel(top=0.5), spike_times=spikes).reason.tolist() == [""]
    assert annotate(FixedModel(ood=0.5), spike_times=spikes).reason.tolist() == [""]
    for threshold in (0, 1):
        assert annotate(FixedModel(top=1.0), spike_times=spikes, threshold=threshold).reason.tolist() == [""]


def test_sentences_about_doubt() -> None:
    assert detail_of(FixedModel(top=0.494)) == "The best class has a probability of 0.49, below 0.50."
    assert detail_of(FixedModel(ood=0.612)) == (
        "Unlike every unit that the model was made from: score 0.61, limit 0.50."
    )


def test_sentences_about_missing_data() -> None:
    samples = np.arange(200.0) * 600
    nothing = annotate(FixedModel(), spike_times=[[], np.arange(20.0), samples])
    assert nothing.reason.tolist() == ["no_modality", "too_few_spikes", "invalid_data"]
    assert nothing.reason_detail.tolist() == [
        "No mean waveform. No spike times.",
        "No mean waveform. Too few inter-spike intervals below 100 ms (0, needed: 30).",
        "Spike times are whole numbers: samples instead of seconds? Correct the units table.",
    ]


def test_what_was_answered_from() -> None:
    assert detail_of(FixedModel()) == "Answered from spike times alone: no mean waveform."
    both = annotate(FixedModel(), spike_times=[train(0, 400)], waveform_mean=[SPIKE], waveform_rate_hz=30_000.0)
    assert both.reason_detail.tolist() == [""]
    shape = annotate(FixedModel(), spike_times=[[]], waveform_mean=[SPIKE], waveform_rate_hz=30_000.0)
    assert shape.reason_detail.tolist() == ["Answered from the waveform alone: no spike times."]


def test_a_filter_is_named_only_where_it_took_the_waveform() -> None:
    two = annotate(
        FixedModel(),
        spike_times=[[], []],
        waveform_mean=[SPIKE, np.zeros(90)],
        waveform_rate_hz=30_000.0,
        session=STEEP,
    )
    assert two.reason.tolist() == ["filter", "no_modality"]
    assert two.reason_detail.tolist() == [
        "The filter (high-pass 1000 Hz) leaves too little of the waveform. No spike times.",
        "The waveform is flat. No spike times.",
    ]


# --- layers and priors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("top", "told"), [(0.968, ""), (0.958, " In the granule cell layer ruled out (given): MLI 0.01.")]
)
def test_a_layer_says_what_it_took_if_it_was_worth_a_word(top: float, told: str) -> None:
    detail = detail_of(FixedModel(top=top), layers={0: "GCL"})
    assert detail == f"Answered from spike times alone: no mean waveform.{told}"


def test_several_classes_are_named_together() -> None:
    detail = detail_of(FixedModel(top=0.6), layers={0: "ML"})
    assert detail.endswith("In the molecular layer ruled out (given): GoC 0.10, MFB 0.10.")


def test_a_doubtful_unit_says_what_its_layer_took_and_a_refused_one_does_not() -> None:
    model, spikes = FixedModel(top=0.3), [train(0, 400)]
    doubtful = annotate(model, spike_times=spikes, layers={0: "GCL"})
    assert doubtful.reason.tolist() == ["low_confidence"]
    assert doubtful.reason_detail[0].endswith("below 0.50. In the granule cell layer ruled out (given): MLI 0.17.")
    strange = annotate(FixedModel(ood=0.9), spike_times=spikes, layers={0: "GCL"})
    assert "ruled out" not in strange.reason_detail[0]


def test_one_unit_outside_the_cortex_leaves_the_others() -> None:
    three = annotate(
        FixedModel(),
        spike_times=[train(k, 400) for k in range(3)],
        layers={0: "not_cortex", 1: "PCL", 2: "not_cortex"},
        quality={"group": ["good", "good", "noise"]},
    )
    assert three.reason.tolist() == ["region", "", "poor_quality"]
    assert three.reason_detail[0] == "It lies outside the cerebellar cortex, according to its layer (given)."
    assert three.reason_detail[1] == "Answered from spike times alone: no mean waveform."
    assert "layer" not in three.reason_detail[2]
    assert three.verdict is not None
    assert three.verdict.status == "typable with caution"
    assert three.verdict.findings[-1].topic == "region"
    assert three.verdict.findings[-1].severity == "abstain"
    assert three.verdict.findings[-1].sentence == (
        "1 of 3 units lie outside the cerebellar cortex, according to their layer."
    )


def test_layers_inside_the_cortex_add_nothing_to_the_verdict() -> None:
    spikes = [train(0, 400)]
    inside = annotate(FixedModel(), spike_times=spikes, layers={0: "PCL"})
    assert inside.verdict == annotate(FixedModel(), spike_times=spikes).verdict
    assert inside.reason.tolist() == [""]


def test_auto_looks_at_units_that_may_be_answered() -> None:
    spikes = [train(k, 400) for k in range(4)]
    some = annotate(
        FixedModel(), spike_times=spikes, prior="auto", quality={"group": ["good", "noise", "good", "good"]}
    )
    assert some.method.fields["parameters"]["prior"]["n_units"] == 3
    at_the_limit = annotate(FixedModel(ood=0.5), spike_times=spikes, prior="auto")
    assert at_the_limit.method.fields["parameters"]["prior"]["n_units"] == 4


def test_what_is_not_known_stays_unknown_under_a_prior() -> None:
    known = annotate(FixedModel(), spike_times=[train(0, 400), []], prior=dict.fromkeys(CLASSES, 1.0) | {"MLI": 3.0})
    assert known.confidence is not None
    assert np.isnan(known.confidence).tolist() == [False, True]
    assert known.reason.tolist() == ["", "no_modality"]


# --- the record ------------------------------------------------------------------------------------------------------


def test_a_record_of_each_unit(answer: nct.Annotation) -> None:
    assert len(answer) == 2
    assert (answer.unit_ids.dtype, answer.unit_ids.tolist()) == (np.int64, [7, 9])
    assert (answer.run_name, answer.description) == ("fixed_1", "Cell types by the model fixed 1.")
    assert answer.taxonomy.labels == CLASSES
    assert answer.confidence_threshold == 0.5
    assert answer.confidence is not None
    assert answer.ood_score is not None
    assert (answer.confidence.dtype, answer.ood_score.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(answer.confidence, 0.9, rtol=1e-6)
    np.testing.assert_allclose(answer.ood_score, 0.1, rtol=1e-6)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(answer.created)).total_seconds()) < 600
    assert len(answer.input_sha256) == 64


def test_records_cannot_be_changed_and_are_equal_to_themselves_alone(answer: nct.Annotation) -> None:
    with pytest.raises(FrozenInstanceError):
        answer.run_name = "other"  # type: ignore[misc]
    assert answer == answer
    assert answer != annotate(FixedModel(), spike_times=[train(0, 400), train(1, 400)], unit_ids=[7, 9])


def test_features_that_are_at_hand_are_used() -> None:
    units = nct.Units.from_arrays([train(0, 400)], region=["Cerebellar cortex"], session=nct.Session(species="mouse"))
    told: list[str] = []
    given = nct.annotate_units(
        units,
        FixedModel(),  # type: ignore[arg-type]
        features=compute(units),
        progress=lambda task, done, n: told.append(task),
    )
    assert told == []
    assert given.cell_type.tolist() == ["PkC_ss"]


class Credulous(FixedModel):
    """A model that gives every unit one of its classes."""

    tells_strangers = False


def test_a_model_that_knows_no_strangers_says_so() -> None:
    spikes = [train(0, 400)]
    waves = {"waveform_mean": [SPIKE], "waveform_rate_hz": 30_000.0}
    trusted = annotate(Credulous(), spike_times=spikes, **waves)
    assert trusted.ood_score is None
    assert trusted.verdict is not None
    assert trusted.verdict.status == "typable with caution"
    assert trusted.verdict.findings[-1].topic == "strangers"
    assert trusted.verdict.findings[-1].sentence.startswith("fixed does not tell units that are unlike those")
    human = annotate(Credulous(), spike_times=spikes, session=nct.Session(species="Homo sapiens"))
    assert human.verdict is not None
    assert human.verdict.status == "not typable"


class Modest(FixedModel):
    """A model that is less sure than its largest probability."""

    def predict(self, features: Any, **more: Any) -> Prediction:
        return replace(super().predict(features, **more), confidence=np.full(features.sizes["unit"], 0.6))


def test_the_confidence_is_that_of_the_model_unless_something_was_weighed() -> None:
    spikes = [train(0, 400)]
    for columns, confidence in (({}, 0.6), ({"prior": "uniform"}, 0.6), ({"layers": {0: "PCL"}}, 0.9)):
        found = annotate(Modest(), spike_times=spikes, **columns).confidence
        assert found is not None
        assert found[0] == pytest.approx(confidence)


def test_the_method_names_data_and_references() -> None:
    model = FixedModel()
    assert annotate(model, spike_times=[train(0, 400)]).method.fields["training_data"] == ""
    model.card |= {
        "training_data": [
            {"name": "one", "sha256": "ab", "licence": "CC0"},
            {"name": "two", "sha256": "cd", "licence": "CC-BY-4.0"},
        ],
        "references": ("doi:10.1/2", "doi:10.3/4"),
    }
    fields = annotate(model, spike_times=[train(0, 400)]).method.fields
    assert fields["training_data"] == "one (sha256 ab, CC0); two (sha256 cd, CC-BY-4.0)"
    assert fields["references"] == ["doi:10.1/2", "doi:10.3/4"]
    assert fields["software_version"] == nct.__version__
    assert fields["confidence_definition"] == "largest calibrated probability"


# --- small parts -----------------------------------------------------------------------------------------------------


def test_the_scope_of_a_card() -> None:
    nothing = scope_of({})
    assert (nothing.species, nothing.tissue) == ((), "")
    assert (nothing.min_sampling_rate_hz, nothing.min_duration_s) == (
        Scope().min_sampling_rate_hz,
        Scope().min_duration_s,
    )
    stated = {"species": ["rat"], "tissue": "CA1", "min_sampling_rate_hz": 12_000, "min_duration_s": 5}
    assert scope_of({"applies_to": stated}) == Scope(("rat",), "CA1", 12_000.0, 5.0)


def test_taxonomies_keep_the_order_of_the_model() -> None:
    assert taxonomy_of(("MLI", "PkC_ss")).labels == ("MLI", "PkC_ss")
    assert taxonomy_of(("MLI", "PkC_ss")).name == CEREBELLUM.name
    mixed = taxonomy_of(("other", "MLI"))
    assert (mixed.labels, mixed.name) == (("other", "MLI"), "free")


def test_shares_may_differ_by_less_than_a_thousandth() -> None:
    def given(share: float) -> Method:
        return method({"prior": {"name": "given", "shares": {"GoC": share, "MFB": 1 - share}}})

    assert same_settings(given(0.4), given(0.4009))
    assert not same_settings(given(0.4), given(0.4011))
    assert not same_settings(given(0.4011), given(0.4))
    other = method({"prior": {"name": "given", "shares": {"GoC": 0.4, "MLI": 0.6}}})
    assert not same_settings(given(0.4), other)
    assert not same_settings(given(0.4), method({"prior": {"name": "auto", "shares": {"GoC": 0.4, "MFB": 0.6}}}))


@pytest.mark.parametrize("stored", ["{", "[1, 2]", "", "null", None, [], "3"])
def test_settings_that_cannot_be_read_are_none(stored: Any) -> None:
    assert same_settings(method(stored), method({}))
    assert not same_settings(method(stored), method({"layers": {"sha256": "a"}}))


def test_the_longest_observed_time_counts() -> None:
    def seconds(*times: Any, **more: Any) -> float | None:
        return observed_seconds(compute(nct.Units.from_arrays(list(times), **more)))

    assert seconds(np.arange(0, 10.1, 0.5), [], np.arange(5, 65.1, 0.5)) == pytest.approx(60)
    assert seconds(np.arange(0, 10.1, 0.5), obs_intervals=[[[0.0, 40.0]]]) == pytest.approx(40)
    assert seconds(np.arange(0, 10.1, 0.5), obs_intervals=[[[50.0, 90.0]]]) is None  # no spike inside
    assert seconds([], []) is None
    assert seconds([1.0]) is None
