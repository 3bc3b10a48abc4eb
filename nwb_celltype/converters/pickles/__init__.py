"""Pickles of the Full Binary Pursuit sorter, and what people made of them in NeuroViz and XSort."""

from __future__ import annotations

from nwb_celltype.converters.pickles.sorting import read_sorting

__all__ = ["read_sorting"]
