"""Annotations in memory, as a classifier with evidence would give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nwb_celltype.annotation import Annotation, now
from nwb_celltype.nwb_io.graft import Place, free_run_name, graft
from nwb_celltype.runs import Method
from nwb_celltype.taxonomy import CEREBELLUM
from nwb_celltype.units import read_units

METHOD = Method(
    "classifier",
    {
        "software": "made-up",
        "model_name": "m",
        "model_version": "1",
        "weights_sha256": "0" * 64,
        "parameters": {"seed": 1},
        "references": ["doi:10.1000/1"],
    },
)


def from_classifier(unit_ids: Sequence[int], **changes: Any) -> Annotation:
    """Each unit gets the next class; the last one abstains, and nothing could be computed for it."""
    n, labels = len(unit_ids), CEREBELLUM.labels
    k = len(labels)
    probability = np.full((n, k), 0.1 / (k - 1), dtype=np.float32)
    probability[np.arange(n), np.arange(n) % k] = 0.9
    cell_type = np.array([labels[i % k] for i in range(n)], dtype="U20")
    probability[-1], cell_type[-1] = np.nan, "unclassified"
    is_abstained = cell_type == "unclassified"
    evidence = tuple(
        tuple({"kind": "optotag", "latency_ms": 2.1 + i + j, "n_pulses": 100} for j in range(i % 3)) for i in range(n)
    )
    annotation = Annotation(
        unit_ids=np.array(unit_ids, dtype=np.int64),
        cell_type=cell_type,
        is_abstained=is_abstained,
        reason=np.where(is_abstained, "no_modality", ""),
        reason_detail=np.where(is_abstained, "Nothing is stored.", ""),
        taxonomy=CEREBELLUM,
        method=METHOD,
        description="made up",
        run_name="m_1",
        probability=probability,
        confidence=np.nanmax(np.nan_to_num(probability, nan=-1), axis=1).astype(np.float32),
        ood_score=np.linspace(0, 1, n, dtype=np.float32),
        cell_id=np.array([f"cell {i // 2}" for i in range(n)]),
        split=np.array(["train", "none"])[np.arange(n) % 2],
        evidence=evidence if any(evidence) else None,
        confidence_threshold=0.5,
        input_sha256="ab" * 32,
        created=now(),
    )
    return replace(annotation, **changes)


def graft_into(path: Path, annotation: Annotation | None = None, unit_ids: Sequence[int] | None = None) -> Annotation:
    """Put an annotation, or a made-up one of these units (all by default, last one first), into a file as it is."""
    with read_units(path) as units:
        session, every = units.session, np.array(units.unit_ids)
    annotation = annotation or from_classifier(every[::-1].tolist() if unit_ids is None else unit_ids)
    name = free_run_name(path, annotation.run_name)
    graft(path, annotation, Place(name, session.units_path, session.units_object_id, session.identifier, every))
    return annotation
