"""Stored snippets of spikes: as counts, and their mean and standard deviation by unit in one way through the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.plexon.content import NO_SNIPPET, SpikeChannel
from nwb_celltype.converters.records import Float, Integer
from nwb_celltype.errors import InputError

# Snippets closer together than the gap are read with what lies between them.
_GAP_BYTES = 16 * 2**10
_PIECE_BYTES = 8 * 2**20


class SnippetMeans(NamedTuple):
    """Mean and standard deviation of the snippets of each of n trains, in counts; NaN where there is none.

    Attributes
    ----------
    mean, sd : (n, n_points) float64 arrays
    counts : (n,) int64 array
    """

    mean: Float
    sd: Float
    counts: Integer


def read_snippets(path: Path | str, channel: SpikeChannel) -> NDArray[np.int16]:
    """Read all snippets of a channel, as stored.

    Parameters
    ----------
    path : str or Path
    channel : SpikeChannel

    Returns
    -------
    (n, n_points) int16 array
        One for each spike of the channel that has a snippet, in the order of its spikes.

    Raises
    ------
    InputError
        The file is gone or shorter than it was.

    Examples
    --------
    >>> content = read_plx("session.plx")  # doctest: +SKIP
    >>> read_snippets(content.path, content.spikes[0]).shape  # doctest: +SKIP
    (5376, 40)
    """
    positions = channel.positions[channel.positions != NO_SNIPPET]
    found = np.empty((len(positions), channel.n_points), dtype=np.int16)
    for rows, counts in _pieces(Path(path), positions, channel.n_points):
        found[rows] = counts
    return found


def mean_snippets(path: Path, trains: list[Integer], n_points: int) -> SnippetMeans:
    """Mean and standard deviation of snippets of several trains at once.

    Parameters
    ----------
    path : Path
    trains : list of int64 arrays
        First bytes of the snippets of each train; -1 is passed over.
    n_points : int
        Samples of a snippet.

    Returns
    -------
    SnippetMeans

    Raises
    ------
    InputError
        The file is gone or shorter than it was.
    """
    positions = np.concatenate([np.empty(0, dtype=np.int64), *trains])
    owners = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
    has = positions != NO_SNIPPET
    positions, owners = positions[has], owners[has]
    sums, squares = np.zeros((len(trains), n_points)), np.zeros((len(trains), n_points))
    for rows, snippets in _pieces(path, positions, n_points):
        order = np.argsort(owners[rows], kind="stable")
        found, firsts = np.unique(owners[rows][order], return_index=True)
        values = snippets[order].astype(np.float64)
        sums[found] += np.add.reduceat(values, firsts)
        squares[found] += np.add.reduceat(values**2, firsts)
    counts = np.bincount(owners, minlength=len(trains))
    n = np.where(counts > 0, counts, np.nan)[:, None]
    mean = sums / n
    return SnippetMeans(mean, np.sqrt(np.maximum(squares / n - mean**2, 0.0)), counts)


def _pieces(path: Path, positions: Integer, n_points: int) -> Iterator[tuple[Integer, NDArray[Any]]]:
    """Rows of `positions` and their snippets, in the order of the file, a piece of bounded size at a time."""
    if not len(positions) or not n_points:
        return
    order = np.argsort(positions, kind="stable")
    ordered = positions[order]
    opens = (np.diff(ordered) > _GAP_BYTES) | (np.diff(ordered // _PIECE_BYTES) > 0)
    bounds = np.concatenate([[0], np.flatnonzero(opens) + 1, [len(ordered)]])
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror})."
        raise InputError(message) from error
    held: list[tuple[Integer, NDArray[Any]]] = []
    n_held = 0
    try:
        for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            begin = int(ordered[first])
            length = int(ordered[last - 1]) + 2 * n_points - begin
            raw = os.pread(descriptor, length, begin)
            if len(raw) < length:
                message = f"{path} became shorter while it was read; read it again when complete."
                raise InputError(message)
            at = (ordered[first:last] - begin) // 2
            words = np.frombuffer(raw, dtype="<i2")
            held.append((order[first:last], words[at[:, None] + np.arange(n_points)]))
            n_held += last - first
            if n_held * n_points * 2 > _PIECE_BYTES:
                yield _joined(held)
                held, n_held = [], 0
        if held:
            yield _joined(held)
    finally:
        os.close(descriptor)


def _joined(held: list[tuple[Integer, NDArray[Any]]]) -> tuple[Integer, NDArray[Any]]:
    return np.concatenate([rows for rows, _ in held]), np.concatenate([snippets for _, snippets in held])
