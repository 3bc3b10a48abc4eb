"""Safetensors files larger than memory: written piece by piece, read through the pages of the file."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError
from nwb_celltype.nested_text import parse_json

_TYPES: dict[str, type[np.generic]] = {"F32": np.float32, "F64": np.float64, "I16": np.int16, "I32": np.int32}
_MAX_HEADER = 100_000_000
_PIECE = 1 << 24


def map_tensors(path: str | Path, *, is_writable: bool = False) -> dict[str, NDArray[Any]]:
    """Arrays of a safetensors file, read when they are looked at.

    Parameters
    ----------
    path : str or Path
    is_writable : bool
        Whether what is put into the arrays is to go into the file.

    Returns
    -------
    dict of str to array

    Raises
    ------
    InputError
        If it is no safetensors file, or holds other than float32, float64, int16 and int32.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(8)
            length = struct.unpack("<Q", raw)[0] if len(raw) == 8 else _MAX_HEADER + 1
            header = parse_json(file.read(length)) if length <= _MAX_HEADER else None
        size = path.stat().st_size - 8 - length
        if not isinstance(header, dict) or size < 0:
            message = "its header is damaged"
            raise ValueError(message)
        header.pop("__metadata__", None)
        entries = sorted(header.items(), key=lambda item: item[1]["data_offsets"][0])
        arrays: dict[str, NDArray[Any]] = {}
        end = 0
        for name, entry in entries:
            kind, shape = _TYPES[entry["dtype"]], tuple(int(n) for n in entry["shape"])
            start, stop = entry["data_offsets"]
            if start != end or min(shape, default=1) < 0 or stop - start != prod(shape) * np.dtype(kind).itemsize:
                message = f"tensor {name!r} does not fit its place"
                raise ValueError(message)
            end = stop
            arrays[name] = (
                np.memmap(path, kind, "r+" if is_writable else "r", offset=8 + length + start, shape=shape)
                if stop > start
                else np.zeros(shape, dtype=kind)
            )
        if end != size:
            message = f"{size - end} bytes are left over or missing"
            raise ValueError(message)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
        message = f"{path} is not a readable safetensors file ({error}); get the model again."
        raise InputError(message) from error
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror or error}); get the model again."
        raise InputError(message) from error
    return arrays


def write_tensors(path: str | Path, tensors: Mapping[str, NDArray[Any]]) -> str:
    """Write arrays, one after the other, without a second copy of them in memory; returns the file's sha256.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> digest = write_tensors(f"{folder}/a.safetensors", {"x": np.arange(3, dtype=np.float32)})
    >>> map_tensors(f"{folder}/a.safetensors")["x"].tolist(), len(digest)
    ([0.0, 1.0, 2.0], 64)
    """
    names, header = _header({name: (value.shape, value.dtype.type) for name, value in tensors.items()})
    digest = hashlib.sha256(header)
    with Path(path).open("wb") as file:
        file.write(header)
        for name in names:
            flat = tensors[name].reshape(-1)
            step = max(_PIECE // max(flat.itemsize, 1), 1)
            for start in range(0, len(flat), step):
                piece = np.ascontiguousarray(flat[start : start + step]).astype(flat.dtype.newbyteorder("<")).tobytes()
                digest.update(piece)
                file.write(piece)
    return digest.hexdigest()


def create_tensors(path: str | Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Make a file of float32 zeros to be filled; returns its arrays."""
    names, header = _header({name: (shape, np.float32) for name, shape in shapes.items()})
    with Path(path).open("wb") as file:
        file.write(header)
        file.truncate(len(header) + 4 * sum(prod(shapes[name]) for name in names))
    return map_tensors(path, is_writable=True)


def sha256_of_file(path: str | Path) -> str:
    """Sha256 of a file, read piece by piece."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _header(entries: Mapping[str, tuple[tuple[int, ...], type[np.generic]]]) -> tuple[list[str], bytes]:
    """Names in the order of the file (wide types first, so that each lies where it may), and what comes before them."""
    words = {kind: word for word, kind in _TYPES.items()}
    names = sorted(entries, key=lambda name: (-np.dtype(entries[name][1]).itemsize, name))
    said, start = {}, 0
    for name in names:
        shape, kind = entries[name]
        stop = start + prod(shape) * np.dtype(kind).itemsize
        said[name] = {"dtype": words[kind], "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(said, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return names, struct.pack("<Q", len(text)) + text
