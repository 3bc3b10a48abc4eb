"""Which pulses a unit can be tested on, and the dark windows that each of them is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.evidence.pulses import OptotagWindows, Stimulation, lit_intervals

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

_TIE_S = 1e-9  # a gap that is a whole number of windows has them all, whatever the last bit says

_FEWEST_TRAINS = 5  # of fewer, no standard error is to be had


@dataclass(frozen=True, eq=False)
class PulseSet:
    """Pulses of one stimulation under one set of blockers that can be measured.

    Attributes
    ----------
    name, tags, blocker : str
    onsets_s : (n,) float64 array
        Ascending.
    durations_s : (n,) float64 array
        Infinite for a pulse that had not ended.
    n_dark_windows : (n,) int64 array
        Windows without light right before each pulse, 1 at least; chance is counted in them.
    dark_windows_s : (sum of n_dark_windows,) float64 array
        When they begin, ascending.
    salt_pulses : (k,) int64 array
        Rows of the pulses that SALT tests: all of them where they are far enough apart.
    n_baseline_windows : int
        Windows that SALT compares with each: the last ones before the pulse that no earlier pulse was compared with.
    trains : (n,) int64 array
        Number of the train of each pulse; one begins where the whole baseline is dark. Of an endless train tenths.
    n_given : int
        Pulses that there were.
    problem : str
        Why they cannot be tested, ``""`` when they can.
    notes : tuple of str
        Which pulses were left out, and of what, a sentence each.
    """

    name: str
    tags: str
    blocker: str
    onsets_s: Float
    durations_s: Float
    n_dark_windows: Integer
    dark_windows_s: Float
    salt_pulses: Integer
    n_baseline_windows: int
    trains: Integer
    n_given: int
    problem: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.onsets_s)

    def salt_windows(self) -> Integer:
        """(k, n_baseline_windows) array: which of the dark windows each pulse is compared with, in SALT."""
        stops = np.cumsum(self.n_dark_windows)[self.salt_pulses]
        return np.asarray(stops[:, None] + np.arange(-self.n_baseline_windows, 0), dtype=np.int64)


def choose_pulses(
    stimulation: Stimulation,
    windows: OptotagWindows,
    *,
    start_s: float,
    others: Sequence[Stimulation] = (),
) -> tuple[PulseSet, ...]:
    """Sort the pulses of a stimulation by the blockers present, and keep those that can be measured.

    A pulse is measured if there is no other during its test window, and at least one window of darkness right before
    it, `recovery_s` after the end of the pulse before: the later pulses of a train of 20 Hz are, those of 100 Hz are
    not. After another light it takes `min_baseline_windows` of darkness.

    SALT needs many windows for each pulse, and none twice, or its pulses were not independent. Within a train it tests
    the first pulse, on the darkness before the train, and then each pulse before which enough windows have gathered
    since the last one that was tested. The darkness before the train would be plenty for all its pulses, but the rate
    of a unit may change while a train lasts, and any change would then pass for a response.

    Parameters
    ----------
    stimulation : Stimulation
    windows : OptotagWindows
    start_s : float
        When the recording began; a baseline cannot lie before it.
    others : sequence of Stimulation
        Other lights, whose pulses disturb too.

    Returns
    -------
    tuple of PulseSet
        One for each set of blockers, without blockers first.

    Examples
    --------
    >>> pulses = Stimulation("laser", [1.0, 1.05, 2.0, 2.05], 0.005)
    >>> chosen = choose_pulses(pulses, OptotagWindows(min_pulses=2), start_s=0.0)
    >>> chosen[0].onsets_s.tolist(), chosen[0].n_dark_windows.tolist()
    ([1.0, 1.05, 2.0, 2.05], [30, 3, 30, 3])
    >>> chosen[0].salt_pulses.tolist(), chosen[0].n_baseline_windows
    ([0, 2], 30)
    """
    usable = np.isfinite(stimulation.onsets_s) & ~(stimulation.durations_s < 0)
    order = np.argsort(stimulation.onsets_s[usable], kind="stable")
    onsets: Float = stimulation.onsets_s[usable][order]
    durations = stimulation.durations_s[usable][order]
    durations = np.where(np.isnan(durations), np.inf, durations)
    n_dark = _dark_windows(onsets, stimulation, others, windows, start_s)
    n_dark[_is_disturbed(onsets, lit_intervals([stimulation, *others]), windows)] = 0
    conditions = stimulation.blocker_at(onsets)
    odd = int(np.sum(~usable))
    notes = (f"{odd} pulses have no usable onset or duration.",) if odd else ()
    chosen = []
    for condition in sorted(set(conditions.tolist())) or [""]:
        rows = conditions == condition
        chosen.append(_condition(stimulation, condition, onsets[rows], durations[rows], n_dark[rows], windows, notes))
    return tuple(chosen)


def _dark_windows(
    onsets: Float, stimulation: Stimulation, others: Sequence[Stimulation], windows: OptotagWindows, start_s: float
) -> Integer:
    """How many windows right before each onset are free of light, as many as a baseline has at most."""
    since_own = _dark_since(onsets, lit_intervals([stimulation]), windows, start_s)
    since_other = _dark_since(onsets, lit_intervals(others), windows, start_s)
    n_own, n_other = (np.floor((onsets - since + _TIE_S) / windows.test_s) for since in (since_own, since_other))
    n_other[(n_other < windows.min_baseline_windows) & (since_other > start_s)] = 0
    return np.clip(np.minimum(n_own, n_other), 0, _most(windows)).astype(np.int64)


def _dark_since(onsets: Float, lit: Float, windows: OptotagWindows, start_s: float) -> Float:
    """When every pulse that began before each onset had ended, and its response with it."""
    lit = lit[np.argsort(lit[:, 0], kind="stable")]
    over = np.maximum(lit[:, 1] + windows.recovery_s, lit[:, 0] + windows.dead_time_s + windows.test_s)
    since = np.maximum(np.concatenate([[start_s], np.maximum.accumulate(over)]), start_s)
    return np.asarray(since[np.searchsorted(lit[:, 0], onsets, side="left")], dtype=np.float64)


def _is_disturbed(onsets: Float, lit: Float, windows: OptotagWindows) -> NDArray[np.bool_]:
    """Whether another pulse of any light begins with a pulse or during its test window."""
    begins = np.sort(lit[:, 0])
    twice = np.searchsorted(begins, onsets, side="right") - np.searchsorted(begins, onsets, side="left") > 1
    following = np.concatenate([begins, [np.inf]])[np.searchsorted(begins, onsets, side="right")]
    return np.asarray(twice | (following - onsets < windows.dead_time_s + windows.test_s - _TIE_S))


def _condition(
    stimulation: Stimulation,
    blocker: str,
    onsets: Float,
    durations: Float,
    n_dark: Integer,
    windows: OptotagWindows,
    notes: tuple[str, ...],
) -> PulseSet:
    keep = n_dark > 0
    n_given, n = len(onsets), int(keep.sum())
    onsets, durations, n_dark = onsets[keep], durations[keep], n_dark[keep]
    tested, n_windows = _tested_pulses(n_dark, windows)
    said = list(notes)
    window_ms, after_ms = 1e3 * windows.test_s, 1e3 * (windows.dead_time_s + windows.test_s)
    if n < n_given:
        said.append(
            f"{n_given - n} of {n_given} pulses were left out: less than {window_ms:.0f} ms of darkness before them, "
            f"or another pulse within {after_ms:.0f} ms."
        )
    problem = ""
    if not n_given:
        problem = "there are no pulses"
    elif len(tested) < windows.min_pulses:
        problem = (
            f"only {len(tested)} of {n_given} pulses have {windows.min_baseline_windows} times {window_ms:.0f} ms of "
            f"darkness to be compared with, {windows.min_pulses} are needed"
        )
    elif len(tested) < n:
        said.append(
            f"SALT tested {len(tested)} of the {n} pulses that were measured, so that each has {n_windows} dark "
            "windows of its own."
        )
    back = np.concatenate([np.arange(k, 0, -1) for k in n_dark.tolist()]) if n else np.empty(0)
    starts = np.repeat(onsets, n_dark) - back * windows.test_s
    return PulseSet(
        stimulation.name, stimulation.tags, blocker, onsets, durations, n_dark, starts, tested, n_windows,
        _trains(n_dark, windows), n_given,
        problem, tuple(said),
    )  # fmt: skip


def _most(windows: OptotagWindows) -> int:
    return max(int(windows.baseline_s / windows.test_s + 1e-9), windows.min_baseline_windows)


def _trains(n_dark: Integer, windows: OptotagWindows) -> Integer:
    trains = np.cumsum(n_dark >= _most(windows))
    few = len(np.unique(trains)) < _FEWEST_TRAINS
    return np.asarray(np.arange(len(n_dark)) * 10 // max(len(n_dark), 1) if few else trains, dtype=np.int64)


def _tested_pulses(n_dark: Integer, windows: OptotagWindows) -> tuple[Integer, int]:
    """Rows of the pulses that SALT tests, and on how many windows: as many as leave enough pulses."""
    fewest, most = windows.min_baseline_windows, _most(windows)
    available = len(_spaced(n_dark, fewest))
    enough = max(windows.min_pulses, min(windows.enough_pulses, 0.75 * available))
    for n in range(most, fewest, -1):
        rows = _spaced(n_dark, n)
        if len(rows) >= enough:
            return rows, n
    return _spaced(n_dark, fewest), fewest


def _spaced(n_dark: Integer, n_windows: int) -> Integer:
    """Rows of the pulses before which `n_windows` have gathered since the last such pulse."""
    rows, gathered = [], 0
    for row, own in enumerate(n_dark.tolist()):
        gathered += own
        if gathered >= n_windows:
            rows.append(row)
            gathered = 0
    return np.array(rows, dtype=np.int64)
