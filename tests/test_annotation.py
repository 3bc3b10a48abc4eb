"""Which units get an answer, and which reason the others get."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nwb_celltype as nct
from nwb_celltype.classifier import Prediction
from nwb_celltype.errors import UsageError

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

    def __init__(self, top: float = 0.9, ood: float = 0.1, applies_to: dict[str, Any] | None = None) -> None:
        self.top, self.ood = top, ood
        self.card = {
            "name": "fixed",
            "version": "1",
            "licence": "BSD-3-Clause",
            "feature_spec_version": nct.features.FEATURE_SPEC_VERSION,
            "applies_to": {"species": ["mouse"], "tissue": "cerebellar_cortex"} if applies_to is None else applies_to,
        }

    def predict(self, features: Any) -> Prediction:
        there = (features["waveform_reason"].values == "") | (features["train_reason"].values == "")
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
    threshold = columns.pop("threshold", None)
    return nct.annotate_units(nct.Units.from_arrays(**columns), model, threshold=threshold)  # type: ignore[arg-type]


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
