"""Whole assets: where they go, what is checked, what is left alone, and what is not fetched twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from nwb_celltype.errors import InputError, NothingToDoError, RefusedError, UsageError
from nwb_celltype.fetching import fetch
from nwb_celltype.nwb_io.safe_write import refuse_protected

from ..archive_double import DandiDouble
from .files import SOURCE_PATH, SOURCE_VERSION, Recordings, sha256


def bytes_from_bucket(archive: DandiDouble) -> int:
    return sum(entry.bytes for entry in archive.requests("s3", "GET"))


def record_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / ".nwb-celltype" / "fetched.jsonl").read_text().splitlines()]


def test_a_published_dandiset(archive: DandiDouble, source_dandiset: str, recordings: Recordings, out: Path) -> None:
    plans = []
    done = fetch(f"DANDI:{source_dandiset}", out=out, on_plan=plans.append)
    file = out / source_dandiset / SOURCE_PATH
    assert file.read_bytes() == recordings.source.read_bytes()
    assert (done.version, done.counts, done.exit_code) == (SOURCE_VERSION, {"fetched": 1}, 0)
    assert done.note == "the newest published version"
    assert [plan.counts for plan in plans] == [{"planned": 1}]
    assert done.files[0].file_sha256 == sha256(recordings.source)
    metadata = yaml.safe_load((out / source_dandiset / "dandiset.yaml").read_text())
    assert metadata["version"] == SOURCE_VERSION
    assert metadata["name"] == "Recordings"
    entry = record_of(out / source_dandiset)[-1]
    assert entry["path"] == SOURCE_PATH
    assert entry["sha256"] == sha256(recordings.source)
    assert entry["version"] == SOURCE_VERSION
    assert entry["asset_id"] == archive.asset(source_dandiset, SOURCE_PATH, SOURCE_VERSION).asset_id
    with pytest.raises(RefusedError, match="belongs to the dandiset"):
        refuse_protected(file)
    left = {path.name for path in (out / source_dandiset).rglob("*")}
    assert left == {"dandiset.yaml", ".nwb-celltype", "fetched.jsonl", "sub-m1", file.name}


def test_what_is_there_is_not_fetched_again(archive: DandiDouble, source_dandiset: str, out: Path) -> None:
    fetch(f"DANDI:{source_dandiset}", out=out)
    before = (out / source_dandiset / SOURCE_PATH).stat()
    archive.log.clear()
    again = fetch(f"DANDI:{source_dandiset}", out=out)
    assert again.counts == {"there": 1}
    assert (again.n_bytes, bytes_from_bucket(archive)) == (0, 0)
    assert (out / source_dandiset / SOURCE_PATH).stat().st_mtime_ns == before.st_mtime_ns


def test_a_file_that_differs_is_left_alone(
    archive: DandiDouble, source_dandiset: str, recordings: Recordings, out: Path
) -> None:
    file = out / source_dandiset / SOURCE_PATH
    file.parent.mkdir(parents=True)
    mine = bytearray(recordings.source.read_bytes())
    mine[-1] ^= 1  # same size
    file.write_bytes(mine)
    done = fetch(f"DANDI:{source_dandiset}", out=out)
    assert (done.counts, done.exit_code) == ({"refused": 1}, 4)
    assert str(file) in done.files[0].message
    assert "--overwrite" in done.files[0].message
    assert file.read_bytes() == mine
    assert bytes_from_bucket(archive) == 0
    replaced = fetch(f"DANDI:{source_dandiset}", out=out, overwrite=True)
    assert replaced.counts == {"fetched": 1}
    assert sha256(file) == sha256(recordings.source)


def test_a_dry_run_writes_nothing(archive: DandiDouble, source_dandiset: str, out: Path) -> None:
    done = fetch(f"DANDI:{source_dandiset}", out=out, dry_run=True)
    assert done.counts == {"planned": 1}
    assert done.n_bytes == done.files[0].size > 400_000
    assert not out.exists()
    assert bytes_from_bucket(archive) == 0


def test_part_of_a_draft(archive: DandiDouble, labels_dandiset: str, out: Path) -> None:
    one = fetch(f"DANDI:{labels_dandiset}/notes.txt", out=out)
    assert [row.path for row in one.files] == ["notes.txt"]
    assert (one.version, one.address) == ("draft", one.address)
    assert "may change" in one.note
    assert (out / labels_dandiset / "notes.txt").read_bytes() == b"read me"
    folder = fetch(f"DANDI:{labels_dandiset}@draft/sub-m3", out=out, dry_run=True)
    assert [row.path for row in folder.files] == ["sub-m3/sub-m3_ses-1_ecephys.nwb"]
    some = fetch(f"DANDI:{labels_dandiset}", glob="*ses-1_ecephys.nwb", out=out, dry_run=True)
    assert len(some.files) == 3


def test_nothing_matches(archive: DandiDouble, labels_dandiset: str, out: Path) -> None:
    with pytest.raises(NothingToDoError, match=r"no assets that match '\*\.mp4'"):
        fetch(f"DANDI:{labels_dandiset}", glob="*.mp4", out=out)
    with pytest.raises(InputError):
        fetch("DANDI:000777", out=out)


def test_wrong_calls(out: Path) -> None:
    with pytest.raises(UsageError, match="not of a dandiset"):
        fetch("https://example.org/a.nwb", out=out)
    with pytest.raises(UsageError, match="--with-sources"):
        fetch("DANDI:000001", merge=True, out=out)
    with pytest.raises(UsageError, match="at a time"):
        fetch("DANDI:000001", jobs=0, out=out)


def test_an_archive_without_sha256_yet(archive: DandiDouble, recordings: Recordings, out: Path) -> None:
    archive.state.validation_delay = float("inf")
    try:
        name = archive.add_dandiset(name="Fresh")
        archive.add_asset(name, "a.bin", b"x" * 100_000, metadata={"schemaKey": "Asset"})
        done = fetch(f"DANDI:{name}", out=out)
        assert done.counts == {"fetched": 1}
        assert (done.files[0].sha256, done.files[0].etag[-2:]) == ("", "-1")
        again = fetch(f"DANDI:{name}", out=out)
        assert again.counts == {"there": 1}
        (out / name / "a.bin").write_bytes(b"y" * 100_000)
        assert fetch(f"DANDI:{name}", out=out).counts == {"refused": 1}
    finally:
        archive.state.validation_delay = 0.0


def test_names_from_the_server_stay_inside(archive: DandiDouble, out: Path, tmp_path: Path) -> None:
    name = archive.add_dandiset(name="Names")
    for path in ("../evil.txt", "sub/../../evil.txt", "/evil.txt", "dandiset.yaml", "link/evil.txt", "good.txt"):
        archive.add_asset(name, path, path.encode(), metadata={"schemaKey": "Asset"})
    (tmp_path / "elsewhere").mkdir()
    (out / name).mkdir(parents=True)
    (out / name / "link").symlink_to(tmp_path / "elsewhere")
    done = fetch(f"DANDI:{name}", out=out)
    assert done.counts == {"fetched": 1, "refused": 5}
    assert done.exit_code == 4
    assert (out / name / "good.txt").read_bytes() == b"good.txt"
    assert not [path for path in tmp_path.rglob("evil.txt")]
    assert yaml.safe_load((out / name / "dandiset.yaml").read_text())["name"] == "Names"


def test_own_metadata_are_left_alone(archive: DandiDouble, source_dandiset: str, out: Path) -> None:
    (out / source_dandiset).mkdir(parents=True)
    (out / source_dandiset / "dandiset.yaml").write_text("name: mine\n")
    done = fetch(f"DANDI:{source_dandiset}", out=out)
    assert done.exit_code == 0
    assert "left alone" in done.note
    assert (out / source_dandiset / "dandiset.yaml").read_text() == "name: mine\n"


def test_metadata_of_an_earlier_fetch_are_renewed(archive: DandiDouble, out: Path) -> None:
    name = archive.add_dandiset(name="First")
    archive.add_asset(name, "a.txt", b"a", metadata={"schemaKey": "Asset"})
    fetch(f"DANDI:{name}", out=out)
    with archive.state.lock:
        dandiset = archive.dandiset(name)
        archive.state.change_draft(dandiset, "Second", dict(dandiset.draft.metadata))
    assert "left alone" not in fetch(f"DANDI:{name}", out=out).note
    assert yaml.safe_load((out / name / "dandiset.yaml").read_text())["name"] == "Second"


def test_too_little_room(
    archive: DandiDouble, source_dandiset: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1_000_000

    monkeypatch.setattr("nwb_celltype.fetching.retrieval.shutil.disk_usage", lambda _: Usage)
    with pytest.raises(InputError, match="Make room"):
        fetch(f"DANDI:{source_dandiset}", out=out)
    assert not out.exists()
    assert bytes_from_bucket(archive) == 0


def test_another_version_over_an_earlier_one(archive: DandiDouble, out: Path) -> None:
    document = {"schemaKey": "Asset", "schemaVersion": archive.state.schema_version, "encodingFormat": "text/plain"}
    name = archive.add_dandiset(name="Versions")
    archive.add_asset(name, "a.txt", b"first", metadata=document)
    archive.add_asset(name, "b.txt", b"same", metadata=document)
    old = archive.publish(name, "0.260101.1200")
    archive.add_asset(name, "a.txt", b"second", metadata=document)
    new = archive.publish(name, "0.260102.1200")
    assert fetch(f"DANDI:{name}@{old}", out=out).counts == {"fetched": 2}
    newest = fetch(f"DANDI:{name}", out=out)
    assert newest.version == new
    assert newest.counts == {"refused": 1, "there": 1}
    assert f"is an earlier copy of version {old}" in newest.failures[0].message
    assert (out / name / "a.txt").read_bytes() == b"first"
    assert fetch(f"DANDI:{name}", out=out, overwrite=True).counts == {"fetched": 1, "there": 1}
    assert (out / name / "a.txt").read_bytes() == b"second"
