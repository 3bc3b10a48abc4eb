"""Large arrays as compressed chunks, packed by several threads; HDF5's own filters use one."""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.nwb.blocks import Blocks

LEVEL = 1
"""Of gzip. On traces of a probe, level 4 takes twice the time and saves less than a tenth more."""

_MOST_THREADS = 4


def dataset_options(blocks: Blocks) -> dict[str, Any]:
    """How HDF5 is to make the dataset that `fill` fills.

    Parameters
    ----------
    blocks : Blocks

    Returns
    -------
    dict
        Arguments of `hdmf.backends.hdf5.H5DataIO`.
    """
    return {
        "shape": blocks.shape,
        "dtype": blocks.dtype,
        "maxshape": (None, *blocks.shape[1:]),
        "chunks": blocks.chunk_shape,
        "compression": "gzip",
        "compression_opts": LEVEL,
        "shuffle": True,
    }


def fill(dataset: Any, blocks: Blocks) -> None:
    """Write every row of `blocks` into an empty dataset of the same shape, made with `dataset_options`.

    A stripe of chunks is read at a time, so memory is bounded by a few stripes.

    Parameters
    ----------
    dataset : h5py.Dataset
    blocks : Blocks

    Examples
    --------
    >>> import h5py
    >>> counts = Blocks(lambda a, b: np.arange(a, b)[:, None] * [1, 2], (10, 2), np.int16, chunk_shape=(4, 2))
    >>> with h5py.File("in_memory.h5", "w", driver="core", backing_store=False) as file:
    ...     made = file.create_dataset("data", **dataset_options(counts))
    ...     fill(made, counts)
    ...     made[8:].tolist()
    [[8, 16], [9, 18]]
    """
    n_threads = max(1, min(_MOST_THREADS, os.cpu_count() or 1))
    waiting: deque[tuple[tuple[int, ...], Future[bytes]]] = deque()
    dtype = dataset.dtype  # what the file holds, with its byte order
    with ThreadPoolExecutor(n_threads) as pool:
        for offset, chunk in _chunks(blocks):
            waiting.append((offset, pool.submit(_packed, chunk, blocks.chunk_shape, dtype)))
            while len(waiting) > 2 * n_threads:
                _store(dataset, *waiting.popleft())
        while waiting:
            _store(dataset, *waiting.popleft())


def _store(dataset: Any, offset: tuple[int, ...], packed: Future[bytes]) -> None:
    dataset.id.write_direct_chunk(offset, packed.result())


def _chunks(blocks: Blocks) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
    """Yield the offset and the values of every chunk; those at the far ends are smaller."""
    step = blocks.chunk_shape[0]
    others = [range(0, n, c) for n, c in zip(blocks.shape[1:], blocks.chunk_shape[1:], strict=True)]
    for start in range(0, blocks.shape[0], step):
        rows = blocks[start : start + step]
        for columns in product(*others):
            cut = tuple(slice(a, a + c) for a, c in zip(columns, blocks.chunk_shape[1:], strict=True))
            yield (start, *columns), rows[(slice(None), *cut)]


def _packed(values: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Fill up to a whole chunk, put first bytes first (HDF5's shuffle), then deflate."""
    whole = np.zeros(shape, dtype=dtype)
    whole[tuple(slice(0, n) for n in values.shape)] = values
    shuffled = whole.reshape(-1).view(np.uint8).reshape(-1, dtype.itemsize).T
    return zlib.compress(np.ascontiguousarray(shuffled).data, LEVEL)
