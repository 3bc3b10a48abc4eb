"""What the archive is told about the dandiset: the user's words, with sources, authors, models and papers added."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nwb_celltype.annotation import SOFTWARE_URL
from nwb_celltype.archive.keywords import DANDISET_KEYWORDS
from nwb_celltype.licences import ACCEPTED, model_notice, spdx_of, why_refused
from nwb_celltype.provenance import SourceAsset
from nwb_celltype.publishing.asset_metadata import (
    DERIVED,
    cited_resource,
    references_of,
    restricted_models,
    unique_resources,
)
from nwb_celltype.publishing.local_files import LocalFile
from nwb_celltype.publishing.records import Problem

MAX_NAME = 150
MAX_DESCRIPTION = 10_000
CONTACT = "dcite:ContactPerson"
TEMPLATE = """name: Cell types of the units of ...
description: ...
license: [spdx:CC-BY-4.0]
contributor:
  - schemaKey: Person
    name: Last, First
    email: you@example.org
    roleName: [dcite:ContactPerson, dcite:Author]
    includeInCitation: true"""
"""What `dandiset.yaml` must hold at least."""

_ACKNOWLEDGED = "Cell-type annotation (nwb-celltype):"
_PERSON = re.compile(r"^([\w\s\-\.']+),\s+([\w\s\-\.']+)$")
_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
# Set by the server; never the user's to say.
COMPUTED = frozenset(
    {
        *(
            "id",
            "identifier",
            "version",
            "citation",
            "assetsSummary",
            "manifestLocation",
            "access",
            "dateCreated",
            "url",
        ),
        *("doi", "datePublished", "publishedBy", "repository", "dateModified", "@context", "releaseNotes"),
    }
)
_OURS = frozenset({"keywords", "relatedResource", "acknowledgement"})


@dataclass(frozen=True)
class SourceDandiset:
    """A dandiset that annotated units came from, as its archive describes it.

    Attributes
    ----------
    address : str
        ``DANDI:000409@0.26``.
    identifier : str
        As its archive names it, without a version: ``DANDI:000409``.
    url : str
        Page of the version.
    name, citation : str
    authors : tuple of str
        Those that its citation names.
    licences : tuple of str
    is_described : bool
        Whether its archive could be asked, so that `identifier` is the archive's own word.
    """

    address: str
    identifier: str
    url: str
    name: str = ""
    citation: str = ""
    authors: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    is_described: bool = True


def with_options(
    draft: Mapping[str, Any], *, name: str | None, description: str | None, licence: str | None, contact: str | None
) -> dict[str, Any]:
    """Return the metadata of `dandiset.yaml` with what the call says put over it.

    Parameters
    ----------
    draft : mapping
    name, description, licence : str, optional
    contact : str, optional
        ``Last, First <address@example.org>``: becomes the contact, the others stay contributors.
    """
    told = {key: value for key, value in draft.items() if key not in COMPUTED}
    if name is not None:
        told["name"] = name
    if description is not None:
        told["description"] = description
    if licence is not None:
        told["license"] = [licence]
    if contact is not None:
        who, _, address = contact.partition("<")
        person = {
            "schemaKey": "Person",
            "name": who.strip(),
            "email": address.rstrip(">").strip(),
            "roleName": [CONTACT, "dcite:Author"],
            "includeInCitation": True,
        }
        others = [c for c in _people(told) if c.get("name") != person["name"]]
        told["contributor"] = [person, *others]
    if "license" in told:
        stated = told["license"] if isinstance(told["license"], list) else [told["license"]]
        told["license"] = [spdx_of(str(text)) or str(text) for text in stated]
    return told


def merged(
    told: Mapping[str, Any],
    remote: Mapping[str, Any],
    *,
    sent: Mapping[str, Any],
    stored: Mapping[str, Any],
    drafted: Mapping[str, Any],
    forced: Iterable[str] = (),
) -> tuple[dict[str, Any], list[str]]:
    """Put the user's words and the server's together.

    What is on the server stays, unless the call itself says otherwise, or `dandiset.yaml` says something else than last
    time and the server does not. So what an option of an earlier call set is not undone by a call without it.

    Parameters
    ----------
    told : mapping
        From `with_options`.
    remote : mapping
        Metadata on the server; empty for a new dandiset.
    sent, stored : mapping
        What was said last time, and how the server then had it.
    drafted : mapping
        What `dandiset.yaml` alone said then.
    forced : iterable of str
        Fields that the call itself gives.

    Returns
    -------
    metadata : dict
    remarks : list of str
    """
    result = dict(remote)
    forced = set(forced)
    remarks = []
    for key, value in told.items():
        present = remote.get(key)
        if key in _OURS and isinstance(value, list) and isinstance(present, list):
            result[key] = present + [item for item in value if item not in present]
        elif key == "contributor" and key in forced and isinstance(present, list):
            named = {person.get("name") for person in value}
            result[key] = [*value, *(person for person in present if person.get("name") not in named)]
        elif present in (None, "", [], {}) or key in forced:
            result[key] = value
        elif present == stored.get(key):
            is_new_here = value != drafted.get(key)
            if is_new_here:
                result[key] = value
            elif sent.get(key, value) != value:
                remarks.append(
                    f"The archive has the {key!r} that an earlier call gave with {_OPTIONS[key]}, not the one of "
                    f"dandiset.yaml; it was kept. Write it into dandiset.yaml, or give {_OPTIONS[key]} again."
                )
        elif present != value and sent.get(key) != value:
            remarks.append(
                f"The archive has another {key!r} than dandiset.yaml; the archive's was kept. Change it there"
                + (f", or give {_OPTIONS[key]}." if key in _OPTIONS else ".")
            )
    return result, remarks


_OPTIONS = {"name": "--name", "description": "--description", "license": "--licence", "contributor": "--contact"}


def with_provenance(
    metadata: Mapping[str, Any], files: Sequence[LocalFile], sources: Sequence[SourceDandiset]
) -> dict[str, Any]:
    """Add keywords, sources with their authors, models, software and papers to a dandiset's metadata."""
    result = dict(metadata)
    result["keywords"] = list(dict.fromkeys([*(metadata.get("keywords") or []), *DANDISET_KEYWORDS]))
    named = {source.url: source.identifier for source in sources if source.url and source.is_described}
    stated = [_named_by_archive(resource, named) for resource in metadata.get("relatedResource") or []]
    result["relatedResource"] = unique_resources([*stated, *_resources(files, sources)])
    kept = [part for part in str(metadata.get("acknowledgement") or "").split("\n\n") if part.strip()]
    for part in _acknowledgements(files, sources):
        # Known already, or known better: from a time when the archive of the source could be asked.
        if not any(other.startswith(part.removesuffix(".")) for other in kept):
            kept.append(part)
    if kept:
        result["acknowledgement"] = "\n\n".join(kept)
    return result


