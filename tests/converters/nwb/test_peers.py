"""SpikeInterface, pynapple and NeuroConv read what is written, and NeuroConv's interfaces share a file with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile

from nwb_celltype.converters.nwb import add_session, compress, new_nwbfile, write_nwbfile
from nwb_celltype.converters.records import SourceSession
from nwb_celltype.errors import InputError
from nwb_celltype.nwb_io.validation import validator_messages

from . import sessions
from .sessions import write

# what the peers say about their own dependencies when they are imported
pytestmark = [pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def source() -> SourceSession:
    return sessions.session()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, source: SourceSession) -> Path:
    return write(tmp_path_factory.mktemp("peers") / "a.nwb", source, raw=True)


def test_spikeinterface_finds_every_spike_at_its_sample(path: Path, source: SourceSession) -> None:
    extractors = pytest.importorskip("spikeinterface.extractors")
    recording = extractors.read_nwb_recording(path, electrical_series_path="acquisition/ElectricalSeriesAP")
    sorting = extractors.read_nwb_sorting(path, electrical_series_path="acquisition/ElectricalSeriesAP")
    expected = source.recordings[0].sorting
    assert expected is not None
    assert recording.get_channel_gains().tolist() == pytest.approx([sessions.GAIN_UV] * 24)
    assert recording.get_start_time() == pytest.approx(sessions.FIRST_SAMPLE / sessions.RATE_HZ)
    assert [int(unit_id) for unit_id in sorting.unit_ids] == [3, 0, 17]
    for i, unit_id in enumerate(sorting.unit_ids):
        frames = sorting.get_unit_spike_train(unit_id)
        assert np.array_equal(frames, expected.samples_of(i))
        if len(frames):
            at = int(frames[-1])
            assert np.all(recording.get_traces(start_frame=at, end_frame=at + 1) == -200)
    assert list(sorting.get_property("quality")) == ["good", "mua", "unsorted"]


def test_templates_of_an_analyzer_can_be_rebuilt(path: Path, source: SourceSession) -> None:
    """As SpikeInterface's reader of analyzers does: mean waveforms, their electrodes, and positions of these."""
    core = pytest.importorskip("spikeinterface.core")
    with NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        units, electrodes = nwbfile.units, nwbfile.electrodes
        positions = np.column_stack([electrodes["rel_x"][:], electrodes["rel_y"][:]])
        dense = np.zeros((2, sessions.N_SAMPLES, len(electrodes)))
        for i in range(2):
            at = units["electrodes"].target.data[4 * i : 4 * i + 4]
            dense[i][:, at] = np.asarray(units["waveform_mean"][i]) * 1e6
        n_before = round(units.waveform_time_before_peak_in_ms * units.waveform_rate / 1000)
        templates = core.Templates(
            dense, units.waveform_rate, n_before, is_in_uV=True, unit_ids=np.array(units.id[:2]),
            channel_ids=np.array(electrodes["channel_name"][:]),
        )  # fmt: skip
    own = sessions.all_waveforms(source)[0]
    assert own is not None
    peaks = core.get_template_extremum_channel(templates, peak_sign="neg", outputs="index")
    assert list(peaks.values()) == own.peak_channels[:2].tolist()
    assert n_before == sessions.N_BEFORE
    assert np.array_equal(positions, source.recordings[0].probe.positions_um)


def test_pynapple_loads_units_and_their_facts(path: Path, source: SourceSession) -> None:
    pynapple = pytest.importorskip("pynapple")
    units = pynapple.load_file(str(path))["units"]
    expected = source.recordings[0].sorting
    assert expected is not None
    assert isinstance(units, pynapple.TsGroup)
    times = (expected.samples_of(0) + sessions.FIRST_SAMPLE) / sessions.RATE_HZ
    np.testing.assert_allclose(units[3].times(), times, atol=1e-9)
    assert units["quality"][0] == "mua"
    assert units["peak_channel"][3] == "AP6"


def test_neuroconv_takes_the_file_in_memory_and_writes_it(tmp_path: Path, source: SourceSession) -> None:
    helpers = pytest.importorskip("neuroconv.tools.nwb_helpers")
    meta = sessions.metadata()
    nwbfile = new_nwbfile(meta, source)
    add_session(nwbfile, source, meta, sessions.all_waveforms(source), raw=True)
    helpers.configure_and_write_nwbfile(nwbfile=nwbfile, nwbfile_path=tmp_path / "b.nwb", backend="hdf5")
    with h5py.File(tmp_path / "b.nwb") as theirs, h5py.File(write(tmp_path / "a.nwb", source, raw=True)) as ours:
        for name in ("units/spike_times", "units/waveform_mean", "acquisition/ElectricalSeriesAP/data"):
            assert np.array_equal(theirs[name][:], ours[name][:], equal_nan=True), name
        assert theirs["units/spike_times"].chunks[0] <= 131072


