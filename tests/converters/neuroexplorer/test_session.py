from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from neo.rawio import NeuroExplorerRawIO

from nwb_celltype.converters.neuroexplorer import open_nex, read_session
from nwb_celltype.converters.records import Sorting, SourceSession
from nwb_celltype.errors import InputError

from . import files

REAL = Path(__file__).resolve().parents[4] / "shared/data/lab_formats/neuroexplorer/File_neuroexplorer_1.nex"


def units_of(session: SourceSession) -> Sorting:
    (recording,) = session.recordings
    assert recording.sorting is not None
    return recording.sorting


@pytest.fixture(params=["nex", "nex5", "nex5 long", "nex5 floats"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[files.Var]]:
    floats = request.param == "nex5 floats"
    listed = files.variables(floats=floats)
    if request.param == "nex":
        return files.write_nex(tmp_path / "a.nex", listed), listed
    about = [{"name": v.name, "unitNumber": v.unit, "probe": {"wireNumber": v.wire}} for v in listed]
    long = request.param == "nex5 long"
    path = files.write_nex5(
        tmp_path / "a.nex5", listed, long_times=long, long_indices=long, metadata={"variables": about}
    )
    return path, listed


def test_every_kind_of_variable(written: tuple[Path, list[files.Var]]) -> None:
    path, listed = written
    session = read_session(path)
    (recording,) = session.recordings
    sorting = units_of(session)
    assert sorting.unit_names == ("sig001a", "sig001i", "sig002a", "sig003b")
    assert sorting.unit_ids.tolist() == [1, 2, 3, 4]
    for row, var in enumerate([*listed[:3], listed[4]]):
        np.testing.assert_array_equal(sorting.samples_of(row), var.times)
    np.testing.assert_allclose(recording.clock.seconds(sorting.samples_of(0)), listed[0].times / 40_000)
    assert recording.observed_s is not None
    assert recording.observed_s.tolist() == [[0.0, 25.0]]
    assert recording.probe.channel_names == ("wire1", "wire2", "wire3")
    assert sorting.peak_channels is not None
    assert sorting.peak_channels.tolist() == [0, 0, 1, 2]
    assert sorting.columns["quality"].values.tolist() == ["", "unsorted", "", ""]
    assert sorting.columns["unit_number"].values.tolist() == [1, 0, 1, 0]
    events = {mark.name: mark for mark in session.marks}
    assert list(events) == ["EVT01", "Strobed", "Keys.key", "Keys.count"]
    assert events["EVT01"].times_s.tolist() == [0.001, 0.1]
    assert events["EVT01"].values is None
    assert events["Strobed"].values is not None
    assert events["Strobed"].values.tolist() == [2, 3, 32_767]
    assert events["Keys.key"].values is not None
    assert events["Keys.key"].values.tolist() == ["a", "b"]
    (laser,) = session.pulses
    assert (laser.onsets_s.tolist(), laser.durations_s.tolist()) == ([0.01, 0.2], [0.01, 0.01])
    left = {item.what for item in session.left_out}
    assert left == {
        "event EVT02", "interval AllFile", "continuous channel AD01", "population vector weights",
        "snippets sig001a_template",
    }  # fmt: skip


def test_mean_waveforms_are_microvolts_around_the_spike(written: tuple[Path, list[files.Var]]) -> None:
    path, listed = written
    templates = units_of(read_session(path)).templates
    assert templates is not None
    assert (templates.unit, templates.n_before, templates.sampling_rate_hz) == ("microvolts", 2, 40_000)
    stored = np.asarray(listed[3].values)
    millivolts = stored.astype(np.float64) * (1.0 if stored.dtype.kind == "f" else 0.5)
    np.testing.assert_allclose(templates.waveforms[0, :, 0], millivolts.mean(axis=0) * 1000, rtol=1e-6)
    assert templates.sd is not None
    np.testing.assert_allclose(templates.sd[0, :, 0], millivolts.std(axis=0) * 1000, rtol=1e-5)
    assert int(templates.waveforms[0, :, 0].argmin()) == templates.n_before
    assert np.isnan(templates.waveforms[0, :, 1:]).all()
    assert np.isnan(templates.waveforms[1:3]).all()
    assert templates.n_spikes_used is not None
    assert templates.n_spikes_used.tolist() == [50, 0, 0, 50]


def test_continuous_fragments(written: tuple[Path, list[files.Var]]) -> None:
    file = open_nex(written[0])
    found = file.continuous(next(v for v in file.variables if v.name == "AD01"))
    assert found.values.tolist() == list(range(1000))
    assert (found.fragment_ticks.tolist(), found.fragment_starts.tolist()) == ([0, 80_000], [0, 600])


def test_equal_to_neo(tmp_path: Path) -> None:
    listed = [var for var in files.variables() if var.kind != files.POPULATION]
    compare_with_neo(files.write_nex(tmp_path / "a.nex", listed))


def test_real_file_is_equal_to_neo() -> None:
    if not REAL.exists():
        pytest.skip(f"{REAL.name} is not at hand: shared/data is not beside this checkout")
    session = read_session(REAL)
    sorting = units_of(session)
    assert sorting.unit_names == ("Neuron04a", "Neuron05b", "Neuron05c", "Neuron06b", "Neuron06d", "Neuron07a")
    assert np.diff(sorting.offsets).tolist() == [18_882, 13_514, 3_053, 2_357, 3_807, 3_824]
    assert session.recordings[0].probe.channel_names == ("Neuron04", "Neuron05", "Neuron06", "Neuron07")
    compare_with_neo(REAL)
    file = open_nex(REAL)
    parts = [file.continuous(v) for v in file.variables if v.name.startswith("ContChannel")]
    assert [len(part.values) for part in parts] == [610_207, 70_031]
    assert [len(part.fragment_starts) for part in parts] == [1, 4]


def compare_with_neo(path: Path) -> None:
    """Spikes, snippets, events, intervals, markers and continuous values, where neo is right."""
    neo = NeuroExplorerRawIO(str(path))
    neo.parse_header()
    file = open_nex(path)
    by_id = {str(k): variable for k, variable in enumerate(file.variables)}
    for k, channel in enumerate(neo.header["spike_channels"]):
        variable = by_id[channel["id"]]
        np.testing.assert_array_equal(file.ticks(variable), neo.get_spike_timestamps(spike_channel_index=k))
        if variable.n_points:
            raw = neo.get_spike_raw_waveforms(spike_channel_index=k)
            np.testing.assert_array_equal(file.snippets(variable), raw[:, 0])
            assert channel["wf_left_sweep"] == round(variable.before_s * variable.rate_hz)
    session = read_session(path)
    ours: dict[str, Any] = {each.name: each for each in (*session.marks, *session.pulses)}
    compared = 0
    for k, channel in enumerate(neo.header["event_channels"]):
        each = ours.get(channel["name"])
        if each is None or not neo.event_count(event_channel_index=k):
            continue
        ticks, durations, labels = neo.get_event_timestamps(event_channel_index=k)
        order = np.argsort(ticks, kind="stable")
        times = each.times_s if durations is None else each.onsets_s
        np.testing.assert_allclose(times, ticks[order] / file.frequency_hz, rtol=1e-12)
        if durations is not None:
            np.testing.assert_allclose(each.durations_s, durations[order] / file.frequency_hz)
        elif each.values is not None:
            np.testing.assert_array_equal(each.values, labels[order].astype(np.int64))
        compared += 1
    assert compared >= 3
    for k, channel in enumerate(neo.header["signal_channels"]):
        variable = by_id[channel["id"]]
        raw = neo.get_analogsignal_chunk(stream_index=k)
        np.testing.assert_array_equal(file.continuous(variable).values, raw[:, 0])
        assert (channel["gain"], channel["sampling_rate"]) == (variable.scale_mv, variable.rate_hz)


def test_prethreshold_counts_only_in_versions_that_state_it(tmp_path: Path) -> None:
    for version, expected in ((105, 0), (106, 2)):
        path = files.write_nex(tmp_path / f"{version}.nex", files.variables(), version=version)
        templates = units_of(read_session(path)).templates
        assert templates is not None
        assert templates.n_before == expected


def test_snippets_without_a_scale_stay_counts(tmp_path: Path) -> None:
    listed = files.variables()
    listed[3].scale = 0.0
    del listed[4:6]
    session = read_session(files.write_nex(tmp_path / "a.nex", listed))
    templates = units_of(session).templates
    assert templates is not None
    assert templates.unit == "a.u."
    assert any("no scale in volts" in note for note in session.notes)


def test_microvolts_of_a_nex5_file(tmp_path: Path) -> None:
    listed = files.variables()[:4]
    listed[3].units = "uV"
    templates = units_of(read_session(files.write_nex5(tmp_path / "a.nex5", listed))).templates
    assert templates is not None
    stored = np.asarray(listed[3].values, dtype=np.float64)
    np.testing.assert_allclose(templates.waveforms[0, :, 0], stored.mean(axis=0) * 0.5, rtol=1e-6)


def test_names_odd_times_and_numbers_as_markers(tmp_path: Path) -> None:
    listed = [
        files.Var(files.NEURON, "unit", np.array([500, 100, 300])),
        files.Var(files.NEURON, "quiet", np.array([], dtype=int)),
        files.Var(files.NEURON, "early", np.array([-5, 7])),
        files.Var(files.EVENT, "twice", np.array([3])),
        files.Var(files.EVENT, "twice", np.array([4])),
        files.Var(files.INTERVAL, "backward", np.array([10, 50]), ends=np.array([5, 60])),
        files.Var(files.MARKER, "code", np.array([1, 2]), fields=[("word", np.array([4_000_000_000, 7]))]),
    ]
    session = read_session(files.write_nex5(tmp_path / "a.nex5", listed, long_times=True, begin=4000, end=400_000))
    sorting = units_of(session)
    assert sorting.unit_names == ("unit", "early")
    assert sorting.samples_of(0).tolist() == [100, 300, 500]
    assert sorting.samples_of(1).tolist() == [7]
    assert [mark.name for mark in session.marks] == ["twice", "twice_2", "code"]
    assert session.marks[2].values is not None
    assert session.marks[2].values.tolist() == [4_000_000_000, 7]
    assert np.isnan(session.pulses[0].durations_s[0])
    assert session.recordings[0].observed_s is not None
    assert session.recordings[0].observed_s.tolist() == [[0.1, 10.0]]
    assert {item.what for item in (*session.left_out, *sorting.left_out)} == {"neuron quiet", "1 spikes of early"}
    assert any("not in order" in note for note in session.notes)


def test_units_by_name_where_wires_are_not_numbered(tmp_path: Path) -> None:
    listed = [files.Var(files.NEURON, name, np.array([5])) for name in ("SPK01a", "SPK01b", "SPK2U", "cell")]
    session = read_session(files.write_nex(tmp_path / "a.nex", listed))
    assert session.recordings[0].probe.channel_names == ("SPK01", "SPK2", "cell")
    assert units_of(session).columns["quality"].values.tolist() == ["", "", "unsorted", ""]


def test_a_file_without_units(tmp_path: Path) -> None:
    session = read_session(files.write_nex(tmp_path / "a.nex", files.variables()[6:9]))
    assert len(units_of(session)) == 0
    assert len(session.marks) == 1


@pytest.mark.parametrize(
    ("at", "raw", "words"),
    [
        (0, b"NEX7", "no file of NeuroExplorer"),
        (264, b"\0" * 8, "ticks a second"),
        (264, b"\xff" * 8, "ticks a second"),
        (280, b"\xff\xff\xff\x7f", "announces"),
        (280, b"\xff\xff\xff\xff", "announces"),
        (544, b"\x09", "of kind 9"),
        (544 + 72, b"\xff\xff\xff\x7f", "sig001a would end at byte"),
        (544 + 76, b"\xff\xff\xff\xff", "fewer than no values"),
        (544 + 76, b"\xff\xff\xff\x7f", "would end at byte"),
    ],
)
def test_damaged_headers(tmp_path: Path, at: int, raw: bytes, words: str) -> None:
    path = files.write_nex(tmp_path / "a.nex", files.variables())
    content = bytearray(path.read_bytes())
    content[at : at + len(raw)] = raw
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=words):
        read_session(path)


@pytest.mark.parametrize("write", [files.write_nex, files.write_nex5])
def test_cut_files(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path / "a.nex", files.variables())
    whole = path.read_bytes()
    for length in (0, 3, 4, 100, 355, 543, 544, 1000, 2000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_session(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["nex", "nex5"]), st.data())
def test_flipped_bits_raise_our_own_errors(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    whole = tmp_path / f"whole.{kind}"
    if not whole.exists():
        if kind == "nex":
            files.write_nex(whole, files.variables())
        else:
            files.write_nex5(whole, files.variables(), metadata={"variables": [{"name": "sig001a"}]})
    damaged = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, min(5000, len(damaged) - 1)))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / f"odd.{kind}"
    path.write_bytes(bytes(damaged))
    with suppress(InputError):
        session = read_session(path)
        file = open_nex(path)
        for variable in file.variables:
            if variable.kind == files.CONTINUOUS:
                file.continuous(variable)
        assert len(units_of(session).spike_samples) == units_of(session).offsets[-1]
