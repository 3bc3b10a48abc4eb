"""Figures of units and their labels, one panel a function; each takes a matplotlib axes, draws into it and returns it.

>>> from nwb_celltype import plotting
>>> "plot_acg" in plotting.__all__
True
"""

from nwb_celltype.plotting.answers import plot_counts, plot_coverage, plot_probabilities
from nwb_celltype.plotting.composites import plot_unit
from nwb_celltype.plotting.explanations import plot_explanation
from nwb_celltype.plotting.places import plot_depth, plot_map
from nwb_celltype.plotting.trains import plot_acg, plot_acg_3d, plot_isi
from nwb_celltype.plotting.waveforms import plot_waveform

__all__ = [
    "plot_acg",
    "plot_acg_3d",
    "plot_counts",
    "plot_coverage",
    "plot_depth",
    "plot_explanation",
    "plot_isi",
    "plot_map",
    "plot_probabilities",
    "plot_unit",
    "plot_waveform",
]
