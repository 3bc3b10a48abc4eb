"""What a fetch will do: which assets, where they go, what is there already, and what labels belong to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from nwb_celltype.archive.addresses import DandiAddress
from nwb_celltype.archive.assets import Asset, find_asset, list_assets
from nwb_celltype.archive.dandisets import Dandiset, find_dandiset
from nwb_celltype.errors import CellTypeError, InputError, NothingToDoError, RefusedError
from nwb_celltype.fetching.contents import Contents, contents_of, contents_of_asset
from nwb_celltype.fetching.local_folder import DandisetFolder
from nwb_celltype.fetching.pairing import LocalSources, plan_join
from nwb_celltype.fetching.records import Fetched, FetchedFile, JoinedLabels, SkippedAsset
from nwb_celltype.fetching.selection import Chosen, Wanted, choose, detached_path, selected
from nwb_celltype.fetching.transfers import Item, Transfers, plan_row
from nwb_celltype.provenance import SourceAsset

Progress = Callable[[str, int, int], None]

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Plan:
    """What is to be done: an item a file, and rows of those that cannot be planned."""

    report: Fetched
    items: list[Item]
    lost: list[FetchedFile]
    needs_join: bool
    folders: list[tuple[DandisetFolder, Dandiset]]

    def rows(self) -> tuple[FetchedFile, ...]:
        """Every file, planned or not."""
        return (*(item.row for item in self.items), *self.lost)

    def joins(self, local: LocalSources) -> Iterable[JoinedLabels]:
        """Which labels will be joined to what, as far as it is known before anything is fetched."""
        if not self.needs_join:
            return
        files = {_key(item.asset): item.row.file for item in self.items if not item.row.exit_code}
        for item in self.items:
            contents = item.contents
            if item.row.exit_code or contents is None or not contents.is_detached:
                continue
            row = plan_join(item.row.file, contents.source, local)
            if row.status == "unmatched" and contents.source is not None and _key(contents.source) in files:
                row = replace(row, source=files[_key(contents.source)], status="planned", message="")
            yield row


class Planner:
    """Finds out what there is to fetch, asking the archive and looking into files where keywords do not say enough."""

    def __init__(
        self, root: Path, wanted: Wanted, glob: str | None, jobs: int, overwrite: bool, progress: Progress | None
    ) -> None:
        self._root, self._wanted, self._glob, self._jobs = root, wanted, glob, jobs
        self._progress = progress
        self._transfers = Transfers(overwrite=overwrite, on_bytes=lambda _: None)
        self._folders: dict[Path, tuple[DandisetFolder, Dandiset]] = {}

    def plan(self, where: DandiAddress, local: LocalSources, *, with_sources: bool) -> Plan:
        """Plan everything; nothing is written.

        Raises
        ------
        NothingToDoError
            If there is nothing of what is wanted.
        InputError, RefusedError, NetworkError
            If the dandiset cannot be listed.
        """
        assets = _assets_of(where, self._glob)
        first = assets[0]
        folder = self._folder_of(first)
        chosen, skipped, lost = self._choose(assets, folder)
        if not chosen and not lost:
            raise NothingToDoError(_nothing(first, skipped, self._wanted))
        items = self._items(chosen, folder, [asset.path for asset in assets])
        if with_sources:
            more, failed = self._sources(items, local)
            items, lost = items + more, lost + failed
        pinned = replace(where, version=first.version, dandiset=first.dandiset)
        report = Fetched(
            address=pinned.text,
            dandiset=first.dandiset,
            version=first.version,
            instance=first.instance,
            folder=folder.root,
            skipped=tuple(skipped),
            note="" if where.version or where.asset_id else _chosen_version(first.version),
        )
        return Plan(report, items, lost, self._wanted.needs_source, list(self._folders.values()))

    def _folder_of(self, asset: Asset) -> DandisetFolder:
        """Folder of the asset's dandiset; the metadata of its version are asked for once."""
        root = self._root / asset.dandiset
        if root not in self._folders:
            where = DandiAddress(asset.dandiset, asset.version, "", asset.instance)
            self._folders[root] = DandisetFolder(root), find_dandiset(where)
        return self._folders[root][0]

    def _item(self, asset: Asset, row: FetchedFile, contents: Contents | None = None) -> Item:
        folder, dandiset = self._folders[self._root / asset.dandiset]
        return Item(asset, folder, row, dandiset, contents)

    def _choose(
        self, assets: Sequence[Asset], folder: DandisetFolder
    ) -> tuple[list[Chosen], list[SkippedAsset], list[FetchedFile]]:
        def one(asset: Asset) -> Chosen | SkippedAsset | FetchedFile:
            try:
                return choose(asset, self._wanted, lambda a: _look(a, folder))
            except CellTypeError as error:
                row = FetchedFile(asset.address.text, asset.path, folder.root, size=asset.size, asset_id=asset.asset_id)
                return row.failed(error)

        answers = self._each(one, assets, "looking at assets")
        lost = [answer for answer in answers if isinstance(answer, FetchedFile)]
        chosen, skipped = selected(answer for answer in answers if not isinstance(answer, FetchedFile))
        return chosen, skipped, lost

    def _items(self, chosen: Sequence[Chosen], folder: DandisetFolder, paths: Sequence[str]) -> list[Item]:
        taken = set(paths)
        items = []
        for one in chosen:
            name = one.asset.path
            if one.action == "detach":
                name = detached_path(name, taken)
                taken.add(name)
            row = plan_row(one.asset, folder, name, detach=one.action == "detach", contents=one.contents)
            items.append(self._item(one.asset, row, one.contents))
        return self._checked(items)

    def _checked(self, items: Sequence[Item]) -> list[Item]:
        """See which files are there already; large ones take a while to hash."""

        def one(item: Item) -> Item:
            return item if item.row.exit_code else replace(item, row=self._transfers.check(item))

        return self._each(one, items, "checking local files")

    def _sources(self, items: Sequence[Item], local: LocalSources) -> tuple[list[Item], list[FetchedFile]]:
        """Items of the files that labels were made from, each once, unless they are here."""
        needed: dict[tuple[str, str, str], SourceAsset] = {}
        for item in items:
            source = item.contents.source if item.contents is not None else None
            if source is None or not source.dandiset or item.row.exit_code:
                continue
            if plan_join(item.row.file, source, local).status == "unmatched":
                needed.setdefault(_key(source), source)
        asked = {_key(item.asset) for item in items}
        found, lost = [], []
        for key, source in needed.items():
            if key in asked:
                continue
            row = FetchedFile(
                source.address, source.path, self._root / source.dandiset, size=source.size, is_source=True
            )
            try:
                asset = _source_asset(source)
                folder = self._folder_of(asset)
            except CellTypeError as error:
                lost.append(row.failed(error))
                continue
            row = replace(plan_row(asset, folder, asset.path, detach=False, contents=None), is_source=True)
            found.append(self._item(asset, row))
        return self._checked(found), lost

    def _each(self, function: Callable[[_T], _R], values: Sequence[_T], task: str) -> list[_R]:
        done, lock = 0, threading.Lock()

        def counted(value: _T) -> _R:
            nonlocal done
            answer = function(value)
            with lock:
                done += 1
                if self._progress is not None and len(values) > 1:
                    self._progress(task, done, len(values))
            return answer

        with ThreadPoolExecutor(max_workers=self._jobs, thread_name_prefix="plan") as pool:
            running: list[Future[_R]] = [pool.submit(counted, value) for value in values]
            try:
                return [one.result() for one in running]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _key(asset: Asset | SourceAsset) -> tuple[str, str, str]:
    return asset.dandiset, asset.version, asset.path


