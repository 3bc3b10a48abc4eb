"""Addresses as people and the archive's own client write them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nwb_celltype.archive.addresses import (
    DandiAddress,
    UrlAddress,
    instance_key,
    is_remote,
    parse_address,
    without_secrets,
)
from nwb_celltype.errors import UsageError
from nwb_celltype.units import read_units

PATH = "sub-A/sub-A_ses-1_ecephys.nwb"
ASSET = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"
LOCAL = "http://127.0.0.1:8123"


@pytest.fixture(autouse=True)
def no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DANDI_INSTANCE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DANDI:000409", DandiAddress("000409", "", "", "dandi")),
        ("dandi:000409", DandiAddress("000409", "", "", "dandi")),
        ("DANDI:000409/", DandiAddress("000409", "", "", "dandi")),
        ("DANDI:000409@draft", DandiAddress("000409", "draft", "", "dandi")),
        ("DANDI:000409/draft", DandiAddress("000409", "draft", "", "dandi")),
        ("DANDI:000409//draft", DandiAddress("000409", "draft", "", "dandi")),
        ("DANDI:000409/0.260309.1324", DandiAddress("000409", "0.260309.1324", "", "dandi")),
        (f"DANDI:000409/0.260309.1324/{PATH}", DandiAddress("000409", "0.260309.1324", PATH, "dandi")),
        (f"DANDI:000409@0.260309.1324/{PATH}", DandiAddress("000409", "0.260309.1324", PATH, "dandi")),
        (f"DANDI:000409/{PATH}", DandiAddress("000409", "", PATH, "dandi")),
        ("DANDI:000409/draft/a.nwb", DandiAddress("000409", "", "draft/a.nwb", "dandi")),
        ("DANDI:000409/a%20b%25.nwb", DandiAddress("000409", "", "a b%.nwb", "dandi")),
        ("DANDI-SANDBOX:000123/draft", DandiAddress("000123", "draft", "", "dandi-sandbox")),
        ("ember-dandi:000123", DandiAddress("000123", "", "", "ember-dandi")),
        (f"dandi://dandi-sandbox/000123@draft/{PATH}", DandiAddress("000123", "draft", PATH, "dandi-sandbox")),
        ("dandi://DANDI/000123", DandiAddress("000123", "", "", "dandi")),
        ("https://dandiarchive.org/dandiset/000409", DandiAddress("000409", "", "", "dandi")),
        ("https://gui.dandiarchive.org/#/dandiset/000409/draft", DandiAddress("000409", "draft", "", "dandi")),
        (
            "https://dandiarchive.org/dandiset/000409/draft/files?location=sub-A%2F&page=1",
            DandiAddress("000409", "draft", "sub-A", "dandi"),
        ),
        ("https://doi.org/10.48324/dandi.000017/0.240329.1926", DandiAddress("000017", "0.240329.1926", "", "dandi")),
        ("https://identifiers.org/DANDI:000017/0.240329.1926", DandiAddress("000017", "0.240329.1926", "", "dandi")),
        (
            f"https://api.dandiarchive.org/api/assets/{ASSET}/download/",
            DandiAddress("", "", "", "dandi", ASSET),
        ),
        (f"{LOCAL}/api/assets/{ASSET}/download/", DandiAddress("", "", "", LOCAL, ASSET)),
        (f"{LOCAL}/api/assets/{ASSET}/", DandiAddress("", "", "", LOCAL, ASSET)),
        (f"{LOCAL}/dandiset/000001/draft", DandiAddress("000001", "draft", "", LOCAL)),
        (f"{LOCAL}/api/dandisets/000001/versions/0.260101.1200/", DandiAddress("000001", "0.260101.1200", "", LOCAL)),
        (f"{LOCAL}/api/dandisets/000001/", DandiAddress("000001", "", "", LOCAL)),
        (
            f"{LOCAL}/api/dandisets/000001/versions/draft/assets/{ASSET}/download/",
            DandiAddress("000001", "draft", "", LOCAL, ASSET),
        ),
        (
            f"{LOCAL}/api/dandisets/000001/versions/draft/assets/?path=sub-A/a.nwb",
            DandiAddress("000001", "draft", "sub-A/a.nwb", LOCAL),
        ),
        ("https://example.org/dandiset/000001.nwb", UrlAddress("https://example.org/dandiset/000001.nwb")),
        ("HTTPS://example.org/a.nwb?x=1", UrlAddress("HTTPS://example.org/a.nwb?x=1")),
        (
            "s3://dandiarchive/blobs/a b.nwb",
            UrlAddress("https://dandiarchive.s3.amazonaws.com/blobs/a%20b.nwb"),
        ),
        ("s3://my.lab/a.nwb", UrlAddress("https://s3.amazonaws.com/my.lab/a.nwb")),
    ],
)
def test_every_form_is_read(text: str, expected: DandiAddress | UrlAddress) -> None:
    assert is_remote(text)
    assert parse_address(text) == expected
    # The canonical text means the same, and is its own.
    again = parse_address(expected.text)
    assert again == expected
    assert again.text == expected.text


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (DandiAddress("000409", "draft", PATH), f"DANDI:000409@draft/{PATH}"),
        (DandiAddress("000409", "draft", PATH, "ember-dandi"), f"dandi://ember-dandi/000409@draft/{PATH}"),
        (
            DandiAddress("000409", "draft", "sub-A/a+b&c#d %.nwb", LOCAL),
            f"{LOCAL}/dandiset/000409/draft/files?location=sub-A/a%2Bb%26c%23d%20%25.nwb",
        ),
        (DandiAddress("", asset_id=ASSET), f"https://api.dandiarchive.org/api/assets/{ASSET}/download/"),
        (  # after the colon these would be versions
            DandiAddress("000409", "", "draft"),
            "https://api.dandiarchive.org/dandiset/000409/files?location=draft",
        ),
        (
            DandiAddress("000409", "", "0.260309.1324/a.nwb"),
            "https://api.dandiarchive.org/dandiset/000409/files?location=0.260309.1324/a.nwb",
        ),
    ],
)
def test_the_canonical_text_can_be_read_again(address: DandiAddress, text: str) -> None:
    assert address.text == text
    again = parse_address(text)
    assert isinstance(again, DandiAddress)
    assert (again.path, again.asset_id, again.version) == (address.path, address.asset_id, address.version)


@pytest.mark.parametrize(
    "text",
    [
        "DANDI:000409",
        "dandi://dandi/000409@0.260309.1324/sub-A/sub-A.nwb",
        "DANDI-SANDBOX:000123/draft",
        "https://dandiarchive.org/dandiset/000409/draft",
        "https://dandiarchive.org/dandiset/000409/draft/files?location=sub-A%2F",
        "https://api.dandiarchive.org/api/dandisets/000409/versions/draft",
        f"https://api.dandiarchive.org/api/assets/{ASSET}/download/",
        f"https://api.dandiarchive.org/api/dandisets/000409/versions/draft/assets/{ASSET}/download/",
        "https://api.dandiarchive.org/api/dandisets/000409/versions/draft/assets/?path=sub-A/a.nwb",
    ],
)
def test_the_archives_own_client_reads_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dandi import dandiarchive
    from dandi.consts import known_instances, known_instances_rev

    def offline(name: object) -> object:
        if not isinstance(name, str):
            return name
        return known_instances[known_instances_rev.get(name.rstrip("/"), name)]

    monkeypatch.setattr(dandiarchive, "get_instance", offline)
    theirs = dandiarchive.parse_dandi_url(text)
    ours = parse_address(text)
    assert isinstance(ours, DandiAddress)
    assert ours.dandiset == (theirs.dandiset_id or "")
    assert ours.version == (theirs.version_id or "")
    assert ours.path == (getattr(theirs, "path", "") or "").rstrip("/")
    assert ours.asset_id == getattr(theirs, "asset_id", "")
    assert ours.instance == theirs.instance.name


def test_dandi_means_the_archive_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_address("DANDI:000001", instance="dandi-sandbox").instance == "dandi-sandbox"  # type: ignore[union-attr]
    assert parse_address("DANDI:000001", instance=f"{LOCAL}/api/").instance == LOCAL  # type: ignore[union-attr]
    monkeypatch.setenv("DANDI_INSTANCE", LOCAL)
    assert parse_address("DANDI:000001").instance == LOCAL  # type: ignore[union-attr]
    assert parse_address("DANDI:000001", instance="dandi").instance == "dandi"  # type: ignore[union-attr]
    # An address that names its archive keeps it.
    named = parse_address("dandi://ember-dandi/000001", instance="dandi")
    assert named.instance == "ember-dandi"  # type: ignore[union-attr]


def test_a_bucket_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000/")
    assert parse_address("s3://lab/a.nwb").text == "http://127.0.0.1:9000/lab/a.nwb"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9001")
    assert parse_address("s3://lab/a.nwb").text == "http://127.0.0.1:9001/lab/a.nwb"


@pytest.mark.parametrize(
    "source",
    [
        r"C:\data\x.nwb",
        "C:/data/x.nwb",
        "data/run:2/x.nwb",
        "dandi/000409.nwb",
        "linc:notes.nwb",
        "",
        "000409",
        Path("DANDI:000409"),
        None,
        3,
    ],
)
def test_paths_are_no_addresses(source: object) -> None:
    assert not is_remote(source)


@pytest.mark.parametrize("text", ["ftp://example.org/a.nwb", "file:///data/a.nwb", "gs://bucket/a.nwb"])
def test_what_cannot_be_read_is_no_path_either(text: str) -> None:
    assert is_remote(text)
    with pytest.raises(UsageError, match="Addresses are: DANDI:ID"):
        read_units(text)


def test_an_address_is_remote() -> None:
    assert is_remote(DandiAddress("000409"))
    assert is_remote(UrlAddress("https://example.org/a.nwb"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("DANDI:409", "write 000409"),
        ("DANDI:", "six digits"),
        ("DANDI:0004091", "six digits"),
        ("dandi:abc/def", "six digits"),
        ("DANDI:000409@latest", "'latest' is no version"),
        ("DANDI:000409@", "no version"),
        ("dandi://nowhere/000409", "No archive is called 'nowhere'"),
        ("dandi://dandi-staging/000409", "called dandi-sandbox now"),
        ("dandi://dandi/409", "write 000409"),
        ("s3://bucket", "s3://BUCKET/KEY"),
        ("https://", "no URL of a file"),
        ("data/a.nwb", "Addresses are: DANDI:ID"),
        ("ftp://example.org/a.nwb", "Addresses are: DANDI:ID"),
        ("file:///data/a.nwb", "named by its path alone"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_address(text)


def test_wrong_parts_are_refused() -> None:
    with pytest.raises(UsageError, match="write 000007"):
        DandiAddress("7")
    with pytest.raises(UsageError, match="no version"):
        DandiAddress("000007", "1")
    with pytest.raises(UsageError, match="no URL of an archive"):
        instance_key("ftp://example.org")


def test_a_password_in_an_archives_url_is_not_kept() -> None:
    assert instance_key("https://me:secret@archive.example.org/api") == "https://archive.example.org"


@pytest.mark.parametrize(
    "text",
    [
        "https://s3/b?X-Amz-Algorithm=A&X-Amz-Credential=SECRET&X-Amz-Signature=SECRET",
        "with url: /blobs/1?AWSAccessKeyId=SECRET&Signature=SECRET&Expires=1 (Caused by ...)",
        "{'Authorization': 'token SECRETSECRETSECRETSECRET'}",
        "https://example.org/a.nwb?token=SECRET",
    ],
)
def test_secrets_are_taken_out(text: str) -> None:
    assert "SECRET" not in without_secrets(text)
    assert "SECRET" not in UrlAddress("https://example.org/a?x=1&Signature=SECRET").text


def test_asking_whether_something_is_remote_loads_nothing_heavy() -> None:
    code = (
        "import sys; from nwb_celltype.archive.addresses import is_remote; is_remote('DANDI:000409')\n"
        "print(sorted({'dandi', 'requests', 'pynwb', 'h5py', 'numpy'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert out.stdout.strip() == "[]"
