"""Explanations add up, name the right columns, and are fast."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nwb_celltype import explanation
from nwb_celltype.classifier import Model
from nwb_celltype.classifier.ensemble import Ensemble
from nwb_celltype.classifier.forest import Forest, grow
from nwb_celltype.classifier.inputs import read_blocks
from nwb_celltype.classifier.statistics import COLUMNS, MODALITIES, Head
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.explanation import credit_steps, explain
from nwb_celltype.explanation.parts import _by_head
from nwb_celltype.labels import LabelledUnits
from nwb_celltype.units import Units

from .synthetic import CLASSES, RATE_HZ, make_spikes, make_waveform

pytest.importorskip("captum")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:captum")


@pytest.fixture(scope="module")
def why(model: Model, unseen: LabelledUnits) -> Any:
    return explain(unseen.features, model)


def test_contributions_add_up_to_the_decision(why: Any, model: Ensemble, unseen: LabelledUnits) -> None:
    raw = model.uncalibrated(read_blocks(unseen.features), model.modalities)
    np.testing.assert_allclose(why["probability"], raw.max(axis=1), atol=1e-12)
    assert why["cell_type"].values.tolist() == np.array(model.classes)[raw.argmax(axis=1)].tolist()
    assert float(np.abs(why["error"]).max()) < 1e-4
    total = why["probability"] - why["baseline"]
    np.testing.assert_allclose(why["contribution"].sum("modality"), total, atol=1e-4)
    assert float(total.mean()) > 0.2


def test_each_modality_is_the_sum_of_its_parts(why: Any) -> None:
    parts = {"waveform": ("waveform", "waveform_statistics"), "train": ("isi_histogram", "acg", "acg_statistics")}
    for name, blocks in parts.items():
        total = sum(why[block].sum(why[block].dims[1]) for block in blocks)
        np.testing.assert_allclose(why["contribution"].sel(modality=name), total, atol=1e-9)
    assert why["waveform"].dims == ("unit", "waveform_time")
    assert why["acg"].dims == ("unit", "lag")
    assert float(why["lag"][0]) > 0


def test_the_baseline_is_the_mean_training_unit(why: Any, model: Ensemble) -> None:
    blocks: dict[str, NDArray[np.float32]] = {}
    for name, names in model.modalities.items():
        place = 0
        for block in names:
            width = why["waveform" if block == "waveform_turned" else block].shape[1]
            blocks[block] = model.tensors[f"{name}.mean"][None, place : place + width]
            place += width
    raw = model.uncalibrated(blocks, model.modalities)[0]
    expected = [raw[list(model.classes).index(name)] for name in why["cell_type"].values]
    np.testing.assert_allclose(why["baseline"], expected, atol=1e-5)


def test_other_classes_and_fewer_modalities(model: Ensemble, unseen: LabelledUnits) -> None:
    few = unseen.features.isel(unit=slice(0, 6))
    one = explain(few, model, cell_type="slow", modalities=["train"])
    assert set(one["cell_type"].values.tolist()) == {"slow"}
    assert np.isnan(one["contribution"].sel(modality="waveform")).all()
    assert np.isnan(one["waveform"]).all()
    raw = model.uncalibrated(read_blocks(few), ["train"])[:, list(model.classes).index("slow")]
    np.testing.assert_allclose(one["probability"], raw, atol=1e-12)
    assert float(np.abs(one["error"]).max()) < 1e-4
    each = explain(few, model, cell_type=["slow", "fast", "regular"] * 2)
    all_of = sum(explain(few, model, cell_type=name)["contribution"].values for name in CLASSES)
    np.testing.assert_allclose(all_of, 0, atol=1e-4)
    assert each["cell_type"].values.tolist() == ["slow", "fast", "regular"] * 2


def test_units_of_a_recording_that_lack_something(model: Ensemble) -> None:
    rng = np.random.default_rng(0)
    units = Units.from_arrays(
        [make_spikes("fast", rng), [], make_spikes("slow", rng), []],
        waveform_mean=[make_waveform("fast", rng), make_waveform("slow", rng), None, None],
        waveform_rate_hz=RATE_HZ,
    )
    why = explain(units, model)
    has = ~np.isnan(why["contribution"].values)
    assert has.tolist() == [[True, True], [True, False], [False, True], [False, False]]
    assert np.isnan(why["probability"].values).tolist() == [False, False, False, True]
    assert why["cell_type"].values[3] == ""
    assert float(np.nanmax(np.abs(why["error"]))) < 1e-4


def test_a_flat_part_of_the_input_moves_nothing(model: Ensemble, unseen: LabelledUnits) -> None:
    """A unit that is the mean training unit in some columns gets no contribution there."""
    few = unseen.features.isel(unit=slice(0, 3)).copy(deep=True)
    mean = model.tensors["train.mean"]
    n = few["isi_histogram"].shape[1]
    few["isi_histogram"][:] = mean[:n] ** 2
    why = explain(few, model)
    assert float(np.abs(why["isi_histogram"]).max()) < 1e-6
    assert float(np.abs(why["acg"]).max()) > 1e-4


def brute_force(forest: Forest, start: Any, unit: Any, target: int) -> NDArray[np.float64]:
    """Credits from what the forest says at the middle of every stretch between two thresholds."""
    moments: dict[float, int] = {}
    for column, threshold in zip(forest.feature, forest.threshold, strict=True):
        if column >= 0 and start[column] != unit[column]:
            t = (float(threshold) - start[column]) / (float(unit[column]) - start[column])
            if 0 < t < 1:
                moments[t] = int(column)
    at = [0.0, *sorted(moments), 1.0]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(at)]
    line = np.array([start + t * (unit - start) for t in middles], dtype=np.float32)
    said = forest.probabilities(line)[:, target]
    credit = np.zeros(len(unit))
    for k, t in enumerate(at[1:-1]):
        credit[moments[t]] += said[k + 1] - said[k]
    return credit


def test_steps_of_forests_are_credited_to_the_columns_crossed() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 6)).astype(np.float32)
    labels = (x[:, 0] + x[:, 1] ** 2 > 0.5).astype(int) + 2 * (x[:, 2] > 1)
    forest = grow(x, labels, 4, trees=25, min_leaf=2, seed=0)
    start = np.array([0.1, -0.2, 0, 0, 0.3, 0], dtype=np.float32)
    found, at_start = credit_steps(forest, start, x, labels)
    said = forest.probabilities(x)[np.arange(150), labels]
    np.testing.assert_allclose(found.sum(axis=1) + at_start, said, atol=1e-12)
    np.testing.assert_allclose(at_start, forest.probabilities(start[None])[0, labels], atol=1e-12)
    for k in range(12):
        np.testing.assert_allclose(found[k], brute_force(forest, start, x[k], labels[k]), atol=1e-9)
    own, _ = credit_steps(forest, np.broadcast_to(start, x.shape), x, labels)
    np.testing.assert_array_equal(own, found)
    nowhere, _ = credit_steps(forest, x[0], x[:1], labels[:1])
    assert not nowhere.any()


def test_a_unit_exactly_on_a_threshold() -> None:
    forest = Forest(
        np.array([0, -1, 1, -1, -1], np.int16), np.array([0.5, 0, 2, 0, 0], np.float32),
        np.array([2, 0, 4, 1, 2], np.int32), np.eye(3, dtype=np.float32), np.array([0], np.int32),
    )  # fmt: skip
    ends = np.array([[0.5, 9], [0.75, 2], [0.75, 3]], np.float32)
    target = np.array([0, 1, 2])
    for start in ([0, 0], [1, 0], [0.5, 2], [1, 9]):
        here = np.array(start, np.float32)
        found, at_start = credit_steps(forest, here, ends, target)
        np.testing.assert_array_equal(found.sum(axis=1) + at_start, forest.probabilities(ends)[np.arange(3), target])


def test_statistics_add_up() -> None:
    rng = np.random.default_rng(1)
    n, k, cosines, sizes = len(COLUMNS), 3, 8, np.array([4, 6, 3], np.int16)
    x = rng.normal(size=(40, n)).astype(np.float32)
    labels = rng.integers(k, size=40)
    own = np.array([0, 3, 7], np.int16)
    head = Head(
        *(np.zeros(n, np.float32), np.zeros(n, np.float32), np.ones(n, np.float32)),
        place=rng.integers(n, size=int(sizes.sum())).astype(np.int16),
        size=sizes,
        frequency=rng.normal(size=(int(sizes.sum()), cosines)).astype(np.float32),
        cosine=rng.normal(size=(3, cosines, k)).astype(np.float32),
        sine=rng.normal(size=(3, cosines, k)).astype(np.float32),
        linear=rng.normal(size=(int(sizes.sum()), k)).astype(np.float32),
        gain=2.0,
        clip=3.0,
        forests=[(own, grow(x[:, own], labels, k, trees=10, min_leaf=2, seed=0))],
    )
    z = head.standardised(x.astype(np.float64))
    start = np.zeros_like(z)
    start[:, 5] = z[:, 5]
    found, base = _by_head(head, start, z, labels, 64, None)
    said = head.combined(head.members(z))[np.arange(40), labels]
    np.testing.assert_allclose(found.sum(axis=1) + base, said, atol=2e-4)
    np.testing.assert_allclose(base, head.combined(head.members(start))[np.arange(40), labels], atol=1e-6)
    assert not found[:, 5].any()
    unused = sorted(set(range(n)) - {*head.place.tolist(), *own.tolist()})
    assert unused
    assert not found[:, unused].any()
    assert set(sum(MODALITIES.values(), ())) == set(COLUMNS)


def test_five_hundred_units_take_seconds(model: Ensemble, unseen: LabelledUnits) -> None:
    many = unseen.features.isel(unit=np.resize(np.arange(len(unseen)), 500))
    before = time.process_time()
    why = explain(many, model)
    assert time.process_time() - before < 30
    assert float(np.abs(why["error"]).max()) < 1e-4


def test_wrong_calls(model: Ensemble, unseen: LabelledUnits, monkeypatch: pytest.MonkeyPatch) -> None:
    few = unseen.features.isel(unit=slice(0, 2))
    with pytest.raises(UsageError, match="'GoC' is no class of the model; it knows fast, regular, slow"):
        explain(few, model, cell_type="GoC")
    with pytest.raises(UsageError, match="3 cell types are to be explained for 2 units"):
        explain(few, model, cell_type=["fast"] * 3)
    with pytest.raises(UsageError, match="no modality 'layer'"):
        explain(few, model, modalities=["layer"])
    with pytest.raises(UsageError, match="at one point"):
        explain(few, model, steps=0)
    with pytest.raises(InputError, match="needs features of version"):
        explain(few.assign_attrs(feature_spec_version="0"), model)
    monkeypatch.setattr(explanation.explaining, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'nwb-celltype\[explain\]'"):
        explain(few, model)
