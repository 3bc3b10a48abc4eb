"""Autocorrelograms of a spike train at each of its firing rates: the 3D-ACG, in one definition for every machine.

A spike is a trigger at the rate at which the unit fired around it. Triggers are put into rows by rate, slowest first,
and each row holds the probability of a spike in each millisecond around its triggers.

Rates come from the number of inter-spike intervals inside 250 ms, a whole number and two fractions, so that hardly
anything is rounded. Only where two rates agree to twelve digits does rounding decide which row a trigger is in; there,
the 250 terms are summed in one fixed order with fixed rounding, so that every machine agrees, and with published maps.
"""

from __future__ import annotations

from itertools import pairwise

import numba
import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.intervals import merged_intervals

N_ROWS = 10
WINDOW_MS = 2000
N_LOG_LAGS = 100
"""Lags of each side of the log-resampled map."""

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

_HALF_BOXCAR = 125
_BOXCAR = 2 * _HALF_BOXCAR
_TIE_MS = 1e-6  # spikes sit on sampling grids that meet the edges of 1 ms bins: a nanosecond decides no bin
_TIE = 1e-12
_LANES = 32
_SPLIT = 134217729.0  # 2**27 + 1, halves the digits of a double
_SMOOTHING_BINS = 1.0


def acg_3d(
    spike_times: Float,
    obs_intervals: Float | None = None,
    *,
    window_ms: int = WINDOW_MS,
    n_rows: int = N_ROWS,
    log_lags: bool = False,
) -> Float:
    """Autocorrelograms of a unit at `n_rows` firing rates.

    The rate at a spike is the mean over 250 ms of the inverse inter-spike interval, where each interval stands for the
    time between the middles of its neighbours. Rows are cut at the quantiles 1/11, 2/11, ... 10/11 of the rates (for
    ten rows), so that the last holds twice as many triggers as the others. Spikes within half a window of the start,
    and of the end, are no triggers.

    Parameters
    ----------
    spike_times : (n_spikes,) array, seconds, ascending
        Several spikes in one millisecond count once as a target, and each as a trigger.
    obs_intervals : (n_intervals, 2) array, seconds, optional
        When the unit was observed: no rate, window or lag reaches over a gap, and spikes outside do not count. By
        default from time 0 to the last spike.
    window_ms : int
        Even; lags go from minus to plus half of it.
    n_rows : int
    log_lags : bool
        Return the map on logarithmic lags, as `log_acg_3d`.

    Returns
    -------
    (n_rows, window_ms + 1) array, or (n_rows, 201) array with `log_lags`
        Probability of a spike in the millisecond at each lag, given a spike; slowest row first, 0 at lag 0. Rows
        without triggers are 0.

    Raises
    ------
    InputError
        If spike times are NaN, negative or not ascending.
    UsageError
        If `window_ms` is not even and positive, or there is no row.

    Examples
    --------
    >>> import numpy as np
    >>> from nwb_celltype.features import acg_3d
    >>> acg = acg_3d(np.arange(0, 60, 0.02))
    >>> acg.shape, acg[0, 1000 + np.array([19, 20, 40])].tolist()
    ((10, 2001), [0.0, 1.0, 1.0])
    """
    if window_ms < 2 or window_ms % 2 or n_rows < 1:
        message = f"The window must be an even number of ms and there must be rows, not {window_ms} ms and {n_rows}."
        raise UsageError(message)
    half = window_ms // 2
    pieces = _pieces(_checked(spike_times), obs_intervals)
    boundaries = [_boundaries(bins) for bins, _, _ in pieces]
    rates = [_rates(bins, m, *ends) for (bins, *ends), m in zip(pieces, boundaries, strict=True)]
    counts, n_triggers = np.zeros((n_rows, window_ms + 1), dtype=np.int64), np.zeros(n_rows, dtype=np.int64)
    if pieces:
        rows = _rows(pieces, boundaries, rates, n_rows)
        for (bins, start, stop), row in zip(pieces, rows, strict=True):
            _count_pairs(bins, row, start, stop, half, counts, n_triggers)
    counts[:, half] = 0
    acg = counts / np.maximum(n_triggers, 1)[:, None]
    return log_acg_3d(acg) if log_lags else acg


