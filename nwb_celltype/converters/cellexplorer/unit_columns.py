"""Facts about each unit: every metric that is one number or text a unit, with what it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.cellexplorer.metric_descriptions import WHOLE_NUMBERS, describe
from nwb_celltype.converters.cellexplorer.source import Source
from nwb_celltype.converters.cellexplorer.spike_times import UnitSpikes
from nwb_celltype.converters.cellexplorer.unreadable import NOT_READ, Unreadable
from nwb_celltype.converters.cellexplorer.values import Struct, is_whole, text_of
from nwb_celltype.converters.records import Column, LeftOut

# what is said elsewhere: in the times, the waveforms, the runs of labels, or the facts of the session
_ELSEWHERE = frozenset(
    {
        "UID", "times", "ts", "spikes", "waveforms", "general", "numcells", "basename", "sessionName", "processinginfo",
        "putativeCellType", "groundTruthClassification", "groups", "tags", "brainRegion", "region", "sr", "animal",
        "maxWaveform_all", "channels_all", "spindices", "ids", "amplitudes", "batchIDs",
    }
)  # fmt: skip
_OF_SESSION = ("animal_", "session_")
_OF_WAVEFORMS = ("rawWaveform", "filtWaveform", "timeWaveform", "peakVoltage_sorted", "peakVoltage_all")
_MISSING = frozenset({"", "nan", "[]"})


def read_columns(source: Source, units: UnitSpikes) -> tuple[dict[str, Column], tuple[LeftOut, ...]]:
    """Columns of the units, first of ``cell_metrics``, then of ``spikes``.

    Parameters
    ----------
    source : Source
    units : UnitSpikes

    Returns
    -------
    columns : dict of str to Column
    left_out : tuple of LeftOut
        Fields that are not one value a unit, or that cannot be read.
    """
    columns: dict[str, Column] = {}
    left_out: dict[str, list[str]] = {}
    n = len(units)
    for struct, prefix, rows in (
        (source.metrics, "cell_metrics", np.arange(n)),
        (source.spikes, "spikes", units.rows),
    ):
        if rows is None:
            continue
        n_there = n if prefix == "cell_metrics" else _n_of_spikes(struct)
        for name, value in struct.items():
            if name in _ELSEWHERE or name in columns or name.startswith((*_OF_WAVEFORMS, *_OF_SESSION)):
                continue
            found, reason = _values(name, value, n_there)
            if found is None:
                left_out.setdefault(reason, []).append(f"{prefix}.{name}")
            elif _says_something(found):
                columns[name] = Column(found[rows], describe(name))
    for name, source_name, text in (
        ("location", "brainRegion", "Brain region of the unit, as CellExplorer's brainRegion states it."),
        ("location", "region", "Brain region of the unit, as CellExplorer's spikes.region states it."),
    ):
        regions = _regions(source, source_name, units)
        if regions is not None and name not in columns:
            columns[name] = Column(regions, text)
    for name in ("groups", "tags"):
        members = memberships(source.metrics.get(name), n)
        if any(members):
            texts = np.array([", ".join(each) for each in members], dtype=np.object_)
            columns[name] = Column(
                texts, f"CellExplorer's {name} of the unit, as a person gave them; several by commas."
            )
    gone = tuple(
        LeftOut(", ".join(names), reason)
        for reason, names in sorted(left_out.items(), key=lambda item: item[0])
        if reason
    )
    return columns, gone


def memberships(value: Any, n: int) -> tuple[tuple[str, ...], ...]:
    """Names of the groups that each unit is in, in the order of the file.

    Parameters
    ----------
    value : struct of lists of units (from 1), or cell array of texts
        As ``tags``, ``groups`` and ``groundTruthClassification`` are kept by newer and older versions.
    n : int
        Units.

    Examples
    --------
    >>> memberships({"PV": np.array([[1.0, 3.0]]), "Juxta": np.array([[3.0]])}, 3)
    (('PV',), (), ('PV', 'Juxta'))
    >>> memberships(["PV", "", ["SST", "Juxta"]], 3)
    (('PV',), (), ('SST', 'Juxta'))
    """
    found: list[list[str]] = [[] for _ in range(n)]
    if isinstance(value, Mapping):
        for name, members in value.items():
            if not isinstance(members, np.ndarray) or members.dtype.kind not in "iufb":
                continue
            if members.dtype.kind == "b" and members.size == n:
                members = np.flatnonzero(members.ravel()) + 1
            for number in members.ravel():
                if np.isfinite(number) and 1 <= number <= n:
                    found[int(number) - 1].append(name)
    elif isinstance(value, list) and len(value) == n:
        for unit, item in enumerate(value):
            items = item if isinstance(item, list) else [item]
            found[unit] += [text for each in items if isinstance(each, str) and (text := each.strip())]
    return tuple(tuple(dict.fromkeys(names)) for names in found)


def outside(value: Any, n: int) -> tuple[str, ...]:
    """Members of groups that are not among the `n` units, a phrase each."""
    if not isinstance(value, Mapping):
        return ()
    gone = []
    for name, members in value.items():
        if isinstance(members, np.ndarray) and members.dtype.kind in "iuf":
            wrong = [number for number in members.ravel().tolist() if not 1 <= number <= n]
            if wrong:
                gone.append(f"{name} ({', '.join(f'{number:g}' for number in wrong[:5])})")
    return tuple(gone)


def _values(name: str, value: Any, n: int) -> tuple[NDArray[Any] | None, str]:
    """One value a unit; or None and why not (``""``: it is nothing to mention)."""
    if isinstance(value, Unreadable):
        is_skipped = value == NOT_READ
        return None, "derived from spikes and events; it can be computed again" if is_skipped else (
            f"it is a {value.kind} that only MATLAB can read"
        )
    if isinstance(value, str):
        value = [value] if n == 1 else value
    if isinstance(value, np.ndarray):
        if value.size != n or value.dtype.kind not in "iufb":
            return None, "" if value.size == 0 else f"it does not hold one value for each of the {n} units"
        if value.dtype.kind == "b":
            return value.ravel(), ""
        numbers = value.ravel().astype(np.float64)
        are_whole = name in WHOLE_NUMBERS and bool(np.all(is_whole(numbers)))
        return (numbers.astype(np.int64) if are_whole else numbers), ""
    if isinstance(value, list) and len(value) == n and all(_is_text(item) for item in value):
        return np.array(
            ["" if text_of(item).lower() in _MISSING else text_of(item) for item in value], dtype=object
        ), ""
    if (isinstance(value, list) and not value) or (isinstance(value, Mapping) and not value):
        return None, ""
    if isinstance(value, str):
        return None, "it is one text for all units"
    return None, "it is no single number or text a unit"


def _is_text(item: Any) -> bool:
    """Whether a cell holds a text, or nothing as MATLAB writes it in a cell array of texts."""
    if isinstance(item, list):
        return len(item) <= 1 and all(_is_text(each) for each in item)
    return isinstance(item, str) or (isinstance(item, np.ndarray) and item.size == 0)


def _says_something(values: NDArray[Any]) -> bool:
    if values.dtype.kind == "f":
        return bool(np.isfinite(values).any())
    return values.dtype.kind != "O" or any(values)


def _regions(source: Source, name: str, units: UnitSpikes) -> NDArray[Any] | None:
    for struct, rows in ((source.metrics, np.arange(len(units))), (source.spikes, units.rows)):
        if rows is None or name not in struct:
            continue
        n = len(units) if struct is source.metrics else _n_of_spikes(struct)
        found, _ = _values(name, struct[name], n)
        if found is not None and found.dtype.kind == "O" and _says_something(found):
            said: NDArray[Any] = found[rows]
            is_unknown = [text.lower() in ("unknown", "unassigned", "none") for text in said]
            return np.where(is_unknown, "", said).astype(object)
    return None


def _n_of_spikes(struct: Struct) -> int:
    for name in ("times", "ts"):
        value = struct.get(name)
        if isinstance(value, list):
            return len(value)
        if isinstance(value, np.ndarray):
            return 1
    return 0
