"""Things that go wrong on purpose: each fault is a rule that says which requests it hits and how often."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["status", "cut", "wrong_etag", "corrupt", "latency", "slow", "no_ranges"]


@dataclass
class Fault:
    """One rule: which requests it hits, how often, and what then happens.

    Attributes
    ----------
    kind : str
        What happens.
    method : str
        Regular expression for the whole method.
    pattern : str
        Regular expression searched in path and query.
    times : int or None
        How many more requests are hit; None: every one.
    hits : int
        How many requests were hit so far.
    """

    kind: Kind
    method: str
    pattern: str
    times: int | None = 1
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    after_bytes: int = 0
    seconds: float = 0.0
    bytes_per_second: float = 0.0
    skip: int = 0
    hits: int = 0

    def matches(self, method: str, target: str) -> bool:
        """Whether the rule is for this request."""
        return bool(re.fullmatch(self.method, method) and re.search(self.pattern, target))


class Faults:
    """The faults of an archive; the methods add rules and give them back, so that a test can read ``hits``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Fault] = []
        self._pending: list[str] = []
        self._errors: list[tuple[str, dict[str, str]]] = []
        self.signature_uses: int | None = None
        self.signature_lifetime: float | None = None
        self.expired_up_to = 0
        self.issued = 0
        self._revoked: set[str] = set()
        self._revoke_after: dict[str, int] = {}

    def status(
        self,
        status: int,
        pattern: str = "",
        *,
        method: str = ".*",
        times: int | None = 1,
        retry_after: float | None = None,
        skip: int = 0,
    ) -> Fault:
        """Answer with this status instead of doing anything; ``skip`` requests pass before the first is hit."""
        headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
        return self._add(Fault("status", method, pattern, times, status=status, headers=headers, skip=skip))

    def cut(
        self, after_bytes: int, pattern: str = "/s3/", *, method: str = "GET|PUT", times: int | None = 1, skip: int = 0
    ) -> Fault:
        """Close the connection after so many bytes of the body: sent for a GET, received for a PUT or POST."""
        return self._add(Fault("cut", method, pattern, times, after_bytes=after_bytes, skip=skip))

    def wrong_etag(
        self, pattern: str = "/s3/", *, method: str = "GET|HEAD|PUT", times: int | None = 1, skip: int = 0
    ) -> Fault:
        """Reply with an ETag that is not that of the bytes."""
        return self._add(Fault("wrong_etag", method, pattern, times, skip=skip))

    def corrupt(self, pattern: str = "/s3/", *, times: int | None = 1, skip: int = 0) -> Fault:
        """Flip a bit of the first byte of what is downloaded; the ETag still says otherwise."""
        return self._add(Fault("corrupt", "GET", pattern, times, skip=skip))

    def latency(self, seconds: float, pattern: str = "", *, method: str = ".*", times: int | None = None) -> Fault:
        """Wait before each answer."""
        return self._add(Fault("latency", method, pattern, times, seconds=seconds))

    def slow(self, bytes_per_second: float, pattern: str = "/s3/", *, times: int | None = None) -> Fault:
        """Limit the rate of each download."""
        return self._add(Fault("slow", "GET", pattern, times, bytes_per_second=bytes_per_second))

    def no_ranges(self, pattern: str = "/s3/", *, times: int | None = None) -> Fault:
        """Ignore ``Range`` and send the whole object with status 200."""
        return self._add(Fault("no_ranges", "GET|HEAD", pattern, times))

    def expire_signatures(self) -> None:
        """Refuse every presigned URL handed out so far (403, as S3 does)."""
        with self._lock:
            self.expired_up_to = self.issued

    def limit_signatures(self, *, uses: int | None = None, lifetime: float | None = None) -> None:
        """Let each presigned URL expire after so many uses or seconds."""
        self.signature_uses, self.signature_lifetime = uses, lifetime

    def revoke_token(self, token: str, *, after: int = 0) -> None:
        """Refuse the token (401) once ``after`` more requests were made with it."""
        with self._lock:
            self._revoke_after[token] = after

    def stick_validation(self, pattern: str = "") -> None:
        """Leave assets of such paths in validation for ever."""
        self._pending.append(pattern)

    def add_validation_error(self, pattern: str, message: str, *, field: str = "") -> None:
        """Find this error in assets of such paths when they are validated."""
        self._errors.append((pattern, {"field": field, "message": message}))

    def clear(self) -> None:
        """Take back every fault (expired URLs stay expired)."""
        with self._lock:
            self._rules.clear()
            self._pending.clear()
            self._errors.clear()
            self._revoked.clear()
            self._revoke_after.clear()
            self.signature_uses = self.signature_lifetime = None

    # ---- asked by the server

    def take(self, kind: Kind, method: str, target: str) -> Fault | None:
        """First rule of this kind that hits the request, counted as used."""
        with self._lock:
            for rule in self._rules:
                if rule.kind != kind or rule.times == 0 or not rule.matches(method, target):
                    continue
                if rule.skip > 0:
                    rule.skip -= 1
                    continue
                rule.hits += 1
                if rule.times is not None:
                    rule.times -= 1
                return rule
        return None

    def token_is_refused(self, token: str) -> bool:
        """Whether a request with this token is refused; counts the request."""
        with self._lock:
            left = self._revoke_after.get(token)
            if left is not None:
                if left <= 0:
                    self._revoked.add(token)
                self._revoke_after[token] = left - 1
            return token in self._revoked

    def is_stuck(self, path: str) -> bool:
        """Whether the asset of this path is never validated."""
        return any(re.search(pattern, path) for pattern in self._pending)

    def errors_of(self, path: str) -> list[dict[str, str]]:
        """Errors injected for the asset of this path."""
        return [{**error, "path": path} for pattern, error in self._errors if re.search(pattern, path)]

    def _add(self, rule: Fault) -> Fault:
        with self._lock:
            self._rules.append(rule)
        return rule
