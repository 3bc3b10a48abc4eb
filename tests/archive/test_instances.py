"""Archives, tokens, and the archive's own client told never to ask."""

from __future__ import annotations

import builtins
import logging
import threading
import time
from collections.abc import Iterator

import pytest

from nwb_celltype.archive import instances
from nwb_celltype.archive.instances import (
    Instance,
    archive_errors,
    find_instance,
    open_client,
    read_archive,
    require_token,
    token_of,
)
from nwb_celltype.errors import CellTypeError, InputError, NetworkError, RefusedError, UsageError

from ..archive_double import DandiDouble

NOBODY = Instance("nowhere", "http://127.0.0.1:9/api", "", "NOWHERE_API_KEY")


@pytest.fixture(autouse=True)
def nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        message = "somebody was asked"
        raise AssertionError(message)

    monkeypatch.setattr(builtins, "input", refuse)
    monkeypatch.setattr("getpass.getpass", refuse)
    monkeypatch.setenv("DANDI_NO_ET", "1")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.delenv("DANDI_INSTANCE", raising=False)
    monkeypatch.setattr(instances.time, "sleep", lambda _seconds: None)  # between the tries to reach a server


@pytest.fixture
def archive() -> Iterator[DandiDouble]:
    with DandiDouble() as double:
        yield double


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("dandi", "DANDI_API_KEY"),
        ("Dandi-Sandbox", "DANDI_SANDBOX_API_KEY"),
        ("ember-dandi", "EMBER_DANDI_API_KEY"),
        ("https://api.sandbox.dandiarchive.org/api", "DANDI_SANDBOX_API_KEY"),
        ("https://dandiarchive.org/dandiset/000409", "DANDI_API_KEY"),
    ],
)
def test_known_archives_need_no_request(name: str, variable: str) -> None:
    found = find_instance(name)
    assert found.token_variable == variable
    assert found.api_url.endswith("/api")
    assert find_instance(found.key) == found


def test_the_default_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch, archive: DandiDouble) -> None:
    assert find_instance().name == "dandi"
    monkeypatch.setenv("DANDI_INSTANCE", archive.url)
    assert find_instance().api_url == archive.api_url


def test_an_archive_without_a_name_is_asked_where_it_is(archive: DandiDouble) -> None:
    found = find_instance(f"{archive.url}/api/")
    assert (found.api_url, found.web_url, found.key) == (archive.api_url, archive.url, archive.url)
    assert found.token_variable == archive.token_variable
    archive.stop()
    assert find_instance(archive.url) == found, "it is asked once a process"


