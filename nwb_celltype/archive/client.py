"""The archive's own client, made to read no more of an answer than any archive says; imported where it is used.

A server may send without end, pack gigabytes into kilobytes, or give lists whose pages lead in a circle.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import requests
from dandi import __version__ as client_version
from dandi.consts import DandiInstance, known_instances, known_instances_rev
from dandi.dandiapi import DandiAPIClient
from dandi.exceptions import BadCliVersionError, CliVersionTooOldError
from dandi.utils import ServerInfo
from packaging.version import Version
from requests.adapters import HTTPAdapter

from nwb_celltype.errors import NetworkError

MOST_BYTES: Final = 128 * 1024**2
"""Of one answer, unpacked. A page of a thousand assets with their metadata has about ten million."""

MOST_PAGES: Final = 10_000
"""Of one list; the largest dandisets have some hundreds."""

MOST_LIST_BYTES: Final = 2 * 1024**3
"""Of all pages of one list, unpacked."""

LONGEST_S: Final = 600.0
"""That one answer may take to come, seconds."""

_TIMEOUT: Final = (
    30.0,
    120.0,
)  # to connect, and between two pieces of an answer; the client itself would wait for ever
_PIECE: Final = 16 * 1024  # of what is packed: a piece unpacks to some MB at most
_PACKINGS: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
_AT_ONCE: Final = 5


class BoundedAdapter(HTTPAdapter):
    """Reads answers up to a number of bytes and seconds; redirects and errors too."""

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send a request and read its answer, unless it is to be streamed and is no error."""
        response = super().send(
            request, stream=True, timeout=timeout or _TIMEOUT, verify=verify, cert=cert, proxies=proxies
        )
        if stream and response.status_code < 400:
            return response
        try:
            response._content = _content(response)
        except BaseException:
            response.close()
            raise
        response._content_consumed = True
        return response


