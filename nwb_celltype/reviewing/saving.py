"""Decisions become a run of an expert in the file: the person, the times, the notes; other runs are never touched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nwb_celltype.annotation import SOFTWARE_URL, Annotation, now
from nwb_celltype.errors import CellTypeError, InputError, NothingToDoError, RefusedError
from nwb_celltype.nwb_io.graft import Place, free_run_name, graft
from nwb_celltype.nwb_io.safe_write import OnPhase, fingerprint, tidy, write_safely
from nwb_celltype.nwb_io.validation import require_no_new_messages, require_same_answers
from nwb_celltype.reporting.second_look import parameters_of
from nwb_celltype.reviewing.decisions import Decision, digest_of
from nwb_celltype.reviewing.reviewers import Reviewer
from nwb_celltype.runs import Method, Run, read_runs
from nwb_celltype.taxonomy import UNCLASSIFIED, Taxonomy
from nwb_celltype.units import Units, read_units

DIGEST_KEY = "decisions_sha256"
"""Where the parameters of a run hold the digest of the decisions; a run that has it came from a review."""

_PURKINJE = {"PkC_ss", "PkC_cs"}


@dataclass(frozen=True)
class SavedRun:
    """What saving did; `is_new` is False where the file said all this already."""

    file: Path
    run: Run
    is_new: bool


def annotation_of(
    decisions: Mapping[int, Decision], reviewed: Run, units: Units, reviewer: Reviewer, taxonomy: Taxonomy
) -> Annotation:
    """Put decisions into the form of a run.

    Parameters
    ----------
    decisions : mapping of int to Decision
        By unit id; all about units of the table.
    reviewed : Run
        The run that was looked at.
    units : Units
        All units of the table.
    reviewer : Reviewer
    taxonomy : Taxonomy
        Holds every class that was given.

    Returns
    -------
    Annotation
        A row for each unit of the reviewed run, and for each further unit that was decided on. Units without a decision
        are abstained on with the reason ``not_labelled``.

    Raises
    ------
    UsageError
        If a class is not in the taxonomy.
    """
    known = set(units.unit_ids.tolist())
    ids = [unit_id for unit_id in dict.fromkeys([*reviewed.unit_ids.tolist(), *sorted(decisions)]) if unit_id in known]
    rows = {unit_id: row for row, unit_id in enumerate(reviewed.unit_ids.tolist())}
    answers = [_answer(decisions.get(unit_id), reviewed, rows.get(unit_id), reviewer) for unit_id in ids]
    for label, _, _ in answers:
        if label != UNCLASSIFIED:
            taxonomy[label]  # says which class is not known
    notes = [decisions[unit_id].note if unit_id in decisions else "" for unit_id in ids]
    evidence = tuple(({"kind": "expert", "note": note},) if note else () for note in notes)
    base = re.sub(r"[^A-Za-z0-9]+", "_", reviewer.name or reviewer.orcid).strip("_").lower() or "unnamed"
    cells = _cells(ids, [label for label, _, _ in answers], reviewed, rows)
    return Annotation(
        unit_ids=np.array(ids, dtype=np.int64),
        cell_type=np.array([label for label, _, _ in answers], dtype=str),
        is_abstained=np.array([label == UNCLASSIFIED for label, _, _ in answers], dtype=bool),
        reason=np.array([reason for _, reason, _ in answers], dtype=str),
        reason_detail=np.array([detail for _, _, detail in answers], dtype=str),
        taxonomy=taxonomy,
        method=_method(decisions, reviewed, reviewer),
        description=f"Cell types by {reviewer.text}, who looked at each unit and at the run {reviewed.name}.",
        run_name=f"expert_{base}",
        cell_id=np.array(cells, dtype=str) if any(cells) else None,
        evidence=evidence if any(evidence) else None,
        input_sha256=units.select(ids).sha256(),
        created=now(),
    )


def last_review(runs: list[Run], reviewer: Reviewer, units_path: str) -> Run | None:
    """Return the newest run that a person saved from a review of these units; runs are given oldest first."""
    own = [
        run
        for run in runs
        if run.method.source_type == "expert"
        and run.method.fields.get("person") == reviewer.text
        and run.units_path in ("", units_path)
        and DIGEST_KEY in parameters_of(run)
    ]
    return own[-1] if own else None


def is_stored(run: Run | None, decisions: Mapping[int, Decision]) -> bool:
    """Whether a run that was saved says just what the decisions say."""
    return run is not None and parameters_of(run).get(DIGEST_KEY) == digest_of(decisions)


def write_run(
    source: Path,
    target: Path,
    decisions: Mapping[int, Decision],
    reviewed: Run,
    reviewer: Reviewer,
    taxonomy: Taxonomy,
    *,
    units_path: str,
    units_sha256: str,
    on_phase: OnPhase = lambda _: None,
) -> SavedRun:
    """Add decisions as a run to a file, or to a copy of it, so that a kill leaves the old file or the new one.

    Parameters
    ----------
    source : Path
        The file that was reviewed.
    target : Path
        The same, or a copy; it is made if it is not there.
    decisions, reviewed, reviewer, taxonomy
        As for `annotation_of`.
    units_path : str
    units_sha256 : str
        Digest of all units of the table when they were reviewed.
    on_phase : callable, optional
        Told the name of each phase of writing as it begins.

    Returns
    -------
    SavedRun
        With the run as read back; ``is_new=False`` where the person's newest run says this already.

    Raises
    ------
    NothingToDoError
        If there are no decisions.
    InputError
        If the file cannot be read or written, or is being changed.
    RefusedError
        If its units are no longer those that were reviewed, or it must not be changed.
    """
    if not decisions:
        message = "Nothing is decided yet, so there is nothing to save."
        raise NothingToDoError(message)
    base = target if target.exists() else source
    before = fingerprint(base)
    runs = read_runs(base)
    last = last_review(runs, reviewer, units_path)
    with _same_units(base, units_path, units_sha256) as units:
        if last is not None and is_stored(last, decisions):
            tidy(base)
            return SavedRun(base, last, is_new=False)
        annotation = annotation_of(decisions, reviewed, units, reviewer, taxonomy)
        session = units.session
        place = Place(
            name=free_run_name(base, annotation.run_name),
            units_path=units_path,
            units_object_id=session.units_object_id,
            source_identifier=session.identifier,
            all_unit_ids=np.array(units.unit_ids),
            file_name=base.name,
        )
    if last is not None:
        annotation = replace(annotation, supersedes=last.name)

    def append(path: Path) -> None:
        graft(path, annotation, place)

    def validate(path: Path) -> None:
        require_no_new_messages(path, base, place.name)
        require_same_answers(path, place.name, annotation)

    written = write_safely(base, target, append, validate, on_phase, expected=before)
    run = next(run for run in read_runs(written) if run.name == place.name)
    return SavedRun(target, run, is_new=True)


def _same_units(base: Path, units_path: str, units_sha256: str) -> Units:
    try:
        units = read_units(base, units_table=units_path)
        if units.sha256() == units_sha256:
            return units
        units.close()
    except RefusedError:
        raise
    except CellTypeError as error:
        message = f"The units {units_path} of {base} cannot be read any more: {error}"
        raise InputError(message) from error
    message = (
        f"The units of {base} are not those that were reviewed: spike times, waveforms or ids changed since. Nothing "
        "was saved, and no decision is lost; end this review and start it again to see the new data."
    )
    raise RefusedError(message)


def _answer(decision: Decision | None, reviewed: Run, row: int | None, reviewer: Reviewer) -> tuple[str, str, str]:
    """Label, reason and sentence of one unit."""
    if decision is None or not decision.verdict:
        return UNCLASSIFIED, "not_labelled", f"Not decided by {reviewer.text}."
    moment = decision.made[:19].replace("T", " ")
    about, said = decision.run, decision.run_label
    theirs = f"{about}, which says {said}" if said and said != UNCLASSIFIED else f"{about}, which gives no class"
    if decision.verdict == "cannot_tell":
        return UNCLASSIFIED, "low_confidence", f"{moment} UTC: cannot be told from what was shown."
    if decision.verdict == "disagree":
        return UNCLASSIFIED, "other", f"{moment} UTC: disagrees with {theirs}; no other class was given."
    word = "agrees" if decision.label == said else "disagrees"
    detail = f"{moment} UTC: {word} with {theirs}."
    if decision.label != UNCLASSIFIED:
        return decision.label, "", detail
    is_same = row is not None and about == reviewed.name and bool(reviewed.reason[row])
    return UNCLASSIFIED, str(reviewed.reason[row]) if is_same and row is not None else "other", detail


def _cells(ids: list[int], labels: list[str], reviewed: Run, rows: Mapping[int, int]) -> list[str]:
    """Cell of each unit: that of the reviewed run where the person calls its two units simple and complex spikes."""
    if reviewed.cell_id is None:
        return [""] * len(ids)
    stated = [str(reviewed.cell_id[rows[unit_id]]) if unit_id in rows else "" for unit_id in ids]
    members: dict[str, set[str]] = {}
    for cell, label in zip(stated, labels, strict=True):
        members.setdefault(cell, set()).add(label)
    return [cell if cell and members[cell] == _PURKINJE else "" for cell in stated]


def _method(decisions: Mapping[int, Decision], reviewed: Run, reviewer: Reviewer) -> Method:
    from nwb_celltype import __version__

    parameters: dict[str, Any] = {
        "reviewed_run": reviewed.name,
        "reviewed_run_created": reviewed.created,
        "n_decided": sum(bool(each.verdict) for each in decisions.values()),
        DIGEST_KEY: digest_of(decisions),
    }
    return Method(
        "expert",
        {
            "person": reviewer.text,
            "software": "nwb-celltype",
            "software_version": __version__,
            "software_url": SOFTWARE_URL,
            "parameters": parameters,
        },
    )
