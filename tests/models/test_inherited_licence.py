"""Weights learnt from data that nobody may sell carry that licence, whoever trains them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from nwb_celltype.labels import read_labelled
from nwb_celltype.training import Card, train

from .synthetic import make_arrays, save

WORDS = "From the C4 database, licence CC BY-NC-SA 4.0: not for commercial use."


def test_a_model_is_under_the_licence_of_its_data(tmp_path: Path) -> None:
    labelled = read_labelled(save(tmp_path / "units.npz", make_arrays(8, 0, with_trains=False)))
    bound = replace(labelled, licence=WORDS)
    train([bound], out=tmp_path / "bound", name="bound", members=1, epochs=5)
    card = json.loads((tmp_path / "bound" / "model.json").read_text())
    assert card["licence"] == "CC-BY-NC-SA-4.0"
    assert card["training_data"][0]["licence"] == WORDS
    train([bound], out=tmp_path / "stated", name="stated", members=1, epochs=5, card=Card(licence="CC-BY-NC-4.0"))
    assert json.loads((tmp_path / "stated" / "model.json").read_text())["licence"] == "CC-BY-NC-4.0"
