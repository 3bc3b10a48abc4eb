"""Mean waveforms of units: from the raw recording, or from what the sorter kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.neighbours import nearest_channels, usable_channels
from nwb_celltype.converters.records import Probe, ScaleUnit, Sorting, TraceSource, UnitWaveforms
from nwb_celltype.converters.snippets import Progress, SnippetSums, SnippetWindow, reduce_snippets
from nwb_celltype.converters.spike_selection import N_BLOCKS, ChosenSpikes, spread_spikes
from nwb_celltype.converters.unit_peaks import PeakFinder, UnitMean
from nwb_celltype.errors import InputError, UsageError

Integer = NDArray[np.int64]
Float = NDArray[np.float64]

# Channels around the sorter's peak among which the first look searches, spikes of that look, and its window.
_N_HINT_CHANNELS = 96
_N_FIRST_SPIKES = 60
_FIRST_LOOK_MS = (0.5, 1.0)
# Channels around the first look's peak that may turn out to be the peak: 16 rows of a Neuropixels 1.0 shank.
_N_CANDIDATES = 32
# Sampling rates of sorter and recording may differ by the calibration of the probe, not by more.
_RATE_TOLERANCE = 0.01


def mean_waveforms(
    sorting: Sorting,
    traces: TraceSource,
    probe: Probe,
    *,
    n_channels: int = 16,
    ms_before: float = 1.5,
    ms_after: float = 2.5,
    max_spikes: int = 500,
    seed: int = 0,
    high_pass_hz: float | None = None,
    progress: Progress | None = None,
) -> UnitWaveforms:
    """Mean and standard deviation of each unit's waveform, from the recording, on the channels nearest to its peak.

    Spikes are chosen at random, evenly over ten blocks of time (`spread_spikes`). The peak channel is the one with the
    largest swing of the mean from 0.5 ms before to 1 ms after the spike; a first look at a few spikes finds it among
    the 96 channels nearest to the sorter's peak channel, or among all where the sorter names none, and the mean of all
    chosen spikes decides among the 32 channels nearest to that.

    A unit that moves along the probe is seen best on different channels at different times, and a mean over all of
    them is a waveform that no channel ever saw. So the channel on which most spikes peak is taken, and blocks in which
    another one is larger by a tenth and by more than the noise are left out, as C4 does with what it calls drift match
    (Beau et al. 2025), provided that 50 spikes remain; otherwise all are used. `n_spikes_used` counts what was.
    `drift_um` compares the blocks' depths: the mean position along the probe of the 16 channels nearest to the block's
    peak, weighted by the square of what exceeds the noise, in blocks of at least 10 spikes that stand out of the noise
    four times. A range over ten blocks, it is never 0: 1 to 3 micrometres mean that the unit stayed.

    By default traces are taken as they are stored: scaled, no baseline subtracted, nothing filtered. That is right for
    recordings that were high-passed before, as the AP band of Neuropixels 1.0 is, and gives what SpikeInterface's
    analyzer gives for the same spikes. Where slow potentials are still in the recording (Neuropixels 2.0, most other
    systems), they make up most of the standard deviation and tilt the mean: ask for `high_pass_hz`, which filters each
    snippet as the hardware of Neuropixels 1.0 would (first-order Butterworth, causal); `suggest_high_pass` tells.

    Parameters
    ----------
    sorting : Sorting
    traces : TraceSource
        The recording that was sorted; its channels are the rows of `probe`.
    probe : Probe
    n_channels : int
        Channels per unit, the same for all; reference channels are left out, and a probe with fewer gives all it has.
        See `nearest_channels` for what near means.
    ms_before, ms_after : float, milliseconds
        Window; a spike whose window leaves the recording is not used.
    max_spikes : int
        Of each unit.
    seed : int
        The same seed gives the same spikes; which ones a unit gets does not depend on the other units.
    high_pass_hz : float or None, hertz
    progress : callable, optional
        ``progress(task, done, total)`` in spikes, from whichever thread did them.

    Returns
    -------
    UnitWaveforms
        In microvolts, or counts (``a.u.``) where the recording has no gains. A unit without a usable spike has NaN,
        the reason as its source, and the sorter's peak channel with its neighbours, or -1 where there is none.

    Raises
    ------
    InputError
        Recording, probe and sorting do not fit each other, or the recording cannot be read.
    UsageError
        An option is out of range.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from nwb_celltype.converters.records import Probe, Sorting
    >>> from nwb_celltype.converters.traces import BinaryTraces
    >>> counts = np.zeros((30_000, 2), dtype="<i2")
    >>> counts[1_000::1_000] = [-10, -40]
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "run.bin"
    >>> counts.tofile(path)
    >>> traces = BinaryTraces(
    ...     name="probe", paths=(path,), dtype=np.dtype("<i2"), n_file_channels=2, columns=np.array([0, 1]),
    ...     sampling_rate_hz=30_000.0, gains_uv=np.array([2.0, 2.0]),
    ... )
    >>> probe = Probe("probe", ("a", "b"), np.array([[0.0, 0.0], [0.0, 20.0]]), np.array([0, 0]), "drawing")
    >>> sorting = Sorting(
    ...     np.array([7]), ("7",), np.arange(1_000, 30_000, 1_000), np.array([0, 29]), 30_000.0, "by hand"
    ... )
    >>> waveforms = mean_waveforms(sorting, traces, probe)
    >>> waveforms.peak_channels.tolist(), waveforms.channels.tolist(), waveforms.mean[0, waveforms.n_before].tolist()
    ([1], [[1, 0]], [-80.0, -20.0])
    >>> folder.cleanup()
    """
    _check(sorting, traces, probe)
    rate = traces.sampling_rate_hz
    window = SnippetWindow(round(ms_before * 1e-3 * rate), round(ms_after * 1e-3 * rate), high_pass_hz)
    _check_options(window, rate, n_channels, max_spikes)
    spikes = [
        spread_spikes(
            sorting.samples_of(row),
            traces.n_samples,
            n_before=window.n_before,
            n_after=window.n_after,
            max_spikes=max_spikes,
            seed=(seed, int(unit_id) % 2**64),
        )
        for row, unit_id in enumerate(sorting.unit_ids)
    ]
    run = _RawMeans(traces, probe, window, n_channels, progress)
    rows = np.flatnonzero([len(chosen.samples) > 0 for chosen in spikes])
    hints = _hints(sorting, probe)
    means = run.means([spikes[row] for row in rows], hints[rows])
    return _collect(sorting, probe, run, dict(zip(rows.tolist(), means, strict=True)), hints)


def template_waveforms(sorting: Sorting, probe: Probe, *, n_channels: int = 16) -> UnitWaveforms | None:
    """Mean waveforms that the sorter kept, on the channels nearest to each unit's peak.

    The peak channel is the one with the largest swing of the template, whatever the sorter says of it, so that the
    first channel always holds the largest waveform.

    Parameters
    ----------
    sorting : Sorting
    probe : Probe
    n_channels : int
        As in `mean_waveforms`; not for templates that keep all of their channels.

    Returns
    -------
    UnitWaveforms or None
        With `sd` and `n_spikes_used` (else 0) where the templates have them. None where the sorting has no templates.
        A unit without one, or with one that is zero everywhere, has NaN.

    Raises
    ------
    InputError
        Templates do not have one channel for each row of the probe, or there is not one for each unit.

    Examples
    --------
    >>> import numpy as np
    >>> from nwb_celltype.converters.records import Probe, Sorting, Templates
    >>> probe = Probe("probe", ("a", "b"), np.array([[0.0, 0.0], [0.0, 20.0]]), np.array([0, 0]), "drawing")
    >>> templates = Templates(np.array([[[0.0, 0.0], [-1.0, -5.0], [0.0, 1.0]]]), 1, "a.u.", ("template, whitened",))
    >>> sorting = Sorting(
    ...     np.array([7]), ("7",), np.array([10]), np.array([0, 1]), 30_000.0, "by hand", templates=templates
    ... )
    >>> waveforms = template_waveforms(sorting, probe)
    >>> waveforms.channels.tolist(), waveforms.mean[0].tolist(), waveforms.source
    ([[1, 0]], [[0.0, 0.0], [-5.0, -1.0], [1.0, 0.0]], ('template, whitened',))
    """
    templates = sorting.templates
    if templates is None:
        return None
    n_units, n_window, n_template_channels = templates.waveforms.shape
    if (n_units, n_template_channels) != (len(sorting), len(probe)) or len(templates.source) != n_units:
        message = (
            f"{sorting.source}: there are templates of {n_units} units on {n_template_channels} channels, but "
            f"{len(sorting)} units and {len(probe)} channels of {probe.name}; they must be the same."
        )
        raise InputError(message)
    usable = usable_channels(probe)
    stored = np.isfinite(templates.waveforms).all(axis=1)
    n_channels = min(int(stored.sum(axis=1).max(initial=1)) if templates.keeps_all else n_channels, len(usable))
    table = _Table.empty(len(sorting), n_window, n_channels)
    sd = None if templates.sd is None else np.full_like(table.mean, np.nan)
    hints = _hints(sorting, probe)
    for row in range(n_units):
        waveform = np.asarray(templates.waveforms[row], dtype=np.float64)
        swing = np.ptp(waveform[:, usable], axis=0)
        swing = np.where(np.isfinite(swing), swing, 0.0)
        if swing.max(initial=0.0) > 0:
            peak = int(usable[np.argmax(swing)])
            near = nearest_channels(probe, peak, len(usable))
            channels = np.concatenate([near[stored[row, near]], near[~stored[row, near]]])[:n_channels]
            table.fill(row, waveform[:, channels], channels, peak, templates.source[row])
            if sd is not None and templates.sd is not None:
                sd[row] = np.asarray(templates.sd[row])[:, channels]
        else:
            is_zero = bool(np.isfinite(waveform).any())
            reason = "none: the template is zero everywhere" if is_zero else "none: the sorter kept no template"
            table.leave(row, probe, int(hints[row]), reason)
    counts = np.zeros(n_units, dtype=np.int64) if templates.n_spikes_used is None else templates.n_spikes_used
    return UnitWaveforms(
        mean=table.mean,
        sd=sd,
        channels=table.channels,
        peak_channels=table.peak_channels,
        n_before=templates.n_before,
        sampling_rate_hz=templates.sampling_rate_hz or sorting.sampling_rate_hz,
        unit=templates.unit,
        source=tuple(table.source),
        n_spikes_used=counts,
    )


@dataclass(frozen=True, eq=False)
class _RawMeans:
    """One recording, and how its mean waveforms are taken."""

    traces: TraceSource
    probe: Probe
    window: SnippetWindow
    n_channels: int
    progress: Progress | None

    def finder(self, n_before: int) -> PeakFinder:
        n, gains, offsets = self.traces.n_channels, self.traces.gains_uv, self.traces.offsets_uv
        return PeakFinder(
            probe=self.probe,
            gains=np.ones(n) if gains is None else gains,
            offsets=np.zeros(n) if offsets is None or gains is None else offsets,
            n_before=n_before,
            sampling_rate_hz=self.traces.sampling_rate_hz,
            n_channels=self.n_channels,
        )

    def means(self, spikes: Sequence[ChosenSpikes], hints: Integer) -> list[UnitMean]:
        """Mean of each unit, all of which have spikes; `hints` are rows of the probe or -1."""
        finder = self.finder(self.window.n_before)
        candidates, around = [], []
        nearest: dict[int, tuple[Integer, Integer]] = {}
        for peak in self._first_look(spikes, hints):
            if peak not in nearest:
                near = nearest_channels(self.probe, peak, _N_CANDIDATES, same_shank=True)
                wide = max(self.n_channels, _N_CANDIDATES // 2)
                nearest[peak] = near, np.unique([nearest_channels(self.probe, int(row), wide) for row in near])
            candidates.append(nearest[peak][0])
            around.append(nearest[peak][1])

        def reduce(unit: int, sums: SnippetSums) -> UnitMean:
            return finder.unit_mean(sums, around[unit], candidates[unit])

        return reduce_snippets(
            self.traces,
            spikes,
            around,
            self.window,
            reduce,
            n_blocks=N_BLOCKS,
            task="mean waveforms",
            progress=self.progress,
        )

    def _first_look(self, spikes: Sequence[ChosenSpikes], hints: Integer) -> list[int]:
        """Peak channel of each unit in a few spikes, near the hint where there is one."""
        before, after = (round(ms * 1e-3 * self.traces.sampling_rate_hz) for ms in _FIRST_LOOK_MS)
        # Never outside the window that each spike is known to have.
        window = SnippetWindow(
            min(before, self.window.n_before), min(after + 1, self.window.n_after), self.window.high_pass_hz
        )
        finder = self.finder(window.n_before)
        usable = usable_channels(self.probe)
        searched = [
            usable if hint < 0 else nearest_channels(self.probe, int(hint), _N_HINT_CHANNELS, same_shank=True)
            for hint in hints
        ]

        def reduce(unit: int, sums: SnippetSums) -> int:
            channels = searched[unit]
            return int(channels[np.argmax(finder.amplitudes(sums.sums[0] / sums.counts[0], channels))])

        few = [_every_so_often(chosen) for chosen in spikes]
        return reduce_snippets(
            self.traces, few, searched, window, reduce, n_blocks=1, task="peak channels", progress=self.progress
        )


@dataclass(frozen=True, eq=False)
class _Table:
    """Waveforms of all units, filled row by row."""

    mean: NDArray[np.float32]
    channels: Integer
    peak_channels: Integer
    source: list[str]

    @classmethod
    def empty(cls, n_units: int, n_window: int, k: int) -> _Table:
        return cls(
            mean=np.full((n_units, n_window, k), np.nan, dtype=np.float32),
            channels=np.full((n_units, k), -1, dtype=np.int64),
            peak_channels=np.full(n_units, -1, dtype=np.int64),
            source=[""] * n_units,
        )

    def fill(self, row: int, mean: Float, channels: Integer, peak: int, source: str) -> None:
        self.mean[row], self.channels[row], self.peak_channels[row], self.source[row] = mean, channels, peak, source

    def leave(self, row: int, probe: Probe, hint: int, reason: str) -> None:
        self.source[row] = reason
        if hint >= 0:
            self.channels[row] = nearest_channels(probe, hint, self.channels.shape[1])
            self.peak_channels[row] = hint


def _collect(
    sorting: Sorting, probe: Probe, run: _RawMeans, means: dict[int, UnitMean], hints: Integer
) -> UnitWaveforms:
    n_units, k = len(sorting), min(run.n_channels, len(usable_channels(probe)))
    table = _Table.empty(n_units, len(run.window), k)
    sd = np.full_like(table.mean, np.nan)
    n_used, drift = np.zeros(n_units, dtype=np.int64), np.full(n_units, np.nan)
    high_pass = run.window.high_pass_hz
    source = "raw" if high_pass is None else f"raw, high-passed at {high_pass:g} Hz"
    for row in range(n_units):
        unit = means.get(row)
        if unit is None:
            n_spikes = len(sorting.samples_of(row))
            reason = "the unit has no spikes" if not n_spikes else "every spike's window leaves the recording"
            table.leave(row, probe, int(hints[row]), f"none: {reason}")
            continue
        table.fill(row, unit.mean, unit.channels, unit.peak_channel, source)
        sd[row], n_used[row], drift[row] = unit.sd, unit.n_spikes, unit.drift_um
    unit_of_scale: ScaleUnit = "a.u." if run.traces.gains_uv is None else "microvolts"
    return UnitWaveforms(
        mean=table.mean,
        sd=sd,
        channels=table.channels,
        peak_channels=table.peak_channels,
        n_before=run.window.n_before,
        sampling_rate_hz=run.traces.sampling_rate_hz,
        unit=unit_of_scale,
        source=tuple(table.source),
        n_spikes_used=n_used,
        drift_um=drift,
    )


def _hints(sorting: Sorting, probe: Probe) -> Integer:
    """Rows of the probe where the sorter sees each unit best, -1 where it says none that can be used."""
    if sorting.peak_channels is None:
        return np.full(len(sorting), -1, dtype=np.int64)
    return np.where(np.isin(sorting.peak_channels, usable_channels(probe)), sorting.peak_channels, -1)


def _every_so_often(chosen: ChosenSpikes) -> ChosenSpikes:
    rows = np.unique(np.linspace(0, len(chosen.samples) - 1, _N_FIRST_SPIKES).round().astype(np.int64))
    return ChosenSpikes(chosen.samples[rows], np.zeros(len(rows), dtype=np.int64), chosen.n_usable)


def _check(sorting: Sorting, traces: TraceSource, probe: Probe) -> None:
    problem = ""
    if len(probe) != traces.n_channels:
        problem = f"the probe has {len(probe)} channels and the recording {traces.n_channels}; give the geometry of it"
    elif not len(usable_channels(probe)):
        problem = "every channel is a reference; at least one must record tissue"
    elif abs(sorting.sampling_rate_hz / traces.sampling_rate_hz - 1) > _RATE_TOLERANCE:
        problem = (
            f"the sorting ({sorting.source}) is sampled at {sorting.sampling_rate_hz:g} Hz and the recording at "
            f"{traces.sampling_rate_hz:g} Hz; give the recording that was sorted"
        )
    if problem:
        message = f"{traces.name}: {problem}."
        raise InputError(message)


def _check_options(window: SnippetWindow, rate_hz: float, n_channels: int, max_spikes: int) -> None:
    problem = ""
    if window.n_before < 1 or window.n_after < 1:
        problem = f"a window of {window.n_before} samples before and {window.n_after} after the spike is too short"
    elif n_channels < 1 or max_spikes < 1:
        problem = f"{n_channels} channels and {max_spikes} spikes a unit were asked for; ask for at least 1"
    elif window.high_pass_hz is not None and not 0 < window.high_pass_hz < rate_hz / 2:
        problem = f"a high-pass at {window.high_pass_hz:g} Hz is impossible at {rate_hz:g} Hz; ask for 300, or none"
    if problem:
        message = f"Mean waveforms: {problem}."
        raise UsageError(message)
