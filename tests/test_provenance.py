"""The record of where units came from, and whether a file holds them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_celltype.archive.addresses import parse_address
from nwb_celltype.errors import InputError, RefusedError
from nwb_celltype.provenance import (
    DESCRIPTIONS,
    SOURCE_PATH,
    SourceAsset,
    disagreements,
    find_source_beside,
    is_detached,
    open_source_units,
    read_source,
)
from nwb_celltype.runs import Method, Run
from nwb_celltype.units import Session, Units

from .nwb_io.files import plain

SOURCE = SourceAsset(
    instance="dandi", dandiset="000409", version="0.260309.1324", path="sub-1/a b+c%41.nwb", size=2**40, title="Ω"
)


def with_source(path: Path, **row: object) -> Path:
    """A file with nothing but a source table, as somebody else might write it."""
    with h5py.File(path, "w") as file:
        for name, value in row.items():
            file[f"{SOURCE_PATH}/{name}"] = value
    return path


def test_row_and_back() -> None:
    row = SOURCE.to_row()
    assert list(row) == list(DESCRIPTIONS)
    assert SourceAsset.from_row(row) == SOURCE
    stored = {key: np.int64(v) if isinstance(v, int) else v.encode() for key, v in row.items()}
    assert SourceAsset.from_row({**stored, "unheard_of": 1}) == SOURCE
    assert SourceAsset.from_row({}) == SourceAsset()
    for size in (-1, "many"):
        with pytest.raises(InputError, match="whole number of bytes"):
            SourceAsset.from_row({"size": size})


@pytest.mark.parametrize("instance", ["", "dandi", "dandi-sandbox", "http://127.0.0.1:8000"])
def test_the_address_leads_back(instance: str) -> None:
    source = SourceAsset(instance=instance, dandiset="000409", version="draft", path="sub-1/a b+c%41.nwb")
    address = parse_address(source.address, instance="dandi")
    assert (address.dandiset, address.version, address.path) == ("000409", "draft", "sub-1/a b+c%41.nwb")  # type: ignore[union-attr]
    assert address.instance == (instance or "dandi")  # type: ignore[union-attr]


def test_addresses_of_sources_that_are_in_no_dandiset() -> None:
    assert SourceAsset(url="https://example.org/a.nwb").address == "https://example.org/a.nwb"
    assert SourceAsset(path="a.nwb", identifier="x").address == ""


def test_files_that_are_not_detached(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.nwb")
    assert read_source(path) is None
    assert not is_detached(path)
    with h5py.File(path) as file:
        assert read_source(file) is None
        assert file  # it stays open
    with pytest.raises(InputError, match="does not exist"):
        read_source(tmp_path / "absent.nwb")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"identifier": ["a", "b"]}, "does not have exactly one row"),
        ({"other": ["a"]}, "does not have exactly one row"),
        ({"identifier": "a"}, "exactly one row"),
        ({"size": [-5]}, "whole number of bytes"),
    ],
)
def test_damaged_tables(tmp_path: Path, row: dict[str, object], sentence: str) -> None:
    path = with_source(tmp_path / "labels.nwb", **row)
    assert is_detached(path)
    with pytest.raises(InputError, match=sentence):
        read_source(path)


def test_fewer_columns_will_do(tmp_path: Path) -> None:
    path = with_source(tmp_path / "labels.nwb", identifier=["x"], size=[5])
    assert read_source(path) == SourceAsset(identifier="x", size=5)


def run(unit_ids: tuple[int, ...] = (1, 2), **stated: str) -> Run:
    n = len(unit_ids)
    empty = np.array([""] * n)
    return Run(
        "r", Method("expert", {}), ("A",), np.array(unit_ids), np.array(["A"] * n), np.zeros(n, bool), empty, empty,
        **stated,  # type: ignore[arg-type]
    )  # fmt: skip


def units(**stated: str) -> Units:
    return Units.from_arrays([[0.1], [0.2, 0.3], []], unit_ids=[1, 2, 3], session=Session(**stated))


def test_only_what_both_state_is_compared() -> None:
    assert disagreements(units(), SourceAsset(), [run()]) == []
    assert disagreements(units(), SourceAsset(units_object_id="x", units_path="/units"), [run()]) == []
    assert disagreements(units(units_object_id="x", units_path="/units"), SourceAsset(), [run()]) == []
    (said,) = disagreements(units(identifier="a"), SourceAsset(), [run(source_identifier="b")])
    assert said == "its identifier is 'a', and the labels are of 'b'"
    (said,) = disagreements(units(), SourceAsset(identifier="b"), [])
    assert said == "its identifier is '', and the labels are of 'b'"
    (said,) = disagreements(units(units_object_id="x"), SourceAsset(), [run(units_object_id="y")])
    assert "object id x, and the labels are of y" in said


def test_the_digest_is_of_the_units_of_the_run_in_its_order() -> None:
    ours = units()
    digest = ours.select([2, 1]).sha256()
    assert disagreements(ours, SourceAsset(), [run((2, 1), input_sha256=digest)]) == []
    for other in (run((1, 2), input_sha256=digest), run((2,), input_sha256=digest)):
        assert len(disagreements(ours, SourceAsset(), [other])) == 1
        assert disagreements(ours, SourceAsset(), [other], check_data=False) == []
    assert disagreements(ours, SourceAsset(), [run((1, 8, 9))]) == ["it lacks 2 of the 3 units of run 'r' (8, 9)"]


def test_the_source_beside(tmp_path: Path) -> None:
    labels = with_source(tmp_path / "labels.nwb", identifier=["plain"])
    source = SourceAsset(identifier="plain", path="sub-1/named.nwb")
    assert find_source_beside(labels, source) is None
    (tmp_path / "broken.nwb").write_text("no")
    (tmp_path / "folder.nwb").mkdir()
    first = plain(tmp_path / "first.nwb")
    assert find_source_beside(labels, source) == first
    named = plain(tmp_path / "named.nwb")
    assert find_source_beside(labels, source) == named
    assert find_source_beside(labels, SourceAsset(identifier="plain", units_path="/elsewhere")) is None
    assert find_source_beside(labels, SourceAsset(path="sub-1/named.nwb")) is None


def test_units_are_opened_if_they_are_the_ones(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.nwb")
    source = SourceAsset(identifier="plain", units_path="/units")
    with open_source_units(path, source, [run((7, 9))]) as found:
        assert found.unit_ids.tolist() == [7, 3, 9]
    with pytest.raises(RefusedError, match=r"do not belong to .*a\.nwb: .*lacks 1 of the 2.*\(8\)"):
        open_source_units(path, source, [run((7, 8))])
    with pytest.raises(RefusedError, match=r"identifier is 'plain', and the labels are of 'other'; .*/elsewhere"):
        open_source_units(path, SourceAsset(identifier="other", units_path="/elsewhere"), [])
    path.rename(tmp_path / "b.nwb")  # nothing keeps it open
