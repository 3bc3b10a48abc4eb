"""The verb `annotate`: one NWB file in, the same file or a copy with one more annotation run out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nwb_celltype.annotation import Annotation, annotate_units
from nwb_celltype.errors import NothingToDoError, RefusedError, UsageError
from nwb_celltype.label_table import SourceType, TaxonomyName, annotate_from_table
from nwb_celltype.nwb_io.graft import Place, graft, mirror_columns
from nwb_celltype.nwb_io.safe_write import OnPhase, refuse_protected, write_safely
from nwb_celltype.nwb_io.validation import require_no_new_messages
from nwb_celltype.runs import Run, read_runs
from nwb_celltype.units import Units, read_units


@dataclass(frozen=True)
class AnnotatedFile:
    """What `annotate` did.

    Attributes
    ----------
    file : Path
        The file that holds the run.
    run : Run
        As read back from that file.
    is_new : bool
        False when an equal run was there already and nothing was written.
    mirrored : tuple of str
        Units columns that were added on request.
    """

    file: Path
    run: Run
    is_new: bool
    mirrored: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain types, for ``--json``."""
        run = self.run
        return {
            "file": str(self.file),
            "run": run.name,
            "is_new": self.is_new,
            "source_type": run.method.source_type,
            "model": run.method.who,
            "verdict": run.verdict,
            "units": [_unit_json(run, k) for k in range(len(run))],
        }


def annotate(
    file: str | Path,
    *,
    model: str = "cerebellum",
    out: str | Path | None = None,
    in_place: bool = False,
    units: Sequence[int] | None = None,
    units_table: str | None = None,
    threshold: float | None = None,
    again: bool = False,
    mirror: bool = False,
    labels: str | Path | None = None,
    source_type: SourceType = "expert",
    by: str | None = None,
    taxonomy: TaxonomyName = "auto",
    on_phase: OnPhase = lambda _: None,
) -> AnnotatedFile:
    """Annotate the units of an NWB file and write the answer, with its provenance, beside or into it.

    Parameters
    ----------
    file : str or Path
        An NWB file (HDF5). It is only read, unless `in_place`.
    model : str
        Name of a shipped model or path of a model folder.
    out : str or Path, optional
        Where to write; ``<stem>_celltype.nwb`` beside the file by default. An annotated copy of the same units gains
        one more run; any other existing file is refused.
    in_place : bool
        Add the run to the file itself.
    units : sequence of int, optional
        Ids of the units to annotate; all by default.
    units_table : str, optional
        HDF5 path of the units table, where a file has several.
    threshold : float, optional
        Least calibrated top probability of an answer.
    again : bool
        Add a run even if an equal one is there.
    mirror : bool
        Also write plain units columns named after the run, for readers that know nothing else.
    labels : str or Path, optional
        A table of labels (CSV, TSV) to write instead of a model's answers.
    source_type, by, taxonomy
        What the labels are, whose, and in which words; see `nwb_celltype.label_table.annotate_from_table`.
    on_phase : callable, optional
        Told the name of each phase of writing as it begins.

    Returns
    -------
    AnnotatedFile

    Raises
    ------
    UsageError, InputError, RefusedError, NothingToDoError
        See `nwb_celltype.errors`; the file is then as it was.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> result = nct.annotate("session.nwb")  # doctest: +SKIP
    >>> result.file.name, result.run.cell_type[:2].tolist()  # doctest: +SKIP
    ('session_celltype.nwb', ['PkC_ss', 'unclassified'])
    """
    source = Path(file).expanduser()
    target = _target(source, out, in_place=in_place)
    if in_place:
        refuse_protected(source)
    with read_units(source, units_table=units_table, unit_ids=units) as chosen:
        if len(chosen) == 0:
            message = f"{source} has no units in {chosen.session.units_path or 'its units table'}; nothing to annotate."
            raise NothingToDoError(message)
        adds_to_copy = target.exists() and not in_place
        if adds_to_copy:
            _require_copy(target, source, chosen)
        base = target if adds_to_copy else source
        runs = read_runs(base)
        if labels is None:
            annotation = annotate_units(chosen, model, threshold=threshold)
        else:
            annotation = annotate_from_table(chosen, labels, source_type=source_type, by=by, taxonomy=taxonomy)
        same = next((run for run in reversed(runs) if _is_same(run, annotation)), None)
        if same is not None and not again:
            return AnnotatedFile(target, same, is_new=False)
        place = _place(chosen, annotation, runs, source, units_table)
    mirrored: list[str] = []

    def append(path: Path) -> None:
        graft(path, annotation, place)
        if mirror:
            mirrored.extend(mirror_columns(path, annotation, place))

    def validate(path: Path) -> None:
        require_no_new_messages(path, base, place.name)

    written = write_safely(base, target, append, validate, on_phase)
    run = next(run for run in read_runs(written) if run.name == place.name)
    return AnnotatedFile(target, run, is_new=True, mirrored=tuple(mirrored))


