"""CellTypeAnnotationMethod: who or what labelled the units, and how."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from hdmf.utils import AllowPositional, docval
from pynwb import register_class
from pynwb.core import NWBContainer

from ._columns import refuse
from ._namespace import NAMESPACE
from .rules import method_problems

_TEXT = (
    "source_type",
    "person",
    "software",
    "software_version",
    "software_url",
    "model_name",
    "model_version",
    "model_licence",
    "weights_sha256",
    "feature_spec_version",
    "training_data",
    "confidence_definition",
)


@register_class("CellTypeAnnotationMethod", NAMESPACE)
class CellTypeAnnotationMethod(NWBContainer):
    """Who or what said which unit is which cell type, and how.

    Parameters
    ----------
    name : str
        Name of the method in the file.
    source_type : {'ground_truth', 'expert', 'classifier', 'rule'}
        Where the labels come from.
    person : str, optional
        Who labelled, as 'Last, First' or an ORCID. This or `software` is required.
    software, software_version, software_url : str, optional
        Program that labelled.
    model_name, model_version, model_licence, weights_sha256 : str, optional
        Trained model; the digest is 64 hexadecimal digits.
    feature_spec_version : str, optional
        Version of the definition of the features that the model was given.
    training_data : str, optional
        What the model was trained on.
    parameters : str or mapping, optional
        Settings of the run, as JSON text; a mapping is turned into it.
    confidence_definition : str, optional
        What a number in `confidence` means.
    references : sequence of str, optional
        What to cite.

    Examples
    --------
    >>> method = CellTypeAnnotationMethod(name="expert", source_type="expert", person="0000-0002-1825-0097")
    >>> method.source_type
    'expert'
    """

    __nwbfields__ = (*_TEXT, "parameters", "references")

    @docval(
        {"name": "name", "type": str, "doc": "name of the method"},
        # No type is asked for here: a file written by someone else must open whatever it holds.
        *({"name": key, "type": None, "doc": key.replace("_", " "), "default": None} for key in _TEXT),
        {"name": "parameters", "type": None, "doc": "settings, JSON text or a mapping", "default": None},
        {"name": "references", "type": None, "doc": "what to cite", "default": None},
        allow_positional=AllowPositional.ERROR,
    )
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(name=kwargs.pop("name"))
        parameters, references = kwargs["parameters"], kwargs["references"]
        if not self._in_construct_mode:
            if isinstance(parameters, Mapping):
                kwargs["parameters"] = json.dumps(parameters, sort_keys=True)
            if isinstance(references, str):
                references = [references]
            kwargs["references"] = [str(r) for r in references] if references is not None and len(references) else None
            wrong = [f"`{key}` must be text" for key, value in kwargs.items() if not _is_text(key, value)]
            refuse(f"method '{self.name}'", wrong or method_problems(kwargs))
        for key, value in kwargs.items():
            # An empty text attribute says nothing, and inspectors complain about it.
            setattr(self, key, None if isinstance(value, str) and not value else value)

    @property
    def settings(self) -> dict[str, Any]:
        """`parameters` as a dictionary; empty where none are stored or they cannot be read."""
        try:
            value = json.loads(self.parameters or "{}")
        except (TypeError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}


def _is_text(key: str, value: object) -> bool:
    return key == "references" or value is None or isinstance(value, (str, np.str_))
