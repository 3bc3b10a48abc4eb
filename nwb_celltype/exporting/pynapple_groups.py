"""Labels as metadata of a pynapple TsGroup."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.exporting.unit_labels import Labels, columns_of, in_order, labels_of, open_labelled
from nwb_celltype.runs import Run


def to_pynapple(labels: Labels, run: str | None = None, *, onto: Any = None, prefix: str = "") -> Any:
    """Give the units of a file as a pynapple ``TsGroup`` with their cell types, or label one that is there.

    Units are matched by their id, never by their position.

    Parameters
    ----------
    labels : str, Path, Run or Annotation
        A file with labels; a detached one needs its recording beside it. A run can only label a group that is there.
    run : str, optional
        Name of the run; the published one by default.
    onto : pynapple.TsGroup, optional
        Group to label, in place; its index holds ids of units. By default one is made of all units of the file that
        the run names.
    prefix : str
        Put before the names of the columns.

    Returns
    -------
    pynapple.TsGroup
        With the columns ``cell_type``, ``is_abstained``, ``reason`` and, where the run has them, ``confidence``,
        ``ood_score``, ``cell_id``. Units that the run does not name have an empty ``cell_type``. Spike times are those
        of the file, in seconds, unchanged; the time support reaches from the first to the last of them.

    Raises
    ------
    UsageError
        If pynapple is not installed, there is no such run, a run is given without `onto`, or the group has a column of
        this name already.
    InputError
        If the file cannot be read, holds no runs or no spike times, or names no unit of the group.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> from nwb_celltype.exporting import to_pynapple
    >>> units = to_pynapple("session_celltype.nwb")  # doctest: +SKIP
    >>> units.getby_category("cell_type")["PkC_ss"].count(0.1)  # doctest: +SKIP
    """
    if find_spec("pynapple") is None:
        message = "Time series groups need pynapple: pip install pynapple."
        raise UsageError(message)
    chosen = labels_of(labels, run)
    if onto is not None:
        group = onto
    elif isinstance(labels, str | Path) and isinstance(chosen, Run):
        group = _group(labels, chosen)
    else:
        message = "A run has no spike times; give the file, or label a group that is there with `onto`."
        raise UsageError(message)
    rows = {int(i): row for row, i in enumerate(chosen.unit_ids)}
    index = [int(i) for i in group.index]
    at = [rows.get(i) for i in index]
    if index and all(row is None for row in at):
        shown = ", ".join(str(i) for i in index[:5])
        message = f"The run names none of the units of the group ({shown}, ...); its index must hold ids of units."
        raise InputError(message)
    columns = {f"{prefix}{name}": in_order(values, at) for name, values in columns_of(chosen).items()}
    taken = [name for name in columns if name in group.metadata_columns]
    if taken:
        message = f"The group has a column {taken[0]!r} already; choose a `prefix`, or drop it there."
        raise UsageError(message)
    group.set_info(columns)
    return group


def _group(file: str | Path, run: Run) -> Any:
    """Spike trains of the units of a run, by id."""
    import pynapple as nap  # type: ignore[import-untyped,unused-ignore]

    with open_labelled(file, run) as units:
        own = units.select(run.unit_ids.tolist())
        times = {int(i): own.spike_times[row] for row, i in enumerate(own.unit_ids)}
    ends = [(train.min(), train.max()) for train in times.values() if len(train)]
    if not ends:
        message = f"{file} holds no spike times; there is nothing to make a group of."
        raise InputError(message)
    # One support for all: a unit with a single spike has none of its own.
    support = nap.IntervalSet(min(start for start, _ in ends), max(end for _, end in ends))
    trains = {i: nap.Ts(t=train, time_support=support) for i, train in times.items()}
    return nap.TsGroup(trains, time_support=support)
