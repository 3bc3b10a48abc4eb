"""Traces from interleaved blocks: every sample at its place, with pauses, late starts and lost blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.converters.plexon import read_plx, read_session
from nwb_celltype.converters.plexon.fragments import lay_grid
from nwb_celltype.converters.records import TraceSource
from nwb_celltype.errors import InputError, UsageError

from .files import Analog, Recipe, Spikes, small_recipe, write_pl2, write_plx

NONE = np.empty(0, dtype=np.int64)


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-2000, 2000, n).astype("<i2")


def session_of(tmp_path: Path, recipe: Recipe, kind: str = "plx", **options):
    write = {"plx": write_plx, "pl2": write_pl2}[kind]
    return read_session(write(tmp_path / f"a.{kind}", recipe, **options))


@pytest.mark.parametrize("kind", ["plx", "pl2"])
def test_reads_what_was_written_in_any_pieces(tmp_path, kind):
    recipe = small_recipe()
    recording = session_of(tmp_path, recipe, kind, words=333).recordings[0]
    wide = np.column_stack([a.pieces[0][1] for a in recipe.analog if a.prefix == "WB"])
    slow = np.column_stack([a.pieces[0][1] for a in recipe.analog if a.prefix == "FP"])
    traces: TraceSource | None = recording.traces
    assert traces is not None
    assert recording.lfp is not None
    np.testing.assert_array_equal(traces.read(0, traces.n_samples), wide)
    np.testing.assert_array_equal(recording.lfp.read(0, recording.lfp.n_samples), slow)
    generator = np.random.default_rng(1)
    for _ in range(30):
        start, stop = np.sort(generator.integers(0, len(wide), 2))
        channels = generator.permutation(3)[: generator.integers(1, 4)]
        np.testing.assert_array_equal(traces.read(start, stop, channels), wide[start:stop, channels])
    assert traces.read(5, 5).shape == (0, 3)
    assert traces.read(0, 9, np.empty(0, dtype=int)).shape == (9, 0)
    with pytest.raises(UsageError, match="samples 0 to"):
        traces.read(0, len(wide) + 1)
    with pytest.raises(UsageError, match="channels 0 to 2"):
        traces.read(0, 5, np.array([3]))


def test_blocks_far_apart_are_read_one_by_one(tmp_path):
    recipe = small_recipe(n_channels=2)
    path = write_pl2(tmp_path / "a.pl2", recipe, words=700)  # all blocks of a channel lie together
    traces = read_session(path).recordings[0].traces
    wide = np.column_stack([a.pieces[0][1] for a in recipe.analog if a.prefix == "WB"])
    np.testing.assert_array_equal(traces.read(40_100, 40_110), wide[40_100:40_110])


def test_a_file_that_became_shorter_is_refused(tmp_path):
    path = write_plx(tmp_path / "a.plx", small_recipe())
    traces = read_session(path).recordings[0].traces
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(InputError, match="became shorter"):
        traces.read(0, traces.n_samples)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        traces.read(0, 10)


@pytest.mark.parametrize("kind", ["plx", "pl2"])
def test_a_pause_keeps_its_place(tmp_path, kind):
    recipe = small_recipe(gap=True)
    session = session_of(tmp_path, recipe, kind)
    recording = session.recordings[0]
    traces, clock, sorting = recording.traces, recording.clock, recording.sorting
    assert traces.n_samples == 160_000
    np.testing.assert_allclose(
        clock.seconds([0, 79_999, 80_000, 159_999]), [0, 79_999 / 4e4, 3.5, 5.499975], atol=1e-11
    )
    np.testing.assert_allclose(recording.lfp_clock.seconds([0, 1999, 2000]), [0, 1.999, 3.5], atol=1e-11)
    assert recording.observed_s.tolist() == [[0.0, 2.0], [3.5, 5.5]]
    for row, name in enumerate(sorting.unit_names):
        written = next(s for s in recipe.spikes if name.startswith(s.name))
        ticks = written.ticks[written.units == ord(name[-1]) - 96]
        np.testing.assert_allclose(clock.seconds(sorting.samples_of(row)), ticks / 40_000, atol=1e-11)
        at = sorting.samples_of(row)[-1]  # after the pause, the trace at the spike is the snippet
        snippet = written.snippets[np.flatnonzero(written.ticks == ticks[-1])[0]]
        np.testing.assert_array_equal(traces.read(at - 8, at + 32)[:, written.number - 1], snippet)
    assert any("1 gaps, 1.5 s in all" in note for note in session.notes)


@pytest.mark.parametrize("late", [0, 40_000, 40_013])
def test_a_late_start_keeps_its_place(tmp_path, late):
    recipe = Recipe(analog=[Analog("WB01", "WB", 1, 40_000, [(late, noise(5000))])])
    recording = session_of(tmp_path, recipe).recordings[0]
    assert recording.clock.is_nominal
    np.testing.assert_array_equal(recording.clock.seconds(np.arange(5)), (np.arange(5) + late) / 40_000)
    slow = Recipe(analog=[Analog("FP01", "FP", 1, 1000, [(late, noise(50))])])
    recording = session_of(tmp_path, slow).recordings[0]
    assert recording.traces is None
    np.testing.assert_allclose(
        recording.lfp_clock.seconds([-1, 0, 49, 50]), late / 4e4 + np.array([-1, 0, 49, 50]) / 1e3
    )


def test_blocks_lost_where_spikes_were_found_read_as_zeros(tmp_path):
    counts = noise(30_000)
    ticks = np.array([100, 12_000, 25_000])  # the second in the gap
    spikes = Spikes("SPK01", 1, ticks, np.ones(3, dtype=int), np.zeros((3, 32), dtype="<i2"))
    pieces = [(0, counts[:10_000]), (15_000, counts[15_000:])]
    session = session_of(tmp_path, Recipe([spikes], [Analog("WB01", "WB", 1, 40_000, pieces)]))
    recording = session.recordings[0]
    assert recording.traces.n_samples == 30_000
    expected = counts.copy()
    expected[10_000:15_000] = 0
    np.testing.assert_array_equal(recording.traces.read(0, 30_000)[:, 0], expected)
    assert recording.clock.is_nominal
    assert recording.sorting.spike_samples.tolist() == ticks.tolist()
    assert any("1 spikes lie in gaps" in note for note in session.notes)


def test_spikes_before_and_after_the_traces_keep_their_times(tmp_path):
    ticks = np.array([10, 50_000, 99_000])
    spikes = Spikes("SPK01", 1, ticks, np.ones(3, dtype=int), np.zeros((3, 32), dtype="<i2"))
    pieces = [(40_000, noise(20_000)), (70_000, noise(1)), (80_000, noise(9000))]
    recording = session_of(tmp_path, Recipe([spikes], [Analog("WB01", "WB", 1, 40_000, pieces)])).recordings[0]
    assert recording.traces.n_samples == 29_001
    assert recording.sorting.spike_samples[0] < 0
    np.testing.assert_allclose(recording.clock.seconds(recording.sorting.spike_samples), ticks / 4e4, atol=1e-11)
    np.testing.assert_allclose(recording.clock.seconds([19_999, 20_000, 20_001]), [59_999 / 4e4, 1.75, 2.0], atol=1e-11)


def test_a_channel_that_was_recorded_less_reads_zeros(tmp_path):
    first, second = noise(10_000), noise(4000, 1)
    analog = [
        Analog("WB01", "WB", 1, 40_000, [(0, first)]),
        Analog("WB02", "WB", 2, 40_000, [(3000, second)]),
    ]
    session = session_of(tmp_path, Recipe(analog=analog))
    expected = np.column_stack([first, np.zeros(10_000, dtype="<i2")])
    expected[3000:7000, 1] = second
    np.testing.assert_array_equal(session.recordings[0].traces.read(0, 10_000), expected)
    assert any("WB02 was not recorded all the time" in note for note in session.notes)


def test_blocks_that_overlap_are_not_used(tmp_path):
    counts = noise(1000)
    session = session_of(tmp_path, Recipe(analog=[Analog("WB01", "WB", 1, 40_000, [(0, counts), (500, counts[:250])])]))
    np.testing.assert_array_equal(session.recordings[0].traces.read(0, 1000)[:, 0], counts)
    assert any("1 blocks (WB01) begin before" in note for note in session.notes)


def test_a_rate_that_the_header_rounds_is_measured(tmp_path):
    path = write_plx(tmp_path / "a.plx", Recipe(analog=[Analog("FP01", "FP", 1, 1017, [(0, noise(20_000))])]))
    channel = read_plx(path).analog[0]
    step = 40_000 / 1017.25
    ticks = np.round(np.cumsum(np.append(0, channel.counts[:-1])) * step).astype(np.int64)
    moved = type(channel)(**{**vars(channel), "ticks": ticks})
    grid, blocks, notes = lay_grid("fp", [moved], 40_000.0, NONE)
    assert grid.n_samples == 20_000
    assert len(grid.start_ticks) == 1
    assert grid.sampling_rate_hz == pytest.approx(1017.25, rel=1e-4)
    assert blocks[0].firsts.tolist() == np.cumsum(np.append(0, channel.counts[:-1])).tolist()
    assert "1017 Hz" in notes[0]


def test_a_rate_that_is_no_whole_number_of_ticks_makes_no_gaps(tmp_path):
    session = session_of(tmp_path, Recipe(analog=[Analog("FP01", "FP", 1, 1017, [(0, noise(20_000))])]), words=100)
    recording = session.recordings[0]
    assert recording.lfp.n_samples == 20_000
    assert recording.lfp_clock.is_nominal
    assert not session.notes


def test_traces_slower_than_the_times_of_spikes_leave_these_exact(tmp_path):
    ticks = np.array([101, 2003, 7777])
    spikes = Spikes("SPK01", 1, ticks, np.ones(3, dtype=int), np.ones((3, 32), dtype="<i2"))
    session = session_of(tmp_path, Recipe([spikes], [Analog("WB01", "WB", 1, 20_000, [(0, noise(9000))])]))
    recording = session.recordings[0]
    np.testing.assert_array_equal(recording.clock.seconds(recording.sorting.spike_samples), ticks / 40_000)
    assert recording.traces is None
    assert recording.lfp.name == "plexon.WB"
    assert recording.lfp_clock.sampling_rate_hz == 20_000
    assert any("spikes keep their times" in note for note in session.notes)


def test_a_spike_within_a_long_pause_does_not_fill_it(tmp_path):
    counts = noise(30_000)
    ticks = np.array([100, 10_003, 700_000, 1_000_100])  # just after the traces ceased, and far from any
    spikes = Spikes("SPK01", 1, ticks, np.ones(4, dtype=int), np.zeros((4, 32), dtype="<i2"))
    pieces = [(0, counts[:10_000]), (1_000_000, counts[10_000:])]
    recording = session_of(tmp_path, Recipe([spikes], [Analog("WB01", "WB", 1, 40_000, pieces)])).recordings[0]
    assert recording.sorting.spike_samples.tolist() == [100, 10_003, 10_004, 10_105]
    np.testing.assert_allclose(recording.clock.seconds(recording.sorting.spike_samples), ticks / 4e4, atol=1e-11)
    expected = np.concatenate([counts[:10_000], np.zeros(5, dtype="<i2"), counts[10_000:]])
    np.testing.assert_array_equal(recording.traces.read(0, recording.traces.n_samples)[:, 0], expected)
    assert recording.observed_s is None


def test_traces_with_gaps_say_when_they_were_recorded_where_no_start_and_stop_do(tmp_path):
    pieces = [(0, noise(10_000)), (30_000, noise(10_000))]
    recipe = Recipe(analog=[Analog("WB01", "WB", 1, 40_000, pieces)], starts=[], stops=[])
    recording = session_of(tmp_path, recipe).recordings[0]
    assert recording.observed_s.tolist() == [[0.0, 0.25], [0.75, 1.0]]
