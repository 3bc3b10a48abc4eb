"""Open Ephys sessions: probes, digital lines, clocks, and the units beside them."""

from __future__ import annotations

import shutil
import warnings
from datetime import UTC, datetime

import numpy as np
import pytest

from nwb_celltype.converters.openephys import find_recording, read_session
from nwb_celltype.errors import InputError

from .sessions import FakeStream, Line, square_wave, write_recording, write_settings

N_SAMPLES = 3000
AP = [f"AP{i}" for i in range(1, 385)]
LFP = [f"LFP{i}" for i in range(1, 385)]


def counts(n=N_SAMPLES, channels=384, seed=0):
    return np.random.default_rng(seed).integers(-500, 500, (n, channels)).astype(np.int16)


def probe_streams(name="ProbeA", first=90000, **options):
    ap = FakeStream(f"Neuropix-PXI-100.{name}-AP", f"{name}-AP", counts(), AP, first=first, **options)
    lfp = FakeStream(
        f"Neuropix-PXI-100.{name}-LFP", f"{name}-LFP", counts(N_SAMPLES // 12), LFP, rate_hz=2500.0, first=first // 12,
        bit_volts=4.69,
    )  # fmt: skip
    return [ap, lfp]


def ni_stream(**options):
    options = {"rate_hz": 25000.0, "counts": counts(2500, 2), "first": 0, **options}
    return FakeStream(
        "NI-DAQmx-103.PXI-6133", "PXI-6133", channels=["AI0", "AI1"], bit_volts=1.5e-4, unit="V",
        processor="NI-DAQmx", **options,
    )  # fmt: skip


@pytest.fixture
def node(tmp_path):
    folder = tmp_path / "2026-01-31_14-03-00" / "Record Node 101"
    folder.mkdir(parents=True)
    return folder


def test_one_probe_with_both_bands(node):
    ap, lfp = probe_streams()
    write_recording(node, [ap, lfp], software_ms=1_769_868_180_250)
    write_settings(node, ["ProbeA"])
    session = read_session(node.parent)
    (found,) = session.recordings
    assert found.probe.name == "ProbeA"
    assert found.probe.channel_names[:2] == ("AP1", "AP2")
    assert (found.probe.model, found.probe.serial_number) == ("PRB_1_4_0480_1", "19000")
    steps = np.diff(found.probe.positions_um[:5], axis=0)
    np.testing.assert_allclose(steps, [[32, 0], [-48, 20], [32, 0], [-16, 20]])
    np.testing.assert_array_equal(found.traces.read(10, 30), ap.counts[10:30])
    np.testing.assert_array_equal(found.lfp.read(0, 30), lfp.counts[:30])
    np.testing.assert_allclose(found.traces.gains_uv, 0.195)
    np.testing.assert_allclose(found.lfp.gains_uv, 4.69)
    assert found.clock.is_nominal
    assert float(found.clock.seconds(17)) == (90000 + 17) / 30000
    assert found.lfp_clock.seconds(10) == found.clock.seconds(120)
    assert session.started == datetime(2026, 1, 31, 14, 3, 0, 250_000, tzinfo=UTC)
    assert session.facts["NWBFile.session_id"] == "2026-01-31_14-03-00"
    assert found.sorting is None
    assert [left.what for left in session.left_out] == ["events MessageCenter"]


def test_a_time_without_zone_where_only_the_name_of_the_folder_says_it(node):
    write_recording(node, probe_streams())
    assert read_session(node).started == datetime(2026, 1, 31, 14, 3)


def test_the_same_as_other_readers(node):
    ap, lfp = probe_streams()
    ap.lines = {3: square_wave(np.array([3.01, 3.03, 3.07]), 0.01, 30000.0)}
    write_recording(node, [ap, lfp])
    write_settings(node, ["ProbeA"])
    found = read_session(node.parent).recordings[0]
    pulse = read_session(node.parent).pulses[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # neo and probeinterface warn of what has nothing to do with this
        from spikeinterface.extractors import read_openephys, read_openephys_event

        recording = read_openephys(node.parent, stream_name="Record Node 101#Neuropix-PXI-100.ProbeA-AP")
        events = read_openephys_event(node.parent)
    np.testing.assert_array_equal(found.traces.read(0, N_SAMPLES), recording.get_traces())
    np.testing.assert_allclose(found.traces.gains_uv, recording.get_channel_gains())
    assert found.traces.sampling_rate_hz == recording.get_sampling_frequency()
    np.testing.assert_allclose(found.probe.positions_um, recording.get_channel_locations())
    own = events.get_events(channel_id="ProbeA-AP TTL", segment_index=0)
    np.testing.assert_allclose(pulse.onsets_s, own["time"], atol=1e-9)
    np.testing.assert_allclose(pulse.durations_s, own["duration"], atol=1e-9)


def test_lines_by_the_sign_of_their_states(node):
    ap, lfp = probe_streams(first=30000)
    ap.lines = {
        1: Line(np.array([30300, 30600, 30900]), np.array([False, True, False])),  # high when it began
        2: Line(np.array([30300, 30600, 31200]), np.array([True, False, True])),  # high when it ended
        16: Line(np.array([30100, 30200, 30400, 30500]), np.array([True, True, False, False])),  # lost events
        4: Line(np.array([29000, 30600]), np.array([True, False])),  # an event before the first sample
    }
    ap.initial_word = 0b1 | 1 << 6  # line 7 is high throughout
    lfp.lines = {1: Line(np.array([2525]), np.array([False]))}
    write_recording(node, [ap, lfp])
    session = read_session(node)
    found = {pulse.name: pulse for pulse in session.pulses}
    assert list(found) == [f"ProbeA-AP.TTL{line}" for line in (1, 2, 4, 7, 16)]
    np.testing.assert_allclose(found["ProbeA-AP.TTL1"].onsets_s, [1.0, 1.02])
    np.testing.assert_allclose(found["ProbeA-AP.TTL1"].durations_s, [0.01, 0.01])
    assert found["ProbeA-AP.TTL1"].is_high_at_start
    np.testing.assert_allclose(found["ProbeA-AP.TTL2"].onsets_s, [1.01, 1.04])
    np.testing.assert_allclose(found["ProbeA-AP.TTL2"].durations_s, [0.01, np.nan])
    assert not found["ProbeA-AP.TTL2"].is_high_at_start
    np.testing.assert_allclose(found["ProbeA-AP.TTL16"].durations_s, [np.nan, 1 / 150])
    np.testing.assert_allclose(found["ProbeA-AP.TTL4"].durations_s, [0.02])
    np.testing.assert_allclose(found["ProbeA-AP.TTL7"].onsets_s, [1.0])
    assert np.isnan(found["ProbeA-AP.TTL7"].durations_s[0])
    assert any("1 rises without a fall" in note and "1 falls without a rise" in note for note in session.notes)
    assert any(left.what == "lines of ProbeA-LFP" for left in session.left_out)


def minute(name, first=0, ppm=0.0, offset_s=0.0, **options):
    """A stream of two channels and 90 s at 1 kHz whose clock is known, with sync pulses on line 2."""
    n, rate = 90_000, 1000.0
    rises = np.arange(1, 89) + 0.25

    def own(t):
        return (t - offset_s) * (1 + ppm * 1e-6)

    line = square_wave(own(rises), 0.5, rate)
    numbers = np.arange(first, first + n)
    timestamps = numbers / rate / (1 + ppm * 1e-6) + offset_s + 100  # of a main stream that began 100 s earlier
    return FakeStream(
        f"Acquisition-{name}", name, np.zeros((n, 2), np.int16), ["CH1", "CH2"], rate_hz=rate, first=first,
        lines={2: line}, timestamps=timestamps, processor="Acquisition Board", **options,
    )  # fmt: skip


@pytest.fixture
def lined_up(node):
    def write(**second):
        write_settings(node, ["Other"], sync_lines={"one-AP": 2, "two-AP": 2})
        streams = [minute("one-AP"), minute("two-AP", ppm=200, offset_s=-6.4)]
        for key, value in second.items():
            setattr(streams[1], key, value)
        write_recording(node, streams)
        session = read_session(node)
        clock = session.recordings[1].clock
        samples = np.arange(0, 90_000, 1000)
        error = np.abs(clock.seconds(samples) - (samples / 1000 / (1 + 200e-6) - 6.4))
        return session, clock, error.max()

    return write


def test_streams_are_aligned_by_their_shared_sync_line(lined_up):
    # Their counts begin 6.4 periods apart; the timestamps say so, the edges say the rest.
    session, clock, error = lined_up()
    assert error < 0.5e-3
    assert clock.fit.drift_ppm == pytest.approx(200, abs=5)
    assert "Stream two-AP was aligned to one-AP by sync line 2." in session.notes


def test_streams_without_a_sync_line_are_aligned_by_timestamps(lined_up):
    session, clock, error = lined_up(lines={})
    assert error < 1e-6
    assert clock.fit is None
    assert any("aligned to one-AP by the timestamps that Open Ephys synchronised" in note for note in session.notes)


def test_streams_that_nothing_aligns_keep_their_own_clock(lined_up):
    session, clock, _ = lined_up(lines={}, timestamps=None)
    assert clock.is_nominal
    assert any("two-AP could not be aligned" in note and "keeps its own clock" in note for note in session.notes)


def test_a_stream_without_electrodes_gives_lines_and_a_clock(node):
    laser = square_wave(np.array([0.01, 0.05]), 0.02, 25000.0)
    write_recording(node, [*probe_streams(), ni_stream(lines={5: laser}, timestamps=3 + np.arange(2500) / 25000)])
    session = read_session(node)
    assert len(session.recordings) == 1
    assert [clock.stream for clock in session.clocks] == ["PXI-6133"]
    assert [pulse.name for pulse in session.pulses] == ["PXI-6133.TTL5"]
    assert any(left.what == "2 channels of PXI-6133 (AI0, AI1)" for left in session.left_out)


def test_lost_samples_keep_their_times(node):
    ap, lfp = probe_streams(first=30000)
    ap.numbers = np.concatenate([np.arange(30000, 31000), np.arange(31600, 33600)])
    write_recording(node, [ap, lfp])
    session = read_session(node)
    clock = session.recordings[0].clock
    np.testing.assert_allclose(clock.seconds([0, 999, 1000, 2999]), np.array([30000, 30999, 31600, 33599]) / 30000)
    np.testing.assert_allclose(clock.samples(31600 / 30000), 1000)
    assert any("600 samples were lost at 1 places" in note for note in session.notes)


def test_versions_before_0_6(tmp_path):
    ap, lfp = probe_streams()
    ap.folder, lfp.folder = "Neuropix-PXI-100.0", "Neuropix-PXI-100.1"
    ap.name = lfp.name = ""
    ap.lines = {1: Line(np.array([90010, 90020]), np.array([True, False]))}
    folder = write_recording(tmp_path / "session", [ap, lfp])
    for stream in ("Neuropix-PXI-100.0", "Neuropix-PXI-100.1"):
        data, ttl = folder / "continuous" / stream, folder / "events" / stream / "TTL"
        (data / "timestamps.npy").rename(data / "synchronized_timestamps.npy")
        (data / "sample_numbers.npy").rename(data / "timestamps.npy")
        (ttl / "sample_numbers.npy").rename(ttl / "timestamps.npy")
        (ttl / "states.npy").rename(ttl / "channel_states.npy")
        words = np.load(ttl / "full_words.npy").view(np.uint8).reshape(-1, 8)
        np.save(ttl / "full_words.npy", words)
    session = read_session(tmp_path / "session")
    (found,) = session.recordings
    assert found.probe.name == "Neuropix-PXI-100.0"
    assert found.lfp.sampling_rate_hz == 2500.0
    np.testing.assert_allclose(session.pulses[0].onsets_s, [90010 / 30000])
    assert np.isnan(found.probe.positions_um).all()
    assert any("No positions" in note and "settings.xml is not there" in note for note in session.notes)


def test_the_sync_word_in_the_file_is_no_electrode(node):
    ap, _ = probe_streams()
    ap.counts, ap.channels = counts(channels=385), [*AP, "AP_SYNC"]
    write_recording(node, [ap])
    session = read_session(node)
    assert session.recordings[0].traces.n_channels == 384
    assert any("AP_SYNC" in left.what for left in session.left_out)


def test_what_was_done_before_storage(node):
    ap, _ = probe_streams(history="Neuropix-PXI -> Neuropixels CAR -> Record Node")
    write_recording(node, [ap])
    filtering = read_session(node).recordings[0].traces.filtering
    assert filtering == "Processed in Open Ephys before it was stored: Neuropixels CAR."


def test_several_recordings_are_listed(node):
    write_recording(node, probe_streams(), recording=1)
    write_recording(node, probe_streams(), recording=10)
    second = write_recording(node, probe_streams(), experiment=2)
    write_recording(node.parent / "Record Node 102", probe_streams())
    with pytest.raises(InputError, match=r"holds 4 recordings:\n(.|\n)*experiment2/recording1\n(.|\n)*one of them"):
        read_session(node.parent)
    assert read_session(second).recordings
    assert find_recording(second).experiment == 2
    assert find_recording(second / "structure.oebin").session == node.parent


def write_sorting(folder, dat_path="continuous.dat"):
    folder.mkdir(parents=True)
    np.save(folder / "spike_times.npy", np.array([100, 200, 300, 400]))
    np.save(folder / "spike_clusters.npy", np.array([5, 2, 5, 2], dtype=np.int32))
    np.save(folder / "channel_map.npy", np.arange(384))
    text = f"dat_path = '{dat_path}'\nn_channels_dat = 384\ndtype = 'int16'\noffset = 0\nsample_rate = 30000.\n"
    (folder / "params.py").write_text(text)
    return folder


def test_a_sorting_in_the_folder_of_its_stream(node):
    folder = write_recording(node, [*probe_streams(), *probe_streams("ProbeB")])
    write_sorting(folder / "continuous" / "Neuropix-PXI-100.ProbeB-AP" / "kilosort4")
    first, second = read_session(node).recordings
    assert first.sorting is None
    assert second.sorting.unit_ids.tolist() == [2, 5]
    assert second.sorting.samples_of(1).tolist() == [100, 300]


def test_a_sorting_that_is_given(node, tmp_path):
    write_recording(node, [*probe_streams(), *probe_streams("ProbeB")])
    named = write_sorting(tmp_path / "sorted", dat_path="C:/data/Neuropix-PXI-100.ProbeA-AP/continuous.dat")
    assert read_session(node, sorting=named).recordings[0].sorting is not None
    unnamed = write_sorting(tmp_path / "unnamed")
    with pytest.raises(InputError, match=r"may belong to any of the probes \(ProbeA-AP, ProbeB-AP\)"):
        read_session(node, sorting=[unnamed])
    with pytest.raises(InputError, match="has two sortings"):
        read_session(node, sorting=[named, shutil.copytree(named, tmp_path / "again")])
    assert read_session(node, sorting=[named, named]).recordings[0].sorting is not None


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / "structure.oebin").write_text("{"), "cannot be read as the description"),
        (lambda folder: (folder / "structure.oebin").write_text("[]"), "cannot be read as the description"),
        (lambda folder: (folder / "structure.oebin").write_text("{}"), "lists no continuous stream"),
        (lambda folder: _stream(folder, "sample_numbers.npy").write_bytes(b"x"), "cannot be read as an array"),
        (lambda folder: np.save(_stream(folder, "sample_numbers.npy"), np.zeros(5)), "holds no sample numbers"),
        (lambda folder: np.save(_stream(folder, "sample_numbers.npy"), np.array([5, 4, 3])), "run backwards"),
        (lambda folder: np.save(_ttl(folder, "states.npy"), np.zeros(3, np.int16)), "do not belong"),
        (lambda folder: _ttl(folder, "sample_numbers.npy").unlink(), "holds|do not belong"),
    ],
)
def test_damaged_files_are_refused(node, damage, sentence):
    ap, _ = probe_streams()
    ap.lines = {1: Line(np.array([90010, 90020]), np.array([True, False]))}
    folder = write_recording(node, [ap])
    damage(folder)
    with pytest.raises(InputError, match=sentence):
        read_session(node)


def _stream(folder, name):
    return folder / "continuous" / "Neuropix-PXI-100.ProbeA-AP" / name


def _ttl(folder, name):
    return folder / "events" / "Neuropix-PXI-100.ProbeA-AP" / "TTL" / name


def test_nothing_to_convert(node, tmp_path):
    write_recording(node, [ni_stream()])
    with pytest.raises(InputError, match="no stream with electrodes"):
        read_session(node)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no structure\.oebin"):
        read_session(tmp_path / "empty")


def test_a_missing_stream_is_left_out(node):
    folder = write_recording(node, probe_streams())
    (folder / "continuous" / "Neuropix-PXI-100.ProbeA-LFP" / "continuous.dat").unlink()
    session = read_session(node)
    assert session.recordings[0].lfp is None
    assert any(left.what == "stream ProbeA-LFP" for left in session.left_out)


def test_damaged_settings_leave_the_positions_unknown(node):
    write_recording(node, probe_streams())
    (node / "settings.xml").write_text("<SETTINGS>")
    session = read_session(node)
    assert np.isnan(session.recordings[0].probe.positions_um).all()
    assert any("settings.xml does not describe its probe" in note for note in session.notes)
