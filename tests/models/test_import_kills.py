"""A `models import` that is killed: the store holds the old model or the new one, and the next import tidies up."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nwb_celltype.bundles import models
from nwb_celltype.model_store import export_model, import_model
from nwb_celltype.replacing import replace_file

VICTIM = """
import json, os, signal, sys
from nwb_celltype import model_store

model_store._require_sound = lambda *_: None  # what takes time; it writes nothing
store, sources, name, every = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], int(sys.argv[4])
count = {"seen": 0, "at": 0}
CALLS = ("open", "os.mkdir", "os.rename", "os.rmdir", "os.remove", "os.chmod", "ctypes.dlsym")

def watch(event, arguments):
    # A step of the import is a call of the system on something in the store.
    if event in CALLS and (event == "ctypes.dlsym" or store in str(arguments[0])):
        count["seen"] += 1
        if count["seen"] == count["at"]:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
at, ended = 1, False
while not ended:
    child = os.fork()
    if not child:
        count.update(seen=0, at=at)
        model_store.import_model(sources[at // every % 2], name=name, replace=True)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    ended = status == 0
    names = sorted(os.listdir(store)) if os.path.isdir(store) else []
    held = {one: sorted(os.listdir(f"{store}/{one}")) for one in names}
    card = f"{store}/{name}/model.json"
    version = json.load(open(card))["version"] if os.path.exists(card) else ""
    print(json.dumps({"at": at, "status": status, "version": version, "held": held}), flush=True)
    at += every
"""
UNFINISHED = re.compile(r"\.mine\.\d+-[0-9a-f]{8}\.(part|old)")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NWB_CELLTYPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def versions(model_folder: Path, tmp_path: Path) -> list[Path]:
    """A model and a later version of it."""
    folders = []
    for version in ("1", "2"):
        folder = Path(shutil.copytree(model_folder, tmp_path / f"v{version}"))
        card = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps(card | {"version": version}))
        folders.append(folder)
    return folders


@pytest.mark.parametrize("is_there", [False, True])
def test_a_killed_import_leaves_one_model_or_the_other(
    is_there: bool, model_folder: Path, store: Path, tmp_path: Path
) -> None:
    sources = versions(model_folder, tmp_path)
    if is_there:
        import_model(sources[0], name="mine")
    files = sorted(one.name for one in sources[0].iterdir())
    command = [sys.executable, "-c", VICTIM, str(store), json.dumps([str(one) for one in sources]), "mine", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    kills = [json.loads(line) for line in done.stdout.splitlines()]
    assert [kill["status"] for kill in kills[:-1]] == [-signal.SIGKILL] * (len(kills) - 1)
    assert len(kills) >= 8
    assert any(UNFINISHED.fullmatch(name) for kill in kills for name in kill["held"]), "some kills left something"
    for kill in kills:
        whole = {name: held for name, held in kill["held"].items() if not UNFINISHED.fullmatch(name)}
        assert whole in ({"mine": files}, {} if not is_there else None), kill
        assert kill["version"] in ("1", "2", "" if not is_there else None), kill
    import_model(sources[1], name="another")
    assert sorted(one.name for one in store.iterdir()) == ["another", "mine"], "the next import tidies up"
    assert [one.name for one in models() if one.origin == "installed"] == ["another", "mine"]


def test_a_killed_export_is_tidied_up_by_the_next(model_folder: Path, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from nwb_celltype.replacing import replace_file;"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL); replace_file(sys.argv[1], b'half')"
    )
    target = tmp_path / "small.zip"
    done = subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    left = [one.name for one in tmp_path.iterdir()]
    assert re.fullmatch(r"\.small\.zip\.\d+-[0-9a-f]{8}\.part", left[0])
    export_model(model_folder, target)
    assert [one.name for one in tmp_path.iterdir()] == ["small.zip"]


def test_an_unfinished_file_of_a_living_process_is_let_be(tmp_path: Path) -> None:
    target = tmp_path / "small.zip"
    script = (
        "import os, sys; from nwb_celltype.replacing import replace_file;"
        "os.fsync = lambda _: (print('here', flush=True), sys.stdin.readline()); replace_file(sys.argv[1], b'first')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        replace_file(target, b"second")
        assert target.read_bytes() == b"second"
        assert len(list(tmp_path.iterdir())) == 2
        other.communicate(b"\n")
    assert other.returncode == 0
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("small.zip", b"first")]
