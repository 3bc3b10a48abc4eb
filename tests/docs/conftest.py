"""What all tests of pages share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

import nwb_celltype as nct


@pytest.fixture(scope="package", autouse=True)
def loaded_once() -> Iterator[None]:
    """Loading a model takes longer than annotating a small session, and every page does it."""
    with pytest.MonkeyPatch.context() as patch:
        load = cache(nct.load_model)
        patch.setattr("nwb_celltype.reporting.second_look.load_model", load)
        patch.setattr("nwb_celltype.classifier.load_model", load)
        yield
