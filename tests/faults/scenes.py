"""What is killed, and what must hold afterwards: a scene for each job that writes."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nwb_celltype import read_runs, read_units
from nwb_celltype.bundles import read_bundle
from nwb_celltype.nwb_io.validation import validator_messages
from nwb_celltype.runs import choose_run

from ..archive_double import DandiDouble
from ..nwb_io.compare import added, describe, differences
from ..nwb_io.files import label_csv, plain

PAUSE_S = 0.02
RECOGNISED = re.compile(
    r"\..+\.\d+-[0-9a-f]{8}\.nwb-celltype-partial|\..+\.nwb-celltype-lock|.+\.part(\.done)?|\..+\.training|.+\.lock"
    r"|\..+\.\d+-[0-9a-f]{8}\.(part|old)|locks|dandiset\.yaml\.[0-9a-f]{8}"
)
"""Names that only something unfinished has; a rerun takes them away."""


@dataclass
class Scene:
    """One job.

    `renew` sets the place back to what it was; `state` says ``old`` or ``new`` of the user's files, or fails;
    `finished` fails unless a rerun has done all of the work and left nothing behind.
    """

    name: str
    job: dict[str, Any]
    folder: Path
    renew: Callable[[], None]
    state: Callable[[], str]
    finished: Callable[[str], None]
    kept: frozenset[str] = frozenset()

    def strangers(self) -> list[str]:
        """What lies in the folder and is neither the user's nor recognised as unfinished."""
        found = (
            path for path in self.folder.rglob("*") if not any(p.name in self.kept for p in _up(path, self.folder))
        )
        return [p.name for p in found if not any(RECOGNISED.fullmatch(one.name) for one in _up(p, self.folder))]


def _up(path: Path, top: Path) -> list[Path]:
    return [path, *(one for one in path.parents if top in one.parents)]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def annotating(top: Path, *, in_place: bool, megabytes: int = 10) -> Scene:
    """Labels go into a file, or into a copy beside it."""
    folder = top / ("in place" if in_place else "beside")
    (folder / "work").mkdir(parents=True)
    original, file = folder / "original.nwb", folder / "work" / "session.nwb"
    plain(original, megabytes=megabytes)
    labels = label_csv(folder, {7: "PkC_ss", 9: "MLI"})
    before, old = sha256(original), describe(original)
    target = file if in_place else file.with_name("session_celltype.nwb")

    def renew() -> None:
        target.unlink(missing_ok=True)
        shutil.copyfile(original, file)

    def state() -> str:
        if not in_place:
            assert sha256(file) == before, "the source has changed"
            if not target.exists():
                return "old"
        elif sha256(file) == before:
            return "old"
        (run,) = read_runs(target)
        assert run.labels_for([7, 3, 9]) == ["PkC_ss", "", "MLI"]
        assert validator_messages(target) == []
        new = describe(target)
        assert differences(old, new) == []
        assert added(old, new) == {"/processing/ecephys", "/specifications/ndx-cell-type"}
        return "new"

    def finished(result: str) -> None:
        assert result == "expert_me"
        assert [run.name for run in read_runs(target)] == ["expert_me"]
        assert names(file.parent) == sorted({file.name, target.name})

    job = {"do": "annotate", "file": str(file), "in_place": in_place, "labels": str(labels), "pause_s": PAUSE_S}
    what = "annotate in place" if in_place else "annotate beside"
    return Scene(what, job, file.parent, renew, state, finished, frozenset({file.name, target.name}))


def converting(top: Path) -> Scene:
    from ..converters.phy.folders import kilosort25, simulate, write_recording
    from ..converters.test_conversion import METADATA

    session = simulate()
    write_recording(top / "lab" / "recording.dat", session)
    source = kilosort25(top / "lab" / "phy", session, dat_path="'../recording.dat'")
    out = top / "converted" / "out.nwb"
    out.parent.mkdir()

    def renew() -> None:
        out.write_bytes(b"an older file")

    def state() -> str:
        if out.read_bytes() == b"an older file":
            return "old"
        assert validator_messages(out) == []
        with read_units(out) as units:
            assert len(units) == session.n_units
        return "new"

    def finished(_: str) -> None:
        assert state() == "new"
        assert names(out.parent) == ["out.nwb"]

    job = {"do": "convert", "folder": str(source), "metadata": METADATA, "out": str(out), "pause_s": PAUSE_S}
    return Scene("convert", job, out.parent, renew, state, finished, frozenset({"out.nwb"}))


def reviewing(top: Path) -> Scene:
    from ..reviewing.files import RUN, annotated_file

    original = annotated_file(top / "reviewed.nwb")
    file = top / "review" / "session.nwb"
    file.parent.mkdir()
    before, old, runs_before = sha256(original), describe(original), [run.name for run in read_runs(original)]

    def renew() -> None:
        shutil.copyfile(original, file)

    def state() -> str:
        if sha256(file) == before:
            return "old"
        assert sorted(run.name for run in read_runs(file)) == sorted([*runs_before, "expert_jane_doe"])
        assert validator_messages(file) == []
        assert differences(old, describe(file)) == []
        run = choose_run(file, "expert_jane_doe")
        assert (run.cell_type == "MLI").sum() == 4
        return "new"

    def finished(result: str) -> None:
        assert result == "expert_jane_doe"
        assert state() == "new"
        assert names(file.parent) == [file.name]

    job = {"do": "review", "file": str(file), "run": RUN, "pause_s": PAUSE_S}
    return Scene("review save", job, file.parent, renew, state, finished, frozenset({file.name}))


