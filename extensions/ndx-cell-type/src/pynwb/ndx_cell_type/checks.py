"""Checks of stored annotations: each takes a table (or container) and returns what is wrong, as sentences.

Constructors refuse bad annotations, but a file may be written by other programs, and units may change after a
run was made. `register` makes the checks known to nwbinspector; nothing is registered by importing this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import h5py
from hdmf.common import DynamicTable

from . import rules
from ._columns import plain, region_target, values_of
from ._namespace import NAMESPACE
from .annotation_table import CellTypeAnnotationTable, run_columns
from .classes import CellTypeClassTable
from .container import CellTypeAnnotations
from .evidence import CellTypeEvidenceTable, evidence_problems
from .method import CellTypeAnnotationMethod


def check_probability_rows(table: CellTypeAnnotationTable) -> list[str]:
    """Rows of `probability` sum to 1 within 1e-4 and lie in 0 to 1, or are all NaN on an abstained unit."""
    run = run_columns(table)
    counts = rules.class_count_problems(run)
    return [problem for problem in rules.probability_problems(run) if problem not in counts]


def check_probability_classes(table: CellTypeAnnotationTable) -> list[str]:
    """`probability` has one column a class, in the order of the class table as far as the labels tell."""
    run = run_columns(table)
    return rules.class_count_problems(run) + rules.class_order_problems(run)


def check_labels(table: CellTypeAnnotationTable) -> list[str]:
    """Every label is in the class table or 'unclassified', every split in the closed list, every unit there once."""
    run = run_columns(table)
    return rules.unit_problems(run) + rules.label_problems(run) + rules.split_problems(run)


def check_abstention(table: CellTypeAnnotationTable) -> list[str]:
    """'unclassified' exactly where abstained, with a reason of the closed list."""
    return rules.abstention_problems(run_columns(table))


def check_run_attributes(table: CellTypeAnnotationTable) -> list[str]:
    """`created` is a date with a time zone, and the run has its class table and its method."""
    problems = []
    if rules.parse_created(table.created) is None:
        problems.append(f"`created` is {table.created!r}, not ISO 8601 with a time zone")
    if not isinstance(table.classes, CellTypeClassTable):
        problems.append("the link to the class table is missing or broken")
    if not isinstance(table.method, CellTypeAnnotationMethod):
        problems.append("the link to the method is missing or broken")
    return problems


def check_units_link(table: CellTypeAnnotationTable) -> list[str]:
    """The run still names the units that it was made from: same table, and each row's id is `unit_id`."""
    units, rows, unit_id = region_target(table, "unit"), values_of(table, "unit"), values_of(table, "unit_id")
    if units is None or rows is None:
        return []
    problems = []
    if table.units_object_id and table.units_object_id != units.object_id:
        problems.append(
            f"the run was made from units table {table.units_object_id}, but now points to {units.object_id}: "
            "the units were replaced after the run"
        )
    ids = plain(units.id.data)
    for i, row in enumerate(rows):
        if unit_id is not None and i < len(unit_id) and ids[row] != unit_id[i]:
            problems.append(f"row {i} (unit {unit_id[i]}): `unit` is row {row} of the units, whose id is {ids[row]}")
    return problems


def check_supersession(container: CellTypeAnnotations) -> list[str]:
    """Runs replace only runs that are there, and not each other in a circle."""
    replaces = {name: run.supersedes for name, run in container.runs.items() if run.supersedes}
    problems = [
        f"run '{name}' supersedes '{other}', which is not in '{container.name}'"
        for name, other in replaces.items()
        if other not in container.runs
    ]
    for name in replaces:
        chain = [name]
        while (following := replaces.get(chain[-1])) is not None and following not in chain:
            chain.append(following)
        if replaces.get(chain[-1]) == name:
            problems.append(f"run '{name}' supersedes itself, directly or through {len(chain) - 1} other run(s)")
    return problems


def check_classes(table: CellTypeClassTable) -> list[str]:
    """The taxonomy is named, labels are there, unique and not reserved, and ontology ids are CURIEs."""
    columns = {name: values_of(table, name) for name in table.colnames}
    rows = [{k: v[i] for k, v in columns.items() if v is not None} for i in range(len(table))]
    missing = [key for key in ("taxonomy_name", "taxonomy_version") if not getattr(table, key)]
    return [f"`{key}` is missing" for key in missing] + rules.class_problems(rows)


def check_method(method: CellTypeAnnotationMethod) -> list[str]:
    """The source type is in the closed list, and somebody or something is named."""
    return rules.method_problems(method.fields)


