"""Open a source as HDF5 and read groups, datasets, text and references: what the readers know of h5py."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py  # type: ignore[import-untyped,unused-ignore]
import numpy as np
from numpy.typing import NDArray

from nwb_celltype.archive.addresses import is_remote, without_secrets
from nwb_celltype.claimed_sizes import oversized, oversized_chunk, require_believable
from nwb_celltype.errors import CellTypeError, InputError, UsageError
from nwb_celltype.units.chunk_plan import plan_chunks
from nwb_celltype.units.remote import DATA_GAP_BYTES, HEADER_GAP_BYTES, Stream, fetch_headers, open_hdf5
from nwb_celltype.units.remote_array import RemoteArray

if TYPE_CHECKING:
    from nwb_celltype.archive.disk_cache import DiskCache

Node = Any  # h5py ships no type stubs: a group, dataset or reference is Any from here on

# NWB writers use chunks of 4 to 10 MB; a chunk that does not fit the cache is decompressed again for every unit in it.
CHUNK_CACHE_BYTES = 32 * 1024 * 1024
_CHUNK_CACHE = {"rdcc_nbytes": CHUNK_CACHE_BYTES, "rdcc_nslots": 10007}
# what h5py raises on damaged bytes, depending on where the damage is
_READ_ERRORS = (OSError, RuntimeError, KeyError, TypeError, ValueError, MemoryError)
# columns below this come with their header, or with one read of HDF5
_LEAST_PLANNED_BYTES = 16 * 1024


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
        self._stream: Stream | None = getattr(file, "stream", None)
        # the asset that an address was found to mean, with its version
        self.name = name if self._stream is None else self._stream.remote.name
        self._arrays: dict[str, RemoteArray | None] = {}

    @property
    def is_open(self) -> bool:
        """Whether data can still be read."""
        return bool(self.file)

    @property
    def is_remote(self) -> bool:
        """Whether the file is on a server."""
        return self._stream is not None

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
        except (*_READ_ERRORS, CellTypeError) as error:
            self._raise_failure(error)
            if isinstance(error, CellTypeError):
                raise
            message = f"Cannot read {what} in {self.name}: {error}. Check or fetch the file again."
            raise InputError(message) from error
        # h5py takes what it could not fetch for absent
        self._raise_failure()

    def rows(self, dataset: Node, start: int, stop: int, what: str) -> NDArray[Any]:
        """Rows ``start:stop`` of a dataset; raises as `reading` does."""
        with self.reading(what):
            array = self._array(dataset)
            if array is not None:
                return array.read(start, stop)
            return self._unpacked_by_hdf5(dataset, start, stop) if self.is_remote else np.asarray(dataset[start:stop])

    def announce(self, dataset: Node, what: str) -> Callable[[Sequence[tuple[int, int]]], None] | None:
        """How to say which rows of a dataset will be read next; None when that brings nothing (a local file)."""
        if self._stream is None:
            return None

        def ahead(rows: Sequence[tuple[int, int]]) -> None:
            with self.reading(what):
                array = self._array(dataset)
                if array is not None:
                    array.announce(rows)

        return ahead

    def fetch_headers(self, group: Node, names: Sequence[str] | None = None, gap: int = HEADER_GAP_BYTES) -> None:
        """Fetch the headers of a remote group's members together; nothing to do in a local file."""
        if self._stream is not None and is_group(group):
            fetch_headers(group, self._stream, names, gap)

    def fetch_values(self, datasets: Sequence[Node]) -> None:
        """Fetch small remote datasets together, which are read through h5py next; nothing to do in a local file."""
        if self._stream is None:
            return
        plans = [plan_chunks(dataset) for dataset in datasets if dataset.file.filename == self.file.filename]
        spans = [span for plan in plans if plan is not None for span in plan.spans(0, plan.shape[0])]
        self._stream.prefetch(spans, HEADER_GAP_BYTES if sum(b - a for a, b in spans) < 2**20 else DATA_GAP_BYTES)

    def _array(self, dataset: Node) -> RemoteArray | None:
        if self._stream is None or dataset.size is None or dataset.size * dataset.dtype.itemsize < _LEAST_PLANNED_BYTES:
            return None
        if dataset.name not in self._arrays:
            # what an external link leads to is another file
            plan = plan_chunks(dataset) if dataset.file.filename == self.file.filename else None
            self._arrays[dataset.name] = (
                None
                if plan is None
                else RemoteArray(plan, self._stream, lambda start, stop: self._unpacked_by_hdf5(dataset, start, stop))
            )
        return self._arrays[dataset.name]

    def _unpacked_by_hdf5(self, dataset: Node, start: int, stop: int) -> NDArray[Any]:
        row = oversized_chunk(dataset, start, stop)
        if row is not None:
            raise InputError(oversized(dataset, self.name, row))
        return np.asarray(dataset[start:stop])

    def _raise_failure(self, cause: BaseException | None = None) -> None:
        if self._stream is not None:
            self._stream.raise_failure(cause)


