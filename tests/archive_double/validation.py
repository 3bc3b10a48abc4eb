"""Validation of metadata as the archive does it: JSON schema first, then the pydantic models, as for a publication."""

from __future__ import annotations

import copy
import uuid
from typing import Any

PUBLISHER = {"schemaKey": "Software", "name": "DEV-DANDI API", "version": "0.1.0", "identifier": "RRID:ABC_123456"}


def publish_activity(time: str) -> dict[str, Any]:
    """Metadata that a publication adds to a version and to each asset of it."""
    time = time.replace("Z", "+00:00")  # as the archive writes times inside metadata
    return {
        "datePublished": time,
        "publishedBy": {
            "schemaKey": "PublishActivity",
            "id": f"urn:uuid:{uuid.uuid4()}",
            "name": "DANDI publish",
            "startDate": time,
            "endDate": time,
            "wasAssociatedWith": [{"id": f"urn:uuid:{uuid.uuid4()}", **PUBLISHER}],
        },
    }


def asset_errors(metadata: dict[str, Any], path: str, time: str) -> list[dict[str, str]]:
    """What keeps an asset from being published."""
    found = _errors({**metadata, **publish_activity(time)}, "PublishedAsset")
    return [{**error, "path": path} for error in found]


def version_errors(metadata: dict[str, Any], doi: str, time: str) -> list[dict[str, str]]:
    """What keeps a version from being published."""
    published = copy.deepcopy(metadata) | publish_activity(time)
    number = "0.260101.0000"
    # the schema allows no draft here; the numbers are replaced at publication
    published |= {"version": number, "doi": f"{doi}/{number}"}
    published["id"] = str(metadata["id"]).replace("/draft", f"/{number}")
    published["url"] = str(metadata["url"]).replace("/draft", f"/{number}")
    return _errors(published, "PublishedDandiset")


def _errors(metadata: dict[str, Any], schema_key: str) -> list[dict[str, str]]:
    from dandischema.consts import DANDI_SCHEMA_VERSION
    from dandischema.exceptions import JsonschemaValidationError, PydanticValidationError
    from dandischema.metadata import validate

    try:
        # always the schema of the installed models, which needs no download
        validate(metadata, schema_version=DANDI_SCHEMA_VERSION, schema_key=schema_key, json_validation=True)
    except JsonschemaValidationError as failure:
        return [
            {"field": ".".join(str(step) for step in error.absolute_path), "message": error.message}
            for error in failure.errors
        ]
    except PydanticValidationError as failure:
        return [
            {"field": ".".join(str(step) for step in error["loc"]), "message": error["msg"]} for error in failure.errors
        ]
    return []


def summarise(metadata: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Summary of the assets of a version (species, approaches, sizes, ...); None when it cannot be made.

    The archive then keeps the summary it had. It cannot be made, for instance, when the subjects that paths name and
    those that the metadata name are more than there are files.
    """
    from dandischema.metadata import aggregate_assets_summary

    try:
        summary: dict[str, Any] = aggregate_assets_summary(metadata)
    except (AssertionError, ValueError, KeyError):
        return None
    return summary
