"""Everything else that the C4 database says of each neuron, as columns of the units table; ids, masks, light pulses."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from nwb_celltype.converters.c4.labels import Layered, subtype_of
from nwb_celltype.converters.c4.neurons import Neuron, root_name_parts
from nwb_celltype.converters.records import Column, Integer, Pulses

LIGHT = "optostims"
_MASK_WORDS = "1: yes, 0: no, -1: the database does not say"


def unit_ids(neurons: Sequence[Neuron]) -> tuple[Integer, str]:
    """Ids of the units of a recording, and where they come from.

    The unit's id in its sorting where every neuron of the recording states one and they differ; else the last part of
    its link under ``datasets``, ``neuron_id``, the number in its name, or a count, the first of these that will do.

    Parameters
    ----------
    neurons : sequence of Neuron

    Returns
    -------
    ids : (n,) int64 array
    source : str
        A sentence.
    """
    sources: tuple[tuple[str, Callable[[Neuron], str]], ...] = (
        ("neuron_relative_id, the unit's id in its sorting", lambda neuron: neuron.relative_id),
        ("the unit's link under datasets", _linked_id),
        ("neuron_id", lambda neuron: neuron.neuron_id),
        ("the number in the neuron's name", lambda neuron: root_name_parts(neuron.entry)[1]),
    )
    for source, told in sources:
        texts = [told(neuron) for neuron in neurons]
        if all(re.fullmatch(r"\d{1,18}", text) for text in texts) and len({int(text) for text in texts}) == len(texts):
            return np.array([int(text) for text in texts], dtype=np.int64), f"Ids of units are {source}."
    return np.arange(len(neurons), dtype=np.int64), (
        "Ids of units count the neurons from 0, as the database states no number for each of them."
    )


def unit_columns(neurons: Sequence[Neuron], layers: Sequence[Layered]) -> dict[str, Column]:
    """Columns with one value a unit."""
    places = ["outside the cerebellar cortex" if layer.is_outside else _where(layer) for layer in layers]
    noise = [
        np.nan if n.channels.noise is None or n.channels.peak < 0 else n.channels.noise[n.channels.peak]
        for n in neurons
    ]
    return {
        "location": _texts(places, "Where the unit is, by the layer that the C4 database states."),
        "layer": _texts(
            [layer.label for layer in layers],
            "Layer of the cerebellar cortex (ML, PCL, GCL), as the C4 database states it (human_layer, phyllum_layer).",
        ),
        "phyllum_layer": _texts([n.phyllum_layer for n in neurons], "Layer by Phyllum, as stored."),
        "human_layer": _texts([n.human_layer for n in neurons], "Layer by a person, as stored."),
        "mli_subtype": _texts(
            [subtype_of(n) for n in neurons],
            "Subtype of a molecular layer interneuron, A or B; from mli_cluster, whose last digit is 1 or 2.",
        ),
        "line": _texts([n.line for n in neurons], "Line of the animal, as stored."),
        "neuron_relative_id": _texts([n.relative_id for n in neurons], "Id in the sorting, as stored."),
        "neuron_id": _texts([n.neuron_id for n in neurons], "Id in the whole database, as stored."),
        "peakchan_snr": _numbers(
            [n.peak_snr for n in neurons], "Signal-to-noise ratio on the peak channel, as stored (peakchan_SNR)."
        ),
        "acrosschan_snr": _numbers(
            [n.across_snr for n in neurons], "Signal-to-noise ratio over channels, as stored (acrosschan_SNR)."
        ),
        "peak_channel_noise": _numbers(
            noise,
            "Standard deviation of the noise on the peak channel, from the median absolute deviation, as stored "
            "(channel_noise_std); the database does not state its unit.",
        ),
    }


def spike_columns(neurons: Sequence[Neuron]) -> dict[str, Column]:
    """Masks with one value a spike, in the order of all spikes; those that no neuron has are left away."""
    masks = {
        "sane_spikes": (
            [n.train.is_sane for n in neurons],
            f"Whether the spike was fired spontaneously and at little drift ({_MASK_WORDS}).",
        ),
        "fn_fp_filtered_spikes": (
            [n.train.is_filtered for n in neurons],
            f"Whether the spike lies where few spikes are false and few are missed ({_MASK_WORDS}).",
        ),
    }
    lengths = [len(n.train) for n in neurons]
    columns = {}
    for name, (values, description) in masks.items():
        if any(value is not None for value in values):
            parts = [
                np.full(length, -1, dtype=np.int8) if value is None else value.astype(np.int8)
                for value, length in zip(values, lengths, strict=True)
            ]
            columns[name] = Column(np.concatenate(parts), description)
    return columns


def light_pulses(neurons: Sequence[Neuron]) -> tuple[tuple[Pulses, ...], tuple[str, ...]]:
    """Light pulses of a recording: the database stores them with each neuron, here they stand once.

    Neurons whose pulses are among those of another neuron share its train. Trains that differ stay apart.

    Returns
    -------
    pulses : tuple of Pulses
        ``optostims``, then ``optostims_2`` and so on.
    notes : tuple of str
    """
    stored = [(frozenset(map(tuple, n.light_pulses.tolist())), n.name) for n in neurons if n.light_pulses is not None]
    distinct = sorted({train for train, _ in stored}, key=lambda train: (-len(train), sorted(train)))
    trains = [train for k, train in enumerate(distinct) if not any(train <= other for other in distinct[:k])]
    found = []
    for k, train in enumerate(trains):
        rows = np.array(sorted(train), dtype=np.float64)
        source = "Light pulses that the C4 database stores with the neurons of the recording (optostims)."
        name = LIGHT if k == 0 else f"{LIGHT}_{k + 1}"
        found.append(Pulses(name, rows[:, 0], rows[:, 1] - rows[:, 0], is_high_at_start=False, source=source))
    notes = []
    if len(trains) > 1:
        which = [", ".join(name for train, name in stored if train <= other) for other in trains]
        said = "; ".join(f"{pulses.name} with {names}" for pulses, names in zip(found, which, strict=True))
        notes.append(f"Neurons do not agree about the light pulses, so there are {len(trains)} trains: {said}.")
    return tuple(found), tuple(notes)


def _where(layer: Layered) -> str:
    return "Cerebellar cortex" if layer.label else ""


def _linked_id(neuron: Neuron) -> str:
    linked = [path.strip("/").split("/") for path in neuron.entry.paths]
    ids = {parts[-1] for parts in linked if parts[0] == "datasets" and len(parts) > 2}
    return ids.pop() if len(ids) == 1 else ""


def _texts(values: Sequence[str], description: str) -> Column:
    return Column(np.array(list(values), dtype=np.str_), description)


def _numbers(values: Sequence[float], description: str) -> Column:
    return Column(np.array(list(values), dtype=np.float64), description)
