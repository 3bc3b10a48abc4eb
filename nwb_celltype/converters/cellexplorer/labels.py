"""Cell types in CellExplorer's files: ground truth, putative types of its rule, and tags of a person, each apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nwb_celltype import taxonomy
from nwb_celltype.converters.cellexplorer.source import Source
from nwb_celltype.converters.cellexplorer.unit_columns import memberships, outside
from nwb_celltype.converters.cellexplorer.values import struct_at, text_of
from nwb_celltype.converters.records import PriorLabels
from nwb_celltype.errors import UsageError

CITATION = "Petersen et al. 2021, Neuron 109(22):3594-3608, doi:10.1016/j.neuron.2021.09.002"
_SOFTWARE = "CellExplorer"
_HOW_NOT_CELL = "juxtacellular"
_OPTOTAG_WORDS = ("optotag", "opto_tag", "opto-tag", "phototag")


def read_labels(source: Source, n: int, notes: list[str]) -> tuple[PriorLabels, ...]:
    """Runs of labels, never mixed.

    - ``groundTruthClassification``: ground truth. A unit in several of its groups keeps the first that is a cell type;
      the others stand in its evidence, and other cell types in a second run of ground truth as well.
    - ``putativeCellType``: a rule of CellExplorer on waveform and autocorrelogram, perhaps changed by hand.
    - ``groups`` and ``tags`` that are called like a cell type: a person's word, so a run of an expert.

    Parameters
    ----------
    source : Source
    n : int
        Units.
    notes : list of str
        Receives what was odd.

    Returns
    -------
    tuple of PriorLabels
    """
    return (*_ground_truth(source, n, notes), *_putative(source, n), *_tagged(source, n))


def _ground_truth(source: Source, n: int, notes: list[str]) -> tuple[PriorLabels, ...]:
    value = source.metrics.get("groundTruthClassification")
    gone = outside(value, n)
    if gone:
        notes.append(f"groundTruthClassification names units that the file does not hold: {', '.join(gone)}")
    members = memberships(value, n)
    rows = [row for row in range(n) if members[row]]
    if not rows:
        return ()
    ordered = {row: _cell_types_first(members[row]) for row in rows}
    tags = memberships(source.metrics.get("tags"), n)
    line = text_of(struct_at(source.general, "animal").get("geneticLine"))
    evidence = {row: _evidence(ordered[row], tags[row], line) for row in rows}
    first = _prior(source, rows, [ordered[row][0] for row in rows], evidence, "ground_truth_cellexplorer")
    again = [(row, name) for row in rows for name in ordered[row][1:] if _adds(name, ordered[row][0])]
    if not again:
        return (first,)
    n_twice = len({row for row, _ in again})
    notes.append(
        f"{n_twice} units have several cell types in groundTruthClassification: all stand in their evidence, and those "
        "after the first in runs of their own"
    )
    return (first, *_further(source, again, evidence))


def _further(
    source: Source, again: list[tuple[int, str]], evidence: Mapping[int, tuple[Mapping[str, Any], ...]]
) -> tuple[PriorLabels, ...]:
    """Runs of the cell types after the first, one for the second of each unit, one for the third, ..."""
    runs: list[list[tuple[int, str]]] = []
    for row, name in again:
        at = sum(row == other for run in runs for other, _ in run)
        if at == len(runs):
            runs.append([])
        runs[at].append((row, name))
    return tuple(
        _prior(
            source, [row for row, _ in run], [name for _, name in run], evidence, f"ground_truth_cellexplorer_{number}"
        )
        for number, run in enumerate(runs, start=2)
    )


def _prior(
    source: Source, rows: list[int], labels: list[str], evidence: Mapping[int, tuple[Mapping[str, Any], ...]], name: str
) -> PriorLabels:
    return PriorLabels(
        source=source.name,
        source_type="ground_truth",
        unit_rows=np.array(rows, dtype=np.int64),
        labels=tuple(labels),
        software=_SOFTWARE,
        software_version=_version(source),
        evidence=tuple(evidence[row] for row in rows),
        description=f"Ground truth that CellExplorer's groundTruthClassification states in {source.name}.",
        run_name=name,
        references=(CITATION,),
    )


def _evidence(names: tuple[str, ...], tags: tuple[str, ...], line: str) -> tuple[Mapping[str, Any], ...]:
    """What the file says of how a unit was identified, and every group that it is in."""
    groups = ", ".join(names)
    several = "one group" if len(names) == 1 else f"{len(names)} groups, all of which hold"
    notes = [f"groundTruthClassification lists the unit in {several}: {groups}"]
    if tags:
        notes.append(f"its tags are {', '.join(tags)}")
    if line:
        notes.append(f"genetic line of the animal: {line}")
    said = "; ".join(notes)
    words = [name.lower() for name in (*names, *tags)]
    found = []
    if any(word.startswith(start) for word in words for start in _OPTOTAG_WORDS):
        found.append({"kind": "optotag", "note": f"{said}. Latency and reliability are not stated."})
    if any(word.startswith("juxta") for word in words):
        found.append({"kind": "juxtacellular", "note": f"{said}."})
    if not found:
        found.append({"kind": "expert", "note": f"{said}. The file does not say how the unit was identified."})
    return tuple(found)


def _cell_types_first(names: tuple[str, ...]) -> tuple[str, ...]:
    """Groups of a unit, those that only say how it was identified last."""
    return tuple(sorted(names, key=lambda name: _class_of(name) == _HOW_NOT_CELL))


def _adds(name: str, first: str) -> bool:
    """Whether a group names another cell type than the first does."""
    own, other = _class_of(name), _class_of(first)
    if own == _HOW_NOT_CELL:
        return False
    if own is None or other is None:
        return name != first
    wider = {"interneuron"}  # says less of a unit that is called PV as well
    return own != other and own not in wider


def _class_of(name: str) -> str | None:
    try:
        return taxonomy.map_label(name, "cellexplorer")
    except UsageError:
        return None


def _version(source: Source) -> str:
    return text_of(struct_at(source.general, "processinginfo").get("version"))


def _putative(source: Source, n: int) -> tuple[PriorLabels, ...]:
    value = source.metrics.get("putativeCellType")
    value = [value] if isinstance(value, str) and n == 1 else value
    if not isinstance(value, list) or len(value) != n:
        return ()
    labels = tuple(text_of(item) for item in value)
    if all(taxonomy.means_no_label(label) for label in labels):
        return ()
    return (
        PriorLabels(
            source=source.name,
            source_type="classifier",
            unit_rows=np.arange(n, dtype=np.int64),
            labels=labels,
            software=_SOFTWARE,
            software_version=_version(source),
            confidence_definition="CellExplorer states none: its putative types are a rule on trough-to-peak time and "
            "the rise of the autocorrelogram, and a person may have changed them",
            description=f"Putative cell types (putativeCellType) that a rule of CellExplorer gave in {source.name}; a "
            "person may have changed them.",
            run_name="cellexplorer_putative",
            references=(CITATION,),
        ),
    )


def _tagged(source: Source, n: int) -> tuple[PriorLabels, ...]:
    """Groups and tags that are called like a cell type."""
    names = [
        tuple(
            name
            for field in ("groups", "tags")
            for name in memberships(source.metrics.get(field), n)[row]
            if _class_of(name) not in (None, _HOW_NOT_CELL)
        )
        for row in range(n)
    ]
    rows = [row for row in range(n) if names[row]]
    if not rows:
        return ()
    return (
        PriorLabels(
            source=source.name,
            source_type="expert",
            unit_rows=np.array(rows, dtype=np.int64),
            labels=tuple(names[row][0] for row in rows),
            software=_SOFTWARE,
            software_version=_version(source),
            evidence=tuple(
                ({"kind": "expert", "note": f"groups and tags of the unit: {', '.join(names[row])}."},) for row in rows
            ),
            description=f"Groups and tags in {source.name} that are called like a cell type; the file does not say how "
            "they were found.",
            run_name="cellexplorer_tags",
            references=(CITATION,),
        ),
    )
