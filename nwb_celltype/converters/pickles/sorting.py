"""One pickle of a spike sorter as a sorting: units with unique ids, Purkinje cells as two units of one cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nwb_celltype.converters.pickles.columns import Unit, prior_labels, unit_columns
from nwb_celltype.converters.pickles.neurons import PURKINJE, Neuron, clip_window, common_rate, read_neurons
from nwb_celltype.converters.pickles.shapes import as_templates, stated_channels, unit_shape
from nwb_celltype.converters.records import Integer, LeftOut, Sorting
from nwb_celltype.converters.safe_pickle import load
from nwb_celltype.errors import InputError, UsageError

_MOST_CHANNELS = 100_000
_SHOWN = 5


def read_sorting(
    path: str | Path,
    *,
    sampling_rate_hz: float | None = None,
    columns: Integer | None = None,
    n_channels: int | None = None,
) -> Sorting:
    """Read the units of a pickle that Full Binary Pursuit (Hall et al. 2021), NeuroViz or XSort wrote.

    Full Binary Pursuit counts samples and channels from 0 (``spike_indices``, ``channel``); NeuroViz counts both from 1
    (``spike_indices__``, ``channel_id__``). Where a file has both, the curated list is used. A neuron's id is its
    position in the file, from 1. A ``PurkinjeCell`` becomes two units of one cell, the simple spikes under its id and
    the complex spikes under that plus 1000 (10,000 in a file with 1000 neurons or more, and so on); XSort's names
    (``3s``, ``3c``) are kept. A neuron that repeats a Purkinje cell's complex spikes is left out, as XSort does.

    Parameters
    ----------
    path : str or Path
        Nothing of it is run (see `safe_pickle`).
    sampling_rate_hz : float, optional
        Of the recording; where the file states another, it is refused.
    columns : (rows,) int64 array, optional
        Channel of the sorted file, from 0, for each row of the probe. Without it, channels are rows.
    n_channels : int, optional
        Channels that were sorted. By default what the file says, or one more than the last channel it names.

    Returns
    -------
    Sorting
        Waveforms are in the sorter's own scale (``a.u.``), as it filters before it cuts clips.

    Raises
    ------
    RefusedError
        If the file asks for anything but plain values and arrays.
    InputError
        If it is damaged, holds no neurons, or does not fit the recording.

    Examples
    --------
    >>> import pickle, tempfile
    >>> cell = {"type__": "PurkinjeCell", "spike_indices__": np.array([1, 41]), "cs_spike_indices__": np.array([21])}
    >>> path = Path(tempfile.mkdtemp()) / "neurons.pkl"
    >>> _ = path.write_bytes(pickle.dumps([{**cell, "channel_id__": 3, "sampling_rate__": 40_000}], protocol=3))
    >>> sorting = read_sorting(path)
    >>> sorting.unit_ids.tolist(), sorting.unit_names, sorting.samples_of(0).tolist(), sorting.peak_channels.tolist()
    ([1, 1001], ('1s', '1c'), [0, 40], [2, 2])
    >>> sorting.prior_labels[0].labels, sorting.prior_labels[0].cell_ids
    (('PkC_ss', 'PkC_cs'), ('purkinje_1', 'purkinje_1'))
    """
    path, notes, left_out = Path(path), list[str](), list[LeftOut]()
    neurons = read_neurons(load(path), path, notes)
    rate = common_rate(neurons, sampling_rate_hz, path)
    units = _units(neurons, left_out, notes)
    rows, n_rows = _rows(neurons, columns, n_channels, path)
    trains = [unit.neuron.complex_spikes if unit.is_complex else unit.neuron.spikes for unit in units]
    shapes = [unit_shape(unit.neuron, is_complex=unit.is_complex, notes=notes) for unit in units]
    peaks = np.array([rows.get(unit.neuron.channel, -1) for unit in units], dtype=np.int64)
    _note_edited(neurons, notes)
    off = [unit.name for unit in units if unit.neuron.channel >= 0 and unit.neuron.channel not in rows]
    if off:
        notes.append(f"the channels of {len(off)} units are no electrodes of the probe: {', '.join(off[:_SHOWN])}")
    is_curated = any(neuron.kind for neuron in neurons)
    return Sorting(
        unit_ids=np.array([unit.unit_id for unit in units], dtype=np.int64),
        unit_names=tuple(unit.name for unit in units),
        spike_samples=np.concatenate([np.empty(0, dtype=np.int64), *trains]),
        offsets=np.concatenate([[0], np.cumsum([len(train) for train in trains])]).astype(np.int64),
        sampling_rate_hz=rate,
        source=f"{'NeuroViz, curated' if is_curated else 'Full Binary Pursuit'}: {path.name}",
        columns=unit_columns(units, notes),
        peak_channels=peaks,
        templates=as_templates(shapes, rows, n_rows, clip_window(neurons, rate), notes),
        prior_labels=prior_labels(units, path.name, notes),
        left_out=tuple(left_out),
        notes=tuple(notes),
    )


def _units(neurons: Sequence[Neuron], left_out: list[LeftOut], notes: list[str]) -> list[Unit]:
    """Rows of the units table; what makes none is left out with the reason."""
    step = max(1000, 10 ** len(str(len(neurons))))
    cells = [neuron for neuron in neurons if neuron.kind == PURKINJE and len(neuron.complex_spikes)]
    units = []
    for neuron in neurons:
        what = f"neuron {neuron.position}"
        twin = next((cell for cell in cells if cell is not neuron and _is_twin(neuron, cell)), None)
        if twin is not None:
            reason = f"its spikes are the complex spikes of Purkinje cell {twin.position}, which are a unit already"
            left_out.append(LeftOut(what, reason))
            notes.append(
                f"{what} repeats the complex spikes of Purkinje cell {twin.position} and is no unit of its own"
            )
            continue
        if len(neuron.spikes):
            units.append(Unit(neuron, neuron.position))
        else:
            kind = "simple spikes" if neuron.kind == PURKINJE else "spikes"
            left_out.append(LeftOut(what, f"it has no {kind}"))
        if len(neuron.complex_spikes):
            units.append(Unit(neuron, neuron.position + step, is_complex=True))
        elif neuron.kind == PURKINJE:
            left_out.append(LeftOut(f"complex spikes of {what}", "a Purkinje cell without any"))
    return units


def _is_twin(neuron: Neuron, cell: Neuron) -> bool:
    """Whether a neuron has the complex spikes of a cell as its own, up to one sample of counting."""
    if neuron.kind == PURKINJE or len(neuron.spikes) != len(cell.complex_spikes):
        return False
    apart = neuron.spikes - cell.complex_spikes
    return bool(np.all(np.abs(apart) <= 1) and np.all(apart == apart[0]))


def _rows(
    neurons: Sequence[Neuron], columns: Integer | None, n_channels: int | None, path: Path
) -> tuple[dict[int, int], int]:
    """Row of the probe for each channel of the file, and how many rows there are."""
    if columns is not None:
        wanted = np.asarray(columns, dtype=np.int64)
        return {int(column): row for row, column in enumerate(wanted)}, len(wanted)
    named = stated_channels(neurons)
    if n_channels is not None and n_channels < 1:
        message = f"n_channels is at least 1, not {n_channels}."
        raise UsageError(message)
    n_rows = named if n_channels is None else n_channels
    if max(n_rows, named) > _MOST_CHANNELS:
        message = f"{path} names channel {named - 1}, which no recording has; the file is damaged. Copy it again."
        raise InputError(message)
    return {channel: channel for channel in range(n_rows)}, n_rows


def _note_edited(neurons: Sequence[Neuron], notes: list[str]) -> None:
    edited = [str(neuron.position) for neuron in neurons if neuron.is_edited]
    if edited:
        shown = ", ".join(edited[:_SHOWN])
        notes.append(
            f"{len(edited)} neurons were changed after sorting ({shown}); the sorter's measures are from before"
        )
    files = sorted({str(n.values["filename__"]) for n in neurons if isinstance(n.values.get("filename__"), str)})
    if files:
        names = ", ".join(name.replace("\\", "/").rpartition("/")[2] for name in files[:_SHOWN])
        notes.append(f"the sorter says that it sorted {names}")
