"""The folder of a dandiset: names that lead out of it, a record that survives kills, one writer a file."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nwb_celltype.errors import InputError, RefusedError
from nwb_celltype.fetching import Fetched, FetchedFile
from nwb_celltype.fetching.local_folder import DandisetFolder
from nwb_celltype.fetching.selection import detached_path


@pytest.mark.parametrize(
    "path",
    ["", "/a", "..", "../a", "a/../b", "a//b", "./a", "a/.", "a\\b", "a\0b", "dandiset.yaml", ".nwb-celltype/x",
     ".git/config", "DANDISET.yaml"],
)  # fmt: skip
def test_names_that_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(RefusedError, match="was not fetched"):
        DandisetFolder(tmp_path).place_of(path)


@pytest.mark.parametrize("path", ["a.nwb", "sub-1/sub-1_ses-1_behavior+ecephys.nwb", "a..b/ü ñ.txt", ".hidden"])
def test_names_that_are_taken(tmp_path: Path, path: str) -> None:
    assert DandisetFolder(tmp_path).place_of(path) == tmp_path / path


def test_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "inside").symlink_to(root / "real")
    (root / "outside").symlink_to(tmp_path)
    (root / "annexed.nwb").symlink_to(".git/annex/objects/xx")
    folder = DandisetFolder(root)
    assert folder.place_of("inside/a.nwb") == root / "inside" / "a.nwb"
    with pytest.raises(RefusedError, match="leads out of"):
        folder.place_of("outside/a.nwb")
    with pytest.raises(RefusedError, match="git-annex"):
        folder.place_of("annexed.nwb")


def test_the_record_survives_a_kill(tmp_path: Path) -> None:
    folder = DandisetFolder(tmp_path)
    assert folder.recorded() == {}
    folder.record({"path": "a", "sha256": "1"})
    with (tmp_path / ".nwb-celltype" / "fetched.jsonl").open("a") as file:
        file.write('{"path": "b", "sha2')
    folder.record({"path": "c", "sha256": "3"})
    folder.record({"path": "a", "sha256": "4"})
    assert {path: entry["sha256"] for path, entry in folder.recorded().items()} == {"a": "4", "c": "3"}


def test_the_record_takes_many_writers(tmp_path: Path) -> None:
    folders = [DandisetFolder(tmp_path) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda f=f, k=k: [f.record({"path": f"{k}-{n}"}) for n in range(20)])
        for k, f in enumerate(folders)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders[0].recorded()) == 80


def test_one_writer_a_file(tmp_path: Path) -> None:
    first, second = DandisetFolder(tmp_path), DandisetFolder(tmp_path)
    order: list[str] = []
    inside = threading.Event()

    def other() -> None:
        inside.wait()
        with second.only_writer("a"):
            order.append("second")

    thread = threading.Thread(target=other)
    thread.start()
    with first.only_writer("a"):
        inside.set()
        with second.only_writer("b"):  # another file
            order.append("other file")
        with pytest.raises(InterruptedError), second.only_writer("a", lambda: True):
            pass
        order.append("first")
    thread.join()
    assert order == ["other file", "first", "second"]
    assert not list((tmp_path / ".nwb-celltype").iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / ".nwb-celltype").write_text("a file where a folder should be")
    with pytest.raises(InputError, match="cannot be written"):
        DandisetFolder(tmp_path).record({"path": "a"})


def test_names_of_detached_files() -> None:
    assert detached_path("sub-1/sub-1_ecephys.nwb", ()) == "sub-1/sub-1_desc-celltype_ecephys.nwb"
    taken = ["sub-1/sub-1_desc-celltype_ecephys.nwb", "sub-1/SUB-1_desc-celltyperaw_ecephys.nwb"]
    assert detached_path("sub-1/sub-1_desc-raw_ecephys.nwb", taken) == "sub-1/sub-1_desc-celltyperaw2_ecephys.nwb"
    assert detached_path("flat.nwb", ()) == "flat_desc-celltype_ecephys.nwb"


def test_a_refused_name_is_shown_as_the_archive_gives_it(tmp_path: Path) -> None:
    try:
        DandisetFolder(tmp_path).place_of("../escape.nwb")
    except RefusedError as error:
        row = FetchedFile("DANDI:000001@draft/../escape.nwb", "../escape.nwb", tmp_path, size=10).failed(error)
    lines = str(Fetched("DANDI:000001@draft", "000001", "draft", "dandi", tmp_path, (row,))).splitlines()
    assert lines[2].startswith("refused    ../escape.nwb  ")
