"""Whole periods between two streams whose counters began together: told by the drift since they began."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.edge_matching import MIN_PAIRS, Matches

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

START_S = 0.1  # by which counters that are started together may begin apart
DRIFT_BEFORE = 10e-6  # by which the mean drift before the file may differ from that in it: a quartz in a changing room
WINDOW_S = 600.0  # least time over which the drift is measured
START_WINDOW_S = 60.0  # edges that say what the offset is where the file begins


@dataclass(frozen=True)
class CommonStart:
    """What the matched edges say of the moment at which both counters began.

    Attributes
    ----------
    offset_s : float
        Reference minus stream, seconds, where the file begins: of all offsets that are whole periods from the matched
        one, that which brings the starts of the counters closest together.
    apart_s : float
        Seconds by which the stream's counter began after the reference's, if the edges were matched rightly.
    uncertainty_s : float
        How far `apart_s` may be from 0 without being odd.
    before_s : float
        Seconds between the start of the counters and the first matched edge.
    """

    offset_s: float
    apart_s: float
    uncertainty_s: float
    before_s: float

    def doubt(self, stream: str, reference: str, period_s: float) -> str:
        """Say in words why the edges may be matched whole periods off; empty where nothing speaks for it."""
        wrong = f"the times of {stream} are wrong by whole periods of the sync wave ({period_s:g} s)"
        advice = f"Compare an event that both {stream} and {reference} recorded."
        if self.uncertainty_s >= period_s / 2:
            return (
                f"It is not certain which sync edges of {stream} and {reference} belong together: the first that both "
                f"recorded came {self.before_s:.1f} s after the counters began, and in that time the clocks may have "
                f"drifted apart by {self.uncertainty_s:.3f} s more or less than by the drift measured in the file. The "
                f"likeliest edges were taken; if they are not the right ones, {wrong}. {advice}"
            )
        if abs(self.apart_s) > self.uncertainty_s:
            return (
                f"By their sync edges, the counters of {stream} and {reference} began {abs(self.apart_s):.3f} s apart; "
                f"counters that are started together begin within {self.uncertainty_s:.3f} s. If they began "
                f"{period_s / 2:g} s or more apart, {wrong}. {advice}"
            )
        return ""


def find_common_start(matches: Matches, *, period_s: float, edge_s: float) -> CommonStart:
    """Lead the offset between two clocks back to the moment at which both counters began.

    A square wave cannot tell by how many whole periods its edges are shifted, and where a file begins late, the clocks
    have drifted apart by more than half a period without it. Drift d in the file, over the time t0 before it, predicts
    the offset d t0 there. The offset is certain to 0.1 s (the counters' own start) and t0 times the uncertainty of d,
    which is the sum of

    - what the edges leave open: their jitter, in the worst case at both ends, over the time between the ends;
    - the change of the drift before the file began: 10 parts per million, or the change within the file if larger.

    Drift is measured over as much of the file as lies before it, at least ten minutes.

    Parameters
    ----------
    matches : Matches
        At least two pairs; stream seconds counted from the start of the stream's counter, reference seconds from that
        of its own.
    period_s : float
        Of the square wave.
    edge_s : float
        Jitter of a single edge in both streams together.

    Returns
    -------
    CommonStart

    Examples
    --------
    >>> edges = np.arange(5822.0, 5942.0)  # a stream 200 ppm fast, matched to the edges of a second before
    >>> matches = Matches(edges * (1 + 200e-6), edges + 1, np.zeros(120, dtype=np.int64))
    >>> start = find_common_start(matches, period_s=1.0, edge_s=1e-4)
    >>> round(start.offset_s, 3), round(abs(start.apart_s), 3), round(start.uncertainty_s, 2)
    (-1.164, 0.0, 0.16)
    """
    x, offset, pieces = matches.stream_s, matches.reference_s - matches.stream_s, matches.pieces
    before_s = max(float(x[0]), 0.0)
    used = x <= x[0] + max(before_s, WINDOW_S)
    if np.count_nonzero(used) < MIN_PAIRS:
        used = np.ones(len(x), dtype=bool)
    x, offset, pieces = x[used], offset[used], pieces[used]
    slope, scatter_s = _slope(x, offset, pieces)
    is_first = (pieces == pieces[0]) & (x <= x[0] + max(START_WINDOW_S, 4 * period_s))
    matched_s = float(np.median((offset - slope * (x - x[0]))[is_first]))
    apart_s = matched_s - slope * before_s
    n_periods = round(apart_s / period_s)
    open_drift = (edge_s + 2 * scatter_s) / float(x[-1] - x[0])
    uncertainty_s = START_S + before_s * (open_drift + max(DRIFT_BEFORE, _change(x, offset, pieces)))
    return CommonStart(matched_s - n_periods * period_s, apart_s - n_periods * period_s, uncertainty_s, before_s)


def _slope(x: Float, y: Float, pieces: Integer) -> tuple[float, float]:
    """Slope that all pieces share, each at a height of its own, and the usual distance from it."""
    number = np.unique(pieces, return_inverse=True)[1]
    count = np.bincount(number)
    run = x - (np.bincount(number, x) / count)[number]
    rise = y - (np.bincount(number, y) / count)[number]
    square = float(run @ run)
    slope = float(run @ rise) / square if square > 0 else 0.0
    return slope, float(np.median(np.abs(rise - slope * run)))


def _change(x: Float, y: Float, pieces: Integer) -> float:
    """Difference of the slopes of the two halves."""
    is_early = x < (x[0] + x[-1]) / 2
    if min(np.count_nonzero(is_early), np.count_nonzero(~is_early)) < MIN_PAIRS:
        return 0.0
    early, late = (_slope(x[half], y[half], pieces[half])[0] for half in (is_early, ~is_early))
    return abs(late - early)
