"""Runs as text tables."""

from __future__ import annotations

from collections import Counter

import numpy as np

from nwb_celltype.runs import Run
from nwb_celltype.taxonomy import UNCLASSIFIED


def run_table(run: Run) -> str:
    """Lay out a run: unit, label or reason, probability, runner-up; then the counts of each class.

    Parameters
    ----------
    run : Run

    Returns
    -------
    str
        Several lines, without a final newline.
    """
    has_probability = run.probability is not None
    header = (
        ["unit", "cell type", "probability", "runner-up", "note"] if has_probability else ["unit", "cell type", "note"]
    )
    rows = [header]
    for k in range(len(run)):
        label, note = str(run.cell_type[k]), str(run.reason_detail[k])
        if run.is_abstained[k]:
            note = f"{run.reason[k]}: {note}".rstrip(": ")
        cells = [str(run.unit_ids[k]), label]
        if run.probability is not None:
            cells += _probabilities(run.classes, run.probability[k])
        rows.append([*cells, note])
    widths = [max(len(row[c]) for row in rows) for c in range(len(header))]
    lines = [f"{run.name} ({run.method.source_type.replace('_', ' ')}, {run.method.who})"]
    if run.verdict:
        lines.append(f"Can this recording be typed? {run.verdict}")
    lines.append("")
    for row in rows:
        cells = [
            cell.rjust(w) if c == 0 else cell.ljust(w) for c, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    counts = Counter(run.cell_type.tolist())
    named = [f"{counts[label]} {label}" for label in (*run.classes, UNCLASSIFIED) if counts[label]]
    lines += ["", f"{len(run)} unit{'s' if len(run) != 1 else ''}: {', '.join(named)}"]
    return "\n".join(lines)


def _probabilities(classes: tuple[str, ...], row: np.ndarray) -> list[str]:
    if not np.isfinite(row).all():
        return ["-", "-"]
    order = np.argsort(-row, kind="stable")
    best = f"{classes[order[0]]} {row[order[0]]:.2f}"
    second = f"{classes[order[1]]} {row[order[1]]:.2f}" if len(order) > 1 else "-"
    return [best, second]
