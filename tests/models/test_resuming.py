"""A training that was stopped goes on where it was, and ends as if nothing had happened; early stopping."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.classifier import Model
from nwb_celltype.errors import UsageError
from nwb_celltype.labels import read_labelled
from nwb_celltype.training import Settings, checkpoints, train
from nwb_celltype.training.checkpoints import Checkpoints, key_of, workplace_of
from nwb_celltype.training.descent import Patience, rows_aside
from nwb_celltype.training.fitting import fit
from nwb_celltype.training.pool import make_pool

from .synthetic import make_arrays, save

SMALL = Settings(members=2, width=32, epochs=20, n_variants=2, trees=2, strangers=2, patience=20)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory):
    labelled = read_labelled(save(tmp_path_factory.mktemp("data") / "u.npz", make_arrays(20, 3)))
    return make_pool([labelled], n_variants=2)


@pytest.fixture(scope="module")
def whole(pool):
    return fit(pool, SMALL, seed=0).tensors


class _StoppedError(Exception):
    pass


@pytest.mark.parametrize("where", ["training", "training: how long"])
def test_networks_go_on_in_the_middle_of_a_step_by_step_training(where, pool, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "STATE_INTERVAL_S", 0.0)
    kept = Checkpoints.beside(tmp_path / "m", "k")

    def stop(task: str, done: int, _total: int) -> None:
        if task == where and done == 11:
            raise _StoppedError

    with pytest.raises(_StoppedError):
        fit(pool, SMALL, seed=0, kept=kept, progress=stop)
    assert kept.get("model") is None
    seen = []
    again = fit(
        pool, SMALL, seed=0, kept=Checkpoints.beside(tmp_path / "m", "k"), progress=lambda *said: seen.append(said)
    )
    first = next(done for task, done, _ in seen if task == where)
    assert first >= 11  # the state is noted after the progress is told
    assert set(again.tensors) == set(whole)
    for name, value in whole.items():
        np.testing.assert_array_equal(again.tensors[name], value)
    assert fit(pool, SMALL, seed=0, kept=kept).tensors.keys() == whole.keys()
    assert [path.name for path in kept.folder.glob("*.safetensors")] == ["model.safetensors"]


def test_a_killed_training_ends_with_the_same_weights(model: Model, tmp_path: Path) -> None:
    data = save(tmp_path / "learnt.npz", make_arrays(12, 1) | {"lab": "A"})
    code = f"from nwb_celltype.training import train; train({str(data)!r}, out='m', name='small', members=2, epochs=60)"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    first = workplace_of(tmp_path / "m") / "cross-validation-1.safetensors"
    until = time.monotonic() + 120
    while not first.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert first.exists()
    seen: dict[str, list[int]] = {}
    again = train(
        data, out=tmp_path / "m", name="small", members=2, epochs=60,
        progress=lambda task, done, _: seen.setdefault(task, []).append(done),
    )  # fmt: skip
    assert seen["cross-validation 1/5"] == [60]
    assert again.weights_sha256 == model.weights_sha256
    assert again.card["metrics"] == model.card["metrics"]
    assert not workplace_of(tmp_path / "m").exists()


def test_other_data_settings_or_a_wish_begin_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arrays = {"x": np.arange(3.0)}
    key = key_of(arrays, {"seed": 0})
    assert key == key_of({"x": np.arange(3.0)}, {"seed": 0})
    others = [key_of(arrays, {"seed": 1}), key_of({"x": np.arange(3)}, {"seed": 0}), key_of({}, {"seed": 0})]
    assert key not in others
    kept = Checkpoints.beside(tmp_path / "m", key)
    kept.put("fold", arrays, {"epochs": 3})
    found = Checkpoints.beside(tmp_path / "m", key).get("fold")
    assert found is not None
    np.testing.assert_array_equal(found[0]["x"], arrays["x"])
    assert found[1] == {"epochs": 3}
    (tmp_path / ".m.training" / "fold.safetensors").write_bytes(b"half")
    assert Checkpoints.beside(tmp_path / "m", key).get("fold") is None
    assert "this part is trained again" in caplog.text
    for wanted, resume in ((others[0], True), (others[0], False)):
        again = Checkpoints.beside(tmp_path / "m", wanted, resume=resume)
        assert again.get("fold") is None
        again.put("fold", arrays)
    again.close()
    assert not (tmp_path / ".m.training").exists()


def test_without_a_folder_nothing_is_kept() -> None:
    kept = Checkpoints(None)
    kept.put("a", {})
    kept.close()
    assert kept.get("a") is None
    assert not kept.is_due("a")


def test_a_workplace_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / ".m.training").write_text("a file")
    with pytest.raises(UsageError, match="cannot be written"):
        Checkpoints.beside(tmp_path / "m", "k")


def test_patience_ends_when_units_aside_get_worse() -> None:
    patience = Patience(20)
    said = [patience.is_over(step, loss) for step, loss in [(5, 1.0), (10, 0.5), (15, 0.499), (25, 0.6), (30, 0.7)]]
    assert said == [False, False, False, False, True]
    assert patience.best == 10  # 0.499 is no gain worth five steps
    assert Patience(20, patience.losses).best == 10


def test_units_kept_aside_have_every_class_and_are_drawn_by_seed(pool) -> None:
    split = rows_aside(pool, 0)
    assert split is not None
    taught, aside = split
    assert not set(taught) & set(aside)
    assert len(aside) >= 10
    assert set(pool.labels[aside]) == set(pool.labels[taught]) == {0, 1, 2}
    assert rows_aside(pool, 1)[1].tolist() != aside.tolist()
    assert rows_aside(pool.take(np.arange(30)), 0) is None


def test_labels_that_mean_nothing_are_learnt_for_less_long(pool) -> None:
    rng = np.random.default_rng(0)
    shuffled = pool.take(np.arange(len(pool)))
    shuffled.labels[:] = rng.permutation(shuffled.labels)
    settings = Settings(members=2, width=64, epochs=100, n_variants=2, trees=0, strangers=0, decay=0.0, patience=20)
    taught = fit(shuffled, settings, seed=0).card["training"]["epochs_taught"]
    assert taught < 60
    assert fit(pool, settings, seed=0).card["training"]["epochs_taught"] > taught
