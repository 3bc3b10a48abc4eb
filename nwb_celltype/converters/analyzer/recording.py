"""The recording behind a sorting: its traces, its clock and its probe, in our records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.clocks import Clock
from nwb_celltype.converters.records import Float, Integer, Probe
from nwb_celltype.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spikeinterface.core import BaseRecording

CLOCK_TOLERANCE_S = 1e-7
"""How far the piecewise-linear clock may be off a time vector: well below a sample."""

# Facts of each channel that are worth a column of the electrodes table.
_CHANNEL_FACTS = {
    "inter_sample_shift": "Delay of the channel's sample within the sampling period, a fraction of it.",
    "adc_group": "Number of the analogue-to-digital converter that the channel shares.",
    "brain_area": "Brain area as the recording states it.",
}


@dataclass(frozen=True, eq=False)
class RecordingTraces:
    """A SpikeInterface recording as a `TraceSource`: stored counts where the recording keeps them.

    Attributes
    ----------
    recording : spikeinterface.core.BaseRecording
        Of one segment.
    name : str
    gains_uv, offsets_uv : (n_channels,) float64 array or None
    filtering : str
    paths : tuple of Path
    """

    recording: BaseRecording
    name: str
    gains_uv: Float | None
    offsets_uv: Float | None
    filtering: str
    paths: tuple[Path, ...]

    @property
    def sampling_rate_hz(self) -> float:
        """Samples per second."""
        return float(self.recording.get_sampling_frequency())

    @property
    def n_samples(self) -> int:
        """Samples of the only segment."""
        return int(self.recording.get_num_samples(segment_index=0))

    @property
    def n_channels(self) -> int:
        """Channels, all of them electrodes."""
        return int(self.recording.get_num_channels())

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the counts; a float type after filtering."""
        dtype: np.dtype[Any] = np.dtype(self.recording.get_dtype())
        return dtype

    def read(self, start: int, stop: int, channels: Integer | None = None) -> NDArray[Any]:
        """Return samples `start` to `stop` (exclusive) of all channels or of some: a (stop - start, k) array."""
        if not 0 <= start <= stop <= self.n_samples:
            message = f"Samples {start} to {stop} of {self.name} do not exist; it has {self.n_samples}."
            raise InputError(message)
        ids = None if channels is None else self.recording.channel_ids[np.asarray(channels, dtype=np.int64)]
        traces = self.recording.get_traces(segment_index=0, start_frame=start, end_frame=stop, channel_ids=ids)
        return np.asarray(traces)


def traces_of(recording: BaseRecording, name: str) -> RecordingTraces:
    """Wrap a recording of one segment.

    Parameters
    ----------
    recording : spikeinterface.core.BaseRecording
    name : str
        Name of the stream.
    """
    gains, offsets = recording.get_channel_gains(), recording.get_channel_offsets()
    chain = _steps(recording.to_dict(recursive=True))
    return RecordingTraces(
        recording,
        name,
        None if gains is None else np.asarray(gains, dtype=np.float64),
        None if offsets is None or not np.any(offsets) else np.asarray(offsets, dtype=np.float64),
        _filtering(chain, is_filtered=bool(recording.is_filtered())),
        _paths(chain),
    )


