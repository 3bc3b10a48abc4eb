"""Problems and notes gathered while metadata are checked, so that all of them are said at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from nwb_celltype.errors import InputError


class Problems:
    """A list that checks write to: problems forbid a conversion, notes do not.

    Examples
    --------
    >>> problems = Problems()
    >>> problems.add("Subject.sex", "found 'x'", "M, F, O or U", "sex: F")
    >>> problems.lines
    ["Subject.sex: found 'x'; wanted: M, F, O or U; for example  sex: F"]
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []

    def add(self, key: str, found: str, wanted: str = "", example: str = "") -> None:
        """Write down a problem: the path of the key, what was found, what is wanted, a line to copy."""
        parts = [f"{key}: {found}"]
        if wanted:
            parts.append(f"wanted: {wanted}")
        if example:
            parts.append(f"for example  {example}")
        self.lines.append(_printable("; ".join(parts)))

    def unknown(self, key: str, name: str, known: Iterable[str], what: str = "unknown key") -> None:
        """Write down a name that nobody knows, with the known one that it resembles."""
        known = list(known)
        guess = closest(name, known)
        if guess:
            self.add(key, f"{what}; did you mean {guess!r}?")
        elif known:
            self.add(key, what, f"one of {', '.join(known)}")
        else:
            self.add(key, what)

    def note(self, text: str) -> None:
        """Write down something worth knowing, once."""
        text = _printable(text)
        if text not in self.notes:
            self.notes.append(text)

    def raise_if_any(self) -> None:
        """Raise one `InputError` with every problem.

        Raises
        ------
        InputError
            If there is a problem.
        """
        if not self.lines:
            return
        number = f"{len(self.lines)} things are" if len(self.lines) > 1 else "one thing is"
        listed = "\n".join(f"  {line}" for line in self.lines)
        message = f"The metadata cannot be used yet, {number} to be put right:\n{listed}"
        raise InputError(message)


def _printable(text: str) -> str:
    """Escape halves of characters, which no terminal and no file can take."""
    return text.encode(errors="backslashreplace").decode()


def closest(name: str, known: Iterable[str]) -> str:
    """Return the known name that a misspelt one most resembles, whatever the case; ``""`` if none does.

    Examples
    --------
    >>> closest("subject", ["NWBFile", "Subject"]), closest("laser", ["imec0"])
    ('Subject', '')
    """
    by_folded = {str(k).casefold(): str(k) for k in known}
    if len(name) > 100:
        return ""
    matches = difflib.get_close_matches(name.casefold().replace(" ", "_"), list(by_folded), n=1, cutoff=0.7)
    return by_folded[matches[0]] if matches else ""
