"""Clocks of Open Ephys streams: by a shared sync line, else by the timestamps of Open Ephys, else nominal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.clocks import Clock, nominal_clock
from nwb_celltype.converters.edges import LineEdges, fit_line_clock
from nwb_celltype.converters.openephys.folder import Recording
from nwb_celltype.converters.openephys.structure import Stream
from nwb_celltype.converters.openephys.ttl import first_file, load
from nwb_celltype.errors import InputError

Integer = NDArray[np.int64]
Float = NDArray[np.float64]

_BLOCK = 2**22
_KNOT_S = 60.0
_LARGEST_DRIFT = 1e-3
_MIN_EDGES = 4


@dataclass(frozen=True, eq=False)
class Counting:
    """How the samples of a stream's file are numbered.

    Attributes
    ----------
    first_sample : int
        Number of the file's sample 0 since acquisition began.
    n_samples : int
        Samples in the file.
    starts, numbers : (k,) int64 arrays
        File samples at which a run without gaps begins, and their numbers; one run unless samples were lost.
    timestamps : array on disk or None
        Seconds of each sample as Open Ephys synchronised them; None where it did not.
    """

    first_sample: int
    n_samples: int
    starts: Integer
    numbers: Integer
    timestamps: NDArray[Any] | None

    @property
    def span(self) -> int:
        """Samples from first to last, the lost ones too."""
        return int(self.numbers[-1] - self.first_sample + self.n_samples - self.starts[-1])


def read_counting(stream: Stream) -> tuple[Counting, tuple[str, ...]]:
    """Read sample numbers (and open the timestamps) of a continuous stream, and what was odd about them.

    Raises
    ------
    InputError
        A file is missing, damaged or empty, or sample numbers run backwards.
    """
    folder = stream.folder
    n_samples = (folder / "continuous.dat").stat().st_size // (2 * len(stream.channels))
    path = first_file(folder, "sample_numbers.npy", "timestamps.npy")
    numbers = load(path)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not len(numbers):
        message = (
            f"{path} holds no sample numbers ({numbers.dtype}, shape {numbers.shape}). They say when the recording "
            f"began; copy sample_numbers.npy of stream {stream.name} again."
        )
        raise InputError(message)
    notes = []
    if len(numbers) != n_samples:
        notes.append(f"Stream {stream.name}: {n_samples} samples in continuous.dat and {len(numbers)} sample numbers.")
    starts = _runs(numbers)
    if len(starts) > 1:
        lost = int(numbers[-1]) - int(numbers[0]) + 1 - len(numbers)
        notes.append(f"Stream {stream.name}: {lost} samples were lost at {len(starts) - 1} places; times respect that.")
    began = np.asarray(numbers[starts], dtype=np.int64)
    if np.any(np.diff(began) <= 0):
        message = f"The sample numbers of stream {stream.name} run backwards ({path}); copy the recording again."
        raise InputError(message)
    return Counting(int(numbers[0]), n_samples, starts, began, _timestamps(folder, path, len(numbers))), tuple(notes)


def align(
    stream: Stream,
    counting: Counting,
    lines: Mapping[int, LineEdges],
    *,
    reference: tuple[Clock, Counting, Mapping[int, LineEdges]],
    sync_lines: tuple[int, int],
) -> tuple[Clock, str]:
    """Clock of a stream on the session clock, for samples counted from its first without gaps, and how it was found.

    Parameters
    ----------
    stream : Stream
    counting : Counting
    lines : mapping of int to LineEdges
        Digital lines of the stream.
    reference : Clock, Counting and lines of the reference stream
    sync_lines : (int, int)
        Sync line of the stream and of the reference.
    """
    clock, reference_counting, reference_lines = reference
    by_timestamps = _by_timestamps(stream, counting, clock, reference_counting)
    own, other = lines.get(sync_lines[0]), reference_lines.get(sync_lines[1])
    nominal = nominal_clock(stream.name, stream.sampling_rate_hz, counting.first_sample)
    began = by_timestamps.seconds(0) if by_timestamps is not None else clock.seconds(0)
    why = "its sync line or that of the reference is silent"
    if own is not None and other is not None and min(len(own.rising), len(other.rising)) >= _MIN_EDGES:
        try:
            fitted = fit_line_clock(
                own,
                other,
                clock,
                stream=stream.name,
                sampling_rate_hz=stream.sampling_rate_hz,
                first_sample=counting.first_sample,
                period_s=float(np.median(np.diff(clock.seconds(other.rising)))),
                expected_offset_s=float(began - nominal.seconds(0)),
            )
            return fitted, f"Stream {stream.name} was aligned to {clock.stream} by sync line {sync_lines[0]}."
        except InputError as error:
            why = str(error)
    if by_timestamps is not None:
        return by_timestamps, (
            f"Stream {stream.name} was aligned to {clock.stream} by the timestamps that Open Ephys synchronised "
            f"while recording ({why})."
        )
    return nominal, (
        f"Stream {stream.name} could not be aligned to {clock.stream} ({why}; Open Ephys had not synchronised it): it "
        f"keeps its own clock, sample number divided by {stream.sampling_rate_hz:g} Hz."
    )


def file_clock(clock: Clock, counting: Counting) -> Clock:
    """Clock for the samples of a file in which some were lost; the same clock where none were."""
    if len(counting.starts) == 1:
        return clock
    ends = np.append(counting.starts[1:], counting.n_samples) - 1
    samples = np.unique(np.concatenate([counting.starts, ends]))
    if not clock.is_nominal:
        # The corners of the fit, where they lie within a run.
        counted = clock.knot_samples + counting.first_sample
        run = np.searchsorted(counting.numbers, counted, side="right") - 1
        inside = counted - counting.numbers[run] + counting.starts[run]
        samples = np.unique(np.concatenate([samples, inside[(run >= 0) & (inside < ends[run])]]))
    run = np.clip(np.searchsorted(counting.starts, samples, side="right") - 1, 0, None)
    seconds = clock.seconds(samples - counting.starts[run] + counting.numbers[run] - counting.first_sample)
    return Clock(
        clock.stream,
        clock.sampling_rate_hz,
        clock.first_sample,
        samples.astype(np.float64),
        seconds,
        clock.fit,
        clock.how or ("" if clock.fit is not None else "sample numbers divided by the stated rate"),
    )


def sync_lines(recording: Recording) -> dict[str, int]:
    """Sync line of each stream as the record node was set, from 1, by name of the stream; empty where nothing says."""
    if recording.settings is None:
        return {}
    try:
        root = ElementTree.parse(recording.settings).getroot()
    except (ElementTree.ParseError, OSError):
        return {}  # the positions of the electrodes come from the same file: that it is damaged is said there
    found: dict[str, int] = {}
    for processor in root.iter("PROCESSOR"):
        is_node = processor.get("name", "").startswith("Record Node")
        if not is_node or (recording.node_id and processor.get("nodeId") != recording.node_id):
            continue
        for stream in processor.findall("STREAM"):
            parameters = stream.find("PARAMETERS")
            line = "" if parameters is None else parameters.get("sync_line", "")
            if line.isdigit():
                found[stream.get("name", "")] = int(line) + 1
    return found


def _runs(numbers: NDArray[Any]) -> Integer:
    """First samples of the runs without a gap; one look at the ends where there is none."""
    if int(numbers[-1]) - int(numbers[0]) == len(numbers) - 1:
        return np.zeros(1, dtype=np.int64)
    breaks = [np.zeros(1, dtype=np.int64)]
    for start in range(0, len(numbers), _BLOCK):
        block = np.asarray(numbers[max(start - 1, 0) : start + _BLOCK], dtype=np.int64)
        breaks.append(np.flatnonzero(np.diff(block) != 1) + max(start - 1, 0) + 1)
    return np.concatenate(breaks)


def _timestamps(folder: Path, numbers: Path, n_samples: int) -> NDArray[Any] | None:
    name = "timestamps.npy" if numbers.name == "sample_numbers.npy" else "synchronized_timestamps.npy"
    if not (folder / name).is_file():
        return None
    seconds = load(folder / name)
    is_usable = seconds.ndim == 1 and seconds.dtype.kind == "f" and len(seconds) == n_samples
    return seconds if is_usable and np.isfinite(seconds[0]) and seconds[0] >= 0 else None  # -1: not synchronised


def _knots(counting: Counting, rate_hz: float) -> tuple[Integer, Float] | None:
    """Samples about a minute apart, counted without gaps, and their timestamps."""
    if counting.timestamps is None:
        return None
    last = len(counting.timestamps) - 1
    samples = np.unique(np.linspace(0, last, max(2, round(last / rate_hz / _KNOT_S) + 1)).astype(np.int64))
    run = np.searchsorted(counting.starts, samples, side="right") - 1
    counted = samples - counting.starts[run] + counting.numbers[run] - counting.first_sample
    return counted, np.asarray(counting.timestamps[samples], dtype=np.float64)


def _by_timestamps(stream: Stream, counting: Counting, clock: Clock, reference: Counting) -> Clock | None:
    """Clock by the timestamps of both streams; None where there are none or where they jump."""
    own, other = _knots(counting, stream.sampling_rate_hz), _knots(reference, clock.sampling_rate_hz)
    if own is None or other is None:
        return None
    (samples, seconds), (reference_samples, reference_seconds) = own, other
    speeds = [
        np.diff(seconds) / np.diff(samples) * stream.sampling_rate_hz,
        np.diff(reference_seconds) / np.diff(reference_samples) * clock.sampling_rate_hz,
    ]
    if any(len(speed) == 0 or np.abs(speed - 1).max() > _LARGEST_DRIFT for speed in speeds):
        return None
    to_session = Clock("", 1.0, 0, reference_seconds, clock.seconds(reference_samples))
    return Clock(
        stream.name,
        stream.sampling_rate_hz,
        counting.first_sample,
        samples.astype(np.float64),
        to_session.seconds(seconds),
        how="timestamps that Open Ephys synchronised while recording",
    )
