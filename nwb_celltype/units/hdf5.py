"""Open a source as HDF5 and read groups, datasets, text and references; the only file that touches h5py."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped,unused-ignore]
import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError, UsageError

Node = Any  # h5py ships no type stubs: a group, dataset or reference is Any from here on

# NWB writers use chunks of 4 to 10 MB; a chunk that does not fit the cache is decompressed again for every unit in it.
CHUNK_CACHE_BYTES = 32 * 1024 * 1024
CHUNK_CACHE_SLOTS = 10007
# A damaged header can claim any size; no codec shrinks spikes or waveforms this much.
_LARGE_BYTES = 2**30
_LARGEST_COMPRESSION = 10_000
# what h5py raises on damaged bytes, depending on where the damage is
_READ_ERRORS = (OSError, RuntimeError, KeyError, TypeError, ValueError, MemoryError)
_REMOTE_PREFIXES = ("http://", "https://", "s3://", "gs://", "dandi:", "dandi://")


class OpenFile:
    """An open HDF5 file with the name that error messages use.

    Parameters
    ----------
    file : h5py.File
        The open file; this object closes it.
    name : str
        Path or description of the file.
    """

    def __init__(self, file: Node, name: str) -> None:
        self.file = file
        self.name = name

    @property
    def is_open(self) -> bool:
        """Whether data can still be read."""
        return bool(self.file)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self.file.close()

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Turn what h5py raises while it reads into one sentence.

        Raises
        ------
        UsageError
            If the file was closed before.
        InputError
            If HDF5 cannot read the bytes.
        """
        if not self.is_open:
            message = (
                f"Cannot read {what}: {self.name} is closed. Read inside the `with read_units(...) as units:` block."
            )
            raise UsageError(message)
        try:
            yield
        except _READ_ERRORS as error:
            message = f"Cannot read {what} in {self.name}: {error}. Check or fetch the file again."
            raise InputError(message) from error

    def rows(self, dataset: Node, start: int, stop: int, what: str) -> NDArray[Any]:
        """Rows ``start:stop`` of a dataset; raises as `reading` does."""
        with self.reading(what):
            return np.asarray(dataset[start:stop])


def open_source(source: object) -> Node:
    """Open an NWB file for reading.

    Parameters
    ----------
    source : str or os.PathLike or binary file object
        Path of an NWB file in HDF5, or an object with ``read`` and ``seek``.

    Returns
    -------
    h5py.File
        The open file; the caller closes it.

    Raises
    ------
    InputError
        If the file is missing, is a folder (NWB-Zarr), is truncated or is no HDF5 file.
    UsageError
        If the kind of source is not supported.

    Examples
    --------
    >>> open_source("s3://lab/a.nwb")
    Traceback (most recent call last):
    ...
    nwb_celltype.errors.UsageError: s3://lab/a.nwb is a remote address; download the file and give its path.
    """
    name = source_name(source)
    if isinstance(source, str) and source.lower().startswith(_REMOTE_PREFIXES):
        message = f"{name} is a remote address; download the file and give its path."
        raise UsageError(message)
    target: object
    if isinstance(source, str | os.PathLike):
        path = Path(os.fspath(source)).expanduser()
        _refuse_what_is_no_file(path)
        target = path
    elif hasattr(source, "read") and hasattr(source, "seek"):
        if isinstance(source, io.TextIOBase):
            message = f"{name} was opened as text; open it in binary mode ('rb')."
            raise UsageError(message)
        target = source
    else:
        message = f"Cannot read units from a {type(source).__name__}; give the path of an NWB file."
        raise UsageError(message)
    try:
        return h5py.File(target, "r", rdcc_nbytes=CHUNK_CACHE_BYTES, rdcc_nslots=CHUNK_CACHE_SLOTS)
    except OSError as error:
        raise InputError(_why_not_opened(name, error)) from error


def source_name(source: object) -> str:
    """Name of a source for messages: its path, or what kind of object it is."""
    if isinstance(source, str | os.PathLike):
        return str(os.fspath(source))
    return str(getattr(source, "name", f"<{type(source).__name__}>"))


def _refuse_what_is_no_file(path: Path) -> None:
    if path.is_dir():
        is_zarr = any((path / mark).exists() for mark in (".zgroup", ".zmetadata", "zarr.json"))
        message = (
            f"{path} is an NWB-Zarr folder, and only NWB in HDF5 can be read; export it to HDF5 with hdmf-zarr first."
            if is_zarr
            else f"{path} is a folder; give the path of one NWB file."
        )
        raise InputError(message)
    if not path.exists():
        message = f"{path} does not exist; check the path."
        raise InputError(message)


def _why_not_opened(name: str, error: OSError) -> str:
    text = str(error)
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{name} may not be read (permission denied); check its permissions."
    if "truncated" in text:
        return f"{name} is truncated ({text}); fetch or copy the file again."
    if "signature not found" in text:
        return f"{name} is not an HDF5 file, so not an NWB file that can be read; check what it is."
    if "lock" in text:
        return f"{name} is locked, probably because another program is writing it; close that program first ({text})."
    return f"{name} cannot be opened as HDF5: {text}."


def child(group: Node, name: str, file_name: str) -> Node | None:
    """Member of a group, or None when absent; a link that leads nowhere is an error.

    Raises
    ------
    InputError
        If the member is a soft or external link whose target cannot be opened.
    """
    link = group.get(name, getlink=True)
    if link is None:
        return None
    try:
        return group[name]
    except (KeyError, OSError) as error:
        place = f"{group.name.rstrip('/')}/{name}"
        if isinstance(link, h5py.ExternalLink):
            message = (
                f"{place} in {file_name} is an external link to {link.path} in {link.filename}, which cannot be "
                "opened; put that file beside this one."
            )
        elif isinstance(link, h5py.SoftLink):
            message = f"{place} in {file_name} is a link to {link.path}, which does not exist; repair the file."
        else:
            message = f"{place} in {file_name} cannot be read: {error}. Fetch or copy the file again."
        raise InputError(message) from error


