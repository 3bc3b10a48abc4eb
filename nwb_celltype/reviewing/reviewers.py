"""Who reviews: a name, an ORCID, or both."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nwb_celltype.errors import UsageError

_ORCID = re.compile(r"(?:https?://orcid\.org/)?(\d{4}-\d{4}-\d{4}-\d{3}[\dX])", re.IGNORECASE)
_MOST_LETTERS = 200


@dataclass(frozen=True)
class Reviewer:
    """A person, as runs and journals name them.

    Attributes
    ----------
    name : str
        Empty where only the ORCID is known.
    orcid : str
        Sixteen digits in four groups, or empty.
    """

    name: str
    orcid: str = ""

    @property
    def text(self) -> str:
        """Name, ORCID, or name with ORCID."""
        return f"{self.name} ({self.orcid})" if self.name and self.orcid else self.name or self.orcid


def reviewer_of(by: str | None, orcid: str | None = None) -> Reviewer:
    """Check who reviews.

    Parameters
    ----------
    by : str or None
        Name or ORCID.
    orcid : str, optional
        ORCID besides the name, also as an address.

    Returns
    -------
    Reviewer

    Raises
    ------
    UsageError
        If nobody is named, or an ORCID has a slip in it (its last digit is a check digit).

    Examples
    --------
    >>> reviewer_of("Jane Doe", "https://orcid.org/0000-0002-1825-0097").text
    'Jane Doe (0000-0002-1825-0097)'
    """
    name, number = " ".join((by or "").split()), (orcid or "").strip()
    if name and not number and _ORCID.fullmatch(name):
        name, number = "", name
    if not name and not number:
        message = "Say who reviews: --by 'Jane Doe', or an ORCID; the run that is saved names the person."
        raise UsageError(message)
    if len(name) > _MOST_LETTERS or not name.isprintable():
        message = f"A name of a person is needed, {_MOST_LETTERS} letters at most, not {name[:40]!r}."
        raise UsageError(message)
    return Reviewer(name, _checked(number) if number else "")


def _checked(text: str) -> str:
    found = _ORCID.fullmatch(text)
    number = found.group(1).upper() if found else ""
    total = 0
    for digit in number.replace("-", "")[:-1]:
        total = (total + int(digit)) * 2 % 11
    check = "0123456789X"[(12 - total) % 11]
    if not number or number[-1] != check:
        message = f"{text!r} is no ORCID; it has four groups of four digits, such as 0000-0002-1825-0097."
        raise UsageError(message)
    return number
