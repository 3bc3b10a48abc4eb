"""The folder of a dandiset on this machine: names that stay inside it, metadata, and a record of what came."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from nwb_celltype.errors import InputError, RefusedError
from nwb_celltype.file_locks import is_at, try_lock
from nwb_celltype.nested_text import parse_json

METADATA_NAME = "dandiset.yaml"
OWN_FOLDER = ".nwb-celltype"
RECORD_NAME = "fetched.jsonl"

_WAIT_S = 0.05


class DandisetFolder:
    """A local copy of a dandiset, or of some of its files.

    Parameters
    ----------
    root : Path
        Folder of the dandiset; its name is the dandiset's identifier. It need not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))
        self._writing = threading.Lock()

    def place_of(self, path: str) -> Path:
        """Return where an asset goes.

        A server is not trusted with names: each must stay inside the folder, whatever it says and wherever symbolic
        links in the folder lead.

        Parameters
        ----------
        path : str
            As the archive gives it, from the root of the dandiset.

        Returns
        -------
        Path

        Raises
        ------
        RefusedError
            If the name would lead out of the folder, or to a file that the toolkit keeps there.
        """
        parts = path.split("/")
        if not path or path.startswith("/") or any(p in {"", ".", ".."} for p in parts) or "\\" in path or "\0" in path:
            message = f"The archive gives the path {path!r}, which is no path inside a dandiset; it was not fetched."
            raise RefusedError(message)
        if parts[0].lower() in {METADATA_NAME, OWN_FOLDER, ".git", ".datalad"}:
            message = f"The archive gives the path {path!r}, a name that this folder needs itself; it was not fetched."
            raise RefusedError(message)
        target = self.root.joinpath(*PurePosixPath(path).parts)
        inside = Path(os.path.realpath(self.root))
        if not Path(os.path.realpath(target.parent)).is_relative_to(inside):
            message = f"{target.parent} is a symbolic link that leads out of {self.root}; {path} was not fetched."
            raise RefusedError(message)
        if target.is_symlink() and not target.exists():
            message = (
                f"{target} is a symbolic link to a file that is not there (git-annex?); it was left alone. "
                "Get it with the program that made the link, or choose another folder with --out."
            )
            raise RefusedError(message)
        return target

    def write_metadata(self, metadata: Mapping[str, Any], *, overwrite: bool) -> str:
        """Write ``dandiset.yaml``, the version's metadata as the archive gives them.

        One that is there and says something else, but was written by an earlier fetch, is renewed; one that somebody
        has written or changed is left alone.

        Returns
        -------
        str
            What is worth knowing; mostly nothing.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        import yaml

        content = yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True, width=120).encode()
        target = self.root / METADATA_NAME
        with self.only_writer(METADATA_NAME):
            for left in self._partials(METADATA_NAME):  # of a call that was killed; nobody else writes it now
                left.unlink(missing_ok=True)
            if target.exists() and not overwrite:
                old = target.read_bytes()
                if old == content:
                    return ""
                before = self.recorded().get(METADATA_NAME, {})
                if before.get("file_sha256") != hashlib.sha256(old).hexdigest():
                    return f"{target} was not written by a fetch, or was changed since; it was left alone."
            self._replace(target, content)
            self.record({"path": METADATA_NAME, "file_sha256": hashlib.sha256(content).hexdigest(),
                         "size": len(content), "version": str(metadata.get("version", ""))})  # fmt: skip
        return ""

    def recorded(self) -> dict[str, dict[str, Any]]:
        """Return what was fetched into this folder, the newest entry of each local path.

        Lines that a kill has cut off are passed over.
        """
        try:
            text = (self.root / OWN_FOLDER / RECORD_NAME).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return {}
        entries: dict[str, dict[str, Any]] = {}
        for line in text.splitlines():
            with contextlib.suppress(ValueError):
                entry = parse_json(line)
                if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                    entries[entry["path"]] = entry
        return entries

    def record(self, entry: Mapping[str, Any]) -> None:
        """Add a line to the record; several processes may do so at once.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        said = {"fetched": datetime.now(UTC).isoformat(timespec="seconds"), **entry}
        line = json.dumps(said, allow_nan=False).encode() + b"\n"
        path = self.root / OWN_FOLDER / RECORD_NAME
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._writing, path.open("ab+") as file, _locked(file):
                end = file.seek(0, os.SEEK_END)
                if end:
                    file.seek(end - 1)
                    if file.read(1) != b"\n":  # a kill cut the last line off
                        line = b"\n" + line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(_why(path, error)) from error

    @contextlib.contextmanager
    def only_writer(self, path: str, is_stopped: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Keep two fetches from writing one file: the second waits, and then finds it there.

        Raises
        ------
        InputError
            If the folder cannot be written.
        InterruptedError
            If `is_stopped` says so while it waits.
        """
        name = hashlib.sha256(path.encode()).hexdigest()[:24] + ".lock"
        lock = self.root / OWN_FOLDER / "locks" / name
        pause = threading.Event()
        while True:
            try:
                lock.parent.mkdir(parents=True, exist_ok=True)
                handle = lock.open("ab")
            except FileNotFoundError:  # another process took the empty folder away at that moment
                continue
            except OSError as error:
                raise InputError(_why(lock, error)) from error
            with handle:
                if not try_lock(handle):
                    if is_stopped():
                        raise InterruptedError
                    pause.wait(_WAIT_S)
                    continue
                if not is_at(lock, handle):  # its last holder has just finished and deleted it
                    continue
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)
                    with contextlib.suppress(OSError):
                        lock.parent.rmdir()
                return

    def tidy(self, paths: Iterable[str]) -> None:
        """Take away what killed calls left beside files that are whole: their journals, and locks that nobody holds."""
        for path in paths:
            target = self.root / path
            journal = target.with_name(f"{target.name}.part.done")
            if target.is_file() and not target.with_name(f"{target.name}.part").exists():
                with contextlib.suppress(OSError):
                    journal.unlink(missing_ok=True)
        locks = self.root / OWN_FOLDER / "locks"
        with contextlib.suppress(OSError):
            for lock in [*locks.iterdir()]:
                with lock.open("ab") as handle:
                    if _is_free(handle) and is_at(lock, handle):
                        lock.unlink()
            locks.rmdir()

    def _partials(self, name: str) -> list[Path]:
        ours = re.compile(rf"{re.escape(name)}\.[0-9a-f]{{8}}")
        try:
            return [path for path in (self.root / OWN_FOLDER).iterdir() if ours.fullmatch(path.name)]
        except OSError:
            return []

    def _replace(self, target: Path, content: bytes) -> None:
        partial = self.root / OWN_FOLDER / f"{target.name}.{secrets.token_hex(4)}"
        try:
            with partial.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, target)
        except OSError as error:
            raise InputError(_why(target, error)) from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def _why(path: Path, error: OSError) -> str:
    return f"{path} cannot be written ({error.strerror or error}). Make room, or choose another place with --out."


@contextlib.contextmanager
def _locked(handle: IO[bytes]) -> Iterator[None]:
    with contextlib.suppress(OSError):  # a file system without locks; lines are appended whole all the same
        fcntl.flock(handle, fcntl.LOCK_EX)
    yield  # closing the file gives the lock back


def _is_free(handle: IO[bytes]) -> bool:
    """Whether nobody holds a lock; where there are no locks, nobody can say."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
