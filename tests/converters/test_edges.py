"""Rises, falls and pulses of digital lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_celltype.converters.clocks import Clock
from nwb_celltype.converters.edges import LineEdges, fit_line_clock, line_edges, pulses, threshold_edges
from nwb_celltype.errors import InputError, UsageError

DATA = Path(__file__).parents[3] / "shared" / "data" / "lab_formats" / "spikeglx"


def edges_of(words: np.ndarray, bits, **options) -> dict[int, LineEdges]:
    return line_edges(lambda start, stop: words[start:stop], len(words), bits, **options)


def naive(states: np.ndarray) -> tuple[list[int], list[int]]:
    rising = [i for i in range(1, len(states)) if states[i] and not states[i - 1]]
    falling = [i for i in range(1, len(states)) if not states[i] and states[i - 1]]
    return rising, falling


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["i1", "u1", "<i2", ">i2", "u2", "i4", "u4", ">u4", "i8", "u8"]),
    st.integers(1, 200),
    st.integers(1, 60),
    st.integers(0, 2**32 - 1),
)
def test_every_line_of_any_word_in_any_block(dtype, n, block, seed):
    width = np.dtype(dtype).itemsize * 8
    rng = np.random.default_rng(seed)
    states = np.repeat(rng.random((n, width)) < 0.5, rng.integers(1, 4), axis=0)[:n]
    packed = (states.astype(np.uint64) << np.arange(width, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
    words = packed.astype(f"u{width // 8}").view(f"i{width // 8}" if "i" in dtype else f"u{width // 8}").astype(dtype)
    for bit, edges in edges_of(words, range(width), block=block).items():
        rising, falling = naive(states[:, bit])
        assert edges.rising.tolist() == rising
        assert edges.falling.tolist() == falling
        assert edges.is_high_at_start == states[0, bit]
        assert edges.n_samples == n


def test_only_the_lines_asked_for_and_the_silent_ones_too():
    words = np.zeros(50, dtype=np.uint16)
    words[10:20] = 1 << 15
    words[30:] |= 1
    found = edges_of(words, [15, 3])
    assert list(found) == [15, 3]
    assert found[3].is_silent
    assert not found[15].is_silent
    assert found[15].rising.tolist() == [10]


def test_memory_does_not_grow_with_the_recording():
    asked = []

    def read_words(start, stop):
        asked.append(stop - start)
        return np.full(stop - start, start // 1000 % 2, dtype=np.int16)

    edges = line_edges(read_words, 10_000, [0], block=1000)[0]
    assert max(asked) == 1000
    assert edges.rising.tolist() == [1000, 3000, 5000, 7000, 9000]


def test_a_recording_without_samples_has_silent_lines():
    edges = edges_of(np.empty(0, dtype=np.int16), [0, 7])
    assert edges[7].is_silent
    assert not edges[7].is_high_at_start


def test_words_that_cannot_be_used():
    with pytest.raises(UsageError, match=r"lines 0 to 15; there is no line 16, 20\."):
        edges_of(np.zeros(5, dtype=np.int16), [3, 16, 20])
    with pytest.raises(InputError, match="must be integers and are float64"):
        edges_of(np.zeros(5), [0])
    with pytest.raises(InputError, match="shorter than its header says"):
        line_edges(lambda start, stop: np.zeros(3, dtype=np.int16), 5, [0])


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 60), st.floats(0, 1.5), st.integers(0, 2**32 - 1))
def test_threshold_with_hysteresis_in_any_block(block, hysteresis, seed):
    values = np.random.default_rng(seed).normal(0, 1, 150).cumsum()
    states, high = [], values[0] >= 0.5
    for value in values:
        high = value >= 0.5 or (high and value >= 0.5 - hysteresis)
        states.append(high)
    rising, falling = naive(np.array(states))
    edges = threshold_edges(lambda a, z: values[a:z], 150, 0.5, hysteresis=hysteresis, block=block)
    assert edges.rising.tolist() == rising
    assert edges.falling.tolist() == falling
    assert edges.is_high_at_start == states[0]


def test_a_missing_value_changes_nothing():
    values = np.array([0, 5, np.nan, 5, 0, np.nan, 0], dtype=np.float32)
    edges = threshold_edges(lambda a, z: values[a:z], 7, 2.5)
    assert edges.rising.tolist() == [1]
    assert edges.falling.tolist() == [4]


@pytest.mark.parametrize("levels", [{"threshold": np.nan}, {"threshold": 1.0, "hysteresis": -0.1}])
def test_levels_must_make_sense(levels):
    with pytest.raises(UsageError, match="hysteresis"):
        threshold_edges(lambda a, z: np.zeros(z - a), 5, **levels)


def test_pulses_high_at_either_end_are_kept():
    words = np.zeros(100, dtype=np.int16)
    words[[*range(7), *range(20, 30), *range(90, 100)]] = 8
    found = pulses("nidq.XD0.3", edges_of(words, [3])[3], Clock("nidq", 10.0, first_sample=50), "Bit 3.")
    np.testing.assert_array_equal(found.onsets_s, [5, 7, 14])
    np.testing.assert_allclose(found.durations_s, [0.7, 1.0, np.nan])
    assert found.is_high_at_start
    assert (found.name, found.source, len(found)) == ("nidq.XD0.3", "Bit 3.", 3)


def test_a_line_that_is_always_high_is_one_pulse():
    found = pulses("a", edges_of(np.full(10, 1, dtype=np.uint8), [0])[0], Clock("a", 10.0), "")
    np.testing.assert_array_equal(found.onsets_s, [0])
    assert np.isnan(found.durations_s[0])


def test_a_glitch_of_one_sample_is_reported_as_it_is():
    words = np.zeros(10, dtype=np.int16)
    words[4] = 1
    found = pulses("a", edges_of(words, [0])[0], Clock("a", 10.0), "")
    np.testing.assert_allclose(found.durations_s, [0.1])


def test_a_lost_fall_leaves_a_pulse_without_an_end():
    edges = LineEdges(np.array([10, 20, 40]), np.array([5, 25]), is_high_at_start=False, n_samples=50)
    starts, stops = edges.highs()
    assert starts.tolist() == [10, 20, 40]
    np.testing.assert_array_equal(stops, [np.nan, 25, np.nan])


def test_falls_are_matched_with_falls():
    # The wave is high for a tenth of its period: rises and falls matched with one another would be 0.1 s off.
    rises = np.arange(1, 60)
    probe = LineEdges(rises * 30000, rises * 30000 + 3000, False, 2_000_000)
    nidq = LineEdges(np.empty(0, dtype=np.int64), rises * 25001 + 2500, False, 2_000_000)
    clock = fit_line_clock(nidq, probe, Clock("imec0", 30000.0), stream="nidq", sampling_rate_hz=25000.0)
    assert clock.fit is not None
    assert clock.fit.n_edges == 59
    assert clock.seconds(30 * 25001) == pytest.approx(30, abs=1e-5)


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data, which is not part of the repository")
def test_real_sync_lines_of_a_snippet_are_silent():
    path = DATA / "NP2_with_sync" / "all_chan_g0_imec0" / "all_chan_g0_t0.imec0.ap.bin"
    words = np.memmap(path, "<i2", mode="r").reshape(-1, 385)[:, 384]
    assert edges_of(words, [6])[6].is_silent


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data, which is not part of the repository")
def test_real_noise_on_an_analog_channel_makes_no_edges_with_hysteresis():
    counts = np.memmap(DATA / "Noise4Sam_g0" / "Noise4Sam_g0_t0.nidq.bin", "<i2", mode="r").reshape(-1, 9)[:, 0]
    level = float(np.median(counts))
    noisy = threshold_edges(lambda a, z: counts[a:z], len(counts), level)
    assert len(noisy.rising) > 1000
    assert threshold_edges(lambda a, z: counts[a:z], len(counts), level, hysteresis=float(np.ptp(counts))).is_silent
