import threading
import time
import traceback
from pathlib import Path

import pytest

from nwb_celltype.archive.connections import without_query
from nwb_celltype.archive.transport import RangeSource, RetryPolicy
from nwb_celltype.errors import InputError, NetworkError, RefusedError, UsageError

from .range_server import Fault, RangeServer

CONTENT = bytes(range(256)) * 2000  # 512 kB
HASTY = RetryPolicy(n_retries=3, first_wait_s=0.001, longest_wait_s=0.004, read_timeout_s=0.15, connect_timeout_s=0.5)


@pytest.fixture
def server(tmp_path: Path):
    (tmp_path / "a.nwb").write_bytes(CONTENT)
    (tmp_path / "empty.nwb").write_bytes(b"")
    with RangeServer(tmp_path) as server:
        yield server


def source_of(server: RangeServer, name: str = "a.nwb", **options) -> RangeSource:
    return RangeSource(server.url(name), name="DANDI:000001/a.nwb", **{"policy": HASTY, **options})


def test_first_answer_brings_size_and_etag(server: RangeServer):
    source = source_of(server)
    assert source.known_size is None
    assert source.fetch(100, 300) == CONTENT[100:300]
    assert (source.size, source.etag) == (len(CONTENT), server.etag(server.folder / "a.nwb"))
    assert [(r.method, r.start, r.stop, r.n_bytes) for r in server.log] == [("GET", 100, 300, 200)]
    assert (source.statistics.n_requests, source.statistics.n_bytes, source.statistics.n_retries) == (1, 200, 0)


def test_range_beyond_the_end_is_cut(server: RangeServer):
    source = source_of(server)
    assert source.fetch(len(CONTENT) - 5, len(CONTENT) + 100) == CONTENT[-5:]
    assert source.fetch(len(CONTENT), len(CONTENT) + 10) == b""
    assert server.n_requests == 1  # the end was known by then


def test_empty_file(server: RangeServer):
    source = source_of(server, "empty.nwb")
    assert source.fetch(0, 100) == b""
    assert source.size == 0


def test_nonsense_range(server: RangeServer):
    with pytest.raises(UsageError, match="start <= stop"):
        source_of(server).fetch(5, 4)


def test_connections_are_kept(server: RangeServer):
    source = source_of(server)
    for start in range(0, 5000, 1000):
        source.fetch(start, start + 1000)
    assert len(server.ports) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_failures_are_retried(server: RangeServer, status: int):
    server.faults.append(Fault(times=3, status=status))
    source = source_of(server)
    assert source.fetch(0, 1000) == CONTENT[:1000]
    assert (source.statistics.n_requests, source.statistics.n_retries) == (4, 3)


def test_lasting_failure_is_named_after_bounded_retries(server: RangeServer):
    server.faults.append(Fault(times=99, status=503))
    source = source_of(server)
    with pytest.raises(NetworkError, match=r"DANDI:000001/a.nwb: the server answered 503 \(4 times in a row\)"):
        source.fetch(0, 1000)
    assert server.n_requests == 4


def test_waits_grow_are_bounded_and_honour_retry_after(server: RangeServer):
    waits: list[float] = []
    policy = RetryPolicy(n_retries=6, first_wait_s=1, longest_wait_s=8, longest_retry_after_s=30, sleep=waits.append)
    server.faults += [Fault(times=5, status=503), Fault(status=503, retry_after="900")]
    source_of(server, policy=policy).fetch(0, 10)
    for wait, longest in zip(waits[:5], (1, 2, 4, 8, 8), strict=True):
        assert longest / 2 <= wait <= longest
    assert waits[5] == 30


def test_retry_after_as_a_date(server: RangeServer):
    waits: list[float] = []
    policy = RetryPolicy(first_wait_s=0, sleep=waits.append)
    at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 20))
    server.faults += [Fault(status=429, retry_after=at), Fault(status=429, retry_after="soon")]
    source_of(server, policy=policy).fetch(0, 10)
    assert 15 < waits[0] <= 20
    assert waits[1] == 0


def test_cut_connection_is_taken_up_where_it_broke(server: RangeServer):
    server.faults.append(Fault(times=2, cut_after=100_000))
    source = source_of(server)
    assert source.fetch(1000, 400_000) == CONTENT[1000:400_000]
    assert [(r.start, r.stop) for r in server.log] == [(1000, 400_000), (101_000, 400_000), (201_000, 400_000)]
    assert source.statistics.n_bytes == 399_000


