"""What both Plexon formats hold, in one form: channels with the places of their data in the file, events, pauses.

Times are whole ticks of the session: 0 is where the file itself counts from. Only indices are in memory; snippets and
traces stay in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from nwb_celltype.converters.records import Integer, LeftOut

NO_SNIPPET = -1
"""Place of the snippet of a spike that has none."""


@dataclass(frozen=True, eq=False)
class SpikeChannel:
    """Threshold crossings of one channel, sorted or not.

    Attributes
    ----------
    name : str
        As in the file: ``SPK09``, ``sig009``.
    number : int
        Of the channel, from 1.
    source : str
        ``""`` for the file's first kind of spike channels; numbers repeat in another one.
    sampling_rate_hz : float
        Of the snippets.
    gain_uv : float or None
        Microvolts of one count.
    n_points, n_before : int
        Samples of a snippet, and those before the threshold was crossed, which is the time of the spike.
    trode : tuple of int
        Numbers of the channels of the same stereotrode or tetrode, this one among them.
    ticks, units, positions : (n,) int64 arrays
        Ascending times; 0 for unsorted and 1 to 26 for units a to z; first byte of each snippet, -1 for none.
    """

    name: str
    number: int
    source: str
    sampling_rate_hz: float
    gain_uv: float | None
    n_points: int
    n_before: int
    trode: tuple[int, ...]
    ticks: Integer
    units: Integer
    positions: Integer


@dataclass(frozen=True, eq=False)
class AnalogChannel:
    """Blocks of samples of one channel.

    Attributes
    ----------
    name : str
        As in the file: ``WB09``.
    kind : str
        ``WB`` wideband, ``SPKC`` high-passed, ``FP`` field potential, ``AUX`` anything that is no electrode.
    electrode : int
        Number of the spike channel on the same electrode; -1 for none.
    sampling_rate_hz : float
    gain_uv : float or None
        Microvolts of one count.
    ticks, counts, positions : (n,) int64 arrays
        Time of each block's first sample, samples in it, first byte of them.
    """

    name: str
    kind: str
    electrode: int
    sampling_rate_hz: float
    gain_uv: float | None
    ticks: Integer
    counts: Integer
    positions: Integer


@dataclass(frozen=True, eq=False)
class EventChannel:
    """Moments on one event channel.

    Attributes
    ----------
    name : str
    is_line : bool
        Whether it is a digital input, whose rises are the moments.
    ticks : (n,) int64 array
    values : (n,) int64 array or None
        Strobed words.
    """

    name: str
    is_line: bool
    ticks: Integer
    values: Integer | None


@dataclass(frozen=True, eq=False)
class Content:
    """One file.

    Attributes
    ----------
    path : Path
    version : str
        Format and, where stated, software: ``plx 106, OmniPlex``.
    tick_rate_hz : float
    last_tick : int
        Largest time of anything in the file.
    started : datetime or None
        Without a zone.
    comment : str
    spikes, analog, events : tuples
    starts, stops : (n,) int64 arrays
        Ticks at which recording began or was taken up again, and at which it stopped or paused.
    probe_name : str
        What the file calls the electrodes, ``""`` for nothing.
    facts : mapping of str to str
    left_out : tuple of LeftOut
    notes : tuple of str
    """

    path: Path
    version: str
    tick_rate_hz: float
    last_tick: int
    started: datetime | None
    comment: str
    spikes: tuple[SpikeChannel, ...]
    analog: tuple[AnalogChannel, ...]
    events: tuple[EventChannel, ...]
    starts: Integer
    stops: Integer
    probe_name: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
