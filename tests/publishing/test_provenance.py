"""What the archive is told: sources, authors, models, software, papers, counts; and what it still says afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nwb_celltype.errors import RefusedError
from nwb_celltype.provenance import SourceAsset

from ..archive_double import DandiDouble
from .conftest import Publish, draft_of
from .files import FIRST, NON_COMMERCIAL, SECOND, SOURCE, edit, write_draft

pytestmark = pytest.mark.usefixtures("_unchecked")


def texts_of(source: SourceAsset) -> dict[str, str]:
    return {column: value for column, value in source.to_row().items() if isinstance(value, str)}


def resources(metadata: dict[str, Any], relation: str) -> list[dict[str, Any]]:
    return [found for found in metadata["relatedResource"] if found["relation"] == relation]


def test_an_asset_says_how_its_labels_came_about(archive: DandiDouble, send: Publish) -> None:
    from dandischema.models import BareAsset

    send(dandiset="new")
    asset = archive.asset("000001", FIRST)
    metadata = asset.metadata
    [derived] = resources(metadata, "dcite:IsDerivedFrom")
    assert derived["identifier"] == f"sha256:{SOURCE.sha256}"
    assert derived["url"] == SOURCE.url
    [made] = [a for a in metadata["wasGeneratedBy"] if a["name"] == "cell-type annotation"]
    assert {"schemaKey": "Software", "name": "m", "version": "1"} in made["wasAssociatedWith"]
    assert "SHA-256 of its weights: " + "0" * 64 in made["description"]
    assert "doi:10.1000/1" in made["description"]
    assert made["endDate"]
    assert {"cell type labels", "detached labels", "label source: classifier"} <= set(metadata["keywords"])
    assert any(word.startswith("units labelled: 1 ") for word in metadata["keywords"])
    assert "3 units:" in metadata["description"]
    assert "unclassified 1" in metadata["description"]
    assert metadata["wasAttributedTo"][0]["identifier"] == "m1"
    document = archive.state.describe_asset(archive.state, asset)
    assert BareAsset.model_validate({**document, "schemaKey": "BareAsset"}).relatedResource


def test_the_archive_can_still_sum_up_its_assets(archive: DandiDouble, send: Publish) -> None:
    """A number among ``variableMeasured`` would stop the archive from making a summary of its dandiset."""
    send(dandiset="new")
    summary = draft_of(archive)["assetsSummary"]
    assert (summary["numberOfFiles"], summary["numberOfSubjects"]) == (2, 2)
    assert all(isinstance(value, str) for value in summary["variableMeasured"])


def test_a_dandiset_credits_its_source(folder: Path, archive: DandiDouble, send: Publish) -> None:
    people = [
        {"schemaKey": "Person", "name": "Roe, Richard", "includeInCitation": True, "email": "r@example.org",
         "roleName": ["dcite:ContactPerson"]},
        {"schemaKey": "Person", "name": "Not, Cited", "includeInCitation": False},
    ]  # fmt: skip
    source_id = archive.add_dandiset(
        name="Recordings",
        metadata={"contributor": people},
        files={"sub-m1/sub-m1.nwb": folder / FIRST},
        published="0.260101.1200",
    )
    asset_id = archive.asset(source_id, "sub-m1/sub-m1.nwb").asset_id
    source = SourceAsset(archive.url, source_id, "0.260101.1200", "sub-m1/sub-m1.nwb", asset_id, units_path="/units")
    edit(folder / FIRST, source=texts_of(source))
    (folder / SECOND).unlink()
    done = send(dandiset="new")
    now = draft_of(archive, done.dandiset)
    [derived] = resources(now, "dcite:IsDerivedFrom")
    assert derived["identifier"] == f"DANDI-DOUBLE:{source_id}"
    assert derived["url"] == f"{archive.url}/dandiset/{source_id}/0.260101.1200"
    assert derived["name"] == "Recordings"
    assert "Roe, Richard" in now["acknowledgement"]
    assert "Not, Cited" not in now["acknowledgement"]
    assert "For the methods cite: doi:10.1000/1." in now["acknowledgement"]
    assert [found["identifier"] for found in resources(now, "dcite:Cites")] == ["doi:10.1000/1"]
    assert [found["url"] for found in resources(now, "dcite:IsDescribedBy")] == ["https://doi.org/10.1000/paper"]
    assert [found["resourceType"] for found in resources(now, "dcite:IsCompiledBy")] == ["dcite:Model"]
    [of_asset] = resources(archive.asset(done.dandiset, FIRST).metadata, "dcite:IsDerivedFrom")
    assert of_asset["identifier"] == asset_id
    assert of_asset["url"] == f"{archive.api_url}/assets/{asset_id}/download/"
    archive.faults.status(404, f"/dandisets/{source_id}/", times=None)  # the source is asked again, and is gone
    again = send(dandiset="new")
    assert any("could not be asked" in remark for remark in again.remarks)
    assert draft_of(archive, done.dandiset)["acknowledgement"] == now["acknowledgement"]


def test_a_source_in_dandiset_yaml_gets_the_name_that_its_archive_gives_it(
    folder: Path, archive: DandiDouble, send: Publish
) -> None:
    source_id = archive.add_dandiset(name="Recordings", files={"sub-m1/sub-m1.nwb": folder / FIRST})
    source = SourceAsset(archive.url, source_id, "draft", "sub-m1/sub-m1.nwb", units_path="/units")
    edit(folder / FIRST, source=texts_of(source))
    (folder / SECOND).unlink()
    url = f"{archive.url}/dandiset/{source_id}/draft"
    stated = {"schemaKey": "Resource", "identifier": f"DANDI:{source_id}", "url": url, "name": "My words",
              "relation": "dcite:IsDerivedFrom", "resourceType": "dcite:Dataset"}  # fmt: skip
    write_draft(folder, relatedResource=[stated])
    done = send(dandiset="new")
    [derived] = resources(draft_of(archive, done.dandiset), "dcite:IsDerivedFrom")
    assert (derived["identifier"], derived["name"]) == (f"DANDI-DOUBLE:{source_id}", "My words")


def test_signatures_of_a_source_s_url_are_left_out(folder: Path, archive: DandiDouble, send: Publish) -> None:
    edit(folder / FIRST, source={"url": "https://bucket.s3.amazonaws.com/key?X-Amz-Signature=secret&X-Amz-Expires=60"})
    send(dandiset="new")
    assert "secret" not in str(archive.asset("000001", FIRST).metadata)


def test_a_non_commercial_source_is_refused_whatever_is_accepted(
    folder: Path, archive: DandiDouble, send: Publish
) -> None:
    edit(folder / FIRST, source={"licence": "CC BY-NC-SA 4.0"})
    with pytest.raises(RefusedError, match="no option changes that") as raised:
        send(dandiset="new", accept_model_licence=True)
    assert "CC BY-NC-SA 4.0" in str(raised.value)
    assert not archive.state.dandisets


def test_a_source_dandiset_is_asked_for_its_licence(folder: Path, archive: DandiDouble, send: Publish) -> None:
    source_id = archive.add_dandiset(name="Closed", metadata={"license": ["spdx:CC-BY-NC-4.0"]})
    source = SourceAsset(archive.url, source_id, "draft", "sub-m1/sub-m1.nwb", units_path="/units")
    edit(folder / FIRST, source=texts_of(source))
    plan = send(dandiset="new", dry_run=True)
    assert [problem.kind for problem in plan.problems] == ["licence"]


def test_labels_of_a_non_commercial_model_need_a_word(folder: Path, archive: DandiDouble, send: Publish) -> None:
    edit(folder / FIRST, method=NON_COMMERCIAL)
    with pytest.raises(RefusedError, match="--accept-model-licence"):
        send(dandiset="new")
    assert not archive.state.dandisets
    send(dandiset="new", accept_model_licence=True)
    said = "do not allow commercial use"
    assert said in draft_of(archive)["acknowledgement"]
    assert said in archive.asset("000001", FIRST).metadata["description"]
    names = [model["name"] for model in resources(draft_of(archive), "dcite:IsCompiledBy")]
    assert "nc 1, a model, licensed CC-BY-NC-SA-4.0" in names


def test_sources_that_want_to_be_named(folder: Path, send: Publish) -> None:
    edit(folder / FIRST, source={"licence": "CC-BY-4.0"})
    assert not [text for text in send(dandiset="new", dry_run=True).remarks if "CC0" in text]
    told = send(dandiset="new", dry_run=True, licence="CC0-1.0").remarks
    assert any("which wants their authors named" in text for text in told)
