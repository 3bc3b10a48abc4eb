"""Figures of a shipped model, from its card, so that no page states others than the model has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PLACE = re.compile(r"^<!-- generated: (figures|recalls) of ([\w-]+) -->$", re.MULTILINE)
PROTOCOLS = {"cross-validation": "at home", "laboratory left out": "another laboratory"}
PARTS = {"waveform+train": "waveform and spikes", "waveform": "waveform alone", "train": "spikes alone"}


def card_of(model: str) -> dict[str, Any]:
    """Card of a shipped model."""
    path = ROOT / "nwb_celltype" / "weights" / model / "model.json"
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return card


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the places that ask for figures."""
    tables = {"figures": figures, "recalls": recalls}
    return PLACE.sub(lambda match: tables[match[1]](card_of(match[2])), markdown)


def figures(card: dict[str, Any]) -> str:
    """Markdown table: how many are answered and right, by what is known of a unit and where."""
    rows = []
    for key, words in PARTS.items():
        for protocol, place in PROTOCOLS.items():
            found = card["metrics"][protocol][key]
            cells = (words, place, found["n"], f"{found['coverage']:.0%}", f"{found['accuracy_kept']:.0%}")
            rows.append("| " + " | ".join(str(cell) for cell in cells) + f" | {found['balanced_accuracy']:.2f} |")
    head = "| what the unit has | where | units | answered | right | balanced accuracy, all answered |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def recalls(card: dict[str, Any]) -> str:
    """Markdown table: by class, how many are found if all are answered, and how many are answered."""
    head = "| class | found, at home | answered, at home | found, another laboratory | answered, another laboratory |"
    rows = []
    for label in card["classes"]:
        cells = [
            f"{card['metrics'][protocol]['all units'][key][label]:.0%}"
            for protocol in PROTOCOLS
            for key in ("recall_by_class", "coverage_by_class")
        ]
        rows.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join([head, "|---|---|---|---|---|", *rows])
