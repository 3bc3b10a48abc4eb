"""NPY arrays of a sorting folder: opened without pickle, long ones read in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError
from nwb_celltype.npy_files import load_npy

BLOCK = 2**20
"""Spikes that are held at a time beside the result."""


def open_array(path: Path) -> NDArray[Any]:
    """Map an array of numbers into memory; nothing is executed.

    Raises
    ------
    InputError
        If the file is missing, damaged, or holds Python objects.
    """
    try:
        return load_npy(path)
    except FileNotFoundError as error:
        message = f"{path} is missing: the folder is not a whole output of Kilosort or Phy. Copy the file there."
        raise InputError(message) from error
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read as an array of numbers ({error}). Copy it again from where it was sorted."
        raise InputError(message) from error


@dataclass(frozen=True)
class Vector:
    """One value a spike, on disk as (n,), (n, 1) or (1, n).

    The file is opened for each block and closed again, so that its pages do not count as memory in use.
    """

    path: Path
    n: int
    dtype: np.dtype[Any]

    @property
    def name(self) -> str:
        """File name."""
        return self.path.name

    def __len__(self) -> int:
        return self.n

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Values `start` to `stop` (exclusive)."""
        return np.array(open_array(self.path).reshape(-1)[start:stop])


def open_vector(path: Path) -> Vector:
    """Open one array of spikes.

    Raises
    ------
    InputError
        If it holds no numbers, or more than one a spike.
    """
    array = open_array(path)
    if array.dtype.kind not in "iuf" or array.size != max(array.shape, default=1):
        message = f"{path} has shape {array.shape} and type {array.dtype}; one number a spike is needed."
        raise InputError(message)
    return Vector(path, int(array.size), array.dtype)


def blocks(n: int) -> Iterator[tuple[int, int]]:
    """Starts and stops of pieces that fit in memory."""
    for start in range(0, n, BLOCK):
        yield start, min(start + BLOCK, n)


def whole_numbers(values: NDArray[Any], path: Path) -> NDArray[np.int64]:
    """Ids as int64.

    Raises
    ------
    InputError
        If a value is no whole number.
    """
    if values.dtype.kind == "f" and not bool(np.all(np.isfinite(values) & (values == np.rint(values)))):
        message = f"{path} holds values that are no whole numbers; ids are needed there."
        raise InputError(message)
    return values.astype(np.int64)
