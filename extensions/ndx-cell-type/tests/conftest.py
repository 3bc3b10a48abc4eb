"""Fixtures: a file in memory with three units and an empty container."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from pynwb import NWBFile

from ndx_cell_type import CellTypeAnnotations

UNIT_IDS = (7, 3, 9)  # neither sorted nor row numbers, so that mixing them up shows


def make_nwbfile() -> NWBFile:
    nwbfile = NWBFile(
        session_description="made up", identifier="made-up", session_start_time=datetime(2026, 1, 1, tzinfo=UTC)
    )
    rng = np.random.default_rng(0)
    for unit_id in UNIT_IDS:
        nwbfile.add_unit(id=unit_id, spike_times=np.cumsum(rng.exponential(0.02, 100)))
    module = nwbfile.create_processing_module(name="ecephys", description="Processed extracellular data")
    module.add(CellTypeAnnotations())
    return nwbfile


@pytest.fixture
def nwbfile() -> NWBFile:
    return make_nwbfile()


@pytest.fixture
def annotations(nwbfile: NWBFile) -> CellTypeAnnotations:
    return nwbfile.processing["ecephys"]["cell_type_annotations"]
