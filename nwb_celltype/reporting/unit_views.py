"""Units of a report: what the run says of each, beside its panels and the second look of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.classifier import Model
from nwb_celltype.reporting.records import Explanation, FileView, Neighbour, UnitView
from nwb_celltype.reporting.second_look import SecondLook
from nwb_celltype.reporting.unit_panels import UnitPanels

if TYPE_CHECKING:
    import xarray as xr

    from nwb_celltype.classifier.neighbourhood import Location

Float = NDArray[np.float64]

_STATISTICS = ("waveform_statistics", "acg_statistics", "statistics")
_MOST_STATISTICS = 24


@dataclass(frozen=True, eq=False)
class Part:
    """One file, before classes and models of all files are known."""

    file: FileView
    model: Model | None
    look: SecondLook
    panels: Mapping[int, UnitPanels]
    row: Mapping[int, int]  # row in panels, features and the second look, by unit id


def unit_views(part: Part, number: int, labels: Sequence[str], located: Location | None) -> list[UnitView]:
    """Gather what is shown of each unit of a file.

    Parameters
    ----------
    part : Part
    number : int
        Of the file in the report.
    labels : sequence of str
        Classes of the report in their order, ``unclassified`` left out.
    located : Location or None
        The map of the report; None where this file is not on it.
    """
    run = part.file.run
    columns = [labels.index(label) for label in run.classes]
    elsewhere = [
        (one.name, dict(zip(one.unit_ids.tolist(), one.cell_type.tolist(), strict=True))) for one in part.file.runs
    ]
    views = []
    for k, unit_id in enumerate(run.unit_ids.tolist()):
        row, panels = part.row.get(unit_id), part.panels.get(unit_id)
        probability = None
        if run.probability is not None and np.isfinite(run.probability[k]).all():
            probability = np.full(len(labels), np.nan)
            probability[columns] = run.probability[k]
        view = UnitView(
            key=f"{number}:{unit_id}",
            file=number,
            unit_id=unit_id,
            label=str(run.cell_type[k]),
            is_abstained=bool(run.is_abstained[k]),
            reason=str(run.reason[k]),
            reason_detail=str(run.reason_detail[k]),
            confidence=_value(run.confidence, k),
            ood_score=_value(run.ood_score, k),
            probability=probability,
            cell_id="" if run.cell_id is None else str(run.cell_id[k]),
            labels={name: str(said[unit_id]) for name, said in elsewhere if unit_id in said},
        )
        if panels is not None:
            view = replace(view, **_drawn(panels))
        if row is not None:
            view = replace(
                view, spread=_value(part.look.spread, row), explanation=_explained(part.look.explanation, row)
            )
        # a map is that of one model; each file has its own places on it
        own = part.look.location if located is not None else None
        if row is not None and own is not None:
            same = bool(own.is_training_unit[row])
            view = replace(view, map_xy=_pair(own.xy[row]), neighbours=_neighbours(own, row), is_training_unit=same)
        views.append(view)
    return views


def _drawn(panels: UnitPanels) -> dict[str, Any]:
    named = {field.name: getattr(panels, field.name) for field in fields(panels)}
    named["acg_hz"] = named.pop("acg")
    return named


def _neighbours(location: Location, row: int) -> tuple[Neighbour, ...]:
    found = []
    for at, distance in zip(location.neighbours[row].tolist(), location.distance[row].tolist(), strict=True):
        if at >= 0 and np.isfinite(distance):
            label, lab = str(location.training_label[at]), str(location.training_source[at])
            found.append(Neighbour(label, lab, float(distance)))
    return tuple(found)


def _explained(explanation: xr.Dataset | None, row: int) -> Explanation | None:
    if explanation is None or not str(explanation["cell_type"].values[row]):
        return None
    parts: dict[str, Float | None] = {}
    for name in ("waveform", "isi_histogram", "acg"):
        values = explanation[name].values[row] if name in explanation else None
        parts[name] = values if values is not None and np.isfinite(values).all() else None
    statistics: dict[str, float] = {}
    for name in _STATISTICS:
        if name in explanation:
            values, dimension = explanation[name].values[row], str(explanation[name].dims[1])
            named = zip(explanation[dimension].values.tolist(), values.tolist(), strict=True)
            statistics |= {str(key): float(value) for key, value in named if np.isfinite(value)}
    largest = sorted(statistics, key=lambda key: -abs(statistics[key]))[:_MOST_STATISTICS]
    contribution = zip(explanation["modality"].values.tolist(), explanation["contribution"].values[row], strict=True)
    return Explanation(
        label=str(explanation["cell_type"].values[row]),
        modalities={str(name): float(value) for name, value in contribution if np.isfinite(value)},
        waveform=parts["waveform"],
        isi=parts["isi_histogram"],
        acg=parts["acg"],
        statistics={key: statistics[key] for key in largest},
    )


def paired(views: Sequence[UnitView]) -> list[UnitView]:
    """Name the other unit of the same cell."""
    by_cell: dict[tuple[int, str], list[str]] = {}
    for view in views:
        if view.cell_id:
            by_cell.setdefault((view.file, view.cell_id), []).append(view.key)
    others = {key: next((k for k in keys if k != key), None) for keys in by_cell.values() for key in keys}
    return [replace(view, partner=others[view.key]) if view.cell_id else view for view in views]


def _pair(values: Float) -> tuple[float, float] | None:
    return (float(values[0]), float(values[1])) if np.isfinite(values).all() else None


def _value(values: NDArray[Any] | None, k: int) -> float | None:
    return None if values is None or not np.isfinite(values[k]) else float(values[k])
