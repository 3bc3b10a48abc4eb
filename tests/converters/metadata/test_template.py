"""The template: valid, complete, and accepted once it is filled in."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from nwb_celltype.converters.metadata import check_metadata, metadata_schema, read_metadata, template
from nwb_celltype.converters.records import Probe, SourceSession

from .recordings import given, problems, pulses, session
from .test_checking import REQUIRED

FILLED = {
    "session_start_time": "2024-01-31T14:03:00+01:00",
    "session_description": "Head-fixed on a wheel.",
    "session_id": "a",
    "subject_id": "M042",
    "species": "mouse",
    "sex": "F",
    "age": "P90D",
}


def filled(text: str) -> str:
    """Write the required values behind their empty keys."""
    for key, value in FILLED.items():
        text = re.sub(rf"^  {key}:(?= *(#|$))", f"  {key}: {value}", text, flags=re.MULTILINE)
    return text


def read(tmp_path: Path, text: str) -> dict[str, Any]:
    file = tmp_path / "metadata.yaml"
    file.write_text(text, encoding="utf-8")
    return read_metadata(file)


@pytest.mark.parametrize("kind", ["phy", "spikeglx", "spikeinterface", "openephys"])
@pytest.mark.parametrize("source", [None, session()], ids=["alone", "with a session"])
def test_round_trip(tmp_path: Path, kind: str, source: SourceSession | None) -> None:
    text = template(kind, source)
    found = problems(read(tmp_path, text), source)
    given_by_source = {"NWBFile.session_id"} if source else set()
    assert [line.split(":")[0] for line in found] == [key for key in REQUIRED if key not in given_by_source]
    assert all("not filled in yet" in line for line in found)
    meta = check_metadata(read(tmp_path, filled(text)), source)
    assert meta.nwbfile["session_id"] == ("run1_g0" if source else "a")
    assert set(meta.devices) == ({"imec0"} if source else set())


@pytest.mark.parametrize("source", [None, session()], ids=["alone", "with a session"])
def test_examples_can_be_taken_as_they_are(tmp_path: Path, source: SourceSession | None) -> None:
    text = filled(template("spikeglx", source)).replace("#|", "")
    text = text.replace("date_of_birth: 2025-11-02", "date_of_birth: 2023-11-02")
    text = text.replace("session_id: run1_g0 ", "session_id: run1 ")
    at = text.find("nidq.XD0.3:")
    text = text[:at] + re.sub(r"    name: ", "    name: laser", text[at:], count=1)
    meta = check_metadata(read(tmp_path, text), source)
    assert meta.stimuli[0].events == "laser"
    assert meta.regions["imec0"][-1].location == "Crus 1"
    assert meta.nwbfile["protocol"] == "2026-14"


def test_what_the_source_says_is_there() -> None:
    text = template("spikeglx", session())
    for said in (
        "began at 2024-01-31T14:03:00 by the clock",
        '"2024-01-31T14:03:00 Europe/London"',
        "Neuropixels 1.0, serial number 18194809281, 20 channels at depths of 0 to 180 um",
        "40 pulses of 10 ms (median), from 12.3 to 20.1 s",
        "100 pulses of 500 ms (median), from 0.0 to 99.0 s; as regular as a sync signal",
        "Without a pulse: nidq.XD0.1.",
        "Filled in from run1_g0.",
    ):
        assert said in text, said
    assert max(map(len, text.splitlines())) <= 120


def test_a_start_with_its_zone_is_filled_in(tmp_path: Path) -> None:
    source = session(started=datetime.fromisoformat("2024-01-31T14:03:00+01:00"))
    values = read(tmp_path, template("phy", source))
    assert values["NWBFile"]["session_start_time"] == "2024-01-31T14:03:00+01:00"


def test_odd_names_survive(tmp_path: Path) -> None:
    odd = 'x: "y" # z\n\x00\x07é\ud800'
    text = "yes: no # 1"
    bad = Probe(text, ("a",), np.zeros((1, 2)), np.zeros(1, np.int64), "", model=odd, serial_number="0012")
    base = session()
    source = session(
        recordings=(type(base.recordings[0])(bad, base.recordings[0].clock),),
        pulses=(pulses("null", [1.0]), pulses("12", [1.0, 2.0], np.nan), pulses(odd[:12], [])),
        facts={"NWBFile.session_id": "0012", "NWBFile.notes": text, "Subject.strain": "on"},
    )
    values = read(tmp_path, template(odd.encode(errors="ignore").decode(), source).encode(errors="replace").decode())
    assert values["Devices"][text]["serial_number"] == "0012"
    assert (values["NWBFile"]["session_id"], values["NWBFile"]["notes"]) == ("0012", text)
    assert values["Subject"]["strain"] == "on"
    assert set(values["Events"]) == {"null", "12"}


def test_plain_yaml_readers_take_it_too() -> None:
    for source in (None, session(), session(recordings=(), pulses=(), started=None, facts={}, paths=())):
        assert set(yaml.safe_load(template("phy", source))) >= {"NWBFile", "Subject"}


def test_schema_fits_what_passes() -> None:
    from jsonschema import Draft7Validator

    schema = metadata_schema()
    Draft7Validator.check_schema(schema)
    validator = Draft7Validator(schema)
    assert list(validator.iter_errors(given())) == []
    missing = sorted(e.message for e in validator.iter_errors({"NWBFile": {}, "Subject": {}}))
    assert len(missing) == 3 + 3
    assert not validator.is_valid(given(**{"NWBFile.sesion_id": "a"}))
    assert metadata_schema() is not schema
    schema["properties"]["NWBFile"]["properties"]["keywords"]["items"]["type"] = "x"
    schema["properties"]["Layers"]["additionalProperties"]["items"]["properties"]["channels"]["type"] = "x"
    assert "'x'" not in str(metadata_schema())


def test_schema_goes_into_neuroconv() -> None:
    utils = pytest.importorskip("neuroconv.utils", reason="NeuroConv is not installed")
    pytest.importorskip("neuroconv")
    import neuroconv

    base = utils.load_dict_from_file(Path(neuroconv.__file__).parent / "schemas" / "base_metadata_schema.json")
    merged = utils.dict_deep_update(base, metadata_schema())
    from jsonschema import Draft7Validator

    Draft7Validator.check_schema(merged)
    assert {"Layers", "Optogenetics", "DeviceModels"} <= set(merged["properties"])
    whole = given(
        **{
            "Devices": {"laser": {"name": "laser"}},
            "Subject.species": "Mus musculus",
            "Ecephys.UnitProperties": [{"name": "a"}],
        }
    )
    assert list(Draft7Validator(merged).iter_errors(whole)) == []
