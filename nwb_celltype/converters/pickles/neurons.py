"""Neurons of a pickle: spikes, channel and kind, with the numbers counted from 0 whatever the file counts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nwb_celltype.converters.pickles.values import first_whole, number, whole_numbers
from nwb_celltype.converters.records import Integer
from nwb_celltype.errors import InputError

PURKINJE, COMPLEX_SPIKES = "PurkinjeCell", "ComplexSpikes"
_RATE_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Neuron:
    """One entry of the file.

    Attributes
    ----------
    position : int
        From 1, as NeuroViz and XSort number them.
    kind : str
        ``Neuron``, ``PurkinjeCell``, ``ComplexSpikes`` or another word of NeuroViz; ``""`` as the sorter left it.
    label : str
        What a person typed in, ``""`` for nothing.
    spikes : (n,) int64 array
        Samples, ascending, the recording's first sample 0. Of a Purkinje cell: its simple spikes.
    complex_spikes : (m,) int64 array
        Of a Purkinje cell; empty for all others.
    channel : int
        Channel where the unit is largest, from 0; -1 where it is not stated.
    rate_hz : float or None
    values : mapping of str to object
        Everything that the file says of it.
    is_edited : bool
        Whether spikes were changed after the sorter made its clips, templates and measures.
    """

    position: int
    kind: str
    label: str
    spikes: Integer
    complex_spikes: Integer
    channel: int
    rate_hz: float | None
    values: Mapping[str, Any]
    is_edited: bool


def read_neurons(content: Any, path: Path, notes: list[str]) -> list[Neuron]:
    """Take the neurons out of what was in a pickle.

    Parameters
    ----------
    content : object
    path : Path
        For messages.
    notes : list of str
        Is added to.

    Raises
    ------
    InputError
        If it is no list of neurons, or one of them cannot be used.
    """
    if isinstance(content, Mapping) and isinstance(content.get("neurons"), list | tuple):
        content = content["neurons"]
    is_list = isinstance(content, list | tuple) and all(isinstance(each, Mapping) for each in content)
    if not is_list or not content:
        message = (
            f"{path} holds no list of neurons, as Full Binary Pursuit, NeuroViz and XSort write it; it holds a "
            f"{type(content).__name__}. Give the file that the sorter or NeuroViz saved."
        )
        raise InputError(message)
    return [_neuron(values, k, path, notes) for k, values in enumerate(content, start=1)]


def common_rate(neurons: Sequence[Neuron], stated_hz: float | None, path: Path) -> float:
    """Sampling rate of the file, which must be that of the recording where both are known.

    Raises
    ------
    InputError
        If there is none, or there are two.
    """
    rates = {neuron.rate_hz for neuron in neurons if neuron.rate_hz is not None}
    if stated_hz is not None:
        rates.add(stated_hz)
    if not rates:
        message = f"{path} states no sampling rate (sampling_rate__, sort_info); say it (sampling_rate_hz)."
        raise InputError(message)
    low, high = min(rates), max(rates)
    if not (np.isfinite(low) and np.isfinite(high) and low > 0):
        message = f"{path} states a sampling rate of {low:g} Hz; it must be positive."
        raise InputError(message)
    if high / low - 1 > _RATE_TOLERANCE:
        found = ", ".join(f"{rate:g}" for rate in sorted(rates))
        message = f"{path}: neurons and recording have different sampling rates ({found} Hz). Give what was sorted."
        raise InputError(message)
    return stated_hz if stated_hz is not None else min(rates)


def _neuron(values: Mapping[str, Any], position: int, path: Path, notes: list[str]) -> Neuron:
    where = f"{path}, neuron {position}"
    if not {"spike_indices", "spike_indices__"} & set(values):
        message = f"{where} has neither spike_indices nor spike_indices__; it is no neuron of a spike sorter."
        raise InputError(message)
    channel = _channel(values, where, notes)
    spikes, is_edited = _spikes(values, where, notes)
    complex_spikes = np.empty(0, dtype=np.int64)
    kind = _text(values.get("type__")).rpartition(".")[2]  # NeurophysToolbox.PurkinjeCell
    if kind == PURKINJE:
        base = 1 if "spike_indices__" in values else 0
        complex_spikes = _counted_from(values.get("cs_spike_indices__", []), base, f"{where}, complex spikes", notes)
    sort_info = values.get("sort_info")
    info_rate = sort_info.get("sampling_rate") if isinstance(sort_info, Mapping) else None
    stated = number(values.get("sampling_rate__"))
    return Neuron(
        position=position,
        kind=kind,
        label=_text(values.get("label")).strip(),
        spikes=spikes,
        complex_spikes=complex_spikes,
        channel=channel,
        rate_hz=stated if stated is not None else number(info_rate),
        values=values,
        is_edited=is_edited,
    )


def _spikes(values: Mapping[str, Any], where: str, notes: list[str]) -> tuple[Integer, bool]:
    """Spikes of the curated list (counted from 1) where there is one, else of the sorter's (counted from 0)."""
    if "spike_indices__" not in values:
        return _counted_from(values["spike_indices"], 0, where, notes), False
    if "spike_indices" not in values:
        return _counted_from(values["spike_indices__"], 1, where, notes), False
    first = np.sort(whole_numbers(values["spike_indices"], where))
    curated = np.sort(whole_numbers(values["spike_indices__"], where))
    if len(first) and np.array_equal(first, curated):
        notes.append(f"neuron {where.rpartition(' ')[2]}: spike_indices__ counts from 0 here, like spike_indices")
        return _counted_from(curated, 0, where, notes), False
    is_edited = not np.array_equal(first + 1, curated)
    return _counted_from(curated, 1, where, notes), is_edited


def _counted_from(value: Any, base: int, where: str, notes: list[str]) -> Integer:
    found = whole_numbers(value, where)
    samples: Integer = np.unique(found)
    if len(samples) < len(found):
        notes.append(f"{where}: {len(found) - len(samples)} spikes are there twice at one sample; one of each is kept")
    if base and len(samples) and samples[0] == 0:
        notes.append(f"{where}: a spike at index 0 shows that the indices count from 0, where others count from 1")
        base = 0
    if len(samples) and samples[0] < base:
        message = f"{where}: a spike lies at sample {samples[0]}, before the recording; the file is damaged."
        raise InputError(message)
    return samples - base


def _channel(values: Mapping[str, Any], where: str, notes: list[str]) -> int:
    first = first_whole(values.get("channel"), f"{where}, channel")
    curated = first_whole(values.get("channel_id__"), f"{where}, channel_id__")
    if curated is None:
        return -1 if first is None or first < 0 else first
    if curated < 1:
        notes.append(f"{where}: channel_id__ is {curated}, but channels count from 1; its channel is not known")
        return -1
    if first is not None and first != curated - 1:
        notes.append(
            f"{where}: the sorter says channel {first} (from 0), NeuroViz {curated} (from 1); NeuroViz is used"
        )
    return curated - 1


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def clip_window(neurons: Sequence[Neuron], rate_hz: float) -> int | None:
    """Samples before the spike in clips and templates, as the first neuron that says so says it; None for nobody."""
    for neuron in neurons:
        info = neuron.values.get("sort_info")
        width = info.get("clip_width") if isinstance(info, Mapping) else None
        if isinstance(width, np.ndarray):
            width = width.ravel().tolist()
        start = number(width[0]) if isinstance(width, list | tuple) and len(width) == 2 else None
        if start is not None and np.isfinite(start) and abs(start) < 1e6:
            return round(abs(start) * rate_hz) if abs(start) < 1 else round(abs(start))
    return None
