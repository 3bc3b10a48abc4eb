"""Where neo's reader of .plx files is wrong and this one is not: each of its defects, shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.converters.plexon import read_session

from .files import Analog, Recipe, small_recipe, write_plx


def neo_of(path: Path):
    rawio = pytest.importorskip("neo.rawio")
    reader = rawio.PlexonRawIO(str(path), progress_bar=False)
    reader.parse_header()
    return reader


def test_signals_are_the_same_where_nothing_was_paused(tmp_path):
    path = write_plx(tmp_path / "a.plx", small_recipe())
    neo, recording = neo_of(path), read_session(path).recordings[0]
    for index, stream in enumerate(neo.header["signal_streams"]):
        ours = recording.traces if stream["id"] == "WB" else recording.lfp
        n = neo.get_signal_size(0, 0, index)
        assert n == ours.n_samples
        # neo loses all of the last block when asked up to the very end
        np.testing.assert_array_equal(neo.get_analogsignal_chunk(0, 0, 0, n - 1, index), ours.read(0, n - 1))


def test_volts_of_slow_channels_by_the_bits_of_the_spike_channels(tmp_path):
    path = write_plx(tmp_path / "a.plx", small_recipe(), spike_bits=12, slow_bits=16)
    neo, recording = neo_of(path), read_session(path).recordings[0]
    stated = neo.header["signal_channels"][0]
    assert stated["units"] == ""  # millivolts, taken for microvolts by what is built on it
    true_uv = 5000 / (0.5 * 2**16 * 1000) * 1e3
    assert recording.traces.gains_uv[0] == pytest.approx(true_uv)
    assert stated["gain"] * 1e3 == pytest.approx(16 * true_uv)  # read as millivolts: 2**(16 - 12) times too large
    assert stated["gain"] / true_uv == pytest.approx(1 / 62.5)  # read as microvolts: 62.5 times too small


def test_traces_that_begin_late_or_were_paused(tmp_path):
    counts = np.arange(4000, dtype="<i2")
    path = write_plx(tmp_path / "a.plx", Recipe(analog=[
        Analog("WB01", "WB", 1, 40_000, [(20_000, counts[:1000]), (60_000, counts[1000:])])
    ]))  # fmt: skip
    neo, recording = neo_of(path), read_session(path).recordings[0]
    assert neo.get_signal_t_start(0, 0, 0) == 0.0
    assert neo.get_signal_size(0, 0, 0) == recording.traces.n_samples == 4000
    np.testing.assert_allclose(recording.clock.seconds([0, 999, 1000]), [0.5, 20_999 / 4e4, 1.5], atol=1e-12)


def test_unsorted_waveforms_are_units(tmp_path):
    path = write_plx(tmp_path / "a.plx", small_recipe())
    neo, sorting = neo_of(path), read_session(path).recordings[0].sorting
    assert sum(channel["id"].endswith("#0") for channel in neo.header["spike_channels"]) == 3
    assert len(neo.header["spike_channels"]) == 9
    assert len(sorting) == 6


def test_the_sample_of_the_threshold_is_not_known(tmp_path):
    path = write_plx(tmp_path / "a.plx", small_recipe())
    neo, sorting = neo_of(path), read_session(path).recordings[0].sorting
    assert set(neo.header["spike_channels"]["wf_left_sweep"]) == {-1}
    assert sorting.templates.n_before == 8


def test_a_cut_file_is_a_crash(tmp_path):
    path = write_plx(tmp_path / "a.plx", small_recipe())
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(Exception):  # noqa: B017, PT011 - whichever comes of a short array
        neo_of(path)
    assert len(read_session(path).recordings) == 1
