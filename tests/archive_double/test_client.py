"""The dandi client itself works with the double."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from . import DandiDouble
from .conftest import SUBJECT_PATH
from .tree_digest import tree_digest

METADATA = {
    "description": "Made by a test.",
    "license": ["spdx:CC-BY-4.0"],
    "contributor": [
        {"schemaKey": "Person", "name": "Doe, Jane", "email": "jane@example.org", "roleName": ["dcite:ContactPerson"]}
    ],
}


@pytest.fixture
def client(archive: DandiDouble) -> Iterator[Any]:
    from dandi.dandiapi import DandiAPIClient

    with DandiAPIClient(archive.api_url, token=archive.token) as opened:
        yield opened


def upload(path: Path, root: Path, dandiset: Any, replacing: Any = None, metadata: dict[str, Any] | None = None) -> Any:
    from dandi.files import dandi_file

    file = dandi_file(path, root)
    document = file.get_metadata(digest=file.get_digest()).model_dump(mode="json", exclude_none=True)
    *_, last = file.iter_upload(dandiset, document | (metadata or {}), jobs=2, replacing=replacing)
    assert last["status"] == "done"
    return last["asset"]


def test_upload_publish_and_download(archive: DandiDouble, client: Any, nwb_file: Path, tmp_path: Path) -> None:
    from dandi.download import DownloadFormat, download

    dandiset = client.create_dandiset("Labels", METADATA)
    asset = upload(nwb_file, nwb_file.parents[1], dandiset, metadata={"keywords": ["cell type labels"]})
    dandiset.wait_until_valid(max_time=5)
    published = dandiset.publish(max_time=5)
    assert published.version.identifier.startswith("0.")
    assert archive.blob(SUBJECT_PATH) == nwb_file.read_bytes()
    assert asset.get_raw_metadata()["keywords"] == ["cell type labels"]
    assert asset.get_raw_digest("dandi:sha2-256") == hashlib.sha256(nwb_file.read_bytes()).hexdigest()

    download(
        f"{archive.url}/dandiset/{dandiset.identifier}/{published.version.identifier}",
        tmp_path,
        format=DownloadFormat.DEBUG,
    )
    folder = tmp_path / dandiset.identifier
    assert (folder / SUBJECT_PATH).read_bytes() == nwb_file.read_bytes()
    assert "Labels" in (folder / "dandiset.yaml").read_text()


def test_the_command_line_uses_the_environment(archive: DandiDouble, seeded: str) -> None:
    program = "from dandi.cli.command import main; main()"
    address = f"{archive.url}/dandiset/{seeded}/0.260101.1200"
    command = [sys.executable, "-c", program, "ls", "--format", "json", address]
    done = subprocess.run(command, env=os.environ | archive.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["name"] == "Mice"


def test_upload_in_two_parts_survives_failures(
    archive: DandiDouble, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(64 * 1024**2 + 1000)
    failed = archive.faults.status(503, "partNumber=1", times=2)
    cut = archive.faults.cut(5000, "partNumber=2", times=1)
    dandiset = client.create_dandiset("Large", METADATA)
    upload(path, tmp_path, dandiset)
    assert (failed.hits, cut.hits) == (2, 1)
    sizes = [entry.bytes_received for entry in archive.requests("s3", "PUT") if entry.status == 200]
    assert sorted(sizes) == [1000, 64 * 1024**2]
    assert archive.asset(dandiset.identifier, "large.bin").blob_id in archive.state.blobs


def test_bytes_that_are_known_are_not_sent_again(
    archive: DandiDouble, seeded: str, client: Any, nwb_file: Path
) -> None:
    upload(nwb_file, nwb_file.parents[1], client.create_dandiset("Again", METADATA))
    assert archive.requests("s3", "PUT") == []
    assert len(archive.state.blobs) == 1


def test_a_wrong_etag_of_a_part_is_noticed(archive: DandiDouble, client: Any, nwb_file: Path) -> None:
    archive.faults.wrong_etag(method="PUT")
    dandiset = client.create_dandiset("Wrong", METADATA)
    with pytest.raises(RuntimeError, match="ETag"):
        upload(nwb_file, nwb_file.parents[1], dandiset)


def test_changes_of_an_asset_mint_new_ids(archive: DandiDouble, seeded: str, client: Any) -> None:
    dandiset = client.get_dandiset(seeded, "draft")
    first = dandiset.get_asset_by_path(SUBJECT_PATH)
    first_id = first.identifier
    first.set_raw_metadata(first.get_raw_metadata() | {"keywords": ["changed"]})
    second = dandiset.get_asset_by_path(SUBJECT_PATH)
    assert second.identifier == first.identifier != first_id
    second.rename("sub-m1/other.nwb")
    assert [asset.path for asset in dandiset.get_assets()] == ["sub-m1/other.nwb"]
    dandiset.get_asset_by_path("sub-m1/other.nwb").delete()
    assert list(dandiset.get_assets()) == []

    published = client.get_dandiset(seeded)
    assert published.version_id == "0.260101.1200"
    kept = published.get_asset_by_path(SUBJECT_PATH)
    assert kept.identifier == first_id
    assert kept.get_raw_metadata()["keywords"] == ["cerebellum"]
    with pytest.raises(requests.HTTPError, match="405"):
        kept.client.delete(f"{published.version_api_path}assets/{kept.identifier}/")


def test_replacing_a_file_keeps_the_path(
    archive: DandiDouble, seeded: str, client: Any, nwb_file: Path, tmp_path: Path
) -> None:
    changed = tmp_path / SUBJECT_PATH
    changed.parent.mkdir()
    changed.write_bytes(nwb_file.read_bytes() + b"\0")
    dandiset = client.get_dandiset(seeded, "draft")
    old = dandiset.get_asset_by_path(SUBJECT_PATH)
    new = upload(changed, tmp_path, dandiset, replacing=old)
    assert new.identifier != old.identifier
    assert [asset.identifier for asset in dandiset.get_assets()] == [new.identifier]
    assert archive.blob(SUBJECT_PATH, seeded, "0.260101.1200") == nwb_file.read_bytes()


def test_validation_takes_its_time(nwb_file: Path) -> None:
    from dandi.dandiapi import DandiAPIClient

    with DandiDouble(validation_delay=0.2) as archive, DandiAPIClient(archive.api_url, token=archive.token) as client:
        dandiset = client.create_dandiset("Slow", METADATA)
        asset = upload(nwb_file, nwb_file.parents[1], dandiset)
        assert "dandi:sha2-256" not in asset.get_raw_metadata()["digest"]
        version = dandiset.get_version("draft")
        assert version.status.value == "Pending"
        assert [error.message for error in version.asset_validation_errors] == [
            "asset is currently being validated, please wait."
        ]
        with pytest.raises(requests.HTTPError, match="400"):
            dandiset.publish()
        dandiset.wait_until_valid(max_time=5)
        assert "dandi:sha2-256" in client.get(f"/assets/{asset.identifier}/")["digest"]


def test_embargo(archive: DandiDouble, client: Any, nwb_file: Path, tmp_path: Path) -> None:
    from dandi.dandiapi import DandiAPIClient

    dandiset = client.create_dandiset("Secret", METADATA, embargo=True)
    asset = upload(nwb_file, nwb_file.parents[1], dandiset)
    unsigned = asset.get_content_url(regex="s3/", follow_redirects=False)
    assert requests.get(unsigned, timeout=5).status_code == 403
    asset.download(tmp_path / "secret.nwb")
    assert (tmp_path / "secret.nwb").read_bytes() == nwb_file.read_bytes()
    assert asset.get_raw_metadata()["access"][0]["status"] == "dandi:EmbargoedAccess"

    with DandiAPIClient(archive.api_url) as anybody:
        assert list(anybody.get_dandisets()) == []
        with pytest.raises(requests.HTTPError, match="401"):
            anybody.get_dandiset(dandiset.identifier, lazy=False)
        with pytest.raises(requests.HTTPError, match="401"):
            anybody.get(f"/assets/{asset.identifier}/")
    assert [one.identifier for one in client.get_dandisets(embargoed=True)] == [dandiset.identifier]

    stranger = archive.add_user("stranger@example.org", "another-token")
    with DandiAPIClient(archive.api_url, token=stranger.token) as other:
        with pytest.raises(requests.HTTPError, match="403"):
            other.get_dandiset(dandiset.identifier, lazy=False)
        with pytest.raises(requests.HTTPError, match="403"):
            other.get(f"/assets/{asset.identifier}/download/", json_resp=False)

    client.post(f"/dandisets/{dandiset.identifier}/unembargo/", json_resp=False)
    assert requests.get(unsigned, timeout=5).status_code == 200
    assert client.get(f"/assets/{asset.identifier}/")["access"][0]["status"] == "dandi:OpenAccess"


def test_zarr_archives_are_kept_and_never_published(
    archive: DandiDouble, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dandi.files.zarr.sleep", lambda _: None)
    root = tmp_path / "sub-z" / "sub-z_ecephys.zarr"
    files = {
        ".zgroup": b'{"zarr_format": 2}',
        "x/.zarray": b'{"chunks": [2], "compressor": null, "dtype": "|u1", "fill_value": 0, "filters": null, '
        b'"order": "C", "shape": [4], "zarr_format": 2}',
        "x/0": b"\1\2",
        "x/1": b"\3\4",
    }
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    dandiset = client.create_dandiset("Zarr", METADATA)
    asset = upload(root, tmp_path, dandiset)
    metadata = client.get(f"/assets/{asset.identifier}/")
    assert metadata["digest"] == {"dandi:dandi-zarr-checksum": tree_digest(files)}
    assert sorted(str(entry) for entry in asset.iterfiles()) == sorted(files)
    assert requests.get(f"{archive.api_url}/assets/{asset.identifier}/download/", timeout=5).status_code == 400
    dandiset.wait_until_valid(max_time=5)
    with pytest.raises(requests.HTTPError, match="400"):
        dandiset.publish()

    (found,) = client.paginate("/zarr/", params={"dandiset": dandiset.identifier, "name": asset.path})
    address = f"/zarr/{found['zarr_id']}/files/"
    params = {"prefix": "x/0", "download": "true"}
    assert requests.get(f"{archive.api_url}{address}", params=params, timeout=5).content == files.pop("x/0")
    client.delete(address, json=[{"path": "x/0"}])
    client.post(f"/zarr/{found['zarr_id']}/finalize/")
    assert client.get(f"/zarr/{found['zarr_id']}/")["checksum"] == tree_digest(files)


def test_the_tree_digest_is_that_of_dandi(tmp_path: Path) -> None:
    from zarr_checksum import compute_zarr_checksum
    from zarr_checksum.generators import ZarrArchiveFile

    files = {"b": b"1", "x/a": b"22", "x/y/c": b"333", "x/.z": b""}
    entries = (ZarrArchiveFile(Path(name), len(data), hashlib.md5(data).hexdigest()) for name, data in files.items())
    assert tree_digest(files) == str(compute_zarr_checksum(entries))


def test_seeded_metadata_are_those_of_the_client(archive: DandiDouble, seeded: str, client: Any) -> None:
    metadata = client.get_dandiset(seeded).get_asset_by_path(SUBJECT_PATH).get_raw_metadata()
    assert metadata["wasAttributedTo"][0]["species"]["name"] == "Mus musculus - House mouse"
    assert "Units" in [one["value"] for one in metadata["variableMeasured"]]
    assert metadata["encodingFormat"] == "application/x-nwb"


@pytest.mark.parametrize(
    ("search", "fits"),
    [
        ('species:"Mus musculus"', True),
        ("species:rattus", False),
        ('technique:"spike sorting"', True),
        ("approach:electrophysiological", True),
        ("file_type:nwb mice", True),
        ("file_type:video", False),
        ("owner:admin@example.org", True),
        ("owner:somebody", False),
        ("published_after:2020-01-01", True),
        ("published_after:2100-01-01", False),
        ("cerebellar Purkinje", True),
        ("cerebellar granule", False),
        ('"Recordings for"', True),
    ],
)
def test_search(archive: DandiDouble, nwb_file: Path, client: Any, search: str, fits: bool) -> None:
    archive.add_dandiset(
        name="Mice",
        metadata={"keywords": ["cerebellar", "Purkinje cell"]},
        files={SUBJECT_PATH: nwb_file},
        published=True,
    )
    archive.add_dandiset(name="Empty")
    found = [one.identifier for one in client.get_dandisets(search=search, empty=False)]
    assert found == (["000001"] if fits else [])


def test_an_unknown_search_operator_is_refused(archive: DandiDouble, client: Any) -> None:
    with pytest.raises(requests.HTTPError, match="400"):
        list(client.get_dandisets(search="bogus:1"))


@pytest.mark.parametrize(
    ("glob", "count"),
    [("sub-*/*.nwb", 5), ("*.NWB", 5), ("sub-?/*", 0), ("**3*", 1), ("sub-[12]/*", 0), ("sub-1*", 1)],
)
def test_globs_know_only_the_star(archive: DandiDouble, client: Any, glob: str, count: int) -> None:
    identifier = archive.add_dandiset(name="Many")
    for number in range(5):
        archive.add_asset(identifier, f"sub-{number}/a.nwb", bytes([number]))
    assert len(list(client.get_dandiset(identifier, "draft").get_assets_by_glob(glob))) == count


def test_long_lists_come_in_pages(archive: DandiDouble, client: Any) -> None:
    identifier = archive.add_dandiset(name="Many")
    for number in range(250):
        archive.add_asset(identifier, f"sub-{number:03}/a.nwb", b"same")
    dandiset = client.get_dandiset(identifier, "draft")
    assert len(list(dandiset.get_assets())) == 250
    pages = [client.get(f"{dandiset.version_api_path}assets/", params={"page": page}) for page in (1, 2, 3)]
    assert [page["count"] for page in pages] == [250, None, None]
    assert [len(page["results"]) for page in pages] == [100, 100, 50]
    assert [page["next"] is None for page in pages] == [False, False, True]
    params = {"metadata": "true", "page_size": "1000"}
    found = list(client.paginate(f"{dandiset.version_api_path}assets/", params=params))
    assert len(found) == 250
    assert found[0]["metadata"]["path"] == found[0]["path"]


def test_only_owners_change_a_dandiset(archive: DandiDouble, seeded: str) -> None:
    from dandi.dandiapi import DandiAPIClient

    stranger = archive.add_user("stranger@example.org", "another-token")
    asset_id = archive.asset(seeded, SUBJECT_PATH).asset_id
    with DandiAPIClient(archive.api_url, token=stranger.token) as other:
        path = f"/dandisets/{seeded}/versions/draft/"
        with pytest.raises(requests.HTTPError, match="403"):
            other.put(path, json={"name": "x", "metadata": {}})
        with pytest.raises(requests.HTTPError, match="403"):
            other.post(f"{path}publish/")
        with pytest.raises(requests.HTTPError, match="403"):
            other.delete(f"{path}assets/{asset_id}/")
        with pytest.raises(requests.HTTPError, match="403"):
            other.post("/uploads/initialize/", json=initialisation(seeded))
        mine = other.create_dandiset("Mine", METADATA)
        assert archive.dandiset(mine.identifier).owners == ["stranger@example.org"]
    assert archive.asset(seeded, SUBJECT_PATH).asset_id == asset_id


def initialisation(identifier: str) -> dict[str, Any]:
    digest = {"algorithm": "dandi:dandi-etag", "value": f"{'0' * 32}-1"}
    return {"contentSize": 5, "digest": digest, "dandiset": identifier}


def test_what_cannot_be_published_says_why(archive: DandiDouble, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'license' is a required property"):
        archive.add_dandiset(name="Bad", metadata={"license": None}, published=True)
    with pytest.raises(ValueError, match="no files"):
        archive.add_dandiset(name="Empty", published=True)


def test_manifests_of_published_versions_are_in_the_bucket(archive: DandiDouble, seeded: str) -> None:
    folder = f"{archive.s3_endpoint}/{archive.bucket}/dandisets/{seeded}/0.260101.1200"
    assets = requests.get(f"{folder}/assets.jsonld", timeout=5).json()
    assert [asset["path"] for asset in assets] == [SUBJECT_PATH]
    assert requests.get(assets[0]["contentUrl"][1], timeout=5).content == archive.blob(SUBJECT_PATH)
    assert requests.get(f"{folder}/dandiset.yaml", timeout=5).json()["name"] == "Mice"
    assert requests.get(folder.replace("0.260101.1200", "draft") + "/assets.yaml", timeout=5).status_code == 404
