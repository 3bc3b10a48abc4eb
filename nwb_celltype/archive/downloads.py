"""Whole files from a server: in parallel parts, resumed after a kill, checked, and only then given their name."""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nwb_celltype.archive import collection
from nwb_celltype.archive.connections import MAX_CONNECTIONS
from nwb_celltype.archive.transport import RangeSource
from nwb_celltype.errors import InputError, NetworkError, RefusedError, UsageError
from nwb_celltype.file_locks import is_at, try_lock
from nwb_celltype.nested_text import parse_json

MIB: Final = 1024 * 1024

PART: Final = 8 * MIB
"""Bytes that one request brings."""

_ETAG_PART: Final = 64 * MIB
_MOST_ETAG_PARTS: Final = 10_000
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

Progress = Callable[[int, int], None]
"""Told how many bytes are there, and how many there will be."""


def download(
    source: RangeSource,
    target: Path,
    *,
    sha256: str = "",
    etag: str = "",
    progress: Progress | None = None,
    replaces: bool = False,
) -> Path:
    """Download a file; one that is there already, and right, is left as it is.

    The bytes come into `<target>.part`; beside it `<target>.part.done` says which are there, so that a run that was
    killed, or met a full disk, is taken up again. The file gets its name when its checksum was found right.

    Parameters
    ----------
    source : RangeSource
        Where the bytes come from.
    target : Path
        The folder is made if need be.
    sha256 : str
        Checksum of the whole file, in hexadecimal; "" where it is not known.
    etag : str
        The archive's `dandi-etag`, or the MD5 of the whole file; used where there is no `sha256`.
    progress : callable, optional
        Told the bytes that are there and the bytes in all, from this thread.
    replaces : bool
        Whether another file that has the name already may be replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If there is no such file on the server, it was replaced meanwhile, the disk is full or cannot be written.
    RefusedError
        If another file has the name, the server does not let us, or another process is downloading the same.
    NetworkError
        If the server, or the way to it, keeps failing, or what came has another checksum.

    Examples
    --------
    >>> from nwb_celltype.archive.transport import RangeSource
    >>> source = RangeSource("https://example.org/session.nwb", name="session.nwb")
    >>> download(source, Path("session.nwb"))  # doctest: +SKIP
    PosixPath('session.nwb')
    """
    expected = _Checksum(sha256.lower(), etag.strip('"').lower())
    part, journal = Path(f"{target}.part"), Path(f"{target}.part.done")
    if _is_there(target, expected, replaces):
        return target
    size = source.size  # before anything is made: there may be no such file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _only_writer(part, target) as descriptor:
            if _is_there(target, expected, replaces):  # somebody else has just finished it
                part.unlink(missing_ok=True)
                return target
            _fetch_parts(source, descriptor, journal, {"size": size, **expected.of_source(source)}, progress)
            if expected.of(part) != expected.value:
                part.unlink()
                journal.unlink(missing_ok=True)
                message = (
                    f"{source.name} arrived with another {expected.kind} than the archive states; what came was "
                    "deleted. Download it again; if that fails too, tell whoever keeps the archive."
                )
                raise NetworkError(message)
            os.fsync(descriptor)
            os.replace(part, target)
            journal.unlink(missing_ok=True)
            _sync_folder(target.parent)
    except OSError as error:
        raise InputError(_why_not_written(target, error)) from error
    return target