def find_problems(metadata: Mapping[str, Any]) -> list[Problem]:
    """List what a dandiset's metadata lack before a version can be published of it."""
    problems = []

    def add(text: str) -> None:
        problems.append(Problem("dandiset", text, "metadata"))

    name, description = metadata.get("name"), metadata.get("description")
    if not isinstance(name, str) or not name.strip():
        add("has no `name`; write one into dandiset.yaml, or give --name.")
    elif len(name) > MAX_NAME:
        add(f"has a `name` of {len(name)} characters; the archive takes {MAX_NAME}. Shorten it.")
    if not isinstance(description, str) or not description.strip():
        add("has no `description`; write one into dandiset.yaml, or give --description.")
    elif len(description) > MAX_DESCRIPTION:
        add(f"has a `description` of {len(description)} characters; the archive takes {MAX_DESCRIPTION}. Shorten it.")
    problems += _licence_problems(metadata)
    problems += _contributor_problems(metadata)
    return problems or _schema_problems(metadata)


def licence_remarks(metadata: Mapping[str, Any], stated: Iterable[str]) -> list[str]:
    """Say where a dandiset gives away more than the licences of its sources do."""
    by, zero = ACCEPTED["CC-BY-4.0"], ACCEPTED["CC0-1.0"]
    if metadata.get("license") != [zero] or by not in {spdx_of(text) for text in stated}:
        return []
    return [
        "The sources are under CC-BY-4.0, which wants their authors named, and this dandiset says CC0-1.0; use theirs."
    ]


def _licence_problems(metadata: Mapping[str, Any]) -> list[Problem]:
    stated = metadata.get("license") or []
    stated = stated if isinstance(stated, list) else [stated]
    takes = " or ".join(sorted(ACCEPTED))
    if not stated:
        return [Problem("dandiset", f"has no `license`; the archive takes {takes}. Give --licence.", "metadata")]
    problems = []
    for text in stated:
        if spdx_of(str(text)) is None:
            sentence = f"`license` says {text!r}; the archive takes {takes} only. Choose one of them if you may."
            problems.append(Problem("dandiset", sentence, "licence" if why_refused(str(text)) else "metadata"))
    return problems


def _contributor_problems(metadata: Mapping[str, Any]) -> list[Problem]:
    people = _people(metadata)
    problems = []
    if not any(CONTACT in (person.get("roleName") or []) for person in people):
        text = f"has no contributor whose `roleName` holds {CONTACT}; give --contact 'Last, First <mail@example.org>'."
        problems.append(Problem("dandiset", text, "metadata"))
    for person in people:
        name = str(person.get("name") or "")
        if person.get("schemaKey", "Person") == "Person" and not _PERSON.match(name):
            text = f"contributor {name!r} must be written 'Last, First'; an institute needs schemaKey: Organization."
            problems.append(Problem("dandiset", text, "metadata"))
        email = str(person.get("email") or "")
        if CONTACT in (person.get("roleName") or []) and not _EMAIL.match(email):
            text = f"the contact {name!r} has no e-mail address; add `email` to that contributor."
            problems.append(Problem("dandiset", text, "metadata"))
    return problems


