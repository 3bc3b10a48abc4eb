"""NWB files in and out: annotate a file, check what is in it, keep labels in a file of their own, join them again."""

from __future__ import annotations

from nwb_celltype.nwb_io.annotated_file import AnnotatedFile, annotate
from nwb_celltype.nwb_io.checks import CheckMessage, check
from nwb_celltype.nwb_io.detached import SessionCopy, detach, read_session_copy, write_detached
from nwb_celltype.nwb_io.joining import Joined, join

__all__ = [
    "AnnotatedFile",
    "CheckMessage",
    "Joined",
    "SessionCopy",
    "annotate",
    "check",
    "detach",
    "join",
    "read_session_copy",
    "write_detached",
]
