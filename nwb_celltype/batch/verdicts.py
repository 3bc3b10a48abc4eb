"""What the verdicts on many recordings say together: one line a sentence, with the number of files."""

from __future__ import annotations

import re
from collections.abc import Sequence

_STATUSES = ("not typable", "typable with caution", "typable")
_SENTENCES = re.compile(r"(?<=\.) (?=[A-Z0-9])(?!The model was made )")  # which goes on about what is before it
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SHARE = re.compile(r"(\d+) of (\d+) units")


def verdict_lines(verdicts: Sequence[str]) -> list[str]:
    """Group verdicts by what they say; shares of units are added up.

    Parameters
    ----------
    verdicts : sequence of str
        One a file, as runs store them: a status, and sentences behind a colon.

    Returns
    -------
    list of str
        First what cannot be typed, then what only with caution; of the rest only the number.

    Examples
    --------
    >>> caution = "typable with caution: {} of 3 units are noise."
    >>> verdict_lines(["typable", caution.format(1), caution.format(2)])
    ['2 files typable with caution: 3 of 6 units are noise.', '1 file typable']
    """
    lines = []
    for status in _STATUSES:
        said = [text.partition(": ")[2] for text in verdicts if text.partition(": ")[0] == status]
        groups: dict[str, list[str]] = {}
        for text in said:
            for sentence in _SENTENCES.split(text) if text and status != "typable" else [""]:
                groups.setdefault(_NUMBER.sub("#", sentence), []).append(sentence)
        for sentences in sorted(groups.values(), key=len, reverse=True):
            n = len(sentences)
            text = f": {_together(sentences)}" if sentences[0] else ""
            lines.append(f"{n:,} file{'' if n == 1 else 's'} {status}{text}")
    return lines


def _together(sentences: Sequence[str]) -> str:
    """One sentence for several that differ in their numbers alone."""
    first = sentences[0]
    share = _SHARE.search(first)
    summed = set() if share is None else {k + len(_NUMBER.findall(first[: share.start()])) for k in (0, 1)}
    words = _NUMBER.split(first)
    said = words[0]
    for k, texts in enumerate(zip(*map(_NUMBER.findall, sentences), strict=True)):
        numbers = [float(text) for text in texts]
        is_same = min(numbers) == max(numbers)
        together = texts[0] if is_same else f"{min(numbers):g} to {max(numbers):g}"
        said += (f"{sum(numbers):.0f}" if k in summed else together) + words[k + 1]
    return said
