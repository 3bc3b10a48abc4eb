"""Models that turn the features of units into probabilities of cell types."""

from __future__ import annotations

from nwb_celltype.classifier.model import KINDS, OOD_THRESHOLD, Model, Prediction, load_model, temper

__all__ = ["KINDS", "OOD_THRESHOLD", "Model", "Prediction", "load_model", "temper"]
