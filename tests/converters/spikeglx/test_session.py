"""A run as one session: one clock for probes, NIDQ and spikes, sortings with their probes, and what is told."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nwb_celltype.converters.records import Pulses, SourceSession
from nwb_celltype.converters.spikeglx import read_session
from nwb_celltype.errors import InputError, UsageError

from .synthetic import (
    AP_RATE,
    NI_RATE,
    ap_samples,
    lf_header,
    ni_header,
    np1_header,
    square_wave,
    words,
    write_meta,
    write_sorting,
    write_stream,
)

FIRST = 177385
NI_FIRST = 147821 - 25  # a millisecond before the probe
DRIFT = 40e-6  # NIDQ runs fast
LASER_S = np.array([6.5, 7.25, 9.0])
"""Onsets by the probe's clock; each pulse lasts 10 ms."""
DURATION_S = 6.0


def true_seconds(n: int, rate: float, first: int) -> NDArray[np.float64]:
    return (np.arange(n) + first) / rate


def laser(seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.any((seconds[:, None] >= LASER_S) & (seconds[:, None] < LASER_S + 0.01), axis=1)


def write_run(top: Path, *, sync: str = "3", probes: int = 1, with_lf: bool = False) -> Path:
    """A run of 6 s: probe 0 is true time, probe 1 and NIDQ drift."""
    folder = top / "mouse_g0"
    for probe in range(probes):
        rate = AP_RATE * (1 - 20e-6 * probe)
        n, first = int(DURATION_S * AP_RATE), FIRST + 3 * probe
        wave = square_wave(true_seconds(n, rate, first))
        stem = folder / f"mouse_g0_imec{probe}" / f"mouse_g0_t0.imec{probe}.ap"
        header = np1_header(firstSample=str(first), syncSourceIdx=sync, imDatPrb_sn=f"18005116{probe}")
        write_stream(stem, header, ap_samples(n, 8, wave, seed=probe))
        if with_lf:
            lf = lf_header(firstSample=str(first // 12), syncSourceIdx=sync)
            samples = np.full((n // 12, 9), 5, dtype=np.int16) * np.arange(9, dtype=np.int16)
            write_stream(stem.with_name(stem.name.replace(".ap", ".lf")), lf, samples)
    rate = NI_RATE * (1 + DRIFT)
    seconds = true_seconds(int(DURATION_S * NI_RATE), rate, NI_FIRST)
    packed = words({0: square_wave(seconds), 3: laser(seconds)})
    header = ni_header(firstSample=str(NI_FIRST), syncSourceIdx=sync, niXDChans1="0,3", niXDBytes1="1")
    write_stream(folder / "mouse_g0_t0.nidq", header, np.column_stack([np.zeros(len(packed), dtype=np.int16), packed]))
    return folder


def line(session: SourceSession, name: str) -> Pulses:
    return next(pulses for pulses in session.pulses if pulses.name == name)


def test_everything_is_on_the_clock_of_the_probe(tmp_path: Path) -> None:
    session = read_session(write_run(tmp_path))
    (recording,) = session.recordings
    assert recording.clock.seconds([0, 30]).tolist() == [FIRST / AP_RATE, (FIRST + 30) / AP_RATE]
    assert recording.traces is not None
    assert recording.traces.n_samples == int(DURATION_S * AP_RATE)
    assert [pulses.name for pulses in session.pulses] == ["imec0.SY0.6", "nidq.XD0.0", "nidq.XD0.3"]
    pulses = line(session, "nidq.XD0.3")
    np.testing.assert_allclose(pulses.onsets_s, LASER_S, atol=60e-6)
    np.testing.assert_allclose(pulses.durations_s, 0.01, atol=60e-6)
    # the nominal clock is off by the drift over the time since acquisition began
    assert abs(LASER_S[-1] * DRIFT) > 300e-6


def test_the_line_of_the_probe_and_of_nidq_show_the_same_wave(tmp_path: Path) -> None:
    session = read_session(write_run(tmp_path))
    ours, theirs = line(session, "imec0.SY0.6"), line(session, "nidq.XD0.0")
    np.testing.assert_allclose(ours.onsets_s[-5:], theirs.onsets_s[-5:], atol=60e-6)


def test_a_second_probe_is_aligned_and_its_lf_band_with_it(tmp_path: Path) -> None:
    session = read_session(write_run(tmp_path, probes=2, with_lf=True))
    first, second = session.recordings
    assert [r.probe.name for r in session.recordings] == ["imec0", "imec1"]
    assert second.probe.serial_number == "180051161"
    assert second.clock.fit is not None
    assert second.clock.fit.drift_ppm == pytest.approx(-20, abs=8)
    n = int(DURATION_S * AP_RATE)
    true = true_seconds(n, AP_RATE * (1 - 20e-6), FIRST + 3)
    np.testing.assert_allclose(second.clock.seconds([1000, n - 1000]), true[[1000, n - 1000]], atol=60e-6)
    for recording in (first, second):
        assert recording.lfp is not None
        assert recording.lfp_clock is not None
        lf_first = (FIRST + 3 * (recording is second)) // 12
        ap_sample = 12 * (1000 + lf_first) - (FIRST + 3 * (recording is second))
        np.testing.assert_allclose(recording.lfp_clock.seconds(1000), recording.clock.seconds(ap_sample), atol=1e-9)
        assert recording.lfp.sampling_rate_hz == 2500
        np.testing.assert_array_equal(recording.lfp.read(0, 1)[0], 5 * np.arange(8))


def test_lf_channels_come_in_the_order_of_the_probe(tmp_path: Path) -> None:
    folder = tmp_path / "mouse_g0"
    subset = {"snsSaveChanSubset": "1,4,7,16", "snsApLfSy": "3,0,1", "nSavedChans": "4"}
    write_stream(folder / "mouse_g0_t0.imec0.ap", np1_header(**subset), np.zeros((100, 4), dtype=np.int16))
    samples = np.tile(np.arange(9, dtype=np.int16), (50, 1))
    write_stream(folder / "mouse_g0_t0.imec0.lf", lf_header(), samples)
    (recording,) = read_session(folder).recordings
    assert recording.lfp is not None
    assert recording.lfp.read(0, 1)[0].tolist() == [1, 4, 7]
    fewer = {"snsSaveChanSubset": "8:14,16", "snsApLfSy": "0,7,1", "nSavedChans": "8"}
    write_stream(folder / "mouse_g0_t0.imec0.lf", lf_header(**fewer), samples[:, :8])
    session = read_session(folder)
    assert session.recordings[0].lfp is None
    assert session.left_out[0].what == "LF stream imec0.lf"
    assert "LF7" in session.left_out[0].reason


def test_without_a_sync_source_the_clocks_are_nominal_and_that_is_told(tmp_path: Path) -> None:
    session = read_session(write_run(tmp_path, sync="0"))
    expected = (np.round(LASER_S * NI_RATE * (1 + DRIFT)) - 1) / NI_RATE
    np.testing.assert_allclose(line(session, "nidq.XD0.3").onsets_s, expected, atol=2 / NI_RATE)
    assert any("nidq is not aligned to imec0.ap" in note and "syncSourceIdx=0" in note for note in session.notes)


def test_a_sync_line_without_edges_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "mouse_g0"
    write_stream(folder / "mouse_g0_t0.imec0.ap", np1_header(), ap_samples(1000, 8, np.zeros(1000, dtype=bool)))
    write_stream(folder / "mouse_g0_t0.nidq", ni_header(), np.zeros((1000, 2), dtype=np.int16))
    session = read_session(folder)
    (note,) = [note for note in session.notes if "not aligned" in note]
    assert "0 edges" in note


def test_a_sync_channel_that_was_not_saved_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "mouse_g0"
    header = np1_header(snsSaveChanSubset="0:7", snsApLfSy="8,0,0", nSavedChans="8")
    write_stream(folder / "mouse_g0_t0.imec0.ap", header, np.zeros((1000, 8), dtype=np.int16))
    write_stream(folder / "mouse_g0_t0.nidq", ni_header(), np.zeros((1000, 2), dtype=np.int16))
    session = read_session(folder)
    assert any("imec0.ap holds no sync channel" in note for note in session.notes)


def test_start_and_facts(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    meta = folder / "mouse_g0_imec0" / "mouse_g0_t0.imec0.ap.meta"
    meta.write_text(meta.read_text() + "userNotes=deep\\nquiet\n")
    session = read_session(folder)
    # the file was begun 5.9 s after acquisition, which is time 0
    assert session.started == datetime(2026, 1, 31, 14, 3, 4)
    assert dict(session.facts) == {"NWBFile.session_id": "mouse_g0", "NWBFile.notes": "deep\nquiet"}
    assert session.kind == "spikeglx"
    assert any("5.913 s before the file was begun" in note for note in session.notes)
    assert session.left_out[0].what == "nidq analog inputs XA0"


@pytest.mark.parametrize("place", [".", "mouse_g0_imec0", "mouse_g0_imec0/mouse_g0_t0.imec0.ap.bin"])
def test_units_of_a_sorting_beside_the_run(tmp_path: Path, place: str) -> None:
    folder = write_run(tmp_path)
    write_sorting(
        folder / "mouse_g0_imec0" / "kilosort4", {3: [100, 400], 7: [250]}, "D:\\data\\mouse_g0_t0.imec0.ap.bin"
    )
    (recording,) = read_session(folder / place).recordings
    assert recording.sorting is not None
    assert recording.sorting.unit_ids.tolist() == [3, 7]
    assert recording.sorting.samples_of(0).tolist() == [100, 400]
    np.testing.assert_allclose(recording.clock.seconds(recording.sorting.samples_of(1)), (250 + FIRST) / AP_RATE)


def test_each_probe_gets_its_own_sorting(tmp_path: Path) -> None:
    folder = write_run(tmp_path, probes=2)
    write_sorting(folder / "a", {1: [10]}, "mouse_g0_t0.imec1.ap.bin")
    write_sorting(folder / "imec0_ks4", {2: [20]}, "temp_wh.dat")
    first, second = read_session(folder).recordings
    assert first.sorting is not None
    assert second.sorting is not None
    assert (first.sorting.unit_ids.tolist(), second.sorting.unit_ids.tolist()) == ([2], [1])


def test_a_sorting_of_another_probe_is_left_out(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    write_sorting(folder / "ks_imec5", {1: [10]}, "temp_wh.dat")
    session = read_session(folder)
    assert session.recordings[0].sorting is None
    assert "belongs to imec5" in session.left_out[0].reason
    with pytest.raises(UsageError, match="belongs to imec5"):
        read_session(folder, sorting=folder / "ks_imec5")


def test_two_sortings_of_one_probe_need_a_choice(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    for name in ("ks25", "ks4"):
        write_sorting(folder / name, {1: [10]}, "mouse_g0_t0.imec0.ap.bin")
    with pytest.raises(UsageError, match="imec0 has 2 sortings") as caught:
        read_session(folder)
    assert "ks25" in str(caught.value)
    assert "ks4" in str(caught.value)
    (recording,) = read_session(folder, sorting=[folder / "ks4"]).recordings
    assert recording.sorting is not None


def test_a_sorting_that_names_no_probe_needs_a_name(tmp_path: Path) -> None:
    folder = write_run(tmp_path, probes=2)
    write_sorting(folder / "ks", {1: [10]}, "temp_wh.dat")
    session = read_session(folder)
    assert "Name the probe in the path" in session.left_out[0].reason
    with pytest.raises(UsageError, match="Name the probe in the path"):
        read_session(folder, sorting=folder / "ks")


def test_a_sorting_at_another_rate_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    sorting = write_sorting(folder / "ks", {1: [10]}, "mouse_g0_t0.imec0.ap.bin")
    params = (sorting / "params.py").read_text()
    (sorting / "params.py").write_text(params.replace("30000.", "20000."))
    with pytest.raises(InputError, match="sorted at 20000 Hz, but imec0 was recorded at 30000 Hz"):
        read_session(folder)


def test_headers_with_a_sorting_but_without_traces(tmp_path: Path) -> None:
    folder = tmp_path / "mouse_g0"
    write_meta(folder / "mouse_g0_t0.imec0.ap.meta", np1_header(firstSample=str(FIRST)))
    with pytest.raises(InputError, match="headers alone") as caught:
        read_session(folder)
    assert "mouse_g0_t0.imec0.ap.bin" in str(caught.value)
    write_sorting(folder / "ks", {1: [10]}, "mouse_g0_t0.imec0.ap.bin")
    (recording,) = read_session(folder).recordings
    assert recording.traces is None
    assert recording.sorting is not None
    assert recording.clock.first_sample == FIRST


def test_an_lf_stream_alone_counts_for_its_probe(tmp_path: Path) -> None:
    folder = tmp_path / "mouse_g0"
    write_stream(folder / "mouse_g0_t0.imec0.lf", lf_header(firstSample="1000"), np.zeros((100, 9), dtype=np.int16))
    session = read_session(folder)
    (recording,) = session.recordings
    assert recording.traces is None
    assert recording.lfp is not None
    assert (recording.clock.sampling_rate_hz, recording.clock.first_sample) == (30000, 12000)
    assert any("no AP stream" in note for note in session.notes)


@pytest.mark.parametrize(("kept", "word"), [(0.5, "shorter"), (1.5, "longer")])
def test_a_file_of_another_size_is_used_in_whole_samples(tmp_path: Path, kept: float, word: str) -> None:
    folder = tmp_path / "mouse_g0"
    samples = ap_samples(1000, 8, np.zeros(1000, dtype=bool))
    path = write_stream(folder / "mouse_g0_t0.imec0.ap", np1_header(), samples)
    data = path.read_bytes()
    path.write_bytes((data * 2)[: int(len(data) * kept) + 5])
    session = read_session(folder)
    (recording,) = session.recordings
    assert recording.traces is not None
    assert recording.traces.n_samples == int(1000 * kept)
    assert any(f"is {word} than its header says" in note for note in session.notes)
    assert any("ends within a sample" in note for note in session.notes)


def test_a_run_without_a_probe_is_refused(tmp_path: Path) -> None:
    write_stream(tmp_path / "mouse_g0_t0.nidq", ni_header(), np.zeros((10, 2), dtype=np.int16))
    with pytest.raises(InputError, match=r"holds no stream of a probe \(imec\), only nidq"):
        read_session(tmp_path)


def test_a_onebox_is_on_the_session_clock(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    seconds = true_seconds(int(DURATION_S * 30000), 30000 * (1 + 10e-6), FIRST)
    samples = np.zeros((len(seconds), 3), dtype=np.int16)
    samples[laser(seconds), 1] = 1 << 4
    samples[square_wave(seconds), 2] = 64
    header = {
        "acqXaDwSy": "1,1,1", "snsXaDwSy": "1,1,1", "nSavedChans": "3", "obSampRate": "30000", "obAiRangeMax": "5",
        "snsSaveChanSubset": "all", "firstSample": str(FIRST), "typeThis": "obx", "syncSourceIdx": "3",
    }  # fmt: skip
    write_stream(folder / "mouse_g0_t0.obx0.obx", header, samples)
    session = read_session(folder)
    np.testing.assert_allclose(line(session, "obx0.XD0.4").onsets_s, LASER_S, atol=70e-6)
