"""Assets and dandisets of a real archive client's server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from nwb_celltype.archive import assets as module
from nwb_celltype.archive.addresses import DandiAddress, parse_address
from nwb_celltype.archive.assets import Asset, content_url, find_asset, list_assets
from nwb_celltype.archive.dandisets import find_dandiset
from nwb_celltype.errors import InputError, RefusedError, UsageError

from ..archive_double import DandiDouble, extract_metadata

MOUSE = {
    "schemaKey": "SpeciesType",
    "identifier": "http://purl.obolibrary.org/obo/NCBITaxon_10090",
    "name": "Mus musculus",
}
FILES = ("sub-A/sub-A_ses-1_desc-x.nwb", "sub-A/sub-A_ses-2.nwb", "sub-AB/sub-AB_ses-1.nwb", "sub-b/sub-b_ses-10.nwb")


def described(subject: str, *kinds: str) -> dict[str, Any]:
    return {
        **extract_metadata(b"", "a.nwb"),
        "keywords": ["cell type labels"],
        "variableMeasured": [{"schemaKey": "PropertyValue", "value": kind} for kind in kinds],
        "wasAttributedTo": [
            {
                "schemaKey": "Participant",
                "identifier": subject,
                "species": MOUSE,
                "sex": {"schemaKey": "SexType", "name": "Female"},
            }
        ],
        "wasGeneratedBy": [{"schemaKey": "Session", "identifier": f"session of {subject}", "name": "x"}],
    }


@pytest.fixture(scope="module")
def archive() -> Iterator[DandiDouble]:
    with DandiDouble() as double:
        double.add_dandiset(name="Spikes", metadata={"keywords": ["spikes"], "license": ["spdx:CC0-1.0"]})
        for k, path in enumerate(FILES):
            double.add_asset(
                "000001", path, b"bytes of %d" % k, metadata=described(path.partition("/")[0][4:], "Units")
            )
        double.settle()
        double.publish("000001", "0.260101.1200")
        double.add_asset("000001", "sub-c/sub-c.nwb", b"new in the draft", metadata=described("c", "ProcessingModule"))
        double.add_dandiset(name="Closed", embargo=True)
        double.add_asset("000002", "sub-A/sub-A.nwb", b"secret", metadata=described("A"))
        double.settle()
        yield double


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, archive: DandiDouble) -> None:
    monkeypatch.setenv("DANDI_NO_ET", "1")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.setenv("DANDI_INSTANCE", archive.url)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[requests.PreparedRequest]:
    """Every request, counted where it is sent: a server's log may lag behind its answers."""
    requests_sent: list[requests.PreparedRequest] = []
    send = requests.Session.send

    def count(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        requests_sent.append(request)
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", count)
    return requests_sent


def paths(text: str, glob: str | None = None) -> list[str]:
    address = parse_address(text)
    assert isinstance(address, DandiAddress)
    return [asset.path for asset in list_assets(address, glob=glob)]


def test_a_listing_pins_the_newest_published_version_and_says_what_is_in_the_files() -> None:
    found = list_assets(DandiAddress("000001"))
    assert [asset.path for asset in found] == sorted(FILES)
    one = found[0]
    assert (one.version, one.size, one.subject, one.session) == ("0.260101.1200", 10, "A", "session of A")
    assert (one.species, one.sex, one.has_units) == ("Mus musculus", "Female", True)
    assert (one.keywords, one.encoding_format, one.is_open) == (("cell type labels",), "application/x-nwb", True)
    assert len(one.sha256) == 64
    assert one.etag.endswith("-1")
    assert find_asset(one.address) == one


def test_the_draft_is_listed_where_it_is_asked_for() -> None:
    assert paths("DANDI:000001@draft") == sorted([*FILES, "sub-c/sub-c.nwb"])
    assert find_asset(DandiAddress("000001", "draft", "sub-c/sub-c.nwb")).has_units is False


@pytest.mark.parametrize(
    ("text", "glob", "expected"),
    [
        ("DANDI:000001", "*desc-x*", FILES[:1]),
        ("DANDI:000001", "sub-A_*.nwb", FILES[:2]),
        ("DANDI:000001", "sub-?/*", (FILES[0], FILES[1], FILES[3])),
        ("DANDI:000001", "*_ses-[12].nwb", (FILES[1], FILES[2])),
        ("DANDI:000001", "*_ses-1*", (FILES[0], FILES[2], FILES[3])),
        ("DANDI:000001", "SUB-A/*", ()),
        ("DANDI:000001", "", ()),
        ("DANDI:000001/sub-A", None, FILES[:2]),
        ("DANDI:000001/sub-A/", "*desc*", FILES[:1]),
        ("DANDI:000001/sub-B", None, ()),
        ("DANDI:000001/sub-A*/*ses-1*", None, (FILES[0], FILES[2])),
        (f"DANDI:000001/{FILES[3]}", None, FILES[3:]),
        ("DANDI:000001/nothing", None, ()),
    ],
)
def test_paths_and_patterns_choose(text: str, glob: str | None, expected: tuple[str, ...]) -> None:
    assert paths(text, glob) == list(expected)


def test_a_listing_costs_a_request_a_page(
    monkeypatch: pytest.MonkeyPatch, sent: list[requests.PreparedRequest]
) -> None:
    assert len(paths("DANDI:000001@draft")) == 5
    sent.clear()
    paths("DANDI:000001@draft")
    assert len(sent) == 1
    sent.clear()
    monkeypatch.setattr(module, "_PAGE", 2)
    assert len(paths("DANDI:000001@draft")) == 5
    assert len(sent) == 3


def test_a_server_that_gives_no_metadata_with_the_list_is_asked_for_each(
    monkeypatch: pytest.MonkeyPatch, sent: list[requests.PreparedRequest]
) -> None:
    monkeypatch.setattr(module, "_query", lambda *_: {"metadata": "false"})
    found = list_assets(DandiAddress("000001"))
    assert [asset.has_units for asset in found] == [True] * 4
    assert len([one for one in sent if "/api/assets/" in str(one.url)]) == 4


def test_an_asset_is_found_by_its_id_alone(archive: DandiDouble) -> None:
    one = find_asset(DandiAddress("000001", "draft", FILES[0]))
    url = next(url for url in one.content_urls if "/api/" in url)
    address = parse_address(url)
    assert isinstance(address, DandiAddress)
    found = find_asset(address)
    assert (found.path, found.sha256, found.dandiset) == (one.path, one.sha256, "")
    assert found.address == address
    within = find_asset(DandiAddress("000001", "draft", "", archive.url, one.asset_id))
    assert within == one


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("DANDI:000001", UsageError, "names a whole dandiset; add the path of one file: DANDI:000001/PATH"),
        ("DANDI:000001/sub-A", InputError, "is not one file but 2: sub-A/sub-A_ses-1_desc-x.nwb, "),
        ("DANDI:000001/sub-A/sub-A_ses-3.nwb", InputError, r"Did you mean .*sub-A/sub-A_ses-2\.nwb"),
        ("DANDI:000001/elsewhere/a.nwb", InputError, "Nothing there begins with 'elsewhere'"),
        ("DANDI:000001@0.250101.1200/a.nwb", InputError, "no such thing"),
        ("DANDI:000099/a.nwb", InputError, "While listing .*000099.*no such thing"),
    ],
)
def test_what_is_not_found_is_explained(text: str, kind: type[Exception], said: str) -> None:
    address = parse_address(text)
    assert isinstance(address, DandiAddress)
    with pytest.raises(kind, match=said):
        find_asset(address)


