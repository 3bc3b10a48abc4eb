"""What converters and models are made of, broken: refused in a sentence, and nothing in it is ever run."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from fuzz import recordings
from nwb_celltype.bundles import read_bundle, shipped_folder
from nwb_celltype.classifier import load_model
from nwb_celltype.converters.cellexplorer.matfile import read_mat, variables_of
from nwb_celltype.converters.neuroexplorer.file import open_nex
from nwb_celltype.converters.phy.arrays import open_vector
from nwb_celltype.converters.phy.params import read_params
from nwb_celltype.converters.phy.tables import read_cluster_tables
from nwb_celltype.converters.plexon.pl2 import read_pl2
from nwb_celltype.converters.plexon.plx import read_plx
from nwb_celltype.converters.safe_pickle import load as load_pickle
from nwb_celltype.converters.spikeglx.header import channel_list
from nwb_celltype.converters.spikeglx.meta import read_meta
from nwb_celltype.errors import CellTypeError, InputError
from nwb_celltype.model_store import import_model


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.place,))


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


SOUND = npy(np.arange(1000, dtype=np.int64))
ARRAYS = {
    "empty": (b"", "cannot be read as an array"),
    "text": (b"0 1 2 3", "cannot be read as an array"),
    "cut in its header": (SOUND[:40], "cannot be read as an array"),
    "cut in its data": (SOUND[:-100], "cannot be read as an array"),
    "of objects": (npy(np.array([{}, []], dtype=object)), "cannot be read as an array"),
    "of texts": (npy(np.array(["a", "b"])), "one number a spike"),
    "of complex numbers": (npy(np.ones(3, dtype=complex)), "one number a spike"),
    "of two columns": (npy(np.ones((3, 2))), "one number a spike"),
    "with code in its header": (SOUND.replace(b"'<i8'", b"exit()"), "cannot be read as an array"),
    "whose header ends too soon": (b"\x93NUMPY\x01\x00\x01\x00{", "cannot be read as an array"),
    "with a type that is none": (SOUND.replace(b"'<i8'", b"'<,8'"), "cannot be read as an array"),
    "with a shape of truths": (SOUND.replace(b"(1000,)", b"(True,)"), "cannot be read as an array"),
    "longer than any number": (
        SOUND.replace(b"(1000,), }" + b" " * 30, b"(" + b"9" * 30 + b",), } "),
        "cannot be read as an array",
    ),
    "claims 8 EiB": (
        SOUND.replace(b"(1000,), }", b"(2**60,),}").replace(b"2**60", b"9" * 5),
        "cannot be read as an array",
    ),
}


@pytest.mark.parametrize("what", ARRAYS)
def test_arrays_of_sortings(what: str, tmp_path: Path) -> None:
    data, said = ARRAYS[what]
    path = tmp_path / "spike_times.npy"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"spike_times\.npy .*{said}"):
        open_vector(path)


def test_a_pickle_in_an_array_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "spike_times.npy").write_bytes(npy(np.array([Trap(tmp_path / "sprung")], dtype=object)))
    with pytest.raises(InputError, match="cannot be read as an array"):
        open_vector(tmp_path / "spike_times.npy")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "line",
    [
        "__import__('pathlib').Path({place!r}).touch()",
        "sample_rate = __import__('pathlib').Path({place!r}).touch() or 30000.",
        "import pathlib; pathlib.Path({place!r}).touch()",
        "class sample_rate(metaclass=lambda *a: __import__('pathlib').Path({place!r}).touch()): pass",
        "dtype = f'{{__import__(\"pathlib\").Path({place!r}).touch()}}'",
        "@(lambda f: __import__('pathlib').Path({place!r}).touch())\ndef f(): pass",
        "sample_rate = [x for x in [__import__('pathlib').Path({place!r}).touch()]][0]",
        "while True: pass",
        "n = 9 ** 9 ** 9",
        "x = " + "[" * 10_000,
    ],
)
def test_params_are_parsed_and_never_executed(line: str, tmp_path: Path) -> None:
    place = tmp_path / "sprung"
    code = line.format(place=str(place))
    np.save(tmp_path / "spike_times.npy", np.arange(3))
    (tmp_path / "params.py").write_text(f"{code}\nsample_rate = 25000.\n", encoding="utf-8")
    try:
        assert read_params(tmp_path).sampling_rate_hz == 25000
    except InputError as error:
        assert "sample_rate" in str(error)  # noqa: PT017 - either is right
    assert not place.exists()


def test_a_name_no_file_can_have_is_not_found(tmp_path: Path) -> None:
    np.save(tmp_path / "spike_times.npy", np.arange(3))
    for name in ("x" * 5000 + ".bin", "a\\0b.bin"):
        (tmp_path / "params.py").write_text(f"sample_rate = 25000.\ndat_path = '{name}'\n", encoding="utf-8")
        params = read_params(tmp_path)
        assert params.raw_paths == ()
        assert any("was not found" in note for note in params.notes)


@pytest.mark.parametrize("mark", [",", ";", " ", "\t"])
def test_cluster_tables_with_other_separators(mark: str, tmp_path: Path) -> None:
    rows = [mark.join(row) for row in (("cluster_id", "group"), ("1", "good"), ("2", "mua"))]
    (tmp_path / "cluster_group.tsv").write_text("\r\n".join(rows), encoding="utf-16")
    tables = read_cluster_tables(tmp_path)
    assert tables.columns["quality"].cells == {1: "good", 2: "mua"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("group\n1\n", "has no column cluster_id"),
        ("", "has no column cluster_id"),
        ("cluster_id\tgroup\nx\tgood\n", "no whole number"),
        ("cluster_id\tgroup\n1\tgood\textra\n", "more cells than the header"),
        ("cluster_id\tgroup\tgroup\n1\ta\tb\n", "occurs twice"),
        ("cluster_id\tgroup\n1\t" + "x" * 200_000 + "\n", "larger than field limit"),
    ],
)
def test_cluster_tables_that_are_broken_are_noted(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "cluster_group.tsv").write_text(text, encoding="utf-8")
    assert said in " ".join(read_cluster_tables(tmp_path).notes)


def _cut(make: Callable[[], bytes], share: float) -> bytes:
    data = make()
    return data[: int(len(data) * share)]


@pytest.mark.parametrize("name", ["a.plx", "a.pl2", "a.nex"])
@pytest.mark.parametrize("share", [0.0, 0.0001, 0.02, 0.5, 0.97])
def test_recordings_that_are_cut_short(name: str, share: float, tmp_path: Path) -> None:
    """An error that names the file, or what is whole of it with a note; no file ends a program."""
    make, read = {
        "a.plx": (recordings.plx, read_plx),
        "a.pl2": (recordings.pl2, read_pl2),
        "a.nex": (recordings.nex, open_nex),
    }[name]
    path = tmp_path / name
    path.write_bytes(_cut(make, share))
    try:
        content: Any = read(path)
    except InputError as error:
        assert name in str(error)  # noqa: PT017 - either is right
    else:
        assert share > 0.4
        assert name == "a.nex" or content.notes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[:40], "is not key=value"),
        (lambda text: text[:30], "is missing"),
        (lambda text: "", "is empty"),
        (lambda text: text.replace("=", ":"), "is not key=value"),
        (lambda text: text.replace("imSampRate=30000", "imSampRate=-1"), "imSampRate"),
        (lambda text: text.replace("imSampRate=30000", "imSampRate=nan"), "imSampRate"),
        (lambda text: text.replace("=2,0,1", "=999999999,0,1"), "ApLfSy"),
        (lambda text: text.replace("Subset=all", "Subset=0:99999999999"), "snsSaveChanSubset"),
        (lambda text: text.replace("firstSample=50", "firstSample=" + "9" * 5000), "firstSample"),
        (lambda text: text.replace("2026-01-31", "yesterday"), "fileCreateTime"),
    ],
)
def test_headers_that_are_broken(change: Callable[[str], str], said: str, tmp_path: Path) -> None:
    from fuzz.targets import TARGETS

    path = tmp_path / "run_g0_t0.imec0.ap.meta"
    path.write_text(change(TARGETS["meta"].seeds[0].decode()), encoding="utf-8")
    with pytest.raises(InputError, match=rf"ap\.meta.*{said}"):
        read_meta(path)


def test_a_list_of_channels_cannot_fill_the_memory() -> None:
    with pytest.raises(ValueError, match="no range of channels"):
        channel_list("0:99999999999")


def test_matlab_files_with_missing_fields_or_a_missing_end(tmp_path: Path) -> None:
    from fuzz.targets import TARGETS

    data = TARGETS["mat"].seeds[0]
    path = tmp_path / "spikes.mat"
    path.write_bytes(data)
    assert set(read_mat(path, ["spikes", "absent"])) == {"spikes"}
    for length in (0, 10, 128, 200, len(data) - 40):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"spikes\.mat"):
            read_mat(path, variables_of(path) or ["spikes"]) or _nothing_there()


def _nothing_there() -> None:
    message = "spikes.mat is empty"
    raise InputError(message)


def test_pickles_of_labs_are_read_without_running_them(tmp_path: Path) -> None:
    path = tmp_path / "neurons.pkl"
    path.write_bytes(pickle.dumps({"neuron": Trap(tmp_path / "sprung")}))
    with pytest.raises(CellTypeError, match=r"neurons\.pkl"):
        load_pickle(path)
    assert not (tmp_path / "sprung").exists()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model without what is optional."""
    folder = tmp_path_factory.mktemp("model") / "small"
    shutil.copytree(shipped_folder("cerebellum"), folder)
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    for key in ("training_rows_sha256", "examples_sha256", "training_map_sha256", "training_map"):
        card.pop(key, None)
    for name in ("training_rows.json", "examples.json", "training_map.safetensors"):
        (folder / name).unlink(missing_ok=True)
    (folder / "model.json").write_text(json.dumps(card | {"name": "small"}), encoding="utf-8")
    return folder


