"""An evaluation as files: JSON, tables for spreadsheets, figures."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nwb_celltype.errors import UsageError
from nwb_celltype.evaluation.comparison import Comparison
from nwb_celltype.evaluation.measuring import Evaluation
from nwb_celltype.replacing import replace_file

_Row = Mapping[str, Any]


def write_evaluation(
    folder: str | Path,
    evaluation: Evaluation,
    *,
    other: Evaluation | None = None,
    comparison: Comparison | None = None,
    plots: bool = True,
) -> list[Path]:
    """Write an evaluation to a folder; files of the same names are replaced, others stay.

    Parameters
    ----------
    folder : str or Path
        Made if need be.
    evaluation : Evaluation
    other, comparison : optional
        A second model on the same data, and the two compared; their figures go into ``evaluation.json`` too.
    plots : bool
        Also draw figures (PNG), which needs the extra ``report``.

    Returns
    -------
    list of Path
        ``evaluation.json``, ``units.csv``, ``classes.csv``, ``confusion.csv``, ``reliability.csv``,
        ``risk_coverage.csv``, ``modalities.csv``, and the figures; with a second model ``comparison.json``.

    Raises
    ------
    UsageError
        If the folder cannot be written to, or figures are asked for without matplotlib.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> from nwb_celltype.evaluation import write_evaluation
    >>> write_evaluation("figures", nct.evaluate("cerebellum", "labelled_session.nwb"))  # doctest: +SKIP
    """
    folder = Path(folder)
    if plots:
        from nwb_celltype.evaluation.plots import check_matplotlib

        check_matplotlib()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        figures = evaluation.to_json()
        if other is not None and comparison is not None:
            figures |= {"compared_with": other.to_json(), "comparison": comparison.to_json()}
        written = [_json(folder / "evaluation.json", figures)]
        written += [_table(folder / f"{name}.csv", rows) for name, rows in tables(evaluation).items()]
        if comparison is not None:
            written.append(_json(folder / "comparison.json", comparison.to_json()))
        if plots:
            from nwb_celltype.evaluation.plots import draw

            written += draw(folder, evaluation, other)
    except OSError as error:
        message = f"The figures cannot be written to {folder}: {error.strerror or error}. Name another folder."
        raise UsageError(message) from error
    return written


def tables(evaluation: Evaluation) -> dict[str, Sequence[_Row]]:
    """Return the tables of an evaluation by name, a mapping of columns a row."""
    plain = evaluation.to_json()
    answers, classes = evaluation.answers, evaluation.classes
    units = [
        {
            "source": source,
            "unit_id": unit,
            "recording": str(answers.groups[k]),
            "cell_type": str(answers.truth[k]),
            "answer": str(answers.answer[k]),
            "is_answered": bool(answers.is_answered[k]),
            "confidence": float(answers.confidence[k]),
            "ood_score": float(answers.ood_score[k]),
            **{f"p_{name}": float(answers.probability[k, c]) for c, name in enumerate(classes)},
        }
        for k, (source, unit, _) in enumerate(answers.keys)
    ]
    per_class = [
        {
            "cell_type": name,
            **{key: figures[key] for key in ("n", "recall")},
            "recall_low": plain["recall_interval"][name][0],
            "recall_high": plain["recall_interval"][name][1],
            **{key: figures[key] for key in ("precision", "f1", "coverage")},
        }
        for name, figures in plain["per_class"].items()
    ]
    confusion = [
        {"cell_type": name, **dict(zip(classes, counts, strict=True))}
        for name, counts in zip(classes, plain["confusion"], strict=True)
    ]
    modalities = []
    for name, figures in plain["by_modality"].items():
        low, high = figures["balanced_accuracy_interval"]
        rest = {key: value for key, value in figures.items() if key != "balanced_accuracy_interval"}
        modalities.append({"modalities": name, **rest, "balanced_accuracy_low": low, "balanced_accuracy_high": high})
    return {
        "units": units,
        "classes": per_class,
        "confusion": confusion,
        "reliability": evaluation.reliability(),
        "risk_coverage": evaluation.curve(),
        "modalities": modalities,
    }


def _json(path: Path, content: Mapping[str, Any]) -> Path:
    return _write(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _table(path: Path, rows: Sequence[_Row]) -> Path:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return _write(path, text.getvalue())


def _cell(value: Any) -> Any:
    """What is not defined stays empty; no text begins like a formula of a spreadsheet."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _write(path: Path, text: str) -> Path:
    replace_file(path, text.encode())
    return path
