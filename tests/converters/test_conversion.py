"""The verb: what is checked before writing, what is written, what is left alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import nwb_celltype as nct
from nwb_celltype.cli import group
from nwb_celltype.converters import convert, template
from nwb_celltype.converters.conversion import species_notes
from nwb_celltype.converters.metadata import check_metadata
from nwb_celltype.converters.records import SourceSession
from nwb_celltype.errors import InputError, NothingToDoError, RefusedError, UsageError
from nwb_celltype.nwb_io import safe_write

from .phy.folders import kilosort25, simulate, write_recording, write_table

METADATA: dict[str, Any] = {
    "NWBFile": {
        "session_start_time": "2026-01-31T14:03:00+00:00",
        "session_description": "A mouse ran on a wheel.",
        "session_id": "s1",
    },
    "Subject": {"subject_id": "m1", "species": "mouse", "sex": "F", "age": "P90D"},
    "Ecephys": {"probe": {"location": "Cerebellar cortex", "gain_uv": 0.5}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Phy folder with its recording beside it."""
    session = simulate()
    write_recording(tmp_path / "lab" / "recording.dat", session)
    return kilosort25(tmp_path / "lab" / "phy", session, dat_path="'../recording.dat'")


def quick(source: Path, **options: Any) -> Any:
    return convert("phy", source, **{"metadata": METADATA, "inspect": False, **options})


def test_a_folder_gets_the_name_of_dandi(folder: Path, tmp_path: Path) -> None:
    result = quick(folder, out=tmp_path / "dandiset")
    assert result.file == tmp_path / "dandiset" / "sub-m1" / "sub-m1_ses-s1_ecephys.nwb"
    with nct.read_units(result.file) as units:
        assert units.unit_ids.tolist() == list(range(6))
        assert units.waveform_mean[0] is not None


def test_waveforms_come_from_the_recording_in_the_scale_that_was_given(folder: Path, tmp_path: Path) -> None:
    session = simulate()
    result = quick(folder, out=tmp_path / "a.nwb")
    with nct.read_units(result.file) as units, h5py.File(result.file) as file:
        assert set(file["units/waveform_source"].asstr()[:]) == {"raw"}
        for row in range(len(units)):
            expected = 0.5 * np.abs(session.shapes[row]).max()
            found = np.abs(units.waveform_mean[row]).max()
            assert found == pytest.approx(expected, rel=0.05)


