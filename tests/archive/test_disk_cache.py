import multiprocessing
import os
from pathlib import Path

import pytest

from nwb_celltype.archive import disk_cache
from nwb_celltype.archive.disk_cache import DiskCache, Found


def parts_of(cache: DiskCache) -> list[Path]:
    return sorted(cache.folder.glob("*/*/*"))


def test_gives_what_it_has_and_says_where_the_next_begins(tmp_path: Path):
    cache = DiskCache(tmp_path)
    cache.put("a", 100, b"0123456789")
    cache.put("a", 200, b"abc")
    assert cache.get("a", 105, 1000) == Found(b"56789", 110)
    assert cache.get("a", 102, 104) == Found(b"23", 104)
    assert cache.get("a", 110, 1000) == Found(b"", 200)
    assert cache.get("a", 0, 50) == Found(b"", 50)
    assert cache.get("b", 105, 1000) == Found(b"", 1000)


def test_another_process_later_finds_it(tmp_path: Path):
    DiskCache(tmp_path).put("a", 5, b"spikes")
    assert DiskCache(tmp_path).get("a", 5, 11) == Found(b"spikes", 11)


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_damaged_part_is_forgotten(tmp_path: Path, damage: bytes | None):
    cache = DiskCache(tmp_path)
    cache.put("a", 0, b"spikes and waveforms")
    (part,) = parts_of(cache)
    content = part.read_bytes()
    part.write_bytes(content[:-1] + b"?" if damage is None else damage)
    assert cache.get("a", 0, 20) == Found(b"", 20)
    assert parts_of(cache) == []
    cache.put("a", 0, b"spikes and waveforms")
    assert cache.get("a", 0, 20).data == b"spikes and waveforms"


def test_part_that_somebody_deleted(tmp_path: Path):
    cache = DiskCache(tmp_path)
    cache.put("a", 0, b"spikes")
    parts_of(cache)[0].unlink()
    assert cache.get("a", 0, 6) == Found(b"", 6)


def test_least_recently_used_goes_first(tmp_path: Path):
    cache = DiskCache(tmp_path, max_bytes=10_500)
    for k in range(10):
        cache.put(f"file {k}", 0, bytes([k]) * 1000)
        os.utime(max(parts_of(cache), key=lambda p: p.stat().st_mtime_ns), (k, k))
    assert cache.get("file 0", 0, 1000).data == bytes(1000)  # used just now
    cache.put("file 10", 0, bytes(1000))
    assert cache.n_bytes <= 10_500
    assert cache.get("file 0", 0, 1000).data
    assert not cache.get("file 1", 0, 1000).data
    assert cache.get("file 10", 0, 1000).data


def test_size_left_by_earlier_runs_counts(tmp_path: Path):
    large = DiskCache(tmp_path)
    for k in range(10):
        large.put("a", k * 1000, bytes(1000))
    small = DiskCache(tmp_path, max_bytes=5000)
    small.put("b", 0, bytes(100))
    assert small.n_bytes <= 5000


def test_what_is_larger_than_the_cache_is_not_kept(tmp_path: Path):
    cache = DiskCache(tmp_path, max_bytes=10)
    cache.put("a", 0, bytes(11))
    assert parts_of(cache) == []


def test_full_disk_switches_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cache = DiskCache(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk_cache.os, "replace", full)
    cache.put("a", 0, b"spikes")
    assert "is full (No space left on device)" in cache.is_off
    monkeypatch.undo()
    cache.put("a", 0, b"spikes")
    assert cache.get("a", 0, 6) == Found(b"", 6)
    assert parts_of(cache) == []


def test_place_that_cannot_be_a_folder(tmp_path: Path):
    (tmp_path / "file").write_text("")
    cache = DiskCache(tmp_path / "file")
    assert cache.get("a", 0, 6) == Found(b"", 6)
    cache.put("a", 0, b"spikes")
    assert "cannot be written" in cache.is_off


def test_clear(tmp_path: Path):
    cache = DiskCache(tmp_path)
    cache.put("a", 0, b"spikes")
    cache.clear()
    assert cache.get("a", 0, 6) == Found(b"", 6)
    assert cache.n_bytes == 0


def test_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NWB_CELLTYPE_CACHE", str(tmp_path / "here"))
    assert DiskCache().folder == tmp_path / "here" / "ranges"
    monkeypatch.delenv("NWB_CELLTYPE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "nwb-celltype" in str(DiskCache().folder)


def fill(folder: str, seed: int) -> None:
    cache = DiskCache(Path(folder), max_bytes=20_000)
    for k in range(60):
        cache.put(f"file {(k + seed) % 7}", k * 1000, bytes([k]) * 1000)
        found = cache.get(f"file {(k + seed) % 7}", k * 1000, k * 1000 + 1000)
        if found.data not in (b"", bytes([k]) * 1000):
            os._exit(1)
    os._exit(1 if cache.is_off else 0)


def test_several_processes(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=fill, args=(str(tmp_path), seed)) for seed in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
        assert process.exitcode == 0
    assert DiskCache(tmp_path).n_bytes <= 2 * 20_000
    assert not list(tmp_path.glob("**/.*"))
