"""The journal of a review: a line for each decision, on the disk before the page is told so, never rewritten."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from nwb_celltype.annotation import now
from nwb_celltype.archive.disk_cache import default_folder
from nwb_celltype.errors import InputError, RefusedError
from nwb_celltype.file_locks import try_lock
from nwb_celltype.nested_text import parse_json

FORMAT = 1
SUFFIX = ".review.jsonl"

Kind = Literal["decide", "note", "undo", "saved"]
KINDS: tuple[Kind, ...] = ("decide", "note", "undo", "saved")


@dataclass(frozen=True)
class Event:
    """One line: something that a person said, or that was saved. Texts are empty where they do not apply.

    Attributes
    ----------
    id : str
        Made by the page, so that a request that is sent twice counts once.
    kind : {'decide', 'note', 'undo', 'saved'}
    by : str
        The person.
    made, recorded : str
        When the key was pressed, and when the line was written; ISO 8601 with time zone.
    tab : str
        Which tab of the browser it came from.
    units_path : str
        The units table.
    unit : int or None
    unit_sha256 : str
        Digest of the unit's data when it was decided on.
    verdict : str
        A word of `decisions.VERDICTS`.
    label : str
        A class, or ``unclassified``.
    note : str
    run, run_label : str
        The run that was looked at, and what it says about the unit; or the run that was saved.
    undoes : str
        Id of the event that is taken back.
    replaces : str
        Id of a decision of another tab that the page had not seen when this one was made.
    decisions_sha256 : str
        Of what was saved.
    """

    id: str
    kind: Kind
    by: str
    made: str
    recorded: str = ""
    tab: str = ""
    units_path: str = ""
    unit: int | None = None
    unit_sha256: str = ""
    verdict: str = ""
    label: str = ""
    note: str = ""
    run: str = ""
    run_label: str = ""
    undoes: str = ""
    replaces: str = ""
    decisions_sha256: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain types, without the fields that say nothing."""
        return {key: value for key, value in asdict(self).items() if value not in ("", None)}


class Journal:
    """The journal of one NWB file; open to one process at a time.

    Parameters
    ----------
    path : Path
        From `journal_path`; made with the first event.

    Raises
    ------
    InputError
        If it cannot be read, or another version of this program wrote it.
    RefusedError
        If another process has it open.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with Journal(Path(folder) / "session.review.jsonl") as journal:
    ...     event = Event("1", "decide", "Jane Doe", made="2026-01-31T14:00:00+00:00", unit=7, label="MLI")
    ...     len(journal.add([event])), len(journal.add([event]))
    (1, 0)
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[Event] = []
        self.n_damaged = 0
        self._ids: set[str] = set()
        self._file = self._open()
        try:
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another process have it; a journal without events leaves no file behind."""
        if not self._file.closed:
            if not self.events and not self.n_damaged and os.fstat(self._file.fileno()).st_size == 0:
                with contextlib.suppress(OSError):
                    self.path.unlink()
            self._file.close()

    def add(self, events: Sequence[Event]) -> list[Event]:
        """Write events that are not there yet, and return when they are on the disk.

        Parameters
        ----------
        events : sequence of Event

        Returns
        -------
        list of Event
            Those that were new, with the moment they were recorded.

        Raises
        ------
        InputError
            If they cannot be written; then none of them is in the journal.
        """
        fresh: dict[str, Event] = {}
        moment = now()
        for event in events:
            if event.id not in self._ids:
                fresh.setdefault(event.id, Event(**{**asdict(event), "recorded": moment}))
        if not fresh:
            return []
        lines = [json.dumps({"format": FORMAT, **event.to_json()}, allow_nan=False) for event in fresh.values()]
        self._append("".join(f"{line}\n" for line in lines).encode())
        self.events += fresh.values()
        self._ids |= set(fresh)
        return list(fresh.values())

    def _append(self, data: bytes) -> None:
        descriptor = self._file.fileno()
        before = os.fstat(descriptor).st_size
        if before and os.pread(descriptor, 1, before - 1) != b"\n":  # a kill left half a line
            data = b"\n" + data
        try:
            left = data
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):  # half of it would be taken for damage later
                os.ftruncate(descriptor, before)
            message = (
                f"The journal {self.path} cannot be written ({error.strerror or error}). Make room; the page keeps "
                "what is not recorded and tries again."
            )
            raise InputError(message) from error

    def _open(self) -> Any:
        try:
            is_new = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("a+b", buffering=0)
            if is_new:
                _sync_folder(self.path.parent)
        except OSError as error:
            message = f"The journal {self.path} cannot be opened ({error.strerror or error}). Check its permissions."
            raise InputError(message) from error
        is_ours = False
        try:
            is_ours = try_lock(file)
        finally:
            if not is_ours:
                file.close()
        if not is_ours:
            message = f"Another process reviews this file: it has the journal {self.path} open. End that one first."
            raise RefusedError(message)
        return file

    def _read(self) -> None:
        self._file.seek(0)
        for line in self._file.read().splitlines():
            if not line.strip():
                continue
            try:
                content = parse_json(line)
                version = content.pop("format")
                if version == FORMAT:
                    self._take(content)
                    continue
            except (ValueError, TypeError, KeyError, AttributeError):
                self.n_damaged += 1  # half a line after a kill; the page was not told that it is recorded
                continue
            message = f"{self.path} was written by another version of this program ({version!r}); move it away."
            raise InputError(message)

    def _take(self, content: dict[str, Any]) -> None:
        known = {each.name for each in fields(Event)}
        event = Event(**{name: value for name, value in content.items() if name in known})
        if event.kind not in KINDS or not isinstance(event.id, str):
            raise ValueError(event.kind)
        if event.id not in self._ids:
            self.events.append(event)
            self._ids.add(event.id)


def journal_path(file: Path) -> Path:
    """Where the journal of a file is: beside it, or in the user's cache where that folder cannot be written.

    Examples
    --------
    >>> journal_path(Path("session.nwb")).name
    'session.review.jsonl'
    """
    real = Path(os.path.realpath(file))
    beside = real.with_name(f"{real.stem}{SUFFIX}")
    if os.access(beside if beside.exists() else real.parent, os.W_OK):
        return beside
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
    return default_folder() / "reviews" / f"{real.stem}-{digest}{SUFFIX}"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some file systems cannot sync folders
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
