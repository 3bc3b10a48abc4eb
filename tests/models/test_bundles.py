"""Model folders: nothing foreign, damaged or mismatched is ever loaded."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from nwb_celltype import bundles
from nwb_celltype.bundles import models, read_bundle, save_bundle
from nwb_celltype.classifier import load_model
from nwb_celltype.errors import CellTypeError, InputError, UsageError


@pytest.fixture
def copy(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "copy"))


def change_card(folder: Path, **entries: Any) -> None:
    card = json.loads((folder / "model.json").read_text())
    for key, value in entries.items():
        if value is None:
            del card[key]
        else:
            card[key] = value
    (folder / "model.json").write_text(json.dumps(card))


def change_tensors(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the weights and state their new hash, as an author would."""
    tensors = dict(load_file(folder / "model.safetensors"))
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    change_card(folder, weights_sha256=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest())


def test_a_copy_loads(copy: Path) -> None:
    bundle = read_bundle(copy)
    assert bundle.card["name"] == "small"
    assert set(bundle.training_rows) == {"waveform", "train"}
    assert len(bundle.training_rows["train"]) == 36
    assert load_model(str(copy)).classes == ("fast", "regular", "slow")


def test_a_changed_byte_is_noticed(copy: Path) -> None:
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    with pytest.raises(InputError, match=r"sha256 .* but its card says .*Get the model again"):
        read_bundle(copy)


def test_changed_training_rows_are_noticed(copy: Path) -> None:
    (copy / "training_rows.json").write_text("{}")
    with pytest.raises(InputError, match=r"training_rows.json has sha256"):
        read_bundle(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "LICENSE", "training_rows.json"])
def test_a_missing_file_is_noticed(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(InputError, match=name):
        read_bundle(copy)


@pytest.mark.parametrize(
    "key", ["name", "classes", "licence", "weights_sha256", "modalities", "calibration", "default_threshold"]
)
def test_an_incomplete_card_is_refused(copy: Path, key: str) -> None:
    change_card(copy, **{key: None})
    with pytest.raises(InputError, match=f"`{key}` is missing"):
        read_bundle(copy)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": NaN}', "[" * 100_000])
def test_a_card_that_is_no_card_is_refused(copy: Path, text: str) -> None:
    (copy / "model.json").write_text(text)
    with pytest.raises(InputError, match=r"model.json is not"):
        read_bundle(copy)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"classes": ["fast", "slow"]}, "do not belong together"),
        ({"classes": ["fast", "fast", "slow"]}, "two or more different names"),
        ({"classes": ["fast", "regular", 3]}, "two or more different names"),
        ({"architecture": {"members": 2}}, "incomplete"),
        ({"default_threshold": 7}, "do not belong together"),
        ({"calibration": {"temperature": {"train": 0}}}, "do not belong together"),
        ({"ood": {"threshold": 0.5, "distance_limits": {}}}, "incomplete"),
    ],
)
def test_card_and_weights_must_belong_together(copy: Path, entries: dict[str, Any], said: str) -> None:
    change_card(copy, **entries)
    with pytest.raises(InputError, match=said):
        load_model(copy)


def test_wrong_tensors_are_refused(copy: Path) -> None:
    change_tensors(copy, lambda tensors: tensors.update({"train.head": tensors["train.head"][:, :-1].copy()}))
    with pytest.raises(InputError, match=r"do not belong together \(tensors train.head\)"):
        load_model(copy)


def test_numbers_that_are_none_are_refused(copy: Path) -> None:
    change_tensors(copy, lambda tensors: tensors["train.head"].__setitem__(0, np.nan))
    with pytest.raises(InputError, match=r"'train.head' is not finite float32"):
        load_model(copy)


def test_pickles_are_never_loaded(tmp_path: Path, copy: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    for path in (tmp_path / "model.pkl", tmp_path / "model.pt", copy / "model.safetensors"):
        path.write_bytes(pickle.dumps(Trap()))
    data = (copy / "model.safetensors").read_bytes()
    change_card(copy, weights_sha256=hashlib.sha256(data).hexdigest())
    for path in (tmp_path / "model.pkl", tmp_path / "model.pt", copy):
        with pytest.raises(InputError):
            load_model(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["celebellum", "../weights/cerebellum/none", "/nowhere/model", "", "weights"])
def test_unknown_names_say_what_there_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CellTypeError, match=r"shipped models: .*cerebellum|not a model folder"):
        load_model(name)


def test_saving_does_not_bury_other_files(copy: Path, tmp_path: Path) -> None:
    (copy / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"other files \(notes.txt\)"):
        save_bundle(copy, tensors={}, card={}, licence_text="")
    with pytest.raises(UsageError, match="is a file"):
        save_bundle(copy / "notes.txt", tensors={}, card={}, licence_text="")


