"""Digital lines of an Open Ephys stream: rises and falls from its TTL events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.edges import LineEdges
from nwb_celltype.converters.openephys.structure import TtlFolder
from nwb_celltype.errors import InputError
from nwb_celltype.npy_files import load_npy

Integer = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TtlLines:
    """Lines of one event folder.

    Attributes
    ----------
    edges : mapping of int to LineEdges
        By number of the line, from 1; samples count from the first of the recording.
    notes : tuple of str
    """

    edges: Mapping[int, LineEdges]
    notes: tuple[str, ...]


def read_ttl(ttl: TtlFolder, *, first_sample: int, n_samples: int) -> TtlLines:
    """Read the lines of an event folder.

    A line rises where its state is positive and falls where it is negative. Whether it was high when the recording
    began is told by its first event, for a line without events by the first TTL word, else by ``structure.oebin``.

    Parameters
    ----------
    ttl : TtlFolder
    first_sample : int
        Number of the recording's first sample since acquisition began.
    n_samples : int
        Length of the recording.

    Raises
    ------
    InputError
        A file is missing or damaged, or the files disagree about the number of events.

    Examples
    --------
    >>> read_ttl(folder, first_sample=30000, n_samples=900000).edges[1].rising  # doctest: +SKIP
    array([   120,  30120])
    """
    states = load(first_file(ttl.folder, "states.npy", "channel_states.npy")).astype(np.int64)
    numbers = load(first_file(ttl.folder, "sample_numbers.npy", "timestamps.npy"))
    if numbers.dtype.kind not in "iu" or len(numbers) != len(states):
        message = (
            f"{ttl.folder}: {len(states)} states and {len(numbers)} sample numbers ({numbers.dtype}) do not belong "
            f"together; copy the folder again."
        )
        raise InputError(message)
    order = np.argsort(numbers, kind="stable")
    states, samples = states[order], numbers[order].astype(np.int64) - first_sample
    words = _words(ttl.folder, len(states))
    word = int(words[order[0]]) if words is not None and len(words) else ttl.initial_word
    lines = sorted(set(np.abs(states[states != 0]).tolist()) | _high_lines(word))
    found, notes = {}, []
    for line in lines:
        is_own = np.abs(states) == line
        edges, odd = _line(samples[is_own], states[is_own] > 0, _is_high(word, line), n_samples)
        found[line] = edges
        if odd:
            notes.append(f"Line {line} in {ttl.folder.parent.name}/{ttl.folder.name}: {odd}.")
    return TtlLines(found, tuple(notes))


def load(path: Path) -> NDArray[Any]:
    """Open a .npy file as an array on disk; never one with objects in it."""
    try:
        return load_npy(path)
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read as an array ({error}); copy it again."
        raise InputError(message) from error


def first_file(folder: Path, *names: str) -> Path:
    """Return the first file that is there; the later names are those of versions before 0.6."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    message = f"{folder} has no {names[0]}; copy the folder again."
    raise InputError(message)


def _words(folder: Path, n_events: int) -> NDArray[Any] | None:
    path = folder / "full_words.npy"
    if not path.is_file():
        return None
    words = load(path)
    if words.ndim == 2:  # bytes, lowest lines first, before 0.6
        weights = np.left_shift(np.uint64(1), np.arange(words.shape[1], dtype=np.uint64) * np.uint64(8))
        words = (words.astype(np.uint64) * weights).sum(axis=1, dtype=np.uint64)
    return words if len(words) == n_events else None


def _is_high(word: int | None, line: int) -> bool:
    return word is not None and bool((word & (2**64 - 1)) >> (line - 1) & 1)


def _high_lines(word: int | None) -> set[int]:
    return {line for line in range(1, 65) if _is_high(word, line)}


def _line(samples: Integer, is_rise: NDArray[np.bool_], is_high: bool, n_samples: int) -> tuple[LineEdges, str]:
    """Edges of one line and what was odd about them; `is_high` decides only for a line without events."""
    before = samples < 0
    if len(samples):
        is_high = bool(is_rise[before][-1]) if before.any() else not bool(is_rise[0])
    samples, is_rise = samples[~before], is_rise[~before]
    if len(samples) and samples[0] == 0 and is_rise[0]:
        samples, is_rise, is_high = samples[1:], is_rise[1:], True  # high at the first sample is no rise within
    states = np.concatenate([[is_high], is_rise])
    is_repeated = states[1:] == states[:-1]
    n_rises = int(np.count_nonzero(is_repeated & is_rise))
    n_falls = int(np.count_nonzero(is_repeated & ~is_rise))
    odd = []
    if n_rises:
        odd.append(f"{n_rises} rises without a fall before them (lost events: the pulses before have no end)")
    if n_falls:
        odd.append(f"{n_falls} falls without a rise before them (lost events: these pulses have no beginning)")
    return LineEdges(samples[is_rise], samples[~is_rise], is_high, n_samples), "; ".join(odd)
