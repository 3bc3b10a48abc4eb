"""Names of the files of labels, as the archive wants them; the same for the same set of sources."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nwb_celltype.batch.requests import entities_of

_DESCRIPTION = "celltype"


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


def name_files(sessions: Sequence[Session], kept: Mapping[str, str] | None = None) -> dict[str, str]:
    """Name the labels of each session: ``sub-<S>/sub-<S>[_ses-<E>]_desc-celltype_ecephys.nwb``.

    Where several sources are one session, the rest of each source's own name goes into the description.

    Parameters
    ----------
    sessions : sequence of Session
    kept : mapping, optional
        Names that files have already, by source.

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
    stems = {each.source: _stem(each) for each in sessions}
    shared = Counter(stem.lower() for stem in stems.values())
    names = {each.source: kept[each.source] for each in sessions if each.source in kept}
    taken = {name.lower() for name in kept.values()}
    for each in sorted(sessions, key=lambda session: (session.path, session.source)):
        if each.source in names:
            continue
        stem = stems[each.source]
        own = _rest_of(each.path) if shared[stem.lower()] > 1 or not _subject(each) else ""
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


def _rest_of(path: str) -> str:
    """What a source's name says beside subject and session: letters and digits."""
    stem = re.sub(r"\.nwb$", "", path.rpartition("/")[2])
    parts = [part for part in stem.split("_") if not re.match(r"(sub|ses)-", part)]
    words = [part.removeprefix("desc-") for part in parts] or [path.rpartition("/")[0] or stem]
    return re.sub(r"[^A-Za-z0-9]", "", "".join(words))
