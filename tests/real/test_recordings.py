"""The main job on real recordings that no model has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nwb_celltype as nct

from . import sessions

MACAQUE = sorted((sessions.DATA / "macaque_purkinje").glob("*.mat")) or [sessions.DATA / "macaque_purkinje.mat"]
CELLEXPLORER = sorted((sessions.DATA / "cellexplorer").glob("*.mat")) or [sessions.DATA / "cellexplorer.mat"]
NWB = sorted((sessions.DATA / "nwb").glob("*.nwb")) or [sessions.DATA / "nwb.nwb"]


@pytest.mark.parametrize("source", MACAQUE, ids=lambda p: p.stem)
def test_simple_and_complex_spikes_of_a_macaque_purkinje_cell(source: Path, tmp_path: Path) -> None:
    session = sessions.macaque_purkinje(sessions.need(source), tmp_path / "purkinje.nwb")
    run = nct.annotate(session).run
    assert run.cell_type.tolist() == ["PkC_ss", "PkC_cs"]
    assert not run.is_abstained.any()


@pytest.mark.parametrize("source", CELLEXPLORER, ids=lambda p: p.stem)
def test_every_forebrain_unit_abstains_because_of_its_region(source: Path, tmp_path: Path) -> None:
    session = sessions.cellexplorer(sessions.need(source), tmp_path / "session.nwb")
    run = nct.annotate(session).run
    assert len(run) > 0
    assert run.is_abstained.all()
    assert set(run.reason) <= {"region", "species"}
    assert all(run.reason_detail)


@pytest.mark.parametrize("source", NWB, ids=lambda p: p.stem)
def test_every_unit_of_a_published_file_gets_an_answer_or_a_reason(source: Path, tmp_path: Path) -> None:
    before = sessions.need(source).read_bytes()
    result = nct.annotate(source, out=tmp_path / "annotated.nwb")
    run = result.run
    with nct.read_units(source) as units:
        assert run.unit_ids.tolist() == units.unit_ids.tolist()
    assert np.array_equal(run.is_abstained, run.cell_type == "unclassified")
    assert all(bool(reason) == bool(out) for reason, out in zip(run.reason, run.is_abstained, strict=True))
    assert run.probability is not None
    sums = run.probability.sum(axis=1)
    assert (np.isnan(sums) | (np.abs(sums - 1) < 1e-4)).all()
    assert nct.check(result.file) == []
    assert source.read_bytes() == before
