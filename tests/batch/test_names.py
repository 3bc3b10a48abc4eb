"""Names of the files of labels."""

from __future__ import annotations

import re

from nwb_celltype.batch.names import Session, name_files

# what the archive takes
DANDI_NAME = re.compile(r"sub-[A-Za-z0-9+-]+/sub-[A-Za-z0-9+-]+(_ses-[A-Za-z0-9+-]+)?_desc-[A-Za-z0-9]+_ecephys\.nwb")


def names(*sessions: Session, kept: dict[str, str] | None = None) -> dict[str, str]:
    found = name_files(sessions, kept)
    assert all(DANDI_NAME.fullmatch(name) for name in found.values()), found
    assert len({name.lower() for name in found.values()}) == len(sessions)
    return found


def test_subject_and_session_make_the_name() -> None:
    found = names(Session("a", "x/y.nwb", "Mouse_1", "2024-05-01 a"), Session("b", "z.nwb", "Mouse_2"))
    assert found["a"] == "sub-Mouse-1/sub-Mouse-1_ses-2024-05-01-a_desc-celltype_ecephys.nwb"
    assert found["b"] == "sub-Mouse-2/sub-Mouse-2_desc-celltype_ecephys.nwb"


def test_what_a_file_does_not_state_is_taken_from_its_name() -> None:
    found = names(Session("a", "sub-M7/sub-M7_ses-s9_ecephys.nwb"))
    assert found["a"] == "sub-M7/sub-M7_ses-s9_desc-celltype_ecephys.nwb"


def test_assets_of_one_session_are_told_apart_by_the_rest_of_their_names() -> None:
    one = "sub-A/sub-A_ses-1_desc-processed_behavior+ecephys.nwb"
    two = "sub-A/sub-A_ses-1_desc-raw_ecephys.nwb"
    first = names(Session("1", one, "A", "1"), Session("2", two, "A", "1"))
    assert first == {
        "1": "sub-A/sub-A_ses-1_desc-celltypeprocessed_ecephys.nwb",
        "2": "sub-A/sub-A_ses-1_desc-celltyperaw_ecephys.nwb",
    }
    assert names(Session("2", two, "A", "1"), Session("1", one, "A", "1")) == first  # whatever the order


def test_the_modality_tells_apart_what_nothing_else_does() -> None:
    paths = ("sub-A/sub-A_ses-1_ecephys.nwb", "sub-A/sub-A_ses-1_behavior+ecephys.nwb", "sub-A/sub-A_ses-1_icephys.nwb")
    found = names(*(Session(path, path, "A", "1") for path in paths))
    tags = [name.partition("celltype")[2] for name in found.values()]
    assert tags == ["ecephys_ecephys.nwb", "behaviorecephys_ecephys.nwb", "icephys_ecephys.nwb"]


def test_a_name_does_not_depend_on_what_else_is_named() -> None:
    words = ("desc-raw_ecephys", "desc-processed_ecephys", "ecephys", "probe1_ecephys", "probe-1_ecephys")
    listed = [Session(word, f"sub-A/sub-A_ses-1_{word}.nwb") for word in words]
    together = names(*listed)
    for each in listed:
        assert name_files([each], others=listed) == {each.source: together[each.source]}
        seen = Session(each.source, each.path, "A", "1")  # opened, it states what its name says
        assert name_files([seen], others=listed) == {each.source: together[each.source]}
    kept = {words[0]: "sub-A/sub-A_ses-1_desc-celltype_ecephys.nwb"}
    assert name_files(listed, kept)[words[0]] == kept[words[0]]


def test_names_that_differ_in_capitals_alone_are_one_name() -> None:
    found = names(Session("1", "p/x.nwb", "a", "1"), Session("2", "q/x.nwb", "A", "1"))
    assert found["1"] != found["2"]


def test_a_name_that_is_taken_gets_a_number() -> None:
    kept = {"old": "sub-A/sub-A_ses-1_desc-celltype_ecephys.nwb"}
    found = names(Session("new", "x.nwb", "A", "1"), kept=kept)
    assert found["new"] == "sub-A/sub-A_ses-1_desc-celltypex2_ecephys.nwb"


def test_a_kept_name_stays() -> None:
    kept = {"a": "sub-A/sub-A_ses-1_desc-celltype_ecephys.nwb"}
    assert names(Session("a", "x.nwb", "A", "1"), kept=kept)["a"] == kept["a"]


def test_nameless_subjects_are_told_apart() -> None:
    found = names(Session("a", "one.nwb"), Session("b", "two.nwb"))
    assert found == {
        "a": "sub-unknown/sub-unknown_desc-celltypeone_ecephys.nwb",
        "b": "sub-unknown/sub-unknown_desc-celltypetwo_ecephys.nwb",
    }
