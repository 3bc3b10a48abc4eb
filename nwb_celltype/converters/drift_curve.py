"""A smooth curve through the offsets between two clocks, so that the jitter of single edges does not enter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

STIFFNESS = 0.05  # weight of a bend at a knot, against 1 for each edge: decides only where there are hardly any edges
N_ROUNDS = 4
END_S = 300.0  # the ends go on with the mean slope of so many seconds
BEYOND_S = 3600.0


def fit_curve(x: Float, y: Float, pieces: Integer, *, spacing_s: float) -> tuple[Float, Float]:
    """Fit a continuous, piecewise-linear curve by least squares.

    Corners are evenly spaced. Points further away than six times the usual distance are left out, round by round. A
    faint penalty on bends (penalised regression spline, Eilers & Marx 1996, of degree 1) leads the curve smoothly
    across gaps. Each piece is fitted by itself; between pieces the curve goes straight.

    Parameters
    ----------
    x, y : (n,) float64 arrays
        Seconds, ascending, and offsets in seconds.
    pieces : (n,) int64 array
        Ascending; a new number begins a new piece.
    spacing_s : float
        Distance of the corners.

    Returns
    -------
    knots, values : (k,) float64 arrays
        Corners. The outer two lie an hour beyond the points, on lines with the mean slope of the last five minutes.
    """
    slope = _slope(x, y)
    knots: list[Float] = []
    values: list[Float] = []
    for piece in np.unique(pieces):
        inside = pieces == piece
        piece_knots, piece_values = _fit_piece(x[inside], y[inside], slope, spacing_s)
        knots.append(piece_knots)
        values.append(piece_values)
    all_knots, all_values = np.concatenate(knots), np.concatenate(values)
    first, last = knots[0], knots[-1]
    start_slope = _end_slope(first, values[0], slope, x <= first[0] + END_S, x, y, pieces == pieces[0])
    end_slope = _end_slope(last, values[-1], slope, x >= last[-1] - END_S, x, y, pieces == pieces[-1])
    return (
        np.concatenate([[all_knots[0] - BEYOND_S], all_knots, [all_knots[-1] + BEYOND_S]]),
        np.concatenate(
            [[all_values[0] - BEYOND_S * start_slope], all_values, [all_values[-1] + BEYOND_S * end_slope]],
        ),
    )


def _fit_piece(x: Float, y: Float, slope: float, spacing_s: float) -> tuple[Float, Float]:
    """Corners of one piece; with few points, a line of the overall slope."""
    span = float(x[-1] - x[0])
    if len(x) < 8 or span <= 0:
        knots = np.unique(x[[0, -1]])
        middle = float(np.median(x))
        return knots, np.median(y - slope * (x - middle)) + slope * (knots - middle)
    n_intervals = max(1, round(span / spacing_s))
    knots = np.linspace(x[0], x[-1], n_intervals + 1)
    left = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, n_intervals - 1)
    share = (x - knots[left]) / (knots[left + 1] - knots[left])
    line = slope * (x - x[0]) + y[0]
    used = np.ones(len(x), dtype=bool)
    values = np.zeros(len(knots))
    for _ in range(N_ROUNDS):
        values = _least_squares(left[used], share[used], (y - line)[used], len(knots))
        distance = np.abs(y - line - values[left] * (1 - share) - values[left + 1] * share)
        usual = 1.4826 * float(np.median(distance))
        keep = distance <= max(6 * usual, 1e-9)
        if np.array_equal(keep, used):
            break
        used = keep
    return knots, values + slope * (knots - x[0]) + y[0]


def _least_squares(left: Integer, share: Float, y: Float, n_knots: int) -> Float:
    """Values at the corners: hat functions, with the penalty on bends."""
    from scipy.linalg import solveh_banded

    bands = np.zeros((3, n_knots))  # diagonal and the two below it
    bands[0] += np.bincount(left, (1 - share) ** 2, n_knots) + np.bincount(left + 1, share**2, n_knots)
    bands[1] += np.bincount(left, share * (1 - share), n_knots)
    right = np.bincount(left, (1 - share) * y, n_knots) + np.bincount(left + 1, share * y, n_knots)
    bend = (1.0, -2.0, 1.0)
    for below in range(3):
        for i in range(3 - below):
            bands[below, i : n_knots - 2 + i] += STIFFNESS * bend[i] * bend[i + below]
    solution: Float = solveh_banded(bands[: min(3, n_knots)], right, lower=True)
    return solution


def _end_slope(
    knots: Float, values: Float, slope: float, is_near: NDArray[np.bool_], x: Float, y: Float, inside: NDArray[np.bool_]
) -> float:
    """Slope with which the curve goes on beyond its last points."""
    near = is_near & inside
    if len(knots) < 2 or np.ptp(x[near]) < END_S / 10:
        return slope
    curve = np.interp(x[near], knots, values)
    is_usual = np.abs(y[near] - curve) <= 6 * 1.4826 * max(float(np.median(np.abs(y[near] - curve))), 1e-9)
    return _slope(x[near][is_usual], y[near][is_usual])


def _slope(x: Float, y: Float) -> float:
    """Slope of the straight line through the points."""
    run = x - x.mean()
    square = float(run @ run)
    return float(run @ (y - y.mean())) / square if square > 0 else 0.0
