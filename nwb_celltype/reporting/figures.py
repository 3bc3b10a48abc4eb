"""The figures of a report as files for papers: PNG, SVG and PDF, of the width of a page or a column."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError, RefusedError, UsageError
from nwb_celltype.nwb_io.safe_write import create_safely
from nwb_celltype.plotting.answers import count_answers, coverage, spread_of_classes
from nwb_celltype.plotting.canvas import COLUMN_MM, PAGE_MM, axes_for, new_figure, print_style
from nwb_celltype.plotting.composites import HEIGHT_MM, Panel, compose, sentence_of, title_of
from nwb_celltype.plotting.panels import (
    draw_channels,
    draw_contributions,
    draw_correlogram,
    draw_counts,
    draw_coverage,
    draw_depth,
    draw_explained,
    draw_intervals,
    draw_legend,
    draw_map,
    draw_neighbours,
    draw_probabilities,
    draw_rate_map,
    draw_reliability,
)
from nwb_celltype.reporting.records import FileView, ReportView, UnitView
from nwb_celltype.taxonomy import UNCLASSIFIED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nwb_celltype.features.dataset import Progress

FORMATS = ("png", "svg", "pdf")
MOST_UNITS = 100
"""Units that get a figure of their own unless more are asked for."""
CAPTIONS = "captions.txt"

_MARK = "nwb-celltype"
_DPI = 300
_MOST_NEIGHBOURS = 5
_MOST_STATISTICS = 6


def write_figures(
    view: ReportView,
    folder: str | Path,
    *,
    formats: Sequence[str] = FORMATS,
    most_units: int = MOST_UNITS,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the figures of a report: summary, probe, map, and one of each unit.

    Text is text in SVG and PDF, and PNG has 300 dots an inch. Older figures of these names are replaced if this package
    made them.

    Parameters
    ----------
    view : ReportView
        From `nwb_celltype.reporting.gather`.
    folder : str or Path
        Gets ``summary``, ``depth``, ``map``, ``units/unit_<id>_<class>`` and `CAPTIONS`, which says what each shows. Of
        several files, names of depths and units begin with that of the file.
    formats : sequence of {'png', 'svg', 'pdf'}
    most_units : int
        No more units than these, in the order of the report; the captions say how many were left out.
    progress : callable, optional
        Told a task, the figures done and their number.

    Returns
    -------
    list of Path

    Raises
    ------
    UsageError
        If a format is unknown, or matplotlib is missing.
    RefusedError
        If a file of such a name was not made by this package.
    InputError
        If a figure cannot be written.

    Examples
    --------
    >>> from nwb_celltype.reporting import gather
    >>> paths = write_figures(gather("session_celltype.nwb"), "figures")  # doctest: +SKIP
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        message = f"Figures are written as {', '.join(FORMATS)}, not {', '.join(unknown) or 'nothing'}."
        raise UsageError(message)
    place = Path(folder).expanduser()
    jobs = _jobs(view, most_units)
    paths: list[Path] = []
    with print_style():
        for done, (name, (draw, _)) in enumerate(jobs.items()):
            figure = draw()
            figure.draw_without_rendering()  # lays out; once for all formats
            figure.set_layout_engine("none")
            paths += [_save(figure, place / f"{name}.{kind}") for kind in dict.fromkeys(formats)]
            if progress is not None:
                progress("figures", done + 1, len(jobs))
    n_lost = len(view.units) - min(len(view.units), max(most_units, 0))
    captions = [f"{name}: {caption}" for name, (_, caption) in jobs.items()]
    if n_lost:
        captions.append(f"{n_lost} more units have no figure here; ask for more with `most_units`, or name units.")
    captions.append(f"Made by {view.software} ({_MARK}).")
    return [*paths, _write_text(place / CAPTIONS, "\n\n".join(captions) + "\n")]


def _jobs(view: ReportView, most_units: int) -> dict[str, tuple[Callable[[], Figure], str]]:
    """Names of the figures, how each is drawn, and its caption."""
    jobs: dict[str, tuple[Callable[[], Figure], str]] = {
        "summary": (lambda: _summary(view), _summary_caption(view)),
    }
    several = len(view.files) > 1
    names = _unique_stems([file.name for file in view.files])
    for number, file in enumerate(view.files):
        own = view.units_of(number)
        if any(unit.x_um is not None and unit.y_um is not None for unit in own):
            name = f"{names[number]}_depth" if several else "depth"
            jobs[name] = (_bound(_depth, view, file, own), _depth_caption(file))
    if view.training_map is not None and any(unit.map_xy is not None for unit in view.units):
        jobs["map"] = (lambda: _map(view), _map_caption(view))
    for unit in view.units[: max(most_units, 0)]:
        name = f"unit_{unit.unit_id}_{_safe(unit.label)}"
        jobs[f"units/{names[unit.file]}_{name}" if several else f"units/{name}"] = (
            _bound(_unit, view, unit),
            _unit_caption(view, unit),
        )
    return jobs


def _bound(draw: Callable[..., Figure], *arguments: Any) -> Callable[[], Figure]:
    return lambda: draw(*arguments)


def _colours(view: ReportView) -> dict[str, str]:
    return {one.label: one.colour for one in view.classes}


def _summary(view: ReportView) -> Figure:
    runs = [file.run for file in view.files]
    counts, abstained = count_answers(runs)
    points = () if view.model is None else view.model.reliability
    panels: list[tuple[str, Panel]] = [("units", lambda ax: draw_counts(ax, counts, abstained, _colours(view)))]
    if all(run.confidence is not None for run in runs):
        threshold, share = coverage(runs)
        used = {run.confidence_threshold for run in runs}
        own = used.pop() if len(used) == 1 else None
        panels.append(("coverage", lambda ax: draw_coverage(ax, threshold, share, own)))
    if points:
        values = np.array([(p.confidence, p.accuracy, p.n) for p in points], dtype=np.float64)
        panels.append(
            ("calibration", lambda ax: draw_reliability(ax, values[:, 0], values[:, 1], values[:, 2].astype(np.int64)))
        )
    height = 14.0 + max(42.0, 4.6 * (len(counts) + len(abstained)))
    figure = new_figure(PAGE_MM if len(panels) > 1 else COLUMN_MM, height)
    grid = figure.add_gridspec(1, len(panels), width_ratios=[1.5, *[1.0] * (len(panels) - 1)])
    for k, (title, panel) in enumerate(panels):
        ax = axes_for(figure.add_subplot(grid[0, k]))
        panel(ax)
        ax.set_title(title, loc="left", fontweight="bold")
    return figure


def _summary_caption(view: ReportView) -> str:
    n, k = len(view.units), len(view.files)
    model = "" if view.model is None else f" by {view.model.name} {view.model.version}"
    calibration = (
        " Calibration: share of right answers among held-out units of each confidence."
        if view.model is not None and view.model.reliability
        else ""
    )
    return (
        f"Cell types of {n} unit{'s' * (n != 1)} of {k} recording{'s' * (k != 1)}{model}. Coverage: share of units "
        f"with an answer at each confidence threshold; dashed, the one used.{calibration}"
    )


def _depth(view: ReportView, file: FileView, units: Sequence[UnitView]) -> Figure:
    figure = new_figure(COLUMN_MM, 110.0)
    ax = axes_for(figure.add_subplot())
    xy = np.array([(_number(unit.x_um), _number(unit.y_um)) for unit in units], dtype=np.float64)
    electrodes = None
    if file.probe_x_um is not None and file.probe_y_um is not None:
        electrodes = np.column_stack([file.probe_x_um, file.probe_y_um])
    labels, reasons = _said(units)
    layers = [unit.layer or "" for unit in units]
    draw_depth(ax, xy, labels, reasons, _colours(view), electrodes, layers if any(layers) else None)
    _legend(ax, view, labels, reasons, x=1.16 if any(layers) else 1.03)
    return figure


def _depth_caption(file: FileView) -> str:
    return (
        f"Units of {file.name} on the probe; squares are its contacts. Open circles have no answer, crosses are unlike "
        "the training units. Units that would cover each other stand side by side."
    )


def _map(view: ReportView) -> Figure:
    figure = new_figure(PAGE_MM * 0.7, 85.0)
    ax = axes_for(figure.add_subplot())
    labels, reasons = _said(view.units)
    xy = np.array([(np.nan, np.nan) if unit.map_xy is None else unit.map_xy for unit in view.units])
    _draw_training(ax, view, xy, labels, reasons)
    known = _colours(view)
    _legend(ax, view, [*(label for label in _training_labels(view) if label in known), *labels], reasons, x=1.03)
    return figure


def _map_caption(view: ReportView) -> str:
    method = "" if view.training_map is None else view.training_map.method
    return f"Units among the training units of the model (pale). {method}".strip()


def _draw_training(
    ax: Axes,
    view: ReportView,
    xy: NDArray[np.float64] | None = None,
    labels: Sequence[str] = (),
    reasons: Sequence[str] = (),
    highlight: tuple[float, float] | None = None,
) -> None:
    training = view.training_map
    if training is None:
        message = "The model has no map of its training units."
        raise InputError(message)
    names = _training_labels(view)
    draw_map(ax, training.xy, names, training.axes, xy, labels, reasons, _colours(view), highlight)


def _training_labels(view: ReportView) -> list[str]:
    return [] if view.training_map is None else [str(label) for label in view.training_map.label]


def _legend(ax: Axes, view: ReportView, labels: Sequence[str], reasons: Sequence[str], x: float) -> None:
    present = set(labels)
    shown = [one.label for one in view.classes if one.label in present]
    draw_legend(
        ax, shown, _colours(view), odd="out_of_distribution" in reasons, loc="upper left", bbox_to_anchor=(x, 1.0)
    )


def _said(units: Sequence[UnitView]) -> tuple[list[str], list[str]]:
    return [unit.label for unit in units], [unit.reason for unit in units]


def _unit(view: ReportView, unit: UnitView) -> Figure:
    colours = _colours(view)
    colour = colours[unit.label]
    confidence = unit.confidence
    facts = [
        None if unit.n_spikes is None else f"{unit.n_spikes} spikes",
        None if unit.rate_hz is None else f"{unit.rate_hz:.3g} spikes/s",
        unit.region,
        unit.layer,
    ]
    return compose(
        new_figure(PAGE_MM, HEIGHT_MM),
        lambda ax: _waveform(ax, unit, colour),
        _unit_panels(view, unit, colour, colours),
        title_of(f"unit {unit.name or unit.unit_id}", unit.label, confidence),
        colour,
        sentence_of(unit.reason, unit.reason_detail),
        ", ".join(fact for fact in facts if fact),
    )


def _waveform(ax: Axes, unit: UnitView, colour: str) -> None:
    shown = unit.waveform
    if shown is None:
        message = "no mean waveform"
        raise InputError(message)
    scale = "µV" if shown.scale_unit == "uV" else shown.scale_unit
    draw_channels(ax, shown.time_ms, shown.values, shown.positions, shown.peak, colour, scale)


def _unit_panels(view: ReportView, unit: UnitView, colour: str, colours: Mapping[str, str]) -> dict[str, Panel]:
    axes = view.axes
    classes = [one.label for one in view.classes if one.label != UNCLASSIFIED]
    threshold = view.files[unit.file].run.confidence_threshold

    def intervals(ax: Axes) -> None:
        counts = _needed(unit.isi, "no inter-spike intervals")
        draw_intervals(axes_for(ax), axes.isi_ms, counts, colour)

    def correlogram(ax: Axes) -> None:
        values = _needed(unit.acg_hz, "no autocorrelogram")
        draw_correlogram(axes_for(ax), axes.acg_ms, values, colour, "spikes/s")

    def by_rate(ax: Axes) -> None:
        if unit.acg_3d is None:
            message = "no autocorrelogram by rate"
            raise InputError(message)
        draw_rate_map(axes_for(ax), axes.acg_3d_ms, unit.acg_3d.values, unit.acg_3d.rates_hz)

    def probabilities(ax: Axes) -> None:
        values = _needed(unit.probability, "no probabilities")
        kept = [k for k, value in enumerate(values) if np.isfinite(value)]
        shown = values[kept]
        spread = spread_of_classes(shown, unit.spread)
        draw_probabilities(axes_for(ax), [classes[k] for k in kept], shown, colours, spread, threshold)

    panels: dict[str, Panel] = {
        "intervals": intervals,
        "ACG": correlogram,
        "ACG by firing rate": by_rate,
        "classes": probabilities,
    }
    if view.training_map is not None and unit.map_xy is not None:
        panels["training units"] = lambda ax: _own_place(ax, view, unit)
    if unit.neighbours:
        nearest = [(one.label, one.lab, one.distance) for one in unit.neighbours[:_MOST_NEIGHBOURS]]
        panels["nearest of them"] = lambda ax: draw_neighbours(ax, nearest, colours)
    return {**panels, **_explanation_panels(view, unit)}


def _own_place(ax: Axes, view: ReportView, unit: UnitView) -> None:
    _draw_training(ax, view, highlight=unit.map_xy)
    ax.set_axis_off()


def _explanation_panels(view: ReportView, unit: UnitView) -> dict[str, Panel]:
    found = unit.explanation
    if found is None:
        return {}
    panels: dict[str, Panel] = {}
    if found.modalities:
        names, values = list(found.modalities), np.array(list(found.modalities.values()), dtype=np.float64)
        panels[f"for {found.label}"] = lambda ax: draw_contributions(axes_for(ax), names, values)
    lags = view.axes.acg_explained_ms
    if found.acg is not None and lags is not None and np.isfinite(found.acg).any():
        explained = found.acg
        curve = _curve_at(view.axes.acg_ms, unit.acg_hz, lags)
        panels["ACG explained"] = lambda ax: _explained(axes_for(ax), lags, curve, explained)
    elif found.statistics:
        first = dict(list(found.statistics.items())[:_MOST_STATISTICS])
        words = [name.replace("_", " ") for name in first]
        parts = np.array(list(first.values()), dtype=np.float64)
        panels["statistics"] = lambda ax: draw_contributions(axes_for(ax), words, parts)
    return panels


def _explained(
    ax: Axes, lags: NDArray[np.float64], curve: NDArray[np.float64] | None, contribution: NDArray[np.float64]
) -> None:
    draw_explained(ax, lags, curve, contribution, "lag (ms)")
    if curve is not None:
        ax.set_ylabel("spikes/s")


def _curve_at(
    lags_ms: NDArray[np.float64], acg_hz: NDArray[np.float64] | None, at_ms: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Autocorrelogram at the lags of an explanation."""
    if acg_hz is None:
        return None
    return np.interp(at_ms, lags_ms, acg_hz)


