"""One session from a sorting folder: its units, with the recording and its probe where they can be found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from nwb_celltype.converters.clocks import Clock
from nwb_celltype.converters.phy.channels import folder_probe, read_channels
from nwb_celltype.converters.phy.folder import read_sorting
from nwb_celltype.converters.phy.params import Params, read_params
from nwb_celltype.converters.phy.raw_files import find_header, find_header_around
from nwb_celltype.converters.records import Float, Integer, ProbeRecording, SourceSession
from nwb_celltype.converters.traces import BinaryTraces
from nwb_celltype.errors import InputError


def read_session(path: str | Path) -> SourceSession:
    """Read a folder that Kilosort or Phy wrote, and the recording that it names.

    Where the recording has a SpikeGLX header beside it, probe, gains, clock and digital lines come from the run.
    Otherwise the electrodes are the channels that were sorted, time begins at the first sample of the recording, and
    traces have no gain.

    Parameters
    ----------
    path : str or Path
        Sorting folder, or one that `find_folder` accepts.

    Returns
    -------
    SourceSession

    Raises
    ------
    InputError
        If the folder, or the recording's header, cannot be used.

    Examples
    --------
    >>> read_session("no_such_folder")
    Traceback (most recent call last):
        ...
    nwb_celltype.errors.InputError: no_such_folder does not exist; check the path.
    """
    params = read_params(path)
    header = _header(params)
    if header is not None:
        return _from_spikeglx(header, params, Path(path))
    notes: list[str] = []
    probe = folder_probe(read_channels(params))
    traces = _traces(params, notes)
    sorting = read_sorting(params.folder)
    rate = sorting.sampling_rate_hz
    notes.append("the start of acquisition is not stated: time 0 is the first sample of the recording")
    recording = ProbeRecording(probe=probe, clock=Clock(probe.name, rate), sorting=sorting, traces=traces)
    return SourceSession(kind="phy", paths=(Path(path),), recordings=(recording,), notes=tuple(notes))


def _header(params: Params) -> Path | None:
    """SpikeGLX file (recording or header) that the run is known by, for a sorting of one recording."""
    if len(params.dat_paths) > 1:
        return None
    if params.raw_paths and _has_header(params.raw_paths[0]):
        return params.raw_paths[0]
    if not params.dat_paths or params.is_raw_preprocessed:
        # the sorter's own copy names no recording, but its folder lies in that of the probe
        return find_header_around(params.folder)
    return None if params.raw_paths else find_header(params.dat_paths[0], params.folder)


def _has_header(raw: Path) -> bool:
    return raw.suffix == ".bin" and raw.with_suffix(".meta").is_file()


def _from_spikeglx(file: Path, params: Params, path: Path) -> SourceSession:
    from nwb_celltype.converters import spikeglx

    session = spikeglx.read_session(file, sorting=params.folder)
    note = f"probe, gains and clock are those of {file.name}"
    if not params.dat_paths or params.is_raw_preprocessed:
        note += ", the one recording in whose folder the sorting lies; params.py names none but the sorter's own copy"
    return replace(session, kind="phy", paths=(path,), notes=(*session.notes, note))


def _traces(params: Params, notes: list[str]) -> BinaryTraces | None:
    """The recording in its own counts; None, with a note, where there is none or it is no raw one."""
    if not params.raw_paths:
        if not params.dat_paths:
            notes.append("params.py names no recording; waveforms can come from templates alone")
        return None
    names = ", ".join(path.name for path in params.raw_paths)
    if params.is_raw_preprocessed:
        notes.append(
            f"{names} is the sorter's whitened copy (temp_wh) and no recording of voltages; it is not used for "
            "waveforms or traces"
        )
        return None
    channels = read_channels(params)
    if params.n_channels_dat is None or params.dtype is None or channels.columns is None:
        notes.append(f"{names} cannot be read: params.py or channel_map.npy do not say how its channels lie")
        return None
    if any(path.suffix in (".cbin", ".mda", ".h5", ".ncs", ".rhd") for path in params.raw_paths):
        notes.append(f"{names} is no flat binary file and cannot be read here; decompress or export it first")
        return None
    gains = _gains(params, channels.columns, notes)
    try:
        traces = BinaryTraces(
            name="probe",
            paths=params.raw_paths,
            dtype=params.dtype,
            n_file_channels=params.n_channels_dat,
            columns=channels.columns,
            sampling_rate_hz=params.sampling_rate_hz,
            gains_uv=gains,
            header_bytes=params.offset,
            filtering="high-passed before it was stored (hp_filtered in params.py)" if params.is_hp_filtered else "",
        )
    except InputError as error:
        notes.append(f"{names} is not used: {error}")
        return None
    if len(params.raw_paths) > 1:
        notes.append(f"{len(params.raw_paths)} files were sorted as one ({names}); gaps between them are not known")
    notes += traces.notes
    return traces


def _gains(params: Params, columns: Integer, notes: list[str]) -> Float | None:
    """Gains of a recording in several SpikeGLX files, where all agree."""
    from nwb_celltype.converters import spikeglx

    if not all(_has_header(path) for path in params.raw_paths):
        return None
    table = np.full((len(params.raw_paths), len(columns)), np.nan)
    for row, path in enumerate(params.raw_paths):
        stream, _, _ = spikeglx.open_stream(path)
        stated = {} if stream.gains_uv is None else dict(zip(stream.columns.tolist(), stream.gains_uv, strict=True))
        table[row] = [stated.get(int(column), np.nan) for column in columns]
    if not np.isfinite(table).all() or bool(np.any(table != table[0])):
        notes.append("the headers of the recording's files do not agree about gains; none is used")
        return None
    notes.append("gains are those of the SpikeGLX headers beside the files")
    return np.asarray(table[0], dtype=np.float64)
