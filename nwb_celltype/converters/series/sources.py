"""Sessions of a series: which there are, and what lies in and beside each of them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nwb_celltype.errors import CellTypeError, NothingToDoError, UsageError

_METADATA = "metadata.yaml"
_OWN_METADATA = ".metadata.yaml"


@dataclass(frozen=True)
class Source:
    """One session that is to be converted.

    Attributes
    ----------
    path : Path
        Its folder or file.
    recording : str or None
        One recording of a source that holds several.
    is_alone : bool
        Whether no other session of the series lies in the same folder.
    """

    path: Path
    recording: str | None = None
    is_alone: bool = True

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by in the report, wherever the command is called."""
        return os.path.realpath(self.path), self.recording or ""

    @property
    def name(self) -> str:
        """What its own files are named after: recording, folder, or file without its ending."""
        path = Path(os.path.realpath(self.path))
        return self.recording or (path.name if path.is_dir() else path.stem)

    def __str__(self) -> str:
        return str(self.path) + (f", {self.recording}" if self.recording else "")

    def metadata_files(self) -> list[Path]:
        """Metadata files of this session; of two that say the same the later one wins."""
        path = Path(os.path.realpath(self.path))
        beside = [path.parent / _METADATA, path.parent / f"{path.name if path.is_dir() else path.stem}{_OWN_METADATA}"]
        own = [path.parent / f"{self.recording}{_OWN_METADATA}"] if self.recording else [path / _METADATA]
        return [file for file in dict.fromkeys((*beside, *own)) if file.is_file()]

    def companion(self, pattern: str) -> Path | None:
        """Find a file or folder that belongs to this session.

        Parameters
        ----------
        pattern : str
            Its name in the session's folder, or in the folder that holds the session; ``{name}`` stands for the
            session's name. Without it, the second place counts only where no other session of the series lies.
        """
        path = Path(os.path.realpath(self.path))
        wanted = pattern.replace("{name}", self.name)
        is_own = "{name}" in pattern
        places = [path] if path.is_dir() and (is_own or self.recording is None) else []
        places += [path.parent] if is_own or self.is_alone else []
        return next((place / wanted for place in places if (place / wanted).exists()), None)

    def files(self, leave_out: Path | None = None) -> dict[str, tuple[int, int]]:
        """Size and moment of the last change of every file of this session, by name.

        Those of its folder are counted, or the file and what is named after it; files that programs leave behind when
        they merely look (hidden ones, logs), metadata, and the folder `leave_out` are not.
        """
        path = Path(os.path.realpath(self.path))
        found: dict[str, tuple[int, int]] = {}
        for top in (path, *_named_after(path)):
            for file in _walk(top, leave_out):
                _add(found, file, os.path.relpath(file, path.parent))
        return found


