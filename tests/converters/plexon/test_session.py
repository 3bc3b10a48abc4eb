"""A Plexon file as a session: units, snippets, electrodes, events, and what is left out."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest

from nwb_celltype.converters.plexon import read_session
from nwb_celltype.converters.records import Sorting
from nwb_celltype.converters.waveforms import mean_waveforms, template_waveforms
from nwb_celltype.errors import InputError, UsageError

from .files import PL2_COEFFICIENT, Analog, Event, Recipe, Spikes, real, small_recipe, write_pl2, write_plx

WRITERS = {"plx": write_plx, "pl2": write_pl2}
GAIN_UV = {"plx": 3000 / (2048 * 1000) * 1e3, "pl2": PL2_COEFFICIENT * 1e6}


@pytest.fixture(params=["plx", "pl2"])
def kind(request) -> str:
    return request.param


def spikes(number: int, ticks, units, n_points: int = 32, seed: int = 0) -> Spikes:
    ticks, units = np.asarray(ticks), np.broadcast_to(units, len(ticks)).copy()
    snippets = np.random.default_rng(seed).integers(-900, 900, (len(ticks), n_points)).astype("<i2")
    return Spikes(f"SPK{number:02d}", number, ticks, units, snippets)


def test_units_have_names_ids_spikes_and_mean_snippets(tmp_path, kind):
    recipe = small_recipe()
    session = read_session(WRITERS[kind](tmp_path / f"mk1.{kind}", recipe))
    (recording,) = session.recordings
    sorting = recording.sorting
    assert sorting.unit_names == ("SPK01a", "SPK01b", "SPK02a", "SPK02b", "SPK03a", "SPK03b")
    assert sorting.unit_ids.tolist() == [101, 102, 201, 202, 301, 302]
    assert sorting.peak_channels.tolist() == [0, 0, 1, 1, 2, 2]
    assert sorting.columns["plexon_unit"].values.tolist() == ["a", "b"] * 3
    templates = sorting.templates
    assert (templates.unit, templates.n_before, templates.sampling_rate_hz) == ("microvolts", 8, 40_000.0)
    for row, unit_id in enumerate(sorting.unit_ids.tolist()):
        written = recipe.spikes[unit_id // 100 - 1]
        mine = written.units == unit_id % 100
        np.testing.assert_array_equal(recording.clock.seconds(sorting.samples_of(row)), written.ticks[mine] / 40_000)
        own = templates.waveforms[row, :, unit_id // 100 - 1]
        snippets = written.snippets[mine].astype(float) * GAIN_UV[kind]
        np.testing.assert_allclose(own, snippets.mean(axis=0), rtol=1e-5, atol=1e-3)
        np.testing.assert_allclose(templates.sd[row, :, unit_id // 100 - 1], snippets.std(axis=0), rtol=1e-5, atol=1e-3)
        assert np.isnan(np.delete(templates.waveforms[row], unit_id // 100 - 1, axis=1)).all()
        assert templates.n_spikes_used[row] == mine.sum()
    assert session.facts == {"NWBFile.session_id": "mk1", "NWBFile.notes": recipe.comment}
    assert str(session.started) == "2021-05-04 10:11:12"


def test_unsorted_waveforms_are_left_out_and_never_a_unit(tmp_path, kind):
    recipe = small_recipe()
    session = read_session(WRITERS[kind](tmp_path / f"a.{kind}", recipe))
    counts = [int((s.units == 0).sum()) for s in recipe.spikes]
    listed = ", ".join(f"SPK0{k} {n}" for k, n in enumerate(counts, start=1))
    assert [item.what for item in session.left_out] == [f"{sum(counts)} unsorted waveforms ({listed})"]
    assert len(session.recordings[0].sorting.spike_samples) == sum(int((s.units > 0).sum()) for s in recipe.spikes)


def test_invalidated_waveforms_are_no_unit(tmp_path, kind):
    recipe = Recipe([spikes(1, [10, 20, 30, 40], [1, 26, 27, 255])])
    session = read_session(WRITERS[kind](tmp_path / f"a.{kind}", recipe))
    assert session.recordings[0].sorting.unit_names == ("SPK01a", "SPK01z")
    assert [item.what for item in session.left_out] == ["2 waveforms with other unit numbers (SPK01 2)"]


def test_mean_waveforms_from_the_wideband_are_those_of_the_snippets(tmp_path, kind):
    same_gain = {"slow_bits": 12, "slow_mv": 3000} if kind == "plx" else {}
    session = read_session(WRITERS[kind](tmp_path / f"a.{kind}", small_recipe(gap=True), **same_gain))
    recording = session.recordings[0]
    window = {"n_channels": 1, "ms_before": 0.2, "ms_after": 0.8, "max_spikes": 10_000}
    raw = mean_waveforms(recording.sorting, recording.traces, recording.probe, **window)
    kept = template_waveforms(recording.sorting, recording.probe, n_channels=1)
    assert raw.n_before == kept.n_before == 8
    np.testing.assert_allclose(raw.mean, kept.mean, atol=1e-2)
    np.testing.assert_allclose(raw.sd[:, :, 0], np.nanmax(recording.sorting.templates.sd, axis=2), atol=1e-2)


def test_snippets_of_several_lengths_are_aligned_at_the_threshold(tmp_path):
    recipe = Recipe([spikes(1, [100, 200], 1, n_points=32), spikes(2, [150], 1, n_points=40)])
    sorting = read_session(write_plx(tmp_path / "a.plx", recipe)).recordings[0].sorting
    assert sorting.templates.waveforms.shape == (2, 40, 2)
    assert np.isnan(sorting.templates.waveforms[0, 32:, 0]).all()
    np.testing.assert_allclose(sorting.templates.waveforms[1, :, 1], recipe.spikes[1].snippets[0] * GAIN_UV["plx"])
    no_snippets = Recipe([spikes(1, [100, 200], 1, n_points=0)])
    assert read_session(write_plx(tmp_path / "b.plx", no_snippets)).recordings[0].sorting.templates is None


def test_a_unit_of_a_tetrode_is_one_unit(tmp_path, kind):
    ticks, units = np.array([100, 200, 300]), np.array([1, 2, 1])
    channels = [spikes(number, ticks, units, seed=number) for number in (1, 2, 3, 4)]
    other = spikes(5, [400, 500], 1)
    for each in (*channels, other):
        each.trode = 4
    options = {"trodalness": 4} if kind == "plx" else {}
    session = read_session(WRITERS[kind](tmp_path / f"a.{kind}", Recipe([*channels, other]), **options))
    sorting = session.recordings[0].sorting
    assert sorting.unit_names == ("SPK01a", "SPK01b", "SPK05a")
    for number in range(4):
        expected = channels[number].snippets[units == 1].astype(float).mean(axis=0) * GAIN_UV[kind]
        np.testing.assert_allclose(sorting.templates.waveforms[0, :, number], expected, rtol=1e-5)
    assert sorting.templates.n_spikes_used.tolist() == [2, 1, 2]


def test_units_of_a_trode_with_other_spikes_stay_apart(tmp_path):
    recipe = Recipe([spikes(1, [100, 200], 1), spikes(2, [100, 201], 1)])
    session = read_session(write_plx(tmp_path / "a.plx", recipe, trodalness=2))
    assert session.recordings[0].sorting.unit_names == ("SPK01a", "SPK02a")
    assert any("separate units" in note for note in session.notes)


def test_events_are_pulses_and_marks(tmp_path, kind):
    session = read_session(WRITERS[kind](tmp_path / f"a.{kind}", small_recipe(gap=True)))
    assert {line.name: line.onsets_s.tolist() for line in session.pulses} == {
        "EVT01": [0.025, 0.125, 0.225],
        "EVT02": [],
    }
    assert np.isnan(session.pulses[0].durations_s).all()
    marks = {mark.name: mark for mark in session.marks}
    assert list(marks) == ["KBD1", "Strobed", "Start", "Stop"]
    assert marks["Strobed"].times_s.tolist() == [0.05, 0.051, 0.052]
    assert marks["Strobed"].values.tolist() == [2, 65_535, 3]
    assert marks["KBD1"].values is None
    assert (marks["Start"].times_s.tolist(), marks["Stop"].times_s.tolist()) == ([0.0, 3.5], [2.0, 5.5])


def test_events_of_one_name_are_told_apart(tmp_path, kind):
    recipe = Recipe(events=[Event("LASER", 3, (9, 3), [7]), Event("LASER", 4, (9, 4), [8])])
    session = read_session(WRITERS[kind](tmp_path / f"a.{kind}", recipe))
    assert [line.name for line in session.pulses] == ["LASER", "LASER (2)"]


@pytest.mark.parametrize(
    ("starts", "stops", "observed"),
    [
        ([0], [80_000], None),
        ([0, 60_000], [40_000, 80_000], [[0, 1], [1.5, 2]]),
        ([0, 60_000], [40_000], [[0, 1], [1.5, 2]]),  # broken off: until the last that is in the file
        ([60_000], [40_000, 80_000], [[0, 1], [1.5, 2]]),
        ([0, 40_000], [40_000, 80_000], [[0, 1], [1, 2]]),
        ([0, 10, 60_000], [40_000, 80_000], [[0, 1], [1.5, 2]]),
    ],
)
def test_what_was_recorded_lies_between_start_and_stop(tmp_path, kind, starts, stops, observed):
    recipe = Recipe([spikes(1, [100, 80_000], 1)], starts=starts, stops=stops)
    recording = read_session(WRITERS[kind](tmp_path / f"a.{kind}", recipe)).recordings[0]
    found = recording.observed_s
    assert (None if found is None else found.tolist()) == observed


def test_spike_channels_without_traces_are_a_recording_of_their_own(tmp_path, kind):
    recipe = small_recipe()
    recipe.analog = [a for a in recipe.analog if a.number < 3]
    session = read_session(WRITERS[kind](tmp_path / f"a.{kind}", recipe))
    first, second = session.recordings
    assert first.probe.channel_names == ("WB01", "WB02")
    assert first.sorting.unit_ids.tolist() == [101, 102, 201, 202]
    assert (second.probe.name, second.probe.channel_names) == ("plexon_spikes", ("SPK03",))
    assert second.sorting.unit_names == ("SPK03a", "SPK03b")
    assert second.traces is None
    ticks = recipe.spikes[2].ticks[recipe.spikes[2].units == 1]
    np.testing.assert_array_equal(second.clock.seconds(second.sorting.samples_of(0)), ticks / 40_000)


def test_wideband_goes_before_spike_band_and_inputs_are_left_out(tmp_path, kind):
    recipe = small_recipe(n_channels=1)
    samples = np.arange(1000, dtype="<i2")
    recipe.analog += [
        Analog("SPKC01", "SPKC", 1, 40_000, [(0, samples)]),
        Analog("AI01", "AI", 1, 1000, [(0, samples)]),
    ]
    path = WRITERS[kind](tmp_path / f"a.{kind}", recipe)
    session = read_session(path)
    assert session.recordings[0].traces.name == "plexon.WB"
    assert session.recordings[0].lfp.name == "plexon.LFP"
    reasons = {item.what: item.reason for item in session.left_out if item.what.startswith("analog")}
    assert list(reasons) == ["analog channel SPKC01 (40000 Hz)", "analog channel AI01 (1000 Hz)"]
    recipe.analog = [a for a in recipe.analog if a.prefix == "SPKC"]
    recording = read_session(WRITERS[kind](path, recipe)).recordings[0]
    assert recording.traces.name == "plexon.SPKC"
    assert "High-passed" in recording.traces.filtering


def test_field_potentials_without_all_electrodes_are_left_out(tmp_path, kind):
    recipe = small_recipe()
    recipe.analog = [a for a in recipe.analog if a.name != "FP02"]
    session = read_session(WRITERS[kind](tmp_path / f"a.{kind}", recipe))
    assert session.recordings[0].lfp is None
    assert "field potentials (FP01, FP03)" in [item.what for item in session.left_out]


def test_volts_of_the_traces(tmp_path):
    recipe = small_recipe(n_channels=1)
    path = write_plx(tmp_path / "a.plx", recipe, slow_bits=16, slow_mv=5000)
    assert read_session(path).recordings[0].traces.gains_uv.tolist() == [5000 / (32_768 * 1000) * 1e3]
    recipe.analog[0].gain = 0
    session = read_session(write_plx(path, recipe))
    assert session.recordings[0].traces.gains_uv is None
    assert any("state gain_uv" in note for note in session.notes)


def test_another_sorting_takes_the_place_of_the_stored_units(tmp_path, kind):
    path = WRITERS[kind](tmp_path / f"a.{kind}", small_recipe(gap=True))
    given = Sorting(np.array([7]), ("7",), np.array([100, 100_000]), np.array([0, 2]), 40_000.0, "by hand")
    session = read_session(path, sorting=given)
    recording = session.recordings[0]
    assert recording.sorting is given
    np.testing.assert_allclose(recording.clock.seconds(given.spike_samples), [0.0025, 4.0], atol=1e-11)
    assert any("another sorting was given" in item.reason for item in session.left_out)
    folder = tmp_path / "kilosort"
    folder.mkdir()
    (folder / "params.py").write_text("sample_rate = 40000.\nn_channels_dat = 3\ndtype = 'int16'\n")
    np.save(folder / "spike_times.npy", np.array([50, 100_000]))
    np.save(folder / "spike_clusters.npy", np.array([3, 3], dtype=np.int32))
    np.save(folder / "channel_map.npy", np.arange(3))
    np.save(folder / "channel_positions.npy", np.column_stack([np.zeros(3), 50.0 * np.arange(3)]))
    sorting = read_session(path, sorting=folder).recordings[0].sorting
    assert (sorting.unit_ids.tolist(), sorting.spike_samples.tolist()) == ([3], [50, 100_000])
    with pytest.raises(UsageError, match="no traces"):
        read_session(WRITERS[kind](path, Recipe([spikes(1, [5], 1)])), sorting=given)


def test_the_file_in_a_folder_is_found_and_ambiguity_refused(tmp_path):
    write_plx(tmp_path / "a.plx", small_recipe(seconds=0.1))
    assert read_session(tmp_path).facts["NWBFile.session_id"] == "a"
    write_pl2(tmp_path / "b.PL2", small_recipe(seconds=0.1))
    with pytest.raises(InputError, match=r"a\.plx, b\.PL2 found"):
        read_session(tmp_path)
    assert read_session(tmp_path / "b.PL2").facts["NWBFile.session_id"] == "b"
    with pytest.raises(InputError, match="by its name"):
        read_session(tmp_path / "a.nev")


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing to convert"):
        read_session(write_plx(tmp_path / "a.plx", Recipe(starts=[])))


def test_a_cut_file_is_read_as_far_as_it_goes(tmp_path):
    path = write_plx(tmp_path / "a.plx", small_recipe())
    path.write_bytes(path.read_bytes()[:500_001])
    session = read_session(path)
    recording = session.recordings[0]
    assert 0 < recording.traces.n_samples < 80_000
    assert any("may be missing" in note for note in session.notes)
    assert len(recording.traces.read(0, recording.traces.n_samples)) == recording.traces.n_samples


def test_two_readings_are_the_same(tmp_path, kind):
    path = WRITERS[kind](tmp_path / f"a.{kind}", small_recipe())
    one, other = read_session(path), read_session(path)
    assert one.notes == other.notes
    np.testing.assert_array_equal(one.recordings[0].sorting.templates.waveforms,
                                  other.recordings[0].sorting.templates.waveforms)  # fmt: skip


def test_spike_channels_of_a_second_source_have_ids_of_their_own(tmp_path):
    path = write_pl2(tmp_path / "a.pl2", Recipe([spikes(1, [10], 1), spikes(2, [20], 1)]), with_footer=False)
    raw = bytearray(path.read_bytes())
    second = 0x480 + 2592
    raw[second + 1] = 1
    struct.pack_into("<2I", raw, second + 80, 1, 1)  # source 1, channel 1
    raw[second + 16 : second + 80] = b"SPK_SPKC01".ljust(64, b"\0")
    block = raw.index(b"\x31\x06", second + 2592 + raw[second + 2592 :].index(b"\x31\x06") + 2)
    raw[block + 1] = 1
    struct.pack_into("<H", raw, block + 4, 1)
    path.write_bytes(bytes(raw))
    sorting = read_session(path).recordings[0].sorting
    assert sorting.unit_ids.tolist() == [101, 1_000_101]
    assert sorting.unit_names == ("SPK01a", "SPK_SPKC01a")


@pytest.mark.parametrize(("name", "n_unsorted"), [("File_plexon_1.plx", 24_717), ("NC16FPSPKEVT_1m.pl2", 16_245)])
def test_real_files_have_no_units(name, n_unsorted):
    session = read_session(real(name))
    assert all(recording.sorting is None for recording in session.recordings)
    assert session.left_out[0].what.startswith(f"{n_unsorted} unsorted waveforms")
    assert all(len(recording.probe) == 4 for recording in session.recordings)
    assert replace(session, notes=()).kind == "plexon"
