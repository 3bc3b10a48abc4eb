"""CellTypeAnnotations: all annotation runs of a file, with their classes, methods and evidence."""

from __future__ import annotations

from typing import Any

from hdmf.utils import AllowPositional, docval
from pynwb import register_class
from pynwb.core import MultiContainerInterface

from ._columns import region_target
from ._namespace import NAMESPACE
from .annotation_table import CellTypeAnnotationTable
from .classes import CellTypeClassTable
from .evidence import CellTypeEvidenceTable
from .method import CellTypeAnnotationMethod
from .published import published_run

DEFAULT_NAME = "cell_type_annotations"

_MEMBERS = (
    ("cell_type_class_tables", CellTypeClassTable),
    ("cell_type_annotation_methods", CellTypeAnnotationMethod),
    ("cell_type_annotation_tables", CellTypeAnnotationTable),
    ("cell_type_evidence_tables", CellTypeEvidenceTable),
)


@register_class("CellTypeAnnotations", NAMESPACE)
class CellTypeAnnotations(MultiContainerInterface):
    """All annotation runs of the units of a file, with their classes, methods and evidence.

    Put it into the processing module `ecephys`. Add runs with `add_run`, which brings along what they link to.

    Parameters
    ----------
    name : str, optional
        Default 'cell_type_annotations'.
    """

    # The attribute names are those that pynwb generates when this package is not installed.
    __clsconf__ = [  # noqa: RUF012
        {"attr": attr, "type": kind, "add": f"add_{attr}", "get": f"get_{attr.removesuffix('s')}"}
        for attr, kind in _MEMBERS
    ]

    @docval(
        *({"name": attr, "type": (list, tuple, dict, kind), "doc": attr, "default": None} for attr, kind in _MEMBERS),
        {"name": "name", "type": str, "doc": "name of the container", "default": DEFAULT_NAME},
        allow_positional=AllowPositional.ERROR,
    )
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(name=kwargs["name"])
        for attr, _ in _MEMBERS:
            if kwargs[attr] is not None:
                getattr(self, f"add_{attr}")(kwargs[attr])

    @property
    def runs(self) -> dict[str, CellTypeAnnotationTable]:
        """Annotation runs by name."""
        return dict(self.cell_type_annotation_tables)

    def add_run(self, table: CellTypeAnnotationTable) -> CellTypeAnnotationTable:
        """Add a run, and its classes, method and evidence if they are not in a file yet.

        Raises
        ------
        ValueError
            If the container already holds something else under one of their names. Names are shared by all
            kinds of members, because they are siblings in the file.
        """
        if table.name in self.runs:
            msg = f"there is already a run '{table.name}'; runs are never overwritten, so choose another name"
            raise ValueError(msg)
        evidence = region_target(table, "evidence")
        new = [part for part in (table.classes, table.method, evidence) if part is not None and part.parent is None]
        new.append(table)  # last: its region into the evidence wants both in one tree
        taken = {name: member for attr, _ in _MEMBERS for name, member in getattr(self, attr).items()}
        for part in new:
            if part.name in taken:
                msg = (
                    f"run '{table.name}' brings a {type(part).__name__} '{part.name}', but the container already "
                    f"holds another member of that name; link to that one, or choose another name"
                )
                raise ValueError(msg)
            taken[part.name] = part
        for part in new:
            attr = next(attr for attr, kind in _MEMBERS if isinstance(part, kind))
            getattr(self, f"add_{attr}")(part)
        return table

    def published_run(self) -> CellTypeAnnotationTable | None:
        """The run whose labels count; see `ndx_cell_type.published_run`."""
        return published_run(self.runs.values())
