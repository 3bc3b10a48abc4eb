"""What a publication says about itself: problems, files, and where they are now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["file", "metadata", "licence"]
State = Literal["new", "replaced", "unchanged", "described"]
"""``described``: the bytes were there already, and only what the archive says about them was changed."""

Progress = Callable[[str, int, int], None]
"""Called with a task, the steps done and the number of steps."""


@dataclass(frozen=True)
class Problem:
    """Something that must be put right before anything is sent.

    Attributes
    ----------
    where : str
        Path of the file in its folder, or ``dandiset``.
    text : str
        What is wrong and what to do.
    kind : str
        ``file``, ``metadata``, or ``licence`` for what a rule forbids.
    """

    where: str
    text: str
    kind: Kind = "file"

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(frozen=True)
class PublishedFile:
    """One file and what happened to it, or would happen in a dry run.

    Attributes
    ----------
    path : str
        In the dandiset.
    state : str
        ``new``, ``replaced``, ``unchanged``, or ``described`` when only its metadata changed.
    size : int
        Bytes.
    asset_id : str
        Empty in a dry run for what is not there yet; the archive gives an asset another id whenever it changes.
    """

    path: str
    state: State
    size: int
    asset_id: str = ""


@dataclass(frozen=True)
class Published:
    """What `publish` did, or would do.

    Attributes
    ----------
    dandiset : str
        Six digits; empty in a dry run that would make a new one.
    instance : str
        Name of the archive.
    url : str
        Page of the dandiset.
    version : str
        Version that was published, or ``draft``.
    status : str
        What the archive says of the draft after the upload; empty where it was not waited for.
    files : tuple of PublishedFile
    problems : tuple of Problem
        Only a dry run comes back with problems; otherwise they are raised.
    remarks : tuple of str
        What to know, but nothing that forbids it.
    is_dry_run : bool
    """

    dandiset: str
    instance: str
    url: str
    version: str
    status: str
    files: tuple[PublishedFile, ...]
    problems: tuple[Problem, ...] = ()
    remarks: tuple[str, ...] = ()
    is_dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain lists and objects."""
        return asdict(self)

    def count(self, state: State) -> int:
        """Return how many files are in a state."""
        return sum(file.state == state for file in self.files)
