"""Open a pickle, let the machine follow its instructions, and say in a sentence what was wrong."""

from __future__ import annotations

import io
import mmap
import pickletools
import warnings
from pathlib import Path
from typing import Any, Protocol

from nwb_celltype.converters.safe_pickle.instructions import follow
from nwb_celltype.converters.safe_pickle.machine import Machine
from nwb_celltype.converters.safe_pickle.names import Broken, Refused
from nwb_celltype.errors import InputError, RefusedError

MAX_BYTES = 4 * 2**30
_SPARE_BYTES = 2**26


class _Stream(Protocol):
    """What `pickletools.genops` reads from."""

    def read(self, n: int = ..., /) -> bytes: ...
    def readline(self) -> bytes: ...
    def tell(self) -> int: ...


def load(path: str | Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read a pickle of plain values: no code of it is run.

    Built are dict, list, tuple, set, frozenset, str, bytes, bytearray, int, float, complex, bool and None, and numpy's
    arrays, scalars and types of numbers, texts and plain values. Protocols 0 to 5, written with numpy 1 or 2.

    Parameters
    ----------
    path : str or Path
    max_bytes : int
        Larger files are refused, because all of it is held in memory.

    Returns
    -------
    object
        Arrays are views of the bytes that were read and cannot be written to.

    Raises
    ------
    RefusedError
        If the file asks for anything else; the message names it.
    InputError
        If it is damaged, too large, or no pickle.

    Examples
    --------
    >>> load("no_such_file.pkl")
    Traceback (most recent call last):
        ...
    nwb_celltype.errors.InputError: no_such_file.pkl cannot be read: No such file or directory. Check the path.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if not path.is_file() or not 0 < size <= max_bytes:
            how = "is no file" if not path.is_file() else "is empty" if size == 0 else f"has {size} bytes"
            message = f"{path} {how}; a pickle of 1 to {max_bytes} bytes is needed. Save it without its snippets."
            raise InputError(message)
        with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return _load(mapped, size, str(path))
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}. Check the path."
        raise InputError(message) from error


def loads(data: bytes, *, name: str) -> Any:
    """Read a pickle that is in memory, as `load` does.

    Parameters
    ----------
    data : bytes
    name : str
        What messages call it.

    Raises
    ------
    RefusedError, InputError
        As `load`.

    Examples
    --------
    >>> import pickle
    >>> import numpy as np
    >>> loads(pickle.dumps({"spikes": np.arange(3)}), name="sorting.pkl")
    {'spikes': array([0, 1, 2])}
    >>> loads(pickle.dumps(eval), name="sorting.pkl")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    nwb_celltype.errors.RefusedError: sorting.pkl asks for builtins.eval. A pickle can run any code ...
    """
    return _load(io.BytesIO(data), len(data), name)


def _load(stream: _Stream, size: int, name: str) -> Any:
    machine = Machine(2 * size + _SPARE_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # odd escapes in names, which are refused anyway
            for n, (instruction, argument, _) in enumerate(pickletools.genops(stream)):  # type: ignore[arg-type]
                follow(machine, instruction.name, argument, n_before=n)
        return machine.result()
    except Refused as error:
        message = (
            f"{name} asks for {error}. A pickle can run any code when Python opens it, so only plain values and arrays "
            "are read here. If you trust the file, open it in Python and save its values again, as arrays, lists and "
            "dictionaries."
        )
        raise RefusedError(message) from None
    except (Broken, ValueError, OverflowError, MemoryError) as error:
        said = str(error).splitlines()[0] if str(error) else "a value of it is too large"
        message = f"{name} cannot be read as a pickle ({said}); it is damaged or no pickle. Copy or save it again."
        raise InputError(message) from error
