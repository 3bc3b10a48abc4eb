"""Continuous recordings in flat binary files, read piece by piece."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError, UsageError

Integer = NDArray[np.int64]
Float = NDArray[np.float64]

_BLOCK_BYTES = 8 * 2**20
"""Rows are taken from a file in pieces of this size, so that a long read needs little beyond its result."""


class RowReader:
    """Open files of one `BinaryTraces`: copies whole rows (all channels of the file) into the caller's buffer.

    Any number of threads may read at once: nothing but the file descriptors is shared, and these have no position.
    """

    def __init__(self, descriptors: list[int], traces: BinaryTraces) -> None:
        self._descriptors = descriptors
        self._traces = traces

    def read_into(self, buffer: NDArray[Any], start: int) -> None:
        """Fill `buffer`, a C-contiguous (n_rows, n_file_channels) array of the file's dtype, from row `start` on.

        Raises
        ------
        InputError
            A file has become shorter than it was when the traces were opened.
        """
        traces, stop = self._traces, start + len(buffer)
        for number, (first, last) in enumerate(pairwise(traces.first_rows)):
            here, until = max(start, first), min(stop, last)
            if here < until:
                piece = buffer[here - start : until - start].data.cast("B")
                self._fill(piece, number, traces.header_bytes + (here - first) * traces.row_bytes)

    def _fill(self, target: memoryview, number: int, position: int) -> None:
        done = 0
        while done < len(target):  # a read may return less than was asked for
            count = os.preadv(self._descriptors[number], [target[done:]], position + done)
            if count == 0:
                message = f"{self._traces.paths[number]} became shorter while it was read; read it again when complete."
                raise InputError(message)
            done += count


@dataclass(frozen=True, eq=False, kw_only=True)
class BinaryTraces:
    """Flat sample-major recording: all channels of sample 0, all channels of sample 1, and so on.

    Attributes
    ----------
    name : str
        Stream, for example ``imec0.ap``.
    paths : tuple of Path
        Files, one after another in time.
    dtype : numpy.dtype
        Of the stored counts.
    n_file_channels : int
        Channels in the file, sync words included.
    columns : (n_channels,) int64 array
        Columns of the file that are electrodes, in the order of the rows of the `Probe`.
    sampling_rate_hz : float
    gains_uv : (n_channels,) float64 array or None
        Microvolts of one count; None when nothing says so.
    offsets_uv : (n_channels,) float64 array or None
        Microvolts of count 0; None for zero.
    header_bytes : int
        Bytes before the first sample, in each file.
    filtering : str
        What was done to the signal before it was stored, ``""`` when unknown.
    first_rows : tuple of int
        First sample of each file, and last of all the number of samples.
    notes : tuple of str
        What was odd about the files, a sentence each: a file that ends within a sample.

    Raises
    ------
    InputError
        A file is missing, unreadable or holds no sample; columns, gains and channels do not fit each other.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "run.bin"
    >>> np.arange(12, dtype="<i2").tofile(path)
    >>> traces = BinaryTraces(
    ...     name="probe", paths=(path,), dtype=np.dtype("<i2"), n_file_channels=3, columns=np.array([0, 1]),
    ...     sampling_rate_hz=30_000.0, gains_uv=None,
    ... )
    >>> traces.n_samples, traces.read(1, 3).tolist(), traces.read_column(2, 0, 4).tolist()
    (4, [[3, 4], [6, 7]], [2, 5, 8, 11])
    >>> folder.cleanup()
    """

    name: str
    paths: tuple[Path, ...]
    dtype: np.dtype[Any]
    n_file_channels: int
    columns: Integer
    sampling_rate_hz: float
    gains_uv: Float | None
    offsets_uv: Float | None = None
    header_bytes: int = 0
    filtering: str = ""
    first_rows: tuple[int, ...] = field(init=False)
    notes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", tuple(Path(path) for path in self.paths))
        object.__setattr__(self, "dtype", np.dtype(self.dtype))
        object.__setattr__(self, "columns", np.asarray(self.columns, dtype=np.int64))
        for name in ("gains_uv", "offsets_uv"):
            values = getattr(self, name)
            if values is not None:
                object.__setattr__(self, name, np.asarray(values, dtype=np.float64))
        self._check_channels()
        rows, notes = [0], []
        for path in self.paths:
            n_rows, left_over = self._rows_of(path)
            rows.append(rows[-1] + n_rows)
            if left_over:
                notes.append(self._cut_note(path, left_over))
        object.__setattr__(self, "first_rows", tuple(rows))
        object.__setattr__(self, "notes", tuple(notes))

    @property
    def n_channels(self) -> int:
        """Electrode channels."""
        return len(self.columns)

    @property
    def n_samples(self) -> int:
        """Samples of all files together."""
        return self.first_rows[-1]

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample of all channels of the file."""
        return self.n_file_channels * self.dtype.itemsize

    def read(self, start: int, stop: int, channels: Integer | None = None) -> NDArray[Any]:
        """Return stored counts of samples `start` to `stop` (exclusive).

        Parameters
        ----------
        start, stop : int
            Samples over all files, ``0 <= start <= stop <= n_samples``.
        channels : (k,) int array or None
            Rows of the probe; None for all.

        Returns
        -------
        (stop - start, k) array of `dtype`

        Raises
        ------
        UsageError
            The range or a channel lies outside the recording.
        InputError
            A file is gone, or shorter than it was when it was opened.
        """
        if channels is None:
            return self._read_columns(self.columns, start, stop)
        chosen = np.asarray(channels, dtype=np.int64)
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < self.n_channels):
            message = (
                f"{self.name} has channels 0 to {self.n_channels - 1}; asked for {chosen.min()} to {chosen.max()}."
            )
            raise UsageError(message)
        return self._read_columns(self.columns[chosen], start, stop)

    def read_column(self, column: int, start: int, stop: int) -> NDArray[Any]:
        """Return samples of one column of the file, an electrode or not (sync words, analog inputs).

        Parameters
        ----------
        column : int
            ``0 <= column < n_file_channels``.
        start, stop : int
            Samples over all files.

        Returns
        -------
        (stop - start,) array of `dtype`

        Raises
        ------
        UsageError
            The range or the column lies outside the recording.
        InputError
            A file is gone, or shorter than it was when it was opened.
        """
        if not 0 <= column < self.n_file_channels:
            message = f"{self.name} has columns 0 to {self.n_file_channels - 1}; asked for {column}."
            raise UsageError(message)
        return self._read_columns(np.array([column]), start, stop)[:, 0]

    @contextmanager
    def open_rows(self) -> Iterator[RowReader]:
        """Keep the files open for many small reads of whole rows."""
        descriptors: list[int] = []
        try:
            for path in self.paths:
                descriptors.append(_open(path))
            yield RowReader(descriptors, self)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _read_columns(self, columns: Integer, start: int, stop: int) -> NDArray[Any]:
        if not 0 <= start <= stop <= self.n_samples:
            message = f"{self.name} has samples 0 to {self.n_samples}; asked for {start} to {stop}."
            raise UsageError(message)
        result = np.empty((stop - start, len(columns)), dtype=self.dtype)
        is_whole_row = np.array_equal(columns, np.arange(self.n_file_channels))
        n_rows = max(1, min(stop - start, _BLOCK_BYTES // self.row_bytes))
        block = np.empty((0 if is_whole_row else n_rows, self.n_file_channels), dtype=self.dtype)
        picked = _as_slice(columns)
        with self.open_rows() as rows:
            if is_whole_row:
                rows.read_into(result, start)
                return result
            for first in range(start, stop, n_rows):
                piece = block[: min(n_rows, stop - first)]
                rows.read_into(piece, first)
                result[first - start : first - start + len(piece)] = piece[:, picked]
        return result

    def _check_channels(self) -> None:
        problem = ""
        if not self.paths:
            problem = "no file is given"
        elif self.dtype.kind not in "iuf":
            problem = f"samples of type {self.dtype} are no numbers; give an integer or float type such as int16"
        elif self.n_file_channels < 1:
            problem = f"the number of channels in the file is {self.n_file_channels}; it must be at least 1"
        elif self.header_bytes < 0:
            problem = f"the header has {self.header_bytes} bytes; it cannot have less than 0"
        elif not (np.isfinite(self.sampling_rate_hz) and self.sampling_rate_hz > 0):
            problem = f"the sampling rate is {self.sampling_rate_hz:g} Hz; it must be above 0"
        elif self.columns.ndim != 1 or not len(self.columns):
            problem = "no column of the file is an electrode"
        elif self.columns.min() < 0 or self.columns.max() >= self.n_file_channels:
            problem = (
                f"column {self.columns.max() if self.columns.min() >= 0 else self.columns.min()} is asked for, "
                f"but the file has {self.n_file_channels} channels (0 to {self.n_file_channels - 1}); "
                "the number of channels or the channel map is wrong"
            )
        else:
            for what, values in (("gains", self.gains_uv), ("offsets", self.offsets_uv)):
                if values is not None and values.shape != (self.n_channels,):
                    problem = f"there are {values.size} {what} for {self.n_channels} channels; give one for each"
        if problem:
            message = f"{self.name} ({', '.join(map(str, self.paths))}): {problem}."
            raise InputError(message)

    def _rows_of(self, path: Path) -> tuple[int, int]:
        try:
            n_bytes = path.stat().st_size
        except OSError as error:
            message = f"{self.name}: {path} cannot be read ({error.strerror}); put the file there or give its place."
            raise InputError(message) from error
        if path.is_dir():
            message = f"{self.name}: {path} is a folder; give the binary file in it."
            raise InputError(message)
        n_rows, left_over = divmod(n_bytes - self.header_bytes, self.row_bytes)
        if n_rows < 1:
            message = (
                f"{self.name}: {path} has {n_bytes} bytes, but a header of {self.header_bytes} and one sample of "
                f"{self.n_file_channels} channels ({self.dtype}) need {self.header_bytes + self.row_bytes}; the "
                "file is not complete, or the number of channels is wrong."
            )
            raise InputError(message)
        return n_rows, left_over

    def _cut_note(self, path: Path, left_over: int) -> str:
        return (
            f"{path.name} ends within a sample: its last {left_over} of {self.row_bytes} bytes are left out. "
            f"Either it is not complete, or it does not have {self.n_file_channels} channels of {self.dtype}."
        )


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror})."
        raise InputError(message) from error


def _as_slice(columns: Integer) -> slice | Integer:
    """Neighbouring columns are a slice, which copies several times faster than picking them one by one."""
    if len(columns) and np.array_equal(columns, np.arange(columns[0], columns[0] + len(columns))):
        return slice(int(columns[0]), int(columns[0]) + len(columns))
    return columns
