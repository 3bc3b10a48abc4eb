"""Routes of the API for assets: lists, folders, changes, downloads."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from . import documents
from .access import NOT_FOUND, Routes
from .messages import Refusal, Reply, Request, empty_reply, json_reply
from .records import Asset, Dandiset, blob_key


class AssetRoutes(Routes):
    """Assets of a version, and assets by their ids."""

    def list_assets(self, request: Request, dandiset: str, version: str) -> Reply:
        """Assets of a version that fit path or glob."""
        _, record = self.version_of(request, dandiset, version)
        found: Iterable[Asset] = self.state.assets_of(record)
        path, glob = request.query.get("path"), request.query.get("glob")
        if path:
            exact = [one for one in found if one.path == path]
            found = exact or [one for one in found if one.path.lower().startswith(path.lower())]
        if glob is not None:
            # only the star is special, it crosses slashes, and case does not count
            pattern = re.compile(".*".join(map(re.escape, glob.split("*"))), re.IGNORECASE | re.DOTALL)
            found = [one for one in found if pattern.fullmatch(one.path)]
        order = request.query.get("order") or "created"
        key = order.lstrip("-") if order.lstrip("-") in ("created", "modified", "path") else "created"
        found = sorted(found, key=lambda one: (getattr(one, key), one.path), reverse=order.startswith("-"))
        with_metadata = request.flag("metadata", default=False)
        return self.page(request, found, lambda one: documents.asset(self.state, one, with_metadata=with_metadata))

    def paths(self, request: Request, dandiset: str, version: str) -> Reply:
        """One folder of a version."""
        _, record = self.version_of(request, dandiset, version)
        folder = request.query.get("path_prefix", "")
        entries = documents.folder_entries(self.state, record, folder)
        if not entries and folder.strip("/"):
            raise Refusal(404, {"detail": "Specified path not found."})
        return self.page(request, entries, lambda one: one)

    def at_path(self, request: Request) -> Reply:
        """The asset or folder at a path and, when asked for, what the folder holds."""
        query = request.query
        _, record = self.version_of(request, query.get("dandiset_id", ""), query.get("version_id", ""))
        path = query.get("path", "").strip("/")
        with_metadata = request.flag("metadata", default=False)
        assets = {one.path: one for one in self.state.assets_of(record)}

        def asset_entry(path: str) -> dict[str, Any]:
            document = documents.asset(self.state, assets[path], with_metadata=with_metadata)
            return {"type": "asset", "resource": document}

        if path in assets:
            return self.page(request, [asset_entry(path)], lambda one: one)
        inside = documents.folder_entries(self.state, record, path)
        if not inside and path:
            raise Refusal(404, NOT_FOUND)
        entries = [_folder(path, inside)] if path else []
        if request.flag("children", default=False):
            entries += [asset_entry(one["path"]) if one["asset"] else _folder(one["path"], [one]) for one in inside]
        return self.page(request, entries, lambda one: one)

    def add_asset(self, request: Request, dandiset: str, version: str) -> Reply:
        """Put an asset in the draft."""
        parent = self.owned_draft(request, dandiset, version)
        return self._store_asset(request, parent, None)

    def change_asset(self, request: Request, dandiset: str, version: str, asset: str) -> Reply:
        """Replace an asset of the draft by another (which has another id)."""
        parent = self.owned_draft(request, dandiset, version)
        return self._store_asset(request, parent, self.asset_of(request, asset, dandiset, version))

    def delete_asset(self, request: Request, dandiset: str, version: str, asset: str) -> Reply:
        """Take an asset out of the draft."""
        parent = self.owned_draft(request, dandiset, version)
        self.state.remove_asset(parent, self.asset_of(request, asset, dandiset, version))
        return empty_reply(204)

    def _store_asset(self, request: Request, parent: Dandiset, replaces: Asset | None) -> Reply:
        body = request.json()
        metadata, blob_id, zarr_id = body.get("metadata"), body.get("blob_id"), body.get("zarr_id")
        if not isinstance(metadata, dict):
            raise Refusal(400, {"metadata": ["This field is required."]})
        if (blob_id is None) == (zarr_id is None):
            raise Refusal(400, {"blob_id": ["Exactly one of blob_id or zarr_id must be specified."]})
        path = metadata.get("path")
        if not path:
            raise Refusal(400, {"metadata": ["No path specified in metadata."]})
        if path.startswith("/"):
            raise Refusal(400, {"non_field_errors": ["Path must not begin with /"]})
        blob, zarr = self.state.blobs.get(blob_id), self.state.zarrs.get(zarr_id)
        if blob is None and zarr is None:
            raise Refusal(404, NOT_FOUND)
        if zarr is not None and zarr.dandiset != parent.identifier:
            raise Refusal(400, "The zarr archive belongs to a different dandiset")
        if blob is not None and blob.embargoed and parent.is_open:
            raise Refusal(400, "Cannot add an embargoed blob to an open dandiset")
        self._check_path(parent, path, replaces)
        asset = self.state.add_asset(parent, path, metadata, blob_id=blob_id, zarr_id=zarr_id, replaces=replaces)
        return json_reply(documents.asset(self.state, asset, with_metadata=True))

    def _check_path(self, parent: Dandiset, path: str, replaces: Asset | None) -> None:
        others = [one.path for one in self.state.assets_of(parent.draft) if one is not replaces]
        if path in others:
            raise Refusal(409, "An asset with that path already exists")
        clashes = [other for other in others if other.startswith(f"{path}/") or path.startswith(f"{other}/")]
        if clashes:
            raise Refusal(409, f'Path of new asset "{path}" conflicts with existing assets: {clashes}')

    def asset_metadata(
        self, request: Request, asset: str, dandiset: str | None = None, version: str | None = None
    ) -> Reply:
        """Metadata of an asset."""
        found = self.asset_of(request, asset, dandiset, version)
        return json_reply(documents.asset_metadata(self.state, found))

    def asset_info(
        self, request: Request, asset: str, dandiset: str | None = None, version: str | None = None
    ) -> Reply:
        """An asset with its metadata."""
        found = self.asset_of(request, asset, dandiset, version)
        return json_reply(documents.asset(self.state, found, with_metadata=True))

    def download(self, request: Request, asset: str, dandiset: str | None = None, version: str | None = None) -> Reply:
        """Where the bytes of an asset are, for some hours."""
        found = self.asset_of(request, asset, dandiset, version)
        if found.blob_id is None:
            text = b"A zarr archive cannot be downloaded as one file; read its files from the bucket."
            return Reply(400, text, {"Content-Type": "text/html; charset=utf-8"})
        name = found.path.rpartition("/")[2]
        # signed for GET even when asked for with HEAD, so that HEAD on the URL itself is refused, as on S3
        disposition = {"response-content-disposition": f'attachment; filename="{name}"'}
        url = self.storage.presign("GET", blob_key(found.blob_id), disposition)
        return empty_reply(302, {"Location": url, "Content-Type": "text/html; charset=utf-8"})


def _folder(path: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    files = sum(entry["aggregate_files"] for entry in entries)
    size = sum(entry["aggregate_size"] for entry in entries)
    return {"type": "folder", "resource": {"path": path, "total_assets": files, "total_size": size}}
