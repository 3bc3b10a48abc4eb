"""The 3D-ACG at its edges: windows, stretches, many units at once, logarithmic lags; each by hand or by plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.features import acg_3d, acg_3d_with_rates, acgs_3d, log_acg_3d
from nwb_celltype.features.autocorrelograms import _stretches, log_lags_ms

TRAIN = np.cumsum(np.random.default_rng(0).integers(5, 60, 250)) / 1000


@pytest.mark.parametrize("wrong", [{"window_ms": w} for w in (0, 1, 7, -2)] + [{"n_rows": n} for n in (0, -1)])
def test_windows_that_are_none(wrong: dict[str, int]) -> None:
    for function in (acg_3d, acg_3d_with_rates, lambda times, **more: acgs_3d([times], **more)):
        with pytest.raises(
            UsageError, match=r"The window must be an even number of ms and there must be rows, not .*\."
        ):
            function(TRAIN, **wrong)  # type: ignore[operator]


def test_the_smallest_windows() -> None:
    assert acg_3d(TRAIN, window_ms=2).shape == (10, 3)
    one = acg_3d_with_rates(TRAIN, window_ms=40, n_rows=1)
    assert one.acg.shape == (1, 41)
    bins = np.round(TRAIN * 1000).astype(int)
    triggers = [b for b in bins if b >= 20 and b + 21 < bins[-1] + 1]
    assert one.n_triggers.tolist() == [len(triggers)]
    lag_of_10 = sum(b + 10 in set(bins.tolist()) for b in triggers)
    assert one.acg[0, [10 + 20, 20]].tolist() == [lag_of_10 / len(triggers), 0]


@pytest.mark.parametrize(
    "times", [np.ones((2, 2)), [2.0, 1.0], [0.5, np.nan], [-0.1, 1.0], [1.0, np.inf], [1.0, 1.1e12]]
)
def test_times_that_are_none(times: np.ndarray) -> None:
    with pytest.raises(InputError, match="Spike times must be one row of finite seconds from 0 on, in ascending order"):
        acg_3d(np.asarray(times))


def test_the_last_time_of_all() -> None:
    assert acg_3d(np.array([0.0, 0.0, 1e12]), window_ms=4).shape == (10, 5)
    assert acg_3d(np.empty(0), window_ms=4).tolist() == [[0.0] * 5] * 10


# --- stretches -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "start", "stop"),
    [
        ([0.5, 10.0], 500, 10_000),  # in whole milliseconds
        ([0.5004, 9.9996], 501, 9_999),  # a millisecond that was observed in part is none
        ([1.0002, 2.2506], 1_000, 2_251),  # unless it has a spike
        ([-3.0, 2.5], 0, 2_500),  # nothing before time 0
        ([0.0, np.inf], 0, 2_251),  # without an end: to the last spike
    ],
)
def test_a_stretch_in_milliseconds(interval: list[float], start: int, stop: int) -> None:
    times = np.array([1.0005, 1.5, 2.2503])
    (stretch,) = _stretches(times, np.array([interval]))
    assert stretch.bins.tolist() == [1000, 1500, 2250]
    assert (stretch.start, stretch.stop) == (start, stop)


def test_stretches_without_spikes_are_none() -> None:
    times = np.array([1.0, 1.5, 2.25])
    cut = _stretches(times, np.array([[3.0, 4.0], [1.5, 2.25], [0.0, 0.9]]))
    assert [(each.bins.tolist(), each.start, each.stop) for each in cut] == [([1500, 2250], 1500, 2251)]
    for nothing in (None, np.empty((0, 2))):
        (whole,) = _stretches(times, nothing)
        assert (whole.bins.tolist(), whole.start, whole.stop) == ([1000, 1500, 2250], 0, 2251)
        assert _stretches(np.empty(0), nothing) == []


# --- many units ------------------------------------------------------------------------------------------------------


def test_many_units_are_those_of_each() -> None:
    trains = [TRAIN, np.empty(0), TRAIN * 1.5]
    observed = [None, None, np.array([[0.0, 6.0]])]
    together = acgs_3d(trains, observed, window_ms=40, n_rows=4)
    assert together.shape == (3, 4, 41)
    for one, times, intervals in zip(together, trains, observed, strict=True):
        np.testing.assert_array_equal(one, acg_3d(times, intervals, window_ms=40, n_rows=4))
    logarithmic = acgs_3d(trains, window_ms=40, n_rows=4, log_lags=True)
    np.testing.assert_array_equal(logarithmic[0], acg_3d(TRAIN, window_ms=40, n_rows=4, log_lags=True))
    np.testing.assert_array_equal(logarithmic[0], log_acg_3d(together[0]))


def test_no_units_keep_their_shape() -> None:
    assert acgs_3d([]).shape == (0, 10, 2001)
    assert acgs_3d([], window_ms=40, n_rows=4).shape == (0, 4, 41)
    assert acgs_3d([], n_rows=4, log_lags=True).shape == (0, 4, 201)


def test_the_row_of_a_wrong_train_is_named() -> None:
    with pytest.raises(InputError, match="Row 1: Spike times must be one row"):
        acgs_3d([TRAIN, TRAIN[::-1]], window_ms=40)


# --- logarithmic lags ------------------------------------------------------------------------------------------------


def resampled_slowly(row: np.ndarray) -> list[float]:
    """Between neighbouring lags in proportion, then a bell of one bin, cut at four, reflected at both ends."""
    half = len(row) // 2
    at = [half ** (k / 99) for k in range(100)]
    values = []
    for lag in at:
        below = min(int(lag + 1e-12), half - 1)
        part = lag - below
        values.append(row[half + below] * (1 - part) + row[half + below + 1] * part)
    weights = [np.exp(-(k**2) / 2) for k in range(-4, 5)]
    mirrored = [*values[3::-1], *values, *values[:-5:-1]]
    right = [sum(w * v for w, v in zip(weights, mirrored[k : k + 9], strict=True)) / sum(weights) for k in range(100)]
    return [*right[::-1], 0.0, *right]


@pytest.mark.parametrize("half", [4, 60, 1000])
def test_logarithmic_lags_one_by_one(half: int) -> None:
    acg = np.random.default_rng(half).random((3, 2, 2 * half + 1))
    found = log_acg_3d(acg)
    assert found.shape == (3, 2, 201)
    np.testing.assert_allclose(found[2, 1], resampled_slowly(acg[2, 1]), rtol=1e-9)
    np.testing.assert_allclose(found[0, 0], resampled_slowly(acg[0, 0]), rtol=1e-9)
    np.testing.assert_allclose(log_acg_3d(acg[1, 0]), found[1, 0], rtol=1e-12)
    assert log_acg_3d(acg[:0]).shape == (0, 2, 201)
    assert found[0, 0].tolist() == found[0, 0, ::-1].tolist()


def test_where_logarithmic_lags_are() -> None:
    lags = log_lags_ms(400)
    assert len(lags) == 201
    np.testing.assert_allclose(lags[101:], [200 ** (k / 99) for k in range(100)])
    np.testing.assert_allclose(lags, -lags[::-1])
