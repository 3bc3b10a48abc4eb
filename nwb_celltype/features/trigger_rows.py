"""How fast a unit fires around each of its spikes, and which row of the 3D-ACG a spike belongs to.

Rates come from the number of inter-spike intervals inside 250 ms, a whole number and two fractions, so that hardly
anything is rounded. Only where two rates agree to twelve digits does rounding decide which row a trigger is in; there,
the 250 terms are summed in one fixed order with fixed rounding, so that every machine agrees, and with published maps.

Positions only grow from spike to spike, so one walk along train and boundaries finds all rates. Rows need the values at
a few ranks alone: the rates are sorted without their places, and only spikes that are tied with an edge are looked for.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

HALF_BOXCAR_MS = 125

_BOXCAR = 2 * HALF_BOXCAR_MS
_TIE = 1e-12
_LANES = 32
_SPLIT = 134217729.0  # 2**27 + 1, halves the digits of a double


class Stretch(NamedTuple):
    """Spikes of one observed stretch.

    Attributes
    ----------
    bins : (n,) int64 array
        Milliseconds of the spikes, ascending.
    start, stop : int
        First observed millisecond, and the one after the last.
    """

    bins: Integer
    start: int
    stop: int


def rates_and_rows(stretches: list[Stretch], n_rows: int) -> tuple[list[Float], list[NDArray[np.int32]]]:
    """Rate around each spike and the row it belongs to.

    Rows are cut at the quantiles 1/(n + 1) ... n/(n + 1) of all rates; a spike is in the first row whose upper edge its
    rate does not exceed, or in the last.

    Parameters
    ----------
    stretches : list of Stretch
    n_rows : int

    Returns
    -------
    rates : list of (n,) float64 arrays, Hz
    rows : list of (n,) int32 arrays
    """
    if not stretches:
        return [], []
    bounds = np.cumsum([0, *(len(each.bins) for each in stretches)])
    rates = np.empty(bounds[-1])
    boundaries = []
    for (bins, start, stop), first, last in zip(stretches, bounds[:-1], bounds[1:], strict=True):
        boundaries.append(_boundaries(bins))
        _rates(bins, boundaries[-1], start, stop, rates[first:last])
    rows = np.empty(len(rates), dtype=np.int32)
    _assign(rates, _edges(stretches, bounds, boundaries, rates, n_rows), rows)
    cuts = bounds[1:-1]
    return np.split(rates, cuts), np.split(rows, cuts)


def _edges(stretches: list[Stretch], bounds: Integer, boundaries: list[Integer], rates: Float, n_rows: int) -> Float:
    """(n_rows - 1,) upper edges, ascending; rates that are tied with one are replaced by their sums as rounded."""
    ranked = np.sort(rates)
    settled = 0
    edges = np.empty(n_rows - 1)
    for k in range(1, n_rows):
        # In doubles, as quantiles are usually computed: a rank that is whole on paper may end just below, and the
        # trigger of that rank then lies above the edge.
        position = (len(ranked) - 1) * (k * (1.0 / (n_rows + 1)))
        rank = int(position)
        part = position - rank
        for each in (rank, rank + 1) if part else (rank,):
            if each >= settled:  # ranks come in ascending order
                settled = _settle(stretches, bounds, boundaries, rates, ranked, each)
        edges[k - 1] = _between(ranked, rank, part)
    return np.asarray(np.maximum.accumulate(edges))


def _settle(
    stretches: list[Stretch], bounds: Integer, boundaries: list[Integer], rates: Float, ranked: Float, rank: int
) -> int:
    """Put the rates that are tied with one rank into the order of their sums as rounded; return the rank after them."""
    low, high = ranked[rank] * (1 - _TIE), ranked[rank] * (1 + _TIE)
    first, last = int(np.searchsorted(ranked, low, side="left")), int(np.searchsorted(ranked, high, side="right"))
    if last - first < 2:
        return rank + 1
    tied = _within(rates, low, high, last - first)
    ends = np.searchsorted(tied, bounds)
    for (bins, start, stop), middles, offset, a, b in zip(
        stretches, boundaries, bounds[:-1], ends[:-1], ends[1:], strict=True
    ):
        _round_rates(bins, middles, start, stop, tied[a:b], int(offset), rates)
    ranked[first:last] = np.sort(rates[tied])
    return last


def _between(ranked: Float, rank: int, part: float) -> float:
    """Value between two neighbours, reckoned from the nearer one."""
    low = float(ranked[rank])
    if not part:
        return low
    high = float(ranked[rank + 1])
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _boundaries(bins: Integer) -> Integer:
    """Distinct middles between neighbouring spikes: from one to the next, the rate is one over their distance."""
    middles = np.empty(max(len(bins) - 1, 0), dtype=np.int64)
    n = 0
    for i in range(len(bins) - 1):
        middle = bins[i] + (bins[i + 1] - bins[i]) // 2
        if n == 0 or middle > middles[n - 1]:
            middles[n] = middle
            n += 1
    return middles[:n]


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator,unused-ignore]
def _rates(bins: Integer, boundaries: Integer, start: int, stop: int, rates: Float) -> None:
    """Rate around each spike in Hz, exact but for the last digits."""
    n = len(boundaries)
    if n < 2:
        rates[:] = 0.0
        return
    first, last = boundaries[0], boundaries[n - 1]
    left, right = 0, 0  # intervals in which the ends of the boxcar lie; both only move on
    for i in range(len(bins)):
        low, high = max(bins[i] - HALF_BOXCAR_MS, start), min(bins[i] + HALF_BOXCAR_MS, stop)
        a, b = min(max(low, first), last), min(max(high, first), last)
        while left < n - 2 and boundaries[left + 1] <= a:
            left += 1
        while right < n - 2 and boundaries[right + 1] <= b:
            right += 1
        if left == right:  # both fractions have one denominator, and nothing cancels
            n_intervals = (b - a) / (boundaries[left + 1] - boundaries[left])
        else:
            part_1 = (a - boundaries[left]) / (boundaries[left + 1] - boundaries[left])
            part_2 = (b - boundaries[right]) / (boundaries[right + 1] - boundaries[right])
            n_intervals = (right - left) + (part_2 - part_1)
        rates[i] = n_intervals / (high - low) * 1e3


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _assign(rates: Float, edges: Float, rows: NDArray[np.int32]) -> None:
    for i in range(len(rates)):
        row = 0
        for edge in edges:
            row += edge < rates[i]
        rows[i] = row


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _within(values: Float, low: float, high: float, at_most: int) -> Integer:
    places = np.empty(at_most, dtype=np.int64)
    n = 0
    for i in range(len(values)):
        if low <= values[i] <= high:
            places[n] = i
            n += 1
            if n == at_most:
                break
    return places[:n]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _round_rates(
    bins: Integer, boundaries: Integer, start: int, stop: int, spikes: Integer, offset: int, rates: Float
) -> None:
    """Replace the rates of some spikes whose boxcar is whole by sums of 250 terms in a fixed order."""
    term, rest, strands = np.zeros(_BOXCAR), np.zeros(_BOXCAR), np.zeros(_LANES)
    for spike in spikes:
        at = bins[spike - offset]
        if at - HALF_BOXCAR_MS >= start and at + HALF_BOXCAR_MS <= stop:
            rates[spike] = _rounded_rate(boundaries, at, term, rest, strands)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _rounded_rate(boundaries: Integer, at: int, term: Float, rest: Float, strands: Float) -> float:
    """Rate around a millisecond, summed in 32 strands of which each addition rounds once, then strand by strand."""
    weight = 1.0 / _BOXCAR
    k = np.searchsorted(boundaries, at - HALF_BOXCAR_MS, side="right") - 1
    i = 0
    while i < _BOXCAR:  # all terms inside one interval are alike
        position = at - HALF_BOXCAR_MS + i
        while k + 1 < len(boundaries) and boundaries[k + 1] <= position:
            k += 1
        end, product, lost = _BOXCAR, 0.0, 0.0
        if k + 1 < len(boundaries):
            end = min(_BOXCAR, i + boundaries[k + 1] - position)
            if k >= 0:
                rate = 1.0 / ((boundaries[k + 1] - boundaries[k]) * 1e-3)
                product = rate * weight
                lost = _lost(rate, weight, product)
        while i < end:
            term[i], rest[i] = product, lost
            i += 1
    strands[:] = 0.0
    n_full = _BOXCAR // _LANES * _LANES
    n_half = _BOXCAR // (_LANES // 2) * (_LANES // 2)
    for i in range(n_full):
        strands[i % _LANES] = _added(strands[i % _LANES], term[i], rest[i])
    for block in range(4):  # strands 4 to 7 of each eight join 0 to 3
        for lane in range(4):
            strands[block * 4 + lane] = strands[block * 8 + lane] + strands[block * 8 + 4 + lane]
    for i in range(n_full, n_half):
        strands[i - n_full] = _added(strands[i - n_full], term[i], rest[i])
    for lane in range(4):
        strands[lane] = ((strands[lane] + strands[4 + lane]) + strands[8 + lane]) + strands[12 + lane]
    total = (strands[0] + strands[2]) + (strands[1] + strands[3])
    for i in range(n_half, _BOXCAR):
        total = _added(total, term[i], rest[i])
    return float(total)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _lost(a: float, b: float, product: float) -> float:
    """What rounding took from a product (Dekker)."""
    a_high = _SPLIT * a - (_SPLIT * a - a)
    b_high = _SPLIT * b - (_SPLIT * b - b)
    a_low, b_low = a - a_high, b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _added(total: float, term: float, rest: float) -> float:
    """Total plus a product given as two parts, rounded once (Knuth's sum of two, and what was left over)."""
    added = total + term
    back = added - total
    return added + (((total - (added - back)) + (term - back)) + rest)
