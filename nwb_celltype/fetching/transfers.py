"""One file of a dandiset: whether it is there already, and the way it gets there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nwb_celltype.archive.addresses import DandiAddress
from nwb_celltype.archive.assets import Asset
from nwb_celltype.archive.dandisets import Dandiset
from nwb_celltype.errors import CellTypeError, InputError, NetworkError, RefusedError
from nwb_celltype.fetching.contents import Contents, bytes_of, contents_of, contents_of_asset, opened_asset
from nwb_celltype.fetching.digests import is_same, sha256_of
from nwb_celltype.fetching.local_folder import DandisetFolder
from nwb_celltype.fetching.records import FetchedFile
from nwb_celltype.provenance import SourceAsset

if TYPE_CHECKING:
    from nwb_celltype.archive.transport import RangeSource

_LEFT_ALONE = "it was left alone. Move it away, choose another folder with --out, or replace it with --overwrite."


@dataclass(frozen=True)
class Item:
    """One file to fetch.

    Attributes
    ----------
    asset : Asset
    folder : DandisetFolder
    row : FetchedFile
        The plan.
    dandiset : Dandiset
        Of the asset, for the provenance of detached runs.
    contents : Contents or None
        What is in the asset, where that is known.
    """

    asset: Asset
    folder: DandisetFolder
    row: FetchedFile
    dandiset: Dandiset
    contents: Contents | None = None

    @property
    def name(self) -> str:
        """Path of the local file in the folder."""
        return self.row.file.relative_to(self.folder.root).as_posix()


class Transfers:
    """Carries out a plan, several files at a time; can be stopped.

    Parameters
    ----------
    overwrite : bool
        Whether files that differ may be replaced.
    on_bytes : callable
        Told how many bytes have come; called from several threads.
    """

    def __init__(self, *, overwrite: bool, on_bytes: Callable[[int], None]) -> None:
        self._overwrite = overwrite
        self._on_bytes = on_bytes
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._open: set[RangeSource] = set()

    def stop(self) -> None:
        """End what is running; what has come stays on the disk, and a rerun goes on from there."""
        self._stopped.set()
        with self._lock:
            for source in self._open:
                source.close()

    def check(self, item: Item) -> FetchedFile:
        """Say in the plan whether the file is there already, and whether what is there is in the way."""
        try:
            state = _state(item)
            if state == "there":
                return _found(item)
            if state == "other" and (not self._overwrite or item.row.file.is_dir()):
                raise RefusedError(_in_the_way(item))
        except CellTypeError as error:
            return item.row.failed(error)
        return item.row

    def run(self, item: Item) -> FetchedFile:
        """Fetch one file; whatever goes wrong becomes part of its row.

        Raises
        ------
        InterruptedError
            If it was stopped.
        """
        try:
            if self._stopped.is_set():
                raise InterruptedError
            with item.folder.only_writer(item.name, self._stopped.is_set):
                row = self.check(item)  # another fetch may have brought it meanwhile
                if row.status != "planned":
                    return row
                row = self._detach(item) if row.action == "detach" else self._download(item)
                row = _described(row)
                item.folder.record(_entry(item, row))
                return row
        except InterruptedError:
            raise
        except Exception as error:  # one failing file must not keep the others from coming
            if self._stopped.is_set():
                raise InterruptedError from error
            return item.row.failed(_explained(error, item))

    def adopt(self, item: Item) -> None:
        """Record a file that was there already but not in the record: a kill, or another program, left it."""
        if item.row.status == "there" and item.name not in item.folder.recorded():
            item.folder.record(_entry(item, item.row))

    def _download(self, item: Item) -> FetchedFile:
        from nwb_celltype.archive.downloads import download

        asset, target = item.asset, item.row.file
        with self._bytes_of(asset) as source:
            download(
                source,
                target,
                sha256=asset.sha256,
                etag=asset.etag,
                progress=self._progress(),
                replaces=self._overwrite,
            )
        digest = asset.sha256 or sha256_of(target)
        return replace(item.row, status="fetched", n_bytes=source.statistics.n_bytes, file_sha256=digest)

    def _detach(self, item: Item) -> FetchedFile:
        from nwb_celltype.nwb_io.detached import detach

        origin = source_of(item.asset, item.dandiset)
        with self._bytes_of(item.asset) as source:
            with opened_asset(item.asset, source) as file:
                written = detach(file, item.row.file, origin, replaces=self._overwrite)
            n_bytes = source.statistics.n_bytes
        return replace(item.row, status="fetched", n_bytes=n_bytes, file_sha256=sha256_of(written))

    @contextmanager
    def _bytes_of(self, asset: Asset) -> Iterator[RangeSource]:
        """The bytes of an asset, for as long as nobody stops."""
        source = bytes_of(asset)
        with self._lock:
            self._open.add(source)
        try:
            if self._stopped.is_set():
                raise InterruptedError
            yield source
        finally:
            with self._lock:
                self._open.discard(source)
            source.close()

    def _progress(self) -> Callable[[int, int], None]:
        before = 0

        def told(done: int, _: int) -> None:
            nonlocal before
            if self._stopped.is_set():
                raise InterruptedError
            if done > before:
                self._on_bytes(done - before)
                before = done

        return told


def source_of(asset: Asset, dandiset: Dandiset) -> SourceAsset:
    """What detached labels say about the asset that they were taken from.

    Parameters
    ----------
    asset : Asset
    dandiset : Dandiset
        The version that the asset is in.

    Returns
    -------
    SourceAsset
    """
    return SourceAsset(
        instance=asset.instance,
        dandiset=asset.dandiset,
        version=asset.version,
        path=asset.path,
        asset_id=asset.asset_id,
        sha256=asset.sha256,
        etag=asset.etag,
        size=asset.size,
        licence=dandiset.licence,
        doi=dandiset.doi,
        title=dandiset.name,
        citation=dandiset.citation,
    )


def plan_row(
    asset: Asset, folder: DandisetFolder, name: str, *, detach: bool, contents: Contents | None
) -> FetchedFile:
    """Make the row of an asset that is to be fetched.

    Parameters
    ----------
    asset : Asset
    folder : DandisetFolder
    name : str
        Path of the local file in the folder.
    detach : bool
    contents : Contents or None

    Returns
    -------
    FetchedFile
        ``refused`` where the archive's path cannot be a name in the folder.
    """
    row = FetchedFile(
        address=asset.address.text,
        path=asset.path,
        file=folder.root,
        action="detach" if detach else "download",
        size=asset.size,
        n_bytes=0 if detach else asset.size,
        asset_id=asset.asset_id,
        sha256=asset.sha256,
        etag=asset.etag,
        runs=() if contents is None else contents.runs,
        ground_truth=() if contents is None else contents.ground_truth,
    )
    try:
        return replace(row, file=folder.place_of(name))
    except RefusedError as error:
        return row.failed(error)


def _state(item: Item) -> str:
    """``absent``, ``there`` (with the right content) or ``other``."""
    target, asset = item.row.file, item.asset
    if not target.exists():
        return "absent"
    if item.row.action == "download":
        return "there" if is_same(target, size=asset.size, sha256=asset.sha256, etag=asset.etag) else "other"
    entry = item.folder.recorded().get(item.name)
    if entry is not None and entry.get("action") == "detach":
        same = _matches(asset, str(entry.get("sha256") or ""), str(entry.get("etag") or ""))
        return "there" if same and sha256_of(target) == entry.get("file_sha256") else "other"
    try:  # a fetch that was killed may have written the file and not the record
        found = contents_of(target)
    except InputError:
        return "other"
    if found.source is None or not _matches(asset, found.source.sha256, found.source.etag):
        return "other"
    # Others label the units of this asset too, and name it as their source: what tells its own labels is its runs.
    held = item.contents or contents_of_asset(asset)
    return "there" if found.has_same_runs(held) else "other"


def _matches(asset: Asset, sha256: str, etag: str) -> bool:
    if asset.sha256 and sha256:
        return asset.sha256 == sha256
    return bool(etag) and asset.etag == etag


def _found(item: Item) -> FetchedFile:
    digest = item.asset.sha256 if item.row.action == "download" else ""
    return _described(replace(item.row, status="there", n_bytes=0, file_sha256=digest or sha256_of(item.row.file)))


def _described(row: FetchedFile) -> FetchedFile:
    """Add which runs a file on the disk holds; a file that is no HDF5 is a good copy of one all the same."""
    if row.file.suffix.lower() != ".nwb":
        return row
    try:
        contents = contents_of(row.file)
    except InputError:
        return replace(row, message="It is what the archive holds, but cannot be read as HDF5.")
    return replace(row, runs=contents.runs, ground_truth=contents.ground_truth)


def _in_the_way(item: Item) -> str:
    target = item.row.file
    entry = item.folder.recorded().get(item.name)
    known = entry is not None and target.is_file() and sha256_of(target) == entry.get("file_sha256")
    if known and entry is not None:
        other = f" of version {entry.get('version')}" if entry.get("version") != item.asset.version else ""
        return f"{target} is an earlier copy{other}, and the asset has another content now; {_LEFT_ALONE}"
    return f"{target} is there, and is not what the archive has under that name; {_LEFT_ALONE}"


def _entry(item: Item, row: FetchedFile) -> dict[str, Any]:
    """Line of the record: what was fetched, and what it is on the disk."""
    asset = item.asset
    entry: dict[str, Any] = {
        "path": item.name, "action": row.action, "address": row.address, "instance": asset.instance,
        "dandiset": asset.dandiset, "version": asset.version, "asset_path": asset.path, "asset_id": asset.asset_id,
        "sha256": asset.sha256, "etag": asset.etag, "size": asset.size, "file_sha256": row.file_sha256,
    }  # fmt: skip
    if row.action == "detach":
        entry["note"] = "The annotation runs of the asset, streamed and written as a detached file; not the asset."
    if row.runs:
        entry["runs"] = list(row.runs)
        entry["ground_truth"] = list(row.ground_truth)
    return entry


def _explained(error: Exception, item: Item) -> Exception:
    """Say of a draft's asset that failed whether it was replaced or deleted meanwhile."""
    from nwb_celltype.archive.assets import find_asset

    if item.asset.version != "draft" or not isinstance(error, InputError | NetworkError):
        return error
    where = item.asset.address
    name = f"{item.asset.path} in the draft of {where.dandiset}"
    try:
        now = find_asset(DandiAddress(where.dandiset, "draft", item.asset.path, where.instance))
    except InputError:
        message = f"{name} was deleted or renamed while it was being fetched; run this again for what is there now."
        return InputError(message)
    except CellTypeError:
        return error
    if (now.etag or now.sha256) != (item.asset.etag or item.asset.sha256):
        message = f"{name} was replaced while it was being fetched; run this again for what is there now."
        return InputError(message)
    return error
