"""HTTP on one port: reads requests, lets faults happen, sends replies, keeps the log."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from .faults import Fault, Faults
from .messages import Reply, Request, json_reply
from .storage import error_reply, query_of


@dataclass(frozen=True)
class LogEntry:
    """One request and its answer. ``bytes`` were sent as body, ``bytes_received`` came as body; no secrets."""

    side: str
    method: str
    path: str
    query: str
    range: str
    status: int
    bytes: int
    bytes_received: int
    user: str
    started: float
    seconds: float


class Application(Protocol):
    """What answers the requests."""

    log: list[LogEntry]

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""

    def answer(self, side: str, request: Request) -> Reply:
        """Answer one request that no fault hit."""


class Server(ThreadingHTTPServer):
    """One port of the archive."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, application: Application, side: str, port: int) -> None:
        self.application = application
        self.side = side
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        # kept-alive connections would hold their threads
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that left is no error of ours
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def _serve(self) -> None:
        started = time.monotonic()
        url = urlsplit(self.path)
        target = self.path
        length = int(self.headers.get("Content-Length") or 0)
        faults = self.server.application.faults
        if (late := faults.take("latency", self.command, target)) is not None:
            time.sleep(late.seconds)
        cut = faults.take("cut", self.command, target)
        if cut is not None and length:
            self.rfile.read(min(cut.after_bytes, length))
            self._log(url.path, url.query, 0, 0, min(cut.after_bytes, length), started, "")
            self._hang_up()
            return
        body = self.rfile.read(length) if length else b""
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, unquote(url.path), query_of(url.query), headers, body)
        if "transfer-encoding" in headers:  # S3 wants to know the length before
            reply = error_reply(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
            reply.headers["Connection"] = "close"
            self.close_connection = True
        elif (failure := faults.take("status", self.command, target)) is not None:
            reply = self._failure(failure)
        else:
            try:
                reply = self.server.application.answer(self.server.side, request)
            except Exception:  # a fault of the double itself must be seen in the test's output
                traceback.print_exc()
                reply = Reply(500, b'{"detail": "the double failed"}', {"Content-Type": "application/json"})
        user = request.user.username if request.user is not None else ""
        cut_after = cut.after_bytes if cut is not None else reply.length
        planned = 0 if self.command == "HEAD" else min(reply.length, cut_after)
        # told before it is sent, so that whoever has the reply finds it in the log
        entry = self._log(url.path, url.query, reply.status, planned, length, started, user)
        sent = self._send(reply, target, cut_after)
        if sent != planned:
            log = self.server.application.log
            log[log.index(entry)] = dataclasses.replace(entry, bytes=sent)

    def _failure(self, failure: Fault) -> Reply:
        if self.server.side == "s3":
            reply = error_reply(failure.status, "SlowDown", "A failure on purpose.")
        else:
            reply = json_reply({"detail": "A failure on purpose."}, failure.status)
        reply.headers.update(failure.headers)
        return reply

    def _send(self, reply: Reply, target: str, cut_after: int) -> int:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(reply.length))
        self.end_headers()
        if self.command == "HEAD":
            self.wfile.flush()
            return 0
        faults = self.server.application.faults
        download = reply.status in (200, 206) and reply.content is not None
        corrupt = download and faults.take("corrupt", self.command, target) is not None
        slow = faults.take("slow", self.command, target) if download else None
        sent = 0
        for piece in reply.chunks(16 * 1024 if slow else 1024**2):
            data = bytes([piece[0] ^ 1]) + piece[1:] if corrupt and sent == 0 and piece else piece
            data = data[: cut_after - sent]
            if slow is not None:
                time.sleep(len(data) / slow.bytes_per_second)
            try:
                self.wfile.write(data)
                self.wfile.flush()
            except ConnectionError:  # the client has left
                self.close_connection = True
                return sent
            sent += len(data)
            if sent == cut_after < reply.length:
                self._hang_up()
                break
        return sent

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _log(self, path: str, query: str, status: int, sent: int, received: int, started: float, user: str) -> LogEntry:
        plain = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-"))
        entry = LogEntry(
            side=self.server.side,
            method=self.command,
            path=unquote(path),
            query=plain,
            range=self.headers.get("Range", ""),
            status=status,
            bytes=sent,
            bytes_received=received,
            user=user,
            started=started,
            seconds=time.monotonic() - started,
        )
        self.server.application.log.append(entry)
        return entry
