"""Panels drawn from plain arrays; the functions for users, and the figures of a report, come down to these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.colours import GREY, INK, PALE, colour_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Float = NDArray[np.float64]

_LEAST_WIDTH_UM = 60.0

DIVERGING = "PuOr_r"
"""Orange for what spoke for a class, violet for what spoke against it; told apart by all eyes."""


def draw_trace(ax: Axes, time_ms: Float, values: Float, colour: str, unit: str) -> None:
    """Draw one waveform with a line at zero."""
    ax.axhline(0, color=PALE, linewidth=0.6, zorder=0)
    ax.plot(time_ms, values, color=colour, linewidth=1.2, solid_joinstyle="round")
    ax.margins(x=0)
    ax.set(xlabel="time (ms)", ylabel=f"mean waveform ({unit})")


def draw_channels(
    ax: Axes, time_ms: Float, values: Float, positions: Float | None, peak: int, colour: str, unit: str
) -> None:
    """Draw a waveform a channel, where each channel lies, with bars for time and voltage.

    Parameters
    ----------
    ax : Axes
    time_ms : (n,) array
    values : (k, n) array
    positions : (k, 2) array or None, micrometres
        Without them, channels stand below one another.
    peak : int
    colour, unit : str
    """
    k = len(values)
    known = positions is not None and np.isfinite(positions).all()
    at: NDArray[Any] = (
        np.asarray(positions, dtype=np.float64) if known else np.column_stack([np.zeros(k), -np.arange(k)])
    )
    step_x, step_y = _spacing(at[:, 0]), _spacing(at[:, 1])
    if step_x is None:  # a single column: as wide as looks well
        step_x = 1.0
    if step_y is None:
        step_y = 1.0
    span = float(time_ms[-1] - time_ms[0]) or 1.0
    height = float(np.nanmax(values) - np.nanmin(values)) or 1.0
    # neighbours along the probe are often close: tall waveforms may reach over the next channel, but not far
    x_scale, y_scale = 0.86 * step_x / span, 1.7 * step_y / height
    for row in range(k):
        is_peak = row == peak
        ax.plot(
            at[row, 0] + (time_ms - time_ms.mean()) * x_scale,
            at[row, 1] + values[row] * y_scale,
            color=colour, linewidth=1.3 if is_peak else 0.8, alpha=1.0 if is_peak else 0.6,
            solid_joinstyle="round", zorder=3 if is_peak else 2,
        )  # fmt: skip
    _bars(ax, span, height, x_scale, y_scale, step_y, unit)
    ax.set_axis_off()


def _spacing(coordinates: NDArray[Any]) -> float | None:
    """Smallest distance between columns (or rows) of channels."""
    steps = np.diff(np.unique(np.round(coordinates, 3)))
    return float(steps.min()) if len(steps) else None


def _bars(ax: Axes, span: float, height: float, x_scale: float, y_scale: float, step_y: float, unit: str) -> None:
    """Bars for time and voltage, below and to the left of everything."""
    time_bar, volt_bar = _round_number(span / 3), _round_number(height / 2.5)
    lines = np.concatenate([line.get_xydata() for line in ax.lines])
    left, bottom = np.nanmin(lines[:, 0]), np.nanmin(lines[:, 1]) - 0.45 * step_y
    corner = (left, bottom)
    ax.plot([left, left + time_bar * x_scale], [bottom, bottom], color=INK, linewidth=1.0, clip_on=False)
    ax.plot([left, left], [bottom, bottom + volt_bar * y_scale], color=INK, linewidth=1.0, clip_on=False)
    label: dict[str, Any] = {"color": INK, "fontsize": "small", "textcoords": "offset points"}
    ax.annotate(f"{time_bar:g} ms", corner, (1, -3), va="top", ha="left", **label)
    ax.annotate(f"{volt_bar:g} {unit}", corner, (-3, 0), va="bottom", ha="right", rotation=90, **label)


def _round_number(value: float) -> float:
    """Return the largest of 1, 2, 5, 10, ... that is not above a value."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(step * power for step in (1, 2, 5) if step * power <= value * 1.0001))


