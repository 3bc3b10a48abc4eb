from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.converters.phy import read_session
from nwb_celltype.converters.records import ProbeRecording, SourceSession
from nwb_celltype.errors import InputError

from . import folders, spikeglx_files

SESSION = folders.simulate(length=61, n_before=20, seconds=2)


def has_note(session: SourceSession, *words: str) -> bool:
    recording = session.recordings[0]
    assert recording.sorting is not None
    return any(all(word in note for word in words) for note in (*session.notes, *recording.sorting.notes))


def trough_depths(recording: ProbeRecording) -> list[float]:
    """Median value of the traces at the spikes of each unit, on its peak channel; every second unit negative."""
    sorting, traces = recording.sorting, recording.traces
    assert sorting is not None
    assert traces is not None
    assert sorting.peak_channels is not None
    data = traces.read(0, traces.n_samples)
    return [float(np.median(data[sorting.samples_of(row), sorting.peak_channels[row]])) for row in range(len(sorting))]


def test_without_a_recording(tmp_path: Path) -> None:
    session = read_session(folders.kilosort4(tmp_path / "ks", SESSION))
    (recording,) = session.recordings
    assert session.kind == "phy"
    assert session.paths == (tmp_path / "ks",)
    assert recording.traces is None
    assert recording.clock.seconds(30_000) == 1.0
    assert len(recording.probe) == 12
    assert has_note(session, "names no recording")
    assert has_note(session, "time 0 is the first sample")


def test_a_plain_recording_has_traces_without_gain(tmp_path: Path) -> None:
    used = [13, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]
    folders.write_recording(tmp_path / "raw.dat", SESSION, columns=used, n_file_channels=15)
    folder = tmp_path / "sorting" / "sorter_output"
    folders.kilosort4(folder, SESSION, dat_path="['/gone/raw.dat']", columns=used, n_file_channels=15)
    session = read_session(tmp_path)
    (recording,) = session.recordings
    assert recording.traces is not None
    assert recording.traces.gains_uv is None
    assert (recording.traces.n_samples, recording.traces.n_channels) == (SESSION.n_samples, 12)
    assert recording.probe.channel_names[0] == "CH13"
    for depth, shape in zip(trough_depths(recording), SESSION.shapes, strict=True):
        assert depth == pytest.approx(shape.min(), abs=5)
    assert has_note(session, "found at ../../raw.dat")


def test_several_files_are_one_recording(tmp_path: Path) -> None:
    whole = folders.write_recording(tmp_path / "whole.dat", SESSION).read_bytes()
    cut = 1000 * 12 * 2
    (tmp_path / "a.dat").write_bytes(whole[:cut])
    (tmp_path / "b.dat").write_bytes(whole[cut:])
    folder = folders.kilosort4(tmp_path / "ks", SESSION, dat_path="['../a.dat', '../b.dat']")
    session = read_session(folder)
    traces = session.recordings[0].traces
    assert traces is not None
    assert traces.n_samples == SESSION.n_samples
    assert traces.read(0, SESSION.n_samples).tobytes() == whole
    assert has_note(session, "2 files were sorted as one")


@pytest.mark.parametrize("name", ["temp_wh.dat", "recording.dat"])
def test_a_whitened_copy_is_no_recording(tmp_path: Path, name: str) -> None:
    is_whitened = name == "recording.dat"  # and high-passed, with a whitening matrix that does nothing
    folder = folders.kilosort25(tmp_path / "ks", SESSION, is_whitened_before=is_whitened)
    folders.write_recording(folder / name, SESSION)
    folders.write_params(folder, dat_path=f"'{name}'", hp_filtered=is_whitened)
    session = read_session(folder)
    assert session.recordings[0].traces is None
    assert has_note(session, name, "no recording of voltages")


def test_a_high_passed_recording_is_one_of_voltages(tmp_path: Path) -> None:
    folder = folders.kilosort25(tmp_path / "ks", SESSION)
    folders.write_recording(folder / "recording.dat", SESSION)
    folders.write_params(folder, dat_path="'recording.dat'", hp_filtered=True)
    traces = read_session(folder).recordings[0].traces
    assert traces is not None
    assert "high-passed" in traces.filtering


