"""Traces of several channels whose blocks lie interleaved in a file, read in pieces."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.plexon.fragments import ChannelBlocks
from nwb_celltype.converters.records import Float, Integer
from nwb_celltype.errors import InputError, UsageError

_PIECE_BYTES = 4 * 2**20
# Blocks that lie further apart are read one by one.
_LARGEST_SPAN = 32 * 2**20
_WASTE = 8


@dataclass(frozen=True, eq=False, kw_only=True)
class BlockTraces:
    """A stream of a Plexon file, with the samples of its channels numbered without gaps.

    Attributes
    ----------
    name : str
    path : Path
    blocks : tuple of ChannelBlocks
        One a channel.
    n_samples : int
    sampling_rate_hz : float
    gains_uv : (n_channels,) float64 array or None
        Microvolts of one count.
    filtering : str
        What was done to the signal before it was stored.
    offsets_uv : None
        Count 0 is 0 V.
    """

    name: str
    path: Path
    blocks: tuple[ChannelBlocks, ...]
    n_samples: int
    sampling_rate_hz: float
    gains_uv: Float | None
    filtering: str = ""
    offsets_uv: Float | None = None

    @property
    def n_channels(self) -> int:
        """Electrodes."""
        return len(self.blocks)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the stored counts."""
        return np.dtype("<i2")

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file."""
        return (self.path,)

    def read(self, start: int, stop: int, channels: Integer | None = None) -> NDArray[Any]:
        """Return stored counts of samples `start` to `stop` (exclusive), zeros where a channel was not recorded.

        Parameters
        ----------
        start, stop : int
            ``0 <= start <= stop <= n_samples``.
        channels : (k,) int array or None
            Rows of the probe; None for all.

        Returns
        -------
        (stop - start, k) int16 array

        Raises
        ------
        UsageError
            The range or a channel lies outside the recording.
        InputError
            The file is gone, or shorter than it was when it was opened.
        """
        wanted = np.arange(self.n_channels) if channels is None else np.asarray(channels, dtype=np.int64)
        self._check(start, stop, wanted)
        result = np.zeros((stop - start, len(wanted)), dtype=self.dtype)
        if not result.size:
            return result
        n_rows = max(1, _PIECE_BYTES // (2 * len(wanted)))
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            message = f"{self.path} cannot be read ({error.strerror})."
            raise InputError(message) from error
        try:
            for first in range(start, stop, n_rows):
                last = min(first + n_rows, stop)
                self._read_piece(descriptor, result[first - start : last - start], first, wanted)
        finally:
            os.close(descriptor)
        return result

    def _read_piece(self, descriptor: int, target: NDArray[Any], start: int, wanted: Integer) -> None:
        stop = start + len(target)
        parts = [_overlap(self.blocks[channel], start, stop) for channel in wanted.tolist()]
        filled = [part for part in parts if len(part.counts)]
        if not filled:
            return
        begin = min(int(part.positions.min()) for part in filled)
        end = max(int((part.positions + 2 * part.counts).max()) for part in filled)
        n_wanted = 2 * sum(int(part.counts.sum()) for part in filled)
        if end - begin <= min(_LARGEST_SPAN, _WASTE * n_wanted):
            words = np.frombuffer(self._bytes(descriptor, begin, end - begin), dtype=self.dtype)
            for column, part in enumerate(parts):
                if len(part.counts):
                    within = np.arange(int(part.counts.sum())) - np.repeat(np.cumsum(part.counts) - part.counts,
                                                                           part.counts)  # fmt: skip
                    at = np.repeat((part.positions - begin) // 2, part.counts) + within
                    target[np.repeat(part.firsts - start, part.counts) + within, column] = words[at]
            return
        for column, part in enumerate(parts):
            for first, count, position in zip(part.firsts.tolist(), part.counts.tolist(), part.positions.tolist(),
                                              strict=True):  # fmt: skip
                raw = self._bytes(descriptor, position, 2 * count)
                target[first - start : first - start + count, column] = np.frombuffer(raw, dtype=self.dtype)

    def _bytes(self, descriptor: int, place: int, length: int) -> bytes:
        parts, done = [], 0
        while done < length:
            part = os.pread(descriptor, length - done, place + done)
            if not part:
                message = f"{self.path} became shorter while it was read; read it again when complete."
                raise InputError(message)
            parts.append(part)
            done += len(part)
        return b"".join(parts)

    def _check(self, start: int, stop: int, wanted: Integer) -> None:
        if not 0 <= start <= stop <= self.n_samples:
            message = f"{self.name} has samples 0 to {self.n_samples}; asked for {start} to {stop}."
            raise UsageError(message)
        if len(wanted) and not (wanted.min() >= 0 and wanted.max() < self.n_channels):
            message = (
                f"{self.name} has channels 0 to {self.n_channels - 1}; asked for {wanted.min()} to {wanted.max()}."
            )
            raise UsageError(message)


def _overlap(blocks: ChannelBlocks, start: int, stop: int) -> ChannelBlocks:
    """Those parts of the blocks that hold samples `start` to `stop`."""
    first = max(int(np.searchsorted(blocks.firsts, start, side="right")) - 1, 0)
    last = int(np.searchsorted(blocks.firsts, stop))
    firsts, counts = blocks.firsts[first:last], blocks.counts[first:last]
    begin, end = np.maximum(firsts, start), np.minimum(firsts + counts, stop)
    keep = end > begin
    positions = blocks.positions[first:last] + 2 * (begin - firsts)
    return ChannelBlocks(begin[keep], (end - begin)[keep], positions[keep])
