"""NWB extension for the cell types of extracellular units: label, probability, method and evidence."""

from ._namespace import NAMESPACE
from ._namespace import VERSION as __version__
from .annotation_table import CellTypeAnnotationTable
from .classes import CellTypeClassTable
from .container import DEFAULT_NAME, CellTypeAnnotations
from .evidence import CellTypeEvidenceTable
from .method import CellTypeAnnotationMethod
from .published import published_run
from .vocabulary import (
    EVIDENCE_KINDS,
    MAPPING_RELATIONS,
    REASON_MEANINGS,
    REASONS,
    SOURCE_TYPES,
    SPLITS,
    UNCLASSIFIED,
)

__all__ = [
    "DEFAULT_NAME",
    "EVIDENCE_KINDS",
    "MAPPING_RELATIONS",
    "NAMESPACE",
    "REASONS",
    "REASON_MEANINGS",
    "SOURCE_TYPES",
    "SPLITS",
    "UNCLASSIFIED",
    "CellTypeAnnotationMethod",
    "CellTypeAnnotationTable",
    "CellTypeAnnotations",
    "CellTypeClassTable",
    "CellTypeEvidenceTable",
    "__version__",
    "published_run",
]
