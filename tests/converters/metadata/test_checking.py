"""Checks: all problems at once, values normalised, and nothing guessed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from nwb_celltype.converters.metadata import check_metadata, check_sections
from nwb_celltype.converters.metadata.ages import iso_age
from nwb_celltype.errors import InputError

from .recordings import checked, given, problem, problems, pulses, session

REQUIRED = [
    "NWBFile.session_start_time",
    "NWBFile.session_description",
    "NWBFile.session_id",
    "Subject.subject_id",
    "Subject.species",
    "Subject.sex",
    "Subject.age",
]


def test_complete_metadata_pass() -> None:
    meta = check_metadata(given(), session())
    assert meta.nwbfile["session_start_time"] == datetime.fromisoformat("2024-01-31T14:03:00+01:00")
    assert meta.subject == {"subject_id": "M042", "species": "Mus musculus", "sex": "F", "age": "P90D"}
    assert meta.species_term is not None
    assert meta.species_term.curie == "NCBITaxon:10090"
    assert meta.events["nidq.XD0.3"].name == "laser"
    (stimulus,) = meta.stimuli
    assert (stimulus.events, stimulus.device, stimulus.site_name) == ("laser", "laser", "laser_site")
    assert (stimulus.wavelength_nm, stimulus.power_mw, stimulus.tags) == (473.0, 5.0, "MLI")
    assert stimulus.blockers[0].from_s == 1800
    assert stimulus.leave_out
    assert [rule.layer for rule in meta.regions["imec0"]] == ["", "GCL", "ML"]


def test_every_missing_key_in_one_message() -> None:
    found = problems({})
    assert [line.split(":")[0] for line in found] == REQUIRED
    assert all("missing" in line and "for example" in line for line in found)
    empty = {"NWBFile": {"session_id": " ", "session_start_time": "TODO"}, "Subject": None}
    lines = problems(empty)
    assert [line.split(":")[0] for line in lines] == REQUIRED
    assert "NWBFile.session_id: not filled in yet" in lines[2]


def test_all_problems_at_once() -> None:
    found = problems(given(**{"Subject.sex": "blue", "Subject.species": "moose", "NWBFile.sesion_id": 1, "Layer": []}))
    assert len(found) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"NWBFile.sesion_id": "a"}, "NWBFile.sesion_id: unknown key; did you mean 'session_id'?"),
        ({"NWBFile.species": "mouse"}, "belongs under Subject"),
        ({"Subject.experimenter": "a"}, "belongs under NWBFile"),
        ({"subject": {}}, "did you mean 'Subject'?"),
        ({"Subject": ["mouse"]}, ""),
        ({"NWBFile.session_start_time": "2024-01-31"}, 'has no time; wanted'),
        ({"NWBFile.session_start_time": date(2024, 1, 31)}, '"2024-01-31T14:03:00+01:00"'),
        ({"NWBFile.session_start_time": "2024-01-31T14:03:00"}, "2024-01-31T14:03:00 has no time zone"),
        ({"NWBFile.session_start_time": datetime.fromisoformat("2024-01-31T14:03:00")}, "has no time zone"),
        ({"NWBFile.session_start_time": "2999-01-31T14:03:00Z"}, "a moment in the past"),
        ({"NWBFile.session_start_time": "1969-12-31T14:03:00Z"}, "after 1970"),
        ({"NWBFile.session_start_time": "2024-01-31 14:03 Europe/Atlantis"}, "no time zone 'Europe/Atlantis'"),
        ({"NWBFile.session_start_time": "2024-10-27 02:30:00 Europe/Paris"}, "change of clocks"),
        ({"NWBFile.session_start_time": "31.1.2024 14:03"}, "found '31.1.2024 14:03'"),
        ({"NWBFile.session_id": "a/b c"}, "session_id: a-b-c"),
        ({"Subject.subject_id": "mouse 1"}, "subject_id: mouse-1"),
        ({"NWBFile.lab": ["a"]}, "found a list of 1"),
        ({"NWBFile.lab": True}, "put quotes around it"),
        ({"NWBFile.keywords": [{"a": 1}]}, "NWBFile.keywords"),
        ({"NWBFile.was_generated_by": ["SpikeGLX"]}, "pairs"),
        ({"NWBFile.source_script": "x"}, "NWBFile.source_script_file_name: missing"),
        ({"Subject.sex": "X"}, "M, F, O (other) or U (unknown)"),
        ({"Subject.age": 90}, "found '90', without a unit"),
        ({"Subject.age": "P120D/P90D"}, "P90D"),
        ({"Subject.age__reference": "death"}, "birth or gestational"),
        ({"Subject.weight": 25}, "weight: 25 g"),
        ({"Subject.species": "monkey"}, "which monkey"),
        ({"Subject.species": "C57BL/6J"}, "Subject.strain"),
        ({"Subject.species": "moose"}, "did you mean 'mouse'?"),
        ({"Subject.date_of_birth": "2024-02-01"}, "2024-02-01 is not before the session"),
        ({"Subject.date_of_birth": "yesterday"}, "a date, year first"),
        ({"Devices.laser": {"modell": "x"}}, "did you mean 'model'?"),
        ({"Devices.a/b": {}, }, "without slash"),
        ({"Ecephys.imec0": {"gain_uv": 2.3e-6}}, "looks like volts"),
        ({"Ecephys.imec0": {"locaton": "x"}}, "did you mean 'location'?"),
        ({"Ecephys.imec0": {"location": "UBERON:0000955"}}, "needs its name"),
        ({"Layers.imec0": [{"channels": "0-9", "layer": "granul"}]}, "granular layer (GCL)"),
        ({"Layers.imec0": [{"channels": "9-0", "layer": "ML"}]}, "channels: 0-95"),
        ({"Layers.imec0": [{"depth_um": [5], "layer": "ML"}]}, "depth_um: [960, 1300]"),
        ({"Layers.imec0": [{"channels": 0, "depth_um": [0, 5], "layer": "ML"}]}, "states channels and depth_um"),
        ({"Layers.imec0": [{"channels": "0-9"}]}, "neither location nor layer"),
        ({"Layers.imec0": [{"channels": "0-9", "layer": "ML"}, {"channels": [9, 12], "layer": "GCL"}]},
         "Layers.imec0[1]: overlaps with Layers.imec0[0]"),
        ({"Layers.imec0": [{"depth_um": "0-9", "layer": "ML"}, {"depth_um": [8, None], "layer": "GCL"}]}, "overlaps"),
        ({"Layers.imec0": "granular"}, "a list of rules"),
        ({"Events.nidq.XD0.4": {"name": "laser"}}, "'laser' is also the name of nidq.XD0.3"),
        ({"Events.nidq.XD0.4": {"name": "a/b"}}, "without slash"),
        ({"Events.nidq.XD0.4": {"keep": "maybe"}}, "true or false"),
    ],
)  # fmt: skip
def test_one_problem(changes: dict[str, Any], said: str) -> None:
    if changes == {"Subject": ["mouse"]}:
        assert "Subject: found a list of 1" in problems(given(**changes))[0]
        return
    assert said in problem(**changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"events": "lazer"}, "did you mean 'laser'?"),
        ({"events": None}, "Optogenetics[0].events: not filled in yet"),
        ({"device": "lamp"}, "Devices has no 'lamp'"),
        ({"wavelength_nm": 0.473}, "wavelength_nm: 473"),
        ({"wavelength_nm": 4.73e-7}, "looks like metres"),
        ({"wavelength_nm": "blue"}, "found 'blue'"),
        ({"wavelength_nm": -1}, "200 to 2000"),
        ({"power_mw": 0}, "above 0"),
        ({"power_mw": float("nan")}, "milliwatts"),
        ({"location": "MBA:1"}, "by name"),
        ({"blockers": ["gabazine"]}, "Optogenetics[0].blockers[0]"),
        ({"blockers": [{"name": "gabazine"}]}, "from_s: missing"),
        ({"blockers": {"name": "gabazine", "from_s": 10, "to_s": 5}}, "seconds after from_s"),
        ({"leave_out": [3, 2]}, "seconds after from_s"),
        ({"leave_out": [3]}, "leave_out: [1200, 2400]"),
        ({"laser": 1}, "unknown key"),
    ],
)
def test_problem_of_a_stimulus(change: dict[str, Any], said: str) -> None:
    metadata = given()
    metadata["Optogenetics"][0].update(change)
    assert said in problems(metadata)[0]


def test_events_that_are_not_kept() -> None:
    assert "keep: false" in problem(**{"Events.nidq.XD0.3": {"name": "laser", "keep": False}})


def test_stimuli_share_a_site_only_if_they_are_alike() -> None:
    metadata = given()
    first = metadata["Optogenetics"][0]
    metadata["Optogenetics"] = [first, {**first, "power_mw": 9}, {**first, "wavelength_nm": 590, "leave_out": [1, 2]}]
    stimuli = check_metadata(metadata).stimuli
    assert [s.site_name for s in stimuli] == ["laser_site", "laser_site", "laser_site_2"]
    assert (stimuli[2].leave_out, stimuli[2].leave_out_from_s, stimuli[2].leave_out_to_s) == (True, 1, 2)
    metadata["Optogenetics"] = [{**first, "site": "here"}, {**first, "site": "here", "wavelength_nm": 590}]
    assert "name of another place" in problems(metadata)[0]


def test_the_same_pulses_tag_one_kind_of_cell() -> None:
    metadata = given()
    first = metadata["Optogenetics"][0]
    metadata["Optogenetics"] = [{**first, "tags": "MLI"}, {**first, "location": "Crus 2", "tags": "GoC"}]
    assert "one label for the cells that respond to laser" in problems(metadata)[0]
    metadata["Optogenetics"][1]["tags"] = "MLI"
    assert len(check_metadata(metadata).stimuli) == 2


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("Subject.sex", "male", "M"),
        ("Subject.sex", "♀", "F"),
        ("Subject.sex", "unknown", "U"),
        ("Subject.age", "12 weeks", "P12W"),
        ("Subject.age", timedelta(days=90), "P90D"),
        ("Subject.weight", "25g", "25 g"),
        ("Subject.subject_id", 42, "42"),
        ("NWBFile.experimenter", "Last, First", ("Last, First",)),
        ("NWBFile.keywords", "cerebellum, mouse", ("cerebellum", "mouse")),
        ("NWBFile.related_publications", ["10.1000/182"], ("https://doi.org/10.1000/182",)),
        ("NWBFile.was_generated_by", [["SpikeGLX", "3"]], (("SpikeGLX", "3"),)),
    ],
)
def test_values_are_normalised(key: str, written: Any, value: Any) -> None:
    meta = checked(**{key: written})
    block, name = key.split(".")
    assert (meta.nwbfile if block == "NWBFile" else meta.subject)[name] == value


@pytest.mark.parametrize(
    "written",
    ["2024-01-31T14:03:00+01:00", "2024-01-31 14:03:00 +01:00", "2024-01-31T13:03:00Z", "2024-01-31 13:03:00 UTC",
     "2024-01-31 14:03:00 Europe/Paris", datetime(2024, 1, 31, 13, 3, tzinfo=UTC)],
)  # fmt: skip
def test_start_with_any_zone(written: Any) -> None:
    start = checked(**{"NWBFile.session_start_time": written}).nwbfile["session_start_time"]
    assert start == datetime(2024, 1, 31, 13, 3, tzinfo=UTC)
    assert start.utcoffset() is not None


@pytest.mark.parametrize(
    ("written", "age"),
    [
        ("P90D", "P90D"), ("p90d", "P90D"), ("90d", "P90D"), ("90 days old", "P90D"), ("P90", "P90D"),
        ("3 months", "P3M"), ("1 year 2 months", "P1Y2M"), ("1.5 years", "P1.5Y"), ("2,5 weeks", "P2.5W"),
        ("P90D/", "P90D/"), ("90 to 120 days", "P90D/P120D"), ("P12W/P90D", "P84D/P90D"), ("P1Y/P18M", None),
        ("90", None), ("adult", None), ("", None), ("/", None), ("P", None), ("P1.5W2D", None), ("-3 days", None),
        ("P90D/P90D", None), ("P3M P2D", None), ("2 days 1 year", None),
    ],
)  # fmt: skip
def test_ages(written: str, age: str | None) -> None:
    assert iso_age(written) == age


def test_ages_are_what_dandi_and_its_inspector_read() -> None:
    from dandi.metadata.util import parse_age
    from nwbinspector.checks._nwbfile_metadata import check_subject_age, check_subject_proper_age_range
    from pynwb.file import Subject

    for written in ("90 days", "12 weeks", "1 year 2 months", "8-10 weeks", "P12W/P90D", "P90D/", "1.5 years"):
        age = iso_age(written)
        assert age is not None
        assert parse_age(age)[0] == age
        subject = Subject(subject_id="a", age=age)
        assert check_subject_age(subject) is None
        assert check_subject_proper_age_range(subject) is None


def test_date_of_birth_instead_of_age() -> None:
    meta = checked(**{"Subject.age": KeyError, "Subject.date_of_birth": "2023-11-02"})
    assert "age" not in meta.subject
    assert meta.subject["date_of_birth"] == datetime.fromisoformat("2023-11-02T00:00:00+01:00")
    notes = checked(**{"Subject.age": "P9D", "Subject.date_of_birth": "2023-11-02"}).notes
    assert any("makes the animal 91 days old" in note for note in notes)


def test_notes_forbid_nothing() -> None:
    changes = {
        "NWBFile.session_id": "run1_g0",
        "NWBFile.experimenter": "Jane",
        "NWBFile.related_publications": "Nature",
    }
    notes = checked(**changes).notes
    for said in ("'run1-g0'", "'Last name, First name'", "https://doi.org/...", "institution"):
        assert any(said in note for note in notes), said


def test_against_the_recording() -> None:
    metadata = given(**{"Ecephys.imec1": {"location": "CBX"}, "Layers.imec0": [{"channels": "0-20", "layer": "ML"}]})
    metadata["Events"]["nidq.XD0.33"] = {"name": "x"}
    found = problems(metadata, session())
    assert "Ecephys.imec1: the recording has no such probe; did you mean 'imec0'?" in found
    assert any("channel 20 is beyond the last one" in line for line in found)
    assert any(line.startswith("Events.nidq.XD0.33: the recording has no such digital line; did you") for line in found)
    rules = [{"channels": "0-9", "layer": "ML"}, {"depth_um": [0, 50], "layer": "GCL"}]
    assert "overlaps" in problems(given(**{"Layers.imec0": rules}), session())[0]


def test_notes_from_the_recording() -> None:
    other = session(
        started=datetime.fromisoformat("2024-02-03T10:00:00"), pulses=(pulses("nidq.XD0.3", []),),
    )  # fmt: skip
    notes = check_metadata(
        given(**{"Ecephys": {}, "Layers.imec0": [{"channels": "0-9", "location": "CBX"}]}), other
    ).notes
    assert any("2 days away" in note for note in notes)
    assert any("10 of 20 channels" in note and "unknown" in note for note in notes)
    assert any("has no pulse" in note for note in notes)
    assert not any("away" in note or "unknown" in note for note in check_metadata(given(), session()).notes)


def test_what_neuroconv_writes_is_passed_over() -> None:
    metadata = given(
        **{
            "DeviceModels": {"m": {"name": "m"}},
            "TimeSeries": {"nidq": {}},
            "Devices.neuropixels_1": {
                "name": "NeuropixelsImec0",
                "serial_number": "1",
                "device_model_metadata_key": "m",
            },
            "Ecephys.ElectricalSeriesAP": {"name": "a"},
            "Ecephys.ElectrodeGroups": {"g": {"name": "g"}},
            "Ecephys.UnitProperties": [{"name": "a"}],
            "Events.spikeglx_nidq": {"event_types": {}},
            "Events.EventTables": {},
        }
    )
    meta = check_metadata(metadata, session())
    assert meta.devices["NeuropixelsImec0"].serial_number == "1"
    assert set(meta.events) == {"nidq.XD0.3"}
    listed = given(**{"Devices": [{"name": "laser"}, {"name": "lamp"}]})
    assert set(check_metadata(listed).devices) == {"laser", "lamp"}


def test_sections_alone() -> None:
    meta = check_sections({"Devices": {"laser": {}}, "NWBFile": {"lab": "A"}}, session())
    assert (meta.nwbfile, meta.subject, list(meta.devices)) == ({"lab": "A"}, {}, ["laser"])
    naive = check_sections({"NWBFile": {"session_start_time": "2024-01-31T14:03:00"}})
    assert naive.nwbfile == {}
    assert "has no time zone" in naive.notes[0]
    broken = given(**{"Subject.sex": "x", "NWBFile.session_start_time": "soon"})
    broken["Optogenetics"][0]["events"] = "lamp"
    with pytest.raises(InputError):
        check_sections(broken)
    kept = check_sections(broken, strict=False)
    assert "sex" not in kept.subject
    assert kept.stimuli == ()
    assert kept.events["nidq.XD0.3"].name == "laser"


def test_pynwb_takes_the_result() -> None:
    from pynwb import NWBFile
    from pynwb.file import Subject

    from nwb_celltype.converters.metadata.fields import NWBFILE_FIELDS, SUBJECT_FIELDS

    full = given(**{"Subject.weight": "25 g", "Subject.date_of_birth": "2023-11-02", "Subject.age__reference": "birth"})
    full["NWBFile"] |= {
        key: {"text": "a", "texts": ["Last, First"], "moment": "2024-01-31T14:03:00Z", "pairs": [["a", "1"]]}[
            field.kind
        ]
        for key, field in NWBFILE_FIELDS.items()
        if key not in full["NWBFile"]
    }
    full["Subject"] |= {key: "a" for key in SUBJECT_FIELDS if key not in full["Subject"]}
    meta = check_metadata(full)
    assert set(meta.nwbfile) == set(NWBFILE_FIELDS)
    NWBFile(**meta.nwbfile, subject=Subject(**meta.subject))


def test_messages_can_be_printed() -> None:
    found = problems(given(**{"NWBFile.lab": "\ud800", "a\nb\ud800": 1}))
    assert len(found) == 2
    assert all(line.encode() and re.match(r"\S+: ", line) for line in found)


def test_no_mapping_is_refused() -> None:
    for value in (None, [], "a", 3, np.zeros(3)):
        with pytest.raises(InputError, match="keys and values"):
            check_metadata(value)  # type: ignore[arg-type]
