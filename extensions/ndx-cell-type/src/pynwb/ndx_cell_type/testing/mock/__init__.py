"""Small made-up instances of every type, each argument replaceable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
from hdmf.common import DynamicTable

from ... import (
    UNCLASSIFIED,
    CellTypeAnnotationMethod,
    CellTypeAnnotations,
    CellTypeAnnotationTable,
    CellTypeClassTable,
    CellTypeEvidenceTable,
)

__all__ = [
    "mock_CellTypeAnnotationMethod",
    "mock_CellTypeAnnotationTable",
    "mock_CellTypeAnnotations",
    "mock_CellTypeClassTable",
    "mock_CellTypeEvidenceTable",
]

CLASS_ROWS: tuple[dict[str, str], ...] = (
    {
        "label": "PkC_ss",
        "full_name": "Purkinje cell, simple spikes",
        "ontology_id": "CL:0000121",
        "ontology_label": "Purkinje cell",
        "mapping_relation": "skos:broadMatch",
    },
    {
        "label": "PkC_cs",
        "full_name": "Purkinje cell, complex spikes",
        "ontology_id": "CL:0000121",
        "ontology_label": "Purkinje cell",
        "mapping_relation": "skos:broadMatch",
    },
    {
        "label": "GoC",
        "full_name": "Golgi cell",
        "ontology_id": "CL:0000119",
        "ontology_label": "cerebellar Golgi cell",
        "mapping_relation": "skos:exactMatch",
    },
    {
        "label": "MLI",
        "full_name": "molecular layer interneuron",
        "ontology_id": "CL:4042035",
        "ontology_label": "molecular layer interneuron",
        "mapping_relation": "skos:exactMatch",
    },
    {"label": "MFB", "full_name": "mossy fibre bouton", "definition": "An axon terminal, so no cell ontology term."},
)

_number = count()


def _name(name: str | None, kind: str) -> str:
    return f"{kind}{next(_number)}" if name is None else name


def mock_CellTypeClassTable(
    name: str | None = None,
    description: str = "Cell types of the cerebellar cortex",
    taxonomy_name: str = "C4 cerebellar cortex",
    taxonomy_version: str = "1",
    rows: Sequence[Mapping[str, Any]] = CLASS_ROWS,
    **more: Any,
) -> CellTypeClassTable:
    """Five cerebellar classes."""
    return CellTypeClassTable.from_rows(
        name=_name(name, "classes"),
        description=description,
        taxonomy_name=taxonomy_name,
        taxonomy_version=taxonomy_version,
        rows=rows,
        **more,
    )


def mock_CellTypeAnnotationMethod(
    name: str | None = None, source_type: str = "classifier", **more: Any
) -> CellTypeAnnotationMethod:
    """A made-up classifier, or another source type by a made-up person."""
    if source_type == "classifier":
        given: dict[str, Any] = {
            "software": "mock-classifier",
            "software_version": "1.2.3",
            "software_url": "https://example.org/mock-classifier",
            "model_name": "mock",
            "model_version": "1",
            "model_licence": "CC0-1.0",
            "weights_sha256": "0" * 64,
            "feature_spec_version": "1",
            "training_data": "made up",
            "parameters": {"seed": 1},
            "confidence_definition": "largest probability",
            "references": ["https://doi.org/10.1016/j.cell.2025.01.041"],
        }
    else:
        given = {"person": "Doe, Jane"}
    return CellTypeAnnotationMethod(name=_name(name, "method"), source_type=source_type, **{**given, **more})


def mock_CellTypeEvidenceTable(
    name: str | None = None,
    description: str = "Optotagging in vitro and in vivo",
    rows: Sequence[Mapping[str, Any]] | None = None,
    pulses_table: DynamicTable | None = None,
) -> CellTypeEvidenceTable:
    """Two pieces of evidence."""
    if rows is None:
        rows = [
            {
                "kind": "optotag",
                "latency_ms": 2.1,
                "jitter_ms": 0.3,
                "reliability": 0.8,
                "salt_p": 0.001,
                "waveform_correlation": 0.98,
                "blocker": "NBQX, APV, gabazine",
                "n_pulses": 200,
            },
            {"kind": "cs_ss_pause", "note": "simple spikes pause for 15 ms"},
        ]
    return CellTypeEvidenceTable.from_rows(
        name=_name(name, "evidence"), description=description, rows=rows, pulses_table=pulses_table
    )


def mock_CellTypeAnnotationTable(
    name: str | None = None,
    description: str = "A made-up run",
    classes: CellTypeClassTable | None = None,
    method: CellTypeAnnotationMethod | None = None,
    unit_id: Sequence[int] | None = None,
    units: DynamicTable | None = None,
    created: str = "2026-01-31T12:00:00+00:00",
    **columns: Any,
) -> CellTypeAnnotationTable:
    """A run over `unit_id` (default: all of `units`, else 0 to 3); its last unit abstains.

    Any argument of `CellTypeAnnotationTable.from_columns` may be given.
    """
    classes = mock_CellTypeClassTable() if classes is None else classes
    method = mock_CellTypeAnnotationMethod() if method is None else method
    if unit_id is None:
        unit_id = list(range(4)) if units is None else [int(i) for i in units.id[:]]
    n, labels = len(unit_id), classes.labels
    if "cell_type" not in columns:
        columns["cell_type"] = [labels[i % len(labels)] for i in range(n - 1)] + [UNCLASSIFIED]
        columns.setdefault("reason", [""] * (n - 1) + ["low_confidence"])
        columns.setdefault("reason_detail", [""] * (n - 1) + ["All classes are about as likely."])
    if method.source_type == "classifier" and "probability" not in columns:
        probability = np.full((n, len(labels)), 1 / len(labels))
        for i, label in enumerate(columns["cell_type"]):
            if label in labels:
                probability[i] = 0.1 / max(len(labels) - 1, 1)
                probability[i, labels.index(label)] = 0.9 if len(labels) > 1 else 1.0
        columns["probability"] = probability
        columns.setdefault("confidence", probability.max(axis=1))
    return CellTypeAnnotationTable.from_columns(
        name=_name(name, "run"),
        description=description,
        classes=classes,
        method=method,
        unit_id=unit_id,
        units=units,
        created=created,
        **columns,
    )


def mock_CellTypeAnnotations(
    name: str | None = None, runs: Sequence[CellTypeAnnotationTable] | None = None
) -> CellTypeAnnotations:
    """A container with one detached run, or the given ones."""
    container = CellTypeAnnotations() if name is None else CellTypeAnnotations(name=name)
    for run in [mock_CellTypeAnnotationTable()] if runs is None else runs:
        container.add_run(run)
    return container
