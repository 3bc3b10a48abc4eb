"""Places in and around the cerebellum: names, acronyms, and their terms in UBERON and in the Allen mouse atlas.

Identifiers: UBERON 2026-04-01; Allen Mouse Brain Atlas (MBA), common coordinate framework 2017.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nwb_celltype.converters.metadata.records import Term
from nwb_celltype.taxonomy import Layer, layer_of

_ALLEN = "https://purl.brain-bican.org/ontology/mbao/MBA_"
_OBO = "http://purl.obolibrary.org/obo/"
_CURIE = (
    r"(?:https?://purl\.obolibrary\.org/obo/|https?://purl\.brain-bican\.org/ontology/mbao/)?(UBERON|MBA)[:_](\d{1,12})"
)
_ALONE = re.compile(_CURIE, re.IGNORECASE)
_NAMED = re.compile(rf"(?P<name>.*\S)\s*[(\[]\s*{_CURIE}\s*[)\]]", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """One place: name, acronym and number in the Allen atlas, number and label in UBERON, other names, its layer.

    `allen` is its name in the Allen atlas where that one alone would not say that it is in the cerebellum.
    """

    name: str
    acronym: str = ""
    mba: int | None = None
    uberon: str = ""
    uberon_label: str = ""
    synonyms: tuple[str, ...] = ()
    layer: str = ""
    allen: str = ""

    def terms(self, *, mouse: bool) -> tuple[Term, ...]:
        """Its terms; those of the mouse atlas for mice alone."""
        found = []
        if self.uberon:
            found.append(_term("UBERON", self.uberon, self.uberon_label))
        if self.mba is not None and mouse:
            found.append(_term("MBA", str(self.mba), self.allen or self.name))
        return tuple(found)


# fmt: off
PLACES = (
    Place("Cerebellum", "CB", 512, "0002037", "cerebellum"),
    Place("Cerebellar cortex", "CBX", 528, "0002129", "cerebellar cortex", ("cortex of cerebellum",)),
    Place("Cerebellar cortex, molecular layer", "CBXmo", 1144, "0002974", "molecular layer of cerebellar cortex",
          layer="ML"),
    Place("Cerebellar cortex, Purkinje layer", "CBXpu", 1145, "0002979", "Purkinje cell layer of cerebellar cortex",
          layer="PCL"),
    Place("Cerebellar cortex, granular layer", "CBXgr", 1143, "0002956", "granular layer of cerebellar cortex",
          layer="GCL"),
    Place("Vermal regions", "VERM", 645, "0004720", "cerebellar vermis", ("vermis", "cerebellar vermis")),
    Place("Lingula (I)", "LING", 912, "0004074", "cerebellum vermis lobule I", ("lobule I", "lobule 1", "lingula")),
    Place("Central lobule", "CENT", 920, "0003021", "central lobule", ("lobule II-III", "lobules II-III")),
    Place("Lobule II", "CENT2", 976, "0004075", "cerebellum vermis lobule II", ("lobule 2",)),
    Place("Lobule III", "CENT3", 984, "0004076", "cerebellum vermis lobule III", ("lobule 3",)),
    Place("Culmen", "CUL", 928, "0007763", "cerebellum vermis culmen"),
    Place("Lobule IV", "CUL4", 992, "0004077", "cerebellum vermis lobule IV", ("lobule 4",)),
    Place("Lobule V", "CUL5", 1001, "0004079", "cerebellum vermis lobule V", ("lobule 5",)),
    Place("Lobules IV-V", "CUL4 5", 1091, "", "", ("lobule IV/V", "lobules IV/V", "lobule IV-V", "lobule 4/5")),
    Place("Declive (VI)", "DEC", 936, "0004080", "cerebellum vermis lobule VI", ("lobule VI", "lobule 6", "declive")),
    Place("Folium-tuber vermis (VII)", "FOTU", 944, "0004081", "cerebellum vermis lobule VII",
          ("lobule VII", "lobule 7")),
    Place("Pyramus (VIII)", "PYR", 951, "0004082", "cerebellum vermis lobule VIII",
          ("lobule VIII", "lobule 8", "pyramus")),
    Place("Uvula (IX)", "UVU", 957, "0004078", "cerebellum vermis lobule IX", ("lobule IX", "lobule 9", "uvula")),
    Place("Nodulus (X)", "NOD", 968, "0004083", "cerebellum vermis lobule X", ("lobule X", "lobule 10", "nodulus")),
    Place("Cerebellar hemisphere", "HEM", 1073, "0002245", "cerebellar hemisphere", ("hemispheric regions",),
          allen="Hemispheric regions"),
    Place("Simple lobule", "SIM", 1007, "0005350", "lobule simplex", ("lobulus simplex", "lobule simplex", "simplex")),
    Place("Ansiform lobule", "AN", 1017, "0005348", "ansiform lobule"),
    Place("Crus 1", "ANcr1", 1056, "0005976", "ansiform lobule crus I", ("crus I", "crus1")),
    Place("Crus 2", "ANcr2", 1064, "0005977", "ansiform lobule crus II", ("crus II", "crus2")),
    Place("Paramedian lobule", "PRM", 1025, "0005349", "paramedian lobule"),
    Place("Copula pyramidis", "COPY", 1033, "0005347", "copula pyramidis"),
    Place("Paraflocculus", "PFL", 1041, "0005351", "paraflocculus"),
    Place("Flocculus", "FL", 1049, "0001063", "flocculus"),
    Place("Flocculus, molecular layer", "FLmo", 10692, "0001063", "flocculus", layer="ML"),
    Place("Flocculus, Purkinje layer", "FLpu", 10691, "0001063", "flocculus", layer="PCL"),
    Place("Flocculus, granular layer", "FLgr", 10690, "0001063", "flocculus", layer="GCL"),
    Place("Flocculonodular lobe", "", None, "0003012", "flocculonodular lobe"),
    Place("Cerebellar nuclei", "CBN", 519, "0002130", "cerebellar nuclear complex",
          ("deep cerebellar nuclei", "cerebellar nuclear complex", "DCN")),
    Place("Fastigial nucleus", "FN", 989, "0002153", "fastigial nucleus"),
    Place("Interposed nucleus", "IP", 91, "0004073", "cerebellum interpositus nucleus", ("interpositus nucleus",)),
    Place("Dentate nucleus", "DN", 846, "0002132", "dentate nucleus"),
    Place("White matter of cerebellum", "", None, "0002317", "white matter of cerebellum", ("arbor vitae",)),
)
"""Places that have their terms here; any other place is a text without a term, or with the one the user gives."""
# fmt: on


@dataclass(frozen=True)
class Location:
    """Where an electrode was: the text for the file, its terms, and the layer where the place is one."""

    text: str
    terms: tuple[Term, ...] = ()
    layer: str = ""


def find_location(text: str, *, mouse: bool) -> Location | None:
    """Read a place: a text, a term of UBERON or of the Allen atlas (MBA), or a text with a term in brackets.

    Parameters
    ----------
    text : str
    mouse : bool
        Whether terms of the mouse atlas apply.

    Returns
    -------
    Location or None
        `None` for a term alone whose name is not known here.

    Examples
    --------
    >>> find_location("UBERON:0002129", mouse=True).text
    'Cerebellar cortex'
    >>> [t.curie for t in find_location("crus I", mouse=True).terms]
    ['UBERON:0005976', 'MBA:1056']
    >>> find_location("Red nucleus (UBERON:0001947)", mouse=False).terms[0].name
    'Red nucleus'
    """
    alone, named = _ALONE.fullmatch(text), _NAMED.fullmatch(text)
    if alone:
        place = _by_curie(alone[1], alone[2])
        return Location(place.name, place.terms(mouse=mouse), place.layer) if place else None
    if named:
        place = _by_curie(named[2], named[3])
        given = _term(named[2].upper(), named[3], named["name"])
        terms = place.terms(mouse=mouse) if place else (given,)
        return Location(named["name"], terms, place.layer if place else "")
    place = _by_name(text)
    if place is None:
        return Location(text)
    # The archive's inspector compares with the atlas's own spelling.
    spelling = place.name if text.lower() == place.name.lower() else text
    return Location(spelling, place.terms(mouse=mouse), place.layer)


def find_layer(text: str) -> Layer | None:
    """Find the layer that a word, an acronym or a term of UBERON or MBA names; `None` where it names none.

    Examples
    --------
    >>> find_layer("granular").label, find_layer("MBA:1144").label, find_layer("layer 5")
    ('GCL', 'ML', None)
    """
    alone = _ALONE.fullmatch(text)
    place = _by_curie(alone[1], alone[2]) if alone else None
    return layer_of(place.layer if place and place.layer else text)


def layer_terms(layer: str, *, mouse: bool) -> tuple[Term, ...]:
    """Return the terms of a layer of the cerebellar cortex, by its label.

    Examples
    --------
    >>> [t.curie for t in layer_terms("GCL", mouse=True)]
    ['UBERON:0002956', 'MBA:1143']
    """
    return next((p.terms(mouse=mouse) for p in PLACES if p.layer == layer and p.acronym.startswith("CBX")), ())


def uri_of(curie: str) -> str:
    """Address of a term of the Allen atlas, or of an OBO ontology.

    Examples
    --------
    >>> uri_of("UBERON:0002129")
    'http://purl.obolibrary.org/obo/UBERON_0002129'
    """
    prefix, _, number = curie.partition(":")
    return f"{_ALLEN}{number}" if prefix == "MBA" else f"{_OBO}{prefix}_{number}"


def _term(ontology: str, number: str, name: str) -> Term:
    curie = f"{ontology}:{number}"
    return Term(curie, name, uri_of(curie))


def _by_curie(ontology: str, number: str) -> Place | None:
    for place in PLACES:
        if (ontology.upper() == "UBERON" and place.uberon == number) or (
            ontology.upper() == "MBA" and place.mba == int(number)
        ):
            return place
    return None


def _by_name(text: str) -> Place | None:
    """Find a place by name whatever the case, or by acronym in the atlas's capitals; a side may be named, too."""
    bare = re.sub(r"^(left|right|ipsilateral|contralateral)\s+|[\s,]+(left|right|l|r)$", "", text.strip(), flags=re.I)
    folded = re.sub(r"[\s_]+", " ", bare).casefold()
    for place in PLACES:
        names = {place.name.casefold(), place.uberon_label.casefold(), *(s.casefold() for s in place.synonyms)} - {""}
        if folded in names or (place.acronym and bare == place.acronym):
            return place
    return None
