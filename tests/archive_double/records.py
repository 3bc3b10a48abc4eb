"""Records the archive double keeps in memory: users, dandisets, versions, assets, blobs, uploads and zarr archives."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PENDING, VALID, INVALID = "Pending", "Valid", "Invalid"
PUBLISHING, PUBLISHED = "Publishing", "Published"
OPEN, EMBARGOED, UNEMBARGOING = "OPEN", "EMBARGOED", "UNEMBARGOING"

DEFAULT_PART_SIZE = 64 * 1024**2
MAX_PARTS = 10_000


def now() -> str:
    """The time as the archive writes it (UTC, microseconds, ``Z``)."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def part_sizes(size: int, part_size: int) -> list[int]:
    """Sizes of the parts of an upload; the parts grow so that there are never more than 10 000."""
    part_size = max(part_size, -(-size // MAX_PARTS))
    whole, rest = divmod(size, part_size)
    return [part_size] * whole + ([rest] if rest else [])


def multipart_etag(part_md5s: list[bytes]) -> str:
    """S3's ETag of a multipart upload: MD5 of the parts' MD5s, and how many there were."""
    return f"{hashlib.md5(b''.join(part_md5s)).hexdigest()}-{len(part_md5s)}"


class Content:
    """Bytes of an object, in memory or left in a file (large files seeded by a benchmark are never copied)."""

    def __init__(self, source: bytes | Path) -> None:
        self._source = source
        self.size = len(source) if isinstance(source, bytes) else source.stat().st_size

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Bytes ``[start, stop)``."""
        stop = self.size if stop is None else min(stop, self.size)
        if isinstance(self._source, bytes):
            return self._source[start:stop]
        with self._source.open("rb") as file:
            file.seek(start)
            return file.read(max(0, stop - start))

    def digests(self, part_size: int) -> tuple[str, str]:
        """ETag of a multipart upload with such parts, and SHA-256."""
        sha256, md5s, position = hashlib.sha256(), [], 0
        for size in part_sizes(self.size, part_size):
            part = self.read(position, position + size)
            position += size
            md5s.append(hashlib.md5(part).digest())
            sha256.update(part)
        return multipart_etag(md5s), sha256.hexdigest()


@dataclass
class User:
    """Somebody with a token."""

    username: str
    token: str
    first_name: str = "Super"
    last_name: str = "User"

    @property
    def person_name(self) -> str:
        """The name as a contributor has it, ``Last, First``."""
        return f"{self.last_name}, {self.first_name}"


@dataclass
class Blob:
    """Stored bytes; ``sha256`` is known to the clients once ``is_digested``."""

    blob_id: str
    content: Content
    etag: str
    sha256: str
    embargoed: bool = False
    is_digested: bool = False
    modified: float = 0.0

    @property
    def key(self) -> str:
        """Key in the bucket."""
        return blob_key(self.blob_id)


def blob_key(blob_id: str) -> str:
    """Key in the bucket of the blob of this id."""
    return f"blobs/{blob_id[:3]}/{blob_id[3:6]}/{blob_id}"


@dataclass
class Upload:
    """A multipart upload under way; its id becomes the id of the blob."""

    upload_id: str
    dandiset: str
    etag: str
    size: int
    part_sizes: list[int]
    embargoed: bool
    s3_id: str = field(default_factory=lambda: secrets.token_urlsafe(30))
    parts: dict[int, bytes] = field(default_factory=dict)
    wrong_etags: dict[int, str] = field(default_factory=dict)
    content: Content | None = None
    content_etag: str = ""


@dataclass
class Zarr:
    """A zarr archive: files under one prefix of the bucket."""

    zarr_id: str
    name: str
    dandiset: str
    embargoed: bool
    files: dict[str, bytes] = field(default_factory=dict)
    status: str = PENDING
    checksum: str | None = None
    file_count: int = 0
    size: int = 0


@dataclass
class Asset:
    """A path with a blob or a zarr archive and its metadata."""

    asset_id: str
    path: str
    blob_id: str | None
    zarr_id: str | None
    metadata: dict[str, Any]
    created: str = field(default_factory=now)
    modified: str = field(default_factory=now)
    status: str = PENDING
    errors: list[dict[str, str]] = field(default_factory=list)
    publication: dict[str, Any] = field(default_factory=dict)


@dataclass
class Version:
    """The draft or a published version of a dandiset."""

    version: str
    name: str
    metadata: dict[str, Any]
    number: int
    status: str = PENDING
    created: str = field(default_factory=now)
    modified: str = field(default_factory=now)
    asset_ids: list[str] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    errors: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Dandiset:
    """A dandiset with its draft and published versions, oldest first."""

    identifier: str
    embargo_status: str
    owners: list[str]
    versions: dict[str, Version]
    created: str = field(default_factory=now)
    modified: str = field(default_factory=now)

    @property
    def draft(self) -> Version:
        """The draft."""
        return self.versions["draft"]

    @property
    def published(self) -> list[Version]:
        """Published versions, oldest first."""
        return [version for name, version in self.versions.items() if name != "draft"]

    @property
    def is_open(self) -> bool:
        """Whether everybody may read it."""
        return self.embargo_status == OPEN
