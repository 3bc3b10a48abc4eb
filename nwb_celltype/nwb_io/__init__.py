"""NWB files in and out: annotate a file, check what is in it."""

from __future__ import annotations

from nwb_celltype.nwb_io.annotated_file import AnnotatedFile, annotate
from nwb_celltype.nwb_io.checks import CheckMessage, check

__all__ = ["AnnotatedFile", "CheckMessage", "annotate", "check"]
