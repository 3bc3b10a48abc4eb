"""What is fuzzed: for each parser its seeds, the words of its language, and how it is called with some bytes.

A parser may return, or raise an error of `nwb_celltype.errors`; anything else is a finding.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

Call = Callable[[bytes, Path], object]
"""Calls the parser with some bytes; the folder is empty, and emptied afterwards."""


@dataclass(frozen=True)
class Target:
    """One parser.

    Attributes
    ----------
    call : callable
    modules : tuple of str
        Files of the package whose lines count as covered; paths from ``nwb_celltype``.
    seeds : tuple of bytes
        Sound inputs.
    words : tuple of bytes
        What the language is made of.
    """

    call: Call
    modules: tuple[str, ...]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()


def _file(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _address(data: bytes, _: Path) -> None:
    from nwb_celltype.archive.addresses import DandiAddress, is_remote, parse_address, without_secrets

    text = data.decode("utf-8", "replace")
    is_remote(text)
    without_secrets(text)
    address = parse_address(text)
    if isinstance(address, DandiAddress) and parse_address(address.text) != address:
        message = f"{text!r} is read as {address}, whose text is another address: {address.text!r}"
        raise ValueError(message)


def _params(data: bytes, folder: Path) -> object:
    from nwb_celltype.converters.phy.params import read_params

    _file(folder, "params.py", data)
    np.save(folder / "spike_times.npy", np.arange(3))
    return read_params(folder)


def _meta(data: bytes, folder: Path) -> None:
    from nwb_celltype.converters.spikeglx.imro import catgt_options, filterings, gains_uv, read_imro
    from nwb_celltype.converters.spikeglx.meta import read_meta

    meta = read_meta(_file(folder, "run_g0_t0.imec0.ap.meta", data))
    read_imro(meta), gains_uv(meta), filterings(meta), catgt_options(meta)


def _labels(data: bytes, folder: Path) -> object:
    from nwb_celltype.label_table import read_label_table

    return read_label_table(_file(folder, "labels.csv", data))


def _clusters(data: bytes, folder: Path) -> object:
    from nwb_celltype.converters.phy.tables import read_cluster_tables

    _file(folder, "cluster_group.tsv", data)
    return read_cluster_tables(folder)


def _features(data: bytes, folder: Path) -> object:
    from nwb_celltype.feature_table import read_feature_table

    return read_feature_table(_file(folder, "features.csv", data))


def _layers(data: bytes, folder: Path) -> object:
    from nwb_celltype.layers import layer_of, read_layer_table

    table = read_layer_table(_file(folder, "layers.csv", data))
    for row in table.rows:
        layer_of(row.layer)
    return table.of(["a/b.nwb"], ["s"])


def _prior(data: bytes, folder: Path) -> object:
    from nwb_celltype.priors import read_prior

    return read_prior(_file(folder, "prior.yaml" if data[:1] != b"c" else "prior.csv", data))


def _card(data: bytes, folder: Path) -> None:
    from nwb_celltype.bundles import read_bundle
    from nwb_celltype.classifier import load_model
    from nwb_celltype.model_store import card_text

    for name, content in _small_model().items():
        _file(folder, name, content)
    _file(folder, "model.json", data)
    card_text(read_bundle(folder).card)
    load_model(folder)


def _weights(data: bytes, folder: Path) -> None:
    from nwb_celltype.bundles import read_bundle
    from nwb_celltype.errors import CellTypeError
    from nwb_celltype.tensor_files import map_tensors

    path = _file(folder, "model.safetensors", data)
    try:
        for value in map_tensors(path).values():
            value.tobytes()  # read all of it
    except CellTypeError:
        pass
    files = _small_model()
    card = json.loads(files["model.json"]) | {"weights_sha256": hashlib.sha256(data).hexdigest()}
    _file(folder, "model.json", json.dumps(card).encode())
    _file(folder, "LICENSE", b"none")
    read_bundle(folder)


def _archive(data: bytes, folder: Path) -> None:
    from nwb_celltype.model_store import import_model

    os.environ["NWB_CELLTYPE_CACHE"] = str(folder / "cache")
    source = _file(folder, "from/model.zip", data)
    import_model(source)
    beside = {one.name for one in folder.iterdir()} - {"cache", "from"}
    if beside or {one.name for one in (folder / "from").iterdir()} != {"model.zip"}:
        message = f"the archive wrote outside its place: {beside}"
        raise ValueError(message)


def _batch_journal(data: bytes, folder: Path) -> None:
    from nwb_celltype.batch.journal import FOLDER, NAME, Journal

    _file(folder, f"{FOLDER}/{NAME}", data)
    journal = Journal(folder)
    for entry in journal.entries.values():
        journal.find(entry.source)


def _review_journal(data: bytes, folder: Path) -> None:
    from nwb_celltype.reviewing.journal import Journal

    with Journal(_file(folder, "session.review.jsonl", data)) as journal:
        list(journal.events)


def _plx(data: bytes, folder: Path) -> object:
    from nwb_celltype.converters.plexon.plx import read_plx

    return read_plx(_file(folder, "a.plx", data))


def _pl2(data: bytes, folder: Path) -> object:
    from nwb_celltype.converters.plexon.pl2 import read_pl2

    return read_pl2(_file(folder, "a.pl2", data))


def _nex(data: bytes, folder: Path) -> None:
    from nwb_celltype.converters.neuroexplorer.file import open_nex

    with_magic = _file(folder, "a.nex", data)
    open_nex(with_magic)


def _mat(data: bytes, folder: Path) -> None:
    from nwb_celltype.converters.cellexplorer.matfile import read_mat, variables_of

    path = _file(folder, "a.mat", data)
    names = variables_of(path)
    read_mat(path, names)


def _npy(data: bytes, folder: Path) -> None:
    from nwb_celltype.converters.phy.arrays import open_vector

    vector = open_vector(_file(folder, "spike_times.npy", data))
    vector.read(0, min(len(vector), 1000))


def _pickle(data: bytes, _: Path) -> object:
    from nwb_celltype.converters.safe_pickle.reading import loads

    return loads(data, name="neurons.pkl")


def _metadata(data: bytes, folder: Path) -> object:
    from nwb_celltype.converters.metadata.reading import read_metadata

    return read_metadata(_file(folder, "metadata.yaml", data))


def _catalogue(data: bytes, _: Path) -> object:
    from nwb_celltype.archive.catalogue import parse_catalogue

    return parse_catalogue(data.decode("utf-8", "replace"), "catalogue.yaml")


_MODEL: dict[str, bytes] = {}


def _small_model() -> dict[str, bytes]:
    """Files of a model of two classes, trained on nothing: random weights of the right shapes."""
    if not _MODEL:
        from nwb_celltype.bundles import shipped_folder

        folder = shipped_folder("cerebellum")
        card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        for name in ("training_rows_sha256", "examples_sha256", "training_map_sha256", "training_map"):
            card.pop(name, None)
        from safetensors.numpy import load, save

        tensors = load((folder / "model.safetensors").read_bytes())
        few = {name: value for name, value in tensors.items() if not name.startswith("forest")}
        weights = save(few)
        card["weights_sha256"] = hashlib.sha256(weights).hexdigest()
        card["metrics"] = {}
        _MODEL.update({"model.safetensors": weights, "LICENSE": b"none", "model.json": json.dumps(card).encode()})
    return dict(_MODEL)


def _zip(files: dict[str, bytes]) -> bytes:
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {**files, "SHA256SUMS": sums.encode()}.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def _tiny_zip() -> bytes:
    return _zip({"model.json": b"{}", "model.safetensors": b"\x02\0\0\0\0\0\0\0{}", "LICENSE": b"none"})


def _tiny_weights() -> bytes:
    from safetensors.numpy import save

    return save({"a": np.ones((2, 3), np.float32), "b": np.arange(4, dtype=np.int16)})


def _npy_seed() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(5, dtype=np.int64))
    return buffer.getvalue()


def _mat_seed(level: Literal["4", "5"] = "5", *, is_packed: bool = False) -> bytes:
    from scipy.io import savemat

    buffer = io.BytesIO()
    content: dict[str, object] = {"t": np.arange(3.0), "name": "x"}
    if level == "5":
        times = np.array([np.arange(2.0)] * 3, dtype=object)
        odd = {"z": np.array([1 + 2j]), "yes": np.array([True]), "no": np.zeros((0, 0)), "words": ["a", "Ω"]}
        content = {"spikes": {"UID": np.arange(3.0), "times": times, "name": "x", "odd": odd}, "other": np.int16(3)}
    savemat(buffer, content, format=level, do_compression=is_packed)
    return buffer.getvalue()


def _pickle_seed() -> bytes:
    import pickle

    return pickle.dumps([{"cell": 1, "spikes": np.arange(3), "name": "x", "flags": {1, 2}, "t": (1.5, None, True)}])


_META = b"""typeThis=imec
imSampRate=30000
nSavedChans=3
snsApLfSy=2,0,1
acqApLfSy=2,0,1
snsSaveChanSubset=all
firstSample=50
imDatPrb_type=0
imDatPrb_pn=PRB_1_4_0480_1
imDatPrb_sn=17
imAiRangeMax=0.6
imAiRangeMin=-0.6
imMaxInt=512
fileSizeBytes=600
fileCreateTime=2026-01-31T14:03:00
syncSourceIdx=0
syncSourcePeriod=1
~imroTbl=(0,2)(0 0 0 500 250 1)(1 0 0 500 250 1)
~snsChanMap=(2,0,1)(AP0;0:0)(AP1;1:1)
~snsGeomMap=(NP1000,1,0,70)(0:27:0:1)(0:59:0:1)
"""
_PARAMS = rb"""dat_path = r'C:\data\rec.bin'
n_channels_dat = 385
dtype = 'int16'
offset = 0
sample_rate = 30000.
hp_filtered = False
import os; os.system('true')
"""
_ENTRY = (
    b'{"format": 1, "event": "done", "source": "a.nwb", "key": "k", "file": "a_celltype.nwb", "sha256": "00",'
    b' "units": 3,'
    b' "classes": {"MLI": 3}, "regions": ["x"], "stamp": [1, 2]}\n'
    b'{"format": 1, "event": "skipped", "source": "b.nwb", "key": "k", "reason": "r", "subject": "", "session": ""}\n'
)
_EVENT = (
    b'{"format": 1, "id": "1", "kind": "decide", "by": "Jane", "made": "2026-01-31T14:00:00+00:00", "unit": 7,'
    b' "label": "MLI", "verdict": "agree"}\n'
)
_CSV = (b",", b";", b"\t", b'"', b"\n", b"\r", b"\xef\xbb\xbf", b"\0", b"nan", b"1e999", b"-", b"9" * 30, "Ω".encode())
_JSON = (b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"true", b"NaN", b"1e999", b"-1", b"[" * 2000, b"9" * 5000)
_YAML = (
    b": ",
    b"- ",
    b"&a ",
    b"*a",
    b"!!python/object/apply:os.system ",
    b"<<: ",
    b"{",
    b"}",
    b"\n",
    b"---\n",
    b"|",
    b"? ",
)
_INTS = (b"\xff" * 8, b"\0" * 8, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff" * 4, b"\x01", b"\x7f" * 8)


def _targets() -> dict[str, Target]:
    from fuzz import recordings

    return {
        "address": Target(
            _address,
            ("archive/addresses.py",),
            (
                b"DANDI:000409",
                b"DANDI:000409@0.260309.1324/sub-A/a.nwb",
                b"dandi://dandi-sandbox/000123@draft/a%25b",
                b"https://dandiarchive.org/dandiset/000409/draft/files?location=sub-A",
                b"s3://bucket/key with space",
                b"https://api.dandiarchive.org/api/assets/00000000-0000-0000-0000-000000000000/download/",
                b"https://doi.org/10.48324/dandi.000409/0.1.2",
                b"http://localhost:9000/api/dandisets/000001/",
            ),
            (
                b"DANDI:",
                b"dandi://",
                b"http://",
                b"@",
                b"%",
                b"/#/",
                b"?",
                b"://",
                b"[",
                b"]",
                b"draft",
                b"000409",
                b"//",
            ),
        ),
        "params": Target(
            _params,
            ("converters/phy/params.py",),
            (_PARAMS, b"sample_rate=1\n"),
            (
                b"=",
                b"'",
                b"\\",
                b"(",
                b"[",
                b"r'",
                b"\n",
                b"lambda: 0",
                b"__import__('os')",
                b"sample_rate",
                b"1e999",
                b"-",
                b"+",
                b"[" * 500,
                b"f'{x}'",
                b"9" * 5000,
                b"\0",
            ),
        ),
        "meta": Target(
            _meta,
            ("converters/spikeglx/meta.py", "converters/spikeglx/header.py", "converters/spikeglx/imro.py"),
            (_META,),
            (b"=", b"\n", b"~", b"(", b")", b",", b":", b"0:99999999999", b"-1", b"all", b"imro", b"nidq"),
        ),
        "labels": Target(
            _labels,
            ("label_table.py",),
            (
                b"unit_id,cell_type,confidence,note\n1,MLI,0.5,x\n2,GoC,,\n",
                b"unit;label;latency_ms;kind\n1;MLI;0,5;optotag\n",
            ),
            _CSV,
        ),
        "clusters": Target(
            _clusters, ("converters/phy/tables.py",), (b"cluster_id\tgroup\n1\tgood\n2\tmua\n", b"id,x\n1,2\n"), _CSV
        ),
        "features": Target(_features, ("feature_table.py",), (recordings.feature_table(),), _CSV),
        "layers": Target(
            _layers, ("layers.py",), (b"unit_id,layer,file\n1,GCL,a.nwb\n2,ML,b.nwb\n", b"id\tlayer\n1\tPCL\n"), _CSV
        ),
        "prior": Target(
            _prior,
            ("priors.py",),
            (b'{"MLI": 1, "GoC": 2.5}', b"MLI: 1\nGoC: 2\n", b"cell_type,weight\nMLI,1\n"),
            (*_CSV, *_JSON, *_YAML),
        ),
        "card": Target(
            _card,
            ("bundles.py", "model_store.py", "classifier/model.py", "classifier/ensemble.py"),
            (_small_model()["model.json"],),
            _JSON,
        ),
        "weights": Target(
            _weights, ("tensor_files.py", "bundles.py"), (_tiny_weights(),), (*_JSON, *_INTS, b"data_offsets", b"F32")
        ),
        "archive": Target(
            _archive, ("model_store.py",), (_tiny_zip(),), (*_INTS, b"PK\x03\x04", b"../", b"/etc/", b"model.json")
        ),
        "journal": Target(
            _batch_journal, ("batch/journal.py",), (_ENTRY,), (*_JSON, b"\n", b'"format"', b'"event"', b"../")
        ),
        "review": Target(_review_journal, ("reviewing/journal.py",), (_EVENT,), (*_JSON, b"\n", b'"kind"', b'"undo"')),
        "plx": Target(
            _plx,
            ("converters/plexon/plx.py", "converters/plexon/plx_layout.py", "converters/plexon/plx_blocks.py"),
            (recordings.plx(),),
            _INTS,
        ),
        "pl2": Target(
            _pl2,
            ("converters/plexon/pl2.py", "converters/plexon/pl2_layout.py", "converters/plexon/pl2_blocks.py"),
            (recordings.pl2(),),
            _INTS,
        ),
        "nex": Target(_nex, ("converters/neuroexplorer/file.py",), (recordings.nex(),), _INTS),
        "mat": Target(
            _mat,
            ("converters/cellexplorer/matfile.py", "converters/cellexplorer/level5.py"),
            (_mat_seed(), _mat_seed(is_packed=True), _mat_seed("4")),
            (*_INTS, *(bytes([kind, 0, 0, 0]) for kind in (*range(1, 19), 200))),
        ),
        "npy": Target(
            _npy,
            ("converters/phy/arrays.py",),
            (_npy_seed(),),
            (b"'descr'", b"<i8", b"|O", b"True", b"(", b",", b"9" * 30),
        ),
        "pickle": Target(
            _pickle,
            (
                "converters/safe_pickle/machine.py",
                "converters/safe_pickle/names.py",
                "converters/safe_pickle/reading.py",
            ),
            (_pickle_seed(),),
            (
                b"cos\nsystem\n",
                b"\x93",
                b"R",
                b"\x81",
                b"b",
                b"\x94",
                b"(",
                b"t",
                b"]",
                b"}",
                b"h\0",
                b"u",
                b"e",
                *_INTS,
            ),
        ),
        "metadata": Target(
            _metadata,
            ("converters/metadata/reading.py",),
            (b"NWBFile:\n  session_description: x\nSubject:\n  species: Mus musculus\n",),
            (*_YAML, *_JSON),
        ),
        "catalogue": Target(
            _catalogue, ("archive/catalogue.py",), (b"- dandiset: '000409'\n  title: x\n  glob: '*'\n",), _YAML
        ),
    }


TARGETS = _targets()