def _assets_of(where: DandiAddress, glob: str | None) -> list[Asset]:
    assets = list_assets(where, glob=glob)
    if not assets:
        named = f" that match {glob!r}" if glob else ""
        message = f"{where.text} has no assets{named}; look at the dandiset's page for what it holds."
        raise NothingToDoError(message)
    return assets


def _look(asset: Asset, folder: DandisetFolder) -> Contents:
    """What is in an asset: from the local copy where an earlier fetch recorded one, else over the network."""
    entry = folder.recorded().get(asset.path)
    if entry is not None and asset.sha256 and entry.get("sha256") == asset.sha256 and entry.get("action") == "download":
        try:
            return contents_of(folder.place_of(asset.path))
        except (InputError, RefusedError):  # deleted or changed since: the archive is asked
            pass
    return contents_of_asset(asset)


def _source_asset(source: SourceAsset) -> Asset:
    """The asset that labels name, if it is still what they were made from.

    Raises
    ------
    RefusedError
        If it has another content now.
    """
    asset = find_asset(DandiAddress(source.dandiset, source.version, source.path, source.instance))
    for name, then, now in (("SHA-256", source.sha256, asset.sha256), ("ETag", source.etag, asset.etag)):
        if then and now and then != now:
            message = (
                f"{asset.address.text} has been replaced since the labels were made from it (its {name} differs), so "
                "its units need not be theirs. Ask the authors of the labels which file they used."
            )
            raise RefusedError(message)
    return asset


def _chosen_version(version: str) -> str:
    if version == "draft":
        return "nothing is published yet: this is the draft, which may change"
    return "the newest published version"


def _nothing(first: Asset, skipped: Sequence[SkippedAsset], wanted: Wanted) -> str:
    reasons: dict[str, int] = {}
    for row in skipped:
        reasons[row.reason] = reasons.get(row.reason, 0) + 1
    counted = ", ".join(f"{n} with {reason}" if reason.startswith("no ") else f"{n} {reason}"
                        for reason, n in reasons.items())  # fmt: skip
    options = {"--labels-only": wanted.labels_only, "--ground-truth": wanted.ground_truth}
    given = " and ".join(option for option, is_given in options.items() if is_given)
    what_to_do = f"Leave out {given}, or find" if given else "Find"
    return (
        f"DANDI:{first.dandiset}@{first.version} has nothing to fetch: {counted}. {what_to_do} other dandisets with "
        "nwb-celltype find."
    )
