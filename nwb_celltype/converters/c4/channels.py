"""Mean waveform of one neuron of the C4 database and the channels that it was stored on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.c4.fields import Fields
from nwb_celltype.converters.records import Float, Integer

_WAVEFORM = "mean_waveform_preprocessed"


@dataclass(frozen=True, eq=False)
class StoredChannels:
    """What one neuron says of channels.

    Attributes
    ----------
    n : int
        Channels it was stored on; 0 where it says nothing of any.
    ids : (n,) int64 array or None
        Numbers of the channels; None where it does not say which they were.
    positions_um : (n, 2) float64 array
        NaN where unknown.
    waveform : (n, n_samples) float32 array or None
        Microvolts, a row a channel; NaN on channels without.
    noise : (n,) float64 array or None
        As stored.
    """

    n: int
    ids: Integer | None
    positions_um: Float
    waveform: NDArray[np.float32] | None
    noise: Float | None

    @property
    def peak(self) -> int:
        """Row with the largest swing, -1 where there is no waveform or none that swings."""
        if self.waveform is None:
            return -1
        swing = np.ptp(np.where(np.isfinite(self.waveform), self.waveform, 0.0), axis=1)
        return int(np.argmax(swing)) if swing.max(initial=0.0) > 0 else -1


def read_channels(fields: Fields) -> StoredChannels:
    """Read waveform, channel numbers, positions and noise; what cannot be used is left out and put down."""
    ids = fields.optional(lambda: _ids(fields), None)
    waveform = fields.optional(lambda: _waveform(fields, None if ids is None else len(ids)), None)
    n = len(ids) if ids is not None else (0 if waveform is None else len(waveform))
    unknown: tuple[Float | None, Integer | None] = (None, None)
    positions, listed = fields.optional(lambda: _positions(fields, n, ids), unknown)
    if positions is not None and n == 0:
        n = len(positions)
    return StoredChannels(
        n=n,
        ids=ids if ids is not None else listed,
        positions_um=np.full((n, 2), np.nan) if positions is None else positions,
        waveform=waveform,
        noise=fields.optional(lambda: fields.floats("channel_noise_std", n) if n else None, None),
    )


def _ids(fields: Fields) -> Integer | None:
    ids = fields.integers("channel_ids")
    if ids is None or len(ids) == 0:
        return None
    if ids.min() < 0:
        fields.refuse("channel_ids", f"the channel {ids.min()}")
    if len(np.unique(ids)) < len(ids):
        fields.refuse("channel_ids", "a channel that is listed twice")
    return ids


def _waveform(fields: Fields, n: int | None) -> NDArray[np.float32] | None:
    """Read the waveform, a row a channel: channels are fewer than samples unless their number says otherwise."""
    value = fields.array(_WAVEFORM)
    if value is None or value.size == 0:
        return None
    if value.dtype.kind not in "iuf":
        fields.refuse(_WAVEFORM, f"values of type {value.dtype} where microvolts belong")
    if value.ndim == 3 and value.shape[0] == 1:
        value = value[0]
    rows = np.atleast_2d(value)
    if rows.ndim != 2:
        fields.refuse(_WAVEFORM, f"an array of shape {value.shape} where channels by samples belong")
    fits, fits_turned = n is not None and rows.shape[0] == n, n is not None and rows.shape[1] == n
    if (fits_turned and not fits) or (fits == fits_turned and rows.shape[0] > rows.shape[1]):
        rows = rows.T
    if rows.shape[1] < 2:
        fields.refuse(_WAVEFORM, f"an array of shape {value.shape} holds no waveform")
    stored = _on_all_channels(fields, rows, n)
    if np.isinf(stored).any() or not np.isfinite(stored).any():
        fields.refuse(_WAVEFORM, "values that are not finite")
    return stored


def _on_all_channels(fields: Fields, rows: NDArray[Any], n: int | None) -> NDArray[np.float32]:
    """Put one waveform without a channel on the middle one: the database stores the channels around the peak."""
    with np.errstate(over="ignore"):  # what is too large becomes infinite and is refused
        rows = rows.astype(np.float32)
    if n is None or len(rows) == n:
        return rows
    if len(rows) != 1:
        fields.refuse(_WAVEFORM, f"waveforms on {len(rows)} channels beside {n} channel_ids")
    placed = np.full((n, rows.shape[1]), np.nan, dtype=np.float32)
    placed[n // 2] = rows[0]
    fields.notes.append(
        f"Neuron {fields.neuron}: one waveform is stored for {n} channels; it was put on the middle one, as the "
        "database keeps the channels on either side of the peak."
    )
    return placed


def _positions(fields: Fields, n: int, ids: Integer | None) -> tuple[Float | None, Integer | None]:
    """Positions, and the channel numbers where these stand in a first column beside them."""
    value = fields.array("channelmap")
    if value is None or value.size == 0:
        return None, None
    if value.dtype.kind not in "iuf":
        fields.refuse("channelmap", f"values of type {value.dtype} where micrometres belong")
    rows = np.atleast_2d(value).astype(np.float64)
    if rows.ndim == 2 and rows.shape[1] not in (2, 3) and rows.shape[0] in (2, 3):
        rows = rows.T
    if rows.ndim == 2 and n and len(rows) != n and rows.shape[1] == n:
        rows = rows.T
    if rows.ndim != 2 or rows.shape[1] not in (2, 3) or (n and len(rows) != n):
        fields.refuse("channelmap", f"an array of shape {value.shape} where {n or 'n'} places belong")
    if rows.shape[1] == 2:
        return rows, None
    listed = rows[:, 0].astype(np.int64) if np.isfinite(rows[:, 0]).all() else np.empty(0, dtype=np.int64)
    is_list = np.array_equal(listed, rows[:, 0]) and len(np.unique(listed)) == len(listed) and listed.min() >= 0
    if not is_list or (ids is not None and not np.array_equal(listed, ids)):
        fields.refuse("channelmap", "three columns of which the first is not the channel's number")
    return rows[:, 1:], listed
