"""Edges of a known square wave, looked up without reading everything in between."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nwb_celltype.converters.edges import LineEdges

_LOOKS_PER_PERIOD = 8
_TOLERANCE = 0.01  # of the period: far more than a quartz drifts, far less than a wave that is something else


def sparse_edges(is_high: Callable[[int], bool], n_samples: int, period_samples: float) -> LineEdges | None:
    """Find the edges of a square wave by looking eight times a period and halving the steps where it changed.

    Parameters
    ----------
    is_high : callable
        State of the line at a sample.
    n_samples : int
    period_samples : float
        Of the wave, as the header states it.

    Returns
    -------
    LineEdges or None
        None when what was seen is no square wave of this period (a silent line, another signal, a wave with gaps), so
        that a line that carries something else must be read sample by sample.

    Examples
    --------
    >>> edges = sparse_edges(lambda sample: sample % 100 >= 50, 1000, 100.0)
    >>> edges.rising[:3].tolist(), edges.falling[:3].tolist(), edges.is_high_at_start
    ([50, 150, 250], [100, 200, 300], False)
    """
    step = int(period_samples / _LOOKS_PER_PERIOD)
    if step < 2 or n_samples < 3 * period_samples:
        return None
    looks = [*range(0, n_samples, step), n_samples - 1]
    states = [is_high(sample) for sample in looks]
    rising: list[int] = []
    falling: list[int] = []
    for before, after, was_high, now_high in zip(looks, looks[1:], states, states[1:], strict=False):
        if was_high == now_high:
            continue
        low, high = before, after
        while high - low > 1:
            middle = (low + high) // 2
            if is_high(middle) == was_high:
                low = middle
            else:
                high = middle
        (rising if now_high else falling).append(high)
    edges = LineEdges(np.array(rising, dtype=np.int64), np.array(falling, dtype=np.int64), states[0], n_samples)
    return edges if _is_square_wave(edges, period_samples) else None


def _is_square_wave(edges: LineEdges, period_samples: float) -> bool:
    for train in (edges.rising, edges.falling):
        if len(train) < 2 or np.any(np.abs(np.diff(train) / period_samples - 1) > _TOLERANCE):
            return False
        if train[0] > (1 + _TOLERANCE) * period_samples:
            return False
        if edges.n_samples - train[-1] > (1 + _TOLERANCE) * period_samples:
            return False
    return True
