"""A dandiset is annotated without being downloaded: which bytes are asked for, what is skipped, what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

import nwb_celltype as nct
from nwb_celltype import annotate_many, read_runs
from nwb_celltype.archive.addresses import DandiAddress
from nwb_celltype.archive.assets import Asset
from nwb_celltype.batch.sources import find_items
from nwb_celltype.errors import NetworkError, RefusedError
from nwb_celltype.provenance import read_source

from ..archive.range_server import RangeServer
from ..archive_double import DandiDouble
from .recordings import recording
from .results import assert_same, label_files, table

FIRST, SECOND = (f"sub-m{k}/sub-m{k}_ses-a_desc-sorted_ecephys.nwb" for k in range(2))
Span = tuple[int, int]


def here(source: Any, out: Path, **options: Any) -> nct.batch.BatchResult:
    return annotate_many(source, out=out, scheduler="synchronous", **options)


def spike_spans(path: Path) -> list[Span]:
    """Bytes of the spikes of each unit."""
    with h5py.File(path) as file:
        dataset, stops = file["units/spike_times"], file["units/spike_times_index"][()].astype(int)
        start = dataset.id.get_offset()
        return [(start + 8 * a, start + 8 * b) for a, b in zip([0, *stops[:-1]], stops, strict=True)]


def asked_for(archive: DandiDouble, path: str) -> list[Span]:
    """Bytes of an asset that were sent."""
    spans = []
    key = archive.blob_url(path, "000100").rpartition("/")[2]
    for entry in archive.requests("s3", "GET", key):
        start, _, stop = entry.range.removeprefix("bytes=").partition("-")
        spans.append((int(start), int(start) + entry.bytes) if entry.range else (0, entry.bytes))
        assert stop or not entry.range
    return spans


def common(spans: Iterable[Span], wanted: Span) -> int:
    """Bytes of `wanted` in these spans."""
    return sum(max(0, min(stop, wanted[1]) - max(start, wanted[0])) for start, stop in spans)


def test_only_the_bytes_of_chosen_units_are_read(archive: DandiDouble, large: dict[str, Path], tmp_path: Path) -> None:
    taken, left_out = [0, 2, 3], 1
    plan = here("DANDI:000100", tmp_path, dry_run=True).plan
    spans = spike_spans(large[FIRST])
    ahead = 0.2 * sum(stop - start for start, stop in spans)  # comes with the headers on either side
    assert sum(common(asked_for(archive, FIRST), span) for span in spans) <= ahead
    archive.log.clear()
    result = here("DANDI:000100", tmp_path)
    assert result.counts == {"done": 2, "skipped": 2}
    for path in (FIRST, SECOND):
        spans, asked = spike_spans(large[path]), asked_for(archive, path)
        assert common(asked, spans[left_out]) == 0
        for unit in taken:
            assert common(asked, spans[unit]) >= spans[unit][1] - spans[unit][0]
    row = next(asset for asset in plan.assets if asset.path == FIRST)
    assert (row.units, row.left_out, row.unknown) == (3, 1, 1)
    assert row.bytes_to_read == 3 * (60_000 * 8 + 60 * 2 * 8)
    read = sum(entry.bytes for entry in archive.requests("s3"))
    planned = plan.total("bytes_to_read")
    assert planned < read < 1.1 * planned + 4 * 400_000  # headers come twice: for the plan and for the run
    assert plan.total("size") == sum(large[path].stat().st_size for path in (FIRST, SECOND))
    outcome = next(asset for asset in result.assets if asset.path == FIRST)
    assert 0 < outcome.bytes_read < sum(stop - start for start, stop in asked_for(archive, FIRST))


def test_the_plan_and_the_counted_bytes_are_what_the_server_sent(tmp_path: Path) -> None:
    path = recording(tmp_path / "files/sub-m1_ses-a_ecephys.nwb", ["Lobule V", "CA1", "Flocculus"], session="a")
    with h5py.File(path, "r+") as file:
        small, attributes = file["units/waveform_mean"][()], dict(file["units/waveform_mean"].attrs)
        wide = np.zeros((3, 60, 800))
        wide[:, :, :2] = small
        file["acquisition/before"] = np.zeros(600_000, dtype="u1")
        del file["units/waveform_mean"]
        file["units/waveform_mean"] = wide
        file["units/waveform_mean"].attrs.update(attributes)
        first = file["units/waveform_mean"].id.get_offset()
        file["acquisition/behind"] = np.zeros(600_000, dtype="u1")
    unit = wide[0].nbytes
    with RangeServer(tmp_path / "files") as server:

        def sent(start: int, stop: int) -> int:
            asked = [(each.start, each.start + each.n_bytes) for each in server.log if each.start is not None]
            return common(asked, (start, stop))

        url = server.url(path.name)
        [planned] = here(url, tmp_path / "out", dry_run=True).plan.assets
        assert (planned.units, planned.left_out) == (2, 1)
        assert planned.bytes_to_read == 2 * (1500 * 8 + unit)
        n_of_plan = server.n_bytes
        assert sent(first + 40_000, first + 3 * unit - 40_000) == 0  # the plan needs no waveform
        server.forget()
        [done] = here(url, tmp_path / "out").assets
        assert done.status == "done", done.reason
        assert sent(first + unit + 40_000, first + 2 * unit - 40_000) == 0  # nor does CA1 need to be read
        assert server.n_bytes - n_of_plan == done.bytes_read
        assert planned.bytes_to_read <= done.bytes_read <= 1.1 * planned.bytes_to_read + n_of_plan


def test_labels_are_those_of_the_file_on_disk(archive: DandiDouble, large: dict[str, Path], tmp_path: Path) -> None:
    here("DANDI:000100", tmp_path / "out", where={"subject": "m0"})
    [run] = read_runs(tmp_path / "out" / label_files(tmp_path / "out")[0])
    local = nct.annotate(large[FIRST], units=[10, 12, 13], out=tmp_path / "local.nwb").run
    np.testing.assert_array_equal(run.unit_ids, local.unit_ids)
    np.testing.assert_array_equal(run.cell_type, local.cell_type)
    assert run.probability is not None
    assert local.probability is not None
    np.testing.assert_allclose(run.probability, local.probability, atol=1e-6)
    assert run.input_sha256 == local.input_sha256
    assert run.verdict == local.verdict


def test_where_they_are_from_is_written_down(archive: DandiDouble, tmp_path: Path) -> None:
    here("DANDI:000100", tmp_path, glob="*m0*")
    source = read_source(tmp_path / label_files(tmp_path)[0])
    assert source is not None
    asset = archive.asset("000100", FIRST, "0.260101.1200")
    assert (source.dandiset, source.version, source.path) == ("000100", "0.260101.1200", FIRST)
    assert source.asset_id == asset.asset_id
    assert (source.licence, source.title) == ("CC-BY-4.0", "Two mice and a rat")
    assert len(source.sha256) == 64
    assert source.etag
    assert source.size > 1_000_000
    draft = yaml.safe_load((tmp_path / "dandiset.yaml").read_text())
    assert "Doe, Jane" in draft["description"]
    assert draft["license"] == ["spdx:CC-BY-4.0"]
    [related] = draft["relatedResource"]
    assert (related["relation"], related["identifier"]) == ("dcite:IsDerivedFrom", "DANDI-DOUBLE:000100")
    assert set(table(tmp_path)["dandiset"]) == {"000100"}


def test_what_the_archive_says_saves_opening_files(archive: DandiDouble, tmp_path: Path) -> None:
    plan = here("DANDI:000100", tmp_path, where={"subject": "m1"}, dry_run=True).plan
    reasons = {asset.path: asset.reason for asset in plan.assets if asset.status == "skipped"}
    assert reasons["notes.txt"] == "it is no NWB file"
    assert reasons[FIRST] == "--where subject=m1 does not hold"
    assert reasons["sub-r1/sub-r1_desc-sorted_ecephys.nwb"] == "--where subject=m1 does not hold"
    assert not asked_for(archive, FIRST)
    assert asked_for(archive, SECOND)
    plan = here("DANDI:000100@draft", tmp_path, glob="*r1*", dry_run=True).plan
    assert "the species is rat" in str(plan)


def test_a_rerun_reads_no_byte(archive: DandiDouble, tmp_path: Path) -> None:
    here("DANDI:000100", tmp_path)
    archive.log.clear()
    assert here("DANDI:000100", tmp_path).counts == {"done already": 2, "skipped": 2}
    assert not archive.requests("s3")
    assert here("DANDI:000100@draft", tmp_path).counts == {"done already": 2, "skipped": 2}  # the same blobs


def test_what_is_kept_is_not_read_again(archive: DandiDouble, tmp_path: Path) -> None:
    here("DANDI:000100", tmp_path / "out", glob="*m0*", cache=tmp_path / "cache")
    archive.log.clear()
    here("DANDI:000100", tmp_path / "again", glob="*m0*", cache=tmp_path / "cache")
    assert sum(entry.bytes for entry in archive.requests("s3", "GET")) < 300_000  # the first block tells the size
    assert_same(tmp_path / "again", tmp_path / "out")


def test_a_server_that_fails_for_ever_fails_one_asset(archive: DandiDouble, tmp_path: Path) -> None:
    key = archive.blob_url(FIRST, "000100").rpartition("/")[2]
    archive.faults.status(503, key, times=None, skip=4)  # after the plan
    result = here("DANDI:000100", tmp_path)
    assert result.counts == {"done": 1, "failed": 1, "skipped": 2}
    assert result.exit_code == NetworkError.exit_code
    assert "503" in result.failures[0].reason
    archive.faults.clear()
    assert here("DANDI:000100", tmp_path).counts == {"done": 1, "done already": 1, "skipped": 2}


def test_bursts_of_503_and_cut_connections_change_nothing(archive: DandiDouble, tmp_path: Path) -> None:
    here("DANDI:000100", tmp_path / "calm", glob="*m0*")
    archive.faults.status(503, "/s3/", times=2, skip=1)
    archive.faults.cut(70_000, "/s3/", times=2, skip=3)
    assert here("DANDI:000100", tmp_path / "storm", glob="*m0*").exit_code == 0
    assert_same(tmp_path / "storm", tmp_path / "calm")


def test_a_plain_address_is_a_batch_of_one(archive: DandiDouble, tmp_path: Path) -> None:
    url = archive.blob_url(FIRST, "000100")
    assert here(url, tmp_path).counts == {"done": 1}
    source = read_source(tmp_path / label_files(tmp_path)[0])
    assert source is not None
    assert (source.url, source.dandiset, source.sha256) == (url, "", "")
    assert source.etag
    assert here(url, tmp_path).counts == {"done already": 1}


def test_one_asset_by_its_path(archive: DandiDouble, tmp_path: Path) -> None:
    assert here(f"DANDI:000100/{FIRST}", tmp_path).counts == {"done": 1}
    assert here("DANDI:000100", tmp_path).counts == {"done": 1, "done already": 1, "skipped": 2}


def test_names_do_not_depend_on_what_is_asked_for(
    archive: DandiDouble, large: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FIRST.replace("sorted", "raw")
    name = archive.add_dandiset(name="Two of a session", files={FIRST: large[FIRST], other: large[FIRST]})
    whole = here(f"DANDI:{name}", tmp_path / "whole", dry_run=True).plan
    files = {asset.path: asset.file for asset in whole.assets}
    assert files[FIRST] == "sub-m0/sub-m0_ses-a_desc-celltypesorted_ecephys.nwb"
    for options in ({"source": f"DANDI:{name}/{FIRST}"}, {"source": f"DANDI:{name}", "glob": "*sorted*"}):
        plan = here(options.pop("source"), tmp_path / "one", dry_run=True, **options).plan
        assert [asset.file for asset in plan.assets if asset.status == "to do"] == [files[FIRST]]
    assert here(f"DANDI:{name}/{other}", tmp_path / "old", glob="*raw*").counts == {"done": 1}
    assert label_files(tmp_path / "old") == [files[other]]


def test_an_embargoed_dandiset_needs_its_token(
    archive: DandiDouble, large: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = archive.add_dandiset(name="Secret", files={FIRST: large[FIRST]}, embargo=True)
    assert here(f"DANDI:{name}", tmp_path).counts == {"done": 1}
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert archive.token.encode() not in written
    assert b"X-Amz-Signature" not in written
    monkeypatch.delenv(archive.token_variable)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    with pytest.raises(RefusedError):
        here(f"DANDI:{name}", tmp_path)


def test_the_catalogue_supplies_version_and_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[DandiAddress] = []

    def listed(address: DandiAddress) -> list[Asset]:
        seen.append(address)
        names = ["sub-a/sub-a_desc-raw_ecephys.nwb", "sub-a/sub-a_desc-processed_behavior+ecephys.nwb"]
        return [Asset("dandi", "000409", address.version, name, "", 1, "", "", {}) for name in names]

    described = type("Described", (), {"address": DandiAddress("000409"), "metadata": {}, "name": "Map", "doi": ""})
    described.licence = described.citation = described.url = ""  # type: ignore[attr-defined]
    monkeypatch.setattr("nwb_celltype.archive.assets.list_assets", listed)
    monkeypatch.setattr("nwb_celltype.archive.dandisets.find_dandiset", lambda _: described)
    found = find_items("DANDI:000409", instance="dandi")
    entry = next(e for e in nct.archive.catalogue.read_catalogue() if e.dandiset == "000409")
    assert seen[-1].version == entry.version
    assert [item.skipped for item in found.items] == ["", f"its path does not match {entry.glob}"]
    assert len(found.notes) == 2
    assert entry.version in found.notes[0]
    assert entry.glob in found.notes[1]
    chosen = find_items("DANDI:000409@draft", glob="*raw*", instance="dandi")
    assert seen[-1].version == "draft"
    assert not chosen.notes
    assert [item.skipped for item in chosen.items] == ["its path does not match *raw*", ""]


def test_one_asset_is_of_the_newest_version(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[DandiAddress] = []

    def listed(address: DandiAddress) -> list[Asset]:
        seen.append(address)
        return [Asset("dandi", "000409", address.version or "9.9.9", "sub-a/sub-a_ecephys.nwb", "", 1, "", "", {})]

    described = type("Described", (), {"address": DandiAddress("000409"), "metadata": {}, "name": "Map", "doi": ""})
    described.licence = described.citation = described.url = ""  # type: ignore[attr-defined]
    monkeypatch.setattr("nwb_celltype.archive.assets.list_assets", listed)
    monkeypatch.setattr("nwb_celltype.archive.dandisets.find_dandiset", lambda _: described)
    pinned = next(e for e in nct.archive.catalogue.read_catalogue() if e.dandiset == "000409").version
    for path, version in (("sub-a/sub-a_ecephys.nwb", ""), ("sub-a", pinned), ("sub-a/*.nwb", pinned)):
        seen.clear()
        found = find_items(f"DANDI:000409/{path}", instance="dandi")
        assert seen[0].version == version
        assert len(found.notes) == bool(version)


def test_the_result_is_plain_json(archive: DandiDouble, tmp_path: Path) -> None:
    said = json.loads(json.dumps(here("DANDI:000100", tmp_path).to_json(), allow_nan=False))
    assert said["counts"] == {"done": 2, "skipped": 2}
    assert said["plan"]["totals"]["left_out"] == 2
    assert said["plan"]["skipped"]["it is no NWB file"] == 1
    assert [asset["file"] for asset in said["assets"] if asset["status"] == "done"] == label_files(tmp_path)
