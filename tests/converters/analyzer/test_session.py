"""A SpikeInterface sorting or analyzer becomes one session, from memory and from each of its folders alike."""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spikeinterface.core as si
from numpy.typing import NDArray

from nwb_celltype.converters.analyzer import read_session
from nwb_celltype.converters.records import SourceSession
from nwb_celltype.errors import InputError, RefusedError

from . import sources
from .sources import FIRST_SAMPLE, GAIN_UV, N_CHANNELS, RATE_HZ

N_SAMPLES = 90_000
NAMES = ("a", "b", "c")


@dataclass(frozen=True)
class Made:
    """The objects of these tests and the folder that holds their files."""

    folder: Path
    samples: NDArray[np.int64]
    labels: NDArray[np.int64]
    recording: Any
    sorting: Any
    analyzer: Any


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("analyzer")
    samples, labels = sources.spikes(N_SAMPLES)
    recording = sources.recording(folder, samples, labels, N_SAMPLES)
    sorting = sources.sorting(samples, labels, NAMES)
    analyzer = sources.analyzer(sorting, recording, format="binary_folder", folder=folder / "analyzer")
    analyzer.save_as(format="zarr", folder=folder / "analyzer.zarr")
    sources.save(sorting, folder / "sorting")
    return Made(folder, samples, labels, recording, sorting, analyzer)


@pytest.fixture(params=["object", "folder", "zarr"])
def session(request: pytest.FixtureRequest, made: Made) -> SourceSession:
    """The same analyzer three times."""
    where = {"object": made.analyzer, "folder": made.folder / "analyzer", "zarr": made.folder / "analyzer.zarr"}
    return read_session(where[request.param])


def test_spikes_units_and_names(session: SourceSession, made: Made) -> None:
    sorting = session.recordings[0].sorting
    assert sorting is not None
    assert sorting.unit_names == NAMES
    assert sorting.unit_ids.tolist() == [0, 1, 2]
    for row in range(3):
        np.testing.assert_array_equal(sorting.samples_of(row), made.samples[made.labels == row])
    assert any("numbered from 0" in note for note in sorting.notes)


def test_properties_and_metrics_become_described_columns(session: SourceSession, made: Made) -> None:
    sorting = session.recordings[0].sorting
    assert sorting is not None
    columns = sorting.columns
    assert columns["quality"].values.tolist() == ["good", "mua", "good"]
    assert {"KSLabel", "my_score", "snr", "firing_rate", "peak_to_trough_duration"} <= set(columns)
    assert "main_channel_id" not in columns
    assert all(len(column.description) > 20 for column in columns.values())
    assert "spikes per second" in columns["firing_rate"].description
    np.testing.assert_allclose(columns["firing_rate"].values, 20.0)
    expected = made.analyzer.get_extension("template_metrics").get_data()["peak_to_trough_duration"]
    np.testing.assert_array_equal(columns["peak_to_trough_duration"].values, expected)
    assert [left.what for left in session.left_out] == ["property where"]


def test_columns_have_one_order(made: Made) -> None:
    names = [
        list(sorting.columns)
        for source in (made.analyzer, made.folder / "analyzer", made.folder / "analyzer.zarr")
        if (sorting := read_session(source).recordings[0].sorting) is not None
    ]
    assert names[0] == names[1] == names[2]


def test_templates_are_microvolts_and_unknown_off_the_sparse_channels(session: SourceSession, made: Made) -> None:
    sorting = session.recordings[0].sorting
    assert sorting is not None
    templates = sorting.templates
    assert templates is not None
    assert templates.unit == "microvolts"
    assert templates.n_before == 30
    mask = made.analyzer.sparsity.mask
    assert not mask.all()
    np.testing.assert_array_equal(np.isfinite(templates.waveforms).all(axis=1), mask)
    truth = sources.shapes(3)[:, : templates.waveforms.shape[1]]
    worst = max(float(np.nanmax(np.abs(templates.waveforms[k] - truth[k]))) for k in range(3))
    assert worst < 5.0
    assert sorting.peak_channels is not None
    assert sorting.peak_channels.tolist() == [3, 8, 13]


