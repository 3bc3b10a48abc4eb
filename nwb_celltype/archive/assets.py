"""Assets: the files of a dandiset, what their archive says of them, and where their bytes are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from nwb_celltype.archive.addresses import DandiAddress, UrlAddress
from nwb_celltype.archive.dandisets import newest_version
from nwb_celltype.archive.instances import Instance, find_instance, read_archive
from nwb_celltype.errors import InputError, UsageError

if TYPE_CHECKING:
    from dandi.dandiapi import DandiAPIClient

_PAGE = 1000  # the most that an archive gives at once
_MAX_HOPS = 5
_WILD = re.compile(r"\[[^\]]*\]|[?*]")


@dataclass(frozen=True)
class Asset:
    """A file in one version of a dandiset.

    Parameters
    ----------
    instance : str
        Name or URL of its archive.
    dandiset, version, path : str
        Empty dandiset and version where only the asset's id is known.
    asset_id : str
        Changes with every edit of the metadata; `sha256`, or version and path, stay.
    size : int
        In bytes.
    sha256, etag : str
        Digests of the content (`etag` is the archive's own kind); empty while the archive has not computed them.
    metadata : mapping
        The document of the archive's schema; empty if the archive gave none.
    zarr_id : str, default: ""
        Set for a Zarr folder, which is no single file.

    Examples
    --------
    >>> asset = Asset("dandi", "000007", "draft", "sub-1/sub-1_ses-2.nwb", "", 10, "", "", {})
    >>> asset.address.text, asset.subject, asset.session, asset.has_units
    ('DANDI:000007@draft/sub-1/sub-1_ses-2.nwb', '1', '2', None)
    """

    instance: str
    dandiset: str
    version: str
    path: str
    asset_id: str
    size: int
    sha256: str
    etag: str
    metadata: Mapping[str, Any] = field(repr=False)
    zarr_id: str = ""

    @property
    def address(self) -> DandiAddress:
        """Its address, with the version said."""
        if not self.dandiset:
            return DandiAddress("", "", "", self.instance, self.asset_id)
        return DandiAddress(self.dandiset, self.version, self.path, self.instance)

    @property
    def species(self) -> str:
        """Species as the archive names it; several are joined by "; ", empty if unstated."""
        return self._of_subject("species")

    @property
    def subject(self) -> str:
        """Subject's id, else what the file's name says."""
        named = [str(who["identifier"]) for who in self._records("wasAttributedTo") if who.get("identifier")]
        return "; ".join(dict.fromkeys(named)) or self._entity("sub")

    @property
    def session(self) -> str:
        """Session's id, else what the file's name says."""
        for what in self._records("wasGeneratedBy"):
            if what.get("schemaKey") == "Session" and (text := what.get("identifier") or what.get("name")):
                return str(text)
        return self._entity("ses")

    @property
    def sex(self) -> str:
        """Sex as the archive names it (``Male``, ``Female``, ...); empty if unstated."""
        return self._of_subject("sex")

    @property
    def has_units(self) -> bool | None:
        """Whether it holds a table of units; `None` where the archive does not say.

        Old drafts name the kinds of their objects with the values missing: then nothing is known.
        """
        measured = self.metadata.get("variableMeasured")
        kinds = [m.get("value") if isinstance(m, Mapping) else m for m in measured or ()]
        if "Units" in kinds:
            return True
        return False if kinds and all(kinds) else None

    @property
    def keywords(self) -> tuple[str, ...]:
        """Keywords as written."""
        words = self.metadata.get("keywords")
        return tuple(str(word) for word in words) if isinstance(words, list | tuple) else ()

    @property
    def encoding_format(self) -> str:
        """Media type: ``application/x-nwb`` for HDF5."""
        return str(self.metadata.get("encodingFormat") or "")

    @property
    def content_urls(self) -> tuple[str, ...]:
        """Where the archive says the bytes are."""
        urls = self.metadata.get("contentUrl")
        return tuple(str(url) for url in urls) if isinstance(urls, list | tuple) else ()

    @property
    def is_open(self) -> bool:
        """Whether everybody may read it, as far as the archive says."""
        return not any("Embargoed" in str(record.get("status")) for record in self._records("access"))

    @property
    def is_zarr(self) -> bool:
        """Whether it is a Zarr folder of many small files."""
        return bool(self.zarr_id) or "zarr" in self.encoding_format

    def _records(self, name: str) -> list[Mapping[str, Any]]:
        listed = self.metadata.get(name)
        return [record for record in listed if isinstance(record, Mapping)] if isinstance(listed, list) else []

    def _of_subject(self, name: str) -> str:
        found = []
        for who in self._records("wasAttributedTo"):
            value = who.get(name)
            if isinstance(value, Mapping):
                value = value.get("name") or value.get("identifier")
            if value:
                found.append(str(value))
        return "; ".join(dict.fromkeys(found))

    def _entity(self, key: str) -> str:
        match = re.search(rf"(?:^|_){key}-([^_.]+)", PurePosixPath(self.path).name)
        return match[1] if match else ""


def list_assets(address: DandiAddress, *, glob: str | None = None, token: str | None = None) -> list[Asset]:
    """List the assets of a dandiset with their metadata, a thousand in a request.

    Parameters
    ----------
    address : DandiAddress
        Its path may be an asset, a folder, or a pattern. A version left out is the newest published one, else the
        draft; the answer says which.
    glob : str, optional
        Pattern as of a shell, where ``*`` also stands for ``/``; one without ``/`` may also match the file's name.
    token : str, optional
        Otherwise the user's own is tried where reading is refused.

    Returns
    -------
    list of Asset
        By path; empty if none fits.

    Raises
    ------
    InputError
        If there is no such dandiset or version.
    RefusedError
        If it is under embargo and no token of an owner is at hand.
    NetworkError
        If the server fails or cannot be reached.

    Examples
    --------
    >>> list_assets(DandiAddress("000409"), glob="*desc-processed*")  # doctest: +SKIP
    """
    if address.asset_id:
        return [asset for asset in [_by_id(address, token)] if glob is None or _fits(asset.path, glob)]
    instance = find_instance(address.instance or None)

    def read(client: DandiAPIClient) -> list[Asset]:
        version = address.version or newest_version(client, address.dandiset)
        place = f"/dandisets/{address.dandiset}/versions/{version}/assets/"
        rows = client.paginate(place, page_size=_PAGE, params=_query(address.path, glob))
        rows = [row for row in _below(list(rows), address.path) if glob is None or _fits(row["path"], glob)]
        _complete(client, rows)
        return [_asset(instance.key, address.dandiset, version, row) for row in rows]

    found = read_archive(instance, read, what=f"listing {address.text}", token=token)
    return sorted(found, key=lambda asset: asset.path)


def find_asset(address: DandiAddress, *, token: str | None = None) -> Asset:
    """Find one asset by path or id.

    Parameters
    ----------
    address : DandiAddress
        With a path or an asset's id.
    token : str, optional
        As for `list_assets`.

    Returns
    -------
    Asset

    Raises
    ------
    UsageError
        If the address names a whole dandiset.
    InputError
        If there is no such asset, with paths that are like it, or the path is a folder.
    RefusedError, NetworkError
        As for `list_assets`.

    Examples
    --------
    >>> find_asset(DandiAddress("000007", path="sub-A/sub-A.nwb")).sha256  # doctest: +SKIP
    """
    if address.asset_id:
        return _by_id(address, token)
    if not address.path:
        # the text of an archive without a name is a web page, to which no path can be added
        version = f"@{address.version}" if address.version else ""
        is_url = "://" in address.instance
        form = f"DANDI:{address.dandiset}{version}/PATH" if is_url else f"{address.text}/PATH"
        msg = f"{address.text} names a whole dandiset; add the path of one file: {form}."
        raise UsageError(msg)
    found = list_assets(address, token=token)
    exact = [asset for asset in found if asset.path == address.path]
    if exact or (len(found) == 1 and _WILD.search(address.path)):
        return (exact or found)[0]
    if found:
        some = ", ".join(asset.path for asset in found[:3])
        msg = f"{address.text} is not one file but {len(found)}: {some}{', ...' if len(found) > 3 else ''}. Name one."
        raise InputError(msg)
    folder = address.path.partition("/")[0]
    beside = list_assets(DandiAddress(address.dandiset, address.version, folder, address.instance), token=token)
    near = get_close_matches(address.path, [asset.path for asset in beside], n=3, cutoff=0.3)
    hint = f" Did you mean {' or '.join(near)}?" if near else f" Nothing there begins with {folder!r}."
    msg = f"There is no asset {address.text}.{hint}"
    raise InputError(msg)


def content_url(asset: Asset, *, fresh: bool) -> str:
    """Say where an asset's bytes can be read in ranges.

    Parameters
    ----------
    asset : Asset
    fresh : bool
        Whether to ask the archive anew, because an address given before does not work any more.

    Returns
    -------
    str
        For open assets the storage's own URL, which never expires. Otherwise, and when `fresh`, one that the archive
        has signed: it works for some hours and is a secret.

    Raises
    ------
    InputError
        If the asset is a Zarr folder, or is gone.
    RefusedError
        If it is under embargo and no token of an owner is at hand.
    NetworkError
        If the server fails or cannot be reached.

    Examples
    --------
    >>> content_url(find_asset(DandiAddress("000007", path="sub-A/sub-A.nwb")), fresh=False)  # doctest: +SKIP
    """
    if asset.is_zarr:
        msg = (
            f"{asset.address.text} is NWB-Zarr, which the archive keeps as many small files; only HDF5 files are read "
            "from an archive. Download it with `dandi download`, and convert it to HDF5."
        )
        raise InputError(msg)
    if asset.is_open and not fresh:
        for url in asset.content_urls:
            if not re.search(r"/assets/[^/]+/download/?$", url):
                return UrlAddress(url).url
    instance = find_instance(asset.instance or None)
    return read_archive(
        instance, lambda client: _signed(client, instance, asset), what=f"finding the bytes of {asset.address.text}"
    )


def _signed(client: DandiAPIClient, instance: Instance, asset: Asset) -> str:
    """Follow the API's own redirects up to the storage, which must never see the token.

    By GET, because a signature is for one method.
    """
    url = f"{instance.api_url}/assets/{asset.asset_id}/download/"
    for _ in range(_MAX_HOPS):
        reply = client.request("GET", url, json_resp=False, allow_redirects=False, stream=True)
        reply.close()
        if not reply.is_redirect:
            break
        url = urljoin(url, reply.headers["Location"])
        if not url.startswith(instance.api_url + "/"):
            break
    return url


def _by_id(address: DandiAddress, token: str | None) -> Asset:
    instance = find_instance(address.instance or None)

    def read(client: DandiAPIClient) -> Asset:
        version, place = address.version, ""
        if address.dandiset:
            version = version or newest_version(client, address.dandiset)
            place = f"/dandisets/{address.dandiset}/versions/{version}"
        row = client.get(f"{place}/assets/{address.asset_id}/info/")
        return _asset(instance.key, address.dandiset, version, row)

    return read_archive(instance, read, what=f"looking for {address.text}", token=token)


def _query(path: str, glob: str | None) -> dict[str, str]:
    """What the server can leave out: it knows only ``*``, and no case, so that it never leaves out too much."""
    query = {"metadata": "true", "order": "path"}
    if path and not _WILD.search(path):
        query["path"] = path.rstrip("/")
    elif path:
        query["glob"] = _WILD.sub("*", path)
    elif glob is not None:
        query["glob"] = _WILD.sub("*", glob if "/" in glob else f"*{glob}")
    return query


def _below(rows: Sequence[dict[str, Any]], path: str) -> list[dict[str, Any]]:
    """Rows of the asset, folder or pattern that a path names."""
    path = path.rstrip("/")
    if not path:
        return list(rows)
    exact = [row for row in rows if row["path"] == path]
    folder = [row for row in rows if row["path"].startswith(f"{path}/")]
    return exact or folder or [row for row in rows if fnmatchcase(row["path"], path)]


def _fits(path: str, glob: str) -> bool:
    return fnmatchcase(path, glob) or ("/" not in glob and fnmatchcase(PurePosixPath(path).name, glob))


def _complete(client: DandiAPIClient, rows: list[dict[str, Any]]) -> None:
    """Fetch one by one the metadata that a server did not give with the list."""
    missing = [row for row in rows if not isinstance(row.get("metadata"), Mapping)]
    if missing:
        with ThreadPoolExecutor(8) as pool:
            documents = pool.map(lambda row: client.get(f"/assets/{row['asset_id']}/"), missing)
            for row, document in zip(missing, documents, strict=True):
                row["metadata"] = document if isinstance(document, Mapping) else {}


def _asset(instance: str, dandiset: str, version: str, row: Mapping[str, Any]) -> Asset:
    metadata = row.get("metadata") or {}
    digests = metadata.get("digest")
    digests = digests if isinstance(digests, Mapping) else {}
    return Asset(
        instance,
        dandiset,
        version,
        str(row["path"]),
        str(row["asset_id"]),
        int(row.get("size") or metadata.get("contentSize") or 0),
        str(digests.get("dandi:sha2-256") or ""),
        str(digests.get("dandi:dandi-etag") or ""),
        metadata,
        str(row.get("zarr") or ""),
    )
