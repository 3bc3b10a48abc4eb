"""Labels as properties of a SpikeInterface sorting or analyzer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.exporting.unit_labels import (
    SORTER_ID_COLUMNS,
    Labels,
    columns_of,
    in_order,
    labels_of,
    open_labelled,
)
from nwb_celltype.runs import Run

By = Literal["auto", "id", "original_cluster_id", "cluster_id", "unit_name"]


def to_spikeinterface(
    sorting_or_analyzer: Any,
    labels: Labels,
    run: str | None = None,
    *,
    by: By = "auto",
    prefix: str = "",
    overwrite: bool = False,
    save: bool = True,
) -> Any:
    """Give each unit of a sorting its cell type as a property. Units are matched by their ids, never by position.

    Parameters
    ----------
    sorting_or_analyzer : spikeinterface.BaseSorting or spikeinterface.SortingAnalyzer
        Labelled in place.
    labels : str, Path, Run or Annotation
        A file with labels, or a run.
    run : str, optional
        Name of the run; the published one by default.
    by : str
        What the unit ids of the sorting are: ``id``, that of the units table, or the column of the file that holds the
        sorter's names. ``auto`` tries all, and refuses where two of them give different answers.
    prefix : str
        Put before the names of the properties.
    overwrite : bool
        Replace properties of the same name.
    save : bool
        Of an analyzer in a folder or Zarr store: write the properties there too.

    Returns
    -------
    sorting or analyzer
        The one that was given, with the properties ``cell_type``, ``is_abstained``, ``reason`` and, where the run has
        them, ``confidence``, ``ood_score``, ``cell_id``. Units that the run does not name have an empty ``cell_type``.

    Raises
    ------
    UsageError
        If there is no such run or column, the ids can be read in two ways, or a property is there already.
    InputError
        If the file cannot be read or holds no runs, or no unit of the sorting is labelled.

    Examples
    --------
    >>> from nwb_celltype.exporting import to_spikeinterface
    >>> sorting = to_spikeinterface(sorting, "session_celltype.nwb")  # doctest: +SKIP
    >>> sorting.get_property("cell_type")  # doctest: +SKIP
    array(['PkC_ss', 'unclassified', 'MLI'], dtype='<U12')
    """
    chosen = labels_of(labels, run)
    sorting = getattr(sorting_or_analyzer, "sorting", sorting_or_analyzer)
    ids = [_plain(i) for i in sorting.unit_ids]
    rows = _match(ids, _names(labels, chosen, by), by)
    columns = {f"{prefix}{name}": in_order(values, rows) for name, values in columns_of(chosen).items()}
    taken = [name for name in columns if name in sorting.get_property_keys()]
    if taken and not overwrite:
        message = f"The sorting has a property {taken[0]!r} already; choose a `prefix`, or say `overwrite=True`."
        raise UsageError(message)
    for name, values in columns.items():
        if sorting is sorting_or_analyzer:
            sorting.set_property(name, values)
        else:
            sorting_or_analyzer.set_sorting_property(name, values, save=save)
    return sorting_or_analyzer


def _plain(unit_id: Any) -> str:
    """Write ids alike: 7, 7.0, '7' and np.int64(7) are one id."""
    value = unit_id.item() if hasattr(unit_id, "item") else unit_id
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _names(labels: Labels, run: Any, by: By) -> dict[str, list[str]]:
    """Each way to name the labelled units: by the column, the names in the order of the run."""
    found = {"id": [_plain(i) for i in run.unit_ids]}
    if isinstance(labels, str | Path) and isinstance(run, Run) and by != "id":
        try:
            units = open_labelled(labels, run)
        except InputError:
            if by != "auto":
                raise
            return found  # labels alone: the ids are all there is
        with units:
            own = units.select(run.unit_ids.tolist())
            for name in SORTER_ID_COLUMNS:
                if name in own.column_names:
                    found[name] = [_plain(value) for value in own.column(name)]
    return found


def _match(ids: list[str], names: dict[str, list[str]], by: By) -> list[int | None]:
    """Row of the run for each unit of the sorting."""
    if by != "auto" and by not in names:
        message = f"The labels come without a column {by!r}; units can be named by {', '.join(names)}."
        raise UsageError(message)
    found: dict[str, list[int | None]] = {}
    for name, values in names.items():
        if by not in ("auto", name) or len(set(values)) < len(values):  # two probes share names
            continue
        row_of = {value: row for row, value in enumerate(values)}
        rows = [row_of.get(i) for i in ids]
        if any(row is not None for row in rows):
            found[name] = rows
    if not found:
        known = "; ".join(f"{name}: {', '.join(values[:4])}" for name, values in names.items())
        message = (
            f"No unit of the sorting ({', '.join(ids[:4])}, ...) is among the labelled ones ({known}, ...). Are these "
            "labels of this sorting?"
        )
        raise InputError(message)
    if len({tuple(rows) for rows in found.values()}) > 1:
        message = (
            f"The unit ids of the sorting can be read as {' or as '.join(found)}, which differ; say which with `by`."
        )
        raise UsageError(message)
    return next(iter(found.values()))
