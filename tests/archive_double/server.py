"""The archive double itself: its two servers (API and bucket), and ways to fill and read it without HTTP."""

from __future__ import annotations

import contextlib
import mimetypes
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from . import documents
from .api import Api
from .faults import Faults
from .handler import LogEntry, Server
from .messages import Reply, Request, empty_reply
from .records import DEFAULT_PART_SIZE, Asset, Content, Dandiset, User
from .state import JOB_KINDS, JobKind, State
from .storage import Storage

DEFAULT_METADATA: dict[str, Any] = {
    "description": "Recordings for tests.",
    "license": ["spdx:CC-BY-4.0"],
    "contributor": [
        {
            "schemaKey": "Person",
            "name": "Doe, Jane",
            "email": "jane@example.org",
            "roleName": ["dcite:ContactPerson", "dcite:Author"],
            "includeInCitation": True,
        }
    ],
}


class DandiDouble:
    """A DANDI archive in memory, with the API and the bucket of the real one, on loopback.

    Parameters
    ----------
    token : str
        Token of the first user (`user`), who owns what is seeded.
    validation_delay : float
        Seconds until SHA-256 and validation of an upload are done; infinity: only on `settle`.
    publish_delay : float
        Seconds that publication and unembargo take; infinity: only on `settle`.
    schema_version : str or None
        Schema version the archive claims; None: the installed one.
    instance : str
        Name of the archive.
    part_size : int
        Bytes of a part of an upload. The dandi client needs the default, 64 MiB, which is in its ETag.
    port, s3_port : int
        Ports; 0: any free one.

    Examples
    --------
    In a script, with ``tests`` in the path::

        from archive_double import DandiDouble

        with DandiDouble() as archive:
            identifier = archive.add_dandiset(name="Mice", files={"sub-a/sub-a.nwb": Path("a.nwb")})
            subprocess.run(["dandi", "ls", f"{archive.url}/dandiset/{identifier}/draft"], env=os.environ | archive.env)
    """

    def __init__(
        self,
        token: str = "token-of-the-double",
        *,
        validation_delay: float = 0.0,
        publish_delay: float = 0.0,
        schema_version: str | None = None,
        instance: str = "DANDI-DOUBLE",
        part_size: int = DEFAULT_PART_SIZE,
        port: int = 0,
        s3_port: int = 0,
    ) -> None:
        from dandischema.consts import DANDI_SCHEMA_VERSION

        self.state = State(
            schema_version=schema_version or DANDI_SCHEMA_VERSION,
            instance=instance,
            validation_delay=validation_delay,
            publish_delay=publish_delay,
            part_size=part_size,
        )
        self.state.describe_version = documents.version_metadata
        self.state.describe_asset = documents.asset_metadata
        self.user = self.add_user("admin@example.org", token)
        self.log: list[LogEntry] = []
        self._storage = Storage(self.state)
        self._api = Api(self.state, self._storage)
        self._ports = (port, s3_port)
        self._servers: list[Server] = []

    # ---- running

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Open both ports."""
        self._servers = [Server(self, "api", self._ports[0]), Server(self, "s3", self._ports[1])]
        self.state.url, self.state.s3_url = self._servers[0].url, f"{self._servers[1].url}/s3"
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Close both ports and every connection."""
        for server in self._servers:
            server.close()
        self._servers = []

    # ---- addresses

    @property
    def url(self) -> str:
        """Address of the web side, which a client takes as the instance."""
        return self.state.url

    @property
    def api_url(self) -> str:
        """Address of the API."""
        return f"{self.state.url}/api"

    @property
    def s3_endpoint(self) -> str:
        """Endpoint of the bucket (for ``AWS_ENDPOINT_URL_S3``)."""
        return self.state.s3_url

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self.state.bucket

    @property
    def token(self) -> str:
        """Token of the first user."""
        return self.user.token

    @property
    def token_variable(self) -> str:
        """Environment variable in which the dandi client looks for the token of this instance."""
        return f"{urlsplit(self.url).netloc.upper().replace('-', '_')}_API_KEY"

    @property
    def env(self) -> dict[str, str]:
        """Variables for a process that is to use this archive."""
        return {"DANDI_INSTANCE": self.url, self.token_variable: self.token, "DANDI_NO_ET": "1"}

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""
        return self.state.faults

    # ---- what it holds

    def add_user(self, username: str, token: str, *, first_name: str = "Super", last_name: str = "User") -> User:
        """Let somebody else in."""
        user = self.state.users[username] = User(username, token, first_name, last_name)
        return user

    def add_dandiset(
        self,
        *,
        name: str,
        metadata: Mapping[str, Any] | None = None,
        files: Mapping[str, Path] | None = None,
        asset_metadata: Mapping[str, Mapping[str, Any]] | None = None,
        published: bool | str = False,
        embargo: bool = False,
        owner: User | None = None,
        identifier: str | None = None,
    ) -> str:
        """Seed a dandiset.

        Parameters
        ----------
        name : str
            Its name.
        metadata : mapping, optional
            Metadata that add to, or replace, `DEFAULT_METADATA` (which can be published); None leaves a field out.
        files : mapping of str to Path, optional
            Path of an asset to the file with its bytes.
        asset_metadata : mapping of str to mapping, optional
            Path of an asset to its metadata; where there is none, dandi extracts it from the file.
        published : bool or str
            Publish it at once; a text is the version number, such as ``"0.260101.1200"``.
        embargo : bool
            Put it under embargo.
        owner : User, optional
            Owner; the first user unless given.
        identifier : str, optional
            Six digits; the next free number unless given.

        Returns
        -------
        str
            The identifier.

        Raises
        ------
        ValueError
            When it is to be published and is not valid.
        """
        with self.state.lock:
            document = {**DEFAULT_METADATA, **(metadata or {})}
            document = {key: value for key, value in document.items() if value is not None}
            dandiset = self.state.create_dandiset(
                name, document, owner or self.user, embargo=embargo, identifier=identifier
            )
            for path, file in (files or {}).items():
                self.add_asset(dandiset.identifier, path, file, metadata=(asset_metadata or {}).get(path))
            if published:
                self.publish(dandiset.identifier, published if isinstance(published, str) else None)
            return dandiset.identifier

    def add_asset(
        self, identifier: str, path: str, file: Path | bytes, *, metadata: Mapping[str, Any] | None = None
    ) -> str:
        """Put a file in the draft without HTTP and give the id of the asset; one of the same path is replaced."""
        if metadata is None:
            metadata = extract_metadata(file, path)
        with self.state.lock:
            dandiset = self.state.dandisets[identifier]
            blob = self.state.store(Content(file), embargoed=not dandiset.is_open, reuse=True)
            old = next((one for one in self.state.assets_of(dandiset.draft) if one.path == path), None)
            asset = self.state.add_asset(dandiset, path, dict(metadata), blob_id=blob.blob_id, replaces=old)
            return asset.asset_id

    def replace_bytes(self, identifier: str, path: str, file: Path | bytes) -> None:
        """Give an asset of the draft other bytes (a new blob) while its id stays."""
        with self.state.lock:
            dandiset = self.state.dandisets[identifier]
            asset = self.asset(identifier, path)
            asset.blob_id = self.state.store(Content(file), embargoed=not dandiset.is_open, reuse=True).blob_id

    def overwrite_blob(self, blob_id: str, data: bytes) -> None:
        """Put other bytes under the key of a blob, so that its URLs give another ETag."""
        with self.state.lock:
            old = self.state.blobs[blob_id]
            new = self.state.store(Content(data), embargoed=old.embargoed, blob_id=blob_id)
            new.is_digested = old.is_digested

    def publish(self, identifier: str, version: str | None = None) -> str:
        """Validate and publish a draft at once, without HTTP; gives the version."""
        with self.state.lock:
            dandiset = self.state.dandisets[identifier]
            self.settle(("digest", "asset", "version"))
            if not self.state.is_publishable(dandiset):
                errors = documents.version_info(self.state, dandiset, dandiset.draft)
                found = [*errors["asset_validation_errors"], *errors["version_validation_errors"]]
                message = f"dandiset {identifier} cannot be published: {found}"
                raise ValueError(message)
            return self.state.publish(dandiset, version).version

    def settle(self, kinds: tuple[JobKind, ...] = JOB_KINDS) -> None:
        """Finish what is under way (digests, validation, publication, unembargo), due or not."""
        with self.state.lock:
            self.state.settle(kinds, force=True)

    def dandiset(self, identifier: str) -> Dandiset:
        """The record of a dandiset."""
        return self.state.dandisets[identifier]

    def asset(self, identifier: str, path: str, version: str = "draft") -> Asset:
        """The record of an asset; KeyError if there is none."""
        for asset in self.state.assets_of(self.state.dandisets[identifier].versions[version]):
            if asset.path == path:
                return asset
        raise KeyError(path)

    def blob(self, path: str, identifier: str | None = None, version: str = "draft") -> bytes:
        """Bytes of the asset of this path (in any dandiset, unless named)."""
        for name in [identifier] if identifier is not None else list(self.state.dandisets):
            with contextlib.suppress(KeyError):
                asset = self.asset(name, path, version)
                return self.state.blobs[asset.blob_id or ""].content.read()
        raise KeyError(path)

    def blob_url(self, path: str, identifier: str | None = None, version: str = "draft") -> str:
        """Unsigned S3 address of the asset of this path."""
        for name in [identifier] if identifier is not None else list(self.state.dandisets):
            with contextlib.suppress(KeyError):
                asset = self.asset(name, path, version)
                return f"{self.s3_endpoint}/{self.bucket}/{self.state.blobs[asset.blob_id or ''].key}"
        raise KeyError(path)

    def requests(self, side: str | None = None, method: str | None = None, contains: str = "") -> list[LogEntry]:
        """Entries of the log that fit."""
        return [
            entry
            for entry in list(self.log)
            if side in (None, entry.side) and method in (None, entry.method) and contains in entry.path
        ]

    # ---- requests

    def answer(self, side: str, request: Request) -> Reply:
        """Answer one request that no fault hit."""
        if side == "s3":
            return self._storage.handle(request)
        if request.path.startswith("/api/"):
            return self._api.handle(request)
        return empty_reply(404)


def extract_metadata(file: Path | bytes, path: str) -> dict[str, Any]:
    """Metadata of an asset as the dandi client extracts it on upload; minimal for what is no NWB file."""
    if isinstance(file, Path) and file.suffix == ".nwb":
        from dandi.metadata.nwb import nwb2asset  # type: ignore[import-untyped, unused-ignore]

        metadata: dict[str, Any] = nwb2asset(file).model_dump(mode="json", exclude_none=True)
        metadata["schemaKey"] = "Asset"
        return metadata
    kind = mimetypes.guess_type(path)[0] or ("application/x-nwb" if path.endswith(".nwb") else None)
    from dandischema.consts import DANDI_SCHEMA_VERSION

    encoding = kind or "application/octet-stream"
    return {"schemaKey": "Asset", "schemaVersion": DANDI_SCHEMA_VERSION, "encodingFormat": encoding}
