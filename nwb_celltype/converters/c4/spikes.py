"""Spikes of one neuron of the C4 database, with the masks and amplitudes that belong to each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.c4.fields import Fields
from nwb_celltype.converters.records import Float, Integer

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SpikeTrain:
    """Spikes of one neuron, ascending.

    Attributes
    ----------
    samples : (n,) int64 array
        From the recording's first sample.
    amplitudes : (n,) float64 array or None
        Kilosort's, arbitrary units.
    is_sane : (n,) bool array or None
        Spontaneous spikes at little drift; None where the database does not say.
    is_filtered : (n,) bool array or None
        Spikes in stretches with few false and few missed spikes.
    """

    samples: Integer
    amplitudes: Float | None = None
    is_sane: Flags | None = None
    is_filtered: Flags | None = None

    def __len__(self) -> int:
        return len(self.samples)


def read_spikes(fields: Fields) -> SpikeTrain:
    """Read spikes with their masks; a mask or amplitudes that cannot be used are left out and put down.

    Raises
    ------
    FieldError
        If there are no spike samples, or they are no whole numbers from 0.
    """
    samples = fields.integers("spike_indices")
    if samples is None:
        fields.refuse("spike_indices", "it is missing, so there are no spikes")
    if len(samples) and samples.min() < 0:
        fields.refuse("spike_indices", f"the sample {samples.min()} lies before the recording")
    n = len(samples)
    amplitudes = fields.optional(lambda: fields.floats("amplitudes", n), None)
    sane = fields.optional(lambda: _mask(fields, "sane_spikes", n), None)
    filtered = fields.optional(lambda: _mask(fields, "fn_fp_filtered_spikes", n), None)
    if np.all(np.diff(samples) >= 0):
        return SpikeTrain(samples, amplitudes, sane, filtered)
    order = np.argsort(samples, kind="stable")
    fields.notes.append(f"Neuron {fields.neuron}: its spikes were not in order of time and were sorted.")
    return SpikeTrain(
        samples[order],
        None if amplitudes is None else amplitudes[order],
        None if sane is None else sane[order],
        None if filtered is None else filtered[order],
    )


def _mask(fields: Fields, name: str, n: int) -> Flags | None:
    value = fields.array(name)
    if value is None or (value.size == 0 and n):
        return None
    flat = value.ravel()
    if len(flat) != n:
        fields.refuse(name, f"{len(flat)} values for {n} spikes")
    if not np.all((flat == 0) | (flat == 1)):
        fields.refuse(name, "values other than 0 and 1")
    return flat.astype(np.bool_)
