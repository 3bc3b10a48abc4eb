"""Rates around spikes, and the sums that decide between rates that are equal: against whole fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from nwb_celltype.features.trigger_rows import (
    HALF_BOXCAR_MS,
    Stretch,
    _added,
    _boundaries,
    _lost,
    _rounded_rate,
    rates_and_rows,
)

from .references import _rates, _rates_and_rows, rate_as_rounded


def bins_of(n: int, longest: int, seed: int = 0) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).integers(0, longest, n)).astype(np.int64)


def rounded(middles: np.ndarray, at: int) -> float:
    return float(_rounded_rate(middles, at, np.zeros(250), np.zeros(250), np.zeros(32)))


def test_what_rounding_took_from_a_product() -> None:
    rng = np.random.default_rng(0)
    for a, b in rng.uniform(0.1, 1000, (300, 2)):
        assert Fraction(_lost(a, b, a * b)) == Fraction(a) * Fraction(b) - Fraction(a * b)


def test_a_product_is_added_with_one_rounding() -> None:
    rng = np.random.default_rng(1)
    for total, a, b in rng.uniform(1e-3, 1000, (300, 3)) * np.array([1.0, 1.0, 1e-3]):
        exact = Fraction(total) + Fraction(a) * Fraction(b)
        assert _added(total, a * b, _lost(a, b, a * b)) == float(exact)
    assert _added(5.0, 0.0, 0.0) == 5.0


@pytest.mark.parametrize("longest", [2, 9, 40, 200, 700])
def test_sums_as_rounded(longest: int) -> None:
    """Also before the first interval and after the last, where nothing is added."""
    bins = bins_of(60, longest, longest) + 400
    middles = _boundaries(bins)
    for at in (*bins[::4].tolist(), int(middles[0]) - 126, int(middles[0]) - 125, int(middles[-1]) + 125):
        assert rounded(middles, at) == rate_as_rounded(middles, at), at


def test_middles_between_neighbours() -> None:
    assert _boundaries(np.array([0, 1, 1, 4, 9])).tolist() == [0, 1, 2, 6]
    assert _boundaries(np.array([3])).tolist() == []
    assert _boundaries(np.array([], dtype=np.int64)).tolist() == []


@pytest.mark.parametrize("longest", [15, 30, 300])
def test_rates_of_each_spike(longest: int) -> None:
    first, second = bins_of(80, longest), bins_of(50, longest, 1) + 100_000
    stretches = [Stretch(first, 0, int(first[-1]) + 1), Stretch(second, int(second[0]) - 40, int(second[-1]) + 60)]
    rates, rows = rates_and_rows(stretches, 4)
    assert [len(each) for each in rows] == [80, 50]
    for stretch, found in zip(stretches, rates, strict=True):
        np.testing.assert_allclose(found, _rates(*stretch, _boundaries(stretch.bins)), rtol=1e-11)
    every, row = np.concatenate(rates), np.concatenate(rows)
    assert every[row == 0].max() <= every[row == 3].min()
    assert sorted(set(row.tolist())) == [0, 1, 2, 3]


def test_rows_are_cut_at_quantiles() -> None:
    """Of 1,000 spikes with rates of their own, a fifth lies in each of three rows and two in the last."""
    bins = np.cumsum(np.random.default_rng(5).permutation(np.arange(1_000)) + 20)
    rates, rows = rates_and_rows([Stretch(bins, 0, int(bins[-1]) + 1)], 4)
    edges = np.quantile(rates[0], [0.2, 0.4, 0.6])
    np.testing.assert_array_equal(rows[0], (rates[0][:, None] > edges).sum(axis=1))
    assert rates_and_rows([], 4) == ([], [])


def test_two_intervals_are_needed_for_a_rate() -> None:
    for bins in ([5], [5, 9], [5, 5, 5]):
        rates, rows = rates_and_rows([Stretch(np.array(bins), 0, 20)], 2)
        assert rates[0].tolist() == [0.0] * len(bins)
        assert rows[0].tolist() == [0] * len(bins)
    three, _ = rates_and_rows([Stretch(np.array([400, 410, 420]), 0, 1_000)], 1)
    assert three[0][1] == pytest.approx(1 / (2 * HALF_BOXCAR_MS) * 1e3)  # one interval in 250 ms


def test_rates_of_the_first_spikes_of_a_slow_unit() -> None:
    """Its first intervals are longer than the time before them."""
    bins = np.array([0, 40, 80, 220, 230, 400, 900, 1_000])
    rates, _ = rates_and_rows([Stretch(bins, 0, 1_001)], 2)
    np.testing.assert_allclose(rates[0], _rates(bins, 0, 1_001, _boundaries(bins)), rtol=1e-12)


@pytest.mark.parametrize("steps", [(20,), (10, 20), (8, 16, 24), (7, 11), (25, 125, 250), (3, 5, 40)])
def test_rows_of_rates_that_are_equal(steps: tuple[int, ...]) -> None:
    """Of many spikes with one rate, the sums as rounded decide which are in which row."""
    bins = np.cumsum(np.random.default_rng(len(steps)).choice(steps, 250)) + 30
    cuts = [(bins[:100], 0, int(bins[99]) + 1), (bins[100:], int(bins[100]) - 5, int(bins[-1]) + 200)]
    rates, rows = rates_and_rows([Stretch(*each) for each in cuts], 7)
    expected_rates, expected_rows = _rates_and_rows(cuts, 7)
    for found, expected in zip(rows, expected_rows, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(np.concatenate(rates), np.concatenate(expected_rates), rtol=1e-11)
