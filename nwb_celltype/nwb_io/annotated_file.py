"""The verb `annotate`: one NWB file in, the same file or a copy with one more annotation run out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py  # type: ignore[import-untyped,unused-ignore]
import numpy as np

from nwb_celltype.annotation import Annotation, annotate_units, same_settings
from nwb_celltype.errors import CellTypeError, InputError, NothingToDoError, RefusedError, UsageError
from nwb_celltype.labelling import SourceType, TaxonomyName, annotate_from_table
from nwb_celltype.layers import LayerSource
from nwb_celltype.nwb_io.graft import Place, free_run_name, graft, load_writer
from nwb_celltype.nwb_io.mirror import has_mirror, mirror_columns
from nwb_celltype.nwb_io.safe_write import OnPhase, fingerprint, refuse_protected, tidy, write_safely
from nwb_celltype.nwb_io.validation import require_no_new_messages, require_same_answers, same_answers
from nwb_celltype.priors import PriorSource
from nwb_celltype.runs import Run, read_runs
from nwb_celltype.session_context import with_context
from nwb_celltype.units import Units, read_units, units_tables
from nwb_celltype.units.hdf5 import refuse_what_is_no_file

if TYPE_CHECKING:
    from nwb_celltype.features.dataset import Progress


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
        False when an equal run was there already and no other was added.
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
    prior: PriorSource = "uniform",
    layers: LayerSource | None = None,
    again: bool = False,
    mirror: bool = False,
    labels: str | Path | None = None,
    source_type: SourceType = "expert",
    by: str | None = None,
    taxonomy: TaxonomyName = "auto",
    on_phase: OnPhase = lambda _: None,
    progress: Progress | None = None,
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
    prior : {'uniform', 'training', 'auto'}, path, or mapping of class to weight
        How common the classes are held to be; see `nwb_celltype.priors`.
    layers : path or mapping of unit id to layer, optional
        Table (CSV, TSV) with the layer of units, or a column of the units table; see `nwb_celltype.layers`.
    again : bool
        Add a run even if an equal one is there.
    mirror : bool
        Also write plain units columns named after the run, for readers that know nothing else.
    labels : str or Path, optional
        A table of labels (CSV, TSV) to write instead of a model's answers.
    source_type, by, taxonomy
        What the labels are, whose, and in which words; see `nwb_celltype.labelling.annotate_from_table`.
    on_phase : callable, optional
        Told the name of each phase of writing as it begins.
    progress : callable, optional
        Told after each unit a task, the units done and the number of units.

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
    refuse_what_is_no_file(source)
    target = _target(source, out, in_place=in_place)
    if labels is not None and threshold is not None:
        message = "A threshold is for a model's answers; leave it out with --labels."
        raise UsageError(message)
    if labels is not None and (prior != "uniform" or layers is not None):
        message = "A prior and layers are for a model's answers; leave them out with --labels."
        raise UsageError(message)
    if labels is None and by is not None:
        message = "--by says whose labels they are; give them with --labels."
        raise UsageError(message)
    if in_place:
        refuse_protected(source)
    adds_to_copy = target.exists() and not in_place
    base = target if adds_to_copy else source
    before = fingerprint(base)
    with _open_units(source, units_table, units) as chosen:
        if len(chosen) == 0:
            message = f"{source} has no units in {chosen.session.units_path}; nothing to annotate."
            raise NothingToDoError(message)
        if adds_to_copy:
            _require_copy(target, source, chosen)
        runs = read_runs(base)
        if labels is None:
            annotation = annotate_units(
                chosen, model, threshold=threshold, prior=prior, layers=layers, progress=progress
            )
            annotation = with_context(annotation, chosen)
        else:
            annotation = annotate_from_table(chosen, labels, source_type=source_type, by=by, taxonomy=taxonomy)
        same = next((run for run in reversed(runs) if _is_same(run, annotation)), None)
        units_path = chosen.session.units_path
    stored = None if again else same
    is_new = stored is None
    name = free_run_name(base, annotation.run_name) if stored is None else stored.name
    answers = annotation if stored is None else stored
    needs_columns = mirror and (is_new or not has_mirror(base, name, units_path))
    is_awaited = out is not None and base != target  # a file of this name was asked for and is not there yet
    if stored is not None and not needs_columns and not is_awaited:
        tidy(base)
        return AnnotatedFile(base, stored, is_new=False)
    place = _place(base, units_path, name)
    mirrored: list[str] = []

    def append(path: Path) -> None:
        if is_new:
            graft(path, annotation, place)
        if needs_columns:
            mirrored.extend(mirror_columns(path, answers, place))

    def validate(path: Path) -> None:
        require_no_new_messages(path, base, place.name)
        require_same_answers(path, place.name, answers)

    written = write_safely(base, target, append, validate, on_phase, expected=before, meanwhile=load_writer)
    run = next(run for run in read_runs(written) if run.name == place.name)
    return AnnotatedFile(target, run, is_new=is_new, mirrored=tuple(mirrored))


def _open_units(source: Path, units_table: str | None, unit_ids: Sequence[int] | None) -> Units:
    """Read the units; a sound NWB file that simply has none is no bad input, but nothing to do."""
    try:
        return read_units(source, units_table=units_table, unit_ids=unit_ids)
    except InputError as error:
        if units_table is None and _lacks_units(source):
            raise NothingToDoError(str(error)) from error
        raise


def _lacks_units(source: Path) -> bool:
    try:
        with h5py.File(source, "r") as file:
            if "nwb_version" not in file.attrs or file.get("units", getlink=True) is not None:
                return False
    except OSError:
        return False
    return not units_tables(source)


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
    try:
        with read_units(target, units_table=units.session.units_path) as there:
            same = there.session.identifier == units.session.identifier
            same = same and there.select(units.unit_ids.tolist()).sha256() == units.sha256()
    except CellTypeError:  # it is no NWB file, or has not these units
        same = False
    if not same:
        message = (
            f"{target} exists and is no copy of {source} with the same units; it was left alone. "
            "Choose another name with --out, or move it away."
        )
        raise RefusedError(message)


def _place(base: Path, units_path: str, name: str) -> Place:
    with read_units(base, units_table=units_path) as every:
        session = every.session
        ids = np.array(every.unit_ids)
        return Place(name, units_path, session.units_object_id, session.identifier, ids, base.name)


def _is_same(run: Run, annotation: Annotation) -> bool:
    """Whether a stored run says the same about the same units by the same method."""
    method, theirs = annotation.method, run.method
    if (run.input_sha256, theirs.source_type) != (annotation.input_sha256, method.source_type):
        return False
    if run.classes != annotation.taxonomy.labels or not np.array_equal(run.unit_ids, annotation.unit_ids):
        return False
    is_classifier = method.source_type == "classifier"
    keys = ("model_name", "model_version", "weights_sha256") if is_classifier else ("person", "software")
    if any(str(theirs.fields.get(key, "")) != str(method.fields.get(key, "")) for key in keys):
        return False
    if is_classifier:
        # The answers too: the species or the regions of the file may have been mended since.
        same_limit = run.confidence_threshold == annotation.confidence_threshold
        same = same_limit and np.array_equal(run.cell_type, annotation.cell_type) and same_settings(theirs, method)
        return same and _cells(run) == _cells(annotation)
    return same_answers(run, annotation)


def _cells(answers: Run | Annotation) -> list[str]:
    """Cell that each unit belongs to; empty where nothing is said."""
    return [""] * len(answers) if answers.cell_id is None else answers.cell_id.tolist()


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
        "cell_id": "" if run.cell_id is None else str(run.cell_id[k]),
    }


def _number(values: Any, k: int) -> float | None:
    return None if values is None or not np.isfinite(values[k]) else round(float(values[k]), 6)
