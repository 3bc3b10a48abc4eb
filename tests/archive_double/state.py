"""What the archive double holds, and what happens to it: uploads, assets, validation, publication, embargo.

Background tasks of an archive (digests, validation, publication, unembargo) are jobs here. A job runs at the first
request after it is due, so no thread of its own is needed and a test decides by the delay, or by `settle`, when.
"""

from __future__ import annotations

import datetime
import math
import threading
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from .faults import Faults
from .records import (
    DEFAULT_PART_SIZE,
    EMBARGOED,
    INVALID,
    OPEN,
    PENDING,
    PUBLISHED,
    PUBLISHING,
    UNEMBARGOING,
    VALID,
    Asset,
    Blob,
    Content,
    Dandiset,
    Upload,
    User,
    Version,
    Zarr,
    now,
)

JobKind = Literal["digest", "asset", "version", "publish", "unembargo"]
JOB_KINDS: tuple[JobKind, ...] = ("digest", "asset", "version", "publish", "unembargo")

COMPUTED_OF_ASSET = frozenset(
    ("id", "identifier", "path", "contentUrl", "contentSize", "digest", "access", "datePublished", "publishedBy")
)
COMPUTED_OF_VERSION = frozenset(
    (
        *("id", "identifier", "url", "doi", "version", "name", "citation", "dateCreated", "assetsSummary"),
        *("datePublished", "publishedBy", "manifestLocation", "repository"),
    )
)


@dataclass
class Job:
    """Something the archive does later."""

    kind: JobKind
    subject: str
    due: float