def _schema_problems(metadata: Mapping[str, Any]) -> list[Problem]:
    """What the archive's own schema says, once the fields that everybody forgets are there."""
    from dandischema.models import Dandiset
    from pydantic import ValidationError

    # What the server will set, in its form; the rest is what is sent.
    computed = {
        "id": "DANDI:000000/draft",
        "identifier": "DANDI:000000",
        "version": "draft",
        "citation": "none",
        "manifestLocation": ["https://example.org/"],
        "assetsSummary": {"schemaKey": "AssetsSummary", "numberOfBytes": 1, "numberOfFiles": 1},
    }
    own = {key: value for key, value in metadata.items() if key not in COMPUTED}
    try:
        Dandiset.model_validate({**own, **computed})
    except ValidationError as error:
        return [
            Problem("dandiset", f"`{'.'.join(map(str, e['loc']))}`: {e['msg']}.", "metadata") for e in error.errors()
        ]
    return []


def _people(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    stated = metadata.get("contributor") or []
    return [dict(person) for person in stated if isinstance(person, Mapping)] if isinstance(stated, list) else []


def _resources(files: Sequence[LocalFile], sources: Sequence[SourceDandiset]) -> list[dict[str, Any]]:
    found: list[dict[str, Any] | None] = [
        {
            "schemaKey": "Resource",
            "identifier": source.identifier,
            **({"url": source.url} if source.url else {}),
            "name": source.name or source.address,
            "relation": DERIVED,
            "resourceType": "dcite:Dataset",
        }
        for source in sources
    ]
    runs = [run for file in files for run in file.runs]
    for run in runs:
        fields = run.method.fields
        if sha256 := str(fields.get("weights_sha256", "")):
            name = f"{run.method.who}, a model"
            licence = str(fields.get("model_licence", ""))
            found.append(
                {
                    "schemaKey": "Resource",
                    "identifier": f"sha256:{sha256}",
                    "name": f"{name}, licensed {licence}" if licence else name,
                    "relation": "dcite:IsCompiledBy",
                    "resourceType": "dcite:Model",
                }
            )
        if fields.get("software") == "nwb-celltype":
            version = str(fields.get("software_version", ""))
            found.append(
                {
                    "schemaKey": "Resource",
                    "url": SOFTWARE_URL,
                    "name": f"nwb-celltype {version}".strip(),
                    "relation": "dcite:IsCompiledBy",
                    "resourceType": "dcite:Software",
                }
            )
        found += [cited_resource(text, "dcite:Cites") for text in references_of(run)]
    for file in files:
        texts = [*file.papers, *(_words_of(file.source) if file.source else ())]
        found += [cited_resource(text, "dcite:IsDescribedBy") for text in texts]
    return [resource for resource in found if resource is not None]


def _named_by_archive(resource: Mapping[str, Any], named: Mapping[str, str]) -> dict[str, Any]:
    """A related resource; a source, known by its page, under the identifier that its own archive gives it."""
    identifier = named.get(str(resource.get("url"))) if resource.get("relation") == DERIVED else None
    return {**resource, "identifier": identifier} if identifier else dict(resource)


def _words_of(source: SourceAsset) -> list[str]:
    return [text for text in (source.citation, source.doi) if text]


def _acknowledgements(files: Sequence[LocalFile], sources: Sequence[SourceDandiset]) -> list[str]:
    """Paragraphs on whose units these are and what to cite."""
    parts = []
    for source in sources:
        by = f" by {'; '.join(source.authors)}" if source.authors else ""
        cite = f" Cite: {source.citation}" if source.citation else ""
        name = f" ({source.name})" if source.name else ""
        parts.append(f"The units are those of {source.address}{name}{by}.{cite}")
    runs = [run for file in files for run in file.runs]
    parts += [model_notice(model, licence) for model, licence in sorted(restricted_models(runs))]
    if trained := sorted({str(run.method.fields.get("training_data", "")) for run in runs} - {""}):
        parts.append(f"Models were trained on: {'; '.join(trained)}.")
    if cited := list(dict.fromkeys(text for run in runs for text in references_of(run))):
        parts.append(f"For the methods cite: {'; '.join(cited)}.")
    return [f"{_ACKNOWLEDGED} {part}" for part in parts]


def restricted_sources(sources: Iterable[SourceDandiset]) -> list[tuple[SourceDandiset, str]]:
    """Return sources, with the licence that forbids it, of which nothing may be published in this archive."""
    return [(source, text) for source in sources for text in source.licences if why_refused(text)]
