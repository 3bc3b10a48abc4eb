import io
import threading
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nwb_celltype.archive.connections import MAX_CONNECTIONS
from nwb_celltype.archive.disk_cache import DiskCache
from nwb_celltype.archive.read_ahead import ReadAhead, merged_ranges, part_length
from nwb_celltype.archive.remote_file import RemoteFile, open_remote
from nwb_celltype.archive.transport import RangeSource, RetryPolicy
from nwb_celltype.errors import InputError, NetworkError, RefusedError, UsageError

from .range_server import Fault, RangeServer

SIZE = 3_000_000
CONTENT = np.random.default_rng(7).integers(0, 256, SIZE, dtype=np.uint8).tobytes()
HASTY = RetryPolicy(n_retries=2, first_wait_s=0.001, longest_wait_s=0.002, read_timeout_s=2)
SMALL = ReadAhead(first=500, block=200, longest=2000, large=3000, part=2000, shortest_part=700, gap=50)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("remote")
    (folder / "a.nwb").write_bytes(CONTENT)
    with h5py.File(folder / "b.h5", "w") as file:
        file["spike_times"] = np.arange(400_000.0)
        for k in range(40):
            file[f"metrics/m{k}"] = np.full(600, k, dtype=float)
        file.create_dataset("waveforms", data=np.arange(600_000.0).reshape(600, 1000), chunks=(100, 1000))
    return folder


@pytest.fixture
def server(folder: Path):
    with RangeServer(folder) as server:
        yield server


@pytest.fixture
def open_file(server: RangeServer):
    opened: list[RemoteFile] = []

    def open_file(name: str = "a.nwb", **options) -> RemoteFile:
        source = RangeSource(server.url(name), name=name, policy=HASTY)
        opened.append(RemoteFile(source, **options))
        return opened[-1]

    yield open_file
    for file in opened:
        file.close()


OpenFile = Callable[..., RemoteFile]


def test_it_is_a_file(open_file: OpenFile):
    file = open_file()
    assert (file.size, file.name, file.readable(), file.seekable(), file.writable()) == (
        SIZE,
        "a.nwb",
        True,
        True,
        False,
    )
    assert repr(file) == "<RemoteFile a.nwb>"
    assert file.seek(-10, io.SEEK_END) == SIZE - 10
    assert file.read(100) == CONTENT[-10:]
    assert (file.tell(), file.read(5)) == (SIZE, b"")
    assert file.seek(1000) == 1000
    assert file.seek(5, io.SEEK_CUR) == 1005
    assert file.read(20) == CONTENT[1005:1025]
    file.seek(0)
    assert file.read() == CONTENT
    with pytest.raises(UsageError, match="none before byte 0"):
        file.seek(-1)
    file.close()
    with pytest.raises(UsageError, match="is closed"):
        file.read(1)


def test_h5py_reads_it(open_file: OpenFile, server: RangeServer, folder: Path):
    remote = open_file("b.h5")
    with h5py.File(remote, "r") as file, h5py.File(folder / "b.h5", "r") as local:
        for k in range(40):
            np.testing.assert_array_equal(file[f"metrics/m{k}"][()], local[f"metrics/m{k}"][()])
        n_requests = server.n_requests
        np.testing.assert_array_equal(file["waveforms"][()], local["waveforms"][()])
        np.testing.assert_array_equal(file["spike_times"][()], local["spike_times"][()])
    assert n_requests <= 4
    assert remote.statistics.n_requests == server.n_requests
    assert remote.statistics.n_bytes == server.n_bytes


def test_scattered_small_reads_share_blocks(open_file: OpenFile, server: RangeServer):
    file = open_file(read_ahead=ReadAhead(first=1000, block=100_000))
    for position in (510_000, 500_000, 599_990, 555_555):
        file.seek(position)
        assert file.read(10) == CONTENT[position : position + 10]
    assert [(r.start, r.stop) for r in server.log] == [(0, 1000), (500_000, 600_000)]


def test_blocks_that_follow_each_other_grow(open_file: OpenFile, server: RangeServer):
    file = open_file(read_ahead=ReadAhead(first=1000, block=1000, growth=2, longest=8000))
    for position in range(0, 100_000, 500):
        file.seek(position)
        assert file.read(500) == CONTENT[position : position + 500]
    lengths = [r.stop - r.start for r in server.log]
    assert lengths[:4] == [1000, 2000, 4000, 8000]
    assert max(lengths) == 8000


