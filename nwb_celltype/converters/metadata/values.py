"""Values of the metadata, whatever somebody wrote: shown in messages, and read as text, number, list or block."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from nwb_celltype.converters.metadata.problems import Problems

# What people, templates and other programs leave where something is still to be written.
_PLACEHOLDER = re.compile(r"(<.*>|\?+|\.{3,}|…|todo|tbd|fixme|xxx+|fill (me )?in|to be filled( in)?)", re.IGNORECASE)
_LONGEST_LIST = 4
_LONGEST_SHOWN = 60
_LARGEST_INTEGER = 10**30
# NWB keeps an object under its name in a path of HDF5.
_NOT_IN_NAMES = re.compile(r"[/:\x00-\x1f\x7f]")


def is_blank(value: Any) -> bool:
    """Whether nothing is stated: nothing, an empty text, or a placeholder such as ``???`` and ``TODO``.

    Examples
    --------
    >>> is_blank(None), is_blank("TODO"), is_blank("<name>"), is_blank(0)
    (True, True, True, False)
    """
    if isinstance(value, str):
        return not value.strip() or _PLACEHOLDER.fullmatch(value.strip()) is not None
    return value is None


def shown(value: Any) -> str:
    """Describe a value for a message, shortly whatever it is.

    Examples
    --------
    >>> shown("mice"), shown([1, 2]), shown({"a": 1}), shown(True)
    ("'mice'", '[1, 2]', 'keys a', 'true')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST_SHOWN else f"{value[: _LONGEST_SHOWN - 3]}...")
    if isinstance(value, numbers.Integral):
        return str(int(value)) if abs(int(value)) < _LARGEST_INTEGER else "a huge number"
    if isinstance(value, float | date):
        return str(value)
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return f"keys {', '.join(k[:20] for k in list(value)[:5] if isinstance(k, str))}" if value else "no keys"
    if isinstance(value, list | tuple):
        if 0 < len(value) <= _LONGEST_LIST and all(isinstance(v, numbers.Real) for v in value):
            return f"[{', '.join(shown(v) for v in value)}]"
        return f"a list of {len(value)}"
    return f"a value of type {type(value).__name__}"


def as_text(value: Any) -> str | None:
    """Return the text that a value stands for; `None` where it is no text that a file can hold.

    Numbers and dates that YAML made out of an id are texts again.

    Examples
    --------
    >>> as_text(" M042 "), as_text(42), as_text([1]), as_text(True)
    ('M042', '42', None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, numbers.Integral):
        return str(int(value)) if abs(int(value)) < _LARGEST_INTEGER else None
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str) or "\x00" in value:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return str(value).strip()


def as_number(value: Any) -> float | None:
    """Return a finite number; `None` where a value is none.

    Examples
    --------
    >>> as_number(473), as_number("4.50"), as_number("473 nm"), as_number(float("nan")), as_number(True)
    (473.0, 4.5, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_moment(value: Any) -> datetime | date | None:
    """Read a moment or a day in ISO 8601, with or without a zone; `None` where a value is neither.

    Examples
    --------
    >>> as_moment("2026-01-31 14:03:00 +01:00").isoformat()
    '2026-01-31T14:03:00+01:00'
    >>> as_moment("2026-01-31")
    datetime.date(2026, 1, 31)
    """
    if isinstance(value, date):
        return value
    text = as_text(value)
    if text is None:
        return None
    text = re.sub(r"\s+(?=[+-]\d|[zZ]$)", "", text).replace(" UTC", "Z").replace(" GMT", "Z")
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


class Block:
    """One mapping of the metadata, read key by key; what is wrong goes to `problems`.

    Attributes
    ----------
    values : dict
        By key; keys that are no text were reported and left out.
    path : str
        Path of the mapping, for example ``Subject``; ``""`` for the whole.
    """

    def __init__(self, value: Any, path: str, problems: Problems) -> None:
        self.path = path
        self.problems = problems
        self.values: dict[str, Any] = {}
        if is_blank(value):
            return
        if not isinstance(value, Mapping):
            problems.add(path or "metadata", f"found {shown(value)}", "keys and values, as in the template")
            return
        for key, entry in value.items():
            if isinstance(key, str):
                self.values[key] = entry
            else:
                problems.add(path or "metadata", f"the key {shown(key)} is not text", "keys in quotes")

    def __contains__(self, key: str) -> bool:
        return not is_blank(self.values.get(key))

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def get(self, key: str) -> Any:
        """Value of a key as it stands; `None` where nothing is stated."""
        value = self.values.get(key)
        return None if is_blank(value) else value

    def path_of(self, key: str) -> str:
        """Path of a key, for messages."""
        name = key if key.isprintable() and len(key) <= _LONGEST_SHOWN else shown(key)
        return f"{self.path}.{name}" if self.path else name

    def block(self, key: str) -> Block:
        """Mapping under a key; an empty one where there is none."""
        return Block(self.values.get(key), self.path_of(key), self.problems)

    def wrong(self, key: str, wanted: str, example: str = "", found: str = "") -> None:
        """Write down that a value is not what is wanted."""
        self.problems.add(self.path_of(key), found or f"found {shown(self.values.get(key))}", wanted, example)

    def require(self, key: str, wanted: str, example: str, *, needed: bool = True) -> bool:
        """Whether a key is stated; if it is not and is needed, write that down."""
        if key in self or not needed:
            return key in self
        found = "not filled in yet" if key in self.values else "missing"
        self.problems.add(self.path_of(key), found, wanted, example)
        return False

    def check_keys(self, known: Iterable[str]) -> None:
        """Write down every key that is not known."""
        known = list(known)
        for key in self.values:
            if key not in known:
                self.problems.unknown(self.path_of(key), key, known)

    def text(self, key: str, wanted: str = "text", example: str = "") -> str:
        """Text under a key; ``""`` where nothing is stated or, written down, where it is no text."""
        value = self.get(key)
        if value is None:
            return ""
        text = as_text(value)
        if text is None:
            hint = " (put quotes around it)" if isinstance(value, bool) else ""
            self.wrong(key, f"{wanted}{hint}", example or f'{key}: "..."')
        return text or ""

    def name(self, key: str, wanted: str, example: str = "") -> str:
        """Text that becomes the name of an NWB object: without slashes, colons and line breaks."""
        text = self.text(key, wanted, example)
        if _NOT_IN_NAMES.search(text):
            self.wrong(key, f"{wanted}, without slash, colon or line break", example)
            return ""
        return text

    def number(self, key: str, wanted: str, example: str = "") -> float | None:
        """Finite number under a key; `None` where nothing is stated or, written down, where it is no number."""
        value = self.get(key)
        if value is None:
            return None
        number = as_number(value)
        if number is None:
            self.wrong(key, wanted, example)
        return number

    def flag(self, key: str, default: bool) -> bool:
        """Yes or no under a key."""
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        words = {"true": True, "yes": True, "false": False, "no": False}
        if isinstance(value, str) and value.strip().lower() in words:
            return words[value.strip().lower()]
        self.wrong(key, "true or false", f"{key}: true")
        return default

    def texts(self, key: str, wanted: str = "a list of texts", example: str = "") -> tuple[str, ...]:
        """List of texts under a key; one text alone is a list of one."""
        value = self.get(key)
        if value is None:
            return ()
        entries = value if isinstance(value, list | tuple) else [value]
        texts = [as_text(entry) for entry in entries if not is_blank(entry)]
        if any(text is None for text in texts):
            self.wrong(key, wanted, example)
            return ()
        return tuple(text for text in texts if text)
