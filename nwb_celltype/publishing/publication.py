"""`publish`: from a folder of labelled files to a dandiset, and to a version of it only when asked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nwb_celltype.archive.instances import Instance, archive_errors, find_instance, open_client, require_token, token_of
from nwb_celltype.errors import (
    CellTypeError,
    InputError,
    NetworkError,
    NothingToDoError,
    RefusedError,
    UsageError,
)
from nwb_celltype.licences import source_sentence, why_refused
from nwb_celltype.publishing.dandiset_folder import DandisetFolder
from nwb_celltype.publishing.dandiset_metadata import (
    COMPUTED,
    TEMPLATE,
    find_problems,
    licence_remarks,
    merged,
    restricted_sources,
    with_options,
    with_provenance,
)
from nwb_celltype.publishing.destination import (
    find_target,
    forbidden,
    identifier_of,
    make_target,
    open_target,
    remember,
)
from nwb_celltype.publishing.local_files import LocalFile
from nwb_celltype.publishing.preflight import check_folder
from nwb_celltype.publishing.records import Problem, Progress, Published
from nwb_celltype.publishing.sources import dandiset_page, find_sources
from nwb_celltype.publishing.uploading import plan, remote_files, send_files
from nwb_celltype.publishing.waiting import wait_until_valid


@dataclass(frozen=True)
class _Request:
    """What was asked for, as `publish` was called."""

    place: DandisetFolder
    dandiset: str
    publish_version: bool
    accept_model_licence: bool
    max_wait_s: float
    jobs: int
    options: Mapping[str, str | None]
    progress: Progress


@dataclass
class _Prepared:
    """A folder that was checked: its files, the metadata to send, and what is wrong or worth knowing."""

    files: tuple[LocalFile, ...]
    told: dict[str, Any]
    drafted: dict[str, Any]
    metadata: dict[str, Any]
    problems: list[Problem]
    remarks: list[str]


def publish(
    folder: str | Path,
    *,
    dandiset: str,
    instance: str | None = None,
    publish_version: bool = False,
    dry_run: bool = False,
    accept_model_licence: bool = False,
    max_wait_s: float = 300.0,
    jobs: int = 4,
    name: str | None = None,
    description: str | None = None,
    licence: str | None = None,
    contact: str | None = None,
    progress: Progress | None = None,
) -> Published:
    """Send a folder of NWB files to a DANDI archive, with where their labels come from.

    Everything is checked first and every problem told at once. What is there already is not sent again, so a call that
    was killed is simply made again.

    Parameters
    ----------
    folder : str or Path
        Holds ``sub-<label>/...nwb`` and `dandiset.yaml`, the place for name, description, license and contributor.
    dandiset : str
        Six digits, or ``new``: made once for a folder, and found again by the next call.
    instance : str, optional
        Name or URL of the archive; by default ``$DANDI_INSTANCE``, else ``dandi``.
    publish_version : bool
        Make a version with a DOI of the draft. It can neither be changed nor deleted.
    dry_run : bool
        Check everything, compare with the archive if it can be reached, and send nothing.
    accept_model_licence : bool
        Publish labels of a model that forbids commercial use, with that said in the metadata.
    max_wait_s : float
        Longest wait, in seconds, for the archive's own validation; 0: do not wait.
    jobs : int
        Files sent at a time.
    name, description, licence, contact : str, optional
        Put over what `dandiset.yaml` says; `contact` as ``Last, First <address@example.org>``.
    progress : callable, optional
        Called with a task, the steps done and the number of steps.

    Returns
    -------
    Published
        A dry run comes back with its problems.

    Raises
    ------
    UsageError
        If there is no token, or the folder belongs to another dandiset.
    InputError
        If something is wrong with the files or the metadata, by our checks or the archive's; all of it is listed.
    RefusedError
        If a licence forbids it, the archive refuses the token, or somebody else publishes the same.
    NetworkError
        If the archive cannot be reached, or is not done in time.
    NothingToDoError
        If a version is asked for and nothing changed since the last.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> plan = nct.publish("labels", dandiset="new", instance="dandi-sandbox", dry_run=True)  # doctest: +SKIP
    >>> plan.count("new"), plan.problems  # doctest: +SKIP
    (12, ())
    """
    if jobs < 1 or max_wait_s < 0:
        message = f"jobs is 1 or more and max_wait_s 0 or more, not {jobs} and {max_wait_s}."
        raise UsageError(message)
    if publish_version and max_wait_s == 0:
        message = "A version is only made of what the archive found valid: give max_wait_s (--max-wait) more than 0."
        raise UsageError(message)
    request = _Request(
        DandisetFolder(Path(folder).expanduser()),
        identifier_of(dandiset),
        publish_version,
        accept_model_licence,
        max_wait_s,
        jobs,
        {"name": name, "description": description, "licence": licence, "contact": contact},
        progress or (lambda *_: None),
    )
    if dry_run:
        return _rehearse(request, instance)
    archive = find_instance(instance)
    token = require_token(archive)
    with request.place.only_publisher(), open_client(archive, token=token) as client:
        client.check_schema_version()
        return _publish(request, archive, client)


def _publish(request: _Request, archive: Instance, client: Any) -> Published:
    from dandischema.consts import DANDI_SCHEMA_VERSION

    place = request.place
    identifier = find_target(place, archive, request.dandiset)
    remote = open_target(client, identifier, request.dandiset)
    before = remote.get_raw_metadata() if remote else {}
    prepared = _prepare(request, archive, before)
    prepared.remarks[:0] = _found_again(request, identifier, remote)
    if remote is not None:
        prepared.problems += [*plan(prepared.files, remote_files(remote))[1], *_embargo_problems(remote, request)]
    if prepared.problems:
        raise _refusal(prepared.problems)
    if remote is None:
        prepared.metadata |= {"schemaKey": "Dandiset", "schemaVersion": DANDI_SCHEMA_VERSION}
        remote = make_target(place, archive, client, prepared.metadata)
        before = remote.get_raw_metadata()
        prepared.metadata = {**before, **prepared.metadata}
    place.remember_identifier(remote.identifier)
    if _comparable(before) != _comparable(prepared.metadata):
        _set_metadata(remote, prepared.metadata, archive)
        before = remote.get_raw_metadata()
    remember(place, archive, remote.identifier, prepared.told, before, prepared.drafted)
    files = send_files(prepared.files, remote, archive, jobs=request.jobs, progress=request.progress)
    status = ""
    if request.max_wait_s > 0:
        what = f"waiting for dandiset {remote.identifier}, whose files are all up"
        with archive_errors(what, token_variable=archive.token_variable):
            status = wait_until_valid(remote, max_wait_s=request.max_wait_s, progress=request.progress)
    version = _make_version(remote, archive, status, request) if request.publish_version else "draft"
    return Published(
        remote.identifier,
        archive.name,
        dandiset_page(archive, remote.identifier, "" if version == "draft" else version),
        version,
        status,
        tuple(files),
        (),
        tuple(prepared.remarks),
    )


def _rehearse(request: _Request, instance: str | None) -> Published:
    """Do everything but send."""
    remarks: list[str] = []
    problems: list[Problem] = []
    archive: Instance | None = None
    identifier, before, assets, remote = "", {}, {}, None
    try:
        archive = find_instance(instance)
        token = token_of(archive)
        if token is None:
            remarks.append(_without_token(archive))
        identifier = find_target(request.place, archive, request.dandiset)
        with open_client(archive, token=token) as client:
            remote = open_target(client, identifier, request.dandiset)
            remarks += _found_again(request, identifier, remote)
            if remote is not None:
                before, assets = remote.get_raw_metadata(), remote_files(remote)
                problems += _embargo_problems(remote, request)
    except NetworkError as error:
        remarks.append(f"Not compared with the archive: {error}")
    except (RefusedError, InputError) as error:
        problems.append(Problem("dandiset", str(error)))
    prepared = _prepare(request, archive, before)
    if request.dandiset and remote is None:  # what the archive says of that dandiset is not known: nothing is missing
        prepared.problems = [p for p in prepared.problems if (p.where, p.kind) != ("dandiset", "metadata")]
    planned, conflicts = plan(prepared.files, assets)
    there = remote.identifier if remote is not None else request.dandiset
    return Published(
        there,
        archive.name if archive else instance or os.environ.get("DANDI_INSTANCE") or "dandi",
        dandiset_page(archive, there) if archive and there else "",
        "draft",
        "",
        tuple(planned),
        (*problems, *prepared.problems, *conflicts),
        (*remarks, *prepared.remarks),
        is_dry_run=True,
    )


def _prepare(request: _Request, archive: Instance | None, before: Mapping[str, Any]) -> _Prepared:
    """Check the files and put the dandiset's metadata together."""
    checked = check_folder(
        request.place.folder, accept_model_licence=request.accept_model_licence, progress=request.progress
    )
    problems, remarks = list(checked.problems), list(checked.remarks)
    sources, unasked = find_sources(file.source for file in checked.files if file.source)
    remarks += unasked
    stated = {text for source in sources for text in source.licences}
    stated |= {file.source.licence for file in checked.files if file.source}
    for source, text in restricted_sources(sources):
        sentence = source_sentence(text, why_refused(text), f"dandiset {source.address}")
        problems.append(Problem(source.address, sentence, "licence"))
    draft = request.place.draft()
    told = with_options(draft, **request.options)
    drafted = with_options(draft, name=None, description=None, licence=None, contact=None)
    forced = {key for key, field in _FIELDS.items() if request.options[field] is not None}
    note = request.place.note(archive.api_url) if archive else {}
    last = {key: note.get(key, {}) for key in ("sent", "stored", "drafted")}
    metadata, kept = merged(told, before, **last, forced=forced)
    said = told | {  # a field that neither dandiset.yaml nor an option changed is still as it was said last
        key: last["sent"][key]
        for key in _FIELDS.keys() & told.keys() & last["sent"].keys() - forced
        if drafted[key] == last["drafted"].get(key)
    }
    metadata = with_provenance(metadata, checked.files, sources)
    remarks += licence_remarks(metadata, stated)
    if missing := find_problems(metadata):
        problems += missing
        if not draft:
            text = f"dandiset.yaml is empty or not there; write it like this:\n{TEMPLATE}"
            problems.append(Problem("dandiset", text, "metadata"))
    return _Prepared(checked.files, said, drafted, metadata, problems, remarks + kept)