def test_a_recording_that_cannot_be_read_is_noted(tmp_path: Path) -> None:
    folder = folders.kilosort4(tmp_path / "ks", SESSION, dat_path="'raw.dat'")
    (folder / "raw.dat").touch()
    session = read_session(folder)
    assert session.recordings[0].traces is None
    assert has_note(session, "raw.dat is not used")


def test_spikeglx_recording_gives_probe_gain_and_clock(tmp_path: Path) -> None:
    run = tmp_path / "run_g0" / "run_g0_imec0"
    spikeglx_files.write_ap(run / "run_g0_t0.imec0.ap.bin", SESSION)
    used = list(range(12))
    folder = folders.kilosort4(
        run / "kilosort4", SESSION, dat_path="'/gone/run_g0_t0.imec0.ap.bin'", columns=used, n_file_channels=13
    )
    session = read_session(folder)
    (recording,) = session.recordings
    assert (session.kind, session.paths) == ("phy", (folder,))
    assert recording.probe.name == "imec0"
    assert recording.probe.channel_names[3] == "AP3"
    assert recording.traces is not None
    assert recording.traces.gains_uv is not None
    np.testing.assert_allclose(recording.traces.gains_uv, spikeglx_files.GAIN_UV)
    assert recording.clock.seconds(0) == spikeglx_files.FIRST_SAMPLE / 30_000
    for depth, shape in zip(trough_depths(recording), SESSION.shapes, strict=True):
        assert depth == pytest.approx(shape.min(), abs=5)


def test_a_header_without_its_recording_still_gives_probe_and_clock(tmp_path: Path) -> None:
    path = spikeglx_files.write_ap(tmp_path / "run_g0_imec0" / "run_g0_t0.imec0.ap.bin", SESSION)
    path.unlink()
    folder = folders.kilosort4(path.parent / "ks", SESSION, dat_path="'run_g0_t0.imec0.ap.bin'", n_file_channels=13)
    (recording,) = read_session(folder).recordings
    assert recording.traces is None
    assert recording.probe.name == "imec0"
    assert recording.clock.seconds(0) == spikeglx_files.FIRST_SAMPLE / 30_000


@pytest.mark.parametrize("dat_path", ["'temp_wh.dat'", "None"])
def test_a_sorting_in_the_folder_of_a_probe_belongs_to_it(tmp_path: Path, dat_path: str) -> None:
    place = tmp_path / "run_g0" / "run_g0_imec0"
    spikeglx_files.write_ap(place / "run_g0_t0.imec0.ap.bin", SESSION)
    folder = folders.kilosort4(place / "ks", SESSION, dat_path=dat_path)
    session = read_session(folder)
    (recording,) = session.recordings
    assert recording.clock.seconds(0) == spikeglx_files.FIRST_SAMPLE / 30_000
    assert recording.traces is not None
    assert has_note(session, "in whose folder the sorting lies")
    spikeglx_files.write_ap(place / "other_g0_t0.imec0.ap.bin", SESSION)
    assert read_session(folder).recordings[0].probe.name == "probe"  # two to choose from


def test_several_spikeglx_files_share_their_gain(tmp_path: Path) -> None:
    for gate in (0, 1):
        spikeglx_files.write_ap(tmp_path / f"run_g{gate}_t0.imec0.ap.bin", SESSION)
    folder = folders.kilosort4(
        tmp_path / "ks",
        SESSION,
        dat_path="['../run_g0_t0.imec0.ap.bin', '../run_g1_t0.imec0.ap.bin']",
        n_file_channels=13,
    )
    traces = read_session(folder).recordings[0].traces
    assert traces is not None
    assert traces.gains_uv is not None
    np.testing.assert_allclose(traces.gains_uv, spikeglx_files.GAIN_UV)
    assert traces.n_samples == 2 * SESSION.n_samples


def test_without_any_channels_it_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "spike_times.npy", np.arange(3))
    np.save(tmp_path / "spike_clusters.npy", np.arange(3))
    folders.write_params(tmp_path, n_channels_dat=None)
    with pytest.raises(InputError, match="the number of channels is not known"):
        read_session(tmp_path)