def draw_intervals(ax: Axes, edges_ms: Float, counts: Float, colour: str) -> None:
    """Draw a histogram of inter-spike intervals; bins of equal width on a logarithm get a logarithmic axis."""
    ax.stairs(counts, edges_ms, fill=True, color=colour, linewidth=0)
    if edges_ms[0] > 0 and edges_ms[-1] - edges_ms[-2] > 1.5 * (edges_ms[1] - edges_ms[0]):
        _log_scale(ax)
    ax.set_ylim(bottom=0)
    ax.set(xlim=(edges_ms[0], edges_ms[-1]), xlabel="interval (ms)", ylabel="intervals")
    ax.locator_params(axis="y", integer=True, nbins=5)


def _log_scale(ax: Axes) -> None:
    """Give an axes a logarithmic x axis, with decades in figures."""
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("")


def draw_correlogram(ax: Axes, lags_ms: Float, values: Float, colour: str, label: str) -> None:
    """Draw an autocorrelogram of 1 ms bins."""
    width = float(lags_ms[1] - lags_ms[0])
    edges = np.append(lags_ms - width / 2, lags_ms[-1] + width / 2)
    ax.stairs(values, edges, fill=True, color=colour, linewidth=0)
    ax.set_ylim(bottom=0)
    ax.set(xlim=(edges[0], edges[-1]), xlabel="lag (ms)", ylabel=label)


