"""Which units get an answer, and which reason the others get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import nwb_celltype as nct
from nwb_celltype.annotation import same_settings
from nwb_celltype.classifier import Prediction
from nwb_celltype.errors import UsageError
from nwb_celltype.runs import Method

TIME_MS = np.arange(-30, 60) / 30
SPIKE = -np.exp(-0.5 * (TIME_MS / 0.09) ** 2) + 0.35 * np.exp(-0.5 * ((TIME_MS - 0.4) / 0.3) ** 2)
CLASSES = ("PkC_ss", "PkC_cs", "MLI", "GoC", "MFB")


def train(seed: int = 0, n: int = 6000, isi_s: float = 0.012) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(0.003 + rng.gamma(3, (isi_s - 0.003) / 3, n))


class FixedModel:
    """A model whose answers the test chooses: it stands for any loaded model."""

    default_threshold = 0.5
    ood_threshold = 0.5
    weights_sha256 = "0" * 64
    classes = CLASSES
    tells_strangers = True

    modalities: ClassVar[dict[str, tuple[str, ...]]] = {"waveform": ("waveform",), "train": ("acg",)}

    def __init__(self, top: float = 0.9, ood: float = 0.1, applies_to: dict[str, Any] | None = None) -> None:
        self.top, self.ood = top, ood
        self.card = {
            "name": "fixed",
            "version": "1",
            "licence": "BSD-3-Clause",
            "feature_spec_version": nct.features.FEATURE_SPEC_VERSION,
            "applies_to": {"species": ["mouse"], "tissue": "cerebellar_cortex"} if applies_to is None else applies_to,
        }

    def predict(self, features: Any, *, modalities: Any = ("waveform", "train")) -> Prediction:
        has = [(features[f"{name}_reason"].values == "") & (name in modalities) for name in ("waveform", "train")]
        there = has[0] | has[1]
        row = np.array([self.top, *[(1 - self.top) / 4] * 4])
        probability = np.where(there[:, None], row, np.nan)
        confidence = np.where(there, self.top, np.nan)
        ood = np.where(there, self.ood, np.nan)
        used = np.repeat(there[:, None], 2, axis=1)
        ids = features["unit"].values
        return Prediction(ids, CLASSES, probability, confidence, ood, 0 * confidence, ("waveform", "train"), used)


def annotate(model: FixedModel, **columns: Any) -> nct.Annotation:
    columns.setdefault("spike_times", [train()])
    columns.setdefault("session", nct.Session(species="Mus musculus"))
    columns.setdefault("region", ["Cerebellar cortex"] * len(columns["spike_times"]))
    options = {key: columns.pop(key) for key in ("threshold", "prior", "layers") if key in columns}
    return nct.annotate_units(nct.Units.from_arrays(**columns), model, **options)  # type: ignore[arg-type]


def test_a_good_unit_gets_its_best_class() -> None:
    annotation = annotate(FixedModel(), waveform_mean=[SPIKE], waveform_rate_hz=30_000.0)
    assert annotation.cell_type.tolist() == ["PkC_ss"]
    assert annotation.reason.tolist() == [""]
    assert annotation.reason_detail.tolist() == [""]
    assert annotation.probability is not None
    assert annotation.probability.dtype == np.float32


@pytest.mark.parametrize(
    ("model", "columns", "reason", "says"),
    [
        (FixedModel(), {"session": nct.Session(species="Homo sapiens")}, "species", "human"),
        (FixedModel(), {"region": ["CA1"]}, "region", "CA1"),
        (FixedModel(), {"quality": {"group": ["noise"]}}, "poor_quality", "noise"),
        (FixedModel(), {"spike_times": [train()[::-1]]}, "invalid_data", "not sorted"),
        (FixedModel(), {"spike_times": [np.array([0.1, np.nan, 0.3])]}, "invalid_data", "NaN"),
        (FixedModel(), {"spike_times": [train() - 1.0]}, "invalid_data", "negative"),
        (FixedModel(), {"spike_times": [np.arange(20.0)]}, "too_few_spikes", "intervals below 100 ms"),
        (FixedModel(), {"spike_times": [[]]}, "no_modality", "No spike times"),
        (FixedModel(ood=0.51), {}, "out_of_distribution", "0.51"),
        (FixedModel(top=0.49), {}, "low_confidence", "0.49"),
        (FixedModel(top=0.9), {"threshold": 0.95}, "low_confidence", "below 0.95"),
    ],
)
def test_each_reason(model: FixedModel, columns: dict[str, Any], reason: str, says: str) -> None:
    annotation = annotate(model, **columns)
    assert annotation.cell_type.tolist() == ["unclassified"]
    assert annotation.is_abstained.all()
    assert annotation.reason.tolist() == [reason]
    assert says in annotation.reason_detail[0]


def test_the_first_reason_that_holds_is_given() -> None:
    annotation = annotate(FixedModel(top=0.3, ood=0.9), region=["CA1"], session=nct.Session(species="Homo sapiens"))
    assert annotation.reason.tolist() == ["species"]


def test_probabilities_are_kept_where_the_model_abstains() -> None:
    annotation = annotate(FixedModel(), region=["CA1"])
    assert annotation.probability is not None
    assert annotation.probability.sum() == pytest.approx(1)


def test_few_spikes_mask_the_spikes_and_not_the_unit() -> None:
    annotation = annotate(
        FixedModel(), spike_times=[np.arange(1.0, 46.0)], waveform_mean=[SPIKE], waveform_rate_hz=25_000.0
    )
    assert annotation.cell_type.tolist() == ["PkC_ss"]
    assert annotation.reason_detail[0].startswith("Answered from the waveform alone: too few inter-spike intervals")


def test_an_unknown_species_and_region_are_flagged_and_answered() -> None:
    annotation = annotate(FixedModel(), session=nct.Session(), region=[""])
    assert annotation.cell_type.tolist() == ["PkC_ss"]
    assert annotation.verdict is not None
    assert annotation.verdict.status == "typable with caution"
    assert {f.topic for f in annotation.verdict.findings} == {"species", "region", "modality"}


def test_a_model_that_states_no_scope_judges_no_species_and_no_region() -> None:
    annotation = annotate(FixedModel(applies_to={}), session=nct.Session(species="Homo sapiens"), region=["CA1"])
    assert annotation.cell_type.tolist() == ["PkC_ss"]


def test_the_method_says_what_spoke() -> None:
    annotation = annotate(FixedModel(), threshold=0.7)
    fields = annotation.method.fields
    assert annotation.method.source_type == "classifier"
    assert (fields["model_name"], fields["model_version"], fields["weights_sha256"]) == ("fixed", "1", "0" * 64)
    assert fields["parameters"] == {"threshold": 0.7, "ood_threshold": 0.5}
    assert annotation.confidence_threshold == 0.7


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_probability(threshold: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        annotate(FixedModel(), threshold=threshold)


def test_the_order_of_units_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    trains = [train(seed, isi_s=isi) for seed, isi in ((0, 0.01), (1, 0.04), (2, 0.08))]
    waves = [SPIKE * rng.uniform(20, 300) for _ in trains]
    forwards = nct.annotate_units(
        nct.Units.from_arrays(trains, waveform_mean=waves, waveform_rate_hz=30_000.0, unit_ids=[1, 2, 3])
    )
    backwards = nct.annotate_units(
        nct.Units.from_arrays(trains[::-1], waveform_mean=waves[::-1], waveform_rate_hz=30_000.0, unit_ids=[3, 2, 1])
    )
    assert forwards.probability is not None
    assert backwards.probability is not None
    np.testing.assert_allclose(forwards.probability, backwards.probability[::-1], atol=1e-6)


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    units = nct.Units.from_arrays([train(), train(1)])
    nct.annotate_units(units, FixedModel(), progress=lambda *step: told.append(step))  # type: ignore[arg-type]
    assert told == [("features", 1, 2), ("features", 2, 2)]


STEEP = nct.Session(species="mouse", filtering=("Butterworth high-pass 1000 Hz, 4th order",))


def test_waveforms_behind_a_filter_that_ruins_them_are_not_used() -> None:
    annotation = annotate(FixedModel(), waveform_mean=[SPIKE], waveform_rate_hz=30_000.0, session=STEEP)
    assert annotation.cell_type.tolist() == ["PkC_ss"]
    assert annotation.reason_detail[0] == (
        "Answered from spike times alone: the filter (high-pass 1000 Hz) leaves too little of the waveform."
    )
    assert annotation.verdict is not None
    assert "only spike times are used" in annotation.verdict.sentence


def test_a_unit_with_nothing_but_such_a_waveform_abstains_because_of_the_filter() -> None:
    annotation = annotate(
        FixedModel(), spike_times=[[]], waveform_mean=[SPIKE], waveform_rate_hz=30_000.0, session=STEEP
    )
    assert annotation.reason.tolist() == ["filter"]
    assert "leaves too little of the waveform" in annotation.reason_detail[0]


def test_a_prior_is_applied_and_stored(tmp_path: Path) -> None:
    rare = {"PkC_ss": 1, "PkC_cs": 96, "MLI": 1, "GoC": 1, "MFB": 1}
    annotation = annotate(FixedModel(top=0.6), prior=rare)
    assert annotation.cell_type.tolist() == ["PkC_cs"]
    assert annotation.probability is not None
    assert annotation.probability[0, 1] == pytest.approx(9.6 / (0.6 + 9.6 + 0.3), abs=1e-6)
    assert annotation.confidence is not None
    assert annotation.confidence[0] == annotation.probability[0].max()
    stored = annotation.method.fields["parameters"]["prior"]
    assert (stored["name"], stored["shares"]["PkC_cs"]) == ("given", 0.96)
    table = tmp_path / "weights.csv"
    table.write_text("cell_type,weight\n" + "\n".join(f"{k},{v}" for k, v in rare.items()))
    from_file = annotate(FixedModel(top=0.6), prior=table)
    assert from_file.method.fields["parameters"]["prior"]["name"] == "weights.csv"
    np.testing.assert_array_equal(from_file.probability, annotation.probability)  # type: ignore[arg-type]


def test_uniform_is_what_the_model_says() -> None:
    plainly, asked = annotate(FixedModel()), annotate(FixedModel(), prior="uniform")
    np.testing.assert_array_equal(plainly.probability, asked.probability)  # type: ignore[arg-type]
    assert plainly.method.fields == asked.method.fields


def test_auto_stores_what_it_found() -> None:
    annotation = annotate(FixedModel(), spike_times=[train(k) for k in range(3)], prior="auto")
    stored = annotation.method.fields["parameters"]["prior"]
    assert (stored["name"], stored["n_units"]) == ("auto", 3)
    assert stored["shares"]["PkC_ss"] > stored["shares"]["MLI"]


def test_a_layer_rules_classes_out() -> None:
    units = {"spike_times": [train(0), train(1)], "unit_ids": [4, 6]}
    annotation = annotate(FixedModel(top=0.6), layers={4: "GrC_layer"}, **units)
    assert annotation.probability is not None
    assert annotation.probability[0, CLASSES.index("MLI")] == 0
    assert annotation.probability[0].sum() == pytest.approx(1)
    assert annotation.reason_detail.tolist()[0].endswith("In the granule cell layer ruled out (given): MLI 0.10.")
    assert "ruled out" not in annotation.reason_detail[1]
    stored = annotation.method.fields["parameters"]["layers"]
    assert (stored["source"], stored["units"]) == ("given", {"GCL": 1})


def test_a_unit_in_no_layer_is_not_typed() -> None:
    annotation = annotate(FixedModel(), layers={0: "not_cortex"})
    assert annotation.reason.tolist() == ["region"]
    assert "outside the cerebellar cortex, according to its layer" in annotation.reason_detail[0]
    assert annotation.verdict is not None
    assert annotation.verdict.status == "not typable"


def test_nothing_is_left_by_layer_and_prior() -> None:
    only = dict.fromkeys(CLASSES, 0.0) | {"MLI": 1.0}
    annotation = annotate(FixedModel(), layers={0: "GCL"}, prior=only)
    assert annotation.reason.tolist() == ["low_confidence"]
    assert annotation.reason_detail[0].startswith("The layer and the prior together rule out every class.")


def test_spikes_of_other_cells_are_flagged_and_answered() -> None:
    rng = np.random.default_rng(5)
    mixed = np.sort(np.concatenate([train(), rng.uniform(0, 70, 3000)]))
    annotation = annotate(FixedModel(), spike_times=[mixed])
    assert annotation.cell_type.tolist() == ["PkC_ss"]
    assert "of its spikes are of other cells" in annotation.reason_detail[0]
    assert annotation.verdict is not None
    assert "1 of 1 units hold an estimated 20% or more of other cells' spikes." in annotation.verdict.sentence


class LayeredModel(FixedModel):
    """A model that has the layer among its inputs, and computes its own features."""

    def compute_features(self, units: nct.Units, *, layers: Any = None, progress: Any = None) -> Any:
        self.layers = layers
        return nct.features.compute(units, progress=progress)


def test_a_model_that_reads_the_layer_gets_it() -> None:
    model = LayeredModel()
    annotate(model, spike_times=[train(0), train(1)], layers={1: "GrC_layer"})
    assert model.layers == ["unknown", "GCL"]
    annotate(model, spike_times=[train(0)], layers="ignore")
    assert model.layers == ["unknown"]


def method(parameters: Any) -> Method:
    return Method("classifier", {"parameters": parameters})


def test_settings_that_are_the_same() -> None:
    prior = {"name": "auto", "shares": {"GoC": 0.4, "MFB": 0.6}}
    assert same_settings(method({}), method('{"threshold": 0.5}'))
    assert same_settings(method({"prior": prior}), method(json.dumps({"prior": prior})))
    near = {"name": "auto", "shares": {"GoC": 0.4002, "MFB": 0.5998}}
    assert same_settings(method({"prior": prior}), method({"prior": near}))
    for other in ({}, {"name": "given"}, {"name": "auto", "shares": {"GoC": 0.5, "MFB": 0.5}}):
        assert not same_settings(method({"prior": prior}), method({"prior": other}))
    assert not same_settings(method({"layers": {"sha256": "a"}}), method({}))
    assert same_settings(method({"layers": {"sha256": "a"}}), method({"layers": {"sha256": "a"}}))
