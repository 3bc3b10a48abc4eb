"""The .plx reader against the bytes that were written, and against neo where neo is right."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.converters.plexon import read_plx, read_snippets
from nwb_celltype.converters.plexon.plx_blocks import index_blocks
from nwb_celltype.errors import InputError

from .files import Recipe, Spikes, real, small_recipe, write_plx

REAL = "File_plexon_1.plx"


def neo_of(path: Path):
    rawio = pytest.importorskip("neo.rawio")
    reader = rawio.PlexonRawIO(str(path), progress_bar=False)
    reader.parse_header()
    return reader


@pytest.mark.parametrize("version", range(100, 107))
def test_every_version_gives_back_what_was_written(tmp_path, version):
    recipe = small_recipe(seconds=0.3)
    content = read_plx(write_plx(tmp_path / "a.plx", recipe, version=version))
    assert content.version.startswith(f"plx {version}")
    assert content.tick_rate_hz == 40_000
    assert str(content.started) == "2021-05-04 10:11:12"
    assert content.comment == recipe.comment
    assert not content.notes
    assert not content.left_out
    for channel, written in zip(content.spikes, recipe.spikes, strict=True):
        assert (channel.name, channel.number, channel.n_before, channel.n_points) == (
            written.name,
            written.number,
            8,
            40,
        )
        np.testing.assert_array_equal(channel.ticks, written.ticks)
        np.testing.assert_array_equal(channel.units, written.units)
        np.testing.assert_array_equal(read_snippets(content.path, channel), written.snippets)
    kinds = [(channel.kind, channel.electrode, channel.sampling_rate_hz) for channel in content.analog]
    assert kinds == [*(("WB", k, 40_000.0) for k in (1, 2, 3)), *(("FP", k, 1000.0) for k in (1, 2, 3))]
    strobed = next(event for event in content.events if event.name == "Strobed")
    assert strobed.ticks.tolist() == [2000, 2040, 2080]
    assert strobed.values is not None
    assert strobed.values.tolist() == [2, 65_535, 3]
    assert (content.starts.tolist(), content.stops.tolist()) == ([0], [12_000])


# Microvolts of one count by hand: full scale in millivolts, half the range of the converter, and the gains.
@pytest.mark.parametrize(
    ("version", "spike_uv", "slow_uv"),
    [
        (100, 3000 / (2048 * 20 * 1000) * 1e3, 5000 / (2048 * 50 * 1000) * 1e3),
        (101, 3000 / (2048 * 20 * 1000) * 1e3, 5000 / (2048 * 50 * 1000) * 1e3),
        (102, 3000 / (2048 * 20 * 1000) * 1e3, 5000 / (2048 * 50 * 250) * 1e3),
        (103, 2500 / (2048 * 20 * 1000) * 1e3, 4500 / (32_768 * 50 * 250) * 1e3),
        (104, 2500 / (2048 * 20 * 1000) * 1e3, 4500 / (32_768 * 50 * 250) * 1e3),
        (105, 2500 / (2048 * 20 * 500) * 1e3, 4500 / (32_768 * 50 * 250) * 1e3),
        (106, 2500 / (2048 * 20 * 500) * 1e3, 4500 / (32_768 * 50 * 250) * 1e3),
    ],
)
def test_volts_follow_the_rule_of_each_version(tmp_path, version, spike_uv, slow_uv):
    recipe = small_recipe(seconds=0.1, n_channels=1)
    recipe.spikes[0].gain, recipe.analog[0].gain, recipe.analog[0].preamp = 20, 50, 250
    path = write_plx(tmp_path / "a.plx", recipe, version=version, spike_mv=2500, slow_mv=4500, spike_preamp=500)
    content = read_plx(path)
    assert content.spikes[0].gain_uv == pytest.approx(spike_uv, rel=1e-12)
    assert content.analog[0].gain_uv == pytest.approx(slow_uv, rel=1e-12)


def test_no_scale_where_the_header_states_none(tmp_path):
    recipe = small_recipe(seconds=0.1, n_channels=1)
    recipe.analog[0].gain = 0
    content = read_plx(write_plx(tmp_path / "a.plx", recipe, spike_bits=0))
    assert content.spikes[0].gain_uv is None
    assert content.analog[0].gain_uv is None


def test_neo_agrees_on_times_snippets_signals_and_events(tmp_path):
    recipe = small_recipe()
    path = write_plx(tmp_path / "a.plx", recipe)
    content, neo = read_plx(path), neo_of(path)
    n_checked = 0
    for index, header in enumerate(neo.header["spike_channels"]):
        number, unit = (int(part) for part in header["id"][2:].split("#"))
        channel = next(each for each in content.spikes if each.number == number)
        mine = channel.units == unit
        np.testing.assert_array_equal(neo.get_spike_timestamps(0, 0, index), channel.ticks[mine])
        waveforms = neo.get_spike_raw_waveforms(0, 0, index)[:, 0]
        np.testing.assert_array_equal(waveforms, read_snippets(path, channel)[mine])
        assert header["wf_gain"] * 1e3 == pytest.approx(channel.gain_uv, rel=1e-12)
        n_checked += int(mine.sum())
    assert n_checked == sum(len(channel.ticks) for channel in content.spikes)
    for index, header in enumerate(neo.header["event_channels"]):
        event = next(each for each in content.events if each.name == header["name"])
        times, _, labels = neo.get_event_timestamps(0, 0, index)
        np.testing.assert_array_equal(times, event.ticks)
        if event.values is not None:
            assert [int(label) for label in labels] == event.values.tolist()


def test_snippet_rate_0_is_the_rate_of_the_times_where_neo_says_0(tmp_path):
    path = write_plx(tmp_path / "a.plx", small_recipe(seconds=0.1), version=101, snippet_rate=0)
    content = read_plx(path)
    assert {channel.sampling_rate_hz for channel in content.spikes} == {40_000.0}
    assert any("WaveformFreq 0" in note for note in content.notes)
    assert set(neo_of(path).header["spike_channels"]["wf_sampling_rate"]) == {0.0}


def test_times_beyond_32_bits(tmp_path):
    ticks = np.array([2**32 - 1, 2**32, 2**32 + 40, 2**39])
    recipe = Recipe([Spikes("SPK01", 1, ticks, np.ones(4, dtype=int), np.zeros((4, 32), dtype="<i2"))])
    assert read_plx(write_plx(tmp_path / "a.plx", recipe)).spikes[0].ticks.tolist() == ticks.tolist()


def test_the_index_does_not_depend_on_the_pieces_that_are_read(tmp_path):
    path = write_plx(tmp_path / "a.plx", small_recipe(seconds=0.5), words=999)
    first = 7504 + 3 * 1020 + 6 * 296 + 6 * 296
    whole = index_blocks(path, first)
    for piece in (16, 2048, 4098, 100_000):
        again = index_blocks(path, first, piece_bytes=piece)
        for name in ("types", "channels", "units", "ticks", "positions", "waveforms", "words"):
            np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
        assert again.notes == whole.notes


@pytest.mark.parametrize("n_lost", [1, 7, 30, 499, 515, 516, 520, 2000])
def test_of_a_cut_file_whole_blocks_are_used(tmp_path, n_lost):
    recipe = small_recipe(seconds=0.3)
    recipe.stops = []
    whole = write_plx(tmp_path / "a.plx", recipe)
    full = read_plx(whole)
    cut = tmp_path / "cut.plx"
    cut.write_bytes(whole.read_bytes()[:-n_lost])
    content = read_plx(cut)
    # that a last block is missing as a whole shows only where the header counts it
    assert content.notes or n_lost == 516
    blocks = [len(c.counts) for c in content.analog], [len(c.ticks) for c in content.spikes]
    expected = [len(c.counts) for c in full.analog], [len(c.ticks) for c in full.spikes]
    n_lost_blocks = sum(map(sum, expected)) - sum(map(sum, blocks))
    assert 1 <= n_lost_blocks <= 1 + n_lost // 96  # the smallest block, a snippet, has 96 bytes
    for channel, original in zip(content.analog, full.analog, strict=True):
        np.testing.assert_array_equal(channel.positions, original.positions[: len(channel.positions)])


@pytest.mark.parametrize("tail", [bytes(64), b"\xff" * 40, struct.pack("<8H", 9, 0, 1, 0, 1, 0, 1, 4) + bytes(8)])
def test_what_is_no_block_ends_the_file_with_a_note(tmp_path, tail):
    recipe = small_recipe(seconds=0.1)
    content = read_plx(write_plx(tmp_path / "a.plx", recipe, tail=tail))
    assert [len(c.ticks) for c in content.spikes] == [len(s.ticks) for s in recipe.spikes]
    assert any("no block of data" in note for note in content.notes)


def test_blocks_of_a_channel_without_a_header_are_listed(tmp_path):
    block = struct.pack("<HHIHHHH", 5, 0, 17, 77, 0, 1, 4) + bytes(8)
    content = read_plx(write_plx(tmp_path / "a.plx", small_recipe(seconds=0.1), tail=block * 3))
    assert [item.what for item in content.left_out] == ["3 blocks of slow channel 77"]


def test_snippets_of_another_length_keep_their_spike(tmp_path):
    odd = struct.pack("<HHIHHHH", 1, 0, 99_999, 1, 1, 1, 8) + bytes(16)
    bare = struct.pack("<HHIHHHH", 1, 0, 99_998, 1, 1, 0, 0)
    recipe = small_recipe(seconds=0.1)
    content = read_plx(write_plx(tmp_path / "a.plx", recipe, tail=odd + bare))
    channel = content.spikes[0]
    assert channel.ticks.tolist() == [*recipe.spikes[0].ticks.tolist(), 99_998, 99_999]
    assert channel.positions[-2:].tolist() == [-1, -1]
    np.testing.assert_array_equal(read_snippets(content.path, channel), recipe.spikes[0].snippets)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: b"RIFF" + raw[4:], "does not begin like a .plx file"),
        (lambda raw: raw[:4] + struct.pack("<i", 42) + raw[8:], "version 42"),
        (lambda raw: raw[:100], "shorter than the header"),
        (lambda raw: raw[:9000], "ends within its headers"),
        (lambda raw: raw[:136] + struct.pack("<i", 0) + raw[140:], "0 ticks a second"),
        (lambda raw: raw[:140] + struct.pack("<i", -4) + raw[144:], "ends within its headers"),
    ],
)
def test_what_is_no_plx_file_is_refused(tmp_path, change, said):
    path = write_plx(tmp_path / "a.plx", small_recipe(seconds=0.1))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=said):
        read_plx(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_plx(tmp_path / "a.plx")


def test_a_date_that_is_none_is_not_used(tmp_path):
    recipe = small_recipe(seconds=0.1)
    recipe.date = (0, 0, 0, 0, 0, 0)
    content = read_plx(write_plx(tmp_path / "a.plx", recipe))
    assert content.started is None
    assert any("date" in note for note in content.notes)


def test_memory_is_the_index_and_not_the_file(tmp_path):
    path = write_plx(tmp_path / "a.plx", small_recipe(seconds=0.05))
    block = struct.pack("<HHIHHHH", 5, 0, 17, 0, 0, 1, 30_000) + bytes(60_000)
    with path.open("ab") as file:
        for _ in range(1000):
            file.write(block)
    assert path.stat().st_size > 60e6
    tracemalloc.start()
    read_plx(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


def test_real_file_against_neo_and_plain_struct():
    path = real(REAL)
    content = read_plx(path)
    raw = path.read_bytes()
    place, seen = 7504 + 4 * 1020, []
    while place < len(raw):
        kind, high, low, channel, unit, n_waveforms, n_words = struct.unpack_from("<HHIHHHH", raw, place)
        seen.append((channel, high << 32 | low, unit, kind))
        place += 16 + 2 * n_waveforms * n_words
    assert len(seen) == 24_717
    neo = neo_of(path)
    for index, channel in enumerate(content.spikes):
        mine = [row for row in seen if row[0] == channel.number]
        assert [row[1] for row in mine] == channel.ticks.tolist()
        assert {row[2] for row in mine} == {0}
        assert {row[3] for row in mine} == {1}
        np.testing.assert_array_equal(neo.get_spike_timestamps(0, 0, index), channel.ticks)
        np.testing.assert_array_equal(neo.get_spike_raw_waveforms(0, 0, index)[:, 0], read_snippets(path, channel))
        assert (channel.sampling_rate_hz, channel.n_points, channel.n_before) == (40_000.0, 40, 8)
    assert str(content.started) == "2000-03-03 14:16:11"
