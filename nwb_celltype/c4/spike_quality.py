"""Stretches of a recording in which a unit has few false and few missed spikes, as the C4 recipe asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

CHUNK_S = 10.0
CHUNKS_A_WINDOW = 3
REFRACTORY_S = 0.0008
FALSE_SHARE = 0.05
MISSED_SHARE = 0.05
MIN_SPIKES = 300
MIN_SPIKES_A_WINDOW = 15
MIN_GOOD_S = 180.0

_MIN_BINS = 3
_TAIL = 0.005


def good_spikes(spike_times: Float, amplitudes: Float | None = None) -> NDArray[np.bool_]:
    """Which spikes lie in good stretches: few violations of the refractory time and, by amplitude, few spikes missed.

    The recording is cut to whole minutes and into 10 s chunks, at each of which a window of three chunks begins. A
    chunk is good if any window that covers it is good, in both respects; the last windows reach past the last minute.

    Parameters
    ----------
    spike_times : (n,) array, seconds, ascending
    amplitudes : (n,) array, optional
        Without them, missed spikes are not judged.

    Returns
    -------
    (n,) bool array
        All false where the good stretches add up to 180 s or less, or there are 300 spikes or fewer.

    Examples
    --------
    >>> import numpy as np
    >>> bool(good_spikes(np.arange(0, 302, 0.05)).all()), bool(good_spikes(np.arange(0, 60, 0.05)).any())
    (True, False)
    """
    times = np.asarray(spike_times, dtype=np.float64)
    nothing = np.zeros(len(times), dtype=bool)
    if len(times) <= MIN_SPIKES:
        return nothing
    n_chunks = int(times[-1] // 60) * round(60 / CHUNK_S)
    good = _covered(_is_clean(times, n_chunks))
    if amplitudes is not None:
        complete = _covered(_is_complete(times, np.asarray(amplitudes, dtype=np.float64), n_chunks))
        good = good & complete if complete.sum() > 1 else np.zeros_like(good)
    if good.sum() <= 1 or good.sum() * CHUNK_S <= MIN_GOOD_S:
        return nothing
    chunk = (times // CHUNK_S).astype(np.int64)
    return np.asarray((chunk < len(good)) & good[np.minimum(chunk, len(good) - 1)])


def false_share(spike_times: Float, mean_rate_hz: float) -> float:
    """Share of false spikes that explains how many intervals are shorter than the refractory time."""
    n_short = int(np.count_nonzero(np.diff(spike_times) < REFRACTORY_S))
    return float(n_short / (2 * max(len(spike_times), 1) * REFRACTORY_S * max(mean_rate_hz, 1e-9)))


def missed_share(amplitudes: Float) -> float:
    """Share of spikes below the smallest amplitude, by a Gaussian cut there; 1 where none can be fitted."""
    from scipy.optimize import curve_fit
    from scipy.stats import norm

    edges = np.histogram_bin_edges(amplitudes, bins="fd")
    if len(edges) - 1 <= _MIN_BINS or len(edges) > 10_000:
        return 1.0
    counts = np.histogram(amplitudes, edges)[0].astype(np.float64)
    centres = (edges[:-1] + edges[1:]) / 2
    first = (counts.max(), float(centres[counts.argmax()]), float(amplitudes.std()) or 1.0)
    try:
        (_, mean, width), _ = curve_fit(
            lambda x, top, mu, sigma: top * np.exp(-0.5 * ((x - mu) / sigma) ** 2), centres, counts, first, maxfev=2000
        )
    except (RuntimeError, ValueError):
        return 1.0
    return float(norm.cdf((edges[0] - mean) / abs(width)))


def _is_clean(times: Float, n_chunks: int) -> NDArray[np.bool_]:
    intervals = np.diff(times)
    low, high = np.quantile(intervals, (_TAIL, 1 - _TAIL))
    ordinary = intervals[(intervals >= low) & (intervals <= high)]
    rate = 1 / max(float(ordinary.mean()), 1e-9)
    return np.array(
        [
            len(part) > MIN_SPIKES_A_WINDOW and false_share(times[part], rate) <= FALSE_SHARE
            for part in _windows(times, n_chunks)
        ],
        dtype=bool,
    )


def _is_complete(times: Float, amplitudes: Float, n_chunks: int) -> NDArray[np.bool_]:
    return np.array(
        [
            len(part) > MIN_SPIKES_A_WINDOW and missed_share(amplitudes[part]) <= MISSED_SHARE
            for part in _windows(times, n_chunks)
        ],
        dtype=bool,
    )


def _windows(times: Float, n_chunks: int) -> list[NDArray[np.intp]]:
    """Rows of the spikes of each window: three chunks, one chunk further each time."""
    starts = np.arange(n_chunks) * CHUNK_S
    first = np.searchsorted(times, starts, side="left")
    last = np.searchsorted(times, starts + CHUNKS_A_WINDOW * CHUNK_S, side="left")
    return [np.arange(a, b) for a, b in zip(first, last, strict=True)]


def _covered(windows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which chunks a good window covers."""
    chunks = np.zeros(len(windows) + CHUNKS_A_WINDOW - 1 if len(windows) else 0, dtype=bool)
    for shift in range(CHUNKS_A_WINDOW if len(windows) else 0):
        chunks[shift : shift + len(windows)] |= windows
    return chunks