_FIELDS = {"name": "name", "description": "description", "license": "licence", "contributor": "contact"}
"""Fields of the archive's schema, and the option of each."""


def _without_token(archive: Instance) -> str:
    """What a real call would say of the missing token, as a remark."""
    try:
        require_token(archive)
    except UsageError as error:
        return f"{error} Only publishing itself needs it, not a dry run."
    return ""


def _found_again(request: _Request, identifier: str, remote: Any) -> list[str]:
    """What to know of a dandiset that was not named, but found again."""
    if request.dandiset or not identifier:
        return []
    if remote is None:
        return [f"Dandiset {identifier}, into which this folder was published before, is gone; a new one is made."]
    return [f"This folder was published into dandiset {identifier} before, so it goes on there."]


def _embargo_problems(remote: Any, request: _Request) -> list[Problem]:
    status = str(getattr(remote.embargo_status, "value", remote.embargo_status))
    if not request.publish_version or status == "OPEN":
        return []
    text = f"is under embargo ({status}), and no version can be made of it; end the embargo first."
    return [Problem("dandiset", text, "metadata")]


def _set_metadata(remote: Any, metadata: dict[str, Any], archive: Instance) -> None:
    try:
        remote.set_raw_metadata(metadata)
    except Exception as error:
        raise forbidden(error, f"change dandiset {remote.identifier}", archive) from None


