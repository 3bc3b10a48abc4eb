"""What a reader of lab data hands over and the NWB writer takes: frozen records, one noun each.

Readers speak in samples of their own stream; a `Clock` turns samples into seconds of the session. Nothing here knows a
file format or NWB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.clocks import Clock

Integer = NDArray[np.int64]
Float = NDArray[np.float64]

ScaleUnit = Literal["microvolts", "a.u."]


class TraceSource(Protocol):
    """A continuous recording on disk, read in pieces.

    Attributes
    ----------
    name : str
        Stream, for example ``imec0.ap``.
    sampling_rate_hz : float
    n_samples, n_channels : int
        Channels are electrodes only (no sync word), in the order of the rows of the `Probe`.
    dtype : numpy.dtype
        Of the stored counts.
    gains_uv : (n_channels,) float64 array or None
        Microvolts of one count; None when nothing says so.
    offsets_uv : (n_channels,) float64 array or None
        Microvolts of count 0; None for zero.
    filtering : str
        What was done to the signal before it was stored, ``""`` when unknown.
    paths : tuple of Path
        Files that hold it, in order.
    """

    @property
    def name(self) -> str:
        """Stream."""
        ...

    @property
    def sampling_rate_hz(self) -> float:
        """As the source states it."""
        ...

    @property
    def n_samples(self) -> int:
        """Of the whole recording."""
        ...

    @property
    def n_channels(self) -> int:
        """Electrodes."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the stored counts."""
        ...

    @property
    def gains_uv(self) -> Float | None:
        """Microvolts of one count."""
        ...

    @property
    def offsets_uv(self) -> Float | None:
        """Microvolts of count 0."""
        ...

    @property
    def filtering(self) -> str:
        """What was done before storing."""
        ...

    @property
    def paths(self) -> tuple[Path, ...]:
        """Files."""
        ...

    def read(self, start: int, stop: int, channels: Integer | None = None) -> NDArray[Any]:
        """Return stored counts of samples `start` to `stop` (exclusive): a (stop - start, k) array."""
        ...


@dataclass(frozen=True, eq=False)
class Probe:
    """Electrodes of one probe, one row each.

    Attributes
    ----------
    name : str
        Name of the NWB device, for example ``imec0``.
    channel_names : tuple of n str
        Unique on the probe, for example ``AP12``.
    positions_um : (n, 2) float64 array
        Across and along the shank, micrometres; NaN where unknown. With several shanks, across runs over all of them.
    shanks : (n,) int64 array
        From 0.
    geometry_source : str
        Where positions come from, one sentence.
    model, manufacturer, serial_number, description : str
        ``""`` when the source does not say.
    is_reference : (n,) bool array or None
        Channels that record a reference and no tissue.
    filtering : tuple of n str or None
        Hardware filter of each channel.
    columns : mapping of str to (n,) array
        Further facts by channel, with `column_descriptions`.
    """

    name: str
    channel_names: tuple[str, ...]
    positions_um: Float
    shanks: Integer
    geometry_source: str
    model: str = ""
    manufacturer: str = ""
    serial_number: str = ""
    description: str = ""
    is_reference: NDArray[np.bool_] | None = None
    filtering: tuple[str, ...] | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    column_descriptions: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.channel_names)


@dataclass(frozen=True, eq=False)
class Column:
    """One fact about each unit.

    Attributes
    ----------
    values : (n,) array
        Float (NaN where not stated), integer, bool or str (``""`` where not stated).
    description : str
        What it means, with its unit of measure.
    """

    values: NDArray[Any]
    description: str


@dataclass(frozen=True)
class LeftOut:
    """A cluster, channel or line that is not written, and why."""

    what: str
    reason: str


