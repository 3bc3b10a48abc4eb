"""The figures of a report: of the size of print, with text as text, and nobody's file replaced."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.colours import colour_of
from nwb_celltype.errors import RefusedError, UsageError
from nwb_celltype.plotting.channels import ChannelWaveforms
from nwb_celltype.plotting.trains import ISI_EDGES_MS
from nwb_celltype.reporting.figures import CAPTIONS, write_figures
from nwb_celltype.reporting.records import (
    Axes,
    CalibrationPoint,
    Explanation,
    FileView,
    ModelView,
    Neighbour,
    RateCorrelograms,
    ReportClass,
    ReportView,
    TrainingMap,
    UnitView,
)
from nwb_celltype.units import Session

from .examples import CLASSES, POSITIONS, location, run

PIXELS_OF_A_PAGE = 183 / 25.4 * 300


def view() -> ReportView:
    """One file with two units: one with everything, one with nothing."""
    rng = np.random.default_rng(0)
    full = UnitView(
        key="0:3", file=0, unit_id=3, label="PkC_ss", is_abstained=False, reason="", reason_detail="", confidence=0.8,
        probability=np.array([0.02, 0.03, 0.05, 0.1, 0.8]), spread=0.05, layer="PCL", region="Cerebellar cortex",
        x_um=0.0, y_um=40.0, n_spikes=4000, rate_hz=62.0, map_xy=(0.0, 0.0),
        neighbours=(Neighbour("PkC_ss", "Hull", 0.5),),
        waveform=ChannelWaveforms(-1.0, 1 / 30, rng.normal(size=(3, 90)), POSITIONS[:3, 0], POSITIONS[:3, 1], 0, "uV"),
        isi=np.arange(80.0), acg_hz=np.abs(np.arange(-100.0, 101.0)),
        acg_3d=RateCorrelograms(np.arange(10.0) + 50, rng.random((10, 100))),
        explanation=Explanation("PkC_ss", {"waveform": 0.3, "train": -0.1}, acg=np.linspace(-0.1, 0.2, 20)),
    )  # fmt: skip
    bare = UnitView(
        key="0:11", file=0, unit_id=11, label="unclassified", is_abstained=True, reason="out_of_distribution",
        reason_detail="Unlike all training units.",
    )  # fmt: skip
    where, points = location(), (CalibrationPoint(0.6, 0.55, 10), CalibrationPoint(0.9, 0.95, 40))
    return ReportView(
        title="A report",
        created="2026-01-31T14:03:00+00:00",
        software="nwb-celltype 0.1.0",
        classes=tuple(ReportClass(name, name, "", colour_of(name)) for name in (*CLASSES, "unclassified")),
        files=(FileView("a b.nwb", run(), (run(),), Session(), None, {}, "typable", (), POSITIONS[:, 0],
                        POSITIONS[:, 1], (), ()),),
        units=(full, bare),
        axes=Axes(ISI_EDGES_MS, np.arange(-100.0, 101.0), np.geomspace(1, 1000, 100), None, None,
                  np.geomspace(1, 100, 20)),
        model=ModelView("cerebellum", "2", "CC", "", (), points),
        training_map=TrainingMap(where.training_xy, where.training_label, where.training_source, where.axes, "Hand."),
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures") / "new"
    write_figures(view(), folder)
    return folder


def test_there_is_each_figure_in_each_format(written: Path) -> None:
    found = sorted(str(path.relative_to(written)) for path in written.rglob("*") if path.is_file())
    names = ("depth", "map", "summary", "units/unit_11_unclassified", "units/unit_3_PkC_ss")
    assert found == sorted([*(f"{name}.{kind}" for name in names for kind in ("png", "svg", "pdf")), CAPTIONS])
    captions = (written / CAPTIONS).read_text(encoding="utf-8")
    assert "units/unit_11_unclassified: Unit 11 of a b.nwb: unclassified. out of distribution: Unlike" in captions


def test_pictures_are_as_wide_as_a_page_at_300_dots_an_inch(written: Path) -> None:
    data = (written / "units" / "unit_3_PkC_ss.png").read_bytes()
    width, _ = struct.unpack(">II", data[16:24])
    assert width == pytest.approx(PIXELS_OF_A_PAGE, abs=1)
    at = data.index(b"pHYs") + 4
    assert struct.unpack(">I", data[at : at + 4])[0] == round(300 / 0.0254)


def test_text_is_text(written: Path) -> None:
    drawing = (written / "units" / "unit_3_PkC_ss.svg").read_text(encoding="utf-8")
    assert "unit 3: Purkinje cell, simple spikes (PkC_ss), 0.80</text>" in drawing
    assert "PkC_ss, Hull (0.5)</text>" in drawing
    printed = (written / "units" / "unit_3_PkC_ss.pdf").read_bytes()
    assert b"/Type3" not in printed
    assert b"/FontFile2" in printed


def test_a_unit_without_anything_says_so(written: Path) -> None:
    drawing = (written / "units" / "unit_11_unclassified.svg").read_text(encoding="utf-8")
    for sentence in ("no mean waveform", "no inter-spike intervals", "no probabilities", "Unlike all training units."):
        assert sentence in drawing


def test_the_same_report_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    again = write_figures(view(), tmp_path / "again", formats=("svg", "pdf"), most_units=0)
    assert len(again) == 7
    for path in again[:-1]:
        assert path.read_bytes() == (written / path.name).read_bytes(), path.name
    assert "2 more units have no figure" in again[-1].read_text(encoding="utf-8")


def test_files_of_two_recordings_do_not_meet(tmp_path: Path) -> None:
    one = view()
    bare = replace(one.units[1], x_um=0.0, y_um=20.0)
    two = replace(one, files=one.files * 2, units=(bare, replace(bare, file=1, key="1:11")))
    names = {path.name for path in write_figures(two, tmp_path, formats=("svg",))}
    assert {
        "a_b_depth.svg",
        "a_b_2_depth.svg",
        "a_b_unit_11_unclassified.svg",
        "a_b_2_unit_11_unclassified.svg",
    } <= names


def test_somebody_elses_picture_stays(tmp_path: Path) -> None:
    (tmp_path / "summary.svg").write_text("mine")
    with pytest.raises(RefusedError, match=r"summary.svg was not made by nwb-celltype"):
        write_figures(view(), tmp_path, formats=("svg",))
    assert (tmp_path / "summary.svg").read_text() == "mine"


def test_formats_that_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not gif"):
        write_figures(view(), tmp_path, formats=("gif",))
