"""Bytes of a file on a server: ranges over HTTP, with retries, renewal of signed addresses and checks of identity."""

from __future__ import annotations

import email.utils
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from nwb_celltype.archive import collection
from nwb_celltype.archive.connections import connections_to, without_query
from nwb_celltype.errors import InputError, NetworkError, RefusedError, UsageError

if TYPE_CHECKING:
    import urllib3

_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_EXPIRED = frozenset({400, 401, 403, 410})  # S3 says 400 when the credentials behind a signature have expired
_SERVES = frozenset({200, 206, 416})
_MOVED = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_PIECE = 256 * 1024
_PROGRESS = 64 * 1024  # a request that brought less than this counts as failed: a server may not drip for ever
_CONTENT_RANGE = re.compile(r"bytes\s+(?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass(frozen=True)
class RetryPolicy:
    """How long to insist.

    Parameters
    ----------
    n_retries : int
        Failures in a row, without progress between them, after the first attempt.
    first_wait_s, longest_wait_s : float
        The waits double from the first to the longest, seconds; each is shortened at random by up to a half, so that
        many clients do not come back at once.
    longest_retry_after_s : float
        The most that is waited when the server itself says how long, seconds.
    connect_timeout_s, read_timeout_s : float
        How long a connection, and the next bytes of an answer, may take, seconds.
    sleep : callable, optional
        Called with seconds instead of waiting.
    """

    n_retries: int = 6
    first_wait_s: float = 0.4
    longest_wait_s: float = 20.0
    longest_retry_after_s: float = 60.0
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 30.0
    sleep: Callable[[float], object] | None = None

    def wait_s(self, n_failures: int, retry_after_s: float | None, chance: random.Random) -> float:
        """Seconds to wait after this many failures in a row (at least one)."""
        wait = min(self.longest_wait_s, self.first_wait_s * 2.0 ** (n_failures - 1)) * chance.uniform(0.5, 1.0)
        return wait if retry_after_s is None else max(wait, min(retry_after_s, self.longest_retry_after_s))


DEFAULT_POLICY = RetryPolicy()
"""What a source uses that is given none."""


@dataclass(frozen=True)
class TransferStatistics:
    """What a source has asked of servers so far.

    Attributes
    ----------
    n_requests : int
        Every request, those that were redirected or failed included.
    n_bytes : int
        Bytes of the file that came over the network.
    n_retries : int
        Requests that had to be made again.
    """

    n_requests: int = 0
    n_bytes: int = 0
    n_retries: int = 0


class RangeSource:
    """Where the bytes of one remote file come from; safe to use from several threads.

    Nothing is asked before the first `fetch` (or the first look at `size`); its answer brings size and ETag along.

    Parameters
    ----------
    url : str or callable
        The address, or a function that gives it: called with True when the last one has expired.
    name : str
        What the file is called in messages; a query string, which may hold a signature, is left out.
    headers : mapping, optional
        Sent to the host of `url` only, never to a host that it redirects to.
    size : int
        Bytes, where known beforehand (0: not known); a server that says otherwise is an error.
    policy : RetryPolicy, optional
        How long to insist.

    Examples
    --------
    >>> source = RangeSource("https://dandiarchive.s3.amazonaws.com/blobs/abc/def/abcdef", name="DANDI:000007/a.nwb")
    >>> source.name, source.statistics.n_requests
    ('DANDI:000007/a.nwb', 0)
    """

    def __init__(
        self,
        url: Callable[[bool], str] | str,
        *,
        name: str,
        headers: Mapping[str, str] | None = None,
        size: int = 0,
        policy: RetryPolicy | None = None,
    ) -> None:
        self.name = without_query(name)
        self._url = url
        self._headers = dict(headers or {})
        self._policy = policy or DEFAULT_POLICY
        self._chance = random.Random()
        self._closed = threading.Event()
        self._lock = threading.Lock()  # of everything below
        self._resolving = threading.Lock()
        self._target = ""  # where the redirects led; "" when the address must be resolved
        self._is_redirected = False  # whether the target is another address than the one that was given
        self._generation = 0  # how often it was resolved anew
        self._served = -1  # the newest generation that gave bytes
        self._trusted: tuple[str, str, int | None] | None = None  # the host that the headers are for
        self._size = size or None
        self._etag: str | None = None
        self._modified: str | None = None
        self._n_requests = self._n_bytes = self._n_retries = 0

    @property
    def size(self) -> int:
        """Length of the file in bytes; asks the server when nothing was fetched yet.

        Raises
        ------
        InputError, NetworkError, RefusedError
            As `fetch`.
        """
        if self._size is None:
            self.fetch(0, 1)
        if self._size is None:  # fetch has set it, or raised
            message = f"The server of {self.name} does not say how long the file is, so it cannot be read in parts."
            raise InputError(message)
        return self._size

    @property
    def known_size(self) -> int | None:
        """Length of the file in bytes, or None before the first answer."""
        return self._size

    @property
    def etag(self) -> str:
        """The server's mark of this very content, without quotes; "" before the first answer and where it has none."""
        return (self._etag or "").removeprefix("W/").strip('"')

    @property
    def identity(self) -> str:
        """What tells this content from every other; "" before the first answer and where the server has no ETag."""
        if self._etag is None or self._etag.startswith("W/"):
            return ""
        return f"{self.name} {self.etag} {self._size}"

    @property
    def statistics(self) -> TransferStatistics:
        """What was asked of servers so far."""
        with self._lock:
            return TransferStatistics(self._n_requests, self._n_bytes, self._n_retries)

    def close(self) -> None:
        """End waits and refuse further requests."""
        self._closed.set()

    def fetch(self, start: int, stop: int) -> bytes:
        """The bytes from `start` up to, not including, `stop`; fewer where the file ends before.

        A connection that breaks in the middle is taken up again where it broke.

        Raises
        ------
        InputError
            If there is no such file, it was replaced since the first fetch, or its server gives no ranges.
        RefusedError
            If the server does not let us read it.
        NetworkError
            If the server, or the way to it, keeps failing.
        """
        if not 0 <= start <= stop:
            message = f"Bytes {start} to {stop} of {self.name} were asked for; a range needs 0 <= start <= stop."
            raise UsageError(message)
        with collection.paused():
            return self._fetch(start, stop)

    def _fetch(self, start: int, stop: int) -> bytes:
        got = bytearray()
        n_failures = 0
        while start + len(got) < self._end(stop):
            self._require_open()
            n_before = len(got)
            retry_after_s: float | None = None
            try:
                self._attempt(start + len(got), stop, got)
                continue
            except _TryAgainError as failure:
                error, retry_after_s = failure, failure.retry_after_s
            if len(got) - n_before >= _PROGRESS:
                n_failures = 0
            n_failures += 1
            if n_failures > self._policy.n_retries:
                message = f"{self.name}: {error} ({n_failures} times in a row). Try again later."
                raise NetworkError(message) from error.__cause__
            with self._lock:
                self._n_retries += 1
                wait = self._policy.wait_s(n_failures, retry_after_s, self._chance)
            (self._policy.sleep or self._closed.wait)(wait)
        return bytes(got)

    def _require_open(self) -> None:
        if self._closed.is_set():
            message = f"{self.name} was closed while it was being read."
            raise UsageError(message)

    def _end(self, stop: int) -> int:
        return stop if self._size is None else min(stop, self._size)

    def _attempt(self, start: int, stop: int, got: bytearray) -> None:
        """Append what one request brings; may be less than was asked for."""
        response, generation = self._answer(start, stop)
        try:
            if response.status in _EXPIRED and self._renew(generation):
                return
            length = self._accept(response, start, stop)
            with self._lock:
                self._served = max(self._served, generation)
            try:
                self._receive(response, length, got)
            except BaseException:
                response.close()  # the rest may never come
                raise
        finally:
            _release(response)

    # where the bytes are

    def _answer(self, start: int, stop: int) -> tuple[urllib3.BaseHTTPResponse, int]:
        """The answer of the server that has the bytes, and the generation of the address it was asked at."""
        with self._lock:
            target, generation = self._target, self._generation
        if target:
            response = self._request(target, start, stop)
            if response.status not in _MOVED:
                return response, generation
            _release(response)
            with self._lock:
                self._target = "" if self._target == target else self._target
        with self._resolving:  # the threads that come meanwhile use what the first of them finds
            with self._lock:
                target, generation = self._target, self._generation
            if target:
                return self._request(target, start, stop), generation
            target = self._first_address(generation)
            for _ in range(_MOST_REDIRECTS):
                response = self._request(target, start, stop)
                if response.status not in _MOVED:
                    if response.status in _SERVES:
                        with self._lock:
                            self._target = target
                    self._is_redirected = target != self._url
                    return response, generation
                _release(response)
                location = response.headers.get("Location")
                if not location:
                    message = f"the server redirects ({response.status}) without saying where"
                    raise _TryAgainError(message)
                target = urljoin(target, location)
        message = f"{self.name} is redirected in a circle, or more than {_MOST_REDIRECTS} times; check the address."
        raise InputError(message)

    def _first_address(self, generation: int) -> str:
        url = self._url if isinstance(self._url, str) else self._url(generation > 0)
        if urlsplit(url).scheme not in ("http", "https"):
            message = f"{self.name} is not at an address that can be read in parts; give an http(s) address."
            raise UsageError(message)
        self._trusted = self._trusted or _host(url)
        return url

    def _renew(self, generation: int) -> bool:
        """Whether the request is worth repeating, at an address that is resolved anew."""
        with self._lock:
            if generation != self._generation:
                return True  # another thread has renewed it
            if not self._is_redirected or (generation > 0 and self._served < generation):
                return False  # a new address that has never worked is not an expired one
            self._generation += 1
            self._target = ""
            self._n_retries += 1
            return True

    # one request

    def _request(self, target: str, start: int, stop: int) -> urllib3.BaseHTTPResponse:
        import urllib3

        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity", "User-Agent": "nwb-celltype"}
        if _host(target) == self._trusted:
            headers |= self._headers
        with self._lock:
            self._n_requests += 1
        try:
            return connections_to(target).request(
                "GET",
                target,
                headers=headers,
                timeout=urllib3.Timeout(connect=self._policy.connect_timeout_s, read=self._policy.read_timeout_s),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except urllib3.exceptions.LocationParseError as error:
            message = f"{self.name} is not at a valid address; check it."
            raise UsageError(message) from error
        except urllib3.exceptions.SSLError as error:
            message = f"The certificate of the server of {self.name} was not accepted; check the address and the clock."
            raise NetworkError(message) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _TryAgainError(_cause(error)) from None  # urllib3's own texts hold the whole address

    def _accept(self, response: urllib3.BaseHTTPResponse, start: int, stop: int) -> int:
        """How many bytes of the body are wanted, once status, range and identity have been found right."""
        status = response.status
        if status in _TRANSIENT:
            message = f"the server answered {status}"
            raise _TryAgainError(message, _retry_after_s(response.headers.get("Retry-After")))
        if status not in _SERVES:
            raise self._refusal(status)
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            message = (
                f"The server of {self.name} compresses it ({encoding}), so parts cannot be read; download it first."
            )
            raise InputError(message)
        content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        first, last, total = content_range.groups() if content_range else (None, None, None)
        if status == 200:
            total = response.headers.get("Content-Length")
            if start != 0 or total is None or int(total) > stop:
                message = (
                    f"The server of {self.name} does not give parts of files (it ignores ranges), so it cannot be "
                    "streamed; download it first and name the local file."
                )
                raise InputError(message)
            first, last = "0", str(int(total) - 1)
        if total is None or not total.isdecimal():
            message = f"The server of {self.name} does not say how long the file is, so it cannot be read in parts."
            raise InputError(message)
        self._identify(response, int(total))
        if status == 416:
            if start < int(total):
                message = "the server refuses a range inside the file"
                raise _TryAgainError(message)
            return 0
        if first is None or last is None or int(first) != start or not int(first) - 1 <= int(last) < int(total):
            message = "the server sent other bytes than those asked for"
            raise _TryAgainError(message)
        return min(int(last) + 1, stop) - start

    def _identify(self, response: urllib3.BaseHTTPResponse, size: int) -> None:
        """Keep what identifies the content, or compare it with what was kept."""
        etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
        with self._lock:
            same = self._size in (None, size)
            if self._etag is not None and etag is not None:
                same = same and self._etag == etag
            elif self._modified is not None and modified is not None:
                same = same and self._modified == modified
            if not same:
                message = f"{self.name} was replaced while it was read; nothing read so far can be used. Start again."
                raise InputError(message)
            self._size = size
            self._etag = self._etag or etag
            self._modified = self._modified or modified

    def _refusal(self, status: int) -> Exception:
        if status == 404 or status == 410:
            happened = "is gone: it was deleted or replaced" if self._served >= 0 else "does not exist"
            return InputError(f"{self.name} {happened} (the server answered {status}); check the address.")
        if status in (401, 403):
            return RefusedError(
                f"{self.name} may not be read (the server answered {status}): it is not public, or its signed address "
                "has expired. Get a new address, or a token that may read it."
            )
        return NetworkError(f"{self.name} could not be read: the server answered {status}. Check the address.")

    def _receive(self, response: urllib3.BaseHTTPResponse, length: int, got: bytearray) -> None:
        """Append up to `length` bytes of the body; what came before a failure stays."""
        import urllib3

        wanted = len(got) + length
        deadline, mark = time.monotonic() + self._policy.read_timeout_s, len(got) + _PROGRESS
        while len(got) < wanted:
            self._require_open()
            try:
                piece = response.read1(min(_PIECE, wanted - len(got)))
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise _TryAgainError(_cause(error)) from None
            if not piece:
                message = "the connection ended before all bytes had come"
                raise _TryAgainError(message)
            got += piece
            with self._lock:
                self._n_bytes += len(piece)
            if len(got) >= mark:
                deadline, mark = time.monotonic() + self._policy.read_timeout_s, len(got) + _PROGRESS
            elif time.monotonic() > deadline and len(got) < wanted:
                message = "the server sends too slowly"
                raise _TryAgainError(message)


class _TryAgainError(Exception):
    """A failure that may pass."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def _host(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port


def _release(response: urllib3.BaseHTTPResponse) -> None:
    """Give the connection back for the next request, or close it when bytes that nobody wants are still to come."""
    import urllib3

    if response.closed:
        return
    left = response.length_remaining
    try:
        if left is not None and left <= _PROGRESS:  # the text of an error: cheaper to read than a new connection
            response.read()  # also when nothing is left: only then does the connection know that it is free
            response.release_conn()
            return
    except (urllib3.exceptions.HTTPError, OSError):
        pass
    response.close()


def _cause(error: BaseException) -> str:
    """What happened, without the address: urllib3 puts it, signature included, into its texts."""
    import urllib3

    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "the name of the server cannot be resolved"
    if isinstance(error, urllib3.exceptions.NewConnectionError | ConnectionRefusedError):
        return "the server cannot be reached"
    if isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError):
        return "the server did not answer in time"
    return "the connection broke"


def _retry_after_s(text: str | None) -> float | None:
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
