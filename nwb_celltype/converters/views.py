"""Views of a recording that read less of it or scale it otherwise, and the first seconds of a session."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.clocks import Clock
from nwb_celltype.converters.records import (
    Float,
    Integer,
    Marks,
    ProbeRecording,
    Pulses,
    Sorting,
    SourceSession,
    TraceSource,
)
from nwb_celltype.converters.traces import BinaryTraces


@dataclass(frozen=True, eq=False)
class TraceView:
    """The first samples of a recording, or the same recording with a scale that the user gave.

    Attributes
    ----------
    source : TraceSource
    n_samples : int
        At most those of the source.
    gains_uv : (n_channels,) float64 array or None
    """

    source: TraceSource
    n_samples: int
    gains_uv: Float | None

    @property
    def name(self) -> str:
        """Stream."""
        return self.source.name

    @property
    def sampling_rate_hz(self) -> float:
        """As the source states it."""
        return self.source.sampling_rate_hz

    @property
    def n_channels(self) -> int:
        """Electrodes."""
        return self.source.n_channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the stored counts."""
        return self.source.dtype

    @property
    def offsets_uv(self) -> Float | None:
        """Microvolts of count 0."""
        return self.source.offsets_uv

    @property
    def filtering(self) -> str:
        """What was done before storing."""
        return self.source.filtering

    @property
    def paths(self) -> tuple[Path, ...]:
        """Files."""
        return self.source.paths

    def read(self, start: int, stop: int, channels: Integer | None = None) -> NDArray[Any]:
        """Stored counts of samples `start` to `stop`."""
        return self.source.read(start, min(stop, self.n_samples), channels)


def with_gain(traces: TraceSource, gain_uv: float) -> TraceSource:
    """Return the same traces with one scale for every channel, microvolts of one count."""
    gains_uv = np.full(traces.n_channels, float(gain_uv))
    if isinstance(traces, BinaryTraces):  # so that windows can still be gathered straight from the file
        return replace(traces, gains_uv=gains_uv)
    return TraceView(traces, traces.n_samples, gains_uv)


def first_seconds(session: SourceSession, seconds: float) -> SourceSession:
    """Cut a session to the first seconds of each stream; units that are silent there stay, without spikes.

    Parameters
    ----------
    session : SourceSession
    seconds : float
        Of the reference stream.

    Returns
    -------
    SourceSession
    """
    if not session.recordings:
        return session
    end_s = session.recordings[0].clock.start_s + seconds
    recordings = tuple(_cut_recording(recording, end_s) for recording in session.recordings)
    pulses = tuple(_cut_pulses(p, end_s) for p in session.pulses)
    marks = tuple(_cut_marks(m, end_s) for m in session.marks)
    note = f"Only the first {seconds:g} s were converted, as asked; the file is for trying out."
    return replace(session, recordings=recordings, pulses=pulses, marks=marks, notes=(*session.notes, note))


def _cut_recording(recording: ProbeRecording, end_s: float) -> ProbeRecording:
    n_samples = _samples_before(recording.clock, end_s)
    observed_s = recording.observed_s
    lfp_clock = recording.lfp_clock
    return replace(
        recording,
        sorting=None if recording.sorting is None else _cut_sorting(recording.sorting, n_samples, end_s),
        observed_s=None if observed_s is None else _until(observed_s, end_s),
        traces=None if recording.traces is None else _cut_traces(recording.traces, n_samples),
        lfp=None
        if recording.lfp is None
        else _cut_traces(recording.lfp, _samples_before(lfp_clock, end_s) if lfp_clock else n_samples),
    )


def _samples_before(clock: Clock, end_s: float) -> int:
    return max(0, int(np.ceil(float(clock.samples(np.array([end_s]))[0]) - 1e-6)))


def _cut_traces(traces: TraceSource, n_samples: int) -> TraceSource:
    return TraceView(traces, min(n_samples, traces.n_samples), traces.gains_uv)


def _cut_sorting(sorting: Sorting, n_samples: int, end_s: float) -> Sorting:
    observed = sorting.obs_intervals
    cut = None if observed is None else tuple(_until(each, end_s) for each in observed)
    return replace(select_spikes(sorting, sorting.spike_samples < n_samples), obs_intervals=cut)


def _until(intervals: Float, end_s: float) -> Float:
    kept = intervals[intervals[:, 0] < end_s]
    return np.column_stack([kept[:, 0], np.minimum(kept[:, 1], end_s)])


def select_spikes(sorting: Sorting, keep: NDArray[np.bool_]) -> Sorting:
    """Return the same units with the spikes that `keep` marks, in the order of `Sorting.spike_samples`."""
    kept = np.concatenate([[0], np.cumsum(keep, dtype=np.int64)])
    return replace(
        sorting,
        spike_samples=sorting.spike_samples[keep],
        offsets=kept[sorting.offsets],
        amplitudes=None if sorting.amplitudes is None else sorting.amplitudes[keep],
        spike_columns={name: replace(c, values=c.values[keep]) for name, c in sorting.spike_columns.items()},
    )


def _cut_marks(marks: Marks, end_s: float) -> Marks:
    keep = marks.times_s < end_s
    return replace(marks, times_s=marks.times_s[keep], values=None if marks.values is None else marks.values[keep])


def _cut_pulses(pulses: Pulses, end_s: float) -> Pulses:
    keep = pulses.onsets_s < end_s
    ends = pulses.onsets_s[keep] + pulses.durations_s[keep]
    durations = np.where(ends <= end_s, pulses.durations_s[keep], np.nan)
    return replace(pulses, onsets_s=pulses.onsets_s[keep], durations_s=durations)