def test_what_was_read_is_not_asked_for_again(open_file: OpenFile, server: RangeServer):
    file = open_file()
    for _ in range(3):
        file.seek(100_000)
        file.read(1_000_000)
    n_requests = server.n_requests
    file.seek(300_000)
    file.read(1000)
    assert server.n_requests == n_requests
    assert server.n_bytes < 1_300_000


def test_large_read_is_split_over_connections(open_file: OpenFile, server: RangeServer):
    file = open_file(read_ahead=ReadAhead(first=100, shortest_part=100_000))
    server.awaited_at_once = MAX_CONNECTIONS // 2
    file.seek(1_000_000)
    assert file.read(1_600_000) == CONTENT[1_000_000:2_600_000]
    assert server.n_requests == 1 + MAX_CONNECTIONS
    assert MAX_CONNECTIONS / 2 <= server.most_at_once <= MAX_CONNECTIONS
    assert server.n_bytes == 1_600_100


def test_announced_ranges_come_in_parallel_and_only_once(open_file: OpenFile, server: RangeServer):
    file = open_file(read_ahead=ReadAhead(first=100, shortest_part=100_000))
    server.awaited_at_once = 4
    ranges = [(2_000_000, 2_400_000), (500_000, 900_000), (800_000, 1_000_000), (1_000_500, 1_100_000)]
    file.prefetch(ranges, wait=True)
    n_requests = server.n_requests
    assert server.most_at_once >= 4
    for start, stop in ranges:
        file.seek(start)
        assert file.read(stop - start) == CONTENT[start:stop]
    assert server.n_requests == n_requests
    assert server.n_bytes == 100 + 400_000 + 600_000  # with the gap of 500


def test_reading_waits_for_what_was_announced(open_file: OpenFile, server: RangeServer):
    file = open_file(read_ahead=ReadAhead(first=100))
    server.latency_s = 0.1
    file.prefetch([(1_000_000, 1_500_000)])
    file.seek(1_200_000)
    assert file.read(1000) == CONTENT[1_200_000:1_201_000]
    assert [(r.start, r.stop) for r in server.log] == [(0, 100), (1_000_000, 1_500_000)]


def test_nonsense_is_not_announced(open_file: OpenFile, server: RangeServer):
    file = open_file()
    file.prefetch([(5, 5), (9, 3), (SIZE, SIZE + 10), (-5, 0)], wait=True)
    assert server.n_requests == 1


@pytest.mark.parametrize("order", [1, -1])
def test_memory_is_bounded(open_file: OpenFile, server: RangeServer, order: int):
    file = open_file(max_bytes=200_000, read_ahead=ReadAhead(100, 20_000, shortest_part=20_000, part=20_000))
    ranges = [(start, start + 50_000) for start in range(0, SIZE - 50_000, 60_000)]
    file.prefetch(ranges, wait=True)
    assert server.n_bytes < 200_000
    for start, stop in ranges[::order]:
        file.seek(start)
        assert file.read(stop - start) == CONTENT[start:stop]
        assert file._n_held <= 200_000
    if order == 1:  # nothing that was announced was given up before it was read
        assert server.n_bytes == 100 + sum(stop - start for start, stop in ranges) - 100
    file.seek(0)
    assert file.read() == CONTENT
    assert file._n_held <= 200_000


def test_unannounced_reads_do_not_push_out_what_was_announced(open_file: OpenFile, server: RangeServer):
    file = open_file(max_bytes=400_000, read_ahead=ReadAhead(first=100, block=10_000, shortest_part=100_000))
    file.prefetch([(2_000_000, 2_300_000)], wait=True)
    for position in range(0, 1_000_000, 20_000):
        file.seek(position)
        file.read(10)
    server.forget()
    file.seek(2_000_000)
    assert file.read(300_000) == CONTENT[2_000_000:2_300_000]
    assert server.n_requests == 0


def test_threads_share_one_request(open_file: OpenFile, server: RangeServer):
    file = open_file(read_ahead=ReadAhead(first=100, block=10_000))
    server.latency_s = 0.03
    got: list[bytes] = []

    def read() -> None:
        buffer = bytearray(100)
        file._read_into(memoryview(buffer), 1_000_000)
        got.append(bytes(buffer))

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [CONTENT[1_000_000:1_000_100]] * 6
    assert server.n_requests == 2


