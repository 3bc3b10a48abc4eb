"""The checked-in catalogue."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib import resources
from pathlib import Path

import pytest
import yaml

from nwb_celltype.archive.addresses import parse_address
from nwb_celltype.archive.catalogue import CatalogueEntry, catalogue_entry, read_catalogue
from nwb_celltype.archive.keywords import (
    DANDISET_KEYWORDS,
    class_keyword,
    classes_in,
    count_keyword,
    counts_in,
    source_keyword,
    sources_in,
)
from nwb_celltype.quality import species_of

LAYOUTS = {"", "none", "recorded", "samples", "samples_channels", "channels_samples"}


def test_no_dandiset_is_there_twice_and_no_key_is_misspelt() -> None:
    rows = yaml.safe_load(resources.files("nwb_celltype.archive").joinpath("catalogue.yaml").read_text("utf-8"))
    names = {one.name for one in fields(CatalogueEntry)}
    assert all(set(row) <= names for row in rows)
    assert len({row["dandiset"] for row in rows}) == len(rows) == len(read_catalogue())


@pytest.mark.parametrize("entry", read_catalogue(), ids=lambda entry: entry.dandiset)
def test_every_entry_can_be_used(entry: CatalogueEntry) -> None:
    assert parse_address(entry.address.text, instance="dandi") == entry.address
    assert entry.title
    assert entry.waveform_layout in LAYOUTS
    assert all(species_of(name) == name for name in entry.species.split(", "))
    assert entry.licence in {"", "CC-BY-4.0", "CC0-1.0"}, "the archive takes no other"
    # A DOI is of a version: one cannot be recorded without the other.
    assert not entry.doi or entry.doi == f"10.48324/dandi.{entry.dandiset}/{entry.version}"
    assert not re.search(r"\s{2}|\?", entry.note)


def test_an_entry_is_found() -> None:
    entry = catalogue_entry("000409")
    assert entry is not None
    assert (entry.glob, entry.region_column, entry.licence) == ("*desc-processed*", "location", "CC-BY-4.0")
    assert entry.version == "0.260309.1324"
    assert catalogue_entry("000000") is None


def test_it_is_part_of_what_is_installed() -> None:
    import nwb_celltype

    assert (Path(nwb_celltype.__file__).parent / "archive" / "catalogue.yaml").is_file()


def test_keywords_come_back() -> None:
    words = [*DANDISET_KEYWORDS, class_keyword("MLI"), source_keyword("expert"), count_keyword("MLI", 3), "MLI"]
    assert classes_in(words) == ("MLI",)
    assert sources_in(words) == ("expert",)
    assert counts_in([*words, count_keyword("wide interneuron", 4), "units labelled: many MLI"]) == {
        "MLI": 3,
        "wide interneuron": 4,
    }
    assert classes_in([]) == sources_in(["label source: "]) == ()
