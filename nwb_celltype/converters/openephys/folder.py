"""Folders of an Open Ephys session: record nodes, experiments, recordings."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nwb_celltype.errors import InputError

_DEEPEST = 5  # a folder of sessions, session, record node, experiment, recording
_STRUCTURE = "structure.oebin"
_EXAMPLE = "'Record Node 101/experiment1/recording1'"
_NODE = re.compile(r"Record[ _]?Node", re.IGNORECASE)
_SOFTWARE_TIME = re.compile(r"Software Time[^:]*:\s*(\d+)")
_FOLDER_TIME = re.compile(r"(\d{4})-(\d{2})-(\d{2})_(\d{2})-(\d{2})-(\d{2})")


@dataclass(frozen=True)
class Recording:
    """One recording of one record node.

    Attributes
    ----------
    folder : Path
        Holds ``structure.oebin``.
    node : Path
        Folder of the record node; that of the session for versions without record nodes.
    experiment : int
        1 where the folders do not say.
    """

    folder: Path
    node: Path
    experiment: int

    @property
    def session(self) -> Path:
        """Folder that holds the record nodes."""
        return self.node.parent if _NODE.match(self.node.name) else self.node

    @property
    def node_id(self) -> str:
        """Number of the record node, ``""`` where the folder does not say."""
        found = re.search(r"(\d+)$", self.node.name) if self.node != self.session else None
        return found.group(1) if found else ""

    @property
    def settings(self) -> Path | None:
        """Settings of the experiment, None where they are not there."""
        name = "settings.xml" if self.experiment == 1 else f"settings_{self.experiment}.xml"
        path = self.node / name
        return path if path.is_file() else None

    @property
    def started(self) -> datetime | None:
        """When the recording began: UTC from ``sync_messages.txt``, else local time from the session's name."""
        messages = self.folder / "sync_messages.txt"
        if messages.is_file():
            found = _SOFTWARE_TIME.search(messages.read_text(encoding="utf-8", errors="replace"))
            if found and int(found.group(1)) > 0:
                return datetime.fromtimestamp(int(found.group(1)) / 1000, tz=UTC)
        named = _FOLDER_TIME.search(self.session.name)
        try:
            return datetime(*(int(part) for part in named.groups())) if named else None  # type: ignore[arg-type]
        except ValueError:  # digits that are no date
            return None


def find_recording(path: Path | str) -> Recording:
    """Find the one recording at or below a path.

    Parameters
    ----------
    path : str or Path
        Session, record node, experiment, recording, or a ``structure.oebin``.

    Returns
    -------
    Recording

    Raises
    ------
    InputError
        Nothing is there, or several record nodes, experiments or recordings, of which one must be chosen.

    Examples
    --------
    >>> find_recording("no_such_folder")
    Traceback (most recent call last):
        ...
    nwb_celltype.errors.InputError: no_such_folder does not exist; give the folder of an Open Ephys session.
    """
    path = Path(path)
    if not path.exists():
        message = f"{path} does not exist; give the folder of an Open Ephys session."
        raise InputError(message)
    top = path.parent if path.is_file() else path
    found = sorted(_recordings_below(top), key=_natural)
    if not found:
        message = (
            f"{path} holds no {_STRUCTURE}: give the folder of an Open Ephys session in binary format, or one of its "
            f"recordings, for example {_EXAMPLE}. Other formats of Open Ephys are not read."
        )
        raise InputError(message)
    if len(found) > 1:
        names = "\n".join(f"  {folder.relative_to(top)}" for folder in found)
        message = (
            f"{path} holds {len(found)} recordings:\n{names}\nConvert them one by one: give the folder of one of them."
        )
        raise InputError(message)
    folder = found[0].resolve()
    experiment = re.fullmatch(r"experiment(\d+)", folder.parent.name)
    if experiment is None:
        return Recording(folder=found[0], node=folder, experiment=1)
    return Recording(folder=found[0], node=folder.parent.parent, experiment=int(experiment.group(1)))


def _recordings_below(top: Path) -> list[Path]:
    found = []
    for root, folders, files in os.walk(top):
        folder = Path(root)
        if _STRUCTURE in files:
            found.append(folder)
            folders.clear()
        elif len(folder.relative_to(top).parts) >= _DEEPEST:
            folders.clear()
        folders.sort()
    return found


def _natural(path: Path) -> list[tuple[int, str]]:
    """Order with numbers as numbers: recording2 before recording10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]