def sizes_of(paths: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Size and moment of the last change of files named one by one; those that are gone are absent."""
    found: dict[str, tuple[int, int]] = {}
    for path in paths:
        _add(found, Path(path), path)
    return found


def find_sources(
    kind: str, patterns: str | Path | Sequence[str | Path], *, recording: str | None = None, out: Path | None = None
) -> list[Source]:
    """Sessions that patterns stand for, each once, in the order of the patterns and then of their names.

    Parameters
    ----------
    kind : str
    patterns : str, Path or sequence of them
        Folders or files, or patterns of their names (``*``, ``?``, ``[...]``, ``**``).
    recording : str, optional
        Take this recording of each only; by default all of a source that holds several.
    out : Path, optional
        Folder of the results, which is no source.

    Raises
    ------
    NothingToDoError
        If there is none.

    Examples
    --------
    >>> find_sources("phy", "nowhere/*/kilosort4")
    Traceback (most recent call last):
    ...
    nwb_celltype.errors.NothingToDoError: Nothing matches nowhere/*/kilosort4; check the pattern, and put it in quotes.
    """
    given = [patterns] if isinstance(patterns, str | Path) else list(patterns)
    paths: dict[str, Path] = {}
    for path in (path for each in given for path in _matches(str(each), out)):
        paths.setdefault(os.path.realpath(path), path)
    sources = [Source(path, one) for path in paths.values() for one in _recordings(kind, path, recording)]
    if not sources:
        shown = ", ".join(str(each) for each in given) or "an empty list"
        message = f"Nothing matches {shown}; check the pattern, and put it in quotes."
        raise NothingToDoError(message)
    parents = [Path(source.key[0]).parent for source in sources]
    return [
        Source(source.path, source.recording, parents.count(parent) == 1)
        for source, parent in zip(sources, parents, strict=True)
    ]


def is_pattern(text: str | Path) -> bool:
    """Whether a path is a pattern, and not the name of something that is there.

    Examples
    --------
    >>> is_pattern("data/*/kilosort4"), is_pattern("data/m1/kilosort4")
    (True, False)
    """
    return glob.has_magic(str(text)) and not Path(text).expanduser().exists()


def _matches(text: str, out: Path | None) -> list[Path]:
    if not is_pattern(text):
        return [Path(text).expanduser()]
    found = [Path(path) for path in sorted(glob.glob(os.path.expanduser(text), recursive=True))]
    return [path for path in found if not _is_metadata(path.name) and not _lies_in(path, out)]


def _recordings(kind: str, path: Path, recording: str | None) -> tuple[str | None, ...]:
    if kind != "c4" or recording is not None:
        return (recording,)
    from nwb_celltype.converters.c4 import recordings

    try:
        return recordings(path) or (None,)
    except (CellTypeError, OSError):  # said again, with its reason, when this one is converted
        return (None,)


def recordings_of(kind: str, path: Path) -> int:
    """How many recordings a source holds, 1 where it cannot be told.

    Examples
    --------
    >>> recordings_of("phy", Path("kilosort4"))
    1
    """
    return len(_recordings(kind, path, None))


def require_folder(out: str | Path) -> Path:
    """Return the folder of the results.

    Raises
    ------
    UsageError
        If it is a file, or named like one.
    """
    folder = Path(out).expanduser()
    if not folder.is_dir() and (folder.exists() or folder.suffix == ".nwb"):
        message = f"{folder} is a file; many sessions go into a folder. Name one with --out."
        raise UsageError(message)
    return folder


def _named_after(path: Path) -> list[Path]:
    """What lies beside and is named after it, such as a sorting or the other files of one recording."""
    stem = path.name.split(".")[0]
    try:
        beside = sorted(path.parent.iterdir())
    except OSError:  # the conversion itself says what is wrong
        return []
    return [
        other
        for other in beside
        if other != path and other.name.startswith(stem) and other.name[len(stem) : len(stem) + 1] in {".", "_", "-"}
        and not (other.suffix == path.suffix and other.is_file() and path.suffix != ".mat")
    ]  # fmt: skip


def _walk(top: Path, leave_out: Path | None) -> Iterator[Path]:
    if not top.is_dir():
        yield top
        return
    skipped = None if leave_out is None else os.path.realpath(leave_out)
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and os.path.join(folder, f) != skipped)
        yield from (
            Path(folder, name)
            for name in sorted(names)
            if not name.startswith(".") and not name.endswith(".log") and not _is_metadata(name)
        )


def _add(found: dict[str, tuple[int, int]], file: Path, name: str) -> None:
    try:
        status = file.stat()
    except OSError:  # a link that leads nowhere; the conversion says so if it matters
        return
    if not _is_metadata(file.name):
        found[name] = (status.st_size, status.st_mtime_ns)


def _is_metadata(name: str) -> bool:
    return name == _METADATA or name.endswith(_OWN_METADATA)


def _lies_in(path: Path, out: Path | None) -> bool:
    if out is None or not out.exists():
        return False
    top = Path(os.path.realpath(out))
    real = Path(os.path.realpath(path))
    return real == top or top in real.parents
