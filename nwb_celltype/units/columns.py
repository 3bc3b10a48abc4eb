"""Columns of a units table with one value per unit: quality labels, cell-type labels and any other."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import UsageError
from nwb_celltype.units import hdf5
from nwb_celltype.units.lazy import Integer
from nwb_celltype.units.ragged import UnitsTable

Texts = NDArray[np.str_]

# Compared after lower-casing and dropping everything but letters and digits: putativeCellType == putative_cell_type.
_QUALITY_NAMES = frozenset(
    {
        "quality", "qualitylabel", "unitquality", "sortingquality", "clusterquality", "kslabel", "kilosortlabel",
        "kilosort2label", "kilosort4label", "label", "phylabel", "group", "clustergroup", "curationlabel",
        "unitrefinelabel", "bombcelllabel", "bcunittype", "decoderlabel", "noiselabel", "defaultqc", "isgood", "ismua",
        "isnoise", "isolation",
    }
)  # fmt: skip
_LABEL_NAMES = frozenset(
    {
        "ct", "celltypelabel", "cellexplorerlabel", "putativecelltype", "unittype", "neurontype", "cellclass",
        "fs", "rs", "fsrs", "isfs", "isrs", "spikewidthclass", "waveformclass", "classification", "annoname",
        "optogeneticresponse", "predictedlabel", "expertlabel", "c4label", "isopto", "tagged", "istagged",
    }
)  # fmt: skip
_LABEL_PATTERN = re.compile(r"cell_?type|opto_?tag|phototag|cell_?class|neuron_?type|ground_?truth", re.IGNORECASE)
_MEASURES = re.compile(r"prob|confidence|score|latency|jitter|_p$|p_?value", re.IGNORECASE)
_STRUCTURE = frozenset(
    {"id", "spike_times", "obs_intervals", "electrodes", "electrode_group", "waveform_mean", "waveform_sd", "waveforms"}
)
_BLANK = frozenset(
    {"", "unknown", "n/a", "na", "nan", "none", "null", "unspecified", "not specified", "undefined", "no location"}
)


class ScalarColumns:
    """The columns of a table that hold one number or text per unit, read when asked for.

    Parameters
    ----------
    table : UnitsTable
        The table.
    rows : (n,) int64 array
        Rows of the table that are shown.
    """

    def __init__(self, table: UnitsTable, rows: Integer) -> None:
        self._table = table
        self._rows = rows

    def __contains__(self, name: str) -> bool:
        return self._dataset(name) is not None

    def names(self) -> list[str]:
        """Names of the columns in the order of the table, the indices of ragged columns left out."""
        with self._table.opened.reading("the columns of the units table"):
            return [name for name in column_names(self._table) if self._dataset(name) is not None]

    def read(self, name: str) -> NDArray[Any]:
        """One column; text, enum members and references to text as str, numbers as they are stored."""
        with self._table.opened.reading(f"{self._table.path}/{name}"):
            dataset = self._dataset(name)
            if dataset is None:
                message = f"{self._table.path}/{name} in {self._table.file_name} has not one value for each unit."
                raise UsageError(message)
            values = np.asarray(dataset[()])
            if hdf5.is_text(dataset) or hdf5.enum_names(dataset):
                words = read_texts(self._table, name)
                values = values if words is None else words
        return values[self._rows]

    def vectors(self, name: str) -> Callable[[int], NDArray[Any]] | None:
        """Reader of a column with one vector of numbers per unit, by row; None where there is none on this machine."""
        dataset = self._table.column(name) if "/" not in name else None
        if dataset is None or dataset.ndim != 1 or not hdf5.is_number(dataset) or not self._table.is_ragged(name):
            return None
        if self._table.opened.is_remote:  # as many bytes as the spikes themselves
            return None
        starts, stops = self._table.bounds(name, int(dataset.shape[0]))

        def read(i: int) -> NDArray[Any]:
            row = int(self._rows[i])
            return self._table.reader(dataset, name, int(starts[row]), int(stops[row]))

        return read

    def fetch(self) -> None:
        """Fetch all of them together from a remote file, and the small indices of ragged columns with them."""
        if not self._table.opened.is_remote:
            return
        n = len(self._table)
        columns = [self._table.column(name) for name in self._table.group]
        self._table.opened.fetch_values([each for each in columns if each is not None and each.shape == (n,)])

    def take(self, rows: Integer) -> ScalarColumns:
        """The columns of the units in these rows."""
        return ScalarColumns(self._table, self._rows[rows])

    def _dataset(self, name: str) -> hdf5.Node | None:
        dataset = self._table.column(name) if "/" not in name else None
        if dataset is None or dataset.shape != (len(self._table),) or hdf5.is_reference(dataset):
            return None
        is_plain = hdf5.is_text(dataset) or dataset.dtype.kind in "biuf"
        return dataset if is_plain and not self._table.is_ragged(name) and not name.endswith("_index") else None


def blank_to_empty(values: Texts) -> Texts:
    """Words that say nothing ("unknown", "N/A", "none") as ``""``; everything else verbatim."""
    return hdf5.texts(["" if value.strip().lower() in _BLANK else str(value) for value in values])


def column_names(table: UnitsTable) -> list[str]:
    """Columns of a table in the order that it states, then those it holds but does not list."""
    stated = [hdf5.text(name) for name in np.atleast_1d(table.group.attrs.get("colnames", np.empty(0, dtype=object)))]
    present = [name for name in table.group if not name.endswith("_index")]
    ordered = [name for name in dict.fromkeys(stated) if name in present]
    return ordered + [name for name in present if name not in ordered]


def read_texts(table: UnitsTable, name: str) -> Texts | None:
    """A column as (n,) text, None when it is no column of scalars or texts.

    Strings of every kind, bool, integers, floats and enums are decoded; several values of one unit are joined by ", ".
    """
    dataset = table.column(name)
    if dataset is None or dataset.ndim == 0 or hdf5.is_reference(dataset):
        return None
    if dataset.dtype.kind not in "SUObiuf" or (dataset.dtype.kind == "O" and not hdf5.is_text(dataset)):
        return None
    n, length = len(table), int(dataset.shape[0])
    values = table.reader(dataset, name, 0, length)
    names = hdf5.enum_names(dataset)
    decoded = [names.get(int(value), str(value)) for value in values] if names and values.ndim == 1 else None
    words = decoded if decoded is not None else [hdf5.text(value) for value in values]
    if table.is_ragged(name):
        if table.is_ragged(f"{name}_index"):
            return None
        starts, stops = table.bounds(name, length)
        return hdf5.texts([", ".join(filter(None, words[a:b])) for a, b in zip(starts, stops, strict=True)])
    return hdf5.texts(words) if length == n else None


def read_label_columns(table: UnitsTable) -> tuple[dict[str, Texts], dict[str, Texts], list[str]]:
    """Quality columns, cell-type columns, and notes about those that cannot be read.

    Returns
    -------
    quality, labels : dict of str to (n,) array of str
        Columns by the name that they have in the file.
    notes : list of str
        Columns that were left out.
    """
    quality: dict[str, Texts] = {}
    labels: dict[str, Texts] = {}
    notes: list[str] = []
    for name in column_names(table):
        is_label = _is_label(name)
        if name in _STRUCTURE or not (is_label or _plain(name) in _QUALITY_NAMES):
            continue
        dataset = table.column(name)
        # a numeric `group` is the shank or the channel group, not a verdict of the sorter
        if dataset is None or (_plain(name) in {"group", "label"} and not hdf5.is_text(dataset)):
            continue
        values = read_texts(table, name)
        if values is None:
            notes.append(f"column {name} of shape {dataset.shape} could not be read as one label per unit")
        elif is_label:
            labels[name] = values
        else:
            quality[name] = values
    return quality, labels, notes


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_label(name: str) -> bool:
    if _plain(name) in _LABEL_NAMES:
        return True
    return _LABEL_PATTERN.search(name) is not None and _MEASURES.search(name) is None
