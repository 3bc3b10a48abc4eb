"""Documents of the archive's API, made from the records."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from .records import OPEN, PENDING, Asset, Blob, Dandiset, Version, Zarr, blob_key
from .state import State

Document = dict[str, Any]


def info(state: State) -> Document:
    """What the archive says about itself."""
    from dandischema.consts import ALLOWED_INPUT_SCHEMAS

    allowed = [version for version in ALLOWED_INPUT_SCHEMAS if _ordinal(version) <= _ordinal(state.schema_version)]
    return {
        "instance_config": {
            "instance_name": state.instance,
            "instance_identifier": "RRID:ABC_123456",
            "instance_url": f"{state.url}/",
            "doi_prefix": state.doi_prefix,
            "licenses": ["spdx:CC-BY-4.0", "spdx:CC0-1.0"],
        },
        "schema_version": state.schema_version,
        "schema_url": f"{state.url}/api/schemas/?model=Dandiset",
        "allowed_schema_versions": sorted({*allowed, state.schema_version}, key=_ordinal),
        "version": "1.0.0",
        "services": {
            "api": {"url": f"{state.url}/api"},
            "webui": {"url": state.url},
            "jupyterhub": {"url": "https://hub.dandiarchive.org/"},
        },
        "cli-minimal-version": "0.74.0",
        "cli-requires-python": ">=3.10",
        "cli-bad-versions": [],
    }


def _ordinal(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def dandiset(state: State, record: Dandiset) -> Document:
    """A dandiset with its draft and newest published version."""
    published = record.published
    return {
        **dandiset_in_brief(record),
        "most_recent_published_version": version(state, record, published[-1]) if published else None,
        "draft_version": version(state, record, record.draft),
    }


def listed_dandiset(state: State, record: Dandiset) -> Document:
    """A dandiset as a list has it: its versions lack two fields."""
    document = dandiset(state, record)
    for key in ("most_recent_published_version", "draft_version"):
        for field in ("active_uploads", "release_notes"):
            (document[key] or {}).pop(field, None)
    return document


def dandiset_in_brief(record: Dandiset) -> Document:
    """A dandiset without its versions."""
    return {
        "identifier": record.identifier,
        "created": record.created,
        "modified": record.modified,
        "contact_person": contact_person(record.draft),
        "embargo_status": record.embargo_status,
        "star_count": 0,
        "is_starred": False,
    }


def contact_person(record: Version) -> str:
    """Name of the first contact person."""
    for contributor in record.metadata.get("contributor") or ():
        if "dcite:ContactPerson" in (contributor.get("roleName") or ()):
            return str(contributor.get("name", ""))
    return ""


def version(state: State, parent: Dandiset, record: Version) -> Document:
    """A version without its metadata."""
    assets = state.assets_of(record)
    uploads = sum(upload.dandiset == parent.identifier for upload in state.uploads.values())
    return {
        "version": record.version,
        "name": record.name,
        "asset_count": len(assets),
        "active_uploads": uploads if record.version == "draft" else 0,
        "size": sum(state.size_of(asset) for asset in assets),
        "status": record.status,
        "created": record.created,
        "modified": record.modified,
        "release_notes": "",
    }


def version_with_dandiset(state: State, parent: Dandiset, record: Version) -> Document:
    """A version as the list of versions has it."""
    return {**version(state, parent, record), "dandiset": dandiset_in_brief(parent)}


def version_info(state: State, parent: Dandiset, record: Version) -> Document:
    """A version with its metadata and the errors of the last validation."""
    errors: list[Document] = []
    if record.version == "draft":
        for asset in state.assets_of(record):
            if asset.status == PENDING:
                wait = "asset is currently being validated, please wait."
                errors.append({"field": "", "message": wait, "path": asset.path})
            errors.extend(asset.errors)
    return {
        **version_with_dandiset(state, parent, record),
        "asset_validation_errors": errors,
        "version_validation_errors": record.errors,
        "metadata": version_metadata(state, parent, record),
        "contact_person": contact_person(record),
    }


def version_metadata(state: State, parent: Dandiset, record: Version) -> Document:
    """The metadata document of a version (what a client stores as dandiset.yaml)."""
    number = record.version
    url = f"{state.url}/dandiset/{parent.identifier}/{number}"
    if number == "draft":
        manifest = f"{state.url}/api/dandisets/{parent.identifier}/versions/draft/assets/"
    else:
        manifest = f"{state.s3_url}/{state.bucket}/{manifest_key(parent, record, 'assets.yaml')}"
    computed: Document = {
        "id": f"{state.instance}:{parent.identifier}/{number}",
        "identifier": f"{state.instance}:{parent.identifier}",
        "version": number,
        "name": record.name,
        "url": url,
        "repository": state.url,
        "dateCreated": parent.created.replace("Z", "+00:00"),
        "assetsSummary": record.summary or {"schemaKey": "AssetsSummary", "numberOfBytes": 0, "numberOfFiles": 0},
        "manifestLocation": [manifest],
    }
    if number != "draft":
        computed["doi"] = f"{state.doi(parent.identifier)}/{number}"
        url = f"https://doi.org/{computed['doi']}"
    status = "dandi:OpenAccess" if parent.embargo_status == OPEN else "dandi:EmbargoedAccess"
    defaults: Document = {
        "schemaKey": "Dandiset",
        "schemaVersion": state.schema_version,
        "access": [{"schemaKey": "AccessRequirements", "status": status}],
        "@context": _context(state),
    }
    stored = {key: value for key, value in record.metadata.items() if key != "access"}
    return {**defaults, **stored, **computed, "citation": citation(record, parent.created[:4], url)}


def citation(record: Version, year: str, url: str) -> str:
    """How to cite the version; contributors are named when they are to be cited."""
    people = record.metadata.get("contributor") or ()
    names = "; ".join(person["name"] for person in people if person.get("includeInCitation"))
    start = f"{names} ({year}) {record.name}" if names else f"{record.name} ({year})."
    return f"{start} (Version {record.version}) [Data set]. DANDI Archive. {url}"


def manifest_key(parent: Dandiset, record: Version, name: str) -> str:
    """Key in the bucket of a manifest of a published version."""
    return f"dandisets/{parent.identifier}/{record.version}/{name}"


def _context(state: State) -> str:
    return f"https://raw.githubusercontent.com/dandi/schema/master/releases/{state.schema_version}/context.json"


def asset(state: State, record: Asset, *, with_metadata: bool = False) -> Document:
    """An asset as a list has it."""
    document = {
        "asset_id": record.asset_id,
        "blob": record.blob_id,
        "zarr": record.zarr_id,
        "path": record.path,
        "size": state.size_of(record),
        "created": record.created,
        "modified": record.modified,
    }
    return {**document, "metadata": asset_metadata(state, record)} if with_metadata else document


def asset_metadata(state: State, record: Asset) -> Document:
    """The metadata document of an asset."""
    digest: Document = {}
    if record.blob_id is not None:
        blob = state.blobs[record.blob_id]
        digest["dandi:dandi-etag"] = blob.etag
        if blob.is_digested:
            digest["dandi:sha2-256"] = blob.sha256
        key = blob.key
    else:
        assert record.zarr_id is not None
        digest["dandi:dandi-zarr-checksum"] = state.zarrs[record.zarr_id].checksum
        key = f"zarr/{record.zarr_id}/"
    status = "dandi:EmbargoedAccess" if state.is_embargoed(record) else "dandi:OpenAccess"
    return {
        "@context": _context(state),
        **record.metadata,
        **record.publication,
        "id": f"dandiasset:{record.asset_id}",
        "identifier": record.asset_id,
        "path": record.path,
        "access": [{"schemaKey": "AccessRequirements", "status": status}],
        "contentUrl": [
            f"{state.url}/api/assets/{record.asset_id}/download/",
            f"{state.s3_url}/{state.bucket}/{key}",
        ],
        "contentSize": state.size_of(record),
        "digest": digest,
    }


def blob(record: Blob) -> Document:
    """A blob."""
    sha256 = record.sha256 if record.is_digested else None
    return {"blob_id": record.blob_id, "etag": record.etag, "sha256": sha256, "size": record.content.size}


def zarr(record: Zarr) -> Document:
    """A zarr archive."""
    return {
        "name": record.name,
        "dandiset": record.dandiset,
        "zarr_id": record.zarr_id,
        "status": record.status,
        "checksum": record.checksum,
        "file_count": record.file_count,
        "size": record.size,
    }


def folder_entries(state: State, record: Version, folder: str) -> list[Document]:
    """What a folder of a version holds: sub-folders with their totals, and assets."""
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    entries: dict[str, Document] = {}
    for item in sorted(state.assets_of(record), key=lambda one: one.path):
        if not item.path.startswith(prefix):
            continue
        name, slash, _ = item.path[len(prefix) :].partition("/")
        path = prefix + name
        empty = {"path": path, "version": record.number, "aggregate_files": 0, "aggregate_size": 0, "asset": None}
        entry = entries.setdefault(path, empty)
        entry["aggregate_files"] += 1
        entry["aggregate_size"] += state.size_of(item)
        if not slash:
            key = blob_key(item.blob_id) if item.blob_id else f"zarr/{item.zarr_id}/"
            entry["asset"] = {"asset_id": item.asset_id, "url": f"{state.s3_url}/{state.bucket}/{quote(key)}"}
    return list(entries.values())
