"""Observed intervals with light taken out."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_celltype.errors import UsageError
from nwb_celltype.evidence import Stimulation, observed_before, observed_outside, observed_without


def pulses(*onsets: float, duration: float = 1.0) -> Stimulation:
    return Stimulation("laser", list(onsets), duration)


def test_pulses_and_their_margins_go() -> None:
    left = observed_without([[0, 10], [20, 30]], pulses(5, 19.5, 29.5), before_s=0.5, after_s=0.25)
    assert left.tolist() == [[0, 4.5], [6.25, 10], [20.75, 29.0]]


def test_overlapping_pulses_go_once() -> None:
    assert observed_without([[0, 10]], pulses(2, 2.5, 3.4), after_s=0).tolist() == [[0, 2], [4.4, 10]]
    assert observed_without([[0, 10]], pulses(3.4, 2, 2.5), after_s=0).tolist() == [[0, 2], [4.4, 10]]


def test_a_pulse_that_never_ended_takes_the_rest() -> None:
    assert observed_without([[0, 10], [20, 30]], Stimulation("laser", [7.0], [np.nan])).tolist() == [[0, 7]]


def test_pulses_outside_change_nothing() -> None:
    assert observed_without([[0, 10]], pulses(50, -30)).tolist() == [[0, 10]]
    assert observed_without([[0, 10]], Stimulation("laser", [], [])).tolist() == [[0, 10]]
    assert observed_without([[0, 10]], Stimulation("laser", [np.nan], [1.0])).tolist() == [[0, 10]]


def test_nothing_may_be_left() -> None:
    assert observed_without([[1, 2]], pulses(0, duration=5)).shape == (0, 2)
    assert observed_without([], pulses(0)).shape == (0, 2)


def test_overlapping_observed_intervals_are_one() -> None:
    assert observed_without([[4, 8], [0, 5]], pulses(6), after_s=0).tolist() == [[0, 6], [7, 8]]


def test_observed_time_adds_up() -> None:
    rng = np.random.default_rng(0)
    onsets, durations = rng.uniform(-5, 105, 200), rng.uniform(0, 0.5, 200)
    edges = np.sort(rng.choice(np.arange(100.0), 10, replace=False)).reshape(-1, 2)
    left = observed_without(edges, Stimulation("laser", onsets, durations), before_s=0.05, after_s=0.1)
    grid = np.arange(0, 100, 0.001) + 0.0005
    observed = ((grid[:, None] >= edges[:, 0]) & (grid[:, None] < edges[:, 1])).any(axis=1)
    lit = ((grid[:, None] >= onsets - 0.05) & (grid[:, None] < onsets + durations + 0.1)).any(axis=1)
    assert np.sum(left[:, 1] - left[:, 0]) == pytest.approx(0.001 * np.sum(observed & ~lit), abs=0.2)
    assert (left[1:, 0] >= left[:-1, 1]).all()


def test_the_stimulated_part_as_a_whole() -> None:
    assert observed_before([[0, 100]], pulses(60, 61)).tolist() == [[0, 50]]
    assert observed_before([[0, 100]], pulses(60, 61), quiet_s=0).tolist() == [[0, 60]]
    assert observed_before([[0, 100]], pulses(5)).shape == (0, 2)
    assert observed_before([[0, 100]], Stimulation("laser", [], [])).tolist() == [[0, 100]]
    assert observed_outside([[0, 100]], 20).tolist() == [[0, 20]]
    assert observed_outside([[0, 100]], 20, 30).tolist() == [[0, 20], [30, 100]]
    assert observed_outside([[0, 100]], 20, 20).tolist() == [[0, 100]]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="negative"):
        observed_without([[0, 1]], pulses(0), before_s=-1)
    with pytest.raises(UsageError, match="each start before its stop"):
        observed_without([[1, 0]], pulses(0))
    with pytest.raises(UsageError, match=r"\(k, 2\)"):
        observed_without([0, 1, 2], pulses(0))
    with pytest.raises(UsageError, match="end lies before its start"):
        observed_outside([[0, 1]], 2, 1)