def _make_version(remote: Any, archive: Instance, status: str, request: _Request) -> str:
    """Publish the draft as a version; it cannot be undone, so nothing is tried twice here."""
    import requests

    def newest() -> str:
        found = remote.client.get_dandiset(remote.identifier, lazy=False).most_recent_published_version
        return str(found.identifier) if found is not None else ""

    nothing = f"Nothing changed in dandiset {remote.identifier} since its last version; no new one was made."
    if status == "Published":
        raise NothingToDoError(nothing)
    request.progress("make a version", 0, 1)
    before = newest()
    try:
        published = remote.publish(max_time=max(request.max_wait_s, 1.0))
    except requests.HTTPError as error:
        said = error.response.text if error.response is not None else ""
        # The answer to the first request may have been lost, and the client asked again for what was done already.
        if (now := newest()) != before:
            return now
        if "no changes" in said:
            raise NothingToDoError(nothing) from None
        if error.response is not None and error.response.status_code == 400:
            message = (
                f"All files are up, but the archive makes no version of dandiset {remote.identifier}: {said.strip()}"
            )
            raise InputError(message) from None
        raise forbidden(error, f"publish dandiset {remote.identifier}", archive) from None
    except ValueError as error:
        message = (
            f"The archive is making a version of dandiset {remote.identifier} and is not done after "
            f"{request.max_wait_s:g} s. All files are up and nothing is lost; look later at "
            f"{dandiset_page(archive, remote.identifier)}, and do not ask for another version before."
        )
        raise NetworkError(message) from error
    request.progress("make a version", 1, 1)
    return str(published.version_id)


def _comparable(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What of a dandiset's metadata is said by people and by us."""
    left_out = COMPUTED | {"schemaVersion", "schemaKey"}
    return {key: value for key, value in metadata.items() if key not in left_out and value not in (None, "", [])}


def _refusal(problems: Sequence[Problem]) -> CellTypeError:
    """Return the error that lists every problem; a licence makes it a refusal."""
    listed = "\n".join(f"  {problem}" for problem in problems)
    n = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    message = f"{n}; nothing was sent:\n{listed}"
    kind = RefusedError if any(problem.kind == "licence" for problem in problems) else InputError
    return kind(message)