def test_amplitudes_stand_beside_their_spikes(session: SourceSession, made: Made) -> None:
    sorting = session.recordings[0].sorting
    assert sorting is not None
    assert sorting.amplitudes is not None
    traces = made.recording.get_traces(return_in_uV=True)
    for row, channel in enumerate((3, 8, 13)):
        own = slice(sorting.offsets[row], sorting.offsets[row + 1])
        np.testing.assert_allclose(sorting.amplitudes[own], traces[sorting.samples_of(row), channel], rtol=1e-5)
    assert "microvolts" in sorting.amplitude_description


def test_the_probe_has_the_order_of_the_channels(session: SourceSession) -> None:
    probe = session.recordings[0].probe
    assert probe.name == "imec1"
    assert probe.channel_names == tuple(f"AP{k}" for k in range(N_CHANNELS))
    assert probe.positions_um[0].tolist() == [250.0, 220.0]  # channel 0 is wired to the last contact
    assert probe.positions_um[-1].tolist() == [0.0, 0.0]
    assert probe.shanks.tolist() == [1] * 12 + [0] * 12
    assert (probe.model, probe.manufacturer, probe.serial_number) == ("NP2013", "IMEC", "1234")


def test_traces_are_counts_of_the_wanted_channels(session: SourceSession, made: Made) -> None:
    traces = session.recordings[0].traces
    assert traces is not None
    assert (traces.n_samples, traces.n_channels, traces.dtype) == (N_SAMPLES, N_CHANNELS, np.dtype("int16"))
    assert traces.gains_uv is not None
    np.testing.assert_array_equal(traces.gains_uv, np.full(N_CHANNELS, GAIN_UV))
    assert traces.offsets_uv is None
    stored = np.fromfile(made.folder / "traces.bin", "<i2").reshape(-1, N_CHANNELS)
    np.testing.assert_array_equal(traces.read(100, 200), stored[100:200])
    np.testing.assert_array_equal(traces.read(100, 200, np.array([7, 2])), stored[100:200][:, [7, 2]])
    assert [path.name for path in traces.paths] == ["traces.bin"]
    assert traces.filtering == ""
    with pytest.raises(InputError, match="do not exist"):
        traces.read(0, N_SAMPLES + 1)


def test_the_clock_is_exact(session: SourceSession) -> None:
    clock = session.recordings[0].clock
    assert (clock.first_sample, len(clock.knot_samples)) == (FIRST_SAMPLE, 0)
    samples = np.array([0, 7, N_SAMPLES])
    np.testing.assert_array_equal(clock.seconds(samples), (samples + FIRST_SAMPLE) / RATE_HZ)


def test_a_start_between_samples_is_kept(made: Made) -> None:
    recording = made.recording.clone()
    recording.shift_times(0.4 / RATE_HZ)
    sorting = made.sorting.clone() if hasattr(made.sorting, "clone") else made.sorting
    sorting.register_recording(recording)
    clock = read_session(sorting).recordings[0].clock
    samples = np.array([0.0, N_SAMPLES - 1])
    np.testing.assert_allclose(clock.seconds(samples), (samples + FIRST_SAMPLE + 0.4) / RATE_HZ, rtol=0, atol=1e-9)


def test_a_time_vector_with_drift_and_a_gap(made: Made) -> None:
    times = np.arange(N_SAMPLES) / RATE_HZ * (1 + 50e-6)
    times[50_001:] += 3.0
    recording = made.recording.clone()
    recording.set_times(times)
    sorting = sources.sorting(made.samples, made.labels, NAMES)
    sorting.register_recording(recording)
    clock = read_session(sorting).recordings[0].clock
    np.testing.assert_allclose(clock.seconds(np.arange(N_SAMPLES)), times, rtol=0, atol=2e-7)
    assert len(clock.knot_samples) <= 8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recording.set_times(times[::-1].copy())
    with pytest.raises(InputError, match="do not rise"):
        read_session(sorting)


