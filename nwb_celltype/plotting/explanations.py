"""Why a model said what it said, of one unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.plotting.canvas import axes_for
from nwb_celltype.plotting.panels import draw_contributions, draw_explained
from nwb_celltype.plotting.trains import unit_of

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

Part = Literal["modalities", "waveform", "isi_histogram", "acg", "waveform_statistics", "acg_statistics", "statistics"]

_CURVES = {
    "waveform": ("waveform_time", "time from peak (ms)"),
    "isi_histogram": ("isi_time", "interval (ms)"),
    "acg": ("lag", "lag (ms)"),
}
_MOST_BARS = 10


def plot_explanation(
    explanation: xr.Dataset,
    unit_id: int,
    *,
    part: Part = "modalities",
    features: xr.Dataset | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot what spoke for the class of a unit (orange), and what against it (violet).

    Parameters
    ----------
    explanation : xarray.Dataset
        From `nwb_celltype.explain`.
    unit_id : int
    part : str
        ``modalities``: a bar each. ``waveform``, ``isi_histogram``, ``acg``: each sample, bin or lag as the ground
        behind the curve. ``waveform_statistics``, ``acg_statistics``, ``statistics``: the ten that mattered most.
    features : xarray.Dataset, optional
        From `nwb_celltype.features.compute`; the curves are drawn from it.
    ax : matplotlib.axes.Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The title names the class that is explained.

    Raises
    ------
    UsageError
        If there is no such unit or part, or matplotlib is missing.
    InputError
        If nothing is explained about this part of the unit.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> from nwb_celltype.plotting import plot_explanation
    >>> with nct.read_units("session.nwb") as units:  # doctest: +SKIP
    ...     features = nct.features.compute(units)
    >>> ax = plot_explanation(nct.explain(features), 17, part="acg", features=features)  # doctest: +SKIP
    """
    unit = unit_of(explanation, unit_id)
    name = "contribution" if part == "modalities" else part
    if name not in unit.data_vars:
        parts = ["modalities", *(n for n in (*_CURVES, *_STATISTICS) if n in unit.data_vars)]
        message = f"The explanation has no part {part!r}; it has {', '.join(parts)}."
        raise UsageError(message)
    values = np.asarray(unit[name].values, dtype=np.float64)
    if not np.isfinite(values).any():
        message = f"Nothing is explained about {part} of unit {unit_id}: the model did not use it."
        raise InputError(message)
    ax = axes_for(ax)
    if part in _CURVES:
        dimension, xlabel = _CURVES[part]
        curve = None if features is None else np.asarray(unit_of(features, unit_id)[part].values, dtype=np.float64)
        draw_explained(ax, np.asarray(unit[dimension].values, dtype=np.float64), curve, values, xlabel)
    else:
        names = [str(one).replace("_", " ") for one in unit[unit[name].dims[0]].values]
        order = np.argsort(-np.abs(np.nan_to_num(values)), kind="stable")[:_MOST_BARS]
        kept = np.arange(len(values)) if part == "modalities" else order
        draw_contributions(ax, [names[k] for k in kept], values[kept])
    ax.set_title(f"for {unit['cell_type'].item()}", loc="left")
    return ax


_STATISTICS = ("waveform_statistics", "acg_statistics", "statistics")
