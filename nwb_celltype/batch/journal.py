"""The journal of an output folder: what was written from what, so that a rerun does only what is missing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from nwb_celltype.errors import InputError, RefusedError
from nwb_celltype.file_locks import try_lock
from nwb_celltype.nested_text import parse_json

FOLDER = ".nwb-celltype"
NAME = "journal.jsonl"
_FORMAT = 1
_SKIPPED = "skipped"

Event = Literal["writing", "done"]


@dataclass(frozen=True)
class Entry:
    """One line: a file of labels that is about to be put in its place, or is there.

    Attributes
    ----------
    event : {'writing', 'done'}
    source : str
        Address of the annotated asset without its version, or path in the folder: whose labels they are.
    key : str
        Of the result (`Request.key_for`); empty where the source has no digest.
    file : str
        From the output folder, with forward slashes.
    sha256 : str
        Of the file that was written.
    units, typed, left_out, unknown : int
    run : str
        Name of the run.
    regions : tuple of str
        Region of each unit of the run, in its order.
    verdict : str
    classes : mapping of str to int
        Number of units of each label.
    address : str
        Of the asset, with its version.
    stamp : tuple of int
        Of a local source: size, moments of change and inode, so that its digest need not be computed again.
    digest : str
        Of the source.
    """

    event: Event
    source: str
    key: str
    file: str
    sha256: str
    units: int = 0
    typed: int = 0
    left_out: int = 0
    unknown: int = 0
    run: str = ""
    regions: tuple[str, ...] = ()
    verdict: str = ""
    classes: Mapping[str, int] = field(default_factory=dict)
    address: str = ""
    stamp: tuple[int, ...] = ()
    digest: str = ""


@dataclass(frozen=True)
class Skip:
    """One line: an asset that was opened, and need not be annotated.

    Attributes
    ----------
    source : str
        As in `Entry`.
    key : str
        Of the source and all that was asked (`Request.look_key`).
    reason : str
    subject, session : str
        As the file states them.
    """

    source: str
    key: str
    reason: str
    subject: str = ""
    session: str = ""


class Journal:
    """The journal of one output folder.

    Parameters
    ----------
    folder : Path
        Output folder; it need not be there yet.

    Raises
    ------
    InputError
        If the journal cannot be read, or another version of this program wrote it.

    Examples
    --------
    >>> Journal(Path("nowhere")).entries
    {}
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / FOLDER / NAME
        self.entries: dict[str, Entry] = {}
        self.skips: dict[str, Skip] = {}
        self.n_damaged = 0
        self._read()

    def find(self, source: str) -> Entry | None:
        """Last entry of a source whose file is still the one that was written; None where there is none."""
        entry = self.entries.get(source)
        return entry if entry is not None and self.is_intact(entry) else None

    def is_intact(self, entry: Entry) -> bool:
        """Whether the file of an entry is there, and as it was written."""
        return file_sha256(self.folder / entry.file) == entry.sha256

    def owner(self, file: str) -> Entry | None:
        """Entry that wrote a file, None for a file that this program did not write here."""
        return next((entry for entry in self.entries.values() if entry.file == file), None)

    def put(self, entry: Entry) -> None:
        """Add a line, and see that it is on the disk.

        Raises
        ------
        InputError
            If the journal cannot be written.
        """
        self._append(asdict(entry))
        self.entries[entry.source] = entry

    def put_skip(self, skip: Skip) -> None:
        """Add a line about an asset that is not annotated.

        Raises
        ------
        InputError
            If the journal cannot be written.
        """
        self._append({"event": _SKIPPED, **asdict(skip)})
        self.skips[skip.source] = skip

    def leave_no_trace(self) -> None:
        """Take the journal away where it names no file of labels."""
        if not self.entries:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _append(self, content: Mapping[str, Any]) -> None:
        line = json.dumps({"format": _FORMAT, **content}, allow_nan=False) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                if file.tell() and not _ends_with_newline(self.path):  # a kill left half a line
                    file.write(b"\n")
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            message = f"The journal {self.path} cannot be written ({error.strerror or error}). Make room, and go on."
            raise InputError(message) from error

    @contextlib.contextmanager
    def only_writer(self) -> Iterator[None]:
        """Keep two batches from writing one folder; a killed one leaves no lock behind.

        Raises
        ------
        RefusedError
            If another process writes it.
        InputError
            If the folder cannot be made.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            message = f"The folder {self.folder} cannot be used ({error.strerror}). Choose another place with --out."
            raise InputError(message) from error
        try:
            if not try_lock(handle):
                message = f"Another process annotates into {self.folder}; wait for it, or choose another --out."
                raise RefusedError(message)
            self._read()
            yield
        finally:
            os.close(handle)
            if not self.entries:  # nothing was written: leave no trace
                with contextlib.suppress(OSError):
                    self.path.parent.rmdir()
                    self.folder.rmdir()

    def _read(self) -> None:
        self.entries, self.skips, self.n_damaged = {}, {}, 0
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            message = f"{self.path} cannot be read ({error.strerror}). Check its permissions."
            raise InputError(message) from error
        for line in lines:
            try:
                content = parse_json(line)
                newer = content["format"] != _FORMAT
                is_skip = content.get("event") == _SKIPPED
                entry = None if newer else _skip(content) if is_skip else _entry(content)
            except (ValueError, TypeError, KeyError):
                self.n_damaged += 1  # half a line after a kill: its asset is looked at again
                continue
            if entry is None:
                message = f"{self.path} was written by another version of this program; choose another --out."
                raise InputError(message)
            if isinstance(entry, Skip):
                self.skips[entry.source] = entry
            else:
                self.entries[entry.source] = entry


def file_sha256(path: Path) -> str:
    """Sha256 of a file, ``""`` where there is none.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ""
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}). Check its permissions."
        raise InputError(message) from error
    return digest.hexdigest()


def stamp_of(path: Path) -> tuple[int, ...]:
    """Size, moments of change and inode of a file; () where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _entry(content: dict[str, Any]) -> Entry:
    known = {each.name for each in fields(Entry)}
    values: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in content.items() if name in known
    }
    entry = Entry(**values)
    if not all(isinstance(text, str) for text in (entry.source, entry.key, entry.file, entry.sha256)):
        message = "a line does not name its file"
        raise TypeError(message)
    return entry


def _skip(content: dict[str, Any]) -> Skip:
    values = {each.name: content[each.name] for each in fields(Skip)}
    if not all(isinstance(text, str) for text in values.values()):
        message = "a line does not say what is skipped"
        raise TypeError(message)
    return Skip(**values)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