def test_filtered_traces_say_how_they_were_filtered(made: Made) -> None:
    preprocessing = pytest.importorskip("spikeinterface.preprocessing")
    recording = preprocessing.common_reference(preprocessing.highpass_filter(made.recording, freq_min=300.0))
    sorting = sources.sorting(made.samples, made.labels, NAMES)
    sorting.register_recording(recording)
    traces = read_session(sorting).recordings[0].traces
    assert traces is not None
    assert "HighpassFilter (freq_min 300.0" in traces.filtering
    assert "CommonReference" in traces.filtering
    assert [path.name for path in traces.paths] == ["traces.bin"]


@pytest.fixture
def alone(made: Made, tmp_path: Path) -> Path:
    """The analyzer's folder after its recording went away."""
    shutil.copytree(made.folder / "analyzer", tmp_path / "moved" / "analyzer")
    (tmp_path / "moved" / "analyzer" / "recording.json").unlink()
    return tmp_path / "moved" / "analyzer"


def test_an_analyzer_without_its_recording_works_from_templates(alone: Path, made: Made) -> None:
    session = read_session(alone)
    recording = session.recordings[0]
    assert recording.traces is None
    assert recording.sorting is not None
    assert recording.sorting.templates is not None
    whole = read_session(made.analyzer).recordings[0]
    assert whole.sorting is not None
    assert whole.sorting.templates is not None
    np.testing.assert_array_equal(recording.sorting.templates.waveforms, whole.sorting.templates.waveforms)
    np.testing.assert_array_equal(recording.probe.positions_um, whole.probe.positions_um)
    assert any("sample 0 is taken as 0 s" in note for note in session.notes)


def test_templates_in_counts_are_scaled_by_the_gains(made: Made) -> None:
    analyzer = sources.analyzer(made.sorting, made.recording, format="memory", return_in_uV=False)
    sorting = read_session(analyzer).recordings[0].sorting
    other = read_session(made.analyzer).recordings[0].sorting
    assert sorting is not None
    assert other is not None
    assert sorting.templates is not None
    assert other.templates is not None
    assert sorting.templates.unit == "microvolts"
    np.testing.assert_allclose(sorting.templates.waveforms, other.templates.waveforms, rtol=1e-4, atol=1e-3)
    assert "counts" in sorting.amplitude_description


@pytest.mark.parametrize("form", ["numpy_folder", "npz_folder", "npz", "json"])
def test_every_saved_form_of_a_sorting(form: str, made: Made, tmp_path: Path) -> None:
    path = tmp_path / {"npz": "sorting.npz", "json": "sorting.json"}.get(form, "sorting")
    if form == "npz":
        si.NpzSortingExtractor.write_sorting(made.sorting, path)
    elif form == "json":
        si.load(made.folder / "sorting").dump_to_json(path)
    else:
        sources.save(made.sorting, path, form)
    session = read_session(path)
    sorting = session.recordings[0].sorting
    assert sorting is not None
    assert sorting.unit_names == NAMES
    np.testing.assert_array_equal(sorting.samples_of(1), made.samples[made.labels == 1])
    assert len(session.recordings[0].probe) == 0
    assert any("no electrodes" in note for note in session.notes)


def test_a_doubled_property_is_left_out_once() -> None:
    sorting = si.NumpySorting.from_unit_dict([{1: np.array([5]), 2: np.array([6])}], RATE_HZ)
    for name in ("KSLabel", "KSLabel_repeat"):
        sorting.set_property(name, np.array(["good", "mua"]))
    session = read_session(sorting)
    assert session.recordings[0].sorting is not None
    assert list(session.recordings[0].sorting.columns) == ["KSLabel"]
    assert [(left.what, left.reason) for left in session.left_out] == [
        ("property KSLabel_repeat", "it repeats KSLabel")
    ]