@dataclass(frozen=True, eq=False)
class Templates:
    """Mean shapes that the sorter kept, for units without raw data.

    Attributes
    ----------
    waveforms : (n, n_samples, n_channels) float array
        One a unit, in the order of the units and of the rows of the `Probe`; NaN where a unit has none.
    n_before : int
        Samples before the spike.
    unit : {'microvolts', 'a.u.'}
    source : tuple of n str
        For each unit, for example ``template, unwhitened``; ``""`` where it has none.
    sampling_rate_hz : float or None
        Of the waveforms, where it is not that of the spikes.
    sd : (n, n_samples, n_channels) float array or None
        Standard deviation over spikes, where they are means of stored snippets.
    n_spikes_used : (n,) int64 array or None
        Snippets that were averaged.
    keeps_all : bool
        Whether every channel on which a unit was stored is written, however many; else the nearest ones.
    """

    waveforms: NDArray[np.floating[Any]]
    n_before: int
    unit: ScaleUnit
    source: tuple[str, ...]
    sampling_rate_hz: float | None = None
    sd: NDArray[np.floating[Any]] | None = None
    n_spikes_used: Integer | None = None
    keeps_all: bool = False


@dataclass(frozen=True, eq=False)
class PriorLabels:
    """Cell types that another program or a person left beside the sorting; they become a run of their own.

    Attributes
    ----------
    source : str
        File they come from.
    source_type : {'classifier', 'expert', 'ground_truth'}
    unit_rows : (m,) int64 array
        Rows of the sorting.
    labels : tuple of m str
        As written there.
    confidence : (m,) float64 array or None
    software, software_version, confidence_definition : str
    person : str
        Who labelled (name or ORCID), ``""`` when nobody is named.
    evidence : tuple of m tuples of mappings
        Pieces of evidence, in the words of the extension (``kind``: ``optotag``, ``cs_ss_pause``, ``expert``, ...);
        empty where there is none.
    cell_ids : tuple of m str
        Units of one cell have the same; empty where nothing is said.
    description, run_name : str
        Of the run; made up from the source where they are empty.
    references : tuple of str
        What to cite.
    """

    source: str
    source_type: Literal["classifier", "expert", "ground_truth"]
    unit_rows: Integer
    labels: tuple[str, ...]
    confidence: Float | None = None
    software: str = ""
    software_version: str = ""
    confidence_definition: str = ""
    person: str = ""
    evidence: tuple[tuple[Mapping[str, Any], ...], ...] = ()
    cell_ids: tuple[str, ...] = ()
    description: str = ""
    run_name: str = ""
    references: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Sorting:
    """Sorted units of one probe.

    Attributes
    ----------
    unit_ids : (n,) int64 array
        Ids of the sorter, unique.
    unit_names : tuple of n str
        The same as the sorter writes them.
    spike_samples : (total,) int64 array
        Samples of the sorted stream, file's first sample 0; unit by unit, ascending within each.
    offsets : (n + 1,) int64 array
        Unit ``i`` has ``spike_samples[offsets[i]:offsets[i + 1]]``.
    sampling_rate_hz : float
    source : str
        Sorter and folder, one sentence.
    amplitudes : (total,) float64 array or None
        One a spike, in the order of `spike_samples`; `amplitude_description` says what they are.
    columns : mapping of str to Column
        Everything else that is known of each unit, by NWB column name (``quality``, ``KSLabel``, ``depth``, ...).
    spike_columns : mapping of str to Column
        Facts about single spikes, in the order of `spike_samples`.
    peak_channels : (n,) int64 array or None
        Row of the probe where the sorter sees the unit best; -1 where it does not say.
    channels : (k,) int64 array or None
        Rows of the probe that were sorted; None for all, or where nothing says so.
    templates : Templates or None
    prior_labels : tuple of PriorLabels
    obs_intervals : tuple of n (k, 2) float64 arrays, or None
        Session seconds in which each unit was observed, where it was not the whole recording.
    left_out : tuple of LeftOut
        Clusters that are not written.
    notes : tuple of str
        What was odd, a sentence each.
    """

    unit_ids: Integer
    unit_names: tuple[str, ...]
    spike_samples: Integer
    offsets: Integer
    sampling_rate_hz: float
    source: str
    amplitudes: Float | None = None
    amplitude_description: str = ""
    columns: Mapping[str, Column] = field(default_factory=dict)
    spike_columns: Mapping[str, Column] = field(default_factory=dict)
    peak_channels: Integer | None = None
    templates: Templates | None = None
    channels: Integer | None = None
    prior_labels: tuple[PriorLabels, ...] = ()
    obs_intervals: tuple[Float, ...] | None = None
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.unit_ids)

    def samples_of(self, row: int) -> Integer:
        """Spike samples of one unit, ascending."""
        return self.spike_samples[self.offsets[row] : self.offsets[row + 1]]