def test_neuroconv_can_write_the_file_as_zarr(tmp_path: Path, source: SourceSession) -> None:
    helpers = pytest.importorskip("neuroconv.tools.nwb_helpers")
    zarr = pytest.importorskip("zarr")
    meta = sessions.metadata()
    nwbfile = new_nwbfile(meta, source)
    add_session(nwbfile, source, meta, sessions.all_waveforms(source), raw=True)
    helpers.configure_and_write_nwbfile(nwbfile=nwbfile, nwbfile_path=tmp_path / "b.nwb.zarr", backend="zarr")
    written = zarr.open(str(tmp_path / "b.nwb.zarr"), mode="r")
    sorting = source.recordings[0].sorting
    assert sorting is not None
    expected = (sorting.spike_samples + sessions.FIRST_SAMPLE) / sessions.RATE_HZ
    assert np.array_equal(written["units/spike_times"][:], expected)
    assert np.all(written["acquisition/ElectricalSeriesAP/data"][:, 0][sorting.spike_samples] == -200)


def _begun_by_neuroconv(source: SourceSession, *, n: int = 24, names: str = "AP{i},LF{i}") -> NWBFile:
    """Fill a file as NeuroConv's SpikeGLXRecordingInterface does: its device, groups, and columns of its own."""
    nwbfile = new_nwbfile(sessions.metadata(), source)
    device = nwbfile.create_device(name="NeuropixelsImec0", description="A probe.")
    group = nwbfile.create_electrode_group(
        name="NeuropixelsImec0", description="A shank.", location="unknown", device=device
    )
    for name in ("channel_name", "electrode_name", "contact_shapes"):
        nwbfile.add_electrode_column(name, f"the {name}")
    for i in range(n):
        nwbfile.add_electrode(
            location="unknown", group=group, channel_name=names.format(i=i), electrode_name=f"e{i}",
            contact_shapes="square",
        )  # fmt: skip
    return nwbfile


def _added(tmp_path: Path, nwbfile: NWBFile, source: SourceSession) -> Path:
    add_session(nwbfile, source, sessions.metadata(), sessions.all_waveforms(source))
    write_nwbfile(nwbfile, tmp_path / "a.nwb")
    return tmp_path / "a.nwb"


def test_electrodes_that_are_there_are_used_and_filled(tmp_path: Path, source: SourceSession) -> None:
    with h5py.File(_added(tmp_path, _begun_by_neuroconv(source), source)) as file:
        table = file["general/extracellular_ephys/electrodes"]
        assert len(table["id"]) == 24
        assert list(file["general/devices"]) == ["NeuropixelsImec0"]
        assert set(table["location"].asstr()[:]) == {"Cerebellar cortex"}
        assert table["electrode_name"].asstr()[3] == "e3"
        assert table["rel_y"][:].tolist() == source.recordings[0].probe.positions_um[:, 1].tolist()
        assert file["units/electrodes"][0] == 6


def test_electrodes_that_are_missing_are_added(tmp_path: Path, source: SourceSession) -> None:
    two = replace(source, recordings=(*source.recordings, sessions.recording("imec1", seed=1, n_shanks=2)))
    with h5py.File(_added(tmp_path, _begun_by_neuroconv(source, n=20), two)) as file:
        table = file["general/extracellular_ephys/electrodes"]
        assert table["id"][:].tolist() == list(range(48))
        assert table["group_name"].asstr()[[0, 22, 24, 40]].tolist() == [
            "NeuropixelsImec0", "NeuropixelsImec0", "imec1_shank0", "imec1_shank1",
        ]  # fmt: skip
        assert table["contact_shapes"].asstr()[[0, 22, 30]].tolist() == ["square", "", ""]
        assert table["channel_name"].asstr()[[0, 22, 30]].tolist() == ["AP0,LF0", "AP22", "AP6"]
        assert sorted(file["general/devices"]) == ["NeuropixelsImec0", "imec1", "models"]


def test_electrodes_that_cannot_be_matched_are_refused(source: SourceSession) -> None:
    nwbfile = _begun_by_neuroconv(source, names="contact {i}")
    with pytest.raises(InputError, match="has 24 electrodes of the probe imec0 already, but none is called like"):
        add_session(nwbfile, source, sessions.metadata(), sessions.all_waveforms(source))


def test_another_probe_of_the_same_name_is_refused(source: SourceSession) -> None:
    nwbfile = new_nwbfile(sessions.metadata(), source)
    nwbfile.create_device(name="imec0", description="d", serial_number="1")
    with pytest.raises(InputError, match="another device 'imec0'"):
        add_session(nwbfile, source, sessions.metadata(), sessions.all_waveforms(source))


def test_a_file_on_disk_can_be_added_to(tmp_path: Path, source: SourceSession) -> None:
    begun = _begun_by_neuroconv(source)
    begun.data_collection = "Typed by hand."
    write_nwbfile(begun, tmp_path / "a.nwb")
    with NWBHDF5IO(tmp_path / "a.nwb", "r+") as io:
        nwbfile: Any = io.read()
        add_session(nwbfile, source, sessions.metadata(), sessions.all_waveforms(source))
        compress(nwbfile)
        io.write(nwbfile)
    with h5py.File(tmp_path / "a.nwb") as file:
        assert len(file["general/extracellular_ephys/electrodes/id"]) == 24
        assert set(file["general/extracellular_ephys/electrodes/location"].asstr()[:]) == {"Cerebellar cortex"}
        assert file["units/id"][:].tolist() == [3, 0, 17]
        assert file["units/spike_times"].compression == "gzip"
        assert file["general/data_collection"].asstr()[()] == "Typed by hand."
        assert "Session clock" in file["general/notes"].asstr()[()]
    assert validator_messages(tmp_path / "a.nwb") == []