def test_numbers_as_texts_are_ids() -> None:
    sorting = si.NumpySorting.from_samples_and_labels([[5, 9]], [["12", "3"]], RATE_HZ)
    found = read_session(sorting).recordings[0].sorting
    assert found is not None
    assert sorted(found.unit_ids.tolist()) == [3, 12]
    assert [str(unit) for unit in found.unit_ids] == list(found.unit_names)


def test_units_without_spikes_stay() -> None:
    sorting = si.NumpySorting.from_unit_dict([{4: np.array([10, 20]), 7: np.array([], dtype=np.int64)}], RATE_HZ)
    found = read_session(sorting).recordings[0].sorting
    assert found is not None
    assert found.unit_ids.tolist() == [4, 7]
    assert found.offsets.tolist() == [0, 2, 2]


def test_several_segments_are_listed() -> None:
    sorting = si.NumpySorting.from_unit_dict([{0: np.array([10, 20])}, {0: np.array([5])}], RATE_HZ)
    with pytest.raises(InputError, match=r"2 segments: 0 \(2 spikes\), 1 \(1 spikes\).*select_segment_sorting"):
        read_session(sorting)


def test_spikes_after_the_end_are_kept_and_said(made: Made) -> None:
    sorting = si.NumpySorting.from_unit_dict([{0: np.array([10, N_SAMPLES + 5])}], RATE_HZ)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # SpikeInterface says so too
        sorting.register_recording(made.recording)
    found = read_session(sorting).recordings[0].sorting
    assert found is not None
    assert found.samples_of(0).tolist() == [10, N_SAMPLES + 5]
    assert any("1 spikes lie outside" in note for note in found.notes)


def test_a_recording_of_another_rate_is_refused(made: Made) -> None:
    sorting = si.NumpySorting.from_unit_dict([{0: np.array([10, 20])}], 25_000.0)
    sorting._recording = made.recording
    with pytest.raises(InputError, match=r"25000\.0 samples per second and its recording 30000\.0"):
        read_session(sorting)


def test_a_pickle_is_not_opened(alone: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    for file in (alone / "recording.pickle", tmp_path / "sorting.pkl"):
        file.write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(RefusedError, match="is a pickle"):
            read_session(alone if file.parent == alone else file)
    assert not (tmp_path / "ran").exists()


def test_texts_that_spikeinterface_pickled_are_read(made: Made, tmp_path: Path) -> None:
    """As they are after read_phy: numpy saves columns of Python objects as pickles."""
    sorting = sources.sorting(made.samples, made.labels, NAMES)
    sorting.set_property("comment", np.array(["fine", None, "drifts"], dtype=object))
    sources.save(sorting, tmp_path / "sorting")
    found = read_session(tmp_path / "sorting").recordings[0].sorting
    assert found is not None
    assert found.columns["comment"].values.tolist() == ["fine", "", "drifts"]


def test_a_property_that_would_run_code_is_not_opened(made: Made, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    sources.save(made.sorting, tmp_path / "sorting")
    file = tmp_path / "sorting" / "properties" / "comment.npy"
    np.save(file, np.array([Bomb(), None, None], dtype=object), allow_pickle=True)
    with pytest.raises(RefusedError, match=r"comment\.npy is a pickle"):
        read_session(tmp_path / "sorting")
    assert not (tmp_path / "ran").exists()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match="is damaged"):
        read_session(tmp_path / "sorting")


def test_what_is_not_a_sorting(made: Made, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_session(tmp_path / "nowhere")
    with pytest.raises(InputError, match="which has no sorted units"):
        read_session(made.recording)
    with pytest.raises(InputError, match="SpikeInterface cannot open"):
        read_session(tmp_path)
    (tmp_path / "params.py").write_text("n_channels_dat = 4\n")
    with pytest.raises(InputError, match="use the kind `phy`"):
        read_session(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "spikeinterface_info.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        read_session(broken)
    recording = tmp_path / "recording.json"
    made.recording.dump_to_json(recording)
    assert json.loads(recording.read_text())
    with pytest.raises(InputError, match="BinaryRecordingExtractor, which has no sorted units"):
        read_session(recording)