def test_progress_renews_patience(server: RangeServer):
    server.faults.append(Fault(times=5, cut_after=80_000))  # more than the retries in a row
    assert source_of(server).fetch(0, len(CONTENT)) == CONTENT


def test_cuts_without_progress_end(server: RangeServer):
    server.faults.append(Fault(times=99, cut_after=10))
    with pytest.raises(NetworkError, match="the connection broke"):
        source_of(server).fetch(0, 100_000)
    assert server.n_requests == 4


def test_body_that_is_too_short_is_noticed(server: RangeServer):
    server.faults.append(Fault(times=1, short_by=300))
    assert source_of(server).fetch(0, 1000) == CONTENT[:1000]
    assert [(r.start, r.stop) for r in server.log] == [(0, 1000), (700, 1000)]


def test_hanging_server(server: RangeServer):
    server.faults.append(Fault(times=1, hang_s=0.3))
    source = source_of(server)
    assert source.fetch(0, 10) == CONTENT[:10]
    assert source.statistics.n_retries == 1


def test_dripping_server(server: RangeServer):
    server.faults.append(Fault(times=1, drip_s=0.02))
    source = source_of(server, policy=RetryPolicy(first_wait_s=0.001, read_timeout_s=0.1))
    assert source.fetch(0, 100) == CONTENT[:100]
    assert source.statistics.n_retries == 1
    assert server.log[-1].start > 0


def test_nobody_listens(tmp_path: Path):
    with RangeServer(tmp_path) as server:
        url = server.url("a.nwb?X-Amz-Signature=secret")
    policy = RetryPolicy(n_retries=1, first_wait_s=0.001)
    with pytest.raises(NetworkError, match=r"a.nwb: the server cannot be reached") as caught:
        RangeSource(url, name=url, policy=policy).fetch(0, 10)
    shown = "".join(traceback.format_exception(caught.value))
    assert "secret" not in shown


def test_unknown_host():
    policy = RetryPolicy(n_retries=0)
    with pytest.raises(NetworkError, match="cannot be resolved"):
        RangeSource("http://nowhere.invalid/a?X-Amz-Signature=secret", name="a.nwb", policy=policy).fetch(0, 10)


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (400, NetworkError, "answered 400"),
        (401, RefusedError, "not public"),
        (403, RefusedError, "not public"),
        (404, InputError, "does not exist"),
        (410, InputError, "does not exist"),
    ],
)
def test_refusals_are_not_retried(server: RangeServer, status: int, error: type[Exception], says: str):
    server.faults.append(Fault(times=9, status=status, body=b"why not"))
    with pytest.raises(error, match=says):
        source_of(server).fetch(0, 10)
    assert server.n_requests == 1


def test_replaced_file_is_noticed(server: RangeServer):
    source = source_of(server)
    source.fetch(0, 10)
    (server.folder / "a.nwb").write_bytes(CONTENT[::-1])
    with pytest.raises(InputError, match="was replaced while it was read"):
        source.fetch(10, 20)


def test_wrong_etag_is_noticed(server: RangeServer):
    server.faults.append(Fault(skip=1, etag="another"))
    source = source_of(server)
    source.fetch(0, 10)
    with pytest.raises(InputError, match="was replaced"):
        source.fetch(10, 20)


def test_replaced_file_is_noticed_without_etag(server: RangeServer):
    server.sends_etag = False
    source = source_of(server)
    source.fetch(0, 10)
    assert (source.etag, source.identity) == ("", "")
    (server.folder / "a.nwb").write_bytes(CONTENT + b"more")
    with pytest.raises(InputError, match="was replaced"):
        source.fetch(10, 20)


def test_size_known_beforehand_is_checked(server: RangeServer):
    assert source_of(server, size=len(CONTENT)).fetch(0, 10) == CONTENT[:10]
    with pytest.raises(InputError, match="was replaced"):
        source_of(server, size=len(CONTENT) + 1).fetch(0, 10)


def test_deleted_while_read(server: RangeServer):
    source = source_of(server)
    source.fetch(0, 10)
    (server.folder / "a.nwb").unlink()
    with pytest.raises(InputError, match="is gone"):
        source.fetch(10, 20)


def test_server_without_ranges(server: RangeServer):
    server.serves_ranges = False
    with pytest.raises(InputError, match="download it first"):
        source_of(server).fetch(0, 1000)
    assert source_of(server).fetch(0, len(CONTENT)) == CONTENT  # all that was asked for, whatever it calls it


