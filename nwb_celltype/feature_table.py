"""Tables of labelled units with their hand-made statistics, a row a unit: the layout of ``unit_features.csv``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.errors import InputError
from nwb_celltype.features.unit_statistics import (
    ACG_RATIOS,
    INTERVAL_STATISTICS,
    SHAPE_STATISTICS,
    SPATIAL_STATISTICS,
    UNIT_STATISTICS,
    put_unit_statistics,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

SUFFIXES = (".csv", ".tsv")
ABOUT = ("species", "lab", "subject", "recording")
"""Columns that say where a unit is from; coordinates of the features."""

_MIN_COLUMNS = 5
# Tables of the C4 project count waveform times in hundredths of samples at 30 kHz, and slopes by sample.
_TICKS_PER_MS = 3000.0
_SAMPLES_PER_MS = 30.0
_WIDEST_MS = 10.0
_TIMES = ("trough_t", "peak_t", "repolarisation_t", "depolarisation_t", "peak_50_width", "trough_50_width", "onset_t",
          "wvf_width")  # fmt: skip
_SLOPES = ("repolarisation_slope", "depolarisation_slope")


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """What a table of units holds, a row a unit.

    Attributes
    ----------
    features : xarray.Dataset
        As from `nwb_celltype.features.compute`, but with ``unit_statistics`` alone, and with the coordinates `ABOUT`.
    cell_type : (n,) array of str
        As written; empty where the table has no such column.
    unit_ids : (n,) int64 array
        Column ``unit`` or ``unit_id`` where it holds whole numbers, else 0, 1, 2, ...
    """

    features: xr.Dataset
    cell_type: NDArray[np.str_]
    unit_ids: NDArray[np.int64]


def read_feature_table(path: str | Path) -> FeatureTable:
    """Read a table of units with their statistics.

    Waveform times are in hundredths of samples at 30 kHz and slopes by sample, as in the tables of the C4 project, or
    all in ms; which of the two follows from the widths (none is above 10 ms). A row with a trough of 0 uV and no width
    has no waveform: it could not be computed. What is empty, NaN or infinite is missing.

    Parameters
    ----------
    path : str or Path
        ``.csv`` (or ``.tsv``) with statistics by the names in
        `nwb_celltype.features.unit_statistics.UNIT_STATISTICS`, and optionally ``cell_type``, ``unit``, ``species``,
        ``lab``, ``subject`` and ``recording``. Other columns are not read.

    Returns
    -------
    FeatureTable

    Raises
    ------
    InputError
        If the file cannot be read, has no such columns, or holds text where numbers are needed.
    """
    path = Path(path)
    table = _read(path)
    header = set(table.columns)
    known = [name for name in UNIT_STATISTICS if name in header]
    if len(known) < _MIN_COLUMNS:
        wanted = ", ".join(list(UNIT_STATISTICS)[:_MIN_COLUMNS])
        message = (
            f"{path} holds {len(known)} of the statistics of units by name, {_MIN_COLUMNS} are needed at least "
            f"({wanted}, ...). A table of labels alone goes with an NWB file."
        )
        raise InputError(message)
    if len(table) == 0:
        message = f"{path} holds no rows below its header."
        raise InputError(message)
    columns = {name: _numbers(path, table, name) if name in header else np.full(len(table), np.nan)
               for name in UNIT_STATISTICS}  # fmt: skip
    values = np.stack(list(_in_our_units(columns).values()), axis=1)
    unit_ids = _unit_ids(table)
    features = _features(values, unit_ids)
    about = {name: ("unit", _texts(table[name]) if name in header else np.full(len(table), "")) for name in ABOUT}
    cell_type = _texts(table["cell_type"]) if "cell_type" in header else np.full(len(table), "")
    return FeatureTable(features.assign_coords(about), cell_type, unit_ids)


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(
            path,
            sep="\t" if path.suffix.lower() == ".tsv" else ",",
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
        )
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}. Check the path."
        raise InputError(message) from error
    except (ValueError, pd.errors.ParserError) as error:  # bad UTF-8 and empty files are ValueErrors
        message = f"{path} is no table ({error}); save it as plain CSV in UTF-8."
        raise InputError(message) from error
    table = table.rename(columns=lambda name: str(name).strip())
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()][0]
        message = f"{path} has several columns named {twice!r}; keep one of them."
        raise InputError(message)
    return table


def _numbers(path: Path, table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    texts = table[name].str.strip().str.lower()
    missing = texts.isin(["", "nan", "na", "n/a", "none", "null"]).to_numpy(dtype=bool)
    values = np.full(len(table), np.nan)
    for row in np.flatnonzero(~missing):
        try:
            values[row] = float(texts.iloc[row])
        except ValueError as error:
            message = f"{path}, row {row + 1} below the header: `{name}` is {texts.iloc[row]!r}; a number is needed."
            raise InputError(message) from error
    values[~np.isfinite(values)] = np.nan
    return values


def _in_our_units(columns: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Convert times to ms and slopes to 1/ms, and empty the rows whose waveform could not be computed."""
    # What is left in such rows (slopes, spatial decay) tells nothing but that the measurement failed.
    nothing = (np.nan_to_num(columns["trough_voltage"]) == 0) & (np.nan_to_num(columns["trough_50_width"]) == 0)
    widths = np.abs(np.stack([columns[name] for name in ("wvf_width", "trough_50_width", "peak_50_width")]))
    widths = widths[np.isfinite(widths) & (widths > 0)]
    in_ticks = len(widths) > 0 and float(np.median(widths)) > _WIDEST_MS
    converted = dict(columns)
    if in_ticks:
        converted |= {name: columns[name] / _TICKS_PER_MS for name in _TIMES}
        converted |= {name: columns[name] * _SAMPLES_PER_MS for name in _SLOPES}
        converted["tau_recovery"] = columns["tau_recovery"] / _SAMPLES_PER_MS
    for name in (*SHAPE_STATISTICS, *SPATIAL_STATISTICS):
        converted[name] = np.where(nothing, np.nan, converted[name])
    return converted


def _features(values: NDArray[np.float64], unit_ids: NDArray[np.int64]) -> xr.Dataset:
    from nwb_celltype.features import from_counts

    names = list(UNIT_STATISTICS)
    n = len(values)
    train = np.isfinite(values[:, [names.index(name) for name in (*INTERVAL_STATISTICS, *ACG_RATIOS)]]).any(axis=1)
    shape = np.isfinite(values[:, [names.index(name) for name in SHAPE_STATISTICS]]).any(axis=1)
    features = put_unit_statistics(from_counts([None] * n, None, unit_ids=unit_ids), values)
    features["waveform_reason"] = features["waveform_reason"].where(~shape, "").astype(str)
    features["train_reason"] = features["train_reason"].where(~train, "").astype(str)
    features["train_problem"] = features["train_problem"].where(~train, "").astype(str)
    return features


def _unit_ids(table: pd.DataFrame) -> NDArray[np.int64]:
    for name in ("unit", "unit_id"):
        if name in table.columns and table[name].str.fullmatch(r"\s*[+-]?\d{1,18}\s*").all():
            return np.asarray(table[name], dtype=str).astype(np.int64)
    return np.arange(len(table))


def _texts(column: Any) -> NDArray[np.str_]:
    return np.array([str(value).strip() for value in column], dtype=str)
