"""What a fetch plans and what came of it, as records that print and turn into JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nwb_celltype.errors import CellTypeError, InputError, NetworkError, NothingToDoError, RefusedError

Action = Literal["download", "detach"]
FileStatus = Literal["planned", "fetched", "there", "failed", "refused"]
JoinStatus = Literal["planned", "joined", "there", "unmatched", "refused", "failed"]

_CODES = (NetworkError.exit_code, InputError.exit_code, RefusedError.exit_code, 1)
"""Of several failures the first of these is the exit code: what a rerun can mend goes before what it cannot."""


@dataclass(frozen=True)
class FetchedFile:
    """One file: what is to be fetched, and what became of it.

    Attributes
    ----------
    address : str
        Canonical address of the asset, its version pinned.
    path : str
        Path of the asset in the dandiset.
    file : Path
        Where it goes.
    action : {'download', 'detach'}
        ``download``: the asset as it is; ``detach``: only its annotation runs, streamed and written as a detached file.
    status : {'planned', 'fetched', 'there', 'failed', 'refused'}
        ``there``: it was there already, with the right digest.
    size : int
        Bytes of the asset.
    n_bytes : int
        Bytes that are to come over the network, and afterwards those that came: fewer where an earlier run had brought
        some. 0 where the file is there or failed, and in a plan where only its runs are to be streamed: how small a
        part of the asset that is shows only then.
    asset_id, sha256, etag : str
        Of the asset; `sha256` is empty where the archive has not computed it yet.
    file_sha256 : str
        Of the local file, once it is there; that of the asset unless the runs were detached.
    runs : tuple of str
        Annotation runs in the file; empty where nobody has looked.
    ground_truth : tuple of str
        Those of them whose labels are ground truth.
    is_source : bool
        Whether it is fetched because labels were made from it, not because it was asked for.
    message : str
        What went wrong, or is worth knowing.
    exit_code : int
        Class of the failure, as the command line's; 0 if there is none.
    """

    address: str
    path: str
    file: Path
    action: Action = "download"
    status: FileStatus = "planned"
    size: int = 0
    n_bytes: int = 0
    asset_id: str = ""
    sha256: str = ""
    etag: str = ""
    file_sha256: str = ""
    runs: tuple[str, ...] = ()
    ground_truth: tuple[str, ...] = ()
    is_source: bool = False
    message: str = ""
    exit_code: int = 0

    @property
    def is_here(self) -> bool:
        """Whether the file is on the disk and checked."""
        return self.status in {"fetched", "there"}

    def failed(self, error: Exception) -> FetchedFile:
        """Return the row of a file that could not be fetched."""
        said, code = sentence_of(error), exit_code_of(error)
        return replace(self, status=_status_of(error), n_bytes=0, message=said, exit_code=code)


@dataclass(frozen=True)
class SkippedAsset:
    """An asset that is not fetched, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class JoinedLabels:
    """What became of one label file that was to be put together with its source.

    Attributes
    ----------
    labels : Path
    source : Path or None
        The file whose units the labels name.
    file : Path or None
        The file that was written.
    status : {'planned', 'joined', 'there', 'unmatched', 'refused', 'failed'}
        ``there``: it was joined before; ``unmatched``: no source file was found.
    message : str
    exit_code : int
    """

    labels: Path
    source: Path | None = None
    file: Path | None = None
    status: JoinStatus = "unmatched"
    message: str = ""
    exit_code: int = 0

    def failed(self, error: Exception) -> JoinedLabels:
        """Return the row of labels that could not be joined."""
        return replace(self, status=_status_of(error), message=sentence_of(error), exit_code=exit_code_of(error))


