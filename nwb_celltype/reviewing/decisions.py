"""From the events of a journal to what a person says about each unit: pure, the same events give the same answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from nwb_celltype.reviewing.journal import Event

VERDICTS = ("agree", "disagree", "class", "cannot_tell")
"""What can be said: the run is right; it is wrong; the class is this one; nobody can tell."""


@dataclass(frozen=True)
class Decision:
    """What a person says about one unit.

    Attributes
    ----------
    unit : int
    verdict : str
        A word of `VERDICTS`; empty for a unit with a note alone.
    label : str
        A class, or ``unclassified``; empty without a verdict.
    run, run_label : str
        The run that was looked at, and what it said.
    made : str
        When; ISO 8601 with time zone.
    unit_sha256 : str
        Digest of the unit's data then.
    note : str
    event : str
        Id of the event that decided.
    """

    unit: int
    verdict: str = ""
    label: str = ""
    run: str = ""
    run_label: str = ""
    made: str = ""
    unit_sha256: str = ""
    note: str = ""
    event: str = ""


def active(events: Iterable[Event]) -> list[Event]:
    """Events that nobody took back, in their order; an undo that was itself undone takes nothing back.

    Examples
    --------
    >>> decided = Event("1", "decide", "me", made="", unit=7, label="MLI")
    >>> undone = Event("2", "undo", "me", made="", undoes="1")
    >>> redone = Event("3", "undo", "me", made="", undoes="2")
    >>> [event.id for event in active([decided, undone])], [event.id for event in active([decided, undone, redone])]
    (['2'], ['1', '3'])
    """
    taken_back: set[str] = set()
    kept = []
    for event in reversed(list(events)):  # an undo comes after what it undoes
        if event.id in taken_back:
            continue
        kept.append(event)
        if event.kind == "undo":
            taken_back.add(event.undoes)
    return kept[::-1]


def fold(events: Iterable[Event], *, by: str, units_path: str) -> dict[int, Decision]:
    """What one person says about the units of one table; the last word counts.

    Parameters
    ----------
    events : iterable of Event
        In the order of the journal.
    by : str
        The person.
    units_path : str

    Returns
    -------
    dict of int to Decision
        By unit id; units without a decision and without a note are missing.

    Examples
    --------
    >>> event = Event("1", "decide", "me", made="", unit=7, verdict="class", label="MLI", units_path="/units")
    >>> fold([event], by="me", units_path="/units")[7].label
    'MLI'
    """
    found: dict[int, Decision] = {}
    own = [event for event in events if event.by == by]
    for event in active(own):
        if event.unit is None or event.units_path != units_path:
            continue
        before = found.get(event.unit, Decision(event.unit))
        if event.kind == "decide":
            found[event.unit] = replace(
                before,
                verdict=event.verdict,
                label=event.label,
                run=event.run,
                run_label=event.run_label,
                made=event.made,
                unit_sha256=event.unit_sha256,
                event=event.id,
            )
        elif event.kind == "note":
            # a note belongs to the data it was written about, as a decision does
            digest = before.unit_sha256 or event.unit_sha256
            found[event.unit] = replace(before, note=event.note, unit_sha256=digest, made=before.made or event.made)
    return {unit: one for unit, one in found.items() if one.verdict or one.note}


def digest_of(decisions: Mapping[int, Decision]) -> str:
    """Sha256 over what is said, not over when: the same decisions made again are no change.

    Examples
    --------
    >>> digest_of({7: Decision(7, "class", "MLI", made="a")}) == digest_of({7: Decision(7, "class", "MLI", made="b")})
    True
    """
    rows = [
        [one.unit, one.verdict, one.label, one.run, one.run_label, one.note, one.unit_sha256]
        for one in sorted(decisions.values(), key=lambda each: each.unit)
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
