"""A small file server on loopback, with the latency, bandwidth and faults of real ones.

From tests and benchmarks::

    with RangeServer(folder, latency_s=0.04, bytes_per_s=25e6) as server:
        url = server.url("session.nwb")

In a process of its own, as a client that is timed should have it, ``spawn_server`` does the same.
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

_QUIET_S = 0.05
_PIECE = 64 * 1024


@dataclass(frozen=True)
class Request:
    """One line of the log; `start` and `stop` are None when no range was asked for."""

    method: str
    path: str
    query: str
    start: int | None
    stop: int | None
    status: int
    n_bytes: int
    headers: dict[str, str] = field(repr=False, default_factory=dict)


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose path ends with `path`, and whose method is `method`."""

    times: int = 1
    status: int = 0
    retry_after: str = ""
    cut_after: int | None = None  # close the connection after so many bytes of the body
    short_by: int = 0  # an honest Content-Length of a body that is shorter than its Content-Range
    hang_s: float = 0.0  # before anything is sent
    drip_s: float = 0.0  # between single bytes
    etag: str = ""
    content_range: str = ""
    body: bytes = b""
    path: str = ""
    method: str = "GET"
    skip: int = 0  # let so many requests pass first


class RangeServer:
    """Serves the files below `folder` over HTTP/1.1.

    ``/name`` gives the file, with ranges; ``/moved/name`` redirects to a new signed address of it, which stops working
    after `signature_uses` requests or after `expire()`; `serves_ranges=False` ignores ranges, as some servers do.
    """

    def __init__(
        self,
        folder: Path,
        *,
        latency_s: float = 0.0,
        bytes_per_s: float = 0.0,
        serves_ranges: bool = True,
        signature_uses: int | None = None,
        sends_etag: bool = True,
    ) -> None:
        self.folder = Path(folder)
        self.latency_s, self.bytes_per_s = latency_s, bytes_per_s
        self.serves_ranges, self.sends_etag = serves_ranges, sends_etag
        self.signature_uses = signature_uses
        self.redirects_to: Callable[[str], str] | None = None  # (signed path) -> address; default this server
        self.faults: list[Fault] = []
        self.log: list[Request] = []
        self.ports: set[int] = set()  # of the clients: one a connection
        self.most_at_once = 0
        self._at_once = 0
        self.signatures: dict[str, int] = {}
        self._etags: dict[tuple[str, int, int], str] = {}
        self.awaited_at_once = 0  # nobody is answered before so many ask at the same time
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        handler = type("Handler", (_Handler,), {"files": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def url(self, name: str) -> str:
        return f"{self.root}/{name}"

    def __enter__(self) -> RangeServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()

    @property
    def n_requests(self) -> int:
        return len(self.log)

    @property
    def n_bytes(self) -> int:
        return sum(request.n_bytes for request in self.log)

    def forget(self) -> None:
        """Begin a new log, once the ranges that a client has announced are through."""
        deadline, before = time.monotonic() + 5.0, -1
        while (self._at_once or len(self.log) != before) and time.monotonic() < deadline:
            before = len(self.log)
            time.sleep(_QUIET_S)
        with self._lock:
            self.log.clear()
            self.most_at_once = 0

    def sign(self, name: str) -> str:
        """A presigned address, path and query, of a file."""
        with self._lock:
            signature = hashlib.sha256(f"{name} {len(self.signatures)}".encode()).hexdigest()
            self.signatures[signature] = -1 if self.signature_uses is None else self.signature_uses
        return f"/{name}?X-Amz-Signature={signature}"

    def expire(self) -> None:
        """Let every signed address given so far stop working."""
        with self._lock:
            self.signatures = dict.fromkeys(self.signatures, 0)

    # for the handler

    def is_valid(self, signature: str) -> bool:
        with self._lock:
            left = self.signatures.get(signature, 0)
            if left > 0:
                self.signatures[signature] = left - 1
            return left != 0

    def etag(self, path: Path) -> str:
        status = path.stat()
        key = (str(path), status.st_size, status.st_mtime_ns)
        with self._lock:
            if key not in self._etags:
                self._etags[key] = hashlib.md5(repr(key).encode()).hexdigest() + "-1"
            return self._etags[key]

    def fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.times and fault.method == method and path.endswith(fault.path):
                    if fault.skip:
                        fault.skip -= 1
                        return None
                    fault.times -= 1
                    return fault
        return None

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        with self._arrived:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._arrived.notify_all()
            self._arrived.wait_for(lambda: self.most_at_once >= self.awaited_at_once, timeout=20)
        try:
            yield
        finally:
            with self._lock:
                self._at_once -= 1

    def note(self, request: Request) -> None:
        with self._lock:
            self.log.append(request)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *arguments: Any) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(*arguments)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End what clients keep open, so that their threads end."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    files: ClassVar[RangeServer]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers in one packet

    def log_message(self, *_: object) -> None:
        """The log is the server's own."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.files.ports.add(self.client_address[1])
        with self.files.counted():
            self._reply()

    def _reply(self) -> None:
        parts = urlsplit(self.path)
        name = parts.path.lstrip("/")
        self._asked = (parts.path, parts.query, *self._range())
        fault = self.files.fault(self.command, parts.path) or Fault(times=0)
        time.sleep(self.files.latency_s + fault.hang_s)
        if fault.status:
            self._say(fault.status, {"Retry-After": fault.retry_after} if fault.retry_after else {}, fault.body)
            return
        if name.startswith("moved/"):
            signed = self.files.sign(name.removeprefix("moved/"))
            redirects_to = self.files.redirects_to
            self._say(302, {"Location": redirects_to(signed) if redirects_to else signed})
            return
        signature = parse_qs(parts.query).get("X-Amz-Signature")
        if signature and not self.files.is_valid(signature[0]):
            self._say(403, {}, b"<Code>AccessDenied</Code><Message>Request has expired</Message>")
            return
        path = self.files.folder / name
        if not path.is_file() or ".." in name:
            self._say(404, {}, b"no such file")
            return
        self._send_file(path, fault)

    def _range(self) -> tuple[int | None, int | None]:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match is None or not self.files.serves_ranges:
            return None, None
        return int(match[1]), int(match[2]) + 1 if match[2] else None

    def _send_file(self, path: Path, fault: Fault) -> None:
        size = path.stat().st_size
        headers = {"Last-Modified": email.utils.formatdate(int(path.stat().st_mtime), usegmt=True)}
        if self.files.sends_etag:
            headers["ETag"] = f'"{fault.etag or self.files.etag(path)}"'
        start, stop = self._asked[2:]
        if start is None:
            status, start, stop = 200, 0, size
        elif start >= size:
            self._say(416, headers | {"Content-Range": f"bytes */{size}"})
            return
        else:
            status, stop = 206, min(stop or size, size)
            headers["Content-Range"] = fault.content_range or f"bytes {start}-{stop - 1}/{size}"
        headers["Accept-Ranges"] = "bytes" if self.files.serves_ranges else "none"
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(stop - start - fault.short_by))
        self.end_headers()
        n_sent = 0
        try:
            if self.command != "HEAD":
                for piece in self._pieces(path, start, stop - fault.short_by, fault):
                    n_sent += len(piece)  # before it is sent: a client may look at the log when it has all
                    if n_sent == stop - start - fault.short_by:
                        self._note(status, n_sent)
                    self.wfile.write(piece)
                    self.wfile.flush()
        except OSError:
            self.close_connection = True
        finally:
            if n_sent != stop - start - fault.short_by or self.command == "HEAD":
                self._note(status, n_sent)

    def _pieces(self, path: Path, start: int, stop: int, fault: Fault) -> Iterator[bytes]:
        began, n_sent = time.monotonic(), 0
        if fault.cut_after is not None:
            stop = min(stop, start + fault.cut_after)
            self.close_connection = True
        with path.open("rb") as file:
            file.seek(start)
            while start < stop:
                piece = file.read(min(1 if fault.drip_s else _PIECE, stop - start))
                start += len(piece)
                n_sent += len(piece)
                time.sleep(fault.drip_s)
                if self.files.bytes_per_s:
                    time.sleep(max(0.0, began + n_sent / self.files.bytes_per_s - time.monotonic()))
                yield piece

    def _say(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self._note(status, 0)
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _note(self, status: int, n_bytes: int) -> None:
        path, query, start, stop = self._asked
        self.files.note(Request(self.command, path, query, start, stop, status, n_bytes, dict(self.headers)))


class SpawnedServer:
    """A `RangeServer` in another process: what a client that is timed should talk to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.root: str = self._answer()

    def url(self, name: str) -> str:
        return f"{self.root}/{name}"

    def take_log(self) -> tuple[int, int]:
        """Requests and bytes since the last time."""
        self._ask("log")
        n_requests, n_bytes = self._answer()
        return n_requests, n_bytes

    def _ask(self, what: str) -> None:
        assert self._process.stdin is not None
        print(what, file=self._process.stdin, flush=True)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextlib.contextmanager
def spawn_server(folder: Path, **options: Any) -> Iterator[SpawnedServer]:
    """A `RangeServer` in a process of its own; `options` are its arguments."""
    command = [sys.executable, __file__, str(folder), json.dumps(options)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield SpawnedServer(process)
        process.communicate()  # the end of its input ends it


def _serve(folder: str, options: str) -> None:
    with RangeServer(Path(folder), **json.loads(options)) as server:
        print(json.dumps(server.root), flush=True)
        for _ in sys.stdin:
            print(json.dumps([server.n_requests, server.n_bytes]), flush=True)
            server.forget()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
