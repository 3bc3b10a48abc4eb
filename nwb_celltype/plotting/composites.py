"""All panels of one unit on one figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from nwb_celltype.colours import colour_of
from nwb_celltype.errors import InputError
from nwb_celltype.plotting.answers import Answers, answer_row, plot_probabilities
from nwb_celltype.plotting.canvas import MM, PAGE_MM, require_matplotlib, say
from nwb_celltype.plotting.explanations import Part, plot_explanation
from nwb_celltype.plotting.panels import draw_neighbours
from nwb_celltype.plotting.places import plot_map
from nwb_celltype.plotting.trains import plot_acg, plot_acg_3d, plot_isi
from nwb_celltype.plotting.waveforms import plot_waveform
from nwb_celltype.taxonomy import CEREBELLUM, FOREBRAIN, UNCLASSIFIED
from nwb_celltype.units import Units

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nwb_celltype.classifier.neighbourhood import Location

Panel = Callable[["Axes"], object]

HEIGHT_MM = 92.0
_N_CHANNELS = 9


def plot_unit(
    units: Units,
    unit_id: int,
    answers: Answers,
    *,
    spread: float | None = None,
    features: xr.Dataset | None = None,
    location: Location | None = None,
    explanation: xr.Dataset | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Plot a unit as one looks at it: waveforms, intervals, autocorrelograms, probabilities, neighbours, explanation.

    Parameters
    ----------
    units : Units
    unit_id : int
    answers : Run or Annotation
    spread : float, optional
        Standard deviation over the ensemble of the most probable class.
    features : xarray.Dataset, optional
        For the curves of `explanation`.
    location : Location, optional
        From `nwb_celltype.classifier.neighbourhood.locate`.
    explanation : xarray.Dataset, optional
        From `nwb_celltype.explain`.
    figure : matplotlib.figure.Figure, optional
        An empty figure, 183 mm wide by default.

    Returns
    -------
    matplotlib.figure.Figure
        What a unit does not have is said in the place of its panel.

    Raises
    ------
    UsageError
        If there is no such unit in the recording or the run, or matplotlib is missing.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> from nwb_celltype.plotting import plot_unit
    >>> with nct.read_units("session_celltype.nwb") as units:  # doctest: +SKIP
    ...     figure = plot_unit(units, 17, nct.choose_run("session_celltype.nwb"))
    """
    require_matplotlib()
    row, at = units.row_of(unit_id), answer_row(answers, unit_id)
    label = str(answers.cell_type[at])
    panels: dict[str, Panel] = {
        "intervals": lambda ax: plot_isi(units, unit_id, log=True, cell_type=label, ax=ax),
        "ACG": lambda ax: plot_acg(units, unit_id, cell_type=label, ax=ax),
        "ACG by firing rate": lambda ax: plot_acg_3d(units, unit_id, colorbar=False, ax=ax),
        "classes": lambda ax: plot_probabilities(answers, unit_id, spread=spread, ax=ax),
    }
    if location is not None:
        panels["training units"] = lambda ax: plot_map(
            location, answers, highlight=unit_id, legend=False, ax=ax
        ).set_axis_off()
        at_map = np.flatnonzero(np.asarray(location.unit_ids) == unit_id)
        if len(at_map):
            nearest = neighbours_of(location, int(at_map[0]))
            panels["nearest of them"] = lambda ax: draw_neighbours(ax, nearest)
    if explanation is not None:
        panels["contributions"] = lambda ax: plot_explanation(explanation, unit_id, ax=ax).set_title("")
        parts: tuple[Part, ...] = ("acg", "waveform", "statistics")
        part = next((p for p in parts if p in explanation.data_vars), None)
        if part is not None:
            panels[f"{part.replace('acg', 'ACG')} explained"] = lambda ax: plot_explanation(
                explanation, unit_id, part=part, features=features, ax=ax
            ).set_title("")
    confidence = None if answers.confidence is None else float(answers.confidence[at])
    facts = f"{int(units.spike_times.counts[row])} spikes"
    region = units.region[row]
    heading = title_of(f"unit {unit_id}", label, confidence)
    return compose(
        figure,
        lambda ax: plot_waveform(units, unit_id, n_channels=_N_CHANNELS, cell_type=label, ax=ax),
        panels,
        heading,
        colour_of(label),
        sentence_of(str(answers.reason[at]), str(answers.reason_detail[at])),
        ", ".join(part for part in (facts, str(region)) if part),
    )


def neighbours_of(location: Location, row: int) -> list[tuple[str, str, float]]:
    """Class, laboratory and distance of the nearest training units of a row."""
    found = [(int(k), float(d)) for k, d in zip(location.neighbours[row], location.distance[row], strict=True)]
    return [(str(location.training_label[k]), str(location.training_source[k]), d) for k, d in found if k >= 0]


def title_of(unit: str, label: str, confidence: float | None) -> str:
    """Heading of a unit: its name, the class in words, and how sure the method is."""
    words = next((t[label].full_name for t in (CEREBELLUM, FOREBRAIN) if label in t), label)
    said = f"{unit}: {words}" + (f" ({label})" if words != label else "")
    sure = "" if label == UNCLASSIFIED or confidence is None or not np.isfinite(confidence) else f", {confidence:.2f}"
    return said + sure


def sentence_of(reason: str, detail: str) -> str:
    """Why there is no answer, in a line."""
    word = reason.replace("_", " ")
    return f"{word}: {detail}" if word and detail else word or detail


def compose(
    figure: Figure | None,
    waveforms: Panel,
    panels: Mapping[str, Panel],
    heading: str,
    colour: str,
    reason: str = "",
    facts: str = "",
) -> Figure:
    """Put panels onto a figure: waveforms across channels at the left, the others beside them in two rows.

    Parameters
    ----------
    figure : Figure or None
    waveforms : callable of an axes
    panels : mapping of str to callable of an axes
        Each with its title. One that raises `InputError` has nothing to show: the sentence stands in its place.
    heading, colour, reason, facts : str
        First line, its colour, why there is no answer, and what else is known.

    Returns
    -------
    Figure
    """
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(PAGE_MM * MM, HEIGHT_MM * MM), layout="constrained")
    n_columns = -(-len(panels) // 2)
    grid = figure.add_gridspec(2, n_columns + 1, width_ratios=[0.95, *[1.0] * n_columns])
    _draw(figure.add_subplot(grid[:, 0]), waveforms, "mean waveform")
    for k, (title, panel) in enumerate(panels.items()):
        _draw(figure.add_subplot(grid[k % 2, 1 + k // 2]), panel, title)
    figure.suptitle(heading, color=colour, fontweight="bold", x=0.01, ha="left")
    below = "; ".join(part for part in (facts, reason) if part)
    if below:
        figure.supxlabel(below, x=0.01, ha="left", fontsize="medium", color="#444444")
    return figure


def _draw(ax: Axes, panel: Panel, title: str) -> None:
    try:
        panel(ax)
    except InputError as error:
        ax.clear()
        say(ax, str(error))
    ax.set_title(title, loc="left", fontweight="bold")
