"""When units could be observed: the whole recording, without the stimulated parts that are to be left out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.metadata.records import StimulusMetadata
from nwb_celltype.converters.records import ProbeRecording, Pulses
from nwb_celltype.errors import InputError
from nwb_celltype.intervals import merged_intervals, remaining_intervals

Intervals = NDArray[np.float64]

AFTER_LIGHT_S = 1.0
"""Left out after each pulse, for activity to settle."""
SHORTEST_DARK_S = 5.0
"""Darkness between two pulses that is worth keeping."""
_SHORTEST_KEPT_S = 1.0


def left_out_periods(stimuli: tuple[StimulusMetadata, ...], written: Mapping[str, Pulses]) -> Intervals:
    """Periods that the metadata leave out of the observed time.

    Parameters
    ----------
    stimuli : tuple of StimulusMetadata
    written : mapping of str to Pulses
        By name of their events table.

    Returns
    -------
    (k, 2) float64 array
        Session seconds; the end is infinite where nothing says when the stimulation ended. Where the metadata draw
        neither start nor end, each pulse is left out with the second after it, and so is what lies between two of
        these less than 5 s apart.
    """
    periods = [np.empty((0, 2))]
    for stimulus in stimuli:
        if not stimulus.leave_out:
            continue
        pulses = written.get(stimulus.events)
        start, stop = stimulus.leave_out_from_s, stimulus.leave_out_to_s
        if start is not None and stop is not None:
            periods.append(np.array([[start, stop]]))
        elif pulses is not None:
            lit = _lit(pulses)
            first = -np.inf if start is None else start
            last = np.inf if stop is None else stop
            if start is not None or stop is not None:  # one stretch, as the user drew it
                first = float(lit[0, 0]) if start is None else first
                last = float(lit[-1, 1]) if stop is None else last
                lit = np.array([[first, last]])
            periods.append(lit)
    every = np.concatenate(periods)
    return every[every[:, 0] < every[:, 1]]


def _lit(pulses: Pulses) -> Intervals:
    """Stretches of light: each pulse with the time that follows it, those a few seconds apart made one."""
    ends = np.where(np.isnan(pulses.durations_s), np.inf, pulses.onsets_s + pulses.durations_s + AFTER_LIGHT_S)
    joined = merged_intervals(np.column_stack([pulses.onsets_s, ends + SHORTEST_DARK_S]))
    joined[:, 1] -= SHORTEST_DARK_S
    return joined


def observed(recording: ProbeRecording, left_out: Intervals) -> tuple[Intervals | None, str]:
    """Return the periods in which units of a recording were observed, and how the end of the recording is known.

    Returns
    -------
    intervals : (k, 2) float64 array or None
        Session seconds; None where nothing says how long the recording was and nothing is left out.
    source : str

    Raises
    ------
    InputError
        If the left-out periods cover the whole recording.
    """
    clock, sorting, traces = recording.clock, recording.sorting, recording.traces
    lfp = recording.lfp
    n_samples: float | None = None
    if traces is not None and traces.n_samples:
        n_samples, source = float(traces.n_samples), "the whole recording"
    elif lfp is not None and lfp.n_samples:
        n_samples = lfp.n_samples * clock.sampling_rate_hz / lfp.sampling_rate_hz
        source = "the whole recording, by the length of its LFP"
    elif len(left_out) and sorting is not None and len(sorting.spike_samples):
        n_samples = float(sorting.spike_samples.max()) + 1
        source = "until the last spike, because the length of the recording is not known"
    if recording.observed_s is not None:
        n_samples, source = (
            0.0,
            "the whole recording, without its pauses" if len(recording.observed_s) > 1 else ("the whole recording"),
        )
    if n_samples is None:
        return None, ""
    start, stop = clock.seconds(np.array([0.0, n_samples]))
    whole = np.array([[start, stop]])
    if recording.observed_s is not None:
        whole, start, stop = recording.observed_s, recording.observed_s[0, 0], recording.observed_s[-1, 1]
    intervals = remaining_intervals(whole, left_out)
    if len(left_out):  # clocks differ by microseconds, so the rims of what is left out can leave slivers
        intervals = intervals[np.diff(intervals, axis=1)[:, 0] >= min(_SHORTEST_KEPT_S, float(stop - start) / 2)]
    if len(intervals) == 0:
        message = (
            f"The periods to be left out cover the whole recording of {recording.probe.name} "
            f"({start:g} to {stop:g} s); correct leave_out under Optogenetics in the metadata."
        )
        raise InputError(message)
    return intervals, source
