"""Pairs of units that are the complex and the simple spikes of one Purkinje cell, found by the pause of the latter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import UsageError
from nwb_celltype.evidence.optotag import is_ascending
from nwb_celltype.evidence.pauses import PauseRule, PauseStatistics, statistics_of
from nwb_celltype.units import Units

Float = NDArray[np.float64]

REFERENCES = (
    "doi:10.1152/jn.00172.2021",  # Sedaghat-Nejad et al. 2021: simple spikes are suppressed after complex spikes
    "doi:10.1111/j.2517-6161.1995.tb02031.x",  # Benjamini and Hochberg 1995: false discovery rate
)


@dataclass(frozen=True)
class Pair:
    """Complex-spike and simple-spike unit of one Purkinje cell.

    Attributes
    ----------
    cs_unit_id, ss_unit_id : int
    cell_id : str
        The same for the same two units.
    statistics : PauseStatistics
    adjusted_p : float
        p after the correction for the number of pairs tested (Benjamini and Hochberg 1995).
    n_pairs_tested : int
    distance_um : float
        Between the peak channels; NaN when the positions are not known.
    """

    cs_unit_id: int
    ss_unit_id: int
    cell_id: str
    statistics: PauseStatistics
    adjusted_p: float
    n_pairs_tested: int
    distance_um: float = np.nan


def cs_ss_pairs(
    units: Units,
    *,
    rule: PauseRule | None = None,
    max_distance_um: float = 250.0,
    candidates: Iterable[tuple[int, int]] | None = None,
    groups: Sequence[str] | None = None,
) -> list[Pair]:
    """Find the units that are the complex and the simple spikes of one Purkinje cell.

    Only pairs of fitting rates, no further apart than `max_distance_um`, are tested. A unit is in one pair at most;
    where there is a choice, the pairs with the deepest pauses together are taken.

    Parameters
    ----------
    units : Units
    rule : PauseRule, optional
    max_distance_um : float
        Between the peak channels. Complex spikes are largest in the dendrites, up to some 0.2 mm from the soma. Pairs
        whose distance is not known are tested.
    candidates : iterable of (complex, simple) unit ids, optional
        Test these pairs alone, whatever their rates and distance.
    groups : sequence of str, optional
        Probe of each unit; units of different probes are never paired, whatever the positions, which are those on a
        probe. ``""``: unknown, and paired with any.

    Returns
    -------
    list of Pair
        By the id of the complex-spike unit.

    Raises
    ------
    UsageError
        If a candidate is unknown, or there is not a group for each unit.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> cs_ss_pairs(Units.from_arrays([np.sort(rng.uniform(0, 60, 60)), np.sort(rng.uniform(0, 60, 3000))]))
    []
    """
    from scipy.optimize import linear_sum_assignment

    rule = rule or PauseRule()
    if groups is not None and len(groups) != len(units):
        message = f"There are {len(groups)} groups for {len(units)} units; name the probe of each unit."
        raise UsageError(message)
    tested = _row_pairs(units, rule, max_distance_um, candidates)
    if groups is not None:
        tested = [each for each in tested if "" in (own := {groups[each[0]], groups[each[1]]}) or len(own) == 1]
    measured = _measured(units, [(i, j) for i, j, _ in tested], rule)
    found = [(i, j, distance, each) for (i, j, distance), each in zip(tested, measured, strict=True)]
    adjusted = adjusted_p_values(np.array([1.0 if each[3].problem else each[3].p for each in found]))
    held = [k for k in range(len(found)) if not found[k][3].problem and adjusted[k] <= rule.max_false_rate]
    if not held:
        return []
    cs_rows, ss_rows = sorted({found[k][0] for k in held}), sorted({found[k][1] for k in held})
    n_cs = len(cs_rows)
    column = {row: c for c, row in enumerate(ss_rows)}
    line = {row: r for r, row in enumerate(cs_rows)}
    gain = np.zeros((n_cs, len(ss_rows)))
    at = {}
    for k in held:
        place = line[found[k][0]], column[found[k][1]]
        gain[place] = found[k][3].depth
        at[place] = k
    chosen = [at[place] for place in zip(*linear_sum_assignment(gain, maximize=True), strict=True) if place in at]
    kept = _without_double_roles(sorted(chosen, key=lambda k: (-found[k][3].depth, found[k][:2])), found)
    ids = units.unit_ids
    pairs = []
    for k in kept:
        i, j, distance, statistics = found[k]
        cell_id = f"purkinje_ss{ids[j]}_cs{ids[i]}"
        pairs.append(Pair(int(ids[i]), int(ids[j]), cell_id, statistics, float(adjusted[k]), len(found), distance))
    return sorted(pairs, key=lambda pair: pair.cs_unit_id)


def adjusted_p_values(p: Float) -> Float:
    """Adjust p values for their number, after Benjamini and Hochberg 1995.

    Examples
    --------
    >>> import numpy as np
    >>> adjusted_p_values(np.array([0.01, 0.5, 0.02])).round(3).tolist()
    [0.03, 0.5, 0.03]
    """
    order = np.argsort(p, kind="stable")[::-1]
    n = len(p)
    scaled = np.minimum.accumulate(p[order] * n / np.arange(n, 0, -1))
    adjusted = np.empty(n)
    adjusted[order] = np.minimum(scaled, 1)
    return adjusted


def peak_positions(units: Units) -> Float:
    """(n, d) positions of the peak electrodes in micrometres; NaN where unknown."""
    d = units.channel_positions.shape[1] if units.channel_positions is not None else 2
    positions = np.full((len(units), d), np.nan)
    if units.channel_positions is not None and units.electrodes is not None:
        for i in range(len(units)):
            electrode = units.peak_electrode(i)
            if electrode is not None and 0 <= electrode < len(units.channel_positions):
                positions[i] = units.channel_positions[electrode]
    return positions


def _measured(units: Units, pairs: Sequence[tuple[int, int]], rule: PauseRule) -> list[PauseStatistics]:
    """Statistics of pairs of rows, in their order.

    Trains of complex spikes are short and stay in memory; of the others there is one at a time, for all its pairs.
    """
    from nwb_celltype.evidence.spike_index import SpikeIndex

    complex_spikes = {i: units.spike_times[i] for i in sorted({i for i, _ in pairs})}
    sound = {i for i, train in complex_spikes.items() if is_ascending(train)}
    by_simple: dict[int, list[int]] = {}
    for k, (_, j) in enumerate(pairs):
        by_simple.setdefault(j, []).append(k)
    found: dict[int, PauseStatistics] = {}
    for j, places in sorted(by_simple.items()):
        train = units.spike_times[j]
        index = SpikeIndex(train) if len(train) and is_ascending(train) else None
        for k in places:
            i = pairs[k][0]
            found[k] = statistics_of(complex_spikes[i], index if i in sound else None, rule)
    return [found[k] for k in range(len(pairs))]


def _row_pairs(
    units: Units,
    rule: PauseRule,
    max_distance_um: float,
    candidates: Iterable[tuple[int, int]] | None,
) -> list[tuple[int, int, float]]:
    """Rows of the pairs to test, each with its distance."""
    positions = peak_positions(units)
    if candidates is not None:
        pairs = sorted({(units.row_of(cs), units.row_of(ss)) for cs, ss in candidates})
        return [(i, j, float(np.linalg.norm(positions[i] - positions[j]))) for i, j in pairs if i != j]
    rates = _rates(units)
    least, largest = rule.cs_rate_hz
    cs_rows = np.flatnonzero((rates >= least) & (rates <= largest))
    ss_rows = np.flatnonzero(rates >= rule.min_ss_rate_hz)
    found = []
    for i in cs_rows:
        distances = np.linalg.norm(positions[ss_rows] - positions[i], axis=1)
        for j, distance in zip(ss_rows, distances, strict=True):
            if i != j and not distance > max_distance_um:
                found.append((int(i), int(j), float(distance)))
    return found


def _rates(units: Units) -> Float:
    """Spikes per observed second; without observed intervals, over the time in which any unit fires.

    One pass over all spikes; no more than one train is kept.
    """
    n = len(units)
    n_spikes, seconds = np.zeros(n), np.zeros(n)
    is_sound, is_stated = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    first, last = np.inf, -np.inf
    for i, train in enumerate(units.spike_times):
        n_spikes[i], is_sound[i] = len(train), is_ascending(train)
        if not is_sound[i]:
            continue
        if len(train):
            first, last = min(first, float(train[0])), max(last, float(train[-1]))
        if units.obs_intervals is not None and len(observed := units.obs_intervals[i]):
            is_stated[i] = True
            seconds[i] = float(np.sum(np.diff(observed, axis=1)))
            n_spikes[i] = int(np.sum(np.diff(np.searchsorted(train, observed), axis=1)))
    seconds[~is_stated] = max(last - first, 0.0)
    rates: Float = np.divide(n_spikes, seconds, out=np.zeros(n), where=is_sound & (seconds > 0))
    return rates


def _without_double_roles(chosen: list[int], found: list[tuple[int, int, float, PauseStatistics]]) -> list[int]:
    """Drop pairs that use a unit of a deeper pair; a unit cannot be complex spikes here and simple spikes there."""
    used: set[int] = set()
    kept = []
    for k in chosen:
        if not {found[k][0], found[k][1]} & used:
            used |= {found[k][0], found[k][1]}
            kept.append(k)
    return kept