def _needed(values: NDArray[np.float64] | None, sentence: str) -> NDArray[np.float64]:
    if values is None or not np.isfinite(values).any():
        raise InputError(sentence)
    return values


def _unit_caption(view: ReportView, unit: UnitView) -> str:
    words = title_of(f"Unit {unit.unit_id} of {view.files[unit.file].name}", unit.label, unit.confidence)
    reason = sentence_of(unit.reason, unit.reason_detail)
    spread = "" if unit.spread is None else " Error bar: standard deviation over the ensemble."
    text = f"{words}. {reason}".strip()
    return f"{text if text.endswith('.') else f'{text}.'}{spread}"


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _safe(text: str) -> str:
    """Text as part of a file name."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", text).strip("_.") or "unnamed"


def _unique_stems(names: Sequence[str]) -> list[str]:
    """Stems of file names; where two are alike, the second is numbered."""
    found: list[str] = []
    seen: Counter[str] = Counter()
    for name in names:
        stem = _safe(re.sub(r"\.nwb$", "", name))
        seen[stem] += 1
        found.append(stem if seen[stem] == 1 else f"{stem}_{seen[stem]}")
    return found


def _save(figure: Figure, path: Path) -> Path:
    kind = path.suffix[1:]
    # without dates, the same report gives the same bytes
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": _MARK},
        "svg": {"Creator": _MARK, "Date": None},
        "pdf": {"Creator": _MARK, "CreationDate": None},
    }
    _refuse_foreign(path)

    def write(partial: Path) -> None:
        import matplotlib

        with matplotlib.rc_context({"svg.hashsalt": path.name}):
            figure.savefig(partial, format=kind, dpi=_DPI, metadata=metadata[kind])

    def validate(partial: Path) -> None:
        if _MARK.encode() not in partial.read_bytes():
            message = f"{path} could not be written as it should be; is the disk full?"
            raise InputError(message)

    return create_safely(path, write, validate, replaces=True)


def _write_text(path: Path, text: str) -> Path:
    _refuse_foreign(path)

    def write(partial: Path) -> None:
        partial.write_text(text, encoding="utf-8")

    def validate(partial: Path) -> None:
        if partial.read_text(encoding="utf-8") != text:
            message = f"{path} could not be written as it should be; is the disk full?"
            raise InputError(message)

    return create_safely(path, write, validate, replaces=True)


def _refuse_foreign(path: Path) -> None:
    if path.exists() and (not path.is_file() or _MARK.encode() not in path.read_bytes()):
        message = f"{path} was not made by nwb-celltype and was left alone; choose another folder for the figures."
        raise RefusedError(message)