def test_saving_is_reproducible(copy: Path, tmp_path: Path) -> None:
    bundle = read_bundle(copy)
    again = save_bundle(tmp_path / "again", tensors=bundle.tensors, card=bundle.card, licence_text="None.")
    assert (again / "model.safetensors").read_bytes() == (copy / "model.safetensors").read_bytes()


def test_the_shipped_model_is_the_registered_one() -> None:
    (shipped,) = models()
    assert shipped.name == "cerebellum"
    assert shipped.licence == "CC-BY-NC-SA-4.0"
    text = shipped.licence_file.read_text()
    for needed in (
        "https://creativecommons.org/licenses/by-nc-sa/4.0/",
        "10.1016/j.cell.2025.01.041",
        "10.5522/04/23702850",
    ):
        assert needed in text
    folder = shipped.licence_file.parent
    assert sum(file.stat().st_size for file in folder.iterdir()) < 5_000_000
    model = load_model("cerebellum")
    assert model.classes == ("GoC", "MFB", "MLI", "PkC_cs", "PkC_ss")
    assert model.weights_sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert model.weights_sha256 == shipped.weights_sha256 == shipped.to_json()["weights_sha256"]
    assert {entry["licence"] for entry in model.card["training_data"]} == {"CC-BY-NC-SA-4.0"}


def test_a_shipped_model_with_a_changed_card_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = Path(shutil.copytree(bundles._SHIPPED, tmp_path / "weights"))
    monkeypatch.setattr(bundles, "_SHIPPED", shipped)
    monkeypatch.setattr(bundles, "_REGISTRY", shipped / "registry.json")
    change_card(shipped / "cerebellum", default_threshold=0.1)
    with pytest.raises(InputError, match="the list of shipped models says"):
        load_model("cerebellum")
    bundles.register("cerebellum")
    assert load_model("cerebellum").default_threshold == 0.1


@pytest.mark.parametrize(
    "change",
    [
        ('"members": 2', '"members": 1e999'),
        ('"clip": 2.5', '"clip": -1'),
        ('"clip": 2.5', '"clip": 1e999'),
        ('"floor": 0.5', '"floor": 0.5}, "calibration": {"temperature": {"train": 1e999}'),
    ],
)
def test_numbers_of_a_card_that_make_no_sense_are_refused(copy: Path, change: tuple[str, str]) -> None:
    text = (copy / "model.json").read_text()
    assert change[0] in text
    (copy / "model.json").write_text(text.replace(*change))
    with pytest.raises(InputError, match=r"incomplete|do not belong together"):
        load_model(copy)


def test_training_rows_that_are_a_trap_are_refused(copy: Path) -> None:
    rows = b"[" * 200_000
    (copy / "training_rows.json").write_bytes(rows)
    change_card(copy, training_rows_sha256=hashlib.sha256(rows).hexdigest())
    with pytest.raises(InputError, match=r"training_rows.json is not valid JSON"):
        read_bundle(copy)


def test_only_plain_files_of_a_fair_size_are_read(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy / "training_rows.json").unlink()
    (copy / "training_rows.json").symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"training_rows.json is no file of at most"):
        read_bundle(copy)
    monkeypatch.setattr(bundles._read_bytes, "__defaults__", (100,))
    with pytest.raises(InputError, match=r"model.safetensors is no file of at most"):
        read_bundle(copy)


def test_a_name_too_long_for_the_file_system_is_only_unknown() -> None:
    with pytest.raises(UsageError, match="shipped models: cerebellum"):
        load_model("x" * 5000)


def test_a_card_that_is_read_can_be_saved_without_its_rows(copy: Path, tmp_path: Path) -> None:
    bundle = read_bundle(copy)
    again = save_bundle(tmp_path / "again", tensors=bundle.tensors, card=bundle.card, licence_text="None.")
    assert read_bundle(again).training_rows == {}


def test_a_card_that_is_no_json_leaves_nothing_behind(copy: Path, tmp_path: Path) -> None:
    bundle = read_bundle(copy)
    card = {**bundle.card, "metrics": {"accuracy": float("nan")}}
    with pytest.raises(UsageError, match="finite numbers"):
        save_bundle(tmp_path / "new", tensors=bundle.tensors, card=card, licence_text="")
    assert not (tmp_path / "new").exists()
    with pytest.raises(UsageError, match="finite numbers"):
        save_bundle(copy, tensors={}, card=card, licence_text="")
    assert read_bundle(copy).training_rows == bundle.training_rows


def test_a_folder_below_a_file_is_refused_before_training(copy: Path) -> None:
    with pytest.raises(UsageError, match="cannot be made"):
        bundles.check_output(copy / "model.json" / "model")
