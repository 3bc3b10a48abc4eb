"""Requests and replies between the HTTP server and the two sides of the archive."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .records import Content, User


@dataclass
class Request:
    """One request, read completely."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    user: User | None = None

    def json(self) -> Any:
        """The body, decoded."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise Refusal(400, {"detail": f"JSON parse error - {error}"}) from error

    def flag(self, name: str, *, default: bool) -> bool:
        """A yes-or-no parameter of the query."""
        value = self.query.get(name, "").lower()
        return value in ("true", "1", "yes") if value else default


@dataclass
class Reply:
    """One reply. ``start`` and ``stop`` choose the bytes of ``content`` that are sent."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content: Content | None = None
    start: int = 0
    stop: int = 0

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return self.stop - self.start if self.content is not None else len(self.body)

    def chunks(self, size: int = 1024**2) -> Iterable[bytes]:
        """The body in pieces."""
        if self.content is None:
            yield self.body
            return
        for position in range(self.start, self.stop, size):
            yield self.content.read(position, min(position + size, self.stop))


class Refusal(Exception):
    """A reply that ends the handling of a request."""

    def __init__(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {document}")
        self.reply = json_reply(document, status, headers)


def json_reply(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """A reply with a JSON document."""
    body = json.dumps(document).encode()
    return Reply(status, body, {"Content-Type": "application/json", **(headers or {})})


def empty_reply(status: int, headers: dict[str, str] | None = None) -> Reply:
    """A reply without a body."""
    return Reply(status, headers=dict(headers or {}))
