"""Errors of servers and of the archive's client, told as ours and without secrets."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nwb_celltype.archive.addresses import without_secrets
from nwb_celltype.errors import CellTypeError, InputError, NetworkError, RefusedError, UsageError

if TYPE_CHECKING:
    import requests

# What the layers of an HTTP library say around the reason.
_CAUSE = re.compile(r"""\(Caused by \w+\((?:["']\w+\(.*?\): )?(?P<reason>.*?)["']?\)\)$""")


@contextmanager
def archive_errors(what: str, *, token_variable: str = "") -> Iterator[None]:
    """Turn the errors of the archive's client, and of HTTP, into sentences of ours without secrets.

    Parameters
    ----------
    what : str
        What is being done, to follow "While": ``"listing DANDI:000409"``.
    token_variable : str, optional
        Where a user of this archive puts a token, for the messages.

    Raises
    ------
    UsageError
        If the client is too old for the server.
    InputError
        If there is no such thing on the server (404), or the server calls the request wrong (other 4xx).
    RefusedError
        If the server refuses the token or asks for one (401, 403).
    NetworkError
        If the server fails (5xx, 429), answers nonsense, or the connection does.

    Examples
    --------
    >>> import requests
    >>> with archive_errors("listing DANDI:000409"):
    ...     raise requests.ConnectionError("no route to host")
    Traceback (most recent call last):
    ...
    nwb_celltype.errors.NetworkError: While listing DANDI:000409: the server cannot be reached (no route to host). \
Check the network and try again.
    """
    import requests

    _keep_logs_clean()
    try:
        yield
    except CellTypeError:
        raise
    except requests.RequestException as error:
        raise _translated(error, what, token_variable) from None  # the original may quote a presigned URL
    except Exception as error:
        ours = client_error(error, what)
        if ours is None:
            raise
        raise ours from None


def _translated(error: requests.RequestException, what: str, token_variable: str) -> CellTypeError:
    import requests

    response = error.response
    if response is None:
        if isinstance(error, requests.exceptions.JSONDecodeError):
            return NetworkError(f"While {what}: the server's answer is not what an archive says. Check its address.")
        return NetworkError(
            f"While {what}: the server cannot be reached ({said_by(error)}). Check the network and try again."
        )
    status, said = response.status_code, _said(response)
    variable = token_variable or "the archive's token variable"
    if status in (401, 403):
        if "Authorization" in (response.request.headers if response.request is not None else {}):
            return RefusedError(
                f"While {what}: the server refuses the token ({status}{said}). It may have been revoked, or this "
                f"needs an owner of the dandiset; put a fresh token into {variable}."
            )
        return RefusedError(
            f"While {what}: the server wants a token ({status}{said}). What is under embargo is for its owners only; "
            f"put your token into {variable}."
        )
    if status == 404:
        return InputError(f"While {what}: the server has no such thing (404). Check id, version and path.")
    if status >= 500 or status == 429:
        return NetworkError(f"While {what}: the server failed again and again ({status}{said}). Try again later.")
    return InputError(f"While {what}: the server does not accept this ({status}{said}).")


def client_error(error: Exception, what: str) -> CellTypeError | None:
    """Our own error for one that the archive's client raises; `None` for any other.

    Parameters
    ----------
    error : Exception
    what : str
        As for `archive_errors`.

    Returns
    -------
    CellTypeError or None
    """
    from dandi import exceptions

    text = said_by(error)
    if isinstance(error, exceptions.CliVersionError | exceptions.SchemaVersionError):
        return UsageError(
            f"While {what}: the archive's client does not fit the server ({text}). Run pip install -U dandi."
        )
    if isinstance(error, exceptions.NotFoundError):
        return InputError(f"While {what}: {text} Check id, version and path.")
    if isinstance(error, exceptions.FailedToConnectError):
        return NetworkError(f"While {what}: {text}")
    return None


def said_by(error: Exception) -> str:
    """What an error says, in one line of at most 300 characters, without secrets.

    Parameters
    ----------
    error : Exception

    Returns
    -------
    str

    Examples
    --------
    >>> said_by(OSError("GET https://s3/blob?X-Amz-Signature=abc: timed out"))
    'GET https://s3/blob?... timed out'
    """
    text = " ".join(without_secrets(str(error)).split())
    match = _CAUSE.search(text)
    return _shortened(match["reason"] if match else text) or type(error).__name__


def _said(response: requests.Response) -> str:
    """What a server said of an error, shortened, to stand behind its number; empty for a page of HTML."""
    try:
        body = response.json()
    except ValueError:
        return ""
    text = body.get("detail", body) if isinstance(body, dict) else body
    return f": {_shortened(without_secrets(str(text))).rstrip('.')}" if text else ""


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:297] + "..."


class _WithoutSecrets(logging.Filter):
    """Takes signatures and tokens out of what others log, and tracebacks that would quote them."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if (clean := without_secrets(message)) != message:
            record.msg, record.args = clean, ()
        record.exc_info = record.exc_text = None
        return True


_FILTER = _WithoutSecrets()


def _keep_logs_clean() -> None:
    """Errors are ours to tell: the client's own lines go only to those who set up logging, and without secrets."""
    for name in ("dandi", "urllib3.connectionpool"):
        logger = logging.getLogger(name)
        logger.addFilter(_FILTER)  # adding it again does nothing
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
