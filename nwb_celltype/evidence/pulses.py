"""Light pulses: which of them a unit can be tested on, and the windows around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_celltype.errors import UsageError

Float = NDArray[np.float64]


class PulseTimes(Protocol):
    """Anything with onsets and durations in seconds, for example the pulses that a converter reads."""

    @property
    def onsets_s(self) -> Any:
        """(n,) seconds."""

    @property
    def durations_s(self) -> Any:
        """(n,) seconds, NaN for a pulse that had not ended."""


class BlockerPeriod(Protocol):
    """Synaptic blockers in the bath, from and to when (seconds; None: to the end)."""

    @property
    def name(self) -> str:
        """Drugs, for example ``NBQX, APV, gabazine``."""
        ...

    @property
    def from_s(self) -> float:
        """Since when."""
        ...

    @property
    def to_s(self) -> float | None:
        """Until when; None: to the end."""
        ...


@dataclass(frozen=True)
class OptotagWindows:
    """Times around a pulse, in seconds.

    Attributes
    ----------
    test_s : float
        Length of the window after light and of each baseline window. 10 ms: Kvitsiani et al. 2013.
    dead_time_s : float
        After the onset and after the end of a pulse, where light itself makes spike-like transients on electrodes;
        spikes in there count as artefacts and the test window begins behind it. 1 ms is our choice.
    bin_s : float
        Bin of the latency histograms of SALT. 1 ms is our choice.
    baseline_s : float
        Before a pulse, cut into windows of `test_s`; less where pulses follow each other faster. 0.3 s, so 30 windows
        and 435 pairs of them, is our choice.
    recovery_s : float
        After the end of the previous pulse before a baseline may begin.
    min_baseline_windows : int
        A pulse with fewer is not independent of the one before it and is not tested (later pulses of a fast train).
    min_pulses : int
        A response to fewer pulses is not tested.

    References
    ----------
    Kvitsiani et al. 2013, doi:10.1038/nature12176
    """

    test_s: float = 0.010
    dead_time_s: float = 0.001
    bin_s: float = 0.001
    baseline_s: float = 0.300
    recovery_s: float = 0.010
    min_baseline_windows: int = 8
    min_pulses: int = 20

    def __post_init__(self) -> None:
        """Refuse windows that cannot be."""
        positive = (self.test_s, self.bin_s, self.baseline_s)
        if not (min(positive) > 0 and self.dead_time_s >= 0 and self.recovery_s >= 0 and self.bin_s <= self.test_s):
            message = "Windows around pulses have positive lengths, and a bin is no longer than the test window."
            raise UsageError(message)
        if self.min_baseline_windows < 3 or self.min_pulses < 1:
            message = "The test needs at least 3 baseline windows and 1 pulse."
            raise UsageError(message)


@dataclass(frozen=True, eq=False)
class Stimulation:
    """Pulses of one light, and what is known of it.

    Attributes
    ----------
    name : str
    onsets_s, durations_s : (n,) arrays, seconds
        In any order; a duration of NaN: the pulse had not ended when the recording did.
    tags : str
        Label of the cells that carry the opsin, ``""`` when not stated.
    blockers : sequence of BlockerPeriod
        When synaptic blockers were in the bath.

    Examples
    --------
    >>> Stimulation("laser", [1.0, 2.0], 0.005, tags="MLI").durations_s.tolist()
    [0.005, 0.005]
    """

    name: str
    onsets_s: Any
    durations_s: Any
    tags: str = ""
    blockers: Sequence[BlockerPeriod] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        """Bring onsets and durations to arrays of one length."""
        onsets = np.atleast_1d(np.asarray(self.onsets_s, dtype=np.float64))
        durations = np.asarray(self.durations_s, dtype=np.float64)
        if durations.ndim == 0:
            durations = np.full(len(onsets), float(durations))
        if onsets.ndim != 1 or onsets.shape != durations.shape:
            message = (
                f"Stimulation {self.name!r} has {onsets.size} onsets and {durations.size} durations; give one each."
            )
            raise UsageError(message)
        object.__setattr__(self, "onsets_s", onsets)
        object.__setattr__(self, "durations_s", durations)

    def blocker_at(self, times_s: ArrayLike) -> NDArray[np.str_]:
        """Names of the blockers in the bath at these times, joined by commas; ``""`` where there was none."""
        times = np.atleast_1d(np.asarray(times_s, dtype=np.float64))
        names: list[list[str]] = [[] for _ in times]
        for period in self.blockers:
            stop = np.inf if period.to_s is None else period.to_s
            for k in np.flatnonzero((times >= period.from_s) & (times < stop)):
                if period.name not in names[k]:
                    names[k].append(period.name)
        return np.array([", ".join(each) for each in names], dtype=str)


@dataclass(frozen=True, eq=False)
class PulseSet:
    """Pulses of one stimulation under one set of blockers that can be tested.

    Attributes
    ----------
    name, tags, blocker : str
    onsets_s : (n,) float64 array
        Ascending.
    durations_s : (n,) float64 array
        Infinite for a pulse that had not ended.
    n_baseline_windows : int
        Windows before each pulse that are free of light.
    problem : str
        Why they cannot be tested, ``""`` when they can.
    notes : tuple of str
        Which pulses were left out, a sentence each.
    """

    name: str
    tags: str
    blocker: str
    onsets_s: Float
    durations_s: Float
    n_baseline_windows: int
    problem: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.onsets_s)


def lit_intervals(stimulations: Sequence[Stimulation]) -> Float:
    """(m, 2) array: when any light was on; NaN durations last for ever."""
    pairs = [np.empty((0, 2))]
    for each in stimulations:
        known = np.isfinite(each.onsets_s)
        durations = np.where(np.isnan(each.durations_s), np.inf, np.maximum(each.durations_s, 0))
        pairs.append(np.column_stack([each.onsets_s, each.onsets_s + durations])[known])
    return np.concatenate(pairs)


def choose_pulses(
    stimulation: Stimulation,
    windows: OptotagWindows,
    *,
    start_s: float,
    others: Sequence[Stimulation] = (),
) -> tuple[PulseSet, ...]:
    """Sort the pulses of a stimulation by the blockers present, and keep those that can be tested.

    A pulse is independent of what came before if `recovery_s` and at least `min_baseline_windows` windows lie between
    the end of every earlier pulse, of any light, and its onset; of a fast train that is the first pulse alone. Where
    enough pulses have the whole `baseline_s`, only those are used; else the baseline is as short as the shortest gap.
    A pulse during whose test window another begins is left out.

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
    >>> chosen[0].onsets_s.tolist(), chosen[0].n_baseline_windows
    ([1.0, 2.0], 30)
    """
    usable = np.isfinite(stimulation.onsets_s) & ~(stimulation.durations_s < 0)
    order = np.argsort(stimulation.onsets_s[usable], kind="stable")
    onsets: Float = stimulation.onsets_s[usable][order]
    durations = stimulation.durations_s[usable][order]
    durations = np.where(np.isnan(durations), np.inf, durations)
    gaps, follows = _gaps(onsets, lit_intervals([stimulation, *others]), start_s)
    conditions = stimulation.blocker_at(onsets)
    notes = []
    if n_odd := int(np.sum(~usable)):
        notes.append(f"{n_odd} pulses have no usable onset or duration.")
    chosen = []
    for condition in sorted(set(conditions.tolist())) or [""]:
        rows = conditions == condition
        chosen.append(
            _condition(stimulation, condition, onsets[rows], durations[rows], gaps[rows], follows[rows], windows, notes)
        )
    return tuple(chosen)


def _gaps(onsets: Float, lit: Float, start_s: float) -> tuple[Float, Float]:
    """Dark time before each onset, and time to the next onset of any light."""
    lit = lit[np.argsort(lit[:, 0], kind="stable")]
    reach = np.concatenate([[start_s], np.maximum(np.maximum.accumulate(lit[:, 1]), start_s)]) if len(lit) else None
    if reach is None:
        return np.empty(0), np.empty(0)
    earlier = np.searchsorted(lit[:, 0], onsets, side="left")
    later = np.searchsorted(lit[:, 0], onsets, side="right")
    following = np.concatenate([lit[:, 0], [np.inf]])[later]
    # two pulses with the very same onset disturb each other
    twice = later - earlier > 1
    return onsets - reach[earlier], np.where(twice, 0.0, following - onsets)


def _condition(
    stimulation: Stimulation,
    blocker: str,
    onsets: Float,
    durations: Float,
    gaps: Float,
    follows: Float,
    windows: OptotagWindows,
    notes: list[str],
) -> PulseSet:
    tie = 1e-9  # a gap that is a whole number of windows has them all, whatever the last bit says
    n_windows = np.floor((gaps - windows.recovery_s) / windows.test_s + tie)
    undisturbed = follows >= windows.dead_time_s + windows.test_s - tie
    independent = undisturbed & (n_windows >= windows.min_baseline_windows)
    wanted = max(int(windows.baseline_s / windows.test_s + tie), windows.min_baseline_windows)
    whole = independent & (n_windows >= wanted)
    keep = whole if whole.sum() >= windows.min_pulses else independent
    n = int(min(n_windows[keep].min(), wanted)) if keep.any() else 0
    said = list(notes)
    if n_out := int(np.sum(~keep)):
        said.append(f"{n_out} of {len(onsets)} pulses follow another too soon and were not tested.")
    problem = ""
    if not len(onsets):
        problem = "there are no pulses"
    elif keep.sum() < windows.min_pulses:
        dark_ms = 1e3 * (windows.recovery_s + windows.min_baseline_windows * windows.test_s)
        problem = (
            f"only {int(keep.sum())} of {len(onsets)} pulses have {dark_ms:.0f} ms of darkness before them, "
            f"{windows.min_pulses} are needed"
        )
    return PulseSet(stimulation.name, stimulation.tags, blocker, onsets[keep], durations[keep], n, problem, tuple(said))
