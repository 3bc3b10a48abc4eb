"""Model folders: nothing foreign, damaged or mismatched is ever loaded."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from nwb_celltype import bundles
from nwb_celltype.bundles import models, read_bundle, save_bundle
from nwb_celltype.classifier import load_model
from nwb_celltype.errors import CellTypeError, InputError, RefusedError, UsageError
from nwb_celltype.model_store import card_text, export_model, figures_text, import_model
from nwb_celltype.verification import example_features, record_examples, verify_model


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
        ({"classes": ["fast", "slow"]}, "do not belong together|one of the two is not its author's"),
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
    shipped = next(one for one in models() if one.name == "cerebellum")
    assert shipped.origin == "shipped"
    assert shipped.licence == "CC-BY-NC-SA-4.0"
    text = shipped.licence_file.read_text()
    for needed in (
        "https://creativecommons.org/licenses/by-nc-sa/4.0/",
        "10.1016/j.cell.2025.01.041",
        "10.5522/04/23702850",
    ):
        assert needed in text
    folder = shipped.licence_file.parent
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10_000_000
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
    with pytest.raises(UsageError, match=r"shipped models: .*cerebellum"):
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


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where imported models go in this test."""
    monkeypatch.setenv("NWB_CELLTYPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture
def recorded(copy: Path) -> Path:
    """A model folder with its answers about made-up units."""
    record_examples(copy)
    return copy


def results(folder: Path, **options: Any) -> dict[str, str]:
    return {name: result for name, result, _ in verify_model(folder, **options).checks}


def test_answers_are_recorded_and_found_again(recorded: Path) -> None:
    bundle = read_bundle(recorded)
    assert set(bundle.training_rows) == {"waveform", "train"}
    said = np.array(bundle.examples["probability"], dtype=float)
    found = load_model(recorded).predict(example_features()).probability
    np.testing.assert_allclose(said, found, atol=1e-6)
    assert len(np.unique(said.argmax(axis=1))) > 1
    assert results(recorded) == {
        "hashes": "ok", "shapes": "ok", "answers": "ok", "training map": "ok",
        "training data": verify_model(recorded).checks[4][1],
    }  # fmt: skip
    assert (recorded / "LICENSE").read_text() != ""


def test_other_weights_give_other_answers(recorded: Path) -> None:
    change_tensors(
        recorded, lambda tensors: tensors.update({"train.head": np.ascontiguousarray(-tensors["train.head"])})
    )
    found = verify_model(recorded)
    assert not found.is_sound
    assert "largest difference" in found.checks[2][2]
    with pytest.raises(InputError, match="is not exported, because it does not do what its author's did"):
        export_model(recorded, recorded.parent)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"probability": [[0.5]]}, "other classes or units"),
        ({"probability": "none"}, "cannot be read"),
    ],
)
def test_answers_that_do_not_fit_are_wrong(recorded: Path, entries: dict[str, Any], said: str) -> None:
    change_examples(recorded, entries)
    assert said in verify_model(recorded).checks[2][2]
    assert not verify_model(recorded).is_sound


@pytest.mark.parametrize("classes", [["slow", "regular", "fast"], ["a", "b", "c"], "fast"])
def test_answers_of_other_classes_are_refused(recorded: Path, classes: Any) -> None:
    """So a card that lies about its classes is found out wherever the model is loaded."""
    change_examples(recorded, {"classes": classes})
    with pytest.raises(InputError, match="one of the two is not its author's"):
        load_model(recorded)


def change_examples(folder: Path, entries: dict[str, Any]) -> None:
    examples = json.dumps({**json.loads((folder / "examples.json").read_text()), **entries}).encode()
    (folder / "examples.json").write_bytes(examples)
    change_card(folder, examples_sha256=hashlib.sha256(examples).hexdigest())


def test_answers_about_units_of_another_version_are_not_compared(recorded: Path) -> None:
    change_examples(recorded, {"units": "made-up units 0"})
    assert results(recorded)["answers"] == "not checked"


