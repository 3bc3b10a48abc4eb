"""Species by any name that labs write, with the Latin name and the NCBI taxon that archives want."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nwb_celltype.converters.metadata.records import Term

_URI = "http://purl.obolibrary.org/obo/NCBITaxon_"
_TAXON = re.compile(r"(?:https?://purl\.obolibrary\.org/obo/)?(?:ncbi[ _]?taxon|txid|taxon)[_:\s]*(\d{1,9})/?", re.I)
# Latin name in two words, as DANDI's checks want it.
_BINOMIAL = re.compile(r"[A-Z][a-z]+ [a-z]+")
_STRAIN = re.compile(r"c57|balb|\bcd-?1\b|\bcre\b|129s|sprague|wistar|long[ -]evans|lister", re.I)


@dataclass(frozen=True)
class Species:
    """One species: NCBI number, Latin name, common names, and whether DANDI's client knows the Latin name by itself."""

    taxon: int
    latin: str
    common: tuple[str, ...]
    in_dandi: bool = False

    @property
    def term(self) -> Term:
        """Its term in the NCBI taxonomy."""
        return Term(f"NCBITaxon:{self.taxon}", self.latin, f"{_URI}{self.taxon}")


SPECIES = (
    Species(10090, "Mus musculus", ("mouse", "mice", "house mouse", "lab mouse", "laboratory mouse"), True),
    Species(10116, "Rattus norvegicus", ("rat", "rats", "norway rat", "brown rat", "lab rat", "laboratory rat"), True),
    Species(9606, "Homo sapiens", ("human", "humans", "man", "woman", "person"), True),
    Species(
        9544, "Macaca mulatta", ("rhesus", "rhesus macaque", "rhesus monkey", "macaque rhesus", "rhesus macaques"), True
    ),
    Species(
        9541,
        "Macaca fascicularis",
        ("crab-eating macaque", "crab eating macaque", "cynomolgus", "cynomolgus macaque", "cynomolgus monkey",
         "long-tailed macaque", "long tailed macaque", "cyno"),
    ),
    Species(9545, "Macaca nemestrina", ("pig-tailed macaque", "pigtail macaque", "pigtailed macaque"), True),
    Species(9542, "Macaca fuscata", ("japanese macaque", "snow monkey")),
    Species(9548, "Macaca radiata", ("bonnet macaque",), True),
    Species(9483, "Callithrix jacchus", ("marmoset", "common marmoset", "marmosets"), True),
    Species(10047, "Meriones unguiculatus", ("gerbil", "mongolian gerbil"), True),
    Species(7955, "Danio rerio", ("zebrafish", "zebra fish"), True),
    Species(7227, "Drosophila melanogaster", ("fruit fly", "drosophila"), True),
    Species(6239, "Caenorhabditis elegans", ("c. elegans", "roundworm"), True),
    Species(9685, "Felis catus", ("cat", "cats", "domestic cat")),
    Species(9986, "Oryctolagus cuniculus", ("rabbit", "rabbits")),
    Species(10141, "Cavia porcellus", ("guinea pig", "guinea pigs")),
    Species(59729, "Taeniopygia guttata", ("zebra finch", "zebrafinch")),
)  # fmt: skip
"""Species that are recognised; a Latin name that is not here passes too, without a term."""

_AMBIGUOUS = {"monkey", "monkeys", "macaque", "macaques", "macaca", "nhp", "non-human primate", "nonhuman primate"}


def find_species(text: str) -> Species | None:
    """Find a species by common name, Latin name, short Latin name or NCBI taxon; `None` where it is not known.

    Examples
    --------
    >>> find_species("mice").latin, find_species("m. mulatta").latin, find_species("NCBITaxon:10116").latin
    ('Mus musculus', 'Macaca mulatta', 'Rattus norvegicus')
    """
    taxon = taxon_of(text)
    if taxon is not None:
        return next((s for s in SPECIES if s.taxon == taxon), None)
    wanted = re.sub(r"[\s_]+", " ", text).strip().lower()
    for species in SPECIES:
        genus, epithet = species.latin.lower().split(" ")
        short = {f"{genus[0]}. {epithet}", f"{genus[0]}.{epithet}"}
        # The archive itself writes 'Mus musculus - House mouse'.
        if wanted.split(" - ")[0] == f"{genus} {epithet}" or wanted in species.common or wanted in short:
            return species
    return None


def taxon_of(text: str) -> int | None:
    """Number of an NCBI taxon written as CURIE or address; `None` where a text is neither.

    Examples
    --------
    >>> taxon_of("http://purl.obolibrary.org/obo/NCBITaxon_10090"), taxon_of("mouse")
    (10090, None)
    """
    match = _TAXON.fullmatch(text.strip())
    return int(match[1]) if match else None


def taxon_term(taxon: int) -> Term:
    """Term of an NCBI taxon whose name is not known here."""
    return Term(f"NCBITaxon:{taxon}", f"NCBITaxon:{taxon}", f"{_URI}{taxon}")


def is_latin_name(text: str) -> bool:
    """Whether a text has the form of a Latin name in two words.

    Examples
    --------
    >>> is_latin_name("Peromyscus leucopus"), is_latin_name("mouse")
    (True, False)
    """
    return _BINOMIAL.fullmatch(text) is not None


def why_unknown(text: str) -> str:
    """Say why a text names no species, where that can be said; ``""`` otherwise.

    Examples
    --------
    >>> why_unknown("monkey")
    'which monkey is it? Macaca mulatta (rhesus) or Macaca fascicularis (crab-eating), for example'
    """
    if text.strip().lower() in _AMBIGUOUS:
        return "which monkey is it? Macaca mulatta (rhesus) or Macaca fascicularis (crab-eating), for example"
    if _STRAIN.search(text):
        return "that is a strain or a genotype: it goes to Subject.strain or Subject.genotype"
    return ""
