"""One neuron of the C4 database, all its fields read and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from nwb_celltype.converters.c4.channels import StoredChannels, read_channels
from nwb_celltype.converters.c4.fields import Fields
from nwb_celltype.converters.c4.layout import FIELDS, NOT_WRITTEN, known_lab
from nwb_celltype.converters.c4.periods import read_light_pulses, read_sane_periods
from nwb_celltype.converters.c4.spikes import SpikeTrain, read_spikes
from nwb_celltype.converters.records import Float, LeftOut

_ROOT_NAME = re.compile(r"(?P<lab>.+?)_neuron_(?P<number>\d+)$")


@dataclass(frozen=True)
class NeuronEntry:
    """Where one neuron lies in the file; nothing of it but its recording has been read.

    Attributes
    ----------
    name : str
        The name that is unique in the database (``hull_neuron_12``), else the first of `paths`.
    paths : tuple of str
        Every link that leads to it.
    recording : str
        Its ``dataset_id``.
    """

    name: str
    paths: tuple[str, ...]
    recording: str


@dataclass(frozen=True, eq=False)
class Neuron:
    """Everything that the database says of one neuron and that is written.

    Attributes
    ----------
    entry : NeuronEntry
    lab, line : str
        ``""`` where not stated; the lab may come from the neuron's name.
    relative_id, neuron_id : str
        As stated.
    sampling_rate_hz : float
    train : SpikeTrain
    channels : StoredChannels
    sane_periods : (k, 2) float64 array or None
        Seconds; None for the whole recording.
    light_pulses : (k, 2) float64 array or None
        Onsets and offsets, seconds.
    peak_snr, across_snr : float
        NaN where not stated.
    phyllum_layer, human_layer, expert_label, ground_truth_label, ground_truth_source, mli_cluster : str
        As stated.
    raw_pieces : tuple of str
        Fields with pieces of raw recording that it has.
    further : tuple of str
        Fields that the layout does not know.
    left_out : tuple of LeftOut
    notes : tuple of str
    """

    entry: NeuronEntry
    lab: str
    line: str
    relative_id: str
    neuron_id: str
    sampling_rate_hz: float
    train: SpikeTrain
    channels: StoredChannels
    sane_periods: Float | None
    light_pulses: Float | None
    peak_snr: float
    across_snr: float
    phyllum_layer: str
    human_layer: str
    expert_label: str
    ground_truth_label: str
    ground_truth_source: str
    mli_cluster: str
    raw_pieces: tuple[str, ...]
    further: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name in the database."""
        return self.entry.name


def read_neuron(group: Any, entry: NeuronEntry) -> Neuron:
    """Read one neuron.

    Parameters
    ----------
    group : h5py.Group
    entry : NeuronEntry

    Returns
    -------
    Neuron
        What could not be used of it is in `left_out`.

    Raises
    ------
    FieldError
        If it has no sampling rate, or no spikes that can be read: it cannot be converted.
    """
    fields = Fields(group, entry.name)
    rate = fields.number("sampling_rate")
    if rate is None or not (np.isfinite(rate) and rate > 0):
        stated = "it is missing" if rate is None else f"{rate:g} is no rate"
        fields.refuse("sampling_rate", f"{stated}, so samples cannot be turned into seconds")
    train = read_spikes(fields)
    return Neuron(
        entry=entry,
        lab=_lab(fields, entry),
        line=_text(fields, "line"),
        relative_id=_text(fields, "neuron_relative_id"),
        neuron_id=_text(fields, "neuron_id"),
        sampling_rate_hz=rate,
        train=train,
        channels=read_channels(fields),
        sane_periods=fields.optional(lambda: read_sane_periods(fields, train, rate), None),
        light_pulses=fields.optional(lambda: read_light_pulses(fields), None),
        peak_snr=_number(fields, "peakchan_SNR"),
        across_snr=_number(fields, "acrosschan_SNR"),
        phyllum_layer=_text(fields, "phyllum_layer"),
        human_layer=_text(fields, "human_layer"),
        expert_label=_text(fields, "expert_label"),
        ground_truth_label=_text(fields, "ground_truth_label"),
        ground_truth_source=_text(fields, "ground_truth_source"),
        mli_cluster=_text(fields, "mli_cluster"),
        raw_pieces=tuple(name for name in NOT_WRITTEN if name in group),
        further=tuple(sorted(str(name) for name in group if name not in FIELDS)),
        left_out=tuple(fields.left_out),
        notes=tuple(fields.notes),
    )


def _lab(fields: Fields, entry: NeuronEntry) -> str:
    """Lab by the neuron's own word, else by its name."""
    stated, named = _text(fields, "lab_id"), root_name_parts(entry)[0]
    if stated and named and known_lab(stated) != known_lab(named):
        fields.notes.append(f"Neuron {entry.name}: it states the lab {stated!r}, unlike its name.")
    return stated or named


def root_name_parts(entry: NeuronEntry) -> tuple[str, str]:
    """Lab and number in a name such as ``hull_neuron_12``; empty where the neuron has no such name."""
    match = _ROOT_NAME.fullmatch(entry.name.strip("/"))
    return (match["lab"], match["number"]) if match else ("", "")


def looks_like_neuron(name: str) -> bool:
    """Whether a link is named as a neuron is.

    Examples
    --------
    >>> looks_like_neuron("hull_neuron_12"), looks_like_neuron("datasets")
    (True, False)
    """
    return _ROOT_NAME.fullmatch(name) is not None


def _text(fields: Fields, name: str) -> str:
    return fields.optional(lambda: fields.text(name), "")


def _number(fields: Fields, name: str) -> float:
    number = fields.optional(lambda: fields.number(name), None)
    return np.nan if number is None else number
