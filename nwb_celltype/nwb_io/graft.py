"""Put an annotation run into an NWB file without rewriting anything that is there.

pynwb's own append changes more than it adds (the schema version, attributes of the electrodes, further cached
specifications). So the run is written by pynwb into a file in memory, and its groups are then copied over. Object
references are pointed at the objects of the same path in the file.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import h5py  # type: ignore[import-untyped,unused-ignore]
import numpy as np

from nwb_celltype.errors import InputError
from nwb_celltype.nwb_io.old_schema import help_text, is_older_than, speak_old_schema
from nwb_celltype.runs import CONTAINER_PATH

if TYPE_CHECKING:
    from nwb_celltype.annotation import Annotation

_MODULE_PATH = CONTAINER_PATH.rsplit("/", 1)[0]
_NAMESPACE = "ndx-cell-type"
_MOST_STEPS = 64
_MODULE_ATTRIBUTES = {
    "description": "processed extracellular electrophysiology data",
    "namespace": "core",
    "neurodata_type": "ProcessingModule",
}


@dataclass(frozen=True)
class Place:
    """Where a run goes.

    Attributes
    ----------
    name : str
        Name of the run.
    units_path : str
        HDF5 path of the units table that was annotated; empty where the units are in another file, and the run is
        then written without the column that points to them.
    units_object_id : str
        Its NWB object id, empty for a file that has none.
    source_identifier : str
        `identifier` of the file that holds the units.
    all_unit_ids : (n,) array
        Ids of every unit of the table, in its order; not looked at where the units are in another file.
    file_name : str
        What messages call the file, which is changed under another name.
    """

    name: str
    units_path: str
    units_object_id: str
    source_identifier: str
    all_unit_ids: np.ndarray
    file_name: str = "The file"


def graft(path: Path, annotation: Annotation, place: Place) -> None:
    """Add one run to the NWB file at `path`.

    Raises
    ------
    InputError
        If a run of that name, or something that is no annotation container, is already there; or if the extension
        refuses the run.
    """
    with h5py.File(path, "r+") as file:
        _require_place(file, place)
        classes = _class_table_name(file, annotation)
        with _scratch_file(annotation, place, classes) as scratch:
            _copy_run(scratch, file, place)


def _copy_run(scratch: Any, file: Any, place: Place) -> None:
    container = _container(file, scratch)
    copied = [name for name in scratch[CONTAINER_PATH] if name not in container]  # classes may be there: shared
    for name in copied:
        scratch.copy(scratch[f"{CONTAINER_PATH}/{name}"], container, name=name)
    for name in copied:
        _point_references(scratch, f"{CONTAINER_PATH}/{name}", file, place.units_path)
        if is_older_than(file, 2, 2):
            speak_old_schema(container[name], file)
    _cache_specification(file, scratch)


def load_writer() -> None:
    """Import what `graft` writes with, which takes a second, while there is something else to wait for."""
    import_module("ndx_cell_type")


def free_run_name(path: Path, wanted: str) -> str:
    """Return `wanted`, or with ``_2``, ``_3`` and so on if that or a name that goes with it is taken in the file."""
    with h5py.File(path, "r") as file:
        container = file.get(CONTAINER_PATH)
        taken = set(container) if isinstance(container, h5py.Group) else set()
    names = (wanted if number == 1 else f"{wanted}_{number}" for number in count(1))
    return next(name for name in names if taken.isdisjoint(_names_of_run(name)))


def _names_of_run(name: str) -> tuple[str, str, str]:
    """Names in the container that a run takes: its own, its method's and its evidence's."""
    return name, f"{name}_method", f"{name}_evidence"


def _scratch_file(annotation: Annotation, place: Place, classes_name: str) -> Any:
    """Write the run with pynwb into an HDF5 file that lives in memory, as part of an otherwise empty NWB file."""
    from ndx_cell_type import CellTypeAnnotations
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.core import ElementIdentifiers
    from pynwb.misc import Units as UnitsTable

    nwb = NWBFile(session_description="run", identifier=str(uuid4()), session_start_time=datetime.now(UTC))
    if place.units_path:
        ids = ElementIdentifiers(name="id", data=np.asarray(place.all_unit_ids))
        nwb.units = UnitsTable(name="units", description="stand-in", id=ids)

    container = CellTypeAnnotations()
    nwb.create_processing_module("ecephys", _MODULE_ATTRIBUTES["description"]).add(container)
    try:
        container.add_run(_table(annotation, place, classes_name, nwb.units))
    except ValueError as error:  # the extension's own rules, in sentences
        message = f"The run {place.name!r} cannot be stored: {error}"
        raise InputError(message) from error
    memory = io.BytesIO()
    with NWBHDF5IO(file=h5py.File(memory, "w"), mode="w") as writer:
        writer.write(nwb)
    return h5py.File(memory, "r")


def _table(annotation: Annotation, place: Place, classes_name: str, units: Any) -> Any:
    """Make the extension's table of an annotation."""
    from ndx_cell_type import (
        CellTypeAnnotationMethod,
        CellTypeAnnotationTable,
        CellTypeClassTable,
        CellTypeEvidenceTable,
    )

    run_name, method_name, evidence_name = _names_of_run(place.name)
    classes = CellTypeClassTable.from_rows(
        name=classes_name,
        description=annotation.taxonomy.description,
        taxonomy_name=annotation.taxonomy.name,
        taxonomy_version=annotation.taxonomy.version,
        rows=_class_rows(annotation),
    )
    fields = {key: value for key, value in annotation.method.fields.items() if value not in ("", None)}
    method = CellTypeAnnotationMethod(name=method_name, source_type=annotation.method.source_type, **fields)
    evidence_rows = [row for rows_ in annotation.evidence or () for row in rows_]
    evidence_table, evidence = None, None
    if evidence_rows:
        evidence_table = CellTypeEvidenceTable.from_rows(
            name=evidence_name, description=f"Evidence for the run {run_name}.", rows=evidence_rows
        )
        counts = np.cumsum([0, *(len(r) for r in annotation.evidence or ())])
        evidence = [list(range(a, b)) for a, b in pairwise(counts)]
    run = CellTypeAnnotationTable.from_columns(
        name=run_name,
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
        units=units,
        created=annotation.created,
        input_sha256=annotation.input_sha256,
        source_identifier=place.source_identifier,
        supersedes=annotation.supersedes or None,
        confidence_threshold=annotation.confidence_threshold,
        verdict=annotation.verdict.sentence if annotation.verdict else None,
    )
    # `from_columns` notes the stand-in's id; the run belongs to the table of the file, which may have none.
    run.fields["units_object_id"] = place.units_object_id or None
    return run


