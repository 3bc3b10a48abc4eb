"""What a batch is asked to annotate: the assets of dandisets, files behind addresses, files in folders."""

from __future__ import annotations

import glob as globbing
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwb_celltype.archive.addresses import DandiAddress, UrlAddress, is_remote, parse_address
from nwb_celltype.errors import InputError, NothingToDoError, UsageError

if TYPE_CHECKING:
    from nwb_celltype.archive.assets import Asset

NOT_NWB = "it is no NWB file"
ZARR = "it is NWB-Zarr; only NWB in HDF5 can be read"
_MANY_FOLDERS = 8  # then the whole list is fewer requests
_COPY = "it is the annotated copy of "
_WILD = re.compile(r"[*?\[]")
_ZARR_MARKS = (".zgroup", ".zmetadata", "zarr.json")


@dataclass(frozen=True)
class Origin:
    """Whose data these are: what must be said of a source wherever its labels go.

    Attributes
    ----------
    text : str
        What was asked for, with the version that was found.
    instance, dandiset, version : str
        Empty for what is in no archive.
    url, title, licence, doi, citation : str
    authors : tuple of str
    """

    text: str
    instance: str = ""
    dandiset: str = ""
    version: str = ""
    url: str = ""
    title: str = ""
    licence: str = ""
    doi: str = ""
    citation: str = ""
    authors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """One asset to look at; small, because it travels to the workers.

    Attributes
    ----------
    source : str
        Whose labels they will be: address without version, or absolute path.
    path : str
        In the dandiset or folder, with forward slashes.
    origin : Origin
    location : Path or DandiAddress or UrlAddress
        Where the bytes are.
    size : int
        Bytes, 0 when unknown.
    sha256, etag, asset_id : str
        As the archive states them.
    known : mapping of str to str
        Values of conditions (`nwb_celltype.batch.requests.CONDITIONS`) that are known before the file is opened.
    skipped : str
        Why it is not annotated, where that is clear from its name or the archive's metadata.
    """

    source: str
    path: str
    origin: Origin
    location: Path | DandiAddress | UrlAddress
    size: int = 0
    sha256: str = ""
    etag: str = ""
    asset_id: str = ""
    known: Mapping[str, str] = field(default_factory=dict)
    skipped: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is a file on this machine."""
        return isinstance(self.location, Path)

    @property
    def is_recording(self) -> bool:
        """Whether it may be a recording, so that its name counts, whether it is annotated or not."""
        return self.skipped not in {NOT_NWB, ZARR} and not self.skipped.startswith(_COPY)

    @property
    def address(self) -> str:
        """Canonical address, or the path of a local file; without signatures."""
        return str(self.location) if isinstance(self.location, Path) else self.location.text

    @property
    def digest(self) -> str:
        """Digest that the archive states; empty when it has to be looked for."""
        if self.sha256:
            return f"sha256:{self.sha256}"
        return f"etag:{self.etag}:{self.size}" if self.etag and self.size else ""


@dataclass(frozen=True)
class Found:
    """Assets that were found.

    Attributes
    ----------
    items : tuple of Item
        In the order of their paths.
    origins : tuple of Origin
    notes : tuple of str
        Choices that were made for the caller.
    beside : tuple of Item
        Assets that lie in the same folders of the dandiset but were not asked for: names must not depend on what is.
    """

    items: tuple[Item, ...]
    origins: tuple[Origin, ...]
    notes: tuple[str, ...] = ()
    beside: tuple[Item, ...] = ()

    @property
    def text(self) -> str:
        """What was asked for, in a few words."""
        names = [origin.text for origin in self.origins]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def find_items(
    source: str | Path | DandiAddress | UrlAddress | Sequence[Any],
    *,
    glob: str | None = None,
    instance: str | None = None,
    out: Path | None = None,
) -> Found:
    """Find what is to be annotated; asks an archive for its list, and opens no file.

    Of a whole dandiset, a folder or a pattern, an address without a version means the one in the catalogue, where that
    has one, so that a batch is of the same files tomorrow. Otherwise, and for the path of one file, it means the newest
    published version, as for `nwb_celltype.read_units`.

    Parameters
    ----------
    source : str, Path, address or sequence of them
        A dandiset, an asset, a URL, a folder, a file, or a pattern of paths.
    glob : str, optional
        Pattern of the paths of assets; the others are skipped.
    instance : str, optional
        Archive of ``DANDI:`` addresses.
    out : Path, optional
        Output folder, in which nothing is looked for.

    Raises
    ------
    UsageError
        If an address is none, or nothing is asked for.
    InputError
        If a path or asset does not exist.
    NetworkError
        If the archive cannot be reached.
    NothingToDoError
        If there are no files at all.
    """
    asked: list[Any] = list(source) if isinstance(source, Sequence) and not isinstance(source, str) else [source]
    if not asked:
        message = "There is nothing to annotate; give a dandiset, an address, a folder or files."
        raise UsageError(message)
    remote = [each for each in asked if is_remote(each)]
    local = [each for each in asked if not is_remote(each)]
    parts = [
        _remote(parse_address(each, instance=instance) if isinstance(each, str) else each, glob) for each in remote
    ]
    if local:
        parts.append(_local([os.fspath(each) for each in local], glob, out))
    items: dict[str, Item] = {}
    for part in parts:
        items |= {item.source: item for item in part.items}
    if not items:
        message = f"There are no NWB files in {', '.join(str(each) for each in asked)}."
        raise NothingToDoError(message)
    ordered = sorted(items.values(), key=lambda item: (item.origin.text, item.path))
    return Found(
        _without_copies(ordered),
        tuple(o for part in parts for o in part.origins),
        tuple(n for p in parts for n in p.notes),
        tuple(item for part in parts for item in part.beside if item.source not in items),
    )


def _remote(address: DandiAddress | UrlAddress, glob: str | None) -> Found:
    if isinstance(address, UrlAddress):
        path = address.text.partition("?")[0].rstrip("/").rpartition("/")[2]
        origin = Origin(address.text, url=address.text)
        return Found((_checked(Item(address.text, path, origin, address), glob),), (origin,))
    from nwb_celltype.archive.assets import list_assets
    from nwb_celltype.archive.catalogue import catalogue_entry

    notes: list[str] = []
    is_whole = not address.path and not address.asset_id
    entry = catalogue_entry(address.dandiset) if address.instance in {"", "dandi"} else None
    if entry is not None and not address.version and entry.version and not _is_one_asset(address):
        address = replace(address, version=entry.version)
        notes.append(f"Version {entry.version} of {entry.dandiset}, the one in the catalogue; another: @VERSION.")
    if entry is not None and is_whole and glob is None and entry.glob:
        glob = entry.glob
        notes.append(f"Files {entry.glob}, as the catalogue says of {entry.dandiset}; others: --glob PATTERN.")
    assets = list_assets(address)
    if not assets:
        message = f"There are no assets in {address.text}."
        raise NothingToDoError(message)
    origin = _origin_of(assets[0])
    items = tuple(_checked(_asset_item(asset, origin), glob) for asset in assets)
    beside = () if is_whole else tuple(_asset_item(asset, origin) for asset in _assets_beside(assets))
    return Found(items, (origin,), tuple(notes), beside)


def _is_one_asset(address: DandiAddress) -> bool:
    """Whether an address names one file, as far as it can be seen without asking the archive."""
    is_file = address.path.endswith((".nwb", ".zarr")) and not _WILD.search(address.path)
    return bool(address.asset_id) or is_file


def _assets_beside(assets: Sequence[Asset]) -> list[Asset]:
    """Assets in the topmost folders of some of a dandiset's; folders of subjects, where names are DANDI's."""
    from nwb_celltype.archive.assets import list_assets

    first = assets[0]
    if not first.dandiset:
        return []
    folders = sorted({asset.path.partition("/")[0] if "/" in asset.path else "" for asset in assets})
    whole = "" in folders or len(folders) > _MANY_FOLDERS
    place = DandiAddress(first.dandiset, first.version, "", first.instance)
    listed = [asset for folder in ([""] if whole else folders) for asset in list_assets(replace(place, path=folder))]
    asked = {asset.path for asset in assets}
    return [asset for asset in listed if asset.path not in asked]


def _asset_item(asset: Asset, origin: Origin) -> Item:
    known = {
        "species": asset.species,
        "subject": asset.subject,
        "session": asset.session,
        "sex": asset.sex,
        "path": asset.path,
    }
    skipped = ""
    if asset.is_zarr or asset.path.endswith(".zarr"):
        skipped = ZARR
    elif not asset.path.endswith(".nwb"):
        skipped = NOT_NWB
    elif asset.has_units is False:
        skipped = "it has no units"
    address = asset.address
    return Item(
        source=replace(address, version="").text if address.path else address.text,
        path=asset.path,
        origin=origin,
        location=replace(address, asset_id=asset.asset_id),  # the very asset that was listed, also of a draft
        size=asset.size,
        sha256=asset.sha256,
        etag=asset.etag,
        asset_id=asset.asset_id,
        known={key: str(value) for key, value in known.items() if value},
        skipped=skipped,
    )


def _origin_of(asset: Asset) -> Origin:
    """What the archive says about a version of a dandiset."""
    if not asset.dandiset:
        return Origin(asset.address.text, instance=asset.instance)
    from nwb_celltype.archive.dandisets import find_dandiset

    found = find_dandiset(DandiAddress(asset.dandiset, asset.version, "", asset.instance))
    people = [each for each in found.metadata.get("contributor") or () if isinstance(each, Mapping)]
    authors = [str(each.get("name") or "") for each in people if each.get("includeInCitation", True)]
    return Origin(
        text=found.address.text,
        instance=asset.instance,
        dandiset=asset.dandiset,
        version=asset.version,
        url=found.url,
        title=found.name,
        licence=found.licence,
        doi=found.doi,
        citation=found.citation,
        authors=tuple(author for author in authors if author),
    )


def _local(patterns: Sequence[str], glob: str | None, out: Path | None) -> Found:
    """Files of folders, files, and files that patterns match."""
    avoided = None if out is None else Path(os.path.realpath(out))
    found: list[tuple[Path, Path]] = []  # a file, and the folder that its path is counted from
    for pattern in patterns:
        place = Path(pattern).expanduser()
        if place.is_dir() and not _is_zarr(place):
            found += [(file, place) for file in _nwb_files(place, avoided)]
        elif place.exists():
            found.append((place, place.parent))
        elif any(sign in pattern for sign in "*?["):
            matches = [Path(match) for match in sorted(globbing.glob(os.fspath(place), recursive=True))]
            folders = [each for each in matches if each.is_dir() and not _is_zarr(each)]
            found += [(file, each.parent) for each in folders for file in _nwb_files(each, avoided)]
            found += [(each, each.parent) for each in matches if each not in folders]
            if not matches:
                message = f"Nothing matches {pattern}; check the pattern."
                raise InputError(message)
        else:
            message = f"{place} does not exist; check the path."
            raise InputError(message)
    roots = {os.path.realpath(root) for _, root in found}
    common = Path(os.path.commonpath(roots)) if roots else Path()
    origin = Origin(", ".join(patterns[:3]) + (f" and {len(patterns) - 3} more" if len(patterns) > 3 else ""))
    items = []
    for file, root in found:
        real = Path(os.path.realpath(root)) / os.path.relpath(os.path.abspath(file), os.path.abspath(root))
        path = real.relative_to(common).as_posix()
        skipped = ZARR if _is_zarr(file) else NOT_NWB if file.suffix != ".nwb" or file.name.startswith(".") else ""
        size = file.stat().st_size if file.is_file() else 0
        items.append(_checked(Item(str(real), path, origin, real, size, known={"path": path}, skipped=skipped), glob))
    return Found(tuple(items), (origin,))


def _nwb_files(folder: Path, avoided: Path | None) -> list[Path]:
    """NWB files at any depth, in the order of their paths; what lies in the output folder is ours."""
    files = []
    for file in sorted(folder.rglob("*")):
        if not file.name.endswith((".nwb", ".nwb.zarr")):
            continue
        real = Path(os.path.realpath(file))
        if avoided is not None and avoided != Path(os.path.realpath(folder)) and real.is_relative_to(avoided):
            continue
        files.append(file)
    return files


def _is_zarr(path: Path) -> bool:
    return path.is_dir() and any((path / mark).exists() for mark in _ZARR_MARKS)


def _checked(item: Item, glob: str | None) -> Item:
    if item.skipped or glob is None:
        return item
    if fnmatchcase(item.path, glob) or fnmatchcase(item.path.rpartition("/")[2], glob):
        return item
    return replace(item, skipped=f"its path does not match {glob}")


def _without_copies(items: Sequence[Item]) -> tuple[Item, ...]:
    """Skip the annotated copies that lie beside their sources."""
    paths = {item.source for item in items}
    checked = []
    for item in items:
        original = item.source.removesuffix("_celltype.nwb") + ".nwb"
        is_copy = item.is_local and item.source.endswith("_celltype.nwb") and original in paths
        reason = f"{_COPY}{original.rpartition('/')[2]}"
        checked.append(replace(item, skipped=reason) if is_copy and not item.skipped else item)
    return tuple(checked)
