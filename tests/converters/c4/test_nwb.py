"""What a recording of the database says is enough for a file, but for when it was and which animal it was."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from nwb_celltype.converters.assembly import Options, fill, prepared, unit_waveforms
from nwb_celltype.converters.c4 import read_session
from nwb_celltype.converters.metadata import check_metadata
from nwb_celltype.converters.nwb import new_nwbfile, write_nwbfile
from nwb_celltype.errors import InputError

from .database import macaque, mouse, write


def metadata_of(session, **subject):
    metadata = {"NWBFile": {"session_start_time": "2020-03-06T12:00:00+00:00"}, "Subject": {}}
    for key, value in session.facts.items():
        section, _, name = key.partition(".")
        metadata[section][name] = value
    metadata["Subject"] |= {"subject_id": "A1", "sex": "U", "age": "P90D", **subject}
    return metadata


def test_a_file_holds_units_waveforms_and_licence(tmp_path):
    session = read_session(write(tmp_path / "hausser.h5", [mouse(k) for k in range(3)]))
    metadata = check_metadata(metadata_of(session), session)
    ready = prepared(session, metadata, Options())
    nwbfile = new_nwbfile(metadata, ready)
    fill(nwbfile, ready, metadata, unit_waveforms(ready, Options()))
    write_nwbfile(nwbfile, tmp_path / "a.nwb")
    with h5py.File(tmp_path / "a.nwb") as file:
        units = file["units"]
        assert units["id"][:].tolist() == [300, 307, 314]
        assert np.array_equal(units["spike_times"][: units["spike_times_index"][0]], mouse(0)["spike_indices"] / 30_000)
        assert units["peak_channel"].asstr()[:].tolist() == ["51", "53", "55"]
        volts = mouse(0)["mean_waveform_preprocessed"][11] * np.float32(1e-6)
        assert np.allclose(units["waveform_mean"][0, :, 0], volts, rtol=1e-5, atol=1e-12)
        assert "CC BY-NC-SA 4.0" in file["general/data_collection"].asstr()[()]
        assert "10.1016/j.cell.2025.01.041" in file["general/related_publications"].asstr()[0]


def test_start_subject_and_the_kind_of_macaque_are_asked_for(tmp_path):
    session = read_session(write(tmp_path / "lisberger.h5", [macaque(0)]))
    metadata = metadata_of(session)
    del metadata["NWBFile"]["session_start_time"]
    with pytest.raises(InputError) as caught:
        check_metadata(metadata, session)
    assert "session_start_time" in str(caught.value)
    assert "which monkey" in str(caught.value)
    assert check_metadata(metadata_of(session, species="Macaca mulatta"), session).subject["species"]
