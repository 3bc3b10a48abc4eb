"""Ages and weights as people write them, turned into what archives accept."""

from __future__ import annotations

import re

# As the archive's inspector reads it; one letter a unit, weeks beside the others allowed.
_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(
    r"P(?!$)(\d+(?:\.\d+)?Y)?(\d+(?:\.\d+)?M)?(\d+(?:\.\d+)?W)?(\d+(?:\.\d+)?D)?"
    r"(T(?=\d)(\d+(?:\.\d+)?H)?(\d+(?:\.\d+)?M)?(\d+(?:\.\d+)?S)?)?"
)
_UNITS = {"y": "Y", "yr": "Y", "year": "Y", "m": "M", "mo": "M", "mon": "M", "month": "M", "w": "W", "wk": "W",
          "week": "W", "d": "D", "day": "D"}  # fmt: skip
_PART = re.compile(rf"{_NUMBER} ?([a-z]+)(?: old)?")
_RANGE = re.compile(rf"{_NUMBER} ?(?:-|–|to) ?{_NUMBER} ?([a-z]+)")
_POSTNATAL = re.compile(rf"p ?{_NUMBER}")
_DAYS = {"Y": 365.25, "M": 30.4375, "W": 7.0, "D": 1.0, "H": 1 / 24, "MIN": 1 / 1440, "S": 1 / 86400}
_WEIGHT_UNITS = {"kg": "kg", "kilogram": "kg", "kilo": "kg", "g": "g", "gram": "g", "gr": "g", "mg": "mg",
                 "milligram": "mg"}  # fmt: skip
_WEIGHT = re.compile(rf"{_NUMBER} ?([a-z]+?)s?\.?")


def iso_age(text: str) -> str | None:
    """Turn an age into an ISO 8601 duration, or a range of two; `None` where it is neither.

    Examples
    --------
    >>> iso_age("90 days"), iso_age("12 weeks"), iso_age("P90D/P120D"), iso_age("8-10 weeks"), iso_age("P8W/P70D")
    ('P90D', 'P12W', 'P90D/P120D', 'P8W/P10W', 'P56D/P70D')
    >>> iso_age("90"), iso_age("P120D/P90D"), iso_age("adult")
    (None, None, None)
    """
    text = re.sub(r"\s+", " ", text.strip()).replace(",", ".")
    between = _RANGE.fullmatch(text.lower())
    if between:
        unit = _unit(between[3])
        return _range(f"P{between[1]}{unit}", f"P{between[2]}{unit}") if unit else None
    if text.count("/") == 1:
        return _range(*(end.strip() for end in text.split("/")))
    return _one_age(text)


def days_of(age: str) -> float:
    """Days of an ISO 8601 duration; a year has 365.25, a month 30.4375.

    Examples
    --------
    >>> days_of("P12W"), days_of("P1Y")
    (84.0, 365.25)
    """
    days, _, hours = age[1:].partition("T")
    total = sum(float(n) * _DAYS[unit] for n, unit in re.findall(r"([\d.]+)([YMWD])", days))
    return total + sum(
        float(n) * _DAYS["MIN" if unit == "M" else unit] for n, unit in re.findall(r"([\d.]+)([HMS])", hours)
    )


def weight_with_unit(text: str) -> str | None:
    """Turn a weight into number, space, unit; `None` where the unit is missing or unknown.

    Examples
    --------
    >>> weight_with_unit("25g"), weight_with_unit("0,3 kilograms"), weight_with_unit("25")
    ('25 g', '0.3 kg', None)
    """
    match = _WEIGHT.fullmatch(text.strip().lower().replace(",", "."))
    unit = _WEIGHT_UNITS.get(match[2]) if match else None
    return f"{match[1]} {unit}" if match and unit and float(match[1]) > 0 else None


def _one_age(text: str) -> str | None:
    if _DURATION.fullmatch(text.upper()):
        parts = re.findall(r"[\d.]+", text)
        # A fraction is allowed in the smallest unit alone.
        return None if any("." in part for part in parts[:-1]) else text.upper()
    postnatal = _POSTNATAL.fullmatch(text.lower())
    if postnatal:
        return f"P{postnatal[1]}D"
    rest = re.sub(r"\s*(,|and)\s*", " ", text.lower()).strip()
    found: list[str] = []
    while rest:
        match = _PART.match(rest)
        unit = _unit(match[2]) if match else ""
        if match is None or not unit:
            return None
        found.append(f"{match[1]}{unit}")
        rest = rest[match.end() :].strip()
    age = "P" + "".join(found)
    return _one_age(age) if _DURATION.fullmatch(age) else None


def _unit(word: str) -> str:
    return _UNITS.get(word, "") or _UNITS.get(word.removesuffix("s"), "")


def _range(lower: str, upper: str) -> str | None:
    """Join two ages; the archive compares them unit by unit, so weeks and days become days."""
    if not lower and not upper:
        return None
    ends = [_one_age(end) if end else "" for end in (lower, upper)]
    if None in ends:
        return None
    low, high = str(ends[0]), str(ends[1])
    if not low or not high:
        return f"{low}/{high}"
    if days_of(low) >= days_of(high):
        return None
    if re.sub(r"[\d.]", "", low) != re.sub(r"[\d.]", "", high):
        if re.search(r"[YMT]", low + high):
            return None
        low, high = f"P{days_of(low):g}D", f"P{days_of(high):g}D"
    return f"{low}/{high}"
