"""What a session's files say of session and subject, by the keys of the metadata; its epochs; when it began."""

from __future__ import annotations

import re
from datetime import datetime

import numpy as np

from nwb_celltype.converters.cellexplorer.source import Source
from nwb_celltype.converters.cellexplorer.values import Struct, number_of, struct_at, structs_of, text_of, texts_of
from nwb_celltype.converters.records import Marks

_SEX = {"male": "M", "m": "M", "female": "F", "f": "F", "unknown": "U", "u": "U", "other": "O", "o": "O"}
_NOTHING = frozenset({"", "unknown", "nan", "none", "[]"})


def read_facts(source: Source, notes: list[str]) -> dict[str, str]:
    """Facts by metadata key; what the files do not say is absent.

    Parameters
    ----------
    source : Source
    notes : list of str
        Receives names that cannot be told apart.

    Returns
    -------
    dict of str to str
    """
    general = struct_at(source.session, "general")
    kept = struct_at(source.general, "processinginfo", "params", "session")
    animals: list[Struct] = [struct_at(source.session, "animal"), struct_at(source.general, "animal")]
    animals.append(struct_at(kept, "animal"))
    generals: list[Struct] = [general, struct_at(kept, "general")]
    people = (
        _first(generals, "experimenters")
        or _first([*generals, struct_at(source.general, "session")], "investigator")
        or _of_units(source, "session_investigator")
    )
    if re.search(r"[A-Za-z]{2}", people) and not _last_name_first(people):
        notes.append(f"the files name {people!r}; write each person under NWBFile.experimenter, last name first")
    found = {
        "NWBFile.session_id": source.files.basename or text_of(source.general.get("basename")),
        "NWBFile.experimenter": _last_name_first(people),
        "NWBFile.notes": _first(generals, "notes"),
        "Subject.subject_id": _first(animals, "name")
        or _of_units(source, "animal")
        or text_of(source.info.get("animal")),
        "Subject.species": _first(animals, "species") or _of_units(source, "animal_species"),
        "Subject.sex": _SEX.get((_first(animals, "sex") or _of_units(source, "animal_sex")).lower(), ""),
        "Subject.strain": _first(animals, "strain") or _of_units(source, "animal_strain"),
        "Subject.genotype": _first(animals, "geneticLine") or _of_units(source, "animal_geneticLine"),
    }
    return {key: value for key, value in found.items() if value}


def started_at(source: Source, notes: list[str]) -> datetime | None:
    """Day and time of the recording, without a time zone, as the files state none; None where there is no time."""
    general = struct_at(source.session, "general")
    day = text_of(general.get("date")) or text_of(source.info.get("Date"))
    time = text_of(general.get("time"))
    if not day:
        return None
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S.%f"):
        try:
            return datetime.strptime(f"{day} {time}", form)
        except ValueError:
            continue
    notes.append(f"the files give the day {day!r} and no time that can be read ({time!r})")
    return None


def read_epochs(source: Source) -> tuple[Marks, ...]:
    """Beginnings of the epochs of a session, with their names and ends."""
    found = []
    for value in (source.session.get("epochs"), source.general.get("epochs")):
        for epoch in structs_of(value):
            start, stop = number_of(epoch.get("startTime")), number_of(epoch.get("stopTime"))
            if start is None:
                continue
            names = [text_of(epoch.get(key)) for key in ("name", "behavioralParadigm", "environment", "manipulation")]
            end = f" (until {stop:g} s)" if stop is not None else ""
            found.append((start, ", ".join(dict.fromkeys(name for name in names if name)) + end))
        if found:
            break
    if not found:
        return ()
    found.sort()
    return (
        Marks(
            "epochs",
            np.array([start for start, _ in found]),
            np.array([text.strip() for _, text in found], dtype=np.object_),
            f"Beginnings of the epochs that {(source.files.session or source.files.units).name} states.",
        ),
    )


def _first(structs: list[Struct], name: str) -> str:
    for struct in structs:
        text = text_of(struct.get(name))
        if text.lower() not in _NOTHING:
            return text
    return ""


def _of_units(source: Source, name: str) -> str:
    """Return a text that all units share."""
    texts = set(texts_of(source.metrics.get(name, "")))
    text = texts.pop() if len(texts) == 1 else ""
    return "" if text.lower() in _NOTHING else text


def _last_name_first(text: str) -> str:
    """One person's name as archives want it; nothing for several, or a name of other than two words.

    Examples
    --------
    >>> _last_name_first("Ada Lovelace"), _last_name_first("Ada Lovelace, Charles Babbage")
    ('Lovelace, Ada', '')
    """
    if re.fullmatch(r"[^\W\d_]\S*\s+[^\W\d_]\S*", text) and "," not in text:
        first, last = text.split()
        return f"{last}, {first}"
    return ""
