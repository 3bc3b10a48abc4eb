"""What goes into the units table comes out of it: with our own reader, to the last sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from nwb_celltype.converters.nwb import add_session, new_nwbfile, write_nwbfile
from nwb_celltype.converters.records import Column, SourceSession
from nwb_celltype.converters.views import first_seconds
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.units import read_units

from . import sessions
from .sessions import write


@pytest.fixture(scope="module")
def source() -> SourceSession:
    return sessions.session(sessions.recording(n_shanks=2), sessions.recording("imec1", seed=1, raw=False))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, source: SourceSession) -> Path:
    return write(tmp_path_factory.mktemp("units") / "two.nwb", source)


@pytest.fixture
def file(written: Path) -> Iterator[h5py.File]:
    with h5py.File(written) as opened:
        yield opened


def test_spike_times_are_the_samples_on_the_session_clock(written: Path, source: SourceSession) -> None:
    with read_units(written) as units:
        for k, recording in enumerate(source.recordings):
            assert recording.sorting is not None
            for i in range(len(recording.sorting)):
                times = units.spike_times[3 * k + i]
                expected = (recording.sorting.samples_of(i) + sessions.FIRST_SAMPLE) / sessions.RATE_HZ
                assert np.array_equal(times, expected)
        assert units.spike_times.counts.tolist() == [60, 60, 0, 60, 60, 0]
        assert units.spike_time_resolution_s == pytest.approx(1 / 30000)


def test_waveforms_come_back_in_microvolts(written: Path, source: SourceSession) -> None:
    with read_units(written) as units:
        assert units.waveform_unit_note is None
        assert units.waveform_rate_hz == sessions.RATE_HZ
        for k, own in enumerate(sessions.all_waveforms(source)):
            assert own is not None
            for i in range(2):
                found = units.waveform_mean[3 * k + i]
                assert found is not None
                np.testing.assert_allclose(found, own.mean[i], rtol=3e-7, atol=1e-5)
            assert np.isnan(units.waveform_mean[3 * k + 2]).all()


def test_electrodes_are_those_of_the_waveform_in_its_order(written: Path, source: SourceSession) -> None:
    with read_units(written) as units:
        assert units.electrodes is not None
        for k, own in enumerate(sessions.all_waveforms(source)):
            assert own is not None
            where = source.recordings[k].probe.positions_um
            for i in range(2):
                assert units.electrodes[3 * k + i].tolist() == (own.channels[i] + 24 * k).tolist()
                assert np.array_equal(units.unit_positions(3 * k + i), where[own.channels[i]])
                assert units.peak_electrode(3 * k + i) == own.peak_channels[i] + 24 * k


def test_ids_that_two_probes_share_are_made_unique(file: h5py.File) -> None:
    assert file["units/id"][:].tolist() == [3, 0, 17, 103, 100, 117]
    assert file["units/original_cluster_id"][:].tolist() == [3, 0, 17, 3, 0, 17]
    assert file["units/probe"].asstr()[:].tolist() == ["imec0"] * 3 + ["imec1"] * 3


def test_ids_of_different_probes_stay_where_they_are_unique(tmp_path: Path) -> None:
    two = sessions.session(sessions.recording(), sessions.recording("imec1", ids=(40, 41, 42)))
    with read_units(write(tmp_path / "a.nwb", two)) as units:
        assert units.unit_ids.tolist() == [3, 0, 17, 40, 41, 42]


def test_facts_of_each_unit(file: h5py.File) -> None:
    table = file["units"]
    names = list(table.attrs["colnames"])
    assert names[:9] == [
        "spike_times", "obs_intervals", "electrodes", "electrode_group", "waveform_mean", "waveform_sd", "unit_name",
        "quality", "KSLabel",
    ]  # fmt: skip
    assert table["quality"].asstr()[:3].tolist() == ["good", "mua", "unsorted"]
    assert table["is_good"][:3].tolist() == [True, False, False]
    assert "empty" not in table
    assert table["peak_channel"].asstr()[:3].tolist() == ["AP6", "AP8", "AP10"]
    assert table["layer"].asstr()[:3].tolist() == ["GCL", "", ""]
    assert table["rel_y"][:3].tolist() == [60.0, 80.0, 100.0]
    assert table["waveform_source"].asstr()[:3].tolist() == ["raw", "raw", "no spikes"]
    assert table["n_waveforms"][:3].tolist() == [60, 60, 0]
    assert np.array_equal(table["drift_um"][:3], [12.5, 12.5, np.nan], equal_nan=True)
    assert table["electrode_group"][0] != table["electrode_group"][3]
    for name in names:
        assert table[name].attrs["description"], name


def test_amplitudes_belong_to_their_spikes(file: h5py.File, source: SourceSession) -> None:
    sorting = source.recordings[0].sorting
    assert sorting is not None
    assert sorting.amplitudes is not None
    ends = file["units/spike_amplitudes_index"][:]
    assert np.array_equal(file["units/spike_amplitudes"][ends[0] : ends[1]], np.float32(sorting.amplitudes[60:120]))


def test_peak_time_and_units_of_measure_are_stated(file: h5py.File) -> None:
    mean = file["units/waveform_mean"]
    assert mean.dtype == np.float32
    assert mean.attrs["unit"] == "volts"
    assert mean.attrs["sampling_rate"] == 30000.0
    assert mean.attrs["time_before_peak_in_ms"] == pytest.approx(1.0)
    assert np.argmin(mean[0, :, 0]) == sessions.N_BEFORE


def test_every_large_column_is_in_chunks_of_a_megabyte(tmp_path: Path) -> None:
    many = sessions.sorting((0, 1, 2, 3))
    n = 100_000
    many = replace(
        many, spike_samples=np.tile(np.arange(n, dtype=np.int64) * 5, 4), offsets=np.arange(5) * n, amplitudes=None,
    )  # fmt: skip
    source = sessions.session(replace(sessions.recording(raw=False), sorting=many))
    with h5py.File(write(tmp_path / "a.nwb", source)) as file:
        times = file["units/spike_times"]
        assert times.chunks == (131072,)
        assert (times.compression, times.compression_opts, times.shuffle) == ("gzip", 4, True)
        assert np.array_equal(times[n : 2 * n], (np.arange(n) * 5 + sessions.FIRST_SAMPLE) / sessions.RATE_HZ)


def test_arbitrary_units_are_called_so(tmp_path: Path) -> None:
    source = sessions.session(sessions.recording(raw=False))
    path = write(tmp_path / "a.nwb", source, unit="a.u.")
    with h5py.File(path) as file:
        assert file["units/waveform_mean"].attrs["unit"] == "a.u."
        assert "arbitrary units" in file["units/waveform_mean"].attrs["description"]
        assert "waveform_sd" not in file["units"]
        assert file["units/waveform_mean"][0].min() == pytest.approx(-80, rel=0.01)


def test_volts_win_over_arbitrary_units_and_the_loss_is_said(tmp_path: Path) -> None:
    source = sessions.session(sessions.recording(), sessions.recording("imec1", seed=1))
    first, second = sessions.all_waveforms(source)
    assert second is not None
    mixed = (first, replace(second, unit="a.u."))
    with h5py.File(write(tmp_path / "a.nwb", source, given=mixed)) as file:
        assert file["units/waveform_mean"].attrs["unit"] == "volts"
        assert np.isnan(file["units/waveform_mean"][3:]).all()
        assert file["units/waveform_source"].asstr()[0] == "raw"
        assert file["units/waveform_source"].asstr()[3].startswith("left out")
        assert "imec1 are in arbitrary units" in file["general/data_collection"].asstr()[()]


def test_windows_of_two_probes_are_cut_to_what_both_have(tmp_path: Path) -> None:
    source = sessions.session(sessions.recording(), sessions.recording("imec1", seed=1))
    first, second = sessions.all_waveforms(source)
    assert second is not None
    short = replace(second, mean=second.mean[:, 10:71, :3], sd=None, channels=second.channels[:, :3], n_before=20)
    with h5py.File(write(tmp_path / "a.nwb", source, given=(first, short))) as file:
        mean = file["units/waveform_mean"]
        assert mean.shape == (6, 61, 3)
        assert np.argmin(mean[0, :, 0]) == np.argmin(mean[3, :, 0]) == 20
        assert np.diff(file["units/electrodes_index"][:]).tolist() == [3, 3, 3, 3, 3]


def test_units_without_waveforms_keep_their_peak_channel(tmp_path: Path) -> None:
    source = sessions.session(sessions.recording(raw=False))
    with read_units(write(tmp_path / "a.nwb", source, given=(None,))) as units:
        assert not units.waveform_mean.are_present.any()
        assert units.electrodes is not None
        assert [rows.tolist() for rows in units.electrodes] == [[6], [8], [10]]
        assert units.region.tolist() == ["Cerebellar cortex"] * 3
        assert units.obs_intervals is None


def test_units_without_anything_but_spikes(tmp_path: Path) -> None:
    recording = sessions.recording(raw=False)
    assert recording.sorting is not None
    bare = replace(recording.sorting, peak_channels=None, amplitudes=None, columns={})
    path = write(tmp_path / "a.nwb", sessions.session(replace(recording, sorting=bare)), given=(None,))
    with read_units(path) as units, h5py.File(path) as file:
        assert units.spike_times.counts.tolist() == [60, 60, 0]
        assert units.electrodes is None
        assert list(file["units"].attrs["colnames"]) == ["spike_times", "unit_name"]


def test_no_spikes_at_all(tmp_path: Path) -> None:
    recording = sessions.recording()
    assert recording.sorting is not None
    silent = replace(
        recording.sorting, spike_samples=np.empty(0, np.int64), offsets=np.zeros(4, np.int64), amplitudes=np.empty(0)
    )
    path = write(tmp_path / "a.nwb", sessions.session(replace(recording, sorting=silent)), given=(None,))
    with read_units(path) as units:
        assert units.spike_times.counts.tolist() == [0, 0, 0]


def test_an_empty_sorting_writes_no_units_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nwb", sessions.session(replace(sessions.recording(), sorting=None)))
    with h5py.File(path) as file:
        assert "units" not in file
        assert "No units" in file["general/data_collection"].asstr()[()]
        assert len(file["general/extracellular_ephys/electrodes/id"]) == 24


def test_what_a_person_typed_in_wins_over_what_follows_from_the_channel(tmp_path: Path) -> None:
    recording = sessions.recording()
    assert recording.sorting is not None
    typed = {"layer": Column(np.array(["", "PCL", "ML"]), "Of cluster_layer.tsv.")}
    sorting = replace(recording.sorting, columns={**recording.sorting.columns, **typed})
    with h5py.File(write(tmp_path / "a.nwb", sessions.session(replace(recording, sorting=sorting)))) as file:
        assert file["units/layer"].asstr()[:].tolist() == ["GCL", "PCL", "ML"]


def test_names_that_would_break_the_file_are_changed(tmp_path: Path) -> None:
    recording = sessions.recording()
    assert recording.sorting is not None
    odd = {name: Column(np.arange(3.0), "d") for name in ("parent", "id", "a/b", "spike_times", "data")}
    sorting = replace(recording.sorting, columns=odd)
    path = write(tmp_path / "a.nwb", sessions.session(replace(recording, sorting=sorting)))
    with h5py.File(path) as file:
        for name in ("parent_of_sorter", "id_of_sorter", "a_b", "spike_times_of_sorter", "data_of_sorter"):
            assert file[f"units/{name}"][:].tolist() == [0.0, 1.0, 2.0]
        assert "parent is called parent_of_sorter" in file["general/data_collection"].asstr()[()]


def test_a_stub_has_the_first_seconds_only(tmp_path: Path) -> None:
    source = sessions.session()
    sorting = source.recordings[0].sorting
    assert sorting is not None
    path = write(tmp_path / "a.nwb", first_seconds(source, 4.0), raw=True)
    start = sessions.FIRST_SAMPLE / sessions.RATE_HZ
    with read_units(path) as units, h5py.File(path) as file:
        first = sorting.samples_of(0)
        assert units.spike_times.counts[0] == np.sum(first < 4 * sessions.RATE_HZ)
        assert file["acquisition/ElectricalSeriesAP/data"].shape == (120_000, 24)
        assert file["units/obs_intervals"][0].tolist() == pytest.approx([start, start + 4])
        assert file["events/laser/timestamp"][:].tolist() == pytest.approx([start])


def test_a_second_table_of_units_is_refused(tmp_path: Path) -> None:
    source, meta = sessions.session(), sessions.metadata()
    nwbfile = new_nwbfile(meta, source)
    nwbfile.add_unit(spike_times=[0.1])
    with pytest.raises(UsageError, match="a table of 1 units already"):
        add_session(nwbfile, source, meta, sessions.all_waveforms(source))


def test_waveforms_of_another_sorting_are_refused(tmp_path: Path) -> None:
    source, meta = sessions.session(), sessions.metadata()
    other = sessions.waveforms(sessions.sorting((1, 2)), sessions.probe())
    with pytest.raises(InputError, match="imec0 has 3 units, but mean waveforms of 2"):
        add_session(new_nwbfile(meta, source), source, meta, [other])
    with pytest.raises(UsageError, match="1 recordings need as many"):
        add_session(new_nwbfile(meta, source), source, meta, [])


def test_a_file_that_could_not_be_finished_is_removed(tmp_path: Path) -> None:
    class Broken(sessions.MadeTraces):
        def read(self, start: int, stop: int, channels: object = None) -> np.ndarray:
            message = "the disk went away"
            raise OSError(message)

    recording = replace(sessions.recording(), traces=Broken("imec0.ap", 600_000, np.empty(0, np.int64)))
    source, meta = sessions.session(recording), sessions.metadata()
    nwbfile = new_nwbfile(meta, source)
    add_session(nwbfile, source, meta, sessions.all_waveforms(source), raw=True)
    with pytest.raises(OSError, match="went away"):
        write_nwbfile(nwbfile, tmp_path / "a.nwb")
    assert not (tmp_path / "a.nwb").exists()
