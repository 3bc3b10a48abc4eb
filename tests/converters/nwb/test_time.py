"""One clock: in the file, the trace has its trough at every spike time, and pulses, gaps and stimuli are on it too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest

from nwb_celltype.converters.nwb import add_session, new_nwbfile, write_nwbfile
from nwb_celltype.converters.nwb.intervals import left_out_periods
from nwb_celltype.converters.records import Marks
from nwb_celltype.errors import InputError, UsageError

from . import sessions
from .sessions import write

START_S = sessions.FIRST_SAMPLE / sessions.RATE_HZ


def test_a_session_in_memory_keeps_its_traces_when_it_is_written(tmp_path: Path) -> None:
    source, meta = sessions.session(sessions.recording()), sessions.metadata()
    nwbfile = new_nwbfile(meta, source)
    add_session(nwbfile, source, meta, sessions.all_waveforms(source), raw=True)
    path = tmp_path / "a.nwb"
    for _ in range(2):  # the second time over the first
        write_nwbfile(nwbfile, path)
        with h5py.File(path) as file:
            (name,) = file["acquisition"]
            assert np.array_equal(nwbfile.acquisition[name].data[:1000], file[f"acquisition/{name}/data"][:1000])
            assert file[f"acquisition/{name}/data"][:1000].any()


@pytest.mark.parametrize("bend_ppm", [0.0, 40.0])
def test_the_trace_has_its_trough_at_every_spike_time(tmp_path: Path, bend_ppm: float) -> None:
    clock = sessions.drifting_clock("imec1.ap", 50.0, bend_ppm=bend_ppm)
    source = sessions.session(sessions.recording(), sessions.recording("imec1", clock=clock, seed=1))
    with h5py.File(write(tmp_path / "a.nwb", source, raw=True)) as file:
        ends = np.concatenate([[0], file["units/spike_times_index"][:]])
        times = file["units/spike_times"][:]
        for k, probe in enumerate(("Imec0", "Imec1")):
            series = file[f"acquisition/ElectricalSeriesAP{probe}"]
            own = times[ends[3 * k] : ends[3 * k + 3]]
            if "timestamps" in series:
                at = np.searchsorted(series["timestamps"][:], own - 1e-9)
            else:
                begin = series["starting_time"]
                at = np.round((own - begin[()]) * begin.attrs["rate"]).astype(int)
            order = np.sort(at)
            assert np.all(series["data"][:, 0][order] == -200)
            assert ("timestamps" in series) == (probe == "Imec1" and bend_ppm > 0)


def test_the_reference_starts_at_its_first_sample(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.nwb", sessions.session(), raw=True)) as file:
        series = file["acquisition/ElectricalSeriesAP"]
        assert series["starting_time"][()] == START_S
        assert series["starting_time"].attrs["rate"] == 30000.0
        data = series["data"]
        assert (data.dtype, data.chunks) == (np.int16, (65536, 24))
        assert (data.compression, data.compression_opts, data.shuffle) == ("gzip", 1, True)
        assert data.attrs["conversion"] == pytest.approx(sessions.GAIN_UV * 1e-6)
        expected = sessions.session().recordings[0].traces
        assert expected is not None
        assert np.array_equal(data[:], expected.read(0, expected.n_samples))


def test_lfp_runs_on_its_own_rate(tmp_path: Path) -> None:
    recording = sessions.recording()
    slow = sessions.MadeTraces("imec0.lf", 50_000, np.array([100]), sampling_rate_hz=2500.0, gain_uv=4.6875)
    clock = replace(recording.clock, stream="imec0.lf", sampling_rate_hz=2500.0, first_sample=14782)
    source = sessions.session(replace(recording, lfp=slow, lfp_clock=clock))
    with h5py.File(write(tmp_path / "a.nwb", source, raw=True)) as file:
        series = file["acquisition/ElectricalSeriesLF"]
        assert series["starting_time"][()] == 14782 / 2500
        assert series["starting_time"].attrs["rate"] == 2500.0
        assert series["data"].attrs["conversion"] == pytest.approx(4.6875e-6)
        assert np.array_equal(series["electrodes"][:], np.arange(24))


def test_gains_that_differ_by_channel(tmp_path: Path) -> None:
    class Uneven(sessions.MadeTraces):
        @property
        def gains_uv(self) -> np.ndarray:
            return np.linspace(1.0, 2.0, 24)

    traces = Uneven("imec0.ap", 1000, np.array([], dtype=np.int64), offsets_uv=np.full(24, 3.0))
    source = sessions.session(replace(sessions.recording(), traces=traces))
    with h5py.File(write(tmp_path / "a.nwb", source, raw=True)) as file:
        series = file["acquisition/ElectricalSeriesAP"]
        scale = series["data"].attrs["conversion"] * series["channel_conversion"][:]
        np.testing.assert_allclose(scale, np.linspace(1e-6, 2e-6, 24))
        assert series["data"].attrs["offset"] == pytest.approx(3e-6)


def test_a_gain_that_nobody_states_is_asked_for(tmp_path: Path) -> None:
    traces = sessions.MadeTraces("imec0.ap", 1000, np.array([], dtype=np.int64), gain_uv=None)
    source = sessions.session(replace(sessions.recording(), traces=traces))
    with pytest.raises(InputError, match="gain_uv"):
        write(tmp_path / "a.nwb", source, raw=True)
    stated = sessions.metadata(gains_uv={"imec0": 0.195})
    with h5py.File(write(tmp_path / "a.nwb", source, stated, raw=True)) as file:
        assert file["acquisition/ElectricalSeriesAP/data"].attrs["conversion"] == pytest.approx(0.195e-6)


def test_traces_that_are_there_already_are_not_written_twice(tmp_path: Path) -> None:
    from nwb_celltype.converters.nwb import add_session, new_nwbfile

    source, meta = sessions.session(), sessions.metadata()
    nwbfile = new_nwbfile(meta, source)
    add_session(nwbfile, source, meta, sessions.all_waveforms(source), raw=True)
    silent = replace(source, recordings=(replace(source.recordings[0], sorting=None),), pulses=())
    with pytest.raises(UsageError, match="ElectricalSeriesAP already"):
        add_session(nwbfile, silent, meta, [None], raw=True)


def test_clocks_are_reported(tmp_path: Path) -> None:
    source = sessions.session(
        sessions.recording(), sessions.recording("imec1", clock=sessions.drifting_clock("imec1.ap"))
    )
    with h5py.File(write(tmp_path / "a.nwb", source)) as file:
        table = file["processing/ecephys/clock_alignment"]
        assert table["stream"].asstr()[:].tolist() == ["imec0.ap", "imec1.ap", "nidq"]
        assert np.array_equal(table["drift_ppm"][:], [np.nan, 50.0, -12.0], equal_nan=True)
        assert table["residual_us_max"][1] == 21.0
        said = file["general/data_collection"].asstr()[()]
        assert "aligned to imec0.ap by 20 sync edges" in said
        assert "begins at sample 177385" in said


def test_pulses_become_events(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.nwb", sessions.session())) as file:
        assert list(file["events"]) == ["laser"]
        table = file["events/laser"]
        assert table.attrs["description"] == "Blue light at the surface of the brain."
        np.testing.assert_allclose(table["timestamp"][:] - START_S, [0, 5, 6, 12], atol=1e-9)
        assert np.array_equal(table["duration"][:], [0.004, 0.01, 0.01, np.nan], equal_nan=True)
        assert table["is_high_at_start"][:].tolist() == [True, False, False, False]
        said = file["general/data_collection"].asstr()[()]
        assert "nidq.XD0.4 (no pulse on it)" in said
        assert "nidq.XD0.7 (the metadata say that it is not to be kept)" in said


def test_a_line_that_nobody_names_is_kept_under_its_own_name(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.nwb", sessions.session(), sessions.metadata(events={}))) as file:
        assert sorted(file["events"]) == ["nidq_XD0_3", "nidq_XD0_7"]


def test_two_lines_of_one_name_are_refused(tmp_path: Path) -> None:
    events = dict.fromkeys(("nidq.XD0.3", "nidq.XD0.7"), sessions.metadata().events["nidq.XD0.3"])
    with pytest.raises(InputError, match="two events tables called 'laser'"):
        write(tmp_path / "a.nwb", sessions.session(), sessions.metadata(events=events))


def test_light_is_a_staircase_of_watts(tmp_path: Path) -> None:
    meta = sessions.metadata(stimuli=(sessions.stimulus(),))
    with h5py.File(write(tmp_path / "a.nwb", sessions.session(), meta)) as file:
        series = file["stimulus/presentation/laser_power"]
        assert series["data"][:].tolist() == [0.005, 0, 0.005, 0, 0.005, 0, 0.005]
        np.testing.assert_allclose(series["timestamps"][:] - START_S, [0, 0.004, 5, 5.01, 6, 6.01, 12], atol=1e-9)
        assert series["data"].attrs["unit"] == "watts"
        site = file["general/optogenetics/crus1"]
        assert site["excitation_lambda"][()] == 473.0
        assert "Opsin: ChR2, in MLI." in site["description"].asstr()[()]
        assert file["general/pharmacology"].asstr()[()] == (
            "Synaptic blockers: gabazine: from 10 s to the end of the session."
        )
        assert file["general/devices/models/OBIS 473"].attrs["manufacturer"] == "Coherent"


def test_a_stimulus_without_pulses_is_said_to_be_missing(tmp_path: Path) -> None:
    meta = sessions.metadata(stimuli=(sessions.stimulus(events="nothing"),))
    with h5py.File(write(tmp_path / "a.nwb", sessions.session(), meta)) as file:
        assert "general/optogenetics" not in file
        assert "Left out: optogenetic stimulus crus1" in file["general/data_collection"].asstr()[()]


def test_the_stimulated_part_can_be_left_out_of_the_observed_time(tmp_path: Path) -> None:
    stimulus = sessions.stimulus(leave_out=True, leave_out_from_s=START_S + 5, leave_out_to_s=START_S + 8)
    meta = sessions.metadata(stimuli=(stimulus,))
    with h5py.File(write(tmp_path / "a.nwb", sessions.session(), meta)) as file:
        assert file["units/obs_intervals_index"][:].tolist() == [2, 4, 6]
        expected = START_S + np.array([[0.0, 5.0], [8.0, 20.0]])
        np.testing.assert_allclose(file["units/obs_intervals"][4:], expected, atol=1e-9)
        assert len(file["units/spike_times"]) == 120  # all of them are still there


def test_left_out_periods_hold_each_train_and_the_second_after_it() -> None:
    pulses = sessions.pulses()[0]
    ended = replace(pulses, durations_s=np.full(4, 0.01))
    stimuli = (sessions.stimulus(leave_out=True), sessions.stimulus(leave_out=False))
    np.testing.assert_allclose(left_out_periods(stimuli, {"laser": ended}) - START_S, [[0.0, 13.01]], atol=1e-9)
    assert left_out_periods(stimuli, {"laser": pulses})[0, 1] == np.inf
    assert left_out_periods(stimuli, {}).shape == (0, 2)


def test_the_dark_between_two_trains_is_kept() -> None:
    onsets = np.concatenate([10 + 0.05 * np.arange(20), 70 + 0.05 * np.arange(20)])
    line = replace(sessions.pulses()[0], onsets_s=onsets, durations_s=np.full(40, 0.01))
    stimuli = (sessions.stimulus(leave_out=True),)
    np.testing.assert_allclose(left_out_periods(stimuli, {"laser": line}), [[10.0, 11.96], [70.0, 71.96]], atol=1e-9)
    drawn = (sessions.stimulus(leave_out=True, leave_out_from_s=5.0),)
    np.testing.assert_allclose(left_out_periods(drawn, {"laser": line}), [[5.0, 71.96]], atol=1e-9)


def test_a_line_that_was_high_throughout_leaves_nothing(tmp_path: Path) -> None:
    source = sessions.session()
    line = replace(source.pulses[0], onsets_s=np.array([START_S + 3e-6]), durations_s=np.array([np.nan]))
    meta = sessions.metadata(stimuli=(sessions.stimulus(leave_out=True),))
    with pytest.raises(InputError, match="cover the whole recording"):
        write(tmp_path / "a.nwb", replace(source, pulses=(line, *source.pulses[1:])), meta)


def test_leaving_out_everything_is_refused(tmp_path: Path) -> None:
    stimulus = sessions.stimulus(leave_out=True, leave_out_from_s=0.0, leave_out_to_s=1000.0)
    with pytest.raises(InputError, match="cover the whole recording of imec0"):
        write(tmp_path / "a.nwb", sessions.session(), sessions.metadata(stimuli=(stimulus,)))


def test_without_raw_data_the_last_spike_ends_the_observed_time(tmp_path: Path) -> None:
    stimulus = sessions.stimulus(leave_out=True, leave_out_from_s=START_S + 5, leave_out_to_s=START_S + 8)
    source = sessions.session(sessions.recording(raw=False))
    sorting = source.recordings[0].sorting
    assert sorting is not None
    with h5py.File(write(tmp_path / "a.nwb", source, sessions.metadata(stimuli=(stimulus,)))) as file:
        end = (sorting.spike_samples.max() + 1 + sessions.FIRST_SAMPLE) / sessions.RATE_HZ
        assert file["units/obs_intervals"][1, 1] == pytest.approx(end)
        assert "until the last spike" in file["units/obs_intervals"].attrs["description"]


def test_marks_become_a_table_with_their_values(tmp_path: Path) -> None:
    words = Marks("Strobed", START_S + np.array([1.0, 2.5]), np.array([2, 77]), "Strobed words.")
    silent = Marks("Keyboard", np.empty(0), None, "Keys.")
    texts = Marks("Comments", START_S + np.array([3.0]), np.array(["moved the probe"]), "Comments.")
    source = replace(sessions.session(), marks=(words, silent, texts))
    with pynwb.NWBHDF5IO(write(tmp_path / "a.nwb", source), "r") as io:
        nwb = io.read()
        np.testing.assert_allclose(nwb.events["Strobed"]["timestamp"][:], words.times_s)
        assert nwb.events["Strobed"]["value"][:].tolist() == [2, 77]
        assert list(nwb.events["Comments"]["value"][:]) == ["moved the probe"]
        assert "Keyboard" not in nwb.events
    assert pynwb.validate(path=str(tmp_path / "a.nwb")) == []


def test_units_can_have_observed_times_of_their_own(tmp_path: Path) -> None:
    source = sessions.session()
    sorting = source.recordings[0].sorting
    assert sorting is not None
    own = tuple(START_S + np.array([[0.0, 5.0 + k], [8.0 + k, 20.0]]) for k in range(len(sorting)))
    recording = replace(source.recordings[0], sorting=replace(sorting, obs_intervals=own))
    with h5py.File(write(tmp_path / "a.nwb", replace(source, recordings=(recording,)))) as file:
        np.testing.assert_allclose(file["units/obs_intervals"][:], np.concatenate(own), atol=1e-9)
        assert file["units/obs_intervals_index"][:].tolist() == [2 * (k + 1) for k in range(len(sorting))]
