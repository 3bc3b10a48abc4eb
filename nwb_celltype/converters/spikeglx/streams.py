"""Traces of one SpikeGLX stream: the electrodes of a probe, or every column of another stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.records import Probe
from nwb_celltype.converters.spikeglx.geometry import read_probe
from nwb_celltype.converters.spikeglx.imro import catgt_options, filterings, gains_uv
from nwb_celltype.converters.spikeglx.meta import Meta, read_meta
from nwb_celltype.converters.spikeglx.run import StreamFiles, find_run
from nwb_celltype.converters.traces import BinaryTraces
from nwb_celltype.errors import InputError, UsageError

DTYPE = np.dtype("<i2")


def open_stream(bin_path: Path | str) -> tuple[BinaryTraces, Probe, Meta]:
    """Open the AP or LF stream of a probe.

    Parameters
    ----------
    bin_path : str or Path
        The ``.bin`` file; its ``.meta`` lies beside it.

    Returns
    -------
    traces : BinaryTraces
        Electrodes only, in the order of the rows of `probe`; counts with their gain.
    probe : Probe
    meta : Meta

    Raises
    ------
    UsageError
        The file is no ``.bin`` of a probe.
    InputError
        The file or its header is missing or broken.

    Examples
    --------
    >>> traces, probe, meta = open_stream("mouse7_g0_t0.imec0.ap.bin")  # doctest: +SKIP
    >>> traces.n_channels == len(probe)  # doctest: +SKIP
    True
    """
    path = Path(bin_path)
    if path.suffix not in (".bin", ".meta"):
        message = f"{path} is no .bin file of SpikeGLX; give the .bin file of a probe's AP or LF stream."
        raise UsageError(message)
    run = find_run(path)
    files = next((stream for stream in run.streams if stream.meta == path.with_suffix(".meta")), None)
    if files is None or not files.is_probe:
        message = f"{path} holds no electrodes; give the .bin file of a probe's AP or LF stream."
        raise UsageError(message)
    meta = read_meta(files.meta)
    probe = read_probe(meta, files.device)
    return electrode_traces(files, meta), probe, meta


def electrode_traces(files: StreamFiles, meta: Meta, columns: NDArray[np.int64] | None = None) -> BinaryTraces:
    """Traces of a probe's electrodes.

    Parameters
    ----------
    files : StreamFiles
    meta : Meta
    columns : (n,) int64 array or None
        Columns of the file, in the order of the rows of the probe; None for all electrodes of the file.

    Raises
    ------
    InputError
        There is no ``.bin`` file, or it holds not one whole sample.
    """
    own = meta.columns_of(meta.kind.upper())
    columns = own if columns is None else columns
    gains = gains_uv(meta)
    return BinaryTraces(
        name=files.name,
        paths=(data_of(files),),
        dtype=DTYPE,
        n_file_channels=meta.n_saved_channels,
        columns=columns,
        sampling_rate_hz=meta.sampling_rate_hz,
        gains_uv=None if gains is None else gains[np.searchsorted(own, columns)],
        filtering=_filtering(meta),
    )


def all_columns(files: StreamFiles, meta: Meta) -> BinaryTraces:
    """Every column of a stream as it is stored: status and digital words, analog inputs."""
    return BinaryTraces(
        name=files.name,
        paths=(data_of(files),),
        dtype=DTYPE,
        n_file_channels=meta.n_saved_channels,
        columns=np.arange(meta.n_saved_channels),
        sampling_rate_hz=meta.sampling_rate_hz,
        gains_uv=None,
    )


def data_of(files: StreamFiles) -> Path:
    """Return the ``.bin`` file; InputError when only the header is there."""
    if files.data is None:
        message = (
            f"{files.meta.with_suffix('.bin')} is not there, only its header {files.meta.name}; put the .bin file "
            "beside it."
        )
        raise InputError(message)
    return files.data


def size_note(meta: Meta, traces: BinaryTraces) -> str | None:
    """Return a sentence where the file is shorter or longer than its header says, None where it is as it should be."""
    path = traces.paths[0]
    found = path.stat().st_size
    if meta.n_bytes is None or found == meta.n_bytes:
        return None
    what = "shorter" if found < meta.n_bytes else "longer"
    return (
        f"{path.name} is {what} than its header says ({found} instead of {meta.n_bytes} bytes); the "
        f"{traces.n_samples} whole samples on disk are used ({traces.n_samples / meta.sampling_rate_hz:.3f} s)."
    )


def _filtering(meta: Meta) -> str:
    own = sorted(set(filterings(meta)))
    hardware = own[0] if len(own) == 1 else "hardware: differs between channels"
    return "; ".join(part for part in (hardware, catgt_options(meta)) if part)
