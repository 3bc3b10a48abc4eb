"""Who may pass on what: licences of the source data, of the models, and of the dandiset."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import h5py  # type: ignore[import-untyped,unused-ignore]

ACCEPTED: Mapping[str, str] = {"CC-BY-4.0": "spdx:CC-BY-4.0", "CC0-1.0": "spdx:CC0-1.0"}
"""Licences that a DANDI archive takes, with its own words for them."""

_NON_COMMERCIAL = re.compile(
    r"\bCC[\s-]*BY[\s-]*NC\b|\bBY-NC\b|licenses/by-nc|non-?\s?commercial|\bnot for commercial\b", re.IGNORECASE
)
_NO_DERIVATIVES = re.compile(r"\bCC[\s-]*BY[\s-]*(?:NC[\s-]*)?ND\b|licenses/by(?:-nc)?-nd|no[\s-]?derivatives", re.I)
_SHARE_ALIKE = re.compile(r"\bCC[\s-]*BY[\s-]*SA\b|licenses/by-sa|share-?\s?alike", re.IGNORECASE)
_RESERVED = re.compile(r"all rights reserved", re.IGNORECASE)

_REFUSED = {
    "non-commercial": _NON_COMMERCIAL,
    "no derivatives": _NO_DERIVATIVES,
    "share-alike": _SHARE_ALIKE,
    "all rights reserved": _RESERVED,
}
"""What forbids to publish what is made from data, the strictest first, and how a text says it."""
_LICENCE_NAME = re.compile(r"\bCC[\s-]*BY\b|\bBY-N[CD]\b|licenses/by|\blicen[cs]e", re.IGNORECASE)
_CREATIVE_COMMONS = re.compile(r"\bCC[\s-]*BY(?:[\s-]+(?:NC|ND|SA))+(?:[\s-]+\d\.\d)?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n\s*\n|\r?\n(?=\s*[-*\w]+\s*:)")
_QUOTED = 280

_PLACES = (
    "general/notes",
    "general/data_collection",
    "general/experiment_description",
    "general/source_script",
    "session_description",
)
"""Where converters, ours included, say under which licence the data of a file are."""


def spdx_of(text: str) -> str | None:
    """Return the archive's word for a licence that it takes, else `None`.

    Examples
    --------
    >>> spdx_of("CC BY 4.0"), spdx_of("spdx:CC0-1.0"), spdx_of("CC-BY-NC-4.0")
    ('spdx:CC-BY-4.0', 'spdx:CC0-1.0', None)
    """
    plain = text.strip().removeprefix("spdx:").upper().replace(" ", "-").replace("_", "-").replace("CC-0", "CC0")
    urls = {
        "creativecommons.org/licenses/by/4.0": "CC-BY-4.0",
        "creativecommons.org/publicdomain/zero/1.0": "CC0-1.0",
    }
    for url, name in urls.items():
        if url in text.lower():
            return ACCEPTED[name]
    return ACCEPTED.get({"CC0": "CC0-1.0", "CC-BY": "CC-BY-4.0"}.get(plain, plain))


def is_non_commercial(text: str) -> bool:
    """Whether a licence, or a text about one, forbids commercial use.

    Examples
    --------
    >>> [is_non_commercial(t) for t in ("CC-BY-NC-SA-4.0", "CC BY 4.0", "not for commercial use", "BSD-3-Clause")]
    [True, False, True, False]
    """
    return _NON_COMMERCIAL.search(text) is not None


def why_refused(text: str) -> str:
    """Return what in the licence of a source forbids to publish what was made of it; empty when nothing does.

    Examples
    --------
    >>> why_refused("CC BY-NC-SA 4.0")
    'non-commercial'
    >>> why_refused("spdx:CC-BY-4.0")
    ''
    """
    return next((why for why, pattern in _REFUSED.items() if pattern.search(text)), "")


def licence_sentence(text: str) -> str:
    """Return the sentence of a text that says what forbids to publish; the text itself where nothing does.

    Where several sentences do, the first that names a licence is taken. A long one is cut around those words.

    Examples
    --------
    >>> licence_sentence("The session clock is that of probe A. These data are non-commercial: CC BY-NC 4.0. Thanks!")
    'These data are non-commercial: CC BY-NC 4.0.'
    """
    pattern = _REFUSED.get(why_refused(text))
    if pattern is None:
        return text
    sentences = [" ".join(part.split()) for part in _SENTENCE_END.split(text)]
    fitting = [sentence for sentence in sentences if pattern.search(sentence)]
    if not fitting:  # its words are in two lines
        fitting = [" ".join(text.split())]
    sentence = next((one for one in fitting if _LICENCE_NAME.search(one)), fitting[0])
    if len(sentence) <= _QUOTED:
        return sentence
    found = pattern.search(sentence)
    if found is None:
        return text
    middle = (found.start() + found.end()) // 2
    start = max(0, min(middle - _QUOTED // 2, len(sentence) - _QUOTED))
    part = sentence[start : start + _QUOTED]
    return f"{'...' * (start > 0)}{part}{'...' * (start + _QUOTED < len(sentence))}"


def inherited_licence(stated: str, sources: Iterable[str]) -> str:
    """Return the licence of a model: the one stated, or else the strictest word about the data it was taught with.

    Parameters
    ----------
    stated : str
        ``unspecified`` or empty where nobody stated any.
    sources : iterable of str
        What the data say about their licences.

    Examples
    --------
    >>> inherited_licence("unspecified", ["", "From the C4 database, licence CC BY-NC-SA 4.0: not for sale."])
    'CC-BY-NC-SA-4.0'
    >>> inherited_licence("unspecified", ["spdx:CC-BY-4.0"]), inherited_licence("MIT", ["CC BY-NC 4.0"])
    ('unspecified', 'MIT')
    """
    if stated and stated != "unspecified":
        return stated
    strict = {why: text for text in sources if (why := why_refused(text))}
    text = next((strict[why] for why in _REFUSED if why in strict), "")
    if not text:
        return stated or "unspecified"
    name = _CREATIVE_COMMONS.search(text)
    return re.sub(r"[\s-]+", "-", name.group().upper()) if name else licence_sentence(text)


def source_sentence(licence: str, why: str, where: str) -> str:
    """Say why files made from such a source are not published; no option changes it."""
    return (
        f"its source is under a licence that the archive cannot pass on ({why}; {where} says: {licence!r}). The "
        "archive takes CC-BY-4.0 and CC0-1.0 only, so the file cannot be published there, and no option changes that; "
        "take it out of the folder, and keep or share it under its own licence elsewhere."
    )


def model_sentence(model: str, licence: str) -> str:
    """Say what publishing labels of a non-commercial model needs."""
    return (
        f"labels were made by the model {model}, which is licensed {licence}: not for commercial use. The dandiset's "
        "own licence allows it, so its users must be told. Publish with --accept-model-licence to have that written "
        "into the metadata of the dandiset and its assets, or take these labels out."
    )


def model_notice(model: str, licence: str) -> str:
    """Return the sentence that goes into the metadata about labels of a model that is not free for every use."""
    return f"Labels by the model {model} were made with weights licensed {licence}, which do not allow commercial use."


def licence_texts(opened: h5py.File) -> Iterator[tuple[str, str]]:
    """Yield where an NWB file speaks of a licence that forbids to publish what was made from it, and the sentence.

    Parameters
    ----------
    opened : h5py.File

    Yields
    ------
    where, text : str
    """
    places = set(_PLACES)
    for name in ("/", "general", "scratch"):
        group = opened.get(name)
        if not isinstance(group, h5py.Group):
            continue
        places |= {f"{name.rstrip('/')}/{key}".lstrip("/") for key in group if _names_a_licence(key)}
        for key, value in group.attrs.items():
            if _names_a_licence(key) and why_refused(_decoded(value)):
                yield f"attribute {key} of /{name.strip('/')}", licence_sentence(_decoded(value))
    for place in sorted(places):
        for text in texts_at(opened, place):
            if why_refused(text):
                yield f"/{place}", licence_sentence(text)


def texts_at(opened: h5py.File, place: str) -> tuple[str, ...]:
    """Return the texts of a dataset; none where there is no such dataset, or no texts in it."""
    item = opened.get(place)
    if not isinstance(item, h5py.Dataset):
        return ()
    value = item[()]
    values = value.ravel().tolist() if hasattr(value, "ravel") else [value]
    return tuple(_decoded(v) for v in values if isinstance(v, (bytes, str)))


def _names_a_licence(key: str) -> bool:
    return "licence" in key.lower() or "license" in key.lower()


def _decoded(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