@contextmanager
def fetching(top: Path) -> Iterator[Scene]:
    """Two files come in the place of older ones."""
    out = top / "fetched"
    new = {f"sub-{k}/{k}.bin": np.random.default_rng(k).bytes(3_000_000) for k in range(2)}
    old = {path: b"older " + path.encode() for path in new}
    with DandiDouble() as archive:
        name = archive.add_dandiset(name="Noise")
        for path, data in new.items():
            archive.add_asset(name, path, data, metadata={"schemaKey": "Asset"})
        archive.settle()
        archive.faults.slow(20_000_000, "blobs/", times=None)

        def renew() -> None:
            shutil.rmtree(out, ignore_errors=True)
            for path, data in old.items():
                (out / name / path).parent.mkdir(parents=True, exist_ok=True)
                (out / name / path).write_bytes(data)

        def state() -> str:
            found = {path: (out / name / path).read_bytes() for path in new}
            assert all(found[path] in (old[path], new[path]) for path in new), "a file is neither old nor new"
            return "new" if found == new else "old" if found == old else "some new"

        def finished(_: str) -> None:
            assert state() == "new"
            assert names(out / name) == [".nwb-celltype", "dandiset.yaml", "sub-0", "sub-1"]
            assert names(out / name / ".nwb-celltype") == ["fetched.jsonl"]
            assert [names(out / name / f"sub-{k}") for k in range(2)] == [["0.bin"], ["1.bin"]]

        job = {
            "do": "fetch", "address": f"DANDI:{name}", "out": str(out), "pause_s": PAUSE_S,
            "env": {**archive.env, "DANDI_INSTANCE": archive.url},
        }  # fmt: skip
        kept = frozenset({name, "0.bin", "1.bin", "sub-0", "sub-1", "dandiset.yaml", ".nwb-celltype", "fetched.jsonl"})
        yield Scene("fetch", job, out, renew, state, finished, kept)


@contextmanager
def publishing(top: Path) -> Iterator[Scene]:
    """A folder of two files goes to an archive; each trial has an archive of its own."""
    from nwb_celltype.publishing.preflight import check_folder

    from ..publishing.files import FIRST, SECOND, write_draft, write_labels

    checked, folder = top / "checked", top / "labels"
    write_labels(checked, "m1")
    write_labels(checked, "m2", (1, 2))
    write_draft(checked)
    assert not check_folder(checked, accept_model_licence=False, progress=lambda *_: None).problems
    files = {path: (checked / path).read_bytes() for path in (FIRST, SECOND)}
    kept = {path.name for path in checked.rglob("*")} | {".nwb-celltype", "publication.json"}
    job: dict[str, Any] = {"do": "publish", "folder": str(folder), "pause_s": PAUSE_S}
    open_archives: list[DandiDouble] = []

    def close() -> None:
        while open_archives:
            open_archives.pop().stop()

    def renew() -> None:
        close()
        archive = DandiDouble()
        archive.start()
        open_archives.append(archive)
        archive.faults.latency(0.01, times=None)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(checked, folder)
        job["env"], job["instance"] = dict(archive.env), archive.url

    def there() -> dict[str, bytes]:
        (archive,) = open_archives
        assert list(archive.state.dandisets) in ([], ["000001"]), "there are two dandisets"
        if not archive.state.dandisets:
            return {}
        assets = archive.state.assets_of(archive.dandiset("000001").draft)
        return {asset.path: archive.blob(asset.path, "000001") for asset in assets}

    def state() -> str:
        assert all((folder / path).read_bytes() == data for path, data in files.items()), (
            "the user's files have changed"
        )
        found = there()
        assert all(files[path] == data for path, data in found.items()), "the archive has something else"
        return "new" if len(found) == 2 else "old" if not found else "some new"

    def finished(result: str) -> None:
        assert result == "000001"
        assert there() == files
        (archive,) = open_archives
        assert len(archive.state.blobs) == 2, "something was sent twice"
        left = {path.name for path in folder.rglob("*")}
        assert left <= kept, left - kept

    try:
        yield Scene("publish", job, folder, renew, state, finished, frozenset(kept))
    finally:
        close()


def training(top: Path, *, epochs: int = 30) -> Scene:
    """A model in the place of another; there are enough units to find out on some how long to teach."""
    import nwb_celltype.training.trainer
    from nwb_celltype.training import train

    from ..models.synthetic import make_arrays, save
    from .victims import small

    trainer: Any = nwb_celltype.training.trainer
    data = save(top / "units.npz", make_arrays(18, 1))
    first, out = top / "first", top / "trained" / "small"
    out.parent.mkdir()
    whole = trainer.Settings, trainer._TREES_PER_MEMBER, trainer._STRANGERS_PER_MEMBER
    small(trainer)
    try:
        train(data, out=first, name="small", members=1, epochs=5, seed=0, device="cpu")
        old = {path.name: path.read_bytes() for path in first.iterdir()}
        reference = train(data, out=top / "reference", name="small", members=1, epochs=epochs, seed=1, device="cpu")
    finally:
        trainer.Settings, trainer._TREES_PER_MEMBER, trainer._STRANGERS_PER_MEMBER = whole

    def renew() -> None:
        shutil.rmtree(out.parent)
        shutil.copytree(first, out)

    def state() -> str:
        if {path.name: path.read_bytes() for path in out.iterdir()} == old:
            return "old"
        assert read_bundle(out).weights_sha256 == reference.weights_sha256
        return "new"

    def finished(result: str) -> None:
        assert result == reference.weights_sha256
        assert names(out.parent) == ["small"]
        assert read_bundle(out).examples
        assert names(out) == names(top / "reference")

    job = {
        "do": "train", "data": str(data), "out": str(out), "epochs": epochs, "pause_s": PAUSE_S, "state_every_s": 0.05,
    }  # fmt: skip
    kept = frozenset({"small", *old})
    return Scene("train", job, out.parent, renew, state, finished, kept)