def draw_rate_map(ax: Axes, lags_ms: Float, values: Float, rates_hz: Float | None = None) -> Any:
    """Draw autocorrelograms at ten firing rates over logarithmic lags, the slowest at the bottom.

    Parameters
    ----------
    ax : Axes
    lags_ms : (n,) array
        Positive lags.
    values : (10, n) array
        Probability of a spike in a millisecond.
    rates_hz : (10,) array, optional
        Mean rate of each row; without it, rows are numbered.

    Returns
    -------
    QuadMesh
    """
    n = len(values)
    edges = np.concatenate([[lags_ms[0]], np.sqrt(lags_ms[:-1] * lags_ms[1:]), [lags_ms[-1]]])
    shown = values * 1e3
    # a few very full bins would leave the rest black
    mesh = ax.pcolormesh(
        edges, np.arange(n + 1) + 0.5, shown, cmap="viridis", vmin=0, vmax=float(np.quantile(shown, 0.995)) or 1.0,
        rasterized=True,
    )  # fmt: skip
    _log_scale(ax)
    ax.set(xlabel="lag (ms)", ylabel="firing rate, tenths")
    ax.set_yticks([1, n], ["slow", "fast"])
    if rates_hz is not None and np.isfinite(rates_hz).any():
        rows = [row for row in (0, n // 2 - 1, n - 1) if np.isfinite(rates_hz[row])]
        ax.set_yticks([row + 1 for row in rows], [f"{rates_hz[row]:.3g}" for row in rows])
        ax.set_ylabel("firing rate (spikes/s)")
    return mesh


def draw_probabilities(
    ax: Axes,
    classes: Sequence[str],
    probability: Float,
    colours: Mapping[str, str],
    spread: Float | None = None,
    threshold: float | None = None,
) -> None:
    """Draw a bar a class, the first at the top; `spread` (k,) as error bars, the threshold as a line."""
    places = np.arange(len(classes))[::-1]
    ax.barh(places, np.nan_to_num(probability), 0.7, color=[colours[name] for name in classes])
    if spread is not None:
        shown = np.isfinite(spread) & np.isfinite(probability)
        # a bar beyond 0 or 1 would be no probability
        low = np.minimum(spread, probability)[shown]
        high = np.minimum(spread, 1 - probability)[shown]
        ax.errorbar(
            probability[shown], places[shown], xerr=np.array([low, np.maximum(high, 0)]), fmt="none", ecolor=INK,
            capsize=2, elinewidth=0.8,
        )  # fmt: skip
    if threshold is not None:
        ax.axvline(threshold, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))
    for place, value, name in zip(places, probability, classes, strict=True):
        reach = 0.0 if spread is None or not np.isfinite(spread[list(classes).index(name)]) else 1.0
        if np.isfinite(value) and value < 0.8 and not reach:
            ax.annotate(f"{value:.2f}", (value, place), (2, 0), textcoords="offset points", va="center",
                        fontsize="small", color=INK)  # fmt: skip
    ax.set_yticks(places, classes)
    ax.tick_params(axis="y", length=0)
    ax.set(xlim=(0, 1), xlabel="probability")


def draw_contributions(ax: Axes, names: Sequence[str], values: Float) -> None:
    """Draw a signed bar a name: to the right what spoke for the class, to the left what spoke against it."""
    places = np.arange(len(names))[::-1]
    ax.axvline(0, color=INK, linewidth=0.6)
    shown = np.nan_to_num(values)
    ax.barh(places, shown, 0.7, color=[sign_colour(value) for value in shown])
    ax.set_yticks(places, names)
    ax.tick_params(axis="y", length=0)
    reach = float(np.abs(shown).max(initial=0.0)) * 1.15 or 1.0
    ax.set(xlim=(-reach, reach), xlabel="contribution")
    tick = _round_number(0.7 * reach)
    ax.set_xticks([-tick, 0.0, tick], [f"\N{MINUS SIGN}{tick:g}", "0", f"{tick:g}"])


def sign_colour(value: float) -> str:
    """Return the colour of what spoke for a class, or against it."""
    return "#b35806" if value >= 0 else "#542788"


def draw_explained(ax: Axes, x: Float, curve: Float | None, contribution: Float, xlabel: str) -> None:
    """Draw a curve on a ground coloured by what each of its points contributed."""
    known = np.isfinite(contribution)
    limit = float(np.abs(contribution[known]).max(initial=0.0)) or 1.0
    is_log = x[0] > 0 and len(x) > 2 and not np.allclose(np.diff(x), x[1] - x[0])
    middle = np.sqrt(x[:-1] * x[1:]) if is_log else (x[:-1] + x[1:]) / 2
    first, last = (x[0] ** 2 / middle[0], x[-1] ** 2 / middle[-1]) if is_log else (2 * x[0] - middle[0],
                                                                                  2 * x[-1] - middle[-1])  # fmt: skip
    edges = np.concatenate([[first], middle, [last]])
    shown = curve is not None and bool(np.isfinite(curve).any())
    low, high = (0.0, 1.0)
    if shown and curve is not None:
        low, high = float(np.nanmin(curve)), float(np.nanmax(curve))
        pad = 0.08 * ((high - low) or 1.0)
        low, high = low - pad, high + pad
    ax.pcolormesh(
        edges, np.array([low, high]), contribution[None, :], cmap=DIVERGING, vmin=-limit, vmax=limit, rasterized=True
    )
    if shown and curve is not None:
        ax.plot(x, curve, color="black", linewidth=1.0)
    else:
        ax.set_yticks([])
    if is_log:
        ax.set_xscale("log")
    ax.set(xlim=(edges[0], edges[-1]), ylim=(low, high), xlabel=xlabel)


def draw_counts(ax: Axes, counts: Mapping[str, int], abstained: Mapping[str, int], colours: Mapping[str, str]) -> None:
    """Draw how many units each class got, then how many got no answer, by reason."""
    names = [*counts, *(f"no answer: {reason.replace('_', ' ')}" for reason in abstained)]
    values = [*counts.values(), *abstained.values()]
    fills = [*(colours[name] for name in counts), *(GREY for _ in abstained)]
    places = np.arange(len(names))[::-1]
    ax.barh(places, values, 0.72, color=fills)
    for place, value in zip(places, values, strict=True):
        ax.annotate(str(value), (value, place), (2, 0), textcoords="offset points", va="center", fontsize="small")
    ax.set_yticks(places, names)
    ax.tick_params(axis="y", length=0)
    ax.set(xlim=(0, max([*values, 1]) * 1.12), xlabel="units")
    ax.locator_params(axis="x", integer=True)


def draw_coverage(ax: Axes, threshold: Float, share: Float, own: float | None) -> None:
    """Draw the share of units that would get an answer at each threshold."""
    ax.step(threshold, share, where="post", color=INK, linewidth=1.2)
    ax.fill_between(threshold, share, step="post", color=PALE, linewidth=0)
    if own is not None:
        ax.axvline(own, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))
        ax.annotate("used", (own, 1.0), (-2, 0), xycoords=("data", "axes fraction"), textcoords="offset points",
                    ha="right", va="top", rotation=90, fontsize="small", color=INK)  # fmt: skip
    ax.set(
        xlim=(threshold[0], threshold[-1]), ylim=(0, 1.0), xlabel="confidence threshold", ylabel="units with an answer"
    )


