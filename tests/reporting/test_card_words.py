"""Model cards in words: every figure is the card's own."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nwb_celltype.bundles import read_card, shipped_folder, shipped_models
from nwb_celltype.reporting.card_words import reliability_of, sections_of


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_cards_are_said_whole(name: str) -> None:
    card = read_card(shipped_folder(name))
    said = {section.heading: section.text for section in sections_of(card)}
    assert {"What it is", "Trained on", "When not to trust it", "Licence"} <= set(said)
    for limit in card["limits"]:
        assert limit in said["When not to trust it"]
    protocols = [entry["protocol"] for entry in card["metrics"].values()]
    assert all(any(protocol in text for text in said.values()) for protocol in protocols)
    for entry in card["metrics"].values():
        text = next(text for text in said.values() if entry["protocol"] in text)
        assert f"{100 * entry['all units']['accuracy']:.0f} %" in text
    assert not any(re.search(r"\{|\}|None|nan", text) for text in said.values())


def test_other_laboratories_have_their_own_heading_and_warning() -> None:
    figures = {"n": 10, "accuracy": 0.5, "recall_by_class": {"A": 0.2, "B": 0.9}, "coverage_by_class": {"A": 0.1}}
    card = {"metrics": {"laboratory left out": {"protocol": "p", "all units": figures}}, "limits": ["Only for cats."]}
    said = {section.heading: section.text for section in sections_of(card)}
    assert "50 % of 10 units" in said["How good in another laboratory"]
    assert "Often missed in another laboratory: found were A 20 %." in said["When not to trust it"]
    assert "Seldom answered in another laboratory: A 10 %" in said["When not to trust it"]


@pytest.mark.parametrize("card", [{}, {"metrics": None}, {"metrics": {"x": 3}, "training_data": [3], "applies_to": 2}])
def test_poor_cards_do_no_harm(card: dict[str, Any]) -> None:
    assert all(section.text for section in sections_of(card))
    assert reliability_of(card) == ()


def test_reliability_wherever_it_stands() -> None:
    row = {"confidence": 0.8, "accuracy": 0.7, "n": 20}
    for card in (
        {"calibration": {"reliability": [row, {"confidence": 0.1, "n": 0}]}},
        {"metrics": {"m": {"protocol": "p", "all units": {"reliability": [row]}}}},
    ):
        (point,) = reliability_of(card)
        assert (point.confidence, point.accuracy, point.n) == (0.8, 0.7, 20)
