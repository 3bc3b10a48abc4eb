"""CellTypeClassTable: the cell types that a run can choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hdmf.common import DynamicTable
from hdmf.utils import AllowPositional, docval, get_docval, popargs
from pynwb import register_class

from ._columns import StrictTable, make_columns, refuse, values_of
from ._namespace import NAMESPACE
from .rules import class_problems
from .vocabulary import MAPPING_RELATIONS

_SKOS = {relation.removeprefix("skos:"): relation for relation in MAPPING_RELATIONS}


@register_class("CellTypeClassTable", NAMESPACE)
class CellTypeClassTable(StrictTable):
    """The cell types that an annotation run can choose from, one row a class.

    The order of the rows is the order of the columns of `probability` in every run that links here. A class is
    not an ontology term: the simple and the complex spikes of a Purkinje cell are two classes and one term.

    Parameters
    ----------
    name, description : str
        Name of the table and what the set of classes is.
    taxonomy_name, taxonomy_version : str
        Name and version of the set of classes.
    taxonomy_uri : str, optional
        Where the set of classes is defined.
    ontology_version : str, optional
        Release of the ontology that `ontology_id` was looked up in.

    Examples
    --------
    >>> classes = CellTypeClassTable.from_rows(
    ...     name="c4_classes", description="Cerebellar cortex", taxonomy_name="C4", taxonomy_version="1",
    ...     rows=[{"label": "PkC_ss", "ontology_id": "CL:0000121"}, {"label": "MLI"}])
    >>> classes.labels
    ['PkC_ss', 'MLI']
    """

    __fields__ = ("taxonomy_name", "taxonomy_version", "taxonomy_uri", "ontology_version")

    __columns__ = (
        {"name": "label", "description": "Short unique name of the class."},
        {"name": "full_name", "description": "Name in words."},
        {"name": "definition", "description": "What makes a unit a member of this class."},
        {"name": "ontology_id", "description": "Nearest ontology term as a CURIE; empty where there is none."},
        {"name": "ontology_label", "description": "Name of that ontology term."},
        {"name": "mapping_relation", "description": "How the class relates to the term (SKOS)."},
        {"name": "parent_label", "description": "Label of the broader class; empty at the top."},
    )
    _required_columns = ("label",)

    @docval(
        *get_docval(DynamicTable.__init__),
        # No type is asked for here: a file written by someone else must open whatever it holds.
        {"name": "taxonomy_name", "type": None, "doc": "name of the set of classes", "default": None},
        {"name": "taxonomy_version", "type": None, "doc": "version of the set of classes", "default": None},
        {"name": "taxonomy_uri", "type": None, "doc": "where the classes are defined", "default": None},
        {"name": "ontology_version", "type": None, "doc": "release of the ontology", "default": None},
        allow_positional=AllowPositional.ERROR,
    )
    def __init__(self, **kwargs: Any) -> None:
        names = ("taxonomy_name", "taxonomy_version", "taxonomy_uri", "ontology_version")
        fields = dict(zip(names, popargs(*names, kwargs), strict=True))
        super().__init__(**kwargs)
        for key, value in fields.items():
            setattr(self, key, value or None)
        if self._in_construct_mode:
            return
        self._add_required_columns()
        missing = [key for key in names[:2] if not fields[key]]
        problems = [f"`{key}` is missing" for key in missing] + class_problems(self._rows())
        refuse(f"class table '{self.name}'", problems)

    @classmethod
    def from_rows(
        cls,
        name: str,
        description: str,
        taxonomy_name: str,
        taxonomy_version: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        taxonomy_uri: str | None = None,
        ontology_version: str | None = None,
    ) -> CellTypeClassTable:
        """Make a table from one mapping per class.

        Parameters
        ----------
        rows : sequence of mappings
            Keys: `label` (required), `full_name`, `definition`, `ontology_id`, `ontology_label`,
            `mapping_relation` (with or without 'skos:'), `parent_label`. Others are refused.
        """
        clean = [cls._clean(row, i) for i, row in enumerate(rows)]
        refuse(f"class table '{name}'", class_problems(clean) or ([] if clean else ["it has no classes"]))
        data = {conf["name"]: [row[conf["name"]] for row in clean] for conf in cls.__columns__}
        return cls(
            name=name,
            description=description,
            taxonomy_name=taxonomy_name,
            taxonomy_version=taxonomy_version,
            taxonomy_uri=taxonomy_uri,
            ontology_version=ontology_version,
            columns=make_columns(cls.__columns__, data),
        )

    def add_class(self, label: str, **fields: str | None) -> None:
        """Add one class at the end.

        Refused once a run of the same container has probabilities over these classes, because their columns
        would no longer match: make a new class table then.
        """
        for run in getattr(self.parent, "cell_type_annotation_tables", {}).values():
            if run.classes is self and "probability" in run.colnames:
                msg = (
                    f"class '{label}' cannot be added to '{self.name}': run '{run.name}' holds a probability for each "
                    "of its classes; make a new class table"
                )
                raise ValueError(msg)
        row = self._clean({"label": label, **fields}, len(self))
        refuse(f"class table '{self.name}'", class_problems([row], taken=self.labels, first_row=len(self)))
        for key, value in row.items():
            if key not in self.colnames and value and len(self):
                msg = f"class table '{self.name}' was written without `{key}`, so class '{label}' cannot have one"
                raise ValueError(msg)
        present = set(self.colnames) if len(self) else set(row)
        self.add_row(**{key: value for key, value in row.items() if key in present})

    @property
    def labels(self) -> list[str]:
        """Labels in the order of the rows."""
        values = values_of(self, "label")
        return [] if values is None else [str(v) for v in values]

    def same_classes(self, other: CellTypeClassTable) -> bool:
        """Whether `other` has the same taxonomy, version and labels in the same order."""
        return bool(
            self.taxonomy_name == other.taxonomy_name
            and self.taxonomy_version == other.taxonomy_version
            and self.labels == other.labels
        )

    def _rows(self) -> list[dict[str, Any]]:
        columns = {name: values_of(self, name) for name in self.colnames}
        return [{k: v[i] for k, v in columns.items() if v is not None} for i in range(len(self))]

    @classmethod
    def _clean(cls, row: Mapping[str, Any], i: int) -> dict[str, str]:
        known = [conf["name"] for conf in cls.__columns__]
        unknown = sorted(set(row) - set(known))
        if unknown:
            msg = f"row {i} of the class table: unknown {', '.join(unknown)}; known are {', '.join(known)}"
            raise ValueError(msg)
        clean = {key: str(row.get(key) or "") for key in known}
        clean["mapping_relation"] = _SKOS.get(clean["mapping_relation"], clean["mapping_relation"])
        return clean
