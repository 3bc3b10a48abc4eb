"""Digital lines: NIDQ words of every width, status words, OneBox, analog sync, quick look-up of a square wave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nwb_celltype.converters.spikeglx import find_run, lines, read_meta
from nwb_celltype.converters.spikeglx.lines import Lines, read_lines
from nwb_celltype.converters.spikeglx.sparse import sparse_edges
from nwb_celltype.converters.spikeglx.streams import all_columns
from nwb_celltype.errors import InputError

from .synthetic import ap_samples, ni_header, np1_header, np2_header, square_wave, words, write_stream


def lines_of(folder: Path, stream: str, header: dict[str, str], samples: NDArray[np.int16]) -> Lines:
    data = write_stream(folder / f"mouse_g0_t0.{stream}", header, samples)
    files = next(s for s in find_run(folder).streams if s.data == data)
    meta = read_meta(files.meta)
    return read_lines(meta, all_columns(files, meta))


def high(n: int, *periods: tuple[int, int]) -> NDArray[np.bool_]:
    states = np.zeros(n, dtype=bool)
    for start, stop in periods:
        states[start:stop] = True
    return states


def nidq(tmp_path: Path, states: dict[int, NDArray[np.bool_]], n_words: int = 1, **changes: str | None) -> Lines:
    packed = words(states, n_words)
    header = ni_header(1, n_words, **changes)
    return lines_of(tmp_path, "nidq", header, np.column_stack([np.full(len(packed), 7, dtype=np.int16), packed]))


def test_the_lines_that_the_header_lists(tmp_path: Path) -> None:
    found = nidq(tmp_path, {3: high(100, (10, 20), (50, 60)), 6: high(100)}, niXDChans1="0,2:4,6:7", niXDBytes1="1")
    assert list(found.edges) == [f"XD0.{line}" for line in (0, 2, 3, 4, 6, 7)]
    assert found.edges["XD0.3"].rising.tolist() == [10, 50]
    assert found.edges["XD0.3"].falling.tolist() == [20, 60]
    assert found.edges["XD0.6"].is_silent
    assert found.sync == "XD0.0"
    assert found.left_out[0].what == "analog inputs XA0"
    assert "Bit 3 of word XD0 of mouse_g0_t0.nidq.bin" in found.sources["XD0.3"]


def test_lines_beyond_the_first_word(tmp_path: Path) -> None:
    states = {15: high(50, (5, 9)), 16: high(50, (1, 2)), 31: high(50, (40, 50))}
    found = nidq(tmp_path, states, 2)
    assert len(found.edges) == 32
    assert found.edges["XD0.15"].rising.tolist() == [5]
    assert found.edges["XD1.0"].rising.tolist() == [1]
    assert found.edges["XD1.15"].rising.tolist() == [40]
    assert found.edges["XD1.15"].falling.tolist() == []


def test_a_line_that_is_high_at_sample_0(tmp_path: Path) -> None:
    found = nidq(tmp_path, {2: high(50, (0, 9), (20, 25))}, niXDChans1="2", niXDBytes1="1")
    assert found.edges["XD0.2"].is_high_at_start
    assert found.edges["XD0.2"].highs()[0].tolist() == [0, 20]


def test_lines_of_a_second_card_follow_the_bytes_of_the_first(tmp_path: Path) -> None:
    changes = {"niXDChans1": "0:1", "niXDBytes1": "1", "niXDChans2": "3", "niXDBytes2": "1"}
    found = nidq(tmp_path, {11: high(50, (5, 9))}, **changes)
    assert list(found.edges) == ["XD0.0", "XD0.1", "XD0.11"]
    assert found.edges["XD0.11"].rising.tolist() == [5]


def test_the_sync_line_is_read_though_it_is_not_listed(tmp_path: Path) -> None:
    found = nidq(tmp_path, {5: high(50, (5, 9))}, niXDChans1="0:1", syncNiChan="5")
    assert found.sync == "XD0.5"
    assert found.sync_edges is not None
    assert found.sync_edges.rising.tolist() == [5]


def test_a_word_that_was_not_saved_is_told(tmp_path: Path) -> None:
    packed = words({20: high(50, (5, 9))}, 2)
    changes = {"snsSaveChanSubset": "0,2", "snsMnMaXaDw": "0,0,1,1", "nSavedChans": "2"}
    header = ni_header(1, 2, **changes)
    found = lines_of(tmp_path, "nidq", header, np.column_stack([packed[:, 0], packed[:, 1]]))
    assert found.edges["XD1.4"].rising.tolist() == [5]
    assert "XD0.0" not in found.edges
    assert found.left_out[0].what == "lines XD0.0 to XD0.15"
    assert found.sync is None


def test_without_a_list_every_bit_is_a_line(tmp_path: Path) -> None:
    assert len(nidq(tmp_path, {3: high(10)}, niXDChans1="").edges) == 16


@pytest.mark.parametrize("text", ["0:40", "a", "3:1"])
def test_a_list_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="niXDChans1"):
        nidq(tmp_path, {3: high(10)}, niXDChans1=text)


def test_an_analog_sync_channel_by_its_threshold(tmp_path: Path) -> None:
    volts = np.where(square_wave(np.arange(4000) / 1000), 3.0, 0.0)
    volts += np.random.default_rng(0).normal(0, 0.02, 4000)
    samples = np.column_stack([np.zeros(4000), volts / 5 * 32768, np.zeros(4000)]).astype(np.int16)
    changes = {"niSampRate": "1000", "syncNiChan": "1", "syncNiChanType": "1", "syncNiThresh": "1.5"}
    found = lines_of(tmp_path, "nidq", ni_header(2, 1, **changes), samples)
    assert found.sync == "XA1"
    assert found.edges["XA1"].rising.tolist() == [500, 1500, 2500, 3500]
    assert found.left_out[0].what == "analog inputs XA0"


def test_a_multiplexed_sync_channel_has_its_gain(tmp_path: Path) -> None:
    changes = {
        "acqMnMaXaDw": "0,1,0,1",
        "snsMnMaXaDw": "0,1,0,1",
        "niMAGain": "2",
        "snsChanMap": "(0,1,1,0,1)(MA0C0;0:0)",
    }
    changes |= {"syncNiChan": "0", "syncNiChanType": "1", "syncNiThresh": "1"}
    # 1 V at a gain of 2 is 2 of 5 V in the file
    samples = np.column_stack([[0, 6000, 14000, 14000, 0], np.zeros(5)]).astype(np.int16)
    found = lines_of(tmp_path, "nidq", ni_header(1, 1, **changes), samples)
    assert found.edges["MA0C0"].rising.tolist() == [2]


def test_the_status_word_has_the_sync_wave_in_bit_6(tmp_path: Path) -> None:
    samples = ap_samples(200, 8, high(200, (30, 60)))
    samples[:, -1] |= 1  # an error flag is no line
    found = lines_of(tmp_path, "imec0.ap", np1_header(), samples)
    assert list(found.edges) == ["SY0.6"]
    assert found.sync == "SY0.6"
    assert found.edges["SY0.6"].rising.tolist() == [30]


def test_phase_3a_has_sixteen_lines_in_its_status_word(tmp_path: Path) -> None:
    header = np1_header(imDatPrb_type=None, imDatPrb_pn=None, imProbeOpt="3", syncImChan="2")
    samples = ap_samples(100, 8, high(100, (30, 60)))
    samples[40:50, -1] |= np.int16(-32768)
    found = lines_of(tmp_path, "imec.ap", header, samples)
    assert len(found.edges) == 16
    assert found.sync == "SY0.2"
    assert found.edges["SY0.15"].rising.tolist() == [40]


def test_four_status_words_of_a_quad_base_probe(tmp_path: Path) -> None:
    header = np2_header(acqApLfSy="8,0,4", snsApLfSy="8,0,4", nSavedChans="12", snsSaveChanSubset="0:11")
    samples = np.zeros((100, 12), dtype=np.int16)
    samples[20:, 8:] = 64
    found = lines_of(tmp_path, "imec0.ap", header, samples)
    assert list(found.edges) == ["SY0.6", "SY1.6", "SY2.6", "SY3.6"]
    assert found.sync == "SY0.6"


def test_a_onebox_has_twelve_lines_and_a_status_word(tmp_path: Path) -> None:
    header = {
        "acqXaDwSy": "2,1,1", "snsXaDwSy": "2,1,1", "nSavedChans": "4", "obSampRate": "30303.0", "obMaxInt": "32768",
        "obAiRangeMax": "5", "snsSaveChanSubset": "all", "firstSample": "0", "typeThis": "obx", "syncSourceIdx": "1",
    }  # fmt: skip
    samples = np.zeros((100, 4), dtype=np.int16)
    samples[10:20, 2] = 1 << 11
    samples[50:, 3] = 64
    found = lines_of(tmp_path, "obx0.obx", header, samples)
    assert list(found.edges) == ["SY0.6", *(f"XD0.{bit}" for bit in range(12))]
    assert found.edges["XD0.11"].rising.tolist() == [10]
    assert found.sync == "SY0.6"
    assert found.left_out[0].what == "analog inputs XA0 to XA1"


def test_a_large_probe_file_is_looked_up_and_gives_the_same_edges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate, n = 1000, 20_500
    wave = square_wave(np.arange(n) / rate * 1.00005 + 0.3)
    header = np1_header(imSampRate=str(rate))
    complete = lines_of(tmp_path, "imec0.ap", header, ap_samples(n, 8, wave))
    monkeypatch.setattr(lines, "_FULL_SCAN_BYTES", 0)
    quick = lines_of(tmp_path, "imec0.ap", header, ap_samples(n, 8, wave))
    np.testing.assert_array_equal(quick.edges["SY0.6"].rising, complete.edges["SY0.6"].rising)
    np.testing.assert_array_equal(quick.edges["SY0.6"].falling, complete.edges["SY0.6"].falling)
    assert quick.edges["SY0.6"].is_high_at_start == complete.edges["SY0.6"].is_high_at_start
    assert "looked up" in quick.sources["SY0.6"]
    assert "every sample" in complete.sources["SY0.6"]


@pytest.mark.parametrize("case", ["other signal", "gap", "no sync source"])
def test_a_line_that_is_no_clean_square_wave_is_read_completely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    rate, n = 1000, 20_500
    wave = square_wave(np.arange(n) / rate)
    if case == "other signal":
        wave = high(n, (17, 19), (5000, 5001))
    elif case == "gap":
        wave[9000:13000] = False
    header = np1_header(imSampRate=str(rate), syncSourceIdx="0" if case == "no sync source" else "3")
    monkeypatch.setattr(lines, "_FULL_SCAN_BYTES", 0)
    found = lines_of(tmp_path, "imec0.ap", header, ap_samples(n, 8, wave))
    np.testing.assert_array_equal(found.edges["SY0.6"].rising, np.flatnonzero(np.diff(wave.astype(int)) > 0) + 1)
    assert "every sample" in found.sources["SY0.6"]


def test_few_samples_are_looked_at() -> None:
    looked: list[int] = []

    def is_high(sample: int) -> bool:
        looked.append(sample)
        return sample % 30000 >= 15000

    edges = sparse_edges(is_high, 3_000_000, 30000.0)
    assert edges is not None
    assert len(edges.rising) == 100
    assert len(looked) < 4000


def test_short_or_silent_recordings_are_not_looked_up() -> None:
    assert sparse_edges(lambda sample: False, 100_000, 1000.0) is None
    assert sparse_edges(lambda sample: sample % 1000 >= 500, 2500, 1000.0) is None
    assert sparse_edges(lambda sample: sample % 1000 >= 500, 10_000, 10.0) is None