def _steps(step: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Class names and arguments from the file to the last step of preprocessing."""
    arguments = dict(step.get("kwargs", {}))
    earlier: list[tuple[str, dict[str, Any]]] = []
    for value in list(arguments.values()):
        inner = value if isinstance(value, list | tuple) else [value]
        for one in inner:
            if isinstance(one, dict) and "class" in one:
                earlier += _steps(one)
    return [*earlier, (str(step.get("class", "")).rpartition(".")[2], arguments)]


def _filtering(chain: list[tuple[str, dict[str, Any]]], *, is_filtered: bool) -> str:
    """What SpikeInterface was told to do to the signal, step by step; empty when nothing was done."""
    told = ("freq_min", "freq_max", "freq", "band", "filter_order", "reference", "operator")
    steps = []
    for name, arguments in chain:
        if not any(word in name.lower() for word in ("filter", "reference", "whiten", "pass", "phaseshift")):
            continue
        facts = [f"{key} {arguments[key]}" for key in told if arguments.get(key) is not None]
        told_here = f" ({', '.join(facts)})" if facts else ""
        steps.append(name.removesuffix("Recording") + told_here)
    if steps:
        return f"SpikeInterface: {', then '.join(steps)}"
    return "filtered before SpikeInterface saved it, in a way that it does not state" if is_filtered else ""


def _paths(chain: list[tuple[str, dict[str, Any]]]) -> tuple[Path, ...]:
    found = []
    for _, arguments in chain:
        for key in ("file_paths", "file_path", "folder_path"):
            value = arguments.get(key)
            found += [Path(one) for one in (value if isinstance(value, list | tuple) else [value]) if one]
    return tuple(dict.fromkeys(found))


def clock_of(stream: str, rate_hz: float, times: BaseRecording | None, start_s: float = 0.0) -> Clock:
    """Clock of a stream, from a recording's own times where it has them, else from its first second.

    A start that is a whole number of samples becomes `first_sample`, which is exact; any other start becomes two knots,
    and a time vector as many knots as keep it within `CLOCK_TOLERANCE_S`.

    Parameters
    ----------
    stream : str
    rate_hz : float
    times : spikeinterface.core.BaseRecording or None
    start_s : float
        Time of sample 0 where there is no recording.

    Raises
    ------
    InputError
        When a time vector does not rise.
    """
    if times is not None:
        start_s = float(times.get_start_time(segment_index=0))
        if times.has_time_vector(segment_index=0):
            n = int(times.get_num_samples(segment_index=0))
            return _clock_of_vector(stream, rate_hz, n, lambda a, b: _times(times, a, b))
    first = round(start_s * rate_hz)
    if abs(first / rate_hz - start_s) <= 1e-9:
        return Clock(stream, rate_hz, first)
    samples = np.array([0.0, rate_hz])
    return Clock(stream, rate_hz, 0, samples, start_s + samples / rate_hz)


def _times(recording: BaseRecording, start: int, stop: int) -> Float:
    return np.asarray(recording.get_times(segment_index=0, start_frame=start, end_frame=stop), dtype=np.float64)


def _clock_of_vector(stream: str, rate_hz: float, n: int, read: Callable[[int, int], Float]) -> Clock:
    knots: list[int] = []
    seconds: list[float] = []
    block = max(2, round(rate_hz))
    for start in range(0, max(n - 1, 1), block):
        stop = min(n - 1, start + block)
        times = read(start, stop + 1)
        if not np.all(np.diff(times) > 0):
            message = (
                f"The times of {stream} do not rise between samples {start} and {stop}; give the recording a correct "
                "time vector, or none (recording.reset_times())."
            )
            raise InputError(message)
        for corner in _corners(times):
            knots.append(start + corner)
            seconds.append(float(times[corner]))
    if n > 1:
        knots.append(n - 1)
        seconds.append(float(read(n - 1, n)[0]))
    kept = _needed(np.array(knots, dtype=np.float64), np.array(seconds))
    return Clock(stream, rate_hz, 0, np.array(knots, dtype=np.float64)[kept], np.array(seconds)[kept])


def _corners(times: Float) -> list[int]:
    """First sample of each straight piece of a stretch of times, found by halving it until every piece is straight."""
    pending, corners = [(0, len(times) - 1)], []
    while pending:
        start, stop = pending.pop()
        piece = times[start : stop + 1]
        straight = np.linspace(piece[0], piece[-1], len(piece))
        if stop - start <= 1 or float(np.max(np.abs(piece - straight))) <= CLOCK_TOLERANCE_S:
            corners.append(start)
        else:
            middle = (start + stop) // 2
            pending += [(middle, stop), (start, middle)]
    return corners


def _needed(samples: Float, seconds: Float) -> NDArray[np.intp]:
    """Rows of the knots that remain when those on a straight line between their neighbours go."""
    if len(samples) < 3:
        return np.arange(len(samples))
    kept = [0]
    for row in range(1, len(samples) - 1):
        a, b = kept[-1], row + 1
        inside = slice(a + 1, b)
        line = seconds[a] + (samples[inside] - samples[a]) * (seconds[b] - seconds[a]) / (samples[b] - samples[a])
        if float(np.max(np.abs(line - seconds[inside]))) > CLOCK_TOLERANCE_S:
            kept.append(row)
    return np.array([*kept, len(samples) - 1])


def probe_of(channel_ids: NDArray[Any], probegroup: Any, properties: Mapping[str, Any]) -> Probe:
    """Probe of a recording, one row a channel, in the order of the channels.

    Parameters
    ----------
    channel_ids : (n,) array
    probegroup : probeinterface.ProbeGroup or None
    properties : mapping
        Properties of the channels.
    """
    n = len(channel_ids)
    texts = [str(one) for one in channel_ids]
    short = [text.rpartition("#")[2] for text in texts]
    names = short if len(set(short)) == n else texts
    prefixes = {text.rpartition("#")[0] for text in texts}
    name = prefixes.pop().partition(".")[0] if len(prefixes) == 1 else ""
    positions, shanks = np.full((n, 2), np.nan), np.zeros(n, dtype=np.int64)
    source, said = "none: the SpikeInterface object has no probe", {}
    if probegroup is not None:
        positions, shanks = _contacts(probegroup, n)
        first = probegroup.probes[0]
        said = {key: str(getattr(first, key) or "") for key in ("model_name", "manufacturer", "serial_number")}
        source = "the probe of the SpikeInterface object (probeinterface contact positions)"
        if len(probegroup.probes) > 1:
            source += f", {len(probegroup.probes)} probes taken as one, their shanks numbered through"
    columns = {
        key: np.asarray(properties[key])
        for key in _CHANNEL_FACTS
        if properties.get(key) is not None and np.shape(properties[key]) == (n,)
    }
    return Probe(
        name or "probe0",
        tuple(names),
        positions,
        shanks,
        source,
        model=said.get("model_name", ""),
        manufacturer=said.get("manufacturer", ""),
        serial_number=said.get("serial_number", ""),
        columns=columns,
        column_descriptions={key: _CHANNEL_FACTS[key] for key in columns},
    )


def _contacts(probegroup: Any, n: int) -> tuple[Float, Integer]:
    """Positions and shanks by channel; a contact says which channel it is wired to."""
    contacts = probegroup.to_numpy(complete=True)
    channels = np.asarray(contacts["device_channel_indices"], dtype=np.int64)
    wired = (channels >= 0) & (channels < n)
    contacts, channels = contacts[wired], channels[wired]
    positions, shanks = np.full((n, 2), np.nan), np.zeros(n, dtype=np.int64)
    positions[channels, 0], positions[channels, 1] = contacts["x"], contacts["y"]
    probes, on_shanks = (_field(contacts, name) for name in ("probe_index", "shank_ids"))
    keys = [(int(p), _shank_key(s)) for p, s in zip(probes, on_shanks, strict=True)]
    number = {key: k for k, key in enumerate(sorted(set(keys)))}
    shanks[channels] = [number[key] for key in keys]
    return positions, shanks


def _field(contacts: NDArray[Any], name: str) -> NDArray[Any]:
    """A field of the contacts, zeros where probes of this kind lack it."""
    return contacts[name] if name in (contacts.dtype.names or ()) else np.zeros(len(contacts), dtype=np.int64)


def _shank_key(shank: Any) -> tuple[int, str]:
    """Order by number where shanks are numbers, by name otherwise."""
    text = str(shank)
    return (int(text), "") if text.isdecimal() else (0, text)
