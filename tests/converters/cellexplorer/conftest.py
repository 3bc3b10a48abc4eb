"""Both formats of MATLAB files, one after the other."""

from __future__ import annotations

from typing import cast

import pytest

from .matlab_files import Write, write_v5, write_v73


@pytest.fixture(params=[write_v5, write_v73], ids=["v5", "v7.3"])
def write(request: pytest.FixtureRequest) -> Write:
    """Write a MATLAB file of one of the formats."""
    return cast("Write", request.param)