@dataclass(frozen=True, eq=False)
class UnitWaveforms:
    """Mean waveform of each unit on the channels nearest to it.

    Attributes
    ----------
    mean, sd : (n, n_samples, k) float32 arrays
        NaN where a unit has none. `sd` is None for templates, which have no spread.
    channels : (n, k) int64 array
        Rows of the probe, nearest to the peak channel first; the order of the last axis of `mean`.
    peak_channels : (n,) int64 array
        Rows of the probe; -1 where unknown.
    n_before : int
        Samples before the spike time; sample `n_before` is the spike time itself.
    sampling_rate_hz : float
    unit : {'microvolts', 'a.u.'}
    source : tuple of n str
        ``raw``, the source of a template, or why there is none.
    n_spikes_used : (n,) int64 array
    drift_um : (n,) float64 array or None
        How far the unit's amplitude moved along the probe over the recording (largest minus smallest block), NaN where
        unknown.
    """

    mean: NDArray[np.float32]
    sd: NDArray[np.float32] | None
    channels: Integer
    peak_channels: Integer
    n_before: int
    sampling_rate_hz: float
    unit: ScaleUnit
    source: tuple[str, ...]
    n_spikes_used: Integer
    drift_um: Float | None = None


@dataclass(frozen=True, eq=False)
class Pulses:
    """High periods of one digital line, on the session clock.

    Attributes
    ----------
    name : str
        Stream and line, for example ``nidq.XD0.3``: the key under ``Events`` in the metadata.
    onsets_s, durations_s : (n,) float64 arrays
        Duration is NaN for a pulse that had not ended when the recording did.
    is_high_at_start : bool
        Whether the first pulse had begun before the recording did; its onset is the first sample.
    source : str
        How they were found, one sentence.
    """

    name: str
    onsets_s: Float
    durations_s: Float
    is_high_at_start: bool
    source: str

    def __len__(self) -> int:
        return len(self.onsets_s)


@dataclass(frozen=True, eq=False)
class Marks:
    """Moments that an acquisition system wrote down, on the session clock: strobed words, keyboard events, comments.

    Attributes
    ----------
    name : str
        Channel, for example ``Strobed``: the key under ``Events`` in the metadata.
    times_s : (n,) float64 array
        Ascending.
    values : (n,) integer or str array, or None
        What was written down at each moment.
    source : str
        How they were found, one sentence.
    """

    name: str
    times_s: Float
    values: NDArray[Any] | None
    source: str

    def __len__(self) -> int:
        return len(self.times_s)


@dataclass(frozen=True, eq=False)
class ProbeRecording:
    """What one probe recorded: electrodes, traces, units, and the clock of its samples.

    `observed_s` are the session seconds that were recorded, (k, 2), where there were pauses; None for all of it. The
    clock of traces with pauses has corners at each of them.
    """

    probe: Probe
    clock: Clock
    sorting: Sorting | None = None
    traces: TraceSource | None = None
    lfp: TraceSource | None = None
    lfp_clock: Clock | None = None
    observed_s: Float | None = None


@dataclass(frozen=True, eq=False)
class SourceSession:
    """Everything that a lab's folder says about one session.

    Attributes
    ----------
    kind : str
        Kind of converter.
    paths : tuple of Path
        What was given.
    recordings : tuple of ProbeRecording
        The first one's clock is the session clock.
    pulses : tuple of Pulses
        Digital lines, the silent ones too.
    started : datetime or None
        When the recording began, as the source says it; without a zone where it says none.
    facts : mapping of str to str
        What the source says about the session, by metadata key (``NWBFile.session_id``, ...): filled into the template.
    left_out : tuple of LeftOut
    notes : tuple of str
    marks : tuple of Marks
        Events with a value and without a duration.
    clocks : tuple of Clock
        Of streams that belong to no probe, such as ``nidq``; those of the probes are with their recordings.
    """

    kind: str
    paths: tuple[Path, ...]
    recordings: tuple[ProbeRecording, ...]
    pulses: tuple[Pulses, ...] = ()
    started: datetime | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    clocks: tuple[Clock, ...] = ()
    marks: tuple[Marks, ...] = ()
