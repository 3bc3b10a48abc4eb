"""Routes of the API for uploads, blobs and zarr archives."""

from __future__ import annotations

from urllib.parse import urlencode

from . import documents
from .access import NOT_FOUND, Routes
from .messages import Refusal, Reply, Request, empty_reply, json_reply
from .records import PENDING, Upload, Zarr, blob_key, part_sizes
from .storage import UPLOAD_LIFETIME
from .tree_digest import tree_digest


class UploadRoutes(Routes):
    """Uploads, blobs and zarr archives."""

    # ---- uploads

    def start_upload(self, request: Request) -> Reply:
        """Begin a multipart upload, unless the bytes are here already (409)."""
        self.user_of(request)
        body = request.json()
        if missing := [key for key in ("digest", "contentSize", "dandiset") if key not in body]:
            raise Refusal(400, {key: ["This field is required."] for key in missing})
        digest, size = body["digest"], body["contentSize"]
        if digest["algorithm"] != "dandi:dandi-etag":
            raise Refusal(400, ["Unsupported Digest Type"])
        if size < 1:
            raise Refusal(400, {"contentSize": ["Ensure this value is greater than or equal to 1."]})
        dandiset = self.owned(request, body["dandiset"])
        known = self.state.blob_with_etag(digest["value"], include_embargoed=not dandiset.is_open)
        if known is not None:
            raise Refusal(409, "Blob already exists.", {"Location": known.blob_id})
        sizes = part_sizes(size, self.state.part_size)
        upload = self.state.start_upload(dandiset, digest["value"], size, sizes)
        parts = self.storage.start_upload(upload, blob_key(upload.upload_id))
        return json_reply({"upload_id": upload.upload_id, "parts": parts})

    def _upload(self, request: Request, upload: str) -> Upload:
        self.user_of(request)
        found = self.state.uploads.get(upload)
        if found is None:
            raise Refusal(404, NOT_FOUND)
        self.owned(request, found.dandiset)
        return found

    def complete_upload(self, request: Request, upload: str) -> Reply:
        """Where and how to join the parts."""
        found = self._upload(request, upload)
        parts = sorted(request.json()["parts"], key=lambda part: part["part_number"])
        url = self.storage.presign("POST", blob_key(upload), {"uploadId": found.s3_id}, lifetime=UPLOAD_LIFETIME)
        return json_reply({"complete_url": url, "body": self.storage.completion(parts)})

    def validate_upload(self, request: Request, upload: str) -> Reply:
        """Turn a completed upload into a blob."""
        found = self._upload(request, upload)
        if found.content is None:
            raise Refusal(400, ["Object does not exist."])
        if found.content.size != found.size:
            raise Refusal(400, [f"Size {found.size} does not match actual size {found.content.size}."])
        if found.content_etag != found.etag:
            raise Refusal(400, [f"ETag {found.etag} does not match actual ETag {found.content_etag}."])
        del self.state.uploads[upload]
        blob = self.state.store(found.content, embargoed=found.embargoed, blob_id=upload)
        return json_reply(documents.blob(blob))

    def find_blob(self, request: Request) -> Reply:
        """The blob with a digest."""
        body = request.json()
        attributes = {"dandi:dandi-etag": "etag", "dandi:sha2-256": "sha256"}
        attribute = attributes.get(body.get("algorithm"))
        if attribute is None:
            raise Refusal(400, ["Unsupported Digest Type"])
        for blob in self.state.blobs.values():
            if getattr(blob, attribute) == body["value"] and (blob.is_digested or attribute == "etag"):
                return json_reply(documents.blob(blob))
        raise Refusal(404, NOT_FOUND)

    # ---- zarr archives

    def create_zarr(self, request: Request) -> Reply:
        """A new, empty zarr archive."""
        self.user_of(request)
        body = request.json()
        dandiset = self.owned(request, body["dandiset"])
        same = (one for one in self.state.zarrs.values() if one.dandiset == dandiset.identifier)
        if any(one.name == body["name"] for one in same):
            raise Refusal(400, ["Zarr already exists"])
        return json_reply(documents.zarr(self.state.create_zarr(dandiset, body["name"])))

    def _zarr(self, request: Request, zarr: str, *, owned: bool) -> Zarr:
        found = self.state.zarrs.get(zarr)
        if found is None:
            raise Refusal(404, NOT_FOUND)
        (self.owned if owned else self.visible)(request, found.dandiset)
        return found

    def zarr(self, request: Request, zarr: str) -> Reply:
        """State of a zarr archive."""
        return json_reply(documents.zarr(self._zarr(request, zarr, owned=False)))

    def zarr_files(self, request: Request, zarr: str) -> Reply:
        """Files of a zarr archive below a prefix, after a path."""
        found = self._zarr(request, zarr, owned=False)
        prefix, after = request.query.get("prefix", ""), request.query.get("after", "")
        limit = int(request.query.get("limit", 1000))
        if request.flag("download", default=False):
            if prefix not in found.files:
                raise Refusal(404, NOT_FOUND)
            url = self.storage.presign("GET", f"zarr/{zarr}/{prefix}")
            return empty_reply(302, {"Location": url})
        names = sorted(name for name in found.files if name.startswith(prefix) and name > after)
        link = None
        if len(names) > limit:
            link = f"{self.state.url}{request.path}?{urlencode({**request.query, 'after': names[limit - 1]})}"
        results = [self.storage.zarr_file(found, name) for name in names[:limit]]
        return json_reply({"next": link, "results": results})

    def list_zarrs(self, request: Request) -> Reply:
        """Zarr archives of a dandiset, of a name."""
        found = [
            one for one in self.state.zarrs.values() if one.dandiset == request.query.get("dandiset", one.dandiset)
        ]
        found = [one for one in found if one.name == request.query.get("name", one.name)]
        for one in found:
            self.visible(request, one.dandiset)
        return self.page(request, found, documents.zarr)

    def delete_zarr_files(self, request: Request, zarr: str) -> Reply:
        """Take files out of a zarr archive."""
        found = self._zarr(request, zarr, owned=True)
        paths = [entry["path"] for entry in request.json()]
        missing = [path for path in paths if path not in found.files]
        if missing:
            raise Refusal(404, [f"File {missing[0]} does not exist."])
        for path in paths:
            del found.files[path]
        found.status, found.checksum = PENDING, None
        return empty_reply(204)

    def add_zarr_files(self, request: Request, zarr: str) -> Reply:
        """URLs to upload files of a zarr archive to."""
        found = self._zarr(request, zarr, owned=True)
        found.status, found.checksum, found.file_count, found.size = PENDING, None, 0, 0
        return json_reply([self.storage.presign_zarr_file(found, entry["path"]) for entry in request.json()])

    def finalize_zarr(self, request: Request, zarr: str) -> Reply:
        """Compute the checksum of a zarr archive."""
        found = self._zarr(request, zarr, owned=True)
        found.checksum = tree_digest(found.files)
        found.file_count = len(found.files)
        found.size = sum(map(len, found.files.values()))
        found.status = "Complete"
        for dandiset in self.state.dandisets.values():
            if any(one.zarr_id == zarr for one in self.state.assets_of(dandiset.draft)):
                self.state.touch(dandiset)
        return empty_reply(204)
