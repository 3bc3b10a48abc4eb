"""Where a recording is: an asset or a dandiset of an archive, or a plain URL."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from nwb_celltype.errors import UsageError

FORMS = (
    "DANDI:ID[@VERSION][/PATH]",
    "dandi://INSTANCE/ID[@VERSION][/PATH]",
    "https://ARCHIVE/dandiset/ID[/VERSION][/files?location=PATH]",
    "https://ARCHIVE/api/dandisets/ID[/versions/VERSION[/assets/ASSET_ID/download/]]",
    "https://ARCHIVE/api/assets/ASSET_ID/download/",
    "http(s)://...",
    "s3://BUCKET/KEY",
)
"""The texts that `parse_address` takes."""

# Named here because a path on disk must be told from an address without importing the client.
_NAMES = ("dandi", "dandi-sandbox", "ember-dandi", "ember-dandi-sandbox", "linc", "linc-staging")
_ID = r"(?P<dandiset>\d{6})"
_PUBLISHED = r"\d+\.\d+\.\d+"
_VERSION = rf"(?P<version>{_PUBLISHED}|draft)"
_ASSET = r"(?P<asset_id>[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})"
# Also what cannot be read, such as ftp://, so that it is explained; one letter is a drive of Windows.
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
# Every `DANDI:` is an address, so that a mistyped one is explained; of the other names only what has an id behind it.
_PREFIXED = re.compile(
    rf"dandi:(?!//)|({'|'.join(_NAMES)}|dandi-api-local-docker-tests):\d{{6}}([@/]|$)", re.IGNORECASE
)
_WEB_PAGES = re.compile(rf"/(?:api/)?(?:#/)?dandiset/{_ID}(?:/{_VERSION})?/?(?P<files>files/?)?")
_API_PAGES = (
    re.compile(rf"/(?:api/)?dandisets/{_ID}(?:/(?:versions/?(?:{_VERSION}/?)?)?)?"),
    re.compile(rf"/(?:api/)?dandisets/{_ID}/versions/{_VERSION}/assets/?"),
    re.compile(rf"/(?:api/)?dandisets/{_ID}/versions/{_VERSION}/assets/{_ASSET}(?:/(?:download|info)?/?)?"),
    re.compile(rf"/(?:api/)?assets/{_ASSET}(?:/(?:download|info)?/?)?"),
)
_DOI = re.compile(rf"/10\.48324/dandi\.{_ID}(?:/(?P<version>{_PUBLISHED}))?/?", re.IGNORECASE)
_IDENTIFIER = re.compile(rf"/dandi:{_ID}(?:/(?P<version>{_PUBLISHED}))?/?", re.IGNORECASE)
_SECRETS = re.compile(r"\?[^\s'\"<>]*(?:signature|credential|token|awsaccesskeyid)=[^\s'\"<>]*", re.IGNORECASE)
_KEYS = re.compile(r"(\btoken['\"]?[ :=]+['\"]?)[0-9A-Za-z_-]{20,}", re.IGNORECASE)


@dataclass(frozen=True)
class UrlAddress:
    """A file behind a plain URL.

    Parameters
    ----------
    url : str
        ``https://...`` or ``http://...``; an ``s3://`` one is turned into what an open bucket answers to.

    Raises
    ------
    UsageError
        If it is none of these, or names no server or, for S3, no key.

    Examples
    --------
    >>> UrlAddress("https://example.org/sub-A.nwb").text
    'https://example.org/sub-A.nwb'
    """

    url: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme.lower() == "s3":
            object.__setattr__(self, "url", _s3_url(self.url))
        elif parts.scheme.lower() not in {"http", "https"} or not parts.netloc:
            msg = f"{self.url!r} is no URL of a file; write http://, https:// or s3://BUCKET/KEY."
            raise UsageError(msg)

    @property
    def text(self) -> str:
        """The URL for messages and records, without the signature of a presigned one."""
        return without_secrets(self.url)


@dataclass(frozen=True)
class DandiAddress:
    """A dandiset, a folder in it, or one of its assets.

    Parameters
    ----------
    dandiset : str
        Six digits; empty only where an asset is named by its id alone.
    version : str, default: ""
        ``draft`` or a published one; empty is the newest published version, else the draft.
    path : str, default: ""
        An asset, a folder, or a pattern with ``*``; empty is the whole dandiset.
    instance : str, default: ""
        Name of an archive, or its URL without a path; empty is the default one.
    asset_id : str, default: ""

    Raises
    ------
    UsageError
        If the id or the version cannot be one.

    Examples
    --------
    >>> DandiAddress("000409", "0.260309.1324", "sub-A/sub-A_ecephys.nwb").text
    'DANDI:000409@0.260309.1324/sub-A/sub-A_ecephys.nwb'
    """

    dandiset: str
    version: str = ""
    path: str = ""
    instance: str = ""
    asset_id: str = ""

    def __post_init__(self) -> None:
        if not (re.fullmatch(_ID, self.dandiset) or (not self.dandiset and self.asset_id)):
            raise UsageError(_bad_id(self.dandiset))
        if self.version and not re.fullmatch(_VERSION, self.version):
            msg = f"{self.version!r} is no version of a dandiset; write 'draft' or one like 0.260309.1324."
            raise UsageError(msg)

    @property
    def text(self) -> str:
        """Canonical text, from which `parse_address` makes the same address."""
        if self.instance.startswith(("http://", "https://")) or not self.dandiset:
            return self._url()
        version = f"@{self.version}" if self.version else ""
        path = "/" + self.path.replace("%", "%25") if self.path else ""
        if (not self.path and self.asset_id) or (not self.version and _begins_with_version(self.path)):
            return self._url()
        if self.instance in {"", "dandi"}:
            return f"DANDI:{self.dandiset}{version}{path}"
        return f"dandi://{self.instance}/{self.dandiset}{version}{path}"

    def _url(self) -> str:
        root = self.instance
        if not root.startswith(("http://", "https://")):
            known = _known()
            root = known[root or "dandi"].api.removesuffix("/").removesuffix("/api")
        if not self.dandiset:
            return f"{root}/api/assets/{self.asset_id}/download/"
        if self.asset_id and not self.path:
            version = self.version or "draft"
            return f"{root}/api/dandisets/{self.dandiset}/versions/{version}/assets/{self.asset_id}/download/"
        version = f"/{self.version}" if self.version else ""
        path = f"/files?location={quote(self.path, safe='/*')}" if self.path else ""
        return f"{root}/dandiset/{self.dandiset}{version}{path}"


def is_remote(source: object) -> bool:
    r"""Whether something names a file or a dandiset elsewhere, not a path on this machine.

    Parameters
    ----------
    source : object
        A text or an address; a `Path` is always local.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_remote("DANDI:000409"), is_remote(r"C:\data\a.nwb"), is_remote("run:2/a.nwb")
    (True, False, False)
    """
    if isinstance(source, UrlAddress | DandiAddress):
        return True
    return isinstance(source, str) and bool(_REMOTE.match(source) or _PREFIXED.match(source))


def parse_address(text: str, *, instance: str | None = None) -> UrlAddress | DandiAddress:
    """Read an address as people and the archive's own client write it; nothing is asked of any server.

    Parameters
    ----------
    text : str
        One of `FORMS`; also ``NAME:ID/VERSION`` for the archives with a name, and a dandiset's DOI.
    instance : str, optional
        Archive that ``DANDI:`` means: a name or a URL; by default ``$DANDI_INSTANCE``, else ``dandi``. An address that
        names its archive keeps it.

    Returns
    -------
    UrlAddress or DandiAddress

    Raises
    ------
    UsageError
        If it is no address, with the forms that are.

    Examples
    --------
    >>> parse_address("dandi://dandi-sandbox/000123@draft/sub-A/sub-A.nwb").path
    'sub-A/sub-A.nwb'
    >>> parse_address("https://dandiarchive.org/dandiset/000409/draft")
    DandiAddress(dandiset='000409', version='draft', path='', instance='dandi', asset_id='')
    """
    text = text.strip()
    try:
        for part in (text, text.replace("/#/", "/")):  # as `_page` reads it, too
            urlsplit(part)
    except ValueError as error:  # brackets that hold no IPv6 address
        msg = f"{text!r} is no address: {error}. Addresses are: {'; '.join(FORMS)}."
        raise UsageError(msg) from error
    if _PREFIXED.match(text):
        name, _, rest = text.partition(":")
        if name.lower() == "dandi":
            return _identified(text, rest, instance_key(instance or os.environ.get("DANDI_INSTANCE") or "dandi"))
        return _identified(text, rest, name.lower())
    scheme, separator, rest = text.partition("://")
    if separator and scheme.lower() == "dandi":
        name, _, rest = rest.partition("/")
        return _identified(text, rest, instance_key(name))
    if separator and scheme.lower() in {"http", "https"}:
        return _page(text) or UrlAddress(text)
    if separator and scheme.lower() == "s3":
        return UrlAddress(text)
    hint = " A file on this machine is named by its path alone." if scheme.lower() == "file" else ""
    msg = f"{text!r} is no address of an archive or a server. Addresses are: {'; '.join(FORMS)}.{hint}"
    raise UsageError(msg)


def instance_key(name_or_url: str) -> str:
    """Name of a known archive, whichever of its URLs is given; else the URL without its path.

    Parameters
    ----------
    name_or_url : str

    Returns
    -------
    str

    Raises
    ------
    UsageError
        If it is neither a URL nor the name of a known archive.

    Examples
    --------
    >>> instance_key("https://api.dandiarchive.org/api"), instance_key("http://localhost:9000/api/")
    ('dandi', 'http://localhost:9000')
    """
    known = _known()
    if "://" not in name_or_url:
        if (name := name_or_url.lower()) in known:
            return name
        hint = " It is called dandi-sandbox now." if name == "dandi-staging" else ""
        msg = f"No archive is called {name_or_url!r}.{hint} Known: {', '.join(sorted(known))}; or give its URL."
        raise UsageError(msg)
    parts = urlsplit(name_or_url)
    if parts.scheme.lower() not in {"http", "https"} or not parts.netloc:
        msg = f"{name_or_url!r} is no URL of an archive; write http(s)://HOST[:PORT], or a name: {', '.join(known)}."
        raise UsageError(msg)
    host = parts.netloc.rpartition("@")[2].lower()  # a password in a URL is not kept
    for name, archive in known.items():
        if any(urlsplit(url).netloc.lower() == host for url in archive.urls()):
            return name
    return "dandi" if host == "gui.dandiarchive.org" else f"{parts.scheme.lower()}://{host}"


def without_secrets(text: str) -> str:
    """A text with the signatures of presigned URLs and the values of tokens taken out.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> without_secrets("GET https://s3/blob?X-Amz-Expires=60&X-Amz-Signature=abc failed")
    'GET https://s3/blob?... failed'
    """
    return _KEYS.sub(r"\1...", _SECRETS.sub("?...", text))


def _known() -> dict[str, Any]:
    from dandi.consts import known_instances

    return dict(known_instances)


def _bad_id(text: str) -> str:
    digits = f"; write {int(text):06d}" if re.fullmatch(r"\d{1,5}", text) else ""
    return f"{text!r} is no dandiset's id, which has six digits{digits}."


def _begins_with_version(path: str) -> bool:
    # A folder may be called "draft"; none looks like a published version.
    return bool(re.fullmatch(_PUBLISHED, path.partition("/")[0])) or path.strip("/") == "draft"


def _identified(text: str, rest: str, instance: str) -> DandiAddress:
    """Read what stands behind the archive's name: ``ID[@VERSION][/PATH]`` or ``ID/VERSION``."""
    head, _, path = rest.partition("/")
    dandiset, at, version = head.partition("@")
    if not re.fullmatch(_ID, dandiset):
        msg = f"In {text!r}, {_bad_id(dandiset)} The form is {FORMS[0]}."
        raise UsageError(msg)
    if at and not re.fullmatch(_VERSION, version):
        msg = f"In {text!r}, {version!r} is no version; write 'draft' or one like 0.260309.1324, or leave it out."
        raise UsageError(msg)
    path = unquote(path).lstrip("/")
    if not at and _begins_with_version(path):
        version, _, path = path.partition("/")
    return DandiAddress(dandiset, version, path.lstrip("/"), instance)