def test_open_bytes_are_read_from_the_storage_itself(
    archive: DandiDouble, sent: list[requests.PreparedRequest]
) -> None:
    one = find_asset(DandiAddress("000001", "", FILES[0]))
    sent.clear()
    assert content_url(one, fresh=False) == archive.blob_url(FILES[0])
    assert sent == []
    signed = content_url(one, fresh=True)
    assert signed.startswith(archive.s3_endpoint)
    assert "X-Amz-Signature" in signed


def test_what_is_under_embargo_needs_its_owner(
    monkeypatch: pytest.MonkeyPatch, archive: DandiDouble, sent: list[requests.PreparedRequest]
) -> None:
    address = DandiAddress("000002", "", "sub-A/sub-A.nwb")
    with pytest.raises(RefusedError, match=archive.token_variable):
        find_asset(address)
    monkeypatch.setenv(archive.token_variable, archive.token)
    one = find_asset(address)
    assert not one.is_open
    signed = content_url(one, fresh=False)
    assert not any(str(one.url).startswith(archive.s3_endpoint) for one in sent), "the storage never sees the token"
    assert requests.get(signed, timeout=10).content == b"secret"
    monkeypatch.delenv(archive.token_variable)
    assert find_asset(address, token=archive.token) == one


def test_zarr_folders_are_declined() -> None:
    one = Asset("dandi", "000001", "draft", "a.nwb.zarr", "", 1, "", "", {"encodingFormat": "application/x-zarr"})
    with pytest.raises(InputError, match="NWB-Zarr"):
        content_url(one, fresh=False)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, None),
        ({"variableMeasured": []}, None),
        ({"variableMeasured": [{"schemaKey": "PropertyValue"}]}, None),
        ({"variableMeasured": [{"schemaKey": "PropertyValue"}, {"value": "Units"}]}, True),
        ({"variableMeasured": ["Units", "LFP"]}, True),
        ({"variableMeasured": [{"value": "LFP"}]}, False),
    ],
)
def test_units_are_known_unknown_or_not_there(metadata: dict[str, Any], expected: bool | None) -> None:
    assert Asset("dandi", "000001", "draft", "a.nwb", "", 1, "", "", metadata).has_units is expected


def test_without_metadata_the_name_says_whose_it_is() -> None:
    one = Asset("dandi", "000001", "draft", "sub-A/sub-A_ses-2026-01_probe-1.nwb", "", 1, "", "", {})
    assert (one.subject, one.session) == ("A", "2026-01")
    assert (one.species, one.sex, one.keywords, one.content_urls, one.encoding_format) == ("", "", (), (), "")


def test_a_dandiset_is_described() -> None:
    one = find_dandiset(DandiAddress("000001"))
    assert (one.address.version, one.name, one.n_files, one.licence) == ("0.260101.1200", "Spikes", 4, "CC0-1.0")
    assert one.keywords == ("spikes",)
    assert one.doi.startswith("10.")
    assert "Spikes" in one.citation
    assert one.n_bytes == 40
    assert find_dandiset(DandiAddress("000001", "draft")).n_files == 5
    assert any("Mus musculus" in name for name in one.species)
