"""One recording as a session: units, electrodes, waveforms, observed time, light, labels, and what goes into NWB."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_celltype.converters.c4 import read_database, read_session
from nwb_celltype.converters.c4.periods import count_inside
from nwb_celltype.errors import UsageError

from .database import ABSENT, MACAQUE_HZ, MOUSE_HZ, macaque, mouse, places, waveform, write


@pytest.fixture
def hausser(tmp_path):
    return write(tmp_path / "hausser.h5", [mouse(k) for k in range(5)])


def test_one_session_a_recording(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0, "a"), mouse(1, "b"), mouse(2, "a")])
    assert read_session(path, "a").recordings[0].sorting.unit_names == ("hausser_neuron_0", "hausser_neuron_2")
    assert read_session(path, "b").recordings[0].sorting.unit_names == ("hausser_neuron_1",)
    database = read_database(path)
    assert [read_session(database, name).facts["NWBFile.session_id"] for name in database.recordings] == ["a", "b"]
    with pytest.raises(UsageError, match="2 recordings; name the recording, such as a, b"):
        read_session(path)
    with pytest.raises(UsageError, match="no recording 'c'"):
        read_session(path, "c")


def test_spikes_are_seconds_from_the_recordings_beginning(hausser):
    recording = read_session(hausser).recordings[0]
    for row in range(5):
        stored = mouse(row)["spike_indices"]
        assert np.array_equal(recording.sorting.samples_of(row), stored)
        assert np.array_equal(recording.clock.seconds(recording.sorting.samples_of(row)), stored / MOUSE_HZ)


def test_macaque_files_keep_their_rate(tmp_path):
    path = write(tmp_path / "lisberger.h5", [macaque(k) for k in range(3)])
    recording = read_session(path).recordings[0]
    assert recording.clock.sampling_rate_hz == MACAQUE_HZ
    assert recording.sorting.unit_ids.tolist() == [700, 701, 702]
    assert recording.sorting.templates.waveforms.shape == (3, 240, 4)
    assert recording.sorting.templates.n_before == 120


def test_a_neuron_at_another_rate_is_left_out(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0), mouse(1), mouse(2, sampling_rate=25_000)])
    sorting = read_session(path).recordings[0].sorting
    assert sorting.unit_names == ("hausser_neuron_0", "hausser_neuron_1")
    assert any(item.what == "neuron hausser_neuron_2" and "25000" in item.reason for item in sorting.left_out)


def test_waveforms_stand_on_all_their_channels_in_microvolts(hausser):
    recording = read_session(hausser).recordings[0]
    probe, templates = recording.probe, recording.sorting.templates
    assert probe.channel_names == tuple(str(i) for i in range(40, 70))
    assert np.array_equal(probe.positions_um, places(np.arange(40, 70)))
    assert (templates.unit, templates.n_before) == ("microvolts", 90)
    for row in range(5):
        own = slice(2 * row, 2 * row + 22)
        stored = waveform(22, 180, 11, depth_uv=-100.0 - row)
        assert np.array_equal(templates.waveforms[row][:, own], stored.T)
        assert np.isnan(np.delete(templates.waveforms[row], np.r_[own], axis=1)).all()
        assert recording.sorting.peak_channels[row] == 2 * row + 11


def test_the_spike_is_where_the_recordings_waveforms_peak(tmp_path):
    early = waveform(4, 240, 1, depth_uv=60.0)[:, 80:]  # 1 ms before the peak, 3 ms after
    path = write(tmp_path / "c4.h5", [macaque(k, mean_waveform_preprocessed=early) for k in range(3)])
    sorting = read_session(path).recordings[0].sorting
    assert sorting.templates.n_before == 40
    assert any("peak at sample 40" in note for note in sorting.notes)


def test_waveforms_of_other_lengths(tmp_path):
    long = waveform(22, 200, 11, depth_uv=-70.0)
    short = waveform(22, 90, 11, depth_uv=-70.0)
    neurons = [
        mouse(0),
        mouse(1),
        mouse(2, mean_waveform_preprocessed=long),
        mouse(3, mean_waveform_preprocessed=short),
    ]
    sorting = read_session(write(tmp_path / "c4.h5", neurons)).recordings[0].sorting
    assert sorting.templates.waveforms.shape[1] == 180
    assert np.array_equal(sorting.templates.waveforms[2][:, 4:26], long[:, 10:190].T)
    assert np.isnan(sorting.templates.waveforms[3]).all()
    assert any(item.what == "mean waveform of neuron hausser_neuron_3" for item in sorting.left_out)


def test_contradicting_places_are_said(tmp_path):
    moved = places(np.arange(44, 66)) + 500.0
    path = write(tmp_path / "c4.h5", [mouse(0), mouse(1), mouse(2, channelmap=moved), mouse(3), mouse(4)])
    session = read_session(path)
    assert np.array_equal(session.recordings[0].probe.positions_um, places(np.arange(40, 70)))
    assert any("hausser_neuron_2 (22)" in note for note in session.notes)


def test_places_without_a_majority_are_unknown(tmp_path):
    moved = places(np.arange(42, 64)) + 500.0
    session = read_session(write(tmp_path / "c4.h5", [mouse(0), mouse(1, channelmap=moved)]))
    at = session.recordings[0].probe.positions_um
    assert np.isnan(at[2:22]).all()
    assert np.isfinite(at[:2]).all()


def test_a_neuron_that_names_no_channels_gets_its_own(tmp_path):
    path = write(tmp_path / "c4.h5", [macaque(0), macaque(1, channel_ids=ABSENT, channelmap=ABSENT)])
    recording = read_session(path).recordings[0]
    assert recording.probe.channel_names[:5] == ("0", "1", "2", "3", "lisberger_neuron_1.0")
    assert recording.sorting.peak_channels.tolist() == [1, 5]
    assert np.isnan(recording.probe.positions_um[4:]).all()


def test_a_recording_without_any_channel_is_read(tmp_path):
    none = {"mean_waveform_preprocessed": ABSENT, "channel_ids": ABSENT, "channelmap": ABSENT}
    recording = read_session(write(tmp_path / "c4.h5", [macaque(0, **none)])).recordings[0]
    assert len(recording.probe) == 0
    assert recording.sorting.templates is None
    assert recording.sorting.peak_channels.tolist() == [-1]


def test_observed_time_holds_the_sane_spikes_and_no_other(tmp_path):
    rng = np.random.default_rng(3)
    n = len(mouse(0)["spike_indices"])
    patchy = np.repeat(rng.random(n // 50 + 1) < 0.6, 50)[:n]
    scattered = rng.random(len(mouse(1)["spike_indices"])) < 0.5
    path = write(tmp_path / "c4.h5", [mouse(0, sane_spikes=patchy), mouse(1, sane_spikes=scattered)])
    sorting = read_session(path).recordings[0].sorting
    for row, mask in enumerate((patchy, scattered)):
        seconds, periods = sorting.samples_of(row) / MOUSE_HZ, sorting.obs_intervals[row]
        inside = np.array([count_inside(np.array([t]), periods) for t in seconds], bool)
        assert np.array_equal(inside, mask)
        assert np.all(np.diff(periods.ravel()) > 0)


def test_sane_periods_and_sane_spikes_must_agree(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0, sane_periods=np.array([[5.0, 15.0], [30.0, 50.0]]))])
    periods = read_session(path).recordings[0].sorting.obs_intervals[0]
    assert periods[0].tolist() == [5.0, 15.0]
    assert periods[1, 0] == 30.0
    assert 34.5 < periods[1, 1] < 35.5
    assert len(periods) == 2


def test_whole_recordings_have_no_observed_periods(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(k, sane_spikes=ABSENT) for k in range(2)])
    assert read_session(path).recordings[0].sorting.obs_intervals is None


def test_a_unit_that_was_observed_all_the_time_beside_one_that_was_not(tmp_path):
    path = write(tmp_path / "c4.h5", [macaque(0), macaque(1, sane_periods="all")])
    sorting = read_session(path).recordings[0].sorting
    assert sorting.obs_intervals[0].tolist() == [[0.0, 20.0], [30.0, 50.0]]
    assert sorting.obs_intervals[1].tolist() == [[0.0, (int(sorting.spike_samples.max()) + 1) / MACAQUE_HZ]]


def test_a_unit_without_a_sane_spike_is_said(tmp_path):
    n = len(mouse(1)["spike_indices"])
    sorting = read_session(write(tmp_path / "c4.h5", [mouse(0), mouse(1, sane_spikes=np.zeros(n, bool))])).recordings[0]
    assert sorting.sorting.obs_intervals[1].shape == (0, 2)
    assert any("hausser_neuron_1" in note and "no spike counts as sane" in note for note in sorting.sorting.notes)


def test_masks_of_spikes_are_kept(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0), mouse(1, fn_fp_filtered_spikes=ABSENT)])
    sorting = read_session(path).recordings[0].sorting
    sane, filtered = (sorting.spike_columns[n].values for n in ("sane_spikes", "fn_fp_filtered_spikes"))
    expected = np.concatenate([mouse(0)["sane_spikes"], mouse(1)["sane_spikes"]])
    assert np.array_equal(sane, expected)
    first = slice(*sorting.offsets[:2])
    assert np.array_equal(filtered[first], mouse(0)["fn_fp_filtered_spikes"])
    assert np.all(filtered[sorting.offsets[1] :] == -1)
    assert np.array_equal(sorting.amplitudes[first], mouse(0)["amplitudes"])


def test_macaques_have_no_masks(tmp_path):
    sorting = read_session(write(tmp_path / "c4.h5", [macaque(0)])).recordings[0].sorting
    assert dict(sorting.spike_columns) == {}
    assert sorting.amplitudes is None


def test_the_light_of_a_recording_stands_once(hausser):
    session = read_session(hausser)
    assert [pulses.name for pulses in session.pulses] == ["optostims"]
    assert session.pulses[0].onsets_s.tolist() == list(range(45, 55))
    assert np.allclose(session.pulses[0].durations_s, 0.25)


def test_light_that_neurons_disagree_about_stays_apart(tmp_path):
    plain = mouse(0)["optostims"]
    neurons = [mouse(0), mouse(1, optostims=plain[:4]), mouse(2, optostims=plain + 1.5), mouse(3, optostims=ABSENT)]
    session = read_session(write(tmp_path / "c4.h5", neurons))
    assert [len(pulses) for pulses in session.pulses] == [10, 10]
    assert {pulses.onsets_s[0] for pulses in session.pulses} == {45.0, 46.5}
    assert any("do not agree about the light" in note for note in session.notes)


def test_a_copy_of_a_neuron_is_left_out(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0, unit=5), mouse(0, unit=5), mouse(1, unit=5)], in_datasets=False)
    sorting = read_session(path).recordings[0].sorting
    assert sorting.unit_names == ("hausser_neuron_0", "hausser_neuron_2")
    assert any("a copy of hausser_neuron_0" in item.reason for item in sorting.left_out)
    # two units with one id: the number in the name tells them apart
    assert sorting.unit_ids.tolist() == [0, 2]


def test_ids_come_from_the_sorting_else_from_elsewhere(tmp_path):
    def ids(neurons, **options):
        sorting = read_session(write(tmp_path / "c4.h5", neurons, **options)).recordings[0].sorting
        return sorting.unit_ids.tolist(), sorting.notes[0]

    assert ids([mouse(0, unit=12), mouse(1, unit=3)])[0] == [12, 3]
    absent = {"neuron_relative_id": ABSENT}
    found, note = ids([mouse(0, **absent), mouse(1, **absent)], in_datasets=False, numbers=[40, 41])
    assert found == [40, 41]
    assert "neuron's name" in note
    found, note = ids([macaque(0), macaque(1)], in_datasets=False)
    assert found == [700, 701]
    assert "neuron_id" in note


def test_facts_and_licence(tmp_path, hausser):
    session = read_session(hausser)
    assert session.started is None
    assert session.facts["NWBFile.session_id"] == "20-03-06_DK186_probe1"
    assert session.facts["Subject.species"] == "mouse"
    assert session.facts["Subject.genotype"] == "mouse_math1"
    text = " ".join(session.notes)
    for part in ("CC BY-NC-SA 4.0", "10.1016/j.cell.2025.01.041", "10.5522/04/23702850", "does not state when"):
        assert part in text
    monkey = read_session(write(tmp_path / "lisberger.h5", [macaque(0)]))
    assert monkey.facts["Subject.species"] == "macaque"
    assert "Subject.genotype" not in monkey.facts
    other = read_session(write(tmp_path / "other.h5", [mouse(0, lab="smith")]))
    assert "Subject.species" not in other.facts
    assert any("'smith'" in note for note in other.notes)


def test_numbers_of_units(hausser):
    columns = read_session(hausser).recordings[0].sorting.columns
    assert columns["peakchan_snr"].values.tolist() == [14.5, 15.5, 16.5, 17.5, 18.5]
    assert np.allclose(columns["peak_channel_noise"].values, np.linspace(5, 7.1, 22)[11])
    assert columns["line"].values.tolist() == ["mouse_math1"] * 5
