"""Which dandiset a folder goes into: a named one, the one it went into before, or a new one, made once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nwb_celltype.archive.instances import Instance
from nwb_celltype.errors import CellTypeError, InputError, RefusedError, UsageError
from nwb_celltype.publishing.dandiset_folder import DandisetFolder

NEW = "new"


def identifier_of(text: str) -> str:
    """Return the six digits of a dandiset; empty for ``new``.

    Raises
    ------
    UsageError
        If it is neither.

    Examples
    --------
    >>> identifier_of("DANDI:000409"), identifier_of("new")
    ('000409', '')
    """
    if text.strip().lower() == NEW:
        return ""
    found = re.fullmatch(r"(?:[A-Za-z-]+:)?(\d{6})", text.strip())
    if found is None:
        message = f"{text!r} is no dandiset: give six digits such as 000409, or {NEW}."
        raise UsageError(message)
    return found.group(1)


def find_target(place: DandisetFolder, archive: Instance, wanted: str) -> str:
    """Return the dandiset that a folder goes into; empty for one that must be made.

    Parameters
    ----------
    place : DandisetFolder
    archive : Instance
    wanted : str
        Six digits; empty for a new one, which is the one made for this folder before, if there is one.

    Returns
    -------
    str

    Raises
    ------
    UsageError
        If the folder belongs to another dandiset.
    """
    known = str(place.note(archive.api_url).get("dandiset", ""))
    named = place.identifier()
    if wanted:
        other = known or ("" if place.is_ours(named) else named)
        if other and other != wanted:
            message = (
                f"{place.folder} belongs to dandiset {other}, as its dandiset.yaml or its last publication says, not "
                f"to {wanted}. Give --dandiset {other}, or copy the folder without .nwb-celltype and without the line "
                "`identifier` in dandiset.yaml."
            )
            raise UsageError(message)
        return wanted
    if not known and named and not place.is_ours(named):
        message = (
            f"dandiset.yaml in {place.folder} names dandiset {named}. Give --dandiset {named}, or delete the line "
            "`identifier` to make a new dandiset."
        )
        raise UsageError(message)
    return known


def open_target(client: Any, identifier: str, wanted: str) -> Any:
    """Return the draft of a dandiset on the server; `None` for one that must be made.

    Raises
    ------
    InputError
        If somebody named a dandiset that is not there.
    """
    from dandi.exceptions import NotFoundError

    if not identifier:
        return None
    try:
        return client.get_dandiset(identifier, "draft", lazy=False)
    except NotFoundError:
        if not wanted:  # the one that was made for this folder was deleted
            return None
        message = f"The archive has no dandiset {identifier} that you can see; check the number and the instance."
        raise InputError(message) from None


def make_target(place: DandisetFolder, archive: Instance, client: Any, metadata: dict[str, Any]) -> Any:
    """Make a dandiset, and leave no second one behind when a killed call is repeated.

    Its name is noted before it is asked for and its number at once after, so that the next call finds it either way.
    """
    name = str(metadata["name"])
    noted = str(place.note(archive.api_url).get("creating", ""))
    abandoned = _abandoned(client, noted) if noted else None
    place.write_note(archive.api_url, {"creating": noted if abandoned else name})
    try:
        made = abandoned or client.create_dandiset(name, metadata)
    except Exception as error:
        raise forbidden(error, "make a dandiset", archive) from None
    remember(place, archive, made.identifier)
    return client.get_dandiset(made.identifier, "draft", lazy=False)


def remember(
    place: DandisetFolder,
    archive: Instance,
    identifier: str,
    told: Mapping[str, Any] | None = None,
    stored: Mapping[str, Any] | None = None,
    drafted: Mapping[str, Any] | None = None,
) -> None:
    """Note the dandiset of a folder, and what was said of it, so that changes here and on the server are told apart.

    Parameters
    ----------
    place : DandisetFolder
    archive : Instance
    identifier : str
    told, stored, drafted : mapping, optional
        What was said, how the server has it, and what `dandiset.yaml` alone said.
    """
    told, stored, drafted = told or {}, stored or {}, drafted or {}
    kept = {key: stored[key] for key in told if key in stored}
    note = {"dandiset": identifier, "sent": dict(told), "stored": kept, "drafted": dict(drafted)}
    place.write_note(archive.api_url, note)
    place.remember_identifier(identifier)


def forbidden(error: Exception, what: str, archive: Instance) -> Exception:
    """Return a sentence on rights for a refusal by the archive, anything else as it is."""
    response = getattr(error, "response", None)
    if isinstance(error, CellTypeError) or response is None or response.status_code not in (401, 403):
        return error
    message = (
        f"The archive does not let you {what} ({response.status_code}). Only its owners can: ask one to add you, or "
        f"use --dandiset new. The token in {archive.token_variable} may also have been revoked."
    )
    return RefusedError(message)


def _abandoned(client: Any, name: str) -> Any:
    """Return the empty dandiset of this user that a call made which was killed before it could note the number."""
    for found in client.get_dandisets(mine=True, draft=True, empty=True, order="-modified"):
        draft = found.draft_version
        if draft is not None and draft.name == name and draft.asset_count == 0:
            return found
    return None