def column(table: Node, name: str, file_name: str) -> Node | None:
    """Dataset of a table, or None when there is no member of that name or it is a group.

    Raises
    ------
    InputError
        If a link leads nowhere, or the dataset claims a size that it cannot have.
    """
    member = child(table, name, file_name)
    if not is_dataset(member) or member is None:
        return None
    claimed = (member.size or 0) * member.dtype.itemsize
    if (
        claimed > _LARGE_BYTES
        and not member.is_virtual
        and claimed > _LARGEST_COMPRESSION * member.id.get_storage_size()
    ):
        message = (
            f"{member.name} in {file_name} claims {claimed / 2**30:.0f} GiB, far more than it stores; the file is "
            "damaged, fetch or copy it again."
        )
        raise InputError(message)
    return member


def is_group(node: Node | None) -> bool:
    """Whether a node is an HDF5 group."""
    return isinstance(node, h5py.Group)


def is_dataset(node: Node | None) -> bool:
    """Whether a node is an HDF5 dataset."""
    return isinstance(node, h5py.Dataset)


def at_path(file: Node, path: str, file_name: str) -> Node | None:
    """Node at an absolute HDF5 path, following links; None when there is none."""
    node: Node | None = file
    for part in path.strip("/").split("/"):
        if not is_group(node):
            return None
        node = child(node, part, file_name)
    return node


def walk_groups(group: Node, depth: int, skip: Callable[[str], bool] = lambda _: False) -> Iterator[tuple[str, Node]]:
    """Groups below a group as (path, group), each once, not following links; links that are broken are passed over."""
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        if group.get(name, getclass=True) is not h5py.Group:
            continue
        member = group[name]
        if skip(member.name):
            continue
        yield member.name, member
        if depth > 1:
            yield from walk_groups(member, depth - 1, skip)


def text(value: object) -> str:
    """A stored scalar as text: bytes, str, enum, bool, int or float; missing values become ``""``.

    Examples
    --------
    >>> text(b"PkC_ss"), text(np.True_), text(2.0), text(float("nan"))
    ('PkC_ss', 'True', '2', '')
    """
    if isinstance(value, np.ndarray):
        return ", ".join(part for part in (text(item) for item in value.ravel()) if part)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").rstrip("\x00")
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return ""
        return str(int(value)) if float(value).is_integer() else str(float(value))
    if value is None or isinstance(value, h5py.Empty):
        return ""
    return str(value)


def texts(values: Sequence[str]) -> NDArray[np.str_]:
    """Array of str, shape (n,), also when empty."""
    return np.array(list(values), dtype=np.str_).reshape(len(values))


def attribute(node: Node, name: str) -> str:
    """Attribute as text, ``""`` when absent or unreadable."""
    if name not in node.attrs:
        return ""
    try:
        return text(node.attrs[name])
    except (OSError, TypeError, KeyError):
        return ""


def number_attribute(node: Node, name: str) -> float | None:
    """Attribute as one number, None when absent or not a number."""
    if name not in node.attrs:
        return None
    try:
        value = np.asarray(node.attrs[name], dtype=np.float64).ravel()
    except (OSError, TypeError, ValueError, KeyError):
        return None
    return float(value[0]) if value.size == 1 else None


def scalar_text(group: Node, name: str, file_name: str) -> str:
    """Text of a scalar dataset, ``""`` when absent."""
    member = child(group, name, file_name)
    return text(member[()]) if is_dataset(member) and member is not None else ""


def referenced(file: Node, reference: object) -> Node | None:
    """Object that an HDF5 reference points to, None when it points nowhere."""
    if not isinstance(reference, h5py.Reference) or not reference:
        return None
    try:
        return file[reference]
    except (ValueError, KeyError, OSError, RuntimeError):
        return None


def is_reference(dataset: Node) -> bool:
    """Whether a dataset holds object references."""
    return h5py.check_ref_dtype(dataset.dtype) is not None


def is_text(dataset: Node) -> bool:
    """Whether a dataset holds strings, of fixed or variable length."""
    return h5py.check_string_dtype(dataset.dtype) is not None


def rows_of_uncached_chunk(dataset: Node) -> int:
    """Rows in one chunk of a dataset if the chunk is too large for the cache, else 1."""
    if dataset.chunks is None or int(np.prod(dataset.chunks)) * dataset.dtype.itemsize <= CHUNK_CACHE_BYTES:
        return 1
    return int(dataset.chunks[0])


def is_number(dataset: Node) -> bool:
    """Whether a dataset holds plain integers or floats."""
    return dataset.dtype.kind in "iuf" and h5py.check_enum_dtype(dataset.dtype) is None


def enum_names(dataset: Node) -> dict[int, str]:
    """Names of an HDF5 enum, or of an hdmf ``EnumData`` column by its ``elements``; empty when neither."""
    members = h5py.check_enum_dtype(dataset.dtype)
    if members is not None and dataset.dtype.kind != "b":
        return {int(code): name for name, code in members.items()}
    elements = referenced(dataset.file, dataset.attrs.get("elements"))
    if elements is None or not is_dataset(elements):
        return {}
    return {code: text(value) for code, value in enumerate(elements[()])}
