"""Names of the files of labels, as the archive wants them; the same for the same set of sources."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nwb_celltype.batch.requests import entities_of

_DESCRIPTION = "celltype"
# the last word of a DANDI name
_MODALITIES = {"behavior", "ecephys", "icephys", "image", "ogen", "ophys"}


@dataclass(frozen=True)
class Session:
    """What the name of a session's labels is made from.

    Attributes
    ----------
    source : str
        Whose labels they are.
    path : str
        Of the source, in its dandiset or folder.
    subject, session : str
        As the source states them; empty where it does not.
    """

    source: str
    path: str
    subject: str = ""
    session: str = ""


def name_files(
    sessions: Sequence[Session], kept: Mapping[str, str] | None = None, others: Sequence[Session] = ()
) -> dict[str, str]:
    """Name the labels of each session: ``sub-<S>/sub-<S>[_ses-<E>]_desc-celltype_ecephys.nwb``.

    Where several sources are one session, the rest of each source's own name goes into the description, of the
    modality only where nothing else tells them apart.

    Parameters
    ----------
    sessions : sequence of Session
    kept : mapping, optional
        Names that files have already, by source.
    others : sequence of Session, optional
        What lies beside these, and might be named another time: a name does not depend on which are named together.

    Returns
    -------
    dict of str to str
        Name by source; no two are the same, also where a file system takes capitals for small letters.

    Examples
    --------
    >>> name_files([Session("a", "m1/a.nwb", "m_1", "2024-05-01")])
    {'a': 'sub-m-1/sub-m-1_ses-2024-05-01_desc-celltype_ecephys.nwb'}
    """
    kept = kept or {}
    listed = {each.source: each for each in (*others, *sessions)}
    stems = {source: _stem_of_name(kept[source]) if source in kept else _stem(each) for source, each in listed.items()}
    same_session: dict[str, list[Session]] = {}
    for source, each in listed.items():
        same_session.setdefault(stems[source].lower(), []).append(each)
    names = {source: kept[source] for source in listed if source in kept}
    taken = {name.lower() for name in kept.values()}
    for each in sorted(listed.values(), key=lambda session: (session.path, session.source)):
        if each.source in names:
            continue
        stem = stems[each.source]
        beside = same_session[stem.lower()]
        own = _tag(each, beside) if len(beside) > 1 or not _subject(each) else ""
        name = _name(stem, own)
        number = 2
        while name.lower() in taken:
            name = _name(stem, f"{own or _rest_of(each.path)}{number}")
            number += 1
        names[each.source] = name
        taken.add(name.lower())
    return {each.source: names[each.source] for each in sessions}


def clean_label(text: str) -> str:
    """Return a text as a label of a DANDI name: letters, digits, ``+`` and ``-`` alone.

    Examples
    --------
    >>> clean_label("Mouse_1 (left)"), clean_label("Größe")
    ('Mouse-1-left', 'Grosse')
    """
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9+]+", "-", plain).strip("-")


def _subject(session: Session) -> str:
    return clean_label(session.subject) or clean_label(entities_of(session.path).get("sub", ""))


def _stem(session: Session) -> str:
    subject = _subject(session) or "unknown"
    label = clean_label(session.session) or clean_label(entities_of(session.path).get("ses", ""))
    return f"sub-{subject}/sub-{subject}" + (f"_ses-{label}" if label else "")


def _name(stem: str, own: str) -> str:
    return f"{stem}_desc-{_DESCRIPTION}{own}_ecephys.nwb"


def _stem_of_name(name: str) -> str:
    return name.partition(f"_desc-{_DESCRIPTION}")[0]


def _tag(session: Session, beside: Sequence[Session]) -> str:
    """What tells a source apart from the others of its session."""
    tag = _rest_of(session.path, with_modality=False)
    tags = [_rest_of(each.path, with_modality=False).lower() for each in beside]
    return tag if tags.count(tag.lower()) == 1 else _rest_of(session.path)


def _rest_of(path: str, *, with_modality: bool = True) -> str:
    """What a source's name says beside subject and session: letters and digits."""
    stem = re.sub(r"\.nwb$", "", path.rpartition("/")[2])
    parts = stem.split("_")
    if not with_modality and len(parts) > 1 and set(parts[-1].split("+")) <= _MODALITIES:
        if len(parts) == sum(_is_session(part) for part in parts) + 1:
            return ""
        parts = parts[:-1]
    parts = [part for part in parts if not _is_session(part)]
    words = [part.removeprefix("desc-") for part in parts] or [path.rpartition("/")[0] or stem]
    return re.sub(r"[^A-Za-z0-9]", "", "".join(words))


def _is_session(part: str) -> bool:
    return part.startswith(("sub-", "ses-"))