def _page(url: str) -> DandiAddress | None:
    """Read a page of an archive's web site or API; `None` if it is no such page."""
    before, marker, fragment = url.partition("/#/")
    parts = urlsplit(f"{before}/{fragment}" if marker else url)
    host = parts.netloc.lower()
    if host in {"doi.org", "dx.doi.org"} and (match := _DOI.fullmatch(parts.path)):
        return DandiAddress(match["dandiset"], match["version"] or "", "", "dandi")
    if host == "identifiers.org" and (match := _IDENTIFIER.fullmatch(parts.path)):
        return DandiAddress(match["dandiset"], match["version"] or "", "", "dandi")
    query = parse_qs(parts.query)
    for pattern in (_WEB_PAGES, *_API_PAGES):
        if match := pattern.fullmatch(parts.path):
            found = match.groupdict()
            names = ("location",) if "files" in found else ("path", "glob")
            path = next((query[name][0] for name in names if name in query), "")
            instance = instance_key(f"{parts.scheme}://{parts.netloc}")
            return DandiAddress(
                found.get("dandiset") or "",
                found.get("version") or "",
                path.strip("/"),
                instance,
                found.get("asset_id") or "",
            )
    return None


def _s3_url(url: str) -> str:
    bucket, _, key = url.partition("://")[2].partition("/")
    if not bucket or not key:
        msg = f"{url!r} names no file; write s3://BUCKET/KEY."
        raise UsageError(msg)
    key = quote(key, safe="/~!$&'()*+,;=:@")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        return f"{endpoint.rstrip('/')}/{bucket}/{key}"
    if "." in bucket:  # the certificate of *.s3.amazonaws.com covers no further dot
        return f"https://s3.amazonaws.com/{bucket}/{key}"
    return f"https://{bucket}.s3.amazonaws.com/{key}"
