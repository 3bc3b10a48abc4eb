"""What annotations an NWB file holds, found out without reading them, here or over the network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py  # type: ignore[import-untyped,unused-ignore]

from nwb_celltype.archive.assets import Asset
from nwb_celltype.errors import InputError
from nwb_celltype.provenance import SourceAsset, is_detached, read_source
from nwb_celltype.runs import CONTAINER_PATH

if TYPE_CHECKING:
    from nwb_celltype.archive.transport import RangeSource

_RUN_TYPE = "CellTypeAnnotationTable"
_GROUND_TRUTH = "ground_truth"


@dataclass(frozen=True)
class Contents:
    """Annotations in a file.

    Attributes
    ----------
    is_detached : bool
        Whether the file holds labels alone, without the units that they name.
    source_types : mapping of str to str
        Where the labels of each run come from, by name of the run.
    created : mapping of str to str
        When each run was made, by name of the run.
    source : SourceAsset or None
        What a detached file says about the file that its units are in.
    """

    is_detached: bool = False
    source_types: Mapping[str, str] = field(default_factory=dict)
    source: SourceAsset | None = None
    created: Mapping[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs."""
        return tuple(self.source_types)

    @property
    def ground_truth(self) -> tuple[str, ...]:
        """Names of the runs whose labels are ground truth."""
        return tuple(name for name, source_type in self.source_types.items() if source_type == _GROUND_TRUTH)

    def has_same_runs(self, other: Contents) -> bool:
        """Whether both hold the same runs: of the same names, made at the same moments from the same kind of source."""
        return dict(self.source_types) == dict(other.source_types) and dict(self.created) == dict(other.created)


def contents_of(path: Path) -> Contents:
    """Look into a local file.

    Raises
    ------
    InputError
        If it cannot be read as HDF5.
    """
    try:
        with h5py.File(path, "r") as file:
            return contents_of_open(file, str(path))
    except OSError as error:
        message = f"{path} cannot be read as HDF5: {error}. Delete it and fetch it again."
        raise InputError(message) from error


def contents_of_asset(asset: Asset) -> Contents:
    """Look into a file of an archive; only the bytes that are needed come over.

    Parameters
    ----------
    asset : Asset

    Raises
    ------
    InputError
        If it cannot be read as HDF5.
    RefusedError, NetworkError
        If the archive does not let this user read it, or does not answer.
    """
    with opened_asset(asset, bytes_of(asset)) as file:
        return contents_of_open(file, name_of(asset))


def bytes_of(asset: Asset) -> RangeSource:
    """Where the bytes of an asset come from; signed addresses that expire are asked for anew."""
    from nwb_celltype.archive.assets import content_url
    from nwb_celltype.archive.transport import RangeSource

    return RangeSource(lambda fresh: content_url(asset, fresh=fresh), name=name_of(asset), size=asset.size)


@contextlib.contextmanager
def opened_asset(asset: Asset, source: RangeSource) -> Iterator[h5py.File]:
    """Open a file of an archive for reading; parameters and errors as for `contents_of_asset`.

    Parameters
    ----------
    asset : Asset
    source : RangeSource
        From `bytes_of`; it counts what came over, and is closed with the file.

    Yields
    ------
    h5py.File
    """
    from nwb_celltype.archive.remote_file import RemoteFile
    from nwb_celltype.units.remote import RemoteHDF5, Stream

    with contextlib.closing(Stream(RemoteFile(source))) as stream:
        try:
            with RemoteHDF5(stream) as file:
                yield file
        except OSError as error:
            stream.raise_failure(error)  # h5py hides what the network did
            message = f"{name_of(asset)} cannot be read as HDF5: {error}. Leave it out with --glob."
            raise InputError(message) from error


def name_of(asset: Asset) -> str:
    """What to call an asset in messages, whichever archive it is in; an address may be cut at its question mark."""
    return f"{asset.path} of dandiset {asset.dandiset}, version {asset.version}"


def contents_of_open(file: Any, name: str) -> Contents:
    """Look into an open HDF5 file."""
    container = file.get(CONTAINER_PATH)
    groups = [container[key] for key in container] if isinstance(container, h5py.Group) else []
    source_types, created = {}, {}
    for group in groups:
        if not isinstance(group, h5py.Group) or _text(group.attrs.get("neurodata_type")) != _RUN_TYPE:
            continue
        method = group.get("method")
        if method is None:
            message = f"Run {group.name!r} in {name} does not say by what method; the file is damaged."
            raise InputError(message)
        name_of_run = group.name.rpartition("/")[2]
        source_types[name_of_run] = _text(method.attrs.get("source_type"))
        created[name_of_run] = _text(group.attrs.get("created"))
    detached = is_detached(file)
    return Contents(detached, source_types, read_source(file) if detached else None, created)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