def log_acg_3d(acg: Float) -> Float:
    """Resample autocorrelograms to logarithmic lags and smooth them a little.

    Parameters
    ----------
    acg : (..., n_lags) array
        1 ms lags, as many negative as positive ones; the positive ones are used.

    Returns
    -------
    (..., 201) array
        At `log_lags_ms`: 100 lags from 1 ms to half the window, 0 at lag 0, and the same mirrored before.

    Examples
    --------
    >>> import numpy as np
    >>> log_acg_3d(np.ones((10, 2001))).shape
    (10, 201)
    """
    from scipy.ndimage import gaussian_filter1d

    half = acg.shape[-1] // 2
    lags = np.arange(1, half + 1)
    at = np.logspace(0, np.log10(half), N_LOG_LAGS)
    flat = acg.reshape(-1, acg.shape[-1])[:, half + 1 :]
    right = np.stack([np.interp(at, lags, row) for row in flat]) if len(flat) else np.zeros((0, N_LOG_LAGS))
    right = gaussian_filter1d(right, _SMOOTHING_BINS, axis=1, mode="reflect", truncate=4.0)
    both = np.concatenate([right[:, ::-1], np.zeros((len(right), 1)), right], axis=1)
    return np.asarray(both.reshape(*acg.shape[:-1], 2 * N_LOG_LAGS + 1))


def log_lags_ms(window_ms: int = WINDOW_MS) -> Float:
    """(201,) lags of `log_acg_3d`, ms.

    Examples
    --------
    >>> log_lags_ms()[[0, 100, 101, 200]].tolist()
    [-1000.0, 0.0, 1.0, 1000.0]
    """
    right = np.logspace(0, np.log10(window_ms // 2), N_LOG_LAGS)
    return np.concatenate([-right[::-1], [0.0], right])


def _checked(spike_times: Float) -> Float:
    times = np.ascontiguousarray(spike_times, dtype=np.float64)
    if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) < 0).any() or (times[:1] < 0).any():
        message = (
            "Spike times must be one row of finite seconds from 0 on, in ascending order; "
            f"these are {times.size} values of shape {times.shape}. Correct the units table."
        )
        raise InputError(message)
    return times


def _pieces(times: Float, obs_intervals: Float | None) -> list[tuple[Integer, int, int]]:
    """Milliseconds of the spikes of each observed stretch, and where it starts and stops, in ms from time 0."""
    if obs_intervals is None or len(obs_intervals) == 0:
        bins = _milliseconds(times)
        return [(bins, 0, int(bins[-1]) + 1)] if len(bins) else []
    pieces = []
    for start, stop in merged_intervals(np.asarray(obs_intervals, dtype=np.float64)).tolist():
        inside = times[np.searchsorted(times, start, "left") : np.searchsorted(times, stop, "right")]
        if len(inside):
            bins = _milliseconds(inside)
            end = bins[-1] if np.isinf(stop) else max(bins[-1], _milliseconds(np.array([stop]))[0] - 1)
            pieces.append((bins, int(min(bins[0], np.ceil(max(start, 0.0) * 1e3 - _TIE_MS))), int(end) + 1))
    return pieces


def _milliseconds(times: Float) -> Integer:
    return np.floor(times * 1e3 + _TIE_MS).astype(np.int64)


