"""One sha256 over what a classifier sees of some units, so that a run notices when they change.

Canonical form, version 1, all numbers little endian, units in the order of the record:

1. the line ``nwb-celltype units 1`` and the number of units (uint64);
2. for each unit its id (int64), number of spikes (uint64) and spike times in seconds (float64);
3. for each unit the shape of its mean waveform (two uint64: samples, channels; 0, 0 when there is none), its values in
   microvolts (float32, C order) and its sampling rate in Hz (float64), the rate only when there is a waveform.

Every NaN counts as the same NaN and -0 as 0. Chunking, compression, index and storage types, and the waveform layout do
not count; the order of the units does.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nwb_celltype.units.record import Units

FORM = b"nwb-celltype units 1\n"


def sha256_of(units: Units) -> str:
    """Sha256 of some units in the canonical form, as 64 hexadecimal digits. Reads all their data once."""
    digest = hashlib.sha256(FORM)
    digest.update(_count(len(units)))
    for unit_id, spikes in zip(units.unit_ids, units.spike_times, strict=True):
        digest.update(np.array([unit_id], dtype="<i8").tobytes())
        digest.update(_count(len(spikes)))
        digest.update(_canonical(spikes, "<f8"))
    for waveform, rate in zip(units.waveform_mean, units.waveform_rates_hz, strict=True):
        if waveform is None:
            digest.update(_count(0, 0))
            continue
        digest.update(_count(*waveform.shape))
        digest.update(_canonical(waveform, "<f4"))
        digest.update(_canonical(np.array([rate]), "<f8"))
    return digest.hexdigest()


def _count(*values: int) -> bytes:
    return np.array(values, dtype="<u8").tobytes()


def _canonical(values: NDArray[Any], dtype: str) -> bytes:
    with np.errstate(over="ignore"):
        array: NDArray[Any] = np.array(values, dtype=dtype, order="C")
    array += 0.0
    array[np.isnan(array)] = np.nan
    data: bytes = array.tobytes()
    return data
