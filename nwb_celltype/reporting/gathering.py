"""Annotated files become what a report shows: runs, units with their panels, the model behind them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.annotation import now
from nwb_celltype.classifier import Model
from nwb_celltype.colours import colours_of
from nwb_celltype.errors import UsageError
from nwb_celltype.plotting.trains import ISI_EDGES_MS
from nwb_celltype.reporting.card_words import reliability_of, sections_of
from nwb_celltype.reporting.correlograms import ACG_LAGS_MS, positive_log_lags_ms
from nwb_celltype.reporting.places import Opened, Source, files_of, open_run
from nwb_celltype.reporting.records import (
    Axes,
    FileView,
    ModelView,
    Remark,
    ReportClass,
    ReportView,
    TrainingMap,
    UnitView,
)
from nwb_celltype.reporting.second_look import ModelShelf, SecondLook, features_for, look_again, model_of, parameters_of
from nwb_celltype.reporting.unit_panels import UnitPanels, panels_of, probe_of
from nwb_celltype.reporting.unit_views import Part, paired, unit_views
from nwb_celltype.runs import Run
from nwb_celltype.taxonomy import CEREBELLUM, FOREBRAIN, UNCLASSIFIED
from nwb_celltype.units import Session

if TYPE_CHECKING:
    import xarray as xr

    from nwb_celltype.classifier.neighbourhood import Location
    from nwb_celltype.features.dataset import Progress

Float = NDArray[np.float64]

THRESHOLDS = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))
"""Least probabilities at which coverage is shown, besides that of the run."""

_SENTENCES = re.compile(r"(?<=[.?]) (?=[A-Z0-9'\"])")


def gather(
    source: Source | Sequence[Source],
    *,
    run: str | None = None,
    units_table: str | None = None,
    model: str | Path | None = None,
    units: Sequence[int] | None = None,
    sources: Sequence[Source] = (),
    explain: bool = True,
    progress: Progress | None = None,
) -> ReportView:
    """Read annotated files and compute all that a report shows of them.

    Parameters
    ----------
    source : str or Path, or sequence of them
        Annotated files, folders of them, detached files of labels (their source is looked for beside them), addresses.
    run : str, optional
        Name of the run that is shown; by default the published one of each file.
    units_table : str, optional
        HDF5 path of the units table, where a file has runs about several.
    model : str or Path, optional
        The model that made the run, if it is not found by its name; or one to see labels of people with.
    units : sequence of int, optional
        Ids of the units that are shown, of one file.
    sources : sequence of str or Path
        Files, and folders of files, in which the units of detached labels are looked for.
    explain : bool
        Explain each decision.
    progress : callable, optional
        Told a task, the steps done and the number of steps.

    Returns
    -------
    ReportView

    Raises
    ------
    InputError
        If a file cannot be read, or there is no run in it.
    UsageError
        If there is no such run, units table or unit.

    Examples
    --------
    >>> view = gather("session_celltype.nwb")  # doctest: +SKIP
    >>> len(view.units), view.units[0].label  # doctest: +SKIP
    (11, 'PkC_ss')
    """
    from nwb_celltype import __version__

    paths, notes = files_of(source)
    if units is not None and len(paths) > 1:
        message = f"Unit ids are those of one file, and these are {len(paths)} files; name one file."
        raise UsageError(message)
    shelf = ModelShelf()
    parts = []
    for path in paths:
        with ExitStack() as stack:
            opened = open_run(path, run, units_table, stack, sources)
            if units is not None:
                opened = _only(opened, units)
            parts.append(_part(opened, model, shelf, explain, progress))
    classes = _classes(part.file.run for part in parts)
    labels = [one.label for one in classes[:-1]]
    shown = _main_model(parts)
    located = (
        None if shown is None else next((p.look.location for p in parts if p.model is shown and p.look.location), None)
    )
    views: list[UnitView] = []
    files = []
    for number, part in enumerate(parts):
        extra = []
        if part.model is not None and part.model is not shown:
            extra.append("The units of this file are not on the map, which is that of another model.")
        files.append(replace(part.file, notes=(*part.file.notes, *extra)))
        views += unit_views(part, number, labels, None if part.model is not shown else located)
    explanations = [part.look.explanation for part in parts if part.look.explanation is not None]
    return ReportView(
        title=_title(source, parts),
        created=now(),
        software=f"nwb-celltype {__version__}",
        classes=classes,
        files=tuple(files),
        units=tuple(paired(views)),
        axes=_axes(explanations),
        model=None if shown is None else model_view(shown),
        training_map=None if located is None else _map(located),
        notes=tuple(notes),
    )


def model_view(model: Model) -> ModelView:
    """Describe a model for a page: its card in words, and its calibration."""
    card = model.card
    return ModelView(
        name=str(card["name"]),
        version=str(card["version"]),
        licence=str(card["licence"]),
        weights_sha256=model.weights_sha256,
        sections=sections_of(card),
        reliability=reliability_of(card),
    )


def _part(opened: Opened, asked: Source | None, shelf: ModelShelf, explain: bool, progress: Progress | None) -> Part:
    run, units = opened.run, opened.units
    notes = list(opened.notes)
    look = SecondLook()
    panels: list[UnitPanels] = []
    ids: list[int] = []
    session, probe = Session(path=str(opened.path)), None
    found, why = model_of(run, asked, shelf)
    notes += [why] if why else []
    if units is not None:
        session, probe, ids = units.session, probe_of(units), units.unit_ids.tolist()
        notes += [f"About the units table: {text}." for text in units.table_notes]
        if units.waveform_unit_note:
            notes.append(f"About the waveforms: {units.waveform_unit_note}.")
        features = features_for(units, found, progress)
        panels, said = panels_of(units, features, progress)
        notes += said
        if len(ids) == len(run) and run.input_sha256 and units.sha256() != run.input_sha256:
            notes.insert(
                0,
                "CAUTION: the spike times or waveforms of the file are not those that the run was made from. The "
                "panels show the data of today, the labels are those of the run; annotate again.",
            )
        if found is not None and ids:
            look = look_again(run, units, features, found, explain=explain, progress=progress)
            notes = sorted([*notes, *look.notes], key=lambda note: not note.startswith("CAUTION"))
    status, findings = _verdict(run, look)
    file = FileView(
        name=str(opened.path).rstrip("/").rpartition("/")[2],
        run=run,
        runs=opened.runs,
        session=session,
        source=opened.source,
        parameters=parameters_of(run),
        status=status,
        findings=findings,
        probe_x_um=None if probe is None else probe[:, 0],
        probe_y_um=None if probe is None else probe[:, 1],
        coverage=_coverage(run),
        notes=tuple(notes),
    )
    by_id = dict(zip(ids, panels, strict=True))
    return Part(file, found, look, by_id, {unit_id: k for k, unit_id in enumerate(ids)})


def _axes(explanations: Sequence[xr.Dataset]) -> Axes:
    def axis(dimension: str) -> Float | None:
        found = next((each[dimension].values for each in explanations if dimension in each.coords), None)
        return None if found is None else np.asarray(found, dtype=np.float64)

    return Axes(
        isi_ms=ISI_EDGES_MS,
        acg_ms=ACG_LAGS_MS,
        acg_3d_ms=positive_log_lags_ms(),
        waveform_explained_ms=axis("waveform_time"),
        isi_explained_ms=axis("isi_time"),
        acg_explained_ms=axis("lag"),
    )


def _map(location: Location) -> TrainingMap:
    return TrainingMap(
        xy=np.asarray(location.training_xy, dtype=np.float64),
        label=np.asarray(location.training_label, dtype=str),
        lab=np.asarray(location.training_source, dtype=str),
        axes=(str(location.axes[0]), str(location.axes[1])),
        method=str(location.method),
    )


def _main_model(parts: Sequence[Part]) -> Model | None:
    """Choose the model of most files; the first of those with as many."""
    found = [part.model for part in parts if part.model is not None]
    counts = Counter(id(model) for model in found)
    return max(found, key=lambda model: counts[id(model)], default=None)


def _classes(runs: Iterable[Run]) -> tuple[ReportClass, ...]:
    labels = list(dict.fromkeys(label for run in runs for label in run.classes))
    colours = colours_of([*labels, UNCLASSIFIED])
    classes = []
    for label in labels:
        known = next((taxonomy[label] for taxonomy in (CEREBELLUM, FOREBRAIN) if label in taxonomy), None)
        name, definition = (known.full_name, known.definition) if known else (label, "Label as given; not defined.")
        classes.append(ReportClass(label, name, definition, colours[label]))
    why = "No answer; the reason stands beside the unit."
    return (*classes, ReportClass(UNCLASSIFIED, UNCLASSIFIED, why, colours[UNCLASSIFIED]))


def _coverage(run: Run) -> tuple[tuple[float, int], ...]:
    """How many units would be answered at each threshold; those abstained on for other reasons never are."""
    if run.confidence is None or not len(run):
        return ()
    answerable = np.isin(run.reason, ("", "low_confidence"))
    known = np.where(np.isfinite(run.confidence) & answerable, run.confidence, -1.0)
    own = () if run.confidence_threshold is None else (round(run.confidence_threshold, 4),)
    return tuple((p, int((known >= p).sum())) for p in sorted({*THRESHOLDS, *own}))


def _verdict(run: Run, look: SecondLook) -> tuple[str, tuple[Remark, ...]]:
    """Take the verdict apart; what each sentence is about is known where the same verdict is come to again."""
    status, _, rest = run.verdict.partition(": ")
    fresh = look.annotation.verdict if look.annotation is not None else None
    known = {} if fresh is None else {f.sentence: (f.topic, str(f.severity)) for f in fresh.findings}
    findings = []
    for sentence in sorted(known, key=len, reverse=True):  # a sentence of a finding may be several
        if sentence in rest:
            about, effect = known[sentence]
            findings.append((run.verdict.index(sentence), Remark(sentence, about, effect)))
            rest = rest.replace(sentence, "\n")
    for text in (part.strip() for piece in rest.split("\n") for part in _SENTENCES.split(piece)):
        if text:
            findings.append((run.verdict.index(text), Remark(text)))
    return status, tuple(remark for _, remark in sorted(findings, key=lambda each: each[0]))


def _only(opened: Opened, unit_ids: Sequence[int]) -> Opened:
    """Show some units of the run."""
    at = {unit_id: row for row, unit_id in enumerate(opened.run.unit_ids.tolist())}
    unknown = [str(one) for one in unit_ids if int(one) not in at]
    if unknown:
        message = f"Run {opened.run.name!r} of {opened.path} says nothing about unit {', '.join(unknown)}."
        raise UsageError(message)
    rows = np.array([at[int(one)] for one in dict.fromkeys(unit_ids)], dtype=np.intp)
    run = opened.run
    changed: dict[str, Any] = {}
    for field in fields(run):
        value = getattr(run, field.name)
        if isinstance(value, np.ndarray) and len(value) == len(run):
            changed[field.name] = value[rows]
    if run.evidence is not None:
        changed["evidence"] = tuple(run.evidence[row] for row in rows)
    units = opened.units
    if units is not None:
        known = set(units.unit_ids.tolist())
        units = units.select([one for one in run.unit_ids[rows].tolist() if one in known])
    note = f"{len(rows)} of the {len(run)} units of the run are shown, as asked for."
    # of some units the digest of all cannot be checked
    return replace(opened, run=replace(run, input_sha256="", **changed), units=units, notes=(*opened.notes, note))


def _title(source: Source | Sequence[Source], parts: Sequence[Part]) -> str:
    if len(parts) == 1:
        session = parts[0].file.session
        return session.session_id or parts[0].file.name
    place = f" in {Path(source).name}" if isinstance(source, str | Path) and Path(source).name else ""
    return f"{len(parts)} recordings{place}"
