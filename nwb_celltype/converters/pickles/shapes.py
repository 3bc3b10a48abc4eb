"""Mean waveforms of a pickle: from the clips of the spikes where they were saved, else the sorter's templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.pickles.neurons import Neuron
from nwb_celltype.converters.pickles.values import at_channel, first_whole, floats, whole_numbers
from nwb_celltype.converters.records import Float, Integer, Templates

_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Shape:
    """Mean waveform of one unit on the channels that the sorter looked at.

    Attributes
    ----------
    mean : (n_samples, k) float64 array
    sd : (n_samples, k) float64 array or None
    channels : (k,) int64 array
        From 0.
    n_spikes : int
        Clips that were averaged; 0 for a template.
    """

    mean: Float
    sd: Float | None
    channels: Integer
    n_spikes: int

    @property
    def source(self) -> str:
        """Where it comes from, in a few words."""
        return f"mean of {self.n_spikes} clips of the sorter" if self.n_spikes else "template of the sorter"


def unit_shape(neuron: Neuron, *, is_complex: bool, notes: list[str]) -> Shape | None:
    """Mean waveform of a neuron, or of its complex spikes; None where there is none that can be used.

    Parameters
    ----------
    neuron : Neuron
    is_complex : bool
        Of the complex spikes of a Purkinje cell, for which the file can hold a template (``cs_template``).
    notes : list of str
        Is added to.
    """
    values, channel = neuron.values, neuron.channel
    neighbours = at_channel(values.get("neighbors"), channel)
    where = f"neuron {neuron.position}"
    channels = np.array([channel], dtype=np.int64)
    if neighbours is not None:
        channels = whole_numbers(neighbours, f"{where}, neighbors")
    if channel < 0 or not len(channels) or len(np.unique(channels)) != len(channels) or channels.min() < 0:
        return None
    shape = None
    if is_complex:
        shape = _template(values.get("cs_template"), channels, channel)
    elif neuron.is_edited:
        notes.append(f"{where}: spikes were changed after sorting; its clips and template are not used")
    else:
        shape = _mean(neuron, channels) or _template(values.get("template"), channels, channel)
        if shape is None and {"clips", "waveforms", "template"} & set(values):
            notes.append(f"{where}: its clips or template do not fit its {len(channels)} channels and are not used")
    return shape


def as_templates(
    shapes: Sequence[Shape | None], rows: dict[int, int], n_rows: int, n_before: int | None, notes: list[str]
) -> Templates | None:
    """Put the mean waveforms of all units into one array.

    Parameters
    ----------
    shapes : sequence of Shape or None
        One a unit.
    rows : dict of int to int
        Row of the probe for each channel.
    n_rows : int
        Of the probe.
    n_before : int or None
        Samples before the spike; where nobody says so, that before the largest deflection of most units.
    notes : list of str
        Is added to.
    """
    lengths = [len(shape.mean) for shape in shapes if shape is not None]
    if not lengths:
        return None
    length = max(sorted(set(lengths)), key=lengths.count)
    odd = sum(n != length for n in lengths)
    if odd:
        notes.append(f"mean waveforms of {odd} units have another length than the others ({length} samples); left out")
    kept = [shape if shape is not None and len(shape.mean) == length else None for shape in shapes]
    waveforms = np.full((len(shapes), length, n_rows), np.nan, dtype=np.float32)
    sd = np.full_like(waveforms, np.nan)
    for k, shape in enumerate(kept):
        if shape is None:
            continue
        known = np.array([rows.get(int(channel), -1) for channel in shape.channels])
        with np.errstate(over="ignore"):
            waveforms[k][:, known[known >= 0]] = shape.mean[:, known >= 0]
            if shape.sd is not None:
                sd[k][:, known[known >= 0]] = shape.sd[:, known >= 0]
    if n_before is None or not 0 <= n_before < length:
        n_before = _trough(kept)
        notes.append("the file does not say where in its waveforms the spike is; their largest deflection is taken")
    return Templates(
        waveforms=waveforms,
        n_before=n_before,
        unit="a.u.",
        source=tuple("" if shape is None else shape.source for shape in kept),
        sd=sd if any(shape is not None and shape.sd is not None for shape in kept) else None,
        n_spikes_used=np.array([0 if shape is None else shape.n_spikes for shape in kept], dtype=np.int64),
    )


def _trough(shapes: Sequence[Shape | None]) -> int:
    at = [int(np.abs(shape.mean).max(axis=1).argmax()) for shape in shapes if shape is not None]
    return int(np.median(at))


def _mean(neuron: Neuron, channels: Integer) -> Shape | None:
    clips = floats(neuron.values.get("clips", neuron.values.get("waveforms")))
    n_spikes = np.size(neuron.values.get("spike_indices", neuron.values.get("spike_indices__", [])))
    if clips is None or clips.ndim != 2 or len(clips) != n_spikes or clips.shape[1] % len(channels):
        return None
    selected = at_channel(neuron.values.get("channel_selector"), neuron.channel)
    if isinstance(selected, np.ndarray) and selected.dtype == np.bool_ and selected.shape == (len(clips),):
        clips = clips[selected]  # the others are clips around other channels of a unit that was seen on several
    if not len(clips) or not clips.shape[1]:
        return None
    total, squares = np.zeros(clips.shape[1]), np.zeros(clips.shape[1])
    with np.errstate(all="ignore"):
        for start in range(0, len(clips), _BLOCK):
            block = clips[start : start + _BLOCK].astype(np.float64)
            total += block.sum(axis=0)
        mean = total / len(clips)
        for start in range(0, len(clips), _BLOCK):
            squares += ((clips[start : start + _BLOCK] - mean) ** 2).sum(axis=0)
        sd = np.sqrt(squares / len(clips))
    if not np.all(np.isfinite(sd)):
        return None
    return Shape(_by_channel(mean, channels), _by_channel(sd, channels), channels, len(clips))


def _template(value: Any, channels: Integer, channel: int) -> Shape | None:
    flat = floats(at_channel(value, channel))
    if flat is None or not flat.size or flat.size % len(channels):
        return None
    mean = flat.ravel().astype(np.float64)
    return Shape(_by_channel(mean, channels), None, channels, 0) if np.all(np.isfinite(mean)) else None


def _by_channel(flat: NDArray[np.float64], channels: Integer) -> Float:
    """Channel after channel becomes one column a channel."""
    return flat.reshape(len(channels), -1).T


def stated_channels(neurons: Sequence[Neuron]) -> int:
    """How many channels were sorted, as far as the file tells: its own count, else one more than the last it names."""
    top = max((neuron.channel for neuron in neurons), default=-1)
    for neuron in neurons:
        info = neuron.values.get("sort_info")
        if isinstance(info, dict):
            top = max(top, (first_whole(info.get("n_channels"), "n_channels") or 0) - 1)
        neighbours = at_channel(neuron.values.get("neighbors"), neuron.channel)
        if neighbours is not None:
            named = whole_numbers(neighbours, f"neuron {neuron.position}, neighbors")
            top = max(top, int(named.max(initial=-1)))
    return top + 1
