"""Light pulses, what is known of them, and the windows around them."""

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
        After the onset of a pulse, where light itself makes spike-like transients on electrodes; spikes in there count
        as artefacts and the test window begins behind it. As long after the end of a pulse spikes are counted, but
        said: direct responses to short pulses lie there. 1 ms is our choice.
    locked_s : float
        Where spikes after the end of pulses all but coincide, within plus and minus this, they are artefacts, and the
        dead time after the end is passed over too. 0.05 ms is our choice.
    bin_s : float
        Bin of the latency histograms of SALT. 1 ms is our choice.
    baseline_s : float
        Cut into windows of `test_s`: so much darkness is compared with each pulse; less where pulses follow each other
        faster. 0.3 s, so 30 windows and 435 pairs of them, is our choice.
    recovery_s : float
        After the end of the previous pulse before a baseline may begin.
    min_baseline_windows : int
        SALT tests no pulse on fewer.
    min_pulses : int
        A response on which SALT can test fewer pulses is not tested.
    enough_pulses : int
        The baseline gets shorter as long as SALT can test fewer pulses than this, or than three quarters of those that
        it could test on the shortest baseline. 100 is our choice.

    References
    ----------
    Kvitsiani et al. 2013, doi:10.1038/nature12176
    """

    test_s: float = 0.010
    dead_time_s: float = 0.001
    locked_s: float = 0.00005
    bin_s: float = 0.001
    baseline_s: float = 0.300
    recovery_s: float = 0.010
    min_baseline_windows: int = 8
    min_pulses: int = 20
    enough_pulses: int = 100

    def __post_init__(self) -> None:
        """Refuse windows that cannot be."""
        positive = (self.test_s, self.bin_s, self.baseline_s)
        others = (self.dead_time_s, self.recovery_s, self.locked_s)
        if not (min(positive) > 0 and min(others) >= 0 and self.bin_s <= self.test_s):
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
        stops = [np.inf if period.to_s is None else period.to_s for period in self.blockers]
        edges = np.unique(
            [edge for period, stop in zip(self.blockers, stops, strict=True) for edge in (period.from_s, stop)]
        )
        names = [
            ", ".join(
                dict.fromkeys(
                    period.name
                    for period, stop in zip(self.blockers, stops, strict=True)
                    if period.from_s <= since < stop
                )
            )
            for since in (-np.inf, *edges)
        ]
        return np.array(names, dtype=str)[np.searchsorted(edges, times, side="right")]


def lit_intervals(stimulations: Sequence[Stimulation]) -> Float:
    """(m, 2) array: when any light was on; NaN durations last for ever."""
    pairs = [np.empty((0, 2))]
    for each in stimulations:
        known = np.isfinite(each.onsets_s)
        durations = np.where(np.isnan(each.durations_s), np.inf, np.maximum(each.durations_s, 0))
        pairs.append(np.column_stack([each.onsets_s, each.onsets_s + durations])[known])
    return np.concatenate(pairs)
