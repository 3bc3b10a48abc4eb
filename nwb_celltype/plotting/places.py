"""Where units lie: along the probe, and among the training units of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.colours import colours_of
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.layers import LayerSource, find_layers
from nwb_celltype.plotting.answers import Answers, classes_of, name_of
from nwb_celltype.plotting.canvas import axes_for
from nwb_celltype.plotting.channels import on_probe
from nwb_celltype.plotting.panels import draw_depth, draw_legend, draw_map
from nwb_celltype.taxonomy import UNCLASSIFIED
from nwb_celltype.units import Units

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nwb_celltype.classifier.neighbourhood import Location

Float = NDArray[np.float64]


def unit_places(units: Units) -> Float:
    """(n, 2) place of the peak electrode of each unit on its probe, micrometres; NaN where unknown."""
    places = np.full((len(units), 2), np.nan)
    if units.channel_positions is None:
        return places
    plane = on_probe(units.channel_positions)
    for row in range(len(units)):
        electrode = units.peak_electrode(row)
        if electrode is not None and 0 <= electrode < len(plane):
            places[row] = plane[electrode]
    return places


def plot_depth(
    units: Units,
    answers: Answers,
    *,
    layers: LayerSource | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Plot the units where they lie on the probe, coloured by class.

    Parameters
    ----------
    units : Units
    answers : Run or Annotation
    layers : path or mapping of unit id to layer, optional
        As for `nwb_celltype.layers.find_layers`: by default a column of the units table, ``"ignore"`` for none. Layers
        are shaded along the right edge.
    legend : bool
    ax : matplotlib.axes.Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Open circles have no answer, crosses are unlike the training units. Units that would cover each other
        stand side by side.

    Raises
    ------
    UsageError
        If the run names a unit that there is not, or matplotlib is missing.
    InputError
        If no unit has a position.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> from nwb_celltype.plotting import plot_depth
    >>> with nct.read_units("session_celltype.nwb") as units:  # doctest: +SKIP
    ...     ax = plot_depth(units, nct.choose_run("session_celltype.nwb"))
    """
    own = units.select(answers.unit_ids.tolist())
    places = unit_places(own)
    if not np.isfinite(places).any():
        message = (
            f"No unit of {units.session.path or 'these units'} has a position: the file links no electrodes with "
            "`rel_x` and `rel_y` to them. Add these columns to the electrodes table."
        )
        raise InputError(message)
    found = find_layers(own, layers)
    ax = axes_for(ax, 60.0, 100.0)
    classes = [*classes_of(answers), UNCLASSIFIED]
    colours = colours_of([*classes, *sorted(set(answers.cell_type.tolist()))])
    electrodes = None if own.channel_positions is None else on_probe(own.channel_positions)
    labels, reasons = answers.cell_type.tolist(), answers.reason.tolist()
    draw_depth(ax, places, labels, reasons, colours, electrodes, None if found is None else found.names.tolist())
    if legend:
        shown = [name for name in classes if name in set(labels)]
        draw_legend(ax, shown, colours, odd="out_of_distribution" in reasons, loc="upper left",
                    bbox_to_anchor=(1.12 if found is not None else 1.02, 1.0))  # fmt: skip
    return ax


def plot_map(
    location: Location,
    answers: Answers | None = None,
    *,
    highlight: int | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Plot the units among the training units of a model, which lie behind them.

    Parameters
    ----------
    location : Location
        From `nwb_celltype.classifier.neighbourhood.locate`.
    answers : Run or Annotation, optional
        Colours the units by class.
    highlight : int, optional
        Id of a unit to mark; the others are left out then.
    legend : bool
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        Distances on the map are those of the model; its axes have no unit.

    Raises
    ------
    UsageError
        If the run names none of the units, the one to mark is not among them, or matplotlib is missing.

    Examples
    --------
    >>> from nwb_celltype.classifier import load_model
    >>> from nwb_celltype.classifier.neighbourhood import locate  # doctest: +SKIP
    >>> where = locate(load_model("cerebellum"), features)  # doctest: +SKIP
    >>> ax = plot_map(where, run)  # doctest: +SKIP
    """
    xy = np.asarray(location.xy, dtype=np.float64)
    ids = [int(i) for i in location.unit_ids]
    labels, reasons = _said(ids, answers)
    training = [str(label) for label in location.training_label]
    names = list(dict.fromkeys([*(classes_of(answers) if answers is not None else ()), *sorted(set(training))]))
    colours = colours_of([*names, *sorted(set(labels) - set(names)), UNCLASSIFIED])
    place = None
    if highlight is not None:
        if highlight not in ids:
            message = f"Unit {highlight} is not on the map; look at `location.unit_ids`."
            raise UsageError(message)
        place = (float(xy[ids.index(highlight), 0]), float(xy[ids.index(highlight), 1]))
        xy, labels, reasons = xy[:0], [], []
    ax = axes_for(ax)
    axes = (str(location.axes[0]), str(location.axes[1]))
    draw_map(ax, np.asarray(location.training_xy), training, axes, xy, labels, reasons, colours, place)
    if legend:
        present = {*training, *labels}
        shown = [name for name in [*names, UNCLASSIFIED] if name in present]
        draw_legend(ax, shown, colours, odd="out_of_distribution" in reasons, loc="upper left",
                    bbox_to_anchor=(1.02, 1.0))  # fmt: skip
    return ax


def _said(ids: list[int], answers: Answers | None) -> tuple[list[str], list[str]]:
    """Label and reason of each unit; a unit that the run does not name is unclassified."""
    if answers is None:
        return [UNCLASSIFIED] * len(ids), [""] * len(ids)
    rows = {int(i): k for k, i in enumerate(answers.unit_ids)}
    if ids and not rows.keys() & set(ids):
        message = f"The run {name_of(answers)!r} names none of the units on the map; locate its own units."
        raise UsageError(message)
    at = [rows.get(i) for i in ids]
    labels = [UNCLASSIFIED if k is None else str(answers.cell_type[k]) for k in at]
    return labels, ["not asked" if k is None else str(answers.reason[k]) for k in at]
