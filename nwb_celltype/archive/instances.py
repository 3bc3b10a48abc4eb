"""Archives: their addresses, a user's token for one, and a client that never asks a person anything."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from nwb_celltype.archive.addresses import instance_key
from nwb_celltype.archive.server_errors import archive_errors as archive_errors  # part of what this module offers
from nwb_celltype.archive.server_errors import client_error, said_by
from nwb_celltype.errors import NetworkError, RefusedError, UsageError

if TYPE_CHECKING:
    from dandi.dandiapi import DandiAPIClient

T = TypeVar("T")

_REACH_SECONDS = (10.0, 30.0)  # to connect, to answer
_REACH_TRIES = 4
_KEYRING_SECONDS = 5.0
_reached: set[str] = set()


@dataclass(frozen=True)
class Instance:
    """An archive.

    Parameters
    ----------
    name : str
        ``dandi``, ``dandi-sandbox``, ...; host and port for one without a name.
    api_url, web_url : str
        Without a slash at the end; `web_url` is empty where an archive has no web site.
    token_variable : str
        Environment variable that holds a user's token for this archive, as the archive's own client names it.

    Examples
    --------
    >>> find_instance("dandi-sandbox").token_variable
    'DANDI_SANDBOX_API_KEY'
    """

    name: str
    api_url: str
    web_url: str
    token_variable: str

    @property
    def key(self) -> str:
        """What addresses call it: the name of a known archive, else its URL."""
        return instance_key(self.api_url)


def find_instance(name_or_url: str | None = None) -> Instance:
    """Find an archive by name, without a request, or by URL, of which the server is asked once a process.

    Parameters
    ----------
    name_or_url : str, optional
        By default ``$DANDI_INSTANCE``, else ``dandi``.

    Returns
    -------
    Instance

    Raises
    ------
    UsageError
        If no archive has this name, or the client is too old for the server.
    NetworkError
        If the server of a URL cannot be reached or is no archive.

    Examples
    --------
    >>> find_instance("dandi").api_url
    'https://api.dandiarchive.org/api'
    """
    from dandi.consts import known_instances

    key = instance_key(name_or_url or os.environ.get("DANDI_INSTANCE") or "dandi")
    found = known_instances[key] if key in known_instances else _ask(key, key)
    return Instance(
        found.name,
        found.api.rstrip("/"),
        (found.gui or "").rstrip("/"),
        f"{found.name.upper().replace('-', '_')}_API_KEY",
    )


def token_of(instance: Instance) -> str | None:
    """A user's token for an archive, from its variable, else from the keyring of this machine; nobody is asked.

    Parameters
    ----------
    instance : Instance

    Returns
    -------
    str or None
        `None` where there is none, or the keyring would ask for a password or does not answer within 5 s.

    Examples
    --------
    >>> token_of(find_instance("linc-staging")) is None
    True
    """
    return os.environ.get(instance.token_variable, "").strip() or _from_keyring(f"dandi-api-{instance.name}")


def require_token(instance: Instance) -> str:
    """As `token_of`, where nothing can be done without one.

    Parameters
    ----------
    instance : Instance

    Returns
    -------
    str

    Raises
    ------
    UsageError
        If there is none; the message names the variable.

    Examples
    --------
    >>> require_token(find_instance("linc-staging"))
    Traceback (most recent call last):
    ...
    nwb_celltype.errors.UsageError: No token for linc-staging. Copy yours from https://staging.lincbrain.org \
