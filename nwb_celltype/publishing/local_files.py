"""The NWB files of a folder that is to be published, and what each says about its labels and its source."""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped,unused-ignore]

from nwb_celltype.licences import licence_sentence, licence_texts, texts_at, why_refused
from nwb_celltype.provenance import SourceAsset, read_source
from nwb_celltype.publishing.records import Problem
from nwb_celltype.replacing import is_leftover
from nwb_celltype.runs import Run, read_runs

PARTIAL = (".nwb-celltype-partial", ".dandidownload", ".part")
LOCK = ".nwb-celltype-lock"
OUR_FOLDER = ".nwb-celltype"
EXPECTED = ("dandiset.yaml", "units.parquet")


@dataclass
class LocalFile:
    """One NWB file, with what was read from it.

    Attributes
    ----------
    file : Path
    path : str
        In the dandiset: relative to the folder, with forward slashes.
    size : int
        Bytes.
    subject_id, species : str
        Empty where the file does not say.
    runs : list of Run
    source : SourceAsset or None
        What a detached file says about the file its labels belong to.
    papers : tuple of str
        `related_publications` of the session.
    licence_texts : tuple of (str, str)
        Where the file speaks of a licence that cannot be passed on, and what it says.
    etag : str
        The archive's multipart digest; empty until it was computed.
    asset : object
        dandi's own record of the file.
    metadata : dict
        What dandi extracts from the file; empty if it could not.
    """

    file: Path
    path: str
    size: int
    subject_id: str = ""
    species: str = ""
    runs: list[Run] = field(default_factory=list)
    source: SourceAsset | None = None
    papers: tuple[str, ...] = ()
    licence_texts: tuple[tuple[str, str], ...] = ()
    etag: str = ""
    asset: Any = None
    metadata: dict[str, Any] = field(default_factory=dict)


def find_files(folder: Path) -> tuple[list[LocalFile], list[Problem], list[str]]:
    """List the NWB files below a folder, with what is wrong with the folder itself and what to know about it.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    files : list of LocalFile
        Ordered by path, not read yet.
    problems : list of Problem
    remarks : list of str
    """
    files: list[LocalFile] = []
    problems: list[Problem] = []
    left_out: list[str] = []
    remarks: list[str] = []
    for file, path in _walk(folder):
        if is_leftover(file.name):
            continue  # of our own notes, never of data; the next call that writes takes it away
        if file.name.endswith(PARTIAL):
            text = "is unfinished: a run was killed, or is still writing. Finish that run, or delete this file."
            problems.append(Problem(path, text))
        elif file.name.endswith(LOCK):
            if _is_held(file):
                problems.append(Problem(path, "another process is writing here now; publish when it is done."))
        elif file.suffix == ".zarr":
            problems.append(Problem(path, "is NWB-Zarr, which the archive cannot publish; write NWB as HDF5."))
        elif file.suffix.lower() == ".nwb":
            if not file.exists():
                problems.append(Problem(path, "is a link that leads nowhere; fetch the file, or remove the link."))
            else:
                files.append(LocalFile(file, path, file.stat().st_size))
        elif not file.name.startswith(".") and path not in EXPECTED:
            left_out.append(path)
    if left_out:
        shown = ", ".join(left_out[:5]) + (f" and {len(left_out) - 5} more" if len(left_out) > 5 else "")
        remarks.append(f"Not NWB, and not sent: {shown}.")
    return files, [*problems, *_same_names(files)], remarks


def read_file(local: LocalFile) -> None:
    """Read the subject, the runs, the source and the licence texts of a file into its record.

    Raises
    ------
    InputError
        If the file or one of its runs cannot be read.
    OSError
        If the file is no HDF5.
    """
    local.runs = read_runs(local.file)
    with h5py.File(local.file, "r") as opened:
        local.source = read_source(opened)
        local.subject_id = _scalar(opened, "general/subject/subject_id")
        local.species = _scalar(opened, "general/subject/species")
        local.papers = texts_at(opened, "general/related_publications")
        local.licence_texts = tuple(licence_texts(opened))
    if local.source is not None and (why_refused(local.source.licence)):
        local.licence_texts = (
            ("the record of its source", licence_sentence(local.source.licence)),
            *local.licence_texts,
        )


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file below a folder, ours and hidden folders left out; a Zarr store counts as one file."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and entry.suffix == ".zarr":
            yield entry, entry.name
        elif entry.is_dir():
            leads_back = entry.is_symlink() and folder.resolve().is_relative_to(entry.resolve())
            if not entry.name.startswith(".") and not leads_back:
                for file, path in _walk(entry):
                    yield file, f"{entry.name}/{path}"
        else:
            yield entry, entry.name


def _same_names(files: Iterable[LocalFile]) -> list[Problem]:
    """Paths that differ only in case: they are one file on many disks."""
    seen: dict[str, str] = {}
    problems = []
    for local in files:
        other = seen.setdefault(local.path.lower(), local.path)
        if other != local.path:
            problems.append(Problem(local.path, f"differs from {other} only in upper and lower case; rename one."))
    return problems


def _is_held(lock: Path) -> bool:
    """Whether a process holds a lock file; one that a killed process left does not matter."""
    try:
        with lock.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _scalar(opened: Any, place: str) -> str:
    texts = texts_at(opened, place)
    return texts[0] if texts else ""
