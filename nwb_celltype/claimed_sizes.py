"""Whether an array of an HDF5 file is what it claims to be, before memory is spent on it.

A damaged or malicious header can claim any size, and HDF5 unpacks a compressed chunk to whatever it becomes.
"""

from __future__ import annotations

import zlib
from typing import Any

import h5py  # type: ignore[import-untyped,unused-ignore]

from nwb_celltype.errors import InputError

LARGEST_UNPACKED_BYTES = 2**30
"""What one chunk may become in memory before its bytes are looked at first."""

_MOST_COMPRESSED = 10_000  # no codec shrinks spikes, waveforms or labels this much
_DEFLATE = 1
_WHOLE_IN_ONE = (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)  # neither shrinks anything
_MOST_DEFLATED = 1032  # of zlib's own technical notes: no stream grows more than this
_PIECE_BYTES = 2**20
_SMALL_BYTES = 2**20
_looked_at: set[tuple[int, int]] = set()
_MOST_LOOKED_AT = 10_000


def require_believable(dataset: Any, file_name: str, *, large_bytes: int = 2**30) -> None:
    """Raise unless an array has about as many bytes as it claims.

    Parameters
    ----------
    dataset : h5py.Dataset
        Virtual ones, which store nothing, pass.
    file_name : str
        For the message.
    large_bytes : int
        What an array may claim, whatever it stores.

    Raises
    ------
    InputError
        If it claims 10,000 times what it stores, one of its chunks unpacks to more than a chunk holds, or it cannot be
        read.

    Examples
    --------
    >>> import h5py, io
    >>> file = h5py.File(io.BytesIO(), "w")
    >>> _ = file.create_dataset("id", shape=(10**10,), dtype="i8", chunks=(1000,))
    >>> require_believable(file["id"], "session.nwb")
    Traceback (most recent call last):
    nwb_celltype.errors.InputError: /id in session.nwb claims 75 GiB, far more than it stores; the file is damaged, ...
    """
    if dataset.is_virtual:
        return
    claimed = (dataset.size or 0) * dataset.dtype.itemsize
    try:
        if claimed > large_bytes and claimed > _MOST_COMPRESSED * dataset.id.get_storage_size():
            size = f"{claimed / 2**30:.0f} GiB" if claimed >= 2**30 else f"{claimed / 2**20:.0f} MiB"
            message = (
                f"{dataset.name} in {file_name} claims {size}, far more than it stores; the file is "
                "damaged, fetch or copy it again."
            )
            raise InputError(message)
        is_remote = dataset.file.driver == "fileobj"
        # neither chunks nor long indices of a remote file are fetched before `OpenFile.rows` needs them, and looks
        row = None if is_remote and claimed > _SMALL_BYTES else oversized_chunk(dataset, looks=not is_remote)
    except (OSError, RuntimeError, ValueError) as error:
        message = f"{dataset.name} in {file_name} cannot be read: {error}. Fetch or copy the file again."
        raise InputError(message) from error
    if row is not None:
        raise InputError(oversized(dataset, file_name, row))


def oversized(dataset: Any, file_name: str, row: int) -> str:
    """Sentence about a chunk that `oversized_chunk` found."""
    return (
        f"{dataset.name} in {file_name} has a compressed chunk, at row {row}, that unpacks to more than a chunk "
        "holds; the file is damaged, or made to fill the memory. Fetch or copy it again."
    )


def oversized_chunk(dataset: Any, start: int = 0, stop: int | None = None, *, looks: bool = True) -> int | None:
    """Find a deflated chunk that would become larger than the array says, without unpacking it whole.

    A chunk that takes more bytes in the file than its values do is none that HDF5 wrote. Others are small as a rule,
    and cannot become larger than `LARGEST_UNPACKED_BYTES`; only those that could are read, once for each open file.
    Chunks of other codecs are not looked at.

    Parameters
    ----------
    dataset : h5py.Dataset
    start, stop : int
        Rows whose chunks matter; all by default.
    looks : bool
        Whether chunks may be read for this.

    Returns
    -------
    int or None
        First row of the chunk.

    Raises
    ------
    OSError, RuntimeError
        If the chunk index or a chunk cannot be read.

    Examples
    --------
    >>> import h5py, io, zlib
    >>> file = h5py.File(io.BytesIO(), "w")
    >>> honest = file.create_dataset("spike_times", data=[0.5, 1.0], chunks=(2,), compression="gzip")
    >>> oversized_chunk(honest) is None
    True
    """
    if dataset.chunks is None or dataset.is_virtual:
        return None
    properties = dataset.id.get_create_plist()
    filters = [int(properties.get_filter(i)[0]) for i in range(properties.get_nfilters())]
    times = filters.count(_DEFLATE)
    if not times or not set(filters) <= {_DEFLATE, *_WHOLE_IN_ONE}:
        return None
    about = h5py.h5o.get_info(dataset.id)
    key = (int(about.fileno), int(about.addr))  # HDF5 numbers files anew each time that one is opened
    if key in _looked_at:
        return None
    n_bytes = dataset.dtype.itemsize
    for rows in dataset.chunks:
        n_bytes *= int(rows)
    most, safe = n_bytes + n_bytes // 100 + 1024, max(LARGEST_UNPACKED_BYTES, 4 * n_bytes)
    too_long: list[int] = []
    suspects: list[tuple[tuple[int, ...], int]] = []

    def note(info: Any) -> None:
        first = int(info.chunk_offset[0])
        if first + dataset.chunks[0] <= start or (stop is not None and first >= stop):
            return
        if info.size > most:
            too_long.append(first)
        elif info.size * _MOST_DEFLATED**times > safe:
            suspects.append((info.chunk_offset, info.filter_mask))

    dataset.id.chunk_iter(note)
    if too_long:
        return too_long[0]
    if not looks:
        return None
    for offset, mask in suspects:
        _, stored = dataset.id.read_direct_chunk(offset)
        deflations = sum(code == _DEFLATE and not mask >> position & 1 for position, code in enumerate(filters))
        if _unpacks_to_more(stored, deflations, most):
            return int(offset[0])
    if start <= 0 and stop is None:
        if len(_looked_at) >= _MOST_LOOKED_AT:
            _looked_at.clear()
        _looked_at.add(key)
    return None


def _unpacks_to_more(stored: bytes, deflations: int, n_bytes: int) -> bool:
    """Whether any layer of a chunk has more than `n_bytes`; a damaged stream is HDF5's to refuse."""
    for layer in range(deflations):
        unpacking, rest, pieces, found = zlib.decompressobj(), stored, [], 0
        while rest and not unpacking.eof:
            try:
                piece = unpacking.decompress(rest, _PIECE_BYTES)
            except zlib.error:
                return layer > 0  # nobody deflates twice; what cannot be followed may hide anything
            rest = unpacking.unconsumed_tail
            found += len(piece)
            if found > n_bytes:
                return True
            if layer + 1 < deflations:
                pieces.append(piece)
        stored = b"".join(pieces)
    return len(stored) > n_bytes