def draw_depth(
    ax: Axes,
    xy: Float,
    labels: Sequence[str],
    reasons: Sequence[str],
    colours: Mapping[str, str],
    electrodes: Float | None = None,
    layers: Sequence[str] | None = None,
) -> None:
    """Draw units where they lie on the probe, by class; those without an answer as open marks.

    Parameters
    ----------
    ax : Axes
    xy : (n, 2) array, micrometres
        NaN where unknown; such units are counted in a line below.
    labels, reasons : sequences of n str
    colours : mapping of str to str
    electrodes : (m, 2) array, optional
        Contacts of the probe.
    layers : sequence of n str, optional
        Layer of each unit; stretches of the probe in one layer are shaded.
    """
    known = np.isfinite(xy).all(axis=1)
    if electrodes is not None:
        ax.scatter(electrodes[:, 0], electrodes[:, 1], s=4, marker="s", color="#bdbdbd", linewidths=0, zorder=1)
    places = _apart(xy[known], None if electrodes is None else electrodes)
    shown, why = np.asarray(labels)[known], np.asarray(reasons)[known]
    for label in dict.fromkeys(labels):
        for is_odd in (False, True):
            rows = (shown == label) & ((why == "out_of_distribution") == is_odd)
            if rows.any():
                _marks(ax, places[rows], colours[label], is_open=bool((why[rows] != "").all()), is_odd=is_odd)
    if layers is not None:
        _shade_layers(ax, xy[known][:, 1], np.asarray(layers)[known])
    n_lost = int((~known).sum())
    if n_lost:
        ax.set_title(f"{n_lost} unit{'s' * (n_lost != 1)} without a position", fontsize="small", color=INK, loc="left")
    _widen(ax, _LEAST_WIDTH_UM)
    ax.set(xlabel="across (µm)", ylabel="along the probe (µm)")


def _widen(ax: Axes, least: float) -> None:
    """Give a probe of one column of contacts some room on both sides."""
    low, high = ax.get_xlim()
    if high - low < least:
        middle = (low + high) / 2
        ax.set_xlim(middle - least / 2, middle + least / 2)


def _marks(ax: Axes, places: Float, colour: str, *, is_open: bool, is_odd: bool) -> None:
    if is_odd:
        ax.scatter(places[:, 0], places[:, 1], s=16, marker="x", color=colour, linewidths=0.9, zorder=3)
    elif is_open:
        ax.scatter(places[:, 0], places[:, 1], s=15, facecolors="white", edgecolors=colour, linewidths=0.9, zorder=3)
    else:
        ax.scatter(places[:, 0], places[:, 1], s=20, color=colour, edgecolors="white", linewidths=0.4, zorder=4)


