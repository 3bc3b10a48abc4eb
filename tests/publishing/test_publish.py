"""A folder of labels goes to the archive once, with where the labels come from, and to a version only when asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nwb_celltype.errors import InputError, NothingToDoError, RefusedError, UsageError
from nwb_celltype.publishing import publish

from ..archive_double import DandiDouble
from .conftest import Publish, draft_of
from .files import FIRST, SECOND, change, edit, write_draft

pytestmark = pytest.mark.usefixtures("_unchecked")


def test_a_folder_becomes_a_dandiset(folder: Path, archive: DandiDouble, send: Publish) -> None:
    done = send(dandiset="new")
    assert (done.dandiset, done.version, done.status) == ("000001", "draft", "Valid")
    assert [(file.path, file.state) for file in done.files] == [(FIRST, "new"), (SECOND, "new")]
    assert archive.blob(FIRST) == (folder / FIRST).read_bytes()
    assert done.files[0].asset_id == archive.asset("000001", FIRST).asset_id
    assert done.url.startswith(archive.url)
    assert json.loads(json.dumps(done.to_json()))["files"][1]["path"] == SECOND
    text = (folder / "dandiset.yaml").read_text()
    assert text.startswith('identifier: "000001"\n# ours\n')
    assert archive.token not in json.dumps(done.to_json()) + text


def test_the_dandi_client_finds_the_folder_s_dandiset(folder: Path, send: Publish) -> None:
    from dandi.dandiset import Dandiset

    send(dandiset="new")
    assert Dandiset(folder).identifier == "000001"


def test_a_second_call_sends_nothing(archive: DandiDouble, send: Publish) -> None:
    send(dandiset="new")
    n_before = len(archive.log)
    again = send(dandiset="new")
    assert {file.state for file in again.files} == {"unchanged"}
    assert again.dandiset == "000001"
    assert any("goes on there" in remark for remark in again.remarks)
    assert {entry.method for entry in archive.log[n_before:]} == {"GET"}


def test_what_changed_is_replaced_and_the_rest_left(folder: Path, archive: DandiDouble, send: Publish) -> None:
    send(dandiset="new")
    change(folder / FIRST)
    n_before = len(archive.requests("s3", "PUT"))
    again = send(dandiset="000001")
    assert [file.state for file in again.files] == ["replaced", "unchanged"]
    assert archive.blob(FIRST) == (folder / FIRST).read_bytes()
    assert len(archive.requests("s3", "PUT")) == n_before + 1


def test_metadata_alone_are_changed_without_sending_bytes(archive: DandiDouble, send: Publish) -> None:
    send(dandiset="new")
    asset = archive.asset("000001", FIRST)
    asset.metadata["keywords"] = ["mine", "cell type: XYZ"]
    asset.metadata["studyTarget"] = ["mine too"]
    n_before = len(archive.requests("s3"))
    again = send(dandiset="000001")
    assert [file.state for file in again.files] == ["described", "unchanged"]
    assert len(archive.requests("s3")) == n_before
    now = archive.asset("000001", FIRST).metadata
    assert "mine" in now["keywords"]
    assert "cell type labels" in now["keywords"]
    assert "cell type: XYZ" not in now["keywords"]
    assert now["studyTarget"] == ["mine too"]


def test_a_version_only_when_asked_and_only_once(archive: DandiDouble, send: Publish) -> None:
    assert send(dandiset="new").version == "draft"
    assert list(archive.dandiset("000001").versions) == ["draft"]
    done = send(dandiset="new", publish_version=True)
    assert done.version in archive.dandiset("000001").versions
    assert done.url.endswith(done.version)
    with pytest.raises(NothingToDoError, match="Nothing changed in dandiset 000001"):
        send(dandiset="new", publish_version=True)
    assert len(archive.dandiset("000001").versions) == 2


def test_a_dry_run_sends_nothing_and_says_what_would_be_sent(
    folder: Path, archive: DandiDouble, send: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(archive.token_variable)
    plan = send(dandiset="new", dry_run=True)
    assert plan.is_dry_run
    assert plan.count("new") == 2
    assert not plan.problems
    [remark] = [remark for remark in plan.remarks if "No token" in remark]
    assert f"env '{archive.token_variable}=...'" in remark  # a shell cannot export a name with dashes or dots
    assert {entry.method for entry in archive.log} == {"GET"}
    assert "identifier" not in (folder / "dandiset.yaml").read_text()


def test_a_dry_run_compares_with_the_archive(folder: Path, archive: DandiDouble, send: Publish) -> None:
    send(dandiset="new")
    third = folder / "sub-m3" / "sub-m3_ses-a_ecephys.nwb"
    third.parent.mkdir()
    shutil.copy(folder / FIRST, third)
    edit(third, **{"general/subject/subject_id": "m3"})
    change(folder / FIRST)
    assert [file.state for file in send(dandiset="000001", dry_run=True).files] == ["replaced", "unchanged", "new"]


def test_a_dry_run_without_a_server_still_checks(folder: Path) -> None:
    plan = publish(folder, dandiset="new", instance="http://127.0.0.1:9", dry_run=True)
    assert plan.count("new") == 2
    assert any("Not compared with the archive" in remark for remark in plan.remarks)


def test_a_dry_run_without_a_server_names_the_archive(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANDI_INSTANCE", "http://127.0.0.1:9")
    assert publish(folder, dandiset="new", dry_run=True).instance == "http://127.0.0.1:9"


def test_a_dry_run_without_a_server_knows_nothing_of_a_named_dandiset(folder: Path) -> None:
    (folder / "dandiset.yaml").unlink()
    plan = publish(folder, dandiset="000409", instance="http://127.0.0.1:9", dry_run=True)
    assert (plan.dandiset, plan.problems) == ("000409", ())


def test_a_missing_token_is_named_and_nobody_is_asked(
    archive: DandiDouble, send: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(archive.token_variable)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    with pytest.raises(UsageError, match=archive.token_variable):
        send(dandiset="new")


def test_an_existing_dandiset_keeps_what_others_wrote(folder: Path, archive: DandiDouble, send: Publish) -> None:
    theirs = archive.add_dandiset(
        name="Theirs", metadata={"keywords": ["theirs"], "studyTarget": ["x"], "acknowledgement": "We thank."}
    )
    write_draft(folder, name=None, description="Ours", license=None, contributor=None)
    done = send(dandiset=theirs)
    now = draft_of(archive, theirs)
    assert now["name"] == "Theirs"
    assert now["description"] == "Recordings for tests."
    assert {"theirs", "cerebellum", "nwb-celltype"} <= set(now["keywords"])
    assert now["studyTarget"] == ["x"]
    assert now["acknowledgement"].startswith("We thank.\n\nCell-type annotation (nwb-celltype): ")
    assert any("another 'description'" in remark for remark in done.remarks)
    send(dandiset=theirs, description="Forced")
    assert draft_of(archive, theirs)["description"] == "Forced"


def test_what_we_wrote_last_time_may_be_changed_here(folder: Path, archive: DandiDouble, send: Publish) -> None:
    send(dandiset="new")
    write_draft(folder, identifier="000001", description="Better words.")
    send(dandiset="new")
    assert draft_of(archive)["description"] == "Better words."


def test_what_an_option_said_is_not_undone_without_it(folder: Path, archive: DandiDouble, send: Publish) -> None:
    contact = "Roe, Richard <roe@example.org>"
    send(dandiset="new", name="By option", description="By option too", licence="CC0-1.0", contact=contact)
    for _ in range(2):  # also not by the second call without them
        again = send(dandiset="new")
        now = draft_of(archive)
        assert (now["name"], now["description"], now["license"]) == ("By option", "By option too", ["spdx:CC0-1.0"])
        assert now["contributor"][0]["email"] == "roe@example.org"
        kept = [remark for remark in again.remarks if "an earlier call gave" in remark]
        assert [option for option in ("--name", "--description", "--licence", "--contact") if option in str(kept)] == [
            "--name", "--description", "--licence", "--contact"
        ]  # fmt: skip
    plan = send(dandiset="new", dry_run=True)
    assert len([remark for remark in plan.remarks if "an earlier call gave" in remark]) == 4
    write_draft(folder, identifier="000001", name="Written here since")
    assert not any("--name" in remark for remark in send(dandiset="new").remarks)
    now = draft_of(archive)
    assert (now["name"], now["description"]) == ("Written here since", "By option too")


def test_a_folder_belongs_to_one_dandiset(folder: Path, archive: DandiDouble, send: Publish) -> None:
    other = archive.add_dandiset(name="Other")
    send(dandiset="new")
    with pytest.raises(UsageError, match="belongs to dandiset 000002"):
        send(dandiset=other)


def test_a_downloaded_dandiset_is_not_made_again(folder: Path, archive: DandiDouble, send: Publish) -> None:
    write_draft(folder, identifier="DANDI:000409")
    with pytest.raises(UsageError, match="names dandiset 000409"):
        send(dandiset="new")
    assert not list(folder.glob(".nwb-celltype/*.lock"))


def test_a_refused_call_leaves_nothing_in_the_folder(tmp_path: Path, archive: DandiDouble) -> None:
    write_draft(tmp_path, identifier="DANDI:000409")
    with pytest.raises(UsageError, match="names dandiset 000409"):
        publish(tmp_path, dandiset="new", instance=archive.url)
    assert [file.name for file in tmp_path.iterdir()] == ["dandiset.yaml"]


def test_first_one_archive_then_another(
    folder: Path, archive: DandiDouble, send: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add_dandiset(name="Somebody's")
    assert send(dandiset="new").dandiset == "000002"
    with DandiDouble() as second:
        monkeypatch.setenv(second.token_variable, second.token)
        assert publish(folder, dandiset="new", instance=second.url).dandiset == "000001"
    assert (folder / "dandiset.yaml").read_text().count("identifier") == 1
    assert send(dandiset="new").dandiset == "000002"


def test_not_an_owner(archive: DandiDouble, send: Publish) -> None:
    theirs = archive.add_dandiset(name="Theirs", owner=archive.add_user("else@example.org", "another token"))
    with pytest.raises(RefusedError, match="Only its owners can"):
        send(dandiset=theirs)


@pytest.mark.parametrize("wrong", ["12", "the new one", "0000012"])
def test_what_is_no_dandiset(send: Publish, wrong: str) -> None:
    with pytest.raises(UsageError, match="is no dandiset"):
        send(dandiset=wrong)


def test_a_dandiset_that_is_not_there(send: Publish) -> None:
    with pytest.raises(InputError, match="no dandiset 000999"):
        send(dandiset="000999")


def test_no_version_of_what_is_under_embargo(archive: DandiDouble, send: Publish) -> None:
    hidden = archive.add_dandiset(name="Hidden", embargo=True)
    with pytest.raises(InputError, match="under embargo"):
        send(dandiset=hidden, publish_version=True)
    assert send(dandiset=hidden, max_wait_s=0).count("new") == 2


def test_an_archive_with_an_older_schema(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive runs an older version of the schema than its client, as it often does."""
    with DandiDouble(schema_version="0.7.0") as older:
        monkeypatch.setenv(older.token_variable, older.token)
        assert publish(folder, dandiset="new", instance=older.url, publish_version=True).version != "draft"
        again = publish(folder, dandiset="new", instance=older.url)
        assert ([file.state for file in again.files], again.status) == (["unchanged", "unchanged"], "Published")


def test_a_version_whose_answer_was_lost_is_found(send: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    import requests
    from dandi.dandiapi import RemoteDandiset

    whole = RemoteDandiset.publish

    def lost(self: RemoteDandiset, max_time: float) -> None:
        whole(self, max_time)
        answer = requests.Response()
        answer.status_code, answer._content = 400, b"There have been no changes to the draft version."
        raise requests.HTTPError(response=answer)

    monkeypatch.setattr(RemoteDandiset, "publish", lost)
    assert send(dandiset="new", publish_version=True).version.startswith("0.")


def test_a_dandiset_that_was_deleted_is_made_anew(archive: DandiDouble, send: Publish) -> None:
    send(dandiset="new")
    del archive.state.dandisets["000001"]
    done = send(dandiset="new")
    assert (done.dandiset, done.count("new")) == ("000002", 2)
    assert any("is gone; a new one is made" in remark for remark in done.remarks)
