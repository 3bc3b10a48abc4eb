"""Why a train cannot be described, to the letter and at the limits, and what is measured of one that can."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nwb_celltype.features.counts import count_train, split_by_intervals
from nwb_celltype.features.statistics import TRAIN_STATISTICS, train_statistics
from nwb_celltype.features.train_measures import measure_train, why_no_train
from nwb_celltype.features.unit_statistics import acg_ratios

Float = NDArray[np.float64]

TRAIN = np.cumsum(np.random.default_rng(0).gamma(2, 0.01, 400) + 0.002)
SAMPLES = "spike times are whole numbers: samples instead of seconds?"
UNKNOWN = "spike times contain NaN or infinite values"


def with_times(**changed: float) -> Float:
    times = TRAIN.copy()
    for place, value in changed.items():
        times[int(place[1:])] = value
    return times


def whole(n: int, last: float) -> Float:
    return last - np.arange(n)[::-1]


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        (TRAIN, ""),
        (np.empty(0), "no spike times"),
        (np.array([0.0]), ""),
        (np.array([np.nan]), UNKNOWN),
        (np.array([np.inf]), UNKNOWN),
        (with_times(_0=np.nan), UNKNOWN),
        (with_times(_7=np.nan), UNKNOWN),
        (with_times(_399=np.inf), UNKNOWN),
        (with_times(_3=0.0, _7=np.nan), UNKNOWN),  # worse than out of order
        (with_times(_0=-np.inf), UNKNOWN),
        (with_times(_7=TRAIN[6]), ""),  # two spikes at one time are in order
        (with_times(_7=TRAIN[6], _90=0.0), "spike times are not sorted (first at spike 90)"),
        (with_times(_1=0.0), "spike times are not sorted (first at spike 1)"),
        (with_times(_7=0.0), "spike times are not sorted (first at spike 7)"),
        (with_times(_7=0.0, _90=0.0), "spike times are not sorted (first at spike 7)"),
        (with_times(_399=0.0), "spike times are not sorted (first at spike 399)"),
        (
            with_times(_0=-0.5),
            "spike times are negative (first -0.5 s): they must count from the start of the session",
        ),
        (whole(21, 100_001), SAMPLES),
        (whole(20, 100_001), ""),  # so few may be
        (whole(21, 100_000), ""),  # 28 hours may be
        (whole(21, 100_001) + 0.5, ""),
        (np.r_[whole(300, 200_000), 200_000.5], SAMPLES),  # the first spikes tell
    ],
)
def test_why_not(times: Float, reason: str) -> None:
    assert why_no_train(times, None) == reason


@pytest.mark.parametrize(
    ("intervals", "reason"),
    [
        ([[0.0, 1.0], [3.0, 2.0]], "an observation interval ends before it starts"),
        ([[0.0, np.nan]], "observation intervals contain NaN or infinite values"),
        ([[0.0, np.inf]], "observation intervals contain NaN or infinite values"),
        ([[1.0, 1.0], [0.0, 9.0]], ""),
        (np.empty((0, 2)), ""),
    ],
)
def test_why_not_of_intervals(intervals: list[list[float]], reason: str) -> None:
    assert why_no_train(TRAIN, np.array(intervals)) == reason


def test_what_is_measured_of_a_train() -> None:
    observed = np.array([[0.0, 3.0], [4.0, 20.0]])
    for intervals in (None, observed):
        found = measure_train(TRAIN, intervals)
        pieces, observed_s = split_by_intervals(TRAIN, intervals)
        statistics = train_statistics(pieces, observed_s)
        np.testing.assert_array_equal(found.statistics, statistics)
        np.testing.assert_array_equal(found.ratios, acg_ratios(pieces, statistics[0]))
        np.testing.assert_array_equal(found.isi_counts, count_train(TRAIN, intervals).isi_counts)
        np.testing.assert_array_equal(found.acg_counts, count_train(TRAIN, intervals).acg_counts)
        assert found.reason == ""


def test_of_a_train_that_cannot_be_described_nothing_is_measured() -> None:
    found = measure_train(TRAIN[::-1])
    assert found.reason == "spike times are not sorted (first at spike 1)"
    assert (found.isi_counts.tolist(), found.acg_counts.tolist()) == ([0] * 100, [0] * 201)
    assert found.statistics.shape == (len(TRAIN_STATISTICS),)
    assert found.ratios.shape == (2,)
    assert np.isnan([*found.statistics, *found.ratios]).all()
