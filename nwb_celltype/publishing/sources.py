"""The dandisets that annotated units came from, as their own archives describe them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nwb_celltype.archive.addresses import DandiAddress
from nwb_celltype.archive.instances import Instance, find_instance, open_client
from nwb_celltype.errors import CellTypeError
from nwb_celltype.provenance import SourceAsset
from nwb_celltype.publishing.dandiset_metadata import SourceDandiset


def find_sources(records: Iterable[SourceAsset]) -> tuple[list[SourceDandiset], list[str]]:
    """Ask the archives of the sources who made them; an archive that does not answer is remarked upon.

    Parameters
    ----------
    records : iterable of SourceAsset

    Returns
    -------
    sources : list of SourceDandiset
        Each dandiset and version once. Nothing in them is guessed: authors are empty where nobody could be asked.
    remarks : list of str
    """
    wanted = {(r.instance, r.dandiset, r.version): r for r in records if r.dandiset}
    sources, remarks = [], []
    for (name, dandiset, version), record in wanted.items():
        address = DandiAddress(dandiset, version, "", name).text
        try:
            instance = find_instance(name or None)
            metadata = _metadata(instance, dandiset, version)
        except CellTypeError as error:
            remarks.append(
                f"Whose work {address} is could not be asked ({str(error).rstrip('.')}); its authors are credited by "
                "the citation in the files only. Run publish again when its archive can be reached."
            )
            identifier = DandiAddress(dandiset, "", "", name).text
            sources.append(
                SourceDandiset(
                    address, identifier, _page(None, record), record.title, record.citation, is_described=False
                )
            )
            continue
        sources.append(
            SourceDandiset(
                address,
                str(metadata.get("identifier") or DandiAddress(dandiset, "", "", name).text),
                _page(instance, record),
                str(metadata.get("name") or record.title),
                str(metadata.get("citation") or record.citation),
                tuple(_authors(metadata)),
                tuple(str(text) for text in metadata.get("license") or []),
            )
        )
    return sources, remarks


def _metadata(instance: Instance, dandiset: str, version: str) -> dict[str, Any]:
    with open_client(instance) as client:
        found: dict[str, Any] = client.get_dandiset(dandiset, version or None, lazy=False).get_raw_metadata()
        return found


def _page(instance: Instance | None, record: SourceAsset) -> str:
    if instance is None:
        try:
            instance = find_instance(record.instance or None)
        except CellTypeError:
            return record.url
    return dandiset_page(instance, record.dandiset, record.version)


def dandiset_page(instance: Instance, dandiset: str, version: str = "") -> str:
    """Return the web page of a dandiset, or its address in the API where the archive has no pages."""
    if instance.web_url:
        return f"{instance.web_url}/dandiset/{dandiset}/{version or 'draft'}"
    return f"{instance.api_url}/dandisets/{dandiset}/versions/{version or 'draft'}/"


def _authors(metadata: Mapping[str, Any]) -> list[str]:
    """Names of those whom the citation of a dandiset names."""
    people = [person for person in metadata.get("contributor") or [] if person.get("name")]
    cited = [person for person in people if person.get("includeInCitation")]
    return [str(person["name"]) for person in (cited or people)]