class State:
    """Everything in the archive. The methods expect `lock` to be held by the caller."""

    def __init__(
        self,
        *,
        schema_version: str,
        instance: str,
        validation_delay: float,
        publish_delay: float,
        part_size: int = DEFAULT_PART_SIZE,
    ) -> None:
        self.lock = threading.RLock()
        self.faults = Faults()
        self.schema_version = schema_version
        self.instance = instance
        self.validation_delay = validation_delay
        self.publish_delay = publish_delay
        self.part_size = part_size
        self.url = self.s3_url = ""
        self.bucket = "dandi-double"
        self.doi_prefix = "10.80507"
        self.users: dict[str, User] = {}
        self.dandisets: dict[str, Dandiset] = {}
        self.assets: dict[str, Asset] = {}
        self.blobs: dict[str, Blob] = {}
        self.uploads: dict[str, Upload] = {}
        self.zarrs: dict[str, Zarr] = {}
        self.jobs: list[Job] = []
        self._last_number = 0
        self._last_version = 0
        # documents.py describes versions, which validation needs; set by the server to keep the imports one way
        self.describe_version: Callable[[State, Dandiset, Version], dict[str, Any]]
        self.describe_asset: Callable[[State, Asset], dict[str, Any]]

    # ---- jobs

    def add_job(self, kind: JobKind, subject: str, delay: float) -> None:
        """Do this after ``delay`` seconds (infinity: only when `settle` is forced)."""
        self.jobs.append(Job(kind, subject, math.inf if math.isinf(delay) else time.monotonic() + delay))

    def settle(self, kinds: Collection[JobKind] = JOB_KINDS, *, force: bool = False) -> None:
        """Do what is due, or all of these kinds when forced."""
        if not self.jobs:
            return
        actions: dict[JobKind, Callable[[str], bool]] = {
            "digest": self._finish_digest,
            "asset": self._validate_asset,
            "version": self._validate_version,
            "publish": self._finish_publication,
            "unembargo": self._finish_unembargo,
        }
        for kind in JOB_KINDS:
            if kind not in kinds:
                continue
            for job in [job for job in self.jobs if job.kind == kind]:
                if (force or job.due <= time.monotonic()) and actions[kind](job.subject):
                    self.jobs.remove(job)

    def _finish_digest(self, blob_id: str) -> bool:
        self.blobs[blob_id].is_digested = True
        return True

    def _validate_asset(self, asset_id: str) -> bool:
        from .validation import asset_errors

        asset = self.assets.get(asset_id)
        if asset is None:
            return True
        if self.faults.is_stuck(asset.path):
            return False
        if asset.blob_id is not None and not self.blobs[asset.blob_id].is_digested:
            return False
        if asset.zarr_id is not None and self.zarrs[asset.zarr_id].checksum is None:
            return False
        metadata = self.describe_asset(self, asset)
        asset.errors = asset_errors(metadata, asset.path, now()) + self.faults.errors_of(asset.path)
        asset.status = INVALID if asset.errors else VALID
        return True

    def _validate_version(self, identifier: str) -> bool:
        from .validation import summarise, version_errors

        dandiset = self.dandisets.get(identifier)
        if dandiset is None or dandiset.draft.status != PENDING:
            return True
        draft = dandiset.draft
        assets = self.assets_of(draft)
        if any(asset.status == PENDING for asset in assets):
            return False
        summary = summarise([self.describe_asset(self, asset) for asset in assets if asset.status == VALID])
        draft.summary = summary if summary is not None else draft.summary
        metadata = self.describe_version(self, dandiset, draft)
        draft.errors = version_errors(metadata, self.doi(identifier), now())
        draft.status = INVALID if draft.errors else VALID
        draft.modified = now()
        return True

    def doi(self, identifier: str) -> str:
        """DOI of the dandiset, without a version."""
        return f"{self.doi_prefix}/{self.instance.lower()}.{identifier}"

    # ---- dandisets

    def create_dandiset(
        self, name: str, metadata: dict[str, Any], owner: User, *, embargo: bool = False, identifier: str | None = None
    ) -> Dandiset:
        """A new dandiset with an empty draft."""
        if identifier is None:
            self._last_number = max([self._last_number, *map(int, self.dandisets)]) + 1
            identifier = f"{self._last_number:06}"
        stored = {key: value for key, value in metadata.items() if key not in COMPUTED_OF_VERSION}
        if not stored.get("contributor"):
            person = {"schemaKey": "Person", "name": owner.person_name, "email": owner.username, "affiliation": []}
            stored["contributor"] = [{**person, "roleName": ["dcite:ContactPerson"], "includeInCitation": True}]
        draft = Version("draft", name, stored, self._next_version_number())
        dandiset = Dandiset(identifier, EMBARGOED if embargo else OPEN, [owner.username], {"draft": draft})
        self.dandisets[identifier] = dandiset
        self.touch(dandiset)
        return dandiset

    def change_draft(self, dandiset: Dandiset, name: str, metadata: dict[str, Any]) -> None:
        """Replace the metadata of the draft."""
        draft = dandiset.draft
        draft.name = name
        draft.metadata = {key: value for key, value in metadata.items() if key not in COMPUTED_OF_VERSION}
        draft.summary = {}
        self.touch(dandiset)

    def touch(self, dandiset: Dandiset) -> None:
        """Note a change of the draft: it is validated again."""
        dandiset.draft.modified = now()
        dandiset.draft.status = PENDING
        self.add_job("version", dandiset.identifier, self.validation_delay)

    def assets_of(self, version: Version) -> list[Asset]:
        """Assets of a version, in the order of their creation."""
        return [self.assets[asset_id] for asset_id in version.asset_ids]

    def size_of(self, asset: Asset) -> int:
        """Bytes of an asset."""
        if asset.blob_id is not None:
            return self.blobs[asset.blob_id].content.size
        assert asset.zarr_id is not None
        return self.zarrs[asset.zarr_id].size

    # ---- blobs

    def store(self, content: Content, *, embargoed: bool, blob_id: str | None = None, reuse: bool = False) -> Blob:
        """A blob with this content; its SHA-256 becomes known with the validation delay.

        With ``reuse`` a blob that has the same bytes already is given instead.
        """
        etag, sha256 = content.digests(self.part_size)
        if reuse and (known := self.blob_with_etag(etag, include_embargoed=embargoed)) is not None:
            return known
        blob = Blob(blob_id or str(uuid.uuid4()), content, etag, sha256, embargoed, modified=time.time())
        self.blobs[blob.blob_id] = blob
        self.add_job("digest", blob.blob_id, self.validation_delay)
        return blob

    def start_upload(self, dandiset: Dandiset, etag: str, size: int, sizes: list[int]) -> Upload:
        """An upload of so many bytes in such parts."""
        upload = Upload(str(uuid.uuid4()), dandiset.identifier, etag, size, sizes, embargoed=not dandiset.is_open)
        self.uploads[upload.upload_id] = upload
        return upload

    def create_zarr(self, dandiset: Dandiset, name: str) -> Zarr:
        """An empty zarr archive."""
        zarr = Zarr(str(uuid.uuid4()), name, dandiset.identifier, embargoed=not dandiset.is_open)
        self.zarrs[zarr.zarr_id] = zarr
        return zarr

    def blob_with_etag(self, etag: str, *, include_embargoed: bool) -> Blob | None:
        """A blob that has these bytes already."""
        found = (blob for blob in self.blobs.values() if blob.etag == etag)
        return next((blob for blob in found if include_embargoed or not blob.embargoed), None)

    def is_embargoed(self, asset: Asset) -> bool:
        """Whether the bytes of the asset are under embargo."""
        if asset.blob_id is not None:
            return self.blobs[asset.blob_id].embargoed
        assert asset.zarr_id is not None
        return self.zarrs[asset.zarr_id].embargoed

    def dandisets_with(self, asset_id: str) -> list[Dandiset]:
        """Dandisets that have, in any version, this asset."""
        return [
            dandiset
            for dandiset in self.dandisets.values()
            if any(asset_id in version.asset_ids for version in dandiset.versions.values())
        ]

    # ---- assets

    def add_asset(
        self,
        dandiset: Dandiset,
        path: str,
        metadata: dict[str, Any],
        *,
        blob_id: str | None = None,
        zarr_id: str | None = None,
        replaces: Asset | None = None,
    ) -> Asset:
        """Put an asset in the draft; one that replaces another has an id of its own all the same."""
        stored = {key: value for key, value in metadata.items() if key not in COMPUTED_OF_ASSET}
        asset = Asset(str(uuid.uuid4()), path, blob_id, zarr_id, stored)
        self.assets[asset.asset_id] = asset
        if replaces is not None:
            dandiset.draft.asset_ids.remove(replaces.asset_id)
        dandiset.draft.asset_ids.append(asset.asset_id)
        self.add_job("asset", asset.asset_id, self.validation_delay)
        self.touch(dandiset)
        return asset

    def remove_asset(self, dandiset: Dandiset, asset: Asset) -> None:
        """Take an asset out of the draft."""
        dandiset.draft.asset_ids.remove(asset.asset_id)
        self.touch(dandiset)

    # ---- publication and embargo

    def is_publishable(self, dandiset: Dandiset) -> bool:
        """Whether the draft and all its assets are valid."""
        assets_valid = all(asset.status == VALID for asset in self.assets_of(dandiset.draft))
        return dandiset.draft.status == VALID and assets_valid

    def start_publication(self, dandiset: Dandiset) -> None:
        """Publish the draft after the publication delay."""
        dandiset.draft.status = PUBLISHING
        self.add_job("publish", dandiset.identifier, self.publish_delay)

    def publish(self, dandiset: Dandiset, version: str | None = None) -> Version:
        """Publish the draft at once; the number is of the minute unless given."""
        from .validation import publish_activity

        draft = dandiset.draft
        stored = {**draft.metadata, **publish_activity(now())}
        number = version or self._free_version(dandiset)
        published = Version(number, draft.name, stored, self._next_version_number(), VALID)
        published.asset_ids = list(draft.asset_ids)
        published.summary = dict(draft.summary)
        for asset in self.assets_of(draft):
            if not asset.publication:
                asset.publication = publish_activity(now())
                asset.modified = now()
        dandiset.versions[number] = published
        draft.status = PUBLISHED
        draft.modified = now()
        return published

    def start_unembargo(self, dandiset: Dandiset) -> None:
        """Open an embargoed dandiset, with the publication delay."""
        dandiset.embargo_status = UNEMBARGOING
        self.add_job("unembargo", dandiset.identifier, self.publish_delay)

    def _finish_publication(self, identifier: str) -> bool:
        self.publish(self.dandisets[identifier])
        return True

    def _finish_unembargo(self, identifier: str) -> bool:
        dandiset = self.dandisets[identifier]
        dandiset.embargo_status = OPEN
        for asset in self.assets_of(dandiset.draft):
            if asset.blob_id is not None:
                self.blobs[asset.blob_id].embargoed = False
        for zarr in self.zarrs.values():
            if zarr.dandiset == identifier:
                zarr.embargoed = False
        return True

    def _next_version_number(self) -> int:
        self._last_version += 1
        return self._last_version

    @staticmethod
    def _free_version(dandiset: Dandiset) -> str:
        moment = datetime.datetime.now(datetime.UTC)
        while (number := moment.strftime("0.%y%m%d.%H%M")) in dandiset.versions:
            moment += datetime.timedelta(minutes=1)
        return number
