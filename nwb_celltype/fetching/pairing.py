"""Which local file the units of detached labels are in: found by identifiers, never by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import h5py  # type: ignore[import-untyped,unused-ignore]

from nwb_celltype.errors import CellTypeError, InputError, RefusedError
from nwb_celltype.fetching.contents import contents_of_open
from nwb_celltype.fetching.digests import sha256_of
from nwb_celltype.fetching.local_folder import METADATA_NAME
from nwb_celltype.fetching.records import JoinedLabels
from nwb_celltype.provenance import SourceAsset
from nwb_celltype.units import units_tables


@dataclass(frozen=True)
class LocalSource:
    """An NWB file that may be the source of labels.

    Attributes
    ----------
    file : Path
    identifier : str
        `identifier` of the NWB file.
    object_ids : frozenset of str
        `object_id` of each of its units tables.
    is_annotated : bool
        Whether it holds annotation runs itself.
    """

    file: Path
    identifier: str
    object_ids: frozenset[str]
    is_annotated: bool


class LocalSources:
    """NWB files on this machine, by identifier.

    Parameters
    ----------
    paths : sequence of Path
        Files, or folders with files at any depth.

    Raises
    ------
    InputError
        If a path does not exist.
    """

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        self._by_identifier: dict[str, list[LocalSource]] = {}
        self._known: set[Path] = set()
        self.unreadable: list[str] = []
        for path in paths:
            if not path.exists():
                message = f"{path} does not exist; give files, or folders that hold them, with --join."
                raise InputError(message)
            self.add(sorted(path.rglob("*.nwb")) if path.is_dir() else [path])

    def __len__(self) -> int:
        return len(self._known)

    def add(self, files: Iterable[Path]) -> None:
        """Look into files; what is a folder, holds labels alone or cannot be read is no source."""
        for file in files:
            if not file.is_file() or file.resolve() in self._known:
                continue
            try:
                found = _look(file)
            except (OSError, KeyError, CellTypeError) as error:
                self.unreadable.append(f"{file} ({error})")
                continue
            if found is not None:
                self._known.add(file.resolve())
                self._by_identifier.setdefault(found.identifier, []).append(found)

    def find(self, source: SourceAsset) -> LocalSource | None:
        """Find the file that holds the units that labels name.

        Of several that do, the one with the digest that the labels state is taken, else the only one without
        annotations of its own.

        Parameters
        ----------
        source : SourceAsset
            What the labels say about their source.

        Returns
        -------
        LocalSource or None
            A file of the same recording with other units, if there is nothing better: joining says what differs.

        Raises
        ------
        RefusedError
            If several files would do and nothing tells them apart.
        """
        alike = self._by_identifier.get(source.identifier, []) if source.identifier else []
        same = [one for one in alike if source.units_object_id in one.object_ids]
        if len(same) > 1:
            return _the_one(same, source)
        return next(iter(same or alike), None)


def plan_join(labels: Path, source: SourceAsset | None, sources: LocalSources) -> JoinedLabels:
    """Find the source of one label file.

    Returns
    -------
    JoinedLabels
        ``planned`` with the source, ``unmatched`` or ``refused``.
    """
    row = JoinedLabels(labels)
    if source is None:
        return replace(row, message="It does not say what its source is.")
    try:
        found = sources.find(source)
    except RefusedError as error:
        return row.failed(error)
    if found is not None:
        return replace(row, source=found.file, status="planned")
    at = f" ({source.address})" if source.address else ""
    text = f"No file of the recording {source.identifier!r}{at} was found among {len(sources)} NWB files."
    text += " Name the folder that holds it with --join, or fetch it with --with-sources."
    if sources.unreadable:
        text += f" {len(sources.unreadable)} could not be read: {'; '.join(sources.unreadable[:3])}."
    return replace(row, message=text)


@dataclass(frozen=True)
class Places:
    """Where joined labels go; what lies in the folder of a dandiset is left as the archive has it.

    Attributes
    ----------
    root : Path
        The folder that holds the folders of dandisets.
    dandiset : str
        Of the labels.
    """

    root: Path
    dandiset: str

    def beside(self, labels: Path, source: Path) -> Path:
        """Where a copy of labels goes, under a name that tells them from those of other dandisets."""
        name = named_after(labels.name, self.dandiset)
        inside = _in_dandiset(source)
        return source.with_name(name) if inside is None else self.root / "joined" / inside.with_name(name)

    def merged(self, source: Path) -> Path | None:
        """Where the copy of a dandiset's file with its labels goes; `None` for a file outside of their folders."""
        inside = _in_dandiset(source)
        return None if inside is None else self.root / "merged" / inside.with_name(f"{inside.stem}_celltype.nwb")


