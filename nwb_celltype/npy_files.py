"""Arrays in ``.npy`` files: opened without pickle, and whatever is wrong with one is a `ValueError`."""

from __future__ import annotations

import tokenize
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DAMAGED = (ValueError, EOFError, SyntaxError, TypeError, OverflowError, tokenize.TokenError)
"""What NumPy raises for headers that it cannot parse, besides errors of the file system."""


def load_npy(path: Path) -> NDArray[Any]:
    """Map an array into memory; nothing is executed.

    Parameters
    ----------
    path : Path

    Returns
    -------
    array

    Raises
    ------
    OSError
        If the file cannot be opened or read.
    ValueError
        If it is damaged, or holds Python objects.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "spike_times.npy"
    >>> np.save(place, [3, 5])
    >>> load_npy(place).tolist()
    [3, 5]
    """
    with warnings.catch_warnings():
        # Of headers written by Python 2 and of old names of types; such files are read as they are meant.
        warnings.simplefilter("ignore")
        try:
            return np.asanyarray(_load(path))
        except DAMAGED as error:
            message = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
            raise ValueError(message) from error


def _load(path: Path) -> Any:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        # an array without elements cannot be mapped; anything else fails again here
        return np.load(path, allow_pickle=False)
