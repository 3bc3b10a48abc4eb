"""Mean waveforms of a recording's neurons on the channels of its probe, in microvolts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from nwb_celltype.converters.c4.neurons import Neuron
from nwb_celltype.converters.c4.probe import Electrodes
from nwb_celltype.converters.records import Integer, LeftOut, Templates

_SOURCE = "mean_waveform_preprocessed of the C4 database"
_TOLERANCE_S = 0.5e-3


def join_waveforms(
    neurons: Sequence[Neuron], electrodes: Electrodes, sampling_rate_hz: float
) -> tuple[Templates | None, tuple[LeftOut, ...], tuple[str, ...]]:
    """Put the waveform of each neuron on all channels that it was stored on.

    The database cuts waveforms with the spike in the middle and does not state that anywhere. The middle is used,
    unless the waveforms of the recording have their peak somewhere else.

    Parameters
    ----------
    neurons : sequence of Neuron
    electrodes : Electrodes
        From the same neurons.
    sampling_rate_hz : float

    Returns
    -------
    templates : Templates or None
        NaN on channels that a neuron was not stored on; None where no neuron has a waveform.
    left_out : tuple of LeftOut
        Waveforms shorter than those of most neurons.
    notes : tuple of str
    """
    lengths = [0 if n.channels.waveform is None else n.channels.waveform.shape[1] for n in neurons]
    if not any(lengths):
        return None, (), ()
    length = Counter(each for each in lengths if each).most_common(1)[0][0]
    shape = (len(neurons), length, len(electrodes.probe))
    joined = np.full(shape, np.nan, dtype=np.float32)
    source, left_out = [""] * len(neurons), []
    n_cut = 0
    for k, (neuron, own) in enumerate(zip(neurons, lengths, strict=True)):
        waveform = neuron.channels.waveform
        if waveform is None:
            continue
        if own < length:
            reason = f"{own} samples, where most neurons of the recording have {length}"
            left_out.append(LeftOut(f"mean waveform of neuron {neuron.name}", reason))
            continue
        skip = own // 2 - length // 2
        n_cut += own > length
        joined[k][:, electrodes.rows[k]] = waveform[:, skip : skip + length].T
        source[k] = _SOURCE
    n_before, note = _spike_sample(joined, sampling_rate_hz)
    notes = [note]
    if n_cut:
        notes.append(f"The mean waveforms of {n_cut} neurons were cut to {length} samples, which most have.")
    return Templates(joined, n_before, "microvolts", tuple(source), keeps_all=True), tuple(left_out), tuple(notes)


def peak_rows(neurons: Sequence[Neuron], electrodes: Electrodes) -> Integer:
    """Row of the probe where each neuron's waveform is largest, -1 where it has none."""
    peaks = [neuron.channels.peak for neuron in neurons]
    rows = [int(own[peak]) if peak >= 0 else -1 for own, peak in zip(electrodes.rows, peaks, strict=True)]
    return np.array(rows, dtype=np.int64)


def _spike_sample(waveforms: np.ndarray, sampling_rate_hz: float) -> tuple[int, str]:
    """Sample of the spike: the middle of the window, unless the recording's waveforms peak elsewhere."""
    middle = waveforms.shape[1] // 2
    peaks = []
    for waveform in waveforms:
        size = np.abs(np.where(np.isfinite(waveform), waveform, 0.0))
        if size.max(initial=0.0) > 0:
            peaks.append(int(np.unravel_index(np.argmax(size), size.shape)[0]))
    median = int(np.median(peaks)) if peaks else middle
    if abs(median - middle) <= _TOLERANCE_S * sampling_rate_hz:
        return middle, (
            "The C4 database does not state which sample of its mean waveforms is the spike; they are cut around it, "
            f"so it is the middle one, number {middle}."
        )
    return median, (
        "The C4 database does not state which sample of its mean waveforms is the spike. Those of this recording peak "
        f"at sample {median} (median over neurons), so that one is taken and not the middle one, number {middle}."
    )
