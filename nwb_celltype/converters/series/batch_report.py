"""Report on a series: one row a session, kept in the folder of the results as JSON and as a table."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from nwb_celltype.errors import InputError, RefusedError
from nwb_celltype.file_locks import try_lock
from nwb_celltype.nested_text import parse_json

JSON_NAME = "conversion_report.json"
TABLE_NAME = "conversion_report.tsv"
_FORMAT = 1
_COLUMNS = ("source", "recording", "file", "status", "units", "spikes", "message", "seconds")

Status = Literal["started", "written", "unchanged", "failed", "refused", "nothing", "planned"]
Key = tuple[str, str, str]


@dataclass(frozen=True)
class SessionRow:
    """What became of one session.

    Attributes
    ----------
    kind, source, recording : str
        `source` is an absolute path; `recording` is ``""`` where a source is one recording.
    status : str
        ``written``; ``unchanged``: converted before, and nothing has changed since; ``failed``; ``refused``: a rule
        forbids it; ``nothing``: it holds nothing to convert; ``planned``: a dry run; ``started``: it was being
        converted when the run was stopped.
    file : str
        The NWB file, from the folder of the report; ``""`` where there is none.
    units, spikes : int or None
    message : str
        What went wrong, or is worth knowing.
    seconds : float
    runs, remarks : tuple of str
        Runs of labels that were written; what nwbinspector says.
    metadata : tuple of str
        Metadata files of this session.
    from_source : tuple of str
        Keys of the metadata that no file states and that were taken from the source.
    trace : str
        Where an unexpected error came from.
    plan : mapping or None
        Of a dry run.
    digests : mapping of str to str
        Of source, request (options and metadata) and version: whether anything has changed since.
    further : tuple of str
        Files of the source that lie elsewhere.
    stamp : tuple of int or None
        Size and moment of the last change of the NWB file: whether somebody else has changed it since.
    """

    kind: str
    source: str
    recording: str = ""
    status: Status = "failed"
    file: str = ""
    units: int | None = None
    spikes: int | None = None
    message: str = ""
    seconds: float = 0.0
    runs: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    from_source: tuple[str, ...] = ()
    trace: str = ""
    plan: Mapping[str, Any] | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    further: tuple[str, ...] = ()
    stamp: tuple[int, int] | None = None

    @property
    def key(self) -> Key:
        """Which session it is."""
        return self.kind, self.source, self.recording

    @property
    def is_done(self) -> bool:
        """Whether its file is there, or would be after a dry run."""
        return self.status in {"written", "unchanged", "planned"}


@dataclass(frozen=True)
class BatchReport:
    """What became of every session of a series.

    Attributes
    ----------
    folder : Path
        Of the results; the report lies in it.
    rows : tuple of SessionRow
        In the order of the sessions.
    """

    folder: Path
    rows: tuple[SessionRow, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Number of sessions of each status."""
        return dict(sorted(Counter(row.status for row in self.rows).items()))

    @property
    def exit_code(self) -> int:
        """0 where all sessions are done, else 3."""
        return 0 if all(row.is_done for row in self.rows) else InputError.exit_code

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for ``--json``."""
        return {"folder": str(self.folder), "counts": self.counts, "sessions": [asdict(row) for row in self.rows]}

    def __str__(self) -> str:
        lines = [_line_of(row) for row in self.rows]
        counted = ", ".join(f"{n} {status}" for status, n in self.counts.items())
        sessions = "1 session" if len(self.rows) == 1 else f"{len(self.rows)} sessions"
        return "\n".join([*lines, "", f"{sessions}: {counted}"])


def _line_of(row: SessionRow) -> str:
    source = row.source + (f", {row.recording}" if row.recording else "")
    held = "" if row.units is None else f"  {row.units:,} units, {row.spikes or 0:,} spikes"
    to = f" -> {row.file}" if row.file else ""
    said = "".join(f"\n           {line.strip()}" for line in row.message.splitlines() if line.strip())
    return f"{row.status:<10} {source}{to}{held}{said}"


class ReportFile:
    """The report in the folder of the results; it holds the sessions of all series that went there.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    InputError
        If the file that is there is no report.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[Key, SessionRow] = {row.key: row for row in _read(folder / JSON_NAME)}

    def put(self, row: SessionRow) -> None:
        """Keep a row, in the place of the session's earlier one; both files are whole at any moment.

        Raises
        ------
        InputError
            If the report cannot be written.
        """
        self.rows[row.key] = row
        content = {"format": _FORMAT, "sessions": [asdict(each) for each in self.rows.values()]}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _replace(self.folder / JSON_NAME, json.dumps(content, indent=1, allow_nan=False) + "\n")
            _replace(self.folder / TABLE_NAME, _table(list(self.rows.values())))
        except OSError as error:
            why = error.strerror or error
            message = f"The report in {self.folder} cannot be written ({why}). Make room, or choose another --out."
            raise InputError(message) from error

    @contextlib.contextmanager
    def only_writer(self) -> Iterator[None]:
        """Keep two series from writing one report.

        Raises
        ------
        RefusedError
            If another process writes it.
        InputError
            If the folder cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder, os.O_RDONLY)
        except OSError as error:
            message = f"The folder {self.folder} cannot be used ({error.strerror}). Choose another place with --out."
            raise InputError(message) from error
        try:
            if not try_lock(handle):
                message = (
                    f"Another process converts into {self.folder}; wait for it, or choose another place with --out."
                )
                raise RefusedError(message)
            self.rows = {row.key: row for row in _read(self.folder / JSON_NAME)}
            yield
        finally:
            os.close(handle)


def _read(path: Path) -> list[SessionRow]:
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            message = f"{path} was written by another version of this program; move it away, or choose another --out."
            raise InputError(message)
        return [_row(each) for each in content["sessions"]]
    except FileNotFoundError:
        return []
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}). Check its permissions."
        raise InputError(message) from error
    except (ValueError, TypeError, KeyError) as error:
        message = f"{path} is no report of conversions; move it away, or choose another place with --out."
        raise InputError(message) from error


def _row(content: Mapping[str, Any]) -> SessionRow:
    known = {each.name for each in fields(SessionRow)}
    values: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in content.items() if name in known
    }
    row = SessionRow(**values)
    if not all(isinstance(text, str) for text in (*row.key, row.file, row.status)):
        message = "a row does not name its session"
        raise TypeError(message)
    return row


def _table(rows: Sequence[SessionRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(("kind", *_COLUMNS))
    for row in rows:
        values = ("" if value is None else value for value in (getattr(row, name) for name in _COLUMNS))
        one_line = (" ".join(value.split()) if isinstance(value, str) else value for value in values)
        writer.writerow((row.kind, *one_line))
    return text.getvalue()


def _replace(path: Path, text: str) -> None:
    """Write a file under another name first, so that a kill leaves the old one or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