def _target(source: Path, out: str | Path | None, *, in_place: bool) -> Path:
    if in_place and out is not None:
        message = "Give --out or --in-place, not both."
        raise UsageError(message)
    if in_place:
        return source
    target = Path(out).expanduser() if out is not None else source.with_name(f"{source.stem}_celltype.nwb")
    if target.exists() and source.exists() and target.samefile(source):
        message = f"{target} is the source itself; use --in-place to add the run to it."
        raise UsageError(message)
    if target.is_dir():
        target = target / f"{source.stem}_celltype.nwb"
    return target


def _require_copy(target: Path, source: Path, units: Units) -> None:
    """Refuse to touch an existing file unless it is a copy of the source with the same units."""
    with read_units(target, units_table=units.session.units_path or None) as there:
        known = set(there.unit_ids.tolist())
        same = there.session.identifier == units.session.identifier and known.issuperset(units.unit_ids.tolist())
        if not same or there.select(units.unit_ids).sha256() != units.sha256():
            message = (
                f"{target} exists and is no copy of {source} with the same units; it was left alone. "
                "Choose another name with --out, or move it away."
            )
            raise RefusedError(message)


def _place(units: Units, annotation: Annotation, runs: Sequence[Run], source: Path, units_table: str | None) -> Place:
    with read_units(source, units_table=units_table) as every:
        all_ids = np.array(every.unit_ids)
    taken = {run.name for run in runs}
    name, number = annotation.run_name, 1
    while name in taken:
        number += 1
        name = f"{annotation.run_name}_{number}"
    session = units.session
    return Place(name, session.units_path, session.units_object_id, session.identifier, all_ids)


def _is_same(run: Run, annotation: Annotation) -> bool:
    """Whether a stored run says the same about the same units by the same method."""
    if run.input_sha256 != annotation.input_sha256 or run.method.source_type != annotation.method.source_type:
        return False
    if not np.array_equal(run.unit_ids, annotation.unit_ids):
        return False
    ours, theirs = annotation.method.fields, run.method.fields
    if annotation.method.source_type == "classifier":
        keys = ("model_name", "model_version", "weights_sha256")
        return run.confidence_threshold == annotation.confidence_threshold and all(
            str(theirs.get(key, "")) == str(ours.get(key, "")) for key in keys
        )
    return all(str(theirs.get(key, "")) == str(ours.get(key, "")) for key in ("person", "software")) and np.array_equal(
        run.cell_type, annotation.cell_type
    )


def _unit_json(run: Run, k: int) -> dict[str, Any]:
    probability = None
    if run.probability is not None and np.isfinite(run.probability[k]).all():
        probability = {label: round(float(p), 6) for label, p in zip(run.classes, run.probability[k], strict=True)}
    return {
        "unit_id": int(run.unit_ids[k]),
        "cell_type": str(run.cell_type[k]),
        "probability": probability,
        "confidence": _number(run.confidence, k),
        "ood_score": _number(run.ood_score, k),
        "is_abstained": bool(run.is_abstained[k]),
        "reason": str(run.reason[k]),
        "reason_detail": str(run.reason_detail[k]),
    }


def _number(values: Any, k: int) -> float | None:
    return None if values is None or not np.isfinite(values[k]) else round(float(values[k]), 6)
