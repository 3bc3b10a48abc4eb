"""What is written is valid NWB, passes `dandi validate`, and leaves the inspector nothing but what is listed here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_celltype.converters.metadata.records import SessionMetadata
from nwb_celltype.converters.records import ProbeRecording, Pulses, SourceSession
from nwb_celltype.nwb_io.validation import validator_messages

from . import sessions
from .sessions import write

DANDISET = """identifier: DANDI:000001
name: Made-up sessions
description: For tests.
contributor:
- name: Doe, Jane
  email: jane@example.org
  roleName: ["dcite:ContactPerson"]
  schemaKey: Person
license: ["spdx:CC-BY-4.0"]
"""


def _two_probes() -> SourceSession:
    clock = sessions.drifting_clock("imec1.ap", bend_ppm=0.0)
    return sessions.session(sessions.recording(n_shanks=2), sessions.recording("imec1", clock=clock, seed=1))


def _bare() -> ProbeRecording:
    recording = sessions.recording(raw=False)
    assert recording.sorting is not None
    bare = replace(recording.sorting, peak_channels=None, amplitudes=None, columns={})
    probe = replace(recording.probe, model="", manufacturer="", serial_number="", filtering=None, is_reference=None)
    return replace(recording, sorting=bare, probe=probe)


def _one_pulse() -> SourceSession:
    pulse = Pulses("nidq.XD0.3", np.array([7.25]), np.array([np.nan]), False, "Edges of bit 3.")
    return replace(sessions.session(), pulses=(pulse,))


def _rich(**more: Any) -> SessionMetadata:
    return sessions.metadata(stimuli=(sessions.stimulus(**more),))


def _unstated() -> SessionMetadata:
    meta = sessions.metadata(regions={}, devices={}, species_term=None, events={})
    needed = ("session_start_time", "session_description", "session_id")
    subject = ("subject_id", "species", "sex", "age")
    return replace(
        meta,
        nwbfile={key: meta.nwbfile[key] for key in needed},
        subject={key: meta.subject[key] for key in subject},
    )


# (session, metadata, what the inspector still says: only what the source lacks, or what was asked for)
CASES: dict[str, tuple[SourceSession, SessionMetadata, set[str]]] = {
    "two probes": (_two_probes(), _rich(), set()),
    "one probe": (sessions.session(), sessions.metadata(), set()),
    "no units": (sessions.session(replace(sessions.recording(), sorting=None)), sessions.metadata(), set()),
    # spikes of the stimulated part stay in the file, and the experimenter leaves that part out
    "left out": (
        sessions.session(),
        _rich(leave_out=True, leave_out_from_s=8.0, leave_out_to_s=20.0),
        {"check_spike_times_not_in_unobserved_interval"},
    ),
    # one pulse makes a table of one row
    "one pulse": (_one_pulse(), sessions.metadata(), {"check_single_row"}),
    # nobody says who, where, why, in which region, or anything of the animal; the required metadata are all there is
    "nothing stated": (
        sessions.session(_bare(), events=False),
        _unstated(),
        {
            "check_experimenter_exists", "check_experiment_description", "check_institution", "check_keywords",
            "check_electrodes_location_allen_ccf", "check_description",
        },
    ),
    # an uneven clock needs a time for every sample
    "uneven clock": (
        sessions.session(
            sessions.recording(), sessions.recording("imec1", clock=sessions.drifting_clock("imec1.ap", bend_ppm=40.0))
        ),
        sessions.metadata(),
        set(),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dandiset with a file for each case."""
    root = tmp_path_factory.mktemp("dandiset")
    (root / "dandiset.yaml").write_text(DANDISET)
    (root / "sub-m1").mkdir()
    for name, (source, meta, _) in CASES.items():
        write(_path(root, name), source, meta, given=_given(source), raw=len(source.recordings) > 1)
    return root


def _path(root: Path, case: str) -> Path:
    return root / "sub-m1" / f"sub-m1_ses-20260131a_desc-{case.replace(' ', '')}_ecephys.nwb"


def _given(source: SourceSession) -> Any:
    has_peaks = all(r.sorting is None or r.sorting.peak_channels is not None for r in source.recordings)
    return None if has_peaks else (None,) * len(source.recordings)