def test_a_changed_byte_of_the_answers_is_noticed(recorded: Path) -> None:
    (recorded / "examples.json").write_text((recorded / "examples.json").read_text() + " ")
    with pytest.raises(InputError, match=r"examples.json has sha256"):
        read_bundle(recorded)


def test_training_files_are_compared_by_their_hashes(copy: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "units.npz").write_bytes(b"the units")
    entry = {"name": "units.npz", "sha256": hashlib.sha256(b"the units").hexdigest()}
    assert results(copy)["training data"] == "not checked"
    change_card(copy, training_data=[entry])
    assert results(copy)["training data"] == "not checked"
    assert results(copy, data=[data])["training data"] == "ok"
    (data / "units.npz").write_bytes(b"others")
    assert results(copy, data=[data / "units.npz"])["training data"] == "wrong"
    with pytest.raises(InputError, match="cannot be read"):
        verify_model(copy, data=[data / "none.npz"])


def test_a_model_goes_to_somebody_else(recorded: Path, store: Path, tmp_path: Path) -> None:
    sent = export_model(recorded, tmp_path)
    assert sent.path == tmp_path / "small-1.zip"
    assert sent.sha256 == hashlib.sha256(sent.path.read_bytes()).hexdigest()
    taken = import_model(sent.path, sha256=sent.sha256)
    assert (taken.name, taken.path, taken.is_new) == ("small", store / "small", True)
    assert sorted(one.name for one in store.iterdir()) == ["small"]
    for file in recorded.iterdir():
        assert (taken.path / file.name).read_bytes() == file.read_bytes()
    assert load_model("small").weights_sha256 == load_model(recorded).weights_sha256
    assert [(one.name, one.origin) for one in models()][-1] == ("small", "installed")
    again = import_model(sent.path)
    assert not again.is_new
    assert verify_model("small").is_sound


def test_exports_of_a_model_are_the_same_file(recorded: Path, tmp_path: Path) -> None:
    first = export_model(recorded, tmp_path / "a.zip")
    with pytest.raises(UsageError, match="exists"):
        export_model(recorded, tmp_path / "a.zip")
    for file in sorted(recorded.iterdir(), reverse=True):
        file.touch()
    assert export_model(recorded, tmp_path / "b.zip").sha256 == first.sha256
    assert export_model(recorded, tmp_path / "a.zip", overwrite=True) == first
    with zipfile.ZipFile(first.path) as archive:
        lines = archive.read("SHA256SUMS").decode().splitlines()
        assert {line.split("  ")[1] for line in lines} == set(archive.namelist()) - {"SHA256SUMS"}
    with pytest.raises(UsageError, match=r"no name that ends in .zip"):
        export_model(recorded, tmp_path / "model.tar")


def test_a_shipped_model_is_exported_with_its_licence(tmp_path: Path) -> None:
    with zipfile.ZipFile(export_model("cerebellum", tmp_path).path) as archive:
        assert "CC BY-NC-SA 4.0" in archive.read("LICENSE").decode()


def test_names_of_imported_models(recorded: Path, store: Path, tmp_path: Path) -> None:
    assert import_model(recorded, name="mine").path == store / "mine"
    with pytest.raises(UsageError, match="is shipped"):
        import_model(recorded, name="cerebellum")
    for name in ("../outside", "Mine", "", "x" * 200):
        with pytest.raises(UsageError, match="is no name of a model"):
            import_model(recorded, name=name or " ")
    change_card(recorded, version="2")
    with pytest.raises(UsageError, match="There is another model 'mine'"):
        import_model(recorded, name="mine")
    assert import_model(recorded, name="mine", replace=True).version == "2"
    assert load_model("mine").card["version"] == "2"
    assert [one.name for one in store.iterdir()] == ["mine"]
    with pytest.raises(UsageError, match="imported: mine"):
        load_model("yours")


