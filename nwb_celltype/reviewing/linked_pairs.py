"""Units that are two kinds of spike of one cell, and the cross-correlogram that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.runs import Run
from nwb_celltype.units import Units

WINDOW_MS = 50
"""Cross-correlograms run from minus to plus this lag, in bins of 1 ms."""

_TIE_S = 1e-9  # times on the sampling grid often fall on an edge; the last bit of a double must not decide

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinkedPair:
    """Two units of one cell.

    Attributes
    ----------
    cell_id : str
    reference, target : int
        Unit ids: the slower one, as complex spikes are, and the other.
    runs : tuple of str
        The runs that say so.
    rate_hz : (101,) array or None
        Rate of the target at each lag from a spike of the reference; None where one of them has no sound spike times.
    """

    cell_id: str
    reference: int
    target: int
    runs: tuple[str, ...]
    rate_hz: Float | None


def linked_pairs(units: Units, runs: Sequence[Run]) -> list[LinkedPair]:
    """Find the pairs that any run names, with their cross-correlograms.

    Parameters
    ----------
    units : Units
    runs : sequence of Run
        About this table of units; their `cell_id` tells which units are one cell.

    Returns
    -------
    list of LinkedPair
        By the id of the reference.

    Examples
    --------
    >>> linked_pairs(Units.from_arrays([[0.1, 0.2], [0.3]]), [])
    []
    """
    known = {int(unit_id): row for row, unit_id in enumerate(units.unit_ids.tolist())}
    named: dict[tuple[int, int], tuple[str, list[str]]] = {}
    for run in runs:
        cells: dict[str, list[int]] = {}
        for unit_id, cell_id in zip(run.unit_ids.tolist(), [] if run.cell_id is None else run.cell_id, strict=False):
            if cell_id and unit_id in known:
                cells.setdefault(str(cell_id), []).append(unit_id)
        for cell_id, members in cells.items():
            if len(members) == 2:
                one, other = sorted(members)
                named.setdefault((one, other), (cell_id, []))[1].append(run.name)
    counts = units.spike_times.counts
    pairs = []
    for members_of_pair, (cell_id, names) in named.items():
        reference, target = sorted(members_of_pair, key=lambda unit_id: (int(counts[known[unit_id]]), unit_id))
        trains = [np.asarray(units.spike_times[known[i]], dtype=np.float64) for i in (reference, target)]
        rate = cross_correlogram(*trains) if all(_is_sound(train) for train in trains) else None
        pairs.append(LinkedPair(cell_id, reference, target, tuple(names), rate))
    return sorted(pairs, key=lambda pair: pair.reference)


def cross_correlogram(reference: Float, target: Float, *, window_ms: int = WINDOW_MS) -> Float:
    """Rate of one train around the spikes of another.

    Parameters
    ----------
    reference, target : (n,) arrays, seconds, ascending
    window_ms : int

    Returns
    -------
    (2 * window_ms + 1,) array
        Spikes of the target per second, in bins of 1 ms centred on lags from ``-window_ms`` to ``window_ms``.

    Examples
    --------
    >>> import numpy as np
    >>> seen = cross_correlogram(np.arange(1.0, 9.0), np.arange(1.0, 9.0) + 0.003, window_ms=5)
    >>> seen.tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1000.0, 0.0, 0.0]
    """
    edges = (np.arange(2 * window_ms + 2) - window_ms - 0.5) * 1e-3 - _TIE_S
    below = np.array([np.searchsorted(target, reference + edge).sum() for edge in edges.tolist()], dtype=np.float64)
    return np.asarray(np.diff(below) / max(len(reference), 1) * 1e3)


def _is_sound(train: Float) -> bool:
    return bool(len(train) and np.isfinite(train).all() and (np.diff(train) >= 0).all())
