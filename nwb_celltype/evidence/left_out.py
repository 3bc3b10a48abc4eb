"""Stretches of a recording without light: observed intervals with the pulses, or all that follows them, taken out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_celltype.errors import UsageError
from nwb_celltype.evidence.pulses import PulseTimes
from nwb_celltype.intervals import merged_intervals, remaining_intervals

Float = NDArray[np.float64]

QUIET_BEFORE_FIRST_PULSE_S = 10.0
"""The spontaneous part of a session ends this long before the first pulse (C4 data, doi:10.1016/j.cell.2025.01.041)."""


def observed_without(
    obs_intervals: ArrayLike, pulses: PulseTimes, *, before_s: float = 0.0, after_s: float = 0.1
) -> Float:
    """Observed intervals with every pulse taken out.

    Parameters
    ----------
    obs_intervals : (k, 2) array, seconds
        What was observed; for a whole recording its start and stop.
    pulses : object with `onsets_s` and `durations_s`
        A duration of NaN means that the pulse had not ended when the recording did: everything after it goes.
    before_s, after_s : float, seconds
        Taken out too, before each onset and after each end. Activity may need 0.1 s and more to settle.

    Returns
    -------
    (m, 2) array, seconds
        Ascending, without overlaps; empty when nothing is left.

    Raises
    ------
    UsageError
        If the intervals are no (k, 2) array of ascending pairs or a margin is negative.

    Examples
    --------
    >>> from nwb_celltype.evidence import Stimulation
    >>> pulses = Stimulation("laser", [2.0, 5.0], [0.5, 1.0])
    >>> observed_without([[0.0, 10.0]], pulses, after_s=0.5).tolist()
    [[0.0, 2.0], [3.0, 5.0], [6.5, 10.0]]
    """
    if before_s < 0 or after_s < 0:
        message = f"The margins around pulses are {before_s} and {after_s} s; they cannot be negative."
        raise UsageError(message)
    onsets = np.asarray(pulses.onsets_s, dtype=np.float64)
    durations = np.asarray(pulses.durations_s, dtype=np.float64)
    ends = onsets + np.where(np.isnan(durations), np.inf, np.maximum(durations, 0))
    known = np.isfinite(onsets)
    return remaining_intervals(_intervals(obs_intervals), np.column_stack([onsets - before_s, ends + after_s])[known])


def observed_outside(obs_intervals: ArrayLike, from_s: float, to_s: float | None = None) -> Float:
    """Observed intervals with one stretch taken out; `to_s` None: to the end.

    Raises
    ------
    UsageError
        If the intervals or the stretch run backwards.

    Examples
    --------
    >>> observed_outside([[0.0, 10.0]], 4.0, 6.0).tolist()
    [[0.0, 4.0], [6.0, 10.0]]
    """
    stop = np.inf if to_s is None else float(to_s)
    if not from_s <= stop:
        message = f"The stretch to leave out runs from {from_s} s to {to_s} s; its end lies before its start."
        raise UsageError(message)
    return remaining_intervals(_intervals(obs_intervals), np.array([[float(from_s), stop]]))


def observed_before(
    obs_intervals: ArrayLike, pulses: PulseTimes, *, quiet_s: float = QUIET_BEFORE_FIRST_PULSE_S
) -> Float:
    """Observed intervals up to `quiet_s` before the first pulse, as the C4 data keep them; all of them without pulses.

    Examples
    --------
    >>> from nwb_celltype.evidence import Stimulation
    >>> observed_before([[0.0, 100.0]], Stimulation("laser", [60.0, 61.0], [0.1, 0.1])).tolist()
    [[0.0, 50.0]]
    """
    onsets = np.asarray(pulses.onsets_s, dtype=np.float64)
    onsets = onsets[np.isfinite(onsets)]
    if not len(onsets):
        return _intervals(obs_intervals)
    return observed_outside(obs_intervals, float(onsets.min()) - quiet_s)


def _intervals(obs_intervals: ArrayLike) -> Float:
    given = np.asarray(obs_intervals, dtype=np.float64)
    if given.size == 0:
        return np.empty((0, 2))
    if given.ndim != 2 or given.shape[1] != 2 or np.isnan(given).any() or (given[:, 0] > given[:, 1]).any():
        message = "Observed intervals are a (k, 2) array of starts and stops in seconds, each start before its stop."
        raise UsageError(message)
    return merged_intervals(given)
