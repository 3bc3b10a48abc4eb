"""Labelled dandisets are found by their keywords, on a real server on loopback; the catalogue needs none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from nwb_celltype.archive.addresses import parse_address
from nwb_celltype.archive.keywords import (
    DANDISET_KEYWORDS,
    DETACHED,
    LABELS,
    class_keyword,
    count_keyword,
    source_keyword,
)
from nwb_celltype.cli.find_verb import command
from nwb_celltype.errors import NetworkError, NothingToDoError, UsageError
from nwb_celltype.finding import Found, find

from .archive_double import DandiDouble, extract_metadata

OURS = {"keywords": [*DANDISET_KEYWORDS, "cerebellum"]}


def labelled(subject: str, species: str, source: str, **units: int) -> dict[str, Any]:
    words = [LABELS, DETACHED, source_keyword(source)]
    for label, n in units.items():
        words += [class_keyword(label), *([count_keyword(label, n)] if n else [])]
    return {
        **extract_metadata(b"", "a.nwb"),
        "keywords": words,
        "wasAttributedTo": [
            {
                "schemaKey": "Participant",
                "identifier": subject,
                "species": {"schemaKey": "SpeciesType", "name": species},
            }
        ],
    }


@pytest.fixture(scope="module")
def archive() -> Iterator[DandiDouble]:
    mouse, macaque = "Mus musculus - House mouse", "Macaca mulatta - Rhesus monkey"
    with DandiDouble() as double:
        add = double.add_asset
        one = double.add_dandiset(name="Mouse and monkey", metadata=OURS)
        add(one, "sub-A/sub-A.nwb", b"12345", metadata=labelled("A", mouse, "ground_truth", PkC_ss=12, MLI=3))
        add(one, "sub-B/sub-B.nwb", b"123456", metadata=labelled("B", mouse, "classifier", PkC_ss=30))
        add(one, "sub-C/sub-C.nwb", b"1234567", metadata=labelled("C", macaque, "classifier", GoC=0, Starburst=0))
        add(one, "sub-D/sub-D.nwb", b"12345678")
        double.settle()
        double.publish(one, "0.260101.1200")
        draft = double.add_dandiset(name="Published without, labelled in the draft")
        add(draft, "sub-A/sub-A.nwb", b"1")
        double.settle()
        double.publish(draft, "0.260101.1300")
        double.dandiset(draft).draft.metadata.update(OURS)
        add(draft, "sub-Z/sub-Z.nwb", b"123", metadata=labelled("Z", macaque, "expert", MLI=1))
        spoken = double.add_dandiset(name="Speaks of it", metadata={"description": "Not made with nwb-celltype."})
        add(spoken, "sub-A/sub-A.nwb", b"2", metadata=labelled("A", mouse, "expert", MLI=1))
        mute = double.add_dandiset(name="Keywords alone", metadata=OURS)
        add(mute, "sub-A/sub-A.nwb", b"3")
        closed = double.add_dandiset(name="Closed", metadata=OURS, embargo=True)
        add(closed, "sub-A/sub-A.nwb", b"4", metadata=labelled("A", mouse, "expert", MLI=1))
        double.add_dandiset(name="Empty", metadata=OURS)
        double.settle()
        yield double


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANDI_NO_ET", "1")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.delenv("DANDI_INSTANCE", raising=False)


def names(found: tuple[Found, ...]) -> list[str]:
    return [one.dandiset for one in found if not one.is_catalogued]


def test_labelled_dandisets_are_found_with_what_they_hold(archive: DandiDouble) -> None:
    found = find(instance=archive.url)
    assert names(found) == ["000001", "000002", "000004"]
    one, draft, mute = found[:3]
    assert (one.version, one.name, one.licence) == ("0.260101.1200", "Mouse and monkey", "CC-BY-4.0")
    assert one.doi
    assert one.species == ("macaque", "mouse")
    assert one.classes == {"GoC": 1, "MLI": 1, "PkC_ss": 2, "Starburst": 1}
    assert one.units == {"MLI": 3, "PkC_ss": 42}, "GoC states no number"
    assert one.sources == ("classifier", "ground_truth")
    assert (one.n_files, one.n_bytes) == (3, 5 + 6 + 7)
    assert parse_address(one.address.text) == one.address
    assert (draft.version, draft.classes, draft.n_files) == ("draft", {"MLI": 1}, 1)
    assert (mute.n_files, mute.classes) == (0, {})
    assert "do not say" in mute.note
    assert all(entry.is_catalogued for entry in found[3:])
    assert found[3].dandiset == "000409"


@pytest.mark.parametrize(
    ("wish", "expected", "n_files"),
    [
        ({"species": "mouse"}, ["000001"], 2),
        ({"species": "Macaca mulatta"}, ["000001", "000002"], 1),
        ({"species": "http://purl.obolibrary.org/obo/NCBITaxon_10116"}, [], 0),
        ({"cell_type": "PkC_ss"}, ["000001"], 2),
        ({"cell_type": "pkc_SS", "ground_truth": True}, ["000001"], 1),
        ({"cell_type": "MLI"}, ["000001", "000002"], 1),
        ({"cell_type": "MLI", "species": "monkey"}, [], 0),
        ({"cell_type": "MLI", "species": "rhesus"}, ["000002"], 1),
        ({"ground_truth": True}, ["000001"], 1),
        ({"ground_truth": True, "species": "macaque"}, [], 0),
        ({"cell_type": "PkC_cs"}, [], 0),
        ({"cell_type": "starburst"}, ["000001"], 1),  # of a taxonomy of somebody's own
        ({"cell_type": "spindle"}, [], 0),
    ],
)
def test_conditions_hold_for_one_file_at_once(
    archive: DandiDouble, wish: dict[str, Any], expected: list[str], n_files: int
) -> None:
    found = find(instance=archive.url, **wish)
    assert names(found) == expected
    assert not found or found[0].n_files == n_files or found[0].is_catalogued
    if "cell_type" in wish or "ground_truth" in wish:
        assert not any(one.is_catalogued for one in found), "the catalogue has no labels of ours"


def test_the_catalogue_needs_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANDI_INSTANCE", "http://127.0.0.1:9")
    everything = find(catalogue_only=True)
    assert len(everything) > 20
    assert all(one.is_catalogued and not one.classes for one in everything)
    rats = find(catalogue_only=True, species="Rattus norvegicus")
    assert 0 < len(rats) < len(everything)
    assert all("rat" in one.species for one in rats)
    with pytest.raises(NetworkError):
        find()


def test_wrong_wishes_are_refused() -> None:
    with pytest.raises(UsageError, match="names no species"):
        find(species="unknown")
    with pytest.raises(UsageError, match="without labels"):
        find(catalogue_only=True, ground_truth=True)


@pytest.mark.parametrize(("written", "meant"), [("PkC_sss", "PkC_ss"), ("starbrust", "Starburst")])
def test_a_class_that_is_misspelt(archive: DandiDouble, written: str, meant: str) -> None:
    with pytest.raises(NothingToDoError, match=f"No dandiset .*'{written}'. Did you mean {meant}"):
        find(instance=archive.url, cell_type=written)
    assert find(instance=archive.url, cell_type=meant)


def test_the_command_prints_a_table_and_json(archive: DandiDouble) -> None:
    plain = CliRunner().invoke(command, ["--instance", archive.url], catch_exceptions=False)
    assert plain.exit_code == 0
    assert "With labels: 3" in plain.stdout
    assert "GoC (1 file), MLI (3 units), PkC_ss (42 units), Starburst (1 file)" in plain.stdout
    assert "labels: classifier, ground truth" in plain.stdout
    assert "IBL Brain-Wide Map" in plain.stdout
    machine = CliRunner().invoke(command, ["--instance", archive.url, "--class", "MLI", "--json"])
    assert [row["dandiset"] for row in json.loads(machine.stdout)] == ["000001", "000002"]
    none = CliRunner().invoke(command, ["--instance", archive.url, "--class", "MFB"])
    assert none.stdout.strip() == "No dandiset with labels fits."


def test_without_a_server_the_command_still_lists_the_catalogue() -> None:
    shown = CliRunner().invoke(command, ["--instance", "http://127.0.0.1:9", "--species", "mouse"])
    assert isinstance(shown.exception, NetworkError)
    assert shown.exception.exit_code == 5
    assert "DANDI:000409@" in shown.stdout
    assert "With labels" not in shown.stdout
    machine = CliRunner().invoke(command, ["--instance", "http://127.0.0.1:9", "--ground-truth", "--json"])
    assert isinstance(machine.exception, NetworkError)
    assert json.loads(machine.stdout) == []
    alone = CliRunner().invoke(command, ["--catalogue", "--json"])
    assert alone.exit_code == 0
    assert len(json.loads(alone.stdout)) > 20
