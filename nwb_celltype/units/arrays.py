"""Build units from arrays in memory, saying clearly which column does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_celltype.errors import InputError
from nwb_celltype.units import hdf5
from nwb_celltype.units.columns import Texts
from nwb_celltype.units.electrodes import Regions
from nwb_celltype.units.lazy import Integer, Intervals, SpikeTrains
from nwb_celltype.units.record import Session, Units
from nwb_celltype.units.waveforms import MeanWaveforms


def build(
    spike_times: Sequence[ArrayLike],
    unit_ids: Sequence[int] | Integer | None,
    waveform_mean: Sequence[ArrayLike | None] | None,
    waveform_rate_hz: float | None,
    obs_intervals: Sequence[ArrayLike] | None,
    electrodes: Sequence[ArrayLike] | None,
    channel_positions: ArrayLike | None,
    region: Sequence[str] | None,
    quality: Mapping[str, Sequence[str]] | None,
    label_columns: Mapping[str, Sequence[str]] | None,
    session: Session | None,
) -> Units:
    """What `Units.from_arrays` does; see there."""
    trains = SpikeTrains.from_arrays(spike_times)
    n = len(trains)
    rates = np.full(n, np.nan if waveform_rate_hz is None else _rate(waveform_rate_hz))
    own_rows = None
    if electrodes is not None:
        _of_length("electrodes", electrodes, n)
        own_rows = tuple(_integers(f"electrodes of row {i}", rows) for i, rows in enumerate(electrodes))
    waveforms: Sequence[ArrayLike | None] = [None] * n if waveform_mean is None else waveform_mean
    return Units(
        unit_ids=_ids(unit_ids, n),
        spike_times=trains,
        waveform_mean=MeanWaveforms.from_arrays(_of_length("waveform_mean", waveforms, n)),
        waveform_rates_hz=rates,
        session=session or Session(),
        regions=Regions.known(_texts("region", [""] * n if region is None else region, n)),
        obs_intervals=None
        if obs_intervals is None
        else Intervals.from_arrays(_of_length("obs_intervals", obs_intervals, n)),
        electrodes=own_rows,
        channel_positions=_positions(channel_positions),
        quality={name: _texts(f"quality {name}", values, n) for name, values in (quality or {}).items()},
        label_columns={name: _texts(f"label {name}", values, n) for name, values in (label_columns or {}).items()},
    )


def _of_length(name: str, values: Any, n: int) -> Any:
    if len(values) != n:
        message = f"{name} has {len(values)} entries for {n} units; give one for each unit."
        raise InputError(message)
    return values


def _integers(name: str, values: ArrayLike) -> Integer:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        message = f"{name} must be a vector of integers, but is {array.dtype} of shape {array.shape}."
        raise InputError(message)
    return array.astype(np.int64)


def _ids(unit_ids: Sequence[int] | Integer | None, n: int) -> Integer:
    if unit_ids is None:
        return np.arange(n, dtype=np.int64)
    ids = _integers("unit_ids", _of_length("unit_ids", unit_ids, n))
    values, counts = np.unique(ids, return_counts=True)
    if bool(np.any(counts > 1)):
        message = f"unit_ids repeats {', '.join(str(value) for value in values[counts > 1])}; ids must be unique."
        raise InputError(message)
    return ids


def _rate(rate_hz: float) -> float:
    if not np.isfinite(rate_hz) or rate_hz <= 0:
        message = f"waveform_rate_hz is {rate_hz}; give a positive number of samples per second."
        raise InputError(message)
    return float(rate_hz)


def _texts(name: str, values: Sequence[str], n: int) -> Texts:
    return hdf5.texts([hdf5.text(value) for value in _of_length(name, values, n)])


def _positions(values: ArrayLike | None) -> NDArray[np.float64] | None:
    if values is None:
        return None
    array = np.array(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] not in (2, 3):
        message = f"channel_positions has shape {array.shape}; give (n_electrodes, 2 or 3) micrometres."
        raise InputError(message)
    return array
