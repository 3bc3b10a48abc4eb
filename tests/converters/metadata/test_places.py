"""Species, places, layers and ranges of channels."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nwb_celltype.converters.metadata import RegionRule, SessionMetadata, channel_regions
from nwb_celltype.converters.metadata.ranges import channel_ranges, depth_range
from nwb_celltype.converters.metadata.species import SPECIES, find_species
from nwb_celltype.converters.metadata.terms import PLACES, find_layer, find_location
from nwb_celltype.quality import is_cerebellar_cortex, species_of

from .recordings import checked, probe

OBO = "http://purl.obolibrary.org/obo/NCBITaxon_"
COMMON = {10090: "mouse", 10116: "rat", 9606: "human"} | dict.fromkeys((9541, 9542, 9544, 9545, 9548), "macaque")


@pytest.mark.parametrize("species", SPECIES, ids=lambda s: s.latin)
def test_every_name_of_a_species(species: Any) -> None:
    genus, epithet = species.latin.split()
    names = [species.latin, species.latin.upper(), f"{genus[0]}. {epithet}", f"NCBITaxon:{species.taxon}"]
    names += [f"http://purl.obolibrary.org/obo/NCBITaxon_{species.taxon}", f"{species.latin} - Its common name"]
    for name in (*names, *species.common):
        assert find_species(name) is species, name
        said = species_of(name)
        if species.taxon in COMMON and said in COMMON.values():
            assert said == COMMON[species.taxon]
    assert species_of(species.latin) == COMMON.get(species.taxon, species.latin)


def test_names_of_species_are_distinct() -> None:
    names = [name for s in SPECIES for name in (*s.common, s.latin)]
    assert len(names) == len(set(names))


def test_dandi_knows_what_is_said_to_be_known() -> None:
    from dandi.metadata.util import species_map

    known = {record.taxon_id for record in species_map}
    for species in SPECIES:
        assert species.in_dandi == (str(species.taxon) in known), species.latin


@pytest.mark.parametrize(
    ("written", "species", "curie"),
    [
        ("mice", "Mus musculus", "NCBITaxon:10090"),
        ("http://purl.obolibrary.org/obo/NCBITaxon_10090", "Mus musculus", "NCBITaxon:10090"),
        ("cynomolgus", "Macaca fascicularis", "NCBITaxon:9541"),
        (f"{OBO}9541", f"{OBO}9541", "NCBITaxon:9541"),
        ("NCBITaxon:12345", f"{OBO}12345", "NCBITaxon:12345"),
        ("Peromyscus leucopus", "Peromyscus leucopus", None),
    ],
)  # fmt: skip
def test_species_in_the_file(written: str, species: str, curie: str | None) -> None:
    meta = checked(**{"Subject.species": written})
    assert meta.subject["species"] == species
    assert (meta.species_term.curie if meta.species_term else None) == curie
    assert re.fullmatch(r"([A-Z][a-z]* [a-z]+)|(http://purl.obolibrary.org/obo/NCBITaxon_\d+)", species)
    unknown_to_dandi = written in ("cynomolgus", "Peromyscus leucopus")
    assert any("DANDI's client" in note for note in meta.notes) == unknown_to_dandi


def test_worms_have_their_own_sexes() -> None:
    meta = checked(**{"Subject.species": "c. elegans", "Subject.sex": "xx"})
    assert meta.subject["sex"] == "XX"


def test_places_have_their_own_ids_and_names() -> None:
    names = [name.casefold() for p in PLACES for name in (p.name, *p.synonyms)]
    assert len(names) == len(set(names))
    ids = [p.mba for p in PLACES if p.mba is not None]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"\d{7}", p.uberon) for p in PLACES if p.uberon)


def test_places_are_the_allen_atlas_own() -> None:
    from nwbinspector._internal_configs._allen_ccf import get_allen_ccf_location_terms

    known = get_allen_ccf_location_terms()
    for place in PLACES:
        if place.mba is not None:
            assert (place.allen or place.name) in known, place.name


def test_places_agree_with_the_annotator() -> None:
    outside = {p.name for p in PLACES if not is_cerebellar_cortex(p.name)}
    assert outside == {
        "Cerebellar nuclei", "Fastigial nucleus", "Interposed nucleus", "Dentate nucleus",
        "White matter of cerebellum",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "location", "curies"),
    [
        ("cerebellar cortex", "Cerebellar cortex", ["UBERON:0002129", "MBA:528"]),
        ("CBX", "CBX", ["UBERON:0002129", "MBA:528"]),
        ("left Crus 1", "left Crus 1", ["UBERON:0005976", "MBA:1056"]),
        ("lobule VI", "lobule VI", ["UBERON:0004080", "MBA:936"]),
        ("MBA:1049", "Flocculus", ["UBERON:0001063", "MBA:1049"]),
        ("https://purl.brain-bican.org/ontology/mbao/MBA_528", "Cerebellar cortex", ["UBERON:0002129", "MBA:528"]),
        ("http://purl.obolibrary.org/obo/UBERON_0002037", "Cerebellum", ["UBERON:0002037", "MBA:512"]),
        ("Brain (UBERON:0000955)", "Brain", ["UBERON:0000955"]),
        ("my lobule [uberon:0004080]", "my lobule", ["UBERON:0004080", "MBA:936"]),
        ("VISp", "VISp", []),
    ],
)
def test_locations(text: str, location: str, curies: list[str]) -> None:
    place = find_location(text, mouse=True)
    assert place is not None
    assert place.text == location
    assert [term.curie for term in place.terms] == curies
    monkey = find_location(text, mouse=False)
    assert monkey is not None
    assert [t.curie for t in monkey.terms] == [c for c in curies if c.startswith("UBERON")]


def test_layers() -> None:
    words = {"granular": "GCL", "GrC_layer": "GCL", "UBERON:0002974": "ML", "MBA:1145": "PCL", "molecular layer": "ML"}
    for word, label in words.items():
        layer = find_layer(word)
        assert layer is not None
        assert layer.label == label
    assert find_layer("5") is None


def test_a_place_that_is_a_layer() -> None:
    (rule,) = checked(**{"Ecephys.imec0": {"location": "UBERON:0002956"}, "Layers": {}}).regions["imec0"]
    assert (rule.location, rule.layer) == ("Cerebellar cortex, granular layer", "GCL")
    assert [t.curie for t in rule.terms] == ["UBERON:0002956", "MBA:1143"]


@pytest.mark.parametrize(
    ("value", "ranges"),
    [
        ("0-95", [(0, 95)]), ("0 to 95", [(0, 95)]), ([0, 95], [(0, 95)]), (7, [(7, 7)]), ("7", [(7, 7)]),
        ("0-3, 8-9", [(0, 3), (8, 9)]), (["0-3", [8, 9], 12], [(0, 3), (8, 9), (12, 12)]),
        ([3, 1, 2, 9], [(1, 3), (9, 9)]),
        ([], None), ("", None), ("a-b", None), ([5, 1], None), ("-1", None), ([1.5, 2], None), (True, None),
        ([[1, 2, 3]], None), ([[[1, 2], [3, 4]], 5], None), ({"a": 1}, None), (10**9, None),
    ],
)  # fmt: skip
def test_channels(value: Any, ranges: Any) -> None:
    assert channel_ranges(value) == ranges


@pytest.mark.parametrize(
    ("value", "ends"),
    [
        ([0, 100], (0, 100)), ("0-100", (0, 100)), ("960 - 1300 um", (960, 1300)), ([None, 5], (None, 5)),
        ("500-", (500, None)), ([5, 5], None), ([None, None], None), ("-", None), ([1], None), (["a", 5], None),
        ([-20, 5.5], (-20, 5.5)), ([float("nan"), 5], None), (7, None),
    ],
)  # fmt: skip
def test_depths(value: Any, ends: Any) -> None:
    assert depth_range(value) == ends


def test_regions_of_channels() -> None:
    rules = [{"channels": "0-3", "layer": "granular"}, {"depth_um": [100, None], "layer": "ML", "location": "Crus 1"}]
    regions = channel_regions(checked(**{"Layers.imec0": rules}), probe())
    assert regions.location == ("Cerebellar cortex",) * 10 + ("Crus 1",) * 10
    assert regions.layer == ("GCL",) * 4 + ("",) * 6 + ("ML",) * 10
    assert [t.curie for t in regions.terms[0]] == ["UBERON:0002129", "MBA:528", "UBERON:0002956", "MBA:1143"]
    assert [t.curie for t in regions.terms[4]] == ["UBERON:0002129", "MBA:528"]
    assert [t.curie for t in regions.terms[19]] == ["UBERON:0005976", "MBA:1056", "UBERON:0002974", "MBA:1144"]


def test_channels_without_a_place_are_unknown() -> None:
    meta = checked(**{"Ecephys": {}, "Layers.imec0": [{"channels": [0, 3], "location": "CBX"}]})
    regions = channel_regions(meta, probe())
    assert regions.location == ("CBX",) * 4 + ("unknown",) * 16
    assert channel_regions(meta, probe("imec1", 2)).location == ("unknown", "unknown")


def test_positions_that_are_unknown_match_no_depth() -> None:
    blind = probe()
    blind.positions_um[:] = np.nan
    meta = checked(**{"Layers.imec0": [{"depth_um": [None, 50], "layer": "ML"}]})
    assert set(channel_regions(meta, blind).layer) == {""}


def test_layers_outside_the_cerebellum_are_kept() -> None:
    meta = checked(**{"Ecephys.imec0": {"location": "VISp"}, "Layers.imec0": [{"channels": "0-3", "layer": "layer 5"}]})
    assert meta.regions["imec0"][1].layer == "layer 5"
    assert any("kept as written" in note for note in meta.notes)


def test_regions_of_the_source_count_where_the_metadata_say_nothing() -> None:
    source = replace(probe("imec0", 3), columns={"brain_region": np.array(["CA1", "", "CA1"], dtype=object)})
    assert channel_regions(SessionMetadata({}, {}), source).location == ("CA1", "unknown", "CA1")
    rule = RegionRule("Subiculum", first_channel=2, last_channel=2)
    stated = SessionMetadata({}, {}, regions={"imec0": (rule,)})
    assert channel_regions(stated, source).location == ("CA1", "unknown", "Subiculum")
