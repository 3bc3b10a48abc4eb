"""Every problem at once, before anything is sent."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
import yaml

from nwb_celltype.errors import InputError, RefusedError
from nwb_celltype.licences import licence_sentence, spdx_of, why_refused
from nwb_celltype.nwb_io.session_copies import read_session_copy
from nwb_celltype.publishing.dandiset_metadata import TEMPLATE, find_problems, with_options
from nwb_celltype.publishing.preflight import Preflight, check_folder

from ..archive_double import DandiDouble
from ..nwb_io.files import plain
from .conftest import Publish
from .files import DRAFT, FIRST, SECOND, change, edit, write_draft


def check(folder: Path) -> Preflight:
    return check_folder(folder, accept_model_licence=False, progress=lambda *_: None)


def told(folder: Path) -> dict[str, str]:
    """Problems by where they are, several in one place together."""
    found: dict[str, str] = {}
    for problem in check(folder).problems:
        found[problem.where] = f"{found.get(problem.where, '')}{problem.text}\n"
    return found


def test_all_problems_of_all_files_and_of_the_dandiset_at_once(
    folder: Path, archive: DandiDouble, send: Publish
) -> None:
    shutil.move(folder / "sub-m2", folder / "sub-other")  # name and folder disagree
    plain(folder / "sub-m1" / "sub-m1_ses-b_ecephys.nwb")  # no subject
    shutil.copy(folder / FIRST, folder / "sub-m1" / "sub-m1_ses-a_desc-again_ecephys.nwb")
    (folder / "sub-m1" / "broken.nwb").write_bytes(b"no HDF5")
    write_draft(folder, description=None, license=["CC-BY-NC-4.0"], contributor=[{"name": "Jane Doe"}])
    with pytest.raises(RefusedError) as raised:
        send(dandiset="new")
    text = str(raised.value)
    assert "nothing was sent" in text
    for part in (
        "sub-other/sub-m2_ses-a_desc-celltype_ecephys.nwb: its name and its folder name different subjects",
        "sub-m1/sub-m1_ses-b_ecephys.nwb: Subject is missing",
        "byte for byte",
        "sub-m1/broken.nwb: cannot be read",
        "dandiset: has no `description`",
        "dandiset: `license` says 'CC-BY-NC-4.0'",
        "must be written 'Last, First'",
        "dcite:ContactPerson",
    ):
        assert part in text
    assert {entry.method for entry in archive.log} == {"GET"}


@pytest.mark.usefixtures("_unchecked")
def test_the_folder_s_subject_is_the_file_s(folder: Path) -> None:
    (folder / "sub-x").mkdir()
    shutil.move(folder / FIRST, folder / "sub-x" / "sub-x_ses-a_ecephys.nwb")
    assert "its folder says subject 'x', the file itself 'm1'" in told(folder)["sub-x/sub-x_ses-a_ecephys.nwb"]


@pytest.mark.usefixtures("_unchecked")
def test_a_cleaned_label_is_the_same_subject(folder: Path) -> None:
    edit(folder / FIRST, **{"general/subject/subject_id": "m_1"})
    (folder / "sub-m-1").mkdir()
    shutil.move(folder / FIRST, folder / "sub-m-1" / "sub-m-1_ses-a_ecephys.nwb")
    assert not check(folder).problems


def test_layout(folder: Path) -> None:
    shutil.move(folder / FIRST, folder / "labels.nwb")
    text = told(folder)["labels.nwb"]
    assert "its name must be sub-<label>" in text
    assert "exactly one folder deep" in text


@pytest.mark.usefixtures("_unchecked")
def test_external_links(folder: Path) -> None:
    with h5py.File(folder / FIRST, "r+") as file:
        file["scratch/elsewhere"] = h5py.ExternalLink("other.nwb", "/data")
    assert "links to data in other files" in told(folder)[FIRST]


@pytest.mark.usefixtures("_unchecked")
def test_species(folder: Path) -> None:
    edit(folder / FIRST, **{"general/subject/species": "Nullus imaginarius"})
    assert "Cannot interpret species field: Nullus imaginarius" in told(folder)[FIRST]


def test_leftovers(folder: Path) -> None:
    (folder / "sub-m1" / ".x.nwb.1-00000000.nwb-celltype-partial").touch()
    lock = folder / "sub-m1" / ".x.nwb.nwb-celltype-lock"
    lock.touch()
    (folder / "units.parquet").touch()
    (folder / "readme.txt").touch()
    assert list(told(folder)) == ["sub-m1/.x.nwb.1-00000000.nwb-celltype-partial"]
    assert any("not sent: readme.txt." in remark for remark in check(folder).remarks)
    with lock.open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert "another process is writing" in told(folder)["sub-m1/.x.nwb.nwb-celltype-lock"]


@pytest.mark.usefixtures("_unchecked")
def test_names_that_differ_in_case(folder: Path) -> None:
    shutil.copytree(folder / "sub-m1", folder / "sub-M1")
    assert any("upper and lower case" in problem.text for problem in check(folder).problems)


@pytest.mark.usefixtures("_unchecked")
@pytest.mark.parametrize("place", ["general/notes", "general/licence", "general/data_collection"])
def test_a_source_s_licence_in_the_file(folder: Path, place: str) -> None:
    edit(folder / FIRST, **{place: "From the C4 database, licence CC BY-NC-SA 4.0: not for commercial use."})
    [problem] = [problem for problem in check(folder).problems if problem.kind == "licence"]
    assert problem.where == FIRST
    assert f"/{place} says" in problem.text


def test_c4_files_are_known_by_their_notes(folder: Path) -> None:
    from nwb_celltype.converters.c4.layout import LICENCE_SENTENCE

    assert why_refused(LICENCE_SENTENCE) == "non-commercial"


@pytest.mark.usefixtures("_unchecked")
def test_no_labels_is_a_remark(folder: Path) -> None:
    with h5py.File(folder / FIRST, "r+") as file:
        del file["processing/ecephys/cell_type_annotations"]
    assert any("no annotation run" in remark for remark in check(folder).remarks)


def test_a_remark_on_many_files_is_one_remark(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nwb_celltype.publishing import preflight

    monkeypatch.setattr(preflight, "_findings", lambda local, known: [(False, "could be better")])
    assert f"2 files ({FIRST}, ...): could be better" in check(folder).remarks


def test_a_validator_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(asset: object) -> list[object]:
        message = "stumbled"
        raise KeyError(message)

    change(folder / FIRST)
    monkeypatch.setattr("dandi.files.NWBAsset.get_validation_errors", fail)
    assert told(folder) == {FIRST: "cannot be validated: KeyError: 'stumbled'.\n"}


def test_a_link_to_a_folder_above_is_not_followed(folder: Path) -> None:
    (folder / "sub-m1" / "round").symlink_to(folder)
    assert len(check(folder).files) == 2


def test_an_empty_folder(tmp_path: Path) -> None:
    assert "holds no NWB files" in told(tmp_path)["dandiset"]


def test_what_was_checked_is_not_checked_again_until_it_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dandi.files import NWBAsset

    asked: list[str] = []

    def counted(self: NWBAsset) -> list[object]:
        asked.append(self.path)
        return []

    monkeypatch.setattr(NWBAsset, "get_validation_errors", counted)
    check(folder)
    assert not asked
    change(folder / SECOND)
    check(folder)
    assert asked == [SECOND]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda d: d.pop("name"), "has no `name`"),
        (lambda d: d.update(name="x" * 151), "151 characters"),
        (lambda d: d.update(description="x" * 10_001), "10001 characters"),
        (lambda d: d.pop("license"), "has no `license`"),
        (lambda d: d.update(license=["spdx:MIT"]), "takes CC-BY-4.0 or CC0-1.0 only"),
        (lambda d: d.pop("contributor"), "--contact"),
        (lambda d: d["contributor"][0].pop("email"), "has no e-mail address"),
        (lambda d: d["contributor"][0].update(name="Jane Doe"), "'Last, First'"),
        (lambda d: d.update(relatedResource=[{"relation": "nonsense"}]), "relatedResource"),
    ],
)
def test_dandiset_metadata(change: Callable[[dict[str, object]], object], part: str) -> None:
    metadata = yaml.safe_load(yaml.safe_dump(DRAFT))
    assert not find_problems(metadata)
    change(metadata)
    [problem] = find_problems(metadata)
    assert part in problem.text


def test_the_template_is_complete() -> None:
    metadata = yaml.safe_load(TEMPLATE.replace("...", "x"))
    assert not find_problems(with_options(metadata, name=None, description=None, licence=None, contact=None))


def test_options_stand_for_the_file(folder: Path, archive: DandiDouble, send: Publish) -> None:
    (folder / "dandiset.yaml").unlink()
    with pytest.raises(InputError, match="write it like this"):
        send(dandiset="new")
    send(dandiset="new", name="N", description="D", licence="CC0", contact="Doe, Jane <jane@example.org>")
    assert archive.dandiset("000001").draft.metadata["license"] == ["spdx:CC0-1.0"]


def test_placeholders_are_no_metadata(folder: Path, send: Publish) -> None:
    write_draft(folder, name="TODO: a name")
    with pytest.raises(InputError, match="has no `name`"):
        send(dandiset="new")


@pytest.mark.parametrize(
    "text", ["CC-BY-4.0", "spdx:CC-BY-4.0", "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"]
)
def test_licences_that_are_taken(text: str) -> None:
    assert spdx_of(text) == "spdx:CC-BY-4.0"
    assert why_refused(text) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("CC-BY-NC-SA-4.0", "non-commercial"),
        ("https://creativecommons.org/licenses/by-nc/4.0/", "non-commercial"),
        ("for non-commercial use", "non-commercial"),
        ("CC BY-ND 4.0", "no derivatives"),
        ("CC-BY-SA-4.0", "share-alike"),
        ("All rights reserved.", "all rights reserved"),
    ],
)
def test_licences_that_forbid_it(text: str, why: str) -> None:
    assert spdx_of(text) is None
    assert why_refused(text) == why


LONG = "Session clock: probe A, all other streams were aligned to it. " * 12


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{LONG}These data may be used under CC BY-NC 4.0. {LONG}", "These data may be used under CC BY-NC 4.0."),
        ("For non-commercial use, dear reader. Licence: CC-BY-NC-SA-4.0.", "Licence: CC-BY-NC-SA-4.0."),
        ("clock: A\nlicence: no derivatives\nrig: 3", "licence: no derivatives"),
        ("Free for all: CC BY 4.0.", "Free for all: CC BY 4.0."),
    ],
)
def test_of_a_long_text_the_sentence_about_the_licence_is_quoted(text: str, sentence: str) -> None:
    assert licence_sentence(text) == sentence
    assert why_refused(licence_sentence(text)) == why_refused(text)


def test_a_long_sentence_is_cut_around_its_licence() -> None:
    text = "licence of the setup " + "word " * 200 + "not for commercial use " + "word " * 200
    quoted = licence_sentence(text)
    assert "not for commercial use" in quoted
    assert quoted.startswith("...")
    assert len(quoted) < 300


@pytest.mark.usefixtures("_unchecked")
def test_a_refusal_quotes_the_licence(folder: Path) -> None:
    edit(folder / FIRST, **{"general/data_collection": f"{LONG}Released under CC BY-NC 4.0."})
    assert "/general/data_collection says: 'Released under CC BY-NC 4.0.'" in told(folder)[FIRST]
    with h5py.File(folder / FIRST) as file:
        assert read_session_copy(file, FIRST).licence == "Released under CC BY-NC 4.0."
