"""What the archive is told about one file beside what its own client extracts: labels, how they were made, and of what.

Counts are in the description and in keywords, not in ``variableMeasured``: the archive collects the values of that
field over all assets and takes texts only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from nwb_celltype.annotation import SOFTWARE_URL
from nwb_celltype.archive.addresses import without_secrets
from nwb_celltype.archive.instances import find_instance
from nwb_celltype.archive.keywords import DETACHED, LABELS, class_keyword, count_keyword, source_keyword
from nwb_celltype.licences import is_non_commercial, model_notice
from nwb_celltype.provenance import SourceAsset
from nwb_celltype.publishing.local_files import LocalFile
from nwb_celltype.runs import Run, published_run
from nwb_celltype.taxonomy import UNCLASSIFIED

ACTIVITY = "cell-type annotation"
"""Name of the activity that made the labels of one run."""
DERIVED = "dcite:IsDerivedFrom"

_OUR_KEYWORDS = ("cell type: ", "label source: ", "units labelled: ")
_OUR_TEXT = "Cell-type labels"
# Set by the server, or different at every extraction of the same file.
_NOT_COMPARED = frozenset(
    {
        *(
            "id",
            "identifier",
            "contentUrl",
            "contentSize",
            "digest",
            "access",
            "@context",
            "schemaKey",
            "schemaVersion",
        ),
        *("dateModified", "blobDateModified", "datePublished", "publishedBy", "repository", "url", "path"),
    }
)
_EXTRACTION = "Metadata generation"
_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"<>,;]*[^\s\"<>,;.)\]]", re.IGNORECASE)


def asset_metadata(local: LocalFile) -> dict[str, Any]:
    """Return the metadata of a file: what dandi extracted, with its labels, their making and their source.

    Parameters
    ----------
    local : LocalFile
        Read and extracted.

    Returns
    -------
    dict
        As the archive's schema has it.
    """
    metadata = dict(local.metadata)
    runs = local.runs
    metadata["keywords"] = _merged(metadata.get("keywords", []), keywords_of(local))
    related = [*metadata.get("relatedResource", []), *(source_resource(local.source) if local.source else [])]
    if related:
        metadata["relatedResource"] = related
    if runs:
        metadata["description"] = " ".join(part for part in (metadata.get("description", ""), describe(local)) if part)
        metadata["wasGeneratedBy"] = [*metadata.get("wasGeneratedBy", []), *(activity_of(run) for run in runs)]
    return metadata


def keywords_of(local: LocalFile) -> list[str]:
    """Return the keywords by which the labels of a file are found; counts are those of the run that is the label."""
    if not local.runs:
        return []
    named = sorted({label for run in local.runs for label in run.cell_type.tolist()} - {UNCLASSIFIED})
    sources = sorted({run.method.source_type for run in local.runs})
    words = [LABELS, *([DETACHED] if local.source else []), *map(class_keyword, named), *map(source_keyword, sources)]
    label = published_run(local.runs)
    return words + ([count_keyword(name, n) for name, n in sorted(counts_of(label).items())] if label else [])


def counts_of(run: Run) -> dict[str, int]:
    """Return the number of units of each class in a run, those without an answer left out."""
    return {name: n for name, n in Counter(run.cell_type.tolist()).items() if name != UNCLASSIFIED}


def describe(local: LocalFile) -> str:
    """Return sentences on the labels of a file: of which source, by which runs, how many of each class."""
    of = ""
    if local.source is not None:
        of = f" for the units of {name_of(local.source)}, detached from their spikes"
    parts = [f"{_OUR_TEXT}{of}."]
    for run in local.runs:
        counts = sorted(counts_of(run).items(), key=lambda item: (-item[1], item[0]))
        n_without = len(run) - sum(n for _, n in counts)
        by_class = ", ".join(
            [*(f"{name} {n}" for name, n in counts), *([f"unclassified {n_without}"] * bool(n_without))]
        )
        parts.append(f"Run {run.name} ({run.method.source_type} by {run.method.who}): {len(run)} units: {by_class}.")
    parts += [model_notice(model, licence) for model, licence in sorted(restricted_models(local.runs))]
    return " ".join(parts)


def restricted_models(runs: Iterable[Run]) -> set[tuple[str, str]]:
    """Return models, with their licences, whose labels are in these runs and which forbid commercial use."""
    found = set()
    for run in runs:
        licence = str(run.method.fields.get("model_licence", ""))
        if is_non_commercial(licence):
            found.add((run.method.who, licence))
    return found


def activity_of(run: Run) -> dict[str, Any]:
    """Return how the labels of a run came about: when, by which software and model, or by whom."""
    fields = run.method.fields
    agents: list[dict[str, Any]] = []
    if software := str(fields.get("software", "")):
        url = str(fields.get("software_url", "")) or (SOFTWARE_URL if software == "nwb-celltype" else "")
        agents.append(_software(software, str(fields.get("software_version", "")), url))
    if model := str(fields.get("model_name", "")):
        agents.append(_software(model, str(fields.get("model_version", "")), ""))
    if person := str(fields.get("person", "")):
        agents.append({"schemaKey": "Agent", "name": person})
    facts = [f"Run {run.name}, labels from {run.method.source_type}."]
    for key, text in (
        ("model_licence", "Licence of the model: {}."),
        ("weights_sha256", "SHA-256 of its weights: {}."),
        ("feature_spec_version", "Feature specification: {}."),
        ("training_data", "Trained on: {}."),
        ("confidence_definition", "Confidence: {}."),
    ):
        if value := str(fields.get(key, "")):
            facts.append(text.format(value))
    if cited := references_of(run):
        facts.append(f"Cite: {'; '.join(cited)}.")
    activity: dict[str, Any] = {"schemaKey": "Activity", "name": ACTIVITY, "description": " ".join(facts)}
    if run.input_sha256:
        activity["identifier"] = f"{run.name}/{run.input_sha256}"
    if run.created:
        activity["endDate"] = run.created
    if agents:
        activity["wasAssociatedWith"] = agents
    return activity


def references_of(run: Run) -> list[str]:
    """Return what a run asks to be cited."""
    stated = run.method.fields.get("references", ())
    return [str(text) for text in ([stated] if isinstance(stated, str) else stated) if str(text).strip()]


def source_resource(source: SourceAsset) -> list[dict[str, Any]]:
    """Return the file that the labels of a detached file belong to, as a related resource; none if only local."""
    url = without_secrets(source.url) if source.url else ""
    if source.asset_id and not url:
        url = f"{_api_of(source.instance)}/assets/{source.asset_id}/download/"
    identifier = source.asset_id or (f"sha256:{source.sha256}" if source.sha256 else "")
    if not (url.startswith(("http://", "https://")) or identifier):
        return []
    resource = {
        "schemaKey": "Resource",
        "identifier": identifier,
        "url": url if url.startswith(("http://", "https://")) else "",
        "name": name_of(source),
        "repository": source.instance if source.dandiset else "",
        "relation": DERIVED,
        "resourceType": "dcite:Dataset",
    }
    return [{key: value for key, value in resource.items() if value}]


def name_of(source: SourceAsset) -> str:
    """Return what to call a source in public: its address without signatures, else its path or identifier."""
    return without_secrets(source.address) or source.path or source.identifier


def _api_of(instance: str) -> str:
    """Address of an archive's API, without asking anybody: named ones are known, and others are named by address."""
    if "://" in instance:
        return instance.rstrip("/") if instance.rstrip("/").endswith("/api") else f"{instance.rstrip('/')}/api"
    return find_instance(instance or "dandi").api_url