_CLASS_COLUMNS = (
    "label",
    "full_name",
    "definition",
    "ontology_id",
    "ontology_label",
    "mapping_relation",
    "parent_label",
)


def _class_rows(annotation: Annotation) -> list[dict[str, str]]:
    return [{column: getattr(c, column) for column in _CLASS_COLUMNS} for c in annotation.taxonomy.classes]


def _class_table_name(file: Any, annotation: Annotation) -> str:
    """Name of the class table: that of an equal one already in the file, else one that is free."""
    base = f"{annotation.taxonomy.name}_classes"
    container = file.get(CONTAINER_PATH, {})
    names = (base if number == 1 else f"{base}_{number}" for number in count(1))
    return next(n for n in names if n not in container or _same_classes(container[n], annotation))


def _same_classes(group: Any, annotation: Annotation) -> bool:
    taxonomy, attributes = annotation.taxonomy, group.attrs
    if attributes.get("neurodata_type") != "CellTypeClassTable":
        return False
    if (attributes.get("taxonomy_name"), attributes.get("taxonomy_version")) != (taxonomy.name, taxonomy.version):
        return False
    rows = _class_rows(annotation)
    for column in _CLASS_COLUMNS:
        stored = [v.decode() if isinstance(v, bytes) else v for v in group[column][()]] if column in group else None
        if stored != [row[column] for row in rows]:
            return False
    return True


def _require_place(file: Any, place: Place) -> None:
    """Refuse a file in which the run has no place of its own.

    Raises
    ------
    InputError
        Saying what is there instead.
    """
    for where, kind in ((_MODULE_PATH, "ProcessingModule"), (CONTAINER_PATH, "CellTypeAnnotations")):
        found = _node(file, where, place.file_name)
        if found is not None and (not isinstance(found, h5py.Group) or _type(found) != kind):
            message = f"{place.file_name} has {_type(found) or 'something'} at {where}, where a {kind} is needed; "
            raise InputError(message + "annotations cannot be added.")
    if place.units_path:
        _node(file, place.units_path, place.file_name)
    container = file.get(CONTAINER_PATH, {})
    for name in _names_of_run(place.name):
        if name in container:
            message = f"{place.file_name} already has {name!r} among its annotations; runs are never overwritten."
            raise InputError(message)


def _node(file: Any, where: str, file_name: str) -> Any:
    """Object at a path, `None` where there is nothing; it must be in this very file.

    Links into other files are not followed: HDF5 would open those for writing, and that alone changes them.

    Raises
    ------
    InputError
        If a link on the way leads to another file, or nowhere.
    """
    node, left, followed = file, where.strip("/").split("/"), ""
    for _ in range(_MOST_STEPS):
        if not left:
            return node
        link = node.get(left[0], getlink=True) if isinstance(node, h5py.Group) else None
        if isinstance(link, h5py.ExternalLink):
            message = f"{where} of {file_name} is a link into {link.filename}; annotate that file instead."
            raise InputError(message)
        if isinstance(link, h5py.SoftLink):
            node, left = (file if link.path.startswith("/") else node), [*link.path.strip("/").split("/"), *left[1:]]
            followed = link.path
        elif link is None and followed:
            message = f"{where} of {file_name} is a link to {followed}, which is not there; mend the file."
            raise InputError(message)
        elif link is None:
            return None
        else:
            node, left = node[left[0]], left[1:]
    message = f"The links at {where} of {file_name} lead in a circle; mend the file."
    raise InputError(message)


def _type(node: Any) -> str:
    value = node.attrs.get("neurodata_type", "")
    return value.decode() if isinstance(value, bytes) else str(value)


def _container(file: Any, scratch: Any) -> Any:
    """Find the annotation container of the file, made (and its processing module with it) if it is not there."""
    for path in (_MODULE_PATH, CONTAINER_PATH):
        if path not in file:
            group = file.create_group(path)
            for key, value in scratch[path].attrs.items():
                group.attrs[key] = value
            if is_older_than(file, 2, 1):
                group.attrs["help"] = help_text(group.attrs["neurodata_type"])
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


def _cache_specification(file: Any, scratch: Any) -> None:
    """Store the extension's specification, so that the file opens where the extension is not installed."""
    specifications = file.require_group("/specifications")
    if ".specloc" not in file.attrs:
        file.attrs.create(".specloc", specifications.ref, dtype=h5py.ref_dtype)
    # Readers look for what it builds on among the cached specifications, once there are any.
    needed = {_NAMESPACE} if "core" in specifications else set(scratch["/specifications"])
    for name in needed:
        namespace = specifications.require_group(name)
        for version in scratch[f"/specifications/{name}"]:
            if version not in namespace:
                scratch.copy(f"/specifications/{name}/{version}", namespace, name=version)