@pytest.fixture
def model(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "model"))


def put_weights(folder: Path, data: bytes) -> None:
    """Other weights, with the hash that goes with them."""
    (folder / "model.safetensors").write_bytes(data)
    change_card(folder, weights_sha256=hashlib.sha256(data).hexdigest())


def change_card(folder: Path, **entries: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | entries), encoding="utf-8")


def _other_shape(folder: Path) -> None:
    tensors = load((folder / "model.safetensors").read_bytes())
    name = next(name for name in sorted(tensors) if tensors[name].ndim == 2)
    put_weights(folder, save(tensors | {name: np.ascontiguousarray(tensors[name][:, 1:])}))


def _header(header: bytes, claims: int | None = None) -> Callable[[Path], None]:
    length = len(header) if claims is None else claims
    return lambda folder: put_weights(folder, length.to_bytes(8, "little") + header)


MODELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:9999]),
        "sha256",
    ),
    "truncated, with its hash": (
        lambda f: put_weights(f, (f / "model.safetensors").read_bytes()[:9999]),
        "safetensors",
    ),
    "another hash": (lambda f: change_card(f, weights_sha256="0" * 64), "sha256"),
    "other shapes": (_other_shape, "do not belong together"),
    "a pickle": (lambda f: put_weights(f, pickle.dumps(Trap(f.parent / "sprung"))), "safetensors"),
    "a header of 8 EiB": (_header(b"{}", 2**63), "safetensors"),
    "a header that is none": (_header(b"[" * 50_000), "safetensors"),
    "a tensor out of the file": (_header(b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'), "safetensors"),
    "a tensor before the file": (_header(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}'), "safetensors"),
    "classes that it does not know": (
        lambda f: change_card(f, classes=["basket", "stellate"]),
        "do not belong together",
    ),
    "more classes": (lambda f: change_card(f, classes=["a", "b", "c", "d", "e", "f"]), "do not belong together"),
    "features of another version": (lambda f: change_card(f, modalities={"waveform": ["smell"]}), "."),
    "a temperature of nothing": (lambda f: change_card(f, calibration={"temperature": "hot"}), "."),
    "a threshold above 1": (lambda f: change_card(f, default_threshold=2), "do not belong together"),
    "no licence": (lambda f: (f / "LICENSE").unlink(), "LICENSE"),
    "a card without end": (lambda f: (f / "model.json").write_text("[" * 100_000), "JSON"),
    "weights that are a pipe": (
        lambda f: [(f / "model.safetensors").unlink(), os.mkfifo(f / "model.safetensors")],
        ".",
    ),
}


@pytest.mark.parametrize("what", MODELS)
def test_models_that_are_not_what_they_say(what: str, model: Path) -> None:
    change, said = MODELS[what]
    change(model)
    with pytest.raises(InputError, match=said) as caught:
        load_model(model)
    assert str(model.name) in str(caught.value)
    assert not (model.parent / "sprung").exists()


def test_a_card_that_lies_about_its_classes_is_not_taken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names changed places: the weights fit, but not what its author recorded."""
    monkeypatch.setenv("NWB_CELLTYPE_CACHE", str(tmp_path / "cache"))
    folder = Path(shutil.copytree(shipped_folder("cerebellum"), tmp_path / "liar"))
    classes = json.loads((folder / "model.json").read_text(encoding="utf-8"))["classes"]
    change_card(folder, classes=classes[::-1], name="liar")
    for take in (load_model, read_bundle, import_model):
        with pytest.raises(InputError, match=r"liar.*one of the two is not its author's"):
            take(folder)
    assert not list((tmp_path / "cache").rglob("model.json"))


def _archive(files: dict[str, bytes], **how: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **how) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


ARCHIVES = {
    "a path that leads out": (lambda: _archive({"../../model.json": b"{}"}), r"it holds '\.\./\.\./model\.json'"),
    "a path from the root": (lambda: _archive({"/tmp/model.json": b"{}"}), "it holds '/tmp/model.json'"),
    "a path of Windows": (lambda: _archive({"..\\model.json": b"{}"}), "it holds"),
    "a bomb": (
        lambda: _archive(
            {"model.safetensors": bytes(17 << 20), "model.json": b"{}", "LICENSE": b""},
            compression=zipfile.ZIP_DEFLATED,
            compresslevel=1,
        ),
        "unpacks to more than 16 MiB",
    ),
    "a pickle": (lambda: _archive({"model.pkl": b"\x80\x04."}), "holds the pickle model.pkl"),
    "a pickle by another name": (lambda: pickle.dumps({"a": 1}), "is a pickle"),
    "nothing": (lambda: _archive({}), "are missing"),
    "cut": (lambda: _archive({"model.json": b"{}" * 1000})[:-30], "no archive that this toolkit"),
    "no archive": (lambda: b"PK\x03\x04" + bytes(100), "no archive that this toolkit"),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_archives_that_are_no_model(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, said = ARCHIVES[what]
    monkeypatch.setenv("NWB_CELLTYPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("nwb_celltype.model_store._MAX_BYTES", 16 << 20)
    source = tmp_path / "from" / "model.zip"
    source.parent.mkdir()
    source.write_bytes(make())
    with pytest.raises(CellTypeError, match=said) as caught:
        import_model(source)
    assert "model.zip" in str(caught.value)
    assert {one.relative_to(tmp_path).as_posix() for one in tmp_path.rglob("*") if one.is_file()} == {"from/model.zip"}


def test_a_folder_with_a_link_in_it_is_read_no_further(model: Path, tmp_path: Path) -> None:
    (model / "LICENSE").unlink()
    (model / "LICENSE").symlink_to(tmp_path)
    with pytest.raises(InputError, match="LICENSE"):
        read_bundle(model)