def check_evidence(table: CellTypeEvidenceTable) -> list[str]:
    """Kinds are in the closed list and numbers within their range."""
    columns = {name: values_of(table, name) for name in table.colnames if name != "pulses"}
    return evidence_problems([{k: v[i] for k, v in columns.items() if v is not None} for i in range(len(table))])


def check_cached_spec(container: CellTypeAnnotations) -> list[str]:
    """The file carries the schema of this extension; without it, nobody can open it who lacks the package."""
    for member in _members(container):
        data = member.id.data if isinstance(member, DynamicTable) else None
        if isinstance(data, h5py.Dataset):  # ask the open file: it may be remote, or open for writing
            if f"specifications/{NAMESPACE}" in data.file:
                return []
            return [f"{data.file.filename} lacks /specifications/{NAMESPACE}; write it with cache_spec=True"]
    return []  # not read from an HDF5 file


CHECKS: tuple[tuple[Callable[[Any], list[str]], Any, str], ...] = (
    (check_probability_rows, CellTypeAnnotationTable, "CRITICAL"),
    (check_probability_classes, CellTypeAnnotationTable, "CRITICAL"),
    (check_labels, CellTypeAnnotationTable, "CRITICAL"),
    (check_abstention, CellTypeAnnotationTable, "BEST_PRACTICE_VIOLATION"),
    (check_run_attributes, CellTypeAnnotationTable, "BEST_PRACTICE_VIOLATION"),
    (check_units_link, CellTypeAnnotationTable, "CRITICAL"),
    (check_classes, CellTypeClassTable, "BEST_PRACTICE_VIOLATION"),
    (check_method, CellTypeAnnotationMethod, "BEST_PRACTICE_VIOLATION"),
    (check_evidence, CellTypeEvidenceTable, "BEST_PRACTICE_VIOLATION"),
    (check_supersession, CellTypeAnnotations, "BEST_PRACTICE_VIOLATION"),
    (check_cached_spec, CellTypeAnnotations, "CRITICAL"),
)
"""Each check, the type it is for, and how nwbinspector ranks what it finds."""


def problems_in(thing: CellTypeAnnotations | DynamicTable | CellTypeAnnotationMethod) -> list[str]:
    """Everything that the checks find in a container with all its members, or in one member.

    Returns
    -------
    list of str
        Sentences that begin with the name of the member; empty if all is well.
    """
    found: list[str] = []
    for part in _parts(thing):
        for check, kind, _ in CHECKS:
            if not isinstance(part, kind):
                continue
            try:
                found += [f"{part.name}: {problem}" for problem in check(part)]
            except (TypeError, ValueError, IndexError, AttributeError) as error:
                # Columns of other types or shapes than the schema's: say so, and go on with the next check.
                found.append(f"{part.name}: {check.__name__} could not be done: {error}")
    return found


def register() -> list[str]:
    """Make the checks known to nwbinspector, once; returns the names they have there.

    Raises
    ------
    ImportError
        If nwbinspector is not installed.
    """
    try:
        from nwbinspector import Importance, InspectorMessage, available_checks, register_check
    except ImportError as error:
        msg = "nwbinspector is not installed; pip install 'ndx-cell-type[inspector]'"
        raise ImportError(msg) from error

    known = {check.__name__ for check in available_checks}
    for check, kind, importance in CHECKS:
        if _inspector_name(check) not in known:
            wrap = register_check(importance=Importance[importance], neurodata_type=kind)
            wrap(_as_inspector_check(check, InspectorMessage))
    return [_inspector_name(check) for check, _, _ in CHECKS]


def _inspector_name(check: Callable[[Any], list[str]]) -> str:
    return check.__name__.replace("check_", "check_cell_type_", 1)


def _as_inspector_check(check: Callable[[Any], list[str]], message: Any) -> Callable[[Any], Iterator[Any]]:
    def inspector_check(neurodata_object: Any) -> Iterator[Any]:
        for problem in check(neurodata_object):
            yield message(message=problem)

    inspector_check.__name__ = _inspector_name(check)
    inspector_check.__doc__ = check.__doc__
    return inspector_check


def _parts(thing: Any) -> list[Any]:
    if not isinstance(thing, CellTypeAnnotations):
        return [thing]
    return [thing, *_members(thing)]


def _members(container: CellTypeAnnotations) -> list[Any]:
    return [member for conf in container.__clsconf__ for member in getattr(container, str(conf["attr"])).values()]
