"""How one unit responds to light: latency, jitter, reliability, SALT, and which of its spikes light evoked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_celltype.errors import UsageError
from nwb_celltype.evidence.pulse_sets import PulseSet
from nwb_celltype.evidence.pulses import OptotagWindows, Stimulation, lit_intervals
from nwb_celltype.evidence.salt import latency_test, window_latencies
from nwb_celltype.intervals import merged_intervals

Float = NDArray[np.float64]
Integer = NDArray[np.int64]


@dataclass(frozen=True)
class OptotagResponse:
    """Response of one unit to the pulses of one `PulseSet`; NaN where something could not be computed.

    Attributes
    ----------
    n_pulses : int
    reliability : float
        Fraction of pulses with a spike in the test window.
    chance : float
        The same fraction in the dark windows right before the pulses, each pulse counting alike.
    excess : float
        Fraction of pulses on which light made the unit fire: ``1 - (1 - reliability) / (1 - chance)``, as if evoked
        and spontaneous spikes came independently; negative when light silences.
    n_evoked : float
        ``excess`` times the number of pulses.
    latency_ms : float
        Median first-spike latency from pulse onset, corrected for spontaneous spikes; NaN unless there are more
        spikes after light than chance explains: by two standard errors, and where pulses follow each other fast by
        three standard errors over trains, as a regular unit may keep step with a whole train.
    jitter_ms : float
        Standard deviation of that latency, as half the distance between its 16th and 84th percentiles, so that a few
        spontaneous spikes do not inflate it; corrected likewise.
    salt_p, salt_rank_p : float
        See `nwb_celltype.evidence.salt.SaltResult`.
    onset_artefact, end_artefact : float
        Fraction of pulses with a spike in the dead time after the onset, and after the end, less chance; about 0:
        none. Light itself makes such spikes; those after the end may also be true responses.
    baseline_rate_hz : float
        Firing rate in the dark windows.
    problem : str
        Why there is no response to speak of, ``""`` when it was tested.
    is_end_masked : bool
        Spikes after the end all but coincide, as artefacts do, and none of them was counted.
    """

    n_pulses: int
    reliability: float = np.nan
    chance: float = np.nan
    excess: float = np.nan
    n_evoked: float = np.nan
    latency_ms: float = np.nan
    jitter_ms: float = np.nan
    salt_p: float = np.nan
    salt_rank_p: float = np.nan
    onset_artefact: float = np.nan
    end_artefact: float = np.nan
    baseline_rate_hz: float = np.nan
    problem: str = ""
    is_end_masked: bool = False


@dataclass(frozen=True, eq=False)
class SpikeGroups:
    """Rows of a spike train by what they are, for averaging raw snippets.

    Attributes
    ----------
    evoked : (a,) int64 array
        First spike of each test window.
    spontaneous : (b,) int64 array
        Spikes away from every light.
    artefact : (c,) int64 array
        Spikes in the dead time after an onset, and after an end where that is masked.
    """

    evoked: Integer
    spontaneous: Integer
    artefact: Integer


def tagging_response(spike_times: ArrayLike, pulses: PulseSet, windows: OptotagWindows) -> OptotagResponse:
    """Measure the response of one unit.

    Parameters
    ----------
    spike_times : (n_spikes,) array, seconds, ascending
    pulses : PulseSet
        From `choose_pulses`.
    windows : OptotagWindows

    Returns
    -------
    OptotagResponse

    Notes
    -----
    Latencies are corrected as competing risks: with F the fraction of windows whose first spike came by time t,
    ``F_evoked = 1 - (1 - F_light) / (1 - F_dark)``; median and percentiles are those of ``F_evoked``. All pulses of the
    set are counted, SALT tests those that are independent (`choose_pulses`).

    Examples
    --------
    >>> import numpy as np
    >>> from nwb_celltype.evidence.pulse_sets import choose_pulses
    >>> windows, onsets = OptotagWindows(), np.arange(1.0, 101.0)
    >>> (pulses,) = choose_pulses(Stimulation("laser", onsets, 0.005), windows, start_s=0.0)
    >>> response = tagging_response(onsets + 0.0035, pulses, windows)
    >>> response.n_pulses, round(response.latency_ms, 3), response.reliability, response.salt_p
    (100, 3.5, 1.0, 0.0)
    """
    spikes = np.asarray(spike_times, dtype=np.float64)
    if pulses.problem:
        return OptotagResponse(len(pulses), problem=pulses.problem)
    if not is_ascending(spikes):
        return OptotagResponse(len(pulses), problem="spike times are not ascending numbers")
    if len(spikes) == 0:
        return OptotagResponse(len(pulses), problem="the unit has no spikes")
    masks_end = is_end_locked(spikes, pulses, windows)
    dark, test = window_latencies(spikes, pulses, windows, masks_end=masks_end)
    n = len(pulses)
    fired = np.add.reduceat(~np.isnan(dark), np.cumsum(pulses.n_dark_windows) - pulses.n_dark_windows, dtype=np.int64)
    reliability, chance = float(np.mean(~np.isnan(test))), float(np.mean(fired / pulses.n_dark_windows))
    if reliability == chance == 0 and not masks_end:
        return OptotagResponse(n, 0.0, 0.0, 0.0, 0.0, problem="the unit is silent around the pulses")
    excess = 1 - (1 - reliability) / (1 - chance) if chance < 1 else np.nan
    salt = latency_test(
        dark[pulses.salt_windows()], test[pulses.salt_pulses], test_s=windows.test_s, bin_s=windows.bin_s
    )
    is_beyond_chance = _is_beyond_chance(~np.isnan(test) - fired / pulses.n_dark_windows, chance, pulses)
    latency, jitter = (np.nan, np.nan)
    weights = np.repeat(1 / (n * pulses.n_dark_windows), pulses.n_dark_windows)
    if is_beyond_chance and excess * n >= 1:
        latency, jitter = _latency_and_jitter(dark, weights, test)
    ends = pulses.dark_windows_s + windows.test_s
    n_spikes = np.searchsorted(spikes, ends) - np.searchsorted(spikes, pulses.dark_windows_s)
    rate = float(np.sum(weights * n_spikes)) / windows.test_s
    return OptotagResponse(
        n_pulses=n,
        reliability=reliability,
        chance=chance,
        excess=float(excess),
        n_evoked=float(excess * n),
        latency_ms=1e3 * (latency + windows.dead_time_s),
        jitter_ms=1e3 * jitter,
        salt_p=salt.p,
        salt_rank_p=salt.rank_p,
        onset_artefact=_dead_time_spikes(spikes, pulses.onsets_s, windows, rate),
        end_artefact=_dead_time_spikes(spikes, pulses.onsets_s + pulses.durations_s, windows, rate),
        baseline_rate_hz=rate,
        is_end_masked=masks_end,
    )


def is_end_locked(spike_times: Float, pulses: PulseSet, windows: OptotagWindows) -> bool:
    """Whether spikes follow the end of pulses at one and the same time, closer together than spikes can be.

    The densest stretch of two `locked_s` in the dead time must hold ten spikes, on one pulse in twenty, and four fifths
    of those in three times its width. Of spikes whose jitter is above `locked_s`, two thirds do.
    """
    ends = pulses.onsets_s + pulses.durations_s
    ends = ends[np.isfinite(ends)]
    width = 2 * windows.locked_s
    if not len(ends) or width == 0:
        return False
    first = np.searchsorted(spike_times, ends - width)
    counts = np.searchsorted(spike_times, ends + windows.dead_time_s + 2 * width) - first
    rows = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    after = np.sort(spike_times[rows] - np.repeat(ends, counts))
    inside = after[(after >= 0) & (after < windows.dead_time_s)]
    if not len(inside):
        return False
    held = np.searchsorted(after, inside + width, side="right") - np.searchsorted(after, inside)
    densest = int(np.argmax(held))
    begin, n_held = inside[densest], int(held[densest])
    around = np.searchsorted(after, begin + 2 * width, side="right") - np.searchsorted(after, begin - width)
    return n_held >= max(10, 0.05 * len(ends)) and n_held >= 0.8 * int(around)


def spike_groups(
    spike_times: ArrayLike,
    stimulation: Stimulation,
    windows: OptotagWindows,
    *,
    latency_ms: tuple[float, float] | None = None,
    others: Sequence[Stimulation] = (),
    blocker: str | None = None,
    masks_end: bool = False,
) -> SpikeGroups:
    """Say which spikes light evoked and which are spontaneous, so that their raw snippets can be averaged apart.

    Parameters
    ----------
    spike_times : (n_spikes,) array, seconds, ascending
    stimulation : Stimulation
        All its pulses count here, later pulses of a train too.
    windows : OptotagWindows
    latency_ms : (first, last), optional
        Latencies of evoked spikes, for example the median plus and minus three times the jitter: fewer spontaneous
        spikes among them. The whole test window by default.
    others : sequence of Stimulation
        Other lights; no spike near them is spontaneous.
    blocker : str, optional
        Only spikes and pulses with just these blockers in the bath, ``""`` for none; all by default.
    masks_end : bool
        Whether spikes in the dead time after the end of a pulse are artefacts too.

    Returns
    -------
    SpikeGroups

    Examples
    --------
    >>> groups = spike_groups([0.5, 1.0004, 1.003, 1.4], Stimulation("laser", [1.0], 0.005), OptotagWindows())
    >>> groups.evoked.tolist(), groups.spontaneous.tolist(), groups.artefact.tolist()
    ([2], [0, 3], [1])
    """
    spikes = np.asarray(spike_times, dtype=np.float64)
    if not is_ascending(spikes):
        message = "The spikes of a unit cannot be sorted by light: their times are not ascending numbers."
        raise UsageError(message)
    dead, test = windows.dead_time_s, windows.test_s
    lit = lit_intervals([stimulation])
    edges = lit.ravel() if masks_end else lit[:, 0]
    edges = edges[np.isfinite(edges)]
    in_dead = _inside(spikes, np.column_stack([edges, edges + dead]))
    first, last = (dead, dead + test) if latency_ms is None else (max(latency_ms[0] * 1e-3, dead), latency_ms[1] * 1e-3)
    usable = spikes[~in_dead]
    rows = np.flatnonzero(~in_dead)
    onsets = np.unique(lit[:, 0])
    if blocker is not None:
        onsets = onsets[stimulation.blocker_at(onsets) == blocker]
    k = np.searchsorted(usable, onsets + first)
    padded = np.concatenate([usable, [np.inf]])
    evoked = np.unique(rows[k[padded[k] < onsets + min(last, dead + test)]]).astype(np.int64)
    every = lit_intervals([stimulation, *others])
    around = every + np.array([0.0, dead + windows.recovery_s])
    around[:, 1] = np.maximum(around[:, 1], every[:, 0] + dead + test)
    spontaneous = ~_inside(spikes, around)
    if blocker is not None:
        spontaneous &= stimulation.blocker_at(spikes) == blocker
    return SpikeGroups(evoked, np.flatnonzero(spontaneous), np.flatnonzero(in_dead))


def waveform_correlation(evoked: ArrayLike, spontaneous: ArrayLike) -> float:
    """Pearson correlation of the mean waveforms of evoked and of spontaneous spikes.

    Parameters
    ----------
    evoked, spontaneous : (n_samples,) or (n_samples, n_channels) arrays
        Means over the same samples and channels; all channels count together, so a response that comes from another
        place on the probe lowers it.

    Returns
    -------
    float
        NaN when a waveform is missing (NaN) or flat.

    Raises
    ------
    UsageError
        If the shapes differ.

    Examples
    --------
    >>> waveform_correlation([0, -5, 1], [0, -10, 2])
    1.0
    """
    a, b = np.asarray(evoked, dtype=np.float64), np.asarray(spontaneous, dtype=np.float64)
    if a.shape != b.shape:
        message = f"The evoked mean waveform has shape {a.shape}, the spontaneous one {b.shape}; they must be equal."
        raise UsageError(message)
    if a.size < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    a, b = a.ravel() - a.mean(), b.ravel() - b.mean()
    scale = np.sqrt(np.sum(a * a) * np.sum(b * b))
    return float(np.clip(np.sum(a * b) / scale, -1, 1)) if scale > 0 else float("nan")


def is_ascending(spike_times: Float) -> bool:
    """Whether spike times are finite numbers in ascending order."""
    return bool(np.isfinite(spike_times).all() and (np.diff(spike_times) >= 0).all())


def _latency_and_jitter(dark: Float, weights: Float, test: Float) -> tuple[float, float]:
    """Median and half the 16-84 % range of evoked latencies, seconds from the start of the window."""
    times = np.sort(test[~np.isnan(test)])
    by_light = np.arange(1, len(times) + 1) / len(test)
    order = np.argsort(dark)  # NaN last
    spontaneous = dark[order][: int(np.sum(~np.isnan(dark)))]
    summed = np.concatenate([[0.0], np.cumsum(weights[order])])
    by_chance = summed[np.searchsorted(spontaneous, times, side="right")]
    evoked = 1 - (1 - by_light) / np.maximum(1 - by_chance, 1e-12)
    total = 1 - (1 - by_light[-1]) / max(1 - summed[len(spontaneous)], 1e-12)
    early, middle, late = (times[min(int(np.argmax(evoked >= q * total)), len(times) - 1)] for q in (0.16, 0.5, 0.84))
    return float(middle), float(late - early) / 2


def _is_beyond_chance(more: Float, chance: float, pulses: PulseSet) -> bool:
    """Whether there are more spikes after light than before it; `more` says by how much on each pulse."""
    n, mean = len(more), float(np.mean(more))
    if not mean > 2 * np.sqrt(chance * (1 - chance) / n):
        return False
    if len(pulses.salt_pulses) == n:
        return True
    by_train = np.bincount(pulses.trains - pulses.trains.min(), weights=more - mean)
    n_trains = len(np.unique(pulses.trains))
    return bool(mean > 3 * np.sqrt(np.sum(by_train**2) * n_trains / (n_trains - 1)) / n)


def _dead_time_spikes(spikes: Float, edges: Float, windows: OptotagWindows, rate_hz: float) -> float:
    """Fraction of edges of light with a spike in the dead time after them, less that of a unit of this rate."""
    edges = edges[np.isfinite(edges)]
    if windows.dead_time_s == 0 or not len(edges):
        return 0.0
    n = np.searchsorted(spikes, edges + windows.dead_time_s) - np.searchsorted(spikes, edges)
    return float(np.mean(n > 0) - (1 - np.exp(-rate_hz * windows.dead_time_s)))


def _inside(times: Float, intervals: Float) -> NDArray[np.bool_]:
    """Whether each time lies in one of the intervals, their ends excluded."""
    merged = merged_intervals(intervals)
    if not len(merged):
        return np.zeros(len(times), dtype=bool)
    k = np.searchsorted(merged[:, 0], times, side="right") - 1
    inside: NDArray[np.bool_] = (k >= 0) & (times < merged[np.maximum(k, 0), 1])
    return inside
