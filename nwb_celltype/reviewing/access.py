"""Who may talk to the server: a secret in the address, kept with the port so that an open page finds it again."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from nwb_celltype.archive.disk_cache import default_folder
from nwb_celltype.errors import UsageError

HOST = "127.0.0.1"
_HOSTS = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Access:
    """Port and secret of one server.

    Attributes
    ----------
    port : int
    token : str
    """

    port: int
    token: str

    @property
    def url(self) -> str:
        """Address of the page, with the secret."""
        return f"http://{HOST}:{self.port}/?token={self.token}"

    def is_token(self, text: str) -> bool:
        """Whether a text is the secret; how long this takes says nothing about it."""
        return hmac.compare_digest(text.encode("utf-8", "replace"), self.token.encode())

    def is_host(self, host: str) -> bool:
        """Whether a request's Host is this server's: a page that had its name pointed at this machine has another."""
        return host in {f"{name}:{self.port}" for name in _HOSTS}

    def is_origin(self, origin: str) -> bool:
        """Whether a request comes from the page that this server gave out."""
        return origin in {f"http://{name}:{self.port}" for name in _HOSTS}


def open_door(file: Path, port: int = 0) -> tuple[Access, socket.socket]:
    """Listen on this machine alone.

    After a server that was killed, the next one for the same file takes its port and secret again, so that a page that
    is still open goes on by itself. After one that was ended the secret is new.

    Parameters
    ----------
    file : Path
        What is reviewed.
    port : int
        0 takes the port of last time, or any free one.

    Returns
    -------
    access : Access
    listener : socket

    Raises
    ------
    UsageError
        If the port is taken.
    """
    last = _remembered(file)
    try:
        listener = _listen(port or (last.port if last else 0))
    except OSError as error:
        if port:
            message = f"Port {port} of this machine cannot be used ({error.strerror}); name another with --port."
            raise UsageError(message) from error
        listener = _listen(0)  # somebody else has the port of last time
    token = last.token if last and last.token else secrets.token_urlsafe(32)
    access = Access(int(listener.getsockname()[1]), token)
    _remember(file, access)
    return access, listener


def close_door(file: Path, access: Access) -> None:
    """Forget the secret; the port is kept, because a browser keeps what is not recorded by it."""
    _remember(file, Access(access.port, ""))


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _place(file: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(os.path.realpath(file))).hexdigest()[:24]
    return default_folder() / "reviews" / f"{digest}.access.json"


def _remembered(file: Path) -> Access | None:
    try:
        content = json.loads(_place(file).read_text(encoding="utf-8"))
        return Access(int(content["port"]), str(content["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(file: Path, access: Access) -> None:
    """For the user alone to read. A cache that cannot be written costs the convenience, nothing else."""
    place = _place(file)
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = place.with_suffix(f".{secrets.token_hex(4)}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as handle:
            json.dump({"port": access.port, "token": access.token}, handle)
        os.replace(new, place)
