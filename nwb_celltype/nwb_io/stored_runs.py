"""Runs that a file holds, as annotations that another file can be given: with their classes and descriptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import h5py  # type: ignore[import-untyped,unused-ignore]

from nwb_celltype.annotation import Annotation
from nwb_celltype.errors import CellTypeError, InputError, UsageError
from nwb_celltype.nwb_io.validation import same_answers
from nwb_celltype.quality import Status, Verdict
from nwb_celltype.runs import CONTAINER_PATH, Run, runs_in
from nwb_celltype.taxonomy import CellClass, Taxonomy
from nwb_celltype.units.hdf5 import attribute, text


@dataclass(frozen=True)
class StoredVerdict(Verdict):
    """A verdict of which only the line is left."""

    line: str = ""

    @property
    def sentence(self) -> str:
        """The verdict on one line."""
        return self.line


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A run of a file, as it was read and as an annotation to write elsewhere."""

    run: Run
    annotation: Annotation


def read_stored(file: h5py.File, name: str, wanted: Sequence[str] | None = None) -> list[StoredRun]:
    """Read the runs of an open file, oldest first, ready to be written into another one.

    Parameters
    ----------
    file : h5py.File
    name : str
        What messages call the file.
    wanted : sequence of str, optional
        Names of the runs; all by default.

    Returns
    -------
    list of StoredRun

    Raises
    ------
    UsageError
        If there is no run of a name.
    InputError
        If there are no runs, or one is damaged.
    """
    runs = runs_in(file, name)
    if not runs:
        message = f"{name} holds no annotation runs; make one with `nwb-celltype annotate`."
        raise InputError(message)
    known = [run.name for run in runs]
    unknown = [run for run in wanted or () if run not in known]
    if unknown:
        message = f"{name} has no run {unknown[0]!r}; it has {', '.join(known)}."
        raise UsageError(message)
    return [StoredRun(run, _annotation(file, run, name)) for run in runs if wanted is None or run.name in wanted]


def is_same_run(run: Run, other: Run | Annotation) -> bool:
    """Whether two runs are one and the same: made at one moment, by one method, from the same data, saying the same."""
    ours = (run.created, run.input_sha256, run.method.source_type, run.method.who)
    theirs = (other.created, other.input_sha256, other.method.source_type, other.method.who)
    return ours == theirs and same_answers(run, other)


def _annotation(file: Any, run: Run, name: str) -> Annotation:
    group = file[f"{CONTAINER_PATH}/{run.name}"]
    try:
        taxonomy = _taxonomy(group["classes"])
    except (KeyError, ValueError, TypeError, OSError, CellTypeError) as error:
        message = f"The classes of run {run.name!r} in {name} cannot be read ({error}); the run cannot be copied."
        raise InputError(message) from error
    return Annotation(
        unit_ids=run.unit_ids,
        cell_type=run.cell_type,
        is_abstained=run.is_abstained,
        reason=run.reason,
        reason_detail=run.reason_detail,
        taxonomy=taxonomy,
        method=run.method,
        description=attribute(group, "description") or f"Cell types by {run.method.who}.",
        run_name=run.name,
        probability=run.probability,
        confidence=run.confidence,
        ood_score=run.ood_score,
        cell_id=run.cell_id,
        split=run.split,
        evidence=run.evidence,
        verdict=_verdict(run.verdict),
        confidence_threshold=run.confidence_threshold,
        input_sha256=run.input_sha256,
        supersedes=run.supersedes,
        created=run.created,
    )


def _taxonomy(group: Any) -> Taxonomy:
    columns = ("full_name", "definition", "ontology_id", "ontology_label", "mapping_relation", "parent_label")
    labels = [text(label) for label in group["label"][()]]
    stored = {c: [text(v) for v in group[c][()]] if c in group else [""] * len(labels) for c in columns}
    classes: list[Any] = [CellClass(label, *values) for label, *values in zip(labels, *stored.values(), strict=True)]
    return Taxonomy(
        name=attribute(group, "taxonomy_name"),
        version=attribute(group, "taxonomy_version"),
        description=attribute(group, "description"),
        classes=tuple(classes),
    )


def _verdict(line: str) -> Verdict | None:
    if not line:
        return None
    fitting = [status for status in get_args(Status) if line.startswith(status)]
    return StoredVerdict(max(fitting, key=len, default="typable with caution"), line=line)
