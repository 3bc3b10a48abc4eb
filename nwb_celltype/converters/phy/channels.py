"""Channels of a sorting folder: columns of the recording's file, positions and shanks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.phy.arrays import open_array, whole_numbers
from nwb_celltype.converters.phy.params import Params
from nwb_celltype.converters.records import Float, Integer, Probe
from nwb_celltype.errors import InputError

_NAME = "probe"


@dataclass(frozen=True)
class Channels:
    """Channels that were sorted.

    Attributes
    ----------
    columns : (c,) int64 array or None
        Column of the recording's file for each; None where the folder does not say.
    positions_um : (c, 2) float64 array
        NaN where unknown.
    shanks : (c,) int64 array
    geometry_source : str
    notes : tuple of str
    """

    columns: Integer | None
    positions_um: Float
    shanks: Integer
    geometry_source: str
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.positions_um)


def read_channels(params: Params) -> Channels:
    """Read channel_map.npy, channel_positions.npy and channel_shanks.npy.

    Raises
    ------
    InputError
        If nothing says how many channels were sorted, or the files disagree.
    """
    folder, notes = params.folder, list[str]()
    # a sorter's own copy can have fewer channels than the recording that channel_map.npy speaks of
    n_file_channels = None if params.is_raw_preprocessed else params.n_channels_dat
    columns = _columns(folder, n_file_channels, notes)
    positions = _positions(folder)
    n = _n_channels(folder, params, columns, positions)
    for what, values in (("channel_positions.npy", positions), ("channel_map.npy", columns)):
        if values is not None and len(values) != n:
            message = f"{folder}: {what} has {len(values)} channels and others {n}. Copy the files from one sorting."
            raise InputError(message)
    if columns is None and n == params.n_channels_dat:
        notes.append("channel_map.npy is missing; all channels of the recording were sorted, in its order")
        columns = np.arange(n, dtype=np.int64)
    elif columns is None:
        notes.append("channel_map.npy is missing; which channels of the recording were sorted is not known")
    source = "channel_positions.npy of the sorting folder"
    if positions is None:
        notes.append("channel_positions.npy is missing; the positions of the channels are not known")
        positions, source = np.full((n, 2), np.nan), "not stated in the sorting folder"
    return Channels(columns, positions, _shanks(folder, n, notes), source, tuple(notes))


def folder_probe(channels: Channels) -> Probe:
    """Electrodes as the sorting folder knows them."""
    columns = channels.columns if channels.columns is not None else np.arange(len(channels))
    return Probe(
        name=_NAME,
        channel_names=tuple(f"CH{column}" for column in columns),
        positions_um=channels.positions_um,
        shanks=channels.shanks,
        geometry_source=channels.geometry_source,
    )


def probe_rows(channels: Channels, columns: Integer | None, notes: list[str]) -> Integer:
    """Row of the probe for each channel of the folder, -1 where the probe has none.

    Parameters
    ----------
    channels : Channels
    columns : (rows,) int64 array or None
        Column of the recording's file for each row of the probe; None when the folder's channels are the probe.
    notes : list of str
        Is added to.
    """
    if columns is None:
        return np.arange(len(channels), dtype=np.int64)
    if channels.columns is None:
        return np.full(len(channels), -1, dtype=np.int64)
    row_of = {int(column): row for row, column in enumerate(columns)}
    rows = np.array([row_of.get(int(column), -1) for column in channels.columns], dtype=np.int64)
    if (rows < 0).any():
        odd = ", ".join(str(column) for column in channels.columns[rows < 0][:10])
        notes.append(f"the sorter used {int((rows < 0).sum())} channels that are no electrodes of the probe: {odd}")
    return rows


def check_positions(channels: Channels, probe: Probe, rows: Integer) -> list[str]:
    """A sentence where the folder places channels differently from the recording, up to a shift."""
    known = rows >= 0
    ours, theirs = channels.positions_um[known, 1], probe.positions_um[rows[known], 1]
    both = np.isfinite(ours) & np.isfinite(theirs)
    if not both.any():
        return []
    apart = (ours - theirs)[both]
    worst = float(np.abs(apart - np.median(apart)).max())
    if worst <= 1:
        return []
    return [
        f"channel_positions.npy places channels up to {worst:.0f} um away from where the recording does: the sorter "
        "may have used another map of the probe. The positions of the recording are used"
    ]


def _columns(folder: Path, n_file_channels: int | None, notes: list[str]) -> Integer | None:
    path = folder / "channel_map.npy"
    if not path.is_file():
        return None
    columns = whole_numbers(open_array(path).reshape(-1), path)
    if n_file_channels and len(columns) and columns.min() >= 1 and columns.max() == n_file_channels:
        # column n does not exist when counting begins at 0
        notes.append("channel_map.npy counts channels from 1, as MATLAB does; 1 was taken off")
        columns = columns - 1
    if len(np.unique(columns)) != len(columns) or (len(columns) and columns.min() < 0):
        message = f"{path} names a channel twice or below 0; it is damaged. Copy it again from the sorting."
        raise InputError(message)
    if n_file_channels and len(columns) and columns.max() >= n_file_channels:
        message = (
            f"{path} names channel {columns.max()}, but params.py says that the recording has {n_file_channels} "
            "(n_channels_dat). Correct the one that is wrong."
        )
        raise InputError(message)
    return columns


def _positions(folder: Path) -> Float | None:
    path = folder / "channel_positions.npy"
    if not path.is_file():
        return None
    positions = open_array(path)
    if positions.ndim != 2 or positions.shape[1] < 2 or positions.dtype.kind not in "iuf":
        message = f"{path} has shape {positions.shape}; one x and one y a channel are needed."
        raise InputError(message)
    return np.array(positions[:, :2], dtype=np.float64)


def _n_channels(folder: Path, params: Params, columns: Integer | None, positions: NDArray[Any] | None) -> int:
    for values in (columns, positions):
        if values is not None:
            return len(values)
    templates = folder / "templates.npy"
    sparse = any((folder / name).is_file() for name in ("template_ind.npy", "templates_ind.npy"))
    if templates.is_file() and not sparse:
        return int(open_array(templates).shape[-1])
    if params.n_channels_dat:
        return params.n_channels_dat
    message = (
        f"{folder} has no channel_map.npy and no channel_positions.npy, and params.py states no n_channels_dat: the "
        "number of channels is not known. Copy those files there."
    )
    raise InputError(message)


def _shanks(folder: Path, n: int, notes: list[str]) -> Integer:
    for name in ("channel_shanks.npy", "channel_groups.npy"):
        path = folder / name
        if not path.is_file():
            continue
        try:
            labels = open_array(path).reshape(-1)
        except InputError:
            labels = np.empty(0)
        if len(labels) != n or labels.dtype.kind not in "iufSU":
            notes.append(f"{name} does not hold one shank a channel and was not used")
            continue
        known, shanks = np.unique(labels, return_inverse=True)
        if name == "channel_groups.npy" and len(known) > 1:
            notes.append("the groups of channels in channel_groups.npy are taken for shanks")
        return shanks.astype(np.int64)
    return np.zeros(n, dtype=np.int64)
