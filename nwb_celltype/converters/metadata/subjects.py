"""The Subject block: which animal it was."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from nwb_celltype.converters.metadata.ages import days_of, iso_age, weight_with_unit
from nwb_celltype.converters.metadata.fields import NWBFILE_FIELDS, SUBJECT_FIELDS
from nwb_celltype.converters.metadata.records import Term
from nwb_celltype.converters.metadata.sessions import check_id
from nwb_celltype.converters.metadata.species import (
    SPECIES,
    find_species,
    is_latin_name,
    taxon_of,
    taxon_term,
    why_unknown,
)
from nwb_celltype.converters.metadata.values import Block, as_moment

_SEX = {
    "M": ("m", "male", "males", "man", "boy", "♂"),
    "F": ("f", "female", "females", "woman", "girl", "♀"),
    "O": ("o", "other", "intersex", "hermaphrodite"),
    "U": ("u", "unknown", "not known", "unspecified", "undetermined", "n/a", "na"),
}
_WORM_SEX = ("XO", "XX")
_SPECIES_WANTED = "a species by common or Latin name, or an NCBI taxon"
_AGE_WANTED = "an age with its unit, in days, weeks, months or years, or as ISO 8601 (a range: P90D/P120D)"


def check_subject(
    block: Block, started: datetime | None, *, complete: bool = True
) -> tuple[dict[str, Any], Term | None]:
    """Check the Subject block.

    Parameters
    ----------
    block : Block
    started : datetime or None
        Start of the session, where it could be read; the animal was born before.
    complete : bool
        Whether required keys must be there.

    Returns
    -------
    subject : dict
        Arguments of `pynwb.file.Subject`.
    species : Term or None
    """
    _check_keys(block)
    values: dict[str, Any] = {}
    required = ["subject_id", "species", "sex"]
    if "date_of_birth" not in block:
        required.append("age")
    stated = {
        key: block.require(key, SUBJECT_FIELDS[key].description, _example(key), needed=complete) for key in required
    }
    for key in ("subject_id", "genotype", "strain", "description"):
        values[key] = block.text(
            key, f"text: {SUBJECT_FIELDS[key].description}", f"{key}: {SUBJECT_FIELDS[key].example}"
        )
    values["subject_id"] = check_id(block, "subject_id", values["subject_id"])
    term: Term | None = None
    if stated["species"]:
        values["species"], term = _species(block)
    if stated["sex"]:
        values["sex"] = _sex(block, values.get("species", ""))
    values["age"] = _age(block)
    values["age__reference"] = _reference(block)
    values["weight"] = _weight(block)
    values["date_of_birth"] = _birth(block, started)
    _compare_ages(block, values, started)
    return {key: value for key, value in values.items() if value}, term


def _example(key: str) -> str:
    return f"{key}: {SUBJECT_FIELDS[key].example}"


def _check_keys(block: Block) -> None:
    for key in block:
        if key in SUBJECT_FIELDS:
            continue
        if key in NWBFILE_FIELDS:
            block.problems.add(block.path_of(key), "unknown key here; it belongs under NWBFile")
        else:
            block.problems.unknown(block.path_of(key), key, SUBJECT_FIELDS)


def _species(block: Block) -> tuple[str, Term | None]:
    text = block.text("species", _SPECIES_WANTED, "species: mouse")
    if not text:
        return "", None
    found, taxon = find_species(text), taxon_of(text)
    if found is not None:
        if found.in_dandi:
            return found.latin, found.term
        if "://" in text:
            # The archive looks an address up, and refuses a Latin name that is not on its list.
            return found.term.uri, found.term
        block.problems.note(
            f"Subject.species: DANDI's client does not know {found.latin!r} by name; to upload the file, write "
            f"species: {found.term.uri}"
        )
        return found.latin, found.term
    if taxon is not None:
        return taxon_term(taxon).uri, taxon_term(taxon)
    if is_latin_name(text):
        block.problems.note(
            f"Subject.species: {text!r} is taken as a Latin name; DANDI's client may want the address of its NCBI "
            "taxon, http://purl.obolibrary.org/obo/NCBITaxon_ and the number."
        )
        return text, None
    reason = why_unknown(text)
    if reason:
        block.wrong("species", _SPECIES_WANTED, "species: mouse", f"found {text!r}: {reason}")
    else:
        block.problems.unknown(
            block.path_of("species"), text, _species_names(), f"{text!r} is no species known here; write the Latin name"
        )
    return "", None


def _species_names() -> list[str]:
    return [s.common[0] for s in SPECIES] + [s.latin for s in SPECIES]


def _sex(block: Block, species: str) -> str:
    text = block.text("sex", "M, F, O (other) or U (unknown)", "sex: F")
    if species == "Caenorhabditis elegans":
        if text.upper() not in _WORM_SEX and text:
            block.wrong("sex", "XX (hermaphrodite) or XO (male), because the species is C. elegans", "sex: XX")
        return text.upper()
    for letter, words in _SEX.items():
        if text.lower() in words:
            return letter
    if text:
        block.wrong("sex", "M, F, O (other) or U (unknown)", "sex: F")
    return ""


def _age(block: Block) -> str:
    value = block.get("age")
    if isinstance(value, timedelta):
        if value < timedelta(0):
            block.wrong("age", _AGE_WANTED, "age: P90D")
            return ""
        return f"P{value.days}D"
    text = block.text("age", _AGE_WANTED, "age: P90D")
    if not text:
        return ""
    age = iso_age(text)
    if age is None:
        found = f"found {text!r}" + (", without a unit" if text.replace(".", "", 1).isdigit() else "")
        block.wrong("age", _AGE_WANTED, "age: P90D", found)
        return ""
    return age


def _reference(block: Block) -> str:
    text = block.text("age__reference", "birth or gestational", "age__reference: birth").lower()
    if text not in ("", "birth", "gestational"):
        block.wrong("age__reference", "birth or gestational", "age__reference: birth")
        return ""
    return text


def _weight(block: Block) -> str:
    text = block.text("weight", "a weight with its unit", "weight: 25 g")
    if not text:
        return ""
    weight = weight_with_unit(text)
    if weight is None:
        block.wrong("weight", "a weight with its unit (kg, g or mg)", "weight: 25 g")
    return weight or ""


def _birth(block: Block, started: datetime | None) -> datetime | None:
    """Date of birth; a day alone is its midnight in the zone of the session."""
    value = block.get("date_of_birth")
    if value is None:
        return None
    moment = as_moment(value)
    example = f"date_of_birth: {SUBJECT_FIELDS['date_of_birth'].example}"
    if moment is None or not 1900 <= moment.year < 9000:
        block.wrong("date_of_birth", "a date, year first", example)
        return None
    if started is None:
        return None
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    if moment.utcoffset() is None:
        moment = moment.replace(tzinfo=started.tzinfo)
    if moment >= started:
        born: date = moment.date()
        block.wrong("date_of_birth", "a date before the session", example, f"{born} is not before the session")
        return None
    return moment


def _compare_ages(block: Block, values: dict[str, Any], started: datetime | None) -> None:
    """Note an age that the date of birth contradicts."""
    age, born = values["age"], values["date_of_birth"]
    if not age or born is None or started is None or "/" in age or values["age__reference"] == "gestational":
        return
    lived = (started - born).total_seconds() / 86400
    if abs(days_of(age) - lived) > max(7.0, 0.1 * lived):
        block.problems.note(
            f"Subject.age: {age} does not fit the date of birth, which makes the animal {lived:.0f} days old; DANDI "
            "goes by the date of birth."
        )
