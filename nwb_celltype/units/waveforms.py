"""Mean waveforms in microvolts, one (samples, channels) array per unit, read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_celltype.errors import InputError
from nwb_celltype.units.lazy import Float, Integer, RowRanges, UnitSequence

# No extracellular spike reaches 10 mV, and none reaches 1 V even by artefact: what is larger has another unit.
LARGEST_SPIKE_IN_VOLTS = 0.01
LARGEST_VALUE_IN_VOLTS = 1.0
_UNITS_LOOKED_AT = 16
# neighbours of few places: compressed waveforms of scattered units would be most of the file
_PLACES_LOOKED_AT = 2
_NAMED_UNITS = {
    "volts": 1e6, "volt": 1e6, "v": 1e6,
    "millivolts": 1e3, "millivolt": 1e3, "mv": 1e3,
    "microvolts": 1.0, "microvolt": 1.0, "uv": 1.0, "\N{MICRO SIGN}v": 1.0, "\N{GREEK SMALL LETTER MU}v": 1.0,
}  # fmt: skip
_ARBITRARY = frozenset({"a.u.", "a.u", "au", "arb. units", "arbitrary", "arbitrary units"})


@dataclass(frozen=True)
class WaveformUnit:
    """Factor from stored values to microvolts, and why.

    Attributes
    ----------
    to_microvolts : float
        Multiply stored values by this.
    note : str or None
        What was odd about the stated unit, None when it could be taken as said.
    """

    to_microvolts: float
    note: str | None


class StoredWaveforms:
    """Mean waveforms as stored, in any layout.

    Parameters
    ----------
    ranges : RowRanges
        Rows of each unit.
    shape_unit : callable
        ``shape_unit(unit_row, rows)`` returns (n_samples, n_channels), or None when the unit has no waveform.
    stated_unit : str
        Unit of measure that the file states, ``""`` when none.
    read_unit : callable or None
        Reads one unit by itself, for layouts whose rows would not fit in memory.
    """

    def __init__(
        self,
        ranges: RowRanges,
        shape_unit: Callable[[int, NDArray[Any]], NDArray[Any] | None],
        stated_unit: str,
        read_unit: Callable[[int], NDArray[Any] | None] | None = None,
    ) -> None:
        self.ranges = ranges
        self._shape_unit = shape_unit
        self._read_unit = read_unit
        self._stated_unit = stated_unit

    def one(self, unit_row: int) -> Float | None:
        """Waveform of one row of the table in stored values, (n_samples, n_channels)."""
        if self._read_unit is not None:
            return _as_waveform(self._read_unit(unit_row))
        return _as_waveform(self._shape_unit(unit_row, self.ranges.one(unit_row)))

    def all(self, rows: Integer) -> Iterator[Float | None]:
        """Waveforms of these rows of the table in turn, read in blocks."""
        if self._read_unit is not None:
            yield from (self.one(int(row)) for row in rows)
            return
        for row, stored in zip(rows, self.ranges.take(rows).all(), strict=True):
            yield _as_waveform(self._shape_unit(int(row), stored))

    def fetch(self, rows: Integer) -> None:
        """Announce these rows of the table, which will be read one by one; a remote file fetches them together."""
        if self._read_unit is None:
            self.ranges.fetch(rows)

    def unit_of(self, rows: Integer) -> WaveformUnit:
        """Unit of measure, judged from the stated one and the size of a sample of the waveforms in these rows."""
        return judge_unit(self._stated_unit, self._typical_peak(rows))

    def _typical_peak(self, rows: Integer) -> float | None:
        present = rows[self.ranges.stops[rows] > self.ranges.starts[rows]]
        wanted = _UNITS_LOOKED_AT // _PLACES_LOOKED_AT
        peaks: list[float] = []
        for part in np.array_split(present, _PLACES_LOOKED_AT):
            around = part[len(part) // 2 :]
            candidates = np.concatenate([around, part[: len(part) // 2]])[: 4 * wanted]
            self.fetch(candidates[:wanted])
            found = 0
            for row in candidates:
                waveform = self.one(int(row))
                finite = waveform[np.isfinite(waveform)] if waveform is not None else np.empty(0)
                peak = float(np.max(np.abs(finite))) if finite.size else 0.0
                if peak > 0:
                    peaks.append(peak)
                    found += 1
                if found == wanted:
                    break
        return float(np.median(peaks)) if peaks else None


def judge_unit(stated: str, typical_peak: float | None) -> WaveformUnit:
    """Decide in which unit waveforms are stored.

    NWB fixes the attribute to volts, and many files hold microvolts under it.

    Parameters
    ----------
    stated : str
        Unit that the file states, ``""`` when none.
    typical_peak : float or None
        Median over units of the largest absolute stored value; None when there is none.

    Examples
    --------
    >>> judge_unit("volts", 120.0).to_microvolts
    1.0
    >>> judge_unit("volts", 120e-6).to_microvolts
    1000000.0
    >>> judge_unit("a.u.", 0.2).to_microvolts
    1.0
    """
    named = _NAMED_UNITS.get(stated.strip().lower())
    said = f"says {stated!r}" if stated else "states no unit"
    if named is not None and named != 1e6:
        return WaveformUnit(named, None)
    if stated.strip().lower() in _ARBITRARY:
        return WaveformUnit(1.0, f"waveform_mean {said}: only its shape counts, not its size")
    if typical_peak is None:
        return WaveformUnit(1e6, None)
    peak = f"a typical peak of {typical_peak:.4g}"
    if typical_peak > LARGEST_VALUE_IN_VOLTS:
        return WaveformUnit(1.0, f"waveform_mean {said}, but {peak} can only be microvolts; read as such")
    if typical_peak > LARGEST_SPIKE_IN_VOLTS:
        return WaveformUnit(1e3, f"waveform_mean {said}, but {peak} is no spike in volts; read as millivolts")
    if named is None:
        return WaveformUnit(1e6, f"waveform_mean {said}; {peak} was read as volts")
    return WaveformUnit(1e6, None)


class MeanWaveforms(UnitSequence["Float | None"]):
    """Mean waveform of every unit: (n_samples, n_channels) float64 array in microvolts, or None when absent.

    Channels that were not recorded may be all NaN. Iterating reads the table once, in blocks.

    Parameters
    ----------
    stored : StoredWaveforms or None
        Waveforms of the whole table; None when the table has none.
    rows : (n,) int64 array
        Rows of the table that this sequence shows.

    Examples
    --------
    >>> waveforms = MeanWaveforms.from_arrays([[0.0, -80.0, 20.0], None])
    >>> waveforms[0].shape, waveforms[1]
    ((3, 1), None)
    """

    def __init__(self, stored: StoredWaveforms | None, rows: Integer) -> None:
        self._stored = stored
        self._rows = rows

    @cached_property
    def _unit(self) -> WaveformUnit:
        # of the units that are asked about, so that nothing of the others is read
        return WaveformUnit(1.0, None) if self._stored is None else self._stored.unit_of(self._rows)

    @classmethod
    def from_arrays(cls, arrays: Sequence[ArrayLike | None]) -> MeanWaveforms:
        """Waveforms from one array in microvolts per unit, (samples,) or (samples, channels), or None.

        Raises
        ------
        InputError
            If an entry is not numeric or has another number of dimensions.
        """
        waveforms = [None if values is None else _microvolts(values, i) for i, values in enumerate(arrays)]
        present = np.array([waveform is not None for waveform in waveforms], dtype=np.int64)
        ranges = RowRanges(np.zeros_like(present), present, lambda start, stop: np.empty((stop - start, 0)))
        stored = StoredWaveforms(ranges, lambda _row, _rows: None, "microvolts", read_unit=waveforms.__getitem__)
        return cls(stored if present.any() else None, np.arange(len(waveforms), dtype=np.int64))

    @property
    def are_present(self) -> NDArray[np.bool_]:
        """(n,) bool array: whether the table stores a waveform for each unit (it may still be NaN)."""
        if self._stored is None:
            return np.zeros(len(self), dtype=np.bool_)
        ranges = self._stored.ranges
        return ranges.stops[self._rows] > ranges.starts[self._rows]

    @property
    def unit_note(self) -> str | None:
        """What was odd about the unit of measure, None when nothing was. Reads a few waveforms the first time."""
        return self._unit.note

    def __len__(self) -> int:
        return len(self._rows)

    def _one(self, i: int) -> Float | None:
        if self._stored is None or not self.are_present[i]:
            return None
        return _scaled(self._stored.one(int(self._rows[i])), self._unit.to_microvolts)

    def __iter__(self) -> Iterator[Float | None]:
        if self._stored is None:
            return iter([None] * len(self))
        factor = self._unit.to_microvolts
        return (_scaled(waveform, factor) for waveform in self._stored.all(self._rows))

    def fetch(self, rows: Sequence[int] | Integer) -> None:
        """Announce units whose waveforms will be read one by one; a remote file fetches them together."""
        if self._stored is not None and len(rows):
            _ = self._unit  # reads a few by itself, which had better come first
            self._stored.fetch(self._rows[np.asarray(rows, dtype=np.int64)])

    def take(self, rows: Integer) -> MeanWaveforms:
        """Waveforms of these units; their unit of measure is judged from them alone."""
        return MeanWaveforms(self._stored, self._rows[rows])


def peak_channel_of(waveform: NDArray[Any] | None) -> int | None:
    """Channel with the largest peak-to-peak amplitude, None when nothing finite is there.

    Parameters
    ----------
    waveform : (n_samples, n_channels) array or None
        Any unit of measure; NaN and infinite values are passed over.

    Examples
    --------
    >>> peak_channel_of(np.array([[0.0, 0.0], [-1.0, -5.0], [np.nan, 1.0]]))
    1
    """
    if waveform is None or waveform.size == 0:
        return None
    finite = np.isfinite(waveform)
    seen = finite.any(axis=0)
    if not seen.any():
        return None
    highest = np.where(finite, waveform, -np.inf).max(axis=0)
    lowest = np.where(finite, waveform, np.inf).min(axis=0)
    extent = np.full(waveform.shape[1], -1.0)
    extent[seen] = highest[seen] - lowest[seen]
    return int(np.argmax(extent))


def _as_waveform(rows: NDArray[Any] | None) -> Float | None:
    return None if rows is None or rows.size == 0 else np.array(rows, dtype=np.float64)


def _scaled(waveform: Float | None, factor: float) -> Float | None:
    return waveform if waveform is None or factor == 1.0 else waveform * factor


def _microvolts(values: ArrayLike, i: int) -> Float:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        message = f"waveform_mean of row {i} is not numeric: {error}."
        raise InputError(message) from error
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.size == 0:
        message = f"waveform_mean of row {i} has shape {array.shape}; give (n_samples, n_channels) microvolts, or None."
        raise InputError(message)
    return array
