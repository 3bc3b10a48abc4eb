"""The NWBFile block: when and what the session was."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from nwb_celltype.converters.metadata.fields import NWBFILE_FIELDS, SUBJECT_FIELDS, Field
from nwb_celltype.converters.metadata.values import Block, as_moment, as_text, is_blank
from nwb_celltype.converters.records import SourceSession

_WITH_ZONE = "date, time and time zone (an offset such as +01:00, Z for UTC, or a place such as Europe/Paris)"
_RECOMMENDED = ("experimenter", "experiment_description", "institution", "keywords")
# What separates the parts of the archive's file names and paths, or does not survive a file system.
_NOT_IN_IDS = re.compile(r"[/\\*<>:|\"'?%@;,\s\x00-\x1f\x7f]")
_PLACE = re.compile(r"(.*\S)\s+([A-Za-z_]+(?:/[A-Za-z_+\-]+){1,2})")
_PERSON = re.compile(r"[\w\s\-.']+,\s+[\w\s\-.']+")
_DOI = re.compile(r"10\.\d{4,9}/\S+")


def check_session(block: Block, source: SourceSession | None, *, complete: bool = True) -> dict[str, Any]:
    """Check the NWBFile block.

    Parameters
    ----------
    block : Block
    source : SourceSession or None
        What the recording says, to compare the start time with.
    complete : bool
        Whether required keys must be there.

    Returns
    -------
    dict
        Arguments of `pynwb.NWBFile`, with ``session_start_time`` as a datetime with a zone where it could be read.
    """
    _check_keys(block)
    values: dict[str, Any] = {}
    start = "session_start_time"
    if block.require(start, _WITH_ZONE, f"{start}: {_example(start)}", needed=complete):
        moment = as_moment(block.values[start])
        if not complete and isinstance(moment, datetime) and moment.utcoffset() is None:
            # The file exists, and whoever began it gave it a start; NeuroConv's own interfaces state it without a zone.
            block.problems.note(f"{block.path_of(start)}: {moment.isoformat()} has no time zone and is not used.")
            values[start] = None
        else:
            values[start] = start_time(block, source)
    for key in ("session_description", "session_id"):
        block.require(key, NWBFILE_FIELDS[key].description, f"{key}: {_example(key)}", needed=complete)
    for key, field in NWBFILE_FIELDS.items():
        if key in block and key not in values:
            values[key] = _value(block, key, field)
    values["session_id"] = check_id(block, "session_id", values.get("session_id", ""))
    _check_script(block)
    if complete:
        _note_style(block, values)
    return {key: value for key, value in values.items() if value}


def start_time(block: Block, source: SourceSession | None) -> datetime | None:
    """Read the start of the session; what is wrong with it is written down."""
    key = "session_start_time"
    moment = moment_with_zone(block, key)
    if moment is None:
        return None
    if moment.year < 1970:
        block.wrong(key, "a date after 1970", f"{key}: {_example(key)}")
        return None
    if moment.year > 9000 or moment > datetime.now(UTC):
        block.wrong(key, "a moment in the past", f"{key}: {_example(key)}")
        return None
    if source is not None and source.started is not None:
        _compare(block, moment, source.started)
    return moment


def moment_with_zone(block: Block, key: str) -> datetime | None:
    """Read a moment that must have a zone; what is wrong with it is written down."""
    value = block.values[key]
    text = as_text(value) if isinstance(value, str) else None
    place = _PLACE.fullmatch(text) if text else None
    moment = as_moment(place[1] if place else value)
    example = f"{key}: {_example(key)}"
    if moment is None:
        block.wrong(key, _WITH_ZONE, example)
        return None
    if not isinstance(moment, datetime):
        block.wrong(key, _WITH_ZONE, f'{key}: "{moment.isoformat()}T14:03:00+01:00"', f"the date {moment} has no time")
        return None
    if place and moment.tzinfo is None:
        return _at_place(block, key, moment, place[2])
    if moment.utcoffset() is None:
        found = f"{moment.isoformat()} has no time zone"
        block.wrong(key, _WITH_ZONE, f'{key}: "{moment.isoformat()}+01:00"', found)
        return None
    return moment


def check_id(block: Block, key: str, text: str) -> str:
    """Check an id of a session or an animal, which becomes a part of file names in the archive."""
    if not text:
        return ""
    if bad := _NOT_IN_IDS.search(text):
        cleaned = re.sub(r"-+", "-", _NOT_IN_IDS.sub("-", text)).strip("-") or "A1"
        wanted = f"no {bad[0]!r}: it becomes a part of file names; letters, digits and - are safe"
        block.wrong(key, wanted, f"{key}: {cleaned}")
        return ""
    if re.search(r"[_.]", text):
        cleaned = re.sub(r"[_.]", "-", text)
        block.problems.note(f"{block.path_of(key)}: in its file names DANDI writes {text!r} as {cleaned!r}.")
    return text


def _example(key: str) -> str:
    return NWBFILE_FIELDS[key].example


def _check_keys(block: Block) -> None:
    for key in block:
        if key in NWBFILE_FIELDS:
            continue
        if key in SUBJECT_FIELDS:
            block.problems.add(block.path_of(key), "unknown key here; it belongs under Subject")
        else:
            block.problems.unknown(block.path_of(key), key, NWBFILE_FIELDS)


def _value(block: Block, key: str, field: Field) -> Any:
    example = f"{key}: {field.example}"
    if field.kind == "texts":
        return _texts(block, key, field)
    if field.kind == "moment":
        return moment_with_zone(block, key)
    if field.kind == "pairs":
        return _pairs(block, key, field)
    return block.text(key, f"text: {field.description}", example)


def _texts(block: Block, key: str, field: Field) -> tuple[str, ...]:
    texts = block.texts(key, f"a list of texts: {field.description}", f"{key}: {field.example}")
    if key == "keywords" and isinstance(block.get(key), str):
        return tuple(word.strip() for word in re.split(r"[,;]", texts[0]) if word.strip()) if texts else ()
    if key == "related_publications":
        return tuple(f"https://doi.org/{text}" if _DOI.fullmatch(text) else text for text in texts)
    return texts


def _pairs(block: Block, key: str, field: Field) -> tuple[tuple[str, str], ...]:
    value = block.get(key)
    pairs = []
    for entry in value if isinstance(value, list | tuple) else [value]:
        texts = [as_text(part) for part in entry] if isinstance(entry, list | tuple) else []
        if len(texts) != 2 or any(is_blank(text) for text in texts):
            block.wrong(key, f"a list of pairs: {field.description}", f"{key}: {field.example}")
            return ()
        pairs.append((str(texts[0]), str(texts[1])))
    return tuple(pairs)


def _at_place(block: Block, key: str, moment: datetime, place: str) -> datetime | None:
    """Give a local time the offset of its place, where that place's clocks showed that time exactly once."""
    try:
        zone = ZoneInfo(place)
    except (OSError, ValueError, KeyError):
        block.wrong(key, _WITH_ZONE, f'{key}: "{moment.isoformat()}+01:00"', f"no time zone {place!r} is known here")
        return None
    if not 1900 < moment.year < 9000:
        return moment.replace(tzinfo=UTC)
    offsets = {moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
    if len(offsets) != 1:
        found = f"{moment.isoformat()} falls into a change of clocks in {place}"
        block.wrong(key, "the offset itself", f'{key}: "{moment.isoformat()}+01:00"', found)
        return None
    return datetime.fromisoformat(moment.replace(tzinfo=zone).isoformat())


def _compare(block: Block, stated: datetime, source: datetime) -> None:
    """Note a start that is more than a day from what the recording says."""
    away = (
        stated - source if source.utcoffset() is not None else stated.replace(tzinfo=None) - source.replace(tzinfo=None)
    )
    if abs(away) > timedelta(days=1):
        block.problems.note(
            f"{block.path_of('session_start_time')}: {stated.isoformat()} is {abs(away).days} days away from what the "
            f"recording says, {source.isoformat()}."
        )


def _check_script(block: Block) -> None:
    both = ("source_script", "source_script_file_name")
    for key, other in (both, both[::-1]):
        if key in block and other not in block:
            example = f"{other}: {_example(other)}"
            block.problems.add(block.path_of(other), "missing", f"both or none of {key} and {other}", example)


def _note_style(block: Block, values: dict[str, Any]) -> None:
    note = block.problems.note
    absent = [key for key in _RECOMMENDED if not values.get(key)]
    if absent:
        note(f"NWBFile: DANDI's inspector also likes to see {', '.join(absent)}; none of them is required.")
    for person in values.get("experimenter", ()):
        if not _PERSON.fullmatch(person):
            note(f"NWBFile.experimenter: DANDI wants 'Last name, First name'; found {person!r}.")
    for paper in values.get("related_publications", ()):
        if not paper.startswith(("doi:", "http://dx.doi.org/", "https://doi.org/")):
            note(f"NWBFile.related_publications: DANDI wants https://doi.org/...; found {paper!r}.")
