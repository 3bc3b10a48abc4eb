"""Figures of an evaluation; matplotlib, of the extra ``report``, is imported when one is drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nwb_celltype.colours import GREY, SERIES, colours_of
from nwb_celltype.errors import UsageError
from nwb_celltype.evaluation.measuring import Evaluation
from nwb_celltype.replacing import replace_file

_COLOURS = SERIES  # models and measures; classes have their own


def check_matplotlib() -> None:
    """Raise `UsageError` unless figures can be drawn."""
    if find_spec("matplotlib") is None:
        message = "Figures need matplotlib: pip install 'nwb-celltype[report]'."
        raise UsageError(message)


def draw(folder: Path, evaluation: Evaluation, other: Evaluation | None = None) -> list[Path]:
    """Draw the figures of an evaluation as PNG files.

    Parameters
    ----------
    folder : Path
    evaluation : Evaluation
    other : Evaluation, optional
        A second model on the same data, drawn beside the first.

    Returns
    -------
    list of Path
        ``confusion.png``, ``reliability.png``, ``risk_coverage.png``, ``classes.png`` and, if the model has more than
        one modality, ``modalities.png``.
    """
    both = [evaluation] if other is None else [evaluation, other]
    drawn = [
        _save(folder / "confusion.png", _confusion(both)),
        _save(folder / "reliability.png", _reliability(both)),
        _save(folder / "risk_coverage.png", _risk_coverage(both)),
        _save(folder / "classes.png", _classes(both)),
    ]
    if len(evaluation.by_modality) > 1:
        drawn.append(_save(folder / "modalities.png", _modalities(both)))
    return drawn


def _confusion(both: Sequence[Evaluation]) -> Any:
    figure, panels = _figure(len(both), 3.8, 3.6)
    for panel, one in zip(panels, both, strict=True):
        counts = one.confusion
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                colour = "white" if shares[row, column] > 0.5 else "black"
                panel.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=9)
        panel.set_xticks(range(len(one.classes)), one.classes, rotation=45, ha="right")
        panel.set_yticks(range(len(one.classes)), one.classes)
        _colour_names(panel.get_xticklabels(), one.classes)
        _colour_names(panel.get_yticklabels(), one.classes)
        panel.set(xlabel="most probable class", ylabel="label", title=_title(one))
    return figure


def _reliability(both: Sequence[Evaluation]) -> Any:
    figure, (panel,) = _figure(1, 4.2, 4.0)
    panel.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    for one, colour in zip(both, _COLOURS, strict=False):
        rows = one.reliability()
        x, y = np.array([row["confidence"] for row in rows]), np.array([row["accuracy"] for row in rows])
        low, high = np.array([row["low"] for row in rows]), np.array([row["high"] for row in rows])
        errors = np.clip(np.array([y - low, high - y]), 0, None)
        panel.errorbar(x, y, errors, color=colour, marker="o", capsize=2, label=f"{_title(one)}, ECE {one.ece:.3f}")
    panel.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy (95 % interval)")
    panel.legend(frameon=False, fontsize=8)
    return figure


def _risk_coverage(both: Sequence[Evaluation]) -> Any:
    figure, (panel,) = _figure(1, 4.2, 4.0)
    for one, colour in zip(both, _COLOURS, strict=False):
        rows = one.curve()
        panel.step(
            [row["coverage"] for row in rows],
            [row["risk"] for row in rows],
            where="post",
            color=colour,
            label=_title(one),
        )
        if one.coverage:
            panel.plot(one.coverage, 1 - one.accuracy_kept, marker="o", color=colour)
    panel.set(xlim=(0, 1.02), xlabel="share of units answered", ylabel="share of answers that are wrong")
    panel.set_ylim(bottom=0)
    panel.legend(frameon=False, fontsize=8, title="dot: as answered, strangers left out", title_fontsize=8)
    return figure


def _classes(both: Sequence[Evaluation]) -> Any:
    figure, panels = _figure(len(both), 4.6, 3.4)
    for panel, one in zip(panels, both, strict=True):
        plain = one.to_json()
        places = np.arange(len(one.classes))
        for k, (key, label) in enumerate((("recall", "recall"), ("precision", "precision"), ("coverage", "answered"))):
            heights = [getattr(one.per_class[name], key) for name in one.classes]
            panel.bar(places + (k - 1) * 0.27, np.nan_to_num(heights), 0.25, color=_COLOURS[k], label=label)
        ends = np.array([[np.nan if end is None else end for end in plain["recall_interval"][n]] for n in one.classes])
        recalls = np.array([one.per_class[name].recall for name in one.classes])
        known = ~np.isnan(recalls)
        errors = np.clip(np.array([recalls - ends[:, 0], ends[:, 1] - recalls]), 0, None)[:, known]
        panel.errorbar(places[known] - 0.27, recalls[known], errors, color="black", linestyle="none", capsize=2)
        panel.set_xticks(places, [f"{name}\n{one.per_class[name].n}" for name in one.classes], fontsize=8)
        _colour_names(panel.get_xticklabels(), one.classes)
        panel.set(ylim=(0, 1.05), title=_title(one))
        panel.legend(frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    return figure


def _modalities(both: Sequence[Evaluation]) -> Any:
    figure, (panel,) = _figure(1, 4.6, 3.4)
    names = list(dict.fromkeys(name for one in both for name in one.by_modality))
    width = 0.8 / len(both)
    for k, one in enumerate(both):
        rows = [(i, one.by_modality[name]) for i, name in enumerate(names) if name in one.by_modality]
        places = np.array([i for i, _ in rows]) + (k - (len(both) - 1) / 2) * width
        heights = np.array([figures.scores.balanced_accuracy for _, figures in rows])
        ends = np.array([figures.interval for _, figures in rows])
        errors = np.clip(np.array([heights - ends[:, 0], ends[:, 1] - heights]), 0, None)
        panel.bar(places, heights, width * 0.95, yerr=errors, capsize=3, color=_COLOURS[k], label=_title(one))
        for place, (_, figures) in zip(places, rows, strict=True):
            panel.text(place, 0.02, f"n = {figures.scores.n}", ha="center", fontsize=8, color="white")
    panel.set_xticks(range(len(names)), names)
    panel.set(ylim=(0, 1.05), ylabel="balanced accuracy (95 % interval)")
    panel.legend(frameon=False, fontsize=8)
    return figure


def _colour_names(texts: Sequence[Any], classes: Sequence[str]) -> None:
    """Write the names of classes in their colours."""
    for text, colour in zip(texts, colours_of(classes).values(), strict=True):
        text.set_color(colour)


def _title(one: Evaluation) -> str:
    return f"{one.model} {one.version}"


def _figure(n: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """Make a figure of `n` panels beside each other, without pyplot: nothing is left open, and no window asked for."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * n, height), layout="constrained")
    panels = [figure.add_subplot(1, n, k + 1) for k in range(n)]
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _save(path: Path, figure: Any) -> Path:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=150, metadata={"Software": None})
    replace_file(path, drawn.getvalue())
    return path