def named_after(name: str, dandiset: str) -> str:
    """Name of a file of labels that says from which dandiset they are.

    Parameters
    ----------
    name : str
        In the dandiset.
    dandiset : str
        Six digits.

    Returns
    -------
    str

    Examples
    --------
    >>> named_after("sub-A_ses-1_desc-celltype_ecephys.nwb", "000123")
    'sub-A_ses-1_desc-celltype000123_ecephys.nwb'
    >>> named_after("sub-A_desc-sorted_ecephys.nwb", "000123"), named_after("labels.nwb", "000123")
    ('sub-A_desc-celltype000123sorted_ecephys.nwb', 'labels_desc-celltype000123.nwb')
    """
    path = PurePosixPath(name)
    parts = path.stem.split("_")
    at = next((k for k, part in enumerate(parts) if part.startswith("desc-")), None)
    if at is not None:
        parts[at] = f"desc-celltype{dandiset}{parts[at].removeprefix('desc-').removeprefix('celltype')}"
    else:  # before the modality, which is the last and no pair
        last = len(parts) - (len(parts) > 1 and "-" not in parts[-1])
        parts.insert(last, f"desc-celltype{dandiset}")
    return f"{'_'.join(parts)}{path.suffix}"


def join_one(row: JoinedLabels, places: Places, *, merge: bool) -> JoinedLabels:
    """Put planned labels and their source together; what goes wrong becomes part of the row.

    Parameters
    ----------
    row : JoinedLabels
    places : Places
    merge : bool

    Returns
    -------
    JoinedLabels
    """
    from nwb_celltype.nwb_io.joining import join

    if row.source is None or row.status != "planned":
        return row
    lie_together = row.labels.resolve().parent == row.source.resolve().parent
    out = places.merged(row.source) if merge else row.labels if lie_together else places.beside(row.labels, row.source)
    try:
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
        done = join(row.labels, row.source, merge=merge, out=out)
    except OSError as error:
        folder = (out or row.source).parent
        message = f"{folder} cannot be written ({error.strerror or error}). Make it writable, or make room."
        return row.failed(InputError(message))
    except CellTypeError as error:
        return row.failed(error)
    return replace(row, file=done.file, status="joined" if done.is_new else "there")


def _in_dandiset(file: Path) -> Path | None:
    """Path of a file from the folder that holds its dandiset's; `None` if it is in no folder of a dandiset."""
    folder = next((one for one in file.resolve().parents if (one / METADATA_NAME).is_file()), None)
    return None if folder is None else file.resolve().relative_to(folder.parent)


def _look(file: Path) -> LocalSource | None:
    with h5py.File(file, "r") as opened:
        contents = contents_of_open(opened, str(file))
        if contents.is_detached or "identifier" not in opened:
            return None
        stored = opened["identifier"][()]
        object_ids = [_text(opened[path].attrs.get("object_id")) for path in units_tables(file)]
    return LocalSource(file, _text(stored), frozenset(object_ids) - {""}, bool(contents.runs))


def _the_one(same: Sequence[LocalSource], source: SourceAsset) -> LocalSource:
    sized = [one for one in same if source.sha256 and source.size in {0, one.file.stat().st_size}]
    exact = [one for one in sized if sha256_of(one.file) == source.sha256]
    if exact:
        return exact[0]  # several copies with the same bytes are one file
    plain = [one for one in same if not one.is_annotated]
    if len(plain) == 1:
        return plain[0]
    names = ", ".join(str(one.file) for one in same[:4])
    message = f"Its units are in {len(same)} files that differ otherwise ({names}); name the one that is meant."
    raise RefusedError(message)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