def test_failure_is_told_and_not_kept(open_file: OpenFile, server: RangeServer):
    file = open_file(read_ahead=ReadAhead(first=100))
    server.faults.append(Fault(times=3, status=503))
    file.seek(1_000_000)
    with pytest.raises(NetworkError, match="answered 503"):
        file.read(10)
    assert file.read(10) == CONTENT[1_000_000:1_000_010]


def test_failed_announcement(open_file: OpenFile, server: RangeServer):
    file = open_file(read_ahead=ReadAhead(first=100))
    server.faults.append(Fault(times=6, status=503))
    with pytest.raises(NetworkError, match="answered 503"):
        file.prefetch([(1_000_000, 1_100_000)], wait=True)
    with pytest.raises(NetworkError, match="answered 503"):
        file.prefetch([(1_000_000, 1_100_000)], wait=True)
    file.seek(1_000_000)
    assert file.read(10) == CONTENT[1_000_000:1_000_010]


def test_h5py_passes_the_error_on(open_file: OpenFile, server: RangeServer):
    with h5py.File(open_file("b.h5", read_ahead=ReadAhead(first=4096, block=4096, longest=4096)), "r") as file:
        server.faults.append(Fault(times=99, status=403))
        for fails in (
            lambda: "m39" in file["metrics"],
            lambda: file.get("metrics/m38"),
            lambda: file["spike_times"][()],
        ):
            with pytest.raises(RefusedError, match=r"b.h5 may not be read"):
                fails()
        server.faults.clear()
        assert file["metrics/m39"][0] == 39


def test_replaced_while_read(folder: Path, tmp_path: Path):
    (tmp_path / "a.nwb").write_bytes(CONTENT)
    with RangeServer(tmp_path) as server, open_remote(server.url("a.nwb")) as file:
        (tmp_path / "a.nwb").write_bytes(CONTENT[::-1])
        file.seek(2_000_000)
        with pytest.raises(InputError, match="was replaced"):
            file.read(10)


def test_closing_ends_what_is_under_way(open_file: OpenFile, server: RangeServer):
    file = open_file(read_ahead=ReadAhead(first=100, shortest_part=10_000))
    server.latency_s = 0.05
    file.prefetch([(0, SIZE)])
    failures: list[BaseException] = []

    def read() -> None:
        try:
            file._read_into(memoryview(bytearray(10)), SIZE - 10)
        except UsageError as error:
            failures.append(error)

    server.faults.append(Fault(times=99, status=503, retry_after="30"))
    reader = threading.Thread(target=read)
    reader.start()
    threading.Timer(0.05, file.close).start()
    reader.join(5)
    assert not reader.is_alive()


# cache on disk


def test_cached_bytes_are_not_asked_for_again(open_file: OpenFile, server: RangeServer, tmp_path: Path):
    cache = DiskCache(tmp_path)
    for n_cached in (0, 1_000_000):
        server.forget()
        file = open_file(cache=cache, read_ahead=ReadAhead(first=1000))
        file.prefetch([(1_000_000, 2_000_000)], wait=True)
        file.seek(1_000_000)
        assert file.read(1_000_000) == CONTENT[1_000_000:2_000_000]
        assert file.statistics.n_cached_bytes == n_cached
    assert server.n_requests == 1  # the one that asks whether it is still the same file


def test_known_content_needs_no_request(open_file: OpenFile, server: RangeServer, tmp_path: Path):
    cache = DiskCache(tmp_path)
    for _ in range(2):
        server.forget()
        source = RangeSource(server.url("b.h5"), name="b.h5", size=(server.folder / "b.h5").stat().st_size)
        with RemoteFile(source, cache=cache, identity="its sha256") as remote, h5py.File(remote, "r") as file:
            assert file["metrics/m7"][5] == 7
    assert server.n_requests == 0


def test_replaced_file_is_not_read_from_the_cache(tmp_path: Path):
    cache = DiskCache(tmp_path / "cache")
    with RangeServer(tmp_path) as server:
        for content in (CONTENT, CONTENT[::-1]):
            (tmp_path / "a.nwb").write_bytes(content)
            with open_remote(server.url("a.nwb"), cache=cache) as file:
                file.seek(2_000_000)
                assert file.read(10) == content[2_000_000:2_000_010]


