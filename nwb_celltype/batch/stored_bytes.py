"""How many bytes of a file the spikes and mean waveforms of some units take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.units.chunk_plan import Span, merge_spans, plan_chunks

_COLUMNS = ("spike_times", "waveform_mean")


def stored_bytes(table: Any, rows: NDArray[np.int64]) -> int:
    """Bytes that the file stores for the spikes and mean waveforms of some rows of a units table.

    Reads indexes of columns and chunks alone.

    Parameters
    ----------
    table : h5py.Group
        A units table.
    rows : (n,) int64 array

    Returns
    -------
    int
        Whole chunks where columns are compressed.

    Examples
    --------
    >>> with h5py.File("session.nwb") as file:  # doctest: +SKIP
    ...     stored_bytes(file["units"], np.arange(10))
    1284096
    """
    names = _COLUMNS if "waveform_mean" in table else ("spike_times", "waveforms")
    return sum(_column_bytes(table, name, rows) for name in names)


def _column_bytes(table: Any, name: str, rows: NDArray[np.int64]) -> int:
    dataset = table.get(name)
    if dataset is None or not len(rows):
        return 0
    starts, stops = rows.astype(np.int64), rows.astype(np.int64) + 1
    indexes: list[Any] = []
    while (index := table.get(name + "_index" * (len(indexes) + 1))) is not None:
        indexes.append(index)
    for index in reversed(indexes):  # from the one that has an entry a unit to the one that points into the values
        ends = np.concatenate([np.zeros(1, dtype=np.int64), np.asarray(index[()]).astype(np.int64)])
        starts, stops = ends[np.clip(starts, 0, len(ends) - 1)], ends[np.clip(stops, 0, len(ends) - 1)]
    plan = plan_chunks(dataset)
    if plan is None:
        row_bytes = int(np.prod(dataset.shape[1:], dtype=np.int64)) * int(dataset.dtype.itemsize)
        n_rows = sum(max(0, b - a) for a, b in zip(starts.tolist(), stops.tolist(), strict=True))
        return int(n_rows) * row_bytes
    spans: list[Span] = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        spans += plan.spans(start, min(stop, plan.shape[0]))
    total: int = sum(stop - start for start, stop in merge_spans(spans))
    return total
