"""Partners for the edges of one square wave that two streams recorded, each by its own clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

BLOCK_PERIODS = 20  # edges are matched in blocks of so many periods, at least BLOCK_S long
BLOCK_S = 20.0
LARGEST_DRIFT = 500e-6  # between the nominal rates of two clocks
DRIFT_CHANGE = 50e-6  # within a block, against the drift before it
SEARCH_S = 5e-3  # distance from the expected place at which edges are looked for, once the first ones are matched
SEARCH_GROWTH = 100e-6  # by which that distance grows with the seconds since the last match
MIN_PAIRS = 4
# Pairs that a block must have, as a fraction of its edges in the stream that has fewer of them:
FRACTION_FIRST = 0.25  # where nothing is known yet
FRACTION_LATER = 0.1  # where the blocks before say where to look
FRACTION_JUMP = 0.5  # to believe that the offset is not where the blocks before lead
JUMP_S = 1e-3  # a change of the offset that is no drift


@dataclass(frozen=True, eq=False)
class Matches:
    """Pairs of edges in the order of time.

    Attributes
    ----------
    stream_s, reference_s : (n,) float64 arrays
        The same edges by the stream's nominal clock and by the reference.
    pieces : (n,) int64 array
        Number of the piece between two jumps of the offset that a pair belongs to, from 0.
    """

    stream_s: Float
    reference_s: Float
    pieces: Integer

    def __len__(self) -> int:
        return len(self.stream_s)


@dataclass(frozen=True)
class _Track:
    """What is known of the offset (reference minus stream) so far: a line through the last matched block."""

    offset_s: float = 0.0
    slope: float = 0.0
    at_s: float = 0.0
    is_locked: bool = False

    def __call__(self, seconds: Float | float) -> Float:
        return np.asarray(self.offset_s + self.slope * (np.asarray(seconds) - self.at_s))


def match_edges(
    trains: Sequence[tuple[Float, Float]], *, period_s: float, tolerance_s: float, reach_s: float | None = None
) -> Matches:
    """Find for each edge of a stream the edge of the reference that is the same event.

    A block of edges at a time: all differences between edges that may belong together are listed, the place where they
    crowd is the offset of the block (a vote, so missing and additional edges do not disturb it), and a line through the
    crowd decides edge by edge. The next block is looked for where that line leads; a drift that adds up to many periods
    over hours is followed that way.

    Parameters
    ----------
    trains : sequence of (stream, reference) pairs of float64 arrays
        Edges in ascending order: seconds by the stream's nominal clock, and seconds by the reference. Edges of one
        train are never matched with those of another (rises and falls).
    period_s : float
        Of the square wave.
    tolerance_s : float
        Distance of a partner from the line through its block.
    reach_s : float or None
        Distance at which the first edges are looked for; None for half a period. Beyond that, which of two crowds a
        period apart is taken depends on the edges that are missing.

    Returns
    -------
    Matches
        Empty if nothing fits.
    """
    search = _Search(trains, period_s, tolerance_s, period_s / 2 if reach_s is None else reach_s)
    edges = np.concatenate([stream for stream, _ in trains])
    starts = search.block_starts(edges)
    pairs: list[tuple[Float, Float, Integer]] = []
    track, first, first_block, piece = _Track(), _Track(), 0, 0
    for number, start in enumerate(starts):
        found = search.block(start, track, FRACTION_LATER if track.is_locked else FRACTION_FIRST)
        if found is None and track.is_locked:
            found = search.block(start, replace(track, is_locked=False), FRACTION_JUMP)
        if found is None:
            continue
        stream, reference, new = found
        if pairs:
            jump_s = abs(float(new(new.at_s)) - float(track(new.at_s)))
            piece += jump_s > JUMP_S + DRIFT_CHANGE * (new.at_s - track.at_s)
        else:
            first, first_block = new, number
        pairs.append((stream, reference, np.full(len(stream), piece, dtype=np.int64)))
        track = new
    for start in starts[:first_block][::-1]:  # what lies before the first block that was sure of itself
        found = search.block(start, first, FRACTION_LATER)
        if found is not None:
            stream, reference, first = found
            pairs.append((stream, reference, np.zeros(len(stream), dtype=np.int64)))
    return _in_order(pairs)


@dataclass(frozen=True, eq=False)
class _Search:
    """Edges to match, and how far they may be apart."""

    trains: Sequence[tuple[Float, Float]]
    period_s: float
    tolerance_s: float
    reach_s: float

    @property
    def block_s(self) -> float:
        return max(BLOCK_S, BLOCK_PERIODS * self.period_s)

    def block_starts(self, edges: Float) -> list[float]:
        """Where blocks with edges begin."""
        if not len(edges):
            return []
        first = float(edges.min())
        numbers = np.unique(np.floor((edges - first) / self.block_s))
        return [float(start) for start in first + numbers * self.block_s]

    def block(self, start: float, track: _Track, fraction: float) -> tuple[Float, Float, _Track] | None:
        """Pairs of one block and the line through them; None if they do not agree on an offset."""
        blocks = [(own[(own >= start) & (own < start + self.block_s)], other) for own, other in self.trains]
        middle = start + self.block_s / 2
        half_width = self.reach_s
        spread = 2 * self.tolerance_s + 2 * LARGEST_DRIFT * self.block_s
        if track.is_locked:
            half_width = min(half_width, SEARCH_S + SEARCH_GROWTH * abs(middle - track.at_s))
            spread = 2 * self.tolerance_s + DRIFT_CHANGE * self.block_s
        candidates = [_candidates(own, other, track, half_width) for own, other in blocks]
        stream = np.concatenate([own[i] for (own, _), (i, _) in zip(blocks, candidates, strict=True)])
        reference = np.concatenate([other[j] for (_, other), (_, j) in zip(blocks, candidates, strict=True)])
        # The last block of a recording may hold a single edge; where the line before it leads, that is enough.
        is_close = track.is_locked and abs(middle - track.at_s) < 2 * self.block_s
        needed = max(1 if is_close else MIN_PAIRS, fraction * _n_possible(blocks, track))
        difference = reference - stream - track(stream)
        crowd = _densest(difference, spread)
        if len(crowd) < needed:
            return None
        offset, slope = _line(stream[crowd] - middle, difference[crowd], self.block_s)
        distance = np.abs(difference - offset - slope * (stream - middle))
        near = np.flatnonzero(distance <= self.tolerance_s)
        near = near[np.argsort(distance[near], kind="stable")]
        near = near[np.sort(np.unique(stream[near], return_index=True)[1])]
        near = near[np.sort(np.unique(reference[near], return_index=True)[1])]
        if len(near) < needed:
            return None
        line = _Track(float(track(middle)) + offset, track.slope + slope, middle, is_locked=True)
        return stream[near], reference[near], line


def _candidates(stream: Float, reference: Float, track: _Track, half_width: float) -> tuple[Integer, Integer]:
    """Indices of all pairs that are less than `half_width` apart from where they are expected."""
    expected = stream + track(stream)
    first = np.searchsorted(reference, expected - half_width, side="left")
    count = np.searchsorted(reference, expected + half_width, side="right") - first
    i = np.repeat(np.arange(len(stream)), count)
    j = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    return i, j


def _n_possible(blocks: Sequence[tuple[Float, Float]], track: _Track) -> int:
    """Pairs that the blocks could have at most: edges of the stream, or of the reference in the same time."""
    n_stream = n_reference = 0
    for stream, reference in blocks:
        if len(stream):
            low, high = np.searchsorted(reference, stream[[0, -1]] + track(stream[[0, -1]]) + [-1e-3, 1e-3])
            n_stream, n_reference = n_stream + len(stream), n_reference + int(high - low)
    return min(n_stream, n_reference)


def _densest(difference: Float, spread: float) -> Integer:
    """Indices of the differences in the window of width `spread` that holds most; of equals, that nearest to zero."""
    order = np.argsort(difference, kind="stable")
    ordered = difference[order]
    count = np.searchsorted(ordered, ordered + spread, side="right") - np.arange(len(ordered))
    if not len(count):
        return order
    best = np.flatnonzero(count == count.max())
    centre = ordered[best] + spread / 2
    first = best[np.argmin(np.abs(centre))]
    return order[first : first + count[first]]


def _line(x: Float, y: Float, block_s: float) -> tuple[float, float]:
    """Offset and slope of a line through most of the points (median of all pairwise slopes: Theil 1950, Sen 1968)."""
    if len(x) >= MIN_PAIRS and np.ptp(x) >= block_s / 4:
        pick = np.linspace(0, len(x) - 1, min(len(x), 100)).astype(np.int64)
        pick = np.argsort(x, kind="stable")[pick]
        i, j = np.triu_indices(len(pick), 1)
        run = x[pick[j]] - x[pick[i]]
        is_apart = run > np.ptp(x) / 8
        slope = float(np.median((y[pick[j]] - y[pick[i]])[is_apart] / run[is_apart]))
        slope = float(np.clip(slope, -LARGEST_DRIFT, LARGEST_DRIFT))
    else:
        slope = 0.0
    return float(np.median(y - slope * x)), slope


def _in_order(pairs: Sequence[tuple[Float, Float, Integer]]) -> Matches:
    """All pairs in ascending order; a reference edge that two blocks claim stays with the first."""
    if not pairs:
        return Matches(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
    stream, reference, pieces = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    order = np.argsort(stream, kind="stable")
    stream, reference, pieces = stream[order], reference[order], pieces[order]
    is_later = np.concatenate([[True], reference[1:] > np.maximum.accumulate(reference)[:-1]])
    is_later &= np.concatenate([[True], np.diff(stream) > 0])
    return Matches(stream[is_later], reference[is_later], pieces[is_later])
