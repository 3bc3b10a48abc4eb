"""Where annotated units came from, and whether a file holds them: labels are joined to their own units only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py  # type: ignore[import-untyped,unused-ignore]
import numpy as np

from nwb_celltype.errors import CellTypeError, InputError, RefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nwb_celltype.runs import Run
    from nwb_celltype.units import Units

SOURCE_PATH = "/scratch/cell_type_annotation_source"
"""Where a detached file says what its labels belong to: a table of one row, one column a field of `SourceAsset`."""

DESCRIPTIONS: Mapping[str, str] = {
    "instance": "Archive that holds the source: its name, or the address of its API.",
    "dandiset": "Dandiset of the source, six digits.",
    "version": "Version of that dandiset.",
    "path": "Path of the source in the dandiset.",
    "asset_id": "Asset id of the source when it was read; it changes with every change of the asset's metadata.",
    "url": "Address of the source without signatures, where it is not known by dandiset and path.",
    "sha256": "SHA-256 of the source file, 64 hexadecimal digits.",
    "etag": "The archive's multipart digest (dandi-etag) of the source file, or the ETag of its server.",
    "size": "Bytes of the source file; 0 where unknown.",
    "identifier": "`identifier` of the source, an NWB file.",
    "units_path": "HDF5 path of the units table in the source.",
    "units_object_id": "object_id of that units table.",
    "licence": "Licence of the source.",
    "doi": "DOI of the source.",
    "title": "Title of the source.",
    "citation": "How its authors ask to be cited.",
}
"""What each column of the source table holds."""


@dataclass(frozen=True)
class SourceAsset:
    """Where annotated units came from; a text is empty where nobody knows.

    Attributes
    ----------
    instance : str
        Archive, by name (``dandi``) or address of its API.
    dandiset, version, path, asset_id : str
        The asset; `asset_id` is not stable, dandiset, published version and path are.
    url : str
        Address without signatures, for a source that is in no dandiset.
    sha256, etag : str
        Digests of the file.
    size : int
        Bytes; 0 where unknown.
    identifier : str
        `identifier` of the NWB file.
    units_path, units_object_id : str
        HDF5 path and NWB object id of its units table.
    licence, doi, title, citation : str

    Examples
    --------
    >>> SourceAsset(instance="dandi", dandiset="000409", version="0.260309.1324", path="sub-1/sub-1.nwb").address
    'DANDI:000409@0.260309.1324/sub-1/sub-1.nwb'
    """

    instance: str = ""
    dandiset: str = ""
    version: str = ""
    path: str = ""
    asset_id: str = ""
    url: str = ""
    sha256: str = ""
    etag: str = ""
    size: int = 0
    identifier: str = ""
    units_path: str = ""
    units_object_id: str = ""
    licence: str = ""
    doi: str = ""
    title: str = ""
    citation: str = ""

    @property
    def address(self) -> str:
        """Canonical address of the asset, or else its `url`; empty for a source that only had a local path."""
        if not self.dandiset:
            return self.url
        from nwb_celltype.archive.addresses import DandiAddress

        return DandiAddress(self.dandiset, self.version, self.path, self.instance).text

    def to_row(self) -> dict[str, str | int]:
        """Return the fields by name, in the order of the columns of the source table."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> SourceAsset:
        """Make a record of a row; unknown columns are left out, and missing ones are unknown.

        Raises
        ------
        InputError
            If the size is no whole number from 0 on.
        """
        known = {field.name: row[field.name] for field in fields(cls) if field.name in row}
        try:
            size = int(known.pop("size", 0))
        except (TypeError, ValueError) as error:
            message = f"The size of a source is a whole number of bytes, not {row['size']!r}."
            raise InputError(message) from error
        if size < 0:
            message = f"The size of a source is a whole number of bytes, not {size}."
            raise InputError(message)
        return cls(**{key: _text(value) for key, value in known.items()}, size=size)


def read_source(file: str | Path | h5py.File) -> SourceAsset | None:
    """Read what a detached file of labels says about its source.

    Parameters
    ----------
    file : str or Path or h5py.File
        A path, a remote address, or an open file, which stays open.

    Returns
    -------
    SourceAsset or None
        `None` for a file that is not detached.

    Raises
    ------
    InputError
        If the file cannot be read, or its source table is damaged.
    NetworkError
        If a remote file cannot be reached.

    Examples
    --------
    >>> read_source("sub-1/sub-1_desc-celltype_ecephys.nwb").address  # doctest: +SKIP
    'DANDI:000409@0.260309.1324/sub-1/sub-1_desc-processed_behavior+ecephys.nwb'
    """
    with _opened(file) as (opened, name):
        table = opened.get(SOURCE_PATH)
        if not isinstance(table, h5py.Group):
            return None
        try:
            row = {column: table[column][()] for column in table if column in DESCRIPTIONS}
            if any(np.shape(values) != (1,) for values in row.values()) or not row:
                message = f"{SOURCE_PATH} in {name} does not have exactly one row; the file is damaged."
                raise InputError(message)
            return SourceAsset.from_row({column: values[0] for column, values in row.items()})
        except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
            message = f"{SOURCE_PATH} in {name} cannot be read: {error}. Fetch or copy the file again."
            raise InputError(message) from error


