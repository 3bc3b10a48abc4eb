"""The pause of simple spikes after complex spikes, between two spike trains."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_celltype.errors import UsageError
from nwb_celltype.evidence.optotag import is_ascending

if TYPE_CHECKING:
    from nwb_celltype.evidence.spike_index import SpikeIndex

Float = NDArray[np.float64]

_PEAK_BIN_MS = 2.0


@dataclass(frozen=True)
class PauseRule:
    """Limits for a pair of complex-spike and simple-spike units; rates in spikes/s, times in ms.

    Complex spikes come about once a second and silence the simple spikes of their own cell for 10 ms and more
    (Sedaghat-Nejad et al. 2021, doi:10.1152/jn.00172.2021); the numbers are ours.

    Attributes
    ----------
    cs_rate_hz : (least, largest)
        Rate of a unit that may be complex spikes.
    min_ss_rate_hz : float
        Rate of a unit that may be simple spikes.
    after_ms : (first, last)
        Where the pause is looked for. The first millisecond is left out: there the complex spike itself may be sorted
        into both units, or hide a simple spike.
    before_ms : (first, last)
        What it is compared with.
    local_ms : (first, last)
        Distance on either side where the usual count of simple spikes and its spread are taken.
    near_ms : (first, last)
        Right before the complex spike. Two parts of one unit are both silent here, since no cell fires twice within
        its refractory period; simple spikes know nothing of the complex spike to come.
    max_after_ratio : float
        Largest rate in the pause relative to before, and relative to the usual rate.
    min_near_ratio : float
        Least rate in `near_ms` relative to the usual rate.
    max_near_chance : float
        A lower rate counts against a pair only where chance gives so few spikes less often than this.
    max_peak_ratio : float
        Largest rate in any 2 ms of `before_ms`, relative to the usual rate, beyond what chance gives; above it the
        second unit leads the first at a fixed interval, as parts of split bursts do.
    min_near_expected : float
        Spikes that must be expected in `near_ms` for a split unit to be noticed.
    min_complex_spikes : int
    max_false_rate : float
        Share of false pairs among those found (false discovery rate over all pairs tested).
    """

    cs_rate_hz: tuple[float, float] = (0.2, 3.0)
    min_ss_rate_hz: float = 15.0
    after_ms: tuple[float, float] = (1.0, 12.0)
    before_ms: tuple[float, float] = (-20.0, -1.0)
    local_ms: tuple[float, float] = (50.0, 150.0)
    near_ms: tuple[float, float] = (-4.0, -1.0)
    max_after_ratio: float = 0.5
    min_near_ratio: float = 0.35
    max_near_chance: float = 0.02
    max_peak_ratio: float = 3.0
    min_near_expected: float = 5.0
    min_complex_spikes: int = 20
    max_false_rate: float = 0.01

    name: ClassVar[str] = "cs_ss_pause"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        """Refuse windows that run backwards."""
        for window in (self.after_ms, self.before_ms, self.local_ms, self.near_ms, self.cs_rate_hz):
            if not window[0] < window[1]:
                message = f"A range of the pause rule runs backwards: {window[0]:g} to {window[1]:g}."
                raise UsageError(message)

    def parameters(self) -> dict[str, Any]:
        """Name, version and limits, as they go into a run."""
        return {"rule": self.name, "rule_version": self.version, **asdict(self)}


@dataclass(frozen=True)
class PauseStatistics:
    """Simple spikes around complex spikes; NaN where something could not be computed.

    Attributes
    ----------
    n_complex_spikes : int
    per_12_ms_before, per_12_ms_after : float
        Simple spikes in the 12 ms before and after a complex spike, mean.
    rate_before_hz, rate_after_hz, rate_local_hz : float
        In the windows of the rule.
    near_ratio : float
        Rate right before, relative to the usual rate.
    leads : bool
        Whether the second train has a sharp peak before the spikes of the first.
    pause_ms : float
        From a complex spike to the next simple spike, median.
    p : float
        That so few simple spikes follow by chance: the larger of the p values of two tests, against the usual count
        and against the count before. Counts are divided by their dispersion (variance over mean, at least 1) first.
    problem : str
        Why this is no pause, ``""`` when it may be one.
    """

    n_complex_spikes: int
    per_12_ms_before: float = np.nan
    per_12_ms_after: float = np.nan
    rate_before_hz: float = np.nan
    rate_after_hz: float = np.nan
    rate_local_hz: float = np.nan
    near_ratio: float = np.nan
    leads: bool = False
    pause_ms: float = np.nan
    p: float = 1.0
    problem: str = ""

    @property
    def depth(self) -> float:
        """How much of the usual rate the pause takes away, 0 to 1; the larger, the surer that both are one cell."""
        usual = min(self.rate_local_hz, self.rate_before_hz)
        return 1 - self.rate_after_hz / usual if usual > 0 else 0.0


def pause_statistics(
    complex_spikes: ArrayLike, simple_spikes: ArrayLike, rule: PauseRule | None = None
) -> PauseStatistics:
    """Measure the pause of one train after the spikes of another.

    Parameters
    ----------
    complex_spikes, simple_spikes : (n,) arrays, seconds, ascending
    rule : PauseRule, optional

    Returns
    -------
    PauseStatistics

    Examples
    --------
    >>> import numpy as np
    >>> simple = np.arange(0, 100, 0.0201)
    >>> complex_ = np.arange(1, 99, 0.997)
    >>> paused = simple[[not (0 <= t - complex_[complex_ <= t][-1:].max(initial=-1) < 0.02) for t in simple]]
    >>> found = pause_statistics(complex_, paused)
    >>> found.problem, found.p < 1e-6, found.per_12_ms_after
    ('', True, 0.0)
    """
    from nwb_celltype.evidence.spike_index import SpikeIndex

    rule = rule or PauseRule()
    cs, ss = np.asarray(complex_spikes, dtype=np.float64), np.asarray(simple_spikes, dtype=np.float64)
    is_sound = bool(len(ss)) and is_ascending(cs) and is_ascending(ss)
    return statistics_of(cs, SpikeIndex(ss) if is_sound else None, rule)


def statistics_of(cs: Float, ss: SpikeIndex | None, rule: PauseRule) -> PauseStatistics:
    """Measure the pause of one indexed train after the spikes of another.

    Parameters
    ----------
    cs : (n,) array, seconds
        Ascending and finite, unless `ss` is `None`.
    ss : SpikeIndex or None
        `None` where one of the trains is missing, or no ascending numbers.
    rule : PauseRule

    Returns
    -------
    PauseStatistics
    """
    n = len(cs)
    if n < rule.min_complex_spikes:
        return PauseStatistics(n, problem=f"only {n} spikes, {rule.min_complex_spikes} are needed")
    if ss is None:
        return PauseStatistics(n, problem="spike times are missing or not ascending numbers")
    after, before = _counts(cs, ss, rule.after_ms, rule.before_ms)
    rate_after, rate_before = after / n / _seconds(rule.after_ms), before / n / _seconds(rule.before_ms)
    if rate_after > rule.max_after_ratio * rate_before or before == 0:
        problem = "there are not fewer spikes after than before"
        return PauseStatistics(n, rate_before_hz=rate_before, rate_after_hz=rate_after, problem=problem)
    mean, dispersion = _usual_count(cs, ss, rule)
    rate_local = mean / _seconds(rule.after_ms)
    n_near, before_12, after_12 = _counts(cs, ss, rule.near_ms, (-12.0, 0.0), (0.0, 12.0))
    near = n_near / n / _seconds(rule.near_ms)
    following = ss.positions(cs + rule.after_ms[0] * 1e-3)
    has_next = following < len(ss)
    next_s = ss.spike_times[following[has_next]] - cs[has_next]
    found = PauseStatistics(
        n_complex_spikes=n,
        per_12_ms_before=before_12 / n,
        per_12_ms_after=after_12 / n,
        rate_before_hz=rate_before,
        rate_after_hz=rate_after,
        rate_local_hz=rate_local,
        near_ratio=near / rate_local if rate_local > 0 else np.nan,
        leads=_leads(cs, ss, rate_local, rule),
        pause_ms=float(np.median(next_s)) * 1e3 if len(next_s) else np.nan,
        p=_p_value(after, before, n * mean, dispersion, rule),
    )
    return replace(found, problem=_problem(found, rule))


def _seconds(window_ms: tuple[float, float]) -> float:
    return (window_ms[1] - window_ms[0]) * 1e-3


def _counts(cs: Float, ss: SpikeIndex, *windows_ms: tuple[float, float]) -> list[int]:
    return ss.totals(cs, [(first * 1e-3, last * 1e-3) for first, last in windows_ms])


def _usual_count(cs: Float, ss: SpikeIndex, rule: PauseRule) -> tuple[float, float]:
    """Mean count and its dispersion in windows as long as the pause, some way off on both sides."""
    width = _seconds(rule.after_ms)
    first, last = rule.local_ms[0] * 1e-3, rule.local_ms[1] * 1e-3
    starts = np.arange(first, last - width + 1e-9, width)
    if not len(starts):
        starts = np.array([first])
    offsets = np.concatenate([starts, -starts - width])
    counts = np.stack([ss.counts(cs + o, 0.0, width) for o in offsets.tolist()])
    mean = float(counts.mean())
    return mean, max(float(counts.var()) / mean, 1.0) if mean > 0 else 1.0


def _leads(cs: Float, ss: SpikeIndex, rate_local: float, rule: PauseRule) -> bool:
    """Whether any 2 ms before the first train hold many more spikes of the second than usual."""
    expected = rate_local * _PEAK_BIN_MS * 1e-3 * len(cs)
    limit = rule.max_peak_ratio * expected + 3 * np.sqrt(expected) + 3
    starts = np.arange(rule.before_ms[0], rule.before_ms[1] - _PEAK_BIN_MS / 2, _PEAK_BIN_MS / 2)
    return any(count > limit for count in _counts(cs, ss, *((s, s + _PEAK_BIN_MS) for s in starts.tolist())))


def _p_value(after: int, before: int, expected: float, dispersion: float, rule: PauseRule) -> float:
    from scipy.special import betainc, gammaincc

    k, n = after / dispersion, (after + before) / dispersion
    against_usual = float(gammaincc(k + 1, expected / dispersion)) if expected > 0 else 1.0
    share = _seconds(rule.after_ms) / (_seconds(rule.after_ms) + _seconds(rule.before_ms))
    against_before = float(betainc(n - k, k + 1, 1 - share)) if n > k else 1.0
    return max(against_usual, against_before)


def _poisson_at_most(count: int, expected: float) -> float:
    """Chance of no more than `count` where `expected` are expected."""
    terms = [-expected + k * math.log(expected) - math.lgamma(k + 1) for k in range(count + 1)]
    return math.fsum(math.exp(term) for term in terms)


def _problem(found: PauseStatistics, rule: PauseRule) -> str:
    if found.rate_after_hz > rule.max_after_ratio * found.rate_local_hz:
        return "there are not fewer spikes after than usual"
    if found.leads:
        return "the second unit fires at a fixed interval before the first: parts of split bursts look so"
    expected = found.rate_local_hz * _seconds(rule.near_ms) * found.n_complex_spikes
    if expected < rule.min_near_expected:
        return "too few spikes to tell a pause from the refractory period of a split unit"
    seen = round(found.near_ratio * expected)
    if found.near_ratio < rule.min_near_ratio and _poisson_at_most(seen, expected) < rule.max_near_chance:
        return "the second unit is silent right before the first too: two parts of one unit look so"
    return ""
