"""Measure models on labelled units: alone, against each other, and by cross-validation."""

from __future__ import annotations

from nwb_celltype.evaluation.comparison import Comparison, compare
from nwb_celltype.evaluation.files import write_evaluation
from nwb_celltype.evaluation.learning import cross_validate, transfer
from nwb_celltype.evaluation.measuring import Answers, Evaluation, Figures, evaluate, training_overlap
from nwb_celltype.evaluation.scores import ClassScores, Scores, score

__all__ = [
    "Answers",
    "ClassScores",
    "Comparison",
    "Evaluation",
    "Figures",
    "Scores",
    "compare",
    "cross_validate",
    "evaluate",
    "score",
    "training_overlap",
    "transfer",
    "write_evaluation",
]
