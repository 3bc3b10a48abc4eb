"""Training: from labelled units to a calibrated model with its card."""

from __future__ import annotations

from nwb_celltype.features.dataset import Progress
from nwb_celltype.training.fitting import Settings
from nwb_celltype.training.recipes import RECIPES, run_recipe, train_cerebellum
from nwb_celltype.training.trainer import Card, train

__all__ = ["RECIPES", "Card", "Progress", "Settings", "run_recipe", "train", "train_cerebellum"]