def test_a_folder_beside_does_not_hide_an_imported_model(
    recorded: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_model(recorded, name="mine")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert read_bundle("mine").path == store / "mine"
    with pytest.raises(InputError, match="is not a model folder"):
        read_bundle("./mine")


def repack(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The same archive with other members."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


class Spring:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.mkdir, (self.place,))


FOREIGN: dict[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "a pickle among them": (
        lambda files: files.update({"archive/data.pkl": b"x"}),
        "holds the pickle archive/data.pkl",
    ),
    "a script": (lambda files: files.update({"setup.py": b"x"}), "holds 'setup.py'"),
    "a way out": (lambda files: files.update({"../../model.json": b"{}"}), r"holds '\.\./\.\./model.json'"),
    "no licence": (lambda files: files.pop("LICENSE"), "LICENSE is missing"),
    "no hashes": (lambda files: files.pop("SHA256SUMS"), "has no SHA256SUMS"),
    "other bytes": (lambda files: files.update({"LICENSE": b"mine"}), "is not the file whose hash"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_archives_are_not_taken_in(recorded: Path, store: Path, tmp_path: Path, what: str) -> None:
    change, said = FOREIGN[what]
    with pytest.raises((RefusedError, InputError), match=said):
        import_model(repack(export_model(recorded, tmp_path).path, change))
    assert not store.exists() or not list(store.iterdir())


def test_files_that_are_no_model_are_not_taken_in(store: Path, copy: Path, tmp_path: Path) -> None:
    pickled = pickle.dumps(Spring(tmp_path / "sprung"))
    for name, data, said in (
        ("model.pkl", pickled, "it is a pickle, which runs whatever"),
        ("model.zip", pickled, "it is a pickle, which runs whatever"),
        ("model.pt", torch_file(pickled), "it is a pickle"),
        ("renamed.zip", torch_file(pickled), "holds the pickle archive/data.pkl"),
        ("text.zip", b"text", "no archive that this toolkit exported"),
        ("model.h5", b"\x89HDF\r\n", "no archive that this toolkit exported"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(RefusedError, match=said):
            import_model(tmp_path / name)
    (copy / "more.txt").write_text("")
    with pytest.raises(RefusedError, match=r"holds more.txt"):
        import_model(copy)
    with pytest.raises(InputError, match="check the path"):
        import_model(tmp_path / "none.zip")
    assert not (tmp_path / "sprung").exists()


def torch_file(pickled: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    return buffer.getvalue()


def test_what_is_damaged_or_does_otherwise_is_not_taken_in(recorded: Path, store: Path, tmp_path: Path) -> None:
    sent = export_model(recorded, tmp_path)
    with pytest.raises(InputError, match="get it again from its author"):
        import_model(sent.path, sha256="0" * 64)
    half = sent.path.read_bytes()[: sent.path.stat().st_size // 2]
    (tmp_path / "half.zip").write_bytes(half)
    with pytest.raises(CellTypeError, match=r"half.zip"):
        import_model(tmp_path / "half.zip")
    change_tensors(
        recorded, lambda tensors: tensors.update({"train.head": np.ascontiguousarray(-tensors["train.head"])})
    )
    with pytest.raises(RefusedError, match="does not answer as its author's model did"):
        import_model(recorded)
    assert not list(store.iterdir())


def test_too_much_is_not_unpacked(recorded: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = export_model(recorded, tmp_path)
    with zipfile.ZipFile(sent.path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["LICENSE"] = bytes(10_000_000)
    with zipfile.ZipFile(sent.path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    monkeypatch.setattr("nwb_celltype.model_store._MAX_BYTES", 5_000_000)
    with pytest.raises(RefusedError, match="unpacks to more than"):
        import_model(sent.path)


def test_a_card_in_words(recorded: Path) -> None:
    card = {**read_bundle(recorded).card, "references": ["Doe 2026"], "limits": ["few units"]}
    text = card_text(card)
    for part in ("small 1", "LICENCE: unspecified", "classes: fast, regular, slow", "looks at: waveform, train",
                 "  - few units", "12 fast, 12 regular, 12 slow", "measured, cross-validation:", "all units: n 36",
                 "protocol:", "  - Doe 2026"):  # fmt: skip
        assert part in text, part
    figures = card["metrics"]["cross-validation"]["all units"]
    shown = f"{figures['balanced_accuracy']:.3f}".rstrip("0").rstrip(".")
    assert f"balanced accuracy {shown}," in text


def test_made_up_units_are_the_same_everywhere() -> None:
    features = example_features()
    assert features["waveform_reason"].values.tolist() == ["", "", "", "", "", "no mean waveform"]
    assert features["train_reason"].values.tolist() == ["", "", "", "", "no spike times", ""]
    digest = hashlib.sha256(features["isi_counts"].values.astype("<i8").tobytes()).hexdigest()
    assert digest[:16] == "24c1b4b54cf44d30"


def change_map(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the map of the training units and state its new hash."""
    tensors = dict(load_file(folder / "training_map.safetensors"))
    change(tensors)
    save_file(tensors, folder / "training_map.safetensors")
    digest = hashlib.sha256((folder / "training_map.safetensors").read_bytes()).hexdigest()
    change_card(folder, training_map_sha256=digest)


def test_a_changed_map_is_noticed(copy: Path) -> None:
    raw = bytearray((copy / "training_map.safetensors").read_bytes())
    raw[-1] ^= 1
    (copy / "training_map.safetensors").write_bytes(raw)
    with pytest.raises(InputError, match=r"training_map.safetensors has sha256"):
        load_model(copy)
    (copy / "training_map.safetensors").unlink()
    with pytest.raises(InputError, match=r"training_map.safetensors cannot be read"):
        load_model(copy)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("lab"), "KeyError"),
        (lambda t: t.update(label=t["label"] + np.int16(50)), "labels or laboratories"),
        (lambda t: t.update(lab=t["lab"][:-1].copy()), "labels and laboratories"),
        (lambda t: t.update({"train.places": t["train.places"][:, :1].copy()}), "places of train"),
        (lambda t: t.update({"train.directions": t["train.directions"][:-1].copy()}), "places of train"),
        (lambda t: t.update({"train.rows": t["train.rows"][::-1].copy()}), "units with train"),
        (lambda t: t.update({"train.spacing": np.zeros(1, np.float32)}), "distances of train"),
        (lambda t: t.update({"train.drawing": t["train.drawing"][1:].copy()}), "plane of train"),
        (lambda t: t.update(waveforms=np.zeros((2, 2), np.float32)), "arrays waveforms"),
        (lambda t: t.update({"train.places": t["train.places"] * np.float32(np.nan)}), "not finite"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(copy: Path, change: Callable[[dict[str, Any]], None], said: str) -> None:
    change_map(copy, change)
    with pytest.raises(InputError, match=said):
        load_model(copy)


def test_models_without_a_map_load(copy: Path) -> None:
    (copy / "training_map.safetensors").unlink()
    change_card(copy, training_map_sha256=None, training_map=None)
    assert load_model(copy).training_map is None
    assert results(copy)["training map"] == "not checked"
    record_examples(copy)
    assert "map_xy" not in read_bundle(copy).examples
    assert not (copy / "training_map.safetensors").exists()


def test_a_map_with_other_points_is_wrong(recorded: Path) -> None:
    change_map(recorded, lambda t: t.update({"waveform+train.drawing": t["waveform+train.drawing"] * np.float32(-1)}))
    assert results(recorded)["training map"] == "wrong"


def test_the_map_travels_with_the_model(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NWB_CELLTYPE_CACHE", str(tmp_path / "cache"))
    import_model(export_model(recorded, tmp_path / "small.zip").path)
    here, there = load_model(recorded).training_map, load_model("small").training_map
    assert here is not None
    assert there is not None
    np.testing.assert_array_equal(here.xy, there.xy)


def test_cards_name_classes_as_they_are() -> None:
    table = [{"confidence": 0.5, "n": 2}]
    figures = {"all_units": {"ece": 0.1, "recall_by_class": {"PkC_ss": 0.5}, "reliability": table},
               "train": {"per_class": {"PkC_cs": {"false_ones": 2}}}}  # fmt: skip
    assert figures_text(figures).splitlines() == [
        "  all units: ece 0.1",
        "    reliability: confidence 0.5, n 2",
        "    recall by class: PkC_ss 0.5",
        "  train:",
        "    per class:",
        "      PkC_cs: false ones 2",
    ]
