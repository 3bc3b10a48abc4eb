"""What stands for a value of a MATLAB file that is not there to be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unreadable:
    """A MATLAB object (string, table, function handle, ...) that only MATLAB itself can read, or a field not read.

    Attributes
    ----------
    kind : str
    """

    kind: str


NOT_READ = Unreadable("not read")
"""Stands for a field that was to be skipped."""