def open_source(
    source: object, *, cache: DiskCache | Path | str | bool | None = None, instance: str | None = None
) -> Node:
    """Open an NWB file for reading.

    Parameters
    ----------
    source : str or os.PathLike or address or binary file object
        Path of an NWB file in HDF5; ``http(s)://``, ``s3://``, ``DANDI:ID[@VERSION]/PATH`` or
        ``dandi://INSTANCE/ID[@VERSION]/PATH``, of which only what is asked for is read; or an object with ``read`` and
        ``seek``.
    cache : DiskCache or path or bool, optional
        Where to keep what was read of a remote file; True is the default place, None and False nowhere.
    instance : str, optional
        Archive that ``DANDI:`` means: a name or a URL.

    Returns
    -------
    h5py.File
        The open file; the caller closes it, and with it the connection. Where h5py reports a failed network as an
        OSError, leaving the ``with`` block raises the failure itself.

    Raises
    ------
    InputError
        If the file is missing, is NWB-Zarr, is truncated or is no HDF5 file.
    UsageError
        If the kind of source is not supported.
    NetworkError, RefusedError
        If a server cannot be reached, or does not let us read the file.

    Examples
    --------
    >>> open_source("no_such_file.nwb")
    Traceback (most recent call last):
    ...
    nwb_celltype.errors.InputError: no_such_file.nwb does not exist; check the path.
    """
    name = source_name(source)
    target: object
    if is_remote(source):
        try:
            return open_hdf5(source, cache=cache, instance=instance, **_CHUNK_CACHE)
        except OSError as error:
            raise InputError(_why_not_opened(name, error)) from error
    if isinstance(source, str | os.PathLike):
        path = Path(os.fspath(source)).expanduser()
        refuse_what_is_no_file(path)
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
        return h5py.File(target, "r", **_CHUNK_CACHE)
    except OSError as error:
        raise InputError(_why_not_opened(name, error)) from error


def source_name(source: object) -> str:
    """Name of a source for messages: its path, its address without secrets, or what kind of object it is."""
    if is_remote(source):
        return without_secrets(str(getattr(source, "text", source)))
    if isinstance(source, str | os.PathLike):
        return str(os.fspath(source))
    return str(getattr(source, "name", f"<{type(source).__name__}>"))


def refuse_what_is_no_file(path: Path) -> None:
    """Raise `InputError` for a path that is missing, is a folder, or a pipe or device, which may never end."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # also names that no file can have
        may_not = getattr(error, "errno", None) in (errno.EACCES, errno.EPERM)
        wrong = "may not be read (permission denied)" if may_not else "does not exist"
        message = f"{path} {wrong}; check {'its permissions' if may_not else 'the path'}."
        raise InputError(message) from error
    if stat.S_ISDIR(status.st_mode):
        is_zarr = any((path / mark).exists() for mark in (".zgroup", ".zmetadata", "zarr.json"))
        message = (
            f"{path} is an NWB-Zarr folder, and only NWB in HDF5 can be read; export it to HDF5 with hdmf-zarr first."
            if is_zarr
            else f"{path} is a folder; give the path of one NWB file."
        )
        raise InputError(message)
    if not stat.S_ISREG(status.st_mode):
        message = f"{path} is no regular file but a pipe or a device; give the path of one NWB file."
        raise InputError(message)


def _why_not_opened(name: str, error: OSError) -> str:
    text = str(error)
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{name} may not be read (permission denied); check its permissions."
    if "truncated" in text:
        return f"{name} is truncated ({text}); fetch or copy the file again."
    if "signature not found" in text:
        return f"{name} is not an HDF5 file, so not an NWB file that can be read; check what it is."
    if "lock file" in text and any(f"errno = {number}," in text for number in (errno.ENOLCK, errno.EOPNOTSUPP)):
        return f"{name} is on a disk without locks; set HDF5_USE_FILE_LOCKING=FALSE, then run this again."
    if "lock file" in text or "already open" in text:
        return f"{name} is locked, probably because another program is writing it; close that program first ({text})."
    return f"{name} cannot be opened as HDF5: {text}. Fetch or copy the file again."


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
    if member.is_virtual:
        _require_sources(member, file_name)
    require_believable(member, file_name)
    return member


def _require_sources(dataset: Node, file_name: str) -> None:
    """Raise unless all files are there that a virtual dataset is a view of: HDF5 fills what is missing with zeros."""
    for source in dataset.virtual_sources():
        place = Path(dataset.file.filename).parent / source.file_name
        if source.file_name != "." and not place.is_file():
            message = (
                f"{dataset.name} in {file_name} is a view of other files, of which {source.file_name} is not there; "
                "put it beside this one."
            )
            raise InputError(message)


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
    """Groups below a group as (path, group), each once, not following links; links that are broken are passed over.

    Level by level, because groups may hold one another, by any number of names: the shortest path is given.
    """
    seen, level = {group.id}, [group]
    for _ in range(depth):
        deeper = []
        for parent in level:
            for name in parent:
                if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
                    continue
                if parent.get(name, getclass=True) is not h5py.Group:
                    continue
                member = parent[name]
                if skip(member.name) or member.id in seen:
                    continue
                seen.add(member.id)
                yield member.name, member
                deeper.append(member)
        level = deeper


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
