"""Mean waveforms of the units of all probes, brought to one shape, one rate and one unit of measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.records import UnitWaveforms

# SpikeGLX states a calibrated rate for each probe; they differ by a few parts per million
_SAME_RATE = 1e-3


@dataclass(frozen=True, eq=False)
class StoredWaveforms:
    """Mean waveforms as they go into the units table.

    Attributes
    ----------
    mean : (n, n_samples, k) float32 array
        In `unit`; NaN where a unit has none.
    sd : (n, n_samples, k) float32 array or None
    rate_hz : float
    unit : {'volts', 'a.u.'}
    ms_before : float
        From the first sample to the spike time.
    is_left_out : tuple of bool
        For each recording, whether it has waveforms that do not fit beside those of the others.
    n_channels : int
        k.
    notes : tuple of str
        What was cut or left out.
    """

    mean: NDArray[np.float32]
    sd: NDArray[np.float32] | None
    rate_hz: float
    unit: str
    ms_before: float
    is_left_out: tuple[bool, ...]
    n_channels: int
    notes: tuple[str, ...]


def stored_waveforms(
    waveforms: Sequence[UnitWaveforms | None], n_units: Sequence[int], names: Sequence[str]
) -> StoredWaveforms | None:
    """Waveforms of all recordings one below another.

    NWB holds one rate, one unit of measure and one shape for the whole table: microvolts win over arbitrary units, the
    shortest window and the smallest number of channels over larger ones.

    Parameters
    ----------
    waveforms : sequence of UnitWaveforms or None
        One for each recording.
    n_units : sequence of int
        Units of each recording.
    names : sequence of str
        Of the probes, for the notes.

    Returns
    -------
    StoredWaveforms or None
        None where no unit has a waveform.
    """
    given = [w if w is not None and bool(np.isfinite(w.mean).any()) else None for w in waveforms]
    present = [w for w in given if w is not None]
    if not present:
        return None
    unit = "microvolts" if any(w.unit == "microvolts" for w in present) else "a.u."
    rate_hz = next(w.sampling_rate_hz for w in present if w.unit == unit)
    notes, is_left_out = [], [False] * len(given)
    for i, (w, name) in enumerate(zip(given, names, strict=True)):
        if w is None:
            continue
        if w.unit != unit:
            notes.append(f"The waveforms of {name} are in arbitrary units and were left out beside others in volts.")
            given[i], is_left_out[i] = None, True
        elif abs(w.sampling_rate_hz / rate_hz - 1) > _SAME_RATE:
            notes.append(
                f"The waveforms of {name} have {w.sampling_rate_hz:g} Hz, others {rate_hz:g} Hz, and NWB holds one "
                "rate; they were left out."
            )
            given[i], is_left_out[i] = None, True
    present = [w for w in given if w is not None]
    before = min(w.n_before for w in present)
    after = min(w.mean.shape[1] - w.n_before for w in present)
    k = min(w.mean.shape[2] for w in present)
    if any(w.mean.shape[1:] != (before + after, k) for w in present):
        notes.append(f"Waveforms were cut to {before + after} samples on {k} channels, which all probes have.")
    factor = np.float32(1e-6) if unit == "microvolts" else np.float32(1)
    shape = (before + after, k)
    blocks = [(w, None if w is None else slice(w.n_before - before, w.n_before + after)) for w in given]
    mean = _stack([(None if w is None else w.mean, window) for w, window in blocks], n_units, shape, factor)
    sds = [(None if w is None else w.sd, window) for w, window in blocks]
    sd = _stack(sds, n_units, shape, factor) if any(s is not None for s, _ in sds) else None
    if sd is not None and not np.isfinite(sd).any():
        sd = None
    return StoredWaveforms(
        mean=mean,
        sd=sd,
        rate_hz=float(rate_hz),
        unit="volts" if unit == "microvolts" else unit,
        ms_before=before / float(rate_hz) * 1000,
        is_left_out=tuple(is_left_out),
        n_channels=k,
        notes=tuple(notes),
    )


def _stack(
    arrays: Sequence[tuple[NDArray[np.float32] | None, slice | None]],
    n_units: Sequence[int],
    shape: tuple[int, int],
    factor: np.float32,
) -> NDArray[np.float32]:
    stacked = np.full((sum(n_units), *shape), np.nan, dtype=np.float32)
    start = 0
    for (array, window), n in zip(arrays, n_units, strict=True):
        if array is not None and window is not None:
            np.multiply(array[:, window, : shape[1]], factor, out=stacked[start : start + n], casting="same_kind")
        start += n
    return stacked
