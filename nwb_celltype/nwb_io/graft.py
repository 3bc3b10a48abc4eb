"""Put an annotation run into an NWB file without rewriting anything that is there.

pynwb's own append changes more than it adds (the schema version, attributes of the electrodes, further cached
specifications). So the run is written by pynwb into a file in memory, and its groups are then copied over. Object
references are pointed at the objects of the same path in the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import h5py  # type: ignore[import-untyped,unused-ignore]
import numpy as np

from nwb_celltype.errors import InputError
from nwb_celltype.runs import CONTAINER_PATH

if TYPE_CHECKING:
    from nwb_celltype.annotation import Annotation

_MODULE_PATH = CONTAINER_PATH.rsplit("/", 1)[0]
_NAMESPACE = "ndx-cell-type"
_MODULE_ATTRIBUTES = {
    "description": "processed extracellular electrophysiology data",
    "namespace": "core",
    "neurodata_type": "ProcessingModule",
}


# The texts that the schemas before 2.1 prescribe.
_HELP_BEFORE_2_1 = {
    "ProcessingModule": "A collection of analysis outputs from processing of data",
    "VectorData": "Values for a list of elements",
    "VectorIndex": "indexes into a list of values for a list of elements",
    "ElementIdentifiers": "unique identifiers for a list of elements",
    "DynamicTableRegion": "a subset (i.e. slice or region) of a DynamicTable",
}


@dataclass(frozen=True)
class Place:
    """Where a run goes.

    Attributes
    ----------
    name : str
        Name of the run.
    units_path : str
        HDF5 path of the units table that was annotated.
    units_object_id : str
        Its NWB object id, empty for a file that has none.
    source_identifier : str
        `identifier` of the file.
    all_unit_ids : (n,) array
        Ids of every unit of the table, in its order.
    """

    name: str
    units_path: str
    units_object_id: str
    source_identifier: str
    all_unit_ids: np.ndarray


def graft(path: Path, annotation: Annotation, place: Place) -> None:
    """Add one run to the NWB file at `path`.

    Raises
    ------
    InputError
        If a run of that name, or something that is no annotation container, is already there.
    """
    with h5py.File(path, "r+") as file, _scratch_file(annotation, place, file) as scratch:
        _require_place(file, place, path)
        container = _container(file, scratch)
        copied = []
        for name in scratch[CONTAINER_PATH]:
            if name not in container:  # a class table that is there already is shared
                scratch.copy(scratch[f"{CONTAINER_PATH}/{name}"], container, name=name)
                copied.append(name)
        for name in copied:
            _point_references(scratch, f"{CONTAINER_PATH}/{name}", file, place.units_path)
            if is_older_than(file, 2, 2):
                _speak_old_schema(container[name], file)
        _cache_specification(file, scratch)


def mirror_columns(path: Path, annotation: Annotation, place: Place) -> list[str]:
    """Write the run as plain columns of the units table, for readers that know nothing else.

    Parameters
    ----------
    path : Path
    annotation : Annotation
    place : Place
        The columns are called ``<run>_cell_type`` and, for classifier runs, ``<run>_confidence``.

    Returns
    -------
    list of str
        Names of the new columns.

    Raises
    ------
    InputError
        If a column of that name is already there; it is never touched.
    """
    rows = {int(i): k for k, i in enumerate(annotation.unit_ids)}
    order = [rows.get(int(i)) for i in place.all_unit_ids]
    columns: dict[str, tuple[str, Any]] = {
        f"{place.name}_cell_type": (
            f"Cell type from the annotation run {place.name!r}; empty where the run does not name the unit.",
            np.array(["" if k is None else str(annotation.cell_type[k]) for k in order], dtype=object),
        )
    }
    if annotation.confidence is not None:
        values = annotation.confidence
        columns[f"{place.name}_confidence"] = (
            f"Confidence of the annotation run {place.name!r}; NaN where there is none.",
            np.array([np.nan if k is None else values[k] for k in order], dtype=np.float32),
        )
    with h5py.File(path, "r+") as file:
        table = file[place.units_path]
        taken = [name for name in columns if name in table]
        if taken:
            message = f"{path.name} already has the units column {taken[0]!r}; columns are never overwritten."
            raise InputError(message)
        for name, (description, data) in columns.items():
            dtype = h5py.string_dtype() if data.dtype == object else data.dtype
            dataset = table.create_dataset(name, data=data, dtype=dtype, maxshape=(None,), chunks=True)
            dataset.attrs["description"] = description
            dataset.attrs["namespace"] = "core" if is_older_than(file, 2, 2) else "hdmf-common"
            dataset.attrs["neurodata_type"] = "VectorData"
            dataset.attrs["object_id"] = str(uuid4())
            if is_older_than(file, 2, 1):
                dataset.attrs["help"] = _HELP_BEFORE_2_1["VectorData"]
        names = [n.decode() if isinstance(n, bytes) else str(n) for n in table.attrs["colnames"]] + list(columns)
        # Names of fixed length, as old files have them, must be made longer, not cut.
        old = h5py.check_string_dtype(table.attrs.get_id("colnames").dtype)
        fixed = np.array(names, dtype="S") if old is not None and old.length is not None else None
        table.attrs.create(
            "colnames", names if fixed is None else fixed, dtype=None if fixed is not None else h5py.string_dtype()
        )
    return list(columns)


def _scratch_file(annotation: Annotation, place: Place, file: Any) -> Any:
    """Write the run with pynwb into an HDF5 file that lives in memory, as part of an otherwise empty NWB file."""
    from ndx_cell_type import (
        CellTypeAnnotationMethod,
        CellTypeAnnotations,
        CellTypeAnnotationTable,
        CellTypeClassTable,
        CellTypeEvidenceTable,
    )
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.core import ElementIdentifiers
    from pynwb.misc import Units as UnitsTable

    nwb = NWBFile(session_description="run", identifier=str(uuid4()), session_start_time=datetime.now(UTC))
    nwb.units = UnitsTable(
        name="units", description="stand-in", id=ElementIdentifiers(name="id", data=np.asarray(place.all_unit_ids))
    )
    container = CellTypeAnnotations()
    nwb.create_processing_module("ecephys", _MODULE_ATTRIBUTES["description"]).add(container)
    rows = [_class_row(c) for c in annotation.taxonomy.classes]
    classes = CellTypeClassTable.from_rows(
        name=_class_table_name(file, annotation, rows),
        description=annotation.taxonomy.description,
        taxonomy_name=annotation.taxonomy.name,
        taxonomy_version=annotation.taxonomy.version,
        rows=rows,
    )
    fields = {key: value for key, value in annotation.method.fields.items() if value not in ("", None)}
    method = CellTypeAnnotationMethod(name=f"{place.name}_method", source_type=annotation.method.source_type, **fields)
    evidence_rows = [row for rows_ in annotation.evidence or () for row in rows_]
    evidence_table, evidence = None, None
    if evidence_rows:
        evidence_table = CellTypeEvidenceTable.from_rows(
            name=f"{place.name}_evidence", description=f"Evidence for the run {place.name}.", rows=evidence_rows
        )
        counts = np.cumsum([0, *(len(r) for r in annotation.evidence or ())])
        evidence = [list(range(a, b)) for a, b in pairwise(counts)]
    run = CellTypeAnnotationTable.from_columns(
        name=place.name,
        description=annotation.description,
        classes=classes,
        method=method,
        unit_id=annotation.unit_ids,
        cell_type=annotation.cell_type,
        is_abstained=annotation.is_abstained,
        probability=annotation.probability,
        confidence=annotation.confidence,
        ood_score=annotation.ood_score,
        reason=annotation.reason,
        reason_detail=annotation.reason_detail,
        cell_id=annotation.cell_id,
        split=annotation.split,
        evidence=evidence,
        evidence_table=evidence_table,
        units=nwb.units,
        created=annotation.created,
        input_sha256=annotation.input_sha256,
        source_identifier=place.source_identifier,
        supersedes=annotation.supersedes or None,
        confidence_threshold=annotation.confidence_threshold,
        verdict=annotation.verdict.sentence if annotation.verdict else None,
    )
    # `from_columns` notes the stand-in's id; the run belongs to the table of the file, which may have none.
    run.fields["units_object_id"] = place.units_object_id or None
    container.add_run(run)
    scratch = h5py.File(f"{place.name}.nwb", "w", driver="core", backing_store=False)
    with NWBHDF5IO(file=scratch, mode="w") as io:
        io.write(nwb)
        scratch = h5py.File(_bytes_of(scratch), "r")
    return scratch


def _bytes_of(file: Any) -> Any:
    import io

    file.flush()
    return io.BytesIO(file.id.get_file_image())


def _class_row(cell_class: Any) -> dict[str, str]:
    return {
        "label": cell_class.label,
        "full_name": cell_class.full_name,
        "definition": cell_class.definition,
        "ontology_id": cell_class.ontology_id,
        "ontology_label": cell_class.ontology_label,
        "mapping_relation": cell_class.mapping_relation,
        "parent_label": cell_class.parent_label,
    }


def _class_table_name(file: Any, annotation: Annotation, rows: Sequence[Mapping[str, str]]) -> str:
    """Name of the class table: that of an equal one already in the file, else one that is free."""
    base = f"{annotation.taxonomy.name}_classes"
    container = file.get(CONTAINER_PATH)
    if container is None:
        return base
    number = 1
    while True:
        name = base if number == 1 else f"{base}_{number}"
        if name not in container or _same_classes(container[name], rows, annotation):
            return name
        number += 1


def _same_classes(group: Any, rows: Sequence[Mapping[str, str]], annotation: Annotation) -> bool:
    if group.attrs.get("neurodata_type") != "CellTypeClassTable":
        return False
    if group.attrs.get("taxonomy_version") != annotation.taxonomy.version:
        return False
    for column in rows[0]:
        stored = [v.decode() if isinstance(v, bytes) else v for v in group[column][()]] if column in group else None
        if stored != [row[column] for row in rows]:
            return False
    return True


def _require_place(file: Any, place: Place, path: Path) -> None:
    existing = file.get(CONTAINER_PATH)
    if existing is not None and existing.attrs.get("neurodata_type") != "CellTypeAnnotations":
        message = (
            f"{path.name} has something else at {CONTAINER_PATH} (type {existing.attrs.get('neurodata_type')!r}); "
            "annotations cannot be added."
        )
        raise InputError(message)
    if existing is not None and place.name in existing:
        message = f"{path.name} already has a run {place.name!r}; runs are never overwritten."
        raise InputError(message)
    module = file.get(_MODULE_PATH)
    if module is not None and module.attrs.get("neurodata_type") != "ProcessingModule":
        message = (
            f"{path.name} has something at {_MODULE_PATH} that is no processing module; annotations need one there."
        )
        raise InputError(message)


def _container(file: Any, scratch: Any) -> Any:
    """Find the annotation container of the file, made (and its processing module with it) if it is not there."""
    for path in (_MODULE_PATH, CONTAINER_PATH):
        if path not in file:
            group = file.create_group(path)
            for key, value in scratch[path].attrs.items():
                group.attrs[key] = value
            if is_older_than(file, 2, 1):
                group.attrs["help"] = _HELP_BEFORE_2_1.get(group.attrs["neurodata_type"], "Cell types of units")
    return file[CONTAINER_PATH]


def _point_references(scratch: Any, path: str, file: Any, units_path: str) -> None:
    """Rewrite the object references below `path`: those to the stand-in units go to the units of the file."""

    def mend(name: str) -> None:
        for key, value in scratch[name].attrs.items():
            if isinstance(value, h5py.Reference) and value:
                target = scratch[value].name
                file[name].attrs.create(
                    key, file[units_path if target == "/units" else target].ref, dtype=h5py.ref_dtype
                )

    mend(path)
    scratch[path].visit(lambda name: mend(f"{path}/{name}"))


def _speak_old_schema(group: Any, file: Any) -> None:
    """Write what schemas older than 2.2 ask for and later ones dropped, or their validator complains.

    Before 2.2 the list of columns is ASCII; before 2.1 every object carries a `help` text.
    """
    members = [group]
    group.visititems(lambda _, member: members.append(member))
    for member in members:
        if is_older_than(file, 2, 2) and "colnames" in member.attrs:
            member.attrs["colnames"] = np.array([str(n) for n in member.attrs["colnames"]], dtype="S")
        kind = member.attrs.get("neurodata_type")
        if is_older_than(file, 2, 1) and kind is not None:
            member.attrs["help"] = _HELP_BEFORE_2_1.get(kind, "Cell types of units")


def is_older_than(file: Any, major: int, minor: int) -> bool:
    """Whether an open NWB file follows a schema older than this; one that does not say is not."""
    version = file.attrs.get("nwb_version", "")
    text = (version.decode() if isinstance(version, bytes) else str(version)).removeprefix("NWB-")
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    return bool(numbers) and numbers < (major, minor)


def _cache_specification(file: Any, scratch: Any) -> None:
    """Store the extension's specification, so that the file opens where the extension is not installed."""
    specifications = file.require_group("/specifications")
    if ".specloc" not in file.attrs:
        file.attrs.create(".specloc", specifications.ref, dtype=h5py.ref_dtype)
    for version in scratch["/specifications"][_NAMESPACE]:
        namespace = specifications.require_group(_NAMESPACE)
        if version not in namespace:
            scratch.copy(f"/specifications/{_NAMESPACE}/{version}", namespace, name=version)
