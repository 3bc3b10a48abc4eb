"""Where units lie among the training units of a model, and which of these are nearest."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.numpy import load_file

from nwb_celltype.bundles import shipped_folder
from nwb_celltype.classifier import Model, load_model
from nwb_celltype.classifier.ensemble import Ensemble
from nwb_celltype.classifier.inputs import read_blocks
from nwb_celltype.classifier.neighbourhood import locate
from nwb_celltype.classifier.training_map import MOST_DIRECTIONS, make_map
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.labels import LabelledUnits, read_labelled
from nwb_celltype.verification import example_features

SHIPPED = ("cerebellum", "cerebellum-statistics")


@pytest.fixture(scope="module")
def shipped() -> dict[str, Model]:
    return {name: load_model(name) for name in SHIPPED}


def without(features: xr.Dataset, modality: str) -> xr.Dataset:
    """The same units as if this modality had not been recorded."""
    names = (
        ["waveform", "waveform_statistics"] if modality == "waveform" else ["isi_histogram", "acg", "acg_statistics"]
    )
    return features.assign({name: features[name] * np.nan for name in names})


def test_units_lie_among_those_of_their_class(model: Model, unseen: LabelledUnits) -> None:
    found = locate(model, unseen.features, n_neighbours=3)
    assert found is not None
    assert found.xy.shape == (24, 2)
    assert found.training_xy.shape == (36, 2)
    assert found.neighbours.shape == (24, 3)
    labels = found.training_label[found.neighbours]
    assert (labels == unseen.cell_type[:, None]).mean() > 0.9
    assert set(found.training_source) == {"A"}
    assert (np.diff(found.distance, axis=1) >= 0).all()
    assert (found.distance > 0).all()
    assert not found.is_training_unit.any()
    apart = np.linalg.norm(found.xy[:, None] - found.training_xy[None], axis=2)
    assert (found.training_label[apart.argmin(axis=1)] == unseen.cell_type).mean() > 0.9


def test_a_training_unit_is_not_its_own_neighbour(model: Model, learnt: LabelledUnits) -> None:
    found = locate(model, learnt.features)
    assert found is not None
    assert found.is_training_unit.all()
    np.testing.assert_allclose(found.xy, found.training_xy, atol=1e-3)
    assert (found.neighbours != np.arange(len(learnt))[:, None]).all()
    # Distances count in those of the next training unit: half of the units have it nearer, half further.
    assert np.median(found.distance[:, 0]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("modality", ["waveform", "train"])
def test_one_modality_is_enough(model: Model, unseen: LabelledUnits, modality: str) -> None:
    features = without(unseen.features, modality)
    found = locate(model, features, n_neighbours=3)
    assert found is not None
    assert np.isfinite(found.xy).all()
    assert (found.training_label[found.neighbours] == unseen.cell_type[:, None]).mean() > 0.8
    asked = locate(model, unseen.features, n_neighbours=3, modalities=set(model.modalities) - {modality})
    assert asked is not None
    np.testing.assert_array_equal(asked.neighbours, found.neighbours)


def test_a_unit_of_nothing_lies_nowhere(model: Model) -> None:
    features = without(without(example_features(), "waveform"), "train")
    found = locate(model, features)
    assert found is not None
    assert np.isnan(found.xy).all()
    assert np.isnan(found.distance).all()
    assert (found.neighbours == -1).all()
    assert len(found) == 6
    assert not found.is_training_unit.any()


def test_more_neighbours_than_there_are(model: Model, learnt: LabelledUnits) -> None:
    found = locate(model, learnt.features.isel(unit=[0, 5]), n_neighbours=50)
    assert found is not None
    assert (found.neighbours >= 0).sum(axis=1).tolist() == [35, 35]
    assert np.isnan(found.distance[found.neighbours == -1]).all()


def test_wrong_calls(model: Model, unseen: LabelledUnits) -> None:
    with pytest.raises(UsageError, match="At least one neighbour"):
        locate(model, unseen.features, n_neighbours=0)
    with pytest.raises(UsageError, match="no modality 'layer'"):
        locate(model, unseen.features, modalities=["layer"])
    with pytest.raises(InputError, match="needs features of version"):
        locate(model, unseen.features.assign_attrs(feature_spec_version="0"))


def test_signs_are_fixed_by_the_classes() -> None:
    rng = np.random.default_rng(0)
    codes = {"train": rng.normal(size=(60, 40)).astype(np.float32)}
    labels = np.arange(60) % 3
    codes["train"][:, :3] += 4 * np.eye(3)[labels]
    once, _ = make_map(codes, labels, ["A"] * 60, {"train": 40}, "codes")
    turned, _ = make_map({"train": -codes["train"]}, labels, ["A"] * 60, {"train": 40}, "codes")
    np.testing.assert_allclose(once["train.places"], turned["train.places"], atol=1e-4)
    np.testing.assert_allclose(once["train.drawing"], turned["train.drawing"], atol=1e-3)


def test_the_map_is_made_again_bit_for_bit(model: Ensemble, model_folder: Path, learnt: LabelledUnits) -> None:
    labels = np.array([model.classes.index(label) for label in learnt.cell_type])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        again, said = model.map_training(read_blocks(learnt.features), labels, np.full(len(learnt), "A"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert said == model.card["training_map"]
    stored = load_file(model_folder / "training_map.safetensors")
    assert stored.keys() == again.keys()
    for name, value in again.items():
        np.testing.assert_array_equal(stored[name], value, err_msg=name)


@pytest.mark.parametrize(
    "labels", [np.array([0, 1, 0]), np.zeros(12, dtype=int), np.arange(12) % 2], ids=["three units", "one class", "two"]
)
def test_small_sets_have_maps_too(labels: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    n = len(labels)
    codes = {"waveform": rng.normal(size=(n, 30)).astype(np.float32), "train": np.full((n, 12), np.nan, np.float32)}
    tensors, said = make_map(
        codes, labels, np.array(["", "B"])[np.arange(n) % 2], {"waveform": 30, "train": 12}, "codes"
    )
    assert all(np.isfinite(value).all() for value in tensors.values())
    assert said["labs"] == ["", "B"]
    if len(np.unique(labels)) == 2 and n > 3:
        spread = tensors["waveform.places"] @ tensors["waveform.drawing"][1:]
        assert (spread.std(axis=0) > 1e-3).all()  # two directions, though two classes need but one


def test_modalities_that_no_unit_has_both_of() -> None:
    rng = np.random.default_rng(2)
    labels = np.arange(24) % 2
    codes = {
        name: (rng.normal(size=(24, 9)) + 5 * labels[:, None]).astype(np.float32) for name in ("waveform", "train")
    }
    codes["waveform"][:12], codes["train"][12:] = np.nan, np.nan
    tensors, _ = make_map(codes, labels, ["A"] * 24, {"waveform": 9, "train": 9}, "codes")
    assert {key for key in tensors if key.endswith(("spacing", "drawing"))} == {
        "waveform.spacing", "train.spacing", "waveform.drawing",
    }  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_maps_hold_places_labels_and_labs_alone(name: str, shipped: dict[str, Model]) -> None:
    model = shipped[name]
    file = shipped_folder(name) / "training_map.safetensors"
    assert file.stat().st_size < 300_000
    n = len(model.training_map or ())
    assert n > 600
    widths = model.card["architecture"]["columns"]
    columns = widths if isinstance(widths, dict) else {key: len(names) for key, names in model.modalities.items()}
    for key, value in load_file(file).items():
        if value.shape[0] in (n, *(len(load_file(file)[f"{m}.rows"]) for m in columns)):
            d = value.shape[1] if value.ndim == 2 else 1
            assert key.endswith((".places", ".rows")) or key in ("label", "lab"), key
            # Too few numbers to rebuild a row of the columns from.
            assert d <= min(MOST_DIRECTIONS, min(columns.values()) // 3 + 1), key


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_maps_tell_classes_apart(name: str, shipped: dict[str, Model]) -> None:
    places = shipped[name].training_map
    assert places is not None
    far = places.distances(places.places)
    np.fill_diagonal(far, np.inf)
    nearest = np.argsort(np.nan_to_num(far, nan=np.inf), axis=1)[:, :5]
    right = (places.label[nearest] == places.label[:, None]).mean(axis=1)
    assert np.mean([right[places.label == label].mean() for label in np.unique(places.label)]) > 0.75
    assert np.isfinite(places.xy).all()


def test_five_hundred_units_take_no_time(shipped: dict[str, Model]) -> None:
    model, features = shipped["cerebellum"], example_features()
    features = features.isel(unit=np.arange(500) % 6)
    locate(model, features)
    start = time.process_time()
    locate(model, features)
    assert time.process_time() - start < 3


def test_real_training_units_are_known(c4: Path, shipped: dict[str, Model]) -> None:
    units = read_labelled(c4 / "hull_mouse_units.npz", lab="Hull", species="mouse")
    found = locate(shipped["cerebellum"], units.features)
    assert found is not None
    assert found.is_training_unit.all()
    own = found.training_label[found.neighbours[:, 0]] == units.cell_type
    assert own.mean() > 0.85
