"""Colours are told apart by all eyes, on white and on dark, and are the same everywhere."""

from __future__ import annotations

from itertools import combinations

import pytest

from nwb_celltype.colours import GREY, SERIES, colour_of, colours_of, contrast, difference
from nwb_celltype.errors import UsageError
from nwb_celltype.taxonomy import CEREBELLUM, FOREBRAIN, UNCLASSIFIED

WHITE, DARK = "#ffffff", "#101010"


def smallest(labels: tuple[str, ...]) -> float:
    colours = [colour_of(label) for label in (*labels, UNCLASSIFIED)]
    return min(difference(a, b) for a, b in combinations(colours, 2))


@pytest.mark.parametrize(
    ("labels", "least"),
    [(CEREBELLUM.labels[:6], 0.095), (FOREBRAIN.labels[:9], 0.085), (FOREBRAIN.labels, 0.05)],
    ids=["cerebellum", "forebrain, first nine", "forebrain"],
)
def test_classes_of_a_taxonomy_are_told_apart_by_all_eyes(labels: tuple[str, ...], least: float) -> None:
    assert smallest(labels) >= least


@pytest.mark.parametrize("label", [*CEREBELLUM.labels, *FOREBRAIN.labels, UNCLASSIFIED, "ON", "OFF", "other"])
def test_colours_show_on_white_and_on_dark(label: str) -> None:
    assert contrast(colour_of(label), WHITE) >= 3
    assert contrast(colour_of(label), DARK) >= 3


def test_every_class_of_the_taxonomies_has_a_colour_of_its_own() -> None:
    for taxonomy in (CEREBELLUM, FOREBRAIN):
        assert len({colour_of(label) for label in taxonomy.labels}) == len(taxonomy.labels)
        assert GREY not in {colour_of(label) for label in taxonomy.labels}


def test_other_names_keep_apart_and_do_not_depend_on_their_order() -> None:
    names = [f"type {k}" for k in range(12)]
    forth, back = colours_of(["MLI", *names]), colours_of([*names[::-1], "MLI"])
    assert forth == back
    assert forth["MLI"] == colour_of("MLI")
    assert min(difference(a, b) for a, b in combinations(forth.values(), 2)) >= 0.05


def test_a_name_alone_has_one_colour_on_every_machine() -> None:
    assert (colour_of("ON"), colour_of("OFF"), colour_of("")) == ("#843ccc", "#546c18", GREY)


def test_red_and_green_of_one_lightness_are_no_pair() -> None:
    assert difference("#d05050", "#508050") < difference(*SERIES[:2])


def test_a_text_that_is_no_colour() -> None:
    with pytest.raises(UsageError, match="'red' is no colour"):
        contrast("red", WHITE)
