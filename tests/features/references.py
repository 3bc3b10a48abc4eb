"""Slow and plain ways to come to the numbers that the fast ones must agree with, in numpy and whole fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Float = NDArray[np.float64]
Integer = NDArray[np.int64]


def cut(times: Float, intervals: Float | None) -> list[tuple[Float, float, float]]:
    """Spikes, start and stop of each observed stretch; intervals that touch are one, those of no length none."""
    if intervals is None or len(intervals) == 0:
        return [(times, 0.0, np.inf)]
    merged: list[list[float]] = []
    for start, stop in sorted(map(tuple, intervals)):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], stop)
        elif stop > start:
            merged.append([start, stop])
    return [(times[(times >= a) & (times <= b)], a, b) for a, b in merged]


# --- pairs and intervals -------------------------------------------------------------------------------------------


def lags_within(times: Float, reach_s: float) -> list[Float]:
    """Lags from each spike to its next, to the one after it, and so on."""
    found, k = [], 1
    while k < len(times):
        lags = times[k:] - times[:-k]
        if lags.min() > reach_s:
            break
        found.append(lags[lags <= reach_s])
        k += 1
    return found


def count_slowly(times: Float, intervals: Float | None = None) -> tuple[Integer, Integer]:
    """Counts of intervals (100 bins) and pairs (201 bins) of 1 ms."""
    isi, right = np.zeros(100, dtype=np.int64), np.zeros(101, dtype=np.int64)
    for piece, _, _ in cut(times, intervals):
        spikes = np.unique(piece)
        bins = np.floor(np.diff(spikes) * 1e3 + 1e-6).astype(np.int64)
        isi += np.bincount(bins[bins < 100], minlength=100)
        for lags in lags_within(spikes, 0.102):
            bins = np.floor(lags * 1e3 + 0.5 + 1e-6).astype(np.int64)
            right += np.bincount(bins[bins <= 100], minlength=101)
    right[0] = 0
    return isi, np.concatenate([right[:0:-1], right])


def fine_counts_slowly(times: Float, intervals: Float | None = None) -> Integer:
    """Pairs in 200 bins of 0.2 ms, of all recorded spikes that are not at one instant."""
    fine = np.zeros(200, dtype=np.int64)
    for piece, _, _ in cut(times, intervals):
        for lags in lags_within(piece, 0.041):
            bins = ((lags[lags > 0] + 1e-9) / 2e-4).astype(np.int64)
            fine += np.bincount(bins[bins < 200], minlength=200)
    return fine


def statistics_slowly(times: Float, intervals: Float | None, observed_s: float) -> dict[str, float]:
    """Statistics of the intervals of a train, each written down as it is defined."""
    pieces = [piece for piece, _, _ in cut(times, intervals)]
    n_spikes = sum(map(len, pieces))
    values = {"n_spikes": n_spikes, "spikes_per_observed_second": n_spikes / observed_s if observed_s > 0 else np.nan}
    per_piece = [np.diff(piece) for piece in pieces]
    every = np.concatenate([np.empty(0), *per_piece])
    every = every[every > 0]
    if len(every) < 10:
        return values
    longest = np.quantile(every, 0.98)
    kept = [i[(i >= 1e-3 - 1e-9) & (i <= longest + 1e-9)] for i in per_piece]
    isi = np.concatenate(kept)
    if len(isi) < 10:
        return values
    values |= _of_intervals(isi)
    first, second = (np.concatenate([i[a : len(i) + b] for i in kept]) for a, b in ((0, -1), (1, 0)))
    if len(first):
        values |= _of_neighbours(first, second)
    return values


def _of_intervals(isi: Float) -> dict[str, Any]:
    low, high, mean, sd = isi.min(), isi.max(), isi.mean(), isi.std()
    mode, entropy = low, 0.0
    if high - low >= 1e-9:
        edges = np.linspace(low, high, 200)
        lowered = np.append(edges[:-1] - 1e-9, high + 1e-9)
        mode = edges[np.argmax(np.histogram(isi, bins=lowered)[0])]
        counts, _ = np.histogram(isi, bins=np.geomspace(low, high * (1 + 1e-12), 200))
        p = gaussian_filter1d(counts / counts.sum(), 2)
        entropy = -np.sum(p[p > 0] * np.log2(p[p > 0]))
    log = np.log10(isi)
    return {
        "mfr": 1 / mean,
        "mifr": np.mean(1 / isi),
        "med_isi": np.median(isi),
        "mode_isi": mode,
        "prct5ISI": np.percentile(isi, 5),
        "entropy": entropy,
        "CV": sd / mean,
        "LcV": log.std() / log.mean(),
        "SKW": np.mean((isi - mean) ** 3) / sd**3 if sd > 1e-9 else 0.0,
        "std_isi": sd,
        "burst_idx": round(float(np.quantile(1 / isi, 0.95)), 2),
    }


def _of_neighbours(first: Float, second: Float) -> dict[str, Any]:
    total = first + second
    cv2 = 2 * np.abs(second - first) / total
    local = 1 - 4 * first * second / total**2
    return {
        "CV2_mean": cv2.mean(),
        "CV2_median": np.median(cv2),
        "IR": np.mean(np.abs(np.log(second / first))),
        "Lv": 3 * local.mean(),
        "LvR": 3 * np.mean(local * (1 + 4 * 0.8 / total)),
        "LvR_shinomoto": 3 * np.mean(local * (1 + 4 * 0.8e-3 / total)),
        "SI": -np.mean(0.5 * np.log10(4 * first * second / total**2)),
    }


# --- 3D-ACG --------------------------------------------------------------------------------------------------------


def acg_3d_slowly(
    times: Float,
    intervals: Float | None = None,
    *,
    window_ms: int = 2000,
    n_rows: int = 10,
    lags_ms: Sequence[int] | None = None,
) -> tuple[Float, Float]:
    """3D-ACG at some lags (by default all) and mean rate of each row: rates at every spike, ranks, lag by lag."""
    half = window_ms // 2
    lags = np.arange(-half, half + 1) if lags_ms is None else np.asarray(lags_ms)
    pieces = []
    for inside, start_s, stop_s in cut(times, intervals):
        if len(inside):
            bins = np.floor(inside * 1e3 + 1e-6).astype(np.int64)
            start = int(min(bins[0], np.ceil(start_s * 1e3 - 1e-6)))
            stop = int(bins[-1]) + 1
            pieces.append((bins, start, stop if np.isinf(stop_s) else max(stop, int(np.floor(stop_s * 1e3 + 1e-6)))))
    counts, n_triggers = np.zeros((n_rows, len(lags))), np.zeros(n_rows)
    rates, rows = _rates_and_rows(pieces, n_rows)
    totals, n_spikes = np.zeros(n_rows), np.zeros(n_rows)
    for (bins, start, stop), rate, row in zip(pieces, rates, rows, strict=True):
        train = np.zeros(int(bins[-1]) + 1 - start, dtype=bool)
        train[bins - start] = True
        trigger = (bins - half >= start) & (bins + half + 1 < stop) & (bins < bins[-1])
        at, of = bins[trigger] - start, row[trigger]
        n_triggers += np.bincount(of, minlength=n_rows)
        for k, lag in enumerate(lags):
            there = at + lag
            seen = (there < len(train)) & train[np.minimum(there, len(train) - 1)]
            counts[:, k] += np.bincount(of[seen], minlength=n_rows)
        totals += np.bincount(row, weights=rate, minlength=n_rows)
        n_spikes += np.bincount(row, minlength=n_rows)
    counts[:, lags == 0] = 0
    mean = np.divide(totals, n_spikes, out=np.full(n_rows, np.nan), where=n_spikes > 0)
    return counts / np.maximum(n_triggers, 1)[:, None], mean


def _rates_and_rows(pieces: list[tuple[Integer, int, int]], n_rows: int) -> tuple[list[Float], list[Integer]]:
    if not pieces:
        return [], []
    middles = [np.unique(bins[:-1] + np.diff(bins) // 2) for bins, _, _ in pieces]
    every = np.concatenate([_rates(*piece, at) for piece, at in zip(pieces, middles, strict=True)])
    ends = np.cumsum([0, *(len(bins) for bins, _, _ in pieces)])
    n, row, upper = len(every), np.full(len(every), n_rows - 1), -np.inf
    for k in range(1, n_rows):
        position = (n - 1) * (k * (1.0 / (n_rows + 1)))
        rank, part = int(position), position - int(position)
        for each in (rank, rank + 1) if part else (rank,):
            value = np.sort(every)[each]
            tied = np.flatnonzero((every >= value * (1 - 1e-12)) & (every <= value * (1 + 1e-12)))
            for spike in tied if len(tied) > 1 else ():
                piece = int(np.searchsorted(ends, spike, side="right")) - 1
                bins, start, stop = pieces[piece]
                at = int(bins[spike - ends[piece]])
                if at - 125 >= start and at + 125 <= stop:
                    every[spike] = rate_as_rounded(middles[piece], at)
        ranked = np.sort(every)
        low, high = ranked[rank], ranked[min(rank + 1, n - 1)]
        edge = low if not part else low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)
        row[(every > upper) & (every <= edge)] = k - 1
        upper = max(upper, edge)
    return np.split(every, ends[1:-1]), np.split(row, ends[1:-1])


def _rates(bins: Integer, start: int, stop: int, middles: Integer) -> Float:
    if len(middles) < 2:
        return np.zeros(len(bins))
    low, high = np.maximum(bins - 125, start), np.minimum(bins + 125, stop)
    a, b = np.clip(low, middles[0], middles[-1]), np.clip(high, middles[0], middles[-1])
    width = np.diff(middles)
    i, j = (np.minimum(np.searchsorted(middles, x, side="right") - 1, len(width) - 1) for x in (a, b))
    apart = (j - i) + ((b - middles[j]) / width[j] - (a - middles[i]) / width[i])
    return np.asarray(np.where(i == j, (b - a) / width[i], apart) / (high - low) * 1e3)


_rounded: dict[tuple[int, ...], float] = {}


def rate_as_rounded(middles: Integer, at: int) -> float:
    """Sum of 250 products in 32 strands, each addition rounded once; in whole fractions."""
    first = max(int(np.searchsorted(middles, at - 125, side="right")) - 1, 0)
    last = int(np.searchsorted(middles, at + 125, side="right")) + 1
    key = tuple((middles[first:last] - at).tolist())
    if key not in _rounded:
        terms = [0.0] * 250
        for a, b in pairwise(key):
            for k in range(max(a + 125, 0), min(b + 125, 250)):
                terms[k] = 1.0 / ((b - a) * 1e-3)
        _rounded[key] = _strand_by_strand(terms)
    return _rounded[key]


def _strand_by_strand(terms: list[float]) -> float:
    weight = Fraction(1.0 / 250)

    def plus(total: float, k: int) -> float:
        return float(Fraction(total) + Fraction(terms[k]) * weight) if terms[k] else total

    strands = [0.0] * 32
    for k in range(224):
        strands[k % 32] = plus(strands[k % 32], k)
    strands = [strands[8 * block + lane] + strands[8 * block + 4 + lane] for block in range(4) for lane in range(4)]
    for k in range(224, 240):
        strands[k - 224] = plus(strands[k - 224], k)
    four = [((strands[k] + strands[4 + k]) + strands[8 + k]) + strands[12 + k] for k in range(4)]
    total = (four[0] + four[2]) + (four[1] + four[3])
    for k in range(240, 250):
        total = plus(total, k)
    return total