def _apart(xy: Float, electrodes: Float | None) -> Float:
    """Move units that would cover each other sideways, each to the nearest free place of its column."""
    moved = xy.copy()
    every = xy if electrodes is None else np.concatenate([xy, electrodes])
    width, height = np.ptp(every, axis=0) if len(every) else (0.0, 0.0)
    step, near = max(float(width), _LEAST_WIDTH_UM) * 0.07, float(height) * 0.014
    taken: list[tuple[float, float, int]] = []
    for row in np.lexsort((xy[:, 1], xy[:, 0])).tolist():
        x, y = xy[row]
        close = {slot for other_x, other_y, slot in taken if other_x == x and abs(other_y - y) <= near}
        # 0, 1, -1, 2, -2, ... steps aside
        slot = next(k for k in (n // 2 if n % 2 == 0 else -(n // 2) for n in range(1, len(xy) + 2)) if k not in close)
        taken.append((float(x), float(y), slot))
        moved[row, 0] += slot * step
    return moved


def _shade_layers(ax: Axes, depth: Float, layers: NDArray[np.str_]) -> None:
    """Shade, at the right edge, each stretch in which neighbouring units name one layer."""
    order = np.argsort(depth, kind="stable")
    order = order[layers[order] != ""]
    if not len(order):
        return
    names, at = layers[order], depth[order]
    cuts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
    greys = dict(zip(dict.fromkeys(sorted(set(names.tolist()))), ("#bdbdbd", "#e3e3e3", "#969696", "#d0d0d0") * 9,
                     strict=False))  # fmt: skip
    for start, stop in pairwise(cuts):
        low = at[start] if start == 0 else (at[start - 1] + at[start]) / 2
        high = at[stop - 1] if stop == len(names) else (at[stop - 1] + at[stop]) / 2
        ax.axhspan(low, high, xmin=0.93, xmax=1.0, color=greys[str(names[start])], linewidth=0, zorder=0)
        ax.annotate(str(names[start]), (1.0, (low + high) / 2), (2, 0), xycoords=("axes fraction", "data"),
                    textcoords="offset points", va="center", fontsize="small", color=INK)  # fmt: skip


def draw_map(
    ax: Axes,
    training_xy: Float,
    training_label: Sequence[str],
    axes: tuple[str, str],
    xy: Float | None = None,
    labels: Sequence[str] = (),
    reasons: Sequence[str] = (),
    colours: Mapping[str, str] | None = None,
    highlight: tuple[float, float] | None = None,
) -> None:
    """Draw units among the training units of the model, which lie behind them in pale colours."""
    known = colours or {}
    ground = [known.get(label) or colour_of(label) for label in training_label]
    ax.scatter(training_xy[:, 0], training_xy[:, 1], s=7, c=ground, alpha=0.3, linewidths=0, zorder=1)
    if xy is not None and len(xy):
        shown, why = np.asarray(labels), np.asarray(reasons)
        for label in dict.fromkeys(labels):
            for is_odd in (False, True):
                rows = (shown == label) & ((why == "out_of_distribution") == is_odd) & np.isfinite(xy).all(axis=1)
                if rows.any():
                    is_open = bool((why[rows] != "").all())
                    _marks(ax, xy[rows], known.get(label) or colour_of(label), is_open=is_open, is_odd=is_odd)
    if highlight is not None and np.isfinite(highlight).all():
        x, y = [highlight[0]], [highlight[1]]
        ax.scatter(x, y, s=70, facecolors="none", edgecolors="black", linewidths=1.1, zorder=5)
        ax.scatter(x, y, s=9, color="black", linewidths=0, zorder=6)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set(xlabel=axes[0], ylabel=axes[1])
    ax.set_aspect("equal", adjustable="datalim")


def draw_neighbours(
    ax: Axes, neighbours: Sequence[tuple[str, str, float]], colours: Mapping[str, str] | None = None
) -> None:
    """List the nearest training units: class, laboratory and distance of each, the nearest at the top."""
    known = colours or {}
    for row, (label, lab, distance) in enumerate(neighbours):
        place = (0.04, 0.93 - 0.16 * row)
        ax.scatter(*place, s=22, color=known.get(label) or colour_of(label), linewidths=0, transform=ax.transAxes)
        said = f"{label}{f', {lab}' if lab else ''}" + (f" ({distance:.2g})" if np.isfinite(distance) else "")
        ax.text(place[0] + 0.08, place[1], said, va="center", fontsize="small", transform=ax.transAxes)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_axis_off()


def draw_legend(ax: Axes, labels: Sequence[str], colours: Mapping[str, str], *, odd: bool, **options: Any) -> Any:
    """Explain the colours of classes, and the marks of units without an answer."""
    from matplotlib.lines import Line2D

    def mark(label: str, **style: Any) -> Line2D:
        return Line2D([], [], linestyle="", markersize=4, label=label, **style)

    handles = []
    for label in labels:
        is_open = label == "unclassified"
        face = "white" if is_open else colours[label]
        handles.append(mark(label, marker="o", color=colours[label], markerfacecolor=face))
    if odd:
        handles.append(mark("unlike the training units", marker="x", color=GREY))
    return ax.legend(handles=handles, frameon=False, handletextpad=0.2, borderaxespad=0.0, **options)


def draw_reliability(ax: Axes, confidence: Float, accuracy: Float, n: NDArray[np.int64]) -> None:
    """Draw how often answers of about one confidence were right; larger dots stand for more units."""
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    ax.plot(confidence, accuracy, color=INK, linewidth=1.0, zorder=2)
    ax.scatter(confidence, accuracy, s=6 + 44 * n / max(int(n.max(initial=1)), 1), color=INK, linewidths=0, zorder=3)
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="right answers")
