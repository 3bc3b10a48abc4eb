"""Ways to put an NWB file in memory on disk: HDF5 of our own, or what NeuroConv is asked to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from nwb_celltype.errors import InputError, UsageError

Backend = Literal["hdf5", "zarr"]


def write_new(path: Path, nwbfile: Any, *, backend: Backend | None = None, backend_configuration: Any = None) -> None:
    """Write a file in memory.

    HDF5 of our own replaces what is at `path` only when the new file is whole. What NeuroConv writes, it writes there
    at once.

    Parameters
    ----------
    path : Path
    nwbfile : pynwb.NWBFile
    backend : {'hdf5', 'zarr'}, optional
    backend_configuration : optional
        NeuroConv's; it writes then.

    Raises
    ------
    UsageError
        If NeuroConv is needed and not installed.
    InputError
        If the folder cannot be written.
    """
    if backend in (None, "hdf5") and backend_configuration is None:
        from nwb_celltype.converters.nwb import write_nwbfile
        from nwb_celltype.nwb_io.safe_write import create_safely

        create_safely(path, lambda partial: write_nwbfile(nwbfile, partial), lambda _: None, replaces=True)
        return
    try:
        from neuroconv.tools.nwb_helpers import (  # type: ignore[import-untyped,unused-ignore]
            configure_and_write_nwbfile,
        )
    except ImportError as error:
        message = "Other backends and backend configurations are NeuroConv's: pip install 'nwb-celltype[neuroconv]'."
        raise UsageError(message) from error
    configure_and_write_nwbfile(
        nwbfile=nwbfile, nwbfile_path=path, backend=backend, backend_configuration=backend_configuration
    )


def append_to(path: Path, add: Callable[[Any], None], *, backend: Backend | None = None) -> None:
    """Add to an existing HDF5 file: a copy is changed, and takes the file's place when it is whole.

    Raises
    ------
    UsageError
        If the file is no HDF5 file.
    InputError
        If it cannot be read as NWB.
    """
    from pynwb import NWBHDF5IO

    from nwb_celltype.converters.nwb import compress
    from nwb_celltype.nwb_io.safe_write import write_safely

    if backend not in (None, "hdf5") or path.is_dir():
        message = f"{path}: only HDF5 files can be added to; use NeuroConv's converter for Zarr."
        raise UsageError(message)

    def append(partial: Path) -> None:
        try:
            io = NWBHDF5IO(partial, "r+", load_namespaces=True)
        except OSError as error:
            message = f"{path} is no HDF5 file ({error}); nothing was added."
            raise InputError(message) from error
        with io:
            nwbfile = io.read()
            add(nwbfile)
            compress(nwbfile)
            io.write(nwbfile)

    write_safely(path, path, append, lambda _: None)