@dataclass(frozen=True)
class Fetched:
    """What a fetch did, or with ``dry_run`` would do.

    Attributes
    ----------
    address : str
        What was asked for, with the version that was chosen.
    dandiset, version, instance : str
    folder : Path
        Folder of the dandiset on this machine.
    files : tuple of FetchedFile
    skipped : tuple of SkippedAsset
    joined : tuple of JoinedLabels
    dry_run : bool
    note : str
        How the version was chosen, where nobody named one.
    """

    address: str
    dandiset: str
    version: str
    instance: str
    folder: Path
    files: tuple[FetchedFile, ...] = ()
    skipped: tuple[SkippedAsset, ...] = ()
    joined: tuple[JoinedLabels, ...] = ()
    dry_run: bool = False
    note: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """Number of files of each status."""
        return dict(sorted(Counter(row.status for row in self.files).items()))

    @property
    def n_bytes(self) -> int:
        """Bytes that are or were to be downloaded; what is there already is not among them."""
        return sum(row.n_bytes for row in self.files)

    @property
    def summary(self) -> str:
        """One line: the version, how many files and bytes, what is there already, what is left out."""
        counts = Counter(row.status for row in self.files)
        parts = [f"{counts['planned']} to fetch ({mb(self.n_bytes)})"]
        parts += [f"{counts['there']} there already"] if counts["there"] else []
        lost = counts["refused"] + counts["failed"]
        parts += [f"{lost} cannot be fetched"] if lost else []
        parts += [f"{len(self.skipped)} left out"] if self.skipped else []
        return f"{self.address}{f' ({self.note})' if self.note else ''}: {', '.join(parts)}"

    @property
    def failures(self) -> tuple[FetchedFile | JoinedLabels, ...]:
        """Files and joins that failed or were refused."""
        rows: tuple[FetchedFile | JoinedLabels, ...] = (*self.files, *self.joined)
        return tuple(row for row in rows if row.status in {"failed", "refused"})

    @property
    def exit_code(self) -> int:
        """0 where nothing failed; else of the classes of failures the one that a rerun is likeliest to mend.

        6 if labels were to be joined and not one of them found its source.
        """
        codes = {row.exit_code for row in self.failures}
        if not codes and self.joined and all(row.status == "unmatched" for row in self.joined):
            return NothingToDoError.exit_code
        return next((code for code in _CODES if code in codes), max(codes, default=0))

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for ``--json``."""
        said = asdict(self) | {"folder": str(self.folder), "counts": self.counts, "n_bytes": self.n_bytes}
        for row in said["files"]:
            row["file"] = str(row["file"])
        for row in said["joined"]:
            row.update({key: None if row[key] is None else str(row[key]) for key in ("labels", "source", "file")})
        return said

    def __str__(self) -> str:
        lines = [self.address + (f"  ({self.note})" if self.note else ""), f"into {self.folder}"]
        lines += [_line_of(row, self.folder) for row in self.files]
        reasons: dict[str, list[str]] = {}
        for asset in self.skipped:
            reasons.setdefault(asset.reason, []).append(asset.path)
        for reason, paths in reasons.items():
            shown = ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else "")
            lines.append(f"skipped    {len(paths)} {'asset' if len(paths) == 1 else 'assets'}: {reason} ({shown})")
        for joined in self.joined:
            lines += _join_lines(joined)
        counted = ", ".join(f"{n} {status}" for status, n in self.counts.items()) or "none"
        size = sum(row.n_bytes for row in self.files if row.status in {"planned", "fetched"})
        lines += ["", f"{_files(self.files)}: {counted}; {'to download' if self.dry_run else 'downloaded'} {mb(size)}"]
        return "\n".join(lines)


def sentence_of(error: Exception) -> str:
    """Say what went wrong, in the words of the error, or that it was not expected."""
    if isinstance(error, CellTypeError):
        return str(error)
    return f"Unexpected: {type(error).__name__}: {error}. Please report this."


def exit_code_of(error: Exception) -> int:
    """Class of a failure; 1 for what nobody expected."""
    return error.exit_code if isinstance(error, CellTypeError) else 1


def mb(n_bytes: int) -> str:
    """Write a number of bytes for people.

    Examples
    --------
    >>> mb(700_000_000), mb(1_200), mb(0)
    ('700 MB', '0.0012 MB', '0 MB')
    """
    return f"{n_bytes / 1e6:,.0f} MB" if n_bytes >= 10e6 or n_bytes == 0 else f"{n_bytes / 1e6:.2g} MB"


def _status_of(error: Exception) -> Literal["failed", "refused"]:
    return "refused" if isinstance(error, RefusedError) else "failed"


def _files(rows: Iterable[FetchedFile]) -> str:
    n = len(tuple(rows))
    return "1 file" if n == 1 else f"{n} files"


def _line_of(row: FetchedFile, folder: Path) -> str:
    inside = row.file.is_relative_to(folder) and row.file != folder  # refused names have no place in the folder
    shown = row.file.relative_to(folder) if inside else row.path if row.file == folder else row.file
    what = "runs only" if row.action == "detach" else mb(row.size)
    held = f"; runs {', '.join(row.runs)}" if row.runs else ""
    held += f"; ground truth {', '.join(row.ground_truth)}" if row.ground_truth else ""
    held += "; source of labels" if row.is_source else ""
    of = f" of {row.path}" if row.action == "detach" else ""
    said = "".join(f"\n           {line.strip()}" for line in row.message.splitlines() if line.strip())
    return f"{row.status:<10} {shown}  {what}{of}{held}{said}"


def _join_lines(row: JoinedLabels) -> list[str]:
    to = f" -> {row.file}" if row.file is not None else f" ({row.source})" if row.source is not None else ""
    return [f"{row.status:<10} {row.labels.name}{to}", *([f"           {row.message}"] if row.message else [])]