@pytest.mark.parametrize("name", ["dandi-staging", "nowhere"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="No archive is called"):
        find_instance(name)


def test_nobody_listening_is_told_soon() -> None:
    started = time.monotonic()
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1:9 .*cannot be reached \(.*refused\)"):
        find_instance("http://127.0.0.1:9")
    with pytest.raises(NetworkError, match="cannot be reached"), open_client(NOBODY):
        pytest.fail("there is no server")
    assert time.monotonic() - started < 5


def test_a_server_that_is_no_archive(archive: DandiDouble) -> None:
    with pytest.raises(NetworkError, match="is no archive"):
        find_instance(archive.s3_endpoint)


def test_a_burst_of_failures_at_the_start_is_waited_for(archive: DandiDouble) -> None:
    fault = archive.faults.status(503, "/api/info/", times=2)
    assert find_instance(archive.url).api_url == archive.api_url
    assert fault.hits == 2


def test_a_token_comes_from_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    one = find_instance("dandi-sandbox")
    monkeypatch.setenv("DANDI_API_KEY", "of-another-archive")
    monkeypatch.delenv(one.token_variable, raising=False)
    assert token_of(one) is None
    with pytest.raises(UsageError, match="DANDI_SANDBOX_API_KEY"):
        require_token(one)
    monkeypatch.setenv(one.token_variable, " mine\n")
    assert token_of(one) == require_token(one) == "mine"


def test_a_name_that_no_shell_exports_is_explained(archive: DandiDouble) -> None:
    with pytest.raises(UsageError, match=r"use env '127\.0\.0\.1:\d+_API_KEY="):
        require_token(find_instance(archive.url))


def test_a_token_comes_from_the_keyring_that_the_archives_client_uses(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyrings.alt.file.PlaintextKeyring")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("keyring")))
    monkeypatch.delenv("LINC_API_KEY", raising=False)
    from dandi.keyring_utils import keyring_save

    keyring_save("dandi-api-linc", "key", "kept")
    assert token_of(find_instance("linc")) == "kept"


def test_a_keyring_that_would_ask_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyrings.alt.file.EncryptedKeyring")
    assert token_of(NOBODY) is None


def test_a_keyring_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring.backends.null

    never = threading.Event()
    monkeypatch.setattr(keyring.backends.null.Keyring, "get_password", lambda *_: never.wait(30))
    monkeypatch.setattr(instances, "_KEYRING_SECONDS", 0.05)
    started = time.monotonic()
    assert token_of(NOBODY) is None
    never.set()
    assert time.monotonic() - started < 5


def test_a_broken_keyring_is_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "no.such.module.Keyring")
    assert token_of(NOBODY) is None


def test_the_client_reads_without_a_token_and_asks_for_none(archive: DandiDouble) -> None:
    archive.add_dandiset(name="Open")
    with open_client(archive.url) as client:
        assert [one.identifier for one in client.get_dandisets()] == ["000001"]
        assert "Authorization" not in client.session.headers


def test_a_token_is_checked_and_used(archive: DandiDouble) -> None:
    archive.add_dandiset(name="Closed", embargo=True)
    with open_client(archive.url, token=archive.token) as client:
        assert client.get("/dandisets/000001/")["identifier"] == "000001"
    with pytest.raises(RefusedError, match=r"refuses the token \(401.*_API_KEY"), open_client(archive.url, token="no"):
        pytest.fail("the token is none")


def test_one_s_own_token_is_only_used_where_it_must_be(monkeypatch: pytest.MonkeyPatch, archive: DandiDouble) -> None:
    archive.add_dandiset(name="Open")
    archive.add_dandiset(name="Closed", embargo=True)
    one = find_instance(archive.url)
    monkeypatch.setenv(one.token_variable, "an-old-one-that-was-revoked")
    assert read_archive(one, lambda c: c.get("/dandisets/000001/"), what="x")["identifier"] == "000001"
    with pytest.raises(RefusedError, match="refuses the token"):
        read_archive(one, lambda c: c.get("/dandisets/000002/"), what="x")
    monkeypatch.setenv(one.token_variable, archive.token)
    assert read_archive(one, lambda c: c.get("/dandisets/000002/"), what="x")["identifier"] == "000002"
    monkeypatch.delenv(one.token_variable)
    with pytest.raises(RefusedError, match=r"While x: the server wants a token .*_API_KEY"):
        read_archive(one, lambda c: c.get("/dandisets/000002/"), what="x")


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (400, InputError, "does not accept this"),
        (401, RefusedError, "wants a token"),
        (403, RefusedError, "wants a token"),
        (404, InputError, "no such thing"),
        (409, InputError, "does not accept this"),
        (501, NetworkError, "failed again and again"),
    ],
)
def test_statuses_become_our_errors(archive: DandiDouble, status: int, kind: type[CellTypeError], said: str) -> None:
    archive.faults.status(status, "/dandisets/", times=None)
    with (
        pytest.raises(kind, match=f"While looking: .*{said}") as caught,
        open_client(archive.url) as client,
        archive_errors("looking"),
    ):
        client.get("/dandisets/")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), archive_errors("dividing"):
        _ = 1 / 0


def test_a_client_too_old_is_told(archive: DandiDouble) -> None:
    from dandi.exceptions import CliVersionTooOldError
    from packaging.version import Version

    with pytest.raises(UsageError, match="pip install -U dandi"), archive_errors("asking"):
        raise CliVersionTooOldError(Version("0.1"), Version("0.2"), [])


def test_signatures_and_tokens_reach_no_log(
    archive: DandiDouble, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(CellTypeError) as caught, open_client(archive.url) as client:
        client.get(f"{archive.s3_endpoint}/none?X-Amz-Credential=SECRET&X-Amz-Signature=SECRET")
    with pytest.raises(CellTypeError), open_client(archive.url, token="SECRETSECRETSECRETSECRETSECRET"):
        pytest.fail("the token is none")
    captured = capfd.readouterr()
    assert "SECRET" not in str(caught.value) + caplog.text + captured.out + captured.err
