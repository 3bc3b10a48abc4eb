"""Detached files: the labels of a session's units in a small NWB file of their own, without the units."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import h5py  # type: ignore[import-untyped,unused-ignore]
import numpy as np

from nwb_celltype.annotation import SOFTWARE_URL, Annotation
from nwb_celltype.archive import keywords
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.licences import why_refused
from nwb_celltype.nwb_io.graft import Place, graft
from nwb_celltype.nwb_io.safe_write import OnPhase, create_safely
from nwb_celltype.nwb_io.session_copies import SessionCopy, read_session_copy, require_nwb
from nwb_celltype.nwb_io.stored_runs import StoredRun, read_stored
from nwb_celltype.nwb_io.validation import require_same_answers, validator_messages
from nwb_celltype.provenance import DESCRIPTIONS, SOURCE_PATH, SourceAsset, is_detached, read_source
from nwb_celltype.units import open_source
from nwb_celltype.units.hdf5 import attribute

__all__ = ["SessionCopy", "detach", "read_session_copy", "write_detached"]

_SPECIFICATIONS = ("core", "hdmf-common", "hdmf-experimental")
_MOMENTS = ("session_start_time", "timestamps_reference_time")


def write_detached(
    target: str | Path,
    annotations: Sequence[Annotation],
    session: SessionCopy,
    source: SourceAsset,
    *,
    replaces: bool = False,
    on_phase: OnPhase = lambda _: None,
) -> Path:
    """Write annotations of units that are in another file to an NWB file of their own.

    The file holds one run an annotation, keyed by `unit_id`, the identifier of the source and the object id of its
    units table, further the source's session and subject and a record of where the source is. It has no units
    table. Written again from the same data with the same model it has the same identifier.

    Parameters
    ----------
    target : str or Path
        Its folder is made if need be.
    annotations : sequence of Annotation
        Runs of the same name are told apart by ``_2``, ``_3`` and so on.
    session : SessionCopy
        Of the source; from `read_session_copy`.
    source : SourceAsset
        Where the units are. `identifier` is the session's where it is empty.
    replaces : bool
        Whether an existing file may be replaced.
    on_phase : callable, optional
        Told the name of each phase of writing as it begins.

    Returns
    -------
    Path
        The file that was written, links resolved.

    Raises
    ------
    UsageError
        If there are no annotations.
    InputError
        If the session lacks what an NWB file must state, or the validator finds the new file wrong.
    RefusedError
        If the file exists and may not be replaced.

    Examples
    --------
    >>> write_detached("labels.nwb", [annotation], session, SourceAsset(identifier="s1"))  # doctest: +SKIP
    PosixPath('/data/labels.nwb')
    """
    target = Path(target).expanduser()
    if not annotations:
        message = f"No annotations were given to write to {target}."
        raise UsageError(message)
    source = source if source.identifier else replace(source, identifier=session.identifier)
    if session.licence and not why_refused(source.licence):  # the strictest word about the data counts
        source = replace(source, licence=session.licence)
    require_nwb(session, source.address or source.path or f"The source of {target}")
    named = _distinct_names(annotations)

    def write(path: Path) -> None:
        _write_frame(path, session, source, named)
        for annotation in named:
            place = Place(
                name=annotation.run_name,
                units_path="",
                units_object_id=source.units_object_id,
                source_identifier=source.identifier,
                all_unit_ids=annotation.unit_ids,
                file_name=target.name,
            )
            graft(path, annotation, place)

    def validate(path: Path) -> None:
        found = validator_messages(path)
        if found:
            listed = "\n  ".join(found[:10])
            message = f"{target} would not be a valid NWB file; it was not written:\n  {listed}"
            raise InputError(message)
        for annotation in named:
            require_same_answers(path, annotation.run_name, annotation)
        if read_source(path) != source:
            message = f"The source in {target} reads back differently from what was written. Please report this."
            raise InputError(message)

    return create_safely(target, write, validate, on_phase, replaces=replaces)


def detach(
    file: str | Path | h5py.File,
    target: str | Path,
    source: SourceAsset,
    *,
    runs: Sequence[str] | None = None,
    replaces: bool = False,
    on_phase: OnPhase = lambda _: None,
) -> Path:
    """Write the runs inside an annotated file to a detached file.

    Of a remote file only the runs and a few facts about the session are read. What the extension does not define
    (columns that somebody added, evidence's rows in tables of pulses) stays behind.

    Parameters
    ----------
    file : str or Path or h5py.File
        The annotated NWB file, or its address; one that is open stays open.
    target : str or Path
        The detached file; its folder is made if need be.
    source : SourceAsset
        Where the units are. What it does not state about identifier and units table is read from `file`.
    runs : sequence of str, optional
        Names of the runs; all by default.
    replaces, on_phase
        As for `write_detached`.

    Returns
    -------
    Path

    Raises
    ------
    UsageError
        If there is no run of a name, or the runs are of several units tables.
    InputError
        If the file holds no runs or is detached itself; also as `write_detached`.
    RefusedError
        If the target exists and may not be replaced.

    Examples
    --------
    >>> detach("session_celltype.nwb", "labels.nwb", SourceAsset(path="session.nwb"))  # doctest: +SKIP
    PosixPath('/data/labels.nwb')
    """
    name = (source.address or str(file.filename)) if isinstance(file, h5py.File) else str(file)
    with nullcontext(file) if isinstance(file, h5py.File) else open_source(file) as opened:
        if is_detached(opened):
            message = f"{name} holds detached labels already; copy the file."
            raise InputError(message)
        stored = read_stored(opened, name, runs)
        source = _stated(source, opened, stored, name)
        session = read_session_copy(opened, name)
    annotations = [one.annotation for one in stored]
    return write_detached(target, annotations, session, source, replaces=replaces, on_phase=on_phase)


def _stated(source: SourceAsset, opened: Any, stored: Sequence[StoredRun], name: str) -> SourceAsset:
    """Fill in what the file knows about its units table."""
    tables = sorted({one.run.units_path for one in stored if one.run.units_path})
    if len(tables) > 1:
        message = f"The runs of {name} are about {len(tables)} units tables ({', '.join(tables)}); choose some by name."
        raise UsageError(message)
    units_path = source.units_path or (tables[0] if tables else "")
    stated = next((one.run.units_object_id for one in stored if one.run.units_object_id), "")
    table = opened.get(units_path) if units_path else None
    stored_id = attribute(table, "object_id") if isinstance(table, h5py.Group) else ""
    return replace(source, units_path=units_path, units_object_id=source.units_object_id or stated or stored_id)


def _distinct_names(annotations: Sequence[Annotation]) -> list[Annotation]:
    taken: set[str] = set()
    named = []
    for annotation in annotations:
        wanted = annotation.run_name
        names = (wanted if number == 1 else f"{wanted}_{number}" for number in count(1))
        name = next(name for name in names if taken.isdisjoint((name, f"{name}_method", f"{name}_evidence")))
        taken |= {name, f"{name}_method", f"{name}_evidence"}
        named.append(replace(annotation, run_name=name))
    return named


def identifier_of(source: SourceAsset, annotations: Sequence[Annotation]) -> str:
    """Identifier of a detached file: the same for the same units annotated by the same means."""
    parts = [SOFTWARE_URL, source.identifier, source.units_object_id]
    for one in annotations:
        fields = one.method.fields
        means = fields.get("weights_sha256") or "|".join(one.cell_type.tolist())
        threshold = "" if one.confidence_threshold is None else repr(float(one.confidence_threshold))
        parts += [one.run_name, one.method.source_type, one.input_sha256, str(means), threshold]
    return str(uuid5(NAMESPACE_URL, "\n".join(parts)))


def _write_frame(path: Path, session: SessionCopy, source: SourceAsset, annotations: Sequence[Annotation]) -> None:
    """Write everything but the runs."""
    from hdmf.common import DynamicTable, VectorData
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.file import Subject

    from nwb_celltype import __version__

    origin = source.address or source.path or source.identifier
    start = _moment(session.session_start_time, "session_start_time", origin)
    publications = list(session.related_publications)
    doi = source.doi.removeprefix("https://doi.org/").removeprefix("doi:")
    if doi and not any(doi in text for text in publications):
        publications.append(f"doi:{doi}")
    nwb = NWBFile(
        session_description=session.session_description,
        identifier=identifier_of(source, annotations),
        session_start_time=start,
        session_id=session.session_id or None,
        experimenter=list(session.experimenters) or None,
        lab=session.lab or None,
        institution=session.institution or None,
        related_publications=publications or None,
        keywords=_keywords(session, annotations),
        notes=f"Cell type labels of the units of {origin}, without the units: rows are keyed by the ids of that file.",
        source_script=f"nwb-celltype {__version__}, {SOFTWARE_URL}",
        source_script_file_name="nwb-celltype",
        was_generated_by=[["nwb-celltype", __version__]],
    )
    facts: dict[str, Any] = session.subject
    if facts:
        if "date_of_birth" in facts:
            facts["date_of_birth"] = _moment(facts["date_of_birth"], "subject's date_of_birth", origin)
        nwb.subject = Subject(**facts)
    columns = [
        VectorData(
            name=name,
            description=DESCRIPTIONS[name],
            data=np.array([value], dtype=np.int64) if isinstance(value, int) else [value],
        )
        for name, value in source.to_row().items()
    ]
    nwb.add_scratch(
        DynamicTable(
            name=SOURCE_PATH.rsplit("/", 1)[-1],
            description="Where the units are that the labels in this file belong to.",
            columns=columns,
        )
    )
    with h5py.File(path, "w") as file, NWBHDF5IO(file=file, mode="w") as writer:
        writer.write(nwb)
    with h5py.File(path, "r+") as file:
        _keep_moments(file, session)
        for name in set(file["specifications"]) - set(_SPECIFICATIONS):
            del file["specifications"][name]  # of extensions that happen to be imported


def _keywords(session: SessionCopy, annotations: Sequence[Annotation]) -> list[str]:
    """The source's keywords, and those by which labels are found; an archive reads them from the file."""
    labels = sorted({label for one in annotations for label in one.cell_type[~one.is_abstained].tolist()})
    sources = sorted({one.method.source_type for one in annotations})
    ours = [keywords.LABELS, keywords.DETACHED, *map(keywords.source_keyword, sources)]
    return list(dict.fromkeys([*session.keywords, *ours, *map(keywords.class_keyword, labels)]))


def _moment(text: str, what: str, origin: str) -> datetime:
    """Time as pynwb takes it; the stored text is put in its place afterwards.

    Raises
    ------
    InputError
        If it is no moment.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"The {what} of {origin} is {text!r}, which is no ISO 8601 date; correct the source."
        raise InputError(message) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _keep_moments(file: Any, session: SessionCopy) -> None:
    """Put the source's own texts where pynwb wrote times, so that no time zone is lost or invented."""
    texts = {name: session.session_start_time for name in _MOMENTS}
    texts["general/subject/date_of_birth"] = session.date_of_birth
    for name, text in texts.items():
        if name in file and text:
            file[name][()] = text