class BoundedClient(DandiAPIClient):  # type: ignore[misc]
    """The archive's client with bounded answers, and lists that end and stay with their server.

    Parameters
    ----------
    instance : dandi.consts.DandiInstance
    """

    def __init__(self, instance: DandiInstance) -> None:
        super().__init__(dandi_instance=instance)
        bound(self.session)

    def paginate(
        self, path: str, page_size: int | None = None, params: dict[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Rows of a list, page after page.

        Parameters
        ----------
        path : str
            Below the address of the API.
        page_size : int, optional
            Rows of a page; the server's own number by default.
        params : dict, optional
            Of the query.

        Yields
        ------
        dict

        Raises
        ------
        NetworkError
            If the list has no end, is too long, or is no list.
        """
        query = dict(params or {}) | ({} if page_size is None else {"page_size": page_size})
        where = f"{_host(self.api_url)}, the list at {path}"
        left = MOST_LIST_BYTES

        def page(wanted: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str, Any]:
            nonlocal left
            reply = self.get(path, params=dict(wanted), headers={"accept": "application/json"}, json_resp=False)
            left -= len(reply.content)
            if left < 0:
                message = f"{where}: it has more than {MOST_LIST_BYTES >> 30} GiB, which no archive's list has."
                raise NetworkError(message)
            return _page_of(reply, where)

        rows, following, count = page(query)
        yield from rows
        seen: set[str] = set()
        if _is_second(following) and rows and isinstance(count, int):
            n_pages = -(-count // (page_size or len(rows)))
            _require_few(n_pages, where)
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                for first in range(2, n_pages + 1, _AT_ONCE):  # not all at once: what nobody asks for is not fetched
                    wanted = [query | {"page": k} for k in range(first, min(first + _AT_ONCE, n_pages + 1))]
                    for rows, _, _ in pool.map(page, wanted):
                        yield from rows
            return
        while following:
            if following in seen:
                message = f"{where}: its pages lead in a circle. Tell whoever keeps the archive."
                raise NetworkError(message)
            seen.add(following)
            _require_few(len(seen) + 1, where)
            # The query alone: the next page of a list is on the server of the first, which alone may see the token.
            rows, following, _ = page(dict(parse_qsl(following, keep_blank_values=True)))
            yield from rows


def bound(session: requests.Session) -> requests.Session:
    """Let a session read no more than `MOST_BYTES` of an answer, and return it."""
    session.mount("http://", BoundedAdapter())
    session.mount("https://", BoundedAdapter())
    session.headers["Accept-Encoding"] = "gzip, deflate"
    return session


@functools.lru_cache(maxsize=64)
def server_instance(url: str) -> DandiInstance:
    """What a server says of itself, asked once a process: name, and addresses of its API and its pages.

    As the client's own `get_instance`, which reads the answer whole.

    Parameters
    ----------
    url : str
        Without a slash at the end: that of a known API, or any of an archive.

    Returns
    -------
    dandi.consts.DandiInstance
        For a known archive that does not say it, what is known.

    Raises
    ------
    RuntimeError, ValueError
        If it says nothing that could be understood.
    dandi.exceptions.CliVersionError
        If it does not take this version of the client.
    """
    known = known_instances_rev.get(url)
    with bound(requests.Session()) as session:
        try:
            if known is not None and known_instances[known].api.rstrip("/") == url:
                reply = session.get(f"{url}/info/")
            else:
                parts = urlsplit(url)
                root = f"{parts.scheme}://{parts.netloc}"
                reply = session.get(f"{root}/server-info")
                if reply.status_code == 404:
                    reply = session.get(f"{root}/api/info/")
            reply.raise_for_status()
            said = ServerInfo.model_validate(reply.json())
            oldest = Version(said.cli_minimal_version)
            bad = [Version(one) for one in said.cli_bad_versions]
        except (requests.RequestException, ValueError, RecursionError) as error:
            if known is not None:
                return known_instances[known]
            message = f"it does not say what an archive says of itself ({type(error).__name__})"
            raise RuntimeError(message) from error
    ours = Version(client_version)
    if ours < oldest:
        raise CliVersionTooOldError(ours, oldest, bad)
    if ours in bad:
        raise BadCliVersionError(ours, oldest, bad)
    api, pages = said.services.api.url, said.services.webui
    return DandiInstance(known or _host(api), pages.url if pages is not None else None, api)


def _content(response: requests.Response) -> bytes:
    host = _host(response.url or "")
    packing = response.headers.get("Content-Encoding", "").strip().lower()
    if packing not in _PACKINGS:
        message = f"{host} packs its answer in a way that it was not asked for ({packing[:40]}); it is not unpacked."
        raise NetworkError(message)
    end = time.monotonic() + LONGEST_S
    content = bytearray()
    for piece in response.iter_content(_PIECE):
        content += piece
        if len(content) > MOST_BYTES:
            message = (
                f"{host} answers with more than {MOST_BYTES >> 20} MiB, which no archive does; the rest was not read. "
                "Check its address."
            )
            raise NetworkError(message)
        if time.monotonic() > end:
            message = f"{host} took more than {LONGEST_S:.0f} s for one answer. Try again later."
            raise NetworkError(message)
    return bytes(content)


def _page_of(reply: requests.Response, where: str) -> tuple[list[dict[str, Any]], str, Any]:
    """Rows, the query of the next page ("" where there is none), and how many rows there are in all."""
    said = reply.json()
    rows = said.get("results") if isinstance(said, dict) else None
    following = said.get("next") if isinstance(said, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        message = f"{where}: what came is no page of a list. Check the address of the archive."
        raise NetworkError(message)
    if following is not None and (not isinstance(following, str) or not urlsplit(following).query):
        message = f"{where}: it does not say where its next page is. Tell whoever keeps the archive."
        raise NetworkError(message)
    count = said.get("count")
    return rows, urlsplit(following).query if following else "", count if type(count) is int else None


def _is_second(following: str) -> bool:
    """Whether pages are told apart by number, so that several can be fetched at once."""
    return dict(parse_qsl(following)).get("page") == "2"


def _require_few(n_pages: int, where: str) -> None:
    if n_pages > MOST_PAGES:
        message = f"{where}: it has more than {MOST_PAGES} pages, which no archive's list has."
        raise NetworkError(message)


def _host(url: str) -> str:
    """Name and port of a server, or all of an address that has none."""
    return urlsplit(url).netloc.rpartition("@")[2] or url
