"""The units of one recording, in memory: a frozen columnar record whose large columns are read when asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType, TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_celltype.errors import UsageError
from nwb_celltype.units.columns import ScalarColumns, Texts
from nwb_celltype.units.digest import sha256_of
from nwb_celltype.units.electrodes import Regions
from nwb_celltype.units.lazy import Float, Integer, Intervals, RowNumbers, SpikeTrains
from nwb_celltype.units.waveforms import MeanWaveforms, peak_channel_of

NO_SPIKES = "no spike times"
NO_WAVEFORM = "no waveform_mean"
NO_RATE = "waveform sampling rate missing"
NO_ELECTRODES = "no electrodes"

_WHITENED = re.compile(r"\bwhitened\b", re.IGNORECASE)


@dataclass(frozen=True)
class Session:
    """Where the units come from; texts are ``""`` when the file does not say.

    Attributes
    ----------
    path : str
        File that was read, or the address of the remote one, with its version where an archive has versions and without
        what is secret; ``""`` for units made in memory.
    identifier, session_id, session_start_time, nwb_version, species, subject_id, lab, institution : str
        As stored in the file; the start time is ISO 8601 text.
    units_path, units_object_id : str
        HDF5 path of the units table, and its NWB object id.
    filtering : tuple of str
        Distinct filter descriptions of the units' electrodes.
    """

    path: str = ""
    identifier: str = ""
    session_id: str = ""
    session_start_time: str = ""
    nwb_version: str = ""
    species: str = ""
    subject_id: str = ""
    lab: str = ""
    institution: str = ""
    units_path: str = ""
    units_object_id: str = ""
    filtering: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Units:
    """Sorted units of one recording: spikes, mean waveforms, electrodes and the labels that are already there.

    Large columns (`spike_times`, `waveform_mean`, `obs_intervals`, and `region` where it must be looked up) are read
    from the file when asked for, so keep it open: use the record in a ``with`` block. What is wrong with single units
    (unsorted or negative times, NaN) is kept as it is; what is missing is said in `notes`.

    Attributes
    ----------
    unit_ids : (n,) int64 array
        Unique ids.
    spike_times : SpikeTrains
        ``spike_times[i]`` is a float64 array in seconds; ``spike_times.counts`` the numbers of spikes.
    waveform_mean : MeanWaveforms
        ``waveform_mean[i]`` is a (n_samples, n_channels) float64 array in microvolts, or None.
    waveform_rates_hz : (n,) float64 array
        Sampling rate of each mean waveform, NaN when unknown.
    session : Session
        Where the units come from.
    obs_intervals : Intervals or None
        ``obs_intervals[i]`` is a (k, 2) float64 array of seconds.
    electrodes : sequence of (k,) int64 arrays, or None
        Rows of the electrodes table for each unit.
    channel_positions : (n_electrodes, 2 or 3) float64 array or None
        Positions of all electrodes in micrometres; `unit_positions` gives those of one unit.
    quality, label_columns : mapping of str to (n,) array of str
        Quality labels and existing cell-type labels, by the name of their column.
    waveform_source : (n,) array of str or None
        What each mean waveform was made from, where the file says it (``raw``, ``template, unwhitened``, ...).
    spike_time_resolution_s : float or None
        Smallest step of spike times that the file states.
    notes : tuple of tuple of str
        For each unit, what is missing.
    table_notes : tuple of str
        What was odd about the table as a whole.
    scalars : ScalarColumns or None
        Every column of the file with one value per unit; `column` reads one.

    Examples
    --------
    >>> units = Units.from_arrays([[0.1, 0.2], [0.3]], unit_ids=[7, 9])
    >>> units.select([9]).spike_times[0].tolist()
    [0.3]
    """

    unit_ids: Integer
    spike_times: SpikeTrains
    waveform_mean: MeanWaveforms
    waveform_rates_hz: NDArray[np.float64]
    session: Session
    regions: Regions = field(repr=False)
    obs_intervals: Intervals | None = None
    electrodes: Sequence[Integer] | None = None
    channel_positions: NDArray[np.float64] | None = None
    quality: Mapping[str, Texts] = field(default_factory=dict)
    label_columns: Mapping[str, Texts] = field(default_factory=dict)
    waveform_source: Texts | None = None
    spike_time_resolution_s: float | None = None
    table_notes: tuple[str, ...] = ()
    closer: Callable[[], None] | None = field(default=None, repr=False)
    scalars: ScalarColumns | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Make what the record holds read-only."""
        own = (self.unit_ids, self.waveform_rates_hz, self.channel_positions, self.waveform_source)
        electrodes = self.electrodes if isinstance(self.electrodes, tuple) else ()
        tables = (*self.quality.values(), *self.label_columns.values(), *electrodes)
        for array in (*own, *tables):
            if array is not None:
                array.flags.writeable = False
        object.__setattr__(self, "quality", MappingProxyType(dict(self.quality)))
        object.__setattr__(self, "label_columns", MappingProxyType(dict(self.label_columns)))

    @classmethod
    def from_arrays(
        cls,
        spike_times: Sequence[ArrayLike],
        *,
        unit_ids: Sequence[int] | Integer | None = None,
        waveform_mean: Sequence[ArrayLike | None] | None = None,
        waveform_rate_hz: float | None = None,
        obs_intervals: Sequence[ArrayLike] | None = None,
        electrodes: Sequence[ArrayLike] | None = None,
        channel_positions: ArrayLike | None = None,
        region: Sequence[str] | None = None,
        quality: Mapping[str, Sequence[str]] | None = None,
        label_columns: Mapping[str, Sequence[str]] | None = None,
        session: Session | None = None,
    ) -> Units:
        """Units from arrays in memory.

        Parameters
        ----------
        spike_times : sequence of n arrays
            Seconds.
        unit_ids : (n,) integers, optional
            0, 1, ... by default.
        waveform_mean : sequence of n arrays or None, optional
            (n_samples,) or (n_samples, n_channels) in microvolts; None for a unit without.
        waveform_rate_hz : float, optional
            Sampling rate of the mean waveforms.
        obs_intervals : sequence of n (k, 2) arrays, optional
            Seconds.
        electrodes : sequence of n (k,) integer arrays, optional
            Rows of `channel_positions`.
        channel_positions : (n_electrodes, 2 or 3) array, optional
            Micrometres.
        region : sequence of n str, optional
            Brain region.
        quality, label_columns : mapping of str to n str, optional
            Labels by column name.
        session : Session, optional
            Where the units come from.

        Raises
        ------
        InputError
            If a column has another length than `spike_times`, or values of the wrong kind.

        Examples
        --------
        >>> Units.from_arrays([[0.1, 0.5]], waveform_mean=[[0, -50, 10]], waveform_rate_hz=30000.0)
        <Units: 1 unit, 2 spikes, 1 mean waveform at 30000 Hz>
        """
        from nwb_celltype.units.arrays import build  # the builder needs the classes of this file

        return build(
            spike_times, unit_ids, waveform_mean, waveform_rate_hz, obs_intervals, electrodes, channel_positions,
            region, quality, label_columns, session,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.unit_ids)

    @property
    def waveform_rate_hz(self) -> float | None:
        """Sampling rate of the mean waveforms in Hz, None when unknown or not the same for all units."""
        rates = np.unique(self.waveform_rates_hz)
        return float(rates[0]) if len(rates) == 1 and np.isfinite(rates[0]) else None

    @property
    def waveform_unit_note(self) -> str | None:
        """What was odd about the stated unit of the waveforms (volts said, microvolts meant), None when nothing was."""
        return self.waveform_mean.unit_note

    @property
    def is_whitened(self) -> NDArray[np.bool_]:
        """(n,) bool array: mean waveforms that the file says are of whitened data; their shape is no voltage."""
        if self.waveform_source is None:
            return np.zeros(len(self), dtype=bool)
        return np.array([_WHITENED.search(text) is not None for text in self.waveform_source], dtype=bool)

    @cached_property
    def region(self) -> Texts:
        """(n,) array of str: brain region of each unit, ``""`` when unknown."""
        return self.regions.resolve(self.electrodes, self.peak_electrode, self.waveform_mean.fetch)

    @cached_property
    def notes(self) -> tuple[tuple[str, ...], ...]:
        """For each unit, what is missing; () when nothing is. Does not read spikes or waveforms."""
        present = self.waveform_mean.are_present
        counts = self.spike_times.counts
        notes: list[tuple[str, ...]] = []
        for i in range(len(self)):
            has_electrodes = self.electrodes is not None and self.electrodes[i].size > 0
            said = (
                (NO_SPIKES, counts[i] == 0),
                (NO_WAVEFORM, not present[i]),
                (NO_RATE, bool(present[i]) and not np.isfinite(self.waveform_rates_hz[i])),
                (NO_ELECTRODES, not has_electrodes),
            )
            notes.append(tuple(note for note, holds in said if holds))
        return tuple(notes)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Columns of the file that hold one number or text per unit, for `column`; () for units made in memory."""
        return () if self.scalars is None else tuple(self.scalars.names())

    def column(self, name: str) -> NDArray[Any]:
        """(n,) values of any column of the file that holds one number or text per unit, such as a quality metric.

        Raises
        ------
        UsageError
            If there is no such column.

        Examples
        --------
        >>> with read_units("session.nwb") as units:  # doctest: +SKIP
        ...     metrics = {name: units.column(name) for name in units.column_names}
        """
        if self.scalars is None or name not in self.scalars:
            known = ", ".join(self.column_names) or "none"
            message = f"There is no column {name!r} with one value per unit; there are: {known}."
            raise UsageError(message)
        return self.scalars.read(name)

    def row_of(self, unit_id: int) -> int:
        """Row of a unit id.

        Raises
        ------
        UsageError
            If there is no such unit.
        """
        return int(self._rows_of([unit_id])[0])

    def peak_channel(self, i: int) -> int | None:
        """Channel (column) of the largest peak-to-peak amplitude of unit row `i`, None without a usable waveform."""
        return peak_channel_of(self.waveform_mean[i])

    def peak_waveform(self, i: int) -> Float | None:
        """(n_samples,) mean waveform in microvolts on the peak channel of unit row `i`, None without one."""
        waveform = self.waveform_mean[i]
        channel = peak_channel_of(waveform)
        return None if waveform is None or channel is None else waveform[:, channel].copy()

    def peak_waveforms(self) -> Iterator[Float | None]:
        """Yield `peak_waveform` of every unit, in one sequential pass over the waveforms."""
        for waveform in self.waveform_mean:
            channel = peak_channel_of(waveform)
            yield None if waveform is None or channel is None else waveform[:, channel].copy()

    def peak_electrode(self, i: int) -> int | None:
        """Electrode row under the peak channel of unit row `i`, None when channels and electrodes do not match."""
        if self.electrodes is None or len(self.electrodes[i]) < 2:
            return None if self.electrodes is None or self.electrodes[i].size == 0 else int(self.electrodes[i][0])
        waveform = self.waveform_mean[i]
        channel = peak_channel_of(waveform)
        if waveform is None or channel is None or waveform.shape[1] != len(self.electrodes[i]):
            return None
        return int(self.electrodes[i][channel])

    def unit_positions(self, i: int) -> Float | None:
        """(k, 2 or 3) positions in micrometres of the electrodes of unit row `i`, NaN for rows that do not exist."""
        if self.electrodes is None or self.channel_positions is None:
            return None
        rows = self.electrodes[i]
        exists = (rows >= 0) & (rows < len(self.channel_positions))
        positions = np.full((len(rows), self.channel_positions.shape[1]), np.nan)
        positions[exists] = self.channel_positions[rows[exists]]
        return positions

    def select(self, unit_ids: Iterable[int]) -> Units:
        """The units of these ids, in this order; the subset shares the open file.

        Raises
        ------
        UsageError
            If an id is unknown or given twice.
        """
        rows = self._rows_of(list(unit_ids))
        return replace(
            self,
            unit_ids=self.unit_ids[rows],
            spike_times=self.spike_times.take(rows),
            waveform_mean=self.waveform_mean.take(rows),
            waveform_rates_hz=self.waveform_rates_hz[rows],
            regions=self.regions.take(rows),
            waveform_source=None if self.waveform_source is None else self.waveform_source[rows],
            obs_intervals=None if self.obs_intervals is None else self.obs_intervals.take(rows),
            electrodes=self._electrodes_of(rows),
            quality={name: values[rows] for name, values in self.quality.items()},
            label_columns={name: values[rows] for name, values in self.label_columns.items()},
            scalars=None if self.scalars is None else self.scalars.take(rows),
        )

    def sha256(self) -> str:
        """Sha256 over ids, spike times, mean waveforms and their rate, in the canonical form of `digest`.

        It depends on the order of the units, not on how the file stores them. The first call reads all the data.
        """
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        return sha256_of(self)

    def close(self) -> None:
        """Close the file that the units are read from; harmless for units in memory."""
        if self.closer is not None:
            self.closer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        parts = [_plural(len(self), "unit"), _plural(int(self.spike_times.counts.sum()), "spike")]
        n_waveforms = int(self.waveform_mean.are_present.sum())
        rate = f"{self.waveform_rate_hz:g} Hz" if self.waveform_rate_hz is not None else "an unknown rate"
        parts.append(f"{_plural(n_waveforms, 'mean waveform')} at {rate}" if n_waveforms else "no mean waveforms")
        parts += [f"labels in {', '.join(self.label_columns)}"] if self.label_columns else []
        source = f" of {self.session.path}:{self.session.units_path}" if self.session.path else ""
        return f"<Units{source}: {', '.join(parts)}>"

    def _electrodes_of(self, rows: Integer) -> Sequence[Integer] | None:
        if isinstance(self.electrodes, RowNumbers):
            return self.electrodes.take(rows)
        return None if self.electrodes is None else tuple(self.electrodes[row] for row in rows)

    def _rows_of(self, unit_ids: Sequence[int]) -> Integer:
        row_by_id = {int(unit_id): row for row, unit_id in enumerate(self.unit_ids)}
        file = f" in {self.session.path}" if self.session.path else ""
        unknown = [unit_id for unit_id in unit_ids if unit_id not in row_by_id]
        if unknown:
            known = ", ".join(str(unit_id) for unit_id in self.unit_ids[:10]) + (", ..." if len(self) > 10 else "")
            message = f"There is no unit {_listed(unknown)}{file}; its units are {known or 'none'}."
            raise UsageError(message)
        if len({int(unit_id) for unit_id in unit_ids}) < len(unit_ids):
            twice = [unit_id for unit_id in dict.fromkeys(unit_ids) if list(unit_ids).count(unit_id) > 1]
            message = f"Unit {_listed(twice)} is asked for more than once; name each unit once."
            raise UsageError(message)
        return np.array([row_by_id[int(unit_id)] for unit_id in unit_ids], dtype=np.int64)


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _listed(values: Iterable[object]) -> str:
    return ", ".join(str(value) for value in values)