def _boundaries(bins: Integer) -> Integer:
    """Distinct middles between neighbouring spikes: from one to the next, the rate is one over their distance."""
    return np.unique(bins[:-1] + (bins[1:] - bins[:-1]) // 2)


def _rates(bins: Integer, boundaries: Integer, start: int, stop: int) -> Float:
    """(n_spikes,) rate around each spike in Hz, exact but for the last digits."""
    low, high = np.maximum(bins - _HALF_BOXCAR, start), np.minimum(bins + _HALF_BOXCAR, stop)
    if len(boundaries) < 2:
        return np.zeros(len(bins))
    whole_1, part_1 = _intervals_before(low, boundaries)
    whole_2, part_2 = _intervals_before(high, boundaries)
    # Inside one interval the two fractions have the same denominator, and nothing cancels.
    width = np.diff(boundaries)[whole_1]
    inside = np.clip(high, boundaries[0], boundaries[-1]) - np.clip(low, boundaries[0], boundaries[-1])
    n_intervals = np.where(whole_1 == whole_2, inside / width, (whole_2 - whole_1) + (part_2 - part_1))
    return np.asarray(n_intervals / (high - low) * 1e3)


def _intervals_before(position: Integer, boundaries: Integer) -> tuple[Integer, Float]:
    """Whole intervals between the first boundary and a position, and the part of the one that it lies in."""
    inside = np.clip(position, boundaries[0], boundaries[-1])
    whole = np.minimum(np.searchsorted(boundaries, inside, side="right") - 1, len(boundaries) - 2)
    return whole, (inside - boundaries[whole]) / np.diff(boundaries)[whole]


def _rows(
    pieces: list[tuple[Integer, int, int]], boundaries: list[Integer], rates: list[Float], n_rows: int
) -> list[Integer]:
    """Row of each spike: the first whose upper edge its rate does not exceed; the last for all above."""
    every = np.concatenate(rates)
    order = np.argsort(every, kind="stable")
    ranked = every[order]
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in rates])])
    n = len(ranked)

    settled = 0

    def settle(rank: int) -> None:
        """Put ranks that are tied with one into the order of their sums as rounded; ranks come in ascending order."""
        nonlocal settled
        if rank < settled:
            return
        first = int(np.searchsorted(ranked, ranked[rank] * (1 - _TIE), side="left"))
        last = int(np.searchsorted(ranked, ranked[rank] * (1 + _TIE), side="right"))
        settled = max(last, rank + 1)
        if last - first < 2:
            return
        tied = order[first:last]
        piece_of = np.searchsorted(offsets, tied, side="right") - 1
        for piece in np.unique(piece_of).tolist():
            bins, start, stop = pieces[piece]
            spikes = tied[piece_of == piece]
            at = bins[spikes - offsets[piece]]
            is_whole = (at - _HALF_BOXCAR >= start) & (at + _HALF_BOXCAR <= stop)
            every[spikes[is_whole]] = _rounded_rates(boundaries[piece], at[is_whole])
        order[first:last] = tied[np.argsort(every[tied], kind="stable")]
        ranked[first:last] = every[order[first:last]]

    row = np.full(n, n_rows - 1, dtype=np.int64)
    done = 0
    for k in range(1, n_rows + 1):
        # In doubles, as quantiles are usually computed: a rank that is whole on paper may end just below, and the
        # trigger of that rank then lies above the edge.
        position = (n - 1) * (k * (1.0 / (n_rows + 1)))
        rank = int(position)
        part = position - rank
        for each in (rank, rank + 1) if part else (rank,):
            settle(each)
        last = int(np.searchsorted(ranked, _between(ranked, rank, part), side="right"))
        row[order[done:last]] = k - 1
        done = max(done, last)
    return [row[a:b] for a, b in pairwise(offsets)]


def _between(ranked: Float, rank: int, part: float) -> float:
    """Value between two neighbours, reckoned from the nearer one."""
    low = float(ranked[rank])
    if not part:
        return low
    high = float(ranked[rank + 1])
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _rounded_rates(boundaries: Integer, at: Integer) -> Float:
    rates = np.empty(len(at))
    for i in range(len(at)):
        rates[i] = _rounded_rate(boundaries, at[i])
    return rates


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _rounded_rate(boundaries: Integer, at: int) -> float:
    """Rate around a millisecond, summed in 32 strands of which each addition rounds once, then strand by strand."""
    term, rest = np.zeros(_BOXCAR), np.zeros(_BOXCAR)
    weight = 1.0 / _BOXCAR
    k = np.searchsorted(boundaries, at - _HALF_BOXCAR, side="right") - 1
    for i in range(_BOXCAR):
        position = at - _HALF_BOXCAR + i
        while k + 1 < len(boundaries) and boundaries[k + 1] <= position:
            k += 1
        if 0 <= k < len(boundaries) - 1:
            rate = 1.0 / ((boundaries[k + 1] - boundaries[k]) * 1e-3)
            term[i] = rate * weight
            rest[i] = _lost(rate, weight, term[i])
    strands = np.zeros(_LANES)
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


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _count_pairs(
    bins: Integer, row: Integer, start: int, stop: int, half: int, counts: Integer, n_triggers: Integer
) -> None:
    """Count, for each trigger, the milliseconds with spikes around it; each pair is met once and serves both."""
    n = len(bins)
    last = bins[n - 1]
    i = 0
    while i < n:
        here = bins[i]
        after = i + 1
        while after < n and bins[after] == here:
            after += 1
        times = after - i
        is_trigger = here - half >= start and here + half + 1 < stop and here < last
        if is_trigger:
            n_triggers[row[i]] += times
        previous = here
        for j in range(after, n):
            lag = bins[j] - here
            if lag > half:
                break
            there = bins[j]
            if there != previous and is_trigger:
                counts[row[i], half + lag] += times
            if there - half >= start and there + half + 1 < stop and there < last:
                counts[row[j], half - lag] += 1
            previous = there
        i = after
