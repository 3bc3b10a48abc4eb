"""Mean waveforms that CellExplorer kept of each unit, on all channels or the largest one, brought to one window."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nwb_celltype.converters.cellexplorer.source import Source
from nwb_celltype.converters.cellexplorer.spike_times import UnitSpikes
from nwb_celltype.converters.cellexplorer.values import (
    MOST_CHANNELS,
    channels_of,
    is_whole,
    kind_of,
    struct_at,
    text_of,
    vector_of,
)
from nwb_celltype.converters.records import Float, Integer, LeftOut
from nwb_celltype.errors import InputError

_LARGEST = 1e9  # a kilovolt, in microvolts
SAME_RATE = 1e-2
"""Relative difference of rates that rounding explains: axes are written with few digits."""


@dataclass(frozen=True)
class _Fields:
    """Fields of one kind of mean waveform in one struct."""

    wide: str  # on many channels
    wide_channels: str
    wide_time: str
    narrow: str  # on the channel where the unit is largest
    narrow_sd: str
    narrow_time: str
    other: str  # the same with the other filter
    says: str


_METRICS = {
    "filtered": _Fields("filt_all", "channels_all", "time_all", "filt", "filt_std", "time", "raw_all", "filtered"),
    "raw": _Fields("raw_all", "channels_all", "time_all", "raw", "raw_std", "time", "filt_all", "not filtered"),
}
_SPIKES = {
    "filtered": _Fields(
        "filtWaveform_all", "channels_all", "timeWaveform_all", "filtWaveform", "filtWaveform_std", "timeWaveform",
        "rawWaveform_all", "filtered",
    ),
    "raw": _Fields(
        "rawWaveform_all", "channels_all", "timeWaveform_all", "rawWaveform", "rawWaveform_std", "timeWaveform",
        "filtWaveform_all", "not filtered",
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class MeanWaveform:
    """One unit's mean waveform as the file has it.

    Attributes
    ----------
    values : (k, n_samples) float64 array
        Microvolts, or counts where the file does not say.
    channels : (k,) int64 array
        From 0.
    n_before : int
    rate_hz : float
    sd : (m,) float64 array or None
        On the unit's largest channel, `sd_before` samples before the spike.
    sd_before : int
    """

    values: Float
    channels: Integer
    n_before: int
    rate_hz: float
    sd: Float | None = None
    sd_before: int = 0


@dataclass(frozen=True, eq=False)
class StoredMeans:
    """Mean waveforms of all units, before they are put on the channels of the probe.

    Attributes
    ----------
    means : tuple of n MeanWaveform or None
    peaks : (n,) int64 array
        Channel from 0 that the file calls the largest, -1 where it does not say.
    unit : {'microvolts', 'a.u.'}
    source : str
    left_out : tuple of LeftOut
    notes : tuple of str
    """

    means: tuple[MeanWaveform | None, ...]
    peaks: Integer
    unit: Literal["microvolts", "a.u."]
    source: str
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    @property
    def channels_seen(self) -> tuple[int, ...]:
        """Numbers of the last channels that units name, from 1."""
        ends = [int(mean.channels.max(initial=-1)) + 1 for mean in self.means if mean is not None]
        return (*ends, int(self.peaks.max(initial=-1)) + 1)


def read_means(source: Source, units: UnitSpikes) -> StoredMeans:
    """Read the mean waveforms; a unit whose fields contradict each other has none, and is named.

    Filtered waveforms come before unfiltered ones, those on all channels before those on one.

    Parameters
    ----------
    source : Source
    units : UnitSpikes

    Returns
    -------
    StoredMeans
    """
    notes: list[str] = []
    peaks = _peaks(source, units, notes)
    rate, _ = source.sampling_rate_hz()
    for struct, prefix, kinds, rows in (
        (struct_at(source.metrics, "waveforms"), "waveforms", _METRICS, np.arange(len(units))),
        (source.spikes, "spikes", _SPIKES, units.rows),
    ):
        if rows is None:
            continue
        for fields in kinds.values():
            present = [name for name in (fields.wide, fields.narrow) if _has_any(struct.get(name))]
            if present:
                reading = _Reading(struct, prefix, fields, rows, peaks, rate, notes)
                return _stored(source, units.unit_ids, reading, prefix)
    return StoredMeans((None,) * len(units), peaks, "microvolts", "", (), tuple(notes))


def _stored(source: Source, unit_ids: Integer, reading: _Reading, prefix: str) -> StoredMeans:
    means: list[MeanWaveform | None] = []
    gone: dict[str, list[int]] = {}
    for k, row in enumerate(reading.rows.tolist()):
        try:
            means.append(reading.mean(k, row))
        except InputError as error:
            means.append(None)
            gone.setdefault(re.sub(r"\{\d+\}", "", str(error)), []).append(int(unit_ids[k]))
    left_out = [
        LeftOut(f"mean waveforms of units {', '.join(map(str, ids[:10]))}{', ...' if len(ids) > 10 else ''}", reason)
        for reason, ids in gone.items()
    ]
    # the sorters' files that buzcode read into rawWaveform are in counts
    is_scaled = prefix == "waveforms" or bool(struct_at(source.spikes, "processinginfo"))
    notes = list(dict.fromkeys(reading.notes))
    if not is_scaled:
        notes.append("spikes.rawWaveform does not say in which unit it is; waveforms are in arbitrary units")
    text = _says(source, reading, prefix)
    return StoredMeans(
        tuple(means), reading.peaks, "microvolts" if is_scaled else "a.u.", text, tuple(left_out), tuple(notes)
    )


def _says(source: Source, reading: _Reading, prefix: str) -> str:
    """How the means were made: filter and number of spikes, as far as the files say."""
    fields = reading.fields
    if fields.says == "filtered" and _are_the_same(reading.struct.get(fields.wide), reading.struct.get(fields.other)):
        return f"CellExplorer {prefix}, not filtered ({fields.wide} is the same as {fields.other})"
    params = struct_at(source.spikes, "processinginfo", "params") or struct_at(
        source.general, "processinginfo", "spikes", "params"
    )
    parts = [f"CellExplorer {prefix}", fields.says]
    band = params.get("WaveformsFiltFreq")
    if fields.says == "filtered" and isinstance(band, np.ndarray) and band.size == 2:
        parts[-1] = f"filtered {' to '.join(f'{edge:g}' for edge in band.ravel())} Hz"
    n_spikes = text_of(params.get("Waveforms_nPull"))
    return ", ".join([*parts, *([f"mean of up to {n_spikes} spikes"] if n_spikes else [])])


def _are_the_same(some: Any, others: Any) -> bool:
    """Whether waveforms that should differ are copies."""
    if not isinstance(some, list) or not isinstance(others, list) or not some or len(some) != len(others):
        return False
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(some, others, strict=True))


def _has_any(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, np.ndarray) and item.size for item in value)


@dataclass(frozen=True, eq=False)
class _Reading:
    """Mean waveforms of one kind, read unit by unit."""

    struct: Any
    prefix: str
    fields: _Fields
    rows: Integer
    peaks: Integer
    rate_hz: float | None
    notes: list[str]

    def mean(self, unit: int, row: int) -> MeanWaveform | None:
        """Mean of a unit, which is the `row`-th of the struct; None where the file has none."""
        wide = self.cell(self.fields.wide, row)
        if wide is not None:
            return self.wide(unit, row, wide)
        narrow = self.cell(self.fields.narrow, row)
        if narrow is None:
            return None
        if self.peaks[unit] < 0:
            message = f"{self.at(self.fields.narrow, row)} is there, but nothing says on which channel it is"
            raise InputError(message)
        values = narrow.reshape(1, -1)
        before, rate = self.axis(self.fields.narrow_time, row, values)
        sd = self.cell(self.fields.narrow_sd, row)
        if sd is not None and sd.size != values.shape[1]:
            sd = None
        flat = None if sd is None else sd.ravel()
        return MeanWaveform(values, self.peaks[unit : unit + 1], before, rate, flat, before)

    def wide(self, unit: int, row: int, values: Float) -> MeanWaveform:
        channels = self.channels(row, values)
        times = self.cell(self.fields.wide_time, row)
        n_samples = values.shape[1] if times is None else times.size
        if values.shape != (len(channels), n_samples):
            if values.shape != (n_samples, len(channels)):
                message = (
                    f"{self.at(self.fields.wide, row)} has the shape {values.shape[0]} x {values.shape[1]}, but there "
                    f"are {len(channels)} channels and {n_samples} times"
                )
                raise InputError(message)
            values = values.T
        before, rate = self.axis(self.fields.wide_time, row, values)
        sd, sd_before = self.spread(unit, row, values.shape[1], before)
        return MeanWaveform(values, channels, before, rate, sd, sd_before)

    def channels(self, row: int, values: Float) -> Integer:
        """Channels from 0 of the rows of a waveform."""
        name = self.fields.wide_channels
        found = self.cell(name, row)
        if found is None and self.prefix == "spikes":
            name = "maxWaveform_all"
            found = self.cell(name, row)
            # older versions kept these channels only, the largest first; newer ones all, in their own order
            is_listed = found is not None and found.size == values.shape[0] and found.ravel()[0] != 1
            found = found if is_listed and int(np.argmax(np.ptp(values, axis=1))) == 0 else None
        if found is None:
            return np.arange(values.shape[0], dtype=np.int64)
        channels = channels_of(found, self.at(name, row)) - 1
        if np.any(channels < 0) or len(np.unique(channels)) < len(channels):
            message = f"{self.at(name, row)} must hold each channel once, counted from 1"
            raise InputError(message)
        return channels

    def spread(self, unit: int, row: int, n_samples: int, before: int) -> tuple[Float | None, int]:
        """Standard deviation on the largest channel, and the samples before the spike in it."""
        sd = self.cell(self.fields.narrow_sd, row)
        if sd is None or self.peaks[unit] < 0:
            return None, 0
        times = self.cell(self.fields.narrow_time, row)
        if times is not None and times.size == sd.size:
            return sd.ravel(), self.axis(self.fields.narrow_time, row, sd.reshape(1, -1))[0]
        if sd.size == n_samples:
            return sd.ravel(), before
        self.notes.append(
            f"{self.prefix}.{self.fields.narrow_sd} has {sd.size} samples and no time axis of that length; the "
            "standard deviation is left out"
        )
        return None, 0

    def axis(self, name: str, row: int, values: Float) -> tuple[int, float]:
        """Samples before the spike, and sampling rate, by the time axis in milliseconds."""
        times = self.cell(name, row)
        if times is None or times.size != values.shape[1] or times.size < 2:
            return self.without_axis(name, values)
        times = times.ravel()
        step = float(np.median(np.diff(times)))
        if not (np.isfinite(step) and step > 0) or np.any(np.abs(np.diff(times) / step - 1) > SAME_RATE):
            message = f"{self.at(name, row)} does not ascend in equal steps"
            raise InputError(message)
        rate = 1000.0 / step
        if self.rate_hz is not None:
            if abs(rate / self.rate_hz - 1) > SAME_RATE and abs(rate / 1000 / self.rate_hz - 1) < SAME_RATE:
                rate = rate / 1000
                self.notes.append(f"{self.prefix}.{name} is in seconds and not in milliseconds, by its steps")
            if abs(rate / self.rate_hz - 1) < SAME_RATE:
                rate = self.rate_hz
        before = round(-float(times[0]) / step)
        if not 0 <= before < times.size:
            message = f"{self.at(name, row)} does not hold the time 0 of the spike"
            raise InputError(message)
        return before, float(round(rate, 3))

    def without_axis(self, name: str, values: Float) -> tuple[int, float]:
        if self.rate_hz is None:
            message = (
                f"{self.prefix}.{name} gives no time axis, and nothing says how many samples there are in a second"
            )
            raise InputError(message)
        swing = np.abs(values - np.median(values, axis=1, keepdims=True))
        self.notes.append(
            f"{self.prefix}.{name} gives no time axis of that length; the sample where the waveform is largest is "
            "taken as the spike, and the rate as that of the recording"
        )
        return int(np.unravel_index(np.argmax(np.nan_to_num(swing)), swing.shape)[1]), self.rate_hz

    def cell(self, name: str, row: int) -> Float | None:
        """Numbers of one unit; None where there are none."""
        value = self.struct.get(name)
        if not isinstance(value, list):
            return None
        if row >= len(value):
            message = f"{self.prefix}.{name} has {len(value)} cells, but there are more units"
            raise InputError(message)
        item = value[row]
        if isinstance(item, list) and not item:
            return None
        if not isinstance(item, np.ndarray) or item.dtype.kind not in "iuf" or item.ndim != 2:
            message = f"{self.at(name, row)} must hold numbers, and holds {kind_of(item)}"
            raise InputError(message)
        numbers = item.astype(np.float64)
        if np.any(np.abs(numbers[~np.isnan(numbers)]) > _LARGEST):
            message = f"{self.at(name, row)} holds values that no waveform has"
            raise InputError(message)
        return numbers if numbers.size else None

    def at(self, name: str, row: int) -> str:
        return f"{self.prefix}.{name}{{{row + 1}}}"


def _peaks(source: Source, units: UnitSpikes, notes: list[str]) -> Integer:
    """Channel from 0 where the file says that each unit is largest."""
    n = len(units)
    for struct, prefix, rows in (
        (source.metrics, "cell_metrics", np.arange(n)),
        (source.spikes, "spikes", units.rows),
    ):
        if rows is None:
            continue
        for name, first in (("maxWaveformCh1", 1), ("maxWaveformCh", 0)):
            if name not in struct:
                continue
            try:
                numbers = vector_of(struct[name], f"{prefix}.{name}")
            except InputError as error:
                notes.append(f"not used: {error}")
                continue
            n_units = n if prefix == "cell_metrics" else _n_of(source)
            if len(numbers) != n_units:
                notes.append(f"{prefix}.{name} has {len(numbers)} values for {n_units} units; it is not used")
                continue
            numbers = numbers[rows] - first
            is_channel = is_whole(numbers) & (numbers >= 0) & (numbers < MOST_CHANNELS)
            return np.where(is_channel, numbers, -1).astype(np.int64)
    return np.full(n, -1, dtype=np.int64)


def _n_of(source: Source) -> int:
    """Units of `spikes`."""
    for name in ("times", "ts"):
        if isinstance(source.spikes.get(name), list):
            return len(source.spikes[name])
    return -1