(top right, under your initials) into the environment variable LINC_STAGING_API_KEY.
    """
    token = token_of(instance)
    if token:
        return token
    site = f"Copy yours from {instance.web_url} (top right, under your initials) " if instance.web_url else "Put yours "
    msg = f"No token for {instance.name}. {site}into the environment variable {instance.token_variable}."
    if not re.fullmatch(r"\w+", instance.token_variable):
        msg += f" A shell cannot export that name: use env '{instance.token_variable}=...' nwb-celltype ..."
    raise UsageError(msg)


@contextmanager
def open_client(instance: Instance | str | None = None, *, token: str | None = None) -> Iterator[DandiAPIClient]:
    """A client of an archive; errors inside the block become ours, as in `archive_errors`.

    Parameters
    ----------
    instance : Instance or str, optional
        As for `find_instance`.
    token : str, optional
        Checked with the server first. Without one only what is public can be read.

    Yields
    ------
    dandi.dandiapi.DandiAPIClient

    Raises
    ------
    RefusedError
        If the server refuses the token.
    NetworkError
        If the server cannot be reached.

    Examples
    --------
    >>> with open_client("dandi") as client:  # doctest: +SKIP
    ...     client.get_dandiset("000409").version_id
    """
    found = instance if isinstance(instance, Instance) else find_instance(instance)
    with archive_errors(f"talking to {found.name} ({found.api_url})", token_variable=found.token_variable):
        _ask(found.api_url, found.key)
        from dandi.consts import DandiInstance

        from nwb_celltype.archive.client import BoundedClient

        # Given the instance as an object, the client asks nobody where it is, and without a token never for one.
        with BoundedClient(DandiInstance(found.name, found.web_url or None, found.api_url)) as client:
            if token:
                client.authenticate(token)
            yield client


def read_archive(instance: Instance, read: Callable[[DandiAPIClient], T], *, what: str, token: str | None = None) -> T:
    """Read something as nobody in particular, and only if that is refused with the user's own token.

    So what is public stays readable with an expired token, and costs no request to check one.

    Parameters
    ----------
    instance : Instance
    read : callable
        Takes the client; called again if the first call was refused.
    what : str
        As for `archive_errors`.
    token : str, optional
        Used from the start.

    Returns
    -------
    object
        What `read` returns.

    Raises
    ------
    InputError, RefusedError, NetworkError
        As `archive_errors`.

    Examples
    --------
    >>> read_archive(find_instance("dandi"), lambda c: c.get("/info/"), what="asking")  # doctest: +SKIP
    """
    try:
        with open_client(instance, token=token) as client, archive_errors(what, token_variable=instance.token_variable):
            return _understood(read, client, what)
    except RefusedError:
        own = None if token else token_of(instance)
        if not own:
            raise
    with open_client(instance, token=own) as client, archive_errors(what, token_variable=instance.token_variable):
        return _understood(read, client, what)


def _understood(read: Callable[[DandiAPIClient], T], client: DandiAPIClient, what: str) -> T:
    """What `read` returns; an answer without the parts that it looks for is the server's fault."""
    import requests

    try:
        return read(client)
    except requests.RequestException:  # some of which are also a `ValueError`
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        msg = (
            f"While {what}: the server's answer is not what an archive says ({type(error).__name__}: "
            f"{said_by(error)}). Check its address."
        )
        raise NetworkError(msg) from error


def _ask(url: str, name: str) -> Any:
    """Ask a server what archive it is, soon enough; the answer, and that it was reached, last for the process."""
    from nwb_celltype.archive.client import server_instance

    with archive_errors(f"asking {name} what archive it is"):
        _reach(_api(url))
        try:
            return server_instance(url.rstrip("/"))
        except (RuntimeError, ValueError) as error:
            if ours := client_error(error, f"asking {name} what archive it is"):
                raise ours from None
            msg = f"{name} is no archive, or not well: {said_by(error)}."
            raise NetworkError(msg) from None


def _reach(api_url: str) -> None:
    """Wait for a server's first answer: the client's own tries know no limit, and last a minute if none listens."""
    import requests

    from nwb_celltype.archive.client import bound

    for k in range(_REACH_TRIES):
        if api_url in _reached:
            return
        try:
            with bound(requests.Session()) as session:
                response = session.get(f"{api_url}/info/", timeout=_REACH_SECONDS)
                if response.status_code < 500:
                    _reached.add(api_url)
                elif k == _REACH_TRIES - 1:
                    response.raise_for_status()
        except (requests.ConnectionError, requests.Timeout):
            if k >= 1:
                raise
        if api_url not in _reached:
            time.sleep(0.25 * 2**k)


def _api(url: str) -> str:
    return url if url.endswith("/api") else f"{url}/api"


def _from_keyring(service: str) -> str | None:
    """Ask the keyring in a thread: one that waits for a desktop's daemon must not hold us."""
    found: list[str | None] = []

    def ask() -> None:
        # A keyring that is broken or missing is as good as an empty one.
        try:
            from keyring.core import get_keyring, load_config, load_env

            backend = load_env() or load_config() or get_keyring()
            # Those that encrypt a file themselves have a key, and ask for its password.
            if not hasattr(type(backend), "keyring_key"):
                found.append(backend.get_password(service, "key"))
        except Exception as error:
            logging.getLogger(__name__).info("The keyring does not answer: %s", type(error).__name__)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_KEYRING_SECONDS)
    return (found[0] or None) if found else None
