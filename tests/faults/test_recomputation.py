"""A stored run is computed again: it holds, until one spike, one weight or one answer is another."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import nwb_celltype as nct
from nwb_celltype.bundles import read_bundle, save_bundle
from nwb_celltype.classifier import load_model
from nwb_celltype.cli.verify_verb import command
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.nwb_io import detach
from nwb_celltype.provenance import SourceAsset
from nwb_celltype.recomputation import TOLERANCE, Recomputation, verify
from nwb_celltype.runs import CONTAINER_PATH, choose_run

from ..nwb_io.files import label_csv

ROOT = Path(__file__).resolve().parents[2]
SESSION = ROOT / "examples" / "simulated_session.nwb"


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("annotated") / "session.nwb"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nwb_celltype.nwb_io.validation.validator_messages", lambda _: [])
        patch.setattr("nwb_celltype.nwb_io.detached.validator_messages", lambda _: [])
        nct.annotate(SESSION, out=out)
        nct.annotate(out, in_place=True, prior={"GoC": 1, "MFB": 1, "MLI": 3, "PkC_cs": 1, "PkC_ss": 2})
        nct.annotate(out, in_place=True, labels=label_csv(out.parent, {1: "MLI"}), by="me")
        detach(out, out.parent / "labels.nwb", SourceAsset(url="https://example.org/a.nwb"))
    return out


@pytest.fixture
def file(annotated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(annotated, tmp_path / "session.nwb"))


def first_run(file: Path) -> str:
    return next(run.name for run in nct.read_runs(file) if run.method.source_type == "classifier")


def results(done: Recomputation) -> dict[str, str]:
    return {name: result for name, result, _ in done.checks}


def test_a_run_holds(annotated: Path) -> None:
    for run in nct.read_runs(annotated):
        done = verify(annotated, run=run.name)
        assert done.holds, done.checks
        assert done.is_recomputed == (run.method.source_type == "classifier")
    assert not verify(annotated, run="expert_me").is_recomputed


def test_a_flipped_spike_is_noticed(file: Path) -> None:
    run = first_run(file)
    with h5py.File(file, "r+") as opened:
        times = opened["units/spike_times"]
        raw = times[100:101].view(np.uint64)
        raw ^= np.uint64(1)  # the last bit of one time
        times[100:101] = raw.view(np.float64)
    done = verify(file, run=run)
    assert not done.holds
    assert results(done) == {"units": "wrong", "weights": "ok", "probabilities": "ok", "answers": "ok"}


def test_moved_spikes_are_noticed_in_the_answers(file: Path) -> None:
    with h5py.File(file, "r+") as opened:
        last = int(opened["units/spike_times_index"][0])
        opened["units/spike_times"][:last] *= 0.5
    assert results(verify(file, run=first_run(file)))["probabilities"] == "wrong"


def test_a_flipped_weight_is_noticed(file: Path, tmp_path: Path) -> None:
    shipped = read_bundle("cerebellum")
    folder = Path(shutil.copytree(shipped.path, tmp_path / "flipped"))
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-5] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(weights))
    with pytest.raises(InputError, match=r"model\.safetensors"):
        verify(file, run=first_run(file), model=folder)
    name, tensor = next((k, v) for k, v in shipped.tensors.items() if v.dtype == np.float32 and v.size > 10)
    changed = tensor.copy()
    changed.reshape(-1)[3] += 1e-3
    whole = save_bundle(
        tmp_path / "whole", tensors={**shipped.tensors, name: changed}, card=shipped.card, licence_text="As before.\n"
    )
    done = verify(file, run=first_run(file), model=whole)
    assert results(done) == {"units": "ok", "weights": "wrong", "answers": "not checked"}
    assert not done.holds
    assert not done.is_recomputed


def test_changed_answers_are_noticed(file: Path) -> None:
    run = first_run(file)
    with h5py.File(file, "r+") as opened:
        group = opened[f"{CONTAINER_PATH}/{run}"]
        group["probability"][0, 0] += 2 * TOLERANCE
        group["cell_type"][1] = "GoC" if group["cell_type"].asstr()[1] != "GoC" else "MLI"
    done = verify(file, run=run)
    assert results(done)["probabilities"] == "wrong"
    assert results(done)["answers"] == "wrong"
    assert next(note for name, _, note in done.checks if name == "answers").startswith("1 of 11 units")


def test_differences_within_the_tolerance_do_not_matter(file: Path) -> None:
    run = first_run(file)
    with h5py.File(file, "r+") as opened:
        opened[f"{CONTAINER_PATH}/{run}/probability"][0, 0] += TOLERANCE / 2
    assert verify(file, run=run).holds


def test_units_that_are_gone(file: Path) -> None:
    run = first_run(file)
    with h5py.File(file, "r+") as opened:
        opened[f"{CONTAINER_PATH}/{run}/unit_id"][0] = 4711
    done = verify(file, run=run)
    assert [(name, result) for name, result, _ in done.checks] == [("units", "wrong")]
    assert "4711" in done.checks[0][2]


def test_labels_that_stand_alone_need_the_recording(annotated: Path) -> None:
    alone = annotated.parent / "labels.nwb"
    with pytest.raises(UsageError, match="--source"):
        verify(alone, run=first_run(annotated))
    assert verify(alone, run=first_run(annotated), source=annotated).holds


def test_a_model_in_memory_and_layers_that_are_not_there(file: Path) -> None:
    run = first_run(file)
    assert verify(file, run=run, model=load_model("cerebellum")).holds
    with h5py.File(file, "r+") as opened:
        method = opened[f"{CONTAINER_PATH}/{run}/method"]
        stated = json.loads(method.attrs["parameters"])
        method.attrs["parameters"] = json.dumps({**stated, "layers": {"source": "layers.csv", "sha256": "0"}})
    with pytest.raises(UsageError, match=r"layers of 'layers.csv'.*--layers"):
        verify(file, run=run)


def test_the_command_says_it_and_ends_with_3(file: Path) -> None:
    run = first_run(file)
    good = CliRunner().invoke(command, [str(file), "--run", run, "--quiet"])
    assert (good.exit_code, good.output.splitlines()[-1]) == (0, "It holds.")
    with h5py.File(file, "r+") as opened:
        opened["units/spike_times"][0] += 1e-6
    bad = CliRunner().invoke(command, [str(file), "--run", run, "--json"])
    assert bad.exit_code == 3
    said = json.loads(bad.output)
    assert (said["holds"], said["tolerance"], [one["run"] for one in said["runs"]]) == (False, TOLERANCE, [run])


def test_the_command_computes_every_run(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [run.name for run in nct.read_runs(file)]
    assert len(names) == 3
    good = CliRunner().invoke(command, [str(file), "--quiet"])
    assert (good.exit_code, good.output.splitlines()[-1]) == (0, "3 of 3 runs hold.")
    assert [line.split()[2] for line in good.output.splitlines() if ": run " in line] == names
    assert verify(file).run == names[1]  # the newest of a model, not that of a person

    with h5py.File(file, "r+") as opened:
        opened[f"{CONTAINER_PATH}/{names[0]}/probability"][0, 0] += 0.1
        opened[f"{CONTAINER_PATH}/{names[1]}_method"].attrs["model_name"] = "nobodys"
    bad = CliRunner().invoke(command, [str(file), "--quiet"])
    assert bad.exit_code == 3
    assert bad.output.splitlines()[-1] == (
        f"1 of 3 runs hold; {names[0]} does not hold; {names[1]} could not be computed again."
    )
    alone = CliRunner().invoke(command, [str(file), "--quiet", "--run", names[1]], standalone_mode=False)
    assert isinstance(alone.exception, UsageError)
    several = CliRunner().invoke(command, [str(file), "--model", "cerebellum"], standalone_mode=False)
    assert isinstance(several.exception, UsageError)
    assert f"name one with --run {names[0]}|{names[1]}" in str(several.exception)

    with h5py.File(file, "r+") as opened:
        opened[f"{CONTAINER_PATH}/{names[0]}/probability"][0, 0] -= 0.1
    unknown = CliRunner().invoke(command, [str(file), "--json"])
    assert unknown.exit_code == 2
    said = json.loads(unknown.output)
    assert ([one["holds"] for one in said["runs"]], said["holds"]) == ([True, True, None], None)


ANNOTATE = """
import sys, torch, numba
torch.set_num_threads(int(sys.argv[3])); numba.set_num_threads(min(int(sys.argv[3]), numba.config.NUMBA_NUM_THREADS))
import nwb_celltype as nct
nct.annotate(sys.argv[1], out=sys.argv[2])
"""


def test_one_and_two_threads_write_the_same(tmp_path: Path) -> None:
    """Everything but the moment is the same, bit for bit."""
    runs = []
    for n in ("1", "2"):
        out = tmp_path / f"{n}.nwb"
        subprocess.run([sys.executable, "-c", ANNOTATE, str(SESSION), str(out), n], check=True, cwd=ROOT)
        runs.append(choose_run(out))
    one, two = (replace(run, created="", units_object_id="") for run in runs)
    for field in one.__dataclass_fields__:
        a, b = getattr(one, field), getattr(two, field)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=field)
        else:
            assert a == b, field
