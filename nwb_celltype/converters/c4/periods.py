"""Stretches of time in the C4 database: sane periods, light pulses, and the spans that sane spikes mark."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.c4.fields import Fields
from nwb_celltype.converters.c4.spikes import Flags, SpikeTrain
from nwb_celltype.converters.records import Float, Integer
from nwb_celltype.intervals import merged_intervals, remaining_intervals


def read_sane_periods(fields: Fields, train: SpikeTrain, sampling_rate_hz: float) -> Float | None:
    """Read ``sane_periods``: (k, 2) seconds, or None where it is the whole recording or not stated.

    Raises
    ------
    FieldError
        If it is neither ``all`` nor pairs of ascending seconds, or no spike lies in it.
    """
    name = "sane_periods"
    value = fields.value(name)
    if value is None or (isinstance(value, str) and value.lower() == "all"):
        return None
    if isinstance(value, str):
        fields.refuse(name, f"the text {value!r}, which is neither 'all' nor periods")
    periods = _pairs(fields, name)
    if periods is None:
        fields.notes.append(f"Neuron {fields.neuron}: sane_periods is empty and was taken as not stated.")
        return None
    if not np.all(periods[:, 0] < periods[:, 1]):
        fields.refuse(name, "a period that ends before it begins")
    periods = merged_intervals(np.maximum(periods, 0.0))
    if len(train) and not count_inside(train.samples / sampling_rate_hz, periods):
        fields.refuse(name, "no spike of the neuron lies in the periods, so they are not in seconds or not its own")
    return periods


def read_light_pulses(fields: Fields) -> Float | None:
    """Read ``optostims``: (k, 2) onsets and offsets in seconds, ascending; None where there are none.

    Raises
    ------
    FieldError
        If they are no pairs of finite seconds, or a pulse ends before it begins.
    """
    pulses = _pairs(fields, "optostims")
    if pulses is None:
        return None
    if not np.isfinite(pulses).all():
        fields.refuse("optostims", "a time that is not finite")
    if np.any(pulses[:, 1] < pulses[:, 0]):
        fields.refuse("optostims", "a pulse that ends before it begins")
    return np.unique(pulses, axis=0)


def sane_spans(samples: Integer, is_sane: Flags, sampling_rate_hz: float, end_s: float) -> Float:
    """Spans that a mask over spikes marks, as stretches that hold the marked spikes and no other.

    A span reaches from its first to its last marked spike and, on either side, half way to the next spike outside it,
    though no further than the median interval of the train. Where a marked spike is the first of the train the span
    begins with the recording, and where it is the last the span ends with it.

    Parameters
    ----------
    samples : (n,) int64 array
        Ascending.
    is_sane : (n,) bool array
    sampling_rate_hz : float
    end_s : float
        End of the recording.

    Returns
    -------
    (k, 2) float64 array
        Seconds; empty where no spike is marked.

    Examples
    --------
    >>> sane_spans(np.arange(1, 7) * 10, np.array([1, 1, 0, 1, 0, 0], bool), 10.0, 9.0).tolist()
    [[0.0, 2.5], [3.5, 4.5]]
    """
    if not is_sane.any():
        return np.empty((0, 2))
    seconds = samples / sampling_rate_hz
    steps = np.diff(seconds)
    reach = np.minimum(steps / 2, np.median(steps)) if len(steps) else steps
    change = np.diff(np.concatenate([[False], is_sane, [False]]).astype(np.int8))
    first, last = np.flatnonzero(change == 1), np.flatnonzero(change == -1) - 1
    before = np.concatenate([[seconds[0]], reach])  # of the first spike: back to the beginning
    after = np.concatenate([reach, [max(end_s - seconds[-1], 0.0)]])
    return np.column_stack([seconds[first] - before[first], seconds[last] + after[last]])


def observed_periods(train: SpikeTrain, periods: Float | None, sampling_rate_hz: float, end_s: float) -> Float | None:
    """Periods in which a neuron counts as observed: sane periods, as far as the mask of sane spikes agrees.

    Parameters
    ----------
    train : SpikeTrain
    periods : (k, 2) float64 array or None
        Sane periods, None for the whole recording.
    sampling_rate_hz, end_s : float

    Returns
    -------
    (k, 2) float64 array or None
        Seconds; None for the whole recording.
    """
    whole = np.array([[0.0, end_s]])
    spans = whole
    is_masked = train.is_sane is not None and len(train) > 0 and not train.is_sane.all()
    if is_masked and train.is_sane is not None:
        spans = sane_spans(train.samples, train.is_sane, sampling_rate_hz, end_s)
    if periods is None:
        return spans if is_masked else None
    stated = np.minimum(periods, max(end_s, float(periods[np.isfinite(periods)].max(initial=0.0))))
    if not is_masked:
        return merged_intervals(stated)
    rest = remaining_intervals(np.array([[0.0, np.inf]]), spans)
    return remaining_intervals(stated, rest)


def count_inside(seconds: Float, periods: Float) -> int:
    """How many times lie in periods that are in order and apart."""
    at = np.searchsorted(periods[:, 0], seconds, side="right") - 1
    return int(np.count_nonzero((at >= 0) & (seconds <= periods[np.maximum(at, 0), 1])))


def _pairs(fields: Fields, name: str) -> Float | None:
    """Pairs of times, a row each, however they lie in the file; None where there are none."""
    value = fields.array(name)
    if value is None or value.size == 0:
        return None
    if value.dtype.kind not in "iuf":
        fields.refuse(name, f"values of type {value.dtype} where seconds belong")
    squeezed = value[0] if value.ndim == 3 and value.shape[0] == 1 else value
    pairs: NDArray[np.float64] = np.atleast_2d(squeezed).astype(np.float64)
    if pairs.ndim != 2 or 2 not in pairs.shape:
        fields.refuse(name, f"an array of shape {value.shape} where pairs of seconds belong")
    if pairs.shape[1] != 2 or (pairs.shape[0] == 2 and _is_turned(pairs)):
        pairs = pairs.T
    if np.isnan(pairs).any():
        fields.refuse(name, "a time that is NaN")
    return pairs


def _is_turned(pairs: NDArray[np.float64]) -> bool:
    """Whether two pairs lie as columns: only so do they follow one another, or only so does each ascend."""
    follows, follows_turned = (bool(np.all(np.diff(each.ravel()) > 0)) for each in (pairs, pairs.T))
    if follows or follows_turned:
        return not follows
    ascends, ascends_turned = (bool(np.all(np.diff(each, axis=1) > 0)) for each in (pairs, pairs.T))
    return ascends_turned and not ascends
