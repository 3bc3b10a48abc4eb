"""The index over a spike train says what numpy's search says, on every kind of train."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_celltype.evidence.spike_index import SpikeIndex

from .trains import Float

RNG = np.random.default_rng(3)
TRAINS: dict[str, Float] = {
    "random": np.sort(RNG.uniform(0, 600, 20_000)),
    "bursty": np.sort((np.arange(50)[:, None] * 10 + RNG.exponential(0.01, (50, 200))).ravel()),
    "regular": np.arange(0, 600, 0.02),
    "on a grid, with duplicates": np.sort(RNG.integers(0, 30_000, 5_000)) / 30_000,
    "all at once": np.full(100, 7.5),
    "one spike": np.array([3.0]),
    "one burst and a late spike": np.append(np.sort(RNG.uniform(0, 1, 5_000)), 1e6),
    "hardly apart": np.array([1.0, np.nextafter(1.0, 2.0)]),
    "negative": np.sort(RNG.uniform(-5, 5, 1_000)),
    "nearly nothing": np.array([0.0, 5e-324]),
}


@pytest.mark.parametrize("kind", TRAINS)
def test_as_numpy_searches(kind: str) -> None:
    train = TRAINS[kind]
    index = SpikeIndex(train)
    span = train[-1] - train[0]
    moments = np.concatenate(
        [train, np.nextafter(train, -np.inf), np.nextafter(train, np.inf), train[:1] - 1, train[-1:] + 1]
    )
    moments = np.concatenate([moments, RNG.uniform(train[0] - 1, train[-1] + 1, 2_000), RNG.permutation(moments)[:200]])
    np.testing.assert_array_equal(index.positions(moments), np.searchsorted(train, moments))
    for first, last in ((-0.02, -0.001), (0.001, 0.012), (0.0, 0.0), (-0.1 * span - 1, 0.1 * span + 1)):
        expected = np.searchsorted(train, moments + last) - np.searchsorted(train, moments + first)
        np.testing.assert_array_equal(index.counts(moments, first, last), expected)


@pytest.mark.parametrize("kind", TRAINS)
def test_totals_of_windows_in_any_order(kind: str) -> None:
    train = TRAINS[kind]
    moments = np.sort(RNG.uniform(train[0] - 0.1, train[-1] + 0.1, 500))
    windows = [(0.001, 0.012), (-0.02, -0.001), (-0.004, -0.001), (0.0, 0.012), (-0.012, 0.0), (0.05, 0.15)]
    expected = [
        int(np.sum(np.searchsorted(train, moments + last) - np.searchsorted(train, moments + first)))
        for first, last in windows
    ]
    assert SpikeIndex(train).totals(moments, windows) == expected


def test_no_moments() -> None:
    index = SpikeIndex(np.array([0.0, 1.0]))
    assert index.positions(np.empty(0)).tolist() == []
    assert index.totals(np.empty(0), [(0.0, 1.0)]) == [0]
