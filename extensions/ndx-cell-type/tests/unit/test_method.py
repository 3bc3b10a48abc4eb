"""CellTypeAnnotationMethod: what it holds and what it refuses."""

from __future__ import annotations

import pytest

from ndx_cell_type import SOURCE_TYPES, CellTypeAnnotationMethod
from ndx_cell_type.testing.mock import mock_CellTypeAnnotationMethod


@pytest.mark.parametrize("source_type", SOURCE_TYPES)
def test_every_source_type(source_type):
    assert CellTypeAnnotationMethod(name="m", source_type=source_type, person="p").source_type == source_type


def test_settings_are_stored_as_text():
    method = mock_CellTypeAnnotationMethod(parameters={"b": 1, "a": [2]})
    assert method.parameters == '{"a": [2], "b": 1}'
    assert method.settings == {"a": [2], "b": 1}
    assert mock_CellTypeAnnotationMethod(parameters=None).settings == {}


def test_empty_text_is_kept_as_none():
    method = mock_CellTypeAnnotationMethod(software_url="", references=[])
    assert method.software_url is None
    assert method.references is None


def test_one_reference_may_be_plain_text():
    assert mock_CellTypeAnnotationMethod(references="doi:1").references == ["doi:1"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"source_type": "oracle", "person": "p"}, "source_type 'oracle' is not one of ground_truth"),
        ({"person": "p"}, "source_type 'None'"),
        ({"source_type": "rule"}, "say who labelled"),
        ({"source_type": "rule", "person": "p", "weights_sha256": "abc"}, "64 lower-case"),
        ({"source_type": "rule", "person": "p", "parameters": "a=1"}, "not JSON"),
        ({"source_type": "rule", "person": "p", "model_name": 3}, "`model_name` must be text"),
    ],
)
def test_refusals(fields, message):
    with pytest.raises(ValueError, match=message):
        CellTypeAnnotationMethod(name="m", **fields)