@pytest.mark.parametrize("header", ["bytes 5-14/512000", "bytes 0-512001/512000", "items 0-9/512000"])
def test_wrong_content_range_is_never_believed(server: RangeServer, header: str):
    server.faults.append(Fault(times=9, content_range=header))
    with pytest.raises((NetworkError, InputError), match=r"other bytes|how long"):
        source_of(server).fetch(0, 10)
    server.faults[:] = [Fault(times=1, content_range="bytes 5-14/512000")]
    assert source_of(server).fetch(0, 10) == CONTENT[:10]


def test_redirect_is_followed_once_and_remembered(server: RangeServer):
    source = source_of(server, "moved/a.nwb")
    for start in (0, 10, 20):
        assert source.fetch(start, start + 10) == CONTENT[start : start + 10]
    assert [r.path for r in server.log] == ["/moved/a.nwb", "/a.nwb", "/a.nwb", "/a.nwb"]


def test_expired_signature_is_renewed_from_the_first_address(server: RangeServer):
    server.signature_uses = 2
    source = source_of(server, "moved/a.nwb")
    for start in range(0, 50, 10):
        assert source.fetch(start, start + 10) == CONTENT[start : start + 10]
    assert [r.path for r in server.log].count("/moved/a.nwb") == 3
    assert [r.status for r in server.log].count(403) == 2


def test_expired_signature_is_renewed_once_for_all_threads(server: RangeServer):
    source = source_of(server, "moved/a.nwb")
    source.fetch(0, 10)
    server.expire()
    server.latency_s = 0.02
    ranges = [(start, start + 50_000) for start in range(0, 400_000, 50_000)]
    got: dict[int, bytes] = {}
    threads = [threading.Thread(target=lambda r=r: got.update({r[0]: source.fetch(*r)})) for r in ranges]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {start: CONTENT[start:stop] for start, stop in ranges}
    assert len(server.signatures) == 2


def test_address_is_asked_for_anew_when_it_expired(server: RangeServer):
    asked: list[bool] = []

    def address(expired: bool) -> str:
        asked.append(expired)
        return server.root + server.sign("a.nwb")

    source = RangeSource(address, name="a.nwb", policy=HASTY)
    source.fetch(0, 10)
    source.fetch(10, 20)
    server.expire()
    assert source.fetch(20, 30) == CONTENT[20:30]
    assert asked == [False, True]


def test_new_address_that_does_not_work_either_is_a_refusal(server: RangeServer):
    server.signature_uses = 0
    with pytest.raises(RefusedError, match="not public") as caught:
        source_of(server, "moved/a.nwb").fetch(0, 10)
    assert "Signature" not in str(caught.value)
    assert server.n_requests == 4


def test_presigned_address_that_expired_for_good(server: RangeServer):
    url = server.root + server.sign("a.nwb")
    source = RangeSource(url, name=url, policy=HASTY)
    source.fetch(0, 10)
    server.expire()
    with pytest.raises(RefusedError, match="has expired") as caught:
        source.fetch(10, 20)
    assert str(caught.value).startswith(f"{server.root}/a.nwb may not")


def test_circle_of_redirects(server: RangeServer):
    server.redirects_to = lambda _: server.url("moved/a.nwb")
    with pytest.raises(InputError, match="in a circle"):
        source_of(server, "moved/a.nwb").fetch(0, 10)


def test_headers_stay_with_their_host(server: RangeServer, tmp_path: Path):
    with RangeServer(tmp_path) as other:
        server.redirects_to = lambda signed: other.url("a.nwb")
        source = source_of(server, "moved/a.nwb", headers={"Authorization": "token secret"})
        assert source.fetch(0, 10) == CONTENT[:10]
        assert server.log[0].headers["Authorization"] == "token secret"
        assert "Authorization" not in other.log[0].headers


def test_closed_source(server: RangeServer):
    source = source_of(server)
    source.close()
    with pytest.raises(UsageError, match="closed"):
        source.fetch(0, 10)


def test_closing_ends_a_wait(server: RangeServer):
    server.faults.append(Fault(times=99, status=503, retry_after="30"))
    source = source_of(server, policy=RetryPolicy())
    threading.Timer(0.05, source.close).start()
    began = time.monotonic()
    with pytest.raises(UsageError, match="closed"):
        source.fetch(0, 10)
    assert time.monotonic() - began < 5


def test_names_lose_what_may_be_secret():
    assert without_query("https://a:b@h.org:8/x.nwb?X-Amz-Signature=1#f") == "https://h.org:8/x.nwb"
    assert without_query("DANDI:000001@draft/a?b.nwb") == "DANDI:000001@draft/a?b.nwb"
