"""A first draft of the metadata of the dandiset that a batch makes: ``dandiset.yaml``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from nwb_celltype.archive.addresses import DandiAddress
from nwb_celltype.archive.keywords import DANDISET_KEYWORDS
from nwb_celltype.batch.requests import Request
from nwb_celltype.batch.sources import Origin
from nwb_celltype.errors import CellTypeError, InputError

NAME = "dandiset.yaml"
"""File of the draft in the output folder."""

_ACCEPTED = {"CC-BY-4.0": "spdx:CC-BY-4.0", "CC0-1.0": "spdx:CC0-1.0"}
_HEAD = """# A draft: correct it, and add who made it before you publish, for example
#
# contributor:
#   - schemaKey: Person
#     name: Last, First
#     email: you@example.org
#     roleName: [dcite:ContactPerson, dcite:Author]
#     includeInCitation: true
"""


def write_draft(folder: Path, origins: Sequence[Origin], request: Request) -> Path:
    """Write the draft, unless there is one: it may have been corrected by hand.

    Parameters
    ----------
    folder : Path
    origins : sequence of Origin
        Where the annotated data are from.
    request : Request

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If it cannot be written.
    """
    path = folder / NAME
    if path.exists():
        return path
    text = _HEAD + yaml.safe_dump(_metadata(origins, request), sort_keys=False, allow_unicode=True, width=110)
    partial = path.with_name(f".{NAME}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        message = f"{path} cannot be written ({error.strerror or error}). Make room, or choose another --out."
        raise InputError(message) from error
    return path


def _metadata(origins: Sequence[Origin], request: Request) -> dict[str, Any]:
    titles = [origin.title or origin.text for origin in origins]
    metadata: dict[str, Any] = {
        "name": f"Cell types of the units of {' and '.join(titles[:2])}{' and others' if len(titles) > 2 else ''}"[
            :150
        ],
        "description": " ".join(
            [f"Cell types of sorted units by the model {request.model_name} of nwb-celltype, without the units."]
            + [_credit(origin) for origin in origins]
        ),
    }
    licences = [_ACCEPTED[origin.licence] for origin in origins if origin.licence in _ACCEPTED]
    if licences and len(licences) == len(origins):  # what is derived from several takes the stricter
        metadata["license"] = [_ACCEPTED["CC-BY-4.0"] if _ACCEPTED["CC-BY-4.0"] in licences else licences[0]]
    metadata["keywords"] = list(DANDISET_KEYWORDS)
    related = [_resource(origin) for origin in origins if origin.dandiset or origin.url]
    if related:
        metadata["relatedResource"] = related
    return metadata


def _credit(origin: Origin) -> str:
    authors = f" by {'; '.join(origin.authors)}" if origin.authors else ""
    title = f" ({origin.title}{authors})" if origin.title else authors
    cited = f" Cite: {origin.citation}" if origin.citation else ""
    return f"The units are those of {origin.text}{title}.{cited}"


def _identifier(origin: Origin) -> str:
    """What an archive calls its dandiset; one known by its address alone is asked, and empty if it is silent."""
    if not origin.dandiset:
        return ""
    from dandi.consts import known_instances

    from nwb_celltype.archive.dandisets import find_dandiset

    if (origin.instance or "dandi") in known_instances:
        return f"{(origin.instance or 'dandi').upper()}:{origin.dandiset}"
    try:
        found = find_dandiset(DandiAddress(origin.dandiset, origin.version, "", origin.instance))
    except CellTypeError:
        return ""
    return str(found.metadata.get("identifier") or "")


def _resource(origin: Origin) -> dict[str, Any]:
    resource = {
        "schemaKey": "Resource",
        "identifier": _identifier(origin),
        "name": origin.title or origin.text,
        "url": origin.url,
        "relation": "dcite:IsDerivedFrom",
        "resourceType": "dcite:Dataset",
    }
    return {key: value for key, value in resource.items() if value}
