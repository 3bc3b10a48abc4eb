"""A checked-in list of dandisets worth annotating, so that a first look needs no search and no network."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from importlib import resources

from nwb_celltype.archive.addresses import DandiAddress
from nwb_celltype.errors import InputError
from nwb_celltype.nested_text import parse_yaml


@dataclass(frozen=True)
class CatalogueEntry:
    """A dandiset of the public DANDI archive; texts are empty where nothing is known.

    Parameters
    ----------
    dandiset : str
    version : str
        Published version that the rest was read from.
    title : str
        Short, ours.
    glob : str
        Which files to take; empty for every NWB file.
    waveform_layout : str
        ``samples``, ``samples_channels``, ``channels_samples``, ``recorded`` (in some layout), ``none``, or empty.
    region_column : str
        Column of the units or electrodes that names the region.
    species : str
        Common names, joined by ", ".
    licence : str
        SPDX, without a prefix.
    doi : str
    note : str

    Examples
    --------
    >>> catalogue_entry("000409").glob
    '*desc-processed*'
    """

    dandiset: str
    version: str = ""
    title: str = ""
    glob: str = ""
    waveform_layout: str = ""
    region_column: str = ""
    species: str = ""
    licence: str = ""
    doi: str = ""
    note: str = ""

    @property
    def address(self) -> DandiAddress:
        """Where it is."""
        return DandiAddress(self.dandiset, self.version, "", "dandi")


@cache
def read_catalogue() -> tuple[CatalogueEntry, ...]:
    """Read the catalogue that comes with this package.

    Returns
    -------
    tuple of CatalogueEntry
        The best for cerebellar work first.

    Examples
    --------
    >>> read_catalogue()[0].title
    'IBL Brain-Wide Map'
    """
    return parse_catalogue(
        resources.files(__package__).joinpath("catalogue.yaml").read_text(encoding="utf-8"), "catalogue.yaml"
    )


def parse_catalogue(text: str, name: str) -> tuple[CatalogueEntry, ...]:
    """Read a catalogue.

    Parameters
    ----------
    text : str
        YAML: a list of mappings with the fields of `CatalogueEntry`.
    name : str
        What messages call it.

    Returns
    -------
    tuple of CatalogueEntry

    Raises
    ------
    InputError
        If it is no such list.

    Examples
    --------
    >>> parse_catalogue("- dandiset: '000409'", "mine.yaml")[0].dandiset
    '000409'
    """
    import yaml

    names = [entry.name for entry in fields(CatalogueEntry)]
    try:
        rows = parse_yaml(text)
    except (yaml.YAMLError, ValueError) as error:
        message = f"{name} is no YAML ({error}); see the catalogue of this package."
        raise InputError(message) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.get("dandiset") for row in rows):
        message = f"{name} is no list of dandisets, each with its id as `dandiset`; see the catalogue of this package."
        raise InputError(message)
    return tuple(CatalogueEntry(**{key: str(row[key]) for key in names if key in row}) for row in rows)


def catalogue_entry(dandiset: str) -> CatalogueEntry | None:
    """The entry of a dandiset of the public archive.

    Parameters
    ----------
    dandiset : str
        Six digits.

    Returns
    -------
    CatalogueEntry or None

    Examples
    --------
    >>> catalogue_entry("999999") is None
    True
    """
    return next((entry for entry in read_catalogue() if entry.dandiset == dandiset), None)
