"""What a report shows is what the file and the model say, and what cannot be shown is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import nwb_celltype as nct
from nwb_celltype import features
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.nwb_io.detached import detach
from nwb_celltype.provenance import SourceAsset
from nwb_celltype.reporting import gather, second_look
from nwb_celltype.reporting.records import ReportView
from nwb_celltype.runs import CONTAINER_PATH, choose_run

from ..test_runs import by_hand

RUN = f"{CONTAINER_PATH}/cerebellum_3"


def notes_of(view: ReportView) -> str:
    return "\n".join(note for file in view.files for note in file.notes)


def test_answers_are_those_of_the_run(annotated: Path, view: ReportView) -> None:
    run = choose_run(annotated)
    assert [unit.unit_id for unit in view.units] == run.unit_ids.tolist()
    assert [unit.label for unit in view.units] == run.cell_type.tolist()
    assert [unit.key for unit in view.units] == [f"0:{i}" for i in run.unit_ids]
    assert [c.label for c in view.classes] == [*run.classes, "unclassified"]
    assert run.probability is not None
    shown = np.array([unit.probability for unit in view.units])
    np.testing.assert_array_equal(shown, run.probability.astype(np.float64))
    assert view.files[0].notes == ()
    assert {unit.labels["cerebellum_3"] for unit in view.units} == set(run.cell_type.tolist())


def test_panels_are_those_of_the_spikes_and_waveforms(annotated: Path, view: ReportView) -> None:
    with nct.read_units(annotated) as units:
        unit = next(one for one in view.units if one.n_spikes and one.n_spikes > 1000)
        row = units.row_of(unit.unit_id)
        times, peak = units.spike_times[row], units.peak_waveform(row)
        electrode, positions = units.peak_electrode(row), units.channel_positions
    assert unit.n_spikes == len(times)
    assert unit.isi is not None
    edges = view.axes.isi_ms
    assert (edges[0], edges[-1]) == (1, 10_000)
    np.testing.assert_array_equal(unit.isi, np.histogram(np.diff(times) * 1e3, edges)[0])
    slow = min((one for one in view.units if one.n_spikes), key=lambda one: one.n_spikes or 0)
    assert slow.isi is not None  # most of its intervals are longer than 100 ms
    assert slow.isi.sum() > 0.9 * ((slow.n_spikes or 0) - 1)
    low, high = np.searchsorted(times, times + 0.0195), np.searchsorted(times, times + 0.0205)
    lag_20 = (high - low).sum()
    assert unit.acg_hz is not None
    assert unit.acg_hz[120] == pytest.approx(lag_20 / len(times) * 1e3, rel=0.005)
    np.testing.assert_allclose(unit.acg_hz, unit.acg_hz[::-1])
    assert unit.acg_3d is not None
    both = features.acg_3d(times, log_lags=True)
    np.testing.assert_array_equal(unit.acg_3d.values, both[:, 101:])
    np.testing.assert_array_equal(both[:, :100][:, ::-1], both[:, 101:])  # so that one side says it all
    rates = unit.acg_3d.rates_hz
    assert (np.diff(rates) > 0).all()
    assert rates[0] < len(times) / times[-1] < rates[-1]
    assert unit.waveform is not None
    own = unit.waveform.values[unit.waveform.peak]
    assert peak is not None
    np.testing.assert_allclose(own, peak[: len(own)])
    assert abs(unit.waveform.time_ms[np.abs(own - np.median(own)).argmax()]) < 1e-9
    assert electrode is not None
    assert positions is not None
    assert (unit.x_um, unit.y_um) == tuple(positions[electrode, :2])


def test_coverage_counts_answers_at_each_threshold(annotated: Path, view: ReportView) -> None:
    run = choose_run(annotated)
    coverage = dict(view.files[0].coverage)
    assert coverage[round(run.confidence_threshold or 0, 4)] == (~run.is_abstained).sum()
    assert list(coverage.values()) == sorted(coverage.values(), reverse=True)
    assert coverage[0.5] > coverage[0.95]


def test_verdict_is_taken_apart(annotated: Path, view: ReportView) -> None:
    (file,) = view.files
    assert file.status == "typable"
    assert {remark.about for remark in file.findings} == {"quality"}
    assert f"{file.status}: {' '.join(r.sentence for r in file.findings)}" == choose_run(annotated).verdict


def test_model_adds_spread_neighbours_and_explanations(annotated: Path, view: ReportView) -> None:
    model, _ = second_look.ModelShelf().find("cerebellum")
    assert model is not None
    with nct.read_units(annotated) as units:
        prediction = model.predict(features.compute(units))
    np.testing.assert_allclose([unit.spread or np.nan for unit in view.units], prediction.spread)
    assert view.training_map is not None
    assert len(view.training_map.xy) == model.card["training"]["n_units"]
    assert all(len(unit.neighbours) == 5 and unit.map_xy is not None for unit in view.units)
    for unit in view.units:
        assert unit.explanation is not None
        if not unit.is_abstained:
            assert unit.explanation.label == unit.label
        assert set(unit.explanation.modalities) <= {"waveform", "train"}
    assert view.axes.acg_explained_ms is not None
    assert view.model is not None
    assert view.model.weights_sha256 == model.weights_sha256


def test_changed_spikes_are_said_first(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        times = opened["units/spike_times"]
        times[:2000] = times[:2000] * 1.001
    view = gather(file, explain=False)
    assert view.files[0].notes[0].startswith("CAUTION: the spike times or waveforms")


def test_changed_probabilities_are_said(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        probability = opened[f"{RUN}/probability"]
        probability[2] = probability[2][::-1]
        unit_id = opened[f"{RUN}/unit_id"][2]
    (note,) = [one for one in gather(file, explain=False).files[0].notes if one.startswith("CAUTION")]
    assert "gives 1 of 11 units other probabilities" in note
    assert f"most in unit {unit_id}" in note


def test_other_weights_explain_nothing(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        opened[f"{RUN}/method"].attrs["weights_sha256"] = "0" * 64
    view = gather(file)
    assert "with the weights 000000000000" in notes_of(view)
    assert view.model is None
    assert view.training_map is None
    assert {(unit.spread, unit.explanation, unit.map_xy) for unit in view.units} == {(None, None, None)}
    assert all(unit.waveform is not None for unit in view.units)


def test_model_that_is_not_at_hand(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        opened[f"{RUN}/method"].attrs["model_name"] = "somebody-elses"
    assert "The model 'somebody-elses' is not at hand" in notes_of(gather(file))
    assert gather(file, model="cerebellum", explain=False).model is not None


@pytest.fixture
def expert(file: Path) -> Path:
    table = file.with_name("labels.csv")
    table.write_text("unit_id,cell_type,cell_id\n1,PkC_ss,p1\n4,GrC,\n5,PkC_cs,p1\n")
    nct.annotate(file, in_place=True, labels=table, by="Doe, J")
    return file


def test_labels_of_people_come_first(expert: Path) -> None:
    view = gather(expert)
    assert [(unit.unit_id, unit.label) for unit in view.units] == [(1, "PkC_ss"), (4, "GrC"), (5, "PkC_cs")]
    assert view.units[1].labels == {"cerebellum_3": "PkC_ss", "expert_doe_j": "GrC"}
    assert [unit.partner for unit in view.units] == ["0:5", None, "0:1"]
    said = notes_of(view)
    assert "labels of the kind 'expert'" in said
    assert "says nothing about 8 of the 11 units" in said
    assert len({one.colour for one in view.classes}) == len(view.classes)


def test_labels_of_people_seen_with_a_model(expert: Path) -> None:
    view = gather(expert, model="cerebellum", explain=False)
    assert "which did not make this run" in notes_of(view)
    assert all(unit.map_xy is not None and unit.spread is None for unit in view.units)
    other = gather(expert, run="cerebellum_3", units=[12, 1], explain=False)
    assert [unit.unit_id for unit in other.units] == [12, 1]
    assert "CAUTION" not in notes_of(other)


def test_units_of_another_table(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        opened.copy("units", "processing/ecephys/curated")
        opened["processing/ecephys/curated"].attrs["object_id"] = "0d3b9f0a-5b1f-4f4e-9d7c-1a2b3c4d5e6f"
    table = file.with_name("labels.csv")
    table.write_text("unit_id,cell_type\n2,MLI\n")
    path = "/processing/ecephys/curated"
    nct.annotate(file, in_place=True, labels=table, by="Doe, J", units_table=path)
    assert "runs about other units tables (/units)" in notes_of(gather(file))
    assert gather(file, units_table=path).units[0].label == "MLI"
    assert len(gather(file, units_table="/units", explain=False).units) == 11
    with pytest.raises(UsageError, match="has no run about the units table /nothing"):
        gather(file, units_table="nothing")


@pytest.fixture
def unknown(file: Path) -> Path:
    """The same run, as by a model that is not at hand: asking one again takes most of the time."""
    with h5py.File(file, "a") as opened:
        opened[f"{RUN}/method"].attrs["model_name"] = "somebody-elses"
    return file


def remove(*paths: str) -> Callable[[h5py.File], None]:
    def change(opened: h5py.File) -> None:
        for path in paths:
            del opened[path]

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove("units/waveform_mean"), "All 11 units have no mean waveform"),
        (remove("units"), "The units could not be read"),
        (
            remove("units/electrodes", "units/electrodes_index", "general/extracellular_ephys/electrodes"),
            "no positions of electrodes",
        ),
        (remove("units/spike_times", "units/spike_times_index"), "All 11 units have no autocorrelogram"),
    ],
)
def test_what_a_file_lacks_is_said(unknown: Path, change: Callable[[h5py.File], None], said: str) -> None:
    with h5py.File(unknown, "a") as opened:
        change(opened)
    view = gather(unknown, explain=False)
    assert said in notes_of(view)
    assert len(view.units) == 11


def test_units_that_are_gone(unknown: Path) -> None:
    with h5py.File(unknown, "a") as opened:
        opened["units/id"][0] = 77
    view = gather(unknown, explain=False)
    assert "1 units of the run are not in the units table any more (1)" in notes_of(view)
    assert view.units[0].waveform is None
    assert view.units[1].waveform is not None


def test_run_of_another_program_and_an_empty_one(tmp_path: Path) -> None:
    foreign = by_hand(tmp_path / "foreign.nwb")
    view = gather(foreign)
    assert [unit.label for unit in view.units] == ["A", "B"]
    assert "labels of the kind 'rule'" in notes_of(view)
    nobody: dict[str, Any] = {key: np.empty(0, dtype=int) for key in ("unit_id", "is_abstained")}
    nobody |= {key: np.empty(0, dtype=h5py.string_dtype()) for key in ("cell_type", "reason")}
    assert gather(by_hand(tmp_path / "empty.nwb", **nobody)).units == ()


def test_every_unit_abstained(unknown: Path) -> None:
    with h5py.File(unknown, "a") as opened:
        run = opened[RUN]
        run["cell_type"][:] = "unclassified"
        run["is_abstained"][:] = True
        run["reason"][:] = "region"
    view = gather(unknown, explain=False)
    assert {unit.label for unit in view.units} == {"unclassified"}
    assert set(dict(view.files[0].coverage).values()) == {0}


def test_file_without_runs() -> None:
    source = Path(__file__).resolve().parents[2] / "examples" / "simulated_session.nwb"
    with pytest.raises(InputError, match="annotate it first: nwb-celltype annotate"):
        gather(source)


def test_folder(annotated: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="None of the 0 NWB files"):
        gather(tmp_path)
    by_hand(tmp_path / "a.nwb")
    (tmp_path / "below").mkdir()
    by_hand(tmp_path / "below" / "b.nwb")
    (tmp_path / "c.nwb").write_bytes(annotated.read_bytes()[:5000])
    h5py.File(tmp_path / "d.nwb", "w").close()
    view = gather(tmp_path)
    assert [file.name for file in view.files] == ["a.nwb", "b.nwb"]
    assert [unit.key for unit in view.units] == ["0:1", "0:2", "1:1", "1:2"]
    assert [note.partition(" was left out")[0] for note in view.notes] == ["c.nwb", "d.nwb"]
    with pytest.raises(UsageError, match="of one file"):
        gather(tmp_path, units=[1])


def test_labels_that_stand_alone(annotated: Path, tmp_path: Path) -> None:
    labels = detach(annotated, tmp_path / "labels" / "session_labels.nwb", SourceAsset(path="sub-1/session.nwb"))
    alone = gather(labels)
    assert "holds labels alone" in notes_of(alone)
    assert all(unit.waveform is None and unit.probability is not None for unit in alone.units)
    elsewhere = tmp_path / "raw" / "sub-1"
    elsewhere.mkdir(parents=True)
    source = shutil.copyfile(annotated, elsewhere / "session.nwb")
    named = gather(labels, sources=[tmp_path / "raw"], explain=False)
    assert all(unit.waveform is not None and unit.spread is not None for unit in named.units)
    with h5py.File(source, "a") as opened:
        opened["units"].attrs["object_id"] = "0d3b9f0a-5b1f-4f4e-9d7c-1a2b3c4d5e6f"
    shutil.move(source, labels.parent / "session.nwb")
    wrong = gather(labels)
    assert "are not those of the run" in notes_of(wrong)
    assert all(unit.waveform is None for unit in wrong.units)
