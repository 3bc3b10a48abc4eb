"""Interval and pair counts agree with plain counting in whole numbers, whatever the train and the intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nwb_celltype.features.counts import count_train, split_by_intervals

from .trains import KINDS, Ticks, count_plainly, make_train

INTERVALS: dict[str, list[tuple[float, float]]] = {  # in fractions of the train's length
    "one": [(0.1, 0.8)],
    "two": [(0.0, 0.4), (0.5, 1.0)],
    "touching": [(0.1, 0.4), (0.4, 0.7)],
    "overlapping": [(0.1, 0.5), (0.3, 0.6), (0.35, 0.4)],
    "unsorted": [(0.7, 0.9), (0.1, 0.3)],
    "of no length": [(0.2, 0.2), (0.5, 0.8)],
    "outside": [(2.0, 3.0)],
}


def in_ticks(name: str, ticks: Ticks) -> Ticks:
    length = int(ticks[-1]) if len(ticks) else 1000
    return np.round(np.array(INTERVALS[name]) * length).astype(np.int64)


@pytest.mark.parametrize("sampling_rate_hz", [25_000, 30_000, 40_000])
@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_those_of_plain_counting(kind: str, sampling_rate_hz: int) -> None:
    ticks = make_train(kind, sampling_rate_hz, np.random.default_rng(1))
    isi, acg, n = count_plainly(ticks, sampling_rate_hz, None)
    counts = count_train(ticks / sampling_rate_hz)
    assert counts.isi_counts.tolist() == isi
    assert counts.acg_counts.tolist() == acg
    assert (counts.n_spikes, counts.n_duplicates, counts.n_outside) == (n, len(ticks) - n, 0)
    assert counts.observed_s == pytest.approx((ticks[-1] - ticks[0]) / sampling_rate_hz if n else 0.0)


@pytest.mark.parametrize("name", INTERVALS)
@pytest.mark.parametrize("kind", ["random", "bursty", "duplicates", "empty", "single"])
def test_no_gap_is_bridged(kind: str, name: str) -> None:
    ticks = make_train(kind, 2_000, np.random.default_rng(2))  # a coarse clock keeps the plain counting quick
    intervals = in_ticks(name, ticks)
    isi, acg, n = count_plainly(ticks, 2_000, intervals)
    counts = count_train(ticks / 2_000, intervals / 2_000)
    assert counts.isi_counts.tolist() == isi
    assert counts.acg_counts.tolist() == acg
    assert counts.n_spikes == n
    assert counts.n_spikes + counts.n_duplicates + counts.n_outside == len(ticks)
    assert (counts.acg_counts == counts.acg_counts[::-1]).all()
    assert counts.acg_counts[100] == 0


@pytest.mark.parametrize("sampling_rate_hz", [25_000, 30_000, 40_000])
@pytest.mark.parametrize("shift_s", [0.0, 1e-6, 0.1, 17.3, 3600 / 7, 86_400.0, -12.34])
def test_ties_do_not_depend_on_the_zero_of_time(sampling_rate_hz: int, shift_s: float) -> None:
    ticks = make_train("half_ms", sampling_rate_hz, np.random.default_rng(3))
    isi, acg, _ = count_plainly(ticks, sampling_rate_hz, None)
    counts = count_train(ticks / sampling_rate_hz + shift_s)
    assert counts.isi_counts.tolist() == isi
    assert counts.acg_counts.tolist() == acg


def test_a_tie_belongs_to_the_upper_bin() -> None:
    counts = count_train(np.array([0.0, 0.0105]))
    assert counts.isi_counts[10] == 1
    assert counts.acg_counts[111] == 1
    assert counts.acg_counts[110] == 0
    assert count_train(np.array([0.0, 0.011])).isi_counts[11] == 1
    assert count_train(np.array([0.0, 0.1])).isi_counts.sum() == 0


def test_lags_end_at_100_ms() -> None:
    assert count_train(np.array([0.0, 0.1004])).acg_counts[200] == 1
    assert count_train(np.array([0.0, 0.1006])).acg_counts.sum() == 0


def test_empty_intervals_say_nothing() -> None:
    times = np.arange(0, 1, 0.02)
    for nothing in (None, np.empty((0, 2))):
        pieces, observed_s = split_by_intervals(times, nothing)
        assert len(pieces) == 1
        assert observed_s == pytest.approx(0.98)


def test_observed_time_counts_overlap_once() -> None:
    _, observed_s = split_by_intervals(np.array([1.0]), np.array([[4.0, 6.0], [0.0, 2.0], [1.0, 3.0], [3.0, 3.5]]))
    assert observed_s == 5.5


def test_both_ends_of_an_interval_are_inside() -> None:
    pieces, _ = split_by_intervals(np.array([0.9, 1.0, 1.5, 2.0, 2.1]), np.array([[1.0, 2.0]]))
    assert [piece.tolist() for piece in pieces] == [[1.0, 1.5, 2.0]]


def test_the_train_is_not_changed() -> None:
    times = np.array([0.0, 0.01, 0.01, 0.02])
    times.flags.writeable = False
    assert count_train(times).n_duplicates == 1


def test_other_numbers_are_taken_too() -> None:
    times: Any = np.arange(0, 4, 1, dtype=np.float32) * np.float32(0.05)
    assert count_train(times).n_spikes == 4


@pytest.mark.parametrize("times", [[0.0, 0.0, 0.01, 0.02], [0.0, 0.01, 0.02, 0.02], [0.0, 0.01, 0.01, 0.02]])
def test_a_spike_recorded_twice_counts_once_wherever_it_is(times: list[float]) -> None:
    counts = count_train(np.array(times))
    assert (counts.n_spikes, counts.n_duplicates) == (3, 1)
    assert (counts.isi_counts[10], counts.isi_counts.sum()) == (2, 2)
    assert (counts.acg_counts[110], counts.acg_counts[120], counts.acg_counts.sum()) == (2, 1, 6)


def test_overlap_after_a_gap_belongs_to_its_own_stretch() -> None:
    pieces, observed_s = split_by_intervals(np.array([0.5, 2.5, 4.5]), np.array([[0.0, 1.0], [2.0, 3.0], [2.5, 5.0]]))
    assert observed_s == 4.0
    assert [piece.tolist() for piece in pieces] == [[0.5], [2.5, 4.5]]
