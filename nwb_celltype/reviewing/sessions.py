"""One review of one file by one person: what the page is shown, what it records, what is saved."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from nwb_celltype.annotation import now
from nwb_celltype.archive.addresses import is_remote
from nwb_celltype.colours import colours_of
from nwb_celltype.errors import InputError, RefusedError, UsageError
from nwb_celltype.labelling import TaxonomyName
from nwb_celltype.nwb_io.safe_write import fingerprint, refuse_protected
from nwb_celltype.provenance import read_source
from nwb_celltype.reporting import gather, to_payload
from nwb_celltype.reviewing.agreement import measure_agreement, not_superseded
from nwb_celltype.reviewing.decisions import VERDICTS, Decision, digest_of, fold
from nwb_celltype.reviewing.journal import Event, Journal, Kind, journal_path
from nwb_celltype.reviewing.linked_pairs import WINDOW_MS, linked_pairs
from nwb_celltype.reviewing.reviewers import Reviewer
from nwb_celltype.reviewing.saving import SavedRun, is_stored, last_review, write_run
from nwb_celltype.reviewing.watching import WatchedFile
from nwb_celltype.runs import Run, published_run, read_runs
from nwb_celltype.taxonomy import CEREBELLUM, FOREBRAIN, UNCLASSIFIED, Taxonomy, free_taxonomy
from nwb_celltype.units import Units, read_units

if TYPE_CHECKING:
    from nwb_celltype.features.dataset import Progress

MOST_LETTERS = 4000
"""Length of a note."""
MOST_EVENTS = 500
"""Events of one request."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NAMED = {"cerebellum": CEREBELLUM, "forebrain": FOREBRAIN}


@dataclass(frozen=True)
class Asked:
    """What a review is asked to be about.

    Attributes
    ----------
    file : str or Path
        An annotated NWB file.
    run : str or None
        The run that is shown; the published one by default.
    units_table : str or None
    out : Path or None
        Where decisions are saved: a copy of the file. The file itself by default.
    taxonomy : {'auto', 'cerebellum', 'forebrain', 'free'}
        Whose classes are offered; 'auto' takes the first that knows those of the run.
    classes : sequence of str
        Further classes; the words are then free.
    model : str, Path or None
    explain : bool
    blind : bool
        Leave out what other experts say.
    """

    file: str | Path
    run: str | None = None
    units_table: str | None = None
    out: Path | None = None
    taxonomy: TaxonomyName = "auto"
    classes: Sequence[str] = ()
    model: str | Path | None = None
    explain: bool = True
    blind: bool = False