@pytest.mark.parametrize("case", CASES)
def test_the_validator_finds_nothing(folder: Path, case: str) -> None:
    assert validator_messages(_path(folder, case)) == []


@pytest.mark.filterwarnings("ignore")  # of the inspector's own dependencies
@pytest.mark.parametrize("case", CASES)
def test_the_inspector_says_only_what_the_source_lacks(folder: Path, case: str) -> None:
    from nwbinspector import inspect_nwbfile, load_config

    messages = list(inspect_nwbfile(nwbfile_path=_path(folder, case), config=load_config("dandi")))
    found = {message.check_function_name for message in messages}
    assert found == CASES[case][2], [message.message for message in messages]


def test_dandi_finds_no_error(folder: Path, tmp_path: Path) -> None:
    client = Path(sysconfig.get_path("scripts")) / "dandi"
    if not client.exists():
        pytest.skip("the dandi client is not installed")
    done = subprocess.run(
        [client, "validate", "-f", "json_lines", str(folder)],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "DANDI_NO_ET": "1", "DANDI_CACHE": "ignore", "XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    errors = [message for message in said if message.get("severity") in ("ERROR", "CRITICAL")]
    assert errors == [], done.stderr
    assert done.returncode == 0, done.stdout + done.stderr


def test_terms_are_in_the_table_of_external_resources(folder: Path) -> None:
    with h5py.File(_path(folder, "one probe")) as file:
        herd = file["general/external_resources"]
        assert [entity[0].decode() for entity in herd["entities"][:]] == [
            "NCBITaxon:10090", "UBERON:0002129", "UBERON:0002956",
        ]  # fmt: skip
        electrodes = file["general/extracellular_ephys/electrodes"]
        assert set(electrodes["layer_ontology_id"].asstr()[:]) == {"UBERON:0002956", ""}
        assert set(electrodes["location_ontology_id"].asstr()[:]) == {"UBERON:0002129"}


def test_the_same_input_gives_the_same_file(tmp_path: Path) -> None:
    first, second = (
        _everything(write(tmp_path / f"{name}.nwb", _two_probes(), _rich(), raw=True)) for name in ("a", "b")
    )
    assert first.keys() == second.keys()
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key], err_msg=key)


def test_the_identifier_follows_from_subject_session_and_start(tmp_path: Path) -> None:
    def identifier(meta: SessionMetadata) -> str:
        with h5py.File(write(tmp_path / "a.nwb", sessions.session(), meta)) as file:
            return str(file["identifier"].asstr()[()])

    meta = sessions.metadata()
    assert identifier(meta) == identifier(sessions.metadata())
    assert identifier(replace(meta, nwbfile={**meta.nwbfile, "session_id": "b"})) != identifier(meta)
    assert identifier(replace(meta, nwbfile={**meta.nwbfile, "identifier": "mine"})) == "mine"


def _everything(path: Path) -> dict[str, Any]:
    """Every dataset and attribute, save time stamps and object ids; references by the name of their target."""
    found: dict[str, Any] = {}

    def plain(file: h5py.File, value: Any) -> Any:
        if isinstance(value, h5py.Reference):
            return file[value].name
        if isinstance(value, np.ndarray) and value.dtype == object:
            return [plain(file, item) for item in value.ravel()]
        return value

    def visit(name: str, node: Any) -> None:
        for key, value in node.attrs.items():
            if key != "object_id":
                found[f"{name}@{key}"] = plain(node.file, value)
        is_resource = name.startswith("general/external_resources")
        if isinstance(node, h5py.Dataset) and name not in ("file_create_date",):
            value = node[()]
            if is_resource and value.dtype.names:
                value = [
                    str([v for k, v in zip(value.dtype.names, row, strict=True) if "object_id" not in k])
                    for row in value
                ]
            found[name] = plain(node.file, value)

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def test_importing_the_writer_needs_no_neuroconv_or_spikeinterface() -> None:
    code = (
        "import sys, nwb_celltype.converters.nwb as n; "
        "print([m for m in ('neuroconv', 'spikeinterface', 'torch', 'ndx_events') if m in sys.modules])"
    )
    with warnings.catch_warnings():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
