"""Dandisets: which version an address means, and what an archive says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nwb_celltype.archive.addresses import DandiAddress
from nwb_celltype.archive.instances import find_instance, read_archive
from nwb_celltype.errors import InputError

if TYPE_CHECKING:
    from dandi.dandiapi import DandiAPIClient


@dataclass(frozen=True)
class Dandiset:
    """One version of a dandiset, as its archive describes it.

    Parameters
    ----------
    address : DandiAddress
        With the version said.
    name : str
    n_files : int
    n_bytes : int
    metadata : mapping
        The document of the archive's schema.
    """

    address: DandiAddress
    name: str
    n_files: int
    n_bytes: int
    metadata: Mapping[str, Any]

    @property
    def licence(self) -> str:
        """Licences without their prefix, joined by " OR "; empty if unstated."""
        return " OR ".join(str(text).removeprefix("spdx:") for text in _texts(self.metadata.get("license")))

    @property
    def doi(self) -> str:
        """DOI of this version; empty for a draft."""
        return str(self.metadata.get("doi") or "")

    @property
    def citation(self) -> str:
        """How the archive wants this version cited."""
        return str(self.metadata.get("citation") or "")

    @property
    def keywords(self) -> tuple[str, ...]:
        """Keywords as written."""
        return tuple(str(word) for word in _texts(self.metadata.get("keywords")))

    @property
    def url(self) -> str:
        """Page of this version in the archive's web site."""
        return str(self.metadata.get("url") or "")

    @property
    def species(self) -> tuple[str, ...]:
        """Species as named in the archive's summary of the assets."""
        summary = self.metadata.get("assetsSummary")
        listed = summary.get("species") if isinstance(summary, Mapping) else None
        return tuple(str(s.get("name") or s.get("identifier") or "") for s in listed or () if isinstance(s, Mapping))


def find_dandiset(address: DandiAddress, *, token: str | None = None) -> Dandiset:
    """Ask an archive for a dandiset; a version left out is the newest published one, else the draft.

    Parameters
    ----------
    address : DandiAddress
        Its path is passed over.
    token : str, optional
        Otherwise the user's own is tried where reading is refused.

    Returns
    -------
    Dandiset

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
    >>> find_dandiset(DandiAddress("000409")).licence  # doctest: +SKIP
    'CC-BY-4.0'
    """

    def read(client: DandiAPIClient) -> Dandiset:
        version = address.version or newest_version(client, address.dandiset)
        return describe(client, replace(address, version=version, path="", asset_id=""))

    instance = find_instance(address.instance or None)
    return read_archive(instance, read, what=f"reading {address.text}", token=token)


def newest_version(client: DandiAPIClient, dandiset: str) -> str:
    """Newest published version of a dandiset, else ``draft``.

    Parameters
    ----------
    client : dandi.dandiapi.DandiAPIClient
    dandiset : str

    Returns
    -------
    str
    """
    published = client.get(f"/dandisets/{dandiset}/").get("most_recent_published_version")
    return str(published["version"]) if published else "draft"


def describe(client: DandiAPIClient, address: DandiAddress) -> Dandiset:
    """Read name, size and metadata of one version.

    Parameters
    ----------
    client : dandi.dandiapi.DandiAPIClient
    address : DandiAddress
        With its version.

    Returns
    -------
    Dandiset

    Raises
    ------
    InputError
        If the server's answer is no description of a version.
    """
    info = client.get(f"/dandisets/{address.dandiset}/versions/{address.version}/info/")
    if not isinstance(info, Mapping) or not isinstance(info.get("metadata"), Mapping):
        msg = f"The server does not describe {address.text}; is it an archive of this kind?"
        raise InputError(msg)
    return Dandiset(
        address,
        str(info.get("name") or ""),
        int(info.get("asset_count") or 0),
        int(info.get("size") or 0),
        info["metadata"],
    )


def _texts(value: Any) -> tuple[Any, ...]:
    if value is None or value == "":
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)