class ReviewSession:
    """A review that is open. Close it, or use it in a ``with`` block.

    Parameters
    ----------
    asked : Asked
    reviewer : Reviewer
    progress : callable, optional
        Told a task, the steps done and the number of steps.

    Attributes
    ----------
    file, target : Path
        What is reviewed, and where decisions are saved.
    reviewed : Run
        The run that is shown.
    journal : Journal

    Raises
    ------
    InputError
        If the file cannot be read or holds no runs.
    UsageError
        If there is no such run or units table, or a class is not among those that are offered.
    RefusedError
        If the file must not be changed, or another process reviews it.
    """

    def __init__(self, asked: Asked, reviewer: Reviewer, progress: Progress | None = None) -> None:
        if is_remote(asked.file):
            message = f"{asked.file} is not on this machine; fetch it first: nwb-celltype fetch."
            raise UsageError(message)
        self.file = Path(asked.file).expanduser()
        self.target = self.file if asked.out is None else _target(self.file, asked.out.expanduser())
        self.reviewer = reviewer
        self.id = str(uuid4())
        seen = fingerprint(self.file)
        if self.file.is_dir() or read_source(self.file) is not None:
            message = (
                f"{self.file} holds no units of its own to look at; name one NWB file with units, or join the labels "
                "to their source first: nwb-celltype fetch."
            )
            raise UsageError(message)
        if self.target == self.file:
            refuse_protected(self.file)
        self.journal = Journal(journal_path(self.file))
        try:
            view = gather(
                self.file,
                run=asked.run or _run_to_review(read_runs(self.file), asked.units_table),
                units_table=asked.units_table,
                model=asked.model,
                explain=asked.explain,
                progress=progress,
            )
            self.reviewed: Run = view.files[0].run
            self.taxonomy = _taxonomy(asked, view.files[0].runs, self.reviewed)
            self._payload = to_payload(view)
            self._payload["classes"] = _classes(self._payload["classes"], self.taxonomy)
            self._hide_experts(view.files[0].runs, blind=asked.blind)
            self.units_path = self.reviewed.units_path or asked.units_table or "/units"
            with read_units(self.file, units_table=self.units_path) as units:
                self._pairs = _pairs_json(units, view.files[0].runs)
                self.unit_sha256 = {unit_id: units.select([unit_id]).sha256() for unit_id in units.unit_ids.tolist()}
                self._watched = WatchedFile(
                    self.file, self.units_path, units.sha256(), tuple(r.name for r in read_runs(self.file)), seen
                )
            if fingerprint(self.file) != seen:
                message = f"{self.file} changed while it was being read; start the review again."
                raise InputError(message)
        except BaseException:
            self.journal.close()
            raise
        # what a browser keeps belongs to this file, table and person, whichever server it was said to
        about = "\0".join((os.path.realpath(self.file), self.units_path, reviewer.text))
        self.review_id = hashlib.sha256(os.fsencode(about)).hexdigest()[:24]
        self._run_labels = dict(zip(self.reviewed.unit_ids.tolist(), self.reviewed.cell_type.tolist(), strict=True))
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        base = self.target if self.target.exists() else self.file
        self._last_saved = last_review(read_runs(base), reviewer, self.units_path)

    def __enter__(self) -> ReviewSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the journal."""
        self.journal.close()

    def _hide_experts(self, runs: Sequence[Run], *, blind: bool) -> None:
        """Leave out of the page this person's own runs, which the decisions show, and on request those of others."""
        hidden = {
            run.name
            for run in runs
            if run.method.source_type == "expert"
            and run.name != self.reviewed.name
            and (blind or run.method.fields.get("person") == self.reviewer.text)
        }
        for unit in self._payload["units"]:
            unit["labels"] = {name: label for name, label in unit["labels"].items() if name not in hidden}

    @property
    def decisions(self) -> dict[int, Decision]:
        """What holds now, by unit id, about data that are still the same."""
        with self._lock:
            return self._decisions()

    def _decisions(self) -> dict[int, Decision]:
        found = fold(self.journal.events, by=self.reviewer.text, units_path=self.units_path)
        return {unit: one for unit, one in found.items() if one.unit_sha256 == self.unit_sha256.get(unit)}

    def overview(self) -> dict[str, Any]:
        """What the page needs before any unit: everything of the payload but the panels of the units."""
        light = ("waveform", "isi", "acg", "acg_3d", "explanation", "neighbours")
        return {
            **{key: value for key, value in self._payload.items() if key not in ("units", "map")},
            "units": [{k: v for k, v in unit.items() if k not in light} for unit in self._payload["units"]],
            "pairs": self._pairs,
            "review": {
                "id": self.review_id,
                "server": self.id,
                "by": self.reviewer.text,
                "run": self.reviewed.name,
                "classes": list(self.taxonomy.labels),
                "units_path": self.units_path,
                "file": self.file.name,
                "target": str(self.target),
                "journal": str(self.journal.path),
                "n_damaged": self.journal.n_damaged,
                "unit_sha256": {
                    str(unit["id"]): self.unit_sha256.get(unit["id"], "") for unit in self._payload["units"]
                },
            },
        }

    def units(self, first: int, n: int) -> list[dict[str, Any]]:
        """Some units of the payload, with their panels."""
        found: list[dict[str, Any]] = self._payload["units"][max(first, 0) : max(first, 0) + max(n, 0)]
        return found

    def state(self, since: int) -> dict[str, Any]:
        """Events after the first `since`, and how file and journal stand.

        Parameters
        ----------
        since : int
            Events that the page has.

        Returns
        -------
        dict
        """
        watched = self._watched.look()
        with self._lock:
            events = self.journal.events
            decisions = self._decisions()
            last = self._last_saved
            # only this person's: an expert should not be led by another
            own = [(k, each) for k, each in enumerate(events) if k >= since and each.by == self.reviewer.text]
            return {
                "server": self.id,
                "n": len(events),
                "events": [{**each.to_json(), "n": k} for k, each in own if each.units_path in ("", self.units_path)],
                "file": {"condition": watched.condition, "sentence": watched.sentence, "may_save": watched.may_save},
                "is_saved": not decisions or is_stored(last, decisions),
                "saved": None if last is None else {"run": last.name, "created": last.created},
                "is_saving": self._saving.locked(),
            }

    def record(self, events: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
        """Write what a page sends into the journal; when this returns it is on the disk.

        Parameters
        ----------
        events : sequence of mappings
            ``id``, ``kind``, ``made``, ``tab`` and, by kind: ``unit``, ``verdict``, ``label``, ``note``, ``undoes``;
            ``seen`` is the event that decided the unit as far as the page knew.

        Returns
        -------
        list of dict
            Events that cannot be, each with ``id`` and ``why``; all others are recorded.

        Raises
        ------
        InputError
            If the journal cannot be written; then none is recorded.
        """
        refused = []
        with self._lock:
            known = {event.id: event for event in self.journal.events}
            good: list[Event] = []
            for raw in events:
                try:
                    event = self._event(raw, {**known, **{each.id: each for each in good}})
                except UsageError as error:
                    refused.append({"id": str(raw.get("id", "")), "why": str(error)})
                    continue
                now_held = fold([*self.journal.events, *good], by=self.reviewer.text, units_path=self.units_path)
                held = now_held.get(event.unit) if event.unit is not None else None
                if event.kind == "decide" and held is not None and held.event not in ("", raw.get("seen"), event.id):
                    event = Event(**{**event.__dict__, "replaces": held.event})
                good.append(event)
            self.journal.add(good)
        return refused

    def save(self) -> SavedRun:
        """Write the decisions into the file as a run of the expert; a second time without changes adds nothing.

        Returns
        -------
        SavedRun

        Raises
        ------
        NothingToDoError, InputError, RefusedError
            As `saving.write_run`; the file is then as it was.
        """
        with self._saving:
            decisions = self.decisions
            saved = write_run(
                self.file,
                self.target,
                decisions,
                self.reviewed,
                self.reviewer,
                self.taxonomy,
                units_path=self.units_path,
                units_sha256=self._watched.units_sha256,
            )
            if self.target == self.file:
                self._watched.accept(saved.run.name)
            with self._lock:
                self._last_saved = saved.run
                if saved.is_new:
                    self.journal.add(
                        [
                            Event(
                                id=str(uuid4()),
                                kind="saved",
                                by=self.reviewer.text,
                                made=now(),
                                units_path=self.units_path,
                                run=saved.run.name,
                                decisions_sha256=digest_of(decisions),
                            )
                        ]
                    )
            return saved

    def agreement(self, names: Sequence[str] | None = None) -> dict[str, Any]:
        """Compare runs of the file, and those that were saved meanwhile."""
        base = self.target if self.target.exists() else self.file
        return measure_agreement(base, names, units_table=self.units_path).to_json()

    def run_names(self) -> list[dict[str, Any]]:
        """Runs about the units table, oldest first."""
        base = self.target if self.target.exists() else self.file
        runs = [run for run in read_runs(base) if run.units_path in ("", self.units_path)]
        held = {run.name for run in not_superseded(runs)}
        return [
            {
                "name": r.name,
                "source_type": r.method.source_type,
                "who": r.method.who,
                "is_superseded": r.name not in held,
            }
            for r in runs
        ]

    def _event(self, raw: Mapping[str, Any], known: Mapping[str, Event]) -> Event:
        kind: Kind = raw.get("kind")  # type: ignore[assignment]
        if kind not in ("decide", "note", "undo"):
            message = "This is no decision, note or undo."
            raise UsageError(message)
        own: dict[str, Any] = {
            "id": _uuid(raw.get("id")),
            "kind": kind,
            "by": self.reviewer.text,
            "made": _moment(raw.get("made")),
            "tab": str(raw.get("tab", ""))[:64],
            "units_path": self.units_path,
        }
        if kind == "undo":
            undone = known.get(str(raw.get("undoes")))
            if undone is None or undone.by != self.reviewer.text or undone.kind == "saved":
                message = "There is nothing of that kind to undo."
                raise UsageError(message)
            return Event(**own, undoes=undone.id, unit=undone.unit)
        unit = raw.get("unit")
        if not isinstance(unit, int) or isinstance(unit, bool) or unit not in self.unit_sha256:
            message = f"There is no unit {unit!r} in this review."
            raise UsageError(message)
        if raw.get("unit_sha256", self.unit_sha256[unit]) != self.unit_sha256[unit]:
            message = f"Unit {unit} changed since this was decided; decide it again."
            raise UsageError(message)
        own |= {
            "unit": unit,
            "unit_sha256": self.unit_sha256[unit],
            "run": self.reviewed.name,
            "run_label": str(self._run_labels.get(unit, "")),
        }
        if kind == "note":
            return Event(**own, note=_note(raw.get("note")))
        verdict, label = raw.get("verdict"), raw.get("label")
        if verdict not in VERDICTS or label not in (*self.taxonomy.labels, UNCLASSIFIED):
            message = f"{label!r} is no class of this review; there are {', '.join(self.taxonomy.labels)}."
            raise UsageError(message)
        if verdict in ("disagree", "cannot_tell") and label != UNCLASSIFIED:
            message = "Who disagrees or cannot tell names no class."
            raise UsageError(message)
        return Event(**own, verdict=str(verdict), label=str(label))


def _run_to_review(runs: Sequence[Run], units_table: str | None) -> str | None:
    """Name of the run to look at: the published one of those that no expert made, as a review is about these."""
    if units_table is not None:
        runs = [run for run in runs if run.units_path in ("", "/" + units_table.strip("/"))]
    chosen = published_run([run for run in runs if run.method.source_type != "expert"])
    return None if chosen is None else chosen.name


def _target(file: Path, out: Path) -> Path:
    target = out / f"{file.stem}_reviewed.nwb" if out.is_dir() else out
    if target.exists() and file.exists() and target.samefile(file):
        message = f"{target} is the file itself; leave --out away to save into it."
        raise UsageError(message)
    if not target.parent.is_dir():
        message = f"The folder {target.parent} does not exist; make it first, or choose another place with --out."
        raise InputError(message)
    if target.exists() and not read_runs(target):
        message = f"{target} exists and is no copy of {file}; it was left alone. Choose another name with --out."
        raise RefusedError(message)
    refuse_protected(target)
    return target


def _taxonomy(asked: Asked, runs: Sequence[Run], reviewed: Run) -> Taxonomy:
    met = dict.fromkeys(
        [*reviewed.classes, *(str(label) for run in runs for label in run.cell_type), *map(str, asked.classes)]
    )
    met.pop(UNCLASSIFIED, None)
    if asked.taxonomy in _NAMED and not asked.classes:
        return _NAMED[asked.taxonomy]
    if asked.taxonomy == "auto":
        found = next((one for one in _NAMED.values() if met and all(label in one for label in met)), None)
        if found is not None:
            return found
    if asked.taxonomy in _NAMED:
        message = "Further classes go with --taxonomy free (or auto) only."
        raise UsageError(message)
    bad = next((label for label in asked.classes if not str(label).strip() or not str(label).isprintable()), None)
    if bad is not None or not met:
        message = "A class needs a name." if met or bad is not None else "There are no classes; name some with --class."
        raise UsageError(message)
    return free_taxonomy(met)


def _classes(shown: list[dict[str, Any]], taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """Classes of the page: those of the run in the order of its probabilities, further ones, unclassified last."""
    labels = [one["label"] for one in shown]
    colours = colours_of([*labels, *taxonomy.labels])
    further = [
        {"label": c.label, "name": c.full_name, "definition": c.definition, "colour": colours[c.label]}
        for c in taxonomy.classes
        if c.label not in labels
    ]
    return [*shown[:-1], *further, shown[-1]]


def _pairs_json(units: Units, runs: Sequence[Run]) -> list[dict[str, Any]]:
    lags = list(range(-WINDOW_MS, WINDOW_MS + 1))
    return [
        {
            "cell_id": pair.cell_id,
            "reference": pair.reference,
            "target": pair.target,
            "runs": list(pair.runs),
            "lag_ms": lags,
            "rate_hz": None if pair.rate_hz is None else [round(v, 3) for v in pair.rate_hz.tolist()],
        }
        for pair in linked_pairs(units, runs)
    ]


def _uuid(text: Any) -> str:
    try:
        return str(UUID(str(text)))
    except ValueError as error:
        message = "An event needs an id."
        raise UsageError(message) from error


def _moment(text: Any) -> str:
    """UTC moment of a key; the present one where the page's clock says nothing that can be read."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return now()
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="milliseconds")


def _note(text: Any) -> str:
    if not isinstance(text, str) or len(text) > MOST_LETTERS:
        message = f"A note is a text of {MOST_LETTERS} letters at most."
        raise UsageError(message)
    clean = _CONTROL.sub(" ", text).strip()
    try:
        clean.encode("utf-8")
    except UnicodeEncodeError as error:
        message = "The note holds half a character; write it again."
        raise UsageError(message) from error
    return clean
