"""When units could be observed: the whole recording, without the stimulated parts that are to be left out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.metadata.records import StimulusMetadata
from nwb_celltype.converters.records import ProbeRecording, Pulses
from nwb_celltype.errors import InputError
from nwb_celltype.intervals import remaining_intervals

Intervals = NDArray[np.float64]


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
        Session seconds; the end is infinite where nothing says when the stimulation ended.
    """
    periods = []
    for stimulus in stimuli:
        if not stimulus.leave_out:
            continue
        pulses = written.get(stimulus.events)
        start, stop = stimulus.leave_out_from_s, stimulus.leave_out_to_s
        if (start is None or stop is None) and pulses is None:
            continue
        if start is None and pulses is not None:
            start = float(pulses.onsets_s[0])
        if stop is None and pulses is not None:
            ends = pulses.onsets_s + pulses.durations_s
            stop = float(np.inf if np.isnan(ends).any() else ends.max())
        if start is not None and stop is not None and start < stop:
            periods.append((start, stop))
    return np.array(periods, dtype=np.float64).reshape(-1, 2)


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
    if n_samples is None:
        return None, ""
    start, stop = clock.seconds(np.array([0.0, n_samples]))
    intervals = remaining_intervals(np.array([[start, stop]]), left_out)
    if len(intervals) == 0:
        message = (
            f"The periods to be left out cover the whole recording of {recording.probe.name} "
            f"({start:g} to {stop:g} s); correct leave_out under Optogenetics in the metadata."
        )
        raise InputError(message)
    return intervals, source