def test_without_etag_nothing_is_cached(open_file: OpenFile, server: RangeServer, tmp_path: Path):
    server.sends_etag = False
    cache = DiskCache(tmp_path)
    open_file(cache=cache).read(2_000_000)
    assert cache.n_bytes == 0


def test_partly_cached_range(open_file: OpenFile, server: RangeServer, tmp_path: Path):
    cache = DiskCache(tmp_path)
    open_file(cache=cache, read_ahead=SMALL).prefetch([(10_000, 10_600), (12_000, 12_600)], wait=True)
    file = open_file(cache=cache, read_ahead=SMALL)
    server.forget()
    file.prefetch([(9_800, 13_000)], wait=True)
    file.seek(9_800)
    assert file.read(3200) == CONTENT[9_800:13_000]
    assert server.n_bytes == 3200 - 1200


# open_remote


def test_open_remote(server: RangeServer):
    with open_remote(server.url("moved/a.nwb")) as file:
        assert file.read(10) == CONTENT[:10]
        server.expire()
        file.seek(2_000_000)
        assert file.read(10) == CONTENT[2_000_000:2_000_010]


def test_open_remote_that_is_not_there(server: RangeServer):
    with pytest.raises(InputError, match=r"none.nwb does not exist"):
        open_remote(server.url("none.nwb"))


@pytest.mark.parametrize("address", ["https://example.org/a.zarr", "https://example.org/a.nwb.zarr/?v=1"])
def test_zarr(address: str):
    with pytest.raises(InputError, match="NWB in Zarr"):
        open_remote(address)


def test_dandi_folder_of_zarr():
    with pytest.raises(InputError, match="NWB in Zarr"):
        open_remote("DANDI:000001@draft/sub-1/sub-1.zarr")


# against the local file

steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 21_000), st.integers(-1, 6000)),
        st.tuples(st.just("prefetch"), st.lists(st.tuples(st.integers(0, 21_000), st.integers(0, 5000)), max_size=5)),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, max_bytes=st.sampled_from([1, 3000, 10**6]), is_cached=st.booleans())
def test_same_bytes_as_the_local_file(
    steps: list, max_bytes: int, is_cached: bool, tmp_path_factory: pytest.TempPathFactory, small_server: RangeServer
):
    cache = DiskCache(small_server.folder / "cache", max_bytes=50_000) if is_cached else None
    source = RangeSource(small_server.url("small.nwb"), name="small.nwb", policy=HASTY)
    with (
        RemoteFile(source, cache=cache, max_bytes=max_bytes, read_ahead=SMALL) as file,
        (small_server.folder / "small.nwb").open("rb") as local,
    ):
        for what, *arguments in steps:
            if what == "prefetch":
                file.prefetch([(start, start + length) for start, length in arguments[0]])
            else:
                position, size = arguments
                assert file.seek(position) == local.seek(position)
                assert file.read(size) == local.read(size)
                assert file.tell() == max(position, local.tell())
        assert not file._n_unread < 0


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.nwb").write_bytes(CONTENT[:20_000])
    with RangeServer(folder) as server:
        yield server


@given(ranges=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 500)), max_size=30))
def test_merged_ranges_hold_all_and_little_more(ranges: list[tuple[int, int]]):
    policy = ReadAhead(gap=20, gap_fraction=0.1)
    asked = [(start, start + length) for start, length in ranges]
    merged = merged_ranges(asked, policy)
    inside = {byte for start, stop, _ in merged for byte in range(start, stop)}
    wanted = {byte for start, stop in asked for byte in range(start, stop)}
    assert wanted <= inside
    assert sum(stop - start for start, stop, _ in merged) == len(inside)
    assert len(inside) <= 1.1 * len(wanted) + 20 * len(ranges)
    assert {byte for _, _, parts in merged for start, stop in parts for byte in range(start, stop)} == wanted


def test_parts_keep_all_connections_busy():
    policy = ReadAhead(part=8_000_000, shortest_part=1_000_000)
    assert part_length(500_000, policy) == 1_000_000
    assert part_length(40_000_000, policy) == 5_000_000
    assert part_length(128_000_000, policy) == 8_000_000
