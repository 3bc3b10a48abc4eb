"""Words of files, made comparable."""

from __future__ import annotations

import re

UNSTATED = frozenset({"", "unknown", "none", "nan", "na", "n/a", "null", "?", "unspecified", "not specified"})
"""Texts that say nothing."""


def plain(text: str) -> str:
    """Lower case, with one space for every run of spaces and underscores."""
    return re.sub(r"[\s_]+", " ", text).strip().lower()
