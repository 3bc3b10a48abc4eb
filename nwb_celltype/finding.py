"""Labelled dandisets of an archive, found by fixed keywords and their assets', and the catalogue of unlabelled ones."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nwb_celltype.archive.addresses import DandiAddress
from nwb_celltype.archive.assets import Asset, list_assets
from nwb_celltype.archive.catalogue import CatalogueEntry, read_catalogue
from nwb_celltype.archive.dandisets import Dandiset, describe
from nwb_celltype.archive.instances import find_instance, read_archive
from nwb_celltype.archive.keywords import DANDISET_KEYWORDS, LABELS, classes_in, counts_in, sources_in
from nwb_celltype.errors import InputError, NothingToDoError, RefusedError, UsageError
from nwb_celltype.quality import species_of
from nwb_celltype.taxonomy import CEREBELLUM, FOREBRAIN

if TYPE_CHECKING:
    from dandi.dandiapi import DandiAPIClient

_GROUND_TRUTH = "ground_truth"
_OURS = tuple(dict.fromkeys((*CEREBELLUM.labels, *FOREBRAIN.labels)))


@dataclass(frozen=True)
class Found:
    """A dandiset with labels, or one of the catalogue; texts are empty where nothing is known.

    Parameters
    ----------
    address : DandiAddress
        With the version that the rest was read from.
    name, licence, doi : str
    species : tuple of str
        Common names where they are known, else as the archive writes them.
    classes : mapping of str to int
        How many assets have units of each class.
    units : mapping of str to int
        How many units of each class the assets state; a class without an entry states nothing.
    sources : tuple of str
        Where the labels come from: ``ground_truth``, ``expert``, ``classifier``, ``rule``.
    n_files, n_bytes : int
        Of the assets with labels that fit; of a dandiset of the catalogue zero, which is "not known".
    is_catalogued : bool
        Whether it is an entry of the catalogue, which has no labels of ours.
    note : str

    Examples
    --------
    >>> find(species="mouse", catalogue_only=True)[0].address.text
    'DANDI:000409@0.260309.1324'
    """

    address: DandiAddress
    name: str = ""
    licence: str = ""
    doi: str = ""
    species: tuple[str, ...] = ()
    classes: Mapping[str, int] = field(default_factory=dict)
    units: Mapping[str, int] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    n_files: int = 0
    n_bytes: int = 0
    is_catalogued: bool = False
    note: str = ""

    @property
    def dandiset(self) -> str:
        """Six digits."""
        return self.address.dandiset

    @property
    def version(self) -> str:
        """``draft``, a published version, or empty for the newest."""
        return self.address.version

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return {
            "address": self.address.text,
            "dandiset": self.dandiset,
            "version": self.version,
            "name": self.name,
            "licence": self.licence,
            "doi": self.doi,
            "species": list(self.species),
            "classes": dict(self.classes),
            "units": dict(self.units),
            "sources": list(self.sources),
            "n_files": self.n_files,
            "n_bytes": self.n_bytes,
            "is_catalogued": self.is_catalogued,
            "note": self.note,
        }


@dataclass(frozen=True)
class _Wish:
    """What is looked for; empty texts are no condition."""

    species: str
    cell_type: str
    ground_truth: bool

    def fits(self, asset: Asset, elsewhere: Iterable[str]) -> bool:
        """Whether an asset fits; `elsewhere` names the species of its dandiset, for an asset that names none."""
        named = _common(asset.species.split("; ")) or tuple(elsewhere)
        return (
            (not self.species or self.species in named)
            and (not self.cell_type or self.cell_type.lower() in map(str.lower, classes_in(asset.keywords)))
            and (not self.ground_truth or _GROUND_TRUTH in sources_in(asset.keywords))
        )


def find(
    *,
    species: str | None = None,
    cell_type: str | None = None,
    ground_truth: bool = False,
    instance: str | None = None,
    catalogue_only: bool = False,
) -> tuple[Found, ...]:
    """List the dandisets of an archive that carry our labels, then the catalogue.

    An archive cannot search types inside files. Labelled dandisets have fixed keywords, for which the server is
    searched; what they hold stands in the keywords of their assets. Only what is public is found.

    Parameters
    ----------
    species : str, optional
        Common or Latin name, or an NCBI term.
    cell_type : str, optional
        A class, such as ``PkC_ss``, of a taxonomy of ours or any other; upper and lower case are one.
    ground_truth : bool, default: False
        Only labels that rest on evidence, not on a model or an expert's eye.
    instance : str, optional
        Archive, by name or URL; by default ``$DANDI_INSTANCE``, else ``dandi``.
    catalogue_only : bool, default: False
        List the checked-in catalogue alone, which needs no network.

    Returns
    -------
    tuple of Found
        Labelled ones by id; then those of the catalogue, which have no labels of ours and so are left out where a
        class or ground truth is asked for. Files and units counted are those that fit.

    Raises
    ------
    UsageError
        If no species is named, or labels are asked of the catalogue alone.
    NothingToDoError
        If nothing fits, and the class is none of ours but written much like one that there is, which is named.
    NetworkError
        If the server fails or cannot be reached.

    Examples
    --------
    >>> [one.dandiset for one in find(species="rat", catalogue_only=True)][:2]
    ['000041', '000044']
    """
    wish = _Wish(_species_named(species), _class_named(cell_type), ground_truth)
    about_labels = bool(wish.cell_type or ground_truth)
    if catalogue_only and about_labels:
        msg = "The catalogue lists recordings without labels of ours; leave the class and ground truth out."
        raise UsageError(msg)
    seen: set[str] = set()
    labelled = () if catalogue_only else _labelled(wish, instance, seen)
    if wish.cell_type and not labelled and (alike := _written_alike(wish.cell_type, {*_OURS, *seen})):
        msg = f"No dandiset that fits has a class {wish.cell_type!r}. Did you mean {' or '.join(alike)}?"
        raise NothingToDoError(msg)
    if about_labels:
        return labelled
    listed = {one.address.text for one in labelled}
    return labelled + tuple(
        row
        for row in map(_of_catalogue, read_catalogue())
        if (not wish.species or wish.species in row.species) and row.address.text not in listed
    )


def _labelled(wish: _Wish, instance: str | None, seen: set[str]) -> tuple[Found, ...]:
    """Labelled dandisets that fit; adds the classes of all that were looked at to `seen`."""
    archive = find_instance(instance)

    def read(client: DandiAPIClient) -> list[Dandiset]:
        rows = client.paginate("/dandisets/", params={"search": DANDISET_KEYWORDS[0], "empty": "false"})
        found = (_with_keywords(client, archive.key, row) for row in rows)
        return [one for one in found if one is not None]

    dandisets = read_archive(archive, read, what=f"searching {archive.name} for labelled dandisets")
    rows = (_found(one, wish, seen) for one in dandisets)
    return tuple(sorted((row for row in rows if row is not None), key=lambda row: row.dandiset))


def _with_keywords(client: DandiAPIClient, instance: str, row: Mapping[str, Any]) -> Dandiset | None:
    """Newest version that carries our keywords: a search also finds those that only speak of them."""
    published = row.get("most_recent_published_version") or {}
    ours = {word.lower() for word in DANDISET_KEYWORDS}
    for version in dict.fromkeys(v for v in (published.get("version"), "draft") if v):
        try:
            one = describe(client, DandiAddress(str(row["identifier"]), str(version), "", instance))
        except (InputError, RefusedError):  # gone, or embargoed, since it was listed
            continue
        if ours & {word.lower() for word in one.keywords}:
            return one
    return None


def _found(dandiset: Dandiset, wish: _Wish, seen: set[str]) -> Found | None:
    try:
        assets = list_assets(dandiset.address)
    except (InputError, RefusedError):
        return None
    species = _common(dandiset.species)
    labelled = [a for a in assets if LABELS in a.keywords or classes_in(a.keywords)]
    seen.update(label for asset in labelled for label in classes_in(asset.keywords))
    fitting = [asset for asset in labelled if wish.fits(asset, species)]
    if not fitting and (labelled or wish.species or wish.cell_type or wish.ground_truth):
        return None
    classes: Counter[str] = Counter()
    units: Counter[str] = Counter()
    for asset in fitting:
        classes.update(classes_in(asset.keywords))
        units.update(counts_in(asset.keywords))
    named = _common(text for asset in fitting for text in asset.species.split("; "))
    return Found(
        dandiset.address,
        dandiset.name,
        dandiset.licence,
        dandiset.doi,
        named or species,
        dict(sorted(classes.items())),
        dict(sorted(units.items())),
        tuple(sorted({source for asset in fitting for source in sources_in(asset.keywords)})),
        len(fitting),
        sum(asset.size for asset in fitting),
        note="" if fitting else "It has our keywords, but its files do not say what they hold.",
    )


def _of_catalogue(entry: CatalogueEntry) -> Found:
    return Found(
        entry.address,
        entry.title,
        entry.licence,
        entry.doi,
        tuple(name.strip() for name in entry.species.split(",") if name.strip()),
        is_catalogued=True,
        note=entry.note,
    )


def _common(texts: Iterable[str]) -> tuple[str, ...]:
    """Common names of species, each once; what has none stays, in lower case."""
    return tuple(sorted({name for text in texts if (name := species_of(text).lower())}))


def _species_named(text: str | None) -> str:
    if not text:
        return ""
    named = _common([text])
    if not named:
        msg = f"{text!r} names no species; write mouse, rat, macaque, human, or a Latin name."
        raise UsageError(msg)
    return named[0]


def _class_named(text: str | None) -> str:
    if not text:
        return ""
    named = text.strip()
    return next((label for label in _OURS if label.lower() == named.lower()), named)


def _written_alike(name: str, known: Iterable[str]) -> list[str]:
    """Classes that somebody may have meant who wrote another name; none if the name is one of them."""
    by_letters = {label.lower(): label for label in sorted(known)}
    if name.lower() in by_letters:
        return []
    return [by_letters[letters] for letters in difflib.get_close_matches(name.lower(), by_letters, n=3, cutoff=0.7)]
