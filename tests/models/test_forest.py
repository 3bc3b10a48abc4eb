"""Forests as arrays say what scikit-learn's trees say, and arrays that lead nowhere are refused."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from nwb_celltype.classifier import KINDS, Model, load_model
from nwb_celltype.classifier.ensemble import Ensemble
from nwb_celltype.classifier.forest import Forest, grow
from nwb_celltype.classifier.inputs import read_blocks
from nwb_celltype.errors import InputError
from nwb_celltype.labels import LabelledUnits
from nwb_celltype.training import Settings

Columns = NDArray[np.float32]


@pytest.fixture(scope="module")
def units() -> tuple[Columns, NDArray[np.intp]]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    # Steps of a quarter put many values on thresholds.
    columns = np.round(4 * (rng.normal(size=(200, 7)) + labels[:, None])) / 4
    return columns.astype(np.float32), labels


@pytest.fixture(scope="module")
def forest(units: tuple[Columns, NDArray[np.intp]]) -> Forest:
    return grow(*units, 4, trees=25, min_leaf=2, seed=3)


def test_the_arrays_answer_as_the_trees(forest: Forest, units: tuple[Columns, NDArray[np.intp]]) -> None:
    columns, labels = units
    theirs = ExtraTreesClassifier(25, min_samples_leaf=2, class_weight="balanced", random_state=3).fit(columns, labels)
    unseen = np.concatenate([columns, np.random.default_rng(1).normal(size=(3000, 7)).astype(np.float32)])
    said = forest.probabilities(unseen)
    np.testing.assert_allclose(said[:, :3], theirs.predict_proba(unseen), atol=1e-6)
    assert (said[:, 3] == 0).all()  # a class without units
    assert forest.probabilities(unseen[:0]).shape == (0, 4)


def test_arrays_survive_a_bundle(forest: Forest, units: tuple[Columns, NDArray[np.intp]]) -> None:
    again = Forest.from_tensors(forest.tensors("x.forest"), "x.forest")
    np.testing.assert_array_equal(again.probabilities(units[0]), forest.probabilities(units[0]))
    assert forest.problem(7, 4) == ""
    with pytest.raises(KeyError):
        Forest.from_tensors(forest.tensors("x.forest"), "y.forest")


def test_walks_that_would_never_end_are_noticed(forest: Forest) -> None:
    inner = int(np.flatnonzero(forest.feature >= 0)[5])
    leaf = int(np.flatnonzero(forest.feature < 0)[0])
    for place, target in ((inner, inner), (inner, 0), (inner, len(forest.child)), (leaf, len(forest.leaf)), (leaf, -1)):
        child = forest.child.copy()
        child[place] = target
        assert forest_with(forest, child=child).problem(7, 4) == "nodes that lead nowhere"
    assert forest.problem(3, 4) == "nodes that lead nowhere"  # asks about columns that there are not
    assert forest.problem(7, 5) == "arrays of other shapes than a forest has"
    assert forest_with(forest, root=np.array([len(forest.child)], np.int32)).problem(7, 4) == "nodes that lead nowhere"
    assert forest_with(forest, threshold=forest.threshold[:-1]).problem(7, 4) == "arrays of different lengths"
    assert "other types" in forest_with(forest, child=forest.child.astype(np.int64)).problem(7, 4)


def forest_with(forest: Forest, **arrays: NDArray[np.generic]) -> Forest:
    return replace(forest, **arrays)  # type: ignore[arg-type]


def test_forests_have_their_share_of_the_answer(model: Model, unseen: LabelledUnits) -> None:
    assert isinstance(model, Ensemble)
    blocks = read_blocks(unseen.features)
    both = model.uncalibrated(blocks, ["waveform", "train"])
    networks = Ensemble({**model.card, "architecture": {**model.card["architecture"], "trees": 0}}, model.tensors)
    forests = [
        Forest.from_tensors(model.tensors, f"{name}.forest").probabilities(
            np.concatenate([blocks[block] for block in names], axis=1)
        )
        for name, names in model.modalities.items()
    ]
    share = Settings().forest_share
    expected = (1 - share) * networks.uncalibrated(blocks, ["waveform", "train"]) + share * (
        forests[0] + forests[1]
    ) / 2
    np.testing.assert_allclose(both, expected, atol=1e-6)
    assert (forests[0].argmax(axis=1) == both.argmax(axis=1)).mean() > 0.8


def test_a_kind_of_model_that_is_not_known_is_refused(model_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "copy"))
    card = json.loads((folder / "model.json").read_text())
    card["architecture"]["kind"] = "oracle"
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"'oracle'.*Update nwb-celltype"):
        load_model(folder)
    assert "cosine encoders and forests" in KINDS


def test_answers_need_no_scikit_learn(
    model_folder: Path, unseen: LabelledUnits, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"] + ["sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)  # an import now fails
    with pytest.raises(ImportError):
        grow(np.zeros((4, 1), np.float32), np.array([0, 0, 1, 1]), 2, trees=1, min_leaf=1, seed=0)
    assert load_model(model_folder).predict(unseen.features).used.all()