def test_an_existing_file_is_left_alone(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.nwb"
    out.write_text("years of work")
    with pytest.raises(RefusedError, match="left alone"):
        quick(folder, out=out)
    assert out.read_text() == "years of work"
    quick(folder, out=out, overwrite=True)
    assert h5py.is_hdf5(out)


def test_nothing_is_written_when_metadata_are_incomplete(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        quick(folder, out=tmp_path / "new" / "a.nwb", metadata={"Subject": {"sex": "x"}})
    for key in ("session_start_time", "session_description", "session_id", "subject_id", "species", "sex", "age"):
        assert key in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_a_dry_run_tells_and_writes_nothing(folder: Path, tmp_path: Path) -> None:
    result = quick(folder, out=tmp_path / "new", dry_run=True)
    assert result.file is None
    assert not (tmp_path / "new").exists()
    text = str(result.plan)
    for said in ("6 with", "0.5 uV a count", "channel_positions.npy", "from raw"):
        assert said in text
    assert result.plan.problems == ""


def test_a_dry_run_without_metadata_lists_what_is_missing(folder: Path) -> None:
    result = quick(folder, dry_run=True, metadata=None)
    assert "Subject.species" in result.plan.problems


def test_what_is_left_out_is_said(folder: Path, tmp_path: Path) -> None:
    write_table(folder, "cluster_note.tsv", ["cluster_id", "note"], [(0, "nice"), (77, "gone")])
    result = quick(folder, out=tmp_path / "a.nwb")
    assert any("77" in each.what for each in result.plan.left_out)
    with h5py.File(result.file) as file:
        kept = file["general/data_collection"].asstr()[()]
    assert "77" in kept


def test_a_stub_holds_the_first_seconds(folder: Path, tmp_path: Path) -> None:
    session = simulate()
    result = quick(folder, out=tmp_path / "a.nwb", stub_s=1.0)
    with nct.read_units(result.file) as units:
        assert len(units) == session.n_units
        for row in range(len(units)):
            samples = session.samples_of(row)
            np.testing.assert_allclose(units.spike_times[row], samples[samples < 30_000] / 30_000.0, rtol=1e-12)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_stub_of_no_length_is_refused(seconds: float, folder: Path) -> None:
    with pytest.raises(UsageError, match="stub"):
        quick(folder, dry_run=True, stub_s=seconds)


def test_labels_of_the_user_are_ground_truth_and_nothing_else_is(folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("unit_id,cell_type\n0,MLI\n2,PkC_ss\n")
    result = quick(folder, out=tmp_path / "a.nwb", labels=labels, by="Our lab")
    run = nct.published_run(nct.read_runs(result.file))
    assert run is not None
    assert run.method.source_type == "ground_truth"
    assert run.labels_for([0, 2]) == ["MLI", "PkC_ss"]
    others = [each for each in nct.read_runs(result.file) if each.name != run.name]
    assert all(each.method.source_type == "rule" for each in others)


def test_labels_of_an_expert_are_an_experts_and_no_ground_truth(folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.tsv"
    labels.write_text("unit\tlabel\tannotator\n0\tGoC\tLast, First\n2\tMFB\tLast, First\n")
    result = quick(folder, out=tmp_path / "a.nwb", labels=labels, labels_are="expert")
    (run,) = [each for each in nct.read_runs(result.file) if each.method.source_type == "expert"]
    assert run.method.who == "Last, First"
    assert run.labels_for([0, 2]) == ["GoC", "MFB"]
    assert not [each for each in nct.read_runs(result.file) if each.method.source_type == "ground_truth"]


def test_two_annotators_have_a_run_each(folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("unit,label,annotator\n1,PkC_ss,DH\n2,PkC_cs,DH\n1,MLI,SL\n")
    result = quick(folder, out=tmp_path / "a.nwb", labels=labels, labels_are="expert")
    found = {run.method.who: run for run in nct.read_runs(result.file) if run.method.source_type == "expert"}
    assert found["DH"].labels_for([1, 2]) == ["PkC_ss", "PkC_cs"]
    assert found["SL"].labels_for([1]) == ["MLI"]


def test_units_can_be_named_as_the_source_names_them(tmp_path: Path) -> None:
    from spikeinterface.core import NumpySorting

    trains = {"SPK09a": np.arange(100, 90_000, 700), "SPK09b": np.arange(300, 90_000, 900)}
    labels = tmp_path / "labels.csv"
    labels.write_text("unit,label,annotator\nSPK09b,GoC,DH\n")
    metadata = {key: METADATA[key] for key in ("NWBFile", "Subject")}
    sorting = NumpySorting.from_unit_dict([trains], 30_000.0)
    result = convert(
        "spikeinterface", sorting, metadata=metadata, out=tmp_path / "a.nwb", labels=labels, labels_are="expert",
        inspect=False,
    )  # fmt: skip
    (run,) = nct.read_runs(result.file)
    assert (run.unit_ids.tolist(), run.cell_type.tolist()) == ([1], ["GoC"])
    labels.write_text("unit,label,annotator\nSPK10a,GoC,DH\n")
    with pytest.raises(InputError, match="SPK10a"):
        convert("spikeinterface", sorting, metadata=metadata, labels=labels, dry_run=True)


def test_another_species_than_the_sources_is_noted() -> None:
    session = SourceSession("phy", (Path("a"),), (), facts={"Subject.species": "Mus musculus"})
    said = {"NWBFile": METADATA["NWBFile"], "Subject": {**METADATA["Subject"], "species": "rhesus macaque"}}
    (note,) = species_notes(check_metadata(said), session)
    assert "the source says mouse, the metadata say macaque" in note
    assert species_notes(check_metadata({key: METADATA[key] for key in ("NWBFile", "Subject")}), session) == ()


def test_places_that_the_user_states_are_those_of_the_electrodes(folder: Path, tmp_path: Path) -> None:
    places = [[16.0 * (k % 2), 40.0 * k] for k in range(12)]
    probe = {**METADATA["Ecephys"]["probe"], "geometry": places}
    result = quick(folder, out=tmp_path / "a.nwb", metadata=METADATA | {"Ecephys": {"probe": probe}})
    with h5py.File(result.file) as file:
        electrodes = file["general/extracellular_ephys/electrodes"]
        np.testing.assert_allclose(np.column_stack([electrodes["rel_x"], electrodes["rel_y"]]), places)
    with pytest.raises(InputError, match="12"):
        quick(folder, dry_run=True, metadata=METADATA | {"Ecephys": {"probe": {"geometry": places[:5]}}})


def test_predictions_of_c4_become_a_prior_run(folder: Path, tmp_path: Path) -> None:
    write_table(folder, "cluster_predicted_cell_type.tsv", ["cluster_id", "predicted_cell_type"], [(1, "PkC_ss")])
    write_table(folder, "cluster_pred_probability.tsv", ["cluster_id", "pred_probability"], [(1, 0.84)])
    result = quick(folder, out=tmp_path / "a.nwb")
    (run,) = [each for each in nct.read_runs(result.file) if each.method.source_type == "classifier"]
    assert run.unit_ids.tolist() == [1]
    assert run.cell_type.tolist() == ["PkC_ss"]
    assert run.probability[0, run.classes.index("PkC_ss")] == pytest.approx(0.84)
    assert "spread" in json.dumps(dict(run.method.fields))


@pytest.mark.parametrize(
    ("types", "probabilities"),
    [
        ([(0, "MLI"), (1, "PkC_ss")], []),
        ([(0, "MLI"), (1, "PkC_ss")], [(0, 0.9)]),
        ([(0, "MLI"), (1, "PkC_ss")], [(0, 90), (1, 80)]),
    ],
    ids=["none", "some", "percent"],
)
def test_predictions_without_probabilities_are_no_persons(
    types: list[Any], probabilities: list[Any], folder: Path, tmp_path: Path
) -> None:
    write_table(folder, "cluster_predicted_cell_type.tsv", ["cluster_id", "predicted_cell_type"], types)
    if probabilities:
        write_table(folder, "cluster_pred_probability.tsv", ["cluster_id", "pred_probability"], probabilities)
    runs = nct.read_runs(quick(folder, out=tmp_path / "a.nwb").file)
    assert {run.method.source_type for run in runs} == {"rule"}
    (run,) = [each for each in runs if each.name == "c4_found_beside_sorting"]
    assert run.cell_type.tolist() == ["MLI", "PkC_ss"]
    assert run.method.fields["software"].startswith("C4")


def test_predictions_of_unknown_classes_are_kept_as_they_are(folder: Path, tmp_path: Path) -> None:
    write_table(
        folder, "cluster_predicted_cell_type.tsv", ["cluster_id", "predicted_cell_type"], [(0, "mine"), (1, "MLI")]
    )
    write_table(folder, "cluster_pred_probability.tsv", ["cluster_id", "pred_probability"], [(0, 0.9), (1, 0.8)])
    runs = nct.read_runs(quick(folder, out=tmp_path / "a.nwb").file)
    (run,) = [each for each in runs if each.method.source_type == "classifier"]
    assert run.cell_type.tolist() == ["mine", "MLI"]


def test_the_same_input_gives_the_same_file(folder: Path, tmp_path: Path) -> None:
    one, two = (quick(folder, out=tmp_path / f"{k}.nwb").file for k in (1, 2))
    assert list(differences(one, two)) == []


def differences(one: Path, two: Path) -> Iterator[str]:
    """Objects whose data or attributes differ, apart from object ids and time stamps."""
    volatile = {"object_id"}
    times = {"file_create_date"}

    def contents(path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        with h5py.File(path) as file:

            def visit(name: str, node: Any) -> None:
                for key, value in node.attrs.items():
                    if key not in volatile and not isinstance(value, h5py.Reference):
                        found[f"{name}@{key}"] = np.asarray(value).tolist()
                if isinstance(node, h5py.Dataset) and node.dtype.names:
                    stable = [field for field in node.dtype.names if "object_id" not in field]
                    found[name] = [str([row[field] for field in stable]) for row in node[()]]
                elif isinstance(node, h5py.Dataset) and name not in times and node.dtype.kind != "O":
                    found[name] = (node.dtype.str, node.chunks, np.asarray(node[()]).tolist())
                elif isinstance(node, h5py.Dataset) and name not in times and h5py.check_string_dtype(node.dtype):
                    found[name] = np.asarray(node.asstr()[()]).tolist()

            file.visititems(visit)
        return found

    first, second = contents(one), contents(two)
    for name in sorted(first.keys() | second.keys()):
        if repr(first.get(name)) != repr(second.get(name)):
            yield name


def test_a_file_that_would_be_invalid_is_not_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: ["units: wrong"])
    with pytest.raises(InputError, match="not be valid"):
        quick(folder, out=tmp_path / "a.nwb")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lab"]


def test_what_a_killed_conversion_left_is_cleared_away(folder: Path, tmp_path: Path) -> None:
    left = tmp_path / ".a.nwb.123-0123abcd.nwb-celltype-partial"
    left.write_text("half a file")
    quick(folder, out=tmp_path / "a.nwb")
    assert not left.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nwb", "lab"]


def test_a_file_made_by_somebody_else_meanwhile_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "a.nwb"

    def write(partial: Path) -> None:
        partial.write_text("ours")
        target.write_text("theirs")

    with pytest.raises(RefusedError, match="meanwhile"):
        safe_write.create_safely(target, write, lambda _: None)
    assert target.read_text() == "theirs"
    assert [p.name for p in tmp_path.iterdir()] == ["a.nwb"]


def test_a_disk_that_is_too_small_is_noticed_before_writing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(InputError, match="MB free"):
        quick(folder, out=tmp_path / "a.nwb", raw=True)
    assert [p.name for p in tmp_path.iterdir()] == ["lab"]


def test_a_file_that_cannot_be_read_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=r"params\.py cannot be read: Permission denied"):
        quick(folder, out=tmp_path / "a.nwb")


def test_a_source_without_units_says_so(tmp_path: Path) -> None:
    from .spikeglx.synthetic import ap_samples, np1_header, write_stream

    stem = tmp_path / "run_g0" / "run_g0_imec0" / "run_g0_t0.imec0.ap"
    write_stream(stem, np1_header(), ap_samples(3000, 8, np.zeros(3000, dtype=bool)))
    with pytest.raises(NothingToDoError, match="no sorted units"):
        convert("spikeglx", tmp_path / "run_g0", metadata=METADATA | {"Ecephys": {}})


@pytest.mark.parametrize(
    ("kind", "paths", "message"),
    [("kilosort", ["x"], "no kind 'kilosort'"), ("phy", ["a", "b"], "takes one path"), ("phy", [], "Name the")],
)
def test_odd_calls_are_refused(kind: str, paths: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        convert(kind, [tmp_path / path for path in paths], metadata=METADATA)


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        convert("phy", tmp_path / "nowhere", metadata=METADATA)


def test_the_command_line_converts_and_prints_json(folder: Path, tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.yaml"
    metadata.write_text(json.dumps(METADATA))
    arguments = ["convert", "phy", str(folder), "-m", str(metadata), "-o", str(tmp_path / "a.nwb"), "--json", "-q"]
    done = CliRunner().invoke(group, arguments)
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert said["file"] == str(tmp_path / "a.nwb")
    assert said["plan"]["probes"][0]["n_units"] == 6


def test_the_template_can_be_filled_in_and_used(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "metadata.yaml"
    done = CliRunner().invoke(group, ["convert", "template", "phy", str(folder), "-o", str(path)])
    assert done.exit_code == 0, done.output
    with pytest.raises(InputError, match=r"Subject\.species"):
        quick(folder, metadata=path, out=tmp_path / "a.nwb")
    result = quick(folder, metadata=[path, _saved(tmp_path)], out=tmp_path / "a.nwb")
    assert result.file is not None
    assert CliRunner().invoke(group, ["convert", "template", "phy", "-o", str(path)]).exit_code != 0


def _saved(folder: Path) -> Path:
    path = folder / "mine.json"
    path.write_text(json.dumps(METADATA))
    return path


def test_whitened_templates_are_written_but_not_taken_for_voltages(tmp_path: Path) -> None:
    folder = kilosort25(tmp_path / "phy", simulate(), is_whitened_before=True)
    result = quick(folder, out=tmp_path / "a.nwb")
    with nct.read_units(result.file) as units:
        assert units.is_whitened.all()
        assert units.waveform_mean[0] is not None
        features = nct.features.compute(units)
    assert all("whitened" in reason for reason in features["waveform_reason"].values)
    assert np.isnan(features["waveform"].values).all()


def test_every_kind_has_a_template() -> None:
    for kind in nct.converters.KINDS:
        assert "REQUIRED" in template(kind)


def test_labels_are_read_before_anything_else(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels\.csv"):
        quick(folder, dry_run=True, labels=tmp_path / "labels.csv")
    with pytest.raises(UsageError, match="what Our lab labelled"):
        quick(folder, dry_run=True, by="Our lab")
    labels = tmp_path / "mine.csv"
    labels.write_text("unit_id,cell_type\n0,Fancy\n")
    with pytest.raises(UsageError, match="Fancy"):
        quick(folder, dry_run=True, labels=labels)
    assert quick(folder, dry_run=True, labels=labels, taxonomy="free").plan.problems == ""
    labels.write_text("unit_id,cell_type\n999,MLI\n")
    with pytest.raises(InputError, match="999"):
        quick(folder, dry_run=True, labels=labels)
