"""Write an NWB file in memory to HDF5: large data in chunks of a megabyte, shuffled and compressed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped,unused-ignore]
import numpy as np

from nwb_celltype.converters.nwb.blocks import Blocks, chunk_of_rows
from nwb_celltype.converters.nwb.packed_chunks import dataset_options, fill
from nwb_celltype.converters.nwb.terms import write_region_terms

_COMPRESSION_LEVEL = 4
_SMALL_BYTES = 2**16


def write_nwbfile(nwbfile: Any, path: str | Path) -> None:
    """Write a file; a file of this name is replaced, and one that could not be finished is removed.

    To have either the old file or the whole new one after a crash, write through
    `nwb_celltype.nwb_io.safe_write.create_safely`.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    path : str or Path

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written.
    """
    from pynwb import NWBHDF5IO

    path = Path(path)
    write_region_terms(nwbfile)
    traces = _leave_for_later(nwbfile)
    compress(nwbfile)
    try:
        with warnings.catch_warnings():
            # a file is written under another name first, which need not end in .nwb
            warnings.filterwarnings("ignore", message="The file path provided", category=UserWarning)
            io = NWBHDF5IO(path, "w")
        with io:
            io.write(nwbfile)
        _fill(path, traces)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        for child in nwbfile.all_children():
            if child.object_id in traces:  # what is in memory stays as it was
                child.fields["data"] = traces[child.object_id]


def _leave_for_later(nwbfile: Any) -> dict[str, Blocks]:
    """Have the writer make empty datasets for traces; returns what belongs into them, by object id of the series."""
    from hdmf.backends.hdf5.h5_utils import H5DataIO
    from pynwb import TimeSeries

    traces = {}
    for child in nwbfile.all_children():
        blocks = child.fields.get("data") if isinstance(child, TimeSeries) else None
        if isinstance(blocks, Blocks):
            traces[child.object_id] = blocks
            child.fields["data"] = H5DataIO(**dataset_options(blocks))
    return traces


def _fill(path: Path, traces: dict[str, Blocks]) -> None:
    if not traces:
        return
    with h5py.File(path, "r+") as file:
        series: list[Any] = []
        file.visititems(lambda _, node: series.append(node) if node.attrs.get("object_id") in traces else None)
        for node in series:
            fill(node["data"], traces[node.attrs["object_id"]])


def compress(nwbfile: Any) -> None:
    """Wrap large data that nobody has wrapped yet, so that HDF5 stores it in compressed chunks.

    `write_nwbfile` does so; whoever adds to a file on disk calls it before writing.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    """
    from hdmf.backends.hdf5.h5_utils import H5DataIO  # type: ignore[import-untyped,unused-ignore]
    from hdmf.common import DynamicTable, VectorData
    from pynwb import TimeSeries

    for child in nwbfile.all_children():
        if isinstance(child, DynamicTable):
            for column in child.columns:
                is_large = isinstance(column, VectorData) and _is_large(column.data)
                if is_large:
                    column.set_data_io(H5DataIO, _options(column.data))
        elif isinstance(child, TimeSeries):
            for name in ("data", "timestamps"):
                values = child.fields.get(name)
                if _is_large(values):
                    child.set_data_io(name, H5DataIO, _options(values))


def _is_large(values: Any) -> bool:
    if isinstance(values, Blocks):
        return True
    return isinstance(values, np.ndarray) and values.dtype.kind in "iufb" and values.nbytes > _SMALL_BYTES


def _options(values: Any) -> dict[str, Any]:
    chunks = values.chunk_shape if isinstance(values, Blocks) else chunk_of_rows(values.shape, values.dtype)
    return {
        "chunks": chunks,
        "maxshape": (None, *values.shape[1:]),
        "compression": "gzip",
        "compression_opts": _COMPRESSION_LEVEL,
        "shuffle": True,
    }
