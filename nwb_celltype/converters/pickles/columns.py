"""What a pickle says of each unit, as columns with their meaning, and the cell types that a person gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nwb_celltype.converters.pickles.neurons import COMPLEX_SPIKES, PURKINJE, Neuron
from nwb_celltype.converters.pickles.values import at_channel, number
from nwb_celltype.converters.records import Column, PriorLabels
from nwb_celltype.taxonomy import means_no_label

_DESCRIPTIONS = {
    "snr": "Size of the unit's template on its main channel divided by the noise there, as the sorter computed it, "
    "a ratio.",
    "fraction_mua": "Fraction of the unit's spikes that come from other cells, as the sorter estimates it from the "
    "refractory period, 0 to 1.",
    "quality_score": "Quality of the unit as the sorter scores it; larger is better, no unit of measure.",
}
_STRUCTURE = frozenset(
    {
        "spike_indices", "channel", "neighbors", "chan_neighbor_ind", "main_win", "main_windows", "clips", "waveforms",
        "template", "sort_info", "channel_selector", "binary_pursuit_bool", "new_spike_bool", "label", "filename",
        "duplicate_tol_inds",
    }
)  # fmt: skip
_IN_TAXONOMY = {
    "putative_pc": "PkC_ss", "putpc": "PkC_ss", "putative_cs": "PkC_cs", "cs": "PkC_cs", "putative_basket": "MLI",
    "putative_stellate": "MLI", "sc": "MLI", "putative_mli": "MLI", "putative_mf": "MFB", "mf": "MFB",
    "putative_golgi": "GoC", "gc": "GoC", "putative_granule": "GrC", "gr": "GrC",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Unit:
    """One row of the units table: a neuron, or the simple or complex spikes of a Purkinje cell."""

    neuron: Neuron
    unit_id: int
    is_complex: bool = False

    @property
    def name(self) -> str:
        """As XSort shows it: the neuron's position, with s or c for the two kinds of spike of a Purkinje cell."""
        suffix = "" if self.neuron.kind != PURKINJE else "c" if self.is_complex else "s"
        return f"{self.neuron.position}{suffix}"


def unit_columns(units: Sequence[Unit], notes: list[str]) -> dict[str, Column]:
    """One column for each measure that is a single number or text a unit, in a fixed order."""
    names = sorted({name for unit in units for name in unit.neuron.values if isinstance(name, str)})
    kept = [n for n in names if n not in _STRUCTURE and not n.endswith("__") and not n.startswith("cs_")]
    columns: dict[str, Column] = {}
    unread = []
    for name in [*(n for n in _DESCRIPTIONS if n in kept), *(n for n in kept if n not in _DESCRIPTIONS)]:
        column = _column([_single(_value(unit, name), unit) for unit in units])
        if column is None:
            unread.append(name)
            continue
        said = f"{name}, as the sorter's file states it; what it means is not said there."
        columns[name] = Column(column, _DESCRIPTIONS.get(name, said))
    _fractions(units, columns)
    for name, words, said in (
        ("curation_type", [unit.neuron.kind for unit in units], "Kind of neuron in NeuroViz, as its file states it."),
        ("curation_label", [unit.neuron.label for unit in units], "Label that a person gave in NeuroViz, as written."),
    ):
        if any(words):
            columns[name] = Column(np.array(words, dtype=str), said)
    if unread:
        notes.append(f"parts of the file that are neither spikes, waveforms nor single values: {', '.join(unread)}")
    return columns


def _value(unit: Unit, name: str) -> Any:
    """Measures of a Purkinje cell are those of its simple spikes, but for those with a name of their own."""
    return unit.neuron.values.get(f"cs_{name}" if unit.is_complex else name)


def _single(value: Any, unit: Unit) -> float | str | None:
    value = at_channel(value, unit.neuron.channel)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | np.bool_):
        return float(value)
    return number(value)


def _column(values: Sequence[float | str | None]) -> Any:
    if all(value is None for value in values):
        return None
    if any(isinstance(value, str) for value in values):
        return np.array(["" if value is None else str(value) for value in values], dtype=str)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _fractions(units: Sequence[Unit], columns: dict[str, Column]) -> None:
    """How many of the spikes were found in overlap with others, where the sorter says so for each spike."""
    shares = []
    for unit in units:
        found = None if unit.is_complex or unit.neuron.is_edited else unit.neuron.values.get("binary_pursuit_bool")
        if isinstance(found, np.ndarray) and found.dtype == np.bool_ and found.size > 0:
            shares.append(float(found.mean()))
        else:
            shares.append(np.nan)
    if not np.all(np.isnan(shares)):
        said = "Fraction of the unit's spikes that binary pursuit found, after the first sorting by clusters, 0 to 1."
        columns["fraction_binary_pursuit"] = Column(np.array(shares), said)


def prior_labels(units: Sequence[Unit], source: str, notes: list[str]) -> tuple[PriorLabels, ...]:
    """Cell types that a person gave in NeuroViz: a Purkinje cell by its two trains, the others by their label.

    The type is a judgement of whoever paired the two spike trains or typed the label, so it becomes an expert's run
    without a name, and no ground truth: the file holds no measure that speaks for it.
    """
    rows, labels, cells, evidence = [], [], [], []
    for row, unit in enumerate(units):
        neuron = unit.neuron
        if neuron.kind == PURKINJE:
            label, said = ("PkC_cs" if unit.is_complex else "PkC_ss"), "paired as one Purkinje cell by a person"
        elif neuron.kind == COMPLEX_SPIKES:
            label, said = "PkC_cs", "complex spikes, named so by a person, without simple spikes"
        elif neuron.label and not means_no_label(neuron.label):
            label = _IN_TAXONOMY.get(neuron.label.lower().replace(" ", "_"), neuron.label)
            said = f"labelled {neuron.label!r} by a person"
        else:
            continue
        rows.append(row)
        labels.append(label)
        cells.append(f"purkinje_{neuron.position}" if neuron.kind == PURKINJE else "")
        evidence.append(({"kind": "expert", "note": f"In the NeuroViz file {source}: {said}."},))
    if not rows:
        return ()
    notes.append(f"{len(rows)} units have a cell type in the file; it is taken as that of an expert who is not named")
    return (
        PriorLabels(
            source=source,
            source_type="expert",
            unit_rows=np.array(rows, dtype=np.int64),
            labels=tuple(labels),
            software="NeuroViz",
            evidence=tuple(evidence),
            cell_ids=tuple(cells) if any(cells) else (),
            description=f"Cell types that a person gave in NeuroViz or XSort, as found in {source}.",
            run_name="expert_neuroviz",
        ),
    )