def dandi_etag(path: Path) -> str:
    """The checksum that the DANDI archive keeps of every file: that of an S3 upload in parts of 64 MiB.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.nwb"
    >>> _ = path.write_bytes(b"spikes")
    >>> dandi_etag(path)
    'cba3899ad9856e3817d73d3f580bda1f-1'
    """
    size = path.stat().st_size
    length = _ETAG_PART if -(-size // _ETAG_PART) < _MOST_ETAG_PARTS else -(-size // _MOST_ETAG_PARTS)
    digests = [_digest(path, "md5", start, length) for start in range(0, size, length)]
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


@dataclass(frozen=True)
class _Checksum:
    """What a file must have; the strongest of what is known."""

    sha256: str
    etag: str

    def __post_init__(self) -> None:
        if not (re.fullmatch(r"([0-9a-f]{64})?", self.sha256) and re.fullmatch(r"([0-9a-f]{32}(-\d+)?)?", self.etag)):
            message = f"{self.sha256 or self.etag!r} is no checksum: give a SHA-256, a dandi-etag or an MD5."
            raise UsageError(message)

    @property
    def value(self) -> str:
        return self.sha256 or self.etag

    @property
    def kind(self) -> str:
        return "SHA-256" if self.sha256 else "dandi-etag" if "-" in self.etag else "MD5"

    def of_source(self, source: RangeSource) -> dict[str, object]:
        """What tells whether parts of an earlier run belong to the same content."""
        return {"checksum": self.value, "etag": source.etag}

    def of(self, path: Path) -> str:
        """That of a file; "" when none is known."""
        if not self.value:
            return ""
        if self.kind == "dandi-etag":
            return dandi_etag(path)
        return _digest(path, "sha256" if self.sha256 else "md5").hex()


def _digest(path: Path, algorithm: str, start: int = 0, length: int | None = None) -> bytes:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    left = path.stat().st_size if length is None else length
    with path.open("rb") as file:
        file.seek(start)
        while left and (piece := file.read(min(MIB, left))):
            digest.update(piece)
            left -= len(piece)
    return digest.digest()


def _is_there(target: Path, expected: _Checksum, replaces: bool) -> bool:
    """Whether the file need not be downloaded; refuses when another has its name."""
    if not target.exists():
        return False
    if expected.value and target.is_file() and expected.of(target) == expected.value:
        return True
    if replaces and target.is_file():
        return False
    why = "is another file than the archive's" if expected.value else "exists, and the archive states no checksum"
    message = f"{target} {why}; it was left alone. Move it away, download elsewhere, or let it be replaced."
    raise RefusedError(message)


def _fetch_parts(
    source: RangeSource,
    descriptor: int,
    journal: Path,
    head: dict[str, object],
    progress: Progress | None,
) -> None:
    """Bring the parts that are missing; `head` says what they are parts of."""
    size = source.size
    head = {**head, "part": PART}
    done = _done(journal, head) if os.fstat(descriptor).st_size == size else set()
    done = {start for start in done if start < size and start % PART == 0}
    n_missing = size - sum(min(PART, size - start) for start in done)
    _require_room(journal, n_missing)  # before anything is as long as the server says
    missing = [start for start in range(0, size, PART) if start not in done]
    if not done:
        journal.write_text(json.dumps(head) + "\n", encoding="utf-8")
        os.ftruncate(descriptor, 0)
    os.ftruncate(descriptor, size)
    if progress:
        progress(size - n_missing, size)

    def fetch(start: int) -> int:
        data = source.fetch(start, min(start + PART, size))
        written = 0
        while written < len(data):
            written += os.pwrite(descriptor, memoryview(data)[written:], start + written)
        os.fsync(descriptor)  # before the journal says so
        return start

    executor = concurrent.futures.ThreadPoolExecutor(MAX_CONNECTIONS, "nwb-celltype-download")
    try:
        failures: list[BaseException] = []
        # Only as many as there are connections: a failure must not wait for the rest of a large file.
        waiting = iter(missing)
        running = {executor.submit(fetch, start) for start in itertools.islice(waiting, MAX_CONNECTIONS)}
        with journal.open("a", encoding="utf-8") as lines:
            while running:
                finished, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                collection.catch_up()
                for future in finished:
                    if (failure := future.exception()) is not None:
                        failures.append(failure)  # what the other threads are at is still worth keeping
                        continue
                    start = future.result()
                    lines.write(f"{start}\n")
                    lines.flush()
                    n_missing -= min(PART, size - start)
                    if progress:
                        progress(size - n_missing, size)
                    if not failures and (following := next(waiting, None)) is not None:
                        running.add(executor.submit(fetch, following))
        if failures:
            raise failures[0]
    except KeyboardInterrupt:
        source.close()  # ends the waits of the threads
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _done(journal: Path, head: dict[str, object]) -> set[int]:
    """Where the parts begin that a run before this one has brought."""
    if not (head["checksum"] or head["etag"]):
        return set()
    try:
        first, *lines = journal.read_text(encoding="utf-8").split("\n")
        if parse_json(first) != head:
            return set()
    except (OSError, ValueError):
        return set()
    return {int(line) for line in lines[:-1] if line.isdecimal()}  # a last line without its end was cut off


def _require_room(journal: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(journal.parent).free
    if free < n_bytes:
        message = (
            f"{journal.parent} has {free / 1e6:.0f} MB free and {journal.name.removesuffix('.part.done')} needs "
            f"{n_bytes / 1e6:.0f} MB more; what came before was kept. Make room and run this again, or choose "
            "another place."
        )
        raise InputError(message)


@contextlib.contextmanager
def _only_writer(part: Path, target: Path) -> Iterator[int]:
    """Open the unfinished file for this process alone."""
    while True:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if not try_lock(descriptor):
                message = f"Another process is downloading {target}; run this again when it is done."
                raise RefusedError(message)
            if not is_at(part, descriptor):  # another process has just finished it, or begun anew
                continue
            yield descriptor
            return
        finally:
            os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot sync folders; the file is whole either way
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _why_not_written(target: Path, error: OSError) -> str:
    if error.errno == errno.EFBIG:
        return (
            f"{target.name} is larger than files may be here ({error.strerror}; `ulimit -f` tells the limit). "
            "Raise it, or choose another place."
        )
    if error.errno in _FULL:
        return (
            f"{target.parent} is full ({error.strerror}); what came of {target.name} was kept in {target.name}.part. "
            "Make room and run this again: it goes on where it stopped."
        )
    return f"{target} could not be written ({error.strerror or error}); check the folder, or choose another place."
