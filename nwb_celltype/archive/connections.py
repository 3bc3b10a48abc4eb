"""Connections to servers, kept open from one request, and one file, to the next."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    import urllib3

MAX_CONNECTIONS: Final = 8
"""How many requests are in flight at once for one file."""


def connections_to(url: str) -> urllib3.PoolManager:
    """Connections to the host of `url`, through its proxy if it has one; they stay open and are shared by all files."""
    return _pool(_proxy(*urlsplit(url)[:2]), _certificates(), os.getpid())


def _proxy(scheme: str, host: str) -> str:
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    if not proxies or proxy_bypass(host):
        return ""
    return proxies.get(scheme) or proxies.get("all") or ""


def _certificates() -> str:
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        if path := os.environ.get(variable):
            return path
    try:
        import certifi
    except ImportError:
        return ""
    return certifi.where()


@functools.lru_cache(maxsize=8)
def _pool(proxy: str, certificates: str, process: int) -> urllib3.PoolManager:  # noqa: ARG001
    # by process: a fork must not share its parent's connections
    import urllib3

    ca_certs = certificates or None
    if proxy:
        return urllib3.ProxyManager(proxy, num_pools=32, maxsize=4 * MAX_CONNECTIONS, ca_certs=ca_certs)
    return urllib3.PoolManager(num_pools=32, maxsize=4 * MAX_CONNECTIONS, ca_certs=ca_certs)


def without_query(text: str) -> str:
    """An address without what may be secret: the query string, the fragment and a user's password.

    Examples
    --------
    >>> without_query("https://user:word@host/file.nwb?X-Amz-Signature=abc")
    'https://host/file.nwb'
    >>> without_query("DANDI:000007/sub-1/a.nwb")
    'DANDI:000007/sub-1/a.nwb'
    >>> without_query("https://dandiarchive.org/dandiset/000007/draft/files?location=sub-1/a.nwb")
    'https://dandiarchive.org/dandiset/000007/draft/files?location=sub-1/a.nwb'
    """
    if "://" not in text:
        return text
    parts = urlsplit(text)
    # where a file lies in a dandiset is no secret, and without it the address names no file
    is_place = "/dandiset/" in parts.path and parts.query.startswith("location=") and "&" not in parts.query
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query if is_place else "", ""))