def is_detached(file: str | Path | h5py.File) -> bool:
    """Whether a file holds labels of units that are in another file; parameters and errors as for `read_source`."""
    with _opened(file) as (opened, _):
        return isinstance(opened.get(SOURCE_PATH), h5py.Group)


def open_source_units(file: str | Path, source: SourceAsset, runs: Sequence[Run], *, check_data: bool = True) -> Units:
    """Open the units that detached runs are about, if these are they.

    Compared are the `identifier` of the file, path and object id of the units table, the ids of the units and, with
    `check_data`, the digest of what was annotated; each only where both sides state it.

    Parameters
    ----------
    file : str or Path
        The NWB file that should hold the units, or its address.
    source : SourceAsset
        What the detached file says about its source.
    runs : sequence of Run
    check_data : bool
        Read the spikes and waveforms of the runs' units and compare their digest.

    Returns
    -------
    Units
        All units of the table; the caller closes it.

    Raises
    ------
    RefusedError
        Naming everything that disagrees.
    InputError
        If the file cannot be read.

    Examples
    --------
    >>> with open_source_units("session.nwb", source, runs) as units:  # doctest: +SKIP
    ...     units.unit_ids
    """
    from nwb_celltype.units import read_units

    try:
        units = read_units(file, units_table=source.units_path or None)
    except UsageError as error:  # no such table, or no such address
        with _opened(file) as (opened, _):
            found = _other_identifier(source, runs, _identifier(opened))
        raise _refused(file, [*found, str(error)]) from error
    try:
        found = disagreements(units, source, runs, check_data=check_data)
        if found:
            raise _refused(file, found)
    except BaseException:
        units.close()
        raise
    return units


def disagreements(units: Units, source: SourceAsset, runs: Sequence[Run], *, check_data: bool = True) -> list[str]:
    """Reasons why these are not the units that the runs are about; empty where nothing disagrees.

    Parameters are those of `open_source_units`.

    Examples
    --------
    >>> from nwb_celltype.units import Session, Units
    >>> units = Units.from_arrays([[0.1]], session=Session(identifier="b"))
    >>> disagreements(units, SourceAsset(identifier="a"), [])
    ["its identifier is 'b', and the labels are of 'a'"]
    """
    session = units.session
    found = _other_identifier(source, runs, session.identifier)
    if source.units_path and session.units_path and source.units_path != session.units_path:
        found.append(f"its units are at {session.units_path}, and the labels are of those at {source.units_path}")
    stated = sorted({one for one in (source.units_object_id, *(run.units_object_id for run in runs)) if one})
    if session.units_object_id and any(one != session.units_object_id for one in stated):
        theirs = " and ".join(stated)
        found.append(f"its units table has the object id {session.units_object_id}, and the labels are of {theirs}")
    known = set(units.unit_ids.tolist())
    for run in runs:
        missing = [unit_id for unit_id in run.unit_ids.tolist() if unit_id not in known]
        if missing:
            shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
            found.append(f"it lacks {len(missing)} of the {len(run)} units of run {run.name!r} ({shown})")
        elif check_data and run.input_sha256 and units.select(run.unit_ids.tolist()).sha256() != run.input_sha256:
            found.append(f"the spikes or waveforms of its units are not those that run {run.name!r} was made from")
    return found


def find_source_beside(labels: Path, source: SourceAsset) -> Path | None:
    """Find the file with a detached file's units in the same folder, by identifier and units table.

    Parameters
    ----------
    labels : Path
        The detached file.
    source : SourceAsset

    Returns
    -------
    Path or None
        A file named as the source comes first, then by name. Whether the units agree is not looked at here.
    """
    if not source.identifier:
        return None
    own_name = source.path.rsplit("/", 1)[-1]
    files = [path for path in labels.parent.glob("*.nwb") if path.is_file() and not path.samefile(labels)]
    for path in sorted(files, key=lambda path: (path.name != own_name, path.name)):
        try:
            with _opened(path) as (opened, _):
                has_units = isinstance(opened.get(source.units_path or "/units"), h5py.Group)
                if has_units and _identifier(opened) == source.identifier:
                    return path
        except CellTypeError:  # whatever lies beside it and cannot be read is not the source
            continue
    return None


def _other_identifier(source: SourceAsset, runs: Sequence[Run], identifier: str) -> list[str]:
    stated = sorted({one for one in (source.identifier, *(run.source_identifier for run in runs)) if one})
    if all(one == identifier for one in stated):
        return []
    return [f"its identifier is {identifier!r}, and the labels are of {' and '.join(map(repr, stated))}"]


def _refused(file: str | Path, found: Sequence[str]) -> RefusedError:
    listed = "; ".join(found)
    return RefusedError(f"The labels do not belong to {file}: {listed}. Give the file that they were made from.")


def _identifier(opened: Any) -> str:
    node = opened.get("identifier")
    return _text(node[()]) if isinstance(node, h5py.Dataset) and node.shape == () else ""


@contextmanager
def _opened(file: str | Path | h5py.File) -> Iterator[tuple[Any, str]]:
    if isinstance(file, h5py.File):
        yield file, str(file.filename)
        return
    from nwb_celltype.units import open_source

    with open_source(file) as opened:
        yield opened, str(file)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