def cited_resource(text: str, relation: str) -> dict[str, Any] | None:
    """Return a reference as a related resource; `None` without a DOI or URL to name it by.

    Examples
    --------
    >>> cited_resource("Beau et al., Cell 2025, doi:10.1016/j.cell.2025.01.041", "dcite:Cites")["identifier"]
    'doi:10.1016/j.cell.2025.01.041'
    """
    if doi := _DOI.search(text):
        identifier, url = f"doi:{doi.group()}", f"https://doi.org/{doi.group()}"
    elif address := re.search(r"https?://[^\s\"<>]+[^\s\"<>.,;)]", text):
        identifier, url = "", address.group()
    else:
        return None
    resource = {
        "schemaKey": "Resource",
        "identifier": identifier,
        "url": url,
        "name": text.strip(),
        "relation": relation,
    }
    return {key: value for key, value in resource.items() if value}


def with_own_keys(ours: Mapping[str, Any], remote: Mapping[str, Any]) -> dict[str, Any]:
    """Return our metadata of an asset with what somebody else put on the server beside it."""
    merged = {key: value for key, value in remote.items() if key not in _NOT_COMPARED} | dict(ours)
    foreign = [word for word in remote.get("keywords") or [] if not _is_our_keyword(word)]
    merged["keywords"] = _merged(foreign, ours.get("keywords", []))
    others = [resource for resource in remote.get("relatedResource") or [] if resource.get("relation") != DERIVED]
    if related := unique_resources([*others, *(ours.get("relatedResource") or [])]):
        merged["relatedResource"] = related
    described = str(remote.get("description") or "")
    if described and not ours.get("description"):
        merged["description"] = described
    elif (foreign_text := described.split(_OUR_TEXT)[0].strip()) and foreign_text not in str(ours.get("description")):
        merged["description"] = f"{foreign_text} {ours['description']}"
    return merged


def same_metadata(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two records of an asset say the same, apart from dates and what the server sets."""
    return _comparable(one) == _comparable(other)


def unique_resources(resources: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return related resources without those that name the same thing in the same relation again."""
    found: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    for resource in resources:
        relation = str(resource.get("relation"))
        names = {(str(resource[key]).lower(), relation) for key in ("identifier", "url") if resource.get(key)}
        if not names & seen:
            found.append(dict(resource))
            seen |= names
    return found


def _software(name: str, version: str, url: str) -> dict[str, Any]:
    if not version:  # the schema wants a version of a piece of software
        return {"schemaKey": "Agent", "name": name, **({"url": url} if url else {})}
    return {"schemaKey": "Software", "name": name, "version": version, **({"url": url} if url else {})}


def _is_our_keyword(word: str) -> bool:
    return word in (LABELS, DETACHED) or word.startswith(_OUR_KEYWORDS)


def _merged(first: Iterable[str], second: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))


def _comparable(metadata: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in metadata.items() if key not in _NOT_COMPARED and value not in (None, [], "")}
    made = [a for a in kept.get("wasGeneratedBy", []) if a.get("name") != _EXTRACTION]
    kept["wasGeneratedBy"] = [{k: v for k, v in a.items() if k != "id"} for a in made]
    return kept
