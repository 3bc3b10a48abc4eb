"""Where things are drawn: axes, the look of print, and what a missing matplotlib is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nwb_celltype.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MM = 1 / 25.4
"""A millimetre in inches, in which matplotlib counts."""
COLUMN_MM, PAGE_MM = 89.0, 183.0
"""Width of one column and of two in most journals."""

PRINT_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "font.size": 7.0,
    "axes.titlesize": 7.0,
    "axes.labelsize": 7.0,
    "xtick.labelsize": 6.0,
    "ytick.labelsize": 6.0,
    "legend.fontsize": 6.0,
    "figure.titlesize": 8.0,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "axes.titlepad": 3.0,
    "axes.labelpad": 2.0,
    "lines.linewidth": 1.0,
    "savefig.dpi": 300,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "text.color": "black",
    "axes.labelcolor": "black",
    "axes.edgecolor": "black",
    "xtick.color": "black",
    "ytick.color": "black",
    # text stays text that can be searched and edited
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
}
"""Settings of matplotlib for figures in print: small type, thin lines, text as text."""


def require_matplotlib() -> None:
    """Raise `UsageError` unless figures can be drawn."""
    if find_spec("matplotlib") is None:
        message = "Figures need matplotlib: pip install 'nwb-celltype[report]'."
        raise UsageError(message)


@contextmanager
def print_style() -> Iterator[None]:
    """Draw with `PRINT_STYLE`, and leave the user's settings as they were.

    Raises
    ------
    UsageError
        If matplotlib is not installed.

    Examples
    --------
    >>> from matplotlib import rcParams
    >>> with print_style():
    ...     rcParams["svg.fonttype"]
    'none'
    """
    require_matplotlib()
    import matplotlib

    installed = _installed_fonts()
    wanted = [name for name in PRINT_STYLE["font.sans-serif"] if name in installed]
    style: Any = {**PRINT_STYLE, "font.sans-serif": wanted}
    with matplotlib.rc_context(style):
        yield


def axes_for(ax: Axes | None, width_mm: float = COLUMN_MM, height_mm: float = 60.0) -> Axes:
    """Return the axes given, or those of a new pyplot figure of this size; top and right lines go.

    Raises
    ------
    UsageError
        If matplotlib is not installed.
    """
    if ax is None:
        require_matplotlib()
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(width_mm * MM, height_mm * MM), layout="constrained")
        ax = figure.add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def new_figure(width_mm: float, height_mm: float) -> Figure:
    """Make a figure outside pyplot: nothing is left open, and no window asked for.

    Raises
    ------
    UsageError
        If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width_mm * MM, height_mm * MM), layout="constrained")


def say(ax: Axes, sentence: str) -> Axes:
    """Write why there is nothing to draw, in the middle of otherwise empty axes."""
    import textwrap

    ax.set_axis_off()
    ax.text(
        0.5, 0.5, textwrap.fill(sentence, 28), ha="center", va="center", color="#666666", style="italic",
        transform=ax.transAxes,
    )  # fmt: skip
    return ax


def _installed_fonts() -> set[str]:
    from matplotlib.font_manager import fontManager

    return {font.name for font in fontManager.ttflist}
