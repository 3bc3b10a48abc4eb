"""The API side of the archive: which route answers a request."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlencode

from .asset_routes import AssetRoutes
from .dandiset_routes import DandisetRoutes
from .messages import Refusal, Reply, Request
from .state import State
from .storage import Storage
from .upload_routes import UploadRoutes

DANDISET = r"(?P<dandiset>\d{6})"
VERSION = r"(?P<version>draft|\d+\.\d{6}\.\d{4})"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
ASSET = f"(?P<asset>{UUID})"
ASSETS = f"/dandisets/{DANDISET}/versions/{VERSION}/assets"

Methods = dict[str, Callable[..., Reply]]


class Api:
    """Answers requests below ``/api``."""

    def __init__(self, state: State, storage: Storage) -> None:
        self.state = state
        self._routes = DandisetRoutes(state, storage)
        table = self._table(self._routes, AssetRoutes(state, storage), UploadRoutes(state, storage))
        self.routes = [(re.compile(f"/api{pattern}"), methods) for pattern, methods in table]

    @staticmethod
    def _table(dandisets: DandisetRoutes, assets: AssetRoutes, uploads: UploadRoutes) -> list[tuple[str, Methods]]:
        asset: Methods = {"GET": assets.asset_metadata}
        info: Methods = {"GET": assets.asset_info}
        download: Methods = {"GET": assets.download}
        version = f"/dandisets/{DANDISET}/versions/{VERSION}"
        change: Methods = {"GET": assets.asset_metadata, "PUT": assets.change_asset, "DELETE": assets.delete_asset}
        zarr_files: Methods = {
            "GET": uploads.zarr_files,
            "POST": uploads.add_zarr_files,
            "DELETE": uploads.delete_zarr_files,
        }
        return [
            ("/info/", {"GET": dandisets.info}),
            ("/auth/token/", {"GET": dandisets.token}),
            ("/users/me/", {"GET": dandisets.me}),
            ("/dandisets/", {"GET": dandisets.list_dandisets, "POST": dandisets.create_dandiset}),
            (f"/dandisets/{DANDISET}/", {"GET": dandisets.dandiset, "DELETE": dandisets.delete_dandiset}),
            (f"/dandisets/{DANDISET}/users/", {"GET": dandisets.owners, "PUT": dandisets.change_owners}),
            (f"/dandisets/{DANDISET}/unembargo/", {"POST": dandisets.unembargo}),
            (f"/dandisets/{DANDISET}/versions/", {"GET": dandisets.list_versions}),
            (f"{version}/", {"GET": dandisets.version, "PUT": dandisets.change_version}),
            (f"{version}/info/", {"GET": dandisets.version_info}),
            (f"{version}/publish/", {"POST": dandisets.publish}),
            (f"{ASSETS}/", {"GET": assets.list_assets, "POST": assets.add_asset}),
            (f"{ASSETS}/paths/", {"GET": assets.paths}),
            (f"{ASSETS}/{ASSET}/", change),
            (f"{ASSETS}/{ASSET}/info/", info),
            (f"{ASSETS}/{ASSET}/download/", download),
            (f"/assets/{ASSET}/", asset),
            (f"/assets/{ASSET}/info/", info),
            (f"/assets/{ASSET}/download/", download),
            ("/webdav/assets/atpath/", {"GET": assets.at_path}),
            ("/uploads/initialize/", {"POST": uploads.start_upload}),
            (f"/uploads/(?P<upload>{UUID})/complete/", {"POST": uploads.complete_upload}),
            (f"/uploads/(?P<upload>{UUID})/validate/", {"POST": uploads.validate_upload}),
            ("/blobs/digest/", {"POST": uploads.find_blob}),
            ("/zarr/", {"GET": uploads.list_zarrs, "POST": uploads.create_zarr}),
            (f"/zarr/(?P<zarr>{UUID})/", {"GET": uploads.zarr}),
            (f"/zarr/(?P<zarr>{UUID})/files/", zarr_files),
            (f"/zarr/(?P<zarr>{UUID})/finalize/", {"POST": uploads.finalize_zarr}),
        ]

    def handle(self, request: Request) -> Reply:
        """Answer one request."""
        if not request.path.endswith("/"):
            query = f"?{urlencode(request.query)}" if request.query else ""
            return Reply(301, headers={"Location": f"{request.path}/{query}", "Content-Type": "text/html"})
        method = "GET" if request.method == "HEAD" else request.method
        try:
            self._routes.authenticate(request)
            for pattern, methods in self.routes:
                match = pattern.fullmatch(request.path)
                if match is None:
                    continue
                if method not in methods:
                    raise Refusal(405, {"detail": f'Method "{request.method}" not allowed.'})
                with self.state.lock:
                    self.state.settle()
                    return methods[method](request, **match.groupdict())
        except Refusal as refusal:
            return refusal.reply
        page = f"<!DOCTYPE html>\n<html lang='en'><head><title>Page not found at {request.path}</title></head></html>"
        return Reply(404, page.encode(), {"Content-Type": "text/html; charset=utf-8"})
