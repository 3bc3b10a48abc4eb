"""The species that a file means, however it writes it."""

from __future__ import annotations

import re

from nwb_celltype.quality.words import UNSTATED, plain

# Names of each species as files write them: binomials, English names, NCBI taxon numbers.
_SPECIES = {
    "mouse": re.compile(r"\b(mus musculus|m\. ?musculus|mouse|mice)\b|(taxon|txid)[_: ]*10090\b"),
    "rat": re.compile(r"\b(rattus|r\. ?norvegicus|rats?)\b|(taxon|txid)[_: ]*10116\b"),
    "human": re.compile(r"\b(homo sapiens|h\. ?sapiens|humans?)\b|(taxon|txid)[_: ]*9606\b"),
    "macaque": re.compile(
        r"\b(macaca|m\. ?(mulatta|fascicularis|nemestrina|fuscata)|macaques?|rhesus|cynomolgus)\b"
        r"|(taxon|txid)[_: ]*(9541|9542|9544|9545|9548)\b"
    ),
}
# These contain the name of a species that they are not.
_OTHER_SPECIES = re.compile(
    r"non[ -]?human|mole[ -]?rats?|mouse[ -]?(lemur|opossum)s?|(kangaroo|sand|cotton|wood|pack|bamboo)[ -]rats?|"
    r"(deer|spiny|harvest|grasshopper|singing|wood|field|striped|pocket)[ -](mouse|mice)"
)


def species_of(text: str) -> str:
    """Common name of a species as NWB files write it; empty if unstated, the text itself if it is another or several.

    Examples
    --------
    >>> species_of("http://purl.obolibrary.org/obo/NCBITaxon_10090"), species_of("Macaca mulatta"), species_of("")
    ('mouse', 'macaque', '')
    """
    lowered = plain(text)
    if lowered in UNSTATED:
        return ""
    searched = _OTHER_SPECIES.sub(" ", lowered)
    named = [name for name, pattern in _SPECIES.items() if pattern.search(searched)]
    return named[0] if len(named) == 1 else text.strip()
