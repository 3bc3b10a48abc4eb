"""Spike trains on a sampling grid, and the plain counting that the fast one must agree with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ticks = NDArray[np.int64]


def make_train(kind: str, sampling_rate_hz: int, rng: np.random.Generator) -> Ticks:
    """Spike times of one kind of train in ticks of the sampling clock, ascending."""
    ms = sampling_rate_hz / 1000
    if kind == "random":
        return np.cumsum(np.round(rng.exponential(25, 400) * ms).astype(np.int64) + 1)
    if kind == "regular":
        return np.arange(300, dtype=np.int64) * round(12 * ms)
    if kind == "bursty":
        starts = np.cumsum(np.round(rng.exponential(150, 80) * ms).astype(np.int64) + round(30 * ms))
        inside = np.cumsum(rng.integers(round(1.5 * ms), round(6 * ms), (80, 5)), axis=1)
        return np.sort((starts[:, None] + inside).ravel())
    if kind == "half_ms":  # every interval and lag falls on the edge of a bin
        return np.cumsum(rng.integers(1, 60, 300)) * (
            sampling_rate_hz // 1000 if sampling_rate_hz % 2000 else round(ms / 2)
        )
    if kind == "duplicates":
        return np.sort(np.repeat(make_train("random", sampling_rate_hz, rng), rng.integers(1, 4, 400)))
    return {"empty": np.empty(0, np.int64), "single": np.array([7]), "pair": np.array([7, 7 + round(3 * ms)])}[kind]


KINDS = ("random", "regular", "bursty", "half_ms", "duplicates", "empty", "single", "pair")


def count_plainly(ticks: Ticks, sampling_rate_hz: int, intervals: Ticks | None) -> tuple[list[int], list[int], int]:
    """Count intervals and pairs in whole numbers, pair by pair; also return the number of spikes that count.

    Two spikes belong together when every instant between them was observed.
    """
    isi, acg = [0] * 100, [0] * 201
    if intervals is None:
        stretch = {int(t): 0 for t in ticks}
    else:  # paint the time line in half ticks: what touches is one stretch, what lies between two is not
        painted: set[int] = set()
        for start, stop in intervals:
            painted |= set(range(2 * int(start), 2 * int(stop) + 1))
        number, stretch = 0, {}
        for half_tick in sorted(painted):
            number += half_tick - 1 not in painted
            if half_tick % 2 == 0:
                stretch[half_tick // 2] = number
    seen = sorted({int(t) for t in ticks if int(t) in stretch})
    for i, a in enumerate(seen):
        for b in seen[i + 1 :]:
            if stretch[a] != stretch[b]:
                continue
            lag = (2000 * (b - a) + sampling_rate_hz) // (2 * sampling_rate_hz)
            if lag <= 100:
                acg[100 + lag] += lag > 0
                acg[100 - lag] += lag > 0
        if i + 1 < len(seen) and stretch[a] == stretch[seen[i + 1]]:
            bin_ = 1000 * (seen[i + 1] - a) // sampling_rate_hz
            if bin_ < 100:
                isi[bin_] += 1
    return isi, acg, len(seen)
